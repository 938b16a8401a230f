# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of ssn-dataplane share. Each test file is a program: NAME_test.py BUILD_DIRECTORY [SEED]."""

import collections
import contextlib
import filecmp
import json
import os
import random
import struct
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
SCRIPTS = os.path.join(HERE, "..", "..", "..", "scripts")
sys.path.insert(0, os.path.join(SCRIPTS, "lib"))
# pylint: disable=wrong-import-position
import network as namespaces
from network import stop
from processes import KeyManagers, Programs, last_lines, wait_for
from wire_network import WireNetwork

BUILD = os.path.realpath(sys.argv[1]) if len(sys.argv) > 1 else ""
SEED = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(2**32)
LIB = os.path.join(SCRIPTS, "lib")
SKIPPED = 77
TCP_PORT = 5001
SHARE_PORT = 4404
ETHERNET, IP4, IP6, UDP = 14, 20, 40, 8
SEALED_HEADER, TAG = 48, 16


def is_sanitized():
    """Whether the programs carry sanitizers: slower, and with memory of their own."""
    path = os.path.join(BUILD, "meson-info", "intro-buildoptions.json")
    if not os.path.exists(path):
        return False
    with open(path, encoding="utf-8") as file:
        return any(each["name"] == "b_sanitize" and each["value"] != "none" for each in json.load(file))


SANITIZED = is_sanitized()

Share = collections.namedtuple("Share", "connection key_index number d_offset block share payload")


