# SPDX-License-Identifier: BSD-3-Clause
"""`ssn dataplane` and a running agent, as users see them; and TLS as OpenSSL's own client sees it.

agent_test.py FAKE_NODE SSN"""

import json
import os
import pty
import queue
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import unittest
import xml.dom.minidom

FAKE_NODE = os.path.realpath(sys.argv[1]) if len(sys.argv) > 1 else ""
SSN = os.path.realpath(sys.argv[2]) if len(sys.argv) > 2 else ""
USAGE, NOT_FOUND, TEMPORARY, REFUSED = 2, 4, 5, 6


class Node:
    """A fake node: what it prints is read line by line."""

    def __init__(self, folder, name, *peers):
        self.process = subprocess.Popen([FAKE_NODE, folder, name, *peers], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.lines = queue.Queue()
        self.reader = threading.Thread(target=self.read)
        self.reader.start()
        self.address = self.expect("listening")

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put("")

    def expect(self, word, text=""):
        """The rest of the next line that begins with the word. Lines about trouble come when they like."""
        while True:
            line = self.lines.get(timeout=30)
            first, _, rest = line.strip().partition(" ")
            if first == word and text in rest:
                return rest
            if first != "trouble":
                raise AssertionError("expected %s, not %r" % (word, line))

    def end(self, how=None):
        if self.process.poll() is None:
            if how:
                self.process.send_signal(how)
            self.process.stdin.close()
            self.process.wait(30)
        self.reader.join()
        self.process.stdout.close()
        return self.process.returncode


class AgentTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="agent-")
        cls.net = os.path.join(cls.dir, "n")
        subprocess.run([SSN, "kme", "init", "-q", "--out", cls.net, "--sites", "a,b", "--port", "0"],
                       check=True)
        cls.node = Node(cls.net, "sae-a")
        cls.socket = os.path.join(cls.net, "sae-a.agent.sock")

    @classmethod
    def tearDownClass(cls):
        code = cls.node.end()
        left = os.path.exists(cls.socket)
        shutil.rmtree(cls.dir)
        assert code == 0 and not left, (code, left)

    def path(self, name):
        return os.path.join(self.net, name)

    def ssn(self, *arguments, code=0, place=True):
        if place:
            arguments += ("--socket", self.socket)
        environment = {k: v for k, v in os.environ.items() if k != "SSN_AGENT_SOCKET"}
        done = subprocess.run([SSN, "dataplane", *map(str, arguments)], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=False, timeout=60, env=environment)
        self.assertEqual(done.returncode, code, done.stderr)
        if code:
            self.assertRegex(done.stderr, r"(?s)^ssn: error: .+: .+\n.*  fix:   .+")
        return done

    def json(self, *arguments, code=0, place=True):
        document = json.loads(self.ssn(*arguments, "--json", code=code, place=place).stdout)
        self.assertEqual(document["schema"], "ssn.dataplane.%s/1" % arguments[0])
        self.assertEqual(document["ok"], code == 0)
        return document

    def remote(self, who="operator", name="sae-a", address=None):
        return ("--connect", address or self.node.address, "--name", name, "--certificate",
                self.path(who + ".crt"), "--key", self.path(who + ".key"), "--ca", self.path("ca.crt"))


