#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Alarms of real processes: a shareholder that is killed is down for the controller and without keys for the
SSA, until it is back; listed, followed over a restart of the controller, and on the one screen."""

import json
import subprocess
import threading

from support import StorageTest, main, stop, wait_for


class Follower:
    """A command that goes on; its lines as they come."""

    def __init__(self, command):
        self.lines = []
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line)

    def count(self, *words):
        return sum(all(word in line for word in words) for line in list(self.lines))

    def end(self):
        self.process.terminate()
        self.process.wait(30)
        self.thread.join()
        self.process.stdout.close()


class Alarms(StorageTest):
    """An SSA and three holders."""

    k, n = 2, 3

    def setUp(self):
        keys = self.network.keys
        self.operator = self.path('operator.toml')
        with open(self.network.owner_file, encoding='utf-8') as file:
            text = file.read()
        for kind in ('crt', 'key'):
            text = text.replace(keys.path(f'owner.{kind}'), keys.path(f'operator.{kind}'))
        with open(self.operator, 'w', encoding='utf-8') as file:
            file.write(text)

    def command(self, *arguments):
        return self.network.owner.command(self.network.programs.ssn, *arguments, '--config', self.operator)

    def ssn(self, *arguments, code=0):
        done = subprocess.run(self.command(*arguments), check=False, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=60)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout

    def json(self, *arguments, code=0):
        return json.loads(self.ssn(*arguments, '--json', code=code))

    def raised(self):
        return {(each['type'], each['resource'], each['peer']): each
                for each in self.json('alarms')['alarms']}

    def test_a_holder_that_dies(self):
        wait_for(lambda: not self.raised(), lambda: f'nothing to be wrong; {self.raised()}')
        self.ssn('alarms', '--check')
        victim = self.network.holders[1]
        follower = Follower(self.command('alarms', '--follow'))
        self.addCleanup(follower.end)
        events = Follower(self.command('events', '--follow'))
        self.addCleanup(events.end)
        stop(victim.process)
        down, cut = ('node_down', victim.name, ''), ('association_down', self.network.ssa.name, victim.name)
        wait_for(lambda: {down, cut} <= set(self.raised()), lambda: f'two alarms; {self.raised()}')
        alarms = self.raised()
        self.assertEqual((alarms[down]['severity'], alarms[down]['sources']), ('major', ['controller']))
        self.assertEqual(alarms[cut]['sources'], [self.network.ssa.name])
        for alarm in alarms.values():
            self.assertTrue(alarm['text'] and alarm['repair'], alarm)
        self.ssn('alarms', '--check', code=3)
        wait_for(lambda: follower.count('raised', 'node_down', victim.name), 'the alarm to be followed')
        # On one screen.
        self.ssn('status', '--check', code=3)
        status = self.json('status')
        node = next(each for each in status['nodes'] if each['name'] == victim.name)
        self.assertEqual((node['state'], node['worst_alarm']), ('down', 'major'))
        self.assertGreater(next(each for each in status['nodes']
                                if each['roles'] == ['ssa'])['key_stock_bytes'], 0)
        screen = self.ssn('status')
        self.assertIn('node_down', screen)
        self.assertLessEqual(len(screen.splitlines()), 40)
        # A controller that starts again knows them, and those who follow miss nothing.
        self.network.controller.kill()
        self.start_controller_only()
        self.assertIn(down, self.raised())
        victim.start()
        self.wait_registered(victim)
        self.network.wait_for_connections(self.network.ssa.configuration['peer'])
        wait_for(lambda: not self.raised(), lambda: f'alarms to be cleared; {self.raised()}')
        for each in (follower, events):
            wait_for(lambda each=each: each.count('cleared', 'node_down', victim.name),
                     'the end to be followed')
            self.assertEqual((each.count('raised', 'node_down', victim.name),
                              each.count('cleared', 'node_down', victim.name)), (1, 1), each.lines)
        kept = {(each['type'], each['raised']) for each in self.json('alarms', '--all')['alarms']}
        self.assertIn(('node_down', False), kept)
        listed = [each for each in self.json('events', '--since', '1h')['events']
                  if each['kind'] == 'node_down']
        self.assertEqual([each['alarm'] for each in listed], ['raised', 'cleared'])

    def start_controller_only(self):
        self.network.controller.start()
        for node in self.network.nodes:
            if node.process.poll() is None:
                self.wait_registered(node)

    def test_who_may(self):
        """operators only"""
        for command in (['alarms'], ['events'], ['status']):
            done = self.network.ssn(*command, check=False)
            self.assertEqual(done.returncode, 6, done.stderr)


if __name__ == '__main__':
    main(Alarms)
