# SPDX-License-Identifier: BSD-3-Clause
"""Whom ssn-kme believes, and how soon changed certificates and lists of revoked ones count."""

import importlib.util

from support import *

# Authorities and strangers: those of tests/functional/pki.
_spec = importlib.util.spec_from_file_location("pki_support", os.path.join(
    os.path.dirname(os.path.realpath(__file__)), "..", "pki", "support.py"))
pki = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(pki)
pki.Case.ssn_program = SSN

HEAD = 'ca = "ca.crt"\ncrl = "ca.crl"\ncontrol = "control.sock"\n%s\n'
SITE = """[[site]]
id = "kme-{0}"
listen = "127.0.0.1"
peer_port = {1}
certificate = "kme-{0}.crt"
key = "kme-{0}.key"
sae = ["sae-{0}", "second-{0}"]
"""
LINK = '[[link]]\nsites = ["kme-a", "kme-b"]\nname = "a-b"\nsecret = "link.secret"\n'
STATUS = "/api/v1/keys/sae-b/status"
KEY = "/api/v1/keys/sae-b/enc_keys"


@unittest.skipIf(shutil.which("openssl") is None, "there is no openssl")
class Trust(pki.Case):
    def setUp(self):
        super().setUp()
        for name in ("kme-a", "kme-b", "sae-a", "sae-b", "second-a"):
            self.issue(name, "ssa", "--address", "127.0.0.1")
        self.write("link.secret", "5a" * 32 + "\n")
        os.chmod(self.path("link.secret"), 0o600)
        self.configure(0)
        self.processes = []

    def configure(self, port, more=""):
        self.write("kme.toml",
                   HEAD % more + SITE.format("a", port) + SITE.format("b", port + 1 if port else 0)
                   + LINK)

    def start(self, *sites):
        ready, log = (self.path(name + "".join(sites)) for name in ("ready", "log"))
        command = [SSN_KME, "--config", self.path("kme.toml"), "--ready-file", ready]
        for site in sites:
            command += ["--site", site]
        with open(log, "wb") as file:
            process = subprocess.Popen(command, stderr=file, stdin=subprocess.DEVNULL)
        self.addCleanup(self.end, process)
        self.eventually(lambda: os.path.exists(ready) or process.poll() is not None, lambda: self.read(log))
        self.assertIsNone(process.poll(), self.read(log))
        with open(ready, encoding="utf-8") as file:
            return {s["id"]: "127.0.0.1:%d" % s["port"] for s in json.load(file)["sites"]}

    def end(self, process):
        process.terminate()
        process.wait(30)

    def told(self, text, log="log"):
        return lambda: text in self.read(log)

    def asks(self, connection, target=STATUS):
        """The status of an answer on a connection that is kept."""
        connection.sendall(b"GET %s HTTP/1.1\r\nHost: kme\r\n\r\n" % target.encode())
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        answer.read()
        return answer.status

    def answer(self, address, certificate, version=ssl.TLSVersion.TLSv1_3, target=STATUS):
        """None where nobody answers."""
        try:
            with self.connect(address, certificate, version) as connection:
                return self.asks(connection, target)
        except (OSError, http.client.HTTPException):
            return None

    def test_strangers(self):
        """no certificate that is not ours, valid and signed by our authority gets as far as HTTP"""
        self.configure(0, 'tls_min = "1.3"')
        address = self.start()["kme-a"]
        self.assertEqual(self.answer(address, "sae-a"), 200)
        for what, file in self.strangers("sae-a", "ssa").items():
            self.assertIsNone(self.answer(address, file), what)
        self.assertEqual(self.answer(address, "kme-b"), 401)  # believed, but no SAE of this site
        self.assertIsNone(self.answer(address, "sae-a", ssl.TLSVersion.TLSv1_2))
        self.assertEqual(self.answer(address, "sae-a"), 200)

    def test_revoked_while_connected(self):
        """an SAE that was revoked loses its connection, whatever it asks, and gets no other; others go on"""
        address = self.start()["kme-a"]
        with self.connect(address, "sae-a") as revoked, self.connect(address, "second-a") as other:
            self.assertEqual((self.asks(revoked), self.asks(other)), (200, 200))
            self.revoke("sae-a")
            revoked.settimeout(pki.PATIENCE)
            self.assertEqual(revoked.recv(1), b"")  # without a request of its own
            self.assertIsNone(self.answer(address, "sae-a"))
            self.assertEqual(self.asks(other, KEY), 200)
        os.unlink(self.path("sae-a.key"))
        os.unlink(self.path("sae-a.crt"))
        self.issue("sae-a", "ssa")
        self.assertEqual(self.answer(address, "sae-a"), 200)

    def test_renewal(self):
        """a renewed certificate with another key is shown to new connections; those that run lose nothing"""
        address = self.start()["kme-a"]
        before = self.serial_of("kme-a.crt")
        with self.connect(address, "sae-a") as kept:
            self.assertEqual(self.asks(kept), 200)
            self.assertEqual(self.shown_serial(address, "sae-a"), before)
            self.run_ssn("pki", "renew", "kme-a", "--new-key")
            after = self.serial_of("kme-a.crt")

            def shown():
                self.assertEqual(self.asks(kept, KEY), 200)
                return self.shown_serial(address, "sae-a") == after
            self.eventually(shown, lambda: self.read("log"))
            self.assertEqual(self.asks(kept, KEY), 200)

    def test_broken_files(self):
        """what is half written, another's or nobody's list changes nothing, and is told once"""
        address = self.start()["kme-a"]
        good, lists, key = (self.read(name) for name in ("kme-a.crt", "ca.crl", "kme-b.key"))
        serial = self.serial_of("kme-a.crt")
        for file, text, why in (("kme-a.crt", good[:len(good) // 2], "no certificate in PEM"),
                                ("kme-a.crt", self.read("kme-b.crt"), "not that of the certificate"),
                                ("kme-a.key", key, "not that of the certificate"),
                                ("ca.crl", self.read("other/ca.crl"), "no authority that we trust")):
            before = self.read(file)
            count = self.read("log").count(why)
            self.write(file, text)
            if file.endswith(".key"):
                os.chmod(self.path(file), 0o600)
            self.eventually(lambda: self.read("log").count(why) > count, lambda: self.read("log"))
            self.assertIn("what was there before still counts", self.read("log"))
            self.assertEqual(self.shown_serial(address, "sae-a"), serial)
            self.assertEqual(self.answer(address, "sae-a", target=KEY), 200)
            self.write(file, before)
            os.chmod(self.path(file), 0o600)
        self.write("ca.crl", lists)
        self.revoke("sae-a")  # and goes on taking good ones
        self.eventually(lambda: self.answer(address, "sae-a") is None, lambda: self.read("log"))

    def test_key_managers(self):
        """two key managers: one that was revoked is no peer any more, until it has another certificate"""
        self.configure(free_port_range(2))
        address = self.start("kme-a")["kme-a"]
        self.start("kme-b")
        self.eventually(lambda: self.answer(address, "sae-a", target=KEY) == 200,
                        lambda: self.read("logkme-a"))
        self.revoke("kme-b")
        self.eventually(lambda: self.answer(address, "sae-a", target=KEY) == 503,
                        lambda: self.read("logkme-a"))
        self.run_ssn("pki", "issue", "kme-b", "--role", "ssa", "--address", "127.0.0.1", "--out", "pki")
        os.rename(self.path("pki/kme-b.key"), self.path("kme-b.key"))
        os.rename(self.path("pki/kme-b.crt"), self.path("kme-b.crt"))
        self.eventually(lambda: self.answer(address, "sae-a", target=KEY) == 200,
                        lambda: self.read("logkme-a"))

    def test_ended_list(self):
        """with a list that has ended it does not start"""
        self.openssl("x509", "-in", "pki/ca.crt", "-noout")
        self.write("openssl.cnf", "[ca]\ndefault_ca=f\n[f]\ndir=pki\ndatabase=pki/index.txt\n"
                   "certificate=pki/ca.crt\nprivate_key=pki/ca.key\ncrlnumber=pki/crlnumber\n"
                   "default_md=sha256\n")
        self.openssl("ca", "-config", "openssl.cnf", "-gencrl", "-out", "ca.crl", "-crlsec", "1")
        time.sleep(2)
        done = subprocess.run([SSN_KME, "--config", self.path("kme.toml")], stderr=subprocess.PIPE,
                              timeout=30, check=False)
        self.assertEqual(done.returncode, pki.REFUSED)
        self.assertIn(b"it has ended", done.stderr)


if __name__ == "__main__":
    main()
