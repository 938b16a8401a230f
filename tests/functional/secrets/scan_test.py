# SPDX-License-Identifier: BSD-3-Clause
"""The memory scanner itself: it finds a secret wherever a process may keep it, and not once it is erased."""

import os
import subprocess
import sys
import tempfile
import unittest

import memory_scan
from memory_scan import CannotScan, scan_files, scan_process

# Keeps a secret in three kinds of memory, then erases it on command. The secret comes masked, so that the
# interpreter's own copies of its input are not what is found.
KEEPER = """
import ctypes, mmap, os, sys
masked = bytes.fromhex(sys.stdin.readline().strip())
anonymous = mmap.mmap(-1, 3 << 22)
memfd = os.memfd_create("keeper")
os.ftruncate(memfd, 1 << 20)
shared = mmap.mmap(memfd, 1 << 20)
heap = ctypes.create_string_buffer(4096)
places = [(anonymous, (1 << 22) - 5), (shared, 777), (heap, 100)]
def each(value):
    for place, offset in places:
        for i in range(len(masked)):
            byte = value(i)
            place[offset + i] = byte if place is not heap else bytes([byte])
each(lambda i: masked[i] ^ 0x5A)
print("kept", flush=True)
sys.stdin.readline()
each(lambda i: 0)
print("erased", flush=True)
sys.stdin.readline()
"""


class Scan(unittest.TestCase):
    def keeper(self, secret):
        process = subprocess.Popen([sys.executable, "-c", KEEPER], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.stdin.close)
        process.stdin.write(bytes(b ^ 0x5A for b in secret).hex() + "\n")
        process.stdin.flush()
        self.assertEqual(process.stdout.readline(), "kept\n")
        return process

    def scan(self, pid, needles):
        try:
            return scan_process(pid, needles)
        except CannotScan as error:
            self.skipTest(str(error))

    def test_finds_and_does_not_find(self):
        """a secret is found in anonymous memory (across blocks), a memfd and the heap; erased, it is gone"""
        secret, other = os.urandom(32), os.urandom(32)
        needles = {"secret": secret, "other": other}
        process = self.keeper(secret)
        hits = self.scan(process.pid, needles)
        self.assertEqual(set(hits), {"secret"})
        self.assertEqual(len(hits["secret"]), 3, hits)
        self.assertTrue(any("memfd:keeper" in mapping for _, mapping in hits["secret"]))
        process.stdin.write("\n")
        process.stdin.flush()
        self.assertEqual(process.stdout.readline(), "erased\n")
        self.assertEqual(self.scan(process.pid, needles), {})

    def test_files(self):
        """files: found at its offset, also across the scanner's blocks"""
        secret = os.urandom(16)
        with tempfile.TemporaryDirectory() as folder:
            os.mkdir(os.path.join(folder, "inner"))
            path = os.path.join(folder, "inner", "file")
            with open(path, "wb") as file:
                file.write(bytes(memory_scan.BLOCK - 7) + secret + bytes(100))
            self.assertEqual(scan_files([folder], {"secret": secret}),
                             {"secret": [(memory_scan.BLOCK - 7, path)]})
            self.assertEqual(scan_files([folder], {"other": os.urandom(16)}), {})

    def test_refuses_short_needles(self):
        """a needle that is found by chance is refused"""
        with self.assertRaises(ValueError):
            scan_process(os.getpid(), {"short": b"abc"})


if __name__ == "__main__":
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(
        unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"]))
    sys.exit(77 if len(result.skipped) == result.testsRun else 0 if result.wasSuccessful() else 1)
