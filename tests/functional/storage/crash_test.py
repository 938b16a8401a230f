#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Kills the processes of a storage network, at random and all the time, while owners put, get and remove:

    crash_test.py BUILD [--seed N] [--seconds N] [--layout K,N] [--keep FOLDER] [--store rocksdb|memory]

Shareholders, SSA, key managers, controller and the owners' commands get SIGKILL, in storms of more than 200
a minute, in the middle of whatever they do, starting included; after each storm owners must get something
done. What was acknowledged reads back, what was not is there as a whole or not at all, nothing wrong is
given, nothing that was removed comes back (expected.py). In the end everything runs again, everything is
read, and no store keeps what no object needs. With a store in memory this must fail.
"""

import crash_loop

if __name__ == '__main__':
    crash_loop.main(crash_loop.CrashLoop, __doc__, ('2,3', '3,5'), 15)
