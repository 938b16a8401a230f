#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A storage network of real processes: put and get, while this one and that one dies."""

import filecmp
import json
import os
import subprocess
import time

from support import MARK, SIZE, StorageTest, main, stop, wait_for


class Storage(StorageTest):
    """Who is killed is started again."""

    def test_what_is_stored_comes_back(self):
        """put, get and verify agree; every holder has its share; the pads are accounted for"""
        path, name = self.stored()
        self.check(path, name)
        self.network.ssn('verify', name)
        for node in self.network.nodes:
            self.assertEqual(node.counters('storage.').get('storage.no_packets', 0), 0, node.name)
        self.check_accounts()
        for holder in self.network.holders:
            self.assertGreaterEqual(holder.counters('holder.')['holder.stored'], SIZE // 1344)

    def test_small_objects(self):
        """no byte, one byte, a block, a block and a byte, a stripe"""
        for size in (0, 1, 1344, 1345, 64 * 1344):
            with self.subTest(size=size):
                self.check(*self.stored(size))

    def test_nothing_readable_lies_in_a_store(self):
        """no text of the object is in any file of any holder, nor in any ledger"""
        self.stored()
        for holder in self.network.holders:
            files = [os.path.join(folder, each)
                     for folder, _, names in os.walk(self.path(f'{holder.name}.store')) for each in names]
            self.assertTrue(files)
            self.assertGreater(sum(map(os.path.getsize, files)), SIZE)
            for each in files:
                with open(each, 'rb') as file:
                    self.assertNotIn(MARK[:16], file.read(), each)

    def test_two_of_five_holders_are_killed(self):
        """SIGKILL for two: the object comes back; they start again and serve while two others are dead"""
        path, name = self.stored()
        order = self.random.sample(self.network.holders, 5)
        for holder in order[:2]:
            holder.kill()
        self.check(path, name)
        self.start_again(*order[:2])
        for holder in order[2:4]:
            holder.kill()
        self.check(path, name)
        self.start_again(*order[2:4])

    def test_three_of_five_holders_are_killed(self):
        """more than n - k: a typed error, no bytes, in bounded time; and later everything is there"""
        path, name = self.stored(200_000)
        dead = self.random.sample(self.network.holders, 3)
        for holder in dead:
            holder.kill()
        done = self.network.ssn('get', name, self.path('nothing'), '--patience', '5', check=False)
        self.assertEqual(done.returncode, 5, done.stderr)
        self.assertFalse(os.path.exists(self.path('nothing')))
        self.start_again(*dead)
        self.check(path, name)

    def test_the_ssa_is_killed(self):
        """nothing of an object is in the SSA: the next one reads it"""
        path, name = self.stored()
        self.network.ssa.kill()
        self.start_again(self.network.ssa)
        self.check(path, name)

    def test_open_sessions_outlive_the_controller(self):
        """a get that is on its way ends well without a controller; new ones are told; then it is back"""
        path, name = self.stored(12_000_000)
        reader = self.network.owner.start(
            self.network.programs.ssn, 'get', name, '-', '--config', self.network.owner_file,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(stop, reader)
        with open(path, 'rb') as file:
            self.assertEqual(reader.stdout.read(1000), file.read(1000))
            self.network.controller.kill()
            self.addCleanup(self.start_controller)
            self.assertEqual(reader.stdout.read(), file.read())
        self.assertEqual(reader.wait(30), 0, reader.stderr.read())
        wait_for(lambda: not self.item(self.network.ssa, 'controller')[0]['healthy'], 'the SSA to notice')
        self.assertEqual(self.network.ssn('get', name, self.path('later'), check=False).returncode, 5)
        self.start_controller()
        self.check(path, name)

    def test_owners_that_vanish(self):
        """a get and a put whose command was killed: sessions end, nothing is visible, nothing stays"""
        before = self.generations()
        path, name = self.stored(12_000_000)
        reader = self.network.owner.start(self.network.programs.ssn, 'get', name, '-', '--config',
                                          self.network.owner_file, stdout=subprocess.PIPE,
                                          stderr=subprocess.DEVNULL)
        reader.stdout.read(1000)
        reader.kill()
        reader.wait()
        writer = self.network.owner.start(self.network.programs.ssn, 'put', '-', 'half', '--config',
                                          self.network.owner_file, stdin=subprocess.PIPE,
                                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        writer.stdin.write(self.random.randbytes(3_000_000))
        writer.stdin.flush()
        wait_for(lambda: self.generations() > before + 5, 'shares of the write')
        writer.kill()
        writer.wait()
        wait_for(lambda: not self.item(self.network.ssa, 'session'), 'the sessions to end')
        self.assertGreaterEqual(self.network.ssa.counters('sessions.')['sessions.idle'], 1)
        self.assertEqual(self.network.ssn('stat', 'half', check=False).returncode, 4)
        self.wait_generations(before + 5)
        self.check(path, name)

    def test_what_is_removed_goes_everywhere(self):
        """rm: every holder erases its share, also one that was dead then"""
        before = self.generations()
        self.stored()
        _, name = self.stored(200_000)
        self.wait_generations(before + 10)
        away = self.random.choice(self.network.holders)
        away.kill()
        self.network.ssn('rm', name, '--yes')
        others = [holder for holder in self.network.holders if holder is not away]
        wait_for(lambda: all(holder.counters('controller.')['controller.removed'] for holder in others),
                 'the others to erase')
        self.start_again(away)
        self.wait_generations(before + 5)
        self.assertEqual(self.network.ssn('get', name, self.path('gone'), check=False).returncode, 4)

    def operator(self, *arguments):
        return self.network.owner.run(self.network.programs.ssn, *arguments, '--config',
                                      self.network.operator_file, timeout=60).stdout

    def apply(self, more):
        """The network's configuration with some lines more; the function that takes them away again."""
        before = json.loads(self.operator('config', 'history', '--json'))['versions'][0]['number']
        path = self.path('network-changed.toml')
        with open(path, 'w', encoding='utf-8') as file:
            file.write(self.operator('config', 'show') + more)
        self.operator('config', 'apply', path, '--yes')
        return lambda: self.operator('config', 'rollback', str(before), '--yes')

    def test_rates(self):
        """an owner is slowed to its rate, both ways and in two sessions together, and told so; a session that
        is open follows when the limit goes"""
        path, name = self.stored()
        rate = 1 << 20
        undo = self.apply(f'\n[[owner]]\nname = "owner"\nwrite_rate = "{rate} B"\nread_rate = "{rate} B"\n')
        self.addCleanup(undo)
        begin = time.monotonic()
        done = self.network.put(path, name)
        took = time.monotonic() - begin
        self.assertFalse(done['degraded'])
        self.assertEqual((done['rate_limit'], done['rate_of']), (rate, 'owner owner'))
        self.assertGreater(took, SIZE / rate - 0.2)
        begin = time.monotonic()
        readers = [self.network.owner.start(
            self.network.programs.ssn, 'get', name, self.path(f'slow-{i}'), '--config',
            self.network.owner_file, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for i in range(2)]
        for reader in readers:
            self.addCleanup(stop, reader)
        wait_for(lambda: any(each['condition'] == 'slowed' for each in self.item(self.network.ssa, 'rate')),
                 'the SSA to say that an owner is slowed')
        wait_for(lambda: json.loads(self.operator('accounting', '--json'))['owners'][0]['slowed_at']
                 == [self.network.ssa.name], 'the controller to hear of it')
        for i, reader in enumerate(readers):
            self.assertEqual(reader.wait(60), 0)
            self.assertTrue(filecmp.cmp(path, self.path(f'slow-{i}'), shallow=False))
        self.assertGreater(time.monotonic() - begin, 2 * SIZE / rate - 0.2)
        self.assertGreater(self.network.ssa.counters('ssa.')['ssa.blocks_paced'], 2 * SIZE // 1344)
        # 30 MB would take half a minute.
        large, other = self.file(30_000_000)
        writer = self.network.owner.start(self.network.programs.ssn, 'put', large, other, '--config',
                                          self.network.owner_file, stdout=subprocess.DEVNULL,
                                          stderr=subprocess.DEVNULL)
        self.addCleanup(stop, writer)
        wait_for(lambda: any(each['condition'] == 'slowed' for each in self.item(self.network.ssa, 'rate')),
                 'the write to be slowed')
        begin = time.monotonic()
        undo()
        self.assertEqual(writer.wait(60), 0)
        self.assertLess(time.monotonic() - begin, 15)
        self.check(large, other)

    def test_classes_ask_for_keys(self):
        """a class that asks for what all nodes do is written; of one that asks for another behaviour nothing
        is, and it is said why"""
        path, name = self.file(200_000)
        undo = self.apply('\n[[class]]\nname = "sure"\nrandom = "stream"\nshortage = "refuse"\n'
                          '\n[[class]]\nname = "patient"\nshortage = "wait"\n')
        self.addCleanup(undo)
        self.assertFalse(self.network.put(path, name, '--class', 'sure')['degraded'])
        self.check(path, name)
        shown = self.network.stat(name)
        self.assertEqual((shown['class'], shown['random'], shown['shortage']), ('sure', 'stream', 'refuse'))
        done = self.network.ssn('put', path, 'other', '--class', 'patient', check=False)
        self.assertEqual(done.returncode, 5, done.stderr)
        self.assertIn('not known to wait when keys run short', done.stderr)

    def test_placement_knows_the_paths(self):
        """of each holder it is known whether the SSA reaches it, its pads and its round trip; of one that was
        killed that it does not answer"""
        path, name = self.stored(200_000)

        def paths():
            shown = json.loads(self.operator('explain', '--dry-run', '-k', '2', '-n', '3', '--json'))
            return {each['node']: each for each in shown['nodes']}

        def known():
            seen = paths().values()
            return all(each['path'] and each['path']['connected'] and each['path']['pad_bytes'] > 0
                       and each['path']['round_trip_us'] > 0 for each in seen) and all(
                           62 <= each['weight'] <= 1000 for each in seen)
        wait_for(known, lambda: f'all paths to be known; {paths()}')
        away = self.random.choice(self.network.holders)
        away.kill()
        self.check(path, name)
        wait_for(lambda: not paths()[away.name]['path']['connected'],
                 lambda: f'the path to {away.name} to be down; {paths()}')
        self.start_again(away)
        wait_for(known, lambda: f'all paths to be known again; {paths()}')

    def test_too_many_owners(self):
        """[ssa] owners = 4: the fifth session is told to wait, and comes in when another is over"""
        _, name = self.stored(8_000_000)
        readers = []
        for _ in range(4):
            readers.append(self.network.owner.start(
                self.network.programs.ssn, 'get', name, '-', '--config', self.network.owner_file,
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL))
            self.addCleanup(stop, readers[-1])
        for reader in readers:
            reader.stdout.read(1000)
        if len(self.item(self.network.ssa, 'session')) < 4:
            self.skipTest('the readers were through too early')
        done = self.network.ssn('get', name, self.path('fifth'), '--patience', '1', check=False)
        self.assertEqual(done.returncode, 5, done.stderr)
        for reader in readers:
            reader.kill()
            reader.wait()
        end = time.monotonic() + 20
        while self.network.ssn('get', name, self.path('fifth'), '--force', check=False).returncode != 0:
            self.assertLess(time.monotonic(), end)

    def test_configurations_that_contradict_themselves(self):
        """an SSA that is a shareholder is refused, with the place"""
        node = self.network.holders[0]
        node.write()
        with open(node.file, encoding='utf-8') as file:
            text = file.read()
        both = self.path('both.toml')
        with open(both, 'w', encoding='utf-8') as file:
            file.write(text + '[ssa]\n')
        done = subprocess.run([self.network.programs.dataplane, '--config', both, '--check'], check=False,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
        self.assertEqual(done.returncode, 2)
        self.assertIn('a process for each role', done.stderr)
        self.assertIn('both.toml:', done.stderr)


if __name__ == '__main__':
    main(Storage)
