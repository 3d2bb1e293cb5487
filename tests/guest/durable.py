#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
# guest: uml 300
# guest: uml-debug? 900 2 6
"""The power is cut. Processes change names and files at the same time, with everything that promises to
make something safe: fsync, fdatasync, fsync of a directory, syncfs, O_SYNC, O_DSYNC, and a rename behind an
fsync; the device mapper logs what is written, and from the log there are devices as they can be after a
power cut at any moment. Each is mounted: what was promised is there; everything else is old or new, and
never mixed: each block, or what is written over in place, each sector. The tools' fsck finds nothing.

    durable.py [SEEDS [CUTS [FIRST]]]    so many workloads, and power cuts of each, from seed FIRST on
    durable.py --keep DIRECTORY SEEDS CUTS FIRST
                                         leaves each, before it was mounted, in the directory
    durable.py --look DIRECTORY          mounts those, for another kernel

Needs CONFIG_DM_LOG_WRITES."""
import ctypes
import glob
import json
import mmap
import os
import random
import subprocess
import sys
import time

import common
import killed
import logwrites
import mutate
import rw
import write
from common import Limit, Log, Loop, Tap, mount, mount_with, umount

SEEDS, CUTS, SECONDS = 3, 12, 120
PROCESSES, OPERATIONS, BLOCK, SECTOR = 3, 120, killed.BLOCK, 512
LOG_BYTES, FSCK_EACH = 512 << 20, 3
IMAGES = (('v113-empty', ''), ('v113-csum-xxhash', ''), ('v113-empty', 'compression=lz4'), ('v113-empty', 'nocow'),
          ('v113-block512', ''), ('v113-snap', 'data_checksum=none'), ('v113-empty', 'journal_flush_delay=20'))
# What may be safe only long after it was done gets so sooner.
WRITEBACK = {'dirty_writeback_centisecs': 10, 'dirty_expire_centisecs': 30}
# Operations that make something safe when they have come back.
DURABLE = 'fsync', 'fdatasync', 'syncfs', 'fsync directory'
SYNCHRONOUS = {'': 0, 'O_DSYNC': os.O_DSYNC, 'O_SYNC': os.O_SYNC, 'O_DIRECT': os.O_DIRECT,
               'O_DIRECT, O_DSYNC': os.O_DIRECT | os.O_DSYNC}


def promises(op):
    return op['op'] in DURABLE or 'SYNC' in op.get('how', '')


class State:
    """What a process has made after some operations, if all of them are there. Files and directories have
    numbers."""

    def __init__(self, process):
        self.top = f'w{process}'
        # Path: number of a file, negative for a directory.
        self.names = {self.top: -1}
        # Number: of which write each block is; 0: none.
        self.files, self.snapshots = {}, {}

    def apply(self, op):
        kind, path = op['op'], op.get('path')
        if kind == 'write':
            self.names.setdefault(path, op['file'])
            blocks = self.files.setdefault(op['file'], [])
            if op['truncate']:
                del blocks[:]
            blocks += [0] * (op['at'] + op['nr'] - len(blocks))
            blocks[op['at']:op['at'] + op['nr']] = [op['nr_op']] * op['nr']
        elif kind == 'truncate':
            blocks = self.files[op['file']]
            blocks += [0] * (op['nr'] - len(blocks))
            del blocks[op['nr']:]
        elif kind == 'punch':
            blocks = self.files[op['file']]
            end = min(op['at'] + op['nr'], len(blocks))
            blocks[op['at']:end] = [0] * max(0, end - op['at'])
        elif kind == 'mkdir':
            self.names[path] = -op['nr_op']
        elif kind == 'link':
            self.names[path] = op['file']
        elif kind == 'unlink':
            del self.names[path]
        elif kind == 'rename':
            moved = {p: n for p, n in self.names.items() if p == path or p.startswith(path + '/')}
            for p in moved:
                del self.names[p]
            self.names.update({op['to'] + p[len(path):]: n for p, n in moved.items()})
        elif kind == 'snapshot':
            self.snapshots[path] = {p[len(self.top):]: (n, list(self.files.get(n, ())))
                                    for p, n in self.names.items()}

    def kinds(self):
        """All names, and whether each is of a directory."""
        found = {p: n < 0 for p, n in self.names.items()}
        for path, inside in self.snapshots.items():
            found.update({path + p: n < 0 for p, (n, _) in inside.items()})
        return found


