# SPDX-License-Identifier: BSD-3-Clause
"""Who is refused by running processes, and how soon changed certificates and lists of revoked ones count.

live_test.py SSN SSN_CONTROLLER FAKE_NODE FAKE_NETWORK"""

import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import time
import unittest

from support import Case, REFUSED

SSN, CONTROLLER, FAKE_NODE, FAKE_NETWORK = (os.path.realpath(p) for p in (sys.argv[1:5] + [""] * 4)[:4])
Case.ssn_program = SSN

CONFIGURATION = """
[controller]
name = "controller"
listen = "127.0.0.1:0"
certificate = "controller.crt"
key = "controller.key"
ca = "ca.crt"
crl = "ca.crl"
database = "controller.db"
initial_configuration = "network.toml"

[audit]
file = "audit.jsonl"
"""
NETWORK_CONFIGURATION = """
[policy]
report = "60 s"
lease = "1 h"
"""


class Process(Case):
    """One process whose messages go to a file."""

    def launch(self, command, ready):
        with open(self.path("log"), "a", encoding="utf-8") as log:
            process = subprocess.Popen(command, cwd=self.dir, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       stderr=log, text=True)
        self.addCleanup(self.end, process)
        self.eventually(lambda: ready() or process.poll() is not None, self.log)
        self.assertIsNone(process.poll(), self.log())
        return process

    def end(self, process):
        process.stdin.close()
        if process.poll() is None:
            process.terminate()
        process.wait(30)
        process.stdout.close()

    def log(self):
        return self.read("log")

    def told(self, text):
        return lambda: text in self.log()

    def place(self, who):
        return ["--connect", self.address, "--certificate", who + ".crt", "--key", who + ".key", "--ca",
                "ca.crt"]

    def ask(self, who, code=0):
        """A call that operators may make."""
        raise NotImplementedError

    def refuses(self, who):
        done = subprocess.run([SSN, *self.question, *self.place(who)], cwd=self.dir, capture_output=True,
                              text=True, check=False, timeout=60)
        return done.returncode == REFUSED and "revoked" in done.stderr

    def check_strangers(self, name, unit):
        self.assertTrue(self.is_heard(self.address, name))
        for what, file in self.strangers(name, unit).items():
            self.assertFalse(self.is_heard(self.address, file), what)
        for version in (ssl.TLSVersion.TLSv1_2,):
            self.assertFalse(self.is_heard(self.address, name, version), version)
        self.assertTrue(self.is_heard(self.address, name))

    def check_renewal(self, node, who):
        before = self.serial_of(node + ".crt")
        self.assertEqual(self.shown_serial(self.address, who), before)
        self.run_ssn("pki", "renew", node, "--new-key")
        after = self.serial_of(node + ".crt")
        self.assertNotEqual(before, after)
        self.eventually(lambda: self.shown_serial(self.address, who) == after, self.log)
        self.assertIn("took changed certificates", self.log())
        self.run_ssn(*self.question, *self.place(who))

    def check_broken(self, node, who):
        """What is broken or another's counts for nothing, is told once, and then mended."""
        good = self.read(node + ".crt")
        serial = self.serial_of(node + ".crt")
        self.dated("stranger", "somebody", "controller", "20240101000000Z", "20400101000000Z")
        for text, why in (("no certificate", "no certificate in PEM"),
                          (self.read("stranger.crt"), "not that of the certificate")):
            self.write(node + ".crt", text)
            self.eventually(self.told(why), self.log)
            self.assertEqual(self.shown_serial(self.address, who), serial)
            self.assertIn("what was there before still counts", self.log())
            self.run_ssn(*self.question, *self.place(who))
        self.write(node + ".crt", good)
        lists = self.read("ca.crl")
        self.write("ca.crl", self.read("other/ca.crl"))
        self.eventually(self.told("no authority that we trust has signed it"), self.log)
        self.run_ssn(*self.question, *self.place(who))
        self.assertEqual(self.log().count("no authority that we trust has signed it"), 1)
        self.write("ca.crl", lists)


