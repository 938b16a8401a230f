# SPDX-License-Identifier: BSD-3-Clause
"""scripts/bench pipeline: what the pipeline of wire mode costs, node by node, in one process that is its own
peer; the same for the storage graph of an SSA (pipeline_storage.py); what two real processes carry over
vhost-user and veth links (pipeline_vhost.py, pipeline_veth.py)."""

import json
import os
import signal
import subprocess
import sys
import tempfile

import pipeline_storage
import pipeline_veth
import pipeline_vhost
from bench_common import (BenchmarkError, Progress, machine, positive, print_table, program, write_json)

SUMMARY = "wire mode and SSA: cycles of each node beside the kernel; two processes over vhost-user and veth"

# name, options of pipeline_bench, whether --quick measures it
CASES = (
    ("(3,5) 1344 memory", ("--keys=memory",), True),
    ("(3,5) 1344 memory, rings of 256 KiB", ("--keys=memory", "--pad-ring=256"), True),
    ("(3,5) 1344 kmnic", ("--keys=kmnic",), True),
    ("(3,5) 1344 kmnic cold", ("--keys=kmnic", "--cold"), False),
    ("(3,5) 1344 memory, 2 links cut", ("--keys=memory", "--cut=2"), False),
    ("(3,5) 1344 memory, kernels called directly", ("--keys=memory", "--offload=none"), False),
    ("(2,3) 1344 memory", ("--k=2", "--n=3", "--keys=memory"), True),
    ("(2,3) 1344 memory, rings of 256 KiB", ("--k=2", "--n=3", "--keys=memory", "--pad-ring=256"), False),
    ("(2,3) 1344 kmnic", ("--k=2", "--n=3", "--keys=kmnic"), False),
    ("(3,5) 8896 memory", ("--cell=8896", "--keys=memory"), False),
    ("(3,5) 8896 kmnic", ("--cell=8896", "--keys=kmnic"), False),
    ("rs 10+4 8896 memory", ("--scheme=rs", "--k=10", "--n=14", "--cell=8896", "--keys=memory",
                             "--window=160", "--burst=64"), True),
    ("rs 10+4 8896 kmnic", ("--scheme=rs", "--k=10", "--n=14", "--cell=8896", "--keys=kmnic",
                            "--window=160", "--burst=64"), False),
)
# Ratios to the kernel, Gb/s of user data, cycles a packet.
SPLIT_TARGET, RECOVER_TARGET, DRIVER_TARGET, NODES_TARGET = 0.5, 0.4, 0.98, 150
RATES = {"(3,5)": 12, "(2,3)": 20, "rs 10": 30}
WORKER_TIMER = "wire_timer-wire"


def add_options(parser):
    parser.add_argument("--milliseconds", metavar="MS", type=positive, default=100,
                        help="of one recording (default 100)")
    parser.add_argument("--main-core", metavar="N", type=int,
                        help="the core of the control thread and of the device model (default: the first)")
    parser.add_argument("--nodes", action="store_true", help="the table of nodes for every case")
    parser.add_argument("--seconds", metavar="S", type=positive,
                        help="of one round of two processes (default 2; with --quick 1)")


def run(options):
    # Ended by whom ever: what was started ends as well.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda which, _: sys.exit(128 + which))
    path = program(options, "pipeline-bench", "bench/pipeline_bench")
    options.seconds = options.seconds or (1 if options.quick else 2)
    parts = {"one process": [case for case in CASES if wanted(case[0], case[2], options)],
             "storage": [case for case in pipeline_storage.CASES if wanted(case[0], case[2], options)],
             "vhost": [case for case in pipeline_vhost.CASES if wanted(case[0], case[4], options)],
             "veth": [name for name in pipeline_veth.FORWARDERS
                      if wanted(f"veth {name}", name in pipeline_veth.QUICK, options)]}
    if not any(parts.values()):
        raise BenchmarkError("no case is left; there are: " + "; ".join(
            [case[0] for case in (*CASES, *pipeline_storage.CASES, *pipeline_vhost.CASES)]
            + [f"veth {name}" for name in pipeline_veth.FORWARDERS]))
    description = machine(path.parent.parent)
    rows, failures, skipped = [], [], []
    for part, binary, make, show in (
            ("one process", path, Case, report_wire),
            ("storage", path.with_name("pipeline_storage_bench"), pipeline_storage.Case, report_storage)):
        if parts[part]:
            measure_one_process(binary, parts[part], make, show, options, rows, failures)
    build = str(path.parent.parent)
    for part, measure_part in (("vhost", measure_vhost), ("veth", measure_veth)):
        why = parts[part] and (pipeline_veth.unavailable() or part == "veth" and pipeline_veth.missing())
        if why:
            skipped.append(f"{part}: {why}")
        elif parts[part]:
            measure_part(build, parts[part], options, rows, failures)
    if options.json is not None:
        write_json(options.json, "pipeline", description, rows)
    for line in skipped:
        print(f"skipped {line}")
    for failure in failures:
        print(f"FAILED {failure}")
    return 1 if failures else 0


