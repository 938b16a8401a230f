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
import json
import os
import signal
import subprocess
import time
import typing

from network import Network, stop

CONTROL = {'a': '10.255.0.1', 'b': '10.255.0.2'}
AGENT_PORT = 7000
OWNER = {'a': 1, 'b': 2}  # last byte of its addresses
READY_SECONDS = 60
VIRTIO_QUEUE = 'queue_size=512,packed_vq=1,in_order=1,mrg_rxbuf=1'


class Programs(typing.NamedTuple):
    """Where the programs are."""
    ssn: str
    kme: str
    dataplane: str

    @classmethod
    def built(cls, build):
        """Those of a build directory."""
        return cls(*(os.path.join(build, *each) for each in (
            ('control', 'cli', 'ssn'), ('control', 'kme', 'ssn-kme'), ('dataplane', 'ssn-dataplane'))))


def toml(tree, path=()):
    """A tree of dictionaries, lists and values as lines of TOML."""
    def is_table(value):
        return isinstance(value, dict) or isinstance(value, list) and value and isinstance(value[0], dict)
    lines = [f'{key} = {json.dumps(value)}' for key, value in tree.items() if not is_table(value)]
    for key, value in tree.items():
        name = '.'.join((*path, key))
        if isinstance(value, dict):
            lines += [f'[{name}]', *toml(value, (*path, key))]
        elif is_table(value):
            for each in value:
                lines += [f'[[{name}]]', *toml(each, (*path, key))]
    return lines


def last_lines(path, count=15):
    with open(path, encoding='utf-8', errors='replace') as file:
        return ''.join(file.readlines()[-count:])


def wait_for(condition, what, seconds=READY_SECONDS):
    """Calls until it gives something; an exception says what was waited for: a text, or what gives it."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f'waited {seconds} s in vain for {what() if callable(what) else what}')
        time.sleep(0.02)


def cpus():
    """What this process may run on."""
    return sorted(os.sched_getaffinity(0))


class KeyManagers:
    """An ssn-kme for both sites, in a namespace and a folder of its own."""

    def __init__(self, programs, folder, namespace):
        self.programs, self.folder, self.namespace = programs, folder, namespace
        self.process = None
        subprocess.run([programs.ssn, 'kme', 'init', '-q', '--out', folder, '--sites', 'a,b', '--port', '0'],
                       check=True, stdin=subprocess.DEVNULL)

    def path(self, name):
        return os.path.join(self.folder, name)

    def start(self):
        ready, log = self.path('ready.json'), self.path('kme.log')
        with open(log, 'ab') as output:
            self.process = self.namespace.start(self.programs.kme, '--config', self.path('kme.toml'),
                                                '--ready-file', ready, stderr=output, stdout=output)

        def is_ready():
            if self.process.poll() is not None:
                raise RuntimeError(f'ssn-kme ended with {self.process.returncode}: {last_lines(log)}')
            return os.path.exists(ready)
        wait_for(is_ready, 'ssn-kme to be ready')

    def stop(self):
        stop(self.process)

    def command(self, *arguments):
        """ssn kme ...; what it said."""
        return subprocess.run([self.programs.ssn, 'kme', *map(str, arguments), '--socket',
                               self.path('control.sock')], check=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, text=True, timeout=60).stdout


class Node:
    """One data plane: its configuration, its process, and what its agent says."""

    def __init__(self, network, side, cpu):
        other = 'b' if side == 'a' else 'a'
        self.programs, self.side, self.name = network.programs, side, f'sae-{side}'
        self.namespace = network.namespace(f'node-{side}')
        self.file = os.path.join(network.folder, f'{self.name}.toml')
        self.log = os.path.join(network.folder, f'{self.name}.log')
        # DPDK's run-time files go here, so that nothing is left where even the process is killed.
        self.runtime = os.path.join(network.folder, f'run-{side}')
        os.mkdir(self.runtime)
        self.process, self.is_ready = None, False
        keys = network.keys
        self.configuration = {
            'node': {'name': self.name, 'ledger': f'{self.name}.ledger'},
            'eal': {'memory': '128 MiB', 'file_prefix': f'ssn-{os.getpid()}-{side}'},
            'workers': {'cores': str(cpu)},
            'offload': {'driver': 'cpu', 'deadline': '1 ms'},
            'agent': {'listen': f'{CONTROL[side]}:{AGENT_PORT}', 'socket': f'{self.name}.agent.sock',
                      'certificate': keys.path(f'{self.name}.crt'), 'key': keys.path(f'{self.name}.key'),
                      'ca': keys.path('ca.crt'), 'operators': ['operator']},
            'port': [{'name': 'client', 'device': 'net_af_packet0,iface=client'}],
            'key_device': [{'driver': 'kmnic', 'settings': {'socket': keys.path(f'kmnic-{side}.sock')}}],
            'peer': [{'name': f'sae-{other}', 'agent': f'{CONTROL[other]}:{AGENT_PORT}', 'link': []}],
            'stream': [{'id': 1, 'port': 'client', 'peer': f'sae-{other}', 'scheme': 'systematic',
                        'k': min(3, network.links - 1), 'n': network.links, 'cell': 1344,
                        'random': 'stream', 'reorder': '5 ms'}],
        }
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

    def write(self):
        with open(self.file, 'w', encoding='utf-8') as file:
            file.write('\n'.join([*toml(self.configuration), '']))

    def start(self, *arguments, wait=True):
        """Starts the process with the configuration as it is now."""
        self.write()
        self.is_ready = False
        with open(self.log, 'ab') as output:
            self.process = self.namespace.start(self.programs.dataplane, '--config', self.file, *arguments,
                                                stdout=output, stderr=output,
                                                env=dict(os.environ, RUNTIME_DIRECTORY=self.runtime))
        if wait:
            self.wait_ready()

    def check(self):
        """That the process lives."""
        if self.process.poll() is not None:
            raise RuntimeError(f'ssn-dataplane of {self.name} ended with {self.process.returncode}: '
                               f'{last_lines(self.log)}')

    def wait_ready(self):
        """Until its agent answers."""
        def answers():
            self.check()
            return self._ask('status').returncode == 0
        wait_for(answers, lambda: f'ssn-dataplane of {self.name}; it said: {last_lines(self.log)}')
        self.is_ready = True

    def kill(self):
        """As a crash would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        """As an operator would. The exit code."""
        return stop(self.process, 30)

    def _ask(self, *arguments):
        return subprocess.run([self.programs.ssn, 'dataplane', *map(str, arguments), '--config', self.file],
                              check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=60)

    def ask(self, *arguments):
        """ssn dataplane ...; what it said."""
        done = self._ask(*arguments)
        if done.returncode != 0:
            self.check()
            raise RuntimeError(f'ssn dataplane {" ".join(map(str, arguments))} for {self.name} ended with '
                               f'{done.returncode}: {done.stderr}')
        return done.stdout

    def counters(self, prefix=''):
        """Name: value."""
        said = json.loads(self.ask('counters', '--json', *(['--prefix', prefix] if prefix else [])))
        return {each['name']: each['value'] for each in said['counters']}

    def status(self):
        return json.loads(self.ask('status', '--json'))

    def graph(self):
        return json.loads(self.ask('graph', '--json'))['graphs']

    def resident_kib(self):
        """Memory that the process has in use."""
        with open(f'/proc/{self.process.pid}/status', encoding='ascii') as file:
            return next(int(line.split()[1]) for line in file if line.startswith('VmRSS:'))


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
