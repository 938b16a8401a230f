#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Two nodes whose links are memory that they share (vhost-user), as between programs of one machine. What
scripts/bench pipeline measures in that way works here with traffic of kernels."""

from wire_support import *

MIB = 1 << 20


class Vhost(WireTest):
    vhost = True
    links = 3

    def test_owners_reach_each_other(self):
        """ping and TCP in both directions; every share crossed shared memory, and no frame is missing"""
        sent, received = Growth(self.a), Growth(self.b)
        self.ping("-c", "20", "-i", "0.01")
        self.ping("-c", "5", "-i", "0.01", "-s", "1472", "-M", "do")
        self.transfer(2 * MIB, window=0)
        self.transfer(MIB, window=0, backwards=True)
        ours, theirs = sent.all("port.link1."), received.all("port.link1.")
        self.assertGreater(ours["port.link1.tx_packets"], 1000)
        self.assertGreater(theirs["port.link1.rx_packets"], 1000)
        self.assertEqual(received.of("stream.1.received.blocks_lost"), 0)

    def test_a_killed_connector_comes_back(self):
        """the node that connects is killed; the other one goes on, and later so does traffic"""
        self.a.kill()
        self.b.check()
        self.a.start()
        self.network.wait_for_traffic()
        self.ping("-c", "10", "-i", "0.01")


if __name__ == "__main__":
    main()
