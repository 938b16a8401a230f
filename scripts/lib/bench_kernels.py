# SPDX-License-Identifier: BSD-3-Clause
"""scripts/bench kernels: the byte kernels against what ISA-L and OpenSSL give."""

import re
import subprocess

from bench_common import BenchmarkError, Runner, machine, positive, print_table, program, write_json, writable

SUMMARY = "byte kernels: split, recover, pads, tags, random against ISA-L and OpenSSL"

NAME = re.compile(r"^(?P<cold>cold/)?(?P<op>\w+)(?:/(?P<scheme>\w+)/k:(?P<k>\d+)/n:(?P<n>\d+))?"
                  r"/bytes:(?P<bytes>\d+)/(?P<impl>\w+)$")
BASELINE = "baseline"
# An implementation that is also held to what the libraries do with the same instructions.
OWN_BASELINE = {"avx2": "baseline_avx2"}
CODES = ("systematic/k:2/n:3", "systematic/k:3/n:5", "systematic/k:6/n:9")
RS_CODES = ("rs/k:3/n:5", "rs/k:6/n:9", "rs/k:10/n:14")

# To reach with AVX-512 and GFNI at 1408 bytes: ratios to the baseline, for (2,3), (3,5) and (6,9).
TARGET_BYTES = 1408
TARGETS = {
    "split_pad": (6, 7, 10),
    "split_pad_drbg": (3.5, 3.5, 4),
    "split_pad_keep": (7, 8, 12),
    "split_pad_tag": (7, 8, 8),
    "pad_recover": (3.5, 3.5, 3.5),
}
AVX2_TARGET = 2
RS_TARGETS = {"avx512_gfni": 2.5, "avx2": 1}
TAG_TIME_TARGET = 3.3  # split_pad_tag in times of split_pad
KEEP_TARGET = 1.8  # split_pad_keep in rates of split_pad, at 8192 bytes


def add_options(parser):
    parser.add_argument("--all", action="store_true", help="also the slow implementations at all sizes")
    parser.add_argument("--cold", action="store_true", help="inputs beyond the last-level cache")
    parser.add_argument("--limits", action="store_true", help="also what the machine can do per cycle")
    parser.add_argument("--plot", metavar="FILE", type=writable,
                        help="draw cycles per byte beside the machine's limits (.svg, .png)")
    parser.add_argument("--min-time", metavar="MS", type=positive, default=20,
                        help="per measurement (default 20 ms)")


def run(options):
    if options.plot is not None and options.plot.suffix not in (".svg", ".png"):
        raise BenchmarkError(f"--plot {options.plot}: the name must end with .svg or .png")
    path = program(options, "kernels_bench", "bench/kernels_bench")
    runner = Runner(path, options.core, options.min_time / 1000, ["--cold"] if options.cold else [])
    names = [name for name in runner.names() if wanted(name, options)]
    if not names:
        raise BenchmarkError("no benchmark is left; `kernels_bench --benchmark_list_tests` shows all names")
    description = machine(path.parent.parent)
    runner.measure(names, options.rounds or (3 if options.quick else 5))
    clock = [s["GHz"] for samples in runner.samples.values() for s in samples if "GHz" in s]
    description["clock_ghz"] = round(max(clock), 2) if clock else None
    limits = Limits(runner)
    rows = make_rows(runner, names, limits)
    report(runner, rows, limits, description)
    if options.plot is not None:
        plot(options.plot, rows, description)
    if options.json is not None:
        write_json(options.json, "kernels", description, rows)
    for name, message in sorted(runner.errors.items()):
        print(f"FAILED {name}: {message}")
    return 1 if runner.errors else 0


def wanted(name, options):
    if name.startswith("limit/"):
        chosen = options.limits or options.plot is not None
        filtered = options.filter is not None and options.plot is None and not options.filter.search(name)
        return chosen and not filtered
    match = NAME.match(name)
    if match is None:
        raise BenchmarkError(f"kernels_bench has a benchmark with a name of unknown form: {name}")
    if options.filter is not None and not options.filter.search(name):
        return False
    size = int(match["bytes"])
    if options.quick and (size != TARGET_BYTES or match["scheme"] == "classic"):
        return size == 8192 and match["op"] in ("split_pad", "split_pad_keep") and match["k"] == "3" and (
            match["scheme"] == "systematic" and match["impl"] not in ("scalar", "isal"))
    return options.all or match["impl"] not in ("scalar", "isal") or size == TARGET_BYTES


