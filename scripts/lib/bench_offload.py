# SPDX-License-Identifier: BSD-3-Clause
"""scripts/bench offload: what the interface of offload devices costs on the CPU."""

import re

from bench_common import BenchmarkError, Runner, machine, positive, print_table, program, write_json

SUMMARY = "offload devices: the cpu driver against calls of the kernels"

NAME = re.compile(r"^(?P<case>\w+/bytes:(?P<bytes>\d+))/(?P<contender>kernel|lists|cpu)$")
TARGET = 0.98  # of the speed of calling the kernels


def add_options(parser):
    parser.add_argument("--min-time", metavar="MS", type=positive, default=20,
                        help="per measurement (default 20 ms)")


def run(options):
    path = program(options, "offload-bench", "bench/offload_bench")
    runner = Runner(path, options.core, options.min_time / 1000)
    names = [name for name in runner.names() if wanted(name, options)]
    if not names:
        raise BenchmarkError("no benchmark is left; `offload_bench --benchmark_list_tests` shows all names")
    description = machine(path.parent.parent)
    runner.measure(names, options.rounds or (3 if options.quick else 7))
    rows = make_rows(runner, names)
    print_table("Bursts of 32 jobs, one buffer of each counted. kernel: called with all ready; lists: with "
                f"pointer lists made per job.\nThe driver should reach {TARGET} of the kernels",
                ["operation", "kernel", "lists", "cpu driver", "to kernel", "to lists", ""],
                [[row["name"], gigabytes(row["baseline"]), gigabytes(row["lists"]), gigabytes(row["value"]),
                  f"{row['ratio']:.3f}", f"{row['value'] / row['lists']:.3f}",
                  "" if row["ratio"] >= TARGET else "below"] for row in rows])
    if options.json is not None:
        write_json(options.json, "offload", description, rows)
    for name, message in sorted(runner.errors.items()):
        print(f"FAILED {name}: {message}")
    return 1 if runner.errors else 0


def wanted(name, options):
    match = NAME.match(name)
    if match is None:
        raise BenchmarkError(f"offload_bench has a benchmark with a name of unknown form: {name}")
    if options.filter is not None and not options.filter.search(name):
        return False
    return not options.quick or match["bytes"] == "1344"


def gigabytes(rate):
    return f"{rate / 1e9:.2f} GB/s"


def make_rows(runner, names):
    rows = []
    for case in dict.fromkeys(NAME.match(name)["case"] for name in names):
        speed = {c: runner.median(f"{case}/{c}", "bytes_per_second") for c in ("kernel", "lists", "cpu")}
        if None in speed.values():
            continue
        rows.append({"name": case, "value": speed["cpu"], "unit": "B/s", "baseline": speed["kernel"],
                     "lists": speed["lists"], "ratio": speed["cpu"] / speed["kernel"]})
    return rows
