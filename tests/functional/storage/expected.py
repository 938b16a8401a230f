# SPDX-License-Identifier: BSD-3-Clause
"""What a storage network must have, by what it answered: the oracle of tests that kill processes.

Each name has a value: the digest of an object, or None where there is none. An operation that was begun and
not answered leaves its value *pending*: it may be there, as a whole, or not; once it was seen it stays. The
file has a line for each thing that was begun, answered or seen, in order; it says afterwards what happened.
"""

import json
import threading
import time

# So long after its owner was killed an operation may still come to be: it is in the controller's hands.
GRACE_SECONDS = 5
UNKNOWN = object()


class Violation(Exception):
    """A promise that was broken."""


class Name:
    def __init__(self):
        self.value = None  # settled
        self.pending = []  # (value, when it was given up; None while it runs), oldest first


class ExpectedState:
    def __init__(self, path, clock=time.monotonic):
        self._file = open(path, 'w', encoding='utf-8')  # pylint: disable=consider-using-with
        self._clock, self._lock, self._names = clock, threading.Lock(), {}
        self.acknowledged = self.seen = self.came_to_be = 0

    def close(self):
        self._file.close()

    def _say(self, what, name, value):
        self._file.write(json.dumps({'at': round(self._clock(), 3), 'what': what, 'name': name,
                                     'value': value}) + '\n')
        self._file.flush()

    def begin(self, name, value):
        """An owner begins to give `name` this value."""
        with self._lock:
            self._names.setdefault(name, Name()).pending.append((value, None))
            self._say('begin', name, value)

    def acknowledge(self, name):
        """What was begun last was answered as done: from now on nothing older may be seen."""
        with self._lock:
            state = self._names[name]
            state.value, state.pending = state.pending[-1][0], []
            self.acknowledged += 1
            self._say('acknowledged', name, state.value)

    def give_up(self, name, possible=True):
        """What was begun last was not answered; `possible`: it may still have happened."""
        with self._lock:
            state = self._names[name]
            value, _ = state.pending.pop()
            if possible:
                state.pending.append((value, self._clock()))
            self._say('given up' if possible else 'refused', name, value)

    def saw(self, name, value):
        """A read gave `value`; raises Violation where it may not."""
        with self._lock:
            self._say('saw', name, value)
            state = self._names.setdefault(name, Name())
            self.seen += 1
            now = self._clock()
            if value == state.value:
                state.pending = [each for each in state.pending
                                 if each[1] is None or now - each[1] < GRACE_SECONDS]
                return
            for i, (pending, _) in enumerate(state.pending):
                if pending == value:
                    state.value, state.pending = value, state.pending[i + 1:]
                    self.came_to_be += 1
                    return
            raise Violation(f'{name}: {self._text(value)} was seen; it has {self._text(state.value)}'
                            + ''.join(f', or {self._text(each)}' for each, _ in state.pending))

    @staticmethod
    def _text(value):
        return 'nothing' if value is None else f'object {value[:12]}'

    def value(self, name):
        """What it has; UNKNOWN while something is pending."""
        with self._lock:
            state = self._names.get(name, Name())
            return UNKNOWN if state.pending else state.value

    def names(self):
        with self._lock:
            return sorted(self._names)


def check_oracle(folder):
    """Shows the oracle what it must notice, and what it must not."""
    now = [0.0]
    state = ExpectedState(f'{folder}/oracle.jsonl', lambda: now[0])

    def violated(name, value):
        try:
            state.saw(name, value)
        except Violation:
            return
        raise AssertionError(f'the oracle does not notice that {name} has {value}')
    state.begin('a', 'first')
    state.acknowledge('a')
    state.saw('a', 'first')
    violated('a', None)  # an acknowledged object is gone
    violated('a', 'other')  # wrong bytes
    state.begin('a', 'second')
    state.give_up('a')
    state.saw('a', 'first')
    state.saw('a', 'second')  # it came to be after all
    violated('a', 'first')  # and back
    state.begin('a', None)
    state.acknowledge('a')
    violated('a', 'second')  # what was removed comes back
    state.begin('b', 'half')
    state.give_up('b', possible=False)
    violated('b', 'half')  # what was refused is there
    state.begin('c', 'late')
    state.give_up('c')
    now[0] = GRACE_SECONDS + 1
    state.saw('c', None)
    violated('c', 'late')  # long after everybody forgot it
    state.close()
