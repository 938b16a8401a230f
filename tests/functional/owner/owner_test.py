# SPDX-License-Identifier: BSD-3-Clause
"""ssn put, get and verify as a user runs them.

owner_test.py SSN OWNER_NETWORK"""

import hashlib
import json
import os
import pty
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

SSN, OWNER_NETWORK = (os.path.realpath(p) for p in (sys.argv[1:3] + ["", ""])[:2])
FAILED, USAGE, DEGRADED, NOT_FOUND, TEMPORARY, REFUSED, INTEGRITY, UNRECOVERABLE = range(1, 9)
MEGABYTE = 1 << 20
SEED = int(os.environ.get("SSN_TEST_SEED", "0"), 0) or random.getrandbits(32)

# A shell ignores SIGINT for what it runs in the background, and the commands would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
for number in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_DFL)


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="owner-")
        self.addCleanup(shutil.rmtree, self.dir)
        self.network = subprocess.Popen([OWNER_NETWORK, os.path.join(self.dir, "n")], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, "SSN_TEST_SEED": str(SEED)})
        self.addCleanup(self.end_network)
        line = self.network.stdout.readline()
        while line.startswith("to repeat"):
            line = self.network.stdout.readline()
        self.assertEqual(line, "ready\n")
        self.environment = {**os.environ, "SSN_OWNER_CONFIG": os.path.join(self.dir, "n", "owner.toml")}
        self.work = os.path.join(self.dir, "work")
        os.mkdir(self.work)
        self.random = random.Random("%d %s" % (SEED, self.id()))

    def end_network(self):
        self.network.send_signal(signal.SIGCONT)
        self.network.stdin.close()
        self.network.stdout.close()
        self.assertEqual(self.network.wait(60), 0)

    def ask(self, line):
        self.network.stdin.write(line + "\n")
        self.network.stdin.flush()
        answer = self.network.stdout.readline().split()
        self.assertEqual(answer[0], "ok", answer)
        return [int(number) for number in answer[1:]]

    def make(self, name, size):
        data = self.random.randbytes(size)
        with open(os.path.join(self.work, name), "wb") as file:
            file.write(data)
        return data

    def read(self, name):
        with open(os.path.join(self.work, name), "rb") as file:
            return file.read()

    def files(self):
        return sorted(os.listdir(self.work))

    def start(self, *arguments, **keywords):
        return subprocess.Popen([SSN, *map(str, arguments)], cwd=self.work, env=self.environment, **keywords)

    def ssn(self, *arguments, code=0, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, **keywords):
        done = subprocess.run([SSN, *map(str, arguments)], cwd=self.work, env=self.environment, check=False,
                              stdin=None if "input" in keywords else stdin, stdout=stdout,
                              stderr=subprocess.PIPE, timeout=60, **keywords)
        self.assertEqual(done.returncode, code, done.stderr.decode())
        if code not in (0, DEGRADED):
            self.assertRegex(done.stderr.decode(), r"(?s)ssn: error: .+: .+\n.*  fix:   .+")
        return done

    def json(self, *arguments, code=0):
        document = json.loads(self.ssn(*arguments, "--json", code=code).stdout)
        self.assertEqual(document["schema"], "ssn.%s/1" % arguments[0])
        self.assertEqual(document["ok"], code in (0, DEGRADED))
        if code not in (0, DEGRADED):
            self.assertEqual(document["error"]["code"], code)
        return document

    def assert_nothing(self):
        """Nothing is visible, begun or open at the other side."""
        self.assertEqual(self.ask("state"), [0, 0, 0])

    def wait_for_session(self, count=1):
        end = time.monotonic() + 30
        while self.ask("state")[2] != count:
            self.assertLess(time.monotonic(), end, "no session")
            time.sleep(0.01)


