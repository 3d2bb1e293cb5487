#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What each damaged image costs here, beside what it costs with the C implementation.

Prints a line of a table for each image: what was done to it, what is lost here and the first
message that says so, and what the manifest has of the C implementation's plain mount
of the same image: Linux 6.12's for v113, upstream's for v139.
Not a test: `images.py` is. Arguments choose images by a part of their name.
"""
import collections
import errno
import re
import sys

import common
import images


def lost(lines):
    """How many objects differ, and in which way."""
    ways = collections.defaultdict(set)
    for line in lines:
        m = re.match(r"(?:DIFFERS |MISSING |NOT EXPECTED |EXTRA )?(b'[^']*'|\S+?):? (.*)", line)
        name, what = (m.group(1), m.group(2)) if m else (line, '')
        code = re.search(r'read_error: (?:want None have )?(\d+)', what)
        if code:
            ways[errno.errorcode[int(code.group(1))]].add(name)
        elif 'Input/output error' in what:
            ways['EIO'].add(name)
        elif 'Structure needs cleaning' in what:
            ways['EUCLEAN'].add(name)
        elif 'No such file' in what or line.startswith('MISSING'):
            ways['gone'].add(name)
        elif 'not in the manifest' in what or line.startswith('EXTRA'):
            ways['extra'].add(name)
        else:
            ways['changed'].add(name)
    # What can not be read also has no hash.
    ways['changed'] -= ways['EIO'] | ways['EUCLEAN']
    return ', '.join(f'{len(n)} {w}' for w, n in sorted(ways.items()) if n) or 'nothing'


def by_c(name):
    """What the C implementation gives: refused, or what differs; and the message that says why."""
    said = common.manifest(name).get('reference_mount') or {}
    if not said.get('ended', True):
        return 'hangs', ''
    tree, log = said.get('tree_vs_base', []), said.get('dmesg', [])
    code = next((x.split()[-1] for x in tree if x.startswith('mount rc')), '?')
    why = [re.sub(r'^bcachefs( \(\w+\))?: ?', '', x) for x in log
           if re.search('error|invalid|inconsisten|not found|bad|mismatch|missing', x)]
    different = [x for x in tree if x.startswith(('DIFFERS', 'MISSING', 'EXTRA'))]
    return ('refused' if code != '0' else lost(different)), (why or [''])[0]


def main():
    log = common.Log()
    print('image | damage | here | message | C | its message')
    for name in common.images():
        if '-dmg-' not in name or sys.argv[1:] and not any(a in name for a in sys.argv[1:]):
            continue
        different, refused, messages, complaints = images.mount_damaged(log, name)
        here = f'refused: {errno.errorcode[refused]}' if refused else lost(different)
        own = [re.sub(r'^bcachefs: (\S+: )?', '', x) for x in messages
               if not re.search('mounted read-only|was (not )?shut down cleanly', x)]
        row = [name, common.manifest(name)['damage'], here, (complaints + own + [''])[0], *by_c(name)]
        print(' | '.join(str(x).replace('|', '/') for x in row), flush=True)
        common.clean()


if __name__ == '__main__':
    main()