def report_wire(cases, options):
    report(cases, options)
    return [row for case in cases for row in case.rows()]


def report_storage(cases, options):
    return pipeline_storage.report(cases, options.nodes)


def measure_one_process(path, cases, make, show, options, rows, failures):
    """Each case of one program by itself: `make` takes what it printed, `show` all of them."""
    place = cores(options)
    results = []
    progress = Progress()
    for number, (name, arguments, _) in enumerate(cases, 1):
        progress.show(f"{number}/{len(cases)} {name}")
        try:
            results.append(make(name, measure(path, [*arguments, *place], options)))
        except BenchmarkError as error:
            failures.append(str(error))
    progress.done()
    if results:
        rows.extend(show(results, options))


def measure_vhost(build, cases, options, rows, failures):
    results = []
    progress = Progress()
    for number, case in enumerate(cases, 1):
        progress.show(f"{number}/{len(cases)} {case[0]}")
        result = pipeline_vhost.Case(case)
        try:
            result.measure(build, options.rounds or (3 if options.quick else 5), options.seconds)
            results.append(result)
        except (BenchmarkError, RuntimeError, OSError, subprocess.SubprocessError) as error:
            failures.append(f"{case[0]}: {error}")
    progress.done()
    if results:
        rows.extend(pipeline_vhost.report(results))


def measure_veth(build, names, options, rows, failures):
    progress = Progress()
    try:
        results = pipeline_veth.measure(build, names, options.rounds or (2 if options.quick else 5),
                                        options.seconds, progress)
    except (BenchmarkError, RuntimeError, OSError, subprocess.SubprocessError) as error:
        progress.done()
        failures.append(f"veth: {error}")
        return
    progress.done()
    rows.extend(pipeline_veth.report(results))


def wanted(name, quick, options):
    if options.filter is not None:
        return options.filter.search(name) is not None
    return quick or not options.quick


def cores(options):
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise BenchmarkError("this suite needs two cores: one for the worker, one for the device model")
    worker = allowed[-1] if options.core is None else options.core
    main = next(c for c in allowed if c != worker) if options.main_core is None else options.main_core
    if worker not in allowed or main not in allowed or worker == main:
        raise BenchmarkError(f"cores {worker} and {main} are not two of {', '.join(map(str, allowed))}")
    return [f"--core={worker}", f"--main-core={main}"]


def measure(path, arguments, options):
    command = [str(path), *arguments, f"--rounds={options.rounds or (3 if options.quick else 5)}",
               f"--milliseconds={options.milliseconds}"]
    try:
        # Its files go there, so that nothing is left where it is interrupted.
        with tempfile.TemporaryDirectory(prefix="ssn-bench-") as folder:
            result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120,
                                    env=dict(os.environ, TMPDIR=folder))
    except subprocess.TimeoutExpired as error:
        raise BenchmarkError(f"{' '.join(command)} did not end within two minutes") from error
    if result.returncode != 0:
        raise BenchmarkError(f"{' '.join(command)} ended with exit code {result.returncode}:\n"
                             + result.stderr.strip())
    return json.loads(result.stdout)


