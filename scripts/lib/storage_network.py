# SPDX-License-Identifier: BSD-3-Clause
"""A storage network with everything around it, in network namespaces that go away by themselves.

                  owner   sae-s (SSA)   sae-h1 ... sae-h7 (shareholders, of which n are used by an object)
    data bridge  ---+---------+------------+---------+--------
    control      ---+---------+------------+---------+-------- controller        keys: ssn-kme, for all nodes

    with tempfile.TemporaryDirectory() as folder, StorageNetwork(folder, Programs.built(build)) as network:
        network.start()
        network.put('file', 'name')
        network.holders[0].kill()
        network.get('name', 'copy')

The data planes drive veth interfaces of a bridge, with packet sockets or, as device='net_af_packet0', with
DPDK's driver for them; the owner is a kernel of its own. With links='vhost-user'
the SSA shares memory with each shareholder instead: it has a port for each, beside the one at the bridge for
owners; shareholders have the bridge for each other. Each process has its configuration as a tree in
`configuration`, which may be changed before start(). Needs root.

The labels say what the network stands for: a site with a key manager of its own (kme-h1, ...) for each
node, and no relay. ssn-kme plays all these key managers, EMULATED: keys of different links come from
different secrets, each is delivered once, and no site is given those of another; but one process
knows them all, as one machine knows all of this network. `labels=False`: nobody says anything, which is
the default of the programs.
"""
import datetime
import json
import os
import subprocess

from network import Network, stop
from processes import READY_SECONDS, DataPlane, KeyManagers, cpus, last_lines, remove, toml, wait_for

AGENT_PORT, CONTROLLER_PORT = 7000, 7100
SSA, CONTROLLER, OWNER = 1, 200, 201  # last byte of addresses; holders from 11 on
LINKS = ('veth', 'vhost-user')
VIRTIO_QUEUE = 'queue_size=512,packed_vq=1,in_order=1,mrg_rxbuf=1'


def data_address(number):
    return f'10.1.0.{number}'


def control_address(number):
    return f'10.255.0.{number}'


class Node(DataPlane):
    """A data plane with a port at the data bridge, and perhaps others."""

    def __init__(self, network, site, number, cpu):
        super().__init__(network.programs, network.folder, network.namespace(site), f'sae-{site}', cpu)
        self.number, self.site, self.key_manager = number, f'site-{site}', f'kme-{site}'
        self.store_folder = os.path.join(network.folder, f'{self.name}.store')
        network.join(self.namespace, number)
        network.quiet(self.namespace, 'data')
        self.agent = f'{control_address(number)}:{AGENT_PORT}'
        self.join_keys(network.keys, site, self.agent)
        self.mtu = network.mtu
        self.configuration['port'] = []
        self.add_port('data', network.device, data_address(number))
        self.ways = {}  # peer's name -> port, local, remote
        self.configuration['controller'] = {'address': f'{control_address(CONTROLLER)}:{CONTROLLER_PORT}'}
        self.configuration['peer'] = []

    def add_port(self, name, device, address):
        self.configuration['port'].append(
            {'name': name, 'device': device, 'mtu': self.mtu, 'addresses': [f'{address}/24']})

    def add_peer(self, other, role, key_path=None):
        """Says how another node is reached: over the data bridge unless `ways` says else; what it is, and
        what pads with it cross if that is known."""
        port, local, remote = self.ways.get(
            other.name, ('data', data_address(self.number), data_address(other.number)))
        self.configuration['peer'].append({
            'name': other.name, 'agent': other.agent, 'role': role,
            **({} if key_path is None else {'key_path': key_path}),
            'link': [{'port': port, 'local': local, 'remote': remote}]})


