# SPDX-License-Identifier: BSD-3-Clause
"""scripts/bench network: files into a storage network of real processes and back, beside what plain UDP
carries to as many sinks over links of the same kind at the same bridge."""

import filecmp
import json
import os
import resource
import shutil
import statistics
import subprocess
import tempfile
import time

import network as namespaces
from bench_common import (BenchmarkError, Progress, machine, positive, print_table, program, write_json)
from network import stop
from processes import Programs
from storage_network import StorageNetwork, data_address

SUMMARY = "put and get through a storage network of real processes, beside plain UDP on the same bridge"

# store, k, n, MTU, whether --quick measures it
CASES = tuple((store, k, n, mtu, (store, n, mtu) == ('memory', 5, 1500))
              for store in ('memory', 'rocksdb') for k, n in ((3, 5), (2, 3)) for mtu in (1500, 9000))
CELLS = {1500: 1344, 9000: 8896}
OVERHEAD = 64  # of a packet: header and tag
# (3,5), memory, as ratios to the floor; by MTU.
TARGETS = {'put': {1500: 1.0, 9000: 0.7}, 'get': {1500: 0.8, 9000: 0.6}}
ROCKSDB_TARGET = 0.7
# Each byte of a share is written to RocksDB's log and to a blob file.
WRITINGS = 2
FLOOR_SENDER, FLOOR_SINKS = 100, 101  # last bytes of addresses
FLOOR_PORT = 9300
FLOOR_WINDOW = 128  # datagrams on the way to each sink; halved while some are lost
LOST = 3
PATIENCE = 900


def add_options(parser):
    parser.add_argument('--mebibytes', metavar='N', type=positive,
                        help='size of the file (default 1024; with --quick 64)')
    parser.add_argument('--directory', metavar='DIR', type=os.path.realpath,
                        help='for files, stores and logs (default: the temporary directory)')


def run(options):
    try:
        namespaces.require()
    except namespaces.Unavailable as error:
        print(f'skipped: {error}')
        return 0
    floor = program(options, 'network-bench', 'bench/udp_floor')
    build = floor.parent.parent
    cases = [case for case in CASES if wanted(case, options)]
    if not cases:
        raise BenchmarkError('no case is left; there are: ' + '; '.join(map(name_of, CASES)))
    description = machine(build)
    size = (options.mebibytes or (64 if options.quick else 1024)) << 20
    results, failures = [], []
    progress = Progress()
    for case in cases:
        result = Case(case, size)
        try:
            result.measure(build, str(floor), options, progress)
            results.append(result)
        except (BenchmarkError, RuntimeError, OSError, ValueError, subprocess.SubprocessError) as error:
            failures.append(f'{name_of(case)}: {error}')
    progress.done()
    rows = report(results, size)
    if options.json is not None:
        write_json(options.json, 'network', description, rows)
    print('\nvhost-user: not measured yet')
    for failure in failures:
        print(f'FAILED {failure}')
    return 1 if failures else 0


def name_of(case):
    store, k, n, mtu, _ = case
    return f'({k},{n}) {mtu} {store}'


def wanted(case, options):
    if options.filter is not None:
        return options.filter.search(name_of(case)) is not None
    return case[4] or not options.quick


