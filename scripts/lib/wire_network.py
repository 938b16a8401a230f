# SPDX-License-Identifier: BSD-3-Clause
"""Two data planes in wire mode with everything around them, in network namespaces that go away by themselves.

    owner-a --- node-a === links === node-b --- owner-b        keys: ssn-kme, for both nodes
                   \\__ control link __/

    with tempfile.TemporaryDirectory() as folder, WireNetwork(folder, Programs.built(build)) as network:
        network.start()
        network.wait_for_traffic()
        network.owners['a'].run('ping', '-c', '1', network.address('b'))

Owners are kernels of their own; frames of their interface eth0 cross the links as shares. Each node has its
configuration as a tree in `configuration`, which may be changed before start(). Links are veth pairs, or with
vhost=True memory that the two processes share. Needs root.
"""
import os

from network import Network
from processes import READY_SECONDS, DataPlane, KeyManagers, cpus, last_lines, wait_for

CONTROL = {'a': '10.255.0.1', 'b': '10.255.0.2'}
AGENT_PORT = 7000
OWNER = {'a': 1, 'b': 2}  # last byte of its addresses
VIRTIO_QUEUE = 'queue_size=512,packed_vq=1,in_order=1,mrg_rxbuf=1'


class Node(DataPlane):
    """One of the two data planes."""

    def __init__(self, network, side, cpu):
        other = 'b' if side == 'a' else 'a'
        super().__init__(network.programs, network.folder, network.namespace(f'node-{side}'), f'sae-{side}',
                         cpu)
        self.side = side
        self.join_keys(network.keys, side, f'{CONTROL[side]}:{AGENT_PORT}')
        self.configuration.update({
            'offload': {'driver': 'cpu', 'deadline': '1 ms'},
            'port': [{'name': 'client', 'device': 'net_af_packet0,iface=client'}],
            'peer': [{'name': f'sae-{other}', 'agent': f'{CONTROL[other]}:{AGENT_PORT}', 'link': []}],
            'stream': [{'id': 1, 'port': 'client', 'peer': f'sae-{other}', 'scheme': 'systematic',
                        'k': min(3, network.links - 1), 'n': network.links, 'cell': 1344,
                        'random': 'stream', 'reorder': '5 ms'}],
        })
        for link in range(1, network.links + 1):
            local, remote = network.link_addresses(link, side)
            length = 64 if ':' in local else 24
            self.configuration['port'].append(
                {'name': f'link{link}', 'device': network.link_device(link, side),
                 'addresses': [f'{local}/{length}']})
            self.configuration['peer'][0]['link'].append(
                {'port': f'link{link}', 'local': local, 'remote': remote})

    @property
    def stream(self):
        return self.configuration['stream'][0]


class WireNetwork(Network):
    """Everything of the picture above. With `relayed` each link passes a namespace where relay.py may carry,
    or not carry, its frames: interfaces a1, a2, ... towards node a, b1, b2, ... towards node b. With `vhost`
    node b listens on a socket for each link, and node a connects to it (vhost-user)."""

    def __init__(self, folder, programs, links=5, relayed=False, link_mtu=1500, vhost=False):
        super().__init__()
        self.folder, self.programs, self.links, self.vhost = folder, programs, links, vhost
        try:
            self.keys = KeyManagers(programs, os.path.join(folder, 'keys'), self.namespace('keys'))
            self.owners = {side: self.namespace(f'owner-{side}') for side in 'ab'}
            self.nodes = {side: Node(self, side, cpu) for side, cpu in zip('ab', (cpus()[0], cpus()[-1]))}
            self.relay = self.namespace('relay') if relayed else None
            self._join(link_mtu)
        except BaseException:
            self.close()
            raise

    @staticmethod
    def link_addresses(link, side):
        """Ours and the peer's: the last two of five links run over IPv6."""
        pattern = f'10.1.{link}.%d' if link <= 3 else f'fd00:1:{link}::%d'
        local, remote = (1, 2) if side == 'a' else (2, 1)
        return pattern % local, pattern % remote

    @staticmethod
    def address(side, family=4):
        """Of an owner."""
        return f'10.9.0.{OWNER[side]}' if family == 4 else f'fd00:9::{OWNER[side]}'

    def vhost_device(self, number, name, listens):
        """A port of DPDK that shares memory with the process at the other end of the socket `name`: net_vhost
        listens, net_virtio_user connects when it is opened."""
        path = os.path.join(self.folder, f'{name}.sock')
        return f'net_vhost{number},iface={path}' if listens else \
            f'net_virtio_user{number},path={path},{VIRTIO_QUEUE}'

    def link_device(self, link, side):
        """What DPDK is told to open at one end of a link."""
        if self.vhost:
            return self.vhost_device(link, f'link{link}', side == 'b')
        return f'net_af_packet{link},iface=l{link}'

    def _join(self, link_mtu):
        a, b = (self.nodes[side].namespace for side in 'ab')
        for side, node in (('a', a), ('b', b)):
            owner = self.owners[side]
            self.link(owner, 'eth0', node, 'client')
            self.quiet(node, 'client')
            owner.address('eth0', f'{self.address(side)}/24', f'{self.address(side, 6)}/64')
            owner.run('sh', '-c', 'echo 100 >/proc/sys/net/ipv4/neigh/eth0/retrans_time_ms; '
                                  'echo 100 >/proc/sys/net/ipv6/neigh/eth0/retrans_time_ms')
        for link in range(1, 1 if self.vhost else self.links + 1):
            if self.relay is None:
                self.link(a, f'l{link}', b, f'l{link}', link_mtu)
            else:
                for side, node in (('a', a), ('b', b)):
                    self.link(node, f'l{link}', self.relay, f'{side}{link}', link_mtu)
                    self.quiet(self.relay, f'{side}{link}')
            for node in (a, b):
                self.quiet(node, f'l{link}')
        self.link(a, 'control', b, 'control')
        for side, node in (('a', a), ('b', b)):
            node.address('control', f'{CONTROL[side]}/30')

    def start(self, *arguments):
        """Starts key managers and data planes."""
        self.keys.start()
        self.start_nodes(*arguments)

    def start_nodes(self, *arguments):
        """Starts the data planes; that which listens before that which connects."""
        for node in reversed(self.nodes.values()):
            node.start(*arguments, wait=self.vhost)
        for node in self.nodes.values():
            node.wait_ready()

    def pings(self, family=4):
        """Whether owner a reaches owner b now."""
        return self.owners['a'].run('ping', '-c', '1', '-W', '1', self.address('b', family),
                                    check=False).returncode == 0

    def wait_for_traffic(self, seconds=READY_SECONDS):
        """Until the owners reach each other."""
        def reaches():
            for node in self.nodes.values():
                node.check()
            return self.pings()
        wait_for(reaches, lambda: 'traffic between the owners; the nodes said:\n' + ''.join(
            last_lines(node.log) for node in self.nodes.values()), seconds)
