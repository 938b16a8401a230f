#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Every kind of byte that a shareholder stores is changed while it is stopped: it refuses to start and says
why, or its scrubber finds it; and whatever it does, nobody is given anything wrong."""

import collections
import os
import re
import shutil
import time

from support import StorageTest, main, wait_for

SIZE = 1_000_000
SCRUB_SECONDS = 8  # at 256 MiB/s
TRIES = {'SST': 3, 'blob': 4, 'WAL': 3, 'keys': 3}


def kind_of(path):
    """What a file of a store is."""
    name = os.path.basename(path)
    for pattern, kind in ((r'\d+\.sst', 'SST'), (r'\d+\.blob', 'blob'), (r'\d+\.log', 'WAL'),
                          (r'MANIFEST-\d+', 'MANIFEST'), ('CURRENT', 'CURRENT'), ('IDENTITY', 'IDENTITY'),
                          (r'OPTIONS-\d+', 'OPTIONS'), ('keys', 'keys')):
        if re.fullmatch(pattern, name):
            return kind
    return None  # LOCK is empty, LOG is for people


class StoredBytes(StorageTest):
    """One holder's folder; each test changes a copy of what it was at first."""

    k, n = 2, 3

    @classmethod
    def configure(cls, network):
        cls.holder = network.holders[0]
        cls.holder.configuration['shareholder']['scrub'] = '256 MiB'

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        case = cls('stored')
        cls.objects = [case.stored(SIZE), case.stored(3000)]
        # A start writes what the log has into tables; then more comes into a new log.
        cls.holder.stop()
        case.start_again(cls.holder)
        cls.objects += [case.stored(SIZE), case.stored(1)]
        cls.holder.kill()
        cls.good = os.path.join(cls.folder.name, 'good')
        shutil.copytree(cls.holder.store_folder, cls.good)

    def files(self):
        """Kind -> paths in the store, the largest first."""
        kinds = {}
        for folder, _, names in os.walk(self.good):
            for each in names:
                path = os.path.join(folder, each)
                if kind_of(path) and os.path.getsize(path):
                    kinds.setdefault(kind_of(path), []).append(path)
        return {kind: sorted(paths, key=os.path.getsize, reverse=True) for kind, paths in kinds.items()}

    def put_back(self, path, change):
        """The good store again, but for one file."""
        if self.holder.process.poll() is None:
            self.holder.kill()
        shutil.rmtree(self.holder.store_folder)
        shutil.copytree(self.good, self.holder.store_folder)
        changed = os.path.join(self.holder.store_folder, os.path.relpath(path, self.good))
        with open(changed, 'r+b') as file:
            content = bytearray(file.read())
            change(content)
            file.seek(0)
            file.truncate()
            file.write(content)

    def starts(self):
        """Whether it starts with what is there; if not it must say why and what to do."""
        before = os.path.getsize(self.holder.log)
        self.holder.start(wait=False)
        try:
            self.holder.wait_ready()
        except RuntimeError:
            with open(self.holder.log, encoding='utf-8', errors='replace') as log:
                log.seek(before)
                said = log.read()
            self.assertEqual(self.holder.process.returncode, 7, said)
            self.assertIn('error', said)
            self.assertRegex(said, r'fix:|repair|replace', said)
            return False
        self.wait_registered(self.holder)
        # The controller counts on shares again that were lost with the change before.
        wait_for(lambda: self.holder.counters('controller.')['controller.compared'] > 0,
                 'the holder to compare what it has with what it should have')
        self.network.wait_for_connections(self.network.ssa.configuration['peer'])
        return True

    def said_about_damage(self, before):
        with open(self.holder.log, encoding='utf-8', errors='replace') as log:
            log.seek(before)
            return [line for line in log if 'ssn-dataplane: store: ' in line]

    def noticed(self, before):
        """By the scrubber or at the start: put aside, reported, or what is missing is known."""
        counters = self.holder.counters('store.')
        return (counters.get('store.quarantined', 0) > 0 or self.said_about_damage(before)
                or self.holder.counters('controller.')['controller.damaged'] > 0
                or counters['store.generations'] < len(self.objects))

    def everything_is_right(self):
        for path, name in self.objects:
            self.check(path, name)

    def change_byte(self, kind, content):
        used = len(content.rstrip(b'\0')) or len(content)
        if kind == 'keys':  # a slot that is in use, not its padding
            slots = [at for at in range(4096, len(content), 128) if content[at:at + 4] == b'LIVE']
            at = self.random.choice(slots) + self.random.randrange(48)
        else:
            at = self.random.randrange(used)
        content[at] ^= 1 << self.random.randrange(8)
        return at

    def outcome(self, kind, change):
        """What comes of a change of the largest file of this kind."""
        self.put_back(self.files()[kind][0], change)
        before = os.path.getsize(self.holder.log)
        if not self.starts():
            self.everything_is_right()
            return 'refused to start'
        end = time.monotonic() + SCRUB_SECONDS
        while not self.noticed(before) and time.monotonic() < end:
            time.sleep(0.1)
        noticed = self.noticed(before)
        self.everything_is_right()
        if noticed:
            return 'noticed'
        # Then it was a byte that nothing depends on: also where this holder's shares are needed.
        self.network.holders[1].kill()
        try:
            self.everything_is_right()
        finally:
            self.start_again(self.network.holders[1])
        return 'no difference'

    def test_every_kind_of_file(self):
        """SST, blob, WAL, MANIFEST, CURRENT, keys: one bit, anywhere in what is used"""
        kinds = self.files()
        for wanted in ('SST', 'blob', 'WAL', 'MANIFEST', 'CURRENT', 'keys'):
            self.assertIn(wanted, kinds)
        found = {kind: collections.Counter() for kind in kinds}
        for kind in kinds:
            for _ in range(TRIES.get(kind, 1)):
                place = []
                with self.subTest(kind, place=place):
                    found[kind][self.outcome(kind, lambda content, kind=kind, place=place: place.append(
                        self.change_byte(kind, content)))] += 1
        print({kind: dict(outcomes) for kind, outcomes in found.items()}, flush=True)
        for kind in ('SST', 'blob', 'WAL', 'keys'):
            self.assertGreater(sum(found[kind].values()) - found[kind]['no difference'], 0, kind)

    def test_the_good_copy(self):
        """what was not changed: nothing is noticed, and every share is there"""
        self.put_back(self.files()['blob'][0], lambda content: None)
        before = os.path.getsize(self.holder.log)
        self.assertTrue(self.starts())
        self.assertFalse(self.noticed(before), self.said_about_damage(before))
        self.network.holders[1].kill()  # so this one's shares are needed
        self.everything_is_right()
        self.start_again(self.network.holders[1])


if __name__ == '__main__':
    main(StoredBytes)
