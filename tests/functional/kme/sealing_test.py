# SPDX-License-Identifier: BSD-3-Clause
"""Two sites that seal and open files with keys from ssn-kme through the KM-NIC model: the whole way from the
link to the file, with everything that may go wrong on it."""

import random

from support import *

OK, NOT_FOUND, TEMPORARY, REFUSED, INTEGRITY, KEY_MATERIAL = 0, 4, 5, 6, 7, 9
FOUND_SECONDS = 60
# What the model can do to a stream that the driver mends by itself.
MENDED = ["corrupt_block", "corrupt_descriptor", "wrong_sequence", "wrong_offset", "wrong_ksid",
          "wrong_length", "repeat_block", "drop_block"]


class Sealing(unittest.TestCase):
    def network(self, start=True, **more):
        net = Network(**more)
        self.addCleanup(net.close)
        if start:
            net.start()
        return net

    def make(self, net, size):
        data = random.randbytes(size)
        with open(net.path("file"), "wb") as file:
            file.write(data)
        return data

    def run_ssn(self, net, *arguments, code=OK):
        done = subprocess.run([SSN, *arguments, "--json"], cwd=net.dir, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=90, check=False)
        self.assertEqual(done.returncode, code, done.stderr.decode())
        return json.loads(done.stdout)

    def seal(self, net, *more, code=OK):
        return self.run_ssn(net, "seal", "--config", "sae-a.toml", "--to", "sae-b", "--force", "-o", "sealed",
                            "file", *more, code=code)

    def wait_until_found(self, net):
        """A key manager may be asked before it has found the one of the other site, and says so."""
        self.make(net, 1000)
        give_up = time.monotonic() + FOUND_SECONDS
        command = [SSN, "seal", "--config", "sae-a.toml", "--to", "sae-b", "--force", "-o", "sealed", "file"]
        while subprocess.run(command, cwd=net.dir, capture_output=True, check=False).returncode == TEMPORARY:
            self.assertLess(time.monotonic(), give_up, "the key managers do not find each other")
            time.sleep(0.2)

    def open(self, net, *more, code=OK):
        return self.run_ssn(net, "open", "--config", "sae-b.toml", "--force", "-o", "opened", "sealed", *more,
                            code=code)

    def crosses(self, net, data):
        sealed, opened = self.seal(net), self.open(net)
        with open(net.path("opened"), "rb") as file:
            self.assertTrue(file.read() == data, "what was opened is not what was sealed")
        for stream in ("pads", "tag_keys"):
            self.assertTrue(sealed["keys"][stream]["balanced"] and opened["keys"][stream]["balanced"])
            self.assertEqual(sealed["keys"][stream]["used_bytes"], opened["keys"][stream]["used_bytes"])
        return sealed, opened

    def test_one_process(self):
        """one ssn-kme for both sites: a file crosses, accounts balance, the class is emulated, and it opens
        once"""
        net = self.network()
        sealed, opened = self.crosses(net, self.make(net, 3000000))
        self.assertEqual(sealed["protection"], "emulated")
        self.assertIn("EMULAT", opened["key_device"].upper())
        self.open(net, code=REFUSED)

    def test_no_key_manager(self):
        """without a key manager: what to start is said"""
        net = self.network(start=False)
        self.make(net, 1000)
        self.assertIn("start the key manager", self.seal(net, code=NOT_FOUND)["error"]["fix"])

    def test_a_process_for_each_site(self):
        """two ssn-kme that share nothing but the link's secret give both ends the same keys"""
        ports = []
        for _ in range(4):
            probe = socket.socket()
            probe.bind(("127.0.0.1", 0))
            ports.append(probe)
        numbers = [probe.getsockname()[1] for probe in ports]
        for probe in ports:
            probe.close()

        def edit(text):
            for old, new in zip((20140, 20141, 20142, 20143), numbers):
                text = text.replace(str(old), str(new))
            return text
        net = self.network(start=False, port=20140, edit=edit)
        first = net.start("kme-a", wait=False)
        second = net.start("kme-b", wait=False)
        net.wait_ready(first)
        net.wait_ready(second)
        self.wait_until_found(net)
        self.crosses(net, self.make(net, 500000))

    def test_shortage(self):
        """a link that makes too little: exit code 9, no output; with patience it goes at the link's rate"""
        net = self.network(edit=lambda text: text.replace('stock = "128 MiB"', 'stock = "400 kB"').replace(
            'rate = "0 bit/s"', 'rate = "8 Mbit/s"'))
        data = self.make(net, 1500000)
        net.ssn("outage", "a-b")
        self.seal(net, "--wait", "0", code=KEY_MATERIAL)
        self.assertFalse(os.path.exists(net.path("sealed")))
        net.ssn("outage", "a-b", "--end")
        begun = time.monotonic()
        self.crosses(net, data)
        self.assertGreater(time.monotonic() - begun, 0.5, "faster than the link makes keys")

    def test_faults_that_are_mended(self):
        """corrupt, missing, repeated and misplaced blocks: asked for again, and the file is right"""
        net = self.network()
        for fault in MENDED:
            with self.subTest(fault=fault):
                net.ssn("inject", "kme-a", fault, "--count", "2")
                net.ssn("inject", "kme-b", fault, "--count", "2")
                self.crosses(net, self.make(net, 2000000))

    def test_stall(self):
        """a device that stalls for a while goes on"""
        net = self.network()
        net.ssn("inject", "kme-a", "stall", "--for", "500ms")
        self.crosses(net, self.make(net, 1000000))

    def slow_network(self):
        return self.network(edit=lambda text: text.replace('rate = "0 bit/s"', 'rate = "40 Mbit/s"').replace(
            'stock = "128 MiB"', 'stock = "200 kB"'))

    def seal_in_the_middle(self, net, happens):
        """Seals, lets something happen once keys flow, and expects the end that fits a loss of keys."""
        if os.path.exists(net.path("sealed")):
            os.remove(net.path("sealed"))
        before = net.status()["links"][0]["stream_bytes"]
        process = subprocess.Popen([SSN, "seal", "--config", "sae-a.toml", "--to", "sae-b", "-o", "sealed",
                                    "file"], cwd=net.dir, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        self.addCleanup(process.stderr.close)
        wait_for(lambda: process.poll() is not None or
                 net.status()["links"][0]["stream_bytes"] > before + 300000, "keys to flow")
        happens()
        _, said = process.communicate(timeout=60)
        self.assertEqual(process.returncode, KEY_MATERIAL, said.decode())
        self.assertIn(b"fix:", said)
        self.assertFalse(os.path.exists(net.path("sealed")))

    def test_faults_that_end_streams(self):
        """a reset, a broken or vanished device, streams that the key manager ends: exit code 9 and no output;
        the next file takes fresh streams"""
        net = self.slow_network()
        for fault in ("end_streams", "reset", "fatal", "vanish"):
            with self.subTest(fault=fault):
                self.make(net, 20000000)
                self.seal_in_the_middle(net, lambda: net.ssn("inject", "kme-a", fault))
                self.crosses(net, self.make(net, 100000))

    def test_key_manager_dies(self):
        """the key manager is killed in the middle: exit code 9 in time, no output, and the next one works"""
        net = self.slow_network()
        data = self.make(net, 20000000)
        self.seal_in_the_middle(net, net.processes[0].kill)
        net.start()
        net.ssn("rate", "a-b", "0bit/s")
        self.crosses(net, data)

    def test_killed_while_it_seals(self):
        """a sealing process that is killed leaves no output; the next file takes other keys"""
        net = self.network()
        data = self.make(net, 40000000)
        for _ in range(3):
            process = subprocess.Popen([SSN, "seal", "--config", "sae-a.toml", "--to", "sae-b", "-o",
                                        "sealed", "file"], cwd=net.dir, stderr=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL)
            time.sleep(random.uniform(0.0, 0.15))
            process.kill()
            process.wait()
            if os.path.exists(net.path("sealed")):
                os.remove(net.path("sealed"))  # it was faster
        self.crosses(net, data)


if __name__ == "__main__":
    main()
