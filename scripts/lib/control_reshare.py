# SPDX-License-Identifier: BSD-3-Clause
"""For bench_control.py: what making shares anew costs in a storage network of real processes, beside putting
the same file there: time, bytes on the wire and bytes of pad."""

import json
import os
import statistics
import tempfile
import time

from bench_common import BenchmarkError, print_table
from processes import Programs, wait_for
from storage_network import StorageNetwork

K, N, HOLDERS = 3, 5, 6
TO_K, TO_N = 4, 6
GIVERS = K  # of a refresh: t + 1
PATIENCE = 600
# What ssn is asked for, and what it should cost, in bytes of the file: on the wire, of pad.
OPERATIONS = {
    'exchange': (('--exchange', '--from', '{away}', '--to', '{spare}'), 1, 1),
    'repair': (('--from', '{away}', '--to', '{spare}'), K, K * (K + 1) / 2),
    'refresh': (('--refresh',), GIVERS * (N - 1), GIVERS * (N - 1)),
    # The givers are takers too and send themselves nothing.
    'redistribute': (('--k', str(TO_K), '--n', str(TO_N)), K * TO_N - K, K * TO_N - K),
}
PUT = 'put'
REPAIR_TARGET = 0.8  # of put's rate


class Meter:
    """What all nodes together have sent, and spent of pads, since it was made."""

    def __init__(self, network):
        self.network, self.before = network, self.now(network)

    @staticmethod
    def now(network):
        wire = pads = 0
        for node in network.nodes:
            said = json.loads(node.namespace.run('ip', '-j', '-s', 'link', 'show', 'dev', 'data').stdout)
            wire += said[0]['stats64']['tx']['bytes']
            pads += sum(value for name, value in node.counters('keys.').items()
                        if name.endswith(('.pads_out.used', '.pads_out.kept')))
        return wire, pads

    def spent(self):
        return tuple(now - then for now, then in zip(self.now(self.network), self.before))


class Reshare:
    """All rounds."""

    def __init__(self, build, size):
        self.programs, self.size = Programs.built(str(build)), size
        self.samples = {}  # what -> (seconds, wire, pads) of each round

    def measure(self, folder, show):
        """One round, with a network of its own; each operation of an object of its own."""
        with tempfile.TemporaryDirectory(prefix='reshare.', dir=folder) as place:
            file = os.path.join(place, 'file')
            with open(file, 'wb') as out:
                out.write(os.urandom(self.size))
            show('starting a storage network')
            with StorageNetwork(place, self.programs, k=K, n=N, store='memory',
                                standbys=HOLDERS - N) as network:
                network.controller.configuration['policy'] |= {'lease': '3 s', 'report': '200 ms'}
                network.start()
                for operation in OPERATIONS:
                    show(f'{PUT} for {operation}')
                    self.note(network, PUT, lambda name=operation: self.put(network, file, name))
                    show(operation)
                    self.note(network, operation, lambda name=operation: self.carry_out(network, name))
                    network.ssn('rm', operation, '--yes')

    def note(self, network, what, action):
        meter = Meter(network)
        seconds = action()
        self.samples.setdefault(what, []).append((seconds, *meter.spent()))

    @staticmethod
    def put(network, file, name):
        begun = time.monotonic()
        said = network.put(file, name)
        if said['degraded']:
            raise BenchmarkError(f'too few holders have the file: {said}')
        return time.monotonic() - begun

    @staticmethod
    def carry_out(network, name):
        """How long the job took, says the controller: from its start until old shares are erased."""
        def ask(*arguments):
            return json.loads(network.ssn(*arguments, '--json', check=False).stdout)
        has = [share['node'] for share in ask('stat', name)['shares']]
        spare = next(node.name for node in network.holders if node.name not in has)
        options = [each.format(away=has[0], spare=spare) for each in OPERATIONS[name][0]]
        # The owner names no nodes: these are the operator's commands.
        who = ['--connect', network.controller.configuration['controller']['listen'], '--controller',
               'controller', '--certificate', network.keys.path('operator.crt'), '--key',
               network.keys.path('operator.key'), '--ca', network.keys.path('ca.crt')]
        def tell(*arguments):
            done = network.owner.run(network.programs.ssn, *arguments, '--json', *who, check=False,
                                     timeout=60)
            if done.returncode != 0:
                raise BenchmarkError(f'ssn {" ".join(arguments)}: {done.stderr}')
            return json.loads(done.stdout)
        job = tell('reshare', 'start', name, '--owner', 'owner', *options)['job']['job']
        over = {}
        def is_over():
            found = next(each for each in tell('reshare', 'list', '--all')['jobs'] if each['job'] == job)
            over.update(found)
            return found['step'] in ('done', 'undone')
        wait_for(is_over, f'{name} to be done', PATIENCE)
        if over['step'] != 'done' or over['unverified']:
            raise BenchmarkError(f'{name} was not done: {over}')
        return (over['ended_ms'] - over['started_ms']) / 1000

    def rate(self, what):
        return self.size / statistics.median(sample[0] for sample in self.samples[what])

    def of_file(self, what, at):
        """Bytes for each byte of the file."""
        return statistics.median(sample[at] for sample in self.samples[what]) / self.size

    def report(self):
        rows, lines = [], []
        for what in self.samples:
            formula = OPERATIONS[what][1:] if what in OPERATIONS else (None, None)
            row = {'name': f'{what} ({K},{N})', 'value': self.rate(what), 'unit': 'B/s',
                   'baseline': PUT if what != PUT else None,
                   'ratio': self.rate(what) / self.rate(PUT) if what != PUT else None,
                   'wire_per_byte': self.of_file(what, 1), 'wire_formula': formula[0],
                   'pads_per_byte': self.of_file(what, 2), 'pads_formula': formula[1],
                   'rounds': [self.size / sample[0] for sample in self.samples[what]]}
            rows.append(row)
            target = '' if what != 'repair' else \
                f'{"ok" if row["ratio"] >= REPAIR_TARGET else "SHORT"}: >= {REPAIR_TARGET}'
            lines.append([what, f"{row['value'] / 1e6:.1f}", f"{row['ratio']:.2f}" if row['ratio'] else '',
                          f"{row['wire_per_byte']:.2f}", f'{formula[0]:g}' if formula[0] else '',
                          f"{row['pads_per_byte']:.2f}", f'{formula[1]:g}' if formula[1] else '', target])
        print_table(f'Shares made anew, of a file of {self.size >> 20} MiB, ({K},{N}), redistributed to '
                    f'({TO_K},{TO_N}): user data, and bytes for each of its bytes',
                    ['what', 'MB/s', 'to put', 'on the wire', 'formula', 'of pad', 'formula', ''], lines)
        return rows
