#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The main job, shown: a storage network of real processes takes a real file, loses two of five shareholders,
and gives the file back. Started by scripts/quickstart.

Everything happens in network namespaces of its own, which are gone at the end, however that comes.
"""
import filecmp
import gzip
import mmap
import os
import random
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
# pylint: disable=wrong-import-position
from processes import Programs, cpus
from screen import Failed, busy_nodes, demonstrate, key_account, table
from storage_network import StorageNetwork

NAME = 'archive'
KILLED = (2, 5)
SAMPLES, SAMPLE_BYTES = 64, 16
PACKED_BYTES = 16 << 20


class Demonstration:
    """The steps, in their order."""

    def __init__(self, options, screen):
        self.screen, self.file, self.folder = screen, options.file, options.folder
        self.programs = Programs.built(options.build)
        self.copy = os.path.join(self.folder, 'copy')
        self.network = None

    def run(self):
        self.build_network()
        try:
            self.start()
            self.put()
            self.show_stores()
            self.kill()
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
        self.screen.heading('A data owner, an SSA, five shareholders, a controller')
        say('owner ---- SSA ==+== shareholder 1 ... 5        controller        key managers')
        self.network = StorageNetwork(self.folder, self.programs)
        say('Nine processes, each in a network namespace of its own, joined by veth pairs and a bridge.')

    def start(self):
        say = self.screen.line
        self.screen.heading('Key managers (emulated), ssn-controller, and six ssn-dataplane')
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
        say('The labels in controller.toml stand for a key manager at each site. All of them are EMULATED,')
        say('by one ssn-kme that knows all keys: in earnest each would be a machine of its own.')
        if len(cpus()) < 8:
            say(f'This machine has {len(cpus())} core(s) for all of it: six workers, key managers, the')
            say('controller and the owner take turns. It is slower than it would be, and no less correct.')

    def owner(self, *arguments):
        """The owner's command, shown; its progress goes to the terminal. Seconds."""
        self.screen.line(f'owner $ ssn {" ".join(arguments)}')
        begun = time.monotonic()
        kept = {'stderr': None} if self.screen.terminal else {}
        done = self.network.ssn(*arguments, check=False, cwd=self.folder, **kept)
        seconds = time.monotonic() - begun
        for said in (done.stdout, done.stderr):
            if said:
                self.screen.block(said)
        if done.returncode != 0:
            raise Failed(f'ssn {arguments[0]} ended with {done.returncode}')
        return seconds

    def rate(self, seconds):
        return f'{os.path.getsize(self.file) / max(seconds, 1e-3) / 1e6:.0f} MB/s of user data'

    def put(self):
        self.screen.heading(f'A file of {os.path.getsize(self.file) / 2**20:.0f} MiB goes in')
        seconds = self.owner('put', os.path.relpath(self.file, self.folder), NAME)
        self.screen.line(f'{self.rate(seconds)}: split, sealed under one-time pads, durable at the holders.')
        self.owner('stat', NAME)

    def show_stores(self):
        self.screen.heading('What lies in the five stores')
        rows = [('store', 'bytes', 'after gzip', f'pieces of the file found, of {SAMPLES}')]
        rows.append(('the file itself', str(os.path.getsize(self.file)), packed([self.file]),
                     str(self.found([self.file]))))
        for holder in self.network.holders:
            files = files_of(holder.store_folder)
            rows.append((f'{holder.name}.store', str(sum(map(os.path.getsize, files))), packed(files),
                         str(self.found(files))))
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

    def kill(self):
        self.screen.heading('Two shareholders are killed')
        for number in KILLED:
            holder = self.network.holders[number - 1]
            self.screen.line(f'$ kill -KILL {holder.process.pid}    # {holder.name}')
            holder.kill()

    def get(self):
        self.screen.heading('The file comes back from the three that are left')
        seconds = self.owner('get', NAME, os.path.basename(self.copy))
        if not filecmp.cmp(self.file, self.copy, shallow=False):
            raise Failed('what came back is not what went in')
        self.screen.line(f'$ cmp {os.path.basename(self.file)} {os.path.basename(self.copy)}')
        self.screen.line(f'Identical. {self.rate(seconds)}.')
        os.remove(self.copy)

    def living(self):
        return [node for node in self.network.nodes if node.process.poll() is None]

    def show_nodes(self):
        self.screen.heading('What each node of the graph did')
        for node in self.living()[:2]:
            self.screen.line(f'$ ssn dataplane graph --config {node.name}.toml    (the busy ones)')
            for graph in node.graph():
                self.screen.block('\n'.join(busy_nodes(graph)))

    def show_keys(self):
        self.screen.heading('Where the key went')
        for node in self.living()[:2]:
            self.screen.line(f'$ ssn dataplane counters --prefix keys. --config {node.name}.toml')
            self.screen.block('\n'.join(key_account(node.counters('keys.'))))
        self.screen.line('Fetched = used + kept + discarded + left for every key stream: a byte serves once.')

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
