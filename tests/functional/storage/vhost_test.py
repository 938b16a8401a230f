#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A storage network whose SSA shares memory with each shareholder (vhost-user): what scripts/bench network
measures in that way works, and goes on when one end of a link dies."""

from support import StorageTest, main

SIZE = 2_000_001  # bytes; not a whole number of blocks
CELLS = -(-SIZE // 1344)


class Vhost(StorageTest):
    """One network for all tests; what a test kills, it starts again."""

    k, n = 2, 3
    parts = {'links': 'vhost-user', 'labels': False}  # without labels all shares are sent

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

    def test_shares_cross_shared_memory(self):
        """put and get; each holder's shares pass by the port that leads to it, none by the bridge"""
        before = self.packets()
        path, name = self.stored(SIZE)
        for number in (1, 2, 3):
            self.assert_carried(before, f'link{number}', CELLS)
        # One block from the owner for each cell, and what the SSA tells him.
        self.assertLess(self.packets()['data'][0] - before['data'][0], CELLS)
        self.check(path, name)

    def test_a_killed_holder_comes_back(self):
        """SIGKILL: the others serve; started again it connects to the SSA, gets and gives shares"""
        path, name = self.stored(SIZE)
        number = self.random.randrange(1, 4)
        holder = self.network.holders[number - 1]
        for _ in range(2):
            holder.kill()
            self.check(path, name)
            self.start_again(holder)
            before = self.packets()
            path, name = self.stored(SIZE)
            self.assert_carried(before, f'link{number}', CELLS)
        # Its share counts: without one of the others it is needed.
        other = self.network.holders[number % 3]
        other.kill()
        self.check(path, name)
        self.start_again(other)


if __name__ == '__main__':
    main(Vhost)
