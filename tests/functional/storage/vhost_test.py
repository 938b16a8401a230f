#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A storage network whose SSA shares memory with each shareholder (vhost-user): what scripts/bench network
measures in that way works, and goes on when one end of a link dies."""

import filecmp
import os
import random
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', '..', '..', 'scripts', 'lib'))
# pylint: disable=wrong-import-position
import network as namespaces
from processes import Programs, last_lines
from storage_network import StorageNetwork

BUILD = os.path.realpath(sys.argv[1]) if len(sys.argv) > 1 else ''
SEED = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(2**32)
SKIPPED = 77
SIZE = 2_000_001  # not a whole number of blocks
CELLS = -(-SIZE // 1344)


class Vhost(unittest.TestCase):
    """One network for all tests; what a test kills, it starts again."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix='storage-vhost-')
        cls.addClassCleanup(cls.folder.cleanup)
        cls.network = StorageNetwork(cls.folder.name, Programs.built(BUILD), k=2, n=3, links='vhost-user',
                                     labels=False)  # all shares are sent
        cls.addClassCleanup(cls.network.close)
        cls.random = random.Random(SEED)
        cls.network.start()
        cls.names = 0

    def run(self, result=None):
        result = result or self.defaultTestResult()
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            for node in self.network.nodes:
                print(f'\n--- {node.log}\n{last_lines(node.log, 12)}')

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def stored(self):
        type(self).names += 1
        path, name = self.path(f'source-{self.names}'), f'object-{self.names}'
        with open(path, 'wb') as file:
            file.write(self.random.randbytes(SIZE))
        return path, name, self.network.put(path, name)

    def check(self, path, name):
        """The object is what was stored."""
        copy = self.path('copy')
        self.network.get(name, copy, '--force')
        self.assertTrue(filecmp.cmp(path, copy, shallow=False), 'other bytes came back than were stored')

    def packets(self):
        """Of each port of the SSA: sent, received."""
        counters = self.network.ssa.counters('port.')
        names = [port['name'] for port in self.network.ssa.configuration['port']]
        return {name: tuple(counters.get(f'port.{name}.{way}_packets', 0) for way in ('tx', 'rx'))
                for name in names}

    def assert_carried(self, before, link, least):
        """So many packets left the SSA by this port since, and answers came."""
        after = self.packets()
        self.assertGreaterEqual(after[link][0] - before[link][0], least)
        self.assertGreater(after[link][1] - before[link][1], 0)

    def wait_back(self, *holders):
        self.network.wait_for_connections([{'name': each.name} for each in holders])

    def test_shares_cross_shared_memory(self):
        """put and get; each holder's shares pass by the port that leads to it, none by the bridge"""
        before = self.packets()
        path, name, result = self.stored()
        self.assertFalse(result['degraded'])
        for number in (1, 2, 3):
            self.assert_carried(before, f'link{number}', CELLS)
        # One block from the owner for each cell, and what the SSA tells him.
        self.assertLess(self.packets()['data'][0] - before['data'][0], CELLS)
        self.check(path, name)

    def test_a_killed_holder_comes_back(self):
        """SIGKILL: the others serve; started again it connects to the SSA, gets and gives shares"""
        path, name, _ = self.stored()
        number = self.random.randrange(1, 4)
        holder = self.network.holders[number - 1]
        for _ in range(2):
            holder.kill()
            self.check(path, name)
            holder.start()
            self.wait_back(*self.network.holders)
            before = self.packets()
            path, name, result = self.stored()
            self.assertFalse(result['degraded'])
            self.assert_carried(before, f'link{number}', CELLS)
        # Its share counts: without one of the others it is needed.
        other = self.network.holders[number % 3]
        other.kill()
        self.check(path, name)
        other.start()
        self.wait_back(*self.network.holders)


def main():
    programs = Programs.built(BUILD)
    missing = [each for each in programs if not os.access(each, os.X_OK)]
    if missing:
        print(f'usage: {sys.argv[0]} BUILD_DIRECTORY [SEED]; missing: {missing}', file=sys.stderr)
        sys.exit(2)
    try:
        namespaces.require()
    except namespaces.Unavailable as problem:
        print(f'skipped: {problem}')
        sys.exit(SKIPPED)
    print(f'seed {SEED}', flush=True)
    runner = unittest.TextTestRunner(stream=sys.stdout, verbosity=2)
    result = runner.run(unittest.defaultTestLoader.loadTestsFromTestCase(Vhost))
    sys.exit(0 if result.wasSuccessful() and result.testsRun else 1)


if __name__ == '__main__':
    main()
