#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A key manager (ETSI GS QKD 014) for tests, of Python's standard library alone, that misbehaves on demand.

Serves all sites on one port; SAEs are told apart by the common name of their certificates. Makes the
certificates with the openssl command in the folder that it is given. Prints the port, then reads one JSON
object a line:
  {"do": "fault", "sae": "sae-a", "verb": "enc_keys", "kind": "html", "times": 3}
  {"do": "clear"}, {"do": "reset"}, {"do": "counts"}, {"do": "forget"}
  {"do": "set", "name": "key_size", "value": 256}
  {"do": "restart"} (all connections are closed), {"do": "secrets"} (the last keys that both ends got)
and answers each with one line of JSON. Ends when its input ends.
"""

import base64
import http.server
import json
import os
import secrets
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.parse
import uuid

FOLDER = sys.argv[1]


class State:
    """Everything the handlers share, under one lock."""

    def __init__(self):
        self.lock = threading.Lock()
        self.sockets = set()
        self.resets = 0
        self.reset()

    def reset(self):
        """As at the start. Whoever was connected before gets no more answers: on a loaded machine the last
        request of a test is read when the next test has begun to count."""
        self.resets += 1
        self.limits = {'key_size': 1024, 'stored_key_count': 100000, 'max_key_count': 100000,
                       'max_key_per_request': 64, 'max_key_size': 65536, 'min_key_size': 64,
                       'max_SAE_ID_count': 0}
        self.emulator = False
        self.chatty = False
        self.faults = {}
        self.waiting = {}  # (master, slave) -> {id: key}
        self.delivered = []  # keys that both ends got
        self.handed_out = []  # last container given to a master, as pairs
        self.counts = {'status': 0, 'enc_keys': 0, 'dec_keys': 0, 'connections': 0, 'keys': 0}
        self.next_id = 1

    def fault(self, sae, verb):
        """The fault that this request meets, used up by one; an empty object without."""
        fault = self.faults.get((sae, verb))
        if not fault:
            return {}
        fault['times'] -= 1
        if fault['times'] <= 0:
            del self.faults[(sae, verb)]
        return fault


STATE = State()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def setup(self):
        self.request.settimeout(60)
        with STATE.lock:
            self.resets = STATE.resets
        self.request.do_handshake()
        super().setup()
        with STATE.lock:
            STATE.counts['connections'] += 1
            STATE.sockets.add(self.request)

    def finish(self):
        with STATE.lock:
            STATE.sockets.discard(self.request)
        super().finish()

    def log_message(self, *_):
        pass

    def sae(self):
        subject = dict(pair[0] for pair in self.request.getpeercert()['subject'])
        return subject['commonName']

    def answer(self, code, text, content='application/json', chunked=False):
        data = text.encode()
        self.send_response(code)
        self.send_header('Content-Type', content)
        if chunked:
            self.send_header('Transfer-Encoding', 'chunked')
            self.end_headers()
            while data:
                part, data = data[:1000], data[1000:]
                self.wfile.write(b'%x;name=value\r\n%s\r\n' % (len(part), part))
            self.wfile.write(b'0\r\nTrailer: x\r\n\r\n')
        else:
            self.send_header('Content-Length', str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    def do_GET(self):
        self.handle_verb({})

    def do_POST(self):
        length = int(self.headers.get('Content-Length', 0))
        self.handle_verb(json.loads(self.rfile.read(length) or '{}'))

    def handle_verb(self, body):
        parts = self.path.split('/')
        if len(parts) != 6 or parts[:4] != ['', 'api', 'v1', 'keys']:
            self.answer(404, '<html>no such page</html>', 'text/html')
            return
        peer, verb, sae = urllib.parse.unquote(parts[4]), parts[5], self.sae()
        with STATE.lock:
            if self.resets != STATE.resets:
                self.close_connection = True
                return
            STATE.counts[verb] += 1
            fault = STATE.fault(sae, verb)
        kind = fault.get('kind', '')
        if kind == 'close':
            self.close_connection = True
        if not self.plain_fault(kind, fault):
            getattr(self, verb)(sae, peer, body, kind)

    def plain_fault(self, kind, fault):
        """Faults in place of an answer."""
        if kind == 'html':
            self.answer(fault.get('code', 200), '<html><body>Sign in</body></html>', 'text/html')
        elif kind == 'error':
            self.answer(fault['code'], json.dumps({'message': 'no', 'details': [{'vendor_why': 'x'}]}))
        elif kind == 'empty':
            self.answer(fault['code'], '')
        elif kind == 'hang':
            time.sleep(fault.get('seconds', 30))
            self.close_connection = True
        elif kind == 'drop':
            self.close_connection = True
            self.request.shutdown(socket.SHUT_RDWR)
        elif kind == 'raw':
            self.wfile.write(fault['text'].encode('latin-1'))
            self.close_connection = True
        elif kind == 'endless':
            self.send_response(200)
            self.end_headers()
            try:
                while True:
                    self.wfile.write(b'{"keys": [' + b' ' * 65536)
            except OSError:
                self.close_connection = True
        else:
            return False
        return True

    def status(self, sae, peer, _, kind):
        with STATE.lock:
            status = {'source_KME_ID': 'kme-test', 'target_KME_ID': 'kme-test', 'master_SAE_ID': sae,
                      'slave_SAE_ID': peer, **STATE.limits}
            if STATE.emulator:
                status['status_extension'] = {'other': [1, {'shareline_emulator': False}],
                                              'shareline_emulator': True}
            if STATE.chatty:
                status.update({'vendor': {'a': [1, 2, {'b': None}]}, 'target_KME_ID': 0})
        self.answer(200, json.dumps(status), chunked=kind == 'chunked')

    def enc_keys(self, sae, peer, body, kind):
        number, size = body.get('number', 1), body.get('size', STATE.limits['key_size'])
        problem = request_problem(number, size)
        if problem:
            self.answer(400, json.dumps({'message': problem}))
            return
        if kind == 'fewer':
            number = max(1, number // 2)
        if kind == 'none':
            number = 0
        if kind == 'more':
            number += 3
        with STATE.lock:
            waiting = STATE.waiting.setdefault((sae, peer), {})
            if kind == 'discard':
                waiting.clear()
            keys = []
            for _ in range(number):
                key_id = STATE.next_id if kind == 'integer' else str(uuid.uuid4())
                STATE.next_id += 1
                bits = size if kind != 'sizes' else secrets.choice([64, 128, size])
                key = secrets.token_bytes(bits // 8)
                waiting[str(key_id)] = key
                keys.append((key_id, key))
            if kind == 'again' and STATE.handed_out:
                keys = STATE.handed_out + keys
                waiting.update({str(key_id): key for key_id, key in keys})
            STATE.handed_out = keys[:2]
            if kind == 'twice':
                keys += [(keys[0][0], secrets.token_bytes(size // 8))]
            if kind == 'one_side':
                for key_id, _ in keys[::2]:
                    del waiting[str(key_id)]
        if kind == 'lose':
            self.close_connection = True
            self.request.shutdown(socket.SHUT_RDWR)
            return
        self.answer_keys(keys, kind)

    def dec_keys(self, sae, peer, body, kind):
        wanted = [entry['key_ID'] for entry in body['key_IDs']]
        with STATE.lock:
            waiting = STATE.waiting.setdefault((peer, sae), {})
            if any(str(key_id) not in waiting for key_id in wanted):
                self.answer(400, json.dumps({'message': 'one or more keys specified are not found on KME'}))
                return
            keys = [(key_id, waiting.pop(str(key_id))) for key_id in wanted]
            if kind == 'partial':
                keys = keys[1:]
            if kind == 'shuffled':
                keys.reverse()
            if kind == 'short':
                keys[0] = (keys[0][0], keys[0][1][:-1])
            if kind == 'lose':
                self.close_connection = True
                self.request.shutdown(socket.SHUT_RDWR)
                return
            STATE.counts['keys'] += len(keys)
            STATE.delivered = (STATE.delivered + [key for _, key in keys])[-64:]
        self.answer_keys(keys, kind)

    def answer_keys(self, keys, kind):
        entries = [{'key_ID': key_id, 'key': base64.b64encode(key).decode()} for key_id, key in keys]
        if kind == 'bad_base64':
            entries[0]['key'] = entries[0]['key'][:-5] + '*' + entries[0]['key'][-4:]
        if kind == 'no_id':
            del entries[0]['key_ID']
        if STATE.chatty:
            for entry in entries:
                entry.update({'key_ID_extension': {'a': 1}, 'key_extension': [{'x': ['y']}]})
        container = {'Keys' if kind == 'capital' else 'keys': entries}
        if STATE.chatty:
            container = {'first': [[], {}], **container, 'key_container_extension': {'b': 'c'}}
        text = json.dumps(container)
        if kind == 'escaped':  # as PHP and .NET write them
            text = text.replace('/', '\\/').replace('+', '\\u002B')
        if kind == 'cut':
            text = text[:len(text) // 2]
        self.answer(200, text, chunked=kind == 'chunked')


def request_problem(number, size):
    """What the standard wants to be refused."""
    limits = STATE.limits
    if size % 8:
        return 'size shall be a multiple of 8'
    if size > limits['max_key_size'] or size < limits['min_key_size']:
        return 'size is out of range'
    if number < 1 or number > limits['max_key_per_request']:
        return 'number is out of range'
    return None


def control(line):
    """One command of the test."""
    command = json.loads(line)
    what = command.pop('do')
    with STATE.lock:
        if what == 'fault':
            STATE.faults[(command['sae'], command['verb'])] = {'times': 1, **command}
        elif what == 'clear':
            STATE.faults.clear()
        elif what == 'set':
            if command['name'] in ('emulator', 'chatty'):
                setattr(STATE, command['name'], command['value'])
            else:
                STATE.limits[command['name']] = command['value']
        elif what == 'reset':
            STATE.reset()
        elif what == 'forget':
            STATE.waiting.clear()
        elif what == 'restart':
            for open_socket in list(STATE.sockets):
                try:
                    open_socket.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        elif what == 'counts':
            return STATE.counts
        elif what == 'secrets':
            return [key.hex() for key in STATE.delivered]
        else:
            raise ValueError(what)
    return {}


def openssl(*arguments):
    subprocess.run(['openssl', *arguments], cwd=FOLDER, check=True, capture_output=True)


def make_certificates():
    """CA, the key manager, three SAEs, and a SAE and a CA that nobody knows."""
    curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2']
    for ca, names in (('ca', ('kme-test', 'sae-a', 'sae-b')), ('stranger-ca', ('stranger',))):
        openssl('req', '-x509', *curve, '-keyout', ca + '.key', '-out', ca + '.pem', '-subj', '/CN=' + ca,
                '-addext', 'basicConstraints=critical,CA:TRUE')
        for name in names:
            openssl('req', *curve, '-keyout', name + '.key', '-out', name + '.csr',
                    '-subj', '/O=Test/CN=' + name)
            openssl('x509', '-req', '-in', name + '.csr', '-CA', ca + '.pem', '-CAkey', ca + '.key',
                    '-CAcreateserial', '-days', '2', '-out', name + '.pem')


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass  # refused handshakes and broken connections are what the tests want


def main():
    make_certificates()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if len(sys.argv) > 2 and sys.argv[2] == '1.2':
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(os.path.join(FOLDER, 'kme-test.pem'), os.path.join(FOLDER, 'kme-test.key'))
    context.load_verify_locations(os.path.join(FOLDER, 'ca.pem'))
    context.verify_mode = ssl.CERT_REQUIRED
    server = Server(('127.0.0.1', 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps({'port': server.server_address[1]}), flush=True)
    for line in sys.stdin:
        print(json.dumps(control(line)), flush=True)


main()
