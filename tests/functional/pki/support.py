# SPDX-License-Identifier: BSD-3-Clause
"""An authority, its certificates, and connections with them."""

import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
import unittest

REFUSED = 6
# What is put in place counts within two looks, one second each; the rest is for busy machines.
PATIENCE = 30

OPENSSL_CONFIGURATION = """[ca]
default_ca = folder
[folder]
dir = {folder}
database = {folder}/index.txt
new_certs_dir = {folder}/issued
certificate = {folder}/ca.crt
private_key = {folder}/ca.key
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
[any]
organizationalUnitName = optional
commonName = supplied
[usage]
extendedKeyUsage = serverAuth,clientAuth
subjectAltName = DNS:{name},DNS:localhost,IP:127.0.0.1
"""


class Case(unittest.TestCase):
    ssn_program = ""

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="pki-live-")
        self.addCleanup(shutil.rmtree, self.dir)
        self.run_ssn("pki", "init")
        self.run_ssn("pki", "init", "--authority", "other")
        shutil.copy(self.path("pki/ca.crt"), self.path("ca.crt"))
        self.publish()

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text):
        """As a whole, as `ssn pki` does it."""
        with open(self.path(name + ".new"), "w", encoding="ascii") as file:
            file.write(text)
        os.rename(self.path(name + ".new"), self.path(name))

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()

    def run_ssn(self, *arguments, code=0):
        done = subprocess.run([self.ssn_program, *arguments], cwd=self.dir, capture_output=True, text=True,
                              check=False, timeout=60)
        self.assertEqual(done.returncode, code, (arguments, done.stdout, done.stderr))
        return done.stdout + done.stderr

    def openssl(self, *arguments):
        done = subprocess.run(["openssl", *arguments], cwd=self.dir, capture_output=True, text=True,
                              check=False)
        self.assertEqual(done.returncode, 0, (arguments, done.stderr))
        return done.stdout

    def issue(self, name, role, *more):
        self.run_ssn("pki", "issue", name, "--role", role, *more)

    def publish(self):
        """What the authority says of revoked ones is taken to the nodes."""
        self.write("ca.crl", self.read("pki/ca.crl"))

    def revoke(self, what):
        self.run_ssn("pki", "revoke", what)
        self.publish()

    def dated(self, file, name, unit, begin, end):
        """FILE.crt and .key for NAME by OpenSSL's own command, under our authority, with any dates."""
        self.write("openssl.cnf", OPENSSL_CONFIGURATION.format(folder="pki", name=name))
        self.openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                     "-subj", "/OU=%s/CN=%s" % (unit, name), "-keyout", file + ".key", "-out", file + ".csr")
        self.openssl("ca", "-batch", "-notext", "-config", "openssl.cnf", "-extensions", "usage",
                     "-preserveDN", "-startdate", begin, "-enddate", end, "-in", file + ".csr", "-out",
                     file + ".crt")
        os.chmod(self.path(file + ".key"), 0o600)

    def subject(self, file, subject):
        """FILE.crt and .key with just this subject and no other name, by OpenSSL, under our authority."""
        self.openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                     subject, "-keyout", file + ".key", "-out", file + ".csr")
        self.write("usage.cnf", "extendedKeyUsage=serverAuth,clientAuth\n")
        self.openssl("x509", "-req", "-in", file + ".csr", "-CA", "pki/ca.crt", "-CAkey", "pki/ca.key",
                     "-days", "30", "-extfile", "usage.cnf", "-out", file + ".crt")
        os.chmod(self.path(file + ".key"), 0o600)

    def self_signed(self, file, name, unit):
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                     "-days", "30", "-subj", "/OU=%s/CN=%s" % (unit, name), "-addext",
                     "extendedKeyUsage=serverAuth,clientAuth", "-keyout", file + ".key", "-out",
                     file + ".crt")
        os.chmod(self.path(file + ".key"), 0o600)

    def strangers(self, name, unit):
        """Certificates of NAME that nobody may take: file names by what is wrong with them."""
        self.run_ssn("pki", "issue", name, "--authority", "other", "--role", unit, "--out", "other")
        self.dated("expired", name, unit, "20200101000000Z", "20210101000000Z")
        self.dated("early", name, unit, "20400101000000Z", "20410101000000Z")
        self.self_signed("itself", name, unit)
        return {"of another authority": "other/" + name, "expired": "expired", "not yet valid": "early",
                "self-signed": "itself", "none": ""}

    def connect(self, address, certificate, version=ssl.TLSVersion.TLSv1_3):
        """A TLS connection as the holder of CERTIFICATE.crt; raises where the other side does not want it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(self.path("ca.crt"))
        context.minimum_version = context.maximum_version = version
        context.set_alpn_protocols(["h2", "http/1.1"])
        if certificate:
            context.load_cert_chain(self.path(certificate + ".crt"), self.path(certificate + ".key"))
        host, port = address.rsplit(":", 1)
        return context.wrap_socket(socket.create_connection((host, int(port)), timeout=20))

    def is_heard(self, address, certificate, version=ssl.TLSVersion.TLSv1_3):
        """Whether a gRPC server goes beyond the handshake: it speaks first."""
        try:
            with self.connect(address, certificate, version) as connection:
                return connection.recv(1) != b""
        except (ssl.SSLError, ConnectionError):
            return False

    def shown_serial(self, address, certificate):
        """Of the certificate that the server shows, in hexadecimal."""
        with self.connect(address, certificate) as connection:
            return connection.getpeercert()["serialNumber"]

    def serial_of(self, file):
        return self.openssl("x509", "-in", file, "-noout", "-serial").strip().split("=")[1]

    def eventually(self, holds, message):
        end = time.monotonic() + PATIENCE
        while not holds():
            self.assertLess(time.monotonic(), end, message() if callable(message) else message)
            time.sleep(0.05)
