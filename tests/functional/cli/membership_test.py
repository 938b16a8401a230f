# SPDX-License-Identifier: BSD-3-Clause
"""`ssn membership`: what operators sign, judged by OpenSSL's own command."""

import os
import shutil
import subprocess

from support import *

HEAD = """schema = "ssn.membership/1"
network = "test"
serial = {serial}
from = "2020-01-01T00:00:00Z"
until = "{until}"

[floor]
minimum_t = 1
protection = "information-theoretic"
schemes = ["shamir"]
resharing = ["repair"]
"""
VERIFY = ["cms", "-verify", "-binary", "-inform", "PEM", "-in", "m.toml.p7s", "-content", "m.toml",
          "-certfile", "signers", "-out", "verified"]


class Membership(Case):
    def setUp(self):
        super().setUp()
        self.ssn("pki", "init")
        for name, role in (("sae-s", "ssa"), ("h1", "shareholder"), ("h2", "shareholder"),
                           ("bob", "operator"), ("dave", "signer"), ("erin", "signer")):
            self.ssn("pki", "issue", name, "--role", role)
        self.put("signers", self.get("dave.crt") + self.get("erin.crt"))
        self.write()

    def write(self, name="m.toml", serial=1, until="2120-01-01T00:00:00Z", nodes=("sae-s", "h1", "h2")):
        text = HEAD.format(serial=serial, until=until)
        for node in nodes:
            text += self.ssn("membership", "node", node + ".crt", "--domain", "site-" + node).stdout.decode()
        self.put(name, text.encode())

    def sign(self, who, code=OK, key=None):
        return self.ssn("membership", "sign", "m.toml", "--certificate", who + ".crt", "--key",
                        (key or who) + ".key", code=code)

    def verify(self, threshold, code=OK):
        return self.ssn("membership", "verify", "m.toml", "--signers", "signers", "--threshold",
                        str(threshold), code=code)

    def openssl(self, *arguments):
        return subprocess.run(["openssl", *arguments], cwd=self.dir, capture_output=True, text=True,
                              check=False)

    def test_two_of_two(self):
        """each operator adds a signature; fewer than the threshold are not enough"""
        self.verify(1, code=NOT_FOUND)
        self.sign("dave")
        self.verify(1)
        said = self.verify(2, code=REFUSED).stderr
        self.assertIn(b"1 of those who may signed it (dave), 2 must", said)
        self.sign("erin")
        before = self.get("m.toml.p7s")
        self.sign("erin")
        self.assertEqual(before, self.get("m.toml.p7s"))
        document = self.json("membership", "verify", "m.toml", "--signers", "signers", "--threshold", "2")
        self.assertEqual(document["signers"], ["dave", "erin"])
        self.assertEqual([each["name"] for each in document["nodes"]], ["sae-s", "h1", "h2"])
        self.assertEqual(document["floor"]["schemes"], ["shamir"])
        self.verify(3, code=USAGE)

    def test_what_changed_is_unsigned(self):
        """a byte more, and nobody signed; who adds a signature to those of another text is told"""
        self.sign("dave")
        self.put("m.toml", self.get("m.toml") + b"# \n")
        self.verify(1, code=REFUSED)
        self.assertIn(b"of another text", self.sign("erin", code=INTEGRITY).stderr)

    def test_who_may_not_sign(self):
        """certificates of nodes and operators, and another one's key, sign nothing; nor is nonsense signed"""
        self.assertIn(b"not issued for signing documents", self.sign("bob", code=REFUSED).stderr)
        self.assertIn(b"private key is not that", self.sign("dave", key="erin", code=REFUSED).stderr)
        self.put("m.toml", self.get("m.toml") + b"surprise = 1\n")
        self.assertIn(b"surprise", self.sign("dave", code=USAGE).stderr)
        self.assertFalse(os.path.exists(self.path("m.toml.p7s")))
        self.ssn("membership", "node", "bob.crt", code=REFUSED)
        self.ssn("pki", "issue", "both", "--role", "signer,owner", code=USAGE)
        self.ssn("pki", "issue", "there", "--role", "signer", "--address", "10.0.0.1", code=USAGE)

    def test_ended(self):
        """what has ended is not verified"""
        self.write(until="2020-01-02T00:00:00Z")
        self.sign("dave")
        self.assertIn(b"has ended", self.verify(1, code=REFUSED).stderr)

    def test_diff(self):
        """what would change is shown before it is signed"""
        self.write("new.toml", serial=2, nodes=("sae-s", "h1"))
        said = self.ssn("membership", "diff", "m.toml", "new.toml").stdout
        self.assertRegex(said, b"- h2: shareholder")
        self.assertEqual(self.json("membership", "diff", "m.toml", "m.toml")["changes"], [])
        self.assertIn(b"not higher", self.ssn("membership", "diff", "new.toml", "m.toml").stderr)
        self.assertIn(b"h2", self.ssn("membership", "show", "m.toml").stdout)

    def test_renewed_keys(self):
        """a renewed certificate keeps the entry of its node; one with another key does not"""
        def entry():
            return self.json("membership", "node", "h1.crt")["key"]
        before = entry()
        self.ssn("pki", "renew", "h1")
        self.assertEqual(before, entry())
        self.ssn("pki", "renew", "h1", "--new-key")
        self.assertNotEqual(before, entry())

    @unittest.skipIf(shutil.which("openssl") is None, "there is no openssl")
    def test_openssl(self):
        """OpenSSL verifies it, by the certificates alone and by the authority, and sees changes"""
        self.sign("dave")
        self.sign("erin")
        for trust in (["-noverify"], ["-CAfile", "pki/ca.crt", "-purpose", "any"]):
            done = self.openssl(*VERIFY, *trust)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(self.get("verified"), self.get("m.toml"))
        text = self.openssl("x509", "-in", "dave.crt", "-noout", "-ext", "extendedKeyUsage").stdout
        self.assertIn("1.3.6.1.5.5.7.3.36", text)
        for purpose in ("sslserver", "sslclient"):
            self.assertNotEqual(self.openssl("verify", "-CAfile", "pki/ca.crt", "-purpose", purpose,
                                             "dave.crt").returncode, 0)
        # The key is SHA-256 of what OpenSSL says is the public key.
        public = subprocess.run("openssl x509 -in h1.crt -noout -pubkey | openssl pkey -pubin -outform DER | "
                                "openssl dgst -sha256 -r", shell=True, cwd=self.dir, capture_output=True,
                                text=True, check=True).stdout.split()[0]
        self.assertEqual(public, self.json("membership", "node", "h1.crt")["key"])
        self.put("m.toml", self.get("m.toml").replace(b"h1", b"h9"))
        self.assertNotEqual(self.openssl(*VERIFY, "-noverify").returncode, 0)


if __name__ == "__main__":
    main()
