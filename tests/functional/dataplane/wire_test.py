#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Two nodes and five good links: what comes in at one client port goes out at the other, whatever scheme,
offload device or filter is configured; and what that takes."""

import re
import shutil

from wire_support import *

MIB = 1 << 20
DISSECTOR = os.path.join(SCRIPTS, "wireshark", "shareline.lua")
# The only calls that a port on a packet socket makes: to send, and to wait for room to send.
PORT_CALLS = {"sendto", "poll", "ppoll", "restart_syscall"}


class Wire(WireTest):
    def test_owners_reach_each_other(self):
        """ping over IPv4 and IPv6, also with the longest frames; TCP in both directions"""
        self.ping("-c", "20", "-i", "0.01")
        self.ping("-c", "20", "-i", "0.01", "-s", "1472", "-M", "do")
        self.ping("-c", "5", "-i", "0.05", family=6)
        self.transfer(8 * MIB, window=0)
        self.transfer(2 * MIB, window=0, backwards=True, family=6)

    def test_counters_account_for_every_frame(self):
        """what one node packed the other handed out, in as many blocks; all links carried the same"""
        sent, received = Growth(self.a), Growth(self.b)
        self.ping("-c", "50", "-i", "0.01", "-s", "1000")

        def settled():
            ours, theirs = sent.all("stream.1."), received.all("stream.1.")
            # Counters are read one after another, while the kernel may send something of its own.
            equal = all(ours.get(f"stream.1.sent.{each}") == theirs.get(f"stream.1.received.{each}")
                        for each in ("frames", "frame_bytes", "blocks"))
            return (ours, theirs) if equal and ours.get("stream.1.sent.frames", 0) >= 50 else None
        _, theirs = wait_for(
            settled, lambda: f"equal counts: {sent.all('stream.')} here, {received.all('stream.')} there", 20)
        self.assertNotIn("stream.1.received.blocks_lost", theirs)

    def test_status(self):
        """status names the node and everything that it consists of, and all of it is well"""
        said = self.a.status()
        self.assertEqual(said["node"], "sae-a")
        self.assertTrue(all(item["healthy"] for item in said["items"]), said["items"])
        kinds = {item["kind"] for item in said["items"]}
        self.assertLessEqual({"worker", "port", "peer", "link", "stream", "key_device"}, kinds)

    def test_schemes(self):
        """classic, ramp and erasure code carry the same as the usual scheme"""
        for scheme in ({"scheme": "classic", "k": 3, "n": 5},
                       {"scheme": "ramp", "k": 3, "n": 5, "data_blocks": 2},
                       {"scheme": "rs", "k": 3, "n": 5},
                       {"scheme": "systematic", "k": 2, "n": 3, "random": "drbg"}):
            with self.subTest(**scheme), \
                    self.configured(lambda node, wanted=scheme: node.stream.update(wanted)):
                self.transfer(2 * MIB, window=0)

    def with_device(self, driver, settings, counted, deadline="5 ms", then=None):
        """A transfer with an offload device; what its counters say is not nothing. `then` is called while it
        is still there."""
        def change(node):
            node.configuration["offload"] = {"driver": driver, "deadline": deadline, "settings": settings}
        with self.configured(change):
            self.transfer(MIB, window=0)
            for node in (self.a, self.b):
                counters = node.counters()
                seen = sum(value for name, value in counters.items() if name.endswith(counted))
                self.assertGreater(seen, 0, counters)
            if then:
                then()

    def test_device_that_completes_later(self):
        """the same frames come out with a device that works beside the worker, and out of order"""
        self.with_device("async-example", {}, "offload.jobs", "1 s", self.check_later_device)

    def check_later_device(self):
        """The device did the work, and does it after a swap of configurations too."""
        for node in (self.a, self.b):  # which a device that may not touch what jobs name would not do
            counters = node.counters()
            for way in ("sent", "received"):
                blocks = counters[f"stream.1.{way}.blocks"]
                self.assertGreater(blocks, 20, counters)
                self.assertLess(counters[f"stream.1.{way}.on_cpu"], blocks / 10, counters)
        self.reload()  # registers anew what a swap makes anew
        self.transfer(MIB, window=0)
        for node in (self.a, self.b):
            self.assertEqual(node.stop(), 0, last_lines(node.log, 20))

    def reload(self):
        """Both nodes take their configuration again, as it is now but for a time."""
        for node in (self.a, self.b):
            node.stream["reorder"] = "150 ms" if not SANITIZED else "900 ms"
            node.write()
            node.ask("swap", node.file)
        self.network.wait_for_traffic()

    def test_device_that_loses_jobs(self):
        """jobs that never come back are done by the CPU; the device is given up, which is said; and the
        process ends as it should, also with jobs that nobody gave back"""
        def change(node):
            node.configuration["offload"] = {"driver": "fault", "deadline": "5 ms",
                                             "settings": {"fault": "lose"}}
        with self.configured(change):
            self.transfer(MIB, window=0)
            for node in (self.a, self.b):
                wait_for(lambda each=node: each.counters().get("offload.given_up"), "the device given up", 20)
                counters = node.counters()
                lost = sum(value for name, value in counters.items() if name.endswith("jobs_lost"))
                self.assertGreater(lost, 0, counters)
                item = next(each for each in node.status()["items"] if each["kind"] == "offload")
                self.assertFalse(item["healthy"], item)
                with open(node.log, encoding="utf-8") as log:
                    self.assertIn("has given up the device fault", log.read())
            self.transfer(MIB, window=0)
            for node in (self.a, self.b):
                self.assertEqual(node.stop(), 0, last_lines(node.log, 20))

    def test_stopping_with_jobs_that_are_out(self):
        """SIGTERM while a device has jobs that it will not give back for a minute: the process ends soon"""
        def change(node):
            node.configuration["offload"] = {"driver": "fault", "deadline": "10 s",
                                             "settings": {"fault": "lose", "one_in": "200"}}
        with self.configured(change):
            self.ping("-c", "300", "-i", "0.002", "-W", "1", check=False)
            for node in (self.a, self.b):
                began = time.monotonic()
                self.assertEqual(node.stop(), 0, last_lines(node.log, 20))
                self.assertLess(time.monotonic() - began, 8)

    def test_device_that_fails(self):
        """the same frames come out with a device that is slow, late, busy, or ends good jobs as bad ones"""
        for settings, counted in (({"fault": "slow", "delay_us": "300"}, "offload.jobs"),
                                  ({"fault": "slow", "delay_us": "20000"}, "jobs_late"),
                                  ({"fault": "partial"}, "offload.jobs"),
                                  ({"fault": "refuse"}, "jobs_failed"),
                                  ({"fault": "timeout"}, "jobs_late")):
            with self.subTest(**settings):
                self.with_device("fault", settings, counted)

    def test_filter(self):
        """a stream takes what its filter picks; the rest passes to another port, as it is"""
        observer = self.network.namespace("observer")
        self.network.link(self.a.namespace, "aside", observer, "eth0")
        self.network.quiet(self.a.namespace, "aside")
        self.network.quiet(observer, "eth0")

        def change(node):
            node.stream["filter"] = ["ipv4", "arp"]
            if node is self.a:
                node.configuration["port"].append(
                    {"name": "aside", "device": "net_af_packet9,iface=aside"})
                node.stream["others"] = "pass-to=aside"
        with self.configured(change):
            self.check_aside(observer)

    def check_aside(self, observer):
        capture = self.path("aside.pcap")
        watcher = self.helper(observer, "capture.py", "eth0", 3, capture)
        self.ping("-c", "3", "-i", "0.05")
        self.ping("-c", "3", "-i", "0.2", "-W", "1", family=6, check=False)
        watcher.wait(30)
        frames = read_pcap(capture)
        self.assertEqual({frame[12:14] for frame in frames}, {b"\x86\xdd"})
        self.assertEqual(self.ping("-c", "2", "-i", "0.2", "-W", "1", family=6, check=False)[1], 0)

    def test_a_wrong_configuration_is_said(self):
        """a share that does not fit the MTU, and a port that is not there: exit code, file, line and mend"""
        broken = json.loads(json.dumps(self.a.configuration))
        self.addCleanup(setattr, self.a, "file", self.a.file)
        for change, says in ((lambda c: c["port"][1].update(mtu=1300), "MTU"),
                             (lambda c: c["stream"][0].update(port="nowhere"), "nowhere"),
                             (lambda c: c["stream"][0].update(speed=3), "speed")):
            configuration = json.loads(json.dumps(broken))
            change(configuration)
            self.a.file = self.path("broken.toml")
            saved, self.a.configuration = self.a.configuration, configuration
            self.a.write()
            self.a.configuration = saved
            done = self.a.namespace.run(self.network.programs.dataplane, "--config", self.a.file, "--check",
                                        check=False)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertRegex(done.stderr, r"broken\.toml:\d+")
            self.assertIn(says, done.stderr)

    def test_wireshark_reads_it(self):
        """the dissector knows every packet on a link, and marks none"""
        if not shutil.which("tshark"):
            self.skipTest("tshark is not installed (scripts/bootstrap)")
        capture = self.path("link.pcap")
        watcher = self.helper(self.b.namespace, "capture.py", "l1", 40, capture)
        self.ping("-c", "40", "-i", "0.01", "-s", "1400")
        watcher.wait(30)
        done = subprocess.run(
            ["tshark", "-X", "lua_script:" + DISSECTOR, "-r", capture, "-T", "json", "-J", "shareline udp"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True, timeout=120,
            env=dict(os.environ, HOME=self.folder.name, XDG_CONFIG_HOME=self.folder.name))
        packets = [each["_source"]["layers"] for each in json.loads(done.stdout)]
        ours = [json.dumps(layers["shareline"]) for layers in packets if "shareline" in layers]
        self.assertEqual(len(ours), len([layers for layers in packets if "udp" in layers]))
        self.assertGreater(len(ours), 30)
        for mark in ("malformed", "reserved_bits", "alignment", "lower_protection"):
            self.assertNotIn("shareline." + mark, " ".join(ours))
        self.assertTrue(all('"shareline.share": "1"' in each for each in ours), ours[0])

    def test_no_system_calls_but_the_ports(self):
        """a polling worker makes no system call but those of its ports"""
        if not shutil.which("strace"):
            self.skipTest("strace is not installed (scripts/bootstrap)")
        with self.configured(lambda node: node.configuration["workers"].update(idle="poll")):
            self.check_calls(self.worker_thread(self.a))

    def check_calls(self, worker):
        summary = self.path("calls")
        tracer = subprocess.Popen(["strace", "-c", "-p", str(worker), "-o", summary],
                                  stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            self.assertIn("attached", tracer.stderr.readline())
            self.transfer(2 * MIB, window=0)
        finally:
            tracer.terminate()
            tracer.wait(10)
            tracer.stderr.close()
        with open(summary, encoding="utf-8") as file:
            calls = {line.split()[-1]: int(line.split()[3]) for line in file
                     if re.match(r" *\d+[.,]\d+ .* [a-z_0-9]+$", line) and "total" not in line}
        self.assertIn("sendto", calls)
        self.assertEqual(set(calls) - PORT_CALLS, set(), calls)

    @staticmethod
    def worker_thread(node):
        """The thread of its only worker: the one that uses the most time while it polls."""
        def times():
            spent = {}
            for thread in os.listdir(f"/proc/{node.process.pid}/task"):
                with open(f"/proc/{node.process.pid}/task/{thread}/schedstat", encoding="ascii") as file:
                    spent[int(thread)] = int(file.read().split()[0])
            return spent
        before = times()
        time.sleep(0.3)
        after = times()
        return max(after, key=lambda thread: after[thread] - before.get(thread, 0))


if __name__ == "__main__":
    main()
