#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The controller lets shareholders make shares anew: a lost share onto a standby, or where it was lost,
shares renewed, and given to another k and n. Afterwards the object is read from what was made."""

import json
import re
import shutil
import time

from support import SEED, StorageTest, main, stop, wait_for

SIZE = 900_001
DEGRADED = 3


class Ordered(StorageTest):
    """Six holders, of which five have shares of an object; operators' and owners' commands."""

    k, n = 3, 5
    parts = {'standbys': 1}

    def json(self, *arguments, check=True):
        return json.loads(self.network.ssn(*arguments, '--json', check=check).stdout)

    def setUp(self):
        self.addCleanup(self.heal)

    def heal(self):
        dead = [node for node in self.network.holders if node.process.poll() is not None]
        self.start_again(*dead)
        for node in dead:
            self.network.wait_for_connections(node.configuration['peer'], node=node)

    def node(self, name):
        return next(holder for holder in self.network.holders if holder.name == name)

    def holders_of(self, name):
        return [share['node'] for share in self.json('stat', name, check=False)['shares']]

    def carry_out(self, name, *options):
        """What the controller says of the job when it is over."""
        planned = self.json('reshare', 'start', name, *options, '--dry-run')['job']
        started = self.json('reshare', 'start', name, *options)['job']
        self.assertEqual((planned['operation'], planned['takers']), (started['operation'], started['takers']))
        self.network.ssn('reshare', 'watch')
        jobs = self.json('reshare', 'list', '--all')['jobs']
        job = next(each for each in jobs if each['job'] == started['job'])
        self.assertEqual(job['step'], 'done', job)
        return job

    def wait_down(self, node):
        def is_down():
            shares = self.json('stat', self.name, check=False)['shares']
            return not next(each for each in shares if each['node'] == node)['up']
        wait_for(is_down, f'the controller to miss {node}')

    def lose_store(self, name):
        """It comes back without its shares."""
        lost = self.node(name)
        lost.kill()
        shutil.rmtree(lost.store_folder)
        self.start_again(lost)
        self.network.wait_for_connections(lost.configuration['peer'], node=lost)

    def operate(self, *arguments):
        return self.network.owner.run(self.network.programs.ssn, *arguments, '--config',
                                      self.network.operator_file).stdout

    def apply(self, setting, value):
        """As an operator does who edits what is in force."""
        text, count = re.subn(rf'(?m)^{setting} = .*$', f'{setting} = "{value}"',
                              self.operate('config', 'show'))
        self.assertEqual(count, 1, text)
        file = self.path('edited.toml')
        with open(file, 'w', encoding='utf-8') as edited:
            edited.write(text)
        self.operate('config', 'apply', file, '--yes')

    def test_by_itself(self):
        """by what is applied a lost share is repaired and shares are renewed, until it is taken back"""
        path, self.name = self.stored(SIZE)
        before = self.holders_of(self.name)
        version = json.loads(self.operate('config', 'show', '--json'))['number']
        self.addCleanup(self.operate, 'config', 'rollback', str(version), '--yes')
        self.apply('repair_after', '1 s')
        self.lose_store(before[self.random.randrange(5)])
        wait_for(lambda: self.network.ssn('stat', self.name, check=False).returncode == DEGRADED, 'the loss')
        wait_for(lambda: self.network.ssn('stat', self.name, check=False).returncode == 0, 'its repair')
        jobs = [job for job in self.json('reshare', 'list', '--all')['jobs'] if job['name'] == self.name]
        self.assertEqual([(job['operation'], job['step']) for job in jobs], [('repair', 'done')], SEED)
        self.assertEqual(self.holders_of(self.name), before)
        self.apply('refresh_every', '2 s')
        wait_for(lambda: self.json('stat', self.name)['generation'] >= 3, 'two renewals')
        self.operate('config', 'rollback', str(version), '--yes')
        self.network.ssn('reshare', 'watch')
        renewed = self.json('stat', self.name)['generation']
        self.check(path, self.name)
        time.sleep(4)
        self.assertEqual(self.json('stat', self.name)['generation'], renewed)

    def test_repair(self):
        """a holder dies, its share is made again elsewhere; two more die, and the rest restores the object"""
        path, self.name = self.stored(SIZE)
        before = self.holders_of(self.name)
        spare = next(each.name for each in self.network.holders if each.name not in before)
        lost = before[self.random.randrange(5)]
        stop(self.node(lost).process)
        self.wait_down(lost)
        job = self.carry_out(self.name)
        self.assertEqual((job['operation'], job['takers'], job['away']), ('repair', [spare], [lost]), SEED)
        self.assertFalse(job['unverified'])
        after = self.holders_of(self.name)
        self.assertEqual(after, [spare if each == lost else each for each in before])
        for other in self.random.sample([each for each in before if each != lost], 2):
            stop(self.node(other).process)
        self.check(path, self.name)

    def test_lost_store(self):
        """a holder comes back without its store: degraded, repaired there, read without two others"""
        path, self.name = self.stored(SIZE)
        before = self.holders_of(self.name)
        lost = self.node(before[self.random.randrange(5)])
        self.lose_store(lost.name)

        def is_told():
            share = next(each for each in self.json('stat', self.name, check=False)['shares']
                         if each['node'] == lost.name)
            return share['up'] and share['state'] == 'failed' and 'not there any more' in share['trouble']
        wait_for(is_told, f'{lost.name} to tell what it lost')
        self.assertEqual(self.network.ssn('stat', self.name, check=False).returncode, DEGRADED)
        self.assertEqual(self.json('stat', self.name, check=False)['health'], 'degraded')
        summary = next(each for each in self.json('ls')['objects'] if each['name'] == self.name)
        self.assertEqual((summary['health'], summary['shares']), ('degraded', 4))
        self.check(path, self.name)
        job = self.carry_out(self.name)
        self.assertEqual((job['operation'], job['takers']), ('repair', [lost.name]), SEED)
        self.assertEqual(self.network.ssn('stat', self.name).returncode, 0)
        self.assertEqual(self.holders_of(self.name), before)
        for other in self.random.sample([each for each in before if each != lost.name], 2):
            stop(self.node(other).process)
        self.check(path, self.name)

    def test_renewal(self):
        """new shares for the same holders, then for another k and n: each is read, the old ones are gone"""
        path, name = self.stored(SIZE)
        self.wait_generations(self.generations_of_all())
        holders = self.holders_of(name)
        job = self.carry_out(name, '--refresh')
        self.assertEqual(sorted(job['takers']), sorted(holders))
        self.assertFalse(job['unverified'])
        self.check(path, name)
        self.assertEqual(self.json('stat', name)['generation'], 2)
        self.carry_out(name, '--k', '4', '--n', '6')
        about = self.json('stat', name)
        self.assertEqual((about['layout']['k'], about['layout']['n'], about['generation']), (4, 6, 3))
        self.check(path, name)
        self.wait_generations(self.generations_of_all())

    def generations_of_all(self):
        """How many there are in all stores when nothing is left to erase."""
        return sum(each['shares'] for each in self.json('ls')['objects'])


if __name__ == '__main__':
    main(Ordered)
