# SPDX-License-Identifier: BSD-3-Clause
"""What scripts and people depend on: exit codes, JSON, help, manual pages, completion, messages."""

import glob
import json
import os
import pty
import re
import shutil
import subprocess

from support import *

# Commands as they are typed; "GROUP SUBCOMMAND" where they stand in a group.
COMMANDS = ["split", "combine", "inspect", "seal", "open", "put", "get", "verify", "ls", "stat", "rm",
            "explain", "nodes", "alarms", "events", "audit", "accounting", "status",
            "doctor", "topology", "version", "config show", "config check", "config diff",
            "config apply", "config history", "config rollback", "node set",
            "node remove", "domain list", "domain show",
            "reshare list", "reshare watch", "reshare start", "reshare cancel",
            "shareholder replace", "offload list", "offload test",
            "dataplane status", "dataplane counters", "dataplane trace", "dataplane top",
            "dataplane graph", "dataplane swap", "dataplane readmit", "kme init", "kme status", "kme outage",
            "kme rate", "kme drain", "kme inject", "kme heal",
            "pki init", "pki issue", "pki request", "pki renew", "pki revoke", "pki crl", "pki list",
            "pki show", "membership sign", "membership verify", "membership show", "membership diff",
            "membership node", "demo up", "demo status", "demo down"]
GROUPS = sorted({c.split()[0] for c in COMMANDS if " " in c})
FIRST_WORDS = list(dict.fromkeys(c.split()[0] for c in COMMANDS))
HERE = os.path.dirname(os.path.realpath(__file__))


