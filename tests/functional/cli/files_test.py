# SPDX-License-Identifier: BSD-3-Clause
"""Output files: complete or not there, never overwritten by accident, private, nothing left after
failures."""

import os
import random
import resource
import signal
import stat
import subprocess
import time

from support import *

MIB = 1 << 20


class Overwriting(Case):
    def test_split_refuses(self):
        """split: one existing share file is enough to refuse (exit 6); it stays as it was, no other
        appears"""
        self.make("f", 100)
        self.put("f.3.ssn", b"precious")
        done = self.ssn("split", "--k", 3, "--n", 5, "f", code=REFUSED)
        self.assertIn(b"f.3.ssn", done.stderr)
        self.assertIn(b"--force", done.stderr)
        self.assertEqual(self.files(), ["f", "f.3.ssn"])
        self.assertEqual(self.get("f.3.ssn"), b"precious")

    def test_refuses_early(self):
        """split refuses before it reads anything, not after an hour"""
        self.put("s.2.ssn", b"precious")
        process = self.start("split", "--k", 2, "--n", 2, "--name", "s", "-", stdin=subprocess.PIPE)
        self.assertEqual(process.wait(timeout=20), REFUSED)  # standard input is still open
        process.stdin.close()
        self.assertEqual(self.files(), ["s.2.ssn"])

    def test_combine_refuses(self):
        """combine: an existing output is refused (exit 6) and stays as it was"""
        self.make("f", 100)
        shares = self.split(2, 2, "f")
        self.put("g", b"precious")
        self.ssn("combine", "-o", "g", *shares, code=REFUSED)
        self.assertEqual(self.get("g"), b"precious")

    def test_force(self):
        """--force replaces, and leaves nothing else behind"""
        data = self.make("f", 100)
        self.put("f.2.ssn", b"old")
        self.put("g", b"old and long, so that a rest would show" * 10)
        shares = self.split(2, 3, "f", "--force")
        self.restores(data, *shares, out="g")
        self.assertEqual(self.files(), ["f", "f.1.ssn", "f.2.ssn", "f.3.ssn", "g"])

    def test_not_a_regular_file(self):
        """directories, devices and pipes are never replaced, not even with --force"""
        self.make("f", 100)
        shares = self.split(2, 2, "f")
        os.mkdir(self.path("d"))
        os.mkfifo(self.path("p"))
        for target in ("d", "p", "/dev/null"):
            done = self.ssn("combine", "--force", "-o", target, *shares, code=REFUSED)
            self.assertIn(b"not a regular file", done.stderr)
        self.assertTrue(stat.S_ISFIFO(os.stat(self.path("p")).st_mode))
        self.assertTrue(stat.S_ISCHR(os.stat("/dev/null").st_mode))

    def test_output_is_a_share(self):
        """the output may not be one of the shares, not even with --force"""
        self.make("f", 100)
        shares = self.split(2, 2, "f")
        before = self.get(shares[1])
        self.ssn("combine", "--force", "-o", shares[1], *shares, code=REFUSED)
        self.assertEqual(self.get(shares[1]), before)


