#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A storage network to play with, which runs until it is taken down: what `ssn demo up|status|down` does.

Everything is in network namespaces of its own and in one folder. A supervisor in the background holds them:
when it ends, however that comes, the kernel takes all of it away.
"""
import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
# pylint: disable=wrong-import-position
import network as namespaces
from processes import Programs, last_lines
from screen import table
from storage_network import network_to_show

OK, FAILED, DEGRADED, NOT_FOUND, TEMPORARY, REFUSED = 0, 1, 3, 4, 5, 6
NAMES = {FAILED: 'failed', NOT_FOUND: 'not_found', TEMPORARY: 'temporary', REFUSED: 'refused'}
START_SECONDS, STOP_SECONDS = 120, 60
HINTS = """and there ssn put, get, ls, stat, verify, rm. `ssn stat NAME` says which five shareholders have
shares. Kill two of them: 5 s later the controller has their shares made again on the two that stand by
(ssn reshare watch); then kill two more, and ssn get. There, as an operator:"""


class Problem(Exception):
    """Why a command cannot be done: an exit code of docs/exit-codes.md, and what to do."""

    def __init__(self, code, what, why, fix):
        super().__init__(what)
        self.code, self.what, self.why, self.fix = code, what, why, fix


class Demo:
    """One network, known by its folder."""

    def __init__(self, options):
        self.options, self.folder = options, options.folder
        self.state_file = os.path.join(self.folder, 'demo.json')
        self.log = os.path.join(self.folder, 'demo.log')

    def state(self):
        """What the supervisor wrote down; nothing where none runs."""
        try:
            with open(self.state_file, encoding='utf-8') as file:
                state = json.load(file)
        except FileNotFoundError:
            return None
        return state if since(state['supervisor']['pid']) == state['supervisor']['since'] else None

    def need_state(self):
        state = self.state()
        if state is None:
            raise Problem(NOT_FOUND, 'no demonstration runs', f'nothing in {self.folder} says so',
                          'start one: ssn demo up')
        return state

    # ---- The commands

    def up(self):
        try:
            namespaces.require()
        except namespaces.Unavailable as problem:
            raise Problem(FAILED, 'cannot start the demonstration', str(problem),
                          'see what it says') from problem
        if self.state() is not None:
            raise Problem(REFUSED, 'cannot start the demonstration', f'one runs already in {self.folder}',
                          'ssn demo status shows it, ssn demo down ends it')
        self.prepare()
        with open(self.log, 'wb') as log:
            supervisor = subprocess.Popen(
                [sys.executable, '-B', os.path.abspath(__file__), 'serve', '--ssn', self.options.ssn,
                 '--folder', self.folder], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True)
        try:
            self.wait_until_up(supervisor)
        except BaseException:
            supervisor.terminate()
            supervisor.wait()
            raise
        return self.report(OK)

    def prepare(self):
        if os.path.isdir(self.folder) and os.listdir(self.folder):
            if not os.path.exists(self.log):
                raise Problem(REFUSED, 'cannot start the demonstration',
                              f'{self.folder} holds something else', 'name another one with --folder')
            shutil.rmtree(self.folder)  # of one that was killed
        os.makedirs(self.folder, mode=0o700, exist_ok=True)

    def wait_until_up(self, supervisor):
        begun = time.monotonic()
        while self.state() is None:
            if supervisor.poll() is not None:
                raise Problem(FAILED, 'the demonstration did not start', last_lines(self.log, 5).strip(),
                              f'look at {self.log} and the logs beside it')
            if time.monotonic() - begun > START_SECONDS:
                raise Problem(TEMPORARY, 'the demonstration did not start',
                              f'it is not ready after {START_SECONDS} s',
                              f'look at the logs in {self.folder}')
            self.progress(f'starting: {time.monotonic() - begun:.0f} s')
            time.sleep(0.1)
        self.progress('')

    def progress(self, text):
        if sys.stderr.isatty() and not self.options.quiet:
            print(f'\r\033[K{text}', end='', file=sys.stderr, flush=True)

    def status(self):
        state = self.need_state()
        running = all(since(each['pid']) == each['since'] for each in state['processes'])
        return self.report(OK if running else DEGRADED)

    def report(self, code):
        state = self.need_state()
        for each in state['processes']:
            each['running'] = since(each['pid']) == each['since']
        if self.options.json:
            print(json.dumps({'schema': f'ssn.demo.{self.options.command}/1', 'ok': True, 'error': None,
                              **state}))
        elif not self.options.quiet:
            rows = [('process', 'name', 'pid', 'runs')]
            rows += [(each['program'], each['name'], str(each['pid']), 'yes' if each['running'] else 'no')
                     for each in state['processes']]
            print('\n'.join(table(rows, {2})))
            print(f'\nFiles, logs and stores: {self.folder}\nAs its owner, in its network:\n'
                  f'  {state["shell"]}\n{HINTS}\n  ssn nodes --config {state["operator"]}')
        return code

    def down(self):
        state = self.need_state()
        pid = state['supervisor']['pid']
        os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + STOP_SECONDS
        while self.state() is not None:
            if time.monotonic() > end:
                raise Problem(TEMPORARY, 'the demonstration does not end', f'waited {STOP_SECONDS} s for it',
                              f'kill -KILL {pid}')
            time.sleep(0.05)
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.options.json:
            print(json.dumps({'schema': 'ssn.demo.down/1', 'ok': True, 'error': None}))
        return OK

    # ---- The supervisor

    def serve(self):
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, lambda signum, _: sys.exit(0))
        with network_to_show(self.folder, Programs.beside(self.options.ssn)) as network:
            network.start()
            self.write_state(network)
            while True:
                signal.pause()

    def write_state(self, network):
        processes = [('ssn-kme', 'all sites', network.keys),
                     ('ssn-controller', 'controller', network.controller)]
        processes += [('ssn-dataplane', node.name, node) for node in network.nodes]
        path = os.path.dirname(self.options.ssn)
        state = {'supervisor': known(os.getpid()), 'folder': self.folder, 'configuration': network.owner_file,
                 'operator': network.operator_file,
                 'processes': [{'program': program, 'name': name, **known(each.process.pid)}
                               for program, name, each in processes],
                 'shell': f'nsenter --net=/proc/{network.owner.pid}/ns/net env '
                          f'SSN_OWNER_CONFIG={network.owner_file} PATH={path}:$PATH bash'}
        with open(self.state_file + '.new', 'w', encoding='utf-8') as file:
            json.dump(state, file)
        os.rename(self.state_file + '.new', self.state_file)


def since(pid):
    """When a process was started, in ticks since the machine was; None where it does not run."""
    try:
        with open(f'/proc/{pid}/stat', encoding='ascii', errors='replace') as file:
            fields = file.read().rsplit(')', 1)[1].split()
    except OSError:
        return None
    return None if fields[0] in 'ZX' else int(fields[19])


def known(pid):
    """A process so that it is known again: numbers are used again."""
    return {'pid': pid, 'since': since(pid)}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('command', choices=('up', 'status', 'down', 'serve'))
    parser.add_argument('--ssn', required=True, help='the program ssn')
    parser.add_argument('--folder', default='/run/shareline-demo', help='where everything lies')
    parser.add_argument('--json', action='store_true')
    parser.add_argument('--quiet', action='store_true')
    options = parser.parse_args()
    options.folder, options.ssn = os.path.realpath(options.folder), os.path.realpath(options.ssn)
    # Whoever ends `up` early takes back what it began.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda signum, _: sys.exit(128 + signum))
    try:
        sys.exit(getattr(Demo(options), options.command)())
    except Problem as problem:
        print(f'ssn: error: {problem.what}: {problem.why}\n  fix:   {problem.fix}', file=sys.stderr)
        if options.json:
            print(json.dumps({'schema': f'ssn.demo.{options.command}/1', 'ok': False, 'error': {
                'code': problem.code, 'name': NAMES[problem.code], 'what': problem.what, 'why': problem.why,
                'where': options.folder, 'fix': problem.fix}}))
        sys.exit(problem.code)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == '__main__':
    main()