class Answers(AgentTest):
    def test_status(self):
        """status, as text and as JSON"""
        text = self.ssn("status").stdout
        self.assertIn("sae-a, role wire", text)
        self.assertIn("fallback: no huge pages", text)
        self.assertRegex(text, r"\n! +stream +1 +waiting for keys")
        document = self.json("status")
        self.assertEqual(document["node"], "sae-a")
        self.assertEqual(document["process_id"], self.node.process.pid)
        self.assertEqual([i["name"] for i in document["items"] if not i["healthy"]], ["1"])

    def test_counters(self):
        """counters, picked by prefix, and watched"""
        self.assertRegex(self.ssn("counters").stdout, r"(?m)^drop\.bad_tag +3$")
        document = self.json("counters", "--prefix", "node.")
        self.assertEqual([c["name"].split(".")[2] for c in document["counters"]],
                         ["calls", "cycles", "packets"])
        watched = self.ssn("counters", "--watch", "100ms", "--count", 3, "--json").stdout
        documents, at = [], 0
        while at < len(watched):
            document, at = json.JSONDecoder().raw_decode(watched, at)
            documents.append(document)
            at += len(watched[at:]) - len(watched[at:].lstrip())
        self.assertEqual([d["complete"] for d in documents], [True, False, False])
        self.assertNotIn("drop.bad_tag", [c["name"] for c in documents[1]["counters"]])

    def test_top(self):
        """rates, for a script and on a terminal"""
        text = self.ssn("top", "--interval", "200ms").stdout
        self.assertRegex(text, r"(?m)^STREAM +bytes_in +frames_in\n1 +[\d.]+ M +[\d.]+ k$")
        self.assertRegex(text, r"(?m)^wire_pack .* 200 +100.0 %$")
        self.assertRegex(text, r"(?m)^bad_tag +0 +3$")
        self.assertRegex(text, r"(?m)^sae-b +=(1 M|999 k)$")
        document = self.json("top", "--interval", "100ms")
        rate = {c["name"]: c["per_second"] for c in document["counters"]}
        self.assertAlmostEqual(rate["stream.1.frames_in"] * document["seconds"], 320, delta=1)
        pid, terminal = pty.fork()
        if pid == 0:
            os.execv(SSN, [SSN, "dataplane", "top", "--interval", "100ms", "--socket", self.socket])
        seen = b""
        while seen.count(b"\x1b[H\x1b[2J") < 3:
            seen += os.read(terminal, 65536)
        os.kill(pid, signal.SIGINT)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 130)
        os.close(terminal)
        self.assertIn(b"frames_in", seen)

    def test_trace(self):
        """the way of packets"""
        text = self.ssn("trace", "--count", 2, "--port", "client").stdout
        self.assertEqual(len(re.findall(r"(?m)^packet \d+, worker 1, 1514 bytes$", text)), 2)
        self.assertRegex(text, r"us  port_rx -> wire_classify\n.*us  wire_classify -> wire_pack\n"
                               r".*wire_pack \(end\)  stream 1, block 7\n")
        self.assertEqual(len(self.json("trace", "--count", 5)["hops"]), 15)
        self.ssn("trace", "--node", "nowhere", code=USAGE)
        self.assertEqual(self.json("trace", "--port", "nowhere", code=USAGE)["error"]["name"], "usage")

    def test_graph(self):
        """the graph as text, for Graphviz, as SVG and as JSON"""
        self.assertRegex(self.ssn("graph").stdout,
                         r"(?m)^port_rx +10 +320 +32 +200 +wire_classify drop-bad_header$")
        dot = self.ssn("graph", "--format", "dot").stdout
        self.assertIn('"wire_classify" -> "wire_pack";', dot)
        if shutil.which("dot"):
            subprocess.run(["dot", "-Tsvg"], input=dot, text=True, check=True, stdout=subprocess.DEVNULL)
        picture = xml.dom.minidom.parseString(self.ssn("graph", "--format", "svg").stdout)
        texts = [t.firstChild.data for t in picture.getElementsByTagName("text")]
        self.assertIn("wire_classify", texts)
        self.assertEqual(len(picture.getElementsByTagName("path")), 5)
        self.assertEqual(len(self.json("graph")["graphs"][0]["nodes"]), 4)
        self.ssn("graph", "--worker", 7, code=NOT_FOUND)

    def test_swap(self):
        """swap: errors with file and line, what would change, and the change"""
        good, bad, other = (os.path.join(self.dir, name) for name in ("good.toml", "bad.toml", "other.toml"))
        for name, text in ((good, '[node]\nname = "sae-a"\n'), (bad, "x = 1\n"),
                           (other, '[node]\nname = "x"\n')):
            with open(name, "w", encoding="utf-8") as file:
                file.write(text)
        document = self.json("swap", bad, code=USAGE)
        self.assertEqual([e["where"] for e in document["errors"]], [bad + ":1:1", bad + ":1:1"])
        self.assertFalse(document["applied"])
        self.assertEqual(self.ssn("swap", bad, code=USAGE).stderr.count("error:"), 2)
        self.ssn("swap", other, code=REFUSED)
        self.assertEqual(self.ssn("swap", other, "--check").stdout, "")
        before = self.json("status")["generation"]
        self.assertIn("latency", self.ssn("swap", good, "--dry-run").stdout)
        self.assertEqual(self.json("status")["generation"], before)
        self.assertTrue(self.json("swap", good)["applied"])
        self.assertEqual(self.json("status")["generation"], before + 1)
        self.ssn("swap", os.path.join(self.dir, "gone.toml"), code=NOT_FOUND)
        self.ssn("swap", good, "--check", "--dry-run", code=USAGE)


