# SPDX-License-Identifier: BSD-3-Clause
"""ssn seal and ssn open: a file crosses byte for byte, every change to it is refused, keys balance, no key is
taken for what fails anyway. Over the driver `memory`, which gives both ends the same keys from a seed."""

import json
import os
import random
import signal
import time

from support import *

PREAMBLE = 640
OVERHEAD = 64
KEYS = 9


class SealCase(Case):
    def setUp(self):
        super().setUp()
        seed = "%064x" % random.getrandbits(256)
        for node in "ab":
            self.put(node + ".toml", self.node("sae-" + node, seed))

    @staticmethod
    def node(name, seed):
        return ("""[node]
name = "%s"
ledger = "%s.ledger"

[[key_device]]
driver = "memory"
[key_device.settings]
seed = "%s"
""" % (name, name, seed)).encode()

    def seal(self, name, *options, code=OK):
        return self.ssn("seal", "--config", "a.toml", "--to", "sae-b", *options, name, code=code)

    def open(self, name, *options, code=OK):
        return self.ssn("open", "--config", "b.toml", *options, name, code=code)

    def account(self, done, command):
        document = json.loads(done.stdout)
        self.assertEqual(document["schema"], "ssn.%s/1" % command)
        for stream in document["keys"].values():
            self.assertTrue(stream["balanced"])
            self.assertEqual(stream["fetched_bytes"], stream["used_bytes"] + stream["kept_bytes"] +
                             stream["discarded_bytes"] + stream["left_bytes"])
            self.assertEqual(stream["left_bytes"], 0)
        return document


