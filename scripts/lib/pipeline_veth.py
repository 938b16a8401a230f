# SPDX-License-Identifier: BSD-3-Clause
"""Wire mode over veth links beside plain forwarding over the same links: a part of scripts/bench pipeline.

    owner a -- node a ===== links ===== node b -- owner b        one TCP stream (iperf3), and ping

What forwards, in turns: the kernel (a bridge at both nodes), testpmd (io, a core each), ssn-dataplane as a
plain bridge, and ssn-dataplane in wire mode. Plain forwarding uses the first of the links and puts one packet
on it where wire mode puts n.
"""
import json
import os
import re
import shutil
import statistics
import subprocess
import tempfile

import network as namespaces
from bench_common import BenchmarkError, print_table
from pipeline_vhost import REORDER, processor_seconds
from network import stop
from processes import Programs, cpus, last_lines, wait_for
from wire_network import WireNetwork

SUITE = 'veth'
LINKS = 5
PORT = 5201
PINGS = 200
FORWARDERS = ('kernel bridge', 'testpmd io', 'ssn-dataplane bridge', 'wire (3,5) memory', 'wire (3,5) kmnic')
QUICK = FORWARDERS[:4]


def missing():
    """Why it cannot be measured here; None where it can."""
    for tool, package in (('iperf3', 'iperf3'), ('dpdk-testpmd', 'dpdk')):
        if not shutil.which(tool):
            return f'{tool} is not installed (Debian package {package}: scripts/bootstrap)'
    return None


class Forwarding:
    """Something between the owners; what it is made of is gone when it ends."""

    def __init__(self, network, name):
        self.network, self.name = network, name
        self.processes, self.undo = [], []

    def __enter__(self):
        try:
            if self.name == 'kernel bridge':
                self.bridge()
            elif self.name == 'testpmd io':
                self.testpmd()
            else:
                self.dataplane()
            self.network.wait_for_owners()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in self.processes:
            stop(process, 30)
        self.processes.clear()
        while self.undo:
            namespace, arguments = self.undo.pop()
            namespace.run(*arguments)

    def bridge(self):
        for node in self.network.nodes.values():
            namespace = node.namespace
            namespace.run('ip', 'link', 'add', 'name', 'bridge', 'type', 'bridge')
            self.undo.append((namespace, ('ip', 'link', 'del', 'dev', 'bridge')))
            for interface in ('client', 'l1'):
                namespace.run('ip', 'link', 'set', 'dev', interface, 'master', 'bridge')
            namespace.run('ip', 'link', 'set', 'dev', 'bridge', 'up')

    def testpmd(self):
        for node, core, other in zip(self.network.nodes.values(), (cpus()[0], cpus()[-1]),
                                     (cpus()[-1], cpus()[0])):
            log = os.path.join(self.network.folder, f'testpmd-{node.side}.log')
            ports = [f'--vdev=net_af_packet{i},iface={interface},qdisc_bypass=1'
                     for i, interface in enumerate(('client', 'l1'))]
            with open(log, 'wb') as output:
                self.processes.append(node.namespace.start(
                    'dpdk-testpmd', '--lcores', f'0@{other},1@{core}', '--no-pci', '--no-huge', '-m', '128',
                    f'--file-prefix=testpmd-{os.getpid()}-{node.side}', '--no-telemetry', *ports, '--',
                    '--no-mlockall', '--auto-start', '--forward-mode=io', '--total-num-mbufs=8192',
                    '--stats-period', '3600', stdout=output, stderr=output,
                    env=dict(os.environ, RUNTIME_DIRECTORY=node.runtime)))

    def dataplane(self):
        network = self.network
        for node in network.nodes.values():
            node.configuration = network.configurations[node.side][self.name]
        if 'kmnic' in self.name and network.keys.process is None:
            network.keys.start()
        network.start_nodes()
        self.processes = [node.process for node in network.nodes.values()]

    def sides(self):
        """Processes of the nodes, of which processor time is told."""
        return self.processes


