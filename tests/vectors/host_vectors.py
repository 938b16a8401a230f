#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Frames for the IP host of the data plane, and what must become of them, made by scapy.

Prints host.txt, or with --check FILE ends with 1 unless that is what stands there. Without scapy: 77, skipped.

The host (tests/unit/host/host_fixture.h): port 1 has 10.0.1.1/24, fd00:1::1/64 and an MTU of 1500; port 2 is in
VLAN 42, has 10.0.2.1/24, fd00:2::1/64 and an MTU of 9000. UDP ports 4404 and 4405 are listened at.
"""
import sys

try:
    from scapy.layers.inet import (ICMP, IP, IPOption_LSRR, IPOption_NOP, IPOption_RR,
                                   IPOption_SSRR, TCP, UDP, fragment)
    from scapy.layers.inet6 import (
        HBHOptUnknown, ICMPv6DestUnreach, ICMPv6EchoReply, ICMPv6EchoRequest, ICMPv6MLQuery,
        ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6ND_RA, ICMPv6ND_Redirect, ICMPv6ND_RS, ICMPv6NDOptDstLLAddr,
        ICMPv6NDOptMTU, ICMPv6NDOptSrcLLAddr, ICMPv6PacketTooBig, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment,
        IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, Jumbo, PadN, RouterAlert)
    from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether
    from scapy.packet import Raw
except ModuleNotFoundError as error:
    print(f'skipped: {error}; run scripts/bootstrap --for test')
    sys.exit(77)

US = {1: '02:00:00:00:01:01', 2: '02:00:00:00:01:02'}
THEM = '02:00:00:00:02:01'
ALL = 'ff:ff:ff:ff:ff:ff'
US4 = {1: '10.0.1.1', 2: '10.0.2.1'}
US6 = {1: 'fd00:1::1', 2: 'fd00:2::1'}
PEER4 = {1: '10.0.1.2', 2: '10.0.2.2'}
PEER6 = {1: 'fd00:1::2', 2: 'fd00:2::2'}
OTHER4 = '10.0.1.77'  # a host of the network that is no next hop of ours
GROUP_MAC = '33:33:ff:00:00:01'
GROUP = 'ff02::1:ff00:1'


def payload(length, seed=1):
    return Raw(bytes((i * 7 + seed) & 255 for i in range(length)))


def ether(port=1, dst=None, src=THEM, **fields):
    if port == 2:
        return Ether(dst=dst or US[port], src=src) / Dot1Q(vlan=42, **fields)
    return Ether(dst=dst or US[port], src=src, **fields)


class Cases:
    def __init__(self):
        self.lines = []
        self.names = set()

    def add(self, name, frame, expected, port=1, neighbour=None, link=None):
        assert name not in self.names, name
        self.names.add(name)
        data = frame if isinstance(frame, bytes) else bytes(frame)
        self.lines += ['', 'case', f'name = {name}', f'port = {port}', f'frame = {data.hex()}',
                       f'expect = {expected}']
        if neighbour:
            self.lines.append(f'neighbour = {neighbour}')
        if link:
            self.lines.append(f'link = {link}')

    def drop(self, name, frame, reason, **more):
        self.add(name, frame, f'drop {reason}', **more)

    def deliver(self, name, frame, listener, data, **more):
        self.add(name, frame, f'deliver {listener} {bytes(data).hex() or "-"}', **more)

    def send(self, name, frame, answer, **more):
        self.add(name, frame, f'send {bytes(answer).hex()}', **more)


def udp4(port=1, **fields):
    return IP(src=PEER4[port], dst=US4[port], flags='DF', id=0, **fields)


def udp6(port=1, **fields):
    return IPv6(src=PEER6[port], dst=US6[port], **fields)


def ethernet(c):
    good = udp4() / UDP(sport=49152, dport=4404) / payload(64)
    c.drop('frame of 13 bytes', bytes(ether() / good)[:13], 'frame_too_short')
    c.drop('no frame', b'', 'frame_too_short')
    c.drop('longer than the MTU', ether() / IP(src=PEER4[1], dst=US4[1]) / UDP(dport=4404) / payload(1473),
           'frame_exceeds_mtu')
    c.drop('IEEE 802.3 length', Ether(dst=US[1], src=THEM, type=46) / payload(46), 'frame_not_ethernet2')
    c.drop('unknown EtherType', Ether(dst=US[1], src=THEM, type=0x88B5) / payload(46), 'ethertype_unknown')
    c.drop('another destination', ether(dst='02:00:00:00:01:99') / good, 'destination_mac_other')
    c.drop('IPv4 multicast address', ether(dst='01:00:5e:00:00:01') / good, 'destination_mac_other')
    c.drop('group as source', ether(src='03:00:00:00:02:01') / good, 'source_mac_multicast')
    c.drop('our own source', ether(src=US[1]) / good, 'source_mac_ours')
    c.drop('tag on a port without', Ether(dst=US[1], src=THEM) / Dot1Q(vlan=42) / good, 'vlan_tagged')
    c.drop('priority tag on a port without', Ether(dst=US[1], src=THEM) / Dot1Q(vlan=0, prio=5) / good,
           'vlan_tagged')
    c.drop('service tag', Ether(dst=US[1], src=THEM) / Dot1AD(vlan=42) / good, 'vlan_tagged')
    good = udp4(2) / UDP(sport=49152, dport=4404) / payload(64)
    c.deliver('our VLAN', ether(2) / good, 0, payload(64), port=2)
    c.deliver('our VLAN with priority', ether(2, prio=7) / good, 0, payload(64), port=2)
    c.drop('no tag on a port with', Ether(dst=US[2], src=THEM) / good, 'vlan_tagged', port=2)
    c.drop('another VLAN', Ether(dst=US[2], src=THEM) / Dot1Q(vlan=43) / good, 'vlan_tagged', port=2)
    c.drop('two tags', Ether(dst=US[2], src=THEM) / Dot1Q(vlan=42) / Dot1Q(vlan=7) / good, 'vlan_tagged', port=2)
    c.drop('a tag and nothing else', bytes(ether(2) / good)[:16], 'frame_too_short', port=2)


def arp(c):
    ask = ARP(op=1, hwsrc=THEM, psrc=PEER4[1], hwdst='00:00:00:00:00:00', pdst=US4[1])
    reply = ARP(op=2, hwsrc=US[1], psrc=US4[1], hwdst=THEM, pdst=PEER4[1])
    known = f'{PEER4[1]} {THEM} stale'
    c.send('ARP request', ether(dst=ALL) / ask, Ether(dst=THEM, src=US[1]) / reply, neighbour=known)
    c.send('ARP request, padded', ether(dst=ALL) / ask / Raw(bytes(18)), Ether(dst=THEM, src=US[1]) / reply,
           neighbour=known)
    c.send('ARP request to us alone', ether() / ask, Ether(dst=THEM, src=US[1]) / reply, neighbour=known)
    c.send('ARP request of a stranger', ether(dst=ALL) / ARP(op=1, hwsrc=THEM, psrc=OTHER4, pdst=US4[1]),
           Ether(dst=THEM, src=US[1]) / ARP(op=2, hwsrc=US[1], psrc=US4[1], hwdst=THEM, pdst=OTHER4))
    c.send('ARP probe (RFC 5227)', ether(dst=ALL) / ARP(op=1, hwsrc=THEM, psrc='0.0.0.0', pdst=US4[1]),
           Ether(dst=THEM, src=US[1]) / ARP(op=2, hwsrc=US[1], psrc=US4[1], hwdst=THEM, pdst='0.0.0.0'))
    c.send('ARP request in our VLAN', ether(2, dst=ALL) / ARP(op=1, hwsrc=THEM, psrc=PEER4[2], pdst=US4[2]),
           Ether(dst=THEM, src=US[2]) / Dot1Q(vlan=42) /
           ARP(op=2, hwsrc=US[2], psrc=US4[2], hwdst=THEM, pdst=PEER4[2]), port=2,
           neighbour=f'{PEER4[2]} {THEM} stale')
    c.drop('ARP reply', ether() / ARP(op=2, hwsrc=THEM, psrc=PEER4[1], hwdst=US[1], pdst=US4[1]), 'arp_heard',
           neighbour=f'{PEER4[1]} {THEM} reachable')
    c.drop('ARP reply to everybody', ether(dst=ALL) / ARP(op=2, hwsrc=THEM, psrc=PEER4[1], pdst=US4[1]),
           'arp_heard', neighbour=known)
    c.drop('ARP reply for another', ether() / ARP(op=2, hwsrc=THEM, psrc=PEER4[1], hwdst=US[1], pdst='10.0.1.99'),
           'arp_heard', neighbour=known)
    c.drop('ARP reply of a stranger', ether() / ARP(op=2, hwsrc=THEM, psrc=OTHER4, hwdst=US[1], pdst=US4[1]),
           'arp_not_ours')
    c.drop('gratuitous ARP', ether(dst=ALL) / ARP(op=1, hwsrc=THEM, psrc=PEER4[1], pdst=PEER4[1]), 'arp_heard',
           neighbour=known)
    c.drop('gratuitous ARP reply', ether(dst=ALL) / ARP(op=2, hwsrc=THEM, psrc=PEER4[1], hwdst=ALL, pdst=PEER4[1]),
           'arp_heard', neighbour=known)
    c.drop('gratuitous ARP of the gateway', ether(dst=ALL) / ARP(op=1, hwsrc=THEM, psrc='10.0.1.254',
                                                                  pdst='10.0.1.254'),
           'arp_heard', neighbour=f'10.0.1.254 {THEM} stale')
    c.drop('ARP request for another', ether(dst=ALL) / ARP(op=1, hwsrc=THEM, psrc=OTHER4, pdst='10.0.1.99'),
           'arp_not_ours')
    c.drop('somebody with our address', ether(dst=ALL) / ARP(op=1, hwsrc=THEM, psrc=US4[1], pdst=US4[1]),
           'arp_address_conflict')
    c.drop('ARP sender unlike Ethernet', ether(dst=ALL) / ARP(op=1, hwsrc='02:00:00:00:02:09', psrc=PEER4[1],
                                                              pdst=US4[1]),
           'arp_bad_sender', neighbour=f'{PEER4[1]} - incomplete')
    for name, address in (('multicast', '224.0.0.1'), ('broadcast', '10.0.1.255'), ('loopback', '127.0.0.1')):
        c.drop(f'ARP from a {name} address', ether(dst=ALL) / ARP(op=1, hwsrc=THEM, psrc=address, pdst=US4[1]),
               'arp_bad_sender')
    c.drop('RARP operation', ether(dst=ALL) / ARP(op=3, hwsrc=THEM, psrc=PEER4[1], pdst=US4[1]), 'arp_malformed')
    c.drop('ARP of another hardware', ether(dst=ALL) / ARP(hwtype=6, op=1, hwsrc=THEM, psrc=PEER4[1], pdst=US4[1]),
           'arp_malformed')
    c.drop('ARP of another protocol', ether(dst=ALL) / ARP(ptype=0x86DD, op=1, hwsrc=THEM, psrc=PEER4[1],
                                                           pdst=US4[1]), 'arp_malformed')
    raw = bytearray(bytes(ether(dst=ALL) / ask))
    raw[18] = 8
    c.drop('ARP with long hardware addresses', bytes(raw), 'arp_malformed')
    c.drop('ARP, truncated', bytes(ether(dst=ALL) / ask)[:41], 'arp_malformed')


def ip4(c):
    data = UDP(sport=49152, dport=4404) / payload(100)
    c.deliver('UDP over IPv4', ether() / udp4() / data, 0, payload(100))
    c.deliver('odd length', ether() / udp4() / UDP(sport=49152, dport=4405) / payload(101), 1, payload(101))
    c.deliver('one byte, padded to 60', bytes(ether() / udp4() / UDP(dport=4404) / payload(1)) + bytes(17), 0,
              payload(1))
    c.deliver('full frame', ether() / udp4() / UDP(dport=4404) / payload(1472), 0, payload(1472))
    c.deliver('jumbo frame', ether(2) / udp4(2) / UDP(dport=4404) / payload(8972), 0, payload(8972), port=2)
    c.deliver('with options', ether() / udp4(options=[IPOption_NOP(), IPOption_RR(routers=['0.0.0.0'] * 3)]) / data,
              0, payload(100))
    for name, option in (('loose', IPOption_LSRR), ('strict', IPOption_SSRR)):
        c.drop(f'{name} source route', ether() / udp4(options=[option(routers=['10.0.1.9'])]) / data,
               'ip4_source_route')
    for name, raw in (('without length', b'\x01\x01\x01\x94'), ('of length 1', b'\x94\x01\x00\x00'),
                      ('beyond the header', b'\x94\x08\x00\x00')):
        c.drop(f'option {name}', option_frame(raw, data), 'ip4_bad_option')
    c.drop('IPv4 checksum wrong', ether() / udp4(chksum=0x1234) / data, 'ip4_bad_checksum')
    c.drop('IPv4 checksum zero', ether() / udp4(chksum=0) / data, 'ip4_bad_checksum')
    c.drop('version 6 in an IPv4 frame', ether() / IP(version=6, src=PEER4[1], dst=US4[1]) / data, 'ip4_malformed')
    c.drop('header of 16 bytes', ether() / udp4(ihl=4) / data, 'ip4_malformed')
    c.drop('header longer than the frame', bytes(ether() / udp4(ihl=15))[:40], 'ip4_malformed')
    c.drop('length shorter than the header', ether() / udp4(len=19) / data, 'ip4_malformed')
    c.drop('longer than its frame', ether() / udp4(len=129) / data, 'ip4_truncated')
    whole = IP(src=PEER4[1], dst=US4[1], id=7) / UDP(sport=49152, dport=4404) / payload(1000)
    for number, piece in enumerate(fragment(whole, fragsize=400)):
        c.drop(f'fragment {number}', ether() / piece, 'ip4_fragment', link='fragments')
    c.drop('fragment of a stranger', ether() / IP(src=OTHER4, dst=US4[1], flags='MF') / data, 'ip4_fragment')
    c.drop('to another host', ether() / IP(src=PEER4[1], dst='10.0.1.3') / data, 'ip4_not_ours')
    c.drop('to the other port', ether() / IP(src=PEER4[1], dst=US4[2]) / data, 'ip4_not_ours')
    for name, address in (('limited broadcast', '255.255.255.255'), ('our broadcast', '10.0.1.255'),
                          ('multicast', '224.0.0.1')):
        c.drop(f'to {name}', ether(dst=ALL) / IP(src=PEER4[1], dst=address) / data, 'ip4_broadcast')
    c.drop('to us in a broadcast frame', ether(dst=ALL) / udp4() / data, 'ip4_broadcast')
    for address in ('0.0.0.0', '127.0.0.1', '224.0.0.9', '255.255.255.255', '10.0.1.255', US4[1]):
        c.drop(f'from {address}', ether() / IP(src=address, dst=US4[1]) / data, 'ip4_bad_source')
    c.drop('TCP', ether() / udp4() / TCP(dport=4404), 'ip4_protocol_unknown')
    c.drop('IPv4, truncated', bytes(ether() / udp4())[:33], 'ip4_malformed')


def option_frame(options, data):
    """An IPv4 header with these option bytes, checksum and all."""
    head = bytearray(bytes(udp4(ihl=6, len=24 + len(bytes(data)), proto=17, chksum=0)))[:20] + bytearray(options)
    total = sum(head[i] << 8 | head[i + 1] for i in range(0, 24, 2))
    total = (total & 0xFFFF) + (total >> 16)
    total = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    head[10:12] = total.to_bytes(2, 'big')
    return bytes(ether(type=0x0800)) + bytes(head) + bytes(data)


def udp(c):
    data = payload(33)
    c.deliver('UDP without checksum over IPv4', ether() / udp4() / UDP(dport=4404, chksum=0) / data, 0, data)
    c.deliver('UDP without payload', ether() / udp4() / UDP(dport=4404), 0, b'')
    c.deliver('UDP shorter than its packet', ether() / udp4() / UDP(dport=4404, len=18, chksum=0) / data, 0,
              bytes(data)[:10])
    c.drop('UDP checksum wrong', ether() / udp4() / UDP(dport=4404, chksum=0x4242) / data, 'udp_bad_checksum')
    c.drop('UDP over IPv6, checksum wrong', ether() / udp6() / UDP(dport=4404, chksum=0x4242) / data,
           'udp_bad_checksum')
    c.drop('UDP over IPv6 without checksum', ether() / udp6() / UDP(dport=4404, chksum=0) / data,
           'udp6_without_checksum')
    c.drop('UDP of 7 bytes', ether() / udp4() / UDP(dport=4404, len=7, chksum=0) / data, 'udp_malformed')
    c.drop('UDP longer than its packet', ether() / udp4() / UDP(dport=4404, len=42, chksum=0) / data,
           'udp_malformed')
    c.drop('UDP header, truncated', ether() / udp4(proto=17) / Raw(bytes(7)), 'udp_malformed')
    c.drop('UDP jumbogram', ether() / udp6() / UDP(dport=4404, len=0) / data, 'udp_malformed')
    c.drop('unknown UDP port', ether() / udp4() / UDP(dport=4406) / data, 'udp_port_unknown')
    c.drop('unknown UDP port over IPv6', ether() / udp6() / UDP(dport=53) / data, 'udp_port_unknown')
    c.drop('UDP to a group', ether(dst='33:33:00:00:00:01') / IPv6(src=PEER6[1], dst='ff02::1') / UDP(dport=4404) /
           data, 'udp_to_group')
    # A checksum that comes out as 0 travels as 0xffff (RFC 768).
    frame = ether() / udp6() / UDP(sport=49152, dport=4404)
    last = bytes(frame / Raw(bytes(32)))[60:62]
    sent = bytes(frame / Raw(bytes(30) + last))
    assert sent[60:62] == b'\xff\xff'
    c.deliver('UDP checksum that is zero', sent, 0, sent[62:])


def ip6(c):
    data = UDP(sport=49152, dport=4404) / payload(100)
    c.deliver('UDP over IPv6', ether() / udp6() / data, 0, payload(100))
    c.deliver('UDP over IPv6, odd length', ether() / udp6() / UDP(dport=4405) / payload(333), 1, payload(333))
    c.deliver('UDP over IPv6, padded', bytes(ether() / udp6() / UDP(dport=4404) / payload(3)) + bytes(9), 0,
              payload(3))
    c.deliver('UDP over IPv6, full frame', ether() / udp6() / UDP(dport=4404) / payload(1452), 0, payload(1452))
    c.deliver('UDP over IPv6, jumbo frame', ether(2) / udp6(2) / UDP(dport=4404) / payload(8952), 0, payload(8952),
              port=2)
    c.deliver('hop-by-hop options', ether() / udp6() / IPv6ExtHdrHopByHop(options=[RouterAlert(), PadN(optdata=b'ab')])
              / data, 0, payload(100))
    c.deliver('destination options', ether() / udp6() / IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(20))]) / data,
              0, payload(100))
    c.deliver('unknown option that may be skipped', ether() / udp6() /
              IPv6ExtHdrDestOpt(options=[HBHOptUnknown(otype=0x1E, optdata=b'1234')]) / data, 0, payload(100))
    c.deliver('routing header that is through', ether() / udp6() /
              IPv6ExtHdrRouting(type=2, segleft=0, addresses=['fd00:1::9']) / data, 0, payload(100))
    c.deliver('three extensions', ether() / udp6() / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() /
              IPv6ExtHdrRouting(type=2, segleft=0, addresses=[]) / data, 0, payload(100))
    many = udp6() / IPv6ExtHdrHopByHop()
    for _ in range(4):
        many = many / IPv6ExtHdrDestOpt()
    c.drop('five extensions', ether() / many / data, 'ip6_bad_extension')
    c.drop('hop-by-hop options behind others', ether() / udp6() / IPv6ExtHdrDestOpt() / IPv6ExtHdrHopByHop() / data,
           'ip6_bad_extension')
    c.drop('long extension', ether() / udp6() / IPv6ExtHdrDestOpt(
        options=[PadN(optdata=bytes(250)), PadN(optdata=bytes(100))]) / data, 'ip6_bad_extension')
    c.drop('extension beyond the packet', ether() / udp6() / IPv6ExtHdrDestOpt(len=30) / data, 'ip6_bad_extension')
    c.drop('extension into the padding', bytes(ether() / udp6(nh=60) / Raw(b'\x11\x01\x01\x0c' + bytes(4))) + bytes(40),
           'ip6_bad_extension')
    c.drop('extension of 4 bytes', ether() / udp6(nh=60) / Raw(b'\x11\x00\x01\x00'), 'ip6_bad_extension')
    c.drop('unknown option, not to be skipped', ether() / udp6() /
           IPv6ExtHdrDestOpt(options=[HBHOptUnknown(otype=0x5E, optdata=b'1234')]) / data, 'ip6_bad_option')
    c.drop('jumbo option', ether() / udp6() / IPv6ExtHdrHopByHop(options=[Jumbo(jumboplen=70000)]) / data,
           'ip6_bad_option')
    c.drop('option beyond its header', ether() / udp6(nh=60) / Raw(b'\x11\x00\x01\x20\x00\x00\x00\x00') / data,
           'ip6_bad_option')
    c.drop('routing header with segments left', ether() / udp6() /
           IPv6ExtHdrRouting(type=0, addresses=['fd00:1::9']) / data, 'ip6_routing_header')
    c.drop('IPv6 fragment', ether() / udp6() / IPv6ExtHdrFragment(id=5, m=1) / data, 'ip6_fragment', link='fragments')
    c.drop('IPv6 atomic fragment', ether() / udp6() / IPv6ExtHdrFragment(id=5) / data, 'ip6_fragment',
           link='fragments')
    c.drop('AH', ether() / udp6(nh=51) / Raw(b'\x11\x01' + bytes(10)) / data, 'ip6_protocol_unknown')
    c.drop('ESP', ether() / udp6(nh=50) / payload(32), 'ip6_protocol_unknown')
    c.drop('TCP over IPv6', ether() / udp6() / TCP(), 'ip6_protocol_unknown')
    c.drop('no next header', ether() / udp6(nh=59), 'ip6_protocol_unknown')
    c.drop('version 4 in an IPv6 frame', ether(type=0x86DD) / Raw(bytes(udp4() / data)), 'ip6_malformed')
    c.drop('IPv6, truncated', bytes(ether() / udp6())[:53], 'ip6_malformed')
    c.drop('IPv6 longer than its frame', ether() / udp6(plen=109) / data, 'ip6_truncated')
    c.drop('IPv6 to another host', ether() / IPv6(src=PEER6[1], dst='fd00:1::3') / data, 'ip6_not_ours')
    c.drop('to another group', ether(dst='33:33:00:00:00:02') / IPv6(src=PEER6[1], dst='ff02::2') / data,
           'ip6_not_ours')
    c.drop('IPv6 to us in a group frame', ether(dst=GROUP_MAC) / udp6() / data, 'ip6_not_ours')
    for address in ('ff02::1', '::1', '::ffff:10.0.1.2', US6[1]):
        c.drop(f'from {address}', ether() / IPv6(src=address, dst=US6[1]) / data, 'ip6_bad_source')
    c.drop('UDP from ::', ether() / IPv6(src='::', dst=US6[1]) / data, 'ip6_bad_source')


def icmp4(c):
    def pair(name, frame, length, port=1, tos=0, seq=3, number=0x1234):
        head = Ether(dst=THEM, src=US[port])
        if port == 2:
            head = head / Dot1Q(vlan=42)
        c.send(name, frame, head / IP(src=US4[port], dst=PEER4[port], id=0, flags='DF', tos=tos) /
               ICMP(type=0, id=number, seq=seq) / payload(length), port=port)
    for length in (0, 1, 56, 57, 1472):
        pair(f'ping of {length} bytes', ether() / udp4() / ICMP(id=0x1234, seq=3) / payload(length), length)
    pair('jumbo ping', ether(2) / udp4(2) / ICMP(id=0x1234, seq=3) / payload(8972), 8972, port=2)
    pair('ping with options', ether() / udp4(options=[IPOption_RR(routers=['0.0.0.0'] * 9)]) /
         ICMP(id=0x1234, seq=3) / payload(56), 56)
    pair('ping with service class', ether() / udp4(tos=0xB8) / ICMP(id=0x1234, seq=3) / payload(56), 56, tos=0xB8)
    # The checksum of the answer passes through zero for some: RFC 1624.
    for seq in (0xF7FF - 0x1234 - 0x0800, 0xFFFF - 0x1234 - 0x0800, 0xFFFF - 0x1234, 0xFFFE - 0x1234):
        seq &= 0xFFFF
        pair(f'ping with sequence {seq}', ether() / udp4() / ICMP(id=0x1234, seq=seq), 0, seq=seq)
    # Nothing but zeros: the checksum is all ones.
    pair('ping of zeros', ether() / udp4() / ICMP(id=0, seq=0), 0, seq=0, number=0)
    c.drop('ping, checksum wrong', ether() / udp4() / ICMP(chksum=1) / payload(56), 'icmp_bad_checksum')
    c.drop('ping with a code', ether() / udp4() / ICMP(code=1) / payload(56), 'icmp_malformed')
    c.drop('ICMP of 7 bytes', ether() / udp4(proto=1) / Raw(b'\x08\0\xf7\xff\0\0\0'), 'icmp_malformed')
    c.drop('ping to everybody', ether(dst=ALL) / IP(src=PEER4[1], dst='10.0.1.255') / ICMP(), 'ip4_broadcast')
    c.drop('answer to no ping', ether() / udp4() / ICMP(type=0) / payload(56), 'icmp_echo_unrequested')
    c.drop('timestamp request', ether() / udp4() / ICMP(type=13, ts_ori=1, ts_rx=2, ts_tx=3), 'icmp_type_unknown')
    c.drop('redirect', ether() / udp4() / ICMP(type=5, code=1, gw='10.0.1.9') / IP(src=US4[1], dst='192.0.2.9') /
           UDP(), 'icmp_type_unknown')
    ours = IP(src=US4[1], dst=PEER4[1], flags='DF', id=0) / UDP(sport=49152, dport=4404) / payload(20)
    c.drop('fragmentation needed', ether() / udp4() / ICMP(type=3, code=4, nexthopmtu=1400) / ours,
           'icmp_error_heard', link='too_big 1400')
    c.drop('port unreachable', ether() / udp4() / ICMP(type=3, code=3) / ours, 'icmp_error_heard',
           link='unreachable')
    c.drop('time exceeded', ether() / IP(src='10.0.1.254', dst=US4[1]) / ICMP(type=11) / ours, 'icmp_error_heard',
           link='unreachable')
    strange = IP(src=US4[1], dst=PEER4[1]) / UDP(sport=49152, dport=99) / payload(20)
    c.drop('about another UDP port', ether() / udp4() / ICMP(type=3, code=4, nexthopmtu=1400) / strange,
           'icmp_error_unknown')
    c.drop('about another protocol', ether() / udp4() / ICMP(type=3, code=4) / IP(src=US4[1], dst=PEER4[1]) / TCP(),
           'icmp_error_unknown')
    c.drop('about another host', ether() / udp4() / ICMP(type=3, code=4) / IP(src=US4[1], dst=OTHER4) /
           UDP(dport=4404) / payload(20), 'icmp_error_unknown')
    c.drop('error about 27 bytes', ether() / udp4() / ICMP(type=3, code=4) / Raw(bytes(ours)[:27]),
           'icmp_error_unknown')


def icmp6(c):
    def pair(name, frame, length, port=1):
        head = Ether(dst=THEM, src=US[port])
        if port == 2:
            head = head / Dot1Q(vlan=42)
        c.send(name, frame, head / IPv6(src=US6[port], dst=PEER6[port], hlim=64) /
               ICMPv6EchoReply(id=0x1234, seq=3, data=bytes(payload(length))), port=port)
    for length in (0, 1, 56, 57, 1452):
        pair(f'ping6 of {length} bytes', ether() / udp6() /
             ICMPv6EchoRequest(id=0x1234, seq=3, data=bytes(payload(length))), length)
    pair('jumbo ping6', ether(2) / udp6(2) / ICMPv6EchoRequest(id=0x1234, seq=3, data=bytes(payload(8952))), 8952,
         port=2)
    pair('ping6 with options', ether() / udp6() / IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(20))]) /
         ICMPv6EchoRequest(id=0x1234, seq=3, data=bytes(payload(56))), 56)
    c.send('ping6 to our link-local address', ether() / IPv6(src='fe80::2', dst='fe80::ff:fe00:101') /
           ICMPv6EchoRequest(id=1, seq=2), Ether(dst=THEM, src=US[1]) /
           IPv6(src='fe80::ff:fe00:101', dst='fe80::2', hlim=64) / ICMPv6EchoReply(id=1, seq=2))
    c.drop('ping6 to all nodes', ether(dst='33:33:00:00:00:01') / IPv6(src=PEER6[1], dst='ff02::1') /
           ICMPv6EchoRequest(), 'icmp_echo_to_group')
    c.drop('ping6 from ::', ether() / IPv6(src='::', dst=US6[1]) / ICMPv6EchoRequest(), 'ip6_bad_source')
    c.drop('ping6, checksum wrong', ether() / udp6() / ICMPv6EchoRequest(cksum=1), 'icmp_bad_checksum')
    c.drop('ping6 with a code', ether() / udp6() / ICMPv6EchoRequest(code=1), 'icmp_malformed')
    c.drop('ICMPv6 of 7 bytes', ether() / udp6(nh=58) / Raw(bytes(7)), 'icmp_malformed')
    c.drop('answer to no ping6', ether() / udp6() / ICMPv6EchoReply(), 'icmp_echo_unrequested')
    c.drop('multicast listener query', ether(dst='33:33:00:00:00:01') / IPv6(src='fe80::9', dst='ff02::1', hlim=1) /
           ICMPv6MLQuery(), 'icmp_type_unknown')
    ours = IPv6(src=US6[1], dst=PEER6[1]) / UDP(sport=49152, dport=4404) / payload(20)
    c.drop('packet too big', ether() / IPv6(src='fd00:1::fe', dst=US6[1]) / ICMPv6PacketTooBig(mtu=1280) / ours,
           'icmp_error_heard', link='too_big 1280')
    c.drop('unreachable over IPv6', ether() / udp6() / ICMPv6DestUnreach(code=4) / ours, 'icmp_error_heard',
           link='unreachable')
    c.drop('too big, about another', ether() / udp6() / ICMPv6PacketTooBig(mtu=1280) /
           IPv6(src=US6[1], dst='fd00:1::77') / UDP(dport=4404) / payload(20), 'icmp_error_unknown')
    c.drop('too big, about 47 bytes', ether() / udp6() / ICMPv6PacketTooBig(mtu=1280) / Raw(bytes(ours)[:47]),
           'icmp_error_unknown')


def nd(c):
    source = ICMPv6NDOptSrcLLAddr(lladdr=THEM)
    target = ICMPv6NDOptDstLLAddr(lladdr=THEM)
    known = f'{PEER6[1]} {THEM} stale'

    def answer(dst6=PEER6[1], dst=THEM, solicited=1, us=US6[1]):
        return (Ether(dst=dst, src=US[1]) / IPv6(src=us, dst=dst6, hlim=255) /
                ICMPv6ND_NA(tgt=us, R=0, S=solicited, O=1) / ICMPv6NDOptDstLLAddr(lladdr=US[1]))

    def ask(dst=GROUP, **fields):
        return IPv6(src=PEER6[1], dst=dst, hlim=255) / ICMPv6ND_NS(tgt=US6[1], **fields)
    c.send('neighbour solicitation', ether(dst=GROUP_MAC) / ask() / source, answer(), neighbour=known)
    c.send('solicitation to us alone', ether() / ask(US6[1]) / source, answer(), neighbour=known)
    c.send('solicitation without address', ether() / ask(US6[1]), answer(), neighbour=f'{PEER6[1]} - incomplete')
    c.send('solicitation with unknown option', ether(dst=GROUP_MAC) / ask() / ICMPv6NDOptMTU(mtu=1500) / source,
           answer(), neighbour=known)
    c.send('solicitation from a link-local address', ether(dst=GROUP_MAC) /
           IPv6(src='fe80::2', dst=GROUP, hlim=255) / ICMPv6ND_NS(tgt=US6[1]) / source, answer('fe80::2'))
    c.send('solicitation for our link-local address', ether(dst='33:33:ff:00:01:01') /
           IPv6(src=PEER6[1], dst='ff02::1:ff00:101', hlim=255) / ICMPv6ND_NS(tgt='fe80::ff:fe00:101') / source,
           answer(us='fe80::ff:fe00:101'))
    c.send('may I have your address', ether(dst=GROUP_MAC) / IPv6(src='::', dst=GROUP, hlim=255) /
           ICMPv6ND_NS(tgt=US6[1]), answer('ff02::1', '33:33:00:00:00:01', 0))
    c.drop('may I, with address', ether(dst=GROUP_MAC) / IPv6(src='::', dst=GROUP, hlim=255) /
           ICMPv6ND_NS(tgt=US6[1]) / source, 'nd_malformed')
    c.drop('may I, to us alone', ether() / IPv6(src='::', dst=US6[1], hlim=255) / ICMPv6ND_NS(tgt=US6[1]),
           'nd_malformed')
    c.drop('solicitation through a router', ether(dst=GROUP_MAC) / IPv6(src=PEER6[1], dst=GROUP, hlim=254) /
           ICMPv6ND_NS(tgt=US6[1]) / source, 'nd_bad_hop_limit', neighbour=f'{PEER6[1]} - incomplete')
    c.drop('solicitation for another', ether(dst=GROUP_MAC) / IPv6(src=PEER6[1], dst=GROUP, hlim=255) /
           ICMPv6ND_NS(tgt='fd00:9::1') / source, 'nd_not_ours')
    c.drop('solicitation with a code', ether(dst=GROUP_MAC) / ask(code=1) / source, 'nd_malformed')
    c.drop('solicitation for a group', ether(dst=GROUP_MAC) / IPv6(src=PEER6[1], dst=GROUP, hlim=255) /
           ICMPv6ND_NS(tgt=GROUP), 'nd_malformed')
    c.drop('solicitation of 20 bytes', ether(dst=GROUP_MAC) / IPv6(src=PEER6[1], dst=GROUP, hlim=255, nh=58) /
           short_icmp6(135, 20), 'nd_malformed')
    c.drop('option of no length', ether(dst=GROUP_MAC) / ask() / Raw(b'\x01\x00' + bytes(6)), 'nd_bad_option')
    c.drop('option beyond the message', ether(dst=GROUP_MAC) / ask() / Raw(b'\x01\x02' + bytes(6)),
           'nd_bad_option')
    c.drop('unknown option beyond the message', ether(dst=GROUP_MAC) / ask() / source /
           Raw(b'\x05\x02' + bytes(6)), 'nd_bad_option')
    c.drop('half an option', ether(dst=GROUP_MAC) / ask() / Raw(b'\x01\x01\x02\x00'), 'nd_bad_option')
    c.drop('option with a group', ether(dst=GROUP_MAC) / ask() / ICMPv6NDOptSrcLLAddr(lladdr='33:33:00:00:00:01'),
           'nd_bad_option')
    c.drop('solicitation, checksum wrong', ether(dst=GROUP_MAC) / ask(cksum=7) / source, 'icmp_bad_checksum')

    def says(dst=US6[1], tgt=PEER6[1], src=PEER6[1], **flags):
        return IPv6(src=src, dst=dst, hlim=255) / ICMPv6ND_NA(tgt=tgt, **flags)
    c.drop('advertisement', ether() / says(R=0, S=1, O=1) / target, 'nd_heard',
           neighbour=f'{PEER6[1]} {THEM} reachable')
    c.drop('advertisement to everybody', ether(dst='33:33:00:00:00:01') / says('ff02::1', R=0, S=0, O=1) / target,
           'nd_heard', neighbour=known)
    c.drop('advertisement of the gateway', ether() / says(tgt='fd00:1::fe', src='fd00:1::fe', R=1, S=1, O=1) / target,
           'nd_heard', neighbour=f'fd00:1::fe {THEM} reachable')
    c.drop('advertisement that overrides nothing', ether() / says(R=0, S=1, O=0) / target, 'nd_heard',
           neighbour=f'{PEER6[1]} {THEM} reachable')
    c.drop('advertisement without address', ether() / says(R=0, S=1, O=0), 'nd_heard',
           neighbour=f'{PEER6[1]} - incomplete')
    c.drop('solicited by everybody', ether(dst='33:33:00:00:00:01') / says('ff02::1', R=0, S=1, O=1) / target,
           'nd_malformed', neighbour=f'{PEER6[1]} - incomplete')
    c.drop('advertisement of a stranger', ether() / says(tgt='fd00:1::77', R=0, S=1, O=1) / target, 'nd_not_ours')
    c.drop('advertisement of our address', ether() / says(tgt=US6[1], R=0, S=1, O=1) / target,
           'nd_address_conflict')
    c.drop('advertisement through a router', ether() / IPv6(src=PEER6[1], dst=US6[1], hlim=64) /
           ICMPv6ND_NA(tgt=PEER6[1], S=1) / target, 'nd_bad_hop_limit', neighbour=f'{PEER6[1]} - incomplete')
    everybody = ether(dst='33:33:00:00:00:01') / IPv6(src='fe80::9', dst='ff02::1', hlim=255)
    c.drop('router advertisement', everybody / ICMPv6ND_RA() / source, 'nd_router_message')
    c.drop('router solicitation', ether() / IPv6(src='fe80::9', dst=US6[1], hlim=255) / ICMPv6ND_RS(),
           'nd_router_message')
    c.drop('redirect over IPv6', ether() / IPv6(src='fe80::9', dst=US6[1], hlim=255) /
           ICMPv6ND_Redirect(tgt='fe80::8', dst='fd00:9::9'), 'nd_router_message')


def short_icmp6(kind, length):
    """An ICMPv6 message that scapy would not make, with the checksum that it computes."""
    from scapy.layers.inet6 import in6_chksum
    body = bytearray(length)
    body[0] = kind
    body[2:4] = in6_chksum(58, IPv6(src=PEER6[1], dst=GROUP, nh=58), bytes(body)).to_bytes(2, 'big')
    return Raw(bytes(body))


def document():
    cases = Cases()
    for make in (ethernet, arp, ip4, udp, ip6, icmp4, icmp6, nd):
        make(cases)
    head = ['# Frames for the IP host and what must become of them: made by host_vectors.py with scapy 2.5.',
            '# expect: drop REASON | deliver LISTENER PAYLOAD | send FRAME']
    return '\n'.join(head + cases.lines) + '\n'


def main():
    text = document()
    if sys.argv[1:2] != ['--check']:
        sys.stdout.write(text)
        return 0
    with open(sys.argv[2], encoding='ascii') as file:
        if file.read() == text:
            return 0
    print(f'{sys.argv[2]} is not what scapy makes: run {sys.argv[0]} > {sys.argv[2]}')
    return 1


if __name__ == '__main__':
    sys.exit(main())
