# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of ssn-kme share. Each test file is a program: NAME_test.py SSN_KME SSN."""

import base64
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import unittest

SSN_KME = os.path.realpath(sys.argv[1]) if len(sys.argv) > 1 else ""
SSN = os.path.realpath(sys.argv[2]) if len(sys.argv) > 2 else ""
JSON = {"Content-Type": "application/json"}


def main():
    if not (os.access(SSN_KME, os.X_OK) and os.access(SSN, os.X_OK)):
        print("usage: %s SSN_KME SSN" % sys.argv[0], file=sys.stderr)
        sys.exit(2)
    runner = unittest.TextTestRunner(stream=sys.stdout, verbosity=2)
    result = runner.run(unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"]))
    sys.exit(0 if result.wasSuccessful() and result.testsRun else 1)


def wait_for(condition, what, seconds=30):
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("waited %d s in vain for %s" % (seconds, what))
        time.sleep(0.01)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body.decode("utf-8"))

    def keys(self):
        return [(k["key_ID"], base64.b64decode(k["key"], validate=True)) for k in self.json()["keys"]]


class Network:
    """A folder made by `ssn kme init`, and the processes that serve it."""

    def __init__(self, sites="a,b", port=0, edit=None):
        self.top = tempfile.mkdtemp(prefix="kme-")
        self.dir = os.path.join(self.top, "n")
        subprocess.run([SSN, "kme", "init", "-q", "--out", self.dir, "--sites", sites, "--port", str(port)],
                       check=True)
        if edit:
            with open(self.path("kme.toml"), encoding="utf-8") as file:
                text = file.read()
            with open(self.path("kme.toml"), "w", encoding="utf-8") as file:
                file.write(edit(text))
        self.processes = []
        self.ports = {}

    def path(self, name):
        return os.path.join(self.dir, name)

    def start(self, *sites, wait=True):
        ready = self.path("ready-%d.json" % len(self.processes))
        arguments = [SSN_KME, "--config", self.path("kme.toml"), "--ready-file", ready]
        for site in sites:
            arguments += ["--site", site]
        with open(self.path("log-%d" % len(self.processes)), "wb") as log:
            process = subprocess.Popen(arguments, stderr=log, stdin=subprocess.DEVNULL)
        process.log, process.ready = log.name, ready
        self.processes.append(process)
        if wait:
            self.wait_ready(process)
        return process

    def wait_ready(self, process):
        def ready():
            if process.poll() is not None:
                with open(process.log, encoding="utf-8") as log:
                    raise AssertionError("ssn-kme ended with %d: %s" % (process.returncode, log.read()))
            return os.path.exists(process.ready)
        wait_for(ready, "ssn-kme to be ready")
        with open(process.ready, encoding="utf-8") as file:
            for site in json.load(file)["sites"]:
                self.ports[site["id"]] = site["port"]

    def context(self, name):
        context = ssl.create_default_context(cafile=self.path("ca.crt"))
        if name:
            context.load_cert_chain(self.path(name + ".crt"), self.path(name + ".key"))
        return context

    def connect(self, site, name, **more):
        return http.client.HTTPSConnection("127.0.0.1", self.ports[site], context=self.context(name),
                                           timeout=30,
                                           **more)

    def ask(self, site, name, method, path, body=None, headers=None):
        connection = self.connect(site, name)
        try:
            if isinstance(body, (dict, list)):
                body = json.dumps(body)
            connection.request(method, "/api/v1/keys/" + path, body, JSON if headers is None else headers)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def ssn(self, *arguments, code=0, socket_name="control.sock"):
        done = subprocess.run([SSN, "kme", *arguments, "--socket", self.path(socket_name)],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        if done.returncode != code:
            raise AssertionError("ssn kme %s: %d, not %d: %s" % (arguments, done.returncode, code,
                                                                 done.stderr))
        return done

    def status(self, socket_name="control.sock"):
        return json.loads(self.ssn("status", "--json", socket_name=socket_name).stdout)

    def close(self):
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.top, ignore_errors=True)


def free_port_range(count):
    """The first of `count` ports in a row that are free now."""
    for first in range(20000 + os.getpid() % 1000 * 20, 60000, count):
        held = []
        try:
            for port in range(first, first + count):
                held.append(socket.socket())
                held[-1].bind(("127.0.0.1", port))
            return first
        except OSError:
            continue
        finally:
            for one in held:
                one.close()
    raise AssertionError("no free ports")


__all__ = [name for name in dir() if not name.startswith("_")]
