#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Pad shares on real processes: the default where labels allow it, and not where nobody said anything."""

import filecmp
import json
import os
import random
import tempfile
import unittest

from support import BUILD, SEED, SIZE, Programs, StorageNetwork, StorageTest, main, wait_for

CELL = 1344


class Labelled(StorageTest):
    """A network whose operator says what there is."""

    def arrived(self):
        """Cells that holders were sent, those that they keep not among them."""
        return sum(holder.counters('holder.')['holder.put_cells'] for holder in self.network.holders)

    def test_holders_keep_pads(self):
        """by default holders keep pad that they have as their share, which is not sent; it comes back"""
        path, name = self.file()
        before, arrived = self.network.ssa.counters(), self.arrived()
        done = self.network.put(path, name)
        after, arrived = self.network.ssa.counters(), self.arrived() - arrived
        self.assertFalse(done['degraded'])
        self.assertEqual((done['pad_rows'], done['pad_rule']), (2, 'allowed'), done['pad_reason'])
        kept = after['ssa.shares_kept'] - before['ssa.shares_kept']
        self.assertGreater(kept, SIZE // CELL // 2)  # two for each cell, less where pads were late
        kept_out = sum(value for key, value in after.items() if key.endswith('pads_out.kept'))
        self.assertGreaterEqual(kept_out, kept * CELL)
        for holder in self.network.holders:
            self.assertGreater(holder.counters('holder.')['holder.orders_kept'], 0)
            self.assertGreater(holder.counters('keys.')['keys.sae-s.pads_in.kept'], 0)
        stat = json.loads(self.network.ssn('stat', name, '--json').stdout)
        self.assertEqual((stat['layout']['pad_shares'], stat['layout']['pad_rows']), (True, 2))
        self.assertIn('pad shares on:', self.network.ssn('stat', name).stdout)
        self.check(path, name)
        self.network.ssn('verify', name)
        before, of_all = self.network.ssa.counters('ssa.'), self.arrived()
        plain = self.network.put(path, f'{name}-sent', '--pad-shares', 'no')
        after, of_all = self.network.ssa.counters('ssa.'), self.arrived() - of_all
        self.assertEqual((plain['pad_rows'], plain['pad_rule']), (0, 'not-wanted'))
        self.assertEqual(after['ssa.shares_kept'], before['ssa.shares_kept'])
        self.assertGreaterEqual(of_all, 5 * (SIZE // CELL))
        # Each share that is kept is a packet less; where a cell was split again on a busy machine some came
        # twice.
        print(f'{arrived} shares came where {kept} were kept, {of_all} where none was')
        self.assertLess(arrived, of_all - kept // 3)
        self.assertEqual(self.network.put(path, f'{name}-yes', '--pad-shares', 'yes')['pad_rows'], 2)
        self.check_accounts()


class Unlabelled(unittest.TestCase):
    """A network of which nobody says anything, as programs are configured by default."""

    def test_pads_are_not_kept(self):
        """put sends all shares and says why; --pad-shares=yes is refused; the SSA keeps its own counsel"""
        chosen = random.Random(SEED)
        with tempfile.TemporaryDirectory(prefix='storage-') as folder, \
                StorageNetwork(folder, Programs.built(BUILD), k=2, n=3, labels=False) as network:
            network.start()
            path = os.path.join(folder, 'source')
            with open(path, 'wb') as file:
                file.write(chosen.randbytes(300_000))
            done = network.put(path, 'plain')
            self.assertEqual((done['pad_rows'], done['pad_rule']), (0, 'unknown-path'))
            self.assertIn('which key managers and relays', done['pad_reason'])
            self.assertIn('pad shares off:', network.ssn('stat', 'plain').stdout)
            refused = network.ssn('put', path, 'refused', '--pad-shares', 'yes', check=False)
            self.assertEqual(refused.returncode, 6, refused.stderr)
            self.assertIn('which key managers and relays', refused.stderr)
            # The operator labels all nodes; the SSA's own configuration still knows no path.
            network.controller.stop()
            network.controller.say_labels(network.nodes)
            network.controller.start()
            wait_for(lambda: network.ssn('put', path, 'still', '--json', check=False).returncode == 0,
                     'the nodes to register again')
            still = network.put(path, 'still')
            self.assertEqual((still['pad_rows'], still['pad_rule']), (0, 'unknown-path'))
            self.assertEqual(network.ssa.counters('ssa.')['ssa.shares_kept'], 0)
            network.get('still', os.path.join(folder, 'copy'))
            self.assertTrue(filecmp.cmp(path, os.path.join(folder, 'copy'), shallow=False))


if __name__ == '__main__':
    main(Labelled, Unlabelled)
