# SPDX-License-Identifier: BSD-3-Clause
"""scripts/bench control: a controller process with few and with many objects, asked over mutual TLS; and what
making shares anew costs in a storage network of real processes, beside putting the same file there."""

import json
import os
import statistics
import subprocess
import tempfile
import time

import network as namespaces
from bench_common import (BenchmarkError, Progress, machine, positive, print_table, program, write_json)
from control_reshare import Reshare

SUMMARY = "a controller process with 1,000 and 100,000 objects; making shares anew beside put"
PARTS = ('catalogue', 'reshare')

HOLDERS = 15
FLOOR = 'empty call'
SMALL = '1,000 objects'
DISK = 'disk sync'
SYNCS_OF_A_WRITE = 3  # open, sealed, commit
PATIENCE = 300
# What must hold: (case, least ratio, of what). 'size': its rate with 1,000 objects and nothing open.
TARGETS = (('open read', 0.7, 'size'), ('open write', 0.7, 'size'), ('stat', 0.7, 'size'),
           ('list', 0.7, 'size'), ('explain', 0.7, 'size'), ('explain write', 0.7, 'size'),
           ('open read', 0.3, FLOOR))
CONFIGURATION = '''[controller]
name = "controller"
listen = "127.0.0.1:0"
certificate = "{folder}/controller.crt"
key = "{folder}/controller.key"
ca = "{folder}/ca.crt"
database = "{database}"
'''


def add_options(parser):
    parser.add_argument('--part', choices=PARTS, help='only this one')
    parser.add_argument('--objects', metavar='N', type=int, default=100_000,
                        help='that the large catalogue has (default 100000)')
    parser.add_argument('--mebibytes', metavar='N', type=positive,
                        help='size of the file whose shares are made anew (default 64; with --quick 16)')
    parser.add_argument('--clients', metavar='N', type=positive, default=8,
                        help='that ask at a time, after one alone (default 8)')
    parser.add_argument('--seconds', metavar='S', type=float, default=0,
                        help='for each case and round (default 1; with --quick 0.4)')
    parser.add_argument('--directory', metavar='DIR', type=os.path.realpath,
                        help='for the databases (default: the temporary directory)')


class Catalogue:
    """A controller process and what it was asked."""

    def __init__(self, name, objects, writes):
        self.name, self.objects, self.writes = name, objects, writes
        self.rounds = {}  # (case, clients) -> answers
        self.process, self.address, self.folder = None, '', ''
        self.start_seconds = self.fill_seconds = 0
        self.file_bytes = 0
        self.memory = {}  # when -> bytes

    def fill(self, bench, folder):
        self.folder = os.path.join(folder, self.name.replace(' ', '-').replace(',', ''))
        os.mkdir(self.folder)
        begun = time.monotonic()
        subprocess.run([bench, 'fill', os.path.join(self.folder, 'db'), str(self.objects), str(self.writes),
                        str(HOLDERS)], check=True, timeout=PATIENCE)
        self.fill_seconds = time.monotonic() - begun
        self.file_bytes = os.path.getsize(os.path.join(self.folder, 'db'))

    def start(self, controller, keys):
        path, ready = (os.path.join(self.folder, name) for name in ('controller.toml', 'ready'))
        with open(path, 'w', encoding='ascii') as file:
            file.write(CONFIGURATION.format(folder=keys, database=os.path.join(self.folder, 'db')))
        begun = time.monotonic()
        with open(os.path.join(self.folder, 'log'), 'wb') as log:
            self.process = subprocess.Popen([controller, '--config', path, '--ready-file', ready], stderr=log)
        while not os.path.exists(ready):
            if self.process.poll() is not None or time.monotonic() - begun > PATIENCE:
                with open(os.path.join(self.folder, 'log'), encoding='utf-8') as log:
                    raise BenchmarkError(f'the controller does not start: {log.read()}')
            time.sleep(0.005)
        self.start_seconds = time.monotonic() - begun
        with open(ready, encoding='ascii') as file:
            self.address = json.load(file)['listen']
        self.look('started')

    def look(self, when):
        """How much memory it has."""
        with open(f'/proc/{self.process.pid}/status', encoding='ascii') as file:
            kib = {line.split(':')[0]: line.split()[1] for line in file if line.startswith('Vm')}
        self.memory[when] = int(kib['VmRSS']) << 10
        self.memory['most'] = int(kib['VmHWM']) << 10

    def ask(self, bench, keys, seconds, clients, cases):
        done = subprocess.run([bench, 'ask', self.address, keys, str(self.objects), str(HOLDERS),
                               str(seconds), str(clients), *cases], capture_output=True, text=True,
                              check=False, timeout=PATIENCE)
        if done.returncode != 0:
            raise BenchmarkError(f'{self.name}: {done.stderr.strip()}')
        for case in json.loads(done.stdout)['cases']:
            self.rounds.setdefault((case['name'], clients), []).append(case)
        self.look('asked')

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait(60)
            self.process = None

    def rates(self, case, clients):
        return [each['count'] / each['seconds'] for each in self.rounds[case, clients]]

    def median(self, case, clients, key):
        return statistics.median(each[key] for each in self.rounds[case, clients])