class Limits:
    """Throughputs of this machine, per cycle, and the least time that an operation can take."""

    def __init__(self, runner):
        self.rate = {name[len("limit/"):]: runner.median(name, "per_cycle")
                     for name in runner.samples if name.startswith("limit/")}

    def complete(self):
        return all(name + "/zmm" in self.rate for name in
                   ("affine", "aesenc", "pclmul", "xor", "load", "store", "affine+aesenc", "affine+pclmul"))

    def shared(self, first, second):
        """Whether two instructions take turns on the same ports: then a pair costs the sum of both."""
        alone = 1 / self.rate[first + "/zmm"] + 1 / self.rate[second + "/zmm"]
        return 1 / self.rate[f"{first}+{second}/zmm"] > 0.9 * alone

    def bound(self, sample, user_blocks):
        """Cycles per byte of user data below which 64-byte vectors cannot go, in first-level cache."""
        if not self.complete():
            return None
        kinds = ("affine", "aesenc", "pclmul", "xor", "load", "store")
        cycles = {name: 1 / self.rate[name + "/zmm"] for name in kinds}
        affine = sample["mul"] * cycles["affine"]
        aes = sample["aes"] * 14 * cycles["aesenc"]
        # GHASH of 64 bytes: three carry-less multiplications (Karatsuba); the reduction is put off.
        hashing = sample["hash"] * 3 * cycles["pclmul"]
        multiply = affine + aes if self.shared("affine", "aesenc") else max(affine, aes)
        compute = multiply + hashing if self.shared("affine", "pclmul") else max(multiply, hashing)
        slots = (sample["mul"] + 14 * sample["aes"] + 3 * sample["hash"] + sample["add"] / 2) * cycles["xor"]
        memory = max(sample["in"] * cycles["load"], sample["out"] * cycles["store"])
        return max(compute, slots, memory) / (64 * user_blocks)


def make_rows(runner, names, limits):
    rows = []
    for name in names:
        if name not in runner.samples:
            continue
        if name.startswith("limit/"):
            unit = "bytes per cycle" if "/bytes:" in name else "per cycle"
            rows.append({"name": name, "value": runner.median(name, "per_cycle"), "unit": unit,
                         "baseline": None, "ratio": None})
            continue
        value = runner.median(name, "bytes_per_second") / 1e9
        match = NAME.match(name)
        baseline = rate_of(runner, name, match["impl"], BASELINE)
        row = {"name": name, "value": value, "unit": "GB/s", "baseline": baseline,
               "ratio": value / baseline if baseline else None,
               "cycles_per_byte": runner.median(name, "cycles_per_byte"),
               "clean_rounds": runner.clean_rounds(name)}
        if match["impl"] in OWN_BASELINE:
            own = rate_of(runner, name, match["impl"], OWN_BASELINE[match["impl"]])
            row["own_baseline"] = own
            row["own_ratio"] = value / own if own else None
        if match["impl"] == "avx512_gfni":
            sample = runner.samples[name][0]
            row["bound_cycles_per_byte"] = limits.bound(sample, user_blocks(match))
        rows.append(row)
    return rows


def user_blocks(match):
    """Share lengths of user data in one operation."""
    if match["op"] == "repair":
        return 1
    return {"ramp": 2, "rs": int(match["k"] or 1)}.get(match["scheme"], 1)


def rate_of(runner, name, implementation, other):
    rate = runner.median(name[:-len(implementation)] + other, "bytes_per_second")
    return rate / 1e9 if rate else None


def report(runner, rows, limits, description):
    by_name = {row["name"]: row for row in rows}
    print_everything(rows)
    if limits.rate:
        print_table("Per cycle on this machine (regions: bytes)", ["what", "per cycle"],
                    [[name, f"{rate:.2f}"] for name, rate in limits.rate.items()])
    print_targets(by_name)
    print_other_targets(by_name)
    flags = " ".join(description["flags"])
    print(f"\n{description['cpu']} ({flags}) at {description['clock_ghz']} GHz, {description['compiler']}, "
          f"ISA-L {description['isal']}, OpenSSL {description['openssl']}, commit {description['commit']}")
    disturbed = [row["name"] for row in rows if row.get("clean_rounds") == 0]
    if disturbed:
        print(f"{len(disturbed)} of {len(rows)} were never measured undisturbed (marked ~): something else "
              "uses this core or its sibling. Repeat on a quieter machine.")


def mark(row):
    return "~" if row.get("clean_rounds") == 0 else ""


def print_everything(rows):
    groups = {}
    for row in rows:
        if not row["name"].startswith("limit/"):
            group, implementation = row["name"].rsplit("/", 1)
            groups.setdefault(group, {})[implementation] = row
    if not groups:
        return
    order = ["avx512_gfni", "avx2", "isal", "scalar", "composed", "baseline_avx2", BASELINE]
    present = [name for name in order if any(name in group for group in groups.values())]
    present += sorted({name for group in groups.values() for name in group} - set(order))
    lines = []
    for group, members in groups.items():
        cells = [group]
        for name in present:
            row = members.get(name)
            ratio = f" {row['ratio']:5.2f}x" if row and row["ratio"] and name != BASELINE else ""
            cells.append(f"{row['value']:.3g}{mark(row)}{ratio}" if row else "-")
        lines.append(cells)
    print_table("GB/s of user data, and times the baseline", ["operation", *present], lines)


def verdict(ratio, target):
    return "ok" if ratio >= target else "SHORT"