class RoundTrip(Case):
    def test_files(self):
        """what is put is got and verified, of any size; the object is listed"""
        for size in (0, 1, 1344, 100_000, 5 * MEGABYTE + 1):
            name = "data/%d" % size
            data = self.make("f", size)
            self.ssn("put", "f", name)
            self.ssn("get", name)
            self.assertEqual(self.read(str(size)), data)
            os.unlink(os.path.join(self.work, str(size)))
            text = self.ssn("verify", name, "--with", "f").stdout.decode()
            self.assertIn("whole and the same as f; 5 of 5 shares are on nodes that are up", text)
        listed = json.loads(self.ssn("ls", "--json").stdout)
        self.assertEqual(len(listed["objects"]), 5)
        self.assertEqual(self.files(), ["f"])
        self.assertEqual(self.ask("state"), [5, 0, 0])

    def test_pipes(self):
        """standard input and output, also through pipes that are slow"""
        data = self.random.randbytes(2 * MEGABYTE + 77)
        self.ssn("put", "-", "piped", input=data)
        self.assertEqual(self.ssn("get", "piped", "-").stdout, data)
        put = self.start("put", "--quiet", "-", "slow", stdin=subprocess.PIPE)
        for at in range(0, len(data), 300_001):
            put.stdin.write(data[at:at + 300_001])
            put.stdin.flush()
            time.sleep(0.05)
        put.stdin.close()
        self.assertEqual(put.wait(60), 0)
        get = self.start("get", "--quiet", "slow", "-", stdout=subprocess.PIPE)
        digest = hashlib.sha256()
        while part := get.stdout.read(200_003):
            digest.update(part)
            time.sleep(0.02)
        get.stdout.close()
        self.assertEqual(get.wait(60), 0)
        self.assertEqual(digest.digest(), hashlib.sha256(data).digest())
        with open(os.path.join(self.work, "redirected"), "wb") as file:
            self.ssn("get", "slow", "-", stdout=file)
        self.assertEqual(self.read("redirected"), data)
        with open(os.path.join(self.work, "redirected"), "rb") as file:
            file.seek(1000)
            self.ssn("put", "-", "rest", stdin=file)
        self.assertEqual(self.ssn("get", "rest", "-").stdout, data[1000:])
        self.ssn("put", "/proc/version", "proc")
        self.assertGreater(len(self.ssn("get", "proc", "-").stdout), 10)

    def test_documents(self):
        """--json: what was stored, restored and verified"""
        self.make("f", 10_000)
        put = self.json("put", "f", "name")
        self.assertEqual([put[k] for k in ("name", "size", "scheme", "k", "n", "protection", "sealed",
                                           "quorum", "degraded", "replaced", "troubles")],
                         ["name", 10_000, "shamir", 3, 5, "computational", 5, 4, False, "", []])
        again = self.json("put", "--k", 2, "--n", 3, "f", "name")
        self.assertEqual((again["replaced"], again["k"], again["n"]), (put["id"], 2, 3))
        got = self.json("get", "name", "g")
        self.assertEqual((got["id"], got["file"], got["size"]), (again["id"], "g", 10_000))
        verified = self.json("verify", "name")
        self.assertEqual((verified["health"], verified["shares_up"], verified["compared"]), ("good", 3,
                                                                                            False))
        self.json("get", "nothing", code=NOT_FOUND)
        self.assertEqual(self.ssn("put", "-q", "f", "name").stderr, b"")

    def test_bad_network(self):
        """packets are lost, repeated, overtaken and damaged, and everything arrives"""
        self.ask("relay 30 20 50 10")
        data = self.make("f", 2 * MEGABYTE)
        self.ssn("put", "f", "name")
        self.ssn("get", "name", "g")
        self.assertEqual(self.read("g"), data)


