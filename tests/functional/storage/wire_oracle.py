# SPDX-License-Identifier: BSD-3-Clause
"""Looks at recorded packets of a storage network as somebody at the wire would, and finds promises broken
(docs/wire-format.md): a number, a pad range or a nonce that served twice, and bytes that tell of the data.

    oracle = WireOracle(packets of a capture); oracle.check()     raises Violation
"""

import collections
import struct
import typing

PORTS = (4404, 4405)  # between nodes, and for owners
HEADER, TAG, GRANULE = 48, 16, 64
CELL, KEEP_ORDER, MASK_ORDER, CONTRIBUTION = 1, 2, 3, 11
GCM = 1  # flag
ORDER_CHECK = 32
# Chi-square of 256 byte values: 255 expected, deviation 22.6; beyond this once in more than 10^9 tries.
CHI_SQUARE_MOST = 255 + 6.5 * 22.6


class Violation(AssertionError):
    pass


class Packet(typing.NamedTuple):
    source: bytes
    sink: bytes
    kind: int
    key_index: int
    connection: int
    number: int
    d_offset: int
    place: tuple  # object, generation, attempt, share, cell
    flags: int
    tag: bytes
    payload: bytes

    @property
    def stream(self):
        """Whose pads, masks and numbers these are."""
        return self.source, self.sink, self.connection, self.key_index


def read_pcap(path):
    with open(path, 'rb') as file:
        file.seek(24)
        while len(head := file.read(16)) == 16:
            frame = file.read(struct.unpack('<IIII', head)[2])
            packet = parse(frame)
            if packet:
                yield packet


def parse(frame):
    """A packet of ours in an IPv4 frame, or None."""
    if frame[12:15] != b'\x08\x00\x45' or frame[23] != 17:
        return None
    source_port, sink_port, length = struct.unpack_from('>HHH', frame, 34)
    if not {source_port, sink_port} & set(PORTS) or len(frame) < 34 + length or length < 8 + HEADER + TAG:
        return None
    data = frame[42:34 + length]
    version, *ids, name, cell, generation, attempt, share, flags, _ = struct.unpack(
        '>BBHIQQQIIHBBI', data[:HEADER])
    if version != 1:
        return None
    return Packet(frame[26:30], frame[30:34], *ids, (name, generation, attempt, share, cell), flags,
                  data[HEADER:HEADER + TAG],
                  data[HEADER + TAG:])


def whole(length):
    return -(-length // GRANULE) * GRANULE


def xor(one, other):
    size = min(len(one), len(other))
    return (int.from_bytes(one[:size], 'big') ^ int.from_bytes(other[:size], 'big')).to_bytes(size, 'big')


def chi_square(data):
    expected, counts = len(data) / 256, collections.Counter(data)
    return sum((counts[value] - expected) ** 2 for value in range(256)) / expected


def check_noise(chunks, what):
    """Like noise: all values equally often, no block of 16 bytes twice, no relation of neighbours."""
    data = b''.join(chunks)
    if len(data) < 10_000:
        raise Violation(f'{what}: {len(data)} bytes say nothing')
    for name, each in (('values', data), ('neighbours', xor(data[1:], data[:-1]))):
        found = chi_square(each)
        if found > CHI_SQUARE_MOST:
            raise Violation(f'{what}: chi-square of its {name} is {found:.0f}')
    blocks = collections.Counter(each[at:at + 16] for each in chunks for at in range(0, len(each) - 15, 16))
    if blocks.most_common(1)[0][1] > 1:
        raise Violation(f'{what}: a block of 16 bytes is there twice')


class WireOracle:
    def __init__(self, packets):
        self.packets = list(packets)
        self.repeated_ranges = 0  # retransmissions that were seen

    def check(self):
        self.check_numbers()
        self.check_ranges()

    def check_numbers(self):
        """Under one key each packet number is that of one packet; under AES-256-GCM that is the nonce."""
        seen = {}
        for each in self.packets:
            # An owner's session has its keys for itself; under GCM between nodes the key lies at d_offset.
            key = (*each.stream, each.flags & GCM, each.number)
            if seen.setdefault(key, each) != each:
                raise Violation(f'packet number {each.number} of connection {each.connection:08x} key index '
                                f'{each.key_index} served two packets: {seen[key][2:10]}, {each[2:10]}')

    def ranges(self):
        """Stream -> {begin of a range: what lies under it}; orders take pad as well."""
        streams = collections.defaultdict(dict)
        for each in self.packets:
            if each.flags & GCM or each.kind not in (CELL, KEEP_ORDER, MASK_ORDER, CONTRIBUTION):
                continue
            length = whole(len(each.payload))
            if each.kind == KEEP_ORDER:
                cells, cell_length, rows = struct.unpack_from('>IIH', each.payload)
                length = whole(cells * cell_length * rows + ORDER_CHECK)
            elif each.kind == MASK_ORDER:
                cells, cell_length = struct.unpack_from('>II', each.payload, 8)
                length = whole(cells * cell_length + ORDER_CHECK)
            under = (length, each.kind, each.place, each.payload)
            before = streams[each.stream].setdefault(each.d_offset, under)
            if before != under:
                raise Violation(f'the pad at {each.d_offset} of connection {each.connection:08x} key index '
                                f'{each.key_index} served two messages: {before[1:3]}, {under[1:3]}')
            self.repeated_ranges += before is not under
        return streams

    def check_ranges(self):
        """A pad range carries one message, in whatever packets; no two ranges touch the same pad."""
        for stream, ranges in self.ranges().items():
            begins = sorted(ranges)
            for one, other in zip(begins, begins[1:]):
                if one + ranges[one][0] > other:
                    raise Violation(f'pad ranges at {one} and {other} of {stream} overlap')

    def cells(self):
        """What lay under each pad range: (place, ciphertext), once."""
        return [(each[2], each[3]) for ranges in self.ranges().values() for each in ranges.values()
                if each[1] == CELL]

    def under_gcm(self):
        return [each.payload for each in self.packets if each.flags & GCM and len(each.payload) >= 64]


def check_oracle(packets):
    """Plants violations in a good capture; each must be noticed."""
    good = [each for each in packets if each.kind == CELL and not each.flags & GCM][:200]
    first, second = good[0], next(each for each in good[1:] if each.stream == good[0].stream)
    last = max(each.number for each in packets) + 1
    other = bytes(reversed(first.payload))
    planted = {
        'a pad under two messages': first._replace(number=last, payload=other),
        'a pad under two places': first._replace(number=last, place=(*first.place[:4], first.place[4] + 1)),
        'a pad range within another': first._replace(number=last, d_offset=first.d_offset + 64),
        'a packet number twice': second._replace(number=first.number),
        'a tag under a used mask': first._replace(tag=bytes(16)),
    }
    WireOracle(good).check()
    for name, packet in planted.items():
        try:
            WireOracle([*good, packet]).check()
        except Violation:
            continue
        raise AssertionError(f'the oracle does not notice {name}')