class Controller:
    """ssn-controller."""

    def __init__(self, network):
        self.programs, self.namespace = network.programs, network.namespace('controller')
        network.join(self.namespace, CONTROLLER)
        self.folder, self.process = network.folder, None
        self.environment = {}  # what it gets beside ours
        self.file, self.log, self.ready = (
            os.path.join(network.folder, f'controller.{end}') for end in ('toml', 'log', 'ready'))
        self.network_file = os.path.join(network.folder, 'network.toml')
        keys = network.keys
        # The table controller is the process's own; all others are version 1 of the network's configuration.
        self.configuration = {
            'controller': {'name': 'controller', 'listen': f'{control_address(CONTROLLER)}:{CONTROLLER_PORT}',
                           'certificate': keys.path('controller.crt'), 'key': keys.path('controller.key'),
                           'ca': keys.path('ca.crt'), 'database': 'controller.db',
                           'initial_configuration': 'network.toml'},
            'policy': {'scheme': 'shamir', 'k': network.k, 'n': network.n, 'cell': f'{network.cell} B'}}

    def say_labels(self, nodes):
        """Where nodes are, as their operator would."""
        self.configuration['node'] = [
            {'name': node.name, 'site': node.site, 'key_manager': node.key_manager} for node in nodes]
        self.configuration['key_manager'] = [
            {'name': node.key_manager, 'delivers_once': True} for node in nodes]

    def repair_after(self, time):
        """By itself, onto others; nodes report often enough for people to see that soon."""
        self.configuration['policy']['report'] = '500 ms'
        self.configuration['reshare'] = {'after': time}

    def start(self, wait=True):
        own = {'controller': self.configuration['controller']}
        rest = {name: table for name, table in self.configuration.items() if name != 'controller'}
        for path, tree in ((self.file, own), (self.network_file, rest)):
            with open(path, 'w', encoding='utf-8') as file:
                file.write('\n'.join([*toml(tree), '']))
        remove(self.ready)  # one that was killed left it there
        with open(self.log, 'ab') as output:
            self.process = self.namespace.start(self.programs.controller, '--config', self.file,
                                                '--ready-file', self.ready, stdout=output, stderr=output,
                                                env=dict(os.environ, **self.environment))
        if wait:
            self.wait_ready()

    def wait_ready(self):
        def is_ready():
            if self.process.poll() is not None:
                raise RuntimeError(f'ssn-controller ended with {self.process.returncode}: '
                                   f'{last_lines(self.log)}')
            return os.path.exists(self.ready)
        wait_for(is_ready, 'ssn-controller to be ready')

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        return stop(self.process, 30)


