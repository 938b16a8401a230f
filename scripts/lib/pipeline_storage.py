# SPDX-License-Identifier: BSD-3-Clause
"""The storage graph of an SSA, node by node, in one process whose ports are owner and shareholders: a part of
scripts/bench pipeline."""

from bench_common import print_table

# name, options of pipeline_storage_bench, whether --quick measures it
CASES = (
    ("storage (3,5) 1344", (), True),
    ("storage (3,5) 1344, rings of 256 KiB", ("--pad-ring=256", "--random-ring=256"), False),
    ("storage (3,5) 1344, reads unchecked", ("--surplus=0",), False),
    ("storage (2,3) 1344", ("--k=2", "--n=3"), False),
    ("storage (3,5) 8896", ("--cell=8896",), False),
    ("storage (2,3) 8896", ("--k=2", "--n=3", "--cell=8896"), False),
)
TARGET = 0.4  # of the kernel
SIDES = ("put", "get")


class Case:
    """One result of pipeline_storage_bench. Sides are dictionaries: node -> (cycles, packets) for a cell."""

    def __init__(self, name, raw):
        self.name, self.raw = name, raw
        self.sides = {}
        for side in SIDES:
            nodes = {node["name"]: (node["cycles"], node["packets"], node["burst"])
                     for node in raw[side]["nodes"]}
            nodes["(between nodes)"] = (raw[side]["between"], 0.0, 0.0)
            self.sides[side] = nodes

    @staticmethod
    def is_port(node):
        return node.startswith(("port_rx", "port_tx")) or node == "bench_probe-all"

    def cycles(self, side):
        """Of a cell: everything but ports, where owner, shareholders and key device are, and the probe."""
        return sum(values[0] for node, values in self.sides[side].items() if not self.is_port(node))

    def ratio(self, side):
        return self.raw[f"{side}_kernel"] / self.cycles(side)

    def gigabits(self, side):
        return self.raw["cell"] * 8 * self.raw["hertz"] / self.cycles(side) / 1e9

    def rows(self):
        for side, nodes in self.sides.items():
            yield {"name": f"{self.name}/{side}", "value": self.cycles(side), "unit": "cycles/cell",
                   "baseline": self.raw[f"{side}_kernel"], "ratio": self.ratio(side),
                   "gigabits": self.gigabits(side),
                   "nodes": {node: list(values) for node, values in nodes.items()}, "run": self.raw}


def report(cases, all_nodes):
    """Tables; rows for JSON."""
    lines = []
    for case in cases:
        raw = case.raw
        for side in SIDES:
            ratio = case.ratio(side)
            lines.append([f"{case.name}: {side}", f"{raw[f'{side}_kernel']:.0f}", f"{case.cycles(side):.0f}",
                          f"{ratio:.2f}" + ("" if ratio >= TARGET else " below"),
                          f"{case.gigabits(side):.1f}", str(raw[f"{side}_drops"]),
                          str(raw["allocations"] + raw["reallocations"]),
                          str(raw["system_calls"]) if raw["system_calls"] >= 0 else "not seen"])
    print_table("The storage graph of an SSA: cycles of the time stamp counter for a cell of user data, all "
                "nodes but ports\n(owner, shareholders and key device are in these). Target: "
                f"{TARGET} of the kernel",
                ["case", "kernel", "nodes", "ratio", "Gb/s", "drops", "allocations", "system calls"], lines)
    for case in cases if all_nodes else cases[:1]:
        print_nodes(case)
    return [row for case in cases for row in case.rows()]


def print_nodes(case):
    lines = []
    for side, nodes in case.sides.items():
        for node, (cycles, packets, burst) in sorted(nodes.items(), key=lambda item: -item[1][0]):
            if cycles >= 10:
                each = f"{cycles / packets:.0f}" if packets >= 0.5 else ""
                lines.append([f"{side}: {node}", f"{cycles:.0f}", each, f"{burst:.1f}" if burst else ""])
    print_table(f"{case.name}: cycles of nodes", ["node", "a cell", "a packet", "burst"], lines)
