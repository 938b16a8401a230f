# SPDX-License-Identifier: BSD-3-Clause
"""Usage: style_test.py SOURCE_ROOT

scripts/style must pass a clean tree and catch every planted violation.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest

SPDX = 'SPDX-License-Identifier: BSD-3-Clause\n'
CLEAN = {
    'kernels/README.md': '# kernels\n\n[one](one.cpp)\n',
    'kernels/one.cpp': '// ' + SPDX + '#include <cstdint>\n\nint one() { return 1; }\n',
    'scripts/run': '#!/bin/sh\n# ' + SPDX + 'echo "$1"\n',
    'scripts/README.md': '# scripts\n',
}


def long_function(lines):
    return '// ' + SPDX + '\nint f() {\n  int a = 0;\n' + '  a++;\n' * (lines - 4) + '  return a;\n}\n'


# check: what to write over the clean tree so that it must complain, and what it then says
PLANTED = {
    'format': ('kernels/one.cpp', '// ' + SPDX + 'int  one( ){return 1;}\n', 'clang-format'),
    'shell': ('scripts/run', '#!/bin/sh\n# ' + SPDX + 'echo $1\n', 'SC2086'),
    'spelling': ('kernels/README.md', '# kernels\n\nSep' 'erate words\n', 'Separate'),
    'readme': ('hw/one.cpp', '// ' + SPDX, 'hw: has no README.md'),
    'top_level': ('misc/one.cpp', '// ' + SPDX, 'misc: is not one'),
    'length': ('kernels/two.cpp', '// ' + SPDX + '//\n' * 700, '701'),
    'columns': ('kernels/two.cpp', '// ' + SPDX + '// ' + 'x' * 108 + '\n', '111 columns'),
    'blanks': ('kernels/two.cpp', '// ' + SPDX + '//\ttab\n', 'two.cpp:2: tab'),
    'ascii': ('kernels/two.cpp', '// ' + SPDX + '// \u00e9\n', '0xe9'),
    'licence': ('kernels/two.cpp', '// none\n', 'two.cpp:1: no "SPDX'),
    'words': ('kernels/two.cpp', '// ' + SPDX + '// TO' 'DO later\n', 'two.cpp:2: "TO' 'DO"'),
    'executable': ('kernels/two.py', '#!/usr/bin/python3\n# ' + SPDX, 'is not executable'),
    'functions': ('kernels/two.cpp', long_function(71), 'two.cpp:3: the function has 71 lines'),
    'kernels': ('kernels/two.cpp', '// ' + SPDX + '#include <vector>\n', '<vector> has no place'),
    'links': ('kernels/README.md', '[gone](gone.cpp)\n', 'gone.cpp does not exist'),
}
# More of what some checks must catch.
ALSO = [
    ('words', 'kernels/two.cpp', '// ' + SPDX + '// see /ho' 'me/me/x\n', 'path of one machine'),
    ('blanks', 'kernels/two.cpp', '// ' + SPDX + '// blank \n', 'trailing blank'),
    ('blanks', 'kernels/two.cpp', '// ' + SPDX.rstrip(), 'exactly one newline'),
    ('blanks', 'kernels/two.cpp', '// ' + SPDX.rstrip() + '\r\n', 'carriage return'),
    ('readme', 'kernels/README.md', 'line\n' * 61, 'longer than one screen'),
]
# What looks like a violation and is none.
FINE = [
    ('functions', 'kernels/two.cpp', long_function(70)),
    ('functions', 'kernels/two.cpp',
     '// ' + SPDX + '\nnamespace n {\n\n' + 'int f();\n' * 90 + '\n}  // namespace n\n'),
    ('words', 'kernels/two.cpp', '// ' + SPDX + '// docs/wo' 'rk/x and xTO' 'DOx\n'),
    ('columns', 'kernels/two.cpp', '// ' + SPDX + '// ' + 'x' * 107 + '\n'),
]


class StyleTest(unittest.TestCase):
    def setUp(self):
        self.tree = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.tree)
        shutil.copy(os.path.join(SOURCE_ROOT, '.clang-format'), self.tree)
        self.restore()

    def restore(self):
        """Back to the clean tree."""
        for entry in os.listdir(self.tree):
            path = os.path.join(self.tree, entry)
            if os.path.isdir(path):
                shutil.rmtree(path)
        for name, content in CLEAN.items():
            self.write(name, content)
        os.chmod(os.path.join(self.tree, 'scripts/run'), 0o755)

    def write(self, name, content):
        path = os.path.join(self.tree, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w', encoding='utf-8', newline='') as file:
            file.write(content)

    def style(self, *arguments):
        answer = subprocess.run([os.path.join(SOURCE_ROOT, 'scripts/style'), '--root', self.tree, *arguments],
                                capture_output=True, text=True, check=False)
        return answer.returncode, answer.stdout + answer.stderr

    def expect_caught(self, check, name, content, said):
        self.write(name, content)
        code, output = self.style('--only', check)
        self.assertEqual(code, 1, output)
        self.assertIn(said, output)

    def test_clean_tree_passes(self):
        code, output = self.style()
        self.assertEqual(code, 0, output)

    def test_every_check_is_planted(self):
        code, output = self.style()
        self.assertEqual(code, 0, output)
        self.assertEqual(output.count('ok  '), len(PLANTED), 'a check has no planted violation here')

    def test_planted(self):
        for check, (name, content, said) in PLANTED.items():
            with self.subTest(check):
                self.restore()
                self.expect_caught(check, name, content, said)

    def test_also_planted(self):
        for check, name, content, said in ALSO:
            with self.subTest(said):
                self.restore()
                self.expect_caught(check, name, content, said)

    def test_fine(self):
        for check, name, content in FINE:
            with self.subTest(content[:60]):
                self.restore()
                self.write(name, content)
                code, output = self.style('--only', check)
                self.assertEqual(code, 0, output)

    def test_unknown_check_is_an_error(self):
        self.assertEqual(self.style('--only', 'nonsense')[0], 2)


if __name__ == '__main__':
    SOURCE_ROOT = sys.argv.pop(1)
    unittest.main()