@unittest.skipIf(shutil.which("openssl") is None, "there is no openssl")
class Agent(Process):
    question = ["dataplane", "status", "--name", "sae-a"]

    def setUp(self):
        super().setUp()
        self.issue("sae-a", "ssa")
        self.issue("operator", "operator")
        self.issue("second", "operator")

    def start(self):
        process = self.launch([FAKE_NODE, self.dir, "sae-a"], lambda: True)
        self.address = process.stdout.readline().split()[1]

    def test_strangers(self):
        """no certificate that is not ours, valid and signed by our authority gets as far as a call"""
        self.start()
        self.check_strangers("operator", "operator")
        self.run_ssn(*self.question, *self.place("sae-a"), code=REFUSED)  # a role that may not

    def test_revoked_while_connected(self):
        """a stream that runs ends, and calls are refused, once the list says so; the other one goes on"""
        self.start()
        self.run_ssn(*self.question, *self.place("second"))
        watching = subprocess.Popen([SSN, "dataplane", "counters", "--watch", "100ms", "--name", "sae-a",
                                     "--json", *self.place("operator")], cwd=self.dir,
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertIn("{", watching.stdout.read(10))
        self.revoke("operator")
        _, said = watching.communicate(timeout=60)
        self.assertEqual(watching.returncode, REFUSED, said)
        self.assertTrue(self.refuses("operator"))
        self.run_ssn(*self.question, *self.place("second"))

    def test_client_looks_too(self):
        """a command with --crl asks no node that was revoked"""
        self.start()
        with_list = [*self.question, *self.place("operator"), "--crl", "ca.crl"]
        self.run_ssn(*with_list)
        self.revoke("sae-a")
        self.assertIn("revoked", self.run_ssn(*with_list, code=REFUSED))
        self.run_ssn(*self.question, *self.place("operator"))

    def test_renewal(self):
        """a renewed certificate with another key is shown without a restart"""
        self.start()
        self.check_renewal("sae-a", "operator")

    def test_broken_files(self):
        """broken files change nothing, and that is told"""
        self.start()
        self.check_broken("sae-a", "operator")

    def test_ends_soon(self):
        """what ends soon is told ahead: in the log, the status and the counters"""
        self.ending("sae-a", 20)
        self.start()
        self.assertRegex(self.log(), r"certificate of sae-a ends in (19|20) days.*fix: ssn pki renew sae-a")
        self.assertRegex(self.run_ssn(*self.question, *self.place("operator")),
                         r"(?m)^! +certificate +sae-a +ends in (19|20) days")
        self.ending("sae-a", 5)
        self.eventually(lambda: "ends in 5 days" in self.log() or "ends in 4 days" in self.log(), self.log)
        self.run_ssn("pki", "renew", "sae-a")
        self.eventually(lambda: re.search(r"(?m)^ +certificate +sae-a +valid", self.run_ssn(
            *self.question, *self.place("operator"))), self.log)

    def ending(self, name, days):
        """A certificate that has lasted for most of a year."""
        def day(number):
            return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + number * 86400 + 60))
        self.dated(name, name, "ssa", day(-300), day(days))

    def test_peers(self):
        """two agents: one that was revoked loses its connection, and gets it back with another certificate"""
        self.issue("sae-b", "ssa")
        b = self.launch([FAKE_NODE, self.dir, "sae-b", "sae-a", ""], lambda: True)
        address = b.stdout.readline().split()[1]
        a = self.launch([FAKE_NODE, self.dir, "sae-a", "sae-b", address], lambda: True)
        self.expect(a, "connected sae-b")
        self.expect(b, "connected sae-a")
        self.revoke("sae-a")
        self.expect(b, "lost sae-a")
        self.expect(a, "lost sae-b")
        os.unlink(self.path("sae-a.key"))
        self.run_ssn("pki", "issue", "sae-a", "--role", "ssa", "--out", "pki")
        shutil.move(self.path("pki/sae-a.key"), self.path("sae-a.key"))
        shutil.move(self.path("pki/sae-a.crt"), self.path("sae-a.crt"))
        self.expect(b, "connected sae-a")
        self.expect(a, "connected sae-b")

    def expect(self, process, wanted):
        for line in process.stdout:
            if line.strip() == wanted:
                return
        self.fail("%s ended: %s" % (wanted, self.log()))


