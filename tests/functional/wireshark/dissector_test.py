#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The Wireshark dissector, by tshark: every field of the specification's worked examples and of packets made
here; what is malformed is marked, and what is not ours is left alone.

Usage: dissector_test.py REPOSITORY
"""
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

REPOSITORY = sys.argv.pop(1) if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), '../../..')
DISSECTOR = os.path.join(REPOSITORY, 'scripts', 'wireshark', 'shareline.lua')
VECTORS = os.path.join(REPOSITORY, 'tests', 'vectors', 'wire.txt')
SKIPPED = 77


def vectors():
    """Name: bytes."""
    found, name = {}, None
    with open(VECTORS, encoding='ascii') as file:
        for line in file:
            if match := re.fullmatch(r'([a-z_]+):\n', line):
                name = match[1]
                found[name] = b''
            elif name and (match := re.fullmatch(r' *\d+  ([0-9a-f ]+)\n', line)):
                found[name] += bytes.fromhex(match[1])
    return found


def header(kind, flags=0, reserved=0, d_offset=128):
    return struct.pack('>BBHIQQQIIHBBI', 1, kind, 513, 0xAABBCCDD, 2**40 + 5, d_offset, 0x0102030405060708,
                       77, 3, 4, 5, flags, reserved)


def packet(kind, payload, **about):
    return header(kind, **about) + bytes(range(100, 116)) + payload


def capture(path, payloads, port):
    """Writes UDP packets as a pcap file of raw IPv4 packets."""
    with open(path, 'wb') as file:
        file.write(struct.pack('<IHHiIII', 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101))
        for number, payload in enumerate(payloads):
            udp = struct.pack('>HHHH', 50000, port, 8 + len(payload), 0) + payload
            ip = struct.pack('>BBHHHBBH4s4s', 0x45, 0, 20 + len(udp), number, 0, 64, 17, 0,
                             bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2]))
            file.write(struct.pack('<IIII', 1_700_000_000, number, len(ip) + len(udp), len(ip) + len(udp)))
            file.write(ip + udp)


def dissect(payloads, port=4404, options=()):
    """What tshark says of each packet: {field: value as text}; {} where the dissector left it alone."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'capture.pcap')
        capture(path, payloads, port)
        # -C: a profile of nobody, so that settings of this machine's user change nothing.
        done = subprocess.run(
            ['tshark', '-X', 'lua_script:' + DISSECTOR, '-r', path, '-T', 'json', '-J', 'shareline',
             '--no-duplicate-keys', *options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True, timeout=120,
            env=dict(os.environ, HOME=folder, XDG_CONFIG_HOME=folder))
        errors = done.stderr.decode()
        assert 'Lua' not in errors and 'lua' not in errors, errors
        return [flat(each['_source']['layers'].get('shareline', {})) for each in json.loads(done.stdout)]


def flat(tree):
    """Fields of a JSON tree by name; one that occurs several times as a list."""
    fields = {}

    def visit(node):
        for name, value in node.items():
            for each in value if isinstance(value, list) else [value]:
                if isinstance(each, dict):
                    visit(each)
                else:
                    fields[name] = [*as_list(fields[name]), each] if name in fields else each

    visit(tree if isinstance(tree, dict) else {})
    return fields


def as_list(value):
    return value if isinstance(value, list) else [value]


def number(text):
    return int(text, 0)


def octets(text):
    return bytes.fromhex(text.replace(':', ''))


class Dissector(unittest.TestCase):
    def check_header(self, fields, raw):
        (version, kind, key_index, connection, packet_number, d_offset, obj, cell, generation, attempt, share,
         flags, _) = struct.unpack('>BBHIQQQIIHBBI', raw[:48])
        for name, value in (('version', version), ('type', kind), ('key_index', key_index),
                            ('connection_id', connection), ('number', packet_number), ('d_offset', d_offset),
                            ('object', obj), ('cell', cell), ('generation', generation), ('attempt', attempt),
                            ('share', share), ('flags', flags), ('block', generation << 32 | cell)):
            self.assertEqual(number(fields['shareline.' + name]), value, name)
        self.assertEqual(octets(fields['shareline.tag']), raw[48:64])

    def test_worked_examples(self):
        known = vectors()
        raw = [known[name] for name in ('cell', 'acknowledgement', 'keep_order')]
        cell, acknowledgement, order = dissect(raw)
        for fields, each in zip((cell, acknowledgement, order), raw):
            self.check_header(fields, each)
        self.assertEqual(octets(cell['shareline.payload']), known['cell'][64:])
        payload = known['acknowledgement'][64:]
        for name, value in (('kind', 1), ('key_index', 9), ('delay', 250), ('credit', 1000), ('ranges', 1),
                            ('largest', 77), ('below', 2688)):
            self.assertEqual(number(acknowledgement['shareline.ack.' + name]), value, name)
        self.assertEqual(octets(acknowledgement['shareline.ack.bitmap']), payload[32:64])
        self.assertEqual((number(acknowledgement['shareline.ack.range.begin']),
                          number(acknowledgement['shareline.ack.range.end'])), (4032, 5376))
        for name, value in (('cells', 2), ('cell_length', 64), ('rows', 1)):
            self.assertEqual(number(order['shareline.order.' + name]), value, name)
        self.assertEqual(octets(order['shareline.order.check']), known['keep_order'][80:96])

    def test_other_types(self):
        mask = struct.pack('>QIIHB13x', 7, 12, 1344, 3, 9) + bytes(range(32)) + bytes(16)
        gone = struct.pack('>BBHIQQ', 1, 0, 513, 1344, 99, 6400)
        ranges = struct.pack('>QQQQ', 64, 128, 192, 256)
        two = struct.pack('>BBHIIH10xQ32sQ', 2, 0, 513, 1, 2, 2, 3, bytes(32), 64) + ranges
        order, answer, stored = dissect([packet(3, mask), packet(5, gone), packet(4, two)])
        for name, value in (('job', 7), ('cells', 12), ('cell_length', 1344), ('round', 3), ('target', 9)):
            self.assertEqual(number(order['shareline.order.' + name]), value, name)
        self.assertEqual(octets(order['shareline.order.helpers']), bytes(range(32)))
        for name, value in (('type', 1), ('key_index', 513), ('length', 1344), ('number', 99),
                            ('d_offset', 6400)):
            self.assertEqual(number(answer['shareline.gone.' + name]), value, name)
        self.assertEqual([number(each) for each in stored['shareline.ack.range.begin']], [64, 192])
        self.assertEqual([number(each) for each in stored['shareline.ack.range.end']], [128, 256])

    def test_requests(self):
        known = vectors()
        names = ('read', 'seal', 'answer', 'ping', 'delete', 'contribution', 'challenge')
        raw = [known[name] for name in names]
        dissected = dissect(raw)
        expected = {
            'read': (('request', 0x5152535455565758), ('read.count', 3)),
            'seal': (('request', 0x6162636465666768), ('seal.cells', 33), ('seal.end', 33), ('seal.runs', 2)),
            'answer': (('answer.type', 6), ('answer.code', 4), ('answer.count', 1), ('answer.retry', 0),
                       ('request', 0x5152535455565758)),
            'ping': (('ping.d_below', 2688), ('ping.number_below', 77)),
            'delete': (('request', 0x7172737475767778),),
            'contribution': (('object', 0x1122334455667788), ('cell', 9)),
            'challenge': (('object', 0x1122334455667788), ('share', 4)),
        }
        for name, fields, each in zip(names, dissected, raw):
            self.check_header(fields, each)
            for field, value in expected[name]:
                self.assertEqual(number(fields['shareline.' + field]), value, f'{name} {field}')
        read, seal, answer = dissected[:3]
        self.assertEqual(octets(dissected[5]['shareline.payload']), known['contribution'][64:])
        self.assertEqual(octets(dissected[6]['shareline.challenge.seed']), known['challenge'][64:])
        self.assertEqual(octets(read['shareline.read.bitmap']), known['read'][80:112])
        self.assertEqual(octets(answer['shareline.answer.bitmap']), known['answer'][80:112])
        self.assertEqual([number(each) for each in seal['shareline.seal.run.first']], [9, 20])
        self.assertEqual([number(each) for each in seal['shareline.seal.run.attempt']], [1, 2])

    def test_what_is_wrong_is_marked(self):
        cases = {
            'shareline.malformed': [packet(2, bytes(31)), packet(3, bytes(81)), packet(4, bytes(71)),
                                    packet(4, struct.pack('>12xH58x', 65000)), packet(5, bytes(25)),
                                    packet(6, bytes(47)), packet(7, bytes(9)), packet(8, bytes(23)),
                                    packet(8, struct.pack('>16xH6x', 1)), packet(9, bytes(49)),
                                    packet(10, bytes(15)), packet(12, bytes(33))],
            'shareline.reserved_bits': [packet(1, bytes(64), reserved=1), packet(1, bytes(64), flags=4)],
            'shareline.alignment': [packet(1, bytes(64), d_offset=65)],
            'shareline.lower_protection': [packet(4, bytes(16), flags=1)],
        }
        for mark, packets in cases.items():
            for fields in dissect(packets):
                self.assertIn(mark, fields)
        for fields in dissect([packet(1, bytes(64)), vectors()['acknowledgement']]):
            self.assertFalse(set(cases) & set(fields), fields)

    def test_what_is_not_ours_is_left_alone(self):
        good = packet(1, bytes(64))
        others = [b'hello', good[:64], b'\2' + good[1:], good[:1] + b'\x0d' + good[2:],
                  packet(1, bytes(16321))]
        self.assertEqual(dissect(others), [{}] * len(others))
        self.assertTrue(dissect([packet(1, bytes(16320))])[0])

    def test_port(self):
        good = packet(1, bytes(64))
        self.assertEqual(dissect([good], port=9999), [{}])
        self.assertTrue(dissect([good], port=9999, options=['-o', 'shareline.port:9999'])[0])


if __name__ == '__main__':
    if not shutil.which('tshark'):
        print('skipped: tshark is not installed (scripts/bootstrap)')
        sys.exit(SKIPPED)
    unittest.main(verbosity=2)
