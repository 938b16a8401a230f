#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What people see first: all that scripts/quickstart shows of a storage network, with a small file; ended at
any moment it leaves no process; and `ssn demo`, with shareholders killed and repaired in between."""

import filecmp
import json
import os
import random
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from support import BUILD, HERE, SEED, main, wait_for
from processes import Programs

SCRIPT = os.path.join(HERE, '..', '..', '..', 'scripts', 'lib', 'storage_demo.py')
SIZE = 2_000_001
FIRST, LAST = 4, 13  # of the headings
SECONDS = 300


def of_session(session):
    """Processes that belong to it, zombies not."""
    found = []
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{pid}/stat', encoding='ascii', errors='replace') as file:
                fields = file.read().rsplit(')', 1)[1].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] not in 'ZX':
            found.append(int(pid))
    return found


class Demonstrations(unittest.TestCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix='demo-')
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.random = random.Random(SEED)
        self.file = self.path('file')
        with open(self.file, 'wb') as file:
            file.write(self.random.randbytes(SIZE // 2) + bytes(range(200)) * (SIZE // 400))

    def path(self, name):
        return os.path.join(self.folder, name)

    def wait_gone(self, session):
        wait_for(lambda: not of_session(session), lambda: f'{of_session(session)} to end')

    def begin(self):
        """The demonstration, in a session of its own."""
        work = tempfile.mkdtemp(dir=self.folder)
        with open(self.path('shown'), 'wb') as shown:
            process = subprocess.Popen(
                [sys.executable, '-B', SCRIPT, '--build', BUILD, '--file', self.file, '--folder', work,
                 '--number', str(FIRST)], stdin=subprocess.DEVNULL, stdout=shown, stderr=shown,
                start_new_session=True)
        self.addCleanup(process.wait)
        self.addCleanup(self.end, process.pid)
        return process

    @staticmethod
    def end(session):
        """What a failed test left of it."""
        for pid in of_session(session):
            os.kill(pid, signal.SIGKILL)

    def shown(self):
        with open(self.path('shown'), encoding='utf-8') as file:
            return file.read()

    def test_quickstart(self):
        """two of five die, are repaired onto standbys, two more die, and the file is back"""
        process = self.begin()
        code = process.wait(SECONDS)
        shown = self.shown()
        self.assertEqual(code, 0, shown)
        self.assertEqual(re.findall(r'^\[(\d+)\]', shown, re.M),
                         [str(each) for each in range(FIRST, LAST + 1)])
        killed = re.findall(r'kill -KILL \d+ +# (sae-h\d)', shown)
        self.assertEqual(len(set(killed)), 4, shown)
        repairs = re.findall(r'Share (\d), (sae-h\d) to (sae-h\d): \d+ MB/s', shown)
        self.assertEqual(sorted(lost for _, lost, _ in repairs), sorted(killed[:2]), shown)
        standbys = re.findall(r'(sae-h\d)\.store .* stands by', shown)
        self.assertEqual(sorted(taker for *_, taker in repairs), sorted(standbys), shown)
        self.assertEqual(re.findall(r'(\d) up, protection', shown), ['5', '3', '5'], shown)
        for what in ('Identical', 'the masked check says',
                     r'pads spent +\d+ +\d+ +k\(k\+1\)/2 D, times 1\.\d',
                     r'sent to the standbys +\d+ +\d+ +k D, times 1\.\d'):
            self.assertRegex(shown, what)
        self.wait_gone(process.pid)

    def test_interrupted(self):
        """ended at any moment, it leaves no process"""
        for how, last in ((signal.SIGTERM, LAST), (signal.SIGKILL, FIRST + 2)):
            heading = self.random.randint(FIRST, last)
            process = self.begin()
            wait_for(lambda number=heading: f'[{number}]' in self.shown(), f'heading {heading}', SECONDS)
            time.sleep(self.random.random())
            print(f'{how.name} after heading {heading}', flush=True)
            process.send_signal(how)
            code = process.wait(60)
            # It may have come to its end before.
            self.assertIn(code, (128 + how if how == signal.SIGTERM else -how, 0), self.shown())
            self.wait_gone(process.pid)

    # ---- ssn demo

    def demo(self, command, code=0):
        done = self.run_demo(command)
        self.assertEqual(done.returncode, code, done.stderr)
        return json.loads(done.stdout)

    def run_demo(self, command):
        return subprocess.run(
            [Programs.built(BUILD).ssn, 'demo', command, '--folder', self.path('net'), '--json'], check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            timeout=SECONDS)

    def owner(self, command, code=0):
        """In the shell that `ssn demo up` tells of."""
        done = subprocess.run(f'{self.state["shell"]} -c {shlex.quote(command)}', shell=True, check=False,
                              cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=SECONDS)
        if code is not None:
            self.assertEqual(done.returncode, code, f'{command}: {done.stderr}')
        return done

    def kill(self, names):
        for each in self.state['processes']:
            if each['name'] in names:
                os.kill(each['pid'], signal.SIGKILL)

    def test_demo(self):
        """up, an object, two dead and repaired, two more dead, the object, down, and nothing is left"""
        self.state = self.demo('up')
        supervisor = self.state['supervisor']['pid']
        self.addCleanup(self.end, supervisor)
        self.demo('up', code=6)
        self.demo('status')
        self.owner('ssn put file kept')
        first = [share['node'] for share in json.loads(self.owner('ssn stat kept --json').stdout)['shares']]
        nodes = json.loads(self.owner(f'ssn nodes --json --config {self.state["operator"]}').stdout)['nodes']
        self.assertEqual(len(nodes), 8)
        chosen = self.random.sample(first, 4)
        self.kill(chosen[:2])
        # A killed process runs on until the system has taken its memory back.
        wait_for(lambda: self.run_demo('status').returncode == 3, 'the demonstration to miss them')
        for code, what in ((3, 'miss them'), (0, 'repair')):
            wait_for(lambda expected=code: self.owner('ssn stat kept', None).returncode == expected,
                     f'the controller to {what}')
        self.kill(chosen[2:])
        self.owner('ssn get kept copy')
        self.assertTrue(filecmp.cmp(self.file, self.path('copy'), shallow=False))
        self.demo('down')
        self.assertFalse(os.path.exists(self.path('net')))
        self.wait_gone(supervisor)
        self.demo('status', code=4)


if __name__ == '__main__':
    main(Demonstrations)
