#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Kills the processes of a storage network, at random and all the time, while owners put, get and remove:

    crash_test.py BUILD [--seed N] [--seconds N] [--layout K,N] [--keep FOLDER] [--store rocksdb|memory]

Shareholders, SSA, key managers, controller and the owners' commands get SIGKILL, in storms of more than 200
a minute, in the middle of whatever they do, starting included; after each storm owners must get something
done. What was acknowledged reads back, what was not is there as a whole or not at all, nothing wrong is
given, nothing that was removed comes back (expected.py). In the end everything runs again, everything is
read, and no store keeps what no object needs. The seed gives the schedule of kills and operations again; what
they meet is for the machine to decide. With a store in memory this must fail.
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

import support
from expected import UNKNOWN, ExpectedState, Violation, check_oracle
from processes import Programs, last_lines, wait_for
from storage_network import StorageNetwork

KILLS_A_MINUTE = 200
# Storms of kills, and calms in which owners must get something done.
STORM_KILLS, KILL_EVERY, CALM_SECONDS = 16, 0.12, 0.7
PROGRESS_SECONDS = 40  # within which the network is of use again after a storm
NAMES = 5  # of an owner
OWNERS = 3
OTHERS_MOST = 0.2  # of all cores
COMMAND_SECONDS = 60  # what takes longer hangs
HEAL_SECONDS = 60
WEIGHTS = {'holder': 76, 'ssa': 7, 'controller': 10, 'keys': 5, 'all': 2}


def storms(seed, holders):
    """Storms without end, by the seed alone. A storm: (when, victim's name, how long it is down)."""
    chance = random.Random(f'{seed}-kills')
    names = [f'h{i}' for i in range(1, holders + 1)]
    while True:
        up_at = collections.Counter()
        kills, now = [], 0
        while len(kills) < STORM_KILLS:
            kind = chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
            victims = {'holder': [chance.choice(names)], 'ssa': ['s'],
                       'all': [*names, 's', 'controller', 'keys']}.get(kind, [kind])
            for name in victims:
                down = chance.choice((0, 0, 0.05, chance.uniform(0, 0.6))) if name[0] == 'h' else 0
                # A few are killed while they start.
                if now >= up_at[name] + (0.02 if chance.random() < 0.2 else 0.4):
                    kills.append((now, name, down))
                    up_at[name] = now + down
            now += chance.expovariate(1 / KILL_EVERY)
        yield kills


class Killer:
    """Carries out the schedule."""

    def __init__(self, network):
        self.processes = {'controller': network.controller, 'keys': network.keys, 's': network.ssa,
                          **{f'h{i}': each for i, each in enumerate(network.holders, 1)}}
        self.kills = collections.Counter()
        self.ended = []  # who ended by himself
        self.stormy = 0.0  # seconds

    def kill(self, name):
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
            self.kill(name)
            heapq.heappush(to_start, (at + down, name))
        self.start_those_due(to_start, begin, float('inf'))
        self.stormy += time.monotonic() - begin

    def start_those_due(self, to_start, begin, until):
        while to_start and to_start[0][0] <= until:
            when, name = heapq.heappop(to_start)
            time.sleep(max(0, begin + when - time.monotonic()))
            self.processes[name].start(wait=False)


class Owner(threading.Thread):
    """Puts, gets and removes objects of its own names, one command after the other; some are killed."""

    def __init__(self, network, state, folder, seed, number):
        super().__init__(name=f'owner-{number}')
        self.network, self.state, self.folder, self.number = network, state, folder, number
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
        what = chance.choices(('put', 'get', 'rm'), (45, 45, 10))[0]
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
    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        k, n = map(int, options.layout.split(','))
        self.network = StorageNetwork(folder, Programs.built(support.BUILD), k=k, n=n, store=options.store)
        policy = self.network.controller.configuration['policy']
        policy |= {'lease': '3 s', 'report': '200 ms'}
        self.network.ssa.configuration['ssa'] |= {'idle': '3 s', 'owners': 16}
        for node in self.network.nodes:
            node.configuration['eal']['memory'] = '64 MiB'
        self.state = ExpectedState(os.path.join(folder, 'expected.jsonl'))
        self.killer = Killer(self.network)
        self.owners = [Owner(self.network, self.state, folder, options.seed, i) for i in range(OWNERS)]
        self.violations = []
        self.meter = None

    def run(self):
        self.network.start()
        self.meter = Meter()
        for owner in self.owners:
            owner.first()
        for owner in self.owners:
            owner.start()
        begin = time.monotonic()
        for kills in storms(self.options.seed, len(self.network.holders)):
            self.killer.storm(kills)
            if not self.calm() or time.monotonic() - begin > self.options.seconds:
                break
        seconds = time.monotonic() - begin
        for owner in self.owners:
            owner.over.set()
        for owner in self.owners:
            owner.join()
            self.violations += owner.violations
        self.violations += self.killer.ended
        self.report(seconds)
        if not self.violations:
            self.heal()
            self.read_back()
        return self.violations

    def calm(self):
        """Until owners got something done; false where something is wrong."""
        time.sleep(CALM_SECONDS)
        acknowledged, seen = self.state.acknowledged, self.state.seen
        end = time.monotonic() + PROGRESS_SECONDS
        while self.state.acknowledged == acknowledged or self.state.seen == seen:
            if time.monotonic() > end:
                self.violations.append(f"owners got nothing done for {PROGRESS_SECONDS} s")
            if self.violations or any(owner.violations for owner in self.owners):
                return False
            time.sleep(0.05)
        return True

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
        if rate < KILLS_A_MINUTE and (others > OTHERS_MOST or support.is_sanitized()):
            print(f'others had {others:.0%} of this machine, sanitizers: {support.is_sanitized()}; '
                  'how many kills it makes is not judged')
        elif rate < KILLS_A_MINUTE:
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
        most = listed * self.network.n
        wait_for(lambda: self.generations() <= most,
                 lambda: f'the holders to erase; they have {self.generations()} generations of {listed} '
                         'objects', HEAL_SECONDS)
        print(f'healed: {listed} objects read back, {self.generations()} shares in the stores')

    def settled(self, reader, name):
        reader.get(name, b'')
        return self.state.value(name) is not UNKNOWN

    def generations(self):
        return sum(node.counters('store.').get('store.generations', 0) for node in self.network.holders)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('build')
    parser.add_argument('--seed', type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument('--seconds', type=float, default=15)
    parser.add_argument('--layout', choices=('2,3', '3,5'), default='2,3')
    parser.add_argument('--store', choices=('rocksdb', 'memory'), default='rocksdb')
    parser.add_argument('--keep', help='where logs and the expected state go if something is wrong')
    options = parser.parse_args()
    support.require('[--seed N] [--seconds N]')
    print(f'seed {options.seed}', flush=True)
    with tempfile.TemporaryDirectory(prefix='crash-') as folder:
        check_oracle(folder)
        loop = CrashLoop(options, folder)
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
        print(f'to repeat: crash_test.py {options.build} --seed {options.seed} --seconds {options.seconds:g} '
              f'--layout {options.layout}')
    sys.exit(1 if violations else 0)


if __name__ == '__main__':
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    main()
