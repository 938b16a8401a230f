# SPDX-License-Identifier: BSD-3-Clause
"""ETSI GS QKD 014 V1.1.1, clause by clause, against ssn-kme."""

from support import *

NOT_FOUND = "one or more keys specified are not found on KME"
UUID = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"


def with_example_limits(text):
    # The values of the status example in clause 6.1, and an SAE ID that needs encoding in a URL.
    text = text.replace("\n[[site]]",
                        "\n[limits]\nkey_size = 352\nmax_key_count = 100000\nmax_key_per_request = 128\n"
                        "max_key_size = 8388608\nmin_key_size = 64\n\n[[site]]", 1)
    return text.replace('sae = ["sae-b"]', 'sae = ["sae-b", "other-b", "b/\\u00fc?&"]')


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.net = Network(edit=with_example_limits)
        cls.net.start()
        cls.issue("other-b")
        cls.issue("b/\u00fc?&", "strange")

    @classmethod
    def tearDownClass(cls):
        cls.net.close()

    @classmethod
    def issue(cls, common_name, file=None, ca="ca"):
        path = cls.net.path(file or common_name)
        run = lambda *a: subprocess.run(a, check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        run("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-utf8",
            "-keyout", path + ".key", "-out", path + ".csr", "-subj", "/CN=" + common_name.replace("/",
                                                                                                   "\\/"))
        run("openssl", "x509", "-req", "-in", path + ".csr", "-CA", cls.net.path(ca + ".crt"),
            "-CAkey", cls.net.path(ca + ".key"), "-CAcreateserial", "-days", "2", "-out", path + ".crt")

    def ask(self, method, path, body=None, site="kme-a", sae="sae-a", headers=None):
        return self.net.ask(site, sae, method, path, body, headers)

    def error(self, answer, status, message=None):
        self.assertEqual(answer.status, status, answer.body)
        self.assertEqual(answer.headers["Content-Type"], "application/json")
        document = answer.json()
        self.assertIsInstance(document["message"], str)
        for detail in document.get("details", []):
            self.assertIsInstance(detail, dict)
        if message:
            self.assertEqual(document["message"], message)

    def keys(self, *arguments, **more):
        answer = self.ask(*arguments, **more)
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(answer.headers["Content-Type"], "application/json")
        for key in answer.json()["keys"]:
            self.assertRegex(key["key_ID"], UUID)
        return answer.keys()


class Status(Case):
    def test_format(self):
        """5.1, 6.1: all members with their types, in the values of the standard's example"""
        document = self.ask("GET", "sae-b/status").json()
        self.assertEqual({k: document[k] for k in document if k not in ("status_extension",
                                                                        "stored_key_count")},
                         {"source_KME_ID": "kme-a", "target_KME_ID": "kme-b", "master_SAE_ID": "sae-a",
                          "slave_SAE_ID": "sae-b", "key_size": 352, "max_key_count": 100000,
                          "max_key_per_request": 128, "max_key_size": 8388608, "min_key_size": 64,
                          "max_SAE_ID_count": 0})
        self.assertIsInstance(document["stored_key_count"], int)
        self.assertIs(document["status_extension"]["shareline_emulator"], True)

    def test_errors(self):
        """5.1: unknown SAE 400 with an Error body; a method that is not defined 405 with Allow"""
        self.error(self.ask("GET", "nobody/status"), 400)
        self.assertEqual(self.ask("POST", "sae-b/status", {}).headers["Allow"], "GET")
        self.error(self.ask("GET", "sae-b/nothing"), 404)


class GetKey(Case):
    def test_forms(self):
        """5.2, 6.2: GET and POST, defaults, number and size, no body, empty object, chunked body"""
        self.assertEqual([len(k) for _, k in self.keys("GET", "sae-b/enc_keys")], [44])
        self.assertEqual([len(k) for _, k in self.keys("GET", "sae-b/enc_keys?number=3&size=1024")],
                         [128] * 3)
        self.assertEqual([len(k) for _, k in self.keys("POST", "sae-b/enc_keys", {})], [44])
        self.assertEqual([len(k) for _, k in self.keys("POST", "sae-b/enc_keys", {"number": 20,
                                                                                  "size": 512})],
                         [64] * 20)
        chunks = iter([b'{"num', b'ber": 2}'])
        self.assertEqual(len(self.keys("POST", "sae-b/enc_keys", chunks)), 2)

    def test_curl(self):
        """curl: POST without a body, and with one, at once; over TLS 1.2 and 1.3"""
        for more in (["-X", "POST"], ["-d", '{"number": 3, "size": 1024}', "-H",
                                      "Content-Type: application/json"],
                     ["--tlsv1.2", "--tls-max", "1.2"], ["--tlsv1.3"], ["-H", "Expect: 100-continue", "-d",
                                                                        "{}", "-H",
                                                                        "Content-Type: application/json"]):
            done = subprocess.run(["curl", "-sS", "--max-time", "20", "--cacert", self.net.path("ca.crt"),
                                   "--cert",
                                   self.net.path("sae-a.crt"), "--key", self.net.path("sae-a.key"), *more,
                                   "https://localhost:%d/api/v1/keys/sae-b/enc_keys" %
                                   self.net.ports["kme-a"]],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("keys", json.loads(done.stdout), done.stdout)

    def test_examples(self):
        """6.2: the standard's own requests: no multicast here, and the extensions are somebody else's"""
        self.error(self.ask("POST", "sae-b/enc_keys", {"number": 20, "size": 512,
                                                       "additional_slave_SAE_IDs": ["ABCDEFG", "HIJKLMN"]}),
                   400)
        answer = self.ask("POST", "sae-b/enc_keys", {
            "extension_mandatory": [{"abc_route_type": "direct"}, {"abc_transfer_method": "qkd"}],
            "extension_optional": [{"abc_max_age": 30000}]})
        self.error(answer, 400, "not all extension_mandatory parameters are supported")
        self.assertEqual(answer.json()["details"][0],
                         {"extension_mandatory_unsupported": "abc_route_type is not supported"})
        self.assertEqual(len(self.keys("POST", "sae-b/enc_keys",
                                       {"extension_optional": [{"abc_max_age": 1}]})), 1)

    def test_mandated_texts(self):
        """5.2: mandated texts"""
        self.error(self.ask("GET", "sae-b/enc_keys?size=65"), 400, "size shall be a multiple of 8")
        for kind, text in (("mandatory", "not all extension_mandatory request options could be met"),
                           ("optional", "not all extension_optional request options handled")):
            self.error(self.ask("POST", "sae-b/enc_keys",
                                {"extension_" + kind: [{"shareline_max_hops": 0}]}), 400,
                       text)
        met = self.ask("POST", "sae-b/enc_keys", {"extension_mandatory": [{"shareline_max_hops": 1}]}).json()
        self.assertEqual(met["key_container_extension"], {"shareline_hops": 1})

    def test_limits(self):
        """6.1, 6.2: number and size within the limits of status, on both sides of each"""
        for body, good in (({"number": 128}, True), ({"number": 129}, False), ({"number": 0}, False),
                           ({"size": 64}, True), ({"size": 56}, False), ({"size": 8388608}, True),
                           ({"size": 8388616}, False), ({"number": "1"}, False), ({"number": -1}, False)):
            self.assertEqual(self.ask("POST", "sae-b/enc_keys", body).status, 200 if good else 400, body)
        for body in ("{", "[]", '{"number":1,"number":1}', b'"\xff"', "{}" + " " * (2 << 20)):
            self.assertIn(self.ask("POST", "sae-b/enc_keys", body).status, (400, 413), body[:20])
        self.error(self.ask("POST", "sae-b/enc_keys", "{}", headers={"Content-Type": "text/plain"}), 400)
        self.assertEqual(len(self.keys("GET", "sae-b/enc_keys", headers={"Range": "bytes=0-5"})), 1)

    def test_url_encoded_sae(self):
        """5: SAE IDs are URL-encoded, certificates UTF-8"""
        (key_id, key), = self.keys("GET", "b%2F%C3%BC%3F%26/enc_keys")
        self.assertEqual(self.keys("GET", "sae-a/dec_keys?key_ID=" + key_id, site="kme-b", sae="strange"),
                         [(key_id, key)])


class GetKeyWithKeyIds(Case):
    def take(self, ids, sae="sae-b", master="sae-a", site="kme-b"):
        return self.ask("POST", master + "/dec_keys", {"key_IDs": [{"key_ID": i} for i in ids]}, site=site,
                        sae=sae)

    def test_both_get_the_same_once(self):
        """5.3: the same keys, in the order asked, then removed"""
        sent = self.keys("GET", "sae-b/enc_keys?number=4&size=8000")
        ids = [i for i, _ in sent]
        self.assertEqual(self.take(list(reversed(ids[1:]))).keys(), list(reversed(sent[1:])))
        self.error(self.take(ids[1:2]), 400, NOT_FOUND)
        self.error(self.take([ids[1], ids[0]]), 400,
                   NOT_FOUND)  # all or nothing: the other one is still there
        self.assertEqual(self.keys("GET", "sae-a/dec_keys?key_ID=" + ids[0].upper(), site="kme-b",
                                   sae="sae-b"),
                         sent[:1])

    def test_other_saes(self):
        """5.3: 401 without a body for an SAE that was not named slave of every key; masters are checked"""
        (mine, _), = self.keys("GET", "other-b/enc_keys")
        (theirs, _), = self.keys("GET", "sae-b/enc_keys")
        for ids in ([theirs], [mine, theirs]):
            answer = self.take(ids, sae="other-b")
            self.assertEqual((answer.status, answer.body), (401, b""))
        self.error(self.take([theirs], master="nobody"), 400, NOT_FOUND)
        self.error(self.take([mine, mine], sae="other-b"), 400, NOT_FOUND)
        self.error(self.take([theirs], site="kme-a", sae="sae-a", master="sae-a"), 400, NOT_FOUND)
        self.assertEqual(self.take([mine], sae="other-b").status, 200)
        self.assertEqual(self.take([theirs]).status, 200)

    def test_formats(self):
        """6.4: extensions are taken, nonsense is refused"""
        (key_id, key), = self.keys("GET", "sae-b/enc_keys")
        for ids in ([], [7], [{"key_ID": 7}], [{}], "x", [{"key_ID": key_id, "key_ID_extension": 1}]):
            self.error(self.ask("POST", "sae-a/dec_keys", {"key_IDs": ids}, site="kme-b", sae="sae-b"), 400)
        self.error(self.take(["not-a-uuid"]), 400, NOT_FOUND)
        self.error(self.take([key_id] * 129), 400)
        self.error(self.ask("GET", "sae-a/dec_keys", site="kme-b", sae="sae-b"), 400)
        answer = self.ask("POST", "sae-a/dec_keys", {"key_IDs_extension": {"x_a": 1}, "key_IDs": [
            {"key_ID": key_id, "key_ID_extension": {"x_b": [1]}}]}, site="kme-b", sae="sae-b")
        self.assertEqual(answer.keys(), [(key_id, key)])


class Tls(Case):
    def refused(self, context):
        connection = http.client.HTTPSConnection("127.0.0.1", self.net.ports["kme-a"], context=context,
                                                 timeout=20)
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            connection.request("GET", "/api/v1/keys/sae-b/status")
            connection.getresponse().read()
        connection.close()

    def test_without_certificate(self):
        """5: no client certificate, no answer"""
        self.refused(self.net.context(None))

    def test_wrong_ca(self):
        """5: a certificate of another CA, no answer, even with a known name"""
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                        "-nodes",
                        "-keyout", self.net.path("evil.key"), "-out", self.net.path("evil.crt"), "-days", "2",
                        "-subj", "/CN=evil"], check=True, stderr=subprocess.PIPE)
        self.issue("sae-a", "forged", ca="evil")
        self.refused(self.net.context("forged"))

    def test_old_tls(self):
        """5: TLS 1.1 is refused (by openssl s_client, with everything else permitted)"""
        done = subprocess.run(["openssl", "s_client", "-connect", "127.0.0.1:%d" % self.net.ports["kme-a"],
                               "-tls1_1",
                               "-cipher", "ALL:@SECLEVEL=0", "-cert", self.net.path("sae-a.crt"), "-key",
                               self.net.path("sae-a.key")], input=b"", stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=30, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stdout, rb"alert protocol version|no protocols available|wrong version")

    def test_names(self):
        """5: the SAE is who its certificate says: known elsewhere or nowhere is 401 without a body"""
        self.issue("nobody")
        for sae in ("nobody", "sae-b", "kme-a"):
            answer = self.ask("GET", "sae-b/status", sae=sae)
            self.assertEqual((answer.status, answer.body), (401, b""))

    def test_connection_is_kept(self):
        """RFC 7230: many requests on one connection"""
        connection = self.net.connect("kme-a", "sae-a")
        for _ in range(50):
            connection.request("GET", "/api/v1/keys/sae-b/enc_keys")
            response = connection.getresponse()
            self.assertEqual(response.status, 200)
            response.read()
            self.assertIsNotNone(connection.sock)
        connection.close()


if __name__ == "__main__":
    main()
