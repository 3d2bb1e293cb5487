#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
# guest: uml 600
# guest: uml-debug? 900
# guest: stock? 600
"""Damaged filesystems are mounted read-write with -o fsck,fix_errors=yes, and with each policy for
errors: what is repaired here, the tools' fsck has nothing to say about afterwards, and every file is as
it was; of the rest, it must not find more than before, and nothing must have been written when the
mount was refused."""
import errno
import hashlib

import common
import images
import manifest
import packaged
from common import Limit, Log, Loop, Mounted, Tap, mount, own, umount

# What is repaired.
REPAIRED = ('accounting', 'alloc-header', 'alloc-key-deleted', 'alloc-key-deleted-dirty', 'backpointer',
            'bset-badkey', 'dirent-dangling', 'dirent-deleted', 'dirent-hash', 'dirent-type',
            'extent-deleted', 'freespace', 'inode-deleted', 'inode-unpack', 'nlink', 'node-csum',
            'node-seq', 'node-zero', 'journal-middle', 'journal-oldcopy', 'journal-torn', 'sb-primary-bit',
            'sb-primary-zero')
# Images in which files are gone, or another than before, which no repair brings back.
DAMAGED_FILES = ('bset-badkey', 'dirent-dangling', 'dirent-deleted', 'dirent-hash', 'extent-deleted',
                 'inode-deleted', 'inode-unpack', 'journal-middle', 'journal-torn', 'nlink', 'node-zero')
POLICIES = 'continue', 'fix_safe', 'ro'
SECONDS = 60


def complaints_of_fsck(device):
    """Lines of the tools' fsck about what is wrong; nothing when all is well."""
    status, out = packaged.tool('fsck', '-n', device)
    lines = [x for x in out.splitlines() if 'not fixing' in x or 'exiting' in x or 'shutting down' in x]
    return lines or ([f'exit status {status}'] + out.splitlines()[-5:] if status else [])


def digest(path):
    h = hashlib.sha256()
    with open(path, 'rb') as f:
        while piece := f.read(1 << 20):
            h.update(piece)
    return h.digest()


def repaired(name):
    man, log, wrong = common.manifest(name), Log(), []
    base = common.manifest(man['base'])
    files = images.damaged_files(man)
    with Loop(files) as dev:
        before = complaints_of_fsck(dev.devices[0])
    with Loop(files) as dev:
        log.take()
        try:
            with Limit(SECONDS):
                mount(dev.source, 'fsck,fix_errors=yes', flags=0)
                umount()
        except OSError as x:
            return [f'mount: {x}'] + own(log.take())[-20:]
        wrong += complaints_of_fsck(dev.devices[0])
        with Mounted(dev.source) as root:
            different = manifest.compare(root, base)
            if not name.endswith(DAMAGED_FILES):
                wrong += different[:10]
        said = own(log.take())
    print(f'# {name}: fsck -n had {len(before)} lines to say, then {len(wrong)}')
    return wrong + (said[-20:] if wrong else [])


def not_repaired(name):
    man, log = common.manifest(name), Log()
    files = images.damaged_files(man)
    with Loop(files) as dev:
        before = complaints_of_fsck(dev.devices[0])
    was = digest(files[0])
    with Loop(files) as dev:
        log.take()
        outcome = 'mounted'
        try:
            with Limit(SECONDS):
                mount(dev.source, 'fsck,fix_errors=yes', flags=0)
                umount()
        except OSError as x:
            outcome = errno.errorcode[x.errno]
        said = own(log.take())
        after = complaints_of_fsck(dev.devices[0])
    wrong = []
    if outcome != 'mounted' and not said:
        wrong.append('nothing was said')
    if len(after) > len(before):
        wrong += [f'fsck -n finds more: {len(after)} lines, not {len(before)}'] + after[:10]
    print(f'# {name}: {outcome}; fsck -n had {len(before)} lines to say, then {len(after)};'
          f' {"un" if digest(files[0]) == was else ""}changed')
    return wrong + (said[-20:] if wrong else [])


def by_policy(name, policy):
    """A mount without fsck: it is refused, or goes on, and the tools find no more than before."""
    man, log = common.manifest(name), Log()
    files = images.damaged_files(man)
    with Loop(files) as dev:
        before = complaints_of_fsck(dev.devices[0])
        log.take()
        outcome = 'mounted'
        try:
            with Limit(SECONDS):
                mount(dev.source, f'errors={policy}', flags=0)
                umount()
        except OSError as x:
            outcome = errno.errorcode[x.errno]
        said = own(log.take())
        after = complaints_of_fsck(dev.devices[0])
    wrong = []
    if len(after) > len(before):
        wrong += [f'{outcome}: fsck -n finds more: {len(after)} lines, not {len(before)}'] + after[:10]
    return wrong + (said[-20:] if wrong else [])


def main():
    tap, log = Tap(), Log()
    names = [n for n in common.images() if n.startswith('v113-dmg-')]
    tests = []
    for name in names:
        is_repaired = name[len('v113-dmg-'):] in REPAIRED
        test, what = (repaired, 'is repaired') if is_repaired else (not_repaired, 'gets no worse')
        tests.append((f'{name} {what}', test, name))
    for policy in POLICIES:
        for case in ('alloc-header', 'freespace', 'backpointer', 'dirent-dangling'):
            name = f'v113-dmg-{case}'
            if name in names:
                tests.append((f'{name} with errors={policy} gets no worse', by_policy, name, policy))
    tap.check_each(log, tests, SECONDS * 4)
    tap.done()


if __name__ == '__main__':
    main()
