# SPDX-License-Identifier: BSD-3-Clause
"""Bad shares are found and named, and the rest is restored as long as k good shares are there for each
block."""

import itertools
import os
import random

from support import *

BLOCK = 1000
SIZE = 4500  # five blocks, the last one short


class DamageCase(Case):
    def prepare(self, k=3, n=5, *options, size=SIZE):
        self.data = self.make("f", size)
        return self.split(k, n, "f", "--force", "--block-size", BLOCK, *options)

    def edit(self, name, change):
        file = ShareFile(self.path(name))
        change(file)
        file.save(self.path(name))

    def damage_block(self, name, block):
        self.edit(name, lambda file: file.flip(list(file.blocks())[block][1] + 17))


class Damage(DamageCase):
    def test_each_block_of_each_share(self):
        """one flipped bit in each block of each share: named by share and block, restored from the others"""
        for scheme in (["--scheme", "systematic"], ["--scheme", "ramp", "--data-blocks", 2], ["--scheme",
                                                                                              "rs"]):
            shares = self.prepare(3, 5, *scheme)
            for share in shares:
                blocks = len(list(ShareFile(self.path(share)).blocks()))
                for block in range(blocks):
                    whole = self.get(share)
                    self.damage_block(share, block)
                    report = self.restores(self.data, *shares)
                    wrong = shares.index(share)
                    expected = ["good"] * 5
                    expected[wrong] = "damaged"
                    self.assertEqual(self.states(report), expected)
                    self.assertEqual(report["shares"][wrong]["damaged_blocks"], 1)
                    self.assertIn("first block %d" % block, report["shares"][wrong]["detail"])
                    self.put(share, whole)

    def test_flips_all_over_a_share(self):
        """a bit in every third byte of a share file, header and checksums included, flips: always named,
        never believed"""
        data = self.make("f", 40)
        shares = self.split(2, 3, "f")
        whole = self.get(shares[0])
        noticed = 0
        for offset in range(0, len(whole), 3):
            changed = bytearray(whole)
            changed[offset] ^= 1 << random.randrange(8)
            self.put(shares[0], changed)
            report = self.restores(data, *shares)
            self.assertNotEqual(report["shares"][0]["state"], "good", "offset %d" % offset)
            noticed += 1
        print("  %d flips noticed" % noticed)

    def test_scattered_damage(self):
        """k shares, each damaged in another block: more shares fill the gaps block by block"""
        shares = self.prepare(2, 4)
        for i in range(4):
            self.damage_block(shares[i], i)
        report = self.restores(self.data, *shares)
        self.assertEqual(self.states(report), ["damaged"] * 4)

    def test_damage_beyond_use(self):
        """k shares, one of them damaged: exit 7, the damage is named, no output"""
        shares = self.prepare()
        self.damage_block(shares[1], 2)
        report = self.json("combine", "-o", "g", *shares[:3], code=INTEGRITY)
        self.assertEqual(report["error"]["name"], "integrity")
        self.assertEqual(self.states(report), ["good", "damaged", "good"])
        self.assertIn("block 2", report["error"]["what"])
        self.assertNotIn("g", self.files())
        self.assertEqual(self.temporaries(), [])

    def test_stdout_gets_only_verified_blocks(self):
        """-o -: the blocks before the damage and no byte more, then exit 7"""
        shares = self.prepare()
        self.damage_block(shares[1], 2)
        done = self.ssn("combine", "-o", "-", *shares[:3], code=INTEGRITY)
        self.assertEqual(done.stdout, self.data[:2 * BLOCK])

    def test_moved_block(self):
        """a block in the place of another one, checksum and all, does not pass"""
        shares = self.prepare()

        def swap(file):
            (_, a, length), (_, b, _) = list(file.blocks())[:2]
            end = length + 8
            file.raw[a:a + end], file.raw[b:b + end] = file.raw[b:b + end], file.raw[a:a + end]
        self.edit(shares[0], swap)
        report = self.restores(self.data, *shares)
        self.assertEqual(report["shares"][0]["damaged_blocks"], 2)

    def test_truncated(self):
        """truncated anywhere: named, restored from the others; with k shares exit 11 and no output"""
        shares = self.prepare()
        whole = self.get(shares[2])
        for length in (0, 5, 11, 12, 511, 512, 600, 512 + BLOCK + 8, len(whole) - 8, len(whole) - 1):
            self.put(shares[2], whole[:length])
            report = self.restores(self.data, *shares)
            self.assertIn(report["shares"][2]["state"], ("truncated", "not_a_share"), length)
            if length >= 12:
                self.assertEqual(report["shares"][2]["state"], "truncated", length)
            report = self.json("combine", "-o", "g", *shares[:3], code=NOT_A_SHARE)
            self.assertIn(shares[2], report["error"]["where"])
            self.assertNotIn("g", self.files())

    def test_truncated_shares_still_help(self):
        """blocks that a truncated share has are used where another one is damaged"""
        shares = self.prepare(2, 3)
        self.damage_block(shares[0], 0)
        self.put(shares[1], self.get(shares[1])[:512 + 2 * (BLOCK + 8)])
        report = self.restores(self.data, *shares)
        self.assertEqual(self.states(report), ["damaged", "truncated", "good"])

    def test_trailing_bytes(self):
        """bytes after the last block are named and do no harm"""
        shares = self.prepare()
        self.put(shares[0], self.get(shares[0]) + b"more")
        report = self.restores(self.data, *shares[:3])
        self.assertEqual(self.states(report), ["damaged", "good", "good"])
        self.assertIn("after its last block", report["shares"][0]["detail"])

    def test_header(self):
        """headers: damaged, unknown version, unknown feature, impossible fields; never believed, always
        named"""
        shares = self.prepare()

        def set_bytes(offset, value, seal=True):
            def change(file):
                file.raw[offset:offset + len(value)] = value
                if seal:
                    file.seal_header()
            return change
        cases = [("its checksum does not match", set_bytes(14, b"\x09", seal=False), INTEGRITY),
                 ("format version 2", set_bytes(8, b"\x02\x00"), NOT_A_SHARE),
                 ("format version 0", set_bytes(8, b"\x00\x00"), NOT_A_SHARE),
                 ("features", set_bytes(18, b"\x01"), NOT_A_SHARE),
                 ("reserved", set_bytes(100, b"\x01"), INTEGRITY),
                 ("bytes long", set_bytes(10, b"\x08\x00", seal=False), INTEGRITY),
                 ("bytes long", set_bytes(10, b"\xff\xff", seal=False), INTEGRITY),
                 ("scheme 9", set_bytes(12, b"\x09"), INTEGRITY),
                 ("threshold", set_bytes(13, b"\x01"), INTEGRITY),
                 ("threshold", set_bytes(13, b"\x06"), INTEGRITY),
                 ("share index 6", set_bytes(16, b"\x06"), INTEGRITY),
                 ("share index 0", set_bytes(16, b"\x00"), INTEGRITY),
                 ("random source", set_bytes(17, b"\x00"), INTEGRITY),
                 ("random source", set_bytes(17, b"\x07"), INTEGRITY),
                 ("blocks of 63", set_bytes(20, b"\x3f\x00\x00\x00"), INTEGRITY),
                 ("blocks of", set_bytes(20, b"\xff\xff\xff\xff"), INTEGRITY),
                 ("an object of", set_bytes(24, b"\xff" * 8), INTEGRITY)]
        for text, change, code in cases:
            with self.subTest(expected=text):
                whole = self.get(shares[0])
                self.edit(shares[0], change)
                report = self.restores(self.data, *shares)
                self.assertIn(text, report["shares"][0]["detail"])
                self.assertIn(report["shares"][0]["state"], ("damaged", "not_a_share"))
                report = self.json("combine", "-o", "g", *shares[:3], code=code)
                self.assertIn(text, report["error"]["why"])
                self.assertNotIn("g", self.files())
                self.put(shares[0], whole)

    def test_optional_feature(self):
        """an optional feature of a later version is skipped, reserved bytes with it"""
        shares = self.prepare()
        for share in shares:
            def change(file):
                file.raw[19] = 1
                file.raw[48:80] = bytes(range(32))
                file.seal_header()
            self.edit(share, change)
        self.restores(self.data, *shares[:3])

    def test_longer_header(self):
        """a longer header, as a later version may write, is skipped"""
        shares = self.prepare()

        def change(file):
            file.raw[504:512] = bytes(8 + 512)  # the checksum moves to the end
            file.raw[10:12] = (1024).to_bytes(2, "little")
            file.header_bytes = 1024
            file.seal_header()
        self.edit(shares[0], change)
        report = self.restores(self.data, *shares[:3])
        self.assertEqual(self.states(report), ["good"] * 3)

    def test_not_a_share(self):
        """other files among the shares are named; alone they give exit 11"""
        shares = self.prepare()
        self.put("junk", b"no share at all, but long enough to be one" * 50)
        self.put("empty", b"")
        report = self.restores(self.data, "junk", *shares, "empty")
        self.assertEqual(self.states(report), ["not_a_share"] + ["good"] * 5 + ["not_a_share"])
        self.ssn("combine", "-o", "g", "junk", "empty", "f", code=NOT_A_SHARE)
        self.ssn("combine", "-o", "g", shares[0], shares[1], "junk", code=NOT_A_SHARE)
        self.ssn("combine", "-o", "g", "junk", code=NOT_A_SHARE)
        self.assertNotIn("g", self.files())

    def test_missing_and_unreadable(self):
        """missing and unreadable files are named; when too few are left exit 4 or 1"""
        shares = self.prepare()
        report = self.restores(self.data, "gone", *shares[:3], self.dir, "/proc/self/mem")
        self.assertEqual(self.states(report), ["unreadable", "good", "good", "good", "unreadable",
                                               "unreadable"])
        self.ssn("combine", "-o", "g", shares[0], shares[1], "gone", code=NOT_FOUND)
        self.ssn("combine", "-o", "g", shares[0], shares[1], self.dir, code=FAILED)
        self.ssn("combine", "-o", "g", shares[0], shares[1], "/proc/self/mem", code=FAILED)
        if os.geteuid() != 0:
            os.chmod(self.path(shares[2]), 0)
            done = self.ssn("combine", "-o", "g", *shares[:3], code=FAILED)
            self.assertIn(b"Permission denied", done.stderr)
        else:
            print("  not checked: file permissions, which do not bind root")
        self.assertNotIn("g", self.files())