def cpu_seconds(process):
    """That a process has used so far, all its threads."""
    with open(f'/proc/{process.pid}/stat', encoding='ascii') as file:
        fields = file.read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def children_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Floor:
    """A sender and sinks in namespaces of their own at the data bridge of a storage network."""

    def __init__(self, network, path, datagram):
        self.network, self.path, self.datagram, self.window = network, path, datagram, FLOOR_WINDOW
        self.sender = self.member(FLOOR_SENDER)
        self.sinks = [self.member(FLOOR_SINKS + i) for i in range(network.n)]
        self.addresses = [data_address(FLOOR_SINKS + i) for i in range(network.n)]

    def member(self, number):
        namespace = self.network.namespace(f'floor {number}')
        self.network.join(namespace, number)
        namespace.address('data', f'{data_address(number)}/24')
        return namespace

    def start_sinks(self, count, *arguments):
        started = [sink.start(self.path, *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True) for sink in self.sinks[:count]]
        time.sleep(0.2)  # they have nothing to say before somebody sends
        return started

    def udp(self, count, size):
        """Seconds in which each of `count` sinks got `size` bytes."""
        while True:
            sinks = self.start_sinks(count, 'sink', FLOOR_PORT, size)
            try:
                done = self.sender.run(self.path, 'send', size, self.datagram, self.window, FLOOR_PORT,
                                       *self.addresses[:count], check=False, timeout=PATIENCE)
                if done.returncode == 0:
                    finish(sinks, size)
                    return json.loads(done.stdout)['seconds']
                if done.returncode != LOST or self.window < 64:
                    raise BenchmarkError(f'udp_floor ended with {done.returncode}: {done.stderr}')
                self.window //= 2
            finally:
                for sink in sinks:
                    stop(sink)

    def tcp(self, file, size):
        """Seconds of openssl and a copy to every sink."""
        sinks = self.start_sinks(len(self.sinks), 'tcp-sink', FLOOR_PORT)
        try:
            command = (f'openssl enc -aes-256-ctr -K {"42" * 32} -iv {"24" * 16} -in "$1" | '
                       f'"$2" tcp-send {FLOOR_PORT} {" ".join(self.addresses)}')
            begun = time.monotonic()
            self.sender.run('bash', '-o', 'pipefail', '-c', command, 'floor', file, self.path,
                            timeout=PATIENCE)
            seconds = time.monotonic() - begun
            finish(sinks, size)
            return seconds
        finally:
            for sink in sinks:
                stop(sink)


def finish(sinks, size):
    """That every sink has every byte."""
    for sink in sinks:
        said, trouble = sink.communicate(timeout=60)
        if sink.returncode != 0 or json.loads(said)['bytes'] != size:
            raise BenchmarkError(f'a sink of udp_floor got less than was sent: {said}{trouble}')


class Case:
    """One network and what was measured on it."""

    def __init__(self, case, size):
        self.case, self.size = case, size
        self.store, self.k, self.n, self.mtu, _ = case
        self.name = name_of(case)
        self.seconds = {}  # what -> of each round
        self.cpu = {}      # what -> process -> of each round
        self.disk = None   # bytes a second

    def measure(self, build, floor_path, options, progress):
        rounds = options.rounds or (2 if options.quick else 3)
        with tempfile.TemporaryDirectory(prefix='ssn-network-bench.', dir=options.directory) as folder:
            file, copy = os.path.join(folder, 'file'), os.path.join(folder, 'copy')
            with open(file, 'wb') as out:
                for _ in range(self.size >> 20):
                    out.write(os.urandom(1 << 20))
            self.disk = write_rate(file, copy)
            with StorageNetwork(folder, Programs.built(str(build)), k=self.k, n=self.n, cell=CELLS[self.mtu],
                                mtu=self.mtu, store=self.store) as network:
                for node in network.nodes:
                    node.configuration['port'][0]['mtu'] = self.mtu
                floor = Floor(network, floor_path, CELLS[self.mtu] + OVERHEAD)
                network.start()
                for number in range(1, rounds + 1):
                    progress.show(f'{self.name}: round {number} of {rounds}')
                    self.round(network, floor, file, copy, number)

    def round(self, network, floor, file, copy, number):
        name = f'file-{number}'
        processes = {'ssa': network.ssa.process, 'kme': network.keys.process,
                     'controller': network.controller.process}
        processes |= {f'holder {i}': each.process for i, each in enumerate(network.holders, 1)}
        self.timed('put', processes, lambda: self.stored(network.put(file, name)))
        self.timed('get', processes, lambda: network.get(name, copy))
        if not filecmp.cmp(file, copy, shallow=False):
            raise BenchmarkError('the file that came back is not the one that was stored')
        os.remove(copy)
        network.ssn('rm', name)
        self.timed('floor put', {}, lambda: floor.udp(self.n, self.size))
        self.timed('floor get', {}, lambda: floor.udp(self.k, self.size))
        if shutil.which('openssl'):
            self.timed('openssl and TCP', {}, lambda: floor.tcp(file, self.size))

    @staticmethod
    def stored(result):
        if result['degraded']:
            raise BenchmarkError(f'too few holders have the file: {result}')
        return result

    def timed(self, what, processes, action):
        """Runs it; keeps how long it says that it took, or did, and the CPU seconds of all processes."""
        before = {name: cpu_seconds(process) for name, process in processes.items()}
        children, begun = children_seconds(), time.monotonic()
        result = action()
        seconds = result if isinstance(result, float) else time.monotonic() - begun
        used = {'owner' if processes else 'all': children_seconds() - children}
        used |= {name: cpu_seconds(process) - before[name] for name, process in processes.items()}
        self.seconds.setdefault(what, []).append(seconds)
        for name, value in used.items():
            self.cpu.setdefault(what, {}).setdefault(name, []).append(value)

    def rate(self, what):
        """Bytes a second, the median of all rounds."""
        return self.size / statistics.median(self.seconds[what])

    def ratio(self, what):
        return statistics.median(floor / ours for floor, ours
                                 in zip(self.seconds[f'floor {what}'], self.seconds[what]))

    def cpu_per_gib(self, what):
        return {name: statistics.median(values) / self.size * 2 ** 30
                for name, values in self.cpu[what].items()}

    def rows(self):
        for what in self.seconds:
            baseline = f'floor {what}' if f'floor {what}' in self.seconds else None
            yield {'name': f'{what} {self.name}', 'value': self.rate(what), 'unit': 'B/s',
                   'baseline': baseline and f'{baseline} {self.name}',
                   'ratio': self.ratio(what) if baseline else None,
                   'rounds': [self.size / each for each in self.seconds[what]],
                   'cpu_seconds_per_gib': self.cpu_per_gib(what)}


