# SPDX-License-Identifier: BSD-3-Clause
"""Networks of namespaces for tests and demonstrations: hosts and data planes joined by veth links.

    with Network() as network:
        a, b = network.namespace('a'), network.namespace('b')
        network.link(a, 'eth0', b, 'eth0', mtu=1500)
        a.address('eth0', '10.0.0.1/24')
        a.run('ping', '-c', '1', '10.0.0.2')

A namespace is held by a process of its own, and nothing has a name in the file system: when this program
ends, however it ends, the kernel takes all of it away. Needs root.
"""
import os
import shutil
import signal
import subprocess

TOOLS = {'ip': 'iproute2', 'ethtool': 'ethtool', 'nsenter': 'util-linux', 'unshare': 'util-linux',
         'setpriv': 'util-linux'}


class Unavailable(Exception):
    """This machine cannot make such networks; the text says what is missing and what to do."""


def require():
    """Raises Unavailable unless namespaces with veth links can be made here."""
    for tool, package in TOOLS.items():
        if not shutil.which(tool):
            raise Unavailable(f'{tool} is not installed (Debian package {package}: scripts/bootstrap)')
    if os.geteuid() != 0:
        raise Unavailable('network namespaces need root: run it with sudo')
    tried = subprocess.run(['unshare', '--net', 'ip', 'link', 'add', 'name', 'v0', 'type', 'veth',
                            'peer', 'name', 'v1'], stderr=subprocess.PIPE, text=True, check=False)
    if tried.returncode != 0:
        raise Unavailable('this system makes no network namespaces with veth links: ' + tried.stderr.strip())


class Namespace:
    """One network namespace. Processes that are started in it end when this program ends."""

    def __init__(self, name):
        self.name = name
        self._processes = []
        self._holder = subprocess.Popen(
            ['setpriv', '--pdeathsig', 'KILL', 'unshare', '--net', 'sh', '-c',
             'ip link set lo up && echo ready && exec sleep infinity'],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        if self._holder.stdout.readline() != 'ready\n':
            raise Unavailable(f'the network namespace {name} could not be made')

    @property
    def pid(self):
        """Of a process that is in it."""
        return self._holder.pid

    def command(self, *arguments):
        """The command line that runs `arguments` in here."""
        return ['nsenter', f'--net=/proc/{self.pid}/ns/net', '--', *map(str, arguments)]

    def run(self, *arguments, **options):
        """As subprocess.run; a failure is an exception that shows what the command said."""
        options.setdefault('check', True)
        options.setdefault('text', True)
        options.setdefault('stdout', subprocess.PIPE)
        options.setdefault('stderr', subprocess.PIPE)
        options.setdefault('stdin', subprocess.DEVNULL)
        options.setdefault('timeout', 120)
        check = options.pop('check')
        done = subprocess.run(self.command(*arguments), check=False, **options)
        if check and done.returncode != 0:
            raise RuntimeError(f'in {self.name}: {" ".join(map(str, arguments))} ended with '
                               f'{done.returncode}: {done.stderr or ""}{done.stdout or ""}')
        return done

    def start(self, *arguments, **options):
        """As subprocess.Popen. The process is killed when this program ends."""
        options.setdefault('stdin', subprocess.DEVNULL)
        process = subprocess.Popen(
            ['setpriv', '--pdeathsig', 'KILL', *self.command(*arguments)], **options)
        self._processes.append(process)
        return process

    def forget(self, process):
        """One that has ended: nobody need end it."""
        self._processes.remove(process)

    def address(self, interface, *addresses):
        """Gives an interface of the kernel addresses, such as '10.0.0.1/24'."""
        for each in addresses:
            extra = ['nodad'] if ':' in each else []
            self.run('ip', 'address', 'add', each, 'dev', interface, *extra)

    def close(self):
        """Ends what was started in here, then the namespace."""
        for process in self._processes:
            stop(process)
        self._holder.kill()
        self._holder.wait()
        self._holder.stdout.close()


class Network:
    """The namespaces of one test or demonstration."""

    def __init__(self):
        self._namespaces = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def namespace(self, name):
        """Makes a namespace; `name` is for messages only."""
        made = Namespace(name)
        self._namespaces.append(made)
        return made

    @staticmethod
    def link(first, first_interface, second, second_interface, mtu=1500, offloads=False):
        """A veth pair between two namespaces, up at both ends. Without offloads what is sent on it is what a
        wire would carry, with its checksums, in frames of at most the MTU. With them checksums are left open
        and datagrams of a flow may cross as one frame, as between kernels and packet_socket ports."""
        first.run('ip', 'link', 'add', 'name', first_interface, 'mtu', mtu, 'type', 'veth',
                  'peer', 'name', second_interface, 'mtu', mtu, 'netns', second.pid)
        for namespace, interface in ((first, first_interface), (second, second_interface)):
            if not offloads:
                namespace.run('ethtool', '-K', interface, 'tx', 'off', 'rx', 'off', 'tso', 'off', 'gso',
                              'off', 'gro', 'off')
            namespace.run('ip', 'link', 'set', 'dev', interface, 'up')

    @staticmethod
    def quiet(namespace, interface):
        """Keeps the kernel itself from sending on an interface that a data plane drives."""
        namespace.run('ip', 'link', 'set', 'dev', interface, 'arp', 'off')
        path = f'/proc/sys/net/ipv6/conf/{interface}/disable_ipv6'
        namespace.run('sh', '-c', f'if [ -e {path} ]; then echo 1 >{path}; fi')

    def close(self):
        """Ends everything. May be called again."""
        while self._namespaces:
            self._namespaces.pop().close()


def stop(process, seconds=10):
    """Ends a process: asks it to, then kills it. Returns its exit code."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for stream in (process.stdout, process.stderr, process.stdin):
        if stream is not None:
            stream.close()
    return process.returncode
