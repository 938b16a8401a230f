# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of the ssn command share: running it, and a second implementation of the share file format.

Each test file is a program: `NAME_test.py PATH_OF_SSN`. It prints what it checks, line by line.
Exit code 0: all good, 1: a check failed, 77: cannot run here (the reason is printed).
"""

import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

SOURCE_ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
SSN = os.path.realpath(sys.argv[1]) if len(sys.argv) > 1 else ""

# In memory where possible: every run of the command syncs its files. SSN_TEST_DIR chooses another place.
TEST_DIRECTORY = os.environ.get("SSN_TEST_DIR") or ("/dev/shm" if os.access("/dev/shm", os.W_OK) else None)

OK, FAILED, USAGE, NOT_FOUND, TEMPORARY, REFUSED = 0, 1, 2, 4, 5, 6
INTEGRITY, UNRECOVERABLE, MIXED, NOT_A_SHARE, KERNELS = 7, 8, 10, 11, 12

MAGIC = b"\x89SSN\r\n\x1a\n"
HEADER = 512


def skip_all(reason):
    print("skipped:", reason)
    sys.exit(77)


def main():
    if not os.access(SSN, os.X_OK):
        print("usage: %s PATH_OF_SSN (not an executable: %r)" % (sys.argv[0], SSN), file=sys.stderr)
        sys.exit(2)
    seed = os.environ.get("SSN_TEST_SEED", str(int(time.time())))
    random.seed(seed)
    print("seed %s (repeat with SSN_TEST_SEED=%s)" % (seed, seed), flush=True)
    # One stream, in order: what is checked, then its result.
    runner = unittest.TextTestRunner(stream=sys.stdout, verbosity=2)
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
    result = runner.run(suite)
    if result.testsRun == 0:
        print("no test ran", file=sys.stderr)
        sys.exit(1)
    sys.exit(0 if result.wasSuccessful() else 1)


# ---- The share file format, written a second time from docs/share-file-format.md ---------------------------

def _crc_table():
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (0xC96C5795D7870F42 if value & 1 else 0)
        table.append(value)
    return table


_CRC_TABLE = _crc_table()


def crc64(data):
    value = 0xFFFFFFFFFFFFFFFF
    for byte in data:
        value = _CRC_TABLE[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ 0xFFFFFFFFFFFFFFFF


class ShareFile:
    """A share file in memory, to be looked at and falsified."""

    FIELDS = ("version", "header_bytes", "scheme", "k", "n", "data_blocks", "share", "random", "required",
              "optional",
              "block_bytes", "object_bytes", "object_id")

    def __init__(self, path):
        with open(path, "rb") as file:
            self.raw = bytearray(file.read())
        assert self.raw[:8] == MAGIC, path
        for name, value in zip(self.FIELDS, struct.unpack("<HHBBBBBBBBIQ16s", self.raw[8:48])):
            setattr(self, name, value)

    def blocks(self):
        """(number, offset, share bytes) of every block."""
        per_block = self.block_bytes * self.data_blocks
        offset = self.header_bytes
        count = -(-self.object_bytes // per_block)
        for number in range(count):
            data = min(per_block, self.object_bytes - number * per_block)
            length = -(-data // self.data_blocks)
            yield number, offset, length
            offset += length + 8

    def checksum(self, number, offset, length):
        bound = bytes(self.object_id) + struct.pack("<IQ", self.share, number)
        return crc64(bound + self.raw[offset:offset + length])

    def share_bytes(self):
        return b"".join(bytes(self.raw[o:o + length]) for _, o, length in self.blocks())

    def flip(self, offset, mask=0x01):
        self.raw[offset] ^= mask

    def lie(self, block, byte=0, mask=0x5A):
        """Changes a byte of a block and makes its checksum right again."""
        number, offset, length = list(self.blocks())[block]
        self.raw[offset + byte] ^= mask
        checksum = self.checksum(number, offset, length)
        self.raw[offset + length:offset + length + 8] = struct.pack("<Q", checksum)

    def seal_header(self):
        end = self.header_bytes - 8
        self.raw[end:end + 8] = struct.pack("<Q", crc64(self.raw[:end]))

    def save(self, path):
        with open(path, "wb") as file:
            file.write(self.raw)
        return path


# ---- Running the command -----------------------------------------------------------------------------------

class Case(unittest.TestCase):
    """A test with a directory of its own, which is the working directory of the command."""

    maxDiff = None

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="ssn-test-", dir=TEST_DIRECTORY)
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.dir, name)

    def make(self, name, size):
        data = random.randbytes(size)
        self.put(name, data)
        return data

    def put(self, name, data):
        with open(self.path(name), "wb") as file:
            file.write(data)

    def get(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def files(self):
        return sorted(os.listdir(self.dir))

    def ssn(self, *arguments, code=OK, stdin=None, environment=None, **more):
        """Runs it and checks the exit code (None: any); returns the finished process with bytes in stdout and
        stderr."""
        env = {k: v for k, v in os.environ.items() if k not in ("SSN_KERNELS", "NO_COLOR")}
        env.update(environment or {})
        more.setdefault("stdout", subprocess.PIPE)
        if stdin is None:
            more.setdefault("stdin", subprocess.DEVNULL)
        else:
            more["input"] = stdin
        done = subprocess.run([SSN, *map(str, arguments)], cwd=self.dir, env=env, stderr=subprocess.PIPE,
                              timeout=120, check=False, **more)
        text = done.stderr.decode(errors="replace")
        if code is not None:
            self.assertEqual(done.returncode, code, "ssn %s\n%s" % (" ".join(map(str, arguments)), text))
        if done.returncode not in (OK, 130, 143):
            self.assertRegex(text, r"ssn: error: [^\n]+: [^\n]+\n")
            self.assertIn("  fix:   ", text)
        return done

    def json(self, *arguments, **more):
        done = self.ssn(*arguments, "--json", **more)
        return json.loads(done.stdout.decode("utf-8"))

    def split(self, k, n, name, *more):
        self.ssn("split", "--k", k, "--n", n, *more, name)
        return [name + ".%d.ssn" % i for i in range(1, n + 1)]

    def restores(self, data, *shares, options=(), out="restored"):
        """Combines, compares byte for byte, returns the findings."""
        report = self.json("combine", "--force", "-o", out, *options, *shares)
        self.assertEqual(self.get(out), data)
        return report

    def states(self, report):
        return [share["state"] for share in report["shares"]]

    @staticmethod
    def default_signals():
        """In the child: as from a terminal, also when the tests run under nohup or in the background."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)

    def start(self, *arguments, **more):
        more.setdefault("preexec_fn", self.default_signals)
        process = subprocess.Popen([SSN, *map(str, arguments)], cwd=self.dir, stderr=subprocess.PIPE,
                                   stdout=subprocess.DEVNULL, **more)
        self.addCleanup(process.stderr.close)
        return process

    def wait_for(self, condition, what):
        end = time.monotonic() + 20
        while not condition():
            self.assertLess(time.monotonic(), end, "waited 20 s in vain for " + what)
            time.sleep(0.01)

    def temporaries(self):
        return [name for name in self.files() if name.endswith(".tmp")]


__all__ = [name for name in dir() if not name.startswith("_")]