def syncs_a_second(folder, seconds):
    """Of 4 KiB each, appended: what makes one change durable at least."""
    path = os.path.join(folder, 'synced')
    block, count = os.urandom(4096), 0
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        begun = time.monotonic()
        while time.monotonic() - begun < seconds:
            os.write(descriptor, block)
            os.fdatasync(descriptor)
            count += 1
        return count / (time.monotonic() - begun)
    finally:
        os.close(descriptor)
        os.remove(path)


def run(options):
    bench = program(options, 'control-bench', 'bench/control_bench')
    build, rows = bench.parent.parent, []
    description = machine(build)
    if options.part != 'reshare':
        rows += measure_catalogues(options, str(bench), build)
    if options.part != 'catalogue':
        rows += measure_reshare(options, build)
    if options.json is not None:
        write_json(options.json, 'control', description, rows)
    return 0


def wanted_cases(options, bench):
    """With what they are compared to; nothing: all."""
    if options.filter is None:
        return []
    names = subprocess.run([bench, 'cases'], capture_output=True, text=True, check=True).stdout.splitlines()
    chosen = [name for name in names if options.filter.search(name)]
    if not chosen:
        raise BenchmarkError('no case is left; there are: ' + ', '.join(names))
    return [FLOOR, *(name for name in chosen if name != FLOOR)]


def measure_catalogues(options, bench, build):
    controller, ssn = str(build / 'control/controller/ssn-controller'), str(build / 'control/cli/ssn')
    rounds = options.rounds or (2 if options.quick else 5)
    seconds = options.seconds or (0.4 if options.quick else 1)
    catalogues = [Catalogue(SMALL, 1000, 0), Catalogue(f'{options.objects:,} objects', options.objects, 0),
                  Catalogue(f'{SMALL}, 10,000 writes open', 1000, 10_000)]
    clients, cases = sorted({1, options.clients}), wanted_cases(options, bench)
    syncs, progress = [], Progress()
    with tempfile.TemporaryDirectory(prefix='ssn-control-bench.', dir=options.directory) as folder:
        keys = os.path.join(folder, 'n')
        sites = ','.join(chr(ord('a') + i) for i in range(HOLDERS + 1))
        subprocess.run([ssn, 'kme', 'init', '-q', '--out', keys, '--sites', sites, '--port', '0'], check=True)
        try:
            for each in catalogues:
                progress.show(f'filling a catalogue: {each.name}')
                each.fill(bench, folder)
                each.start(controller, keys)
            for number in range(1, rounds + 1):
                syncs.append(syncs_a_second(folder, seconds))
                for count in clients:
                    for each in catalogues:
                        progress.show(f'round {number} of {rounds}: {each.name}, {count} at a time')
                        each.ask(bench, keys, seconds, count, cases)
        finally:
            for each in catalogues:
                each.stop()
    progress.done()
    return report(catalogues, clients, syncs)


