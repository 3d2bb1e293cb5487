#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
# guest: uml 600
# guest: stock 400 v113-tree v139-tree v139-csum-crc32c v139-comp-zstd v113-encrypted v139-ec dmg-node-csum
"""Every image that the C implementation made: mounted read-only and compared with its manifest.

They must be the same in every object. Damaged images must mount or be refused with a message, and
whatever can be read must be what was written.

Arguments choose images by a part of their name.
"""
import errno
import os
import re
import sys

import common
import keys
import manifest
from common import Late, Limit, Log, Loop, Mounted, Tap, own

# Damage that takes away or changes what is in the tree. Everything else must be as it was.
CHANGES_TREE = re.compile(r'dirent-|inode-|extent-deleted|snapshot-deleted|nlink|node-|bset-|journal-'
                          r'|alloc-key-deleted')
# What the module has to say about it.
SAYS = {'dirent-dangling': 'dirent_to_missing_inode', 'inode-deleted': 'dirent_to_missing_inode'}
SECONDS = 120


def said(log):
    """The module's messages since the last question, without its name for the device."""
    lines = log.take()
    return own(lines), common.complaints(lines)


def undamaged(tap, log, name):
    man = common.manifest(name)
    files = common.unpack(name)
    if 'passphrase' in man:
        keys.unlock(files[0], man['passphrase'])
    with Loop(files) as dev:
        log.take()
        try:
            with Limit(SECONDS), Mounted(dev.source) as root:
                different = manifest.compare(root, man)
        except (OSError, Late) as x:
            messages, complaints = said(log)
            if complaints:
                return tap.result(False, name, complaints)
            return tap.result(False, name, [f'mount: {x}'] + messages[-10:])
        messages, complaints = said(log)
    if complaints:
        return tap.result(False, name, complaints)
    return tap.result(not different, name, different[:20] + messages[-10:])


def damaged_files(man):
    """Damaged images are the base with patches; they are made here."""
    files = common.unpack(man['base'], 'damaged-')
    with open(files[0], 'r+b') as f:
        for p in man['patches']:
            f.seek(p['offset'])
            f.write(manifest.base64.b64decode(p['data']) if 'data' in p else bytes(p['zero']))
    return files


def mount_damaged(log, name):
    """What differs from the base, the errno of a refused mount, and what the kernel said."""
    man = common.manifest(name)
    files = damaged_files(man)
    base = common.manifest(man['base'])
    with Loop(files) as dev:
        log.take()
        different, refused = [], None
        try:
            with Limit(SECONDS), Mounted(dev.source) as root:
                different = manifest.compare(root, base)
        except OSError as x:
            refused = x.errno
        return different, refused, *said(log)


def damaged(tap, log, name):
    try:
        different, refused, messages, complaints = mount_damaged(log, name)
    except Late as x:
        return tap.result(False, name, str(x))
    wrong, why = [], f'refused with {errno.errorcode[refused]}' if refused else ''
    if refused in (errno.EBUSY, errno.ENOENT, errno.ENODEV):
        wrong.append(f'{os.strerror(refused)}: not an errno that says damage')
    wrong += complaints
    unreadable = [x for x in different if 'read_error: 5' in x or 'Input/output error' in x
                  or 'Structure needs cleaning' in x or 'sha256: None' in x or 'read_error: 117' in x]
    if (unreadable or why) and not messages:
        wrong.append('an error without a message')
    wrong += [f'no message with {says}' for case, says in SAYS.items()
              if name.endswith(case) and not any(says in x for x in messages)]
    if not CHANGES_TREE.search(name):
        wrong += [x for x in different if x not in unreadable][:10]
    else:
        # Contents are either what was written, or not given out. An extent that is gone is a hole,
        # and a name may have come to stand for another inode.
        other = tuple(x.split(': ino: ')[0] + ': ' for x in different if ': ino: ' in x)
        wrong += [x for x in different if 'sha256: ' in x and x not in unreadable
                  and not x.startswith(other) and not re.search('extent-deleted|journal-', name)][:10]
    outcome = why or f'{len(different)} differences, {len(unreadable)} of them errors'
    tap.result(not wrong, f'{name}: {outcome}', wrong + messages[-10:])


def main():
    tap, log = Tap(), Log()
    for name in common.images():
        if sys.argv[1:] and not any(a in name for a in sys.argv[1:]):
            continue
        (damaged if '-dmg-' in name else undamaged)(tap, log, name)
        common.clean()
    if not tap.nr:
        tap.result(False, 'there are images', 'neither $IMAGES nor tests/golden holds one')
    tap.done()


if __name__ == '__main__':
    main()
