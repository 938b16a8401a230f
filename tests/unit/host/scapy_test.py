#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Reads with scapy what the host sends: scapy_test.py PROGRAM, which is host-packets.

Every field is compared with what it must be, and every length and checksum with what scapy computes when it
makes the same packet. Without scapy: 77, skipped.
"""
import ipaddress
import subprocess
import sys

try:
    from scapy.layers.inet import IP, UDP
    from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr, IPv6
    from scapy.layers.l2 import ARP, Dot1Q, Ether
    from scapy.utils6 import in6_getnsma, in6_getnsmac
    from scapy.pton_ntop import inet_ntop, inet_pton
except ModuleNotFoundError as error:
    print(f'skipped: {error}; run scripts/bootstrap --for test')
    sys.exit(77)

import socket

MACS = {1: '02:00:00:00:01:01', 2: '02:00:00:00:01:02'}
HOP = '02:00:00:00:02:01'
LINKS = [(1, '10.0.1.1', '10.0.1.2'), (1, 'fd00:1::1', 'fd00:1::2'), (1, '10.0.1.1', '192.0.2.9'),
         (1, 'fd00:1::1', '2001:db8::9'), (2, '10.0.2.1', '10.0.2.2'), (2, 'fd00:2::1', 'fd00:2::2')]
MTU = {1: 1500, 2: 9000}


class Mistake(Exception):
    """What is wrong with a frame."""


def same(what, found, wanted):
    if found != wanted:
        raise Mistake(f'{what} is {found!r}, not {wanted!r}')


def layers(frame):
    """The names of the layers, without payload."""
    names = []
    layer = frame
    while layer and layer.name not in ('NoPayload', 'Raw'):
        names.append(type(layer).__name__)
        layer = layer.payload
    return names


def made_again(data):
    """The same packet with all lengths and checksums computed by scapy."""
    frame = Ether(data)
    for layer, fields in ((IP, ('len', 'chksum')), (IPv6, ('plen',)), (UDP, ('len', 'chksum')),
                          (ICMPv6ND_NS, ('cksum',)), (ICMPv6ND_NA, ('cksum',))):
        if layer in frame:
            for field in fields:
                delattr(frame[layer], field)
    return bytes(frame)


def tag_of(port):
    return ['Dot1Q'] if port == 2 else []


def port_of(address):
    return 1 if address.startswith(('10.0.1.', 'fd00:1:')) or address.endswith('101') else 2


def group_of(address):
    """Solicited-node group and its Ethernet address, as scapy derives them."""
    group = in6_getnsma(inet_pton(socket.AF_INET6, address))
    return str(ipaddress.ip_address(inet_ntop(socket.AF_INET6, group))), in6_getnsmac(group)


def check_ethernet(frame, port, to):
    same('source', frame[Ether].src, MACS[port])
    same('destination', frame[Ether].dst, to)
    if port == 2:
        same('VLAN', (frame[Dot1Q].vlan, frame[Dot1Q].prio), (42, 0))


def check_arp(frame, port, sender, target, to):
    same('layers', layers(frame), ['Ether'] + tag_of(port) + ['ARP'])
    check_ethernet(frame, port, to)
    arp = frame[ARP]
    same('ARP', (arp.hwtype, arp.ptype, arp.hwlen, arp.plen, arp.op), (1, 0x0800, 6, 4, 1))
    same('sender', (arp.hwsrc, arp.psrc), (MACS[port], sender))
    same('target', (arp.hwdst, arp.pdst), ('00:00:00:00:00:00', target))


def check_solicitation(frame, target, probe):
    port = port_of(target)
    if '.' in target:
        check_arp(frame, port, f'10.0.{port}.1', target, HOP if probe else 'ff:ff:ff:ff:ff:ff')
        return
    same('layers', layers(frame), ['Ether'] + tag_of(port) + ['IPv6', 'ICMPv6ND_NS', 'ICMPv6NDOptSrcLLAddr'])
    group, group_mac = group_of(target)
    check_ethernet(frame, port, HOP if probe else group_mac)
    same('addresses', (frame[IPv6].src, frame[IPv6].dst), (f'fd00:{port}::1', target if probe else group))
    same('hop limit', frame[IPv6].hlim, 255)
    same('target', frame[ICMPv6ND_NS].tgt, target)
    same('option', frame[ICMPv6NDOptSrcLLAddr].lladdr, MACS[port])


def check_announcement(frame, address):
    port = port_of(address)
    if '.' in address:
        check_arp(frame, port, address, address, 'ff:ff:ff:ff:ff:ff')
        return
    same('layers', layers(frame), ['Ether'] + tag_of(port) + ['IPv6', 'ICMPv6ND_NA', 'ICMPv6NDOptDstLLAddr'])
    check_ethernet(frame, port, '33:33:00:00:00:01')
    same('addresses', (frame[IPv6].src, frame[IPv6].dst), (address, 'ff02::1'))
    same('hop limit', frame[IPv6].hlim, 255)
    message = frame[ICMPv6ND_NA]
    same('flags', (message.R, message.S, message.O, message.tgt), (0, 0, 1, address))
    same('option', frame[ICMPv6NDOptDstLLAddr].lladdr, MACS[port])


def check_datagram(frame, kind, link, length):
    port, local, remote = LINKS[link]
    ip = IP if '.' in local else IPv6
    same('layers', layers(frame), ['Ether'] + tag_of(port) + [ip.__name__, 'UDP'])
    check_ethernet(frame, port, HOP)
    same('addresses', (frame[ip].src, frame[ip].dst), (local, remote))
    if ip is IP:
        head = frame[IP]
        same('IPv4', (head.ihl, head.id, str(head.flags), head.frag, head.ttl, head.tos),
             (5, 0, 'DF', 0, 64, 0))
    else:
        same('IPv6', (frame[IPv6].tc, frame[IPv6].fl, frame[IPv6].hlim), (0, 0, 64))
    same('UDP ports', (frame[UDP].sport, frame[UDP].dport), (49152, 4404))
    same('payload', bytes(frame[UDP].payload), bytes((7 * i + 1) & 255 for i in range(length)))
    same('has a checksum', frame[UDP].chksum != 0, ip is IPv6 or kind == 'always')
    if len(frame[ip]) > MTU[port]:
        raise Mistake('it exceeds the MTU')


def check(name, data):
    frame = Ether(data)
    kind, _, rest = name.partition('=')
    if kind in ('solicitation', 'probe'):
        check_solicitation(frame, rest, kind == 'probe')
    elif kind == 'announcement':
        check_announcement(frame, rest)
    else:
        _, checksums, link, length = name.split(':')
        check_datagram(frame, checksums, int(link), int(length))
        if frame[UDP].chksum == 0:  # permitted, and not what scapy would make
            wanted = bytearray(made_again(data))
            at = len(data) - len(frame[UDP]) + 6
            wanted[at:at + 2] = b'\0\0'
            same('bytes', data.hex(), wanted.hex())
            return
    same('bytes', data.hex(), made_again(data).hex())


def main():
    lines = subprocess.run(sys.argv[1:2], capture_output=True, text=True, check=True).stdout.splitlines()
    wrong = 0
    kinds = set()
    for line in lines:
        name, data = line.split()
        kinds.add(name.split('=')[0].split(':')[0])
        try:
            check(name, bytes.fromhex(data))
        except Mistake as mistake:
            wrong += 1
            print(f'{name}: {mistake}')
    print(f'{len(lines)} frames, {wrong} wrong')
    return 1 if wrong or kinds != {'solicitation', 'probe', 'announcement', 'datagram'} else 0


if __name__ == '__main__':
    sys.exit(main())