def print_targets(by_name):
    lines = []
    for op, targets in TARGETS.items():
        cells = [op]
        for code, target in zip(CODES, targets):
            row = by_name.get(f"{op}/{code}/bytes:{TARGET_BYTES}/avx512_gfni")
            if row is None or not row["ratio"]:
                cells += ["-", "-", f"{target}x", ""]
            else:
                cells += [f"{row['value']:.1f}{mark(row)}", f"{row['ratio']:.2f}x", f"{target}x",
                          verdict(row["ratio"], target)]
        lines.append(cells)
    if all(cell in ("-", "") or cell.endswith("x") for line in lines for cell in line[1:]):
        return  # nothing of it was measured, or not on such a machine
    head = ["operation"]
    for code in ("(2,3)", "(3,5)", "(6,9)"):
        head += [code + " GB/s", "ratio", "target", ""]
    print_table(f"Targets: avx512_gfni against baseline, {TARGET_BYTES} bytes", head, lines)


def print_other_targets(by_name):
    lines = []

    def add(what, value, target, reached):
        lines.append([what, f"{value:.2f}x", target, "ok" if reached else "SHORT"])

    def value_of(name):
        row = by_name.get(name)
        return row["value"] if row else None

    middle = f"{CODES[1]}/bytes"
    plain = value_of(f"split_pad/{middle}:1408/avx512_gfni")
    tagged = value_of(f"split_pad_tag/{middle}:1408/avx512_gfni")
    if plain and tagged:
        time = plain / tagged
        add("time of split_pad_tag in split_pads, (3,5), 1408", time, f"<= {TAG_TIME_TARGET}x, aim 2.6x",
            time <= TAG_TIME_TARGET)
    plain = value_of(f"split_pad/{middle}:8192/avx512_gfni")
    kept = value_of(f"split_pad_keep/{middle}:8192/avx512_gfni")
    if plain and kept:
        add("split_pad_keep to split_pad, (3,5), 8192", kept / plain, f">= {KEEP_TARGET}x",
            kept / plain >= KEEP_TARGET)
    for op in TARGETS:
        for code in CODES:
            row = by_name.get(f"{op}/{code}/bytes:{TARGET_BYTES}/avx2")
            if row and row.get("own_ratio"):
                add(f"{op}/{code} avx2 to baseline_avx2", row["own_ratio"], f">= {AVX2_TARGET}x",
                    row["own_ratio"] >= AVX2_TARGET)
    for implementation, target in RS_TARGETS.items():
        for code in RS_CODES:
            row = by_name.get(f"encode/{code}/bytes:{TARGET_BYTES}/{implementation}")
            ratio = row and (row.get("own_ratio") or row["ratio"])
            if ratio:
                against = OWN_BASELINE.get(implementation, BASELINE)
                add(f"encode/{code} {implementation} to {against}", ratio, f">= {target}x", ratio >= target)
    if lines:
        print_table("Other targets", ["what", "measured", "target", ""], lines)


def plot(path, rows, description):
    """Measured cycles per byte beside the least that the ports and the first-level cache allow."""
    points = []
    for row in rows:
        match = NAME.match(row["name"])
        if match and match["impl"] == "avx512_gfni" and int(match["bytes"]) == TARGET_BYTES and (
                match["scheme"] in (None, "systematic", "rs") and row.get("bound_cycles_per_byte")):
            code = f" ({match['k']},{match['n']})" if match["k"] else ""
            points.append((match["op"] + code, row["cycles_per_byte"], row["bound_cycles_per_byte"]))
    if not points:
        raise BenchmarkError(f"nothing to draw in {path}: no avx512_gfni result at {TARGET_BYTES} bytes with "
                             "the machine's limits; leave out --filter, use a machine with AVX-512 and GFNI")
    kind = "svg dynamic background rgb 'white'" if path.suffix == ".svg" else "png"
    data = "\n".join(f'"{label}" {measured:.5f} {bound:.5f}' for label, measured, bound in points)
    script = f"""set terminal {kind} size 1400,700
set output '{str(path).replace("'", "''")}'
set title "Cycles per byte of user data, {TARGET_BYTES}-byte shares, avx512\\\\_gfni, {description['cpu']}"
set style data histograms
set style histogram clustered gap 1
set style fill solid 0.8 border -1
set logscale y 2
set ylabel "cycles per byte"
set xtics rotate by -50 noenhanced
set key top left
set grid ytics
$data << END
{data}
END
plot $data using 2:xtic(1) title "measured" lc rgb "#4477aa", \\
     $data using 3 title "port and L1 limit" lc rgb "#ccbb44"
"""
    try:
        result = subprocess.run(["gnuplot"], input=script, capture_output=True, text=True, check=False)
    except OSError as error:
        raise BenchmarkError(f"cannot run gnuplot: {error.strerror}. Install gnuplot-nox, or leave out "
                             "--plot") from error
    if result.returncode != 0 or not path.is_file():
        raise BenchmarkError(f"gnuplot could not draw {path}: {result.stderr.strip()}")
    print(f"\nPlot written to {path}")
