# SPDX-License-Identifier: BSD-3-Clause
"""scripts/bench store: share stores beside the raw disk."""

import json
import os
import pathlib
import statistics
import subprocess
import tempfile

from bench_common import (BenchmarkError, Progress, machine, positive, print_table, program, write_json)

SUMMARY = "share stores over memory and RocksDB, beside the raw disk"
BASELINE = "disk/write"
# Each byte of a share is written to RocksDB's log and to a blob file.
TARGETS = {"rocksdb/put": (0.35, "0.7 of the disk's rate over two writings of each byte")}


def add_options(parser):
    parser.add_argument("--mebibytes", metavar="N", type=positive, default=256,
                        help="size of the share (default 256)")
    parser.add_argument("--cell-bytes", metavar="N", type=positive, default=1344,
                        help="length of a cell (default 1344)")
    parser.add_argument("--directory", metavar="DIR", type=pathlib.Path,
                        help="on the disk to measure (default: the temporary directory)")


def run(options):
    path = program(options, "store_bench", "bench/store_bench")
    description = machine(path.parent.parent)
    samples = {}
    rounds = options.rounds or (3 if options.quick else 5)
    progress = Progress()
    for number in range(1, rounds + 1):
        progress.show(f"round {number} of {rounds}")
        for row in one_round(path, options):
            samples.setdefault(row["name"], []).append(row)
    progress.done()
    rows = [make_row(name, rounds) for name, rounds in samples.items()
            if options.filter is None or options.filter.search(name)]
    base = statistics.median(r["bytes"] / r["seconds"] for r in samples[BASELINE])
    for row in rows:
        row.update(baseline=BASELINE, ratio=row["value"] / base)
    print_table(f"A share of {options.mebibytes} MiB in cells of {options.cell_bytes} bytes",
                ["what", "MB/s", "to the disk", "CPU s/GiB", ""],
                [[row["name"], f"{row['value'] / 1e6:.0f}", f"{row['ratio']:.2f}",
                  f"{row['cpu_per_gib']:.2f}", verdict(row)] for row in rows])
    if options.json is not None:
        write_json(options.json, "store", description, rows)
    return 0


def one_round(path, options):
    allowed = sorted(os.sched_getaffinity(0))
    core = allowed[-1] if options.core is None else options.core
    if core not in allowed:
        raise BenchmarkError(f"core {core} is not one of {', '.join(map(str, allowed))}")
    with tempfile.TemporaryDirectory(prefix="ssn-store-bench.", dir=options.directory) as directory:
        result = subprocess.run([str(path), directory, str(options.mebibytes), str(options.cell_bytes)],
                                capture_output=True, text=True, check=False,
                                preexec_fn=lambda: os.sched_setaffinity(0, {core}))
    if result.returncode != 0:
        raise BenchmarkError(f"store_bench ended with {result.returncode}: {result.stderr.strip()}")
    return [json.loads(line) for line in result.stdout.splitlines()]


def make_row(name, rounds):
    return {"name": name, "unit": "B/s",
            "value": statistics.median(r["bytes"] / r["seconds"] for r in rounds),
            "cpu_per_gib": statistics.median(r["cpu_seconds"] / r["bytes"] for r in rounds) * 2 ** 30}


def verdict(row):
    if row["name"] not in TARGETS:
        return ""
    least, what = TARGETS[row["name"]]
    return f"{'ok' if row['ratio'] >= least else 'SHORT'}: >= {least:g}, {what}"
