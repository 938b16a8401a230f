# SPDX-License-Identifier: BSD-3-Clause
"""ssn-dataplane as an IP host: the kernel finds it, pings it, and hears nothing else of it.

    kernel (10.0.1.2, fd00:1::2) -- veth -- port link1 (10.0.1.1, fd00:1::1)
"""

import re

from support import *  # pylint: disable=wildcard-import,unused-wildcard-import

AGENT = '''listen = "127.0.0.1:7000"
certificate = "node.crt"
key = "node.key"
ca = "node.crt"
'''
HOST = '''
[[port]]
name = "link1"
device = "net_af_packet0,iface=p1"
mtu = {mtu}
addresses = ["10.0.1.1/24", "fd00:1::1/64"]
gateways = ["10.0.1.254"]
'''
LINKS = '''
[[peer]]
name = "sae-b"
agent = "127.0.0.1:1"
[[peer.link]]
port = "link1"
local = "10.0.1.1"
remote = "10.0.1.2"
[[peer.link]]
port = "link1"
local = "fd00:1::1"
remote = "fd00:1::2"
[[peer.link]]
port = "link1"
local = "10.0.1.1"
remote = "192.0.2.9"
'''
STATES = ['incomplete', 'reachable', 'stale', 'failed', 'fixed']


class Host(unittest.TestCase):
    """What the kernel at the other end of a link sees."""

    def start(self, mtu=1500, peers=LINKS, port_mtu=None):
        network = networks.Network()
        self.addCleanup(network.close)
        self.kernel, self.plane_side = network.namespace('kernel'), network.namespace('plane')
        network.link(self.kernel, 'eth0', self.plane_side, 'p1', mtu)
        network.quiet(self.plane_side, 'p1')
        self.kernel.address('eth0', '10.0.1.2/24', 'fd00:1::2/64')
        self.plane = DataPlane('host', '', self.plane_side)
        self.addCleanup(self.plane.close)
        self.configure(HOST.format(mtu=port_mtu or mtu) + peers)
        self.plane.start()

    def configure(self, body):
        """With peers, the agent wants a certificate of its own: one that no peer trusts will do."""
        if '[[peer]]' in body:
            at = [os.path.join(self.plane.folder, name) for name in ('node.key', 'node.crt')]
            if not os.path.exists(at[1]):
                curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256']
                subprocess.run(['openssl', 'req', '-x509', *curve, '-nodes', '-days', '1', '-subj',
                                '/CN=' + self.plane.name, '-keyout', at[0], '-out', at[1]],
                               check=True, stderr=subprocess.DEVNULL)
            body = AGENT + body
        self.plane.configure(body)

    def ping(self, address, *options, count=20):
        """Until `count` echoes came back, however late; how many were sent for that."""
        done = self.kernel.run('ping', '-n', '-i', '0.01', '-c', count, '-w', SECONDS, *options, address,
                               check=False)
        found = re.search(r'(\d+) packets transmitted, (\d+) received', done.stdout)
        self.assertTrue(found and int(found.group(2)) >= count, done.stdout + done.stderr)
        return int(found.group(1))

    def nobody_answers(self, address, *options, count=2):
        done = self.kernel.run('ping', '-n', '-i', '0.01', '-c', count, '-W', '1', *options, address,
                               check=False)
        self.assertIn(' 0 received', done.stdout, done.stderr)

    def neighbour(self, address):
        """What the kernel's neighbour table says: (Ethernet address, state)."""
        shown = self.kernel.run('ip', 'neighbour', 'show', 'to', address, 'dev', 'eth0').stdout
        found = re.search(r'lladdr (\S+) (?:router )?(\S+)', shown)
        return found.groups() if found else (None, shown)

    @staticmethod
    def interface(namespace, name):
        """What the kernel says of an interface."""
        return json.loads(namespace.run('ip', '-json', '-statistics', 'link', 'show', 'dev', name).stdout)[0]

    def mac(self):
        return self.interface(self.plane_side, 'p1')['address']

    def received(self):
        return self.interface(self.kernel, 'eth0')['stats64']['rx']['packets']

    def state(self, link):
        """The data plane's view of a link's next hop."""
        return STATES[self.plane.counter(f'link.sae-b-{link}.neighbour')]

    def drops(self):
        counters = self.plane.ask('counters', '--prefix', 'drop.')['counters']
        return {each['name'][5:]: each['value'] for each in counters if each['value']}

    def test_answers(self):
        """ping over IPv4 and IPv6, small, odd and as long as the MTU; the kernel knows us by ARP and ND"""
        self.start()
        # It knows us from our announcements; let it ask.
        self.kernel.run('ip', 'neighbour', 'flush', 'dev', 'eth0')
        sent = 0
        for size in (0, 1, 56, 57, 1472):
            sent += self.ping('10.0.1.1', '-s', size, '-M', 'do')
        for size in (0, 1, 56, 57, 1452):
            sent += self.ping('fd00:1::1', '-s', size, '-M', 'do')
        for address in ('10.0.1.1', 'fd00:1::1'):
            mac, state = self.neighbour(address)
            self.assertEqual(mac, self.mac())
            self.assertIn(state, ('REACHABLE', 'DELAY', 'STALE', 'PROBE'))
        wait_for(lambda: self.plane.counter('host.echo_replies') == sent, 'all answers to be counted')
        self.assertGreaterEqual(self.plane.counter('host.arp_replies'), 1)
        self.assertGreaterEqual(self.plane.counter('host.neighbour_advertisements'), 1)
        self.assertEqual(self.plane.stop(), 0)

    def test_link_local(self):
        """the kernel reaches our link-local address, which follows from our Ethernet address"""
        self.start()
        mac = bytes.fromhex(self.mac().replace(':', ''))
        identifier = bytes([mac[0] ^ 2]) + mac[1:3] + b'\xff\xfe' + mac[3:]
        mine = 'fe80::' + identifier.hex(':', 2)
        self.ping(mine + '%eth0')

    def test_jumbo(self):
        """ping of 8972 bytes over IPv4, 8952 over IPv6"""
        self.start(mtu=9000)
        self.ping('10.0.1.1', '-s', '8972', '-M', 'do')
        self.ping('fd00:1::1', '-s', '8952', '-M', 'do')

    def test_fragments(self):
        """what the kernel sends in pieces is dropped, and shown at the link that it came over"""
        self.start()
        self.ping('10.0.1.1')
        for address in ('10.0.1.1', 'fd00:1::1'):
            self.nobody_answers(address, '-s', '4000', '-M', 'dont', count=2)
        drops = self.drops()
        self.assertEqual(drops.get('ip6_fragment'), 6, drops)
        # The packet socket under net_af_packet puts those of IPv4 together.
        seen = (drops.get('ip4_fragment', 0), drops.get('frame_exceeds_mtu', 0))
        self.assertIn(seen, [(0, 2), (6, 0)], drops)
        wait_for(lambda: self.plane.counter('link.sae-b-2.fragments') == 6, 'the link to show fragments')

    def test_asks_for_its_next_hops(self):
        """the data plane finds the kernel by ARP and ND, keeps it, and says when a gateway does not answer"""
        self.start()
        wait_for(lambda: self.state(1) == 'reachable' and self.state(2) == 'reachable', 'both next hops')
        wait_for(lambda: self.state(3) == 'failed', 'the gateway to be given up')
        self.kernel.address('eth0', '10.0.1.254/24')
        wait_for(lambda: self.state(3) == 'reachable', 'the gateway to be found')

    def test_announces_itself(self):
        """gratuitous ARP and unsolicited advertisements reach the kernel, which corrects what it believed"""
        self.start(peers='')
        for address in ('10.0.1.1', 'fd00:1::1'):
            self.ping(address)
        self.assertEqual(self.plane.stop(), 0)
        for address in ('10.0.1.1', 'fd00:1::1'):
            self.kernel.run('ip', 'neighbour', 'replace', address, 'lladdr', '02:00:00:00:00:99', 'nud',
                            'stale', 'dev', 'eth0')
        self.plane.start()
        for address in ('10.0.1.1', 'fd00:1::1'):
            wait_for(lambda at=address: self.neighbour(at)[0] == self.mac(), f'the kernel to know {address}')

    def test_silence(self):
        """UDP to unknown ports, TCP and unknown protocols: no reply of any kind, one counter each"""
        self.start(peers='')
        sent = self.ping('10.0.1.1') + self.ping('fd00:1::1')
        received = self.received()
        script = '''
import errno, socket, sys
for family, address in ((socket.AF_INET, '10.0.1.1'), (socket.AF_INET6, 'fd00:1::1')):
    udp = socket.socket(family, socket.SOCK_DGRAM)
    udp.connect((address, 4444))
    for _ in range(5):
        udp.send(b'x' * 100)
    tcp = socket.socket(family, socket.SOCK_STREAM)
    tcp.setblocking(False)
    assert tcp.connect_ex((address, 80)) == errno.EINPROGRESS
    raw = socket.socket(family, socket.SOCK_RAW, 253)
    raw.sendto(b'y' * 100, (address, 0))
    udp.settimeout(0.3)
    try:
        udp.recv(1)
        sys.exit('an answer')
    except TimeoutError:
        pass
'''
        self.kernel.run('/usr/bin/python3', '-c', script)
        wait_for(lambda: self.drops().get('udp_port_unknown') == 10, 'ten datagrams')
        self.assertGreaterEqual(self.drops()['ip4_protocol_unknown'], 2)
        self.assertGreaterEqual(self.drops()['ip6_protocol_unknown'], 2)
        wait_for(lambda: self.plane.counter('host.announcements') == 9, 'the last announcement')
        # Only announcements, and answers to the kernel's probes for neighbours, may have come.
        more = self.received() - received
        said = sum(self.plane.counter('host.' + name) for name in ('announcements', 'arp_replies',
                                                                  'neighbour_advertisements'))
        self.assertLessEqual(more, said)
        wait_for(lambda: self.plane.counter('host.echo_replies') == sent, 'all answers to be counted')

    def test_mtu_mismatch(self):
        """a port with a smaller MTU than its neighbour drops what is too long, and says why"""
        self.start(mtu=3000, port_mtu=1500)
        self.ping('10.0.1.1', '-s', '1472')
        self.nobody_answers('10.0.1.1', '-s', '1473', '-M', 'do', count=3)
        said = self.drops()
        reasons = ('frame_exceeds_mtu', 'port_rx_too_long')
        self.assertEqual(sum(said.get(name, 0) for name in reasons), 3, said)

    def test_swap(self):
        """another address, without a restart: the old one is dead, what is known of neighbours stays"""
        self.start()
        wait_for(lambda: self.state(1) == 'reachable', 'the next hop')
        asked = self.plane.counter('host.solicitations')
        body = (HOST + LINKS).format(mtu=1500).replace('10.0.1.1', '10.0.1.7')
        self.configure(body)
        self.plane.process.send_signal(signal.SIGHUP)
        self.ping('10.0.1.7')
        self.nobody_answers('10.0.1.1', count=1)
        self.assertEqual(self.state(1), 'reachable')
        self.assertLessEqual(self.plane.counter('host.solicitations'), asked + 3)
        self.assertEqual(self.plane.stop(), 0)

    def test_ping_flood(self):
        """more pings than may be answered: some are, none hurts"""
        self.start()
        self.kernel.run('ping', '-n', '-f', '-c', '20000', '-W', '1', '10.0.1.1', check=False)
        self.ping('10.0.1.1')
        self.assertGreater(self.plane.counter('host.echo_replies'), 1000)


if __name__ == '__main__':
    main()