def measure_reshare(options, build):
    try:
        namespaces.require()
    except namespaces.Unavailable as error:
        print(f'making shares anew is skipped: {error}')
        return []
    program(options, 'network-bench', 'bench/udp_floor')  # with all that a storage network needs
    rounds = options.rounds or (1 if options.quick else 3)
    reshare = Reshare(build, (options.mebibytes or (16 if options.quick else 64)) << 20)
    progress = Progress()
    with tempfile.TemporaryDirectory(prefix='ssn-control-bench.', dir=options.directory) as folder:
        for number in range(1, rounds + 1):
            reshare.measure(folder, lambda what, at=number: progress.show(f'round {at} of {rounds}: {what}'))
    progress.done()
    return reshare.report()


def paired(ours, theirs):
    """Median of the rounds' ratios."""
    return statistics.median(a / b for a, b in zip(ours, theirs))


def baseline_of(each, case, clients, syncs):
    """What a case is compared to within its catalogue: a name, and the rates."""
    if case in (FLOOR, 'commit'):
        return None, None
    if case == 'open write' and clients == 1:
        return DISK, [rate / SYNCS_OF_A_WRITE for rate in syncs]
    return FLOOR, each.rates(FLOOR, clients)


def report(catalogues, clients, syncs):
    small, rows, lines, verdicts = catalogues[0], [], [], []
    rows.append({'name': DISK, 'value': statistics.median(syncs), 'unit': '1/s', 'baseline': None,
                 'ratio': None})
    for each in catalogues:
        for case, count in sorted(each.rounds, key=lambda key: (key[1], list(each.rounds).index(key))):
            if count not in clients:
                continue
            rates, (baseline, theirs) = each.rates(case, count), baseline_of(each, case, count, syncs)
            row = {'name': f'{case}, {count} at a time, {each.name}',
                   'value': statistics.median(rates), 'unit': '1/s', 'baseline': baseline,
                   'ratio': paired(rates, theirs) if baseline else None,
                   'to_small': paired(rates, small.rates(case, count)) if each is not small else None,
                   'p50_us': each.median(case, count, 'p50_us'), 'p99_us': each.median(case, count, 'p99_us'),
                   'rounds': rates}
            rows.append(row)
            lines.append([row['name'], f"{row['value']:.0f}", f"{row['p50_us']:.0f}", f"{row['p99_us']:.0f}",
                          f"{row['ratio']:.2f} of {baseline}" if baseline else '',
                          f"{row['to_small']:.2f}" if row['to_small'] else ''])
            verdicts += judge(row, case)
    print_table('Asked over mutual TLS: 1000 objects a page of list; a write is open, sealed and commit',
                ['what', '1/s', 'p50 us', 'p99 us', 'ratio', 'to 1,000'], lines)
    print_table('A process and its database', ['what', 'file MB', 'start s', 'MB then', 'MB asked'],
                [[each.name, f'{each.file_bytes / 1e6:.1f}', f'{each.start_seconds:.2f}',
                  f"{each.memory['started'] / 1e6:.1f}", f"{each.memory['asked'] / 1e6:.1f}"]
                 for each in catalogues])
    for each in catalogues:
        rows += [{'name': f'file, {each.name}', 'value': each.file_bytes, 'unit': 'B',
                  'baseline': None, 'ratio': None},
                 {'name': f'start, {each.name}', 'value': each.start_seconds, 'unit': 's',
                  'baseline': None, 'ratio': None},
                 {'name': f'memory, {each.name}', 'value': each.memory['asked'], 'unit': 'B',
                  'baseline': None, 'ratio': None, 'started': each.memory['started'],
                  'most': each.memory['most']}]
    print_table('Targets', ['what', 'measured', 'target', ''], verdicts)
    return rows


def judge(row, case):
    for what, least, of in TARGETS:
        ratio = row['to_small'] if of == 'size' else row['ratio']
        if what == case and ratio and (of == 'size' or row['baseline'] == of):
            yield [f"{row['name']}, to {'1,000' if of == 'size' else of}", f'{ratio:.2f}',
                   f'>= {least:g}', 'ok' if ratio >= least else 'SHORT']