class RoundTrip(SealCase):
    def test_lengths(self):
        """files of all lengths about cells and bursts come back, and the keys of both ends balance"""
        for size in [0, 1, 63, 64, 65, 1343, 1344, 1345, 1344 * 32, 1344 * 32 + 1, 300000]:
            data = self.make("f", size)
            sealed = self.account(self.seal("f", "--json", "--force"), "seal")
            opened = self.account(self.open("f.sealed", "--json", "--force", "-o", "g"), "open")
            self.assertEqual(self.get("g"), data, size)
            self.assertEqual(os.path.getsize(self.path("f.sealed")), sealed["sealed_bytes"])
            for stream in ("pads", "tag_keys"):
                self.assertEqual(sealed["keys"][stream]["used_bytes"], opened["keys"][stream]["used_bytes"])
            self.assertEqual(sealed["keys"]["pads"]["used_bytes"], size + PREAMBLE)
            packets = 1 + -(-size // 1344)
            self.assertEqual(sealed["keys"]["tag_keys"]["used_bytes"], 16 * (packets + 1))
            self.assertEqual(opened["protection"], "emulated")

    def test_cell_sizes(self):
        """smallest and largest cells"""
        data = self.make("f", 100000)
        for size in (64, 16320):
            self.seal("f", "--force", "--cell-size", size)
            self.open("f.sealed", "--force", "-o", "g")
            self.assertEqual(self.get("g"), data)

    def test_never_the_same_twice(self):
        """the same file sealed twice has no packet in common, and nothing of the file shows"""
        data = b"A" * 200000
        self.put("f", data)
        self.seal("f", "-o", "one")
        self.seal("f", "-o", "two")
        one, two = self.get("one"), self.get("two")
        self.assertNotIn(b"A" * 8, one[PREAMBLE:])
        same = sum(a == b for a, b in zip(one[PREAMBLE + 2000:], two[PREAMBLE + 2000:]))
        self.assertLess(same, len(one) / 256 * 1.3 + len(one) * 64 / 1408)
        self.open("two", "-o", "g")
        self.assertEqual(self.get("g"), data)

    def test_warns(self):
        """keys from a seed are called what they are, also with --quiet"""
        self.make("f", 10)
        self.assertIn(b"NO protection", self.seal("f", "--quiet").stderr)


class Damage(SealCase):
    def refused(self, raw, code=INTEGRITY):
        self.put("bad", bytes(raw))
        done = self.open("bad", "-o", "h", code=code)
        self.assertNotIn("h", self.files())
        return done

    def test_every_byte_of_a_packet(self):
        """a bit flipped anywhere is noticed, and no output appears"""
        self.make("f", 3000)
        self.seal("f")
        raw = self.get("f.sealed")
        first = PREAMBLE + OVERHEAD + PREAMBLE
        places = list(range(first, first + OVERHEAD, 3)) + random.sample(range(PREAMBLE, len(raw)), 40)
        for place in places:
            bad = bytearray(raw)
            bad[place] ^= 1 << random.randrange(8)
            self.refused(bad)

    def test_preamble(self):
        """whatever is changed in the preamble, nothing is opened"""
        self.make("f", 3000)
        self.seal("f")
        raw = self.get("f.sealed")
        for place in [0, 7, 8, 12, 15, 16, 23, 24, 40, 56, 64, 68, 69, 72, 100, 328, 400, 584, 639]:
            bad = bytearray(raw)
            bad[place] ^= 0x01
            self.put("bad", bytes(bad))
            done = self.ssn("open", "--config", "b.toml", "--wait", 0, "-o", "h", "bad", code=None)
            self.assertIn(done.returncode, (INTEGRITY, NOT_A_SHARE, REFUSED, KEYS), place)
            self.assertNotIn("h", self.files())

    def test_cut_and_grown(self):
        """a shortened, lengthened, empty or reordered file is refused"""
        self.make("f", 5 * 1344)
        self.seal("f")
        raw = self.get("f.sealed")
        packet = OVERHEAD + 1344
        first = PREAMBLE + OVERHEAD + PREAMBLE
        for length in (len(raw) - 1, len(raw) - packet, first, PREAMBLE + 1):
            self.refused(raw[:length])
        self.refused(b"", NOT_A_SHARE)
        self.refused(raw[:PREAMBLE - 1], NOT_A_SHARE)
        self.refused(raw + b"x")
        swapped = (raw[:first] + raw[first + packet:first + 2 * packet] + raw[first:first + packet] +
                   raw[first + 2 * packet:])
        self.refused(swapped)
        self.refused(raw[:first + packet] + raw[first:first + packet] + raw[first + 2 * packet:])

    def test_packets_of_another_file(self):
        """packets of another sealed file do not fit"""
        self.make("f", 5000)
        self.seal("f", "-o", "one")
        self.seal("f", "-o", "two")
        one, two = self.get("one"), self.get("two")
        self.refused(one[:3000] + two[3000:])

    def test_other_keys(self):
        """with another seed at the other end nothing opens"""
        self.make("f", 100)
        self.seal("f")
        self.put("b.toml", self.node("sae-b", "%064x" % random.getrandbits(256)))
        self.assertIn(b"other keys", self.refused(self.get("f.sealed")).stderr)


class Refusals(SealCase):
    def ledger_epochs(self):
        return os.path.exists(self.path("sae-a.ledger"))

    def test_before_keys_are_taken(self):
        """an existing output, a missing input and wrong names are refused before a ledger is even made"""
        self.make("f", 100)
        self.put("f.sealed", b"precious")
        self.seal("f", code=REFUSED)
        self.assertEqual(self.get("f.sealed"), b"precious")
        self.seal("missing", code=NOT_FOUND)
        self.ssn("seal", "--config", "a.toml", "--to", "sae-a", "f", code=USAGE)
        self.seal("f", "--cell-size", 100, "--force", code=USAGE)
        self.assertFalse(self.ledger_epochs())

    def test_for_somebody_else(self):
        """a file that was sealed for another node is refused by name"""
        self.make("f", 100)
        self.seal("f")
        done = self.ssn("open", "--config", "a.toml", "-o", "g", "f.sealed", code=REFUSED)
        self.assertIn(b"sae-b", done.stderr)

    def test_configuration(self):
        """mistakes in the configuration are named with file and line"""
        self.make("f", 100)
        text = self.get("a.toml")
        for bad, said in [(text.replace(b"\n\n", b"\nleger = 1\n\n"), b"a.toml:4"),
                          (text.replace(b'"memory"', b'"no-such-driver"'), b"no-such-driver"),
                          (text.replace(b'"memory"', b'"memory"\npeers = ["sae-c"]'), b"sae-c"),
                          (text.split(b"[[")[0], b"no key device"),
                          (text.replace(b"seed", b"sed"), b"sed")]:
            self.put("a.toml", bad)
            done = self.ssn("seal", "--config", "a.toml", "--to", "sae-b", "f", code=None)
            self.assertIn(done.returncode, (USAGE, NOT_FOUND), done.stderr)
            self.assertIn(said, done.stderr)
            self.assertNotIn("f.sealed", self.files())

    def test_not_a_file(self):
        """a pipe has no length: refused with the reason"""
        os.mkfifo(self.path("p"))
        process = self.start("seal", "--config", "a.toml", "--to", "sae-b", "p")
        with open(self.path("p"), "wb"):
            self.assertEqual(process.wait(timeout=20), USAGE)

    def test_one_process_a_ledger(self):
        """two processes of one node: the second says that the first runs"""
        self.make("big", 60 << 20)
        process = self.start("seal", "--config", "a.toml", "--to", "sae-b", "big")
        deadline = time.monotonic() + 20
        while not os.path.exists(self.path("sae-a.ledger")) and time.monotonic() < deadline:
            time.sleep(0.002)
        self.make("f", 100)
        done = self.seal("f", code=None)
        still_running = process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=20)
        if still_running:
            self.assertEqual(done.returncode, TEMPORARY, done.stderr)
        self.seal("f", "--force")  # the lock is gone with the process


if __name__ == "__main__":
    main()