class Case:
    """One result of pipeline_bench, and what follows from it. Sides are dictionaries: node -> (cycles,
    packets) for a block."""

    def __init__(self, name, raw):
        self.name = name
        self.raw = raw
        self.sends = sides(raw["sends"])
        loop = sides(raw["loop"])
        none = (0.0, 0.0, 0.0)
        self.recovers = {node: tuple(a - b for a, b in zip(values, self.sends.get(node, none)))
                         for node, values in loop.items()}
        for node, values in self.recovers.items():
            self.recovers[node] = (values[0], values[1], loop[node][2])

    def is_port(self, node):
        return node.startswith(("port_rx", "port_tx")) or node == "bench_probe-all"

    def is_key_device(self, node):
        return node == WORKER_TIMER and self.raw["keys"] == "memory"

    def cycles(self, side):
        """Of a block: everything but ports, the probe, and a key device that the worker emulates itself."""
        return sum(values[0] for node, values in side.items()
                   if not self.is_port(node) and not self.is_key_device(node))

    def whole(self, side):
        return sum(values[0] for node, values in side.items() if node != "bench_probe-all")

    def kernel(self, side):
        return self.raw["split_kernel"] if side is self.sends else self.raw["recover_kernel"]

    def ratio(self, side):
        return self.kernel(side) / self.cycles(side)

    def gigabits(self, cycles):
        return self.raw["block_bytes"] * 8 * self.raw["hertz"] / cycles / 1e9

    def packets(self, side):
        """Share packets of a block that this side handles."""
        return float(self.raw["n"] if side is self.sends else self.raw["n"] - self.raw["cut"])

    def overhead(self, side):
        """Cycles a packet of all nodes but the one that computes."""
        computing = side["offload_submit-wire"][0] if self.raw["offload"] == "cpu" else self.kernel(side)
        return (self.cycles(side) - computing) / self.packets(side)

    def rows(self):
        for label, side in (("split", self.sends), ("recover", self.recovers)):
            yield {"name": f"{self.name}/{label}", "value": self.cycles(side), "unit": "cycles/block",
                   "baseline": self.kernel(side), "ratio": self.ratio(side),
                   "gigabits": self.gigabits(self.cycles(side)),
                   "gigabits_with_ports": self.gigabits(self.whole(side)),
                   "node_cycles_per_packet": self.overhead(side),
                   "nodes": {node: list(values) for node, values in side.items()}, "run": self.raw}


def sides(raw):
    nodes = {node["name"]: (node["cycles"], node["packets"], node["burst"]) for node in raw["nodes"]}
    nodes["(between nodes)"] = (raw["between"], 0.0, 0.0)
    return nodes


def mark(value, target, least=True):
    return "" if (value >= target if least else value <= target) else " below" if least else " above"


def report(results, options):
    lines = []
    for case in results:
        rate = next((gigabits for start, gigabits in RATES.items() if case.name.startswith(start)), 0)
        wants_ratio = case.name.startswith("(3,5) 1344")
        for label, side, target in (("split", case.sends, SPLIT_TARGET),
                                    ("recover", case.recovers, RECOVER_TARGET)):
            ratio, cycles = case.ratio(side), case.cycles(side)
            lines.append([f"{case.name}: {label}", f"{case.kernel(side):.0f}", f"{cycles:.0f}",
                          f"{ratio:.2f}" + (mark(ratio, target) if wants_ratio else ""),
                          f"{case.gigabits(cycles):.1f}" + mark(case.gigabits(cycles), rate),
                          f"{case.gigabits(case.whole(side)):.1f}",
                          f"{case.overhead(side):.0f}" + mark(case.overhead(side), NODES_TARGET, False)])
    print_table("Cycles of the time stamp counter for a block, and Gb/s of user data on one core. nodes: all "
                "but ports;\nfor `memory` also without the emulated key device, which runs on the worker. "
                f"Targets: split {SPLIT_TARGET},\nrecover {RECOVER_TARGET} of the kernel at (3,5); "
                "Gb/s " + ", ".join(f"{a} {b}" for a, b in RATES.items())
                + f"; {NODES_TARGET} cycles a packet beside kernel and port",
                ["case", "kernel", "nodes", "ratio", "Gb/s", "all, Gb/s", "cycles/packet"], lines)
    print_table("The cpu driver against direct calls of the kernel (target "
                f"{DRIVER_TARGET}), what else was watched, latency in us",
                ["case", "split", "recover", "missing", "drops", "allocations", "system calls", "p50", "p99",
                 "p99.9"],
                [[case.name, driver(case.raw["split_driver_ratio"]), driver(case.raw["recover_driver_ratio"]),
                  str(case.raw["missing"]), str(case.raw["drops"]),
                  str(case.raw["allocations"] + case.raw["reallocations"]),
                  str(case.raw["system_calls"]) if case.raw["system_calls"] >= 0 else "not seen",
                  *(f"{us:.0f}" for us in case.raw["latency_us"])] for case in results])
    for case in results if options.nodes else results[:2]:
        print_nodes(case)


def driver(ratio):
    return f"{ratio:.3f}" + mark(ratio, DRIVER_TARGET)


def print_nodes(case):
    lines = []
    for label, side in (("split", case.sends), ("recover", case.recovers)):
        for node, (cycles, packets, burst) in sorted(side.items(), key=lambda item: -item[1][0]):
            if cycles >= 1:
                each = f"{cycles / packets:.0f}" if packets >= 0.5 else ""
                lines.append([f"{label}: {node}", f"{cycles:.0f}", f"{cycles / case.packets(side):.0f}", each,
                              f"{burst:.1f}" if burst else ""])
    print_table(f"{case.name}: cycles of nodes", ["node", "a block", "a share", "an object", "burst"], lines)