class Refusals(Case):
    def test_usage(self):
        """wrong command lines: exit 2, and nothing begins"""
        self.make("f", 10)
        for arguments in (["put"], ["put", "f"], ["put", "f", "n", "x"], ["put", "--k", "0", "f", "n"],
                          ["put", "--cell-size", "100", "f", "n"], ["put", "--scheme", "caesar", "f", "n"],
                          ["put", "--protection", "some", "f", "n"], ["put", "f", ""],
                          ["put", "--patience", "0", "f", "n"], ["get"], ["get", "a/.."], ["get", "a/"],
                          ["get", "--json", "n", "-"], ["get", "a", "b", "c"], ["verify"],
                          ["put", "--k", "4", "--n", "3", "f", "n"]):
            with self.subTest(arguments=arguments):
                self.ssn(*arguments, code=USAGE)
        self.assertEqual(self.files(), ["f"])
        self.assert_nothing()

    def test_files(self):
        """files that are there or not there, full disks"""
        self.make("f", 10_000)
        self.ssn("put", "gone", "name", code=NOT_FOUND)
        self.ssn("put", ".", "name", code=FAILED)
        self.ssn("put", "f", "name")
        self.ssn("put", "--create", "f", "name", code=REFUSED)
        self.ssn("get", "name", "f", code=REFUSED)
        data = self.read("f")
        self.make("f", 5)
        self.ssn("get", "name", "--force", "f")
        self.assertEqual(self.read("f"), data)
        self.ssn("get", "name", "gone/g", code=NOT_FOUND)
        with open("/dev/full", "wb") as full:
            self.ssn("get", "name", "-", stdout=full, code=FAILED)
        self.ssn("verify", "name", "--with", "gone", code=NOT_FOUND)
        self.make("other", 10_000)
        self.ssn("verify", "name", "--with", "other", code=INTEGRITY)
        with open(os.path.join(self.work, "f"), "ab") as file:
            file.write(b"x")
        error = self.json("verify", "name", "--with", "f", code=INTEGRITY)["error"]
        self.assertIn("from byte 10000 on", error["why"])
        self.assertEqual(self.files(), ["f", "other"])
        self.assertEqual(self.ask("state"), [1, 0, 0])

    def test_degraded(self):
        """between minimum and quorum: exit 3 and the names of who failed; with --strict nothing is stored"""
        data = self.make("f", 10_000)
        self.ask("holders_fail 2")
        self.ssn("put", "--strict", "f", "name", code=TEMPORARY)
        self.assert_nothing()
        document = self.json("put", "f", "name", code=DEGRADED)
        self.assertTrue(document["degraded"])
        self.assertEqual(document["sealed"], 3)
        self.assertEqual([t["share"] for t in document["troubles"]], [4, 5])
        stderr = self.ssn("put", "f", "name", code=DEGRADED).stderr.decode()
        self.assertIn("warning: degraded: 3 of 5 shares are durable, 4 should be", stderr)
        self.assertIn("its disk is full", stderr)
        self.assertEqual(self.ssn("get", "name", "-").stdout, data)
        verified = self.ssn("verify", "name", code=DEGRADED).stdout
        self.assertIn(b"3 of 5 shares are on nodes that are up", verified)
        self.ask("holders_fail 3")
        self.ssn("put", "f", "other", code=TEMPORARY)
        self.assertEqual(self.ask("state"), [1, 0, 0])

    def test_unrecoverable(self):
        """too few good shares: exit 8, no file; standard output has no wrong byte"""
        data = self.make("f", 100_000)
        self.ssn("put", "f", "name")
        self.ask("read_answer 2")
        self.refuses(data, UNRECOVERABLE)

    def test_contradiction(self):
        """shares that contradict each other: exit 7, no file; standard output has no wrong byte"""
        data = self.make("f", 100_000)
        self.ssn("put", "f", "name")
        self.ask("read_answer 4")
        self.refuses(data, INTEGRITY)

    def refuses(self, data, code):
        self.ssn("get", "name", "g", code=code)
        out = self.ssn("get", "name", "-", code=code).stdout
        self.assertEqual(out, data[:len(out)])
        self.ssn("verify", "name", code=code)
        self.assertEqual(self.files(), ["f"])

    def test_without_a_network(self):
        """no controller: exit 5; an SSA that is silent: exit 5 after the patience, and nothing is left"""
        self.make("f", 100_000)
        self.ask("stop")
        self.ssn("put", "f", "name", code=TEMPORARY)
        self.ask("start")
        self.ask("deaf 1")
        self.ssn("put", "--patience", 1, "f", "name", code=TEMPORARY)
        self.ask("deaf 0")
        self.assert_nothing()
        self.ssn("put", "f", "name")


