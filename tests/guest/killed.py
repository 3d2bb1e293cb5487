#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What tests/killed runs in its guests.

    killed.py --work DEVICE LOG SEED    changes files for ever; writes down after how many changes all is safe
    killed.py --check DIRECTORY         looks at DIRECTORY/SEED.img with DIRECTORY/SEED.log, each; prints TAP

What is done follows from the seed. The names are those after a beginning of it, which goes as far as the
last fsync at least. A block of a file says of which file and which write it is."""
import fcntl
import glob
import os
import random
import shutil
import struct
import sys

import common
import rw
from common import Limit, Log, Loop, Tap, mount, umount

BLOCK, SECONDS = 4096, 60
SUBVOLUME_CREATE, SNAPSHOT, READ_ONLY = 0x4020bc10, 1, 2
# The subvolume that is worked in; of others, snapshots are made.
TOP = 'w'


def block(file, write, nr):
    """A block's contents."""
    return f'{file:8x}{write:8x}{nr:8x}........\n'.encode().ljust(64, b'.') * (BLOCK // 64)


def subvolume(path, source=None, flags=0):
    name, src = path.encode() + b'\0', (source or '').encode() + b'\0'
    fd = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        a, b = (ctypes_buffer(x) for x in (name, src))
        arg = struct.pack('=IIHHHHQQ', flags, -100 & 0xffffffff, 0o755, 0, 0, 0, a[1], b[1] if source else 0)
        fcntl.ioctl(fd, SUBVOLUME_CREATE, arg)
    finally:
        os.close(fd)


def ctypes_buffer(data):
    b = common.ctypes.create_string_buffer(data)
    return b, common.ctypes.addressof(b)


class State:
    """What there is after some operations."""

    def __init__(self):
        # Path: the file's number, or None for a directory.
        self.names = {TOP: None}
        # Number: of which write each of its blocks is. Path of a snapshot: the files in it.
        self.files, self.snapshots = {}, {}

    def apply(self, op):
        kind, path = op['op'], op.get('path')
        if kind == 'write':
            if path not in self.names:
                self.names[path] = op['file']
            blocks = self.files.setdefault(op['file'], [])
            if op['truncate']:
                del blocks[:]
            for nr in range(op['at'], op['at'] + op['nr']):
                blocks += [0] * (nr + 1 - len(blocks))
                blocks[nr] = op['write']
        elif kind == 'mkdir':
            self.names[path] = None
        elif kind == 'unlink':
            del self.names[path]
        elif kind == 'rename':
            moved = {p: n for p, n in self.names.items() if p == path or p.startswith(path + '/')}
            for p in moved:
                del self.names[p]
            for p, n in moved.items():
                self.names[op['to'] + p[len(path):]] = n
        elif kind == 'snapshot':
            self.snapshots[path] = {p[len(TOP):]: None if n is None else (n, list(self.files[n]))
                                    for p, n in self.names.items()}

    def all_names(self):
        names = dict(self.names)
        for path, inside in self.snapshots.items():
            names.update({path + p: n and n[0] for p, n in inside.items()})
        return names


def choose(state, r, nr):
    """The next operation."""
    files = [p for p, n in state.names.items() if n is not None]
    dirs = [p for p, n in state.names.items() if n is None]
    new = f'{r.choice(dirs)}/{nr}'
    what = r.randrange(100)
    if len(files) < 4 or what < 25:
        return {'op': 'write', 'path': new, 'file': nr, 'truncate': False, 'at': 0, 'nr': r.randrange(1, 20)}
    path = r.choice(files)
    if what < 45:
        truncate = r.randrange(2) == 0
        return {'op': 'write', 'path': path, 'file': state.names[path], 'truncate': truncate,
                'at': 0 if truncate else r.randrange(24), 'nr': r.randrange(1, 20)}
    if what < 60:
        return {'op': 'fsync', 'path': path, 'file': state.names[path]}
    if what < 75:
        return {'op': 'rename', 'path': path, 'to': r.choice((new, r.choice(files))), 'file': state.names[path]}
    if what < 90:
        return {'op': 'unlink', 'path': path}
    if what < 96:
        return {'op': 'mkdir', 'path': new}
    if what < 97 and len(dirs) > 1:
        return {'op': 'rename', 'path': r.choice([d for d in dirs if d != TOP]), 'to': f'{TOP}/{nr}', 'file': None}
    if what < 99 and len(state.snapshots) < 8:
        return {'op': 'snapshot', 'path': f's{nr}'}
    return {'op': 'sync'}


def operations(seed):
    """What is done, without an end."""
    r, state, nr = random.Random(seed), State(), 0
    while True:
        nr += 1
        op = choose(state, r, nr)
        if op['op'] == 'rename' and op['path'] == op['to']:
            continue
        op['write'] = nr
        state.apply(op)
        yield op


def do(op):
    path = f'{common.MNT}/{op.get("path")}'
    kind = op['op']
    if kind == 'write':
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if op['truncate'] else 0))
        os.pwrite(fd, b''.join(block(op['file'], op['write'], n) for n in range(op['at'], op['at'] + op['nr'])),
                  op['at'] * BLOCK)
        os.close(fd)
    elif kind == 'fsync':
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
    elif kind == 'rename':
        os.rename(path, f'{common.MNT}/{op["to"]}')
    elif kind == 'unlink':
        os.unlink(path)
    elif kind == 'mkdir':
        os.mkdir(path)
    elif kind == 'snapshot':
        subvolume(path, f'{common.MNT}/{TOP}', SNAPSHOT | READ_ONLY)
    elif kind == 'sync':
        os.sync()


