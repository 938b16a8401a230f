# SPDX-License-Identifier: BSD-3-Clause
"""What tests have in common that kill the processes of a storage network, at random and all the time, while
owners put, get and remove: the schedule, those who kill and those who work, and what must be true of it all.

The seed gives the schedule of kills and operations again; what they meet is for the machine to decide.
"""

import argparse
import collections
import hashlib
import heapq
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import typing

import support
from expected import UNKNOWN, ExpectedState, Violation, check_oracle
from processes import Programs, last_lines, wait_for
from storage_network import StorageNetwork

COMMAND_SECONDS = 60  # what takes longer hangs
PROGRESS_SECONDS = 40  # within which the network is of use again after a storm
HEAL_SECONDS = 60
NAMES = 5  # of an owner
OTHERS_MOST = 0.2  # of all cores


class Storm(typing.NamedTuple):
    """How kills come: `kills` of them, one every so many seconds on average, whom how often; then a calm of
    so many seconds in which something must be done."""
    kills: int
    every: float
    calm: float
    a_minute: int  # at least
    weights: dict


def storms(seed, holders, kind_of_storm):
    """Storms without end, by the seed alone. A storm: (when, victim's name, how long it is down)."""
    chance = random.Random(f'{seed}-kills')
    names = [f'h{i}' for i in range(1, holders + 1)]
    weights = kind_of_storm.weights
    while True:
        up_at = collections.Counter()
        kills, now = [], 0
        while len(kills) < kind_of_storm.kills:
            kind = chance.choices(list(weights), list(weights.values()))[0]
            victims = {'holder': [chance.choice(names)], 'ssa': ['s'],
                       'all': [*names, 's', 'controller', 'keys']}.get(kind, [kind])
            for name in victims:
                short = name in ('s', 'controller', 'keys')
                down = 0 if short else chance.choice((0, 0, 0.05, chance.uniform(0, 0.6)))
                # A few are killed while they start.
                if now >= up_at[name] + (0.02 if chance.random() < 0.2 else 0.4):
                    kills.append((now, name, down))
                    up_at[name] = now + down
            now += chance.expovariate(1 / kind_of_storm.every)
        yield kills


class Killer:
    """Carries out the schedule."""

    def __init__(self, network):
        self.processes = {'controller': network.controller, 'keys': network.keys, 's': network.ssa,
                          **{f'h{i}': each for i, each in enumerate(network.holders, 1)}}
        self.kills = collections.Counter()
        self.ended = []  # who ended by himself
        self.stormy = 0.0  # seconds
        self.down = set()  # who is to be started again
        self.who = lambda name: [name]  # whom a name of the schedule may mean now

    def victim(self, name):
        """Who runs of those that are meant; None where nobody does."""
        return next((each for each in self.who(name) if each not in self.down), None)

    def kill(self, name):
        self.down.add(name)
        what = self.processes[name]
        code = what.process.poll()
        if code is not None:
            self.ended.append(f'{name} ended by itself with {code}; it said:\n{last_lines(what.log)}')
        what.kill()
        self.kills[name] += 1

    def storm(self, kills):
        """Afterwards everything runs, or starts."""
        begin = time.monotonic()
        to_start = []
        for at, name, down in kills:
            self.start_those_due(to_start, begin, at)
            time.sleep(max(0, begin + at - time.monotonic()))
            victim = self.victim(name)
            if victim is not None:
                self.kill(victim)
                heapq.heappush(to_start, (at + down, victim))
        self.start_those_due(to_start, begin, float('inf'))
        self.stormy += time.monotonic() - begin

    def start_those_due(self, to_start, begin, until):
        while to_start and to_start[0][0] <= until:
            when, name = heapq.heappop(to_start)
            time.sleep(max(0, begin + when - time.monotonic()))
            self.processes[name].start(wait=False)
            self.down.remove(name)


