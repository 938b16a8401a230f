# SPDX-License-Identifier: BSD-3-Clause
"""Core files: core_test.py SSN. An aborted ssn leaves none, where another program leaves one."""

import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import unittest

SSN = os.path.realpath(sys.argv[1]) if len(sys.argv) > 1 else ""


def allow_cores():
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))


class Core(unittest.TestCase):
    def setUp(self):
        with open("/proc/sys/kernel/core_pattern", encoding="utf-8") as file:
            pattern = file.read().strip()
        if pattern.startswith(("|", "/")):
            self.skipTest("core files do not go to the working directory here: " + pattern)
        if os.geteuid() == 0:
            # Whoever may, lifts the limit for the children of this process alone.
            resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        if resource.getrlimit(resource.RLIMIT_CORE)[1] == 0:
            self.skipTest("core files are forbidden here (ulimit -H -c)")

    def abort(self, folder, *command):
        """Starts it, waits until it sleeps, aborts it; the names of what it left behind."""
        process = subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, preexec_fn=allow_cores)
        end = time.monotonic() + 30
        while not self.sleeps(process.pid):
            self.assertLess(time.monotonic(), end, "it never came to rest")
            time.sleep(0.01)
        process.send_signal(signal.SIGABRT)
        process.wait(30)
        process.stdin.close()
        self.assertEqual(process.returncode, -signal.SIGABRT)
        return [name for name in os.listdir(folder) if name.startswith("core")]

    def sleeps(self, pid):
        """Whether it waits for the other end of the FIFO, which it opens long after main() began."""
        with open("/proc/%d/wchan" % pid, encoding="utf-8") as file:
            where = file.read()
        with open("/proc/%d/stat" % pid, encoding="utf-8") as file:
            state = file.read().rsplit(")", 1)[1].split()[0]
        # A kernel without names says "0".
        return state == "S" and (where == "0" or "wait_for_partner" in where)

    def test_no_core_of_ssn(self):
        """ssn, waiting for its input, is aborted: no core file; cat in its place leaves one"""
        with tempfile.TemporaryDirectory() as folder:
            os.mkfifo(os.path.join(folder, "input"))
            self.assertEqual(len(self.abort(folder, "/bin/cat", "input")), 1, "the control left no core file")
        with tempfile.TemporaryDirectory() as folder:
            os.mkfifo(os.path.join(folder, "input"))
            self.assertEqual(self.abort(folder, SSN, "split", "--k", "2", "--n", "3", "input"), [])


if __name__ == "__main__":
    if not os.access(SSN, os.X_OK):
        print("usage: %s SSN" % sys.argv[0], file=sys.stderr)
        sys.exit(2)
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(
        unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"]))
    sys.exit(77 if len(result.skipped) == result.testsRun else 0 if result.wasSuccessful() else 1)
