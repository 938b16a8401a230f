# SPDX-License-Identifier: BSD-3-Clause
"""`ssn pki`: an authority in a folder. What it makes is judged by OpenSSL's own command."""

import concurrent.futures
import os
import re
import shutil
import subprocess
import time

from support import *

DEGRADED = 3
ROOT = """[ca]
default_ca = folder
[folder]
dir = {folder}
database = {folder}/index.txt
new_certs_dir = {folder}/issued
certificate = {folder}/ca.crt
private_key = {folder}/ca.key
crlnumber = {folder}/crlnumber
rand_serial = yes
default_md = sha256
default_days = 30
default_crl_days = 5
policy = any
copy_extensions = none
[any]
commonName = supplied
organizationalUnitName = optional
[sub]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always
"""


@unittest.skipIf(shutil.which("openssl") is None, "there is no openssl")
class Authority(Case):
    def openssl(self, *arguments, code=0):
        done = subprocess.run(["openssl", *arguments], cwd=self.dir, capture_output=True, text=True,
                              check=False)
        self.assertEqual(done.returncode, code, (arguments, done.stdout, done.stderr))
        return done.stdout + done.stderr

    def pki(self, *arguments, code=OK):
        done = self.ssn("pki", *arguments, code=code)
        return (done.stdout + done.stderr).decode()

    def document(self, *arguments):
        return self.json("pki", *arguments)

    def configure(self, folder, name="openssl.cnf"):
        with open(os.path.join(self.dir, name), "w", encoding="ascii") as file:
            file.write(ROOT.format(folder=folder))
        return name

    def verify(self, *certificates, trust="pki/ca.crt", code=0, arguments=()):
        return self.openssl("verify", "-CAfile", trust, *arguments, *certificates, code=code)

    def test_certificates(self):
        """OpenSSL accepts what is issued, for what it is meant, and keys are nobody else's to read"""
        self.pki("init", "--name", "An authority", "--days", "400")
        self.pki("issue", "sae-h1", "--role", "shareholder", "--address", "10.1.0.11,fd00::1,h1.example.org")
        self.pki("issue", "alice", "--role", "owner,operator")
        self.assertIn("OK", self.verify("sae-h1.crt", arguments=["-purpose", "sslserver", "-x509_strict"]))
        self.verify("sae-h1.crt", arguments=["-purpose", "sslclient", "-x509_strict"])
        self.verify("alice.crt", arguments=["-purpose", "sslclient", "-x509_strict"])
        self.verify("alice.crt", arguments=["-purpose", "sslserver"], code=2)
        text = self.openssl("x509", "-in", "sae-h1.crt", "-noout", "-text")
        for wanted in ("OU = shareholder, CN = sae-h1", "DNS:sae-h1", "IP Address:10.1.0.11",
                       "DNS:h1.example.org", "FD00:0:0:0:0:0:0:1", "CA:FALSE", "ASN1 OID: prime256v1"):
            self.assertIn(wanted, text)
        self.assertIn("OU = owner, OU = operator, CN = alice",
                      self.openssl("x509", "-in", "alice.crt", "-noout", "-subject"))
        for name in ("pki/ca.key", "sae-h1.key", "alice.key"):
            self.assertEqual(os.stat(os.path.join(self.dir, name)).st_mode & 0o777, 0o600, name)
            self.openssl("pkey", "-in", name, "-noout", "-check")

    def test_nothing_is_overwritten(self):
        """an authority, a certificate and a key that exist stay as they are"""
        self.pki("init")
        self.pki("init", code=REFUSED)
        self.pki("issue", "alice", "--role", "owner")
        before = self.get("alice.key"), self.get("alice.crt")
        said = self.pki("issue", "alice", "--role", "owner", code=REFUSED)
        self.assertIn("alice.key", said)
        self.assertNotIn("--force", said)
        self.assertEqual(before, (self.get("alice.key"), self.get("alice.crt")))

    def test_nothing_is_issued_in_vain(self):
        """where a file cannot be written no certificate is issued, and no key is made"""
        self.pki("init")
        self.pki("issue", "alice", "--role", "owner")
        self.pki("issue", "alice", "--role", "owner", code=REFUSED)
        os.rename(self.path("alice.key"), self.path("kept"))
        self.pki("issue", "alice", "--role", "owner", code=REFUSED)
        os.rename(self.path("kept"), self.path("alice.key"))
        self.pki("issue", "alice", "--role", "owner", "--out", "nowhere", code=NOT_FOUND)
        self.pki("renew", "alice", "--out", "nowhere", code=NOT_FOUND)
        self.put("file", b"")
        self.pki("issue", "alice", "--role", "owner", "--out", "file", code=NOT_FOUND)
        self.assertEqual(len(self.document("list")["certificates"]), 1)
        self.assertEqual(len(os.listdir(self.path("pki/issued"))), 1)
        self.pki("renew", "alice")
        self.assertEqual(self.openssl("pkey", "-in", "alice.key", "-pubout"),
                         self.openssl("x509", "-in", "alice.crt", "-noout", "-pubkey"))
        # A request: no key is left behind, so that another run does better.
        self.put("sae-s.csr", b"")
        self.pki("request", "sae-s", "--role", "ssa", code=REFUSED)
        self.assertFalse(os.path.exists(self.path("sae-s.key")))
        os.unlink(self.path("sae-s.csr"))
        self.pki("request", "sae-s", "--role", "ssa")
        # Certificates for requests: a key is there already.
        self.put("sae-s.crt", b"")
        self.pki("issue", "sae-s", "--role", "ssa", "--csr", "sae-s.csr", code=REFUSED)
        os.unlink(self.path("sae-s.crt"))
        self.pki("issue", "sae-s", "--role", "ssa", "--csr", "sae-s.csr")
        self.assertEqual(len(self.document("list")["certificates"]), 3)

    def test_wrong_wishes(self):
        """names, roles and folders that cannot be are refused with a reason"""
        self.pki("issue", "alice", "--role", "owner", code=NOT_FOUND)
        self.pki("init")
        for name in ("", "a/b", "a b", "a\tb", "x" * 65, "\u00e9"):
            self.pki("issue", name, "--role", "owner", code=USAGE)
        self.assertIn("shareholder", self.pki("issue", "alice", "--role", "king", code=USAGE))
        self.pki("issue", "alice", "--role", ",", code=USAGE)
        self.pki("issue", "alice", code=USAGE)
        self.assertIn("nobody", self.pki("revoke", "nobody", code=NOT_FOUND))
        self.pki("renew", "nobody", code=NOT_FOUND)
        self.pki("show", "nobody", code=NOT_FOUND)
        os.chmod(os.path.join(self.dir, "pki/ca.key"), 0o644)
        self.assertIn("chmod 600", self.pki("issue", "alice", "--role", "owner", code=REFUSED))

    def test_mistyped(self):
        """what cannot become a certificate is said to be the user's, and leaves nothing behind"""
        for name in ("", "x" * 65, "a\tb"):
            said = self.pki("init", "--name", name, code=USAGE)
            self.assertIn("--name", said)
            self.pki("init", "--request", "--name", name, code=USAGE)
            self.assertFalse(os.path.exists(self.path("pki")))
        self.pki("init", "--name", "\u00e9" * 64)  # characters, not bytes
        for host in ("10.1.0.300", "10.1.0", "fd00::1::2", "a:b", "h\tx", "h/x", "-h", "x" * 254):
            for command in ("issue", "request"):
                said = self.pki(command, "sae-h1", "--role", "shareholder", "--address=good," + host,
                                code=USAGE)
                self.assertIn("--address", said)
        for name in ("x" * 65, "a b", "x,DNS:y", ""):
            self.pki("request", name, "--role", "ssa", code=USAGE)
            self.pki("issue", name, "--role", "ssa", code=USAGE)
        self.assertEqual(os.listdir(self.dir), ["pki"])
        self.assertEqual(self.document("list")["certificates"], [])

    def test_ends(self):
        """no certificate outlives its authority, and whoever asks hears of an end in time"""
        self.pki("init", "--days", "40")
        self.assertIn("would outlive", self.pki("issue", "a", "--role", "owner", "--days", "40",
                                                code=REFUSED))
        self.assertEqual(self.document("list")["certificates"], [])
        self.assertIn("39 days", self.pki("issue", "a", "--role", "owner"))
        self.assertIn("would outlive", self.pki("renew", "a", "--days", "40", code=REFUSED))
        self.assertIn("39 days", self.pki("renew", "a"))
        self.pki("issue", "b", "--role", "owner", "--days", "39")
        self.verify("a.crt", "b.crt", arguments=["-attime", str(int(time.time()) + 39 * 86400 - 60)])
        listed = self.document("list", "--check")
        self.assertEqual((listed["authority"]["ends_soon"], listed["list"]["ends_soon"]), (False, False))
        # A list is to be replaced in the last third of its time: it begins now.
        self.pki("crl", "--days", "3")
        self.pki("list", "--check")
        os.unlink(self.path("pki/ca.crl"))
        self.assertIn("ssn pki crl", self.pki("list", "--check", code=DEGRADED))
        self.pki("crl")
        self.pki("list", "--check")
        shutil.rmtree(self.path("pki"))
        self.pki("init", "--days", "20")
        said = self.pki("list", "--check", "--quiet", code=DEGRADED)
        self.assertIn("ca.crt", said)
        self.assertNotIn("ca.crl", said)

    def test_list_that_ends(self):
        """a list in the last third of its time is reported"""
        self.pki("init")
        config = self.configure("pki")
        now = time.time()
        at = [time.strftime("%Y%m%d%H%M%SZ", time.gmtime(now + days * 86400)) for days in (-7, 2, 4)]
        for until, code in ((at[1], DEGRADED), (at[2], OK)):
            self.openssl("ca", "-config", config, "-gencrl", "-crl_lastupdate", at[0], "-crl_nextupdate",
                         until, "-out", "pki/ca.crl")
            said = self.pki("list", "--check", "--quiet", code=code)
            self.assertEqual("ca.crl" in said, code == DEGRADED, said)

    def test_revocation(self):
        """what is revoked is on the list for good, and OpenSSL refuses it"""
        self.pki("init")
        for name in ("a", "b", "c"):
            self.pki("issue", name, "--role", "owner")
        with_list = ["-crl_check", "-CRLfile", "pki/ca.crl"]
        self.verify("a.crt", "b.crt", "c.crt", arguments=with_list)
        self.assertEqual(self.document("revoke", "b", "--reason", "keyCompromise")["revoked"], 1)
        self.assertEqual(self.document("revoke", "b")["revoked"], 0)
        serial = self.document("show", "c")["serial"]
        self.assertEqual(self.document("revoke", serial)["revoked"], 1)
        self.verify("a.crt", arguments=with_list)
        for name in ("b.crt", "c.crt"):
            self.assertIn("revoked", self.verify(name, code=2, arguments=with_list))
        text = self.openssl("crl", "-in", "pki/ca.crl", "-CAfile", "pki/ca.crt", "-noout", "-text")
        self.assertIn("verify OK", text)
        self.assertIn("Key Compromise", text)
        numbers = [int(re.search(r"CRL Number: *\n *(\d+)", text)[1])]
        self.pki("crl", "--days", "2")
        text = self.openssl("crl", "-in", "pki/ca.crl", "-noout", "-text")
        numbers.append(int(re.search(r"CRL Number: *\n *(\d+)", text)[1]))
        self.assertLess(numbers[0], numbers[1])
        self.assertEqual(text.count("Serial Number:"), 2)
        states = {each["name"]: each["state"] for each in self.document("list")["certificates"]}
        self.assertEqual(states, {"a": "valid", "b": "revoked", "c": "revoked"})
        self.pki("revoke", "a", "--reason", "certificateHold", code=USAGE)

    def test_renewal(self):
        """the same holder with another term; the key stays unless a new one is asked for"""
        self.pki("init")
        self.pki("issue", "sae-s", "--role", "ssa", "--address", "10.1.0.1", "--days", "5")
        self.assertIn("ssn pki renew", self.pki("list", "--check", code=DEGRADED))
        key, names = self.get("sae-s.key"), ["-noout", "-subject", "-ext", "subjectAltName"]
        public = self.openssl("x509", "-in", "sae-s.crt", "-noout", "-pubkey")
        said = self.openssl("x509", "-in", "sae-s.crt", *names)
        self.pki("renew", "sae-s")
        self.assertEqual(self.get("sae-s.key"), key)
        self.assertEqual(self.openssl("x509", "-in", "sae-s.crt", "-noout", "-pubkey"), public)
        self.assertEqual(self.openssl("x509", "-in", "sae-s.crt", *names), said)
        self.openssl("x509", "-in", "sae-s.crt", "-noout", "-checkend", str(300 * 86400))
        self.pki("list", "--check")
        self.pki("renew", "sae-s", "--new-key")
        self.assertNotEqual(self.get("sae-s.key"), key)
        self.assertEqual(self.openssl("pkey", "-in", "sae-s.key", "-pubout"),
                         self.openssl("x509", "-in", "sae-s.crt", "-noout", "-pubkey"))
        self.verify("sae-s.crt")
        self.assertEqual(self.document("revoke", "sae-s")["revoked"], 3)
        self.pki("renew", "sae-s", code=NOT_FOUND)

    def test_requests(self):
        """the key stays where it was made; the authority says what the certificate says"""
        self.pki("init")
        self.pki("request", "sae-s", "--role", "ssa")
        self.assertIn("OU = ssa, CN = sae-s",
                      self.openssl("req", "-in", "sae-s.csr", "-noout", "-verify", "-text"))
        self.pki("issue", "sae-s", "--role", "ssa", "--csr", "sae-s.csr")
        self.assertEqual(self.openssl("pkey", "-in", "sae-s.key", "-pubout"),
                         self.openssl("x509", "-in", "sae-s.crt", "-noout", "-pubkey"))
        # Whoever asks to be an operator is not one by that.
        self.openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                     "-keyout", "m.key", "-subj", "/OU=operator/CN=mallory", "-out", "m.csr")
        self.pki("issue", "alice", "--role", "owner", "--csr", "m.csr")
        self.assertIn("subject=OU = owner, CN = alice",
                      self.openssl("x509", "-in", "alice.crt", "-noout", "-subject"))
        damaged = bytearray(self.get("m.csr"))
        damaged[damaged.index(b"\n") + 100] ^= 1
        self.put("damaged.csr", bytes(damaged))
        self.pki("issue", "bob", "--role", "owner", "--csr", "damaged.csr", code=REFUSED)
        self.openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "r.key", "-subj", "/CN=r",
                     "-out", "r.csr")
        self.pki("issue", "r", "--role", "owner", "--csr", "r.csr", code=REFUSED)

    def test_outside_authority(self):
        """an authority of OpenSSL's signs ours: certificates verify up to its root"""
        os.makedirs(self.path("root/issued"))
        self.put("root/index.txt", b"")
        config = self.configure("root")
        self.pki("init", "--request", "--name", "Storage")
        self.assertIn("ca.csr", self.pki("issue", "alice", "--role", "owner", code=NOT_FOUND))
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                     "-keyout", "root/ca.key", "-out", "root/ca.crt", "-subj", "/CN=Outside", "-days", "20",
                     "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        self.openssl("ca", "-batch", "-config", config, "-extensions", "sub", "-in", "pki/ca.csr", "-out",
                     "sub.crt", "-notext")
        self.pki("init", "--chain", "sub.crt", code=REFUSED)  # the root is missing
        self.put("chain.pem", self.get("sub.crt") + self.get("root/ca.crt"))
        self.put("backwards.pem", self.get("root/ca.crt") + self.get("sub.crt"))
        self.pki("init", "--chain", "backwards.pem", code=REFUSED)
        self.pki("init", "--chain", "chain.pem")
        self.assertIn("19 days", self.pki("issue", "alice", "--role", "owner"))  # the root ends before ours
        self.verify("alice.crt")
        self.assertEqual(self.get("alice.crt").count(b"BEGIN CERTIFICATE"), 2)
        self.verify("alice.crt", trust="root/ca.crt", arguments=["-untrusted", "alice.crt"])

    def test_openssl_reads_the_folder(self):
        """`openssl ca` goes on where `ssn pki` stopped, and the other way round"""
        self.pki("init")
        config = self.configure("pki")
        self.openssl("ca", "-config", config, "-gencrl", "-out", "empty.crl")
        self.pki("issue", "a", "--role", "owner")
        self.pki("issue", "b", "--role", "owner")
        self.pki("renew", "b", "--out", ".")
        self.pki("revoke", "a")
        self.openssl("ca", "-config", config, "-gencrl", "-out", "theirs.crl")
        self.assertEqual(
            self.openssl("crl", "-in", "theirs.crl", "-noout", "-text").count("Serial Number:"), 1)
        self.openssl("ca", "-config", config, "-revoke", "b.crt", "-crl_reason", "superseded")
        self.pki("crl")
        self.assertIn("Superseded", self.openssl("crl", "-in", "pki/ca.crl", "-noout", "-text"))
        self.verify("b.crt", code=2, arguments=["-crl_check", "-CRLfile", "pki/ca.crl"])

    def test_cut_off_and_damaged(self):
        """a line that was cut off is forgotten, one that is wrong is named"""
        self.pki("init")
        self.pki("issue", "a", "--role", "owner")
        def cut_off(line):
            with open(self.path("pki/index.txt"), "ab") as index:
                index.write(line)
        def names():
            return [each["name"] for each in self.document("list")["certificates"]]
        cut_off(b"V\t2711230")
        self.assertEqual(names(), ["a"])
        self.pki("issue", "b", "--role", "owner")
        self.assertEqual(names(), ["a", "b"])
        for line in (b"V\t2711230", b"V\t271123000000Z\t\t00\tissued/00.pem\t/OU=owner/CN=operat"):
            cut_off(line)
            self.assertEqual(self.document("revoke", "b")["revoked"], 1 if len(line) < 20 else 0)
            self.assertEqual(names(), ["a", "b"])
            self.assertTrue(self.get("pki/index.txt").endswith(b"\n"))
        self.pki("revoke", "operat", code=NOT_FOUND)
        with open(os.path.join(self.dir, "pki/index.txt"), "ab") as index:
            index.write(b"V\tnever\t\t00\tf\t/CN=x\n")
        self.assertIn("line 3", self.pki("list", code=INTEGRITY))
        self.assertIn("line 3", self.pki("revoke", "a", code=INTEGRITY))

    def test_damaged_numbers(self):
        """numbers of lists never go back: a file that is not one number is named, and no list is made"""
        self.pki("init")
        number, before = self.get("pki/crlnumber"), self.get("pki/ca.crl")
        for damaged in (b"", b"\n", b"x", b"0\n", b"12 \n", b"12\n34\n", b"-2\n", b"1" * 17 + b"\n", None):
            if damaged is None:
                os.unlink(self.path("pki/crlnumber"))
            else:
                self.put("pki/crlnumber", damaged)
            self.assertIn("crlnumber", self.pki("crl", code=INTEGRITY), damaged)
            self.assertEqual(self.get("pki/ca.crl"), before)
        self.put("pki/crlnumber", number.strip())  # without its newline, as people write it
        self.pki("crl")
        self.pki("crl")
        text = self.openssl("crl", "-in", "pki/ca.crl", "-noout", "-text")
        self.assertEqual(int(re.search(r"CRL Number: *\n *(\d+)", text)[1]), int(number, 16) + 1)

    def test_at_once(self):
        """many commands at once: every certificate is in the index, once"""
        self.pki("init")
        names = [f"n{i}" for i in range(12)]
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda name: self.pki("issue", name, "--role", "owner"), names))
        listed = self.document("list")["certificates"]
        self.assertEqual(sorted(each["name"] for each in listed), sorted(names))
        self.assertEqual(len({each["serial"] for each in listed}), len(names))


if __name__ == "__main__":
    main()
