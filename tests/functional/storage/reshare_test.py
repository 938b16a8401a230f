#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Shareholders of real processes make shares anew among themselves; the test plays the controller's part in
that with reshare-client."""

import copy
import json
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

from support import BUILD, StorageTest, last_lines, main, wait_for
from storage_network import CONTROLLER, CONTROLLER_PORT, control_address

CLIENT = os.path.join(BUILD, 'tests', 'functional', 'reshare-client')
SIZE = 900_001
K, N = 3, 5
T = K - 1
UNIT = 16
OVERHEAD = 64  # of a packet; of pad behind a mask, too


def client(arguments, request, namespace=None):
    """What came of one call."""
    command = [CLIENT, *arguments] if namespace is None else namespace.command(CLIENT, *arguments)
    done = subprocess.run(command, input=json.dumps(request), check=False, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=60)
    if done.returncode != 0:
        raise RuntimeError(f'reshare-client {arguments}: {done.stderr}')
    return json.loads(done.stdout)


class Reshare(StorageTest):
    """Six holders, of which five have shares of an object."""

    k, n = K, N
    parts = {'standbys': 1}
    term, job = 7, 0
    held = {}  # by holder: generations that it should have

    def setUp(self):
        self.addCleanup(self.heal)

    def heal(self):
        dead = [node for node in self.network.holders if node.process.poll() is not None]
        if dead:
            self.start_all_again(*dead)

    def ask(self, node, command, request):
        path = os.path.join(self.folder.name, node.configuration['agent']['socket'])
        return client([path, command], request)

    def node(self, name):
        return next(holder for holder in self.network.holders if holder.name == name)

    def object(self, name):
        """All that the controller knows of it."""
        keys = self.network.keys
        return client([f'{control_address(CONTROLLER)}:{CONTROLLER_PORT}', 'stat', keys.path('ca.crt'),
                       keys.path('owner.crt'), keys.path('owner.key')], {'name': name}, self.network.owner)

    def shared(self):
        """An object of all holders' making: its source, its name, and what the controller knows of it."""
        path, name = self.stored(SIZE)
        about = self.object(name)
        for holder in about['layout']['holders']:
            self.held[holder['node']] = self.held.get(holder['node'], 0) + 1
        return path, name, about

    def wait_held(self, more=0):
        """Until the stores have what they should."""
        self.wait_generations(sum(self.held.values()) + more)

    def order(self, about, operation, **fields):
        """Of a new job, as far as it is the same for all operations."""
        type(self).job += 1
        layout = about['layout']
        source = {
            'generation': about['generation'], 'attempts': about['attempts'],
            'layout': {key: layout[key] for key in
                       ('scheme', 'k', 'n', 'secret_blocks', 'row_rule', 'cells_per_turn')} |
                      {'nodes': [holder['node'] for holder in layout['holders']]}}
        return {'term': self.term, 'job': self.job, 'round': 1, 'operation': operation, 'object': about['id'],
                'cells': about['cells'], 'cell_bytes': about['cell_bytes'], 'source': source,
                'target': copy.deepcopy(source), 'end': about['cells'], 'unit_cells': UNIT, **fields}

    @staticmethod
    def those_with_part(order):
        names = [order['target']['layout']['nodes'][share - 1] for share in order['to']]
        names += [order['source']['layout']['nodes'][share - 1] for share in order['from']]
        return sorted(set(names))

    def status(self, name, order):
        jobs = self.ask(self.node(name), 'list', {})['jobs']
        return next((job for job in jobs if job['job'] == str(order['job'])
                     and job['round'] == order['round']), {'state': 'RESHARE_STATE_NONE'})

    def give(self, order):
        """To all that have a part; their names."""
        names = self.those_with_part(order)
        with ThreadPoolExecutor(len(names)) as pool:  # the sooner all have it, the fewer masks are refused
            answers = pool.map(lambda name: self.ask(self.node(name), 'order', order)['code'], names)
        self.assertEqual(set(answers), {'RESHARE_ANSWER_CODE_TAKEN'}, order)
        return names

    def carry_out(self, order):
        """What each of them says when all are done."""
        names, statuses = self.give(order), {}

        def all_done():
            for name in names:
                statuses[name] = self.status(name, order)
                self.assertNotEqual(statuses[name]['state'], 'RESHARE_STATE_FAILED', f'{name} {statuses}')
            return all(status['state'] == 'RESHARE_STATE_DONE' for status in statuses.values())
        wait_for(all_done, lambda: f'{order["operation"]}; {statuses}')
        return statuses

    def seal(self, order, attempts=None):
        sealed = copy.deepcopy(order) | {'operation': 'RESHARE_OPERATION_SEAL', 'round': order['round'] + 1,
                                         'from': [], 'first': 0}
        sealed['target']['attempts'] = attempts or order['source']['attempts']
        self.carry_out(sealed)
        return sealed

    def check_masked(self, sealed, shares, checker, later=1):
        """The checker's verdict."""
        order = copy.deepcopy(sealed) | {'operation': 'RESHARE_OPERATION_CHECK', 'checker': checker,
                                         'round': sealed['round'] + later, 'from': shares}
        return self.carry_out(order)[checker]['verdict']

    def pads_used(self):
        """Bytes of pad that shareholders took to send to each other."""
        return sum(value for holder in self.network.holders
                   for key, value in holder.counters('keys.sae-h').items() if key.endswith('.pads_out.used'))

    def sums(self, statuses):
        return {key: sum(int(status[key]) for status in statuses.values())
                for key in ('cells_given', 'bytes_given', 'cells_taken', 'mask_bytes', 'masks_lost',
                            'random_bytes')}

    def lose_everything(self, victim):
        """Its disk was replaced by an empty one."""
        victim.kill()
        shutil.rmtree(victim.store_folder)
        victim.start()
        self.wait_registered(victim)
        self.network.wait_for_connections(self.network.ssa.configuration['peer'])
        for holder in self.network.holders:
            self.network.wait_for_connections(holder.configuration['peer'], node=holder)
        self.held[victim.name] = 0
        self.wait_held()

    def test_repair(self):
        """a share that was lost is made again, costs what it must, passes the masked check and is read"""
        path, name, about = self.shared()
        nodes = [holder['node'] for holder in about['layout']['holders']]
        lost = self.random.randrange(1, N + 1)
        victim, others = self.node(nodes[lost - 1]), [share for share in range(1, N + 1) if share != lost]
        self.lose_everything(victim)
        bytes_of_share = int(about['cells']) * about['cell_bytes']

        helpers = sorted(self.random.sample(others, K))
        order = self.order(about, 'RESHARE_OPERATION_REPAIR', **{'from': helpers, 'to': [lost]})
        pads = self.pads_used()
        sums = self.sums(self.carry_out(order))
        pads = self.pads_used() - pads
        self.assertEqual(sums['cells_taken'], K * int(about['cells']))
        self.assertEqual(sums['bytes_given'], sums['cells_given'] * about['cell_bytes'])
        self.assertGreaterEqual(sums['bytes_given'], K * bytes_of_share)
        self.assertEqual(sums['mask_bytes'] - sums['masks_lost'], K * (K - 1) // 2 * bytes_of_share)
        formula = sums['bytes_given'] + sums['mask_bytes']
        print(f'repair of {bytes_of_share} bytes: {sums["bytes_given"]} given, {pads} of pad, '
              f'{sums["mask_bytes"]} for masks, {sums["masks_lost"]} of them refused')
        self.assertGreaterEqual(pads, K * (K + 1) // 2 * bytes_of_share)
        self.assertLessEqual(pads, formula * 1.02)
        # Helpers that hear of the order late refuse masks at first, one every 20 ms.
        self.assertLessEqual(sums['bytes_given'], 1.1 * K * bytes_of_share)

        sealed = self.seal(order)
        self.held[victim.name] += 1
        self.wait_held()
        self.assertEqual(self.check_masked(sealed, others, victim.name), 'CHECK_VERDICT_PASSED')
        self.assertEqual(self.ask(victim, 'order', order)['code'], 'RESHARE_ANSWER_CODE_SUPERSEDED')
        wait_for(lambda: f'job {self.job:x} round 3: check done, passed'
                 in last_lines(victim.log, 50), lambda: f'the log to say so: {last_lines(victim.log)}')

        self.told_whole(victim, name)
        gone = [self.node(nodes[share - 1]) for share in others[:2]]
        for each in gone:
            each.kill()
        self.check_read_with(victim, path, name, about)
        self.start_all_again(*gone)
        self.check_accounts()

    def check_read_with(self, victim, path, name, about):
        """Where three holders are left, what was stored comes back with the cells of each of them."""
        before = victim.counters('holder.')['holder.cells_read']
        self.check(path, name)
        wait_for(lambda: victim.counters('holder.')['holder.cells_read'] - before >= int(about['cells']),
                 'the new share to be read')

    def told_whole(self, victim, name):
        """The controller, which did not order this, hears at its next start that the share is there again."""
        victim.kill()
        self.start_all_again(victim)
        wait_for(lambda: all(share['state'] == 'sealed' for share in self.network.stat(name)['shares']),
                 lambda: f'the controller to count on the share again: {self.network.stat(name)}')

    def start_all_again(self, *nodes):
        self.start_again(*nodes)
        for holder in self.network.holders:
            self.network.wait_for_connections(holder.configuration['peer'], node=holder)

    def test_helper_dies(self):
        """a helper is killed in the middle: the round fails, the next one goes on with another helper"""
        path, name, about = self.shared()
        nodes = [holder['node'] for holder in about['layout']['holders']]
        lost, *others = self.random.sample(range(1, N + 1), N)
        victim = self.node(nodes[lost - 1])
        self.lose_everything(victim)
        order = self.order(about, 'RESHARE_OPERATION_REPAIR', **{
            'from': sorted(others[:K]), 'to': [lost], 'bytes_per_second': 300_000, 'stall_ms': 3000})
        self.give(order)
        wait_for(lambda: int(self.status(victim.name, order).get('through', 0)) > 0, 'the first cells')
        killed = self.node(nodes[others[0] - 1])
        killed.kill()
        left = [each for each in self.those_with_part(order) if each != killed.name]
        statuses = {}

        def all_failed():
            statuses.update({each: self.status(each, order) for each in left})
            return all(status['state'] == 'RESHARE_STATE_FAILED' for status in statuses.values())
        wait_for(all_failed, lambda: f'the round to fail; {statuses}')
        for status in statuses.values():  # who was not connected with it hears of it by the silence of others
            self.assertIn(status['trouble'], ('RESHARE_TROUBLE_PEER_LOST', 'RESHARE_TROUBLE_STALLED'))
        through = min(int(status['through']) for status in statuses.values())
        self.assertTrue(0 < through < int(about['cells']), statuses)

        order |= {'round': 2, 'from': sorted(others[1:K + 1]), 'first': through // UNIT * UNIT,
                  'bytes_per_second': 0}
        statuses = self.carry_out(order)
        self.assertEqual(self.sums(statuses)['cells_taken'], K * (int(about['cells']) - order['first']))
        sealed = self.seal(order)
        self.held[victim.name] += 1
        # Without a surplus share the check says nothing.
        self.assertEqual(self.check_masked(sealed, sorted(others[1:]), victim.name),
                         'CHECK_VERDICT_UNVERIFIED')
        self.start_all_again(killed)
        self.assertEqual(self.check_masked(sealed, sorted(others), victim.name, 2), 'CHECK_VERDICT_PASSED')
        self.told_whole(victim, name)
        gone = [self.node(nodes[share - 1]) for share in others[:2]]
        for each in gone:
            each.kill()
        self.check_read_with(victim, path, name, about)
        self.start_all_again(*gone)
        self.wait_held()

    def check_everywhere(self, sealed, shares):
        """t + 1 of the new holders ask, so that one of them is honest."""
        for later, share in enumerate(sealed['to'][:T + 1], 1):
            checker = sealed['target']['layout']['nodes'][share - 1]
            self.assertEqual(self.check_masked(sealed, shares, checker, later), 'CHECK_VERDICT_PASSED')

    def erase(self, sealed):
        """What was made, as if it had not been committed."""
        self.wait_held(len(sealed['to']))
        for name in self.those_with_part(sealed):
            request = {'term': self.term, 'object': sealed['object'],
                       'generation': sealed['target']['generation']}
            for _ in range(2):  # the second time it is gone already
                self.assertTrue(self.ask(self.node(name), 'erase', request)['erased'])
        self.wait_held()

    def test_refresh(self):
        """a new generation for the same holders, beside the one that is read"""
        path, name, about = self.shared()
        dealers = sorted(self.random.sample(range(1, N + 1), T + 1))
        order = self.order(about, 'RESHARE_OPERATION_REFRESH',
                           **{'from': dealers, 'to': list(range(1, N + 1))})
        order['target'] |= {'generation': int(about['generation']) + 1, 'attempts': []}
        sums = self.sums(self.carry_out(order))
        bytes_of_share = int(about['cells']) * about['cell_bytes']
        self.assertEqual(sums['random_bytes'], len(dealers) * T * bytes_of_share)
        self.assertEqual(sums['cells_taken'], len(dealers) * (N - 1) * int(about['cells']))
        self.assertEqual(sums['mask_bytes'], 0)
        sealed = self.seal(order, [{'first_cell': 0, 'cells': about['cells'], 'attempt': order['round']}])
        self.check_everywhere(sealed, list(range(1, N + 1)))
        self.check(path, name)
        self.erase(sealed)
        self.check(path, name)

    def test_redistribute(self):
        """to another scheme and one holder more; below the floor it is refused"""
        path, name, about = self.shared()
        nodes = [holder['node'] for holder in about['layout']['holders']]
        everybody = nodes + [holder.name for holder in self.network.holders if holder.name not in nodes]

        def to_layout(k, n):
            layout = {'scheme': 'SCHEME_SHAMIR', 'k': k, 'n': n, 'secret_blocks': 1, 'nodes': everybody[:n]}
            givers = sorted(self.random.sample(range(1, N + 1), K))
            order = self.order(about, 'RESHARE_OPERATION_REDISTRIBUTE',
                               **{'from': givers, 'to': list(range(1, n + 1))})
            order['target'] = {'generation': int(about['generation']) + 1, 'layout': layout}
            return order
        below = to_layout(2, 3)
        for each in self.those_with_part(below):
            self.assertEqual(self.ask(self.node(each), 'order', below)['code'],
                             'RESHARE_ANSWER_CODE_BELOW_FLOOR')
        order = to_layout(4, 6)
        sums = self.sums(self.carry_out(order))
        self.assertEqual(sums['random_bytes'], K * 3 * int(about['cells']) * about['cell_bytes'])
        # Less what givers deal to themselves.
        self.assertEqual(sums['cells_taken'], (K * 6 - K) * int(about['cells']))
        sealed = self.seal(order, [{'first_cell': 0, 'cells': about['cells'], 'attempt': order['round']}])
        self.check_everywhere(sealed, list(range(1, N + 1)))
        self.check(path, name)
        self.erase(sealed)

    def test_terms(self):
        """whoever lost his place orders nothing, after a restart neither"""
        holder = self.network.holders[0]
        self.assertFalse(self.ask(holder, 'cancel', {'term': self.term, 'job': 1 << 40})['known'])
        type(self).term += 10

        def is_refused(term):
            answer = self.ask(holder, 'order', {'term': term, 'job': 1 << 41})
            self.assertEqual(int(answer['term']), self.term)
            return answer['code'] == 'RESHARE_ANSWER_CODE_OLD_TERM'
        self.assertFalse(is_refused(self.term))
        self.assertTrue(is_refused(self.term - 1))
        holder.kill()
        self.start_again(holder)
        self.assertTrue(is_refused(self.term - 1))
        answer = self.ask(holder, 'erase', {'term': self.term - 1, 'object': 1, 'generation': 1})
        self.assertEqual((answer['erased'], int(answer['term'])), (False, self.term))
        for each in self.network.holders:
            self.network.wait_for_connections(each.configuration['peer'], node=each)


if __name__ == '__main__':
    main(Reshare)
