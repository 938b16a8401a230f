#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A storage network of real processes whose bridges lose, double, damage, mix and cut: by nftables and tc."""

import os
import time
import unittest

from bad_bridge import BadBridge, damage, drop, lose, overtake
from support import StorageTest, main, stop, wait_for
from storage_network import OWNER, SSA, data_address

SIZE = 400_001
HEAL_SECONDS = 60


class BadLinks(StorageTest):
    """Every fault ends with its test; then the network must be as before by itself."""

    # Datagrams cross the bridge one by one, so that each can meet its own fate.
    parts = {'device': 'net_af_packet0'}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.bridge = BadBridge(cls.network)
        reason = cls.bridge.missing()
        if reason:
            raise unittest.SkipTest(reason)

    def setUp(self):
        self.addCleanup(self.heal)

    def heal(self):
        self.bridge.heal()
        self.network.wait_for_connections(self.network.ssa.configuration['peer'])
        self.start_controller()

        def whole():
            path, name = self.file(50_000)
            done = self.network.ssn('put', path, name, '--json', check=False)
            return done.returncode == 0 and '"degraded": false' in done.stdout
        wait_for(whole, 'a write with all holders after the links were healed', HEAL_SECONDS)

    def path_of_packets(self):
        """Addresses of the SSA with each of its holders, both ways."""
        for holder in self.network.holders:
            yield data_address(SSA), data_address(holder.number)
            yield data_address(holder.number), data_address(SSA)

    def transfer(self, size=SIZE):
        """An object is written by the quorum at least, and comes back."""
        path, name = self.file(size)
        self.network.put(path, name)
        self.check(path, name)

    def peers(self, counter):
        return sum(value for node in self.network.nodes
                   for key, value in node.counters('peer.').items() if key.endswith(f'.{counter}'))

    def dropped(self, reason):
        return sum(node.counters('drop.').get(f'drop.{reason}', 0) for node in self.network.nodes)

    def test_loss(self):
        """5 % of all frames are lost, owners' included"""
        before = self.peers('sent_again')
        self.bridge.set(lose(50))
        self.transfer()
        self.assertGreater(self.bridge.met()[0], 50)
        self.assertGreater(self.peers('sent_again'), before)

    def test_doubles(self):
        """a fifth of what goes to a holder, then to the SSA, comes twice: nothing is taken twice"""
        before = self.dropped('number_replayed')
        address = data_address(self.network.holders[0].number)
        for source, sink, to in (('s', 'h1', address), ('h1', 's', data_address(SSA))):
            self.bridge.heal()
            self.bridge.double(source, sink, to, 200)
            self.transfer()
            self.assertGreater(self.bridge.met()[-1], 10, source)
        self.assertGreater(self.dropped('number_replayed'), before)

    def test_damage(self):
        """one in twenty packets between SSA and holders is damaged: the tag tells"""
        before = self.dropped('bad_tag')
        self.bridge.set(*(damage(*each, 50, False) for each in self.path_of_packets()))
        self.transfer()
        self.assertGreater(sum(self.bridge.met()), 50)
        self.assertGreater(self.dropped('bad_tag'), before)

    def test_damage_at_the_owner(self):
        """the same between owner and SSA, where the UDP checksum tells, or the tag"""
        pair = data_address(OWNER), data_address(SSA)
        for checksum, reason in ((True, 'udp_bad_checksum'), (False, 'bad_tag')):
            before = self.dropped(reason)
            self.bridge.set(damage(*pair, 50, checksum), damage(*reversed(pair), 50, checksum))
            self.transfer()
            self.assertGreater(min(self.bridge.met()), 3)
            self.assertGreater(self.dropped(reason), before, reason)

    def test_overtaking(self):
        """a fifth of all packets is overtaken by others"""
        self.bridge.slow_class('s', 'h1', 'h2', 'h3', 'h4', 'h5')
        self.bridge.set(overtake(200))
        self.transfer()
        self.assertGreater(self.bridge.met()[0], 100)

    def test_everything_at_once(self):
        self.bridge.slow_class('s', 'h3', 'h4')
        self.bridge.set(lose(20), *(damage(*each, 20, False) for each in self.path_of_packets()),
                        overtake(100))
        self.bridge.double('s', 'h2', data_address(self.network.holders[1].number), 100)
        self.transfer()
        self.assertTrue(all(self.bridge.met()[each] for each in (0, -2, -1)), self.bridge.met())

    def test_netem(self):
        """the same by netem, where the kernel has it"""
        port = self.network.ports['data', 's']
        done = self.network.bridges.run(
            *f'tc qdisc replace dev {port} root netem delay 1ms loss 2% duplicate 2% corrupt 1%'.split(),
            'reorder', '20%', check=False)
        if done.returncode:
            self.skipTest(f'this kernel has no netem: {done.stderr.strip()}')
        self.transfer()

    def test_two_holders_are_cut_off(self):
        """n - k holders are cut off in the middle of a write: it ends, is told as degraded, and comes back"""
        path, name = self.file(3_000_000)
        cut = self.random.sample(['h1', 'h2', 'h3', 'h4', 'h5'], 2)
        before = self.network.ssa.counters('ssa.').get('ssa.cells_split', 0)
        writer = self.network.owner.start(self.network.programs.ssn, 'put', path, name, '--config',
                                          self.network.owner_file)
        self.addCleanup(stop, writer)
        wait_for(lambda: self.network.ssa.counters('ssa.').get('ssa.cells_split', 0) > before + 100,
                 lambda: f'the first cells; {self.network.ssa.counters("ssa.")}')
        self.bridge.cut('data', *cut)
        self.assertEqual(writer.wait(60), 3)
        self.check(path, name)
        self.assertGreater(sum(self.bridge.met()), 0)
        path, name = self.file(200_000)  # another one, begun like this
        self.assertEqual(self.network.ssn('put', path, name, check=False).returncode, 3)
        self.check(path, name)

    def test_one_way_only(self):
        """what two holders send is lost, what is sent to them arrives; then the other way round"""
        for way in (drop, lambda port: drop('', port)):
            self.bridge.set(*(way(self.network.ports['data', each]) for each in ('h1', 'h4')))
            path, name = self.file(200_000)
            self.network.ssn('put', path, name, check=False)
            self.check(path, name)
            self.assertGreater(sum(self.bridge.met()), 0)

    def test_the_ssa_is_cut_off_from_its_holders(self):
        """all of them, data and control: a typed error, nothing visible, nothing stays"""
        path, name = self.stored(200_000)
        self.bridge.cut('data', 's', others=['h1', 'h2', 'h3', 'h4', 'h5'])
        begin = time.monotonic()
        other = self.network.ssn('put', path, 'nowhere', '--patience', '5', check=False)
        read = self.network.ssn('get', name, self.path('nothing'), '--patience', '5', check=False)
        self.assertEqual((other.returncode, read.returncode), (5, 5), other.stderr + read.stderr)
        self.assertLess(time.monotonic() - begin, 60)
        self.assertFalse(os.path.exists(self.path('nothing')))
        self.assertEqual(self.network.ssn('stat', 'nowhere', check=False).returncode, 4)
        self.bridge.heal()
        wait_for(lambda: self.network.ssn('get', name, self.path('back'), '--force', '--patience', '5',
                                          check=False).returncode == 0, 'the object', HEAL_SECONDS)

    def settled_generations(self):
        """The last holders may have theirs a little later than the quorum."""
        counts = []
        while len(counts) < 10 or len(set(counts[-10:])) > 1:
            counts.append(self.generations())
            time.sleep(0.2)
        return counts[-1]

    def test_the_controller_is_cut_off(self):
        """open sessions go on, new ones are told, what was given up is erased when it is back"""
        path, name = self.stored(200_000)
        before = self.settled_generations()
        writer = self.network.owner.start(self.network.programs.ssn, 'put', '-', 'late', '--config',
                                          self.network.owner_file, stdin=-1)
        self.addCleanup(stop, writer)
        writer.stdin.write(self.random.randbytes(500_000))
        writer.stdin.flush()
        wait_for(lambda: self.generations() > before, 'the first shares')
        self.bridge.cut('control', 'controller')
        writer.stdin.write(self.random.randbytes(500_000))  # the session takes it
        writer.stdin.close()
        begin = time.monotonic()
        self.assertEqual(self.network.ssn('get', name, self.path('new'), check=False).returncode, 5)
        self.assertLess(time.monotonic() - begin, 60)
        self.assertIn(writer.wait(120), (1, 5))  # not committed, and it says so
        self.bridge.heal()
        self.start_controller()
        if self.network.ssn('stat', 'late', check=False).returncode == 4:
            self.wait_generations(before)
        self.check(path, name)

    def test_the_owner_is_cut_off(self):
        """it gives up in bounded time, and begins again when the link is back"""
        path, name = self.stored(200_000)
        self.bridge.cut('data', 'owner')
        begin = time.monotonic()
        read = self.network.ssn('get', name, self.path('cut'), '--patience', '3', check=False)
        write = self.network.ssn('put', path, 'cut', '--patience', '3', check=False)
        self.assertEqual((read.returncode, write.returncode), (5, 5), read.stderr + write.stderr)
        self.assertLess(time.monotonic() - begin, 30)
        self.assertFalse(os.path.exists(self.path('cut')))
        self.bridge.heal()
        self.check(path, name)


if __name__ == '__main__':
    main(BadLinks)
