# SPDX-License-Identifier: BSD-3-Clause
"""The programs of a network, each started in a namespace and asked as an operator would: key managers, and
the data plane of one node. What they are joined to is for wire_network.py to say."""
import json
import os
import signal
import subprocess
import time
import typing

from network import stop

READY_SECONDS = 60


class Programs(typing.NamedTuple):
    """Where the programs are."""
    ssn: str
    kme: str
    dataplane: str
    controller: str

    @classmethod
    def built(cls, build):
        """Those of a build directory."""
        return cls(*(os.path.join(build, *each) for each in (
            ('control', 'cli', 'ssn'), ('control', 'kme', 'ssn-kme'), ('dataplane', 'ssn-dataplane'),
            ('control', 'controller', 'ssn-controller'))))

    @classmethod
    def beside(cls, ssn):
        """Those that belong to this `ssn`: of its build directory, or installed where it is."""
        folder = os.path.dirname(ssn)
        installed = cls(ssn, *(os.path.join(folder, name)
                               for name in ('ssn-kme', 'ssn-dataplane', 'ssn-controller')))
        return installed if os.path.exists(installed.dataplane) else \
            cls.built(os.path.join(folder, '..', '..'))


def toml(tree, path=()):
    """A tree of dictionaries, lists and values as lines of TOML."""
    def is_table(value):
        return isinstance(value, dict) or isinstance(value, list) and value and isinstance(value[0], dict)
    lines = [f'{key} = {json.dumps(value)}' for key, value in tree.items() if not is_table(value)]
    for key, value in tree.items():
        name = '.'.join((*path, key))
        if isinstance(value, dict):
            lines += [f'[{name}]', *toml(value, (*path, key))]
        elif is_table(value):
            for each in value:
                lines += [f'[[{name}]]', *toml(each, (*path, key))]
    return lines


def last_lines(path, count=15):
    with open(path, encoding='utf-8', errors='replace') as file:
        return ''.join(file.readlines()[-count:])


def wait_for(condition, what, seconds=READY_SECONDS):
    """Calls until it gives something; an exception says what was waited for: a text, or what gives it."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f'waited {seconds} s in vain for {what() if callable(what) else what}')
        time.sleep(0.02)


def remove(path):
    """A file that may not be there."""
    try:
        os.remove(path)
    except FileNotFoundError:
        pass


def cpus():
    """What this process may run on."""
    return sorted(os.sched_getaffinity(0))


class KeyManagers:
    """An ssn-kme for all sites, in a namespace and a folder of its own."""

    def __init__(self, programs, folder, namespace, sites='ab'):
        self.programs, self.folder, self.namespace = programs, folder, namespace
        self.process = None
        self.log = self.path('kme.log')
        subprocess.run([programs.ssn, 'kme', 'init', '-q', '--out', folder, '--sites', ','.join(sites),
                        '--port', '0'], check=True, stdin=subprocess.DEVNULL)

    def path(self, name):
        return os.path.join(self.folder, name)

    def start(self, wait=True):
        remove(self.path('ready.json'))  # one that was killed left it there
        with open(self.log, 'ab') as output:
            self.process = self.namespace.start(self.programs.kme, '--config', self.path('kme.toml'),
                                                '--ready-file', self.path('ready.json'), stderr=output,
                                                stdout=output)
        if wait:
            self.wait_ready()

    def wait_ready(self):
        def is_ready():
            if self.process.poll() is not None:
                raise RuntimeError(f'ssn-kme ended with {self.process.returncode}: {last_lines(self.log)}')
            return os.path.exists(self.path('ready.json'))
        wait_for(is_ready, 'ssn-kme to be ready')

    def kill(self):
        """As a crash would."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        stop(self.process)

    def command(self, *arguments):
        """ssn kme ...; what it said."""
        return subprocess.run([self.programs.ssn, 'kme', *map(str, arguments), '--socket',
                               self.path('control.sock')], check=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, text=True, timeout=60).stdout


class DataPlane:
    """An ssn-dataplane: its configuration as a tree, which may be changed before start(), its process, and
    what its agent says."""

    def __init__(self, programs, folder, namespace, name, cpu):
        self.programs, self.namespace, self.name = programs, namespace, name
        self.file = os.path.join(folder, f'{name}.toml')
        self.log = os.path.join(folder, f'{name}.log')
        # DPDK's run-time files go here, so that nothing is left where even the process is killed.
        self.runtime = os.path.join(folder, f'run-{name}')
        os.mkdir(self.runtime)
        self.process, self.is_ready = None, False
        self.environment = {}  # what it gets beside ours
        self.configuration = {
            'node': {'name': name, 'ledger': f'{name}.ledger'},
            'eal': {'memory': '128 MiB', 'file_prefix': f'ssn-{os.getpid()}-{name}'},
            'workers': {'cores': str(cpu)},
        }

    def join_keys(self, keys, site, address):
        """Gives it the keys and certificates of a site, and an agent at `address`."""
        self.configuration['agent'] = {
            'listen': address, 'socket': f'{self.name}.agent.sock',
            'certificate': keys.path(f'{self.name}.crt'), 'key': keys.path(f'{self.name}.key'),
            'ca': keys.path('ca.crt'), 'operators': ['operator']}
        self.configuration['key_device'] = [
            {'driver': 'kmnic', 'settings': {'socket': keys.path(f'kmnic-{site}.sock')}}]

    def write(self):
        with open(self.file, 'w', encoding='utf-8') as file:
            file.write('\n'.join([*toml(self.configuration), '']))

    def start(self, *arguments, wait=True):
        """Starts the process with the configuration as it is now."""
        self.write()
        self.is_ready = False
        with open(self.log, 'ab') as output:
            self.process = self.namespace.start(self.programs.dataplane, '--config', self.file, *arguments,
                                                stdout=output, stderr=output,
                                                env=dict(os.environ, RUNTIME_DIRECTORY=self.runtime,
                                                         **self.environment))
        if wait:
            self.wait_ready()

    def check(self):
        """That the process lives."""
        if self.process.poll() is not None:
            raise RuntimeError(f'ssn-dataplane of {self.name} ended with {self.process.returncode}: '
                               f'{last_lines(self.log)}')

    def wait_ready(self):
        """Until its agent answers."""
        def answers():
            self.check()
            return self._ask('status').returncode == 0
        wait_for(answers, lambda: f'ssn-dataplane of {self.name}; it said: {last_lines(self.log)}')
        self.is_ready = True

    def kill(self):
        """As a crash would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        """As an operator would. The exit code."""
        return stop(self.process, 30)

    def _ask(self, *arguments):
        return subprocess.run([self.programs.ssn, 'dataplane', *map(str, arguments), '--config', self.file],
                              check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=60)

    def ask(self, *arguments):
        """ssn dataplane ...; what it said."""
        done = self._ask(*arguments)
        if done.returncode != 0:
            self.check()
            raise RuntimeError(f'ssn dataplane {" ".join(map(str, arguments))} for {self.name} ended with '
                               f'{done.returncode}: {done.stderr}')
        return done.stdout

    def counters(self, prefix=''):
        """Name: value."""
        said = json.loads(self.ask('counters', '--json', *(['--prefix', prefix] if prefix else [])))
        return {each['name']: each['value'] for each in said['counters']}

    def status(self):
        return json.loads(self.ask('status', '--json'))

    def graph(self):
        return json.loads(self.ask('graph', '--json'))['graphs']

    def resident_kib(self):
        """Memory that the process has in use."""
        with open(f'/proc/{self.process.pid}/status', encoding='ascii') as file:
            return next(int(line.split()[1]) for line in file if line.startswith('VmRSS:'))
