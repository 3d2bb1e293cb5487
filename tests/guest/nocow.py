#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
# guest: uml 200
# guest: uml-debug? 300
# guest: stock? 300
"""The option nocow: data is written over where it is, unless somebody else sees it, or there are checksums.

    nocow.py --keep DIRECTORY

leaves filesystems that were written so in the directory, for another kernel to look at:

    nocow.py --look DIRECTORY

mounts them there and compares what is in the files."""
import errno
import fcntl
import hashlib
import json
import mmap
import os
import random
import shutil
import sys

import common
import first
from common import Log, Loop, Mounted, Tap, mount, umount
from fiemap import UNWRITTEN, all_of
from rw import fsck
from subvolumes import SNAPSHOT, destroy, subvolume
from write import KEEP_SIZE, fallocate

SECONDS = 120
BLOCK, MIB = 4096, 1 << 20
FICLONE = 0x40049409
KINDS = {
    'one device': ((128,), '--bucket=256k DEV'),
    'two copies': ((96, 96), '--replicas=2 --bucket=256k DEV DEV'),
}
first.KINDS.update(KINDS)


class File:
    """A file, and what should be in it."""

    def __init__(self, path, size, r):
        self.path, self.r, self.bytes = path, r, bytearray()
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT)
        self.direct = os.open(path, os.O_RDWR | os.O_DIRECT)
        if size:
            self.put(0, size)
            os.fsync(self.fd)

    def close(self):
        os.close(self.fd)
        os.close(self.direct)

    def put(self, at, length, how='buffered'):
        data = self.r.randbytes(length)
        self.bytes.extend(bytes(max(0, at + length - len(self.bytes))))
        self.bytes[at:at + length] = data
        if how == 'mapped':
            with mmap.mmap(self.fd, 0) as m:
                m[at:at + length] = data
        elif how == 'direct':
            memory = mmap.mmap(-1, length)
            memory[:] = data
            if os.pwrite(self.direct, memory, at) != length:
                raise OSError(errno.EIO, 'not all was written')
        else:
            os.pwrite(self.fd, data, at)

    def places(self):
        """Where each block is: a set of places, as there can be several copies, and whether there is data."""
        found = {}
        for logical, physical, length, flags in all_of(self.fd):
            for i in range(0, length, BLOCK):
                found.setdefault((logical + i) // BLOCK, set()).add((physical + i, flags & UNWRITTEN))
        return found

    def wrong(self, what):
        with open(self.path, 'rb') as f:
            return [] if f.read() == self.bytes else [f'{what}: {self.path} differs']


def moved(before, after, start, nr):
    return [b for b in range(start, start + nr) if before.get(b) != after.get(b)]


def everywhere(f, size):
    """Writes over parts of a file in all ways; the blocks it were, as a range."""
    step = size // 8
    for i, how in enumerate(('buffered', 'direct', 'mapped')):
        f.put(step * (1 + 2 * i), step, how)
        os.fsync(f.fd)
    return step // BLOCK, 6 * step // BLOCK


def in_place(kind):
    """What was written is where it was: by every way to write, and after a remount."""
    files, r, size = first.make(kind), random.Random(1), 4 * MIB
    with Loop(files) as dev:
        mount(dev.source, 'nocow', flags=0)
        f = File(f'{common.MNT}/file', size, r)
        before = f.places()
        everywhere(f, size)
        wrong = [f'block {b} moved: {before[b]}' for b in moved(before, f.places(), 0, size // BLOCK)][:3]
        wrong += f.wrong('written over')
        f.close()
        umount()
        with Mounted(dev.source):
            f.fd, f.direct = os.open(f.path, os.O_RDONLY), os.open(f.path, os.O_RDONLY | os.O_DIRECT)
            wrong += f.wrong('after a remount')
            wrong += [f'block {b} moved' for b in moved(before, f.places(), 0, size // BLOCK)][:3]
            f.close()
        wrong += fsck(dev.devices)
    return wrong


def elsewhere(kind):
    """An encrypted filesystem stays encrypted; and what has the option can have it taken away."""
    files, r, size = first.make(kind), random.Random(2), 2 * MIB
    with Loop(files) as dev:
        mount(dev.source, 'nocow', flags=0)
        f = File(f'{common.MNT}/file', size, r)
        if kind != 'encrypted':
            os.setxattr(f.path, 'bcachefs.nocow', b'0')
        before = f.places()
        start, nr = everywhere(f, size)
        stayed = set(range(start, start + nr // 6)) - set(moved(before, f.places(), start, nr // 6))
        wrong = [f'{len(stayed)} blocks were written over where they are'] if stayed else []
        wrong += f.wrong('written elsewhere')
        f.close()
        umount()
        if kind != 'encrypted':
            wrong += fsck(dev.devices)
    return wrong


def of_a_directory(kind):
    """The option of a directory goes to what is made there."""
    files, r, size = first.make(kind), random.Random(3), MIB
    with Loop(files) as dev:
        mount(dev.source, flags=0)
        os.mkdir(f'{common.MNT}/in')
        os.setxattr(f'{common.MNT}/in', 'bcachefs.nocow', b'1')
        wrong = []
        for path, stays in ((f'{common.MNT}/in/file', True), (f'{common.MNT}/file', False)):
            f = File(path, size, r)
            before = f.places()
            f.put(0, size, 'direct')
            if (not moved(before, f.places(), 0, size // BLOCK)) != stays:
                wrong.append(f'{path}: written over where it is: {not stays}')
            wrong += f.wrong('written')
            f.close()
        umount()
        wrong += fsck(dev.devices)
    return wrong


def shared(kind):
    """What a snapshot or another file has, too, stays as it was there."""
    files, r, size = first.make(kind), random.Random(4), 2 * MIB
    wrong = []
    with Loop(files) as dev:
        mount(dev.source, 'nocow', flags=0)
        subvolume(f'{common.MNT}/sub')
        f = File(f'{common.MNT}/sub/file', size, r)
        was = bytes(f.bytes)
        before = f.places()
        subvolume(f'{common.MNT}/snap', f'{common.MNT}/sub', SNAPSHOT)
        f.put(0, MIB, 'direct')
        f.put(MIB, 8 * BLOCK)
        after = f.places()
        if len(moved(before, after, 0, 264)) != 264:
            wrong.append('with a snapshot, data was written over where it is')
        with open(f'{common.MNT}/snap/file', 'rb') as s:
            wrong += [] if s.read() == was else ['a snapshot changed']
        # What it has for itself is.
        f.put(0, MIB, 'direct')
        wrong += ['what a snapshot has not, moved'] if moved(after, f.places(), 0, 256) else []
        destroy(f'{common.MNT}/snap')
        wrong += f.wrong('without the snapshot')
        before, was = f.places(), bytes(f.bytes)
        clone = os.open(f'{common.MNT}/sub/clone', os.O_RDWR | os.O_CREAT)
        fcntl.ioctl(clone, FICLONE, f.fd)
        f.put(0, MIB)
        wrong += ['with a clone, data was written over'] if len(moved(before, f.places(), 0, 256)) != 256 else []
        with open(f'{common.MNT}/sub/clone', 'rb') as c:
            wrong += [] if c.read() == was else ['a clone changed']
        os.close(clone)
        wrong += f.wrong('with a clone')
        f.close()
        umount()
        wrong += fsck(dev.devices)
    return wrong


def set_aside(kind):
    """Space has its place from fallocate(2) on, reads as zeros, and can be written to when nothing else can."""
    files, r, size = first.make(kind), random.Random(5), 8 * MIB
    wrong = []
    with Loop(files) as dev:
        mount(dev.source, 'nocow', flags=0)
        f = File(f'{common.MNT}/file', 0, r)
        fallocate(f.fd, 0, 0, size)
        fallocate(f.fd, KEEP_SIZE, size, MIB)
        f.bytes = bytearray(size)
        before = f.places()
        flags = {flag for places in before.values() for _, flag in places}
        if flags != {UNWRITTEN} or len(before) != (size + MIB) // BLOCK:
            wrong.append(f'{len(before)} blocks were set aside, flags {flags}')
        wrong += f.wrong('set aside')
        f.put(MIB, MIB, 'direct')
        f.put(3 * MIB, 7 * BLOCK)
        f.put(size, 3 * BLOCK)
        after = f.places()
        where = [{b: {p for p, _ in places} for b, places in all_places.items()} for all_places in (before, after)]
        wrong += [f'block {b} moved' for b in moved(*where, 0, (size + MIB) // BLOCK)][:3]
        written = {b for b, places in after.items() if {flag for _, flag in places} == {0}}
        if written != {*range(256, 512), *range(768, 775), *range(2048, 2051)}:
            wrong.append(f'{len(written)} blocks are written')
        wrong += f.wrong('partly written')
        full = os.open(f'{common.MNT}/rest', os.O_RDWR | os.O_CREAT)
        try:
            while True:
                os.write(full, bytes(MIB))
        except OSError as x:
            wrong += [] if x.errno == errno.ENOSPC else [f'the rest: {x}']
        os.fsync(full)
        for i, how in enumerate(('direct', 'buffered', 'mapped') * 6):
            # What is set aside, and what is written already.
            f.put(i * MIB * 3 // 8, 64 * BLOCK, how)
        os.fsync(f.fd)
        wrong += f.wrong('on a full filesystem')
        os.close(full)
        f.close()
        umount()
        with Mounted(dev.source):
            wrong += f.wrong('in the end')
        wrong += fsck(dev.devices)
    return wrong


def moved_meanwhile(kind):
    """Buckets become free while what is in them is written over."""
    files, r = first.make(kind), random.Random(6)
    wrong = []
    with Loop(files) as dev:
        mount(dev.source, flags=0)
        os.mkdir(f'{common.MNT}/in')
        os.setxattr(f'{common.MNT}/in', 'bcachefs.nocow', b'1')
        s = os.statvfs(common.MNT)
        size = (s.f_bavail * s.f_frsize * 9 // 20) & -MIB
        over = File(f'{common.MNT}/in/over', 0, r)
        other = File(f'{common.MNT}/other', 0, r)
        # Neighbours: what the one has is written elsewhere again and again.
        for at in range(0, size, 8 * BLOCK):
            for f in (over, other):
                f.put(at, 8 * BLOCK, 'direct')
        with open(f'/sys/fs/bcachefs/{os.listdir("/sys/fs/bcachefs")[0]}/counters/evacuate_bucket') as counter:
            before = counter.read()
            for _ in range(3000):
                over.put(r.randrange(size // BLOCK - 8) * BLOCK, r.randrange(1, 8) * BLOCK, 'direct')
                other.put(r.randrange(size // BLOCK - 8) * BLOCK, r.randrange(1, 8) * BLOCK, 'direct')
            counter.seek(0)
            if counter.read() == before:
                wrong.append('no bucket was emptied')
        for f in (over, other):
            wrong += f.wrong('written')
            f.close()
        umount()
        with Mounted(dev.source):
            wrong += over.wrong('after a remount') + other.wrong('after a remount')
        wrong += fsck(dev.devices)
    return wrong


def keep(to):
    for kind in KINDS:
        files, r = first.make(kind), random.Random(7)
        with Loop(files) as dev:
            mount(dev.source, 'nocow', flags=0)
            f = File(f'{common.MNT}/file', 4 * MIB, r)
            everywhere(f, 4 * MIB)
            fallocate(f.fd, 0, 4 * MIB, MIB)
            f.bytes.extend(bytes(MIB))
            f.put(4 * MIB + 5 * BLOCK, 9 * BLOCK, 'direct')
            f.close()
            umount()
        for path in files:
            shutil.copy(path, to)
        with open(f'{to}/{kind}.json', 'w') as out:
            json.dump([[os.path.basename(p) for p in files], hashlib.sha256(f.bytes).hexdigest()], out)


def look(there, tap):
    for kind in sorted(n for n in os.listdir(there) if n.endswith('.json')):
        with open(os.path.join(there, kind)) as f:
            files, digest = json.load(f)

        def test(files=files, digest=digest):
            with Loop([shutil.copy(os.path.join(there, f), common.WORK) for f in files]) as dev:
                with Mounted(dev.source), open(f'{common.MNT}/file', 'rb') as f:
                    found = hashlib.sha256(f.read()).hexdigest()
                return ([] if found == digest else ['the file differs']) + fsck(dev.devices)
        tap.check(f'{kind}: looked at', test)


def main():
    if sys.argv[1:2] == ['--keep']:
        return keep(sys.argv[2])
    tap, log = Tap(), Log()
    if sys.argv[1:2] == ['--look']:
        look(sys.argv[2], tap)
        return tap.done()
    tests = []
    for kind in ('one device', 'two copies'):
        tests += [(f'{kind}: in place', in_place, kind), (f'{kind}: shared', shared, kind),
                  (f'{kind}: set aside', set_aside, kind)]
    tests += [('encrypted: elsewhere', elsewhere, 'encrypted'), ('taken away: elsewhere', elsewhere, 'one device'),
              ('of a directory', of_a_directory, 'one device'), ('moved meanwhile', moved_meanwhile, 'one device')]
    tap.check_each(log, [t for t in tests if os.environ.get('ONLY', '') in t[0]], SECONDS)
    tap.done()


if __name__ == '__main__':
    main()
