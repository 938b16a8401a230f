# SPDX-License-Identifier: BSD-3-Clause
"""scripts/bench keys: key devices, from the device to an erased pad."""

import os
import re

from bench_common import (BenchmarkError, CLEAN_ENOUGH, Runner, machine, positive, print_table, program,
                          write_json)

SUMMARY = "key devices: a device model on one core, its user on another"

# Measured within one run: the processor time that the ledger's thread takes.
WITHOUT_LEDGER = "itself without its ledger"

# What must hold: (name, what to compare with or None, least ratio or bytes per second, what it says).
# Names are those of keys_bench, without Google Benchmark's "/real_time".
TARGETS = (
    ("kmnic_take_and_erase/ring_kib/1024", "plain_read_and_zero/ring_kib/1024", 0.8,
     "pads from kmnic, 1344-byte ranges, to a plain loop"),
    ("pads_take_and_erase/ring_kib/1024", "plain_read_and_zero/ring_kib/1024", 0.8,
     "the same through cursor, window and account"),
    ("pads_written_ahead/ring_kib/1024", WITHOUT_LEDGER, 0.99,
     "the same with the ledger on disk, to the time without it"),
    ("kmnic_take_and_erase/ring_kib/1024", None, 4e9, "device model and consumer on two cores"),
    ("seal/bytes/1344", "bare_pad_tag/bytes/1344", 0.87,
     "sealing cells, to the bare kernels (15 % more time)"),
    ("open/bytes/1344", "bare_verify_pad/bytes/1344", 0.87,
     "opening cells, to the bare kernels (15 % more time)"),
    ("etsi014_deliver/key_bits/1048576", None, 0.05e9,
     "0.4 Gb/s of key by ETSI 014, everything on two cores"),
)


def add_options(parser):
    parser.add_argument("--min-time", metavar="MS", type=positive, default=500,
                        help="per measurement (default 500 ms)")
    parser.add_argument("--producer-core", metavar="N", type=int,
                        help="the core of the device model (default: the last but one)")


class TwoCoreRunner(Runner):
    """As Runner, but the program places its two threads itself."""

    def __init__(self, path, consumer, producer, min_time):
        super().__init__(path, consumer, min_time)
        self.command = [str(path), f"--cores={consumer},{producer}"]


def choose_cores(options):
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise BenchmarkError("this suite needs two cores, one for the device and one for its user, and may "
                             f"use {len(allowed)}. Give it more (taskset, cgroup)")
    consumer = allowed[-1] if options.core is None else options.core
    others = [core for core in allowed if core != consumer]
    producer = others[-1] if options.producer_core is None else options.producer_core
    if consumer not in allowed or producer not in allowed or consumer == producer:
        choice = ", ".join(map(str, allowed))
        raise BenchmarkError(f"cores {consumer} and {producer} are not two of {choice}; choose others with "
                             "--core and --producer-core")
    return consumer, producer


def plain(name):
    return re.sub(r"/real_time$", "", name)


def run(options):
    consumer, producer = choose_cores(options)
    path = program(options, "keys-bench", "bench/keys_bench")
    runner = TwoCoreRunner(path, consumer, producer, options.min_time / 1000)
    names = [name for name in runner.names() if options.filter is None or options.filter.search(plain(name))]
    if not names:
        raise BenchmarkError("no benchmark is left; `keys_bench --benchmark_list_tests` shows all names")
    description = machine(path.parent.parent)
    runner.measure(names, options.rounds or (3 if options.quick else 5))
    rows = [make_row(runner, name) for name in names if name in runner.samples]
    print_table("Speed", ["what", "GB/s", "undisturbed"],
                [[row["name"], f"{row['value'] / 1e9:.2f}", f"{row['clean'] * 100:.0f} %"] for row in rows])
    report_targets(rows)
    if any(row["clean"] < CLEAN_ENOUGH for row in rows):
        print("\nOther programs used these cores nearly all the time: measure again on a quiet machine.")
    if options.json is not None:
        write_json(options.json, "keys", description, rows)
    for name, message in sorted(runner.errors.items()):
        print(f"FAILED {plain(name)}: {message}")
    return 1 if runner.errors else 0


def make_row(runner, name):
    baseline = next((other for what, other, _, _ in TARGETS if what == plain(name) and other), None)
    row = {"name": plain(name), "value": runner.median(name, "bytes_per_second"), "unit": "B/s",
           "baseline": baseline, "ratio": None, "clean": runner.median(name, "clean")}
    other = baseline and runner.median(baseline + "/real_time", "bytes_per_second")
    if other:
        row["ratio"] = row["value"] / other
    share = runner.median(name, "ledger_share")
    if baseline == WITHOUT_LEDGER and share is not None:
        row["ratio"] = 1 - share
    if row["clean"] is None:
        row["clean"] = 1.0
    return row


def report_targets(rows):
    by_name = {row["name"]: row for row in rows}
    lines = []
    for name, baseline, least, what in TARGETS:
        row = by_name.get(name)
        if row is None or (baseline and row["ratio"] is None):
            continue
        if baseline:
            measured, text, target = row["ratio"], f"{row['ratio']:.2f}x", f">= {least:g}x"
        else:
            measured, text = row["value"], f"{row['value'] / 1e9:.2f} GB/s"
            target = f">= {least / 1e9:g} GB/s"
        lines.append([what, text, target, "ok" if measured >= least else "SHORT"])
    if lines:
        print_table("Targets", ["what", "measured", "target", ""], lines)