def work(device, log, seed):
    mount(device, flags=0)
    subvolume(f'{common.MNT}/{TOP}')
    os.sync()
    with open(log, 'w', encoding='ascii') as f:
        for nr, op in enumerate(operations(seed), 1):
            do(op)
            # Before anything else is done.
            if op['op'] in ('fsync', 'sync'):
                f.write(f'{nr}\n')
                f.flush()
                os.fsync(f.fileno())


def history(path, seed):
    """The operations that may have begun, how many names are of at least, and up to which an fsync has come
    back. One makes safe what is known of its file, and all that was done before that was."""
    with open(path, encoding='ascii') as f:
        returned = [int(x) for x in f if x.endswith('\n')]
    last, ops, safe, touched = (returned or [0])[-1], [], 0, {}
    for nr, op in enumerate(operations(seed), 1):
        ops.append(op)
        if op['op'] in ('write', 'rename'):
            touched[op['file']] = nr
        elif op['op'] in ('fsync', 'sync'):
            if nr > last:
                return ops, safe, last
            safe = max(safe, nr if op['op'] == 'sync' else touched[op['file']])


def tree(top):
    found = {}
    for d, dirs, files in os.walk(top):
        for n in dirs:
            found[os.path.relpath(os.path.join(d, n), top)] = None
        for n in files:
            found[os.path.relpath(os.path.join(d, n), top)] = 1
    found.pop('lost+found', None)
    return found


def file_is_wrong(path, file, want, may):
    """What is wrong with a file: `want` are writes of its blocks that have to be there, if known; `may` those
    that may be, as {block: writes}."""
    with open(path, 'rb') as f:
        data = f.read()
    if want is not None and len(data) != BLOCK * len(want):
        return f'{len(data)} bytes, not {BLOCK * len(want)}'
    for nr in range(-(-len(data) // BLOCK)):
        b = data[nr * BLOCK:][:BLOCK]
        writes = [want[nr]] if want is not None else may.get(nr, ())
        good = [block(file, w, nr) if w else bytes(BLOCK) for w in writes]
        if want is None:
            good.append(bytes(BLOCK))
        if not any(g.startswith(b) for g in good):
            return f'block {nr} is {b[:40]!r}, not of writes {writes}'
    return None


def contents_are_wrong(top, ops, last_sync, state):
    """What is wrong with the files of a state; whatever was begun and not synced may be there in part."""
    wrong, last, written = [], {}, {}
    for nr, op in enumerate(ops):
        if op['op'] == 'write':
            last[op['file']] = nr
            for b in range(op['at'], op['at'] + op['nr']):
                written.setdefault(op['file'], {}).setdefault(b, set()).add(op['write'])
    synced = {}
    for nr, op in enumerate(ops[:last_sync]):
        if op['op'] in ('fsync', 'sync'):
            for file in ([op['file']] if op['op'] == 'fsync' else last):
                synced[file] = nr
    for path, file in state.names.items():
        if file is None:
            continue
        exact = state.files[file] if synced.get(file, -1) > last[file] else None
        what = file_is_wrong(f'{top}/{path}', file, exact, written[file])
        if what:
            wrong.append(f'{path}: {what}')
    for snapshot, inside in state.snapshots.items():
        for path, file in inside.items():
            if file:
                what = file_is_wrong(f'{top}/{snapshot}{path}', *file, {})
                if what:
                    wrong.append(f'{snapshot}{path}: {what}')
    return wrong


def compare(top, ops, safe, last_sync):
    """What is wrong, and how many operations are there."""
    found, state, closest = {p: n is None for p, n in tree(top).items()}, State(), None
    for done in range(len(ops) + 1):
        if done >= safe:
            want = {p: n is None for p, n in state.all_names().items()}
            if want == found:
                return contents_are_wrong(top, ops, last_sync, state), done
            different = [p for p in want.keys() | found.keys() if want.get(p) != found.get(p)]
            if closest is None or len(different) < len(closest[1]):
                closest = done, different
        if done < len(ops):
            state.apply(ops[done])
    return [f'no state after {safe} to {len(ops)} operations; after {closest[0]} other: {closest[1][:10]}'], 0


def check(there, nr, module):
    log, wrong = Log(), []
    ops, safe, last_sync = history(f'{there}/{nr}.log', nr)
    # Only what is there afterwards is kept for the other kernel.
    path = f'{common.WORK}/{nr}.img'
    shutil.copyfile(f'{there}/{nr}.img', path)
    with Loop([path]) as dev:
        with Limit(SECONDS):
            mount(dev.source, flags=0)
            wrong, done = compare(common.MNT, ops, safe, last_sync)
            umount()
        if module and not wrong:
            wrong += rw.fsck(dev.devices)
    lines = log.take()
    if module:
        shutil.copyfile(path, f'{there}/{nr}.img')
    print(f'# {nr}: {len(ops)} operations, {safe} safe, {done} there')
    if module and not wrong and not any('replayed' in x for x in lines):
        print(f'# {nr}: nothing was replayed')
    return wrong + lines if wrong else []


def main():
    if sys.argv[1:2] == ['--work']:
        return work(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    there, module = sys.argv[2], not os.environ.get('KIND', '').startswith('c')
    tap, log = Tap(), Log()
    numbers = sorted(int(os.path.basename(f)[:-4]) for f in glob.glob(f'{there}/*.log'))
    tap.check_each(log, [(f'seed {nr}', check, there, nr, module) for nr in numbers], SECONDS * 2)
    tap.done()


if __name__ == '__main__':
    main()
