# SPDX-License-Identifier: BSD-3-Clause
"""Demonstrations: their command line, and what they show on a screen: headings, progress, tables, nodes of a
graph, accounts of keys."""
import argparse
import os
import signal
import sys

import network as namespaces


class Failed(Exception):
    """Something did not go as it should."""


class Screen:
    """Headings and lines as scripts/quickstart prints them."""

    def __init__(self, number):
        self.number = number
        self.terminal = sys.stdout.isatty()
        plain = not self.terminal or os.environ.get('NO_COLOR') or os.environ.get('TERM', 'dumb') == 'dumb'
        self.bold, self.normal = ('', '') if plain else ('\033[1m', '\033[0m')

    def heading(self, text):
        print(f'{self.bold}[{self.number}] {text}{self.normal}', flush=True)
        self.number += 1

    @staticmethod
    def line(text=''):
        print(f'  {text}'.rstrip(), flush=True)

    def block(self, text, only=lambda line: True):
        for line in text.rstrip('\n').split('\n'):
            if only(line):
                self.line('  ' + line)

    def progress(self, text, last=False):
        """Overwrites itself on a terminal; elsewhere only the last one is shown."""
        if self.terminal:
            print('\r\033[K  ' + text, end='\n' if last else '', flush=True)
        elif last:
            self.line(text)


def table(rows, right):
    """Rows of texts as lines; columns in `right` are flush right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ['  '.join(cell.rjust(width) if column in right else cell.ljust(width)
                      for column, (cell, width) in enumerate(zip(row, widths))).rstrip() for row in rows]


def per_second(count, seconds):
    bits = 8 * count / max(seconds, 1e-3)
    return f'{bits / 1e9:.2f} Gb/s' if bits >= 1e9 else f'{bits / 1e6:.0f} Mb/s'


def busy_nodes(graph):
    """The nodes that take most of the time, as lines."""
    busy = sorted((node for node in graph['nodes'] if node['packets']),
                  key=lambda node: -node['cycles'])
    total = sum(node['cycles'] for node in busy) or 1
    rows = [('node', 'packets', 'a call', 'cycles a packet', 'of all')]
    for node in busy:
        if 200 * node['cycles'] < total:
            break  # less than half a percent
        rows.append((node['name'], str(node['packets']),
                     f'{node["packets"] / max(node["calls"], 1):.1f}',
                     f'{node["cycles"] / node["packets"]:.0f}', f'{100 * node["cycles"] / total:.0f} %'))
    return table(rows, {1, 2, 3, 4})


def key_account(counters, together=False):
    """The key streams as lines, or `together` those of all peers; an exception where one does not balance."""
    lines = {}
    for name in (each[:-len('.fetched')] for each in counters if each.endswith('.fetched')):
        fetched, *parts = (
            counters[f'{name}.{what}'] for what in ('fetched', 'used', 'kept', 'discarded', 'left'))
        if fetched != sum(parts):
            raise Failed(f'the account of {name} does not balance: {counters}')
        lines.setdefault(name.rsplit('.', 1)[1] if together else name, []).append((fetched, *parts))
    if not lines:
        raise Failed('there is no account of keys')
    rows = [('bytes of', 'fetched', 'used', 'kept', 'discarded', 'left')]
    rows += [(name + (f', {len(streams)} streams' if together else ''),
              *(str(sum(column)) for column in zip(*streams))) for name, streams in lines.items()]
    return table(rows, {1, 2, 3, 4, 5})


def demonstrate(description, what, demonstration):
    """The command line of a demonstration: demonstration(options, screen).run(), in network namespaces."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('--build', required=True, help='build directory with the programs')
    parser.add_argument('--file', required=True, help='what to send or store')
    parser.add_argument('--folder', required=True, help='an empty folder to work in')
    parser.add_argument('--number', type=int, default=1, help='of the first heading')
    options = parser.parse_args()
    for name in ('build', 'file', 'folder'):
        setattr(options, name, os.path.realpath(getattr(options, name)))
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda signum, _: sys.exit(128 + signum))
    try:
        namespaces.require()
        demonstration(options, Screen(options.number)).run()
    except namespaces.Unavailable as problem:
        sys.exit(f'quickstart: cannot show {what}: {problem}')
    except (Failed, RuntimeError) as problem:
        sys.exit(f'quickstart: {problem}')
    except KeyboardInterrupt:
        sys.exit(130)
