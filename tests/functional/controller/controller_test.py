# SPDX-License-Identifier: BSD-3-Clause
"""ssn-controller as a process: start and end, the commands that ask it, TLS as OpenSSL's own client sees it,
SIGKILL at random moments, and a disk that fails to sync.

controller_test.py SSN_CONTROLLER SSN FAKE_NETWORK [FAILING_DISK]"""

import hashlib
import json
import mmap
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import unittest

CONTROLLER, SSN, FAKE_NETWORK = (os.path.realpath(p) for p in (sys.argv[1:4] + ["", "", ""])[:3])
FAILING_DISK = os.path.realpath(sys.argv[4]) if len(sys.argv) > 4 else None
FAILED, USAGE, DEGRADED, NOT_FOUND, TEMPORARY, REFUSED, INTEGRITY = 1, 2, 3, 4, 5, 6, 7
KILLS = int(os.environ.get("SSN_TEST_KILLS", "12"))

CONFIGURATION = """
[controller]
name = "controller"
listen = "127.0.0.1:0"
certificate = "n/controller.crt"
key = "n/controller.key"
ca = "n/ca.crt"
database = "controller.db"
initial_configuration = "network.toml"
"""
NETWORK_CONFIGURATION = """# what operators decide
[policy]
report = "60 s"
lease = "1 h"
"""