@unittest.skipIf(shutil.which("openssl") is None, "there is no openssl")
class Controller(Process):
    question = ["ls", "--controller", "controller"]

    def setUp(self):
        super().setUp()
        self.issue("controller", "controller")
        self.issue("operator", "operator")
        self.issue("second", "operator")
        self.write("controller.toml", CONFIGURATION)
        self.write("network.toml", NETWORK_CONFIGURATION)

    def start(self):
        self.launch([CONTROLLER, "--config", self.path("controller.toml"), "--ready-file",
                     self.path("ready.json")], lambda: os.path.exists(self.path("ready.json")))
        self.address = json.loads(self.read("ready.json"))["listen"]

    def test_strangers(self):
        """no certificate that is not ours, valid and signed by our authority gets as far as a call"""
        self.start()
        self.check_strangers("operator", "operator")
        self.issue("sae-h", "shareholder")
        self.run_ssn(*self.question, *self.place("sae-h"), code=REFUSED)  # a role that may not

    def fingerprint_of(self, file):
        shown = self.openssl("x509", "-in", file + ".crt", "-noout", "-fingerprint", "-sha256")
        return shown.strip().split("=")[1].replace(":", "").lower()

    def refused(self, file):
        """What the log of access decisions says of the holder of a certificate who was refused."""
        print_of = self.fingerprint_of(file)
        return [each for each in map(json.loads, self.read("audit.jsonl").splitlines())
                if each["fingerprint"] == print_of and each["decision"] == "refused"]

    def call(self, file):
        """Objects.List with nothing in it, by curl, which looks at no certificate of its user's."""
        with open(self.path("nothing"), "wb") as message:
            message.write(bytes(5))  # not compressed, of no length
        done = subprocess.run(["curl", "-sS", "--max-time", "20", "--http2", "--insecure",
                               "--cert", file + ".crt", "--key", file + ".key",
                               "-H", "content-type: application/grpc", "-H",
                               "te: trailers", "--data-binary", "@nothing", "--dump-header", "-",
                               "https://%s/ssn.controller.v1.Objects/List" % self.address],
                              cwd=self.dir, capture_output=True, text=True, check=False, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    @unittest.skipIf(shutil.which("curl") is None, "there is no curl")
    def test_refused_are_logged(self):
        """who is revoked, and whose certificate has no name or two, is in the log of decisions, and why"""
        self.start()
        self.run_ssn(*self.question, *self.place("operator"))
        self.revoke("operator")
        self.eventually(lambda: self.refuses("operator"), self.log)
        self.subject("nameless", "/OU=operator")
        self.subject("twofold", "/OU=operator/CN=operator/CN=second")
        for file in ("nameless", "twofold"):
            # Our command does not even ask.
            said = self.run_ssn(*self.question, *self.place(file), code=REFUSED)
            self.assertIn("exactly one common name", said)
            self.assertIn("grpc-status: 7", self.call(file))
        for file, caller, roles, why in (("operator", "operator", ["operator"], "revoked"),
                                         ("nameless", "", [], "names nobody"),
                                         ("twofold", "", [], "names nobody")):
            self.eventually(lambda file=file: self.refused(file), lambda: self.read("audit.jsonl"))
            told = self.refused(file)[0]
            self.assertEqual((told["caller"], told["roles"], told["result"], told["method"]),
                             (caller, roles, "refused", "Objects.List"))
            self.assertIn(why, told["reason"])
            self.assertTrue(told["address"].startswith("127.0.0.1:"), told)
        self.run_ssn(*self.question, *self.place("second"))

    def test_revoked_while_connected(self):
        """the next call on an open connection is refused; others go on"""
        names = ["sae-" + letter for letter in "abcdefg"]
        for name in names:
            self.issue(name, "ssa" if name == "sae-a" else "shareholder")
        self.issue("owner", "owner")
        self.start()
        network = self.launch([FAKE_NETWORK, self.address, self.dir], lambda: True)
        self.assertEqual(network.stdout.readline(), "ready\n")

        def report():
            network.stdin.write("report\n")
            network.stdin.flush()
            return network.stdout.readline()

        self.assertEqual(report(), "report 0\n")
        self.revoke("sae-g")
        said = []
        self.eventually(lambda: said.append(report()) or not said[-1].startswith("report"), self.log)
        self.assertRegex(said[-1], "error 6 the certificate of sae-g .*revoked")
        self.run_ssn(*self.question, *self.place("operator"))
        self.revoke("operator")
        self.eventually(lambda: self.refuses("operator"), self.log)
        self.run_ssn(*self.question, *self.place("second"))

    def test_renewal(self):
        """a renewed certificate with another key is shown without a restart"""
        self.start()
        self.check_renewal("controller", "operator")

    def test_broken_files(self):
        """broken files change nothing, and that is told"""
        self.start()
        self.check_broken("controller", "operator")

    def test_ended_list(self):
        """a list that has ended is refused at the start; one that ends while it is used refuses everybody"""
        self.openssl("version")
        self.write("openssl.cnf", "[ca]\ndefault_ca=f\n[f]\ndir=pki\ndatabase=pki/index.txt\n"
                   "certificate=pki/ca.crt\nprivate_key=pki/ca.key\ncrlnumber=pki/crlnumber\n"
                   "default_md=sha256\n")
        good = self.read("ca.crl")
        make = ["ca", "-config", "openssl.cnf", "-gencrl", "-out", "short.crl"]
        self.openssl(*make, "-crlsec", "15")
        end = time.time() + 15
        self.write("ca.crl", self.read("short.crl"))
        self.start()
        self.run_ssn(*self.question, *self.place("operator"))
        self.eventually(self.told("the list of revoked certificates has ended"), self.log)
        self.assertGreaterEqual(time.time(), end - 2)
        self.run_ssn(*self.question, *self.place("operator"), code=REFUSED)
        self.write("second.toml", CONFIGURATION.replace("controller.db", "second.db"))
        done = subprocess.run([CONTROLLER, "--config", self.path("second.toml")], cwd=self.dir,
                              capture_output=True, text=True, check=False, timeout=60)
        self.assertEqual(done.returncode, REFUSED)
        self.assertIn("it has ended", done.stderr)
        self.write("ca.crl", good)
        self.eventually(self.told("took changed certificates"), self.log)
        self.run_ssn(*self.question, *self.place("operator"))


if __name__ == "__main__":
    if not all(os.access(program, os.X_OK) for program in (SSN, CONTROLLER, FAKE_NODE, FAKE_NETWORK)):
        sys.exit("usage: %s SSN SSN_CONTROLLER FAKE_NODE FAKE_NETWORK" % sys.argv[0])
    runner = unittest.TextTestRunner(stream=sys.stdout, verbosity=2)
    result = runner.run(unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"]))
    sys.exit(0 if result.wasSuccessful() and result.testsRun else 1)
