# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of ssn-dataplane share. Each is a program: NAME_test.py SSN_DATAPLANE SSN SOURCE_ROOT."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

if len(sys.argv) != 4 or not all(os.access(program, os.X_OK) for program in sys.argv[1:3]):
    print(f'usage: {sys.argv[0]} SSN_DATAPLANE SSN SOURCE_ROOT', file=sys.stderr)
    sys.exit(2)
SSN_DATAPLANE, SSN = (os.path.realpath(program) for program in sys.argv[1:3])
sys.path.insert(0, os.path.join(sys.argv[3], 'scripts', 'lib'))

import network as networks  # noqa: E402 pylint: disable=wrong-import-position

SECONDS = 60  # that anything may take on a busy machine


def main():
    """Runs the tests of the calling program; 77 where the machine cannot."""
    try:
        networks.require()
    except networks.Unavailable as why:
        print(f'skipped: {why}')
        sys.exit(77)
    runner = unittest.TextTestRunner(stream=sys.stdout, verbosity=2)
    result = runner.run(unittest.defaultTestLoader.loadTestsFromModule(sys.modules['__main__']))
    sys.exit(0 if result.wasSuccessful() and result.testsRun else 1)


def wait_for(condition, what, seconds=SECONDS):
    """Returns what `condition` gives once that is true."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f'waited {seconds} s in vain for {what}')
        time.sleep(0.02)


class DataPlane:
    """One ssn-dataplane, with a folder of its own."""

    def __init__(self, name, body, where=None, eal='huge_pages = "off"\nmemory = "96 MiB"', workers=''):
        self.folder = tempfile.mkdtemp(prefix='ssn-dataplane-')
        self.where = where
        self.name = f'{name}-{os.getpid()}'
        self.config = os.path.join(self.folder, 'node.toml')
        self.ready_file = os.path.join(self.folder, 'ready.json')
        self.socket = os.path.join(self.folder, 'agent.sock')
        self.head = (f'[node]\nname = "{self.name}"\n[eal]\n{eal}\n[workers]\n{workers}\n'
                     '[agent]\nsocket = "agent.sock"\n')
        self.configure(body)
        self.process = None
        self.ready = None

    def configure(self, body):
        with open(self.config, 'w', encoding='ascii') as file:
            file.write(self.head + body)

    @property
    def runtime_folder(self):
        return f'/var/run/dpdk/ssn-{self.name}'

    def command(self, *options):
        # Relative, as people type it: a swap that names the file in full must find the same paths in it.
        line = [SSN_DATAPLANE, '--config', os.path.relpath(self.config), *options]
        return line if self.where is None else self.where.command(*line)

    def start(self, *options):
        self.process = subprocess.Popen(
            ['setpriv', '--pdeathsig', 'KILL', *self.command('--ready-file', self.ready_file, *options)],
            stdin=subprocess.DEVNULL, stderr=open(self.log_file, 'ab'))
        wait_for(lambda: os.path.exists(self.ready_file) or self.process.poll() is not None,
                 'the ready file')
        if not os.path.exists(self.ready_file):
            raise AssertionError(f'ssn-dataplane ended with {self.process.returncode}:\n{self.log}')
        with open(self.ready_file, encoding='ascii') as file:
            self.ready = json.load(file)
        return self

    @property
    def log_file(self):
        return os.path.join(self.folder, 'log')

    @property
    def log(self):
        with open(self.log_file, encoding='utf-8', errors='replace') as file:
            return file.read()

    def run(self, *options):
        """Runs it until it ends by itself: (exit code, what it said)."""
        done = subprocess.run(self.command(*options), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=SECONDS, check=False)
        return done.returncode, done.stdout

    def ask(self, *arguments):
        """`ssn dataplane ...` as JSON."""
        done = subprocess.run([SSN, 'dataplane', *arguments, '--socket', self.socket, '--json'],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, timeout=SECONDS, check=False)
        if done.returncode != 0:
            raise AssertionError(f'ssn dataplane {arguments} ended with {done.returncode}: '
                                 f'{done.stderr}{done.stdout}')
        return json.loads(done.stdout)

    def counter(self, name):
        """The value of one counter; 0 where there is none."""
        answer = self.ask('counters', '--prefix', name)
        return next((each['value'] for each in answer['counters'] if each['name'] == name), 0)

    def kill(self, number=signal.SIGKILL):
        self.process.send_signal(number)
        self.process.wait(SECONDS)
        return self.process.returncode

    def stop(self):
        """Its exit code after SIGTERM."""
        return self.kill(signal.SIGTERM)

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(self.runtime_folder, ignore_errors=True)