class Interruptions(Case):
    def interrupt(self, process, number=signal.SIGINT):
        process.send_signal(number)
        _, error = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 128 + number, error)
        return error.decode()

    def test_put(self):
        """an interrupted put leaves nothing, whatever it was doing; it can be repeated"""
        data = self.make("f", 3 * MEGABYTE)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self.ask("deaf 1")
            put = self.start("put", "f", "name", stderr=subprocess.PIPE)
            self.wait_for_session()
            self.assertIn("the write was given up", self.interrupt(put, number))
            self.ask("deaf 0")
            self.assert_nothing()
        put = self.start("put", "-", "name", stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        self.wait_for_session()
        put.stdin.write(b"x" * 10_000)
        put.stdin.flush()
        put.send_signal(signal.SIGINT)
        self.assertEqual(put.wait(60), 130)
        put.stdin.close()
        put.stderr.close()
        self.assert_nothing()
        self.ask("sealing_answers 1000000")
        put = self.start("put", "f", "name", stderr=subprocess.PIPE)
        self.wait_for_session()
        time.sleep(0.5)
        self.interrupt(put)
        self.ask("sealing_answers 0")
        self.assert_nothing()
        self.ssn("put", "f", "name")
        self.assertEqual(self.ssn("get", "name", "-").stdout, data)

    def test_get(self):
        """an interrupted get leaves no file"""
        self.make("f", 3 * MEGABYTE)
        self.ssn("put", "f", "name")
        self.ask("deaf 1")
        get = self.start("get", "name", "g", stderr=subprocess.PIPE)
        self.wait_for_session()
        self.assertIn("no file was written", self.interrupt(get))
        self.assertEqual(self.files(), ["f"])
        self.ask("deaf 0")
        get = self.start("get", "name", "-", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        get.stdout.read(10_000)
        self.interrupt(get)
        self.assertEqual(self.ask("state"), [1, 0, 0])

    def test_reader_leaves(self):
        """a pipe that nobody reads any more is an error, and no signal"""
        self.make("f", 3 * MEGABYTE)
        self.ssn("put", "f", "name")
        get = self.start("get", "name", "-", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        get.stdout.read(10_000)
        get.stdout.close()
        error = get.stderr.read().decode()
        get.stderr.close()
        self.assertEqual(get.wait(60), FAILED, error)
        self.assertIn("cannot write standard output", error)

    def test_second_signal(self):
        """nobody answers any more: the first signal waits for the controller, the second one does not"""
        self.make("f", 3 * MEGABYTE)
        self.ask("deaf 1")
        put = self.start("put", "f", "name", stderr=subprocess.PIPE)
        self.wait_for_session()
        self.network.send_signal(signal.SIGSTOP)
        put.send_signal(signal.SIGINT)
        time.sleep(0.5)
        self.assertIsNone(put.poll())
        begin = time.monotonic()
        self.interrupt(put)
        self.assertLess(time.monotonic() - begin, 8)

    def test_killed(self):
        """a put that is killed leaves nothing visible, and does not stand in the way of the next one"""
        data = self.make("f", 3 * MEGABYTE)
        self.ask("deaf 1")
        put = self.start("put", "f", "name", stderr=subprocess.PIPE)
        self.wait_for_session()
        put.kill()
        put.communicate(timeout=60)
        self.ask("deaf 0")
        self.assertEqual(self.ask("state")[0], 0)
        self.ssn("put", "f", "name")
        self.assertEqual(self.ssn("get", "name", "-").stdout, data)

    def test_progress(self):
        """a line on a terminal after half a second, gone in the end; none with --quiet"""
        for options, shown in (([], True), (["--quiet"], False)):
            self.ask("deaf 1")
            master, slave = pty.openpty()
            put = self.start("put", *options, "-", "name", stdin=subprocess.PIPE, stderr=slave)
            os.close(slave)
            put.stdin.write(b"x" * 10_000)
            put.stdin.close()
            self.wait_for_session()
            text = b""
            if shown:
                while b"\rput " not in text:
                    text += os.read(master, 4096)
            else:
                time.sleep(1.7)
            self.ask("deaf 0")
            self.assertEqual(put.wait(60), 0)
            try:
                while part := os.read(master, 4096):
                    text += part
            except OSError:  # the other side is closed
                pass
            os.close(master)
            self.assertEqual(text.count(b"\r") > 1, shown, text)


if __name__ == "__main__":
    print("to repeat this run: SSN_TEST_SEED=%d" % SEED)
    unittest.main(argv=sys.argv[:1], verbosity=2)
