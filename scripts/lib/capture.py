#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Writes what an interface carries into a pcap file that Wireshark reads:

    capture.py INTERFACE COUNT FILE [SNAP]

Prints "ready", then ends after COUNT frames or at SIGTERM. SNAP: bytes that are kept of each.
"""
import signal
import socket
import struct
import sys
import time

ETH_P_ALL = 3
ETHERNET = 1


def main(interface, count, path, snap):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as wire, \
            open(path, 'wb') as file:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        wire.bind((interface, ETH_P_ALL))
        file.write(struct.pack('<IHHiIII', 0xA1B2C3D4, 2, 4, 0, 0, snap, ETHERNET))
        print('ready', flush=True)
        for _ in range(count):
            frame = wire.recv(65536)
            now = time.time_ns() // 1000
            kept = frame[:snap]
            file.write(struct.pack('<IIII', now // 1000000, now % 1000000, len(kept), len(frame)) + kept)
            file.flush()


if __name__ == '__main__':
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]) if sys.argv[4:] else 65535)
