#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The main job, shown: a storage network of real processes takes a real file, loses two of the five
shareholders that have shares, makes the lost shares again on standbys, loses two more, and gives the file
back. Started by scripts/quickstart.

Everything happens in network namespaces of its own, which are gone at the end, however that comes.
"""
import filecmp
import gzip
import json
import mmap
import os
import random
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
# pylint: disable=wrong-import-position
from processes import Programs, cpus, wait_for
from screen import Failed, busy_nodes, demonstrate, key_account, table
from storage_network import network_to_show

NAME = 'archive'
KILLED, KILLED_LATER, KEPT = (2, 5), (1, 4), 3  # holders of these shares
DEGRADED = 3  # an exit code of ssn
REPAIR_SECONDS = 600
SAMPLES, SAMPLE_BYTES = 64, 16
PACKED_BYTES = 16 << 20


class Demonstration:
    """The steps, in their order."""

    def __init__(self, options, screen):
        self.screen, self.file, self.folder = screen, options.file, options.folder
        self.programs = Programs.built(options.build)
        self.copy = os.path.join(self.folder, 'copy')
        self.network, self.layout, self.put_rate, self.spent_before = None, [], 0, {}

    def run(self):
        self.build_network()
        try:
            self.start()
            self.put()
            self.show_stores()
            self.kill()
            self.repair()
            self.kill_more()
            self.get()
            self.show_nodes()
            self.show_keys()
            self.end()
        except (RuntimeError, OSError, subprocess.SubprocessError) as problem:
            raise Failed(f'{problem}') from problem
        finally:
            self.network.close()

    def build_network(self):
        say = self.screen.line
        self.screen.heading('A data owner, an SSA, seven shareholders, a controller')
        say('owner ---- SSA ==+== shareholder 1 ... 7        controller        key managers')
        self.network = network_to_show(self.folder, self.programs)
        say('Eleven processes, each in a network namespace of its own, joined by veth pairs and a bridge.')
        say('Five shareholders get a share of what is stored, the other two stand by.')

    def start(self):
        say = self.screen.line
        self.screen.heading('Key managers (emulated), ssn-controller, and eight ssn-dataplane')
        begun = time.monotonic()
        self.network.start()
        say('$ ssn-kme --config keys/kme.toml &')
        say('$ ssn-controller --config controller.toml &')
        for node in self.network.nodes:
            say(f'$ ssn-dataplane --config {node.name}.toml &')
        say(f'{time.monotonic() - begun:.1f} s later the SSA shares keys with all shareholders:')
        status = self.network.ssa.status()
        for item in status['items']:
            if item['kind'] == 'peer':
                say(f'  {"  " if item["healthy"] else "! "}{item["name"]}: {item["condition"]}')
        for fallback in status['fallbacks']:
            say(f'  falls back: {fallback}')
        say('The labels in network.toml stand for a key manager at each site. All of them are EMULATED,')
        say('by one ssn-kme that knows all keys: in earnest each would be a machine of its own.')
        if len(cpus()) < 8:
            say(f'This machine has {len(cpus())} core(s) for all of it: eight workers, key managers, the')
            say('controller and the owner take turns. It is slower than it would be, and no less correct.')

    def owner(self, *arguments, codes=(0,)):
        """The owner's command, shown; its progress goes to the terminal. Seconds."""
        self.screen.line(f'owner $ ssn {" ".join(arguments)}')
        begun = time.monotonic()
        kept = {'stderr': None} if self.screen.terminal else {}
        done = self.network.ssn(*arguments, check=False, cwd=self.folder, **kept)
        seconds = time.monotonic() - begun
        for said in (done.stdout, done.stderr):
            if said:
                self.screen.block(said)
        if done.returncode not in codes:
            raise Failed(f'ssn {arguments[0]} ended with {done.returncode}')
        return seconds

    def ask(self, *arguments):
        """The owner's command, not shown: its document."""
        return json.loads(self.network.ssn(*arguments, '--json').stdout)

    def rate(self, seconds):
        """Of user data: MB/s."""
        return os.path.getsize(self.file) / max(seconds, 1e-3) / 1e6

    def put(self):
        self.screen.heading(f'A file of {os.path.getsize(self.file) / 2**20:.0f} MiB goes in')
        seconds = self.owner('put', os.path.relpath(self.file, self.folder), NAME)
        self.put_rate = self.rate(seconds)
        self.screen.line(f'{self.put_rate:.0f} MB/s of user data: split, sealed under one-time pads, durable '
                         'at the holders.')
        self.owner('stat', NAME)
        self.layout = self.holders()

    def holders(self):
        """Who has which share, as names."""
        return [share['node'] for share in self.network.stat(NAME)['shares']]

    def show_stores(self):
        self.screen.heading('What lies in the stores')
        rows = [('store', 'bytes', 'after gzip', f'pieces of the file found, of {SAMPLES}', '')]
        rows.append(('the file itself', str(os.path.getsize(self.file)), packed([self.file]),
                     str(self.found([self.file])), ''))
        for holder in self.network.holders:
            files, has_one = files_of(holder.store_folder), holder.name in self.layout
            rows.append((f'{holder.name}.store', str(sum(map(os.path.getsize, files))),
                         packed(files) if has_one else '-', str(self.found(files)),
                         f'share {self.layout.index(holder.name) + 1}' if has_one else 'stands by'))
        self.screen.block('\n'.join(table(rows, {1, 2, 3})))
        if any(row[3] != '0' for row in rows[2:]):
            raise Failed('a piece of the file lies readable in a store')
        self.screen.line(f'Pieces: {SAMPLE_BYTES} bytes each, from random places of the file.')

    def found(self, files):
        """How many pieces of the file lie in these files."""
        chosen = random.Random(1)
        size = os.path.getsize(self.file)
        with open(self.file, 'rb') as source:
            pieces = []
            while len(pieces) < SAMPLES:
                source.seek(chosen.randrange(max(1, size - SAMPLE_BYTES)))
                piece = source.read(SAMPLE_BYTES)
                if len(set(piece)) > SAMPLE_BYTES // 2:  # zeros are everywhere
                    pieces.append(piece)
        count = 0
        for path in files:
            if os.path.getsize(path) < SAMPLE_BYTES:
                continue
            with open(path, 'rb') as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                left = [piece for piece in pieces if data.find(piece) < 0]
            count += len(pieces) - len(left)
            pieces = left
        return count

    def kill_holders(self, shares):
        for name in (self.layout[share - 1] for share in shares):
            holder = next(each for each in self.network.holders if each.name == name)
            self.screen.line(f'$ kill -KILL {holder.process.pid}    # {holder.name}')
            holder.kill()

    def kill(self):
        self.screen.heading('Two shareholders are killed')
        self.spent_before = self.spent()
        self.kill_holders(KILLED)
        wait_for(lambda: self.up() == len(self.layout) - len(KILLED), 'the controller to miss them')
        self.screen.line('The controller misses their reports:')
        self.owner('stat', NAME, codes=(DEGRADED,))

    def up(self):
        """How many shares are where they should be."""
        return sum(share['up'] and share['state'] == 'sealed' for share in self.network.stat(NAME)['shares'])

    def repair(self):
        say = self.screen.line
        self.screen.heading('The controller has both shares made again, on the standbys')
        say('By itself: "[reshare] after" in network.toml. Three of those that are left send the standby')
        say('their share times a constant, masked by pads that they have in pairs. In the sum the masks')
        say('cancel; it is the lost share. Nobody has the file meanwhile, and no node learns a second share.')
        while True:
            wait_for(lambda: self.ask('reshare', 'list')['jobs'] or self.up() == len(self.layout),
                     'the controller to begin with a repair', REPAIR_SECONDS)
            if self.up() == len(self.layout):
                break
            self.owner('reshare', 'watch', codes=(0, DEGRADED))
        jobs = [job for job in self.ask('reshare', 'list', '--all')['jobs'] if job['step'] == 'done']
        self.owner('reshare', 'list', '--all')
        self.screen.line('The dead cannot erase what they had. They are told to when they are back.')
        self.show_repairs(jobs)
        self.show_costs(jobs)
        self.owner('stat', NAME)

    def show_repairs(self, jobs):
        for job in jobs:
            rate = self.rate((job['ended_ms'] - job['started_ms']) / 1000)
            self.screen.line(
                f'Share {job["share"]}, {job["away"][0]} to {job["takers"][0]}: {rate:.0f} MB/s of user '
                f'data, {rate / self.put_rate:.1f} times put' + (
                    '; no share was over to check it with.' if job['unverified'] else
                    '; the masked check says that all shares fit together.'))
        if len(jobs) != len(KILLED) or jobs[-1]['unverified']:
            raise Failed('there is not one repair for each lost share, the last one checked')

    def show_costs(self, jobs):
        """Beside the formulas of docs/resharing.md."""
        k, spent = self.network.k, self.spent()
        sent, pads = (sum(spent[name][i] - self.spent_before[name][i] for name in spent) for i in (0, 1))
        share = sum(job['cells'] * job['cell_bytes'] for job in jobs)
        rows = [('all repairs together', 'bytes', 'formula', 'D: size of a share')]
        for what, spent, formula, text in (('sent to the standbys', sent, k * share, 'k D'),
                                           ('pads spent', pads, k * (k + 1) // 2 * share, 'k(k+1)/2 D')):
            rows.append((what, str(spent), str(formula), f'{text}, times {spent / formula:.3f}'))
            if spent < formula:  # more is spent where nodes hear late of an order
                raise Failed(f'{what}: {spent} bytes, where the formula says {formula}')
        self.screen.block('\n'.join(table(rows, {1, 2})))

    def alive(self):
        return [holder for holder in self.network.holders if holder.process.poll() is None]

    def spent(self):
        """Of each living shareholder: bytes that it had of others for making shares, and of pad that it took
        to send to them."""
        cell_bytes = self.network.stat(NAME)['cell_bytes']
        return {holder.name: (
            holder.counters('reshare.')['reshare.contributions'] * cell_bytes,
            sum(value for name, value in holder.counters('keys.sae-h').items()
                if name.endswith('.pads_out.used'))) for holder in self.alive()}

    def kill_more(self):
        self.screen.heading('Two more of the first five are killed')
        self.kill_holders(KILLED_LATER)

    def get(self):
        now = self.holders()
        left = [share for share, name in enumerate(now, 1) if share not in KILLED_LATER]
        self.screen.heading('The file comes back from the three shares that are left')
        self.screen.line(', '.join(f'{share}: {now[share - 1]}' for share in left) +
                         ', two of which were made without anybody having the file.')
        seconds = self.owner('get', NAME, os.path.basename(self.copy))
        if not filecmp.cmp(self.file, self.copy, shallow=False):
            raise Failed('what came back is not what went in')
        self.screen.line(f'$ cmp {os.path.basename(self.file)} {os.path.basename(self.copy)}')
        self.screen.line(f'Identical. {self.rate(seconds):.0f} MB/s of user data.')
        os.remove(self.copy)

    def living(self):
        return [node for node in self.network.nodes if node.process.poll() is None]

    def shown(self):
        """The SSA, one of the first five, one that stood by."""
        first, later = (next(node for node in self.living() if node.name == name) for name in (
            self.layout[KEPT - 1], self.holders()[KILLED[0] - 1]))
        return self.network.ssa, first, later

    def show_nodes(self):
        self.screen.heading('What each node of the graph did')
        for node in self.shown():
            self.screen.line(f'$ ssn dataplane graph --config {node.name}.toml    (the busy ones)')
            for graph in node.graph():
                self.screen.block('\n'.join(busy_nodes(graph)))

    def show_keys(self):
        self.screen.heading('Where the key went')
        for node in self.shown():
            self.screen.line(f'$ ssn dataplane counters --prefix keys. --config {node.name}.toml    '
                             '(summed up)')
            self.screen.block('\n'.join(key_account(node.counters('keys.'), together=True)))
        self.screen.line('Fetched = used + kept + discarded + left for each key stream: a byte serves once.')

    def end(self):
        for node in self.living():
            code = node.stop()
            if code != 0:
                raise Failed(f'ssn-dataplane of {node.name} ended with {code}')
        code = self.network.controller.stop()
        if code != 0:
            raise Failed(f'ssn-controller ended with {code}')


def files_of(folder):
    return sorted(os.path.join(path, name) for path, _, names in os.walk(folder) for name in names)


def packed(files):
    """What remains of the largest of these files after gzip: noise does not shrink."""
    with open(max(files, key=os.path.getsize), 'rb') as file:
        head = file.read(PACKED_BYTES)
    return f'{100 * len(gzip.compress(head, 1)) / max(len(head), 1):.1f} %'


if __name__ == '__main__':
    demonstrate(__doc__, 'the storage network', Demonstration)
