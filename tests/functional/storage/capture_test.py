#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Everything that an SSA sends and receives is recorded while objects of known data are written and read
over links that lose, with processes killed in between. What somebody at the wire, or with fewer than k
stores, sees is looked at (wire_oracle.py): no pad, mask or nonce served twice, nothing shows the data."""

import os
import signal
import subprocess
import sys

from bad_bridge import BadBridge, lose
from support import HERE, StorageTest, main, stop, wait_for
from wire_oracle import Violation, WireOracle, check_noise, check_oracle, read_pcap, xor

CAPTURE = os.path.join(HERE, '..', '..', '..', 'scripts', 'lib', 'capture.py')
CELL_BYTES = 1344
PATTERN = 0x5A
SIZE = 300 * CELL_BYTES


class Capture(StorageTest):
    """One recorded run; tests look at it."""

    parts = {'device': 'net_af_packet0'}  # a packet in each frame

    @classmethod
    def configure(cls, network):
        network.ssa.configuration['ssa']['minimum_t'] = 0  # one object hides nothing

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.path_of_capture = os.path.join(cls.folder.name, 'ssa.pcap')
        port = cls.network.ports['data', 's']
        recorder = cls.network.bridges.start(sys.executable, CAPTURE, port, '100000000', cls.path_of_capture,
                                             stdout=subprocess.PIPE, text=True)
        recorder.stdout.readline()
        case = cls('transfers')
        try:
            case.transfers()
        finally:
            recorder.send_signal(signal.SIGTERM)
            stop(recorder)
        cls.packets = list(read_pcap(cls.path_of_capture))

    def object(self, content, name, *arguments):
        path = self.path(name)
        with open(path, 'wb') as file:
            file.write(content)
        self.network.ssn('put', path, name, *arguments)
        self.check(path, name)
        return path, name

    def transfers(self):
        """Not a test: what is recorded."""
        bridge = BadBridge(self.network)
        if bridge.missing() is None:
            bridge.set(lose(30))
        pattern = bytes([PATTERN]) * SIZE
        # The erasure code hides nothing: of these only the pads hide anything.
        bare = self.object(pattern, 'bare', '--scheme', 'rs', '-k', '3', '-n', '5')
        self.object(pattern, 'shared')
        self.object(pattern, 'kept', '--pad-shares', 'yes')
        holder = self.network.holders[0]
        holder.kill()
        self.check(*bare)
        self.start_again(holder)
        self.network.ssa.kill()
        self.start_again(self.network.ssa)
        # Killed in the middle of a write, which is then made again.
        path = self.path('again')
        with open(path, 'wb') as file:
            file.write(pattern)
        writer = self.network.owner.start(self.network.programs.ssn, 'put', path, 'again', '--config',
                                          self.network.owner_file, stderr=subprocess.DEVNULL)
        wait_for(lambda: self.network.ssa.counters('ssa.').get('ssa.cells_split', 0) > 20 or
                 writer.poll() is not None, 'the first cells')
        self.network.holders[1].kill()
        writer.wait(60)
        self.start_again(self.network.holders[1])
        self.object(pattern, 'again', '--scheme', 'rs', '-k', '3', '-n', '5')
        bridge.heal()
        for node in self.network.nodes:
            alarms = [value for key, value in node.counters().items() if key.endswith('.alarms')]
            self.assertTrue(alarms, node.name)
            self.assertEqual(sum(alarms), 0, node.name)

    def test_the_oracle_notices(self):
        """five planted violations; what is not sealed is no noise"""
        check_oracle(self.packets)
        for plain in (bytes([PATTERN]) * 20_000, b'what lies in one store tells nothing. ' * 600):
            with self.assertRaises(Violation):
                check_noise([plain], 'the data itself')

    def test_nothing_serves_twice(self):
        """no packet number, no pad range, in any stream of any epoch; retransmissions were among it"""
        oracle = WireOracle(self.packets)
        oracle.check()
        streams = {each.stream for each in self.packets}
        self.assertGreater(len(streams), 2 * 5)
        self.assertGreater(len(self.packets), 5000)
        self.assertGreater(oracle.repeated_ranges, 20)
        print(f'{len(self.packets)} packets of {len(streams)} streams, {oracle.repeated_ranges} sent again')

    def test_ciphertext_is_noise(self):
        """of one constant: two ranges with one pad, anywhere, would show the same block twice"""
        cells = [payload for _, payload in WireOracle(self.packets).cells()]
        check_noise(cells, 'cells on the wire')
        check_noise([xor(each, bytes([PATTERN]) * len(each)) for each in cells], 'cells without the data')
        check_noise(WireOracle(self.packets).under_gcm(), 'what owners and the SSA send each other')

    def test_sums_are_noise(self):
        """so are sums of the shares of one cell, as they were on the wire"""
        shares = {}
        for (name, generation, attempt, share, cell), payload in WireOracle(self.packets).cells():
            shares.setdefault((name, generation, attempt, cell), {}).setdefault(share, payload)
        for members in ((1, 2), (1, 2, 3), (2, 4, 5)):
            sums = []
            for each in shares.values():
                if all(member in each for member in members):
                    total = each[members[0]]
                    for member in members[1:]:
                        total = xor(total, each[member])
                    sums.append(total)
            check_noise(sums, f'sums of shares {members}')

    def test_stores_are_noise(self):
        """what lies in one store, and the difference of two, has nothing to do with the data"""
        pattern = bytes([PATTERN]) * 32
        stores = []
        for holder in self.network.holders:
            blobs = []
            for folder, _, names in os.walk(holder.store_folder):
                for each in names:
                    with open(os.path.join(folder, each), 'rb') as file:
                        content = file.read()
                    self.assertNotIn(pattern, content, each)
                    if len(content) > 500_000:
                        blobs.append(content.rstrip(b'\0'))  # preallocated files end with zeros
            self.assertTrue(blobs, holder.name)
            stores.append(blobs)
            self.assertLess(self.distance(b''.join(blobs)), 0.02, holder.name)
        for one, other in ((0, 1), (2, 4)):
            self.assertLess(self.distance(b''.join(map(xor, stores[one], stores[other]))), 0.02)

    @staticmethod
    def distance(data):
        """Of the byte values' distribution from the even one; some bytes between records are no noise."""
        return sum(abs(data.count(bytes([value])) / len(data) - 1 / 256) for value in range(256)) / 2


if __name__ == '__main__':
    main(Capture)
