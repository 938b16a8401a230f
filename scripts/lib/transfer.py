#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Sends one file over TCP, through the kernel as any program would:

    transfer.py receive ADDRESS PORT FILE [WINDOW]     prints "ready" when it listens
    transfer.py send ADDRESS PORT FILE [WINDOW]

Both print a line of JSON at the end: bytes and seconds. WINDOW: bytes of the socket's buffer, for links that
hold little.
"""
import json
import socket
import sys
import time

CHUNK = 1 << 20
PATIENCE = 120


def limit(sock, window):
    if window:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, window)


def family(address):
    return socket.AF_INET6 if ':' in address else socket.AF_INET


def receive(address, port, path, window):
    with socket.socket(family(address)) as listener, open(path, 'wb', buffering=0) as file:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        limit(listener, window)
        listener.bind((address, port))
        listener.listen(1)
        listener.settimeout(PATIENCE)
        print('ready', flush=True)
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(PATIENCE)
            buffer = memoryview(bytearray(CHUNK))
            begun, total = time.monotonic(), 0
            while count := connection.recv_into(buffer):
                file.write(buffer[:count])
                total += count
            connection.sendall(b'.')  # all of it is here
            return total, time.monotonic() - begun


def send(address, port, path, window):
    with socket.socket(family(address)) as connection, open(path, 'rb') as file:
        limit(connection, window)
        connection.settimeout(PATIENCE)
        connection.connect((address, port))
        begun = time.monotonic()
        total = connection.sendfile(file)
        connection.shutdown(socket.SHUT_WR)
        if connection.recv(1) != b'.':
            sys.exit('the other end did not say that it has everything')
        return total, time.monotonic() - begun


if __name__ == '__main__':
    if len(sys.argv) not in (5, 6) or sys.argv[1] not in ('receive', 'send'):
        sys.exit(__doc__)
    work = receive if sys.argv[1] == 'receive' else send
    done, seconds = work(sys.argv[2], int(sys.argv[3]), sys.argv[4], int(sys.argv[5]) if sys.argv[5:] else 0)
    print(json.dumps({'bytes': done, 'seconds': seconds}), flush=True)
