#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
# guest: uml 120
# guest: uml-debug? 400
# guest: stock? 400
"""A file is written past the page cache, through it, and by a mapping, each by a process of its own, in blocks that
lie between those of the others: in one page, or in one large folio. Each process finds what it wrote last in its own
blocks, whatever way it reads them, and so does who looks after the next mount.

    mixed.py [SECONDS]    for so long each"""
import mmap
import os
import random
import struct
import sys
import time

import common
import first
from common import Log, Loop, Tap, mount, umount
from rw import fsck
from write import in_processes, submit

SECONDS, LIMIT = 4, 60
WAYS = 'direct', 'mapped', 'buffered', 'queued'
# Bytes of a block, how many there are, who writes them.
TESTS = ((512, 96, ('direct', 'mapped')), (512, 960, ('direct', 'mapped', 'buffered')),
         (512, 960, ('queued', 'mapped')), (512, 960, ('queued', 'buffered')), (4096, 300, WAYS))


class Writer:
    """Writes its share of the blocks. `last` has the number of the last write to each."""

    def __init__(self, path, way, turn, ways, size, nr, last):
        self.way, self.turn, self.ways, self.size, self.nr, self.last = way, turn, ways, size, nr, last
        self.fd = os.open(path, os.O_RDWR)
        self.direct = os.open(path, os.O_RDWR | os.O_DIRECT)
        self.map = mmap.mmap(self.fd, size * nr)
        self.buffer = [mmap.mmap(-1, size) for _ in range(4)]

    def block(self, i, number):
        return struct.pack('II', number, i) * (self.size // 8)

    def write(self, blocks, number):
        for i, buffer in zip(blocks, self.buffer):
            buffer[:] = self.block(i, number)
        if self.way == 'queued':
            done = submit(self.direct, [(i * self.size, b) for i, b in zip(blocks, self.buffer)])
            if done != [self.size] * len(blocks):
                raise OSError(f'queued: {done}')
        for i, buffer in zip(blocks, self.buffer):
            if self.way == 'direct':
                os.pwritev(self.direct, [buffer], i * self.size)
            elif self.way == 'mapped':
                self.map[i * self.size:(i + 1) * self.size] = buffer[:]
            elif self.way == 'buffered':
                os.pwrite(self.fd, buffer, i * self.size)
            self.last[4 * i:4 * i + 4] = struct.pack('I', number)

    def differs(self, i, way):
        """Looks at a block in one of the ways."""
        want, at = self.block(i, *struct.unpack_from('I', self.last, 4 * i)), i * self.size
        if way == 'direct':
            os.preadv(self.direct, [self.buffer[0]], at)
            found = self.buffer[0][:]
        else:
            found = self.map[at:at + self.size] if way == 'mapped' else os.pread(self.fd, self.size, at)
        if found == want:
            return []
        return [f'block {i} ({self.way}) read {way}: {struct.unpack_from("II", found)}, not '
                f'{struct.unpack_from("II", want)}']

    def work(self, seconds, seed):
        r, wrong, end, number = random.Random(seed), [], time.monotonic() + seconds, 0
        own = range(self.turn, self.nr, self.ways)
        while time.monotonic() < end and len(wrong) < 3:
            number += 1
            blocks = r.sample(own, 4 if self.way == 'queued' else 1)
            self.write(blocks, number)
            if number % 3 == 0:
                wrong += self.differs(blocks[0], r.choice(WAYS[:3]))
        return wrong


def disturb(path, seconds, seed):
    """Has pages written, dropped and read all the time."""
    r, fd, end = random.Random(seed), os.open(path, os.O_RDWR), time.monotonic() + seconds
    while time.monotonic() < end:
        what = r.randrange(4)
        if what == 0:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        elif what == 1:
            os.pread(fd, 1 << 21, 0)
        else:
            os.fdatasync(fd)
        time.sleep(r.random() / 500)


def mixed(size, nr, ways, seconds):
    files = first.make('blocks-512' if size == 512 else 'default')
    with Loop(files) as dev:
        mount(dev.source, flags=0)
        path, last = f'{common.MNT}/mixed', mmap.mmap(-1, 4 * nr)
        with open(path, 'wb') as f:
            f.write(b''.join(struct.pack('II', 0, i) * (size // 8) for i in range(nr)))

        def writers():
            return [Writer(path, way, turn, len(ways), size, nr, last) for turn, way in enumerate(ways)]
        jobs = [lambda i=i: writers()[i].work(seconds, i) for i in range(len(ways))]
        wrong = in_processes(jobs + [lambda: disturb(path, seconds, 99)])
        umount()
        mount(dev.source, flags=0)
        for w in writers():
            wrong += [x for i in range(w.turn, nr, len(ways)) for x in w.differs(i, 'buffered')][:3]
            w.map.close()
            os.close(w.fd)
            os.close(w.direct)
        umount()
        return wrong + fsck(dev.devices)


def main():
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    tap, log = Tap(), Log()
    tests = [(f'{nr} blocks of {size} bytes: {", ".join(ways)}', mixed, size, nr, ways, seconds)
             for size, nr, ways in TESTS]
    tap.check_each(log, [t for t in tests if os.environ.get('ONLY', '') in t[0]], LIMIT + seconds)
    tap.done()


if __name__ == '__main__':
    main()
