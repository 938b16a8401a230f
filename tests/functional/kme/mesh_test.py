# SPDX-License-Identifier: BSD-3-Clause
"""Two ssn-kme processes, one for each site: the same keys, no deadlock, restarts."""

import threading

from support import *


class Mesh(unittest.TestCase):
    def setUp(self):
        self.net = Network(port=free_port_range(4))
        self.addCleanup(self.net.close)

    def start_both(self):
        """Both at the same time, which once was a deadlock for others."""
        both = [self.net.start("kme-a", wait=False), self.net.start("kme-b", wait=False)]
        for process in both:
            self.net.wait_ready(process)
        self.wait_connected()

    def wait_connected(self):
        for name in ("control.sock.kme-a", "control.sock.kme-b"):
            wait_for(lambda n=name: self.net.status(n)["links"][0]["connected"], "the other process")

    def draw(self, master, number=1, size=256):
        slave = "sae-b" if master == "sae-a" else "sae-a"
        site = "kme" + master[3:]
        answer = self.net.ask(site, master, "GET", "%s/enc_keys?number=%d&size=%d" % (slave, number, size))
        self.assertEqual(answer.status, 200, answer.body)
        return answer.keys()

    def fetch(self, slave, ids):
        master = "sae-b" if slave == "sae-a" else "sae-a"
        return self.net.ask("kme" + slave[3:], slave, "POST", master + "/dec_keys",
                            {"key_IDs": [{"key_ID": i} for i in ids]})

    def test_same_keys(self):
        """both ends get the same keys, in both directions; key bytes do not cross"""
        self.start_both()
        for master, slave in (("sae-a", "sae-b"), ("sae-b", "sae-a")):
            for size in (64, 256, 1000000):
                sent = self.draw(master, 3, size)
                self.assertEqual(self.fetch(slave, [i for i, _ in sent]).keys(), sent)
        self.assertEqual(self.net.status("control.sock.kme-a")["links"][0]["keys_issued"], 9)

    def test_simultaneous(self):
        """both sites serve enc_keys of several clients at the same time"""
        self.start_both()
        drawn = {"sae-a": [], "sae-b": []}
        failures = []

        def work(master):
            try:
                for _ in range(15):
                    drawn[master] += self.draw(master, 2)
            except Exception as error:  # to be reported by the test
                failures.append(error)
        threads = [threading.Thread(target=work, args=(m,)) for m in ("sae-a", "sae-b") * 3]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            self.assertFalse(thread.is_alive(), "a deadlock")
        self.assertEqual(failures, [])
        for master, slave in (("sae-a", "sae-b"), ("sae-b", "sae-a")):
            self.assertEqual(self.fetch(slave, [i for i, _ in drawn[master]]).keys(), drawn[master])

    def test_restart(self):
        """without the other process 503; after its restart keys of the earlier run are gone, new ones come"""
        self.start_both()
        old = self.draw("sae-a")
        second = self.net.processes[1]
        second.send_signal(signal.SIGKILL)
        second.wait()
        answer = self.net.ask("kme-a", "sae-a", "GET", "sae-b/enc_keys")
        self.assertEqual(answer.status, 503)
        self.assertIn("does not answer", answer.json()["message"])
        os.unlink(second.ready)
        self.net.start("kme-b")
        self.wait_connected()
        wait_for(lambda: self.net.ask("kme-a", "sae-a", "GET", "sae-b/enc_keys").status == 200, "keys again")
        self.assertEqual(self.fetch("sae-b", [old[0][0]]).status, 400)
        sent = self.draw("sae-b", 2)
        self.assertEqual(self.fetch("sae-a", [i for i, _ in sent]).keys(), sent)

    def test_strangers(self):
        """the port for key managers answers nobody but the other site's key manager"""
        self.start_both()
        with open(self.net.processes[0].ready, encoding="utf-8") as file:
            port = json.load(file)["sites"][0]["peer_port"]
        for name in ("sae-a", "sae-b", "kme-a"):
            connection = http.client.HTTPSConnection("127.0.0.1", port, context=self.net.context(name),
                                                     timeout=20)
            connection.request("POST", "/shareline/peer/v1/run",
                               json.dumps({"link": "a-b", "nonce": "bc490419-7d60-487f-adc1-4ddcc177c139"}),
                               JSON)
            self.assertEqual(connection.getresponse().status, 401)
            connection.close()


if __name__ == "__main__":
    main()
