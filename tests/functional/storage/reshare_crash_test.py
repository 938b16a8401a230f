#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Kills the processes of a storage network while the controller has shares made anew and owners work:

    reshare_crash_test.py BUILD [--seed N] [--seconds N] [--layout K,N] [--keep FOLDER]

Shares are repaired, moved, renewed and given to another k and n, nodes are replaced, jobs cancelled, one
after the other. Whoever gives, takes, helps or loses a share in a job that runs gets SIGKILL, so do SSA and
controller, storm after storm; after each one owners must get something done, and a job must come to its end.
Then everything runs again: no job stays, what is degraded is repaired, everything acknowledged is read, each
store keeps the shares that layouts give it and no others, and no pad that was seen between the nodes served
twice (wire_oracle.py).
"""

import collections
import json
import os
import random
import subprocess
import sys
import threading
import time

import crash_loop
from crash_loop import HEAL_SECONDS, Storm, Violation
from network import stop
from processes import wait_for
from support import HERE
from wire_oracle import CONTRIBUTION, MASK_ORDER, WireOracle, read_pcap
from wire_oracle import check_oracle as check_wire_oracle

CAPTURE = os.path.join(HERE, '..', '..', '..', 'scripts', 'lib', 'capture.py')
FRAMES = 400_000  # that are recorded
SCHEMES = ((2, 3), (2, 4), (3, 4), (3, 5))
AT_A_TIME = 4  # jobs
OVER_SECONDS = 120  # until no job is left once nobody is killed any more
RATE = '300 kB'  # a second and giver: a job lasts for a while


class Operator(threading.Thread):
    """Has shares made anew, whoever dies."""

    operations = {'repair': 30, 'exchange': 12, 'refresh': 25, 'redistribute': 20, 'replace': 4, 'cancel': 5}

    def __init__(self, network, seed):
        super().__init__(name='operator')
        self.network, self.chance = network, random.Random(f'{seed}-operator')
        self.over = threading.Event()
        self.asked, self.violations = collections.Counter(), []
        self.jobs = {}  # as they were when they were listed last
        self.replaced = None  # a node whose shares go to others
        self.ended = 0

    def run(self):
        while not self.over.is_set() and not self.violations:
            try:
                self.step()
            except Violation as violation:
                self.violations.append(f'operator: {violation}')
            self.over.wait(0.1)

    def ask(self, *arguments):
        """The exit code, and what was said: None where it did not work."""
        done = self.network.owner.run(self.network.programs.ssn, *arguments, '--json', '--config',
                                      self.network.operator_file, check=False,
                                      timeout=crash_loop.COMMAND_SECONDS)
        if done.returncode not in (0, 1, 3, 4, 5, 6):  # 1: the answer was lost
            raise Violation(f'ssn {" ".join(arguments)} ended with {done.returncode}: {done.stderr}')
        good = done.returncode == 0 and done.stdout
        return done.returncode, json.loads(done.stdout) if good else None

    def running(self):
        return [job for job in self.jobs.values() if job['step'] not in ('done', 'undone')]

    def look(self):
        """False: nobody answers."""
        _, said = self.ask('reshare', 'list', '--all')
        if said is None:
            return False
        now = {job['job']: job for job in said['jobs']}
        gone = [job for job in self.jobs if job not in now]
        if gone:
            raise Violation(f'jobs are forgotten: {gone}')
        back = [job for job, was in self.jobs.items() if was['step'] in ('done', 'undone', 'erase')
                and now[job]['step'] != was['step'] and now[job]['step'] != 'done']
        if back:
            raise Violation(f'jobs that were committed or over run again: {[now[job] for job in back]}')
        self.jobs = now
        self.ended = len(now) - len(self.running())
        return True

    def step(self):
        if not self.look():
            return
        what = self.chance.choices(list(self.operations), list(self.operations.values()))[0]
        running = self.running()
        if what == 'cancel':
            if running:
                self.note(what, *self.ask('reshare', 'cancel', self.chance.choice(running)['job']))
        elif what == 'replace':
            self.replace()
        elif len(running) < AT_A_TIME:
            self.begin(what)

    def note(self, what, code, _=None):
        self.asked[what if code == 0 else f'{what} refused'] += 1

    def begin(self, what):
        _, said = self.ask('ls', '--owner', 'owner')
        names = [each['name'] for each in said['objects'] if each['size']] if said else []
        if not names:
            return
        name = self.chance.choice(names)
        options = []
        if what == 'refresh':
            options = ['--refresh']
        elif what == 'redistribute':
            k, n = self.chance.choice(SCHEMES)
            options = ['--k', str(k), '--n', str(n)]
        elif what == 'exchange' or self.chance.random() < 0.5:
            _, about = self.ask('stat', name, '--owner', 'owner')
            if about is None:
                return
            options = ['--from', self.chance.choice(about['shares'])['node']]
            options += ['--exchange'] if what == 'exchange' else []
        self.note(what, *self.ask('reshare', 'start', name, '--owner', 'owner', *options))

    def replace(self):
        """One node; the next time it is in service again, if all its shares are gone."""
        if self.replaced is None:
            node = self.chance.choice(self.network.holders).name
            code, _ = self.ask('shareholder', 'replace', node, '--yes')
            self.note('replace', code)
            if code in (0, 1):
                self.replaced = node
        else:
            self.end_replacement()

    def end_replacement(self):
        """True: nothing is replaced any more."""
        if self.replaced is None:
            return True
        cancelled, _ = self.ask('reshare', 'cancel', '--replacement', self.replaced)
        if cancelled not in (0, 4):
            return False
        if self.ask('node', 'set', self.replaced, 'in-service')[0] != 0:
            return False
        self.asked['replaced' if cancelled == 4 else 'replaced in part'] += 1
        self.replaced = None
        return True


class ReshareCrashLoop(crash_loop.CrashLoop):
    """Five holders, of which an object has three at first."""

    storm = Storm(kills=7, every=0.45, calm=0.5, a_minute=60,
                  weights={'taker': 22, 'away': 12, 'helper': 30, 'holder': 8, 'ssa': 7, 'controller': 18,
                           'keys': 3})
    owners_count, owner_weights = 2, (25, 67, 8)
    parts = {'standbys': 2, 'device': 'net_af_packet0'}  # a packet in each frame, for the oracle

    def __init__(self, options, folder):
        super().__init__(options, folder)
        self.network.controller.configuration['reshare'] = {'jobs': AT_A_TIME, 'rate': RATE}
        self.operator = Operator(self.network, options.seed)
        self.workers = [*self.owners, self.operator]
        self.chance = random.Random(f'{options.seed}-roles')
        self.struck = collections.Counter()
        self.killer.who = self.who
        self.recorder = None
        self.path_of_capture = os.path.join(folder, 'data.pcap')

    def who(self, name):
        """Those who have this part in a job that runs, in some order; otherwise all holders."""
        if name not in ('taker', 'away', 'helper'):
            return [name]
        all_of_them = [f'h{i}' for i in range(1, len(self.network.holders) + 1)]
        jobs = [job for job in self.operator.running() if job['round']]
        found = set()
        for job in jobs:
            part = {each: set(job[each]) for each in ('away', 'takers')}
            found |= {'taker': part['takers'], 'away': part['away']}.get(
                name, {f'sae-{each}' for each in all_of_them} - part['takers'] - part['away'])
        found = sorted(each.removeprefix('sae-') for each in found)
        if found:
            self.struck[name] += 1
        return self.chance.sample(found, len(found)) if found else \
            self.chance.sample(all_of_them, len(all_of_them))

    def run(self):
        bridges = self.network.bridges
        bridges.run('ip', 'link', 'set', 'dev', 'data', 'promisc', 'on')  # or it shows nothing of what passes
        self.recorder = bridges.start(sys.executable, CAPTURE, 'data', str(FRAMES), self.path_of_capture,
                                      stdout=subprocess.PIPE, text=True)
        self.recorder.stdout.readline()
        return super().run()

    def done(self):
        return super().done() | {'jobs ended': self.operator.ended}

    def report(self, seconds):
        super().report(seconds)
        print('asked: ' + ', '.join(f'{what} {count}' for what, count in sorted(self.operator.asked.items()))
              + '; struck in a job: ' + ', '.join(f'{what} {count}'
                                                  for what, count in sorted(self.struck.items())))

    def heal(self):
        super().heal()
        for holder in self.network.holders:
            self.network.wait_for_connections(holder.configuration['peer'], HEAL_SECONDS, holder)
        wait_for(self.operator.end_replacement, 'the replacement to end', HEAL_SECONDS)
        begin = time.monotonic()
        wait_for(lambda: self.operator.look() and not self.operator.running(),
                 lambda: f'no job to be left; these are: {self.operator.running()}', OVER_SECONDS)
        print(f'{time.monotonic() - begin:.1f} s until no job was left')
        self.repair()
        self.tell_of_jobs()

    def repair(self):
        """What writes left degraded."""
        def bad():
            listed = self.operator.ask('ls', '--owner', 'owner')[1]
            return [each['name'] for each in listed['objects'] if each['health'] != 'good']

        def repaired():
            left = bad()
            for name in left:
                self.operator.ask('reshare', 'start', name, '--owner', 'owner')
            time.sleep(0.2 if left else 0)
            self.operator.look()
            return not left and not self.operator.running()
        wait_for(repaired, lambda: 'objects to be repaired: ' + ', '.join(
            f'{name} {self.network.stat(name)["shares"]}' for name in bad()), HEAL_SECONDS)

    def tell_of_jobs(self):
        jobs = self.operator.jobs.values()
        ends = collections.Counter((job['operation'], job['step']) for job in jobs)
        whys = collections.Counter(job['trouble'] for job in jobs if job['step'] == 'undone')
        print(f'{len(jobs)} jobs: ' + ', '.join(f'{" ".join(what)} {count}'
                                                for what, count in sorted(ends.items()))
              + f'; {sum(job["round"] for job in jobs)} rounds')
        for why, count in whys.most_common():
            print(f'  {count} undone: {why}')
        if not any(job['step'] == 'done' and job['operation'] != 'exchange' for job in jobs):
            self.violations.append('nothing was made anew')

    def check_stores(self, listed):
        """Each has the shares that layouts name it for, and no others."""
        expected = collections.Counter()
        for name in [name for name in self.state.names() if self.state.value(name) is not None]:
            about = self.network.stat(name)
            if about['health'] != 'good':
                self.violations.append(f'{name} is {about["health"]}: {about["shares"]}')
            if about['size']:
                expected.update(share['node'] for share in about['shares'])

        def held():
            return {holder.name: holder.counters('store.').get('store.generations', 0)
                    for holder in self.network.holders}
        wait_for(lambda: held() == {holder.name: expected[holder.name] for holder in self.network.holders},
                 lambda: f'stores to have {dict(expected)} shares; they have {held()}', HEAL_SECONDS)
        self.check_wire()

    def check_wire(self):
        stop(self.recorder)
        packets = list(read_pcap(self.path_of_capture))
        check_wire_oracle(packets)
        oracle = WireOracle(packets)
        try:
            oracle.check()
        except AssertionError as problem:
            raise Violation(str(problem)) from problem
        kinds = collections.Counter(each.kind for each in packets)
        print(f'{len(packets)} packets of {len({each.stream for each in packets})} streams, '
              f'{kinds[CONTRIBUTION]} contributions, {kinds[MASK_ORDER]} masks, {oracle.repeated_ranges} '
              'sent again: no pad, mask or number served twice')


if __name__ == '__main__':
    crash_loop.main(ReshareCrashLoop, __doc__, ('2,3',), 15)