class Ways(AgentTest):
    def test_remote(self):
        """over TLS as an operator; nobody else"""
        self.assertEqual(self.json("status", *self.remote(), place=False)["node"], "sae-a")
        document = self.json("status", *self.remote("sae-b"), place=False, code=REFUSED)
        self.assertIn("sae-b is no operator", document["error"]["why"])
        self.ssn("status", *self.remote(name="sae-b"), place=False, code=REFUSED)
        os.chmod(self.path("operator.key"), 0o644)
        self.assertIn("chmod 600", self.ssn("status", *self.remote(), place=False, code=REFUSED).stderr)
        os.chmod(self.path("operator.key"), 0o600)

    def test_alternative_names(self):
        """a node that has the wanted name only as an alternative one is not the wanted node"""
        def openssl(*arguments):
            subprocess.run(["openssl", *arguments], check=True, stderr=subprocess.DEVNULL)
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=sae-x",
                "-keyout", self.path("sae-x.key"), "-out", self.path("sae-x.csr"))
        with open(self.path("sae-x.ext"), "w", encoding="ascii") as file:
            file.write("extendedKeyUsage=serverAuth,clientAuth\nsubjectAltName=DNS:sae-x,DNS:sae-b\n")
        openssl("x509", "-req", "-in", self.path("sae-x.csr"), "-CA", self.path("ca.crt"), "-CAkey",
                self.path("ca.key"), "-CAcreateserial", "-extfile", self.path("sae-x.ext"), "-days", "1",
                "-out", self.path("sae-x.crt"))
        other = Node(self.net, "sae-x", "kme-a", "")
        caller = Node(self.net, "kme-a", "sae-b", other.address)
        caller.expect("trouble", "the certificate there is not that of sae-b")
        caller.end()
        self.json("status", *self.remote(name="sae-x", address=other.address), place=False)
        document = self.json("status", *self.remote(name="sae-b", address=other.address), place=False,
                             code=REFUSED)
        self.assertIn("not that of sae-b", document["error"]["why"])
        other.end()

    def test_environment_proxies(self):
        """a proxy in the environment is not asked"""
        environment = dict(os.environ, http_proxy="http://127.0.0.1:1", https_proxy="http://127.0.0.1:1",
                           grpc_proxy="http://127.0.0.1:1", SSN_AGENT_SOCKET="")
        subprocess.run([SSN, "dataplane", "status", "-q", *self.remote()], env=environment, check=True,
                       stdout=subprocess.DEVNULL, timeout=60)

    def test_wrong_places(self):
        """none, two, half of one, nobody there"""
        self.ssn("status", place=False, code=USAGE)
        self.ssn("status", "--connect", "127.0.0.1:1", code=USAGE)
        self.ssn("status", "--connect", "127.0.0.1:1", place=False, code=USAGE)
        self.ssn("status", "--connect", "nonsense", *self.remote()[2:], place=False, code=USAGE)
        self.ssn("status", "--name", "sae-a", code=USAGE)
        self.ssn("status", "--socket", self.path("gone.sock"), place=False, code=TEMPORARY)
        self.ssn("status", *self.remote(address="127.0.0.1:1"), place=False, code=TEMPORARY)
        self.ssn("status", "--config", self.path("gone.toml"), place=False, code=NOT_FOUND)
        self.ssn("top", "--interval", "99ms", code=USAGE)

    def test_only_this_user(self):
        """the socket has mode 0600"""
        self.assertEqual(stat.S_IMODE(os.stat(self.socket).st_mode), 0o600)

    def test_strange_names(self):
        """what the process says cannot command the terminal or break a document"""
        self.assertNotIn("\x1b", self.ssn("status").stdout)