class WrongShares(DamageCase):
    """Shares that were changed by somebody who made the checksums right again."""

    def lie(self, name, block, byte=0):
        self.edit(name, lambda file: file.lie(block, byte))

    def test_one_liar_of_each(self):
        """(3,5): each single share lies in each block; it is named, the output is right"""
        for scheme in (["--scheme", "systematic"], ["--scheme", "classic"], ["--scheme", "ramp",
                                                                             "--data-blocks", 2],
                       ["--scheme", "rs"]):
            shares = self.prepare(3, 5, *scheme)
            blocks = len(list(ShareFile(self.path(shares[0])).blocks()))
            for liar, block in itertools.product(range(5), range(blocks)):
                whole = self.get(shares[liar])
                self.lie(shares[liar], block, random.randrange(100))
                report = self.restores(self.data, *shares)
                expected = ["good"] * 5
                expected[liar] = "wrong"
                self.assertEqual(self.states(report), expected)
                self.assertIn("first in block %d" % block, report["shares"][liar]["detail"])
                self.assertEqual(report["checked_blocks"], report["blocks"])
                self.put(shares[liar], whole)

    def test_two_liars_of_seven(self):
        """(3,7): two liars in different blocks and in the same column, together with one missing share"""
        shares = self.prepare(3, 7)
        self.lie(shares[1], 0, 5)
        self.lie(shares[4], 0, 5)
        report = self.restores(self.data, *shares)
        self.assertEqual(self.states(report), ["good", "wrong", "good", "good", "wrong", "good", "good"])
        shares = self.prepare(3, 7)
        self.lie(shares[0], 1)
        self.lie(shares[6], 3)
        report = self.restores(self.data, *shares[:3], *shares[4:])
        self.assertEqual(self.states(report), ["wrong", "good", "good", "good", "good", "wrong"])

    def test_liar_and_damage(self):
        """a liar in one block, a damaged share in the same block: 2e + s <= n - k holds with (3,6)"""
        shares = self.prepare(3, 6)
        self.lie(shares[0], 2)
        self.damage_block(shares[5], 2)
        report = self.restores(self.data, *shares)
        self.assertEqual(self.states(report), ["wrong", "good", "good", "good", "good", "damaged"])

    def test_detected_but_not_located(self):
        """k + 1 shares, one lies: noticed, cannot be told, exit 7, no output"""
        shares = self.prepare()
        self.lie(shares[2], 3)
        report = self.json("combine", "-o", "g", *shares[:4], code=INTEGRITY)
        self.assertIn("contradict", report["error"]["why"])
        self.assertIn("block 3", report["error"]["why"])
        self.assertNotIn("g", self.files())

    def test_header_liar(self):
        """a share that claims other parameters for the same object is left out and named"""
        shares = self.prepare()

        def change(file):
            file.raw[24:32] = (10**6).to_bytes(8, "little")
            file.seal_header()
        self.edit(shares[0], change)
        report = self.restores(self.data, *shares)
        self.assertEqual(self.states(report), ["foreign", "good", "good", "good", "good"])
        self.assertIn("other parameters", report["shares"][0]["detail"])

    def test_relabelled_share(self):
        """a share with another share's number (header made right again) is caught by the bound checksums"""
        shares = self.prepare()

        def change(file):
            file.raw[16] = 5
            file.seal_header()
        self.edit(shares[0], change)
        report = self.restores(self.data, *shares[:4])
        self.assertEqual(self.states(report), ["damaged", "good", "good", "good"])