class Places(Case):
    def test_names(self):
        """share files lie beside the input, or in --out under its name, or under --name"""
        os.mkdir(self.path("in"))
        os.mkdir(self.path("out"))
        self.make("in/f", 10)
        done = self.ssn("split", "--k", 2, "--n", 2, "in/f")
        self.assertEqual(done.stdout, b"in/f.1.ssn\n" + b"in/f.2.ssn\n")
        done = self.ssn("split", "--k", 2, "--n", 2, "--out", "out", "in/f")
        self.assertEqual(done.stdout, b"out/f.1.ssn\nout/f.2.ssn\n")
        done = self.ssn("split", "--k", 2, "--n", 2, "--out", "out", "--name", "g", "in/f")
        self.assertEqual(done.stdout, b"out/g.1.ssn\nout/g.2.ssn\n")
        self.ssn("split", "--k", 2, "--n", 2, "--name", "../g", "in/f", code=USAGE)
        self.ssn("split", "--k", 2, "--n", 2, "--out", "missing", "in/f", code=NOT_FOUND)
        self.ssn("split", "--k", 2, "--n", 2, "missing", code=NOT_FOUND)
        self.ssn("split", "--k", 2, "--n", 2, "in", code=FAILED)
        self.ssn("combine", "-o", "missing/g", "out/g.1.ssn", "out/g.2.ssn", code=NOT_FOUND)

    def test_odd_names(self):
        """names with spaces, line ends and bytes that are not UTF-8 work, and JSON stays valid"""
        for name in ("a b", "-f", "\u00fc\u4e16", "line\nend", os.fsdecode(b"\xff\xfe\x80"), "x" * 245):
            data = self.make(name, 50)
            report = self.json("split", "--k", "2", "--n", "2", "./" + name)
            self.assertEqual(len(report["shares"]), 2)
            self.restores(data, "./" + name + ".1.ssn", "./" + name + ".2.ssn")

    def test_modes(self):
        """share files and restored files are for their owner only, whatever the umask"""
        before = os.umask(0)
        try:
            self.make("f", 10)
            shares = self.split(2, 2, "f")
            self.ssn("combine", "-o", "g", *shares)
        finally:
            os.umask(before)
        for name in shares + ["g"]:
            self.assertEqual(stat.S_IMODE(os.stat(self.path(name)).st_mode), 0o600)

    def test_input_that_changes(self):
        """a file that changes while it is read: exit 5, no shares"""
        self.make("f", 4 * MIB)
        os.mkfifo(self.path("rng"))
        process = self.start("split", "--k", 2, "--n", 2, "--random-device", "rng", "f")
        with open(self.path("rng"),
                  "wb") as rng:  # the split waits for random bytes in the middle of its work
            rng.write(random.randbytes(2 * MIB))
            rng.flush()
            with open(self.path("f"), "ab") as file:
                file.write(b"more")
            rng.write(random.randbytes(2 * MIB + 4))
        text = process.stderr.read()
        self.assertEqual(process.wait(timeout=60), TEMPORARY, text)
        self.assertIn(b"changed while it was being read", text)
        self.assertEqual(self.files(), ["f", "rng"])


class NoSpace(Case):
    def test_file_size_limit(self):
        """the file size limit: exit 1 with the reason, nothing is left"""
        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000))
        data = self.make("f", 200000)
        self.ssn("split", "--k", 2, "--n", 3, "f", code=FAILED, preexec_fn=limit)
        done = self.ssn("split", "--k", 2, "--n", 3, "--name", "s", "-", code=FAILED, preexec_fn=limit,
                        stdin=data)
        self.assertIn(b"File too large", done.stderr)
        self.assertEqual(self.files(), ["f"])
        shares = self.split(2, 3, "f")
        self.ssn("combine", "-o", "g", *shares, code=FAILED, preexec_fn=limit)
        self.assertEqual(self.files(), ["f"] + shares)

    def test_full_device(self):
        """-o - and results to a full device: exit 1"""
        self.make("f", 200000)
        shares = self.split(2, 3, "f")
        with open("/dev/full", "wb") as full:
            done = self.ssn("combine", "-o", "-", *shares, code=FAILED, stdout=full)
            self.assertIn(b"No space left on device", done.stderr)
            self.ssn("inspect", *shares, code=FAILED, stdout=full)

    def test_full_file_system(self):
        """a full file system (a small tmpfs): exit 1, nothing is left; also for a stream of unknown length"""
        os.mkdir(self.path("small"))
        mount = "mount -t tmpfs -o size=1m ssn-test small"
        probe = subprocess.run(["unshare", "-m", "sh", "-c", mount], cwd=self.dir, stderr=subprocess.PIPE,
                               check=False)
        wrap = ["unshare", "-m"]
        if probe.returncode != 0:
            wrap = ["unshare", "-Urm"]
            probe = subprocess.run(wrap + ["sh", "-c", mount], cwd=self.dir, stderr=subprocess.PIPE,
                                   check=False)
        if probe.returncode != 0:
            self.skipTest("cannot mount a tmpfs here: " + probe.stderr.decode(errors="replace").strip())
        self.make("f", 600000)
        for command in ('"$0" split --k 2 --n 3 --out small f', '"$0" split --k 2 --n 3 --out small - < f'):
            script = mount + " && { " + command + "; echo code $?; ls -A small; }"
            done = subprocess.run(wrap + ["sh", "-c", script, SSN], cwd=self.dir, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, timeout=60, check=False)
            self.assertEqual(done.stdout, b"code 1\n", done.stderr)
            self.assertIn(b"No space left on device", done.stderr)


