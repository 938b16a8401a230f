# SPDX-License-Identifier: BSD-3-Clause
"""ssn-dataplane as a bridge between two kernels: forwarding, rest, swap, trace, start and end."""

import signal

from support import *  # pylint: disable=wildcard-import,unused-wildcard-import


def port(name, device, **more):
    lines = ''.join(f'{key} = {value}\n' for key, value in more.items())
    return f'[[port]]\nname = "{name}"\ndevice = "{device}"\n{lines}'


BRIDGE = '[[bridge]]\nports = ["a", "b"]\n'

# Datagrams of 1000 bytes that leave the kernel as one frame (UDP_SEGMENT), and what of them arrives.
SEND = """import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
    out.setsockopt(socket.IPPROTO_UDP, 103, 1000)
    out.sendto(b''.join(bytes([i]) * 1000 for i in range(40)) + b'end', ('10.0.0.2', 5000))
"""
RECEIVE = """import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as received:
    received.bind(('10.0.0.2', 5000))
    received.settimeout(10)
    print('ready', flush=True)
    assert [received.recv(2000) for _ in range(41)] == [bytes([i]) * 1000 for i in range(40)] + [b'end']
print('whole', flush=True)
"""


class Bridge(unittest.TestCase):
    """left -- pa [data plane] pb -- right"""

    def network(self, mtu=1500):
        network = networks.Network()
        self.addCleanup(network.close)
        self.left, self.middle, self.right = (network.namespace(name) for name in ('left', 'middle', 'right'))
        network.link(self.left, 'eth0', self.middle, 'pa', mtu)
        network.link(self.middle, 'pb', self.right, 'eth0', mtu)
        for interface in ('pa', 'pb'):
            network.quiet(self.middle, interface)
        self.left.address('eth0', '10.0.0.1/24', 'fd00::1/64')
        self.right.address('eth0', '10.0.0.2/24', 'fd00::2/64')

    def plane(self, body, **more):
        plane = DataPlane('bridge', body, self.middle, **more)
        self.addCleanup(plane.close)
        return plane

    def bridge(self, mtu=1500, **more):
        self.network(mtu)
        ports = port('a', 'net_af_packet0,iface=pa', mtu=mtu) + port('b', 'net_af_packet1,iface=pb', mtu=mtu)
        self.ports = ports
        return self.plane(ports + BRIDGE, **more).start()

    def ping(self, address='10.0.0.2', *options):
        """Whether all of some echoes come back."""
        done = self.left.run('ping', '-n', '-i', '0.01', '-c', '20', '-w', '15', *options, address,
                             check=False)
        return done.returncode == 0

    def test_forwards(self):
        """ping over IPv4 and IPv6; counters of ports and nodes say so; nothing is dropped"""
        plane = self.bridge()
        self.assertTrue(self.ping())
        self.assertTrue(self.ping('fd00::2'))
        self.assertTrue(self.ping('10.0.0.2', '-s', '1472', '-M', 'do'))
        self.assertGreaterEqual(plane.counter('port.a.rx_packets'), 60)
        self.assertGreaterEqual(plane.counter('port.b.tx_packets'), 60)
        self.assertGreaterEqual(plane.counter('node.port_tx-b.packets'), 60)
        answer = plane.ask('counters', '--prefix', 'drop.')
        drops = {each['name']: each['value'] for each in answer['counters']}
        self.assertTrue(drops)
        self.assertEqual(sum(drops.values()), 0, drops)
        self.assertEqual(plane.stop(), 0)
        self.assertFalse(os.path.exists(plane.ready_file))
        self.assertFalse(os.path.exists(plane.runtime_folder))

    def test_jumbo(self):
        """frames of 9000 bytes, and one that is longer than the port's MTU is dropped and counted"""
        plane = self.bridge(mtu=9000)
        self.assertTrue(self.ping('10.0.0.2', '-s', '8972', '-M', 'do'))
        self.assertEqual(plane.stop(), 0)
        plane.configure(port('a', 'net_af_packet0,iface=pa', mtu=9000) +
                        port('b', 'net_af_packet1,iface=pb', mtu=1500) + BRIDGE)
        plane.start()
        self.assertTrue(self.ping())
        self.assertFalse(self.ping('10.0.0.2', '-s', '2000', '-M', 'do', '-w', '2'))
        self.assertGreaterEqual(plane.counter('drop.port_tx_too_long'), 20)

    def test_packet_sockets(self):
        """packet_socket ports join kernels that leave checksums open and send datagrams as one frame"""
        self.network()
        for namespace in (self.left, self.right):
            namespace.run('ethtool', '-K', 'eth0', 'tx', 'on', 'sg', 'on', 'gso', 'on', 'tx-udp-segmentation',
                          'on')
        plane = self.plane(port('a', 'packet_socket,iface=pa') + port('b', 'packet_socket,iface=pb') +
                           BRIDGE).start()
        self.assertTrue(self.ping())
        self.assertTrue(self.ping('fd00::2'))
        self.assertTrue(self.ping('10.0.0.2', '-s', '1472', '-M', 'do'))
        receiver = self.right.start(sys.executable, '-c', RECEIVE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(networks.stop, receiver)
        self.assertEqual(receiver.stdout.readline(), 'ready\n')
        self.left.run(sys.executable, '-c', SEND)
        self.assertEqual(receiver.stdout.readline(), 'whole\n')
        wait_for(lambda: plane.counter('port.a.device_rx_runs') == 1, 'the frame to be counted')
        self.assertEqual(plane.counter('drop.segmented'), 0)
        wait_for(lambda: plane.counter('worker.sleeps') > 0, 'the worker to sleep')
        self.assertTrue(self.ping())
        self.assertEqual(plane.stop(), 0)

    def test_idle(self):
        """a data plane without traffic sleeps, and wakes for a packet at once"""
        plane = self.bridge()
        self.assertTrue(self.ping())

        def used():
            with open(f'/proc/{plane.process.pid}/stat', encoding='ascii') as file:
                fields = file.read().rsplit(')', 1)[1].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')

        wait_for(lambda: plane.counter('worker.sleeps') > 0, 'the worker to sleep')
        before = used()
        time.sleep(2)
        spent = (used() - before) / 2
        print(f'idle: {100 * spent:.1f} % of a core', flush=True)
        self.assertLess(spent, 0.1)
        done = self.left.run('ping', '-n', '-i', '0.3', '-c', '5', '-w', '15', '10.0.0.2')
        slowest = float(done.stdout.rsplit('=', 1)[1].split('/')[2])
        print(f'slowest echo of a sleeping data plane: {slowest} ms', flush=True)
        self.assertLess(slowest, 150)  # it would sleep a quarter of a second

    def test_several_workers(self):
        """two workers on one CPU, and ports with one send queue: packets are handed over"""
        plane = self.bridge(workers='cores = "0-1"') if os.cpu_count() > 1 else self.skipTest('one CPU')
        self.assertEqual(len(plane.ready['worker_cpus']), 2)
        self.assertTrue(self.ping())
        self.assertTrue(self.ping('fd00::2'))
        self.assertEqual(plane.stop(), 0)

    def test_swap(self):
        """SIGHUP takes the file again: without the bridge everything is dropped, with it everything flows"""
        plane = self.bridge()
        self.assertTrue(self.ping())
        before = plane.counter('node.port_rx-a.packets')
        plane.configure(self.ports)
        plane.process.send_signal(signal.SIGHUP)
        wait_for(lambda: 'runs configuration 2' in plane.log, 'the swap')
        self.assertFalse(self.ping('10.0.0.2', '-w', '2'))
        self.assertGreater(plane.counter('drop.no_use'), 0)
        self.assertGreaterEqual(plane.counter('node.port_rx-a.packets'), before)
        for text, says in ((self.ports + BRIDGE + 'x = 1\n', 'x'),
                           (self.ports.replace('pa', 'px') + BRIDGE, '[[port]]')):
            plane.configure(text)
            plane.process.send_signal(signal.SIGHUP)
            wait_for(lambda: says in plane.log and plane.log.endswith('it has\n'), 'the refusal')
            with open(plane.log_file, 'w', encoding='ascii'):
                pass
        plane.configure(self.ports + BRIDGE)
        swapped = plane.ask('swap', plane.config)
        self.assertTrue(swapped['applied'], swapped)
        self.assertTrue(self.ping())
        self.assertEqual(plane.counter('node.port_rx-a.reallocations'), 0)

    def test_swaps_under_traffic(self):
        """twenty swaps while packets flow: none is lost"""
        plane = self.bridge()
        self.assertTrue(self.ping())
        flood = self.left.start('ping', '-n', '-q', '-i', '0.002', '-c', '1000', '-W', '5', '10.0.0.2',
                                stdout=subprocess.PIPE, text=True)
        swaps = 0
        while swaps < 20 or flood.poll() is None:
            self.assertTrue(plane.ask('swap', plane.config)['applied'])
            swaps += 1
        out = flood.stdout.read()
        flood.wait()
        self.assertIn(' 0% packet loss', out)
        print(f'{swaps} swaps', flush=True)

    def test_trace(self):
        """a trace shows the nodes that a packet passes"""
        plane = self.bridge()
        trace = subprocess.Popen(
            [SSN, 'dataplane', 'trace', '--socket', plane.socket, '--port', 'a', '--json', '--count', '4'],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(networks.stop, trace)
        while trace.poll() is None:
            self.assertTrue(self.ping())
        out, said = trace.stdout.read(), trace.stderr.read()
        self.assertEqual(trace.returncode, 0, said)
        self.assertIn('port_rx-a', out)
        self.assertIn('port_tx-b', out)
        self.assertIn('sent', out)
        self.assertNotIn('port_rx-b', out)

    def test_kill_and_start_again(self):
        """a process that was killed is in nobody's way; one that lives is"""
        plane = self.bridge()
        with open(plane.config, encoding='ascii') as file:
            twin = file.read().replace('socket = "agent.sock"', '')
        with open(plane.config + '.twin', 'w', encoding='ascii') as file:
            file.write(twin)
        done = self.middle.run(SSN_DATAPLANE, '--config', plane.config + '.twin', check=False)
        code, said = done.returncode, done.stderr
        self.assertEqual(code, 6, said)
        self.assertIn(f'process {plane.ready["process"]} runs with the same file prefix', said)
        self.assertTrue(self.ping())
        plane.kill()
        self.assertTrue(os.path.exists(plane.runtime_folder))
        os.unlink(plane.ready_file)
        plane.start()
        self.assertTrue(self.ping())
        self.assertEqual(plane.stop(), 0)
        self.assertFalse(os.path.exists(plane.runtime_folder))

    def test_link_goes_down(self):
        """a link that goes down and comes back is told, and packets flow again"""
        plane = self.bridge()
        self.assertTrue(self.ping())
        self.right.run('ip', 'link', 'set', 'eth0', 'down')
        wait_for(lambda: 'port b: link down' in plane.log, 'the link to go down')
        self.right.run('ip', 'link', 'set', 'eth0', 'up')
        wait_for(lambda: 'port b: link up' in plane.log, 'the link to come up')
        wait_for(self.ping, 'echoes')

    def test_refuses_what_the_machine_lacks(self):
        """each says what, why, where and how to mend it, before DPDK is started"""
        self.network()
        good = port('a', 'net_af_packet0,iface=pa')
        huge = 'huge_pages = "require"\nmemory = "1 TiB"'
        for body, more, says in (
                (port('a', 'net_af_packet0,iface=px'), {}, 'there is no interface px'),
                (port('a', 'net_af_packet0'), {}, 'needs an interface'),
                (port('a', '0000:ff:1f.7'), {}, 'there is no PCI device 0000:ff:1f.7'),
                (good, {'workers': 'cores = "8000"'}, 'CPU 8000 is not among those'),
                (good, {'eal': huge}, 'huge pages are free'),
                (good, {'eal': 'huge_pages = "off"\nmemory = "1 TiB"'}, 'MiB of memory are available'),
                (port('a', 'net_af_packet0,iface=pa', mtu=9000),
                 {'eal': 'huge_pages = "off"\nmemory = "32 MiB"'}, '[eal] memory holds')):
            for options in ([], ['--check']):
                code, said = self.plane(body, **more).run(*options)
                self.assertEqual(code, 6, said)
                self.assertIn(says, said)
                self.assertIn('refuses to run', said)
                self.assertIn('fix:', said)
                self.assertNotIn('DPDK:', said)

    def test_refuses_devices_that_dpdk_cannot_open(self):
        """what only DPDK finds out is told with its reason and the port"""
        self.network()
        for device in ('net_nonesuch0', 'net_pcap0,rx_pcap=/nonexistent.pcap'):
            plane = self.plane(port('a', device))
            code, said = plane.run()
            self.assertEqual(code, 1, said)
            self.assertIn('cannot open port a', said)
            self.assertFalse(os.path.exists(plane.runtime_folder))

    def test_check(self):
        """--check says what DPDK would be started with, and starts nothing"""
        self.network()
        plane = self.plane(port('a', 'net_af_packet0,iface=pa'))
        code, said = plane.run('--check')
        self.assertEqual(code, 0, said)
        self.assertIn('is sound', said)
        self.assertIn('--no-huge', said)
        self.assertFalse(os.path.exists(plane.runtime_folder))

    def test_poll(self):
        """--poll never sleeps"""
        self.network()
        ports = port('a', 'net_af_packet0,iface=pa') + port('b', 'net_af_packet1,iface=pb')
        plane = self.plane(ports + BRIDGE).start('--poll')
        walks = plane.counter('worker.walks')
        wait_for(lambda: plane.counter('worker.walks') > walks + 1000, 'walks')
        self.assertEqual(plane.counter('worker.sleeps'), 0)
        self.assertTrue(self.ping())


class CommandLine(unittest.TestCase):
    """What needs no network."""

    def run_it(self, *arguments):
        return subprocess.run([SSN_DATAPLANE, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=SECONDS, check=False)

    def test_usage(self):
        """wrong usage is exit code 2 and says what is wrong"""
        for arguments, says in (([], '--config is missing'), (['--config'], 'needs a value'),
                                (['--frobnicate'], 'unknown argument')):
            done = self.run_it(*arguments)
            self.assertEqual(done.returncode, 2)
            self.assertIn(says, done.stdout)
        self.assertEqual(self.run_it('--config', '/nonexistent').returncode, 4)
        self.assertIn('Usage:', self.run_it('--help').stdout)
        self.assertEqual(self.run_it('--version').returncode, 0)


if __name__ == '__main__':
    main()
