# SPDX-License-Identifier: BSD-3-Clause
"""Two domains, each with its authority and its controller: what they tell each other, whom they refuse, and
what becomes of that when one is gone.

exchange_test.py SSN SSN_CONTROLLER FAKE_NETWORK"""

import json
import os
import shutil
import ssl
import subprocess
import sys
import unittest

from support import Case, REFUSED

SSN, CONTROLLER, FAKE_NETWORK = (os.path.realpath(p) for p in (sys.argv[1:4] + [""] * 3)[:3])
Case.ssn_program = SSN
USAGE, DEGRADED, NOT_FOUND = 2, 3, 4

CONFIGURATION = """[controller]
name = "controller"
listen = "127.0.0.1:0"
certificate = "{me}/{certificate}.crt"
key = "{me}/{certificate}.key"
ca = "{me}/ca.crt"
database = "{me}/controller.db"
initial_configuration = "{me}/network.toml"
[exchange]
domain = "{domain}"
listen = "127.0.0.1:{port}"
[[exchange.with]]
domain = "{other}"
ca = "{them}/ca.crt"
crl = "{them}/ca.crl"
"""
POLICY = """[policy]
report = "60 s"
lease = "1 h"
[[node]]
name = "sae-d"
site = "annex"
"""
AGREEMENT = """[[domain]]
name = "{name}"
controller = "{controller}"
identity = "controller"
"""
NODES = ["sae-" + letter for letter in "abcdefg"]