class ExitCodes(Case):
    def test_usage(self):
        """wrong command lines: exit 2 with a reason and a way out, and nothing is written"""
        self.make("f", 10)
        wrong = [["split"], ["split", "f"], ["split", "--k", "3", "f"], ["split", "--k", "x", "--n", "5",
                                                                         "f"],
                 ["split", "--k", "0", "--n", "5", "f"], ["split", "--k", "2", "--n", "256", "f"],
                 ["split", "--k", "3", "--n", "2", "f"], ["split", "--k", "1", "--n", "2", "f"],
                 ["split", "--k", "2", "--n", "3", "--scheme", "caesar", "f"],
                 ["split", "--k", "2", "--n", "3", "--scheme", "ramp", "f"],
                 ["split", "--k", "2", "--n", "3", "--scheme", "ramp", "--data-blocks", "2", "f"],
                 ["split", "--k", "2", "--n", "255", "--scheme", "ramp", "--data-blocks", "2", "f"],
                 ["split", "--k", "2", "--n", "3", "--data-blocks", "1", "f"],
                 ["split", "--k", "2", "--n", "3", "--block-size", "63", "f"],
                 ["split", "--k", "2", "--n", "3", "--block-size", "17M", "f"],
                 ["split", "--k", "2", "--n", "200", "--block-size", "16M", "f"],
                 ["split", "--k", "2", "--n", "3", "--random", "dice", "f"],
                 ["split", "--k", "2", "--n", "3", "--scheme", "rs", "--random-device", "/dev/urandom", "f"],
                 ["split", "--k", "2", "--n", "3", "f", "f"], ["split", "--k", "2", "--n", "3",
                                                               "--frobnicate", "f"],
                 ["combine"], ["combine", "f"], ["combine", "-o", "g"], ["combine", "--json", "-o", "-", "f"],
                 ["inspect"], ["inspect", "--check"], ["version", "f"], ["--frobnicate"], ["frobnicate"],
                 [""]]
        for arguments in wrong:
            with self.subTest(arguments=arguments):
                self.ssn(*arguments, code=USAGE)
        self.assertEqual(self.files(), ["f"])

    def test_suggestion(self):
        """a mistyped command gets a suggestion"""
        self.assertIn(b"did you mean `ssn combine`?", self.ssn("combnie", code=USAGE).stderr)
        self.assertIn(b"did you mean `ssn split`?", self.ssn("spilt", code=USAGE).stderr)
        self.assertNotIn(b"did you mean", self.ssn("frobnicate", code=USAGE).stderr)

    def test_groups(self):
        """a group alone prints its help and exits 2; a mistyped subcommand gets a suggestion"""
        for group in GROUPS:
            done = subprocess.run([SSN, group], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
            self.assertEqual((done.returncode, done.stdout), (USAGE, b""))
            self.assertEqual(done.stderr, self.ssn(group, "--help").stdout)
            first = next(c for c in COMMANDS if c.startswith(group + " "))
            wrong = self.ssn(group, first.split()[1] + "x", code=USAGE).stderr
            self.assertIn(b"did you mean `ssn %s`?" % first.encode(), wrong)
            self.assertIn(b"see `ssn %s --help`" % group.encode(),
                          self.ssn(group, "frobnicate", code=USAGE).stderr)

    def test_without_arguments(self):
        """ssn alone prints its help to standard error and exits 2"""
        done = subprocess.run([SSN], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        self.assertEqual(done.returncode, USAGE)
        self.assertEqual(done.stdout, b"")
        self.assertEqual(done.stderr, self.ssn("--help").stdout)

    def test_documented(self):
        """docs/exit-codes.md and the manual page list the same codes with the same names as the program"""
        with open(os.path.join(SOURCE_ROOT, "hw/include/ssn/hw/result.h"), encoding="ascii") as file:
            body = re.search(r"enum class Exit : int \{(.*?)\};", file.read(), re.S).group(1)
        program = {int(number): name for name, number in re.findall(r"(\w+) = (\d+)", body)}
        with open(os.path.join(SOURCE_ROOT, "docs/exit-codes.md"), encoding="utf-8") as file:
            table = {int(number): name for number, name in re.findall(r"^\| (\d+) \| `(\w+)`", file.read(),
                                                                      re.M)}
        self.assertEqual({n: table.get(n) for n in program}, program)
        self.assertEqual(sorted(set(table) - set(program)), [129, 130, 143])
        with open(os.path.join(SOURCE_ROOT, "docs/man/ssn.1.scd"), encoding="utf-8") as file:
            manual = file.read()
        section = manual[manual.index("# EXIT STATUS"):manual.index("# ENVIRONMENT")]
        self.assertEqual(sorted(int(n) for n in re.findall(r"\*(\d+)\*", section)), sorted(table))
        self.assertEqual(len(set(program)), len(program))


class Json(Case):
    def setUp(self):
        super().setUp()
        self.make("f", 3000)

    def check_document(self, document, schema, error=None):
        self.assertEqual(document["schema"], schema)
        self.assertEqual(next(iter(document)), "schema")
        self.assertEqual(document["ok"], error is None)
        if error is None:
            self.assertIsNone(document["error"])
        else:
            self.assertEqual(set(document["error"]), {"code", "name", "what", "why", "where", "fix"})
            self.assertEqual(document["error"]["code"], error)

    def test_documents(self):
        """each command's document has its schema and members, on success and on failure"""
        split = self.json("split", "--k", 2, "--n", 3, "f")
        self.check_document(split, "ssn.split/1")
        self.assertEqual(set(split), {"schema", "ok", "error", "input", "format", "object", "shares",
                                      "seconds",
                                      "bytes_per_second", "kernels"})
        self.assertEqual([share["file"] for share in split["shares"]], ["f.1.ssn", "f.2.ssn", "f.3.ssn"])
        self.assertEqual([share["bytes"] for share in split["shares"]],
                         [os.path.getsize(self.path(share["file"])) for share in split["shares"]])
        self.assertEqual({k: split["object"][k] for k in ("object_bytes", "scheme", "k", "n",
                                                          "revealing_nothing")},
                         {"object_bytes": 3000, "scheme": "systematic", "k": 2, "n": 3,
                          "revealing_nothing": 1})
        self.assertEqual(split["object"]["secrecy"], "computational")
        combine = self.json("combine", "-o", "g", "f.1.ssn", "f.2.ssn", "nothing")
        self.check_document(combine, "ssn.combine/1")
        self.assertEqual(set(combine), {"schema", "ok", "error", "output", "format", "object", "shares",
                                        "blocks",
                                        "checked_blocks", "seconds", "bytes_per_second", "kernels"})
        self.assertEqual(combine["object"], split["object"])
        self.assertEqual(combine["shares"][2]["state"], "unreadable")
        inspect = self.json("inspect", "--check", "f.1.ssn", "f.2.ssn")
        self.check_document(inspect, "ssn.inspect/1")
        self.assertEqual([share["share"] for share in inspect["shares"]], [1, 2])
        self.assertEqual(inspect["shares"][0]["object_id"], split["object"]["object_id"])
        version = self.json("version")
        self.check_document(version, "ssn.version/1")
        self.assertIn(version["kernels"]["implementation"],
                      [i["name"] for i in version["kernels"]["implementations"] if i["supported"]])

    def test_failures(self):
        """failures give a document too, with the exit code in it"""
        self.check_document(self.json("split", "--k", 2, "--n", 3, "gone", code=NOT_FOUND), "ssn.split/1",
                            NOT_FOUND)
        self.check_document(self.json("combine", "-o", "g", "f", code=NOT_A_SHARE), "ssn.combine/1",
                            NOT_A_SHARE)
        self.check_document(self.json("inspect", "f", "gone", code=NOT_A_SHARE), "ssn.inspect/1", NOT_A_SHARE)
        bad = {"SSN_KERNELS": "no"}
        self.check_document(self.json("version", code=KERNELS, environment=bad), "ssn.version/1", KERNELS)
        self.check_document(self.json("split", "--k", 2, "--n", 3, "f", code=KERNELS, environment=bad),
                            "ssn.split/1",
                            KERNELS)
        self.check_document(self.json("split", "--k", 2, code=USAGE), "ssn.error/1", USAGE)
        self.check_document(self.json("frobnicate", code=USAGE), "ssn.error/1", USAGE)

    def test_rs_says_no_secrecy(self):
        """scheme rs: a warning, and secrecy none in the document"""
        done = self.ssn("split", "--k", 2, "--n", 3, "--scheme", "rs", "--json", "f")
        self.assertIn(b"warning: scheme rs keeps NOTHING secret", done.stderr)
        document = json.loads(done.stdout)
        self.assertEqual((document["object"]["secrecy"], document["object"]["revealing_nothing"]), ("none",
                                                                                                    0))


class Help(Case):
    def test_golden(self):
        """help texts are the recorded ones (SSN_UPDATE_GOLDEN=1 records them anew)"""
        for name, arguments in [("ssn", [])] + [
                ("ssn-" + c.replace(" ", "-"), c.split()) for c in GROUPS + COMMANDS]:
            text = self.ssn(*arguments, "--help").stdout.decode()
            self.assertLess(text.index("Examples:"), text.index("Usage:"))
            for line in text.splitlines():
                self.assertLessEqual(len(line), 110)
            path = os.path.join(HERE, "golden", name + ".help.txt")
            if os.environ.get("SSN_UPDATE_GOLDEN"):
                with open(path, "w", encoding="utf-8") as file:
                    file.write(text)
            with open(path, encoding="utf-8") as file:
                self.assertEqual(text, file.read(), "differs from " + path)

    def options(self, command):
        text = self.ssn(*command.split(), "--help").stdout.decode()
        return set(re.findall(r"--[a-z][a-z-]*",
                              text[text.index("Options:"):text.index("Manual:")])) - {"--help"}

    def test_manual_pages(self):
        """every command has a manual page that names all its options; scdoc makes the pages without a
        warning"""
        scdoc = shutil.which("scdoc")
        for command in COMMANDS:
            page = os.path.join(SOURCE_ROOT, "docs/man/ssn-%s.1.scd" % command.split()[0])
            with open(page, encoding="utf-8") as file:
                text = file.read()
            for option in self.options(command) - {"--json", "--quiet"}:
                self.assertIn("*%s*" % option, text, "ssn-" + command)
        pages = sorted(glob.glob(os.path.join(SOURCE_ROOT, "docs/man/*.scd")))
        self.assertEqual(len([p for p in pages if p.endswith(".1.scd")]), len(FIRST_WORDS) + 1)
        if scdoc is None:
            self.skipTest("scdoc is not installed")
        for page in pages:
            with open(page, "rb") as file:
                done = subprocess.run([scdoc], stdin=file, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                      check=True)
            self.assertEqual(done.stderr, b"")
            self.assertIn(b".TH", done.stdout)
            self.assertGreater(len(done.stdout), 500)

    def test_completion(self):
        """bash completion offers the commands and exactly the options of each"""
        script = os.path.join(SOURCE_ROOT, "control/cli/completion/ssn.bash")

        def complete(*words):
            text = ('source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _ssn; '
                    'printf "%s\\n" "${COMPREPLY[@]}"')
            done = subprocess.run(["bash", "-c", text, script, *words], stdout=subprocess.PIPE, check=True,
                                  text=True)
            return set(done.stdout.split())
        self.assertEqual(complete("ssn", ""), set(FIRST_WORDS) | {"--help", "--version"})
        for group in GROUPS:
            self.assertEqual(complete("ssn", group, ""),
                             {c.split()[1] for c in COMMANDS if c.startswith(group + " ")} | {"--help"},
                             group)
        self.assertEqual(complete("ssn", "sp"), {"split"})
        self.assertEqual(complete("ssn", "split", "--scheme", ""), {"systematic", "classic", "ramp", "rs"})
        for command in COMMANDS:
            self.assertEqual(complete("ssn", *command.split(), "--") - {"--help"}, self.options(command),
                             command)

    def test_version(self):
        """--version and version name the version of meson.build"""
        with open(os.path.join(SOURCE_ROOT, "meson.build"), encoding="utf-8") as file:
            version = re.search(r"version: '([0-9.]+)'", file.read()).group(1)
        self.assertEqual(self.ssn("--version").stdout.decode(), "ssn %s\n" % version)
        self.assertTrue(self.ssn("version").stdout.decode().startswith("ssn %s\n" % version))
        self.assertEqual(self.json("version")["version"], version)


class Inspect(Case):
    def test_inspect(self):
        """inspect shows headers; --check finds damage; exit codes 0, 4, 7, 11 for the first bad file"""
        self.make("f", 5000)
        shares = self.split(3, 4, "f", "--scheme", "ramp", "--data-blocks", 2, "--block-size", 1000)
        text = self.ssn("inspect", *shares).stdout.decode()
        self.assertIn("f.2.ssn: share 2 of 4, any 3 restore the object", text)
        self.assertIn("ramp, 2 data blocks", text)
        self.assertIn("one share alone reveals nothing", text)
        self.assertIn("3 checksums match", self.ssn("inspect", "--check", shares[0]).stdout.decode())
        file = ShareFile(self.path(shares[1]))
        file.flip(512 + 1000 + 8 + 3)
        file.save(self.path(shares[1]))
        self.ssn("inspect", *shares)
        report = self.json("inspect", "--check", *shares, code=INTEGRITY)
        self.assertEqual(self.states(report), ["good", "damaged", "good", "good"])
        self.assertEqual((report["shares"][1]["good_blocks"], report["shares"][1]["damaged_blocks"]), (2, 1))
        self.put(shares[2], self.get(shares[2])[:-1])
        self.ssn("inspect", shares[2], code=NOT_A_SHARE)
        self.ssn("inspect", "f", code=NOT_A_SHARE)
        self.ssn("inspect", "gone", "f", code=NOT_FOUND)

    def test_says_nothing_of_the_contents(self):
        """inspect of two splits of different files of one length differs in the object id and name only"""
        def shown(name, data):
            self.put(name, data)
            report = self.json("inspect", "--check", self.split(2, 2, name)[0])
            for member in ("object_id", "file"):
                del report["shares"][0][member]
            return report
        self.assertEqual(shown("a", b"\0" * 1000), shown("b", b"\xff" * 1000))


class Terminal(Case):
    def run_on_terminal(self, *arguments, environment=None):
        """Standard error is a terminal. Returns what appeared there."""
        master, slave = pty.openpty()
        env = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
        env.update(environment or {})
        process = subprocess.Popen([SSN, *arguments], cwd=self.dir, stdin=subprocess.PIPE,
                                   stdout=subprocess.DEVNULL,
                                   stderr=slave, env=env)
        os.close(slave)
        return process, master

    def read_all(self, master):
        text = b""
        try:
            while chunk := os.read(master, 4096):
                text += chunk
        except OSError:  # EIO: the other side is closed
            pass
        os.close(master)
        return text

    def slow_split(self, *options):
        process, master = self.run_on_terminal("split", "--k", "2", "--n", "2", "--force", "--name", "s",
                                               *options, "-")
        for _ in range(2):
            process.stdin.write(bytes(2 << 20))
            process.stdin.flush()
            time.sleep(0.6)
        process.stdin.close()
        self.assertEqual(process.wait(timeout=20), 0)
        return self.read_all(master)

    def test_progress(self):
        """progress on a terminal after half a second, none with --quiet"""
        self.assertRegex(self.slow_split(), rb"\rsplit [0-9.]+ MB  [0-9.]+ [kM]B/s")
        self.assertEqual(self.slow_split("--quiet"), b"")

    def test_colour(self):
        """colour on a terminal, none with NO_COLOR, none in a file"""
        for environment, colour in ((None, True), ({"NO_COLOR": "1"}, False)):
            process, master = self.run_on_terminal("combine", "-o", "g", "gone", environment=environment)
            process.stdin.close()
            self.assertEqual(process.wait(timeout=20), NOT_FOUND)
            self.assertEqual(b"\x1b[" in self.read_all(master), colour)
        self.assertNotIn(b"\x1b[", self.ssn("combine", "-o", "g", "gone", code=NOT_FOUND).stderr)

    def test_quiet(self):
        """--quiet: nothing on success, warnings and errors otherwise"""
        self.make("f", 100)
        done = self.ssn("split", "--quiet", "--k", 2, "--n", 3, "f")
        self.assertEqual((done.stdout, done.stderr), (b"", b""))
        done = self.ssn("combine", "-q", "-o", "g", "f.1.ssn", "f.2.ssn", "f")
        self.assertIn(b"warning: f: ", done.stderr)

    def test_summary(self):
        """the last line on standard error gives size, time, speed and kernels"""
        self.make("f", 100000)
        pattern = rb"ssn: (split|combined) 100\.0 kB in [0-9.]+ s, [0-9.]+ GB/s, kernels [a-z0-9_]+\n$"
        self.assertRegex(self.ssn("split", "--k", 2, "--n", 3, "f").stderr, pattern)
        self.assertRegex(self.ssn("combine", "-o", "g", "f.1.ssn", "f.2.ssn").stderr, pattern)


if __name__ == "__main__":
    main()
