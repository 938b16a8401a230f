#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The main job of wire mode, shown: two data planes with five links between them carry a real file between
two kernels while two of the links are cut. Started by scripts/quickstart.

Everything happens in network namespaces of its own, which are gone at the end, however that comes.
"""
import filecmp
import json
import os
import shutil
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
# pylint: disable=wrong-import-position
from network import stop
from processes import Programs, cpus, toml
from screen import Failed, busy_nodes, demonstrate, key_account, per_second
from wire_network import WireNetwork

HERE = os.path.dirname(os.path.abspath(__file__))
LINKS, CUT = 5, (2, 4)
TCP_PORT = 5001
CAPTURED = 400
HEADERS = 14 + 20 + 8  # Ethernet, IPv4, UDP
SEALED_HEADER, TAG = 48, 16


class Demonstration:
    """The steps, in their order."""

    def __init__(self, options, screen):
        self.screen, self.file, self.folder = screen, options.file, options.folder
        self.programs = Programs.built(options.build)
        self.arrived = os.path.join(self.folder, 'arrived')
        self.capture = os.path.join(self.folder, 'link1.pcap')
        self.network = None

    def run(self):
        self.build_network()
        try:
            self.start()
            self.ping()
            self.transfer()
            self.show_nodes()
            self.show_keys()
            self.show_wire()
            self.end()
        except (RuntimeError, OSError, subprocess.SubprocessError) as problem:
            raise Failed(f'{problem}') from problem
        finally:
            self.network.close()

    # ---- The network and the nodes

    def build_network(self):
        say = self.screen.line
        self.screen.heading('Two nodes, five links between them, and an owner behind each')
        say('owner-a --- node-a ===== five links ===== node-b --- owner-b')
        self.network = WireNetwork(self.folder, self.programs, LINKS)
        for node in self.network.nodes.values():
            # Other programs want these cores as well: what one of them delays is late, not lost.
            node.stream['reorder'] = '50 ms'
        say('network namespaces of their own, joined by veth pairs. The owners are plain kernels with one')
        say('interface each, in one network; links 1 to 3 run over IPv4, 4 and 5 over IPv6.')

    def start(self):
        say, nodes = self.screen.line, self.network.nodes
        self.screen.heading('Key managers (emulated), and ssn-dataplane at both nodes')
        self.network.start()
        say('$ ssn-kme --config keys/kme.toml &')
        for name in 'ab':
            say(f'$ ssn-dataplane --config sae-{name}.toml &')
        say()
        stream = {key: nodes['a'].stream[key] for key in ('id', 'port', 'peer', 'scheme', 'k', 'n', 'cell')}
        self.screen.block('\n'.join(toml({'stream': [stream]})))
        say()
        say('Any 3 of 5 shares restore what comes in at the port `client`; each share is sealed under a')
        say('one-time pad and leaves over a link of its own.')
        self.network.wait_for_traffic()
        for name in 'ab':
            self.show_status(nodes[name])
        if len(cpus()) < 4:
            say(f'This machine has {len(cpus())} core(s) for all of it: two workers, the key managers and')
            say('two kernels take turns. It is slower than it would be, and no less correct.')

    def show_status(self, node):
        status = node.status()
        self.screen.line(f'$ ssn dataplane status --config {node.name}.toml')
        for item in status['items']:
            if item['kind'] in ('worker', 'peer', 'stream', 'key_device', 'offload'):
                mark = ' ' if item['healthy'] else '!'
                self.screen.line(f'  {mark} {item["kind"]} {item["name"]}: {item["condition"]}')
        for fallback in status['fallbacks']:
            self.screen.line(f'  falls back: {fallback}')

    # ---- Traffic

    def ping(self):
        self.screen.heading('Ping')
        for family in (4, 6):
            arguments = ('ping', '-c', '5', '-i', '0.2', '-q', self.network.address('b', family))
            self.screen.line(f'owner-a $ {" ".join(arguments)}')
            said = self.network.owners['a'].run(*arguments, check=False)
            self.screen.block(said.stdout, lambda line: 'packets' in line or 'rtt' in line)
            if said.returncode != 0:
                raise Failed('owner-b does not answer')

    def start_helper(self, namespace, *arguments):
        """A helper of ours, when it says that it is ready."""
        process = namespace.start(sys.executable, os.path.join(HERE, arguments[0]), *arguments[1:],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if process.stdout.readline() != 'ready\n':
            raise Failed(f'{arguments[0]}: {process.stderr.read()}')
        return process

    def cut(self, down):
        for link in CUT:
            self.network.nodes['a'].namespace.run('ip', 'link', 'set', 'dev', f'l{link}',
                                                  'down' if down else 'up')

    def transfer(self):
        say, size = self.screen.line, os.path.getsize(self.file)
        self.screen.heading(f'A file of {size / 2**20:.0f} MiB over TCP, two of the five links cut meanwhile')
        address = self.network.address('b')
        watcher = self.start_helper(self.network.nodes['b'].namespace, 'capture.py', 'l1', CAPTURED,
                                    self.capture)
        receiver = self.start_helper(self.network.owners['b'], 'transfer.py', 'receive', address, TCP_PORT,
                                     self.arrived)
        before = self.network.nodes['b'].counters('stream.')
        sender = self.network.owners['a'].start(
            sys.executable, os.path.join(HERE, 'transfer.py'), 'send', address, TCP_PORT, self.file,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        say('owner-a sends it with sendfile(), owner-b writes it down.')
        whole, parts = self.watch(sender, size)
        stop(watcher)
        told = json.loads(receiver.stdout.readline() or '{}')
        if sender.returncode != 0 or told.get('bytes') != size:
            raise Failed(f'the transfer failed: {sender.stderr.read()} {told}')
        for name, (count, seconds) in parts.items():
            say(f'{name}: {per_second(count, seconds)}')
        say(f'All of it: {size} bytes in {whole:.1f} s, {per_second(size, whole)} of what the owners sent.')
        if not filecmp.cmp(self.file, self.arrived, shallow=False):
            raise Failed('what arrived is not what was sent')
        say(f'$ cmp {os.path.basename(self.file)} arrived')
        say('Identical.')
        os.remove(self.arrived)
        self.show_losses(before)

    def watch(self, sender, size):
        """Shows how much has arrived, and cuts the links on the way. Seconds; {part: (bytes, seconds)}."""
        begun, cut_at = time.monotonic(), None
        width = 40
        while sender.poll() is None:
            done = os.path.getsize(self.arrived)
            if cut_at is None and done >= size * 2 // 5:
                self.cut(True)
                cut_at = (done, time.monotonic())
                self.screen.progress(f'At {done / 2**20:.0f} MiB: ip link set dev l{CUT[0]} down; '
                                     f'ip link set dev l{CUT[1]} down', last=True)
            bar = '#' * (width * done // size)
            links = LINKS - len(CUT) if cut_at else LINKS
            self.screen.progress(f'[{bar:<{width}}] {done / 2**20:.0f} MiB, {links} links')
            time.sleep(0.1)
        end = time.monotonic()
        self.screen.progress(f'[{"#" * width}] done', last=True)
        if cut_at is None:
            raise Failed('the transfer was over before links could be cut'
                         if sender.returncode == 0 else f'the sender failed: {sender.stderr.read()}')
        return end - begun, {'With five links': (cut_at[0], cut_at[1] - begun),
                             'With three': (size - cut_at[0], end - cut_at[1])}

    def show_losses(self, before):
        now = self.network.nodes['b'].counters('stream.')
        lost = {name: now[name] - before.get(name, 0) for name in now if name.endswith('blocks_lost')}
        blocks = sum(now[name] - before.get(name, 0) for name in now if name.endswith('received.blocks'))
        gave_up = sum(lost.values())
        self.screen.line(f'node-b restored {blocks} blocks and gave up {gave_up}' + (
            ', of which not three shares came in time; TCP sent them again.' if gave_up else '.'))
        self.cut(False)
        self.screen.line('The two links are up again.')

    # ---- What it looked like inside

    def show_nodes(self):
        self.screen.heading('What each node of the graph did')
        for node in self.network.nodes.values():
            self.screen.line(f'$ ssn dataplane graph --config {node.name}.toml    (the busy ones)')
            for graph in node.graph():
                self.screen.block('\n'.join(busy_nodes(graph)))

    def show_keys(self):
        self.screen.heading('Where the key went')
        for node in self.network.nodes.values():
            self.screen.line(f'$ ssn dataplane counters --prefix keys. --config {node.name}.toml')
            self.screen.block('\n'.join(key_account(node.counters('keys.'))))
        say = self.screen.line
        say('Fetched = used + discarded + left for every key stream: a byte serves once and is erased. A')
        say('receiver uses the pads of three shares of a block and discards the others.')

    def show_wire(self):
        say = self.screen.line
        self.screen.heading('What link 1 carried')
        packets = [each for each in read_pcap(self.capture) if is_share(each)]
        if not packets:
            raise Failed('no share was captured on link 1')
        longest = max(packets, key=len)
        say('A packet: Ethernet, IP and UDP, then header, tag, and a share under its pad.')
        self.screen.block(hexdump(longest[:HEADERS + SEALED_HEADER + TAG + 96]))
        payloads = b''.join(each[HEADERS + SEALED_HEADER + TAG:] for each in packets)
        say(f'{len(payloads)} bytes of shares from {len(packets)} packets: each byte value occurs '
            f'{min(histogram(payloads))} to {max(histogram(payloads))} times.')
        self.show_dissected()

    def show_dissected(self):
        if not shutil.which('tshark'):
            self.screen.line('For Wireshark: scripts/wireshark/shareline.lua (tshark is not installed here).')
            return
        dissector = os.path.join(HERE, '..', 'wireshark', 'shareline.lua')
        done = subprocess.run(
            ['tshark', '-X', f'lua_script:{dissector}', '-r', self.capture, '-Y', 'shareline', '-c', '40'],
            check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            timeout=60, env=dict(os.environ, HOME=self.folder, XDG_CONFIG_HOME=self.folder))
        self.screen.line('$ tshark -X lua_script:scripts/wireshark/shareline.lua -r link1.pcap -Y shareline')
        self.screen.block('\n'.join(done.stdout.split('\n')[:4]))
        if done.returncode != 0 or not done.stdout:
            raise Failed(f'tshark shows no packet of ours: {done.stderr}')

    def end(self):
        for node in self.network.nodes.values():
            code = node.stop()
            if code != 0:
                raise Failed(f'ssn-dataplane of {node.name} ended with {code}')


def histogram(data):
    counts = [0] * 256
    for byte in data:
        counts[byte] += 1
    return counts


def is_share(frame):
    """A cell of ours over IPv4 and UDP."""
    return len(frame) > HEADERS + SEALED_HEADER + TAG and frame[12:14] == b'\x08\0' and frame[23] == 17 and \
        frame[HEADERS:HEADERS + 2] == b'\1\1'


def read_pcap(path):
    """The frames of a capture."""
    frames = []
    with open(path, 'rb') as file:
        file.seek(24)
        while len(head := file.read(16)) == 16:
            frames.append(file.read(struct.unpack('<IIII', head)[2]))
    return frames


def hexdump(data):
    lines = []
    for at in range(0, len(data), 16):
        row = data[at:at + 16]
        text = ''.join(chr(byte) if 32 <= byte < 127 else '.' for byte in row)
        lines.append(f'{at:04x}  {row.hex(" "):<47}  {text}')
    return '\n'.join(lines)


if __name__ == '__main__':
    demonstrate(__doc__, 'the data planes', Demonstration)
