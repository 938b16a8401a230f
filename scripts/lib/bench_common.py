# SPDX-License-Identifier: BSD-3-Clause
"""What all benchmark suites share: building, running Google Benchmark in rounds, the machine, output."""

import argparse
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]

# A round of a benchmark counts when at least this share of its time slices was undisturbed.
CLEAN_ENOUGH = 0.05
# Names that one process measures: short enough that contenders of one group are measured within seconds.
NAMES_PER_PROCESS = 40
CPU_FLAGS = ("avx2", "avx512f", "avx512bw", "avx512vl", "gfni", "vaes", "vpclmulqdq", "hypervisor",
             "asimd", "sve2")


class BenchmarkError(Exception):
    """Says what failed, why, and what to do."""


def add_common_options(parser):
    parser.add_argument("--json", metavar="FILE", type=writable, help="write rows and machine as JSON")
    parser.add_argument("--filter", metavar="REGEX", type=regex, help="only names that match")
    parser.add_argument("--rounds", metavar="N", type=positive,
                        help="how often each is measured (default 5)")
    parser.add_argument("--quick", action="store_true",
                        help="three rounds, and only the most important cases")
    parser.add_argument("--core", metavar="N", type=int, help="the core to run on (default: the last one)")
    parser.add_argument("--build-dir", metavar="DIR", type=pathlib.Path,
                        help="measure what is built there (default: build/, brought up to date)")


def positive(text):
    if not re.fullmatch(r"[1-9][0-9]{0,3}", text):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 1 to 9999")
    return int(text)


def regex(text):
    try:
        return re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"'{text}' is not a regular expression: {error}") from error


def writable(text):
    """Found out before the measurement, not after."""
    path = pathlib.Path(text)
    target = path if path.exists() else path.parent
    if path.is_dir() or not os.access(target, os.W_OK):
        raise argparse.ArgumentTypeError(f"cannot write to '{text}'; give a file where you may write")
    return path


def program(options, target, path):
    """The built program `path` below the build directory, brought up to date unless --build-dir was given."""
    if options.build_dir is not None:
        built = options.build_dir / path
        if not built.is_file():
            raise BenchmarkError(f"{built} does not exist. Build it (ninja -C {options.build_dir}), or leave "
                                 "out --build-dir")
        return built
    build = ROOT / "scripts" / "build"
    if not os.access(build, os.X_OK):
        raise BenchmarkError(f"cannot build: {build} is missing or not executable. Check out the whole "
                             "tree, or build with meson and give --build-dir")
    result = subprocess.run([str(build), target], cwd=ROOT, stdout=sys.stderr, check=False)
    built = ROOT / "build" / path
    if result.returncode != 0 or not built.is_file():
        raise BenchmarkError(f"scripts/build {target} failed with exit code {result.returncode}; its "
                             "messages are above")
    return built


def output_of(*command):
    """Standard output of a command, or '' where it cannot be run: for descriptions only."""
    try:
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=30)
        return result.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def describe_compiler(build_directory):
    """What the compiler that built the first file says about itself."""
    try:
        command = json.loads((build_directory / "compile_commands.json").read_text())[0]["command"]
    except (OSError, ValueError, LookupError):
        return "unknown compiler"
    words = command.split()
    if words[0].endswith("ccache"):
        words = words[1:]
    return (output_of(words[0], "--version").splitlines() or ["unknown compiler"])[0]


