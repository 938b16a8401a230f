# SPDX-License-Identifier: BSD-3-Clause
"""Counts and shows the results in meson's test logs; for scripts/test.

usage: test_summary.py show LABEL=LOG            counts of one log, and the output of what failed
       test_summary.py total [--not-built LABEL]... LABEL=LOG...
                                                 table, skipped tests with their reasons, closing line

LOG is a testlog.json of meson. Where a GoogleTest program left its XML report in the build directory,
its test cases are counted one by one. A log that is missing or in which nothing ran counts as a failure.
Exit codes: 0 something passed and nothing failed, 1 otherwise, 2 wrong usage.
"""

import dataclasses
import json
import os
import sys
import xml.etree.ElementTree as xml

FAILED = ('FAIL', 'ERROR', 'TIMEOUT', 'INTERRUPT', 'UNEXPECTEDPASS')
SHOWN_LINES = 40


@dataclasses.dataclass
class Results:
    """What one log holds."""
    label: str
    passed: int = 0
    seconds: float = 0.0
    failed: list = dataclasses.field(default_factory=list)  # (test, kind, output)
    skipped: list = dataclasses.field(default_factory=list)  # (test, reason)


def last_line(text):
    lines = [line.strip() for line in (text or '').splitlines() if line.strip()]
    return lines[-1] if lines else 'no reason given'


def add_cases(report, test, results):
    """Counts the cases of a GoogleTest report; returns how many of them failed."""
    failures = 0
    for case in xml.parse(report).getroot().iter('testcase'):
        name = f'{test} / {case.get("classname")}.{case.get("name")}'
        problem = case.find('failure')
        skipped = case.find('skipped')
        if problem is not None:
            failures += 1
            results.failed.append((name, 'FAIL', '\n'.join(f.text or f.get('message') or ''
                                                           for f in case.findall('failure'))))
        elif skipped is not None:
            results.skipped.append((name, last_line(skipped.get('message') or skipped.text)))
        elif case.get('status') == 'notrun':
            results.skipped.append((name, 'disabled in the source'))
        else:
            results.passed += 1
    return failures


def add_record(record, build_directory, results):
    """Counts one program of a log."""
    test = record['name'].split(' / ', 1)[-1]
    results.seconds += record.get('duration') or 0.0
    output = (record.get('stdout') or '') + (record.get('stderr') or '')
    bad = record['result'] in FAILED
    report = os.path.join(build_directory, test + '.xml')
    if os.path.exists(report):
        try:
            # The program can fail after its cases passed: a leak, a crash in a destructor.
            if add_cases(report, test, results) or not bad:
                return
        except xml.ParseError as error:
            bad, output = True, f'{report} is not complete: {error}\n' + output
    if bad:
        results.failed.append((test, record['result'], output))
    elif record['result'] == 'SKIP':
        results.skipped.append((test, last_line(output)))
    else:
        results.passed += 1


def load(argument):
    label, separator, log = argument.partition('=')
    if not separator:
        sys.exit(2)
    results = Results(label)
    if not os.path.exists(log):
        results.failed.append((label, 'ERROR', f'no test ran: there is no {log}'))
        return results
    # .../BUILD/meson-logs/testlog.json
    build_directory = os.path.dirname(os.path.dirname(os.path.abspath(log)))
    with open(log, encoding='utf-8') as file:
        for line in file:
            add_record(json.loads(line), build_directory, results)
    if not (results.passed or results.failed):
        results.failed.append((label, 'ERROR', f'no test ran: there is none that was not skipped in {log}'))
    return results


def show(results):
    for test, kind, output in results.failed:
        lines = output.rstrip().splitlines()
        print(f'  {kind}: {test}')
        if len(lines) > SHOWN_LINES:
            print(f'    | ... ({len(lines) - SHOWN_LINES} lines more in the log)')
        for line in lines[-SHOWN_LINES:]:
            print('    | ' + line)


def counts(passed, failed, skipped):
    return f'{passed} passed, {failed} failed' + (f', {skipped} skipped' if skipped else '')


def total(all_results):
    width = max(len(results.label) for results in all_results)
    for results in all_results:
        print(f'  {results.label:{width}}  ' +
              counts(results.passed, len(results.failed), len(results.skipped)))
    reasons = {}
    for results in all_results:
        for test, reason in results.skipped:
            reasons.setdefault(reason, []).append(f'{test} ({results.label})')
    if reasons:
        print('Skipped:')
    for reason, tests in reasons.items():
        more = f' and {len(tests) - 3} more' if len(tests) > 3 else ''
        print(f'  {reason}: {", ".join(tests[:3])}{more}')
    failed = [(results.label, test) for results in all_results for test, _, _ in results.failed]
    if failed:
        print('Failed:')
    for label, test in failed:
        print(f'  {test} ({label})')
    print(counts(sum(results.passed for results in all_results), len(failed),
                 sum(len(results.skipped) for results in all_results)))


def main(arguments):
    if not arguments or arguments[0] not in ('show', 'total'):
        print(__doc__, file=sys.stderr)
        return 2
    command, all_results, rest = arguments[0], [], arguments[1:]
    while rest:
        if rest[0] == '--not-built' and len(rest) > 1:
            all_results.append(Results(rest[1], failed=[('the build', 'ERROR', '')]))
            rest = rest[2:]
        else:
            all_results.append(load(rest[0]))
            rest = rest[1:]
    if not all_results:
        all_results.append(Results('nothing', failed=[('no test ran at all', 'ERROR', '')]))
    if command == 'total':
        total(all_results)
    else:
        for results in all_results:
            show(results)
            print(f'  {counts(results.passed, len(results.failed), len(results.skipped))}')
    return 1 if any(results.failed for results in all_results) else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