def main():
    programs = Programs.built(BUILD)
    missing = [each for each in programs if not os.access(each, os.X_OK)]
    if missing:
        print(f"usage: {sys.argv[0]} BUILD_DIRECTORY [SEED]; missing: {missing}", file=sys.stderr)
        sys.exit(2)
    try:
        namespaces.require()
    except namespaces.Unavailable as problem:
        print(f"skipped: {problem}")
        sys.exit(SKIPPED)
    print(f"seed {SEED}", flush=True)
    runner = unittest.TextTestRunner(stream=sys.stdout, verbosity=2)
    result = runner.run(unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"]))
    sys.exit(0 if result.wasSuccessful() and result.testsRun else 1)


class Relay:
    """relay.py between the nodes: links count from 1 here, as everywhere but on its command line."""

    def __init__(self, network):
        self.process = network.relay.start(
            sys.executable, os.path.join(HERE, "relay.py"), SEED,
            *(f"a{link}:b{link}" for link in range(1, network.links + 1)),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.links = network.links
        self.ask(counters=True)  # it carries frames from now on

    def ask(self, **command):
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def set(self, *links, to=None, **what):
        """What goes wrong on these links, or on all of them."""
        command = {"set": what}
        if links:
            command["links"] = [link - 1 for link in links]
        if to:
            command["to"] = to
        self.ask(**command)

    def heal(self):
        self.set(loss=0, duplicate=0, corrupt=0, reorder=0, cut=False)

    def record(self, on):
        self.ask(record=on)

    def recorded(self, link, to="b"):
        return [bytes.fromhex(each) for each in self.ask(recorded=[link - 1, to])]

    def replay(self, link, to="b"):
        self.ask(replay=[link - 1, to])

    def forge(self, link, count, to="b", **more):
        self.ask(forge=count, link=link - 1, to=to, **more)

    def counters(self, link, to="b"):
        return self.ask(counters=True)[link - 1][to]


class WireTest(unittest.TestCase):
    """Two nodes for all tests of a class. What a test changes, it changes back."""

    relayed = False
    vhost = False
    links = 5
    # How long a block waits for its shares: other programs want the cores as well.
    reorder = "1 s" if SANITIZED else "200 ms"
    nodes_run = True
    # Whether a test left the nodes with another configuration than the usual one, or without a process.
    stale = False

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="wire-")
        cls.addClassCleanup(cls.folder.cleanup)
        cls.network = WireNetwork(cls.folder.name, Programs.built(BUILD), cls.links, cls.relayed,
                                  vhost=cls.vhost)
        cls.addClassCleanup(cls.network.close)
        cls.a, cls.b = cls.network.nodes["a"], cls.network.nodes["b"]
        cls.owner_a, cls.owner_b = cls.network.owners["a"], cls.network.owners["b"]
        for node in (cls.a, cls.b):
            node.stream["reorder"] = cls.reorder
        cls.relay = Relay(cls.network) if cls.relayed else None
        cls.random = random.Random(SEED)
        if cls.nodes_run:
            cls.network.start()
            cls.network.wait_for_traffic()
        else:
            cls.network.keys.start()

    def setUp(self):
        dead = self.nodes_run and any(node.process.poll() is not None for node in (self.a, self.b))
        if self.stale or dead:
            type(self).stale = False
            self.start_again()

    def run(self, result=None):
        result = result or self.defaultTestResult()
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            for node in (self.a, self.b):
                print(f"\n--- {node.log}\n{last_lines(node.log, 25) if os.path.exists(node.log) else ''}")
                if node.process is not None and node.process.poll() is None and node.is_ready:
                    print({name: value for name, value in node.counters().items()
                           if value and name.startswith(("drop.", "keys.", "stream.", "wire."))})

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def start_again(self):
        """Both nodes, with their configuration as it is now."""
        for node in (self.a, self.b):
            if node.process is not None and node.process.poll() is None:
                was_ready, code = node.is_ready, node.stop()
                self.assertFalse(was_ready and code, f"{node.name} ended with {code}")
        self.network.start_nodes()
        self.network.wait_for_traffic()

    @contextlib.contextmanager
    def configured(self, change):
        """Both nodes with another configuration, for a while."""
        saved = {node: json.dumps(node.configuration) for node in (self.a, self.b)}
        type(self).stale = True
        try:
            for node in saved:
                change(node)
            self.start_again()
            yield
        finally:
            for node, configuration in saved.items():
                node.configuration = json.loads(configuration)

    def helper(self, namespace, *arguments):
        """A helper of scripts/lib, when it says that it is ready."""
        process = namespace.start(sys.executable, os.path.join(LIB, arguments[0]), *arguments[1:],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(stop, process)
        if process.stdout.readline() != "ready\n":
            self.fail(process.stderr.read())
        return process

    def begin_transfer(self, size, family=4, window=131072, backwards=False):
        """Starts to send random bytes over TCP; what finish_transfer() takes."""
        source, sink = self.path("sent"), self.path("arrived")
        with open(source, "wb") as file:
            file.write(self.random.randbytes(size))
        here, there = (self.owner_b, self.owner_a) if backwards else (self.owner_a, self.owner_b)
        address = self.network.address("a" if backwards else "b", family)
        receiver = self.helper(there, "transfer.py", "receive", address, TCP_PORT, sink, window)
        sender = here.start(sys.executable, os.path.join(LIB, "transfer.py"), "send", address, TCP_PORT,
                            source, window, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(stop, sender)
        return sender, receiver, source, sink

    def finish_transfer(self, transfer, seconds=60):
        """Every byte is there, and right."""
        sender, receiver, source, sink = transfer
        try:
            sender.wait(seconds)
            receiver.wait(10)
        except subprocess.TimeoutExpired:
            for process in (sender, receiver):
                process.kill()
            self.fail(f"only {os.path.getsize(sink)} of {os.path.getsize(source)} bytes came in {seconds} s")
        self.assertEqual(sender.returncode, 0, sender.stderr.read())
        self.assertEqual(receiver.returncode, 0, receiver.stderr.read())
        self.assertTrue(filecmp.cmp(source, sink, shallow=False), "other bytes came than were sent")

    def transfer(self, size, **more):
        self.finish_transfer(self.begin_transfer(size, **more))

    def arrived(self):
        """Bytes of the transfer that are there by now."""
        return os.path.getsize(self.path("arrived"))

    def ping(self, *arguments, family=4, check=True):
        """Pings owner b from owner a. (sent, received)."""
        said = self.owner_a.run("ping", "-q", *arguments, self.network.address("b", family),
                                check=False).stdout
        line = next(line for line in said.split("\n") if "transmitted" in line)
        sent, received = int(line.split()[0]), int(line.split()[3])
        if check:
            self.assertEqual(sent, received, said)
        return sent, received


class Growth:
    """How counters of a node grew since this was made."""

    def __init__(self, node):
        self.node, self.before = node, node.counters()

    def all(self, prefix=""):
        now = self.node.counters(prefix)
        return {name: now[name] - self.before.get(name, 0) for name in now
                if now[name] != self.before.get(name, 0)}

    def of(self, *names):
        grown = self.all()
        return sum(grown.get(name, 0) for name in names)


def read_pcap(path):
    """The frames of a capture."""
    frames = []
    with open(path, "rb") as file:
        file.seek(24)
        while len(head := file.read(16)) == 16:
            frames.append(file.read(struct.unpack("<IIII", head)[2]))
    return frames


def parse_share(frame):
    """A share as it travels, or None."""
    kind = frame[12:14]
    if kind == b"\x08\x00" and frame[ETHERNET] == 0x45 and frame[ETHERNET + 9] == 17:
        at = ETHERNET + IP4
    elif kind == b"\x86\xdd" and frame[ETHERNET + 6] == 17:
        at = ETHERNET + IP6
    else:
        return None
    source, port, length = struct.unpack_from(">HHH", frame, at)
    sealed = frame[at + UDP:at + length]
    if port != SHARE_PORT or source == 0 or len(sealed) <= SEALED_HEADER + TAG:
        return None
    _, kind, key_index, connection, number, d_offset, _, cell, generation, _, share, _, _ = struct.unpack(
        ">BBHIQQQIIHBBI", sealed[:SEALED_HEADER])
    if kind != 1:
        return None
    return Share(connection, key_index, number, d_offset, generation << 32 | cell, share,
                 sealed[SEALED_HEADER + TAG:])


__all__ = [name for name in dir() if not name.startswith("_")]
