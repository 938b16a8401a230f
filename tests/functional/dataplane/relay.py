#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A bad wire: copies Ethernet frames between pairs of interfaces, and loses, doubles, reorders, damages and
forges them on demand. Run inside the namespace that has the interfaces:

    relay.py SEED INTERFACE_A:INTERFACE_B ...

Commands are lines of JSON on standard input, each answered by one line on standard output:
    {"set": {"loss": 0.1, "duplicate": 0.1, "corrupt": 0.1, "reorder": 0.1, "cut": true}, "links": [0, 1]}
        of the links that are named (all when absent), for frames of both directions; "to": "a" or "b" for one
    {"forge": 1000, "link": 0, "to": "b", "from_byte": 42, "rate": 50000}
        sends damaged copies of the last frames seen in that direction, changed at random from that byte on,
        while frames go on to pass
    {"counters": true}
    {"record": true} and {"recorded": [LINK, "b"]}: the last frames that went towards b, in hexadecimal
    {"replay": [LINK, "b"]}: sends them again, as they were
"""
import collections
import json
import random
import selectors
import socket
import sys
import time

ETH_P_ALL = 3
SO_RCVBUFFORCE = 33
RECORD_MOST = 4096
FORGED_AT_ONCE = 64
HELD_SECONDS = 0.05


class Direction:
    """From one interface to another, through all that can go wrong."""

    def __init__(self, source, sink, chance):
        self.source, self.sink, self.chance = source, sink, chance
        self.loss = self.duplicate = self.corrupt = self.reorder = 0.0
        self.cut = False
        self.held = None  # a frame that was overtaken, and since when
        self.recent = collections.deque(maxlen=16)
        self.recorded = None
        self.forging = None
        self.counters = dict.fromkeys(
            ('passed', 'lost', 'doubled', 'corrupted', 'reordered', 'forged', 'replayed', 'refused'), 0)

    def send(self, frame, counter):
        try:
            self.sink.send(frame)
            self.counters[counter] += 1
        except OSError:
            self.counters['refused'] += 1

    def happens(self, probability):
        return probability > 0 and self.chance.random() < probability

    def damage(self, frame, from_byte):
        changed = bytearray(frame)
        for _ in range(self.chance.randint(1, 8)):
            at = self.chance.randrange(min(from_byte, len(frame) - 1), len(frame))
            changed[at] ^= self.chance.randint(1, 255)
        return bytes(changed)

    def carry(self, frame):
        self.recent.append(frame)
        if self.recorded is not None:
            self.recorded.append(frame)
        if self.cut or self.happens(self.loss):
            self.counters['lost'] += 1
            return
        if self.happens(self.corrupt):
            # Behind Ethernet, IP and UDP: checksums of UDP are for the receiver to find.
            self.counters['corrupted'] += 1
            frame = self.damage(frame, 42)
        if self.held is None and self.happens(self.reorder):
            self.held = (frame, time.monotonic())
            return
        self.send(frame, 'passed')
        if self.happens(self.duplicate):
            self.send(frame, 'doubled')
        self.let_go(0)

    def let_go(self, age):
        if self.held is not None and time.monotonic() - self.held[1] >= age:
            self.send(self.held[0], 'reordered')
            self.held = None

    def begin_forging(self, count, from_byte, rate):
        self.forging = {'left': count, 'from_byte': from_byte, 'rate': rate, 'due': 0,
                        'last': time.monotonic()}

    def forge(self):
        """Sends what is due, some at a time."""
        plan, now = self.forging, time.monotonic()
        plan['due'] = min(plan['due'] + (now - plan['last']) * plan['rate'], FORGED_AT_ONCE)
        plan['last'] = now
        for _ in range(min(int(plan['due']), plan['left']) if self.recent else 0):
            self.send(self.damage(self.chance.choice(self.recent), plan['from_byte']), 'forged')
            plan['due'] -= 1
            plan['left'] -= 1
        if plan['left'] == 0 or not self.recent:
            self.forging = None


class Relay:
    """All links, and the commands."""

    def __init__(self, seed, pairs):
        chance = random.Random(seed)
        self.selector = selectors.DefaultSelector()
        self.links = []
        for pair in pairs:
            a, b = (self.open(name) for name in pair.split(':'))
            link = {'b': Direction(a, b, chance), 'a': Direction(b, a, chance)}
            self.links.append(link)
            for direction in link.values():
                self.selector.register(direction.source, selectors.EVENT_READ, direction)
        self.selector.register(sys.stdin, selectors.EVENT_READ, None)

    @staticmethod
    def open(name):
        opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        opened.bind((name, ETH_P_ALL))
        opened.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        opened.setblocking(False)
        return opened

    def directions(self, command):
        for index in command.get('links', range(len(self.links))):
            for to, direction in self.links[index].items():
                if command.get('to', to) == to:
                    yield direction

    def obey(self, command):
        if 'set' in command:
            for direction in self.directions(command):
                for name, value in command['set'].items():
                    assert name in ('loss', 'duplicate', 'corrupt', 'reorder', 'cut'), name
                    setattr(direction, name, value)
        if 'forge' in command:
            self.links[command['link']][command['to']].begin_forging(
                command['forge'], command.get('from_byte', 42), command.get('rate', 50000))
        if 'record' in command:
            for direction in self.directions(command):
                direction.recorded = collections.deque(maxlen=RECORD_MOST) if command['record'] else None
        if 'replay' in command:
            index, to = command['replay']
            for frame in self.links[index][to].recorded or []:
                self.links[index][to].send(frame, 'replayed')
        if 'recorded' in command:
            index, to = command['recorded']
            return [frame.hex() for frame in self.links[index][to].recorded or []]
        return [{to: direction.counters for to, direction in link.items()} for link in self.links]

    def take(self, direction):
        for _ in range(64):
            try:
                frame, about = direction.source.recvfrom(65536)
            except BlockingIOError:
                return
            if about[2] != socket.PACKET_OUTGOING:
                direction.carry(frame)

    def run(self):
        while True:
            forging = [direction for link in self.links for direction in link.values() if direction.forging]
            for key, _ in self.selector.select(0.0005 if forging else HELD_SECONDS):
                if key.data is not None:
                    self.take(key.data)
                    continue
                line = sys.stdin.readline()
                if not line:
                    return
                print(json.dumps(self.obey(json.loads(line))), flush=True)
            for direction in forging:
                if direction.forging:
                    direction.forge()
            for link in self.links:
                for direction in link.values():
                    direction.let_go(HELD_SECONDS)


if __name__ == '__main__':
    Relay(sys.argv[1], sys.argv[2:]).run()
