# SPDX-License-Identifier: BSD-3-Clause
"""Shares restore what was split: every scheme, size, subset of shares, kernel implementation, pipe and
device."""

import itertools
import json
import math
import os
import random
import subprocess
import threading

from support import *

MIB = 1 << 20
LAYOUTS = [("systematic", 2, 2, None), ("systematic", 3, 5, None), ("systematic", 6, 9, None),
           ("classic", 2, 3, None), ("classic", 3, 5, None), ("ramp", 3, 5, 1), ("ramp", 4, 8, 2),
           ("ramp", 5, 7, 3), ("rs", 1, 3, None), ("rs", 3, 5, None), ("rs", 6, 9, None)]


def layout_options(scheme, blocks):
    return ["--scheme", scheme] + (["--data-blocks", blocks] if blocks else [])


class RoundTrip(Case):
    def test_schemes_and_sizes(self):
        """every scheme restores 0, 1, 63, 64, 65 bytes and some around a block from k random shares"""
        for scheme, k, n, blocks in LAYOUTS:
            for size in (0, 1, 63, 64, 65, 1023, 1024, 1025, 5000):
                with self.subTest(scheme=scheme, k=k, n=n, size=size):
                    data = self.make("f", size)
                    shares = self.split(k, n, "f", "--force", "--block-size", 512, *layout_options(scheme,
                                                                                                   blocks))
                    self.restores(data, *random.sample(shares, k))

    def test_large_sizes(self):
        """1 MiB - 1, 1 MiB, 1 MiB + 1 and several MiB with the default block size"""
        for scheme, k, n, blocks in (("systematic", 3, 5, None), ("ramp", 4, 6, 2), ("rs", 3, 5, None)):
            for size in (MIB - 1, MIB, MIB + 1, 7 * MIB + 4711):
                with self.subTest(scheme=scheme, size=size):
                    data = self.make("f", size)
                    shares = self.split(k, n, "f", "--force", *layout_options(scheme, blocks))
                    self.restores(data, *random.sample(shares, k))

    def test_all_subsets(self):
        """all 10 subsets of (3,5), in random order, of every scheme"""
        for scheme, blocks in (("systematic", None), ("classic", None), ("ramp", 2), ("rs", None)):
            data = self.make("f", 3000)
            shares = self.split(3, 5, "f", "--force", "--block-size", 1024, *layout_options(scheme, blocks))
            for subset in itertools.combinations(shares, 3):
                self.restores(data, *random.sample(subset, 3))

    def test_many_shares(self):
        """255 shares, the most there can be, any 2 of them and any 200 of them"""
        data = self.make("f", 300)
        shares = self.split(2, 255, "f")
        self.restores(data, *random.sample(shares, 2))
        shares = self.split(200, 255, "f", "--force")
        self.restores(data, *random.sample(shares, 200))

    def test_file_length(self):
        """share files are as long as the format says: no more than header, share and checksums"""
        for scheme, k, n, blocks in LAYOUTS:
            length = blocks or (k if scheme == "rs" else 1)
            self.make("f", 10000)
            for share in self.split(k, n, "f", "--force", "--block-size", 2048, *layout_options(scheme,
                                                                                                blocks)):
                count = math.ceil(10000 / (2048 * length))
                rest = math.ceil((10000 - (count - 1) * 2048 * length) / length)
                self.assertEqual(os.path.getsize(self.path(share)),
                                 512 + (count - 1) * 2048 + rest + 8 * count)

    def test_second_implementation_of_the_format(self):
        """headers and checksums are those that the test's own reading of the format gives"""
        self.assertEqual(crc64(b"123456789"), 0x995DC9BBDF1939FA)
        self.make("f", 2500)
        ids = set()
        for index, share in enumerate(self.split(3, 5, "f", "--block-size", 1000), 1):
            file = ShareFile(self.path(share))
            self.assertEqual((file.version, file.header_bytes, file.scheme, file.k, file.n, file.data_blocks),
                             (1, 512, 1, 3, 5, 1))
            self.assertEqual((file.share, file.random, file.block_bytes, file.object_bytes), (index, 1, 1000,
                                                                                              2500))
            self.assertEqual(file.raw[48:504], bytes(456))
            self.assertEqual(int.from_bytes(file.raw[504:512], "little"), crc64(file.raw[:504]))
            for number, offset, length in file.blocks():
                stored = int.from_bytes(file.raw[offset + length:offset + length + 8], "little")
                self.assertEqual(stored, file.checksum(number, offset, length))
            ids.add(bytes(file.object_id))
        self.assertEqual(len(ids), 1)

    def test_padding(self):
        """a short last block is filled up with zeros, not with what was in memory"""
        data = self.make("f", 601)
        shares = self.split(3, 4, "f", "--scheme", "rs", "--block-size", 100)
        contents = [ShareFile(self.path(share)).share_bytes() for share in shares]
        self.assertEqual(contents[0], data[:100] + data[300:400] + data[600:])
        self.assertEqual(contents[1], data[100:200] + data[400:500] + b"\0")
        self.assertEqual(contents[2], data[200:300] + data[500:600] + b"\0")

    def test_splits_differ(self):
        """two splits of one file share nothing: neither object id nor a share"""
        self.make("f", 4096)
        self.ssn("split", "--k", 2, "--n", 3, "--name", "a", "f")
        self.ssn("split", "--k", 2, "--n", 3, "--name", "b", "f")
        for i in (1, 2, 3):
            a, b = ShareFile(self.path("a.%d.ssn" % i)), ShareFile(self.path("b.%d.ssn" % i))
            self.assertNotEqual(a.object_id, b.object_id)
            self.assertNotEqual(a.share_bytes(), b.share_bytes())
            self.assertNotIn(self.get("f")[:64], bytes(a.raw))