class Tls(AgentTest):
    def shake_hands(self, *options):
        command = ["openssl", "s_client", "-connect", self.node.address, "-CAfile", self.path("ca.crt")]
        done = subprocess.run([*command, "-alpn", "h2", "-ign_eof", *options], input=b"", check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        return done.stdout.decode("utf-8", "replace")

    def test_versions(self):
        """TLS 1.3 with the operator's certificate; 1.2 and older with no cipher at all"""
        mine = ("-cert", self.path("operator.crt"), "-key", self.path("operator.key"))
        answer = self.shake_hands("-tls1_3", *mine)
        self.assertIn("TLSv1.3", answer)
        self.assertIn("Verify return code: 0 (ok)", answer)
        for version in ("-tls1_2", "-tls1_1", "-tls1"):
            for ciphers in ("DEFAULT", "ALL:@SECLEVEL=0", "PSK:@SECLEVEL=0"):
                answer = self.shake_hands(version, "-cipher", ciphers, *mine)
                self.assertIn("Cipher is (NONE)", answer, (version, ciphers))
                self.assertRegex(answer, "unexpected eof|no ciphers available|no protocols available")

    def test_psk(self):
        """nor with a pre-shared key"""
        answer = self.shake_hands("-tls1_2", "-cipher", "PSK:@SECLEVEL=0", "-psk", "00" * 32)
        self.assertIn("Cipher is (NONE)", answer)

    def test_no_certificate(self):
        """without a certificate the server hangs up; with one it speaks HTTP/2 (frame type 4: settings)"""
        mine = ("-cert", self.path("operator.crt"), "-key", self.path("operator.key"))
        settings = "\4\0\0\0\0\0"
        self.assertIn(settings, self.shake_hands("-tls1_3", *mine))
        answer = self.shake_hands("-tls1_3")
        self.assertIn("unexpected eof", answer)
        self.assertNotIn(settings, answer)


class Peers(AgentTest):
    def test_restart(self):
        """two nodes find each other again after either was killed"""
        b = Node(self.net, "sae-b", "sae-z", "127.0.0.1:1")
        b.end(signal.SIGKILL)
        self.node.end()
        b = Node(self.net, "sae-b", "sae-a", "")
        a = Node(self.net, "sae-a", "sae-b", b.address)
        self.assertEqual(a.expect("connected"), "sae-b")
        self.assertEqual(b.expect("connected"), "sae-a")
        a.end(signal.SIGKILL)
        self.assertEqual(b.expect("lost"), "sae-a")
        a = Node(self.net, "sae-a", "sae-b", b.address)  # over the socket that the killed one left behind
        self.assertEqual(a.expect("connected"), "sae-b")
        self.assertEqual(b.expect("connected"), "sae-a")
        self.assertEqual(self.json("status")["node"], "sae-a")
        b.end(signal.SIGKILL)
        self.assertEqual(a.expect("lost"), "sae-b")
        type(self).node = a


if __name__ == "__main__":
    if not (os.access(FAKE_NODE, os.X_OK) and os.access(SSN, os.X_OK)):
        sys.exit("usage: %s FAKE_NODE SSN" % sys.argv[0])
    runner = unittest.TextTestRunner(stream=sys.stdout, verbosity=2)
    result = runner.run(unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"]))
    sys.exit(0 if result.wasSuccessful() and result.testsRun else 1)
