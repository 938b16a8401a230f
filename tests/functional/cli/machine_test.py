# SPDX-License-Identifier: BSD-3-Clause
"""ssn doctor and ssn topology as users and scripts call them."""

import glob
import os
import re

from support import *

LEVELS = ["ok", "note", "warning", "error"]
CODES = {"ok": OK, "note": OK, "warning": 3, "error": FAILED}


class Doctor(Case):
    def doctor(self, *arguments):
        """The report, whatever was found; the exit code must fit it."""
        run = subprocess.run([SSN, "doctor", "--json", *arguments], cwd=self.dir, stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, timeout=120, check=False)
        report = json.loads(run.stdout.decode("utf-8"))
        self.assertEqual(report["schema"], "ssn.doctor/1")
        if "level" in report:
            self.assertEqual(run.returncode, CODES[report["level"]])
            self.assertEqual(report["ok"], run.returncode == OK)
        return report

    def finding(self, report, identifier):
        return next(f for f in report["findings"] if f["id"] == identifier)

    def test_report(self):
        """every finding has a level and, unless all is well, a reason and a fix; counts and levels agree"""
        report = self.doctor()
        self.assertGreaterEqual(len(report["findings"]), 15)
        for finding in report["findings"]:
            self.assertIn(finding["level"], LEVELS)
            self.assertTrue(finding["what"])
            explained = bool(finding["why"]) and bool(finding["fix"])
            self.assertEqual(finding["level"] != "ok", explained, finding)
        for level in LEVELS:
            self.assertEqual(report["count"][level], sum(f["level"] == level for f in report["findings"]))
        self.assertEqual(report["level"], max((f["level"] for f in report["findings"]), key=LEVELS.index))

    def test_text(self):
        """the text names the same findings, --quiet only those that need something done"""
        report = self.doctor()
        code = CODES[report["level"]]
        text = self.ssn("doctor", code=code).stdout.decode()
        quiet = self.ssn("doctor", "--quiet", code=code).stdout.decode()
        needed = {f["id"] for f in report["findings"] if f["level"] in ("warning", "error")}
        for finding in report["findings"]:
            self.assertIn(finding["id"], text)
            self.assertEqual(finding["id"] in quiet, finding["id"] in needed)

    def test_config(self):
        """a configuration adds ledger, certificates and sockets; what is missing is an error"""
        self.put("site.toml", b'[node]\nname = "a"\nledger = "no/a.ledger"\n[[key_device]]\ndriver = "x"\n'
                              b'[key_device.settings]\nsocket = "none.sock"\n[[certificate]]\nname = "site"\n'
                              b'certificate = "none.pem"\n[[port]]\ndevice = "nosuchport0"\n')
        report = self.doctor("--config", "site.toml")
        self.assertEqual(report["level"], "error")
        for identifier in ("ledger.folder", "keys.socket", "certificates.file", "ports.device"):
            self.assertEqual(self.finding(report, identifier)["level"], "error", identifier)
        os.mkdir(self.path("no"), 0o700)
        report = self.doctor("--config", "site.toml")
        self.assertEqual(self.finding(report, "ledger.folder")["level"], "ok")

    def test_wrong_config(self):
        """an unknown key: exit 2, with file, line, column and what was meant"""
        self.put("site.toml", b"[memory]\nlocket = 3\n")
        done = self.ssn("doctor", "--config", "site.toml", code=USAGE)
        self.assertIn("site.toml:2:1", done.stderr.decode())
        self.assertIn("did you mean locked?", done.stderr.decode())
        self.ssn("doctor", "--config", "missing.toml", code=NOT_FOUND)
        os.chmod(self.path("site.toml"), 0o666)
        self.ssn("doctor", "--config", "site.toml", code=REFUSED)

    def test_core_limit(self):
        """the limit of core files is that of the caller, not the one that ssn sets for itself"""
        for limit, level in (("0", "ok"), ("1000", "warning")):
            run = subprocess.run(["bash", "-c", 'ulimit -S -c %s && "$0" doctor --json; true' % limit, SSN],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120, check=False)
            if not run.stdout:
                self.skipTest("the limit cannot be raised here: " + run.stderr.decode())
            found = self.finding(json.loads(run.stdout), "secrets.core-dumps")
            if found["level"] == "note":
                self.skipTest(found["what"] + ", so the limit does not count")
            self.assertEqual(found["level"], level)

    def test_documented(self):
        """docs/operating.md names every finding that the sources can give"""
        with open(os.path.join(SOURCE_ROOT, "docs/operating.md"), encoding="utf-8") as file:
            text = file.read()
        found = set()
        for source in glob.glob(os.path.join(SOURCE_ROOT, "hw/preflight/*.cpp")):
            with open(source, encoding="utf-8") as file:
                content = file.read()
            found |= set(re.findall(r'(?:id = |report\.\w+\()"([a-z]+\.[a-z-]+)"', content))
        self.assertGreater(len(found), 20)
        for identifier in sorted(found):
            section = identifier.split(".")[0]
            self.assertIn("\n## %s\n" % section, text, identifier)
            if section not in ("certificates", "ledger"):
                self.assertIn("`%s`" % identifier, text)


class Topology(Case):
    def test_two_sockets(self):
        """a made-up machine: one node, one CPU a core, isolated ones first"""
        report = self.json("topology", "--topology", "synthetic:pack:2 [numa] core:4 pu:2",
                           "--isolated", "2-7")
        self.assertEqual(report["schema"], "ssn.topology/1")
        self.assertEqual(report["workers"], [2, 4, 6])
        self.assertEqual(report["control"], [0])
        self.assertEqual(len(report["cpus"]), 16)
        self.assertTrue(all(cpu["why"] for cpu in report["cpus"]))
        self.assertEqual(report["warnings"], [])

    def test_file(self):
        """a machine in hwloc's XML, with devices: the workers are near the port"""
        path = os.path.join(SOURCE_ROOT, "tests/unit/hw/topology/data/two_sockets.xml")
        report = self.json("topology", "--topology", path)
        self.assertEqual((report["node"], report["workers"]), (1, [6]))
        report = self.json("topology", "--topology", path, "--devices", "0000:02:00.0")
        self.assertEqual((report["node"], report["workers"]), (0, [2]))
        text = self.ssn("topology", "--topology", path).stdout.decode()
        self.assertRegex(text, r"CPU 7 +none +shares a core with CPU 6")

    def test_this_machine(self):
        """this machine has a plan, and says why each CPU is used or not"""
        report = self.json("topology")
        self.assertTrue(report["workers"])
        self.assertTrue(all(cpu["why"] for cpu in report["cpus"]))

    def test_errors(self):
        """what cannot be had is an error with its own code"""
        machine = ["--topology", "synthetic:core:2 pu:1"]
        self.ssn("topology", *machine, "--workers", 3, code=REFUSED)
        self.ssn("topology", *machine, "--node", 1, code=NOT_FOUND)
        self.ssn("topology", *machine, "--devices", "eth7", code=NOT_FOUND)
        self.ssn("topology", *machine, "--isolated", "2-x", code=USAGE)
        self.ssn("topology", "--isolated", "1", code=USAGE)
        self.ssn("topology", "--topology", "none.xml", code=NOT_FOUND)
        self.put("bad.xml", b"<topology>")
        self.assertEqual(self.json("topology", "--topology", "bad.xml", code=FAILED)["error"]["code"], FAILED)


if __name__ == "__main__":
    main()