class Ending(Case):
    def splitting(self, *options):
        """A split that waits for input with its temporary files open."""
        process = self.start("split", "--k", 2, "--n", 3, "--name", "s", *options, "-", stdin=subprocess.PIPE)
        process.stdin.write(random.randbytes(3 * MIB))
        process.stdin.flush()
        self.wait_for(lambda: len(self.temporaries()) == 3, "three temporary files")
        return process

    def test_signals_during_split(self):
        """SIGINT, SIGTERM, SIGHUP while splitting: exit 128 + signal at once, nothing is left"""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            process = self.splitting()
            process.send_signal(number)
            self.assertEqual(process.wait(timeout=20), 128 + number)
            self.assertIn(b"unfinished output was removed", process.stderr.read())
            process.stdin.close()
            self.assertEqual(self.files(), [])

    def test_signals_during_combine(self):
        """the same while combining; an older output stays as it was"""
        data = self.make("f", 3 * MIB)
        self.split(2, 2, "f")
        self.put("g", b"older")
        os.mkfifo(self.path("slow"))
        for number in (signal.SIGINT, signal.SIGTERM):
            process = self.start("combine", "--force", "-o", "g", "f.1.ssn", "slow")
            with open(self.path("slow"), "wb") as pipe:
                pipe.write(self.get("f.2.ssn")[:2 * MIB])
                pipe.flush()
                self.wait_for(self.temporaries, "a temporary file")
                process.send_signal(number)
                self.assertEqual(process.wait(timeout=20), 128 + number)
            self.assertEqual(self.get("g"), b"older")
            self.assertEqual(self.temporaries(), [])
        self.assertEqual(len(data), 3 * MIB)

    def test_signals_at_random_times(self):
        """SIGTERM at any time of a split: all shares, or none and no rest"""
        data = self.make("f", 6 * MIB)
        start = time.monotonic()
        self.split(2, 3, "f")
        whole_run = time.monotonic() - start
        complete = 0
        for step in range(25):
            for name in self.files():
                if name != "f":
                    os.unlink(self.path(name))
            process = self.start("split", "--k", 2, "--n", 3, "f")
            try:
                process.wait(timeout=whole_run * random.uniform(0, 1.2) if step > 0 else 20)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGTERM)
            # Before main() a signal ends the process as usual.
            code = process.wait(timeout=20)
            self.assertIn(code, (0, 143, -15))
            shares = [name for name in self.files() if name != "f"]
            self.assertIn(len(shares), (0, 3), shares)
            if code == 0:
                self.assertEqual(len(shares), 3)
            if shares:
                complete += 1
                self.restores(data, *random.sample(shares, 2), out="g")
        self.assertGreater(complete, 0)
        print("  %d of 25 were complete" % complete)

    def test_sigkill(self):
        """SIGKILL leaves hidden temporary files only, and none of them passes for a share"""
        process = self.splitting()
        process.kill()
        process.wait(timeout=20)
        process.stdin.close()
        left = self.files()
        self.assertEqual(len(left), 3)
        for name in left:
            self.assertRegex(name, r"^\.s\.[123]\.ssn\.[0-9a-f]{16}\.tmp$")
        self.ssn("combine", "-o", "g", *left, code=NOT_A_SHARE)
        self.make("s", 100)
        self.ssn("split", "--k", 2, "--n", 3, "s")

    def test_ignored_signals_stay_ignored(self):
        """nohup: an ignored SIGHUP stays ignored"""
        def ignore():
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        process = self.start("split", "--k", 2, "--n", 2, "--name", "s", "-", stdin=subprocess.PIPE,
                             preexec_fn=ignore)
        self.wait_for(lambda: len(self.temporaries()) == 2, "two temporary files")
        process.send_signal(signal.SIGHUP)
        process.stdin.write(b"data")
        process.stdin.close()
        self.assertEqual(process.wait(timeout=20), 0)

    def test_reader_goes_away(self):
        """-o - into a pipe that closes: exit 1, no death by signal"""
        self.make("f", 4 * MIB)
        shares = self.split(2, 2, "f")
        process = subprocess.Popen([SSN, "combine", "-o", "-", *shares], cwd=self.dir, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        process.stdout.read(10)
        process.stdout.close()
        self.assertIn(b"Broken pipe", process.stderr.read())
        self.assertEqual(process.wait(timeout=20), FAILED)
        process.stderr.close()

    def test_undo(self):
        """a name that cannot be given at the end: the names given before are taken back"""
        process = self.splitting()
        self.put("s.2.ssn", b"somebody was faster")
        process.stdin.close()
        self.assertEqual(process.wait(timeout=20), REFUSED)
        self.assertEqual(self.files(), ["s.2.ssn"])
        self.assertEqual(self.get("s.2.ssn"), b"somebody was faster")

    def test_undo_with_force(self):
        """the same with --force: replaced files come back"""
        self.put("s.1.ssn", b"old one")
        self.put("s.2.ssn", b"old two")
        process = self.splitting("--force")
        os.mkdir(self.path("s.3.ssn"))
        process.stdin.close()
        self.assertEqual(process.wait(timeout=20), REFUSED)
        self.assertEqual(self.files(), ["s.1.ssn", "s.2.ssn", "s.3.ssn"])
        self.assertEqual(self.get("s.1.ssn"), b"old one")
        self.assertEqual(self.get("s.2.ssn"), b"old two")

    def test_nothing_left_after_failures(self):
        """every failure of this file's kinds leaves the directory as it was"""
        self.make("f", 3000)
        shares = self.split(2, 3, "f")
        before = {name: self.get(name) for name in self.files()}
        self.ssn("split", "--k", 2, "--n", 3, "f", code=REFUSED)
        self.ssn("split", "--k", 4, "--n", 3, "f", code=USAGE)
        self.ssn("combine", "-o", "g", shares[0], code=UNRECOVERABLE)
        self.ssn("combine", "-o", "g", "f", code=NOT_A_SHARE)
        self.assertEqual({name: self.get(name) for name in self.files()}, before)


class Secrets(Case):
    def test_no_core_dump(self):
        """the process limits core dumps to 0 and is not dumpable"""
        process = self.start("split", "--k", 2, "--n", 2, "--name", "s", "-", stdin=subprocess.PIPE)
        self.wait_for(lambda: len(self.temporaries()) == 2, "two temporary files")
        with open("/proc/%d/limits" % process.pid, encoding="ascii") as file:
            core = next(line for line in file if line.startswith("Max core file size")).split()
        process.kill()
        process.wait(timeout=20)
        process.stdin.close()
        self.assertEqual(core[4:6], ["0", "0"])
        self.assertGreaterEqual(process.returncode, -signal.SIGKILL)


if __name__ == "__main__":
    main()
