#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Two nodes and five bad links (relay.py): whatever happens on up to two of them nobody notices; beyond that
it is counted; forgers get nothing; and what the links carry has nothing to do with what the owners send."""

from wire_support import *

MIB = 1 << 20
LOST = "stream.1.received.blocks_lost"
# Chi-square of 256 byte values: 255 expected, deviation 22.6; beyond this once in more than 10^9 tries.
CHI_SQUARE_MOST = 255 + 6.5 * 22.6


class BadLinks(WireTest):
    relayed = True

    def setUp(self):
        super().setUp()
        self.addCleanup(self.heal)

    def heal(self):
        self.relay.heal()
        self.network.wait_for_traffic()

    def test_up_to_two_bad_links_are_invisible(self):
        """loss, doubling, overtaking, damage and all of it on two of five links: no block is lost"""
        for what in ({"loss": 0.3}, {"duplicate": 0.5}, {"reorder": 0.3}, {"corrupt": 0.3},
                     {"loss": 0.1, "duplicate": 0.1, "reorder": 0.1, "corrupt": 0.1}, {"cut": True}):
            with self.subTest(**what):
                self.relay.heal()
                self.relay.set(2, 5, **what)
                at_a, at_b = Growth(self.a), Growth(self.b)
                self.transfer(2 * MIB)
                self.assertEqual((at_a.of(LOST), at_b.of(LOST)), (0, 0))
                if "corrupt" in what:
                    self.assertGreater(at_b.of("drop.bad_tag", "drop.udp_bad_checksum"), 0, at_b.all("drop."))
                if "duplicate" in what:
                    self.assertGreater(at_b.of("drop.number_replayed", "drop.late_share"), 0,
                                       at_b.all("drop."))

    def test_overtaking_on_all_links_is_invisible(self):
        """frames that change places on every link, twice the same frame on every link"""
        self.relay.set(reorder=0.2, duplicate=0.2)
        at_b = Growth(self.b)
        self.transfer(2 * MIB)
        self.assertEqual(at_b.of(LOST), 0)

    def test_cut_while_it_runs(self):
        """two links go while a transfer runs, then two others instead"""
        transfer = self.begin_transfer(6 * MIB)
        wait_for(lambda: self.arrived() > MIB, "the first MiB")
        self.relay.set(1, 2, cut=True)
        wait_for(lambda: self.arrived() > 3 * MIB, "the third MiB")
        self.relay.set(1, 2, cut=False)
        self.relay.set(4, 5, cut=True)
        self.finish_transfer(transfer)

    def test_beyond_that_it_is_counted(self):
        """three links lose some: blocks are lost and counted, TCP repeats, what comes is right; three links
        cut: nothing comes, and it comes again with the first of them"""
        self.relay.set(1, 3, 5, to="b", loss=0.3)
        at_b = Growth(self.b)
        self.transfer(MIB // 2)
        self.assertGreater(at_b.of(LOST), 0)
        self.relay.heal()
        self.relay.set(1, 3, 5, cut=True)
        self.assertEqual(self.ping("-c", "3", "-i", "0.2", "-W", "1", check=False)[1], 0)
        self.relay.set(3, cut=False)
        self.network.wait_for_traffic()
        self.transfer(MIB // 2)

    def test_narrow_links(self):
        """links whose far end takes only shorter frames: two are invisible, three lose what is too long"""
        def narrow(link, mtu):
            self.b.namespace.run("ip", "link", "set", "dev", f"l{link}", "mtu", mtu)
        self.addCleanup(lambda: [narrow(link, 1500) for link in (1, 4, 5)])
        for link in (1, 4):
            narrow(link, 1300)
        at_b = Growth(self.b)
        self.transfer(MIB)
        self.assertEqual(at_b.of(LOST), 0)
        narrow(5, 1300)
        self.ping("-c", "3", "-i", "0.05", "-s", "100")
        self.assertEqual(self.ping("-c", "3", "-i", "0.2", "-s", "1400", "-W", "1", check=False)[1], 0)
        wait_for(lambda: at_b.of(LOST), "lost blocks to be counted", 20)

    def test_neighbours_see_an_ip_host(self):
        """a node answers to ping, ARP and neighbour discovery on its links"""
        neighbour = self.network.relay
        neighbour.run("sh", "-c", "ip link set dev a1 arp on; ip link set dev a4 arp on; "
                      "echo 0 >/proc/sys/net/ipv6/conf/a4/disable_ipv6")
        self.addCleanup(neighbour.run, "sh", "-c", "ip address flush dev a1; ip address flush dev a4; "
                        "echo 1 >/proc/sys/net/ipv6/conf/a4/disable_ipv6; "
                        "ip link set dev a1 arp off; ip link set dev a4 arp off")
        neighbour.address("a1", "10.1.1.9/24")
        neighbour.address("a4", "fd00:1:4::9/64")
        for address in ("10.1.1.1", "fd00:1:4::1"):
            said = neighbour.run("ping", "-c", "5", "-i", "0.05", "-s", "1400", "-W", "2", address,
                                 check=False)
            self.assertEqual(said.returncode, 0, said.stdout)

    def test_forgers_get_nothing(self):
        """a flood of forged packets: no answer, no memory, each counted, and traffic goes on"""
        self.ping("-c", "20", "-i", "0.01", "-s", "1200")  # something to forge
        before, at_a, at_b = self.b.resident_kib(), Growth(self.a), Growth(self.b)
        answered = self.relay.counters(1, "a")["passed"]
        sent_before = self.b.counters("wire.")["wire.sealed"]
        self.relay.record(True)
        self.addCleanup(self.relay.record, False)
        for link, from_byte in ((1, 42), (2, 42 + SEALED_HEADER), (3, 42 + 16)):
            self.relay.forge(link, 20000, from_byte=from_byte, rate=8000)
        transfer = self.begin_transfer(MIB)
        self.finish_transfer(transfer)
        wait_for(lambda: sum(self.relay.counters(link)["forged"] for link in (1, 2, 3)) >= 50000,
                 "the flood to be over")
        self.ping("-c", "3", "-i", "0.5")  # ping waits for no more than two round trips
        dropped = sum(at_b.all("drop.").values())
        self.assertGreater(dropped, 25000, at_b.all("drop."))
        self.assertLess(self.b.resident_kib() - before, (128 if SANITIZED else 16) * 1024)
        self.assertEqual(at_a.of(LOST) + at_b.of(LOST), 0)
        # What came back on link 1 are shares that node b sealed, and nothing else.
        back = [frame for frame in self.relay.recorded(1, "a") if frame[12:14] in (b"\x08\x00", b"\x86\xdd")]
        others = [frame for frame in back if parse_share(frame) is None and frame[12:14] == b"\x08\x00"]
        self.assertEqual(others, [])
        sealed = self.b.counters("wire.")["wire.sealed"] - sent_before
        self.assertLessEqual(self.relay.counters(1, "a")["passed"] - answered, sealed // self.links + 20)


class KnownData(WireTest):
    """Recorded traffic of known data. The erasure code hides nothing by itself, so all that hides here are
    the pads; with the usual scheme any two shares would be random without them."""

    relayed = True
    pattern = 0x5A
    count = 150

    def setUp(self):
        super().setUp()
        self.addCleanup(self.relay.record, False)

    def send_known(self):
        """Sends the pattern. Shares by (block, share) as the links carried them, and the owners' frames."""
        plain = self.path("plain.pcap")
        watcher = self.helper(self.owner_a, "capture.py", "eth0", self.count, plain)
        self.relay.record(True)
        self.ping("-c", str(self.count), "-i", "0.004", "-s", "1400", "-p", f"{self.pattern:02x}")
        watcher.wait(20)
        shares = {}
        for link in range(1, self.links + 1):
            for frame in self.relay.recorded(link, "b"):
                share = parse_share(frame)
                if share:
                    shares[share.block, share.share] = share.payload
        # A busy node puts several frames into a block.
        self.assertGreater(len(shares), self.count * self.links // 4)
        return shares, read_pcap(plain)

    def check_noise(self, chunks):
        """Raises AssertionError unless bytes look like noise: all values equally often, no block of 16 bytes
        twice, no relation of neighbours."""
        data = b"".join(chunks)
        self.assertLess(chi_square(data), CHI_SQUARE_MOST)
        blocks = collections.Counter(
            each[at:at + 16] for each in chunks for at in range(0, len(each) - 15, 16))
        self.assertEqual(blocks.most_common(1)[0][1], 1, "a block of 16 bytes twice")
        self.assertLess(chi_square(xor(data[1:], data[:-1])), CHI_SQUARE_MOST)

    def check_unrelated(self, shares, plain):
        """No share, and no sum of shares of one block, shows anything of what was sent."""
        self.check_noise(list(shares.values()))
        pattern = bytes([self.pattern]) * 2000
        self.check_noise([xor(payload, pattern[:len(payload)]) for payload in shares.values()])
        for members in ((1, 2), (1, 2, 3), (3, 4, 5)):
            sums = []
            for block in sorted({block for block, _ in shares}):
                parts = [shares.get((block, member)) for member in members]
                if all(parts) and len({len(part) for part in parts}) == 1:
                    total = parts[0]
                    for part in parts[1:]:
                        total = xor(total, part)
                    sums.append(total)
            self.assertGreater(len(sums), self.count // 5)
            self.check_noise(sums)
        # The same checks see what was not sealed.
        unsealed = [frame for frame in plain if bytes([self.pattern]) * 64 in frame]
        self.assertGreater(len(unsealed), self.count // 3)
        with self.assertRaises(AssertionError):
            self.check_noise(unsealed)
        with self.assertRaises(AssertionError):
            self.check_noise([*shares.values(), next(iter(shares.values()))])

    def test_shares(self):
        self.check_unrelated(*self.send_known())

    def test_pads_alone(self):
        with self.configured(lambda node: node.stream.update(scheme="rs")):
            self.check_unrelated(*self.send_known())


def chi_square(data):
    expected, counts = len(data) / 256, collections.Counter(data)
    return sum((counts[value] - expected) ** 2 for value in range(256)) / expected


def xor(one, other):
    size = min(len(one), len(other))
    return (int.from_bytes(one[:size], "big") ^ int.from_bytes(other[:size], "big")).to_bytes(size, "big")


if __name__ == "__main__":
    main()
