#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A storage network of real processes whose disks are small, and fail: tmpfs of some MiB, and EIO by
failing_disk.cpp."""

import mmap
import os
import struct
import subprocess
import sys

from support import BUILD, StorageTest, main, require, wait_for

SMALL = 24  # MiB
SHIM = os.path.join(BUILD, 'tests', 'functional', 'libfailing-disk.so')
RECOVERY_SECONDS = 60


class SmallDisks(StorageTest):
    """Two of five holders have tmpfs of a few MiB; objects have three shares."""

    last = None

    @classmethod
    def configure(cls, network):
        for holder in network.holders:
            holder.configuration['shareholder']['reserve'] = '4 MiB'
        cls.small = network.holders[:2]
        for holder in cls.small:
            os.mkdir(holder.store_folder)
            subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={SMALL}m', 'small', holder.store_folder],
                           check=True)
            cls.addClassCleanup(subprocess.run, ['umount', '-l', holder.store_folder], check=True)

    def put(self, size, *arguments):
        path, name = self.file(size)
        done = self.network.ssn('put', path, name, '--json', *arguments, check=False)
        return done, path, name

    def full(self):
        return [holder for holder in self.small if not self.item(holder, 'store')[0]['healthy']]

    def start_again_without_room(self, holder):
        """Where not even what the database has in memory fits any more."""
        holder.kill()
        filler = os.path.join(holder.store_folder, 'filler')
        room = os.statvfs(holder.store_folder)
        with open(filler, 'wb') as file:
            os.posix_fallocate(file.fileno(), 0, room.f_bavail * room.f_frsize - (1 << 20))
        self.start_again(holder)
        self.assertLess(holder.counters('store.')['store.free_bytes'], 2 << 20)
        others = self.network.holders[3:]  # so that its shares are needed
        for other in others:
            other.kill()
        self.check(*self.last)
        self.start_again(*others)
        os.remove(filler)

    def test_full(self):
        """what does not fit is degraded or refused, with the reason; what was stored stays; others go on;
        space that is freed is used again"""
        stored = []
        for _ in range(SMALL):
            done, path, name = self.put(1_500_000)
            if done.returncode == 0 or done.returncode == 3:
                stored.append((path, name))
            if done.returncode != 0:
                break
        self.assertIn(done.returncode, (3, 5), done.stderr)
        wait_for(lambda: len(self.full()) == 2, lambda: f'both to be full; {self.full()}')
        self.assertGreater(len(stored), 2)
        for holder in self.small:
            item = self.item(holder, 'store')[0]
            self.assertEqual(item['condition'], 'full')
            self.assertIn('trouble', item['properties'])
            # What is kept free is for the database's own work, which may have all of it for a moment.
            wait_for(lambda: holder.counters('store.')['store.free_bytes'] > 0,
                     lambda: f'{holder.name} to have room for its own work')
        # All that was acknowledged is there, and the two still answer.
        for path, name in stored:
            self.check(path, name)
        self.last = stored[0]
        self.start_again_without_room(self.small[0])
        for path, name in stored:
            self.check(path, name)
        # Five shares cannot be placed any more, and it says why; three can.
        wait_for(lambda: self.put(100_000)[0].returncode == 5, 'the controller to know')
        done, _, _ = self.put(100_000)
        self.assertIn(self.small[1].name, done.stderr)
        for _ in range(3):
            done, path, name = self.put(1_000_000, '-k', '2', '-n', '3')
            self.assertEqual(done.returncode, 0, done.stderr)
            self.check(path, name)
        # Space comes back.
        for _, name in stored:
            self.network.ssn('rm', name, '--yes')
        wait_for(lambda: not self.full(),
                 lambda: f'space; {[self.item(each, "store")[0] for each in self.small]}', RECOVERY_SECONDS)
        wait_for(lambda: self.put(200_000)[0].returncode == 0, 'five shares again', RECOVERY_SECONDS)
        path, name = self.stored(1_000_000)
        self.check(path, name)
        # The quorum is four: one may have been too slow.
        self.assertIn(self.network.ssn('verify', name, check=False).returncode, (0, 3))


class FailingDisks(StorageTest):
    """Reads, writes and syncs of holders' files fail on order."""

    @classmethod
    def configure(cls, network):
        cls.orders = {}
        for holder in network.holders:
            path = os.path.join(cls.folder.name, f'{holder.name}.orders')
            with open(path, 'wb') as file:
                file.write(bytes(4096))
            with open(path, 'r+b') as file:
                cls.orders[holder] = mmap.mmap(file.fileno(), 4096)
            os.mkdir(holder.store_folder)
            holder.environment |= {'LD_PRELOAD': SHIM, 'FAILING_DISK_FOLDER': holder.store_folder,
                                   'FAILING_DISK_ORDERS': path}

    def setUp(self):
        self.addCleanup(lambda: [self.strike_disk(holder) for holder in self.network.holders])

    def strike_disk(self, holder, reads=0, writes=0, syncs=0):
        self.orders[holder][:3] = bytes((reads, writes, syncs))

    def failed(self, holder):
        """How many reads, writes, syncs have failed."""
        return struct.unpack('=3I', self.orders[holder][8:20])

    def store(self, holder):
        return self.item(holder, 'store')[0]

    def check_read_only(self, holder, name, path):
        """It says so, also when the disk is well again; serves what it has; is well after a restart."""
        wait_for(lambda: self.store(holder)['condition'] == 'read-only', lambda: f'{self.store(holder)}')
        self.strike_disk(holder)
        before = self.failed(holder)
        other, other_name = self.file(200_000)
        # Four of five: the controller may know already that it takes nothing.
        done = self.network.ssn('put', other, other_name, check=False)
        self.assertIn(done.returncode, (0, 5), done.stderr)
        self.assertEqual(self.store(holder)['condition'], 'read-only')
        self.assertEqual(self.failed(holder), before)
        self.check(path, name)
        holder.kill()
        self.start_again(holder)
        self.assertEqual(self.store(holder)['condition'], 'open')
        self.check(path, name)
        wait_for(lambda: self.network.ssn('put', other, 'again', check=False).returncode == 0,
                 'a write with all of them')
        self.check(other, 'again')

    def strike(self, operation):
        """A write while a holder's disk fails: stored by the other four, told, never believed."""
        holder = self.random.choice(self.network.holders)
        path, name = self.stored(300_000)
        self.strike_disk(holder, **{operation: 1})
        other, other_name = self.file(300_000)
        done = self.network.ssn('put', other, other_name, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)  # the quorum is four
        self.assertIn(holder.name, done.stderr)
        self.assertGreater(sum(self.failed(holder)), 0)
        self.check(other, other_name)
        self.check_read_only(holder, name, path)
        self.check(other, other_name)

    def strike_unread(self, holders):
        """Reads fail at these, which have nothing in memory that would hide it."""
        for holder in holders:
            holder.kill()
            holder.start(wait=False)
        for holder in holders:
            holder.wait_ready()
        self.network.wait_for_connections(self.network.ssa.configuration['peer'])
        for holder in holders:
            self.strike_disk(holder, reads=1)

    def test_sync_fails(self):
        self.strike('syncs')

    def test_write_fails(self):
        self.strike('writes')

    def test_read_fails(self):
        """reads go on by others, up to n - k; beyond, a typed error; nothing is lost when disks are well"""
        path, name = self.stored(300_000)
        order = self.random.sample(self.network.holders, 3)
        self.strike_unread(order[:2])
        self.check(path, name)
        self.strike_unread(order[2:])
        done = self.network.ssn('get', name, self.path('nothing'), '--patience', '5', check=False)
        self.assertIn(done.returncode, (5, 8), done.stderr)
        self.assertFalse(os.path.exists(self.path('nothing')))
        for holder in order:
            self.assertGreater(self.failed(holder)[0], 0, holder.name)
            self.strike_disk(holder)
        self.check(path, name)


if __name__ == '__main__':
    require()
    if len(sys.argv) < 2 or os.environ.get('SSN_OWN_MOUNTS') != '1':
        # Mounts of its own, which go away with it.
        os.environ['SSN_OWN_MOUNTS'] = '1'
        os.execvp('unshare', ['unshare', '--mount', '--propagation', 'private', sys.executable, *sys.argv])
    main(SmallDisks, FailingDisks)
