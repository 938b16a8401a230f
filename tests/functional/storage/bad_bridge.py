# SPDX-License-Identifier: BSD-3-Clause
"""Makes the bridges of a storage network bad, with the kernel's own means:

    bridge = BadBridge(network)
    bridge.set(lose(20), damage('10.1.0.1', '10.1.0.11', 50))   # in 1000 frames
    bridge.cut('data', 'h1', 'h2')
    bridge.heal()

nftables loses, doubles, damages and cuts; frames overtake each other where some go through a slow class
of tc's htb. What each rule met is counted.
"""

import json
import shutil
import subprocess

SLOW_CLASS = '1:20'


def lose(per_mille, match=''):
    return f'{match} numgen random mod 1000 < {per_mille} counter drop'


def damage(source, sink, per_mille, checksum=True):
    """A byte of the payload changes; with `checksum` off the UDP checksum says nothing about it."""
    blind = '' if checksum else 'udp checksum set 0 '
    return (f'ip saddr {source} ip daddr {sink} ip protocol udp numgen random mod 1000 < {per_mille} '
            f'{blind}@th,560,8 set 0x5b counter')


def overtake(per_mille):
    return f'numgen random mod 1000 < {per_mille} meta priority set {SLOW_CLASS} counter'


def drop(bridge_port_in='', bridge_port_out=''):
    return ((f'iifname "{bridge_port_in}" ' if bridge_port_in else '')
            + (f'oifname "{bridge_port_out}" ' if bridge_port_out else '') + 'counter drop')


class BadBridge:
    def __init__(self, network):
        self.network = network

    def missing(self):
        """Why this does not work here; None where it does."""
        if not shutil.which('nft'):
            return 'nft is not installed (Debian package nftables)'
        try:
            self.set(overtake(1), damage('10.1.0.1', '10.1.0.2', 1, False))
            self.slow_class('s')
        except RuntimeError as problem:
            return f'this kernel has no such rules for bridges: {problem}'
        finally:
            self.heal()
        return None

    def _nft(self, text):
        return subprocess.run(self.network.bridges.command('nft', '-f', '-'), input=text, text=True,
                              capture_output=True, check=False, timeout=60)

    def set(self, *rules):
        """In the place of those before."""
        chain = '\n'.join(rules)
        done = self._nft('add table bridge bad\ndelete table bridge bad\ntable bridge bad {\nchain c {\n'
                         f'type filter hook forward priority 0; policy accept;\n{chain}\n}}\n}}\n')
        if done.returncode:
            raise RuntimeError(f'nft: {done.stderr}')

    def double(self, source, sink, address, per_mille):
        """Frames from one node to another one come twice."""
        source, sink = (self.network.ports['data', each] for each in (source, sink))
        done = self._nft('table netdev twice {\nchain c {\n'
                         f'type filter hook ingress device "{source}" priority 0\n'
                         f'ip daddr {address} numgen random mod 1000 < {per_mille} counter dup to "{sink}"\n'
                         '}\n}\n')
        if done.returncode:
            raise RuntimeError(f'nft: {done.stderr}')

    def slow_class(self, *names):
        """What overtake() marks goes through 20 Mbit/s on its way to these nodes."""
        for name in names:
            port = self.network.ports['data', name]
            self.network.bridges.run('tc', 'qdisc', 'replace', 'dev', port, 'root', 'handle', '1:', 'htb',
                                     'default', '10')
            for number, rate in (('1:10', '10gbit'), (SLOW_CLASS, '20mbit')):
                self.network.bridges.run('tc', 'class', 'replace', 'dev', port, 'parent', '1:', 'classid',
                                         number, 'htb', 'rate', rate, 'quantum', '1500')

    def cut(self, bridge, *names, others=None):
        """Nothing comes from or to these nodes; with `others` nothing between the two groups."""
        ports = [self.network.ports[bridge, each] for each in names]
        if others is None:
            self.set(*(rule for port in ports for rule in (drop(port), drop('', port))))
        else:
            far = [self.network.ports[bridge, each] for each in others]
            self.set(*(rule for port in ports for other in far
                       for rule in (drop(port, other), drop(other, port))))

    def met(self):
        """How many frames the rules met, in their order, doubling last."""
        said = self.network.bridges.run('nft', '--json', 'list', 'ruleset').stdout
        return [part['counter']['packets'] for each in json.loads(said)['nftables'] if 'rule' in each
                for part in each['rule']['expr'] if 'counter' in part]

    def heal(self):
        self.network.bridges.run('nft', 'flush', 'ruleset')
        for (bridge, _), port in self.network.ports.items():
            if bridge == 'data':
                self.network.bridges.run('tc', 'qdisc', 'delete', 'dev', port, 'root', check=False)