def choose(state, r, nr, process):
    """The next operations."""
    files = [p for p, n in state.names.items() if n > 0]
    dirs = [p for p, n in state.names.items() if n < 0]
    new, what = f'{r.choice(dirs)}/{nr}', r.randrange(100)

    def written(path, number, how='', truncate=False):
        at = 0 if truncate or path == new else r.randrange(24)
        return {'op': 'write', 'path': path, 'file': number, 'truncate': truncate, 'at': at,
                'nr': r.randrange(1, 20), 'how': how}
    if len(files) < 4 or what < 15:
        return [written(new, nr, r.choice(list(SYNCHRONOUS)))]
    path = r.choice(files)
    file = state.names[path]
    if what < 35:
        return [written(path, file, r.choice(list(SYNCHRONOUS)), r.randrange(4) == 0)]
    if what < 41:
        return [{'op': 'truncate', 'path': path, 'file': file, 'nr': r.randrange(24)}]
    if what < 45:
        return [{'op': 'punch', 'path': path, 'file': file, 'at': r.randrange(24), 'nr': r.randrange(1, 12)}]
    if what < 57:
        return [{'op': r.choice(('fsync', 'fsync', 'fdatasync')), 'path': path, 'file': file}]
    if what < 67:
        # How programs replace a file.
        return [written(new, nr), {'op': 'fsync', 'path': new, 'file': nr},
                {'op': 'rename', 'path': new, 'to': path, 'file': nr}]
    if what < 74:
        return [{'op': 'rename', 'path': path, 'to': new, 'file': file}]
    # The tools' fsck counts names that are gone with those of a snapshot that has them: that of 6.12, too, for
    # what C did. So only those who make no snapshots make links.
    if what < 77 and process == 0:
        return [{'op': 'link', 'from': path, 'path': new, 'file': file}]
    if what < 85:
        return [{'op': 'unlink', 'path': path, 'file': file}]
    if what < 90:
        return [{'op': 'mkdir', 'path': new}]
    if what < 92 and len(dirs) > 1:
        return [{'op': 'rename', 'path': r.choice([d for d in dirs if d != state.top]), 'to': f'{state.top}/{nr}'}]
    if what < 94 and process and len(state.snapshots) < 4:
        return [{'op': 'snapshot', 'path': f's{process}.{nr}'}]
    if what < 97:
        return [{'op': 'fsync directory', 'path': r.choice(dirs)}]
    return [{'op': 'syncfs'}]


def operations(seed, process):
    """What a process does."""
    r, state, done = random.Random(f'{seed}.{process}'), State(process), []
    while len(done) < OPERATIONS:
        for op in choose(state, r, len(done) + 1, process):
            op['nr_op'] = len(done) + 1
            if op['op'] == 'fsync directory':
                op['directory'] = state.names[op['path']]
            # Whose entries it changes.
            enters = op['op'] in ('mkdir', 'link', 'unlink', 'rename') or op.get('path') not in state.names
            op['in'] = [state.names.get(os.path.dirname(op[p])) for p in ('path', 'to') if p in op and enters]
            state.apply(op)
            done.append(op)
    return done


