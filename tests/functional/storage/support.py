# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of a whole storage network share: one network for a class of tests, and how they are run:

    NAME_test.py BUILD [SEED [TEST]...]

A test that kills or breaks something mends it again.
"""

import filecmp
import json
import os
import random
import re
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', '..', '..', 'scripts', 'lib'))
# pylint: disable=wrong-import-position
import network as namespaces
from network import stop  # pylint: disable=unused-import
from processes import Programs, last_lines, wait_for
from storage_network import StorageNetwork

BUILD = os.path.realpath(sys.argv[1]) if len(sys.argv) > 1 else ''
SEED = int(sys.argv[2]) if len(sys.argv) > 2 and sys.argv[2].isdigit() else \
    random.SystemRandom().randrange(2**32)
SKIPPED = 77
SIZE = 3_000_001  # not a whole number of blocks
MARK = b'what lies in one store tells nothing. '


class StorageTest(unittest.TestCase):
    """One network for all tests of a class."""

    k, n = 3, 5
    parts = {}  # more arguments of StorageNetwork

    @classmethod
    def configure(cls, network):
        """For a class that wants another configuration."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix='storage-')
        cls.addClassCleanup(cls.folder.cleanup)
        cls.network = StorageNetwork(cls.folder.name, Programs.built(BUILD), k=cls.k, n=cls.n, **cls.parts)
        cls.addClassCleanup(cls.network.close)
        cls.network.controller.configuration['policy'] |= {'lease': '3 s', 'report': '200 ms'}
        cls.network.ssa.configuration['ssa'] |= {'idle': '8 s', 'owners': 4}
        cls.configure(cls.network)
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
                if node.process.poll() is None:
                    shown = ('drop.', 'peer.', 'ssa.', 'holder.', 'storage.', 'sessions.', 'store.')
                    print({name: value for name, value in node.counters().items()
                           if value and name.startswith(shown)})

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def file(self, size=SIZE):
        """A file of random bytes with a text in it here and there; its path and a name for the object."""
        type(self).names += 1
        path = self.path(f'source-{self.names}')
        with open(path, 'wb') as file:
            for _ in range(size // 50_000):
                file.write(MARK + self.random.randbytes(50_000 - len(MARK)))
            file.write(self.random.randbytes(size % 50_000))
        return path, f'object-{self.names}'

    def stored(self, size=SIZE):
        path, name = self.file(size)
        self.assertFalse(self.network.put(path, name)['degraded'])
        return path, name

    def check(self, path, name):
        """The object is what was stored."""
        copy = self.path('copy')
        self.network.get(name, copy, '--force')
        self.assertTrue(filecmp.cmp(path, copy, shallow=False), 'other bytes came back than were stored')

    def start_again(self, *nodes):
        """Processes that were killed; until they are what they were before."""
        for node in nodes:
            node.start()
        for node in nodes:
            self.wait_registered(node)
        self.network.wait_for_connections(self.network.ssa.configuration['peer'])

    def start_controller(self):
        """Where it was killed; until the nodes have found it."""
        if self.network.controller.process.poll() is not None:
            self.network.controller.start()
        for node in self.network.nodes:
            self.wait_registered(node)

    @staticmethod
    def item(node, kind):
        return [each for each in node.status()['items'] if each['kind'] == kind]

    def wait_registered(self, node):
        wait_for(lambda: self.item(node, 'controller')[0]['healthy'],
                 lambda: f'{node.name} to register; it said: {last_lines(node.log)}')

    def generations(self):
        return sum(node.counters('store.').get('store.generations', 0) for node in self.network.holders)

    def wait_generations(self, count):
        wait_for(lambda: self.generations() == count,
                 lambda: f'{count} generations in the stores; there are {self.generations()}')

    def check_accounts(self):
        """fetched = used + kept + discarded + left, of every key stream of every node"""
        for node in self.network.nodes:
            counters = node.counters('keys.')
            streams = {match.group(1) for key in counters
                       if (match := re.match(r'(keys\..*\.(?:pads|tag_keys)_(?:in|out))\.', key))}
            self.assertTrue(streams, node.name)
            for stream in streams:
                parts = [counters.get(f'{stream}.{part}', 0)
                         for part in ('used', 'kept', 'discarded', 'left')]
                self.assertEqual(counters[f'{stream}.fetched'], sum(parts), f'{node.name} {stream}')


def is_sanitized():
    """Whether the programs carry sanitizers, which make them slow."""
    path = os.path.join(BUILD, 'meson-info', 'intro-buildoptions.json')
    if not os.path.exists(path):
        return False
    with open(path, encoding='utf-8') as file:
        return any(each['name'] == 'b_sanitize' and each['value'] != 'none' for each in json.load(file))


def require(options=''):
    """Ends the program where its tests cannot run here."""
    programs = Programs.built(BUILD)
    missing = [each for each in programs if not os.access(each, os.X_OK)]
    if missing:
        print(f'usage: {sys.argv[0]} BUILD_DIRECTORY {options or "[SEED]"}; missing: {missing}',
              file=sys.stderr)
        sys.exit(2)
    try:
        namespaces.require()
    except namespaces.Unavailable as problem:
        print(f'skipped: {problem}')
        sys.exit(SKIPPED)


def main(*cases):
    require()
    print(f'seed {SEED}', flush=True)
    loader = unittest.defaultTestLoader
    loader.testNamePatterns = [f'*{each}*' for each in sys.argv[3:]] or None
    suite = unittest.TestSuite(loader.loadTestsFromTestCase(case) for case in cases)
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
    if result.skipped and len(result.skipped) >= result.testsRun and result.wasSuccessful():
        print(f'skipped: {result.skipped[0][1]}')
        sys.exit(SKIPPED)
    sys.exit(0 if result.wasSuccessful() and result.testsRun else 1)
