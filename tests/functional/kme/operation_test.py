# SPDX-License-Identifier: BSD-3-Clause
"""ssn-kme in operation: shortage, outages, rates, faults, control, start and end."""

import stat

from support import *


def limited(text):
    return text.replace('rate = "0 bit/s"', 'rate = "1 Gbit/s"').replace('stock = "128 MiB"',
                                                                         'stock = "1 kB"')


class Operation(unittest.TestCase):
    def network(self, **more):
        net = Network(**more)
        self.addCleanup(net.close)
        return net

    def draw(self, net, query=""):
        return net.ask("kme-a", "sae-a", "GET", "sae-b/enc_keys" + query).status

    def test_outage(self):
        """an outage lets the stock run out: 503 with an Error body that says why; then keys again"""
        net = self.network(edit=limited)
        net.start()
        self.assertEqual(self.draw(net), 200)
        net.ssn("outage", "a-b")
        statuses = [self.draw(net, "?size=800") for _ in range(12)]
        self.assertEqual(sorted(set(statuses)), [200, 503])
        self.assertEqual(statuses, sorted(statuses))
        answer = net.ask("kme-a", "sae-a", "GET", "sae-b/enc_keys?size=800")
        self.assertEqual(answer.json()["message"], "not enough key in stock")
        self.assertIn({"link_state": "outage"}, answer.json()["details"])
        link = net.status()["links"][0]
        self.assertFalse(link["up"])
        self.assertGreater(link["shortages"], 0)
        net.ssn("outage", "a-b", "--end")
        wait_for(lambda: self.draw(net, "?size=800") == 200, "key after the outage")
        net.ssn("outage", "a-b", "--for", "200ms")
        net.ssn("drain", "a-b")
        wait_for(lambda: self.draw(net) == 200, "the end of a short outage")

    def test_rate(self):
        """the rate bounds what can be had"""
        net = self.network(edit=limited)
        net.start()
        net.ssn("rate", "a-b", "8kbit/s")
        begun = time.monotonic()  # no later than the stock is thrown away
        net.ssn("drain", "a-b")
        got = 0
        while time.monotonic() < begun + 1:
            got += 64 if self.draw(net, "?size=64") == 200 else 0
        self.assertLessEqual(got, 8000 * (time.monotonic() - begun))
        self.assertGreater(got, 0)

    def test_status_and_faults(self):
        """status in both forms; faults go to the device model; unknown names are exit code 4"""
        net = self.network()
        net.start()
        self.assertIn(b"EMULATED", net.ssn("status").stdout)
        document = net.status()
        self.assertEqual((document["schema"], document["ok"], document["emulator"]), ("ssn.kme.status/1",
                                                                                      True, True))
        self.assertEqual([s["id"] for s in document["sites"]], ["kme-a", "kme-b"])
        self.assertIn("kmnic", document["sites"][0])
        net.ssn("inject", "kme-a", "corrupt_block", "--count", "3")
        net.ssn("inject", "kme-a", "stall", "--for", "10ms")
        net.ssn("heal", "kme-a")
        for arguments, code in ((["inject", "kme-a", "nonsense"], 2), (["inject", "nowhere", "stall"], 4),
                                (["outage", "nowhere"], 4), (["rate", "a-b", "fast"], 2)):
            self.assertIn(b"  fix:   ", net.ssn(*arguments, code=code).stderr)
        net.ssn("status", code=4, socket_name="nothing.sock")

    def test_files(self):
        """secrets are private, nothing is overwritten, readable keys are refused"""
        net = self.network()
        for name in os.listdir(net.dir):
            if name.endswith((".key", ".secret")):
                self.assertEqual(stat.S_IMODE(os.stat(net.path(name)).st_mode), 0o600, name)
        done = subprocess.run([SSN, "kme", "init", "--out", net.dir, "--sites", "a,b"],
                              stderr=subprocess.PIPE,
                              check=False)
        self.assertEqual(done.returncode, 6)
        done = subprocess.run(["openssl", "verify", "-x509_strict", "-CAfile", net.path("ca.crt"),
                               net.path("kme-a.crt"), net.path("sae-b.crt")], stdout=subprocess.PIPE,
                              check=False)
        self.assertEqual(done.returncode, 0, done.stdout)
        for name in ("kme-a.key", "link-a-b.secret"):
            os.chmod(net.path(name), 0o640)
            done = subprocess.run([SSN_KME, "--config", net.path("kme.toml")], stderr=subprocess.PIPE,
                                  timeout=30,
                                  check=False)
            self.assertEqual(done.returncode, 6)
            self.assertIn(name.encode(), done.stderr)
            os.chmod(net.path(name), 0o600)

    def test_start_and_end(self):
        """says that it is an emulator; SIGTERM ends it at once and leaves no sockets"""
        net = self.network()
        process = net.start()
        self.assertEqual(stat.S_IMODE(os.stat(net.path("control.sock")).st_mode), 0o600)
        connection = net.connect("kme-a", "sae-a")
        connection.connect()
        second = subprocess.run([SSN_KME, "--config", net.path("kme.toml")], stderr=subprocess.PIPE,
                                timeout=30,
                                check=False)
        self.assertNotEqual(second.returncode, 0)
        begun = time.monotonic()
        process.terminate()
        self.assertEqual(process.wait(timeout=30), 0)
        self.assertLess(time.monotonic() - begun, 5)
        connection.close()
        with open(process.log, encoding="utf-8") as log:
            text = log.read()
        self.assertIn("EMULATED", text)
        self.assertIn("all secrets are erased", text)
        self.assertEqual([n for n in os.listdir(net.dir) if n.endswith((".sock",
                                                                        ".tmp")) or n.startswith("ready")],
                         [])

    def test_configuration_errors(self):
        """errors name file and line; --check starts nothing"""
        for old, new in (('name = "test network"', 'nmae = "x"'), ('sites = ["kme-a", "kme-b"]',
                                                                   'sites = ["kme-a"]'),
                         ('id = "kme-b"', 'id = "kme-a"'), ("hops = 1", "hops = 0"),
                         ('latency = "0 ms"', 'latency = 5')):
            net = self.network(edit=lambda text, old=old, new=new: text.replace(old, new))
            done = subprocess.run([SSN_KME, "--config", net.path("kme.toml"), "--check"],
                                  stderr=subprocess.PIPE,
                                  check=False)
            self.assertNotEqual(done.returncode, 0, new)
            self.assertRegex(done.stderr, rb"kme\.toml:\d+", new)
        net = self.network()
        self.assertEqual(subprocess.run([SSN_KME, "--config", net.path("kme.toml"), "--check"],
                                        check=False).returncode, 0)
        for arguments in ([], ["--frobnicate"], ["--config"], ["--config", "/nowhere/kme.toml"],
                          ["--config", net.path("kme.toml"), "--site", "nobody"]):
            done = subprocess.run([SSN_KME, *arguments], stderr=subprocess.PIPE, check=False)
            self.assertIn(done.returncode, (2, 4))
            self.assertIn(b"  fix:   ", done.stderr)


if __name__ == "__main__":
    main()
