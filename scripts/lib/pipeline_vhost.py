# SPDX-License-Identifier: BSD-3-Clause
"""Two real ssn-dataplane processes, a core each, with vhost-user links between them: a part of scripts/bench
pipeline.

    pipeline_load -- node a ===== links ===== node b -- pipeline_load      one process at both ends

pipeline_load has a window of frames on the way and yields its core, so that it sets no pace of its own:
nothing is lost for haste, and what is lost is said.
"""
import json
import os
import statistics
import subprocess
import tempfile
import time

from bench_common import BenchmarkError, print_table
from processes import Programs, last_lines
from wire_network import WireNetwork

SUITE = 'vhost'
WARM_SECONDS = 0.5
# A neighbour on the core may keep a node from it for that long without a block being given up.
REORDER = '500 ms'
CELL, BLOCK_HEADER, RECORD_HEADER = 1344, 8, 2
FRAME = CELL - BLOCK_HEADER - RECORD_HEADER  # fills a block
WINDOW = 256

# name, k, n, key device, whether --quick measures it; n = 0: plain forwarding over one link, the baseline
CASES = (
    ('vhost plain bridge', 0, 0, None, True),
    ('vhost (3,5) memory', 3, 5, 'memory', True),
    ('vhost (3,5) kmnic', 3, 5, 'kmnic', True),
    ('vhost (2,3) memory', 2, 3, 'memory', False),
    ('vhost (2,3) kmnic', 2, 3, 'kmnic', False),
)


def processor_seconds(process):
    """That a process has used so far."""
    with open(f'/proc/{process.pid}/stat', encoding='ascii') as file:
        fields = file.read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def configure(network, case):
    """Both nodes: clients over vhost-user, workers that yield, keys as the case has them."""
    _, k, n, keys, _ = case
    for side, node in network.nodes.items():
        tree = node.configuration
        tree['eal']['memory'] = '256 MiB'
        tree['workers']['idle'] = 'yield'
        tree['port'][0]['device'] = network.vhost_device(0, f'client-{side}', True)
        node.stream.update(reorder=REORDER, shortage='wait', cell=CELL)
        if n == 0:
            tree['bridge'] = [{'ports': ['client', 'link1']}]
            del tree['port'][1]['addresses']
            for name in ('stream', 'peer', 'key_device'):
                del tree[name]
            continue
        node.stream.update(k=k, n=n)
        if keys == 'memory':
            tree['key_device'] = [{'driver': 'memory', 'settings': {'seed': 'benchmark'}}]


def total(nodes):
    """Cycles of a frame in all graph nodes."""
    return sum(cycles for cycles, _, _ in nodes.values())


