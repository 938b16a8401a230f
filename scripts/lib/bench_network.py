# SPDX-License-Identifier: BSD-3-Clause
"""scripts/bench network: files into a storage network of real processes and back, beside what plain UDP
carries to as many sinks over links of the same kind at the same bridge; and the same where the SSA shares
memory with each shareholder (vhost-user), beside our own figure over veth."""

import filecmp
import json
import os
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
import typing

import network as namespaces
from bench_common import (BenchmarkError, Progress, machine, positive, print_table, program, write_json)
from network import stop
from processes import Programs
from storage_network import LINKS, StorageNetwork, data_address

SUMMARY = "put and get through a storage network of real processes, beside plain UDP on the same bridge"



class Setting(typing.NamedTuple):
    """What a case is measured with."""
    store: str
    k: int
    n: int
    mtu: int
    links: str = LINKS[0]

    def __str__(self):
        return f'({self.k},{self.n}) {self.mtu} {self.store} {self.links}'

    @property
    def is_quick(self):
        return (self.store, self.n, self.mtu) == ('memory', 5, 1500)


CASES = tuple(Setting(store, k, n, mtu, links) for store in ('memory', 'rocksdb') for k, n in ((3, 5), (2, 3))
              for mtu in (1500, 9000) for links in LINKS)
CELLS = {1500: 1344, 9000: 8896}
OVERHEAD = 64  # of a packet: header and tag
# (3,5), memory, as ratios to the floor; by MTU.
TARGETS = {'put': {1500: 1.0, 9000: 0.7}, 'get': {1500: 0.8, 9000: 0.6}}
ROCKSDB_TARGET = 0.7
VHOST_TARGET = 1.4  # to veth
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
    parser.add_argument('--device', metavar='DEVICE', default='packet_socket',
                        help='what data planes drive their interfaces with: packet_socket (default), or '
                             'net_af_packet0 of DPDK, which takes one datagram at a time')
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
    cases = [Case(setting, options.device) for setting in CASES if wanted(setting, options)]
    if not cases:
        raise BenchmarkError('no case is left; there are: ' + '; '.join(map(str, CASES)))
    description = machine(build)
    size = (options.mebibytes or (64 if options.quick else 1024)) << 20
    interrupted = False
    try:
        measure(cases, size, build, str(floor), options)
    except KeyboardInterrupt:
        interrupted = True
    rows = report([case for case in cases if case.seconds], size)
    for case in cases:
        if case.failure:
            print(f'FAILED {case.failure}')
    if interrupted:
        raise KeyboardInterrupt
    if options.json is not None:
        write_json(options.json, 'network', description, rows)
    return 1 if any(case.failure for case in cases) else 0


def measure(cases, size, build, floor, options):
    """All cases in turns, so that what is compared was measured on the same afternoon; each round has a
    network of its own. A case that failed is not tried again."""
    rounds = options.rounds or (2 if options.quick else 3)
    progress = Progress()
    with tempfile.TemporaryDirectory(prefix='ssn-network-bench.', dir=options.directory) as folder:
        file = os.path.join(folder, 'file')
        with open(file, 'wb') as out:
            for _ in range(size >> 20):
                out.write(os.urandom(1 << 20))
        for number in range(1, rounds + 1):
            for place, case in enumerate(cases, 1):
                where = f'round {number} of {rounds}, case {place} of {len(cases)}, {case.name}'
                if case.failure:
                    continue
                begun = time.monotonic()
                try:
                    case.measure(folder, file, build, floor,
                                 lambda what, at=where: progress.show(f'{at}: {what}'))
                    progress.say(f'{where}: {case.last_round()} ({time.monotonic() - begun:.0f} s)')
                except (BenchmarkError, RuntimeError, OSError, ValueError,
                        subprocess.SubprocessError) as error:
                    case.failure = f'{case.name}, round {number}: {error}'
                    progress.say(f'{where}: FAILED')
    progress.done()


