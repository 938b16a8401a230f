#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A second implementation of docs/wire-format.md, slow and of nothing but the standard library.

Prints the worked examples, or with --check FILE... ends with 1 unless every line of them stands in each file.
"""
import struct
import sys

R = 0xE1 << 120


def multiply(x, y):
    """NIST SP 800-38D, algorithm 1: bit 0 is the leftmost."""
    z = 0
    for i in range(127, -1, -1):
        if x >> i & 1:
            z ^= y
        y = (y >> 1) ^ (R if y & 1 else 0)
    return z


def padded(data):
    return data + bytes(-len(data) % 16)


def tag(r, mask, header, ciphertext):
    message = padded(header) + padded(ciphertext) + struct.pack('>QQ', 8 * len(header), 8 * len(ciphertext))
    y = 0
    for i in range(0, len(message), 16):
        y = multiply(y ^ int.from_bytes(message[i:i + 16], 'big'), int.from_bytes(r, 'big'))
    return xor(y.to_bytes(16, 'big'), mask)


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


def d_stream(begin, length):
    return bytes((i * 7 + 1) & 255 for i in range(begin, begin + length))


def a_stream(begin, length):
    return bytes((i * 13 + 5) & 255 for i in range(begin, begin + length))


def header(kind, number, d_offset, share):
    return struct.pack('>BBHIQQQIIHBB4x', 1, kind, 7, 0x01020304, number, d_offset, 0x1122334455667788, 9, 2, 1,
                       share, 0)


def packet(head, number, payload):
    mask = a_stream(16 + 16 * number, 16)
    return head + tag(a_stream(0, 16), mask, head, payload) + payload


def examples():
    plaintext = bytes(range(64))
    yield 'plaintext', plaintext
    yield 'cell', packet(header(1, 0, 0, 3), 0, xor(plaintext, d_stream(0, 64)))

    acknowledgement = struct.pack('>BBHIIH10xQ32sQQQ', 1, 0, 9, 250, 1000, 1, 77,
                                  bytes([0xFF, 0x0F]) + bytes(30), 2688, 4032, 5376)
    yield 'acknowledgement', packet(header(4, 1, 0, 0), 1, acknowledgement)

    head = header(2, 2, 64, 3)
    fields = struct.pack('>IIH6x', 2, 64, 1)
    kept = d_stream(64, 128)
    check = tag(d_stream(192, 16), d_stream(208, 16), header(2, 0, 64, 3) + fields, kept)
    yield 'kept', kept
    yield 'keep_order', packet(head, 2, fields + check)

    yield 'read', packet(header(6, 3, 0, 3), 3, struct.pack('>QH6x32s', 0x5152535455565758, 3,
                                                            bytes([5]) + bytes(31)))
    yield 'seal', packet(header(8, 4, 0, 3), 4, struct.pack('>QIIH6xIH2xIH2x', 0x6162636465666768, 33, 33, 2,
                                                            9, 1, 20, 2))
    yield 'answer', packet(header(9, 5, 0, 3), 5, struct.pack('>BBHIQ32s', 6, 4, 1, 0, 0x5152535455565758,
                                                              bytes([1]) + bytes(31)))
    yield 'ping', packet(header(10, 6, 0, 0), 6, struct.pack('>QQ', 2688, 77))
    yield 'delete', packet(header(7, 7, 0, 0), 7, struct.pack('>Q', 0x7172737475767778))
    yield 'contribution', packet(header(11, 8, 256, 4), 8, xor(plaintext, d_stream(256, 64)))
    yield 'challenge', packet(header(12, 9, 0, 4), 9, bytes(range(0x80, 0xA0)))


def lines():
    for name, value in examples():
        yield f'{name}:'
        for i in range(0, len(value), 16):
            yield f'  {i:3}  ' + value[i:i + 16].hex(' ')


def main():
    if sys.argv[1:2] != ['--check']:
        print('\n'.join(lines()))
        return 0
    missing = 0
    for name in sys.argv[2:]:
        with open(name, encoding='ascii') as file:
            have = file.read()
        if '\n'.join(lines()) not in have:
            print(f'{name}: does not have the examples as they are now')
            missing = 1
    return missing


if __name__ == '__main__':
    sys.exit(main())
