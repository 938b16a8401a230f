# SPDX-License-Identifier: BSD-3-Clause
"""Usage: test_summary_test.py SOURCE_ROOT: the counts that scripts/test prints, from made-up logs."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

GOOGLE_TEST_REPORT = '''<?xml version="1.0"?><testsuites><testsuite name="S">
<testcase name="a" classname="S" status="run" result="completed"/>
<testcase name="b" classname="S" status="run" result="skipped">
<skipped message="f.cpp:1&#x0A;no AVX2"/></testcase>
<testcase name="c" classname="S" status="notrun" result="suppressed"/>
{more}</testsuite></testsuites>'''
FAILED_CASE = '<testcase name="d" classname="S" status="run"><failure message="1 is not 2"/></testcase>'


class TestSummaryTest(unittest.TestCase):
    def setUp(self):
        self.build = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.build)
        self.log = os.path.join(self.build, 'meson-logs', 'testlog.json')
        os.mkdir(os.path.dirname(self.log))

    def total(self, records, *arguments):
        with open(self.log, 'w', encoding='ascii') as file:
            file.writelines(json.dumps(record) + '\n' for record in records)
        return self.run_summary(f'x={self.log}', *arguments)

    def run_summary(self, *arguments):
        """Exit code and output; the closing line must stand alone."""
        answer = subprocess.run(
            [sys.executable, os.path.join(SOURCE_ROOT, 'scripts/lib/test_summary.py'), 'total', *arguments],
            capture_output=True, text=True, check=False)
        self.assertEqual(answer.stderr, '')
        return answer.returncode, answer.stdout.splitlines()[-1], answer.stdout

    def report(self, name, more=''):
        with open(os.path.join(self.build, name + '.xml'), 'w', encoding='ascii') as file:
            file.write(GOOGLE_TEST_REPORT.format(more=more))

    def test_programs(self):
        code, closing, output = self.total([
            {'name': 'unit / one', 'result': 'OK', 'stdout': ''},
            {'name': 'unit / two', 'result': 'EXPECTEDFAIL', 'stdout': ''},
            {'name': 'three', 'result': 'SKIP', 'stdout': 'some\nno valgrind here\n'}])
        self.assertEqual((code, closing), (0, '2 passed, 0 failed, 1 skipped'))
        self.assertIn('no valgrind here: three (x)', output)

    def test_every_kind_of_failure_counts(self):
        for result in ('FAIL', 'ERROR', 'TIMEOUT', 'INTERRUPT', 'UNEXPECTEDPASS'):
            code, closing, _ = self.total([{'name': 'a', 'result': 'OK', 'stdout': ''},
                                           {'name': 'b', 'result': result, 'stdout': 'why'}])
            self.assertEqual((code, closing), (1, '1 passed, 1 failed'), result)

    def test_cases_are_counted(self):
        self.report('kernels')
        code, closing, output = self.total([{'name': 'unit / kernels', 'result': 'OK', 'stdout': ''}])
        self.assertEqual((code, closing), (0, '1 passed, 0 failed, 2 skipped'))
        self.assertIn('no AVX2: kernels / S.b (x)', output)

    def test_failed_case_counts_once(self):
        self.report('kernels', FAILED_CASE)
        code, closing, _ = self.total([{'name': 'unit / kernels', 'result': 'FAIL', 'stdout': ''}])
        self.assertEqual((code, closing), (1, '1 passed, 1 failed, 2 skipped'))

    def test_leak_after_passing_cases_is_a_failure(self):
        self.report('kernels')
        code, closing, _ = self.total([{'name': 'unit / kernels', 'result': 'FAIL', 'stdout': 'leak'}])
        self.assertEqual((code, closing), (1, '1 passed, 1 failed, 2 skipped'))

    def test_torn_report_is_a_failure(self):
        with open(os.path.join(self.build, 'kernels.xml'), 'w', encoding='ascii') as file:
            file.write('<testsuites><testsuite>')
        code, closing, _ = self.total([{'name': 'kernels', 'result': 'OK', 'stdout': ''}])
        self.assertEqual((code, closing), (1, '0 passed, 1 failed'))

    def test_nothing_ran_is_a_failure(self):
        for arguments in ((), ('missing=' + self.log,), ('--not-built', 'x')):
            code, closing, _ = self.run_summary(*arguments)
            self.assertEqual((code, closing), (1, '0 passed, 1 failed'), arguments)
        code, closing, _ = self.total([{'name': 'three', 'result': 'SKIP', 'stdout': 'why'}])
        self.assertEqual((code, closing), (1, '0 passed, 1 failed, 1 skipped'))


if __name__ == '__main__':
    SOURCE_ROOT = sys.argv.pop(1)
    unittest.main()