class Owner(threading.Thread):
    """Puts, gets and removes objects of its own names, one command after the other; some are killed."""

    def __init__(self, network, state, folder, seed, number, weights):
        super().__init__(name=f'owner-{number}')
        self.network, self.state, self.weights = network, state, weights
        self.chance = random.Random(f'{seed}-owner-{number}')
        self.over = threading.Event()
        self.done = collections.Counter()
        self.violations, self.kills = [], 0
        self.file, self.copy = (os.path.join(folder, f'{self.name}.{each}') for each in ('data', 'copy'))

    def run(self):
        while not self.over.is_set() and not self.violations:
            self.step()

    def first(self):
        """Something to read, before the first kill."""
        for i in range(NAMES):
            self.put(f'{self.name}/{i}', random.Random(f'{self.name}{i}').randbytes(3000 * i), None)

    def step(self):
        chance = self.chance
        name = f'{self.name}/{chance.randrange(NAMES)}'
        kill_after = chance.uniform(0, 0.5) if chance.random() < 0.35 else None
        what = chance.choices(('put', 'get', 'rm'), self.weights)[0]
        size = chance.choice((0, 1, 1344, chance.randrange(100_000), chance.randrange(400_000)))
        content = random.Random(chance.random()).randbytes(size) if what == 'put' else b''
        try:
            getattr(self, what)(name, content, kill_after)
        except Violation as violation:
            self.violations.append(f'{self.name}: {violation}')

    def command(self, kill_after, *arguments):
        """Exit code, None where it was killed; and what it said."""
        process = self.network.owner.start(self.network.programs.ssn, *arguments, '--config',
                                           self.network.owner_file, stdout=subprocess.DEVNULL,
                                           stderr=subprocess.PIPE, text=True)
        try:
            _, said = process.communicate(timeout=COMMAND_SECONDS if kill_after is None else kill_after)
        except subprocess.TimeoutExpired as hangs:
            process.kill()
            said = process.communicate()[1]
            if kill_after is None:
                raise Violation(f'ssn {" ".join(arguments)} does not end; it said: {said}') from hangs
            self.kills += 1
            self.done[f'{arguments[0]} killed'] += 1
            return None, said
        self.network.owner.forget(process)
        return process.returncode, said

    def put(self, name, content, kill_after):
        with open(self.file, 'wb') as file:
            file.write(content)
        self.state.begin(name, hashlib.sha256(content).hexdigest())
        self.change(name, self.command(kill_after, 'put', self.file, name, '--patience', '2'), 'put')

    def rm(self, name, _, kill_after):
        self.state.begin(name, None)
        code, said = self.command(kill_after, 'rm', name, '--yes')
        if code == 4:  # there was nothing, or an earlier try of this command has done it
            self.state.give_up(name)
            self.state.saw(name, None)
            self.done['rm of nothing'] += 1
        else:
            self.change(name, (code, said), 'rm')

    def change(self, name, answer, what):
        code, said = answer
        if code in (0, 3):
            self.state.acknowledge(name)
            self.done[what if code == 0 else f'{what} degraded'] += 1
        elif code in (None, 1, 5):  # 1: "the answer to the last step was lost"
            self.state.give_up(name)
            self.done[f'{what} given up'] += code is not None
        else:
            raise Violation(f'{what} {name} ended with {code}: {said}')

    def get(self, name, _, kill_after=None):
        """The exit code."""
        for each in (self.copy, self.copy + '.was'):
            if os.path.exists(each):
                os.remove(each)
        code, said = self.command(kill_after, 'get', name, self.copy, '--patience', '2')
        if os.path.exists(self.copy):  # also by a command that was killed
            with open(self.copy, 'rb') as file:
                self.state.saw(name, hashlib.sha256(file.read()).hexdigest())
            self.done['get'] += 1
        elif code == 0:
            raise Violation(f'get {name} says that it is done, and there is no file')
        elif code == 4:
            self.state.saw(name, None)
            self.done['get of nothing'] += 1
        elif code in (None, 5, 8):
            self.done['get refused'] += code is not None
        else:
            raise Violation(f'get {name} ended with {code}: {said}')
        return code


