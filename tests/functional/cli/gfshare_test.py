# SPDX-License-Identifier: BSD-3-Clause
"""Shares of libgfshare: what ssn splits gfcombine joins, and what gfsplit splits ssn combines."""

import itertools
import os
import random
import shutil
import subprocess

from support import *


class Gfshare(Case):
    def run_tool(self, *arguments):
        subprocess.run(arguments, cwd=self.dir, check=True, timeout=60)

    def gfsplit(self, k, n, name):
        """Its share numbers are random. Returns the files."""
        self.run_tool("gfsplit", "-n", str(k), "-m", str(n), name)
        return [f for f in self.files() if f.startswith(name + ".") and f[-3:].isdigit()]

    def test_ssn_to_gfcombine(self):
        """ssn split --format gfshare, then gfcombine of every k-subset"""
        for k, n in ((2, 2), (3, 5), (5, 6)):
            for size in (1, 64, 5001):
                data = self.make("f", size)
                self.ssn("split", "--force", "--format", "gfshare", "--k", k, "--n", n, "f")
                shares = ["f.%03d" % i for i in range(1, n + 1)]
                self.assertEqual([os.path.getsize(self.path(s)) for s in shares], [size] * n)
                for subset in itertools.combinations(shares, k):
                    self.run_tool("gfcombine", "-o", "g", *subset)
                    self.assertEqual(self.get("g"), data)
                    os.unlink(self.path("g"))

    def test_many_blocks_to_gfcombine(self):
        """the same with 3 MB, which is several blocks, and with explicit --scheme classic"""
        data = self.make("f", 3000003)
        self.ssn("split", "--scheme", "classic", "--format", "gfshare", "--k", 3, "--n", 12, "f")
        self.run_tool("gfcombine", "-o", "g", "f.002", "f.012", "f.009")
        self.assertEqual(self.get("g"), data)

    def test_gfsplit_to_ssn(self):
        """gfsplit, then ssn combine --format gfshare of every k-subset in any order"""
        for k, n, size in ((2, 3, 1), (3, 5, 5001), (4, 5, 2500000)):
            name = "f%d" % k
            data = self.make(name, size)
            shares = self.gfsplit(k, n, name)
            self.assertEqual(len(shares), n)
            print("  gfsplit made", *shares)
            for subset in itertools.combinations(shares, k):
                report = self.restores(data, *random.sample(subset, k), options=["--format", "gfshare"])
                self.assertEqual(report["checked_blocks"], 0)

    def test_liar_among_gfshare_files(self):
        """with --k less than the files given a changed file is named and left out"""
        data = self.make("f", 5001)
        shares = self.gfsplit(3, 5, "f")
        for liar in range(5):
            whole = self.get(shares[liar])
            changed = bytearray(whole)
            changed[random.randrange(5001)] ^= 0x10
            self.put(shares[liar], changed)
            report = self.restores(data, *shares, options=["--format", "gfshare", "--k", 3])
            expected = ["good"] * 5
            expected[liar] = "wrong"
            self.assertEqual(self.states(report), expected)
            self.ssn("combine", "--format", "gfshare", "--k", 3, "-o", "g",
                     *[s for s in shares if s != shares[liar - 1]],
                     code=INTEGRITY)
            self.put(shares[liar], whole)

    def test_wrong_sets(self):
        """too few for --k: 8; another length: foreign; another name: 11; missing: 4"""
        data = self.make("f", 500)
        shares = self.gfsplit(3, 5, "f")
        gf = ["--format", "gfshare"]
        self.ssn("combine", *gf, "--k", 4, "-o", "g", *shares[:3], code=UNRECOVERABLE)
        self.ssn("combine", *gf, "-o", "g", shares[0], code=UNRECOVERABLE)
        # gfsplit draws the indices of its shares: one that it did not draw.
        used = {int(str(share).rsplit(".", 1)[1]) for share in shares}
        short = "short.%03d" % min(set(range(1, 256)) - used)
        self.put(short, b"12345")
        report = self.restores(data, short, *shares[:3], options=[*gf, "--k", 3])
        self.assertEqual(self.states(report), ["foreign", "good", "good", "good"])
        self.ssn("combine", *gf, "-o", "g", short, shares[0], shares[1], code=MIXED)
        self.ssn("combine", *gf, "-o", "g", shares[0], "f", code=NOT_A_SHARE)
        self.put("f.000", self.get(shares[0]))
        self.put("f.256", self.get(shares[0]))
        self.ssn("combine", *gf, "--k", 2, "-o", "g", "f.000", "f.256", code=NOT_A_SHARE)
        gone = short.replace("short", "gone")
        self.ssn("combine", *gf, "-o", "g", shares[0], shares[1], gone, code=NOT_FOUND)
        self.assertNotIn("g", self.files())

    def test_usage(self):
        """gfshare files hold scheme classic only; --k belongs to gfshare"""
        self.make("f", 10)
        self.ssn("split", "--format", "gfshare", "--scheme", "ramp", "--data-blocks", 1, "--k", 2, "--n", 3,
                 "f", code=USAGE)
        self.ssn("split", "--format", "gfshare", "--scheme", "systematic", "--k", 2, "--n", 3, "f",
                 code=USAGE)
        self.ssn("combine", "--k", 2, "-o", "g", "f", code=USAGE)
        self.assertEqual(self.files(), ["f"])


if __name__ == "__main__":
    for tool in ("gfsplit", "gfcombine"):
        if shutil.which(tool) is None:
            skip_all("%s is not installed (Debian package libgfshare-bin)" % tool)
    main()
