# SPDX-License-Identifier: BSD-3-Clause
"""Usage: conformance_test.py SOURCE_ROOT

scripts/check-conformance must pass a document that holds and catch every planted mistake.
"""

import contextlib
import importlib.machinery
import importlib.util
import io
import json
import os
import shutil
import sys
import tempfile
import unittest
import unittest.mock

CPP = """\
TEST(Suite, Simple) {
TEST_F(Suite, OfAFixture) {
TYPED_TEST(Suite, OfTypes) {
TEST_P(Suite,
       OnTwoLines) {
// TEST(Suite, CommentedOut) {
TEST(Suite, DISABLED_Off) {
"""
SCRIPT = """\
class Above:
    def test_inherited(self):
        pass
class Case(Above):
    def test_one(self):
        pass
    def helper(self):
        pass
class LeftOut(Above):
    def test_one(self):
        pass
main(Case)
"""
GOOD = ['Req_SSN_A1', 'data', 'yes', '`part`, `part/one.cpp`', '`unit: Suite.Simple`, `whole`', '-']


def script(root):
    """The script under test, as a module."""
    sys.dont_write_bytecode = True
    loader = importlib.machinery.SourceFileLoader('check_conformance',
                                                  os.path.join(root, 'scripts/check-conformance'))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


class ConformanceTest(unittest.TestCase):
    def setUp(self):
        self.tree = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.tree)
        self.about = script(SOURCE_ROOT)
        for name, content in (('part/one.cpp', ''), ('tests/unit.cpp', CPP), ('tests/whole.py', SCRIPT)):
            self.write(name, content)
        self.write('build/meson-info/intro-tests.json', json.dumps([
            {'name': 'unit', 'protocol': 'gtest', 'cmd': [self.path('build/unit-test')]},
            {'name': 'other', 'protocol': 'gtest', 'cmd': [self.path('build/other-test')]},
            {'name': 'whole', 'protocol': 'exitcode',
             'cmd': ['python3', self.path('build/../tests/whole.py'), self.path('build')]},
        ]))
        self.write('build/meson-info/intro-targets.json', json.dumps([
            {'filename': [self.path('build/unit-test')],
             'target_sources': [{'sources': [self.path('tests/unit.cpp')]}, {'linker': []}]},
            {'filename': [self.path('build/other-test')], 'target_sources': [{'sources': []}]},
        ]))

    def path(self, name):
        return os.path.join(self.tree, name)

    def write(self, name, content):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), 'w', encoding='utf-8') as file:
            file.write(content)

    def check(self, rows):
        """Exit code and output for a document with these rows, the first of them on line 5."""
        header = ['# Conformance', '', '| ' + ' | '.join(self.about.COLUMNS) + ' |', '|---' * 6 + '|']
        self.write('docs/conformance.md',
                   '\n'.join(header + ['| ' + ' | '.join(row) + ' |' for row in rows]) + '\n')
        return self.run_it()

    def run_it(self):
        output = io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output), \
                unittest.mock.patch('sys.argv', ['it', '--root', self.tree, self.path('build')]):
            return self.about.main(), output.getvalue()

    def rows(self, **changes):
        """A row for every id; of the first one cells are changed, by their columns."""
        first = list(GOOD)
        for column, cell in changes.items():
            first[['id', 'asks', 'status', 'paths', 'tests', 'missing'].index(column)] = cell
        rest = [ident for ident in self.about.IDS if ident != GOOD[0]]
        return [first] + [[ident, 'something', 'later', '-', '-', 'all of it'] for ident in rest]

    def caught(self, said, rows, place=':5:', complaints=1):
        """It must complain of nothing else, with file and line, and say why and what mends it."""
        code, output = self.check(rows)
        self.assertEqual(code, 1, output)
        self.assertRegex(output, rf'(?m)^docs/conformance\.md{place} .*{said}\n  why: .+\n  fix: .+')
        self.assertEqual(output.count('  fix: '), complaints, output)

    def test_good_ones_pass(self):
        for cells in ({}, {'status': 'partly', 'missing': 'a part'},
                      {'status': 'outside', 'missing': 'for others'},
                      {'status': 'outside', 'paths': '-', 'tests': '-', 'missing': 'for others'},
                      {'status': 'later', 'paths': '-', 'tests': '-', 'missing': 'all'},
                      {'tests': '`unit`'}, {'tests': '`unit: Suite.OfAFixture`'},
                      {'tests': '`unit: Suite.OfTypes`, `unit: Suite.OnTwoLines`'},
                      {'tests': '`whole: Case.test_one`'}, {'tests': '`whole: Case.test_inherited`'}):
            with self.subTest(cells):
                code, output = self.check(self.rows(**cells))
                self.assertEqual(code, 0, output)
                self.assertIn(f'{len(self.about.IDS)} rows, 0 complaints', output)

    def test_each_planted_mistake_is_caught(self):
        planted = [
            ({'status': 'mostly'}, '"mostly" is no status'),
            ({'paths': '`gone`'}, 'gone does not implement it'),
            ({'paths': '`part/../part`'}, 'part does not implement it'),
            ({'paths': '`/etc`'}, '/etc does not implement it'),
            ({'tests': '`gone`'}, 'gone shows nothing'),
            ({'tests': '`unit: Suite.Gone`'}, 'unit: Suite.Gone shows nothing'),
            ({'tests': '`unit: Other.Simple`'}, 'unit: Other.Simple shows nothing'),
            ({'tests': '`unit: Suite.Simpl`'}, 'unit: Suite.Simpl shows nothing'),
            ({'tests': '`unit: Suite.CommentedOut`'}, 'unit: Suite.CommentedOut shows nothing'),
            ({'tests': '`unit: Suite.DISABLED_Off`'}, 'unit: Suite.DISABLED_Off shows nothing'),
            ({'tests': '`other: Suite.Simple`'}, 'other: Suite.Simple shows nothing'),  # of another test
            ({'tests': '`whole: Case.test_gone`'}, 'whole: Case.test_gone shows nothing'),
            ({'tests': '`whole: Case.helper`'}, 'whole: Case.helper shows nothing'),
            ({'tests': '`whole: LeftOut.test_one`'}, 'whole: LeftOut.test_one shows nothing'),
            ({'tests': '`unit, whole`'}, '"unit, whole" names no test|`unit" names no test'),
            ({'tests': '`unit Suite.Simple`'}, '"unit Suite.Simple" is no test'),
            ({'paths': '-'}, 'it says yes, and not what implements it'),
            ({'tests': '-'}, 'it says yes, and not what shows it'),
            ({'status': 'partly', 'tests': '-', 'missing': 'some'}, 'it says partly, and not what shows it'),
            ({'status': 'partly'}, 'it says partly, and not what is missing'),
            ({'status': 'outside'}, 'it says outside, and not what is missing'),
            ({'missing': 'a part'}, 'it says yes, and what is missing'),
            ({'status': 'later', 'missing': 'all'}, 'it says later, and names what exists'),
            ({'asks': ''}, '5 of its cells say something'),
        ]
        for cells, said in planted:
            with self.subTest(cells):
                # A list that names nothing leaves a second thing to complain of.
                self.caught(f'({said})', self.rows(**cells), complaints=2 if 'names no' in said else 1)

    def test_missing_and_foreign_rows(self):
        for ident in self.about.IDS:
            self.caught(f'{ident}: it has no row',
                        [row for row in self.rows() if row[0] != ident], place=':[0-9]+:')
        self.caught('Req_SSN_A1: it has a row already', self.rows() + [GOOD],
                    place=f':{5 + len(self.about.IDS)}:')
        self.caught('Req_SSN_A9: nothing has this id', self.rows() + [['Req_SSN_A9'] + GOOD[1:]],
                    place=f':{5 + len(self.about.IDS)}:')

    def test_other_tables_are_none_of_ours(self):
        self.write('docs/conformance.md', '| Id | Status |\n|---|---|\n| Req_SSN_A1 | yes |\n')
        code, output = self.run_it()
        self.assertEqual(code, 1)
        self.assertEqual(output.count('it has no row'), len(self.about.IDS))

    def test_the_standards_ids_are_there(self):
        """as many requirements, functions and reference points as the draft numbers"""
        numbers = {'Req_SSN_A': 4, 'Req_SSN_C': 6, 'Req_SSN_S': 4, 'Req_SSN_M': 1, '10.1 ': 2, '10.2 ': 5,
                   '10.3 ': 3, '10.4 ': 1, 'SSN-': 8}
        for start, number in numbers.items():
            self.assertEqual(sum(ident.startswith(start) for ident in self.about.IDS), number, start)
        self.assertEqual(len(set(self.about.IDS)), len(self.about.IDS))

    def test_without_a_build_it_is_an_error(self):
        shutil.rmtree(self.path('build'))
        code, output = self.check(self.rows())
        self.assertEqual(code, 2, output)
        self.assertIn('Run: scripts/build', output)


if __name__ == '__main__':
    SOURCE_ROOT = sys.argv.pop(1)
    unittest.main()