class Meter:
    """How much of the machine others have."""

    def __init__(self):
        self.begin, self.busy, self.ours = time.monotonic(), *self.seconds()

    @staticmethod
    def seconds():
        with open('/proc/stat', encoding='ascii') as file:
            user, nice, system, _, _, irq, soft = map(int, file.readline().split()[1:8])
        ours = [resource.getrusage(each) for each in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return ((user + nice + system + irq + soft) / os.sysconf('SC_CLK_TCK'),
                sum(each.ru_utime + each.ru_stime for each in ours))

    def others(self):
        busy, ours = self.seconds()
        return (busy - self.busy - (ours - self.ours)) / (time.monotonic() - self.begin) / os.cpu_count()


class CrashLoop:
    """All of it. Others may add to what is done, and to what must be true in the end."""

    storm = Storm(kills=16, every=0.12, calm=0.7, a_minute=200,
                  weights={'holder': 76, 'ssa': 7, 'controller': 10, 'keys': 5, 'all': 2})
    owners_count, owner_weights = 3, (45, 45, 10)  # put, get, rm
    parts = {}  # more arguments of StorageNetwork

    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        k, n = map(int, options.layout.split(','))
        self.network = StorageNetwork(folder, Programs.built(support.BUILD), k=k, n=n, store=options.store,
                                      **self.parts)
        policy = self.network.controller.configuration['policy']
        policy |= {'lease': '3 s', 'report': '200 ms'}
        self.network.ssa.configuration['ssa'] |= {'idle': '3 s', 'owners': 16}
        for node in self.network.nodes:
            node.configuration['eal']['memory'] = '64 MiB'
        self.state = ExpectedState(os.path.join(folder, 'expected.jsonl'))
        self.killer = Killer(self.network)
        self.owners = [Owner(self.network, self.state, folder, options.seed, i, self.owner_weights)
                       for i in range(self.owners_count)]
        self.workers = self.owners  # whoever has violations, and must get something done in a calm
        self.violations = []
        self.meter = None

    def run(self):
        self.network.start()
        self.meter = Meter()
        for owner in self.owners:
            owner.first()
        for worker in self.workers:
            worker.start()
        begin = time.monotonic()
        for kills in storms(self.options.seed, len(self.network.holders), self.storm):
            self.killer.storm(kills)
            if not self.calm() or time.monotonic() - begin > self.options.seconds:
                break
        seconds = time.monotonic() - begin
        for worker in self.workers:
            worker.over.set()
        for worker in self.workers:
            worker.join()
            self.violations += worker.violations
        self.violations += self.killer.ended
        self.report(seconds)
        if not self.violations:
            self.heal()
            self.read_back()
        return self.violations

    def calm(self):
        """Until something of each kind was done; false where something is wrong."""
        time.sleep(self.storm.calm)
        before = self.done()
        end = time.monotonic() + PROGRESS_SECONDS
        while idle := [what for what, count in self.done().items() if count == before[what]]:
            if time.monotonic() > end:
                self.violations.append(f'for {PROGRESS_SECONDS} s there was nothing: {", ".join(idle)}')
            if self.violations or any(worker.violations for worker in self.workers):
                return False
            time.sleep(0.05)
        return True

    def done(self):
        """How much was."""
        return {'acknowledged': self.state.acknowledged, 'seen': self.state.seen}

    def report(self, seconds):
        kills = self.killer.kills + collections.Counter(
            {'commands': sum(owner.kills for owner in self.owners)})
        rate = self.killer.kills.total() / self.killer.stormy * 60
        print(f'{kills.total()} kills in {seconds:.1f} s, {kills.total() / seconds * 60:.0f} a minute, '
              f'{rate:.0f} in storms: '
              + ', '.join(f'{name} {count}' for name, count in sorted(kills.items())))
        print('owners: ' + ', '.join(f'{what} {count}' for what, count in sorted(
            sum((owner.done for owner in self.owners), collections.Counter()).items()) if count))
        print(f'{self.state.acknowledged} acknowledged, {self.state.seen} seen, '
              f'{self.state.came_to_be} came to be without an answer', flush=True)
        others = self.meter.others()
        if rate < self.storm.a_minute and (others > OTHERS_MOST or support.is_sanitized()):
            print(f'others had {others:.0%} of this machine, sanitizers: {support.is_sanitized()}; '
                  'how many kills it makes is not judged')
        elif rate < self.storm.a_minute:
            self.violations.append(f'{rate:.0f} kills a minute are too few')

    def heal(self):
        """Nobody is killed any more: everything must come back by itself."""
        for name in ('keys', 'controller', *(each for each in self.killer.processes if len(each) <= 2)):
            self.killer.processes[name].wait_ready()
        self.network.wait_for_connections(self.network.ssa.configuration['peer'], HEAL_SECONDS)

    def read_back(self):
        reader = self.owners[0]
        listed = 0
        for name in self.state.names():
            wait_for(lambda name=name: reader.get(name, b'') in (0, 4),
                     lambda name=name: f'{name} to be read or not there', HEAL_SECONDS)
            before = self.state.value(name)
            wait_for(lambda name=name: self.settled(reader, name), f'{name} to be settled', HEAL_SECONDS)
            if before is not UNKNOWN and before != self.state.value(name):
                self.violations.append(f'{name} is not the same twice')
            listed += self.state.value(name) is not None
        said = self.network.ssn('ls').stdout.splitlines()
        if len([each for each in said if ' owner-' in each]) != listed:
            self.violations.append(f'{listed} objects are there, ls lists {said}')
        self.check_stores(listed)
        print(f'healed: {listed} objects read back, {self.generations()} shares in the stores')

    def check_stores(self, listed):
        """They keep nothing that no object needs."""
        most = listed * self.network.n
        wait_for(lambda: self.generations() <= most,
                 lambda: f'the holders to erase; they have {self.generations()} generations of {listed} '
                         'objects', HEAL_SECONDS)

    def settled(self, reader, name):
        reader.get(name, b'')
        return self.state.value(name) is not UNKNOWN

    def generations(self):
        return sum(node.counters('store.').get('store.generations', 0) for node in self.network.holders)


def main(loop_class, description, layouts, default_seconds):
    parser = argparse.ArgumentParser(description=description,
                                     formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('build')
    parser.add_argument('--seed', type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument('--seconds', type=float, default=default_seconds)
    parser.add_argument('--layout', choices=layouts, default=layouts[0])
    parser.add_argument('--store', choices=('rocksdb', 'memory'), default='rocksdb')
    parser.add_argument('--keep', help='where logs and the expected state go if something is wrong')
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    support.require('[--seed N] [--seconds N]')
    print(f'seed {options.seed}', flush=True)
    with tempfile.TemporaryDirectory(prefix='crash-') as folder:
        check_oracle(folder)
        loop = loop_class(options, folder)
        with loop.network:
            try:
                violations = loop.run()
            except (Violation, TimeoutError, RuntimeError) as problem:
                violations = [str(problem)]
            if violations and options.keep:
                shutil.copytree(folder, options.keep, dirs_exist_ok=True,
                                ignore=shutil.ignore_patterns('*.sock', 'run-*'))
    for each in violations:
        print(f'VIOLATION {each}')
    if violations:
        print(f'to repeat: {os.path.basename(sys.argv[0])} {options.build} --seed {options.seed} '
              f'--seconds {options.seconds:g} --layout {options.layout}')
    sys.exit(1 if violations else 0)
