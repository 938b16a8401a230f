#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Nodes that die, keys that run out, and keys that are not the peer's: traffic comes back by itself with
fresh keys, nothing old is accepted, and nothing wrong ever comes out."""

from wire_support import *

MIB = 1 << 20
RESUMED_WITHIN = 30  # seconds; some 2 on an idle machine


class Restarts(WireTest):
    relayed = True

    def setUp(self):
        super().setUp()
        self.addCleanup(self.relay.record, False)

    def test_killed_and_started_again(self):
        """SIGKILL of either end: traffic resumes by itself under fresh keys, and nothing old is accepted"""
        for name, node in (("sae-b", self.b), ("sae-a", self.a)):
            with self.subTest(killed=name):
                self.relay.record(True)
                self.ping("-c", "30", "-i", "0.01", "-s", "1000")
                old = {self.identity(frame) for frame in self.relay.recorded(1)} - {None}
                self.assertTrue(old)
                self.assertEqual(len({connection for connection, _ in old}), 1)
                node.kill()
                node.start()
                self.network.wait_for_traffic(RESUMED_WITHIN)
                self.check_fresh(old)

    @staticmethod
    def identity(frame):
        share = parse_share(frame)
        return share and (share.connection, share.key_index)

    def check_fresh(self, old):
        """The old packets again, when the new ones flow: nothing of them is opened."""
        sealed, opened = (node.counters("wire.") for node in (self.a, self.b))
        dropped = Growth(self.b)
        replayed = -self.replayed()
        for link in range(1, self.links + 1):
            self.relay.replay(link)
        replayed += self.replayed()
        self.assertGreater(replayed, 100)
        wait_for(lambda: sum(dropped.all("drop.").values()) >= replayed * 9 // 10,
                 lambda: f"{replayed} old packets to be dropped: {dropped.all()}", 20)
        self.relay.record(False)
        self.relay.record(True)
        self.transfer(MIB // 2)
        new = {self.identity(frame) for frame in self.relay.recorded(1)} - {None}
        self.assertFalse(new & old, "a connection of the old epoch is used again")
        sent = self.a.counters("wire.")["wire.sealed"] - sealed["wire.sealed"]
        taken = self.b.counters("wire.")["wire.opened"] - opened["wire.opened"]
        self.assertLessEqual(taken, sent)

    def replayed(self):
        return sum(self.relay.counters(link)["replayed"] for link in range(1, self.links + 1))

    def test_killed_while_it_runs(self):
        """an end dies in a transfer: TCP goes on where it was, and every byte is right"""
        transfer = self.begin_transfer(4 * MIB)
        wait_for(lambda: self.arrived() > MIB, "the first MiB")
        self.b.kill()
        self.b.start()
        self.finish_transfer(transfer)

    def test_ended_in_order(self):
        """SIGTERM of either end is answered with exit code 0, and a start brings the traffic back"""
        for node in (self.a, self.b):
            self.assertEqual(node.stop(), 0)
            node.start()
            self.network.wait_for_traffic(RESUMED_WITHIN)


class Quarantine(WireTest):
    def test_an_operator_ends_it(self):
        """a node whose ledger was put back is refused, until operators at both ends say that it may return"""
        ledger = os.path.join(os.path.dirname(self.a.file), self.a.configuration["node"]["ledger"])
        self.assertEqual(self.a.stop(), 0)
        with open(ledger, "rb") as file:
            old = file.read()
        self.a.start()
        self.network.wait_for_traffic(RESUMED_WITHIN)
        self.transfer(MIB)
        self.assertEqual(self.a.stop(), 0)
        with open(ledger, "wb") as file:
            file.write(old)
        self.a.start()
        wait_for(lambda: self.condition(self.b) == "in quarantine",
                 lambda: f"quarantine: {self.condition(self.b)}", 30)
        self.assertEqual(self.ping("-c", "3", "-i", "0.2", "-W", "1", check=False)[1], 0)
        # Nobody is there to be asked; nothing that is in no quarantine; nobody who is unknown.
        self.assertEqual(self.readmit(self.b, "sae-a").returncode, 2)
        self.assertEqual(self.readmit(self.b, "--self", "--yes").returncode, 6)
        self.assertEqual(self.readmit(self.b, "nobody", "--yes").returncode, 4)
        self.assertEqual(self.readmit(self.b, "sae-a", "--self", "--yes").returncode, 2)
        self.assertEqual(self.condition(self.b), "in quarantine")
        done = self.readmit(self.b, "sae-a", "--yes", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        said = json.loads(done.stdout)
        self.assertEqual((said["schema"], said["peer"]), ("ssn.dataplane.readmit/1", "sae-a"))
        self.assertIn(said["quarantine"], ("it was rolled back", "it was cloned"))
        if self.condition(self.a) == "this node is in quarantine":
            done = self.readmit(self.a, "--self", "--yes")
            self.assertEqual(done.returncode, 0, done.stderr)
        self.network.wait_for_traffic(RESUMED_WITHIN)
        self.transfer(MIB)

    def condition(self, node):
        items = node.status()["items"]
        return next(item["condition"] for item in items if item["kind"] == "peer")

    def readmit(self, node, *arguments):
        return node._ask("readmit", *arguments)


class Keys(WireTest):
    def test_starvation(self):
        """no more key: frames are refused and counted; it ends with the outage, without anybody's help"""
        managers = self.network.keys
        self.addCleanup(managers.command, "outage", "a-b", "--end")
        at_a = Growth(self.a)
        managers.command("outage", "a-b")
        managers.command("drain", "a-b")
        flood = self.owner_a.start("ping", "-f", "-q", "-s", "1400", self.network.address("b"),
                                   stdout=subprocess.DEVNULL)
        try:
            wait_for(lambda: at_a.of("wire.short_of_keys"), lambda: f"keys to run out: {at_a.all()}", 60)
            wait_for(lambda: at_a.of("stream.1.sent.frames_no_room", "stream.1.sent.frames_given_up",
                                     "drop.no_keys"), lambda: f"frames to be refused: {at_a.all()}", 30)
        finally:
            stop(flood)
        # What is left would do for a short frame at most.
        self.assertEqual(self.ping("-c", "3", "-i", "0.2", "-s", "1400", "-W", "1", check=False)[1], 0)
        managers.command("outage", "a-b", "--end")
        self.network.wait_for_traffic(RESUMED_WITHIN)
        self.transfer(MIB)

    def test_a_slow_link(self):
        """key that comes more slowly than frames: what arrives is right, the rest is counted"""
        managers = self.network.keys
        self.addCleanup(managers.command, "rate", "a-b", "0bit/s")
        managers.command("rate", "a-b", "40Mbit/s")
        self.transfer(MIB)


class WrongKeys(WireTest):
    nodes_run = False

    def test_nothing_comes_out(self):
        """the key managers of the two nodes give different bytes: every packet is dropped and counted"""
        others = KeyManagers(self.network.programs, self.path("others"), self.network.namespace("others"))
        others.start()
        self.b.configuration["key_device"][0]["settings"]["socket"] = others.path("kmnic-b.sock")
        for node in (self.a, self.b):
            node.start()
        received = self.received(self.owner_b)
        said = {}

        def noticed():
            self.ping("-c", "3", "-i", "0.2", "-W", "1", check=False)
            said.update(self.b.counters())
            return said.get("drop.bad_tag", 0) or any(
                value and "alarm" in name for name, value in said.items())
        wait_for(noticed, lambda: f"different keys to be noticed: {said}", 30)
        self.assertEqual(self.received(self.owner_b), received)
        self.assertEqual(said.get("stream.1.received.frames", 0), 0)

    @staticmethod
    def received(owner):
        with open(f"/proc/{owner.pid}/net/dev", encoding="ascii") as file:
            return next(int(line.split()[2]) for line in file if line.strip().startswith("eth0:"))


if __name__ == "__main__":
    main()