def wanted(setting, options):
    if options.filter is not None:
        return options.filter.search(str(setting)) is not None
    return setting.is_quick or not options.quick


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
        namespace = self.network.namespace(f'floor-{number}')
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
    """What was measured with one setting."""

    def __init__(self, setting, device):
        self.setting, self.name, self.device, self.size = setting, str(setting), device, 0
        self.failure = ''  # the first
        self.seconds = {}  # what -> of each round
        self.cpu = {}      # what -> process -> of each round
        self.disk = []     # bytes a second

    def measure(self, folder, file, build, floor_path, show):
        """One round."""
        setting, self.size = self.setting, os.path.getsize(file)
        with tempfile.TemporaryDirectory(prefix='case.', dir=folder) as place:
            copy = os.path.join(place, 'copy')
            if setting.store == 'rocksdb':
                show('disk')
                self.disk.append(write_rate(file, copy))
            show('network')
            with StorageNetwork(place, Programs.built(str(build)), k=setting.k, n=setting.n,
                                cell=CELLS[setting.mtu], mtu=setting.mtu, store=setting.store,
                                links=setting.links, device=self.device) as network:
                # Over shared memory the baseline is our own figure over veth.
                floor = Floor(network, floor_path, CELLS[setting.mtu] + OVERHEAD) \
                    if setting.links == LINKS[0] else None
                network.start()
                round_of = {}  # only whole rounds count
                self.transfers(network, file, copy, show, round_of)
                if floor is not None:
                    self.floors(floor, file, show, round_of)
        for what, (seconds, used) in round_of.items():
            self.seconds.setdefault(what, []).append(seconds)
            for name, value in used.items():
                self.cpu.setdefault(what, {}).setdefault(name, []).append(value)

    def transfers(self, network, file, copy, show, round_of):
        processes = {'ssa': network.ssa.process, 'kme': network.keys.process,
                     'controller': network.controller.process}
        processes |= {f'holder {i}': each.process for i, each in enumerate(network.holders, 1)}
        show('put')
        round_of['put'] = self.timed(processes, lambda: self.stored(network.put(file, 'file')))
        show('get')
        round_of['get'] = self.timed(processes, lambda: network.get('file', copy))
        if not filecmp.cmp(file, copy, shallow=False):
            raise BenchmarkError('the file that came back is not the one that was stored')
        os.remove(copy)
        network.ssn('rm', 'file', '--yes')

    def floors(self, floor, file, show, round_of):
        for what, sinks in (('put', self.setting.n), ('get', self.setting.k)):
            show(f'floor of {what}')
            round_of[f'floor {what}'] = self.timed({}, lambda count=sinks: floor.udp(count, self.size))
        if shutil.which('openssl'):
            show('openssl and TCP')
            round_of['openssl and TCP'] = self.timed({}, lambda: floor.tcp(file, self.size))

    @staticmethod
    def stored(result):
        if result['degraded']:
            raise BenchmarkError(f'too few holders have the file: {result}')
        return result

    @staticmethod
    def timed(processes, action):
        """Runs it: how long it says that it took, or did, and the CPU seconds of all processes."""
        before = {name: cpu_seconds(process) for name, process in processes.items()}
        children, begun = children_seconds(), time.monotonic()
        result = action()
        seconds = result if isinstance(result, float) else time.monotonic() - begun
        used = {'owner' if processes else 'all': children_seconds() - children}
        used |= {name: cpu_seconds(process) - before[name] for name, process in processes.items()}
        return seconds, used

    def last_round(self):
        return ', '.join(f'{what} {self.size / seconds[-1] / 1e6:.1f}' for what, seconds
                         in self.seconds.items()) + ' MB/s'

    def rate(self, what):
        """Bytes a second, the median of all rounds."""
        return self.size / statistics.median(self.seconds[what])

    def ratio(self, what, baseline, other=None):
        """To `baseline` of another case, or this one, measured in the same rounds."""
        return statistics.median(base / ours for base, ours
                                 in zip((other or self).seconds[baseline], self.seconds[what]))

    def baseline(self, what, results):
        """What it is compared to: its name, where it was measured, and that case; or nothing."""
        if f'floor {what}' in self.seconds:
            return f'floor {what}', self
        veth = self.setting._replace(links=LINKS[0])
        other = next((each for each in results if each is not self and each.setting == veth), None)
        return (what, other) if other is not None and what in other.seconds else None

    def cpu_per_gib(self, what):
        return {name: statistics.median(values) / self.size * 2 ** 30
                for name, values in self.cpu[what].items()}

    def rows(self, results):
        for what in self.seconds:
            baseline = self.baseline(what, results)
            yield {'name': f'{what} {self.name}', 'value': self.rate(what), 'unit': 'B/s',
                   'baseline': baseline and f'{baseline[0]} {baseline[1].name}',
                   'ratio': baseline and self.ratio(what, *baseline),
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
    store, k, n, mtu, links = case.setting
    baseline = case.baseline(what, results)
    if what not in TARGETS or (store, k, n) != ('memory', 3, 5) and (store, what, links) != (
            'rocksdb', 'put', LINKS[0]):
        return ''
    if store == 'rocksdb':
        bound = statistics.median(case.disk) / (n * WRITINGS)
        for other in results:
            if other.setting == case.setting._replace(store='memory'):
                bound = min(bound, other.rate('put'))
        least, ratio, of = ROCKSDB_TARGET, case.rate('put') / bound, 'memory or the disk'
    elif baseline is None:
        return f'no figure over {LINKS[0]} in this run'
    else:
        least = TARGETS[what][mtu] if links == LINKS[0] else VHOST_TARGET
        ratio, of = case.ratio(what, *baseline), 'the floor' if links == LINKS[0] else LINKS[0]
    return f'{"ok" if ratio >= least else "SHORT"}: {ratio:.2f} of {of}, >= {least:g}'


def report(results, size):
    if not results:
        return []
    table, processors = [], []
    for case in results:
        for what, values in case.seconds.items():
            rates = [case.size / each / 1e6 for each in values]
            cpu, baseline = case.cpu_per_gib(what), case.baseline(what, results)
            table.append([f'{case.name} {what}', f'{case.rate(what) / 1e6:.1f}',
                          f'{min(rates):.1f}-{max(rates):.1f}',
                          f'{case.ratio(what, *baseline):.2f}' if baseline else '',
                          f'{sum(cpu.values()):.1f}', verdict(case, what, results)])
            if what in TARGETS:
                holders = [value for name, value in cpu.items() if name.startswith('holder')]
                processors.append([f'{case.name} {what}', *(f'{cpu[name]:.1f}' for name in (
                    'owner', 'ssa', 'kme', 'controller')), f'{statistics.mean(holders):.1f}'])
    print_table(f'A file of {size >> 20} MiB: user data; veth as ratios to plain UDP to n (put) or k (get) '
                'sinks, vhost-user to veth',
                ['what', 'MB/s', 'rounds', 'ratio', 'CPU s/GiB', ''], table)
    print_table('CPU seconds per GiB of user data', ['what', 'owner', 'ssa', 'kme', 'controller', 'a holder'],
                processors)
    return [row for case in results for row in case.rows(results)]