class StorageNetwork(Network):
    """Everything of the picture above."""

    def __init__(self, folder, programs, k=3, n=5, cell=1344, mtu=1500, store='rocksdb', links='veth',
                 labels=True, device='packet_socket', standbys=None, repair_after=None, membership=False):
        """`membership`: operators signed one, and data planes have it pinned. `standbys`: so many more
        shareholders than shares; all of them make shares anew with each other. `repair_after`: the controller
        has that done by itself for a shareholder that is down for so long; the additional ones are on standby
        then."""
        super().__init__()
        self.mesh, self.repairs = standbys is not None, repair_after is not None
        # Only packet sockets of ours take several datagrams as one frame.
        self.offloads = device == 'packet_socket'
        self.device = f'{device},iface=data'
        self.folder, self.programs, self.k, self.n, self.cell, self.mtu = folder, programs, k, n, cell, mtu
        assert links in LINKS, links
        self.links = links
        self.ports = {}  # of the bridges: (bridge, name of the namespace) -> interface in `bridges`
        try:
            self.bridges = self.namespace('bridges')
            for name in ('data', 'control'):
                self.bridges.run('ip', 'link', 'add', 'name', name, 'mtu', mtu, 'type', 'bridge', 'stp_state',
                                 '0', 'forward_delay', '0')
                self.bridges.run('ip', 'link', 'set', 'dev', name, 'up')
            numbers = range(1, n + (standbys or 0) + 1)
            sites = ['s', *(f'h{i}' for i in numbers)]
            self.keys = KeyManagers(programs, os.path.join(folder, 'keys'), self.namespace('keys'), sites)
            self.controller = Controller(self)
            if repair_after:
                self.controller.repair_after(repair_after)
            self.ssa = Node(self, 's', SSA, cpus()[0])
            self.holders = [Node(self, f'h{i}', 10 + i, cpus()[i % len(cpus())]) for i in numbers]
            self.owner = self.namespace('owner')
            self.join(self.owner, OWNER)
            self.owner.address('data', f'{data_address(OWNER)}/24')
            if links == 'vhost-user':
                self._share_memory()
            self._give_roles(store, labels)
            if membership:
                self._sign_membership()
            self.owner_file, self.operator_file = (self._write_user(each) for each in ('owner', 'operator'))
        except BaseException:
            self.close()
            raise

    def join(self, namespace, number):
        """Links a namespace to both bridges; the control side is the kernel's."""
        for bridge in ('data', 'control'):
            port = self.ports[bridge, namespace.name] = f'{bridge[0]}-{namespace.name}'
            self.link(namespace, bridge, self.bridges, port, self.mtu,
                      offloads=self.offloads and bridge == 'data')
            self.bridges.run('ip', 'link', 'set', 'dev', port, 'master', bridge)
        namespace.address('control', f'{control_address(number)}/24')

    def _share_memory(self):
        """The SSA listens, so that a shareholder that was killed finds it again; it copies the packets."""
        # For the queues of all its ports; packets of a large MTU are large.
        self.ssa.configuration['eal']['memory'] = f'{128 if self.mtu < 2048 else 320} MiB'
        for number, holder in enumerate(self.holders, 1):
            path = os.path.join(self.folder, f'link{number}.sock')
            ours, theirs = (f'10.2.{number}.{each}' for each in (1, 2))
            self.ssa.add_port(f'link{number}', f'net_vhost{number},iface={path}', ours)
            self.ssa.ways[holder.name] = f'link{number}', ours, theirs
            holder.add_port('ssa', f'net_virtio_user0,path={path},{VIRTIO_QUEUE}', theirs)
            holder.ways[self.ssa.name] = 'ssa', theirs, ours

    def _give_roles(self, store, labels):
        self.ssa.configuration['ssa'] = {'port': 'data'}
        if labels:
            self.controller.say_labels(self.nodes)
            self.ssa.configuration['controller']['key_manager'] = self.ssa.key_manager
        for holder in self.holders:
            holder.configuration['shareholder'] = {'store': store}
            if store == 'memory':
                holder.configuration['shareholder']['capacity'] = '4 GiB'
            else:
                holder.configuration['shareholder']['directory'] = holder.store_folder
            self.ssa.add_peer(holder, 'shareholder', [holder.key_manager] if labels else None)
            holder.add_peer(self.ssa, 'ssa')
        if self.mesh:
            self._join_holders(labels)

    def _sign_membership(self):
        """Two of three operators, with an authority of their own, sign who belongs to the network and what
        the policy must not go below."""
        folder = os.path.join(self.folder, 'membership')
        os.mkdir(folder)
        document, signers = (os.path.join(folder, name) for name in ('membership.toml', 'signers.crt'))

        def ssn(*arguments):
            return subprocess.run([self.programs.ssn, *arguments], cwd=folder, check=True, text=True,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE).stdout
        now = datetime.datetime.now(datetime.timezone.utc)
        start, end = (f'{now + datetime.timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}' for days in (-1, 365))
        text = '\n'.join([*toml({
            'schema': 'ssn.membership/1', 'network': 'demo', 'serial': 1, 'from': start, 'until': end,
            'floor': {'minimum_t': self.k - 1, 'minimum_domains': self.n,
                      'protection': 'information-theoretic', 'schemes': ['shamir'],
                      'resharing': ['exchange', 'repair', 'refresh', 'redistribute']}}), ''])
        for node in self.nodes:
            role = 'ssa' if node is self.ssa else 'shareholder'
            text += ssn('membership', 'node', self.keys.path(f'{node.name}.crt'), '--role', role,
                        '--domain', node.site)
        with open(document, 'w', encoding='utf-8') as file:
            file.write(text)
        ssn('pki', 'init', '-q')
        with open(signers, 'w', encoding='utf-8') as file:
            for signer in ('dave', 'erin', 'frank'):
                ssn('pki', 'issue', signer, '--role', 'signer', '-q')
                with open(os.path.join(folder, f'{signer}.crt'), encoding='utf-8') as certificate:
                    file.write(certificate.read())
        for signer in ('dave', 'erin'):
            ssn('membership', 'sign', document, '-q', '--certificate', f'{signer}.crt', '--key',
                f'{signer}.key')
        for node in self.nodes:
            node.configuration['membership'] = {'document': document, 'signers': signers, 'threshold': 2}

    def _join_holders(self, labels):
        """Each with each, for making shares anew, which needs a threshold of as many as the policy's."""
        for holder in self.holders:
            holder.configuration['shareholder']['minimum_t'] = self.k - 1
            for other in self.holders:
                if other is not holder:
                    holder.add_peer(other, 'shareholder', [other.key_manager] if labels else None)
        for node in self.nodes:
            # Keys for many peers: less of each lies ready.
            node.configuration['keys'] = {'pad_ring': '4 MiB', 'random_ring': '1 MiB'}

    def _write_user(self, role):
        """The configuration of somebody who uses `ssn`."""
        path = os.path.join(self.folder, f'{role}.toml')
        tree = {'controller': {'address': f'{control_address(CONTROLLER)}:{CONTROLLER_PORT}'},
                'owner': {each: self.keys.path(f'{name}') for each, name in (
                    ('certificate', f'{role}.crt'), ('key', f'{role}.key'), ('ca', 'ca.crt'))}}
        with open(path, 'w', encoding='utf-8') as file:
            file.write('\n'.join([*toml(tree), '']))
        return path

    @property
    def nodes(self):
        return [self.ssa, *self.holders]

    def start(self):
        """Starts everything; returns when objects can be written."""
        self.keys.start()
        self.controller.start()
        for node in self.nodes:
            # Who connects over shared memory must find who listens.
            node.start(wait=self.links == 'vhost-user' and node is self.ssa)
        for node in self.nodes:
            node.wait_ready()
        self.wait_for_connections(self.ssa.configuration['peer'])
        for holder in self.holders if self.mesh else ():
            self.wait_for_connections(holder.configuration['peer'], node=holder)
        for holder in self.holders[self.n:] if self.repairs else ():
            self.owner.run(self.programs.ssn, 'node', 'set', holder.name, 'standby', '--config',
                           self.operator_file)

    def wait_for_connections(self, peers, seconds=READY_SECONDS, node=None):
        """Until the SSA, or another node, has keys with all these peers."""
        names, node = {peer['name'] for peer in peers}, node or self.ssa

        def joined():
            node.check()
            items = node.status()['items']
            return names <= {item['name'] for item in items if item['kind'] == 'peer' and item['healthy']}
        wait_for(joined, lambda: f'{node.name} and its peers to associate; it said:\n'
                 + last_lines(node.log), seconds)

    def ssn(self, *arguments, check=True, **options):
        """The owner's command; as subprocess.run."""
        done = self.owner.run(self.programs.ssn, *arguments, '--config', self.owner_file, check=False,
                              **{'timeout': 600, **options})
        if check and done.returncode != 0:
            raise RuntimeError(f'ssn {" ".join(map(str, arguments))} ended with {done.returncode}: '
                               f'{done.stderr or ""}{done.stdout or ""}')
        return done

    def put(self, file, name, *arguments):
        return json.loads(self.ssn('put', file, name, '--json', *arguments).stdout)

    def get(self, name, file, *arguments):
        return json.loads(self.ssn('get', name, file, '--json', *arguments).stdout)

    def stat(self, name):
        """Also of an object that is degraded."""
        return json.loads(self.ssn('stat', name, '--json', check=False).stdout)


def network_to_show(folder, programs):
    """What `scripts/quickstart` shows and `ssn demo` runs: two shareholders more than shares, and a
    controller that has lost shares made again on them. What it may ask for is in a membership that operators
    signed."""
    return StorageNetwork(folder, programs, standbys=2, repair_after='5 s', membership=True)