class Sets(Case):
    def two_objects(self):
        self.a, self.b = self.make("a", 3000), self.make("b", 3000)
        return self.split(3, 5, "a"), self.split(3, 5, "b")

    def test_too_few(self):
        """fewer than k shares: exit 8, says how many are missing"""
        data = self.make("f", 1000)
        shares = self.split(4, 6, "f")
        for count in (1, 2, 3):
            for given in itertools.combinations(shares, count):
                report = self.json("combine", "-o", "g", *given, code=UNRECOVERABLE)
                self.assertEqual(report["error"]["name"], "unrecoverable")
                self.assertIn("%d of the 4 needed" % count, report["error"]["why"])
                self.assertIn("give %d more" % (4 - count), report["error"]["fix"])
        self.assertNotIn("g", self.files())
        self.restores(data, *shares[:4])

    def test_duplicates_do_not_count(self):
        """the same share twice counts once: exit 8; and it is named when there are enough"""
        data = self.make("f", 1000)
        shares = self.split(3, 5, "f")
        self.ssn("combine", "-o", "g", shares[0], shares[1], shares[0], code=UNRECOVERABLE)
        report = self.restores(data, shares[0], shares[0], shares[1], shares[2])
        self.assertEqual(self.states(report), ["good", "duplicate", "good", "good"])

    def test_copies_mend_each_other(self):
        """two copies of one share, each damaged elsewhere, make one good share"""
        data = self.make("f", 4000)
        shares = self.split(2, 3, "f", "--block-size", BLOCK)
        copy = ShareFile(self.path(shares[0]))
        copy.flip(512 + 3)
        copy.save(self.path("copy1"))
        copy = ShareFile(self.path(shares[0]))
        copy.flip(512 + 2 * (BLOCK + 8))
        copy.save(self.path("copy2"))
        report = self.restores(data, "copy1", "copy2", shares[2])
        self.assertEqual(self.states(report), ["damaged", "damaged", "good"])

    def test_copies_that_differ(self):
        """two copies of one share with right checksums differ: settled by a surplus share, else exit 7"""
        data = self.make("f", 4000)
        shares = self.split(2, 4, "f", "--block-size", BLOCK)
        liar = ShareFile(self.path(shares[0]))
        liar.lie(1)
        liar.save(self.path("liar"))
        self.ssn("combine", "-o", "g", shares[0], "liar", shares[1], code=INTEGRITY)
        self.ssn("combine", "-o", "g", "liar", shares[0], shares[1], code=INTEGRITY)
        self.assertNotIn("g", self.files())
        report = self.restores(data, shares[0], "liar", *shares[1:])
        self.assertEqual(self.states(report), ["good", "wrong", "good", "good", "good"])
        report = self.restores(data, "liar", shares[0], *shares[1:])
        self.assertEqual(self.states(report), ["wrong", "duplicate", "good", "good", "good"])

    def test_foreign(self):
        """shares of another object are named and left out"""
        a, b = self.two_objects()
        report = self.restores(self.a, b[0], a[0], b[1], a[3], a[4])
        self.assertEqual(self.states(report), ["foreign", "good", "foreign", "good", "good"])
        self.assertIn("belongs to object", report["shares"][0]["detail"])

    def test_mixed_objects(self):
        """two complete objects, or several incomplete ones: exit 10, no output"""
        a, b = self.two_objects()
        report = self.json("combine", "-o", "g", *a[:3], *b[:3], code=MIXED)
        self.assertEqual(report["error"]["name"], "mixed_objects")
        self.ssn("combine", "-o", "g", *a[:2], b[0], code=MIXED)
        self.ssn("combine", "-o", "g", a[0], b[1], code=MIXED)
        self.assertNotIn("g", self.files())

    def test_order_does_not_matter(self):
        """any order of any five of (3,5)"""
        data = self.make("f", 3000)
        shares = self.split(3, 5, "f")
        for order in itertools.permutations(shares):
            if random.random() < 0.25:
                self.ssn("combine", "--force", "-q", "-o", "g", *order)
                self.assertEqual(self.get("g"), data)


if __name__ == "__main__":
    main()