def write_rate(file, copy):
    """Bytes a second that the disk takes, written one after another and synced."""
    begun = time.monotonic()
    with open(file, 'rb') as source, open(copy, 'wb') as target:
        shutil.copyfileobj(source, target, 1 << 20)
        target.flush()
        os.fsync(target.fileno())
    seconds = time.monotonic() - begun
    os.remove(copy)
    return os.path.getsize(file) / seconds


def verdict(case, what, results):
    """What must hold, and whether it does."""
    if what not in TARGETS:
        return ''
    if case.store == 'memory':
        if (case.k, case.n) != (3, 5):
            return ''
        least, ratio, of = TARGETS[what][case.mtu], case.ratio(what), 'the floor'
    else:
        if what != 'put':
            return ''
        bound = case.disk / (case.n * WRITINGS)
        for other in results:
            if (other.store, other.k, other.n, other.mtu) == ('memory', case.k, case.n, case.mtu):
                bound = min(bound, other.rate('put'))
        least, ratio, of = ROCKSDB_TARGET, case.rate('put') / bound, 'memory or the disk'
    return f'{"ok" if ratio >= least else "SHORT"}: {ratio:.2f} of {of}, >= {least:g}'


def report(results, size):
    if not results:
        return []
    table, processors = [], []
    for case in results:
        for what, values in case.seconds.items():
            rates = [case.size / each / 1e6 for each in values]
            cpu = case.cpu_per_gib(what)
            table.append([f'{case.name} {what}', f'{case.rate(what) / 1e6:.1f}',
                          f'{min(rates):.1f}-{max(rates):.1f}',
                          f'{case.ratio(what):.2f}' if f'floor {what}' in case.seconds else '',
                          f'{sum(cpu.values()):.1f}', verdict(case, what, results)])
            if what in TARGETS:
                holders = [value for name, value in cpu.items() if name.startswith('holder')]
                processors.append([f'{case.name} {what}', *(f'{cpu[name]:.1f}' for name in (
                    'owner', 'ssa', 'kme', 'controller')), f'{statistics.mean(holders):.1f}'])
    print_table(f'A file of {size >> 20} MiB: user data, as ratios to plain UDP to n (put) or k (get) sinks',
                ['what', 'MB/s', 'rounds', 'to floor', 'CPU s/GiB', ''], table)
    print_table('CPU seconds per GiB of user data', ['what', 'owner', 'ssa', 'kme', 'controller', 'a holder'],
                processors)
    return [row for case in results for row in case.rows()]