class VethNetwork(WireNetwork):
    """The network, and a configuration for each way to use ssn-dataplane in it."""

    def __init__(self, folder, build):
        super().__init__(folder, Programs.built(build), LINKS)
        self.configurations = {}
        for side, node in self.nodes.items():
            node.stream['reorder'] = REORDER
            node.configuration['eal']['memory'] = '256 MiB'
            usual = json.dumps(node.configuration)
            memory, bridge = json.loads(usual), json.loads(usual)
            memory['key_device'] = [{'driver': 'memory', 'settings': {'seed': 'benchmark'}}]
            for name in ('stream', 'peer', 'key_device'):
                del bridge[name]
            bridge['bridge'] = [{'ports': ['client', 'link1']}]
            bridge['port'] = [{key: value for key, value in port.items() if key != 'addresses'}
                              for port in bridge['port'][:2]]
            self.configurations[side] = {'ssn-dataplane bridge': bridge, 'wire (3,5) memory': memory,
                                         'wire (3,5) kmnic': json.loads(usual)}

    def wait_for_owners(self):
        def said():
            logs = (os.path.join(self.folder, each) for each in os.listdir(self.folder))
            return 'traffic between the owners: ' + ''.join(
                last_lines(each) for each in logs if each.endswith('.log'))
        wait_for(self.pings, said)

    def round_trips(self):
        """Microseconds: (mean, largest)."""
        out = self.owners['a'].run('ping', '-n', '-q', '-i', '0.002', '-c', PINGS, '-s', '1000',
                                   self.address('b')).stdout
        times = re.search(r'= ([0-9.]+)/([0-9.]+)/([0-9.]+)/', out)
        return 1000 * float(times.group(2)), 1000 * float(times.group(3))

    def stream_once(self, seconds):
        """What iperf3 says of one TCP stream from owner a to owner b."""
        server = self.owners['b'].start('iperf3', '-s', '-1', '-p', PORT, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True)
        try:
            def listens():
                if server.poll() is not None:
                    raise BenchmarkError(f'iperf3 -s ended with {server.returncode}: {server.stdout.read()}')
                return f':{PORT}' in self.owners['b'].run('ss', '-Hltn').stdout
            wait_for(listens, 'iperf3 -s to listen')
            done = self.owners['a'].run('iperf3', '-c', self.address('b'), '-p', PORT, '-t', seconds,
                                        '--json', check=False)
            try:
                said = json.loads(done.stdout)
            except ValueError as error:
                raise BenchmarkError(f'iperf3 said: {done.stdout} {done.stderr}') from error
            if done.returncode != 0 or 'error' in said:
                raise BenchmarkError(f'iperf3 failed: {said.get("error", done.stderr)}')
            return said
        finally:
            stop(server)


def measure_once(network, name, seconds):
    """One forwarder, once."""
    with Forwarding(network, name) as forwarding:
        mean, largest = network.round_trips()
        before = [processor_seconds(each) for each in forwarding.sides()]
        is_ours = name not in FORWARDERS[:2]
        counters = {side: node.counters() for side, node in network.nodes.items()} if is_ours else {}
        said = network.stream_once(seconds)
        end = said['end']
        taken = end['sum_received']['seconds']
        result = {'gigabits': end['sum_received']['bits_per_second'] / 1e9, 'seconds': taken,
                  'retransmits': end['sum_sent']['retransmits'], 'round_trip_us': mean,
                  'round_trip_max_us': largest,
                  'cores': [(processor_seconds(each) - first) / taken
                            for each, first in zip(forwarding.sides(), before)]}
        if is_ours:
            grown = {side: {key: value - counters[side].get(key, 0) for key, value in node.counters().items()}
                     for side, node in network.nodes.items()}
            result['link_packets_per_second'] = sum(
                value for key, value in grown['a'].items()
                if re.fullmatch(r'port\.link\d+\.tx_packets', key)) / taken
            result['blocks_lost'] = grown['b'].get('stream.1.received.blocks_lost', 0)
        return result


def measure(build, names, rounds, seconds, progress):
    """{forwarder: its rounds}, in turns over the same links."""
    results = {name: [] for name in names}
    with tempfile.TemporaryDirectory(prefix='ssn-bench-') as folder, VethNetwork(folder, build) as network:
        for number in range(rounds):
            for name in names:
                progress.show(f'veth, round {number + 1} of {rounds}: {name}')
                results[name].append(measure_once(network, name, seconds))
    return results


def report(results):
    """A table; rows for JSON."""
    rates = {name: statistics.median(each['gigabits'] for each in rounds) for name, rounds in results.items()}
    lines, rows = [], []
    for name, rounds in results.items():
        ratios = {of: rates[name] / rates[of] for of in FORWARDERS[:3] if of in rates}
        low, high = (pick(each['gigabits'] for each in rounds) for pick in (min, max))
        trip = statistics.median(each['round_trip_us'] for each in rounds)
        cores = [sum(each['cores'][side] for each in rounds) / len(rounds)
                 for side in range(len(rounds[0]['cores']))]
        packets = statistics.median(each.get('link_packets_per_second', 0) for each in rounds)
        lines.append([name, f'{rates[name]:.2f}', f'{low:.2f}-{high:.2f}',
                      *(f'{ratios[of]:.2f}' if of in ratios else '' for of in FORWARDERS[:3]),
                      str(sum(each['retransmits'] for each in rounds)), f'{trip:.0f}',
                      ' '.join(f'{each:.2f}' for each in cores), f'{packets / 1000:.0f}' if packets else ''])
        rows.append({'name': f'veth {name}', 'value': rates[name], 'unit': 'Gb/s',
                     'baseline': rates.get(FORWARDERS[0]), 'ratio': ratios.get(FORWARDERS[0]),
                     'ratios': ratios, 'rounds': rounds})
    print_table(f'One TCP stream between two kernels over veth links, {os.cpu_count()} cores for all of it: '
                'Gb/s, ratio to what\nforwards plainly, segments that TCP sent again, round trip of ping '
                'in us, cores used by the two nodes\n(the kernel works on top of that), thousands of packets '
                'a second on the links',
                ['what forwards', 'Gb/s', 'rounds', 'to kernel', 'to testpmd', 'to bridge', 'again', 'ping',
                 'cores', 'packets'], lines)
    return rows


def unavailable():
    """Why networks cannot be made here; None where they can."""
    try:
        namespaces.require()
    except namespaces.Unavailable as why:
        return str(why)
    return None
