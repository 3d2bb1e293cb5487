#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
# guest: uml 120
# guest: stock? 300
"""A directory of thousands of entries, read by getdents64 with small buffers and with seeks; and what of it
is in one btree node, when the next one can not be read."""
import ctypes
import errno
import os
import random
import stat
import struct

import common
import nodes
from common import Log, Loop, Mounted, Tap, libc

SYS_GETDENTS64 = 217
TYPES = {4: stat.S_ISDIR, 8: stat.S_ISREG, 10: stat.S_ISLNK, 1: stat.S_ISFIFO, 2: stat.S_ISCHR,
         6: stat.S_ISBLK, 12: stat.S_ISSOCK}


def getdents(fd, size):
    """One call: [(inode number, position of the next entry, type, name)]; OSError."""
    buf = ctypes.create_string_buffer(size)
    n = libc.syscall(SYS_GETDENTS64, fd, buf, size)
    if n < 0:
        e = ctypes.get_errno()
        raise OSError(e, os.strerror(e))
    out, at = [], 0
    while at < n:
        ino, off, length, kind = struct.unpack_from('=QqHB', buf, at)
        out.append((ino, off, kind, ctypes.string_at(ctypes.addressof(buf) + at + 19)))
        at += length
    return out


def all_entries(fd, size):
    out = []
    while more := getdents(fd, size):
        out += more
        if len(out) > 100000:
            raise RuntimeError('a directory without end')
    return out


def largest(root):
    best = (0, None)
    for d, dirs, files in os.walk(os.fsencode(root)):
        best = max(best, (len(dirs) + len(files), d))
    return best


class Directory:
    def __init__(self, path):
        self.path = path
        self.fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        self.whole = all_entries(self.fd, 1 << 16)
        self.names = [e[3] for e in self.whole]

    def rewind(self, to=0):
        os.lseek(self.fd, to, os.SEEK_SET)

    def once_each(self):
        if len(set(self.names)) != len(self.names):
            return 'an entry was listed twice'
        if not {b'.', b'..'} <= set(self.names):
            return 'no "." or ".."'

    def small_buffers(self):
        for size in (280, 288, 300, 512, 4096):
            self.rewind()
            if all_entries(self.fd, size) != self.whole:
                return f'buffer of {size} bytes: other entries than with a large one'

    def tiny_buffer(self):
        self.rewind()
        try:
            getdents(self.fd, 20)
        except OSError as x:
            return None if x.errno == errno.EINVAL else f'{x}, expected EINVAL'
        return 'a buffer that holds no entry: no error'

    def seeks(self):
        rng = random.Random(1)
        for _ in range(300):
            at = rng.randrange(len(self.whole) - 1)
            self.rewind(self.whole[at][1])
            if getdents(self.fd, 280)[0] != self.whole[at + 1]:
                return f'after seeking to the position of {self.names[at]!r}: not the entry after it'

    def positions_grow(self):
        offsets = [e[1] for e in self.whole]
        if offsets != sorted(set(offsets)):
            return 'positions do not grow'

    def the_end(self):
        self.rewind(self.whole[-1][1])
        if getdents(self.fd, 4096):
            return 'entries after the last one'
        self.rewind((1 << 63) - 1)
        if getdents(self.fd, 4096):
            return 'entries at the largest position'

    def another_open_file(self):
        with_seek = os.open(self.path, os.O_RDONLY)
        try:
            middle = len(self.whole) // 2
            os.lseek(with_seek, self.whole[middle][1], os.SEEK_SET)
            if all_entries(with_seek, 1024) != self.whole[middle + 1:]:
                return 'a position is good only for the file it came from'
        finally:
            os.close(with_seek)

    def attributes(self):
        for ino, _, kind, name in self.whole:
            st = os.lstat(os.path.join(self.path, name))
            if name not in (b'.', b'..') and st.st_ino != ino:
                return f'{name!r}: inode number {ino}, stat says {st.st_ino}'
            if kind and not TYPES[kind](st.st_mode):
                return f'{name!r}: type {kind}, mode {st.st_mode:o}'

    def lookups(self):
        for name in self.names[:50]:
            if os.path.lexists(os.path.join(self.path, name + b'-no')):
                return f'{name!r}-no exists'


def unreadable(name):
    """Each entry before a leaf that can not be read comes once; then there is an error, again and again."""
    image = nodes.Image(common.unpack(name)[0])
    for leaf in image.nodes(nodes.DIRENTS):
        _, offset, inum = struct.unpack_from('<IQQ', leaf.b, nodes.MIN_AT)
        if offset:
            break
    else:
        return 'no directory has entries in several leaves'
    image.write(leaf.at, bytes(x ^ 0xff for x in image.read(leaf.at, 16)))
    log, wrong = Log(), []
    with Loop([image.path]) as dev, Mounted(dev.source) as root:
        # That directory itself is not among those that os.walk() gets through.
        below = (os.path.join(d, x) for d, dirs, _ in os.walk(root) for x in dirs)
        path = next(d for d in below if os.lstat(d).st_ino == inum)
        for size in (300, 4096, 1 << 20):
            fd, found, errors = os.open(path, os.O_RDONLY | os.O_DIRECTORY), [], []
            while len(errors) < 3 and len(found) < 20000:
                try:
                    more = getdents(fd, size)
                    found += [e[3] for e in more]
                    if not more:
                        break
                except OSError as x:
                    errors.append(x.errno)
            os.close(fd)
            if errors != [errno.EIO] * 3 or len(found) < 100 or len(set(found)) != len(found):
                wrong.append(f'buffer of {size} bytes: {len(found)} entries, {len(set(found))} names, errors {errors}')
    log.take()
    return wrong


def main():
    tap = Tap()
    found = [n for n in common.images() if n.endswith('-tree')] or list(common.images())[:1]
    for name in found:
        with Loop(common.unpack(name)) as dev, Mounted(dev.source) as root:
            count, path = largest(root)
            d = Directory(path)
            tap.result(len(d.whole) == count + 2, f'{name}: {count} entries and two', len(d.whole))
            for test in (d.once_each, d.small_buffers, d.tiny_buffer, d.positions_grow, d.seeks, d.the_end,
                         d.another_open_file, d.attributes, d.lookups):
                tap.check(f'{name}: {test.__name__.replace("_", " ")}', test)
            os.close(d.fd)
    for name in [n for n in found if n.startswith('v113')]:
        tap.check(f'{name}: a leaf that can not be read', unreadable, name)
    tap.done()


if __name__ == '__main__':
    main()