class Kernels(Case):
    def names(self):
        report = json.loads(self.ssn("version", "--json").stdout)
        listed = report["kernels"]["implementations"]
        return [i["name"] for i in listed if i["supported"]]

    def test_every_implementation(self):
        """SSN_KERNELS: what one implementation splits all others restore"""
        names = self.names()
        self.assertIn("scalar", names)
        data = self.make("f", 3 * 4096 + 77)
        for splitter in names:
            report = self.json("split", "--k", 3, "--n", 5, "--force", "--block-size", 4096, "f",
                               environment={"SSN_KERNELS": splitter})
            self.assertEqual(report["kernels"], splitter)
            for combiner in names:
                shares = random.sample(["f.%d.ssn" % i for i in range(1, 6)], 4)
                report = self.json("combine", "--force", "-o", "g", *shares,
                                   environment={"SSN_KERNELS": combiner})
                self.assertEqual(report["kernels"], combiner)
                self.assertEqual(self.get("g"), data)
            print("  %s: restored by %s" % (splitter, ", ".join(names)))

    def test_unknown_implementation(self):
        """SSN_KERNELS with an unknown name: exit 12, nothing is written, the names are listed"""
        self.make("f", 10)
        forced = {"SSN_KERNELS": "abacus"}
        for command in (["split", "--k", "2", "--n", "3", "f"], ["combine", "-o", "g", "f"], ["version"]):
            done = self.ssn(*command, code=KERNELS, environment=forced)
            self.assertIn(b"SSN_KERNELS=abacus", done.stderr)
            self.assertIn(b"scalar", done.stderr)
        self.assertEqual(self.files(), ["f"])


