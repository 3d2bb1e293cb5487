#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
# guest: uml 400
# guest: uml-debug? 900
# guest: stock? 600
"""The metadata engine in the kernel: the benchmarks change btrees by the thousand, with all that follows
for the accounting of space. After that the packaged fsck has nothing to say, and every file is as it was.

    engine.py [NUMBER]                      keys of each benchmark
    engine.py --keep DIRECTORY [NAME]...    leaves what it made there, for `rw.py --look DIRECTORY`
                                            under another kernel: once as it is after unmounting"""
import os
import re
import subprocess
import sys

import common
import manifest
import rw
from common import Log, Loop, Mounted, Skip, Tap, mount, own, umount

IMAGES = ('v113-empty', 'v113-tree', 'v113-threedev', 'v113-repl2', 'v113-block512', 'v113-csum-xxhash')
NUMBER = 20000
SECONDS = 300
# The last one takes away what the others left.
STEPS = (('rand_insert', 1), ('rand_insert_multi', 1), ('rand_lookup', 1), ('rand_mixed', 1), ('rand_delete', 1),
         ('seq_insert', 1), ('seq_lookup', 1), ('seq_overwrite', 1), ('rand_insert', 4), ('seq_delete', 1))


def sysfs():
    """The directory of what is mounted."""
    found = [d for d in os.listdir('/sys/fs/bcachefs') if os.path.exists(f'/sys/fs/bcachefs/{d}/perf_test')]
    if len(found) != 1:
        raise RuntimeError(f'not one filesystem: {found}')
    return f'/sys/fs/bcachefs/{found[0]}'


def timed():
    """What of all this takes time was measured, and other times are there, too."""
    counts = {}
    for name in os.listdir(f'{sysfs()}/time_stats'):
        with open(f'{sysfs()}/time_stats/{name}', encoding='ascii') as f:
            counts[name] = int(f.readline().split(':')[1])
    want = ('btree_node_split', 'btree_node_compact', 'btree_node_merge', 'btree_node_sort',
            'btree_interior_update_foreground', 'btree_interior_update_total', 'journal_noflush_write')
    replaced = sum(counts.get(f'btree_node_{x}', 0) for x in ('split', 'compact', 'merge'))
    wrong = [f'{name}: {counts.get(name, "not there")}' for name in want if not counts.get(name)]
    if replaced < counts.get('btree_interior_update_foreground', 0) // 2 or 'blocked_allocate' not in counts:
        wrong.append(f'times: {counts}')
    return wrong


def run(number):
    """Runs all benchmarks; the complaints."""
    path, log, wrong = f'{sysfs()}/perf_test', Log(), []
    for test, threads in STEPS:
        with open(path, 'w', encoding='ascii') as f:
            f.write(f'{test} {number} {threads}\n')
        lines = own(log.take())
        if not any(re.search(rf'{test}: .* nsec per iter', x) for x in lines):
            wrong += [f'{test}: no result'] + lines
        for x in lines:
            print(f'# {x}', flush=True)
    return wrong + timed()


def changed(name):
    if name not in common.images():
        raise Skip('no such image')
    files = common.unpack(name)
    man = common.manifest(name)
    with Loop(files) as dev:
        mount(dev.source, flags=0)
        try:
            wrong = run(NUMBER)
        finally:
            umount()
        wrong += rw.fsck(dev.devices)
        with Mounted(dev.source) as root:
            wrong += manifest.compare(root, man)[:10]
    return wrong


def refused(name):
    """What is no benchmark, and a filesystem that is mounted read-only."""
    wrong = []
    with Loop(common.unpack(name)) as dev, Mounted(dev.source):
        for text in ('', 'rand_insert', 'rand_insert 0', 'rand_insert 5 0', 'format 5 5', 'rand_insert 5 5'):
            try:
                with open(f'{sysfs()}/perf_test', 'w', encoding='ascii') as f:
                    f.write(text + '\n')
                wrong.append(f'{text!r} is taken')
            except OSError:
                pass
    return wrong


def keep(to, names):
    for name in names or IMAGES:
        files = common.unpack(name)
        with Loop(files) as dev:
            mount(dev.source, flags=0)
            for test, threads in STEPS:
                with open(f'{sysfs()}/perf_test', 'w', encoding='ascii') as f:
                    f.write(f'{test} {NUMBER} {threads}\n')
            umount()
        for f in files:
            subprocess.check_call(['cp', '--sparse=always', f, to])
        common.clean()
        print(f'kept {name}', flush=True)


def main():
    global NUMBER
    if sys.argv[1:2] == ['--keep']:
        return keep(sys.argv[2], sys.argv[3:])
    if len(sys.argv) > 1:
        NUMBER = int(sys.argv[1])
    tap, log = Tap(), Log()
    tests = [(f'{name}: changed, unmounted, checked', changed, name) for name in IMAGES]
    tests.append(('what can not be run is refused', refused, 'v113-empty'))
    tap.check_each(log, tests, SECONDS)
    tap.done()


if __name__ == '__main__':
    main()
