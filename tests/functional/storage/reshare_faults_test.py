#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What befalls a network while the controller has shares made anew: the controller stands still, sites are
cut off, the taker's disk is full, the controller's clock jumps. Each ends in the same state: the job is done,
the object is whole, and stores have what the layout says and nothing else."""

import json
import os
import signal
import subprocess
import sys
import time

from bad_bridge import BadBridge, drop
from support import StorageTest, main, require, wait_for

SIZE = 600_001
RATE = '400 kB'  # a second and giver: a job takes some seconds
SMALL = 24  # MiB
FAKETIME = '/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1'
OVER_SECONDS = 90


class ReshareFaults(StorageTest):
    """Six holders, of which five have shares of an object; the last one, a standby, has a small disk."""

    k, n = 3, 5
    parts = {'standbys': 1}

    @classmethod
    def configure(cls, network):
        network.controller.configuration['reshare'] = {'rate': RATE}
        cls.standby = network.holders[-1]
        cls.standby.configuration['shareholder']['reserve'] = '4 MiB'
        os.mkdir(cls.standby.store_folder)
        subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={SMALL}m', 'small', cls.standby.store_folder],
                       check=True)
        cls.addClassCleanup(subprocess.run, ['umount', '-l', cls.standby.store_folder], check=True)
        cls.clock = os.path.join(cls.folder.name, 'clock')
        cls.jump(0)
        if os.path.exists(FAKETIME):
            network.controller.environment |= {
                'LD_PRELOAD': FAKETIME, 'FAKETIME_TIMESTAMP_FILE': cls.clock, 'FAKETIME_NO_CACHE': '1',
                'FAKETIME_DONT_FAKE_MONOTONIC': '1'}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.bridge = BadBridge(cls.network)
        cls.operator('node', 'set', cls.standby.name, 'standby')

    @classmethod
    def jump(cls, seconds):
        """The controller's clock is so far off from now on."""
        with open(cls.clock + '.new', 'w', encoding='ascii') as file:
            file.write(f'{seconds:+d}\n')
        os.rename(cls.clock + '.new', cls.clock)

    @classmethod
    def operator(cls, *arguments):
        network = cls.network
        return network.owner.run(network.programs.ssn, *arguments, '--config', network.operator_file)

    def begin(self, *options):
        """An object whose shares are being made anew: some cells are through, most are not."""
        path, name = self.stored(SIZE)
        started = self.operator('reshare', 'start', name, '--owner', 'owner', *options, '--json')
        job = json.loads(started.stdout)['job']['job']
        wait_for(lambda: self.job(job)['through'] > 0, lambda: f'the first cells: {self.job(job)}')
        self.assertEqual(self.job(job)['step'], 'transfer')
        return path, name, job

    def json(self, *arguments):
        return json.loads(self.network.ssn(*arguments, '--json').stdout)

    def job(self, job):
        return next(each for each in self.json('reshare', 'list', '--all')['jobs'] if each['job'] == job)

    def check_end(self, path, name, job):
        """Done, and nothing is left of what was before."""
        def is_over():
            found = self.job(job)
            self.assertNotEqual(found['step'], 'undone', found)
            return found['step'] == 'done'
        wait_for(is_over, lambda: f'the job to end: {self.job(job)}', OVER_SECONDS)
        wait_for(lambda: self.network.stat(name)['health'] == 'good', lambda: f'{self.network.stat(name)}')
        self.check(path, name)
        self.wait_generations(sum(each['shares'] for each in self.json('ls')['objects']))
        self.assertEqual(self.json('reshare', 'list')['jobs'], [])
        return self.job(job)

    def test_the_controller_stands_still(self):
        """for longer than its nodes' leases last, then it dies"""
        path, name, job = self.begin('--refresh')
        controller = self.network.controller
        controller.process.send_signal(signal.SIGSTOP)
        time.sleep(4)
        controller.process.send_signal(signal.SIGCONT)
        wait_for(lambda: self.job(job)['job'] == job, 'an answer')
        controller.kill()
        time.sleep(1)
        self.start_controller()
        self.check_end(path, name, job)

    def test_a_site_is_cut_off(self):
        """two of five holders, data and control, until the round fails; the object is read meanwhile"""
        reason = self.bridge.missing()
        if reason:
            self.skipTest(reason)
        path, name, job = self.begin('--refresh')
        self.addCleanup(self.bridge.heal)
        ports = [self.network.ports[bridge, each] for bridge in ('data', 'control') for each in ('h2', 'h4')]
        self.bridge.set(*(rule for port in ports for rule in (drop(port), drop('', port))))
        wait_for(lambda: self.job(job)['trouble'], lambda: f'the round to fail: {self.job(job)}')
        self.check(path, name)
        self.bridge.heal()
        found = self.check_end(path, name, job)
        self.assertGreater(found['round'], 4)  # transfer, seal, three checks: one was repeated at least

    def test_the_taker_is_full(self):
        """its disk has no room in the middle; when it has some the job goes on"""
        path, name, job = self.begin('--from', self.random.choice(self.network.holders[:-1]).name)
        self.assertEqual(self.job(job)['takers'], [self.standby.name])
        filler = os.path.join(self.standby.store_folder, 'filler')
        room = os.statvfs(self.standby.store_folder)
        with open(filler, 'wb') as file:
            os.posix_fallocate(file.fileno(), 0, room.f_bavail * room.f_frsize - (1 << 20))
        wait_for(lambda: 'store-failed' in self.job(job)['trouble'], lambda: f'{self.job(job)}')
        self.check(path, name)
        os.remove(filler)
        self.check_end(path, name, job)

    def test_the_clock_jumps(self):
        """hours ahead, then behind what was, with a start of the controller in between"""
        if not os.path.exists(FAKETIME):
            self.skipTest('libfaketime is not installed (Debian package faketime: scripts/bootstrap)')
        path, name, job = self.begin('--refresh')
        started = self.job(job)['started_ms']
        self.jump(3 * 3600)
        time.sleep(1)
        self.network.controller.kill()
        self.start_controller()
        self.assertFalse(self.job(job)['ended_ms'])
        self.jump(-3600)
        ended = self.check_end(path, name, job)['ended_ms']
        self.assertLess(ended, started, 'the clock did not jump')
        self.jump(0)
        path, name = self.stored(200_000)
        self.check(path, name)


if __name__ == '__main__':
    require()
    if len(sys.argv) < 2 or os.environ.get('SSN_OWN_MOUNTS') != '1':
        # Mounts of its own, which go away with it.
        os.environ['SSN_OWN_MOUNTS'] = '1'
        os.execvp('unshare', ['unshare', '--mount', '--propagation', 'private', sys.executable, *sys.argv])
    main(ReshareFaults)
