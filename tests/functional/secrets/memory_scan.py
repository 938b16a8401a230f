# SPDX-License-Identifier: BSD-3-Clause
"""Looks for secrets in the memory of a process and in files.

    from memory_scan import scan_process, scan_files, CannotScan
    hits = scan_process(process.pid, {"pad": pad_bytes})      # {"pad": [(address, mapping), ...]}
    hits = scan_files(["/dev/hugepages", folder], {"pad": pad_bytes})

A needle should be random and at least 16 bytes long, or it is found by chance. The process should stand still
in what it does with the secret: wait for the event that ends its use first.
"""

import os
import re

BLOCK = 1 << 22
NEEDLE_BYTES = 16  # the least
HITS_MAX = 16  # of one needle: enough to see where


class CannotScan(Exception):
    """This user may not read that memory."""


def _check(needles):
    for name, needle in needles.items():
        if len(needle) < NEEDLE_BYTES:
            raise ValueError("the needle %s has %d bytes, which are found by chance" % (name, len(needle)))


def _search(read, length, needles, found):
    """Calls found(name, offset) for each needle in the `length` bytes that read(offset, size) gives."""
    overlap = max(len(needle) for needle in needles.values()) - 1
    offset = 0
    while offset < length:
        data = read(offset, min(BLOCK + overlap, length - offset))
        if not data:
            return
        for name, needle in needles.items():
            at = data.find(needle)
            while at >= 0 and at < BLOCK:
                found(name, offset + at)
                at = data.find(needle, at + 1)
        offset += BLOCK


def mappings(pid):
    """(start, end, name) of everything readable that is mapped, but for what the kernel lends."""
    with open("/proc/%d/maps" % pid, encoding="utf-8", errors="replace") as file:
        for line in file:
            match = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+ *(.*)", line)
            name = match.group(4)
            if "r" in match.group(3) and name not in ("[vvar]", "[vvar_vclock]", "[vsyscall]", "[vdso]"):
                yield int(match.group(1), 16), int(match.group(2), 16), name


def scan_process(pid, needles):
    """Where in its memory each needle lies: {name: [(address, mapping), ...]}; without a hit, no name."""
    _check(needles)
    hits = {}
    scanned = 0
    try:
        memory = os.open("/proc/%d/mem" % pid, os.O_RDONLY)
        regions = list(mappings(pid))
    except PermissionError as error:
        raise CannotScan("only root may read the memory of this process: %s" % error) from error
    try:
        for start, end, mapping in regions:
            def read(offset, size, base=start):
                nonlocal scanned
                try:
                    data = os.pread(memory, size, base + offset)
                except OSError:
                    return b""  # a guard page, or gone since
                scanned += len(data)
                return data

            def found(name, offset, base=start, where=mapping):
                if len(hits.setdefault(name, [])) < HITS_MAX:
                    hits[name].append((base + offset, where))
            _search(read, end - start, needles, found)
    finally:
        os.close(memory)
    if scanned == 0:
        raise CannotScan("nothing of process %d could be read" % pid)
    return hits


def scan_files(folders, needles):
    """Where in the regular files below the folders each needle lies: {name: [(offset, path), ...]}."""
    _check(needles)
    hits = {}
    for folder in folders:
        for top, _, names in os.walk(folder):
            for path in (os.path.join(top, name) for name in names):
                if not os.path.isfile(path) or os.path.islink(path):
                    continue
                with open(path, "rb") as file:
                    def read(offset, size, source=file):
                        source.seek(offset)
                        return source.read(size)

                    def found(name, offset, where=path):
                        if len(hits.setdefault(name, [])) < HITS_MAX:
                            hits[name].append((offset, where))
                    _search(read, os.path.getsize(path), needles, found)
    return hits
