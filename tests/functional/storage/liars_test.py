#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Shareholders that lie: real processes whose store and part in re-sharing answer wrongly on order
(lying_holder.cpp), with the right keys and tags. Whoever lies in what is read, gives wrong contributions or
deals wrongly, or says it has what it has not, changes nothing that an owner is given, and is told."""

import json
import mmap
import os
import struct
import sys

from support import BUILD, SEED, StorageTest, main, stop, wait_for

LIAR = os.path.join(BUILD, 'tests', 'functional', 'lying-holder')
LIES = ('reads', 'contributions', 'dealings', 'holdings')  # as lying_holder.cpp has them
SIZE = 900_001
CONTRADICTION = 7


class Liars(StorageTest):
    """Six holders, of which five have shares of an object and any three restore it; each can lie."""

    k, n = 3, 5
    parts = {'standbys': 1}

    @classmethod
    def configure(cls, network):
        cls.orders = {}
        for holder in network.holders:
            path = os.path.join(cls.folder.name, f'{holder.name}.orders')
            with open(path, 'wb') as file:
                file.write(bytes(4096))
            with open(path, 'r+b') as file:
                cls.orders[holder.name] = mmap.mmap(file.fileno(), 4096)
            holder.programs = holder.programs._replace(dataplane=LIAR)
            holder.environment |= {'LYING_HOLDER_ORDERS': path}

    def setUp(self):
        self.addCleanup(self.heal)

    def heal(self):
        for holder in self.network.holders:
            self.order(holder.name)
        dead = [node for node in self.network.holders if node.process.poll() is not None]
        self.start_again(*dead)
        for node in dead:
            self.network.wait_for_connections(node.configuration['peer'], node=node)

    def order(self, name, *lies):
        """It tells these lies, and no others."""
        self.orders[name][:4] = bytes(each in lies for each in LIES)

    def lies_told(self, name, lie):
        return struct.unpack('=4I', self.orders[name][8:24])[LIES.index(lie)]

    def json(self, *arguments, check=True):
        return json.loads(self.network.ssn(*arguments, '--json', check=check).stdout)

    def operate(self, *arguments):
        return json.loads(self.network.owner.run(
            self.network.programs.ssn, *arguments, '--json', '--config', self.network.operator_file).stdout)

    def node(self, name):
        return next(holder for holder in self.network.holders if holder.name == name)

    def holders_of(self, name):
        return [share['node'] for share in self.json('stat', name, check=False)['shares']]

    def alarms(self, kind, **about):
        return [alarm for alarm in self.operate('alarms')['alarms']
                if alarm['type'] == kind and all(alarm[key] == value for key, value in about.items())]

    def reshare(self, name, *options):
        """The job when it is over, however it ends."""
        started = self.json('reshare', 'start', name, *options)['job']
        wait_for(lambda: self.job(started['job'])['step'] in ('done', 'undone'),
                 lambda: f'the job to end; {self.job(started["job"])}')
        return self.job(started['job'])

    def job(self, number):
        return next(each for each in self.json('reshare', 'list', '--all')['jobs'] if each['job'] == number)

    def test_reads(self):
        """one who lies in what is read changes nothing and is named; with one more away it cannot be told who
        lies, and nothing is given; its share is made again without it"""
        path, name = self.stored(SIZE)
        liar, other = self.random.sample(self.holders_of(name), 2)
        self.order(liar, 'reads')
        # An SSA asks those that answer fastest: at times the liar is not among them.
        for _ in range(30):
            self.check(path, name)
            if self.lies_told(liar, 'reads') > 0:
                break
        self.assertGreater(self.lies_told(liar, 'reads'), 0, SEED)
        self.assertEqual(self.network.ssn('verify', name, '--with', path).returncode, 0)
        wait_for(lambda: self.alarms('holder_lies', resource=liar), 'the liar to be named')
        self.assertEqual([alarm['resource'] for alarm in self.alarms('holder_lies')], [liar], SEED)
        self.assertGreater(self.network.ssa.counters('ssa.')['ssa.cells_corrected'], 0)
        away = self.node(other)
        stop(away.process)
        self.wait_down(name, other)
        done = wait_for(lambda: self.refused(name), 'the liar to be asked')
        self.assertEqual(done.returncode, CONTRADICTION, done.stderr)
        self.assertGreater(self.network.ssa.counters('ssa.')['ssa.cells_contradict'], 0)
        self.start_again(away)
        self.network.wait_for_connections(away.configuration['peer'], node=away)
        # What an operator does who reads the alarm: takes the liar away, and has its share made again.
        stop(self.node(liar).process)
        self.wait_down(name, liar)
        self.assertEqual(self.reshare(name)['step'], 'done')
        self.assertNotIn(liar, self.holders_of(name))
        self.check(path, name)

    def refused(self, name):
        """What `ssn get` says when it gives nothing; None where it was given, and then the right bytes."""
        copy = self.path('not-given')
        done = self.network.ssn('get', name, copy, '--force', check=False)
        if done.returncode != 0:
            self.assertFalse(os.path.exists(copy))
            return done
        os.remove(copy)
        return None

    def wait_down(self, name, node):
        def is_down():
            shares = self.json('stat', name, check=False)['shares']
            return not next(each for each in shares if each['node'] == node)['up']
        wait_for(is_down, f'the controller to miss {node}')

    def test_repair(self):
        """a wrong contribution is caught by the masked check: the job is undone and says why, nothing is
        committed; without the lie shares are renewed"""
        path, name = self.stored(SIZE)
        before = self.holders_of(name)
        lost = self.node(self.random.choice(before))
        stop(lost.process)
        self.wait_down(name, lost.name)
        liar = next(each for each in before if each != lost.name)
        self.order(liar, 'contributions')
        job = self.reshare(name)
        self.assertEqual((job['operation'], job['step']), ('repair', 'undone'), (job, SEED))
        self.assertGreater(self.lies_told(liar, 'contributions'), 0)
        self.assertIn('masked check failed', job['trouble'])
        self.assertEqual(self.holders_of(name), before)
        self.check(path, name)
        self.heal()
        # The spare had a share of this generation, and gets none of it again.
        self.assertEqual(self.reshare(name, '--refresh')['step'], 'done')
        self.check(path, name)

    def test_renewal(self):
        """who deals wrongly gets nothing committed; the object keeps its generation and is read"""
        path, name = self.stored(SIZE)
        for options in (['--refresh'], ['--k', '4', '--n', '6']):
            liar = self.random.choice(self.holders_of(name)[:self.k])  # those that are asked to give
            self.order(liar, 'dealings')
            told = self.lies_told(liar, 'dealings')
            job = self.reshare(name, *options)
            self.assertGreater(self.lies_told(liar, 'dealings'), told)
            self.assertEqual(job['step'], 'undone', (job, liar, SEED))
            self.assertIn('masked check failed', job['trouble'])
            self.assertEqual(self.json('stat', name)['generation'], 1)
            self.check(path, name)
            self.order(liar)

    def test_holdings(self):
        """one who says it stored what it threw away costs one share: with one more away the object is whole;
        re-sharing says who has not what it said"""
        liar = self.random.choice(self.network.holders).name
        self.order(liar, 'holdings')
        for _ in range(20):  # one of six has no share of an object
            path, name = self.stored(SIZE)
            if liar in self.holders_of(name):
                break
        self.assertGreater(self.lies_told(liar, 'holdings'), 0)
        self.check(path, name)
        job = self.json('reshare', 'start', name, '--refresh')['job']['job']
        wait_for(lambda: self.job(job)['trouble'] == f'{liar}: not-there',
                 lambda: f'the liar to be named; {self.job(job)}')
        wait_for(lambda: self.job(job)['step'] == 'undone', lambda: f'the job to be undone; {self.job(job)}')
        away = next(each for each in self.holders_of(name) if each != liar)
        stop(self.node(away).process)
        self.wait_down(name, away)
        self.check(path, name)


if __name__ == '__main__':
    if BUILD and not os.access(LIAR, os.X_OK):
        print(f'usage: {sys.argv[0]} BUILD_DIRECTORY [SEED]; missing: {LIAR}', file=sys.stderr)
        sys.exit(2)
    main(Liars)