class Streams(Case):
    def test_pipes(self):
        """standard input to shares, shares to standard output"""
        data = random.randbytes(3 * MIB + 5)
        self.ssn("split", "--k", 2, "--n", 3, "--name", "s", "-", stdin=data)
        self.assertEqual(self.files(), ["s.1.ssn", "s.2.ssn", "s.3.ssn"])
        done = self.ssn("combine", "-o", "-", "s.3.ssn", "s.1.ssn")
        self.assertEqual(done.stdout, data)
        self.ssn("split", "--k", 2, "--n", 2, "-", stdin=b"")
        self.assertEqual(self.ssn("combine", "-o", "-", "stdin.1.ssn", "stdin.2.ssn").stdout, b"")

    def test_shares_from_pipes(self):
        """shares may be pipes, as with the shell's <(...)"""
        data = self.make("f", 100000)
        self.split(2, 3, "f", "--block-size", 4096)
        script = '"$0" combine -o - <(cat f.1.ssn) <(cat f.3.ssn)'
        done = subprocess.run(["bash", "-c", script, SSN], cwd=self.dir, stdout=subprocess.PIPE, timeout=60,
                              check=True)
        self.assertEqual(done.stdout, data)

    def test_bounded_memory(self):
        """memory use does not grow with the input"""
        def peak(megabytes):
            process = self.start("split", "--force", "-q", "--k", 2, "--n", 2, "-", stdin=subprocess.PIPE)
            for _ in range(megabytes):
                process.stdin.write(bytes(MIB))
            process.stdin.flush()  # all but what the pipe holds has been read now
            with open("/proc/%d/status" % process.pid, encoding="ascii") as file:
                peak_line = next(line for line in file if line.startswith("VmHWM:"))
            process.stdin.close()
            self.assertEqual(process.wait(timeout=60), 0)
            return int(peak_line.split()[1])
        small, large = peak(4), peak(64)
        print("  peak memory: %d KiB for 4 MiB, %d KiB for 64 MiB" % (small, large))
        self.assertLess(large - small, 8 * 1024)


class RandomDevice(Case):
    def feed(self, data):
        """A fifo that delivers `data`, then ends."""
        os.mkfifo(self.path("rng"))

        def write():
            try:
                with open(self.path("rng"), "wb") as file:
                    file.write(data)
            except BrokenPipeError:
                pass
        thread = threading.Thread(target=write)
        thread.start()
        self.addCleanup(thread.join)

    def test_device_bytes_are_used_once_each(self):
        """--random-device: share 1 is the device's bytes, share 2 their XOR with the data; the header says
        so"""
        data = self.make("f", 2500)
        noise = random.randbytes(2500)
        self.feed(noise)
        report = self.json("split", "--k", 2, "--n", 2, "--block-size", 1000, "--random-device", "rng", "f")
        self.assertEqual(report["object"]["random"], "device")
        self.assertEqual(report["object"]["secrecy"], "information-theoretic")
        one, two = ShareFile(self.path("f.1.ssn")), ShareFile(self.path("f.2.ssn"))
        self.assertEqual(one.random, 2)
        self.assertEqual(one.share_bytes(), noise)
        self.assertEqual(two.share_bytes(), bytes(a ^ b for a, b in zip(data, noise)))
        self.restores(data, "f.1.ssn", "f.2.ssn")

    def test_character_device(self):
        """a character device works"""
        data = self.make("f", 70000)
        self.ssn("split", "--k", 3, "--n", 4, "--random-device", "/dev/urandom", "f")
        self.restores(data, "f.1.ssn", "f.4.ssn", "f.2.ssn")

    def test_device_that_ends(self):
        """a device that ends too early: exit 1, nothing is written"""
        self.make("f", 2500)
        self.feed(random.randbytes(2499))
        done = self.ssn("split", "--k", 2, "--n", 2, "--random-device", "rng", "f", code=FAILED)
        self.assertIn(b"ended after 2499 of 2500 bytes", done.stderr)
        self.assertEqual(self.files(), ["f", "rng"])

    def test_stuck_device(self):
        """a device that repeats one byte: exit 1, nothing is written"""
        self.make("f", 2500)
        done = self.ssn("split", "--k", 2, "--n", 2, "--random-device", "/dev/zero", "f", code=FAILED)
        self.assertIn(b"the same byte", done.stderr)
        self.assertEqual(self.files(), ["f"])

    def test_stored_file(self):
        """a stored file as random device is refused: its bytes could serve twice"""
        self.make("f", 100)
        self.make("noise", 1000)
        self.ssn("split", "--k", 2, "--n", 2, "--random-device", "noise", "f", code=REFUSED)
        self.ssn("split", "--k", 2, "--n", 2, "--random-device", "nothing", "f", code=NOT_FOUND)
        self.assertEqual(self.files(), ["f", "noise"])


if __name__ == "__main__":
    main()