def do(op, process, root):
    path = f'{root}/{op.get("path")}'
    kind = op['op']
    if kind == 'write':
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if op['truncate'] else 0) | SYNCHRONOUS[op['how']])
        data = mmap.mmap(-1, op['nr'] * BLOCK)
        data[:] = b''.join(killed.block(op['file'], op['nr_op'], n) for n in range(op['at'], op['at'] + op['nr']))
        done = os.pwrite(fd, data, op['at'] * BLOCK)
        if done != len(data):
            raise RuntimeError(f'{done} of {len(data)} bytes')
        os.close(fd)
    elif kind == 'truncate':
        os.truncate(path, op['nr'] * BLOCK)
    elif kind == 'rename':
        os.rename(path, f'{root}/{op["to"]}')
    elif kind == 'link':
        os.link(f'{root}/{op["from"]}', path)
    elif kind == 'unlink':
        os.unlink(path)
    elif kind == 'mkdir':
        os.mkdir(path)
    elif kind == 'snapshot':
        killed.subvolume(path, f'{root}/w{process}', killed.SNAPSHOT | killed.READ_ONLY)
    else:
        fd = os.open(root if kind == 'syncfs' else path, os.O_RDWR if kind == 'punch' else os.O_RDONLY)
        if kind == 'punch':
            write.fallocate(fd, write.PUNCH_HOLE | write.KEEP_SIZE, op['at'] * BLOCK, op['nr'] * BLOCK)
        elif kind == 'fdatasync':
            os.fdatasync(fd)
        elif kind == 'syncfs':
            if common.libc.syncfs(fd):
                raise OSError(ctypes.get_errno(), 'syncfs')
        else:
            os.fsync(fd)
        os.close(fd)


def work(seed, process, device):
    """Does all; what was promised gets a mark."""
    device.mark(f'{process}:0')
    for op in operations(seed, process):
        do(op, process, common.MNT)
        if promises(op):
            device.mark(f'{process}:{op["nr_op"]}')


def begun(ops, last):
    """The operations that may have begun when the last promise was kept that there is a mark of."""
    for nr, op in enumerate(ops):
        if op['nr_op'] > last and promises(op):
            return ops[:nr + 1]
    return ops


def names_safe(ops, last):
    """Up to which operation names are there at least."""
    safe, touched, entered = 0, {}, {}
    for op in ops[:last]:
        nr, file = op['nr_op'], op.get('file')
        if op['op'] == 'syncfs':
            safe = nr
        elif op['op'] == 'fsync directory':
            safe = max(safe, entered.get(op['directory'], 0))
        elif op['op'] in ('fsync', 'fdatasync'):
            safe = max(safe, touched.get((op['op'], file), 0))
        elif promises(op):
            safe = max(safe, nr)
        if op['op'] in ('write', 'truncate', 'punch'):
            touched['fdatasync', file] = nr
        if op['op'] in ('write', 'truncate', 'punch', 'rename', 'link'):
            touched['fsync', file] = nr
        for directory in op['in']:
            entered[directory] = nr
    return safe


class Contents:
    """What may be in a file: for each block the writes it may be of, and the size from which to which."""

    def __init__(self):
        self.now, self.may, self.low, self.high = [], {}, 0, 0

    def of(self, nr):
        return self.now[nr] if nr < len(self.now) else 0

    def change(self, state):
        """The file is this now, or what it was before."""
        for nr in range(max(len(self.now), len(state))):
            new = state[nr] if nr < len(state) else 0
            if new != self.of(nr):
                self.may.setdefault(nr, {self.of(nr)}).add(new)
        self.now = list(state)
        self.low, self.high = min(self.low, len(state)), max(self.high, len(state))

    def make_safe(self):
        self.may, self.low, self.high = {}, len(self.now), len(self.now)

    def make_range_safe(self, at, end):
        for nr in range(at, end):
            self.may[nr] = {self.of(nr)}
        self.low = max(self.low, end)

    def differs(self, data, file, unit):
        """What is wrong with what was read."""
        if not self.low * BLOCK <= len(data) <= self.high * BLOCK:
            return f'{len(data)} bytes, not {self.low * BLOCK} to {self.high * BLOCK}'
        for at in range(0, len(data), unit):
            nr, part = at // BLOCK, data[at:at + unit]
            may = self.may.get(nr, {self.of(nr)})
            if not any((killed.block(file, w, nr) if w else bytes(BLOCK))[at % BLOCK:][:len(part)] == part
                       for w in may):
                return f'block {nr} is {part[:40]!r}, not of writes {sorted(may)}'
        return None