class Load:
    """pipeline_load beside the nodes."""

    def __init__(self, network, build, cores):
        folder = os.path.join(network.folder, 'load')
        os.mkdir(folder)
        self.log = os.path.join(network.folder, 'load.log')  # DPDK clears the other folder
        with open(self.log, 'wb') as log:
            self.process = network.namespace('load').start(
                os.path.join(build, 'bench', 'pipeline_load'), f'--folder={folder}', f'--frame={FRAME}',
                f'--out={network.vhost_device(0, "client-a", False)}',
                f'--in={network.vhost_device(1, "client-b", False)}', f'--window={WINDOW}',
                f'--core={cores[0]}', f'--main-core={cores[-1]}',
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        self.checked = self._read()

    def _read(self):
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            raise BenchmarkError(f'pipeline_load ended with {self.process.returncode}: '
                                 f'{last_lines(self.log)}')
        return json.loads(line)

    def count(self):
        self.process.stdin.write('count\n')
        self.process.stdin.flush()
        return self._read()

    def end(self):
        """After this no frame is on the way. Its exit code says whether all came out right."""
        self.process.stdin.close()
        if self.process.wait(30) != 0:
            raise BenchmarkError(f'pipeline_load ended with {self.process.returncode}: '
                                 f'{last_lines(self.log)}')


class Case:
    """What was measured of one case."""

    def __init__(self, case):
        self.name, self.k, self.n, self.keys, _ = case
        self.rounds, self.nodes, self.huge_pages, self.checked = [], {}, False, 0

    def measure(self, build, rounds, seconds):
        with tempfile.TemporaryDirectory(prefix='ssn-bench-') as folder, \
                WireNetwork(folder, Programs.built(build), self.n or 1, vhost=True) as network:
            configure(network, (self.name, self.k, self.n, self.keys, None))
            if self.keys == 'kmnic':
                network.keys.start()
            network.start_nodes()
            cores = sorted(os.sched_getaffinity(0))
            # One that no worker has, where there is one; else that of the node with less to do.
            load = Load(network, build, [cores[1], cores[0]] if len(cores) > 2 else cores)
            self.checked = load.checked['checked']
            time.sleep(WARM_SECONDS)
            self.huge_pages = 'normal pages' not in open(network.nodes['a'].log, encoding='utf-8').read()
            before = self.snapshot(network, load)
            for _ in range(rounds):
                time.sleep(seconds)
                after = self.snapshot(network, load)
                self.rounds.append(self.between(before, after))
                for side in network.nodes:
                    self.keep_better(side, self.node_cycles(before[side], after[side]))
                before = after
            load.end()
            for node in network.nodes.values():
                if node.stop() != 0:
                    raise BenchmarkError(f'{node.name} ended badly: {last_lines(node.log)}')

    @staticmethod
    def snapshot(network, load):
        processes = {'a': network.nodes['a'].process, 'b': network.nodes['b'].process, 'load': load.process}
        if network.keys.process is not None:
            processes['kme'] = network.keys.process
        taken = {'load': load.count()}
        taken['processors'] = {name: processor_seconds(each) for name, each in processes.items()}
        for side, node in network.nodes.items():
            node.check()
            taken[side] = node.counters()
        return taken

    @staticmethod
    def between(before, after):
        """One round."""
        grown = {name: after['load'][name] - before['load'][name]
                 for name in ('seconds', 'sent', 'delivered', 'missing', 'late', 'wrong')}
        seconds = grown['seconds']
        drops = {f'{side}: {name[len("drop."):]}': value - before[side].get(name, 0)
                 for side in 'ab' for name, value in after[side].items()
                 if name.startswith('drop.') and value != before[side].get(name, 0)}
        return {'gigabits': grown['delivered'] * FRAME * 8 / seconds / 1e9,
                'frames_per_second': grown['delivered'] / seconds, **grown,
                'drops': drops,
                'latency_us': after['load']['latency_us'],
                'processor_seconds': {name: value - before['processors'][name]
                                      for name, value in after['processors'].items()},
                'blocks_lost': sum(after['b'].get(name, 0) - before['b'].get(name, 0) for name in after['b']
                                   if name.endswith('received.blocks_lost'))}

    def keep_better(self, side, nodes):
        """Of the rounds the one in which the fewest cycles were lost to others."""
        if side not in self.nodes or total(nodes) < total(self.nodes[side]):
            self.nodes[side] = nodes

    @staticmethod
    def node_cycles(before, after):
        """{graph node: (cycles, packets) for a frame, packets a call}."""
        grown = {name: value - before.get(name, 0) for name, value in after.items()}
        frames = max(grown[f'port.client.{"rx" if grown["port.client.rx_packets"] else "tx"}_packets'], 1)
        nodes = {}
        for name, cycles in grown.items():
            if name.startswith('node.') and name.endswith('.cycles') and cycles > 0:
                node = name[len('node.'):-len('.cycles')]
                packets, calls = (grown.get(f'node.{node}.{what}', 0) for what in ('packets', 'calls'))
                nodes[node] = (cycles / frames, packets / frames, packets / max(calls, 1))
        return nodes

    def median(self, name):
        return statistics.median(each[name] for each in self.rounds)

    def loss(self):
        missing, sent = (sum(each[name] for each in self.rounds) for name in ('missing', 'sent'))
        return missing / max(sent, 1)

    def processor(self, name):
        """Of one core, on average."""
        seconds = sum(each['seconds'] for each in self.rounds)
        return sum(each['processor_seconds'].get(name, 0) for each in self.rounds) / seconds

    def row(self, baseline):
        rate = self.median('gigabits')
        return {'name': self.name, 'value': rate, 'unit': 'Gb/s', 'baseline': baseline,
                'ratio': rate / baseline if baseline else None, 'loss': self.loss(), 'checked': self.checked,
                'huge_pages': self.huge_pages, 'nodes': self.nodes, 'rounds': self.rounds}


def report(cases):
    """Tables; rows for JSON."""
    bridge = next((case for case in cases if case.n == 0), None)
    baseline = bridge.median('gigabits') if bridge else None
    lines = []
    for case in cases:
        rate = case.median('gigabits')
        p50, p99, _ = (statistics.median(each['latency_us'][i] for each in case.rounds) for i in range(3))
        lines.append([case.name, f'{rate:.2f}', f'{min(each["gigabits"] for each in case.rounds):.2f}-'
                      f'{max(each["gigabits"] for each in case.rounds):.2f}',
                      f'{rate / baseline:.2f}' if baseline else '', f'{100 * case.loss():.3f}',
                      f'{p50:.0f}', f'{p99:.0f}',
                      *(f'{case.processor(name):.2f}' for name in ('a', 'b', 'load', 'kme'))])
    pages = 'huge' if all(case.huge_pages for case in cases) else 'normal'
    print_table(f'Two processes over vhost-user, {os.cpu_count()} cores for all of it, {pages} pages: Gb/s '
                f'of frames of {FRAME} bytes at the\nsink, their ratio to plain forwarding, percent lost, '
                'microseconds from end to end, cores used by each process',
                ['case', 'Gb/s', 'rounds', 'ratio', 'lost', 'p50', 'p99', 'a', 'b', 'load', 'kme'], lines)
    for case in cases:
        if case.n and case.name in (CASES[1][0], CASES[2][0]):
            print_nodes(case)
    return [case.row(baseline) for case in cases]


def print_nodes(case):
    lines = []
    for side, nodes in sorted(case.nodes.items()):
        lines.append([f'{side}: all', f'{total(nodes):.0f}', '', ''])
        for node, (cycles, packets, call) in sorted(nodes.items(), key=lambda item: -item[1][0]):
            if packets >= 0.5:
                lines.append([f'{side}: {node}', f'{cycles:.0f}', f'{cycles / packets:.0f}', f'{call:.1f}'])
    print_table(f'{case.name}: cycles of nodes in the best round',
                ['node', 'a frame', 'a packet', 'a call'], lines)