class Network:
    """The fake network: a command, an answer."""

    def __init__(self, address, folder):
        self.process = subprocess.Popen([FAKE_NETWORK, address, folder], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.first = self.process.stdout.readline().strip()

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def end(self):
        self.process.stdin.close()
        rest = self.process.stdout.read()
        self.process.stdout.close()
        self.process.wait(60)
        return rest


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="controller-")
        self.addCleanup(shutil.rmtree, self.dir)
        self.net = os.path.join(self.dir, "n")
        subprocess.run([SSN, "kme", "init", "-q", "--out", self.net, "--sites", "a,b,c,d,e,f,g", "--port",
                        "0"], check=True)
        self.write("controller.toml", CONFIGURATION)
        self.write("network.toml", NETWORK_CONFIGURATION)
        self.process = None
        self.address = ""

    def tearDown(self):
        if self.process is not None:
            self.kill()

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="ascii") as file:
            file.write(text)

    def start(self, *arguments, code=None, environment=None):
        """Runs until it is ready, or, with a code, until it has failed with that."""
        ready = self.path("ready.json")
        if os.path.exists(ready):
            os.unlink(ready)
        command = [CONTROLLER, "--config", self.path("controller.toml"), "--ready-file", ready, *arguments]
        with open(self.path("log"), "w", encoding="utf-8") as log:
            process = subprocess.Popen(command, stderr=log, env={**os.environ, **(environment or {})})
        end = time.monotonic() + 60
        while not os.path.exists(ready) and process.poll() is None:
            self.assertLess(time.monotonic(), end, "not ready")
            time.sleep(0.005)
        if code is not None:
            self.assertEqual(process.wait(60), code, self.log())
            return
        self.assertIsNone(process.poll(), self.log())
        self.process = process
        with open(ready, encoding="ascii") as file:
            self.address = json.load(file)["listen"]
        self.write("owner.toml", '[controller]\naddress = "%s"\n[owner]\ncertificate = "n/owner.crt"\n'
                   'key = "n/owner.key"\nca = "n/ca.crt"\n' % self.address)

    def log(self):
        with open(self.path("log"), encoding="utf-8") as file:
            return file.read()

    def kill(self, how=signal.SIGKILL):
        self.process.send_signal(how)
        code = self.process.wait(60)
        self.process = None
        return code

    def ssn(self, *arguments, code=0, who="owner", network="n"):
        if who == "owner":
            arguments += ("--config", self.path("owner.toml"))
        elif who:
            mine = os.path.join(self.dir, network, who)
            arguments += ("--connect", self.address, "--controller", "controller", "--certificate",
                          mine + ".crt", "--key", mine + ".key", "--ca", self.path("n/ca.crt"))
        environment = {k: v for k, v in os.environ.items() if k != "SSN_OWNER_CONFIG"}
        done = subprocess.run([SSN, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              check=False, timeout=60, env=environment)
        self.assertEqual(done.returncode, code, done.stderr)
        if code not in (0, DEGRADED):
            self.assertRegex(done.stderr, r"(?s)^ssn: error: .+: .+\n.*  fix:   .+")
        return done

    def json(self, *arguments, **keywords):
        document = json.loads(self.ssn(*arguments, "--json", **keywords).stdout)
        words = arguments[:2] if arguments[0] in ("config", "node", "reshare") else arguments[:1]
        self.assertEqual(document["schema"], "ssn.%s/1" % ".".join(words))
        self.assertEqual(document["ok"], keywords.get("code", 0) in (0, DEGRADED))
        return document

    def network(self):
        network = Network(self.address, self.net)
        self.addCleanup(network.process.kill)
        self.assertEqual(network.first, "ready")
        return network


class Process(Case):
    def test_start_and_end(self):
        """ready file, private database, an end by signal; a second one of the same database is refused"""
        self.start()
        self.assertEqual(stat.S_IMODE(os.stat(self.path("controller.db")).st_mode), 0o600)
        first, self.process = self.process, None
        self.start(code=TEMPORARY)
        self.process = first
        self.assertEqual(self.kill(signal.SIGTERM), 0)
        self.assertFalse(os.path.exists(self.path("ready.json")))
        self.start()
        self.assertEqual(self.kill(signal.SIGINT), 0)

    def test_configuration(self):
        """unknown keys, nonsense and wrong certificates are errors that say where"""
        self.start("--check", code=0)
        for line in ("[policy]\nquorums = 4", "[policy]\nn = 2", "[limits]\nnodes = 0",
                     "[policy]\ncell = \"65 B\"", "[policy]\nlease = \"2 s\""):
            self.write("network.toml", line)
            self.start(code=USAGE)
            self.assertIn("network.toml:2:", self.log())
        self.write("network.toml", NETWORK_CONFIGURATION)
        for table in ("[policy]\nk = 2", "[limits]\nnodes = 9", "[reshare]\njobs = 2",
                      "[[node]]\nname = \"a\""):
            self.write("controller.toml", CONFIGURATION + table)
            self.start(code=USAGE)
            self.assertIn("controller.toml:10:", self.log())
            self.assertIn("belongs to the network's configuration", self.log())
            self.assertIn("initial_configuration", self.log())
        for change, code in ((("n/controller.", "n/sae-a."), REFUSED),
                             (("n/ca.crt", "n/gone.crt"), NOT_FOUND),
                             (("n/ca.crt", "n/controller.key"), REFUSED), (("127.0.0.1:0", "here"), USAGE)):
            self.write("controller.toml", CONFIGURATION.replace(*change))
            self.start(code=code)
        self.write("controller.toml", CONFIGURATION)
        os.chmod(self.path("n/controller.key"), 0o644)
        self.start(code=REFUSED)

    def test_links_neither_kernels_nor_dpdk(self):
        """and the command, which has the kernels, shows that the check can fail"""
        def parts(program):
            symbols, libraries = (subprocess.run([*tool, program], stdout=subprocess.PIPE, text=True,
                                                 check=True).stdout for tool in (["nm", "-C"], ["ldd"]))
            return "ssn::kernels::" in symbols, "librte_" in libraries
        self.assertEqual(parts(CONTROLLER), (False, False))
        self.assertEqual(parts(SSN), (True, False))

    def test_damaged_database(self):
        """a database that is none, or damaged, is not touched"""
        self.start()
        self.network().end()
        self.kill(signal.SIGTERM)
        with open(self.path("controller.db"), "rb") as file:
            good = file.read()
        for bad in (b"x" * 5000, good[:4096], good[:5000], good[:100] + bytes(len(good) - 100)):
            with open(self.path("controller.db"), "wb") as file:
                file.write(bad)
            self.start(code=INTEGRITY)
            with open(self.path("controller.db"), "rb") as file:
                self.assertEqual(file.read(), bad)


class Commands(Case):
    def test_ls_stat_rm(self):
        """what was committed is listed, shown and removed; nothing else is"""
        self.start()
        self.assertEqual(self.json("ls")["objects"], [])
        self.ssn("stat", "a", code=NOT_FOUND)
        network = self.network()
        whole = network.ask("put photos/cat 5 0")
        self.assertRegex(whole, "^put [0-9a-f]+$")
        self.assertRegex(network.ask("put photos/dog 3 0"), "^error 5 ")
        self.assertRegex(network.ask("put photos/dog 3 1"), "^put ")
        self.assertRegex(network.ask("put notes 2 1"), "^error 5 ")
        objects = self.json("ls")["objects"]
        self.assertEqual([(o["name"], o["shares"], o["health"]) for o in objects],
                         [("photos/cat", 5, "good"), ("photos/dog", 3, "degraded")])
        self.assertIn("photos/dog", self.ssn("ls", "--prefix", "photos/d").stdout)
        self.assertNotIn("photos/cat", self.ssn("ls", "--prefix", "photos/d").stdout)
        text = self.ssn("stat", "photos/cat").stdout
        self.assertIn("any 3 of 5 shares restore it", text)
        document = self.json("stat", "photos/dog", code=DEGRADED)
        self.assertEqual([s["state"] for s in document["shares"]].count("failed"), 2)
        self.assertEqual(document["protection"], "computational")
        self.assertEqual(self.json("stat", "photos/cat")["id"].lstrip("0"), whole.split()[1])
        self.assertEqual(self.json("stat", "gone", code=NOT_FOUND)["error"]["name"], "not_found")
        # Operators see who they ask for, and remove nothing; others see nothing.
        self.assertEqual(len(self.json("ls", "--owner", "owner", who="operator")["objects"]), 2)
        self.ssn("rm", "photos/cat", "--yes", who="operator", code=REFUSED)
        self.ssn("ls", who="sae-a", code=REFUSED)
        self.ssn("ls", "--owner", "alice", code=REFUSED)
        self.ssn("rm", "photos/cat", code=USAGE)  # nobody can be asked
        removed = self.json("rm", "photos/cat", "gone", "--yes", code=NOT_FOUND)
        self.assertEqual([o["removed"] for o in removed["objects"]], [True, False])
        self.ssn("rm", "photos/cat", "--missing-ok", "--yes")
        self.ssn("rm", "photos/dog", "--yes")
        self.assertEqual(self.json("ls")["objects"], [])
        self.assertEqual(network.ask("report"), "report a")  # ten shares are to be erased
        self.assertEqual(network.ask("obey"), "obey 0")
        network.end()

    def operator(self, *arguments, **keywords):
        return self.ssn(*arguments, who="operator", **keywords)

    def test_configuration_in_versions(self):
        """shown, checked, compared, applied, refused when it is old, taken back; over a restart"""
        self.start()
        first = self.operator("config", "show").stdout
        self.assertTrue(first.startswith("version = 1\n"))
        self.assertIn("report = \"1 min\"", first)
        self.ssn("config", "show", code=REFUSED)  # an owner
        edited = first.replace("n = 5", "n = 6")
        self.write("edited.toml", edited)
        file = self.path("edited.toml")
        self.assertIn("1 settings are other ones than in version 1",
                      self.operator("config", "check", file).stderr)
        self.assertEqual(self.operator("config", "diff", file).stdout, "- policy.n = 5\n+ policy.n = 6\n")
        self.operator("config", "diff", file, "--check", code=DEGRADED)
        self.operator("config", "apply", file, "--dry-run")
        self.assertEqual(self.operator("config", "show").stdout, first)
        applied = self.json("config", "apply", file, "--comment", "more shares", who="operator")
        self.assertEqual((applied["version"]["number"], applied["changed"], applied["weaker"]), (2, True, []))
        self.assertEqual(self.operator("config", "show").stdout, edited.replace("version = 1", "version = 2"))
        # Somebody else's version is in force: nobody overwrites what he did not see.
        self.write("old.toml", first.replace("n = 5", "n = 7"))
        self.operator("config", "apply", self.path("old.toml"), code=REFUSED)
        self.operator("config", "apply", self.path("old.toml"), "--base", "2")
        # Weaker protection is asked for.
        self.assertIn("! ", self.operator("config", "rollback", "1", "--dry-run").stdout)
        self.operator("config", "rollback", "1", code=USAGE)
        self.operator("config", "rollback", "1", "--yes")
        self.operator("config", "rollback", "99", "--yes", code=NOT_FOUND)
        self.kill()
        self.write("network.toml", "[policy]\nn = 9\n")  # of a database without a version only
        self.start()
        history = self.json("config", "history", who="operator")["versions"]
        self.assertEqual([each["number"] for each in history], [4, 3, 2, 1])
        self.assertEqual([each["comment"] for each in history],
                         ["as version 1", "", "more shares", "the first one"])
        self.assertEqual({each["who"] for each in history[:3]}, {"operator"})
        self.assertEqual(self.operator("config", "show").stdout, first.replace("version = 1", "version = 4"))
        self.assertIn("configuration_changed", self.operator("events").stdout)
        shown = json.loads(self.operator("config", "show", "2", "--json").stdout)
        digest = "sha256:" + hashlib.sha256(shown["text"].encode()).hexdigest()
        self.assertEqual(shown["digest"], digest)

    def test_configuration_that_is_wrong(self):
        """each error has its line, and nothing changes"""
        self.start()
        self.write("wrong.toml", "[policy]\nn = 600\n\nfoo = 1\n[[class]]\n")
        for command in (["check"], ["diff"], ["apply", "--yes"]):
            done = self.operator("config", command[0], self.path("wrong.toml"), *command[1:], code=USAGE)
            for place in ("wrong.toml:2:", "wrong.toml:4:", "wrong.toml:5:"):
                self.assertIn(place, done.stderr)
        document = json.loads(self.operator("config", "check", self.path("wrong.toml"), "--json",
                                            code=USAGE).stdout)
        self.assertEqual(len(document["problems"]), 3)
        self.operator("config", "apply", self.path("nowhere.toml"), code=NOT_FOUND)
        self.operator("config", "show", "first", code=USAGE)
        self.assertEqual(len(self.json("config", "history", who="operator")["versions"]), 1)

    def test_classes_limits_and_accounting(self):
        """an owner's class and limits are those of the configuration; what was done is recorded"""
        self.start()
        network = self.network()
        self.write("new.toml", NETWORK_CONFIGURATION + "[[class]]\nname = \"wide\"\nk = 4\nn = 6\n"
                   "[[owner]]\nname = \"owner\"\nbytes = \"250 KiB\"\nclasses = [\"wide\"]\n"
                   "write_rate = \"5 MiB\"\n")
        self.operator("config", "apply", self.path("new.toml"))
        self.assertEqual(self.json("explain", "--dry-run", "--class", "wide")["n"], 6)
        self.ssn("explain", "--dry-run", "--class", "none", code=NOT_FOUND)
        self.ssn("explain", "--dry-run", "--k", "2", code=REFUSED)
        self.assertRegex(network.ask("put a 5 0"), "^put ")
        document = self.json("accounting")
        self.assertEqual([(t["operation"], t["count"]) for t in document["totals"]], [("put", 1)])
        self.assertEqual(document["records"], [])
        self.assertEqual(document["owners"][0]["bytes_max"], 250 << 10)
        self.assertEqual(document["owners"][0]["write_rate"], 5 << 20)
        self.assertEqual((document["owners"][0]["read_rate"], document["owners"][0]["slowed_at"]), (0, []))
        self.assertRegex(self.ssn("accounting").stdout, r"5\.2 MB/s +- +-")
        size = document["owners"][0]["bytes"]
        self.assertEqual(size, self.json("stat", "a")["size"])
        while document["owners"][0]["bytes"] + size <= 250 << 10:
            self.assertRegex(network.ask("put %d 5 0" % document["owners"][0]["bytes"]), "^put ")
            document = self.json("accounting")
        self.assertRegex(network.ask("put more 5 0"), "^error 5 ")
        self.ssn("rm", "a", "--yes")
        records = self.json("accounting", "--records", who="operator")["records"]
        self.assertEqual([r["operation"] for r in records], ["put"] * (len(records) - 1) + ["remove"])
        self.assertEqual(records[-1]["name"], "a")
        self.assertIn("remove", self.operator("accounting", "--owner", "owner", "--since", "1h").stdout)
        self.assertEqual(self.json("accounting", "--owner", "alice", who="operator")["totals"], [])
        self.ssn("accounting", "--owner", "alice", code=REFUSED)
        self.ssn("accounting", "--since", "soon", code=USAGE)
        lines = [json.loads(line) for line in self.operator("accounting", "--export").stdout.splitlines()]
        self.assertEqual([{**line, "schema": None} for line in lines],
                         [{"schema": None, **record} for record in records])
        self.assertEqual({line["schema"] for line in lines}, {"ssn.account/1"})
        self.assertEqual([line["number"] for line in lines], list(range(1, len(lines) + 1)))
        rest = self.operator("accounting", "--export", "--after", str(lines[-2]["number"])).stdout
        self.assertEqual([json.loads(line) for line in rest.splitlines()], lines[-1:])
        self.assertEqual(self.operator("accounting", "--export", "--after", str(2**64 - 1)).stdout, "")
        for wrong in (("--after", "1x"), ("--export", "--json"), ("--export", "--records")):
            self.ssn("accounting", *wrong, code=USAGE)
        network.end()

    def test_nodes_and_explain(self):
        """who is there, and why shares lie where they do, for operators and for owners"""
        self.start()
        self.assertEqual(self.json("nodes", who="operator")["nodes"], [])
        self.ssn("nodes", code=REFUSED)
        refused = self.json("explain", "--dry-run", code=TEMPORARY)["error"]
        self.assertIn("none is up", refused["why"])
        network = self.network()
        whole = network.ask("put photos/cat 5 0")
        nodes = {each["name"]: each for each in self.json("nodes", who="operator")["nodes"]}
        self.assertEqual(len(nodes), 7)
        self.assertTrue(all(each["up"] and each["service"] == "in-service" for each in nodes.values()), whole)
        self.assertIn("shareholder", self.ssn("nodes", "--paths", who="operator").stdout)
        self.assertEqual(self.json("node", "set", "sae-g", "standby", who="operator")["service"], "standby")
        self.ssn("node", "set", "sae-g", "idle", who="operator", code=USAGE)
        self.ssn("node", "set", "sae-g", "reserved", code=REFUSED)  # an owner
        self.assertRegex(self.ssn("nodes", who="operator").stdout, r"sae-g +shareholder +up +standby")
        self.ssn("node", "remove", "sae-g", "--yes", who="operator", code=REFUSED)  # it is up
        self.ssn("node", "remove", "nobody", "--yes", who="operator", code=NOT_FOUND)
        self.ssn("node", "remove", "sae-g", who="operator", code=USAGE)
        self.ssn("node", "set", "sae-g", "in-service", who="operator")
        self.assertIn("name = \"sae-g\"\nservice = \"in-service\"",
                      self.ssn("config", "show", who="operator").stdout)
        document = self.json("explain", "photos/cat")
        holds = {each["node"]: each["holds"] for each in document["nodes"] if each["holds"]}
        self.assertEqual(sorted(holds.values()), [1, 2, 3, 4, 5])
        stat_says = {each["node"]: each["share"] for each in self.json("stat", "photos/cat")["shares"]}
        self.assertEqual(holds, stat_says)
        self.assertRegex(self.ssn("explain", "photos/cat").stdout, r"chosen +share \d")
        seen = self.json("explain", "photos/cat", "--owner", "owner", who="operator")["nodes"]
        self.assertTrue(all(each["free_bytes"] > 0 for each in seen))
        hidden = {"free_bytes": 0, "weight": 0, "path": None}
        self.assertEqual([each | hidden for each in seen], document["nodes"])
        self.ssn("explain", "gone", code=NOT_FOUND)
        would = self.json("explain", "--dry-run", "--k", "2", "--n", "3")
        self.assertEqual((would["k"], would["n"], would["refused"]), (2, 3, ""))
        self.assertEqual(len([each for each in would["nodes"] if each["rule"] == "chosen"]), 3)
        would = self.json("explain", "--dry-run", "--n", "9", code=DEGRADED)
        self.assertIn("9 holders are needed", would["refused"])
        self.assertEqual(len(self.json("ls")["objects"]), 1)
        for wrong in ((), ("photos/cat", "--dry-run"), ("photos/cat", "--k", "2")):
            self.ssn("explain", *wrong, code=USAGE)
        network.end()

    def test_places(self):
        """none, half of one, two, nobody there, the wrong name"""
        self.start()
        self.ssn("ls", who="", code=USAGE)
        self.ssn("ls", "--connect", self.address, who="", code=USAGE)
        self.ssn("ls", "--connect", self.address, code=USAGE)
        self.ssn("ls", "--config", self.path("gone.toml"), who="", code=NOT_FOUND)
        self.write("bad.toml", "[controller]\naddress = \"x\"\nadress = \"y\"\n[owner]\n")
        done = self.ssn("ls", "--config", self.path("bad.toml"), who="", code=USAGE)
        self.assertIn("bad.toml:3:", done.stderr)
        self.kill()
        self.ssn("ls", code=TEMPORARY)
        # What cannot be asked is not known to be missing.
        self.ssn("rm", "a", "--missing-ok", "--yes", code=TEMPORARY)


class Tls(Case):
    def shake_hands(self, *options):
        command = ["openssl", "s_client", "-connect", self.address, "-CAfile", self.path("n/ca.crt")]
        done = subprocess.run([*command, "-alpn", "h2", "-ign_eof", *options], input=b"", check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        return done.stdout.decode("utf-8", "replace")

    def identity(self, name, ca, days, subject="/OU=operator/CN=operator"):
        """A certificate by another tool than ours."""
        key, request, made = (self.path(name + end) for end in (".key", ".csr", ".crt"))
        subprocess.run(["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", key, "-out", request, "-subj", subject], check=True,
                       stderr=subprocess.DEVNULL)
        subprocess.run(["openssl", "x509", "-req", "-in", request, "-CA", ca + ".crt", "-CAkey", ca + ".key",
                        "-CAcreateserial", "-out", made, "-days", str(days)], check=True,
                       stderr=subprocess.DEVNULL)
        return ("-cert", made, "-key", key)

    def test_matrix(self):
        """TLS 1.3 with a valid certificate of our CA; everything else is not heard"""
        self.start()
        settings = "\4\0\0\0\0\0"  # the server's first frame of HTTP/2
        mine = ("-cert", self.path("n/operator.crt"), "-key", self.path("n/operator.key"))
        answer = self.shake_hands("-tls1_3", *mine)
        self.assertIn("Verify return code: 0 (ok)", answer)
        self.assertIn(settings, answer)
        self.assertIn(settings, self.shake_hands("-tls1_3", *self.identity("fresh", self.path("n/ca"), 1)))
        subprocess.run([SSN, "kme", "init", "-q", "--out", self.path("o"), "--sites", "a,b"], check=True)
        expired = self.identity("old", self.path("n/ca"), 0)
        time.sleep(1.1)
        other = ("-cert", self.path("o/operator.crt"), "-key", self.path("o/operator.key"))
        for wrong in ((), other, self.identity("foreign", self.path("o/ca"), 1), expired):
            self.assertNotIn(settings, self.shake_hands("-tls1_3", *wrong), wrong)
        for version in ("-tls1_2", "-tls1_1"):
            for ciphers in ("ALL:@SECLEVEL=0", "PSK:@SECLEVEL=0"):
                self.assertIn("Cipher is (NONE)", self.shake_hands(version, "-cipher", ciphers, *mine))

    def test_roles(self):
        """a certificate of our CA without a role, or with one of another spelling, may do nothing"""
        self.start()
        subjects = (("/OU=owner/CN=bob", 0), ("/CN=bob", REFUSED), ("/OU=Owner/CN=bob", REFUSED),
                    ("/OU=owner", REFUSED), ("/OU=owner/CN=a/CN=b", REFUSED), ("/OU=ssa/OU=owner/CN=bob", 0),
                    ("/O=owner/CN=bob", REFUSED))
        for i, (subject, code) in enumerate(subjects):
            self.identity("n/made%d" % i, self.path("n/ca"), 1, subject)
            self.ssn("ls", who="made%d" % i, code=code)


def after(lines, found):
    """Of the changes that `fake_network` tells: what must be there, what may be, and how many are done."""
    expected, pending, done = found, dict(found), 0
    for line in lines:
        kind, *rest = line.split()
        if kind == "+":
            pending = {**expected, rest[0]: rest[1]}
        elif kind == "-":
            pending = {k: v for k, v in expected.items() if k != rest[0]}
        elif kind == ".":
            expected, done = pending, done + 1
    return expected, pending, done


class FailingDisk(Case):
    def test_sync_fails(self):
        """what was not synced is not answered: it says so and ends; a new start goes on with what there is"""
        if FAILING_DISK is None:
            self.skipTest("programs with sanitizers cannot have another library loaded before theirs")
        orders = self.path("orders")
        with open(orders, "wb") as file:
            file.write(bytes(4096))
        environment = {"LD_PRELOAD": FAILING_DISK, "FAILING_DISK_FOLDER": self.dir,
                       "FAILING_DISK_ORDERS": orders}
        self.start(environment=environment)
        network = self.network()
        network.process.stdin.write("churn 1\n")
        network.process.stdin.flush()
        lines = []
        while sum(line == ".\n" for line in lines) < 3:
            lines.append(network.process.stdout.readline())
            self.assertNotEqual(lines[-1], "", self.log())
        with open(orders, "r+b") as file, mmap.mmap(file.fileno(), 4096) as order:
            order[2] = 1
        process, self.process = self.process, None
        self.assertEqual(process.wait(60), FAILED, self.log())
        self.assertIn("cannot write the database: syncing its log failed: Input/output error", self.log())
        self.assertIn("fix:", self.log())
        lines += network.end().splitlines()
        expected, pending, _ = after(lines, {})
        self.start()
        self.assertIn({o["name"]: o["id"] for o in self.json("ls")["objects"]}, (expected, pending))


class Kill(Case):
    def test_sigkill(self):
        """killed at random moments: what was answered is there, the rest as a whole or not at all"""
        seed = int(os.environ.get("SSN_TEST_SEED", str(random.SystemRandom().getrandbits(32))), 0)
        print("SSN_TEST_SEED=%d, %d kills" % (seed, KILLS), flush=True)
        chance = random.Random(seed)
        expected, changes = {}, 0
        begun = time.monotonic()
        for kill in range(KILLS):
            self.start()
            found = {o["name"]: o["id"] for o in self.json("ls")["objects"]}
            if kill:
                self.assertIn(found, (expected, pending), "kill %d, seed %d" % (kill, seed))
            network = self.network()
            network.process.stdin.write("churn %d\n" % (seed + kill))
            network.process.stdin.flush()
            lines = []
            for _ in range(chance.randrange(1, 12)):
                lines.append(network.process.stdout.readline())
                self.assertNotEqual(lines[-1], "end\n", self.log())
            time.sleep(chance.uniform(0, 0.01))
            self.kill()
            lines += network.end().splitlines()
            expected, pending, done = after(lines, found)
            changes += done
        self.start()
        self.assertIn({o["name"]: o["id"] for o in self.json("ls")["objects"]}, (expected, pending))
        self.assertGreater(changes, KILLS)
        rate = 60 * KILLS / (time.monotonic() - begun)
        print("%d changes, %.0f kills a minute" % (changes, rate), flush=True)


if __name__ == "__main__":
    if not all(os.access(program, os.X_OK) for program in (CONTROLLER, SSN, FAKE_NETWORK)):
        sys.exit("usage: %s SSN_CONTROLLER SSN FAKE_NETWORK" % sys.argv[0])
    runner = unittest.TextTestRunner(stream=sys.stdout, verbosity=2)
    result = runner.run(unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"]))
    sys.exit(0 if result.wasSuccessful() and result.testsRun else 1)