def contents(ops, last, process):
    """What may be in files, by number, after the promises up to operation `last`."""
    state, files = State(process), {}
    for op in ops:
        state.apply(op)
        kind, kept = op['op'], op['nr_op'] <= last
        if kind in ('write', 'truncate', 'punch'):
            f = files.setdefault(op['file'], Contents())
            if op.get('truncate'):
                f.change([])
            f.change(state.files[op['file']])
        if not kept:
            continue
        if kind in ('fsync', 'fdatasync'):
            files[op['file']].make_safe()
        elif kind == 'syncfs':
            for f in files.values():
                f.make_safe()
        elif promises(op) and kind == 'write':
            files[op['file']].make_range_safe(op['at'], op['at'] + op['nr'])
    return files


def tree(root, process):
    """What a process has made, and whether each is a directory."""
    found = {}
    for top in os.listdir(root):
        if top == f'w{process}' or top.startswith(f's{process}.'):
            found[top] = True
            for d, dirs, files in os.walk(f'{root}/{top}'):
                found.update({os.path.relpath(f'{d}/{n}', root): True for n in dirs})
                found.update({os.path.relpath(f'{d}/{n}', root): False for n in files})
    return found


def read(path):
    with open(path, 'rb') as f:
        return f.read()


def compare(root, seed, process, last):
    """What is wrong with what a process has made, of whose operations the promises up to `last` were kept."""
    if last is None:
        return []
    ops, found = begun(operations(seed, process), last), tree(root, process)
    safe, state, closest = names_safe(ops, last), State(process), None
    for done in range(len(ops) + 1):
        if done >= safe:
            want = state.kinds()
            different = [p for p in want.keys() | found.keys() if want.get(p) != found.get(p)]
            if not different:
                break
            if closest is None or len(different) < len(closest[1]):
                closest = done, different
        if done < len(ops):
            state.apply(ops[done])
    else:
        return [f'process {process}: no state after {safe} to {len(ops)} operations; after {closest[0]}, '
                f'there differ {closest[1][:10]}']
    wrong, may, unit = [], contents(ops, last, process), os.statvfs(root).f_bsize
    if 'nocow' in IMAGES[seed % len(IMAGES)][1]:
        unit = SECTOR
    for path, file in state.names.items():
        if file > 0:
            what = may[file].differs(read(f'{root}/{path}'), file, unit)
            wrong += [f'process {process}: {path}: {what}'] if what else []
    for snapshot, inside in state.snapshots.items():
        for path, (file, blocks) in inside.items():
            exactly = Contents()
            exactly.change(blocks)
            exactly.make_safe()
            if file > 0:
                what = exactly.differs(read(f'{root}/{snapshot}{path}'), file, unit)
                wrong += [f'process {process}: {snapshot}{path}: {what}'] if what else []
    return wrong


def judge(image, seed, marks, fsck):
    """Mounts what a power cut has left; what is wrong with it."""
    with Loop([image]) as dev:
        with Limit(SECONDS):
            mount(dev.source, flags=0)
            try:
                wrong = [w for p in range(PROCESSES) for w in compare(common.MNT, seed, p, marks.get(p))]
            finally:
                umount()
        if fsck and not wrong:
            wrong += rw.fsck(dev.devices)
        if wrong and os.environ.get('KEEP'):
            sparsely(image, f'{os.environ["KEEP"]}/{os.path.basename(image)}.after')
    return wrong


class Writeback:
    """What is dirty is written soon, for the length of a `with`."""

    def __enter__(self):
        self.before = {n: read(f'/proc/sys/vm/{n}') for n in WRITEBACK}
        self.set({n: b'%d' % v for n, v in WRITEBACK.items()})

    def set(self, values):
        for name, value in values.items():
            with open(f'/proc/sys/vm/{name}', 'wb') as f:
                f.write(value)

    def __exit__(self, *_):
        self.set(self.before)