def machine(build_directory):
    """What a reader must know to compare numbers."""
    cpu = pathlib.Path("/proc/cpuinfo").read_text(errors="replace")
    model = re.search(r"^(?:model name|CPU implementer)\s*:\s*(.*)$", cpu, re.M)
    family = re.search(r"^cpu family\s*:\s*(.*)$", cpu, re.M)
    number = re.search(r"^model\s*:\s*(.*)$", cpu, re.M)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.*)$", cpu, re.M)
    known = set(flags.group(1).split()) if flags else set()
    commit = output_of("git", "rev-parse", "--short=12", "HEAD") or "none"
    if output_of("git", "status", "--porcelain"):
        commit += " with changes"
    return {
        "cpu": model.group(1) if model else "unknown",
        "family": family.group(1) if family else None,
        "model": number.group(1) if number else None,
        "flags": [flag for flag in CPU_FLAGS if flag in known],
        "cores": os.cpu_count(),
        "kernel": os.uname().release,
        "load": round(os.getloadavg()[0], 2),
        "compiler": describe_compiler(build_directory),
        "isal": output_of("pkg-config", "--modversion", "libisal") or "unknown",
        "openssl": output_of("pkg-config", "--modversion", "libcrypto") or "unknown",
        "google_benchmark": output_of("pkg-config", "--modversion", "benchmark") or "unknown",
        "commit": commit,
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


class Progress:
    """One line that rewrites itself on a terminal; silent elsewhere."""

    def __init__(self):
        self.enabled = sys.stderr.isatty()

    def show(self, text):
        if self.enabled:
            width = shutil.get_terminal_size().columns - 1
            print("\r" + text[:width].ljust(width), end="", file=sys.stderr, flush=True)

    def say(self, text):
        """A line that stays, wherever it goes: for what takes minutes."""
        self.done()
        print(text, file=sys.stderr, flush=True)

    def done(self):
        self.show("")
        if self.enabled:
            print("\r", end="", file=sys.stderr, flush=True)


class Runner:
    """Runs a Google Benchmark program on one core, round after round, and keeps what each round gave."""

    def __init__(self, path, core, min_time, extra_arguments=()):
        self.command = pinned(core) + [str(path), *extra_arguments]
        self.min_time = min_time
        self.samples = {}  # name -> list of dicts as Google Benchmark writes them
        self.errors = {}  # name -> message
        self.progress = Progress()

    def names(self):
        listing = self.run(["--benchmark_list_tests=true"])
        return [line for line in listing.splitlines() if line]

    def measure(self, names, rounds):
        """Measures all names once per round, groups in order; then gives names whose rounds were disturbed
        by a neighbour on the core up to as many rounds again."""
        for number in range(1, 2 * rounds + 1):
            if number > rounds:
                names = [name for name in names
                         if name not in self.errors and self.clean_rounds(name) <= rounds // 2]
            for first in range(0, len(names), NAMES_PER_PROCESS):
                chunk = names[first:first + NAMES_PER_PROCESS]
                extra = " (repeating disturbed ones)" if number > rounds else ""
                at = f"{first + 1}/{len(names)} {chunk[0]}"
                self.progress.show(f"round {number} of {rounds}{extra}: {at}")
                self.measure_once(chunk, number)
        self.progress.done()

    def measure_once(self, names, number):
        chosen = "^(" + "|".join(re.sub(r"([.+*?()\[\]{}|^$\\])", r"\\\1", name) for name in names) + ")$"
        text = self.run([f"--benchmark_filter={chosen}", f"--benchmark_min_time={self.min_time}",
                         f"--rotate={number}", "--benchmark_format=json"])
        try:
            results = json.loads(text)["benchmarks"]
        except (ValueError, KeyError) as error:
            raise BenchmarkError(f"{' '.join(self.command)} did not print Google Benchmark's JSON: {error}. "
                                 f"Run it by hand with --benchmark_filter='{names[0]}'") from error
        for result in results:
            if result.get("error_occurred"):
                self.errors[result["name"]] = result.get("error_message", "unknown error")
            else:
                self.samples.setdefault(result["name"], []).append(result)

    def run(self, arguments):
        try:
            result = subprocess.run(self.command + arguments, capture_output=True, text=True, check=False)
        except OSError as error:
            raise BenchmarkError(f"cannot run {self.command[0]}: {error.strerror}. Run "
                                 "scripts/bootstrap") from error
        if result.returncode != 0:
            last = "\n".join(result.stderr.strip().splitlines()[-5:])
            raise BenchmarkError(f"{' '.join(self.command)} ended with exit code {result.returncode}:\n"
                                 f"{last}")
        return result.stdout

    def clean_rounds(self, name):
        return sum(sample.get("clean", 1) >= CLEAN_ENOUGH for sample in self.samples.get(name, []))

    def median(self, name, key):
        """Median over the undisturbed rounds, over all where none was; None where there is nothing."""
        samples = self.samples.get(name, [])
        chosen = [s for s in samples if s.get("clean", 1) >= CLEAN_ENOUGH] or samples
        values = [sample[key] for sample in chosen if key in sample]
        return statistics.median(values) if values else None


def pinned(core):
    allowed = sorted(os.sched_getaffinity(0))
    if core is None:
        core = allowed[-1]  # interrupts and other programs tend to sit on the first
    if core not in allowed:
        choice = ", ".join(map(str, allowed))
        raise BenchmarkError(f"core {core} is not available here; choose one of {choice} with --core")
    if shutil.which("taskset") is None:
        raise BenchmarkError("taskset is missing: the benchmark could not stay on one core. Install "
                             "util-linux")
    return ["taskset", "-c", str(core)]


def print_table(title, head, rows):
    """Columns as wide as they need be; the first is left-aligned."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    print(f"\n{title}")
    for row in [head, *rows]:
        print("  " + "  ".join(cell.ljust(w) if i == 0 else cell.rjust(w)
                               for i, (cell, w) in enumerate(zip(row, widths))).rstrip())


def write_json(path, suite, description, rows):
    path.write_text(json.dumps({"suite": suite, "machine": description, "rows": rows}, indent=1) + "\n")
    print(f"\n{len(rows)} rows written to {path}")