@unittest.skipIf(shutil.which("openssl") is None, "there is no openssl")
class Exchange(Case):
    """East is under the authority of folder pki, west under that of folder other."""

    def setUp(self):
        super().setUp()
        self.processes = {}
        self.ready = {}
        for domain, authority in (("east", "pki"), ("west", "other")):
            os.makedirs(self.path(domain))
            shutil.copy(self.path(authority + "/ca.crt"), self.path(domain + "/ca.crt"))
            self.lists(domain)
            self.issue_in(domain, "controller", "controller")
            self.issue_in(domain, "operator", "operator")

    def lists(self, domain):
        """What the domain revoked is taken to the other one."""
        authority = {"east": "pki", "west": "other"}[domain]
        self.run_ssn("pki", "crl", "--authority", authority)
        self.write(domain + "/ca.crl", self.read(authority + "/ca.crl"))

    def issue_in(self, domain, name, role):
        authority = {"east": "pki", "west": "other"}[domain]
        self.run_ssn("pki", "issue", name, "--authority", authority, "--role", role, "--out", domain)

    def configure(self, domain, port=0, certificate="controller", name=None):
        other = "west" if domain == "east" else "east"
        self.write(domain + "/controller.toml",
                   CONFIGURATION.replace("{me}/", "").replace("{them}/", "../%s/" % other).format(
                       certificate=certificate, domain=name or domain, other=other, port=port))

    def start(self, domain, code=None):
        ready = self.path(domain + "/ready")
        if os.path.exists(ready):
            os.unlink(ready)
        with open(self.path(domain + "/log"), "a", encoding="utf-8") as log:
            process = subprocess.Popen([CONTROLLER, "--config", domain + "/controller.toml", "--ready-file",
                                        ready], cwd=self.dir, stderr=log)
        self.processes[domain] = process
        self.addCleanup(self.end, process)
        self.eventually(lambda: os.path.exists(ready) or process.poll() is not None, self.logs)
        if code is not None:
            self.assertEqual(process.wait(30), code, self.logs())
            return
        self.assertIsNone(process.poll(), self.logs())
        self.ready[domain] = json.loads(self.read(domain + "/ready"))

    @staticmethod
    def end(process):
        if process.poll() is None:
            process.kill()
        process.wait(30)

    def logs(self):
        logs = [domain + "/log" for domain in ("east", "west")]
        return "".join(self.read(log) for log in logs if os.path.exists(self.path(log)))

    def port(self, domain):
        return int(self.ready[domain]["exchange"].rsplit(":", 1)[1])

    def ssn(self, domain, *arguments, code=0, who="operator"):
        mine = os.path.join(self.dir, domain, who)
        done = subprocess.run([SSN, *arguments, "--connect", self.ready[domain]["listen"], "--controller",
                               "controller", "--certificate", mine + ".crt", "--key", mine + ".key", "--ca",
                               self.path(domain + "/ca.crt")], capture_output=True, text=True, check=False,
                              timeout=60)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout + (done.stderr if code else "")

    def apply(self, domain, text):
        self.write(domain + "/network.toml", POLICY + text)
        self.ssn(domain, "config", "apply", "--yes", self.path(domain + "/network.toml"))

    def show(self, domain, other):
        document = json.loads(self.ssn(domain, "domain", "show", other, "--json"))
        self.assertEqual(document["schema"], "ssn.domain.show/1")
        return document["domain"], document["domain"]["theirs"]

    def until(self, domain, other, condition, trouble=""):
        """Waits until it is so; what is shown then."""
        def holds():
            shown = self.show(domain, other)[0]
            return shown["condition"] == condition and trouble in shown["trouble"]
        self.eventually(holds, lambda: "%s, not %s %s\n%s" % (self.show(domain, other), condition, trouble,
                                                              self.logs()))
        return self.show(domain, other)

    def agree(self, east="", west="uses = true\n"):
        """Both run, and have agreed."""
        for domain in ("east", "west"):
            self.configure(domain)
            self.write(domain + "/network.toml", POLICY)
            self.start(domain)
        for domain, other, more in (("east", "west", east), ("west", "east", west)):
            self.apply(domain, AGREEMENT.format(name=other, controller=self.ready[other]["exchange"]) + more)

    def nodes(self, domain):
        for name in NODES:
            self.issue_in(domain, name, "ssa" if name == "sae-a" else "shareholder")
        self.issue_in(domain, "owner", "owner")
        network = subprocess.Popen([FAKE_NETWORK, self.ready[domain]["listen"], self.path(domain)],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(lambda: (network.stdin.close(), network.wait(30), network.stdout.close()))
        self.assertEqual(network.stdout.readline(), "ready\n")

    def test_what_is_lent_is_seen_and_nothing_else(self):
        """names, labels, room and addresses of what is lent, nothing of other nodes; both mean the same"""
        self.agree(east='lends = ["sae-b"]\nlends_sites = ["annex", "sae-e"]\nlends_bytes = "1 GiB"\n')
        self.nodes("east")
        domain, theirs = self.until("west", "east", "good")
        self.eventually(lambda: len(self.show("west", "east")[1]["nodes"]) == 2, self.logs)
        domain, theirs = self.show("west", "east")
        self.assertTrue(domain["heard"] and domain["uses"])
        nodes = {node["name"]: node for node in theirs["nodes"]}
        # sae-e only says itself that it stands in a site that is lent.
        self.assertEqual(sorted(nodes), ["sae-b", "sae-d"])
        self.assertEqual(nodes["sae-d"]["site"], "annex")
        self.assertEqual((nodes["sae-b"]["state"], nodes["sae-b"]["service"]), ("up", "in-service"))
        self.assertEqual(nodes["sae-b"]["free_bytes"], 1 << 30)  # not the terabyte that it has
        self.assertEqual(nodes["sae-b"]["agent"], "127.0.0.1:1")
        self.assertEqual(theirs["bytes"], 1 << 30)
        self.assertNotIn("sae-c", self.ssn("west", "domain", "show", "east", "--json"))
        self.assertEqual(self.until("east", "west", "good")[0]["lends"]["nodes"], ["sae-b", "sae-d"])
        self.assertIn("sae-b", self.ssn("west", "domain", "show", "east"))
        self.assertIn("good", self.ssn("west", "domain", "list", "--check"))
        self.assertRegex(self.ssn("west", "status"), r"(?m)^domains +1 good$")
        self.assertRegex(self.ssn("west", "events"), r"domain_lends.*sae-b, sae-d")
        self.ssn("west", "domain", "show", "north", code=NOT_FOUND)
        # A state of service is exchanged; lending ends.
        self.ssn("east", "node", "set", "sae-b", "standby")
        self.eventually(lambda: self.show("west", "east")[1]["nodes"][0]["service"] == "standby", self.logs)
        self.apply("east", AGREEMENT.format(name="west", controller=self.ready["west"]["exchange"]))
        self.assertEqual(self.until("west", "east", "mismatch", "it lends none")[1]["nodes"], [])
        self.until("east", "west", "mismatch", "we lend none")
        self.ssn("west", "domain", "list", "--check", code=DEGRADED)
        self.eventually(lambda: "domain_mismatch" in self.ssn("west", "alarms"), self.logs)

    def test_one_goes_and_comes_back(self):
        """what it said grows old and is an alarm; when it is back that is over"""
        self.agree(east='lends = ["sae-b"]\nlends_bytes = "1 GiB"\n')
        self.nodes("east")
        self.until("west", "east", "good")
        port = self.port("east")
        self.processes["east"].kill()
        self.processes["east"].wait(30)
        self.until("west", "east", "unreachable")
        self.eventually(lambda: "domain_unreachable" in self.ssn("west", "alarms"), self.logs)
        self.configure("east", port)
        self.start("east")
        self.until("west", "east", "good")
        self.eventually(lambda: "domain_unreachable" not in self.ssn("west", "alarms"), self.logs)

    def test_names_that_differ(self):
        """a domain that is called otherwise is no domain of ours, and both are told so"""
        self.configure("west", name="south")
        self.write("west/network.toml", POLICY)
        self.configure("east")
        self.write("east/network.toml", POLICY)
        for domain, other in (("east", "west"), ("west", "east")):
            self.start(domain)
        for domain, other in (("east", "west"), ("west", "east")):
            self.apply(domain, AGREEMENT.format(name=other, controller=self.ready[other]["exchange"]))
        self.until("east", "west", "mismatch", "it calls itself south, and we call it west")

    def test_who_is_refused(self):
        """certificates that are another's, another authority's, expired, revoked or of our own nodes"""
        self.agree(east='lends = ["sae-b"]\nlends_bytes = "1 GiB"\n')
        self.nodes("east")
        self.until("west", "east", "good")
        address = self.ready["west"]["exchange"]
        shutil.copy(self.path("west/ca.crt"), self.path("ca.crt"))  # that the client of this test believes
        self.assertTrue(self.is_heard(address, "east/controller"))
        self.assertFalse(self.is_heard(address, "west/controller"), "of its own authority")
        self.assertFalse(self.is_heard(address, "west/operator"), "of its own authority")
        self.assertFalse(self.is_heard(address, ""), "none")
        self.assertFalse(self.is_heard(address, "east/controller", ssl.TLSVersion.TLSv1_2), "TLS 1.2")
        shutil.copy(self.path("pki/ca.crt"), self.path("ca.crt"))
        self.dated("expired", "controller", "controller", "20200101000000Z", "20210101000000Z")
        shutil.copy(self.path("west/ca.crt"), self.path("ca.crt"))
        self.assertFalse(self.is_heard(address, "expired"), "expired")
        self.assertTrue(self.is_heard(address, "east/controller"))
        # Of the right authority, and a controller, but not the one that was agreed on.
        self.stop("east")
        self.issue_in("east", "second", "controller")
        self.configure("east", certificate="second")
        text = self.read("east/controller.toml").replace('name = "controller"', 'name = "second"', 1)
        self.write("east/controller.toml", text)
        self.start("east")
        self.eventually(lambda: self.show("west", "east")[0]["refused"] > 0, self.logs)
        self.assertRegex(self.ssn("west", "events"), "domain_refused.*second called, who does not speak for")
        self.until("west", "east", "unreachable")
        # The right one again; then it is revoked, and so refused on the connection that is open.
        self.stop("east")
        self.configure("east")
        self.start("east")
        self.apply("west", AGREEMENT.format(name="east", controller=self.ready["east"]["exchange"]) +
                   "uses = true\n")
        self.until("west", "east", "good")
        self.run_ssn("pki", "revoke", "controller")
        self.lists("east")
        self.until("west", "east", "unreachable")

    def stop(self, domain):
        self.processes[domain].terminate()
        self.assertEqual(self.processes[domain].wait(30), 0, self.logs())

    def test_configuration(self):
        """what does not fit is refused with its place"""
        self.configure("east")
        self.write("east/network.toml", POLICY)
        good = self.read("east/controller.toml")
        for change, code, told in (
                (('domain = "west"', 'domain = "east"'), USAGE, "which is ourselves or there already"),
                (('domain = "east"', 'domain = "e t"'), USAGE, "has spaces"),
                (("[[exchange.with]]", "[[exchange.without]]"), USAGE, "names no other domain"),
                (("../west/ca.crt", "../west/gone.crt"), NOT_FOUND, "gone.crt"),
                (("../west/ca.crl", "../east/ca.crl"), REFUSED, "no authority that we trust has signed it")):
            self.write("east/controller.toml", good.replace(*change))
            self.start("east", code=code)
            self.assertIn(told, self.logs())
        self.write("east/controller.toml", good)
        self.start("east")
        place = 'controller = "127.0.0.1:7"\nidentity = "c"\n'
        for text, told in (("", "missing"),
                           ('controller = "here"\nidentity = "c"\n', "no address with a port"),
                           (place + 'lends = ["h"]\n', "no room on them"),
                           (place + 'lends = ["h", "h"]\n', "h twice")):
            self.write("east/bad.toml", '[[domain]]\nname = "west"\n' + text)
            self.assertIn(told, self.ssn("east", "config", "check", self.path("east/bad.toml"), code=USAGE))


if __name__ == "__main__":
    if not all(os.access(program, os.X_OK) for program in (SSN, CONTROLLER, FAKE_NETWORK)):
        sys.exit("usage: %s SSN SSN_CONTROLLER FAKE_NETWORK" % sys.argv[0])
    runner = unittest.TextTestRunner(stream=sys.stdout, verbosity=2)
    result = runner.run(unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"]))
    sys.exit(0 if result.wasSuccessful() and result.testsRun else 1)