def logged(seed):
    """Has the processes of a seed work. Returns the device before that, and the log."""
    name, options = IMAGES[seed % len(IMAGES)]
    image, log = common.unpack(name)[0], f'{common.WORK}/log.img'
    with Loop([image]) as dev, Limit(SECONDS):
        mount(dev.source, flags=0)
        for p in range(PROCESSES):
            killed.subvolume(f'{common.MNT}/w{p}')
        umount()
    before = mutate.copied(image)
    with open(log, 'wb') as f:
        f.truncate(LOG_BYTES)
    with Loop([image, log]) as dev, logwrites.Logged(*dev.devices, 'durable') as device, Writeback():
        with Limit(SECONDS):
            mount_with(device.path, options)
            wrong = write.in_processes([lambda p=p: work(seed, p, device) for p in range(PROCESSES)])
            wrong += [w for p in range(PROCESSES)
                      for w in compare(common.MNT, seed, p, len(operations(seed, p)))]
            umount()
    os.unlink(image)
    if wrong:
        raise RuntimeError('\n'.join(wrong[:20]))
    return before, log


def sparsely(path, to):
    """Copies a file that is on another filesystem, or to go there."""
    subprocess.check_call(['cp', '--sparse=always', path, to])
    return to


def last_of(marks):
    last = {}
    for m in marks:
        if m[0].isdigit():
            process, nr = m.split(':')
            last[int(process)] = int(nr)
    return last


def cuts(seed, number, keep=None):
    """So many power cuts of the workload of a seed."""
    start = time.monotonic()
    image, log = logged(seed)
    cutter, r, wrong, hows = logwrites.Cutter(image, log), random.Random(seed), [], {}
    nr_entries = len(cutter.entries)
    if len(cutter.flushes) < 10 or nr_entries < 200:
        wrong.append(f'{nr_entries} writes and {len(cutter.flushes)} flushes only')
    worked = time.monotonic() - start
    for nr, at in enumerate(sorted(r.randrange(nr_entries + 1) for _ in range(number))):
        path, how, marks = cutter.cut(at, r, mutate.copied)
        last = last_of(marks)
        hows[how] = hows.get(how, 0) + 1
        if keep:
            sparsely(path, f'{keep}/{seed}-{nr}.img')
            with open(f'{keep}/{seed}-{nr}.json', 'w', encoding='ascii') as f:
                json.dump({'seed': seed, 'marks': last}, f)
            continue
        try:
            bad = judge(path, seed, last, nr % FSCK_EACH == 0)
        except (OSError, common.Late) as x:
            bad = [str(x)]
        wrong += [f'seed {seed}, cut {nr} at {at} of {nr_entries}, {how}, {last}: {b}' for b in bad]
        if bad and os.environ.get('KEEP'):
            sparsely(path, f'{os.environ["KEEP"]}/{seed}-{nr}.img')
    cutter.close()
    print(f'# seed {seed}, {IMAGES[seed % len(IMAGES)]}: {nr_entries} writes, {len(cutter.flushes)} flushes in '
          f'{worked:.0f} s; {hows} in {time.monotonic() - start - worked:.0f} s', flush=True)
    return wrong


def looked(path):
    """What is wrong with one that was kept."""
    with open(path, encoding='ascii') as f:
        kept = json.load(f)
    image = sparsely(path[:-5] + '.img', f'{common.WORK}/kept.img')
    return judge(image, kept['seed'], {int(p): nr for p, nr in kept['marks'].items()}, False)


def main():
    args = sys.argv[1:]
    keep = args[1] if args[:1] == ['--keep'] else None
    tap, log = Tap(), Log()
    if args[:1] == ['--look']:
        tests = [(os.path.basename(f)[:-5], looked, f) for f in sorted(glob.glob(f'{args[1]}/*.json'))]
        tap.check_each(log, tests, SECONDS)
        return tap.done()
    numbers = [int(a) for a in args[2 if keep else 0:]]
    seeds, number, first = numbers + [SEEDS, CUTS, 1][len(numbers):]
    tap.check_each(log, [(f'power cuts, seed {seed}', cuts, seed, number, keep)
                         for seed in range(first, first + seeds)], SECONDS * 10)
    tap.done()


if __name__ == '__main__':
    main()
