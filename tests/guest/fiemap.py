#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
# guest: uml 120
# guest: stock? 300
"""FS_IOC_FIEMAP: what files say of where their data is agrees with SEEK_DATA and SEEK_HOLE, and the
device has the files' bytes there."""
import errno
import fcntl
import os
import struct

import common
from common import Loop, Mounted, Tap

tap = Tap()
FIEMAP = 0xc020660b
SYNC, XATTR, CACHE = 1, 2, 4
LAST, UNKNOWN, DELALLOC, ENCODED = 0x1, 0x2, 0x4, 0x8
NOT_ALIGNED, INLINE, UNWRITTEN, SHARED = 0x100, 0x200, 0x800, 0x2000
NOWHERE = DELALLOC | ENCODED | INLINE | UNWRITTEN


def fiemap(fd, start=0, length=(1 << 64) - 1, flags=0, room=64):
    """One call: (how many extents there are, [(logical, physical, length, flags)])."""
    buf = bytearray(struct.pack('=QQIIII', start, length, flags, 0, room, 0) + bytes(56 * room))
    fcntl.ioctl(fd, FIEMAP, buf)
    mapped, = struct.unpack_from('=I', buf, 20)
    found = [struct.unpack_from('=QQQQQII', buf, 32 + i * 56) for i in range(min(mapped, room))]
    return mapped, [(f[0], f[1], f[2], f[5]) for f in found]


def all_of(fd, room=64):
    out, at = [], 0
    while True:
        _, some = fiemap(fd, at, (1 << 62) - at, SYNC, room)
        out += some
        if not some or some[-1][3] & LAST:
            return out
        at = some[-1][0] + some[-1][2]


def data_by_map(extents, size):
    out = []
    for logical, _, length, flags in extents:
        end = min(size, logical + length)
        if flags & UNWRITTEN or logical >= end:
            continue
        if out and logical <= out[-1][1]:
            out[-1][1] = max(out[-1][1], end)
        else:
            out.append([logical, end])
    return out


def data_by_seek(fd, size):
    out, at = [], 0
    while at < size:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
        except OSError as x:
            assert x.errno == errno.ENXIO, x
            return out
        at = os.lseek(fd, start, os.SEEK_HOLE)
        out.append([start, at])
    return out


class Image:
    def __init__(self, name, root, devices):
        self.name, self.root, self.devices = name, os.fsencode(root), devices
        self.files = []
        for d, _, names in os.walk(self.root):
            for n in names:
                p = os.path.join(d, n)
                if os.path.isfile(p) and not os.path.islink(p):
                    self.files.append(p)
        self.files.sort(key=os.path.getsize)
        self.files = self.files[::max(1, len(self.files) // 200)] + self.files[-5:]
        self.seen = 0

    def each(self, test):
        wrong = []
        for p in self.files:
            fd = os.open(p, os.O_RDONLY)
            try:
                what = test(fd, os.fstat(fd).st_size)
                if what:
                    wrong.append(f'{p!r}: {what}')
            finally:
                os.close(fd)
        return wrong

    def as_seek_says(self):
        def test(fd, size):
            extents = all_of(fd)
            if data_by_map(extents, size) != data_by_seek(fd, size):
                return f'{extents}, by seek {data_by_seek(fd, size)}'
        return self.each(test)

    def in_small_pieces(self):
        def test(fd, _):
            whole = all_of(fd)
            if len(self.devices) == 1 and all_of(fd, 1) != whole:
                return f'one extent at a time: {all_of(fd, 1)}, together {whole}'
            if whole and whole[-1][3] & LAST == 0:
                return f'no last extent: {whole}'
            nr, none = fiemap(fd, room=0)
            if none or nr != len(whole):
                return f'counted {nr}, listed {len(whole)}'
        return self.each(test)

    def on_the_device(self):
        if len(self.devices) != 1 or 'comp' in self.name:
            raise common.Skip('not to be found out here')
        dev = os.open(self.devices[0], os.O_RDONLY)

        def test(fd, size):
            for logical, physical, length, flags in all_of(fd):
                if flags & NOWHERE or logical >= size:
                    continue
                length = min(length, size - logical, 1 << 16)
                self.seen += 1
                if os.pread(fd, length, logical) != os.pread(dev, length, physical):
                    return f'{length} bytes at {logical}: others are at {physical} of the device'
        try:
            return self.each(test) or (0 if self.seen else 'nothing was compared')
        finally:
            os.close(dev)

    def parts(self):
        """A part of an extent is shown as that part."""
        def test(fd, _):
            for logical, physical, length, flags in all_of(fd)[:4]:
                if length <= 8192 or len(self.devices) > 1:
                    continue
                _, some = fiemap(fd, logical + 4096, length - 8192)
                moved = 0 if flags & (ENCODED | INLINE | DELALLOC) else 4096
                want = (logical + 4096, physical + moved, length - 8192)
                if not some or some[0][:3] != want:
                    return f'{some}, expected {want}'
        return self.each(test)

    def flags(self):
        """What each image was made for."""
        seen = 0
        for p in self.files:
            with open(p, 'rb') as f:
                for e in all_of(f.fileno()):
                    seen |= e[3]
                    if e[3] & DELALLOC and not e[3] & UNKNOWN or e[3] & INLINE and not e[3] & NOT_ALIGNED:
                        return f'{p!r}: {e}'
        want = {'reflink': SHARED, 'tree': UNWRITTEN | INLINE, 'comp': ENCODED}
        for part, flags in want.items():
            if part in self.name and seen & flags != flags:
                return f'flags seen {seen:x}, expected {flags:x}'
        if 'comp' not in self.name and seen & ENCODED:
            return 'data that is not compressed is shown as encoded'

    def refusals(self):
        fd = os.open(self.files[-1], os.O_RDONLY)
        try:
            for what, number, args in (('unknown flags', errno.EBADR, (0, 4096, XATTR)),
                                       ('unknown flags', errno.EBADR, (0, 4096, 0x100)),
                                       ('no length', errno.EINVAL, (0, 0)),
                                       ('beyond the largest file', errno.EFBIG, ((1 << 63), 4096))):
                try:
                    fiemap(fd, *args)
                    return f'{what}: no error'
                except OSError as x:
                    if x.errno != number:
                        return f'{what}: {x}'
            if fiemap(fd, 1 << 50, 1 << 20)[1]:
                return 'extents far beyond the end'
        finally:
            os.close(fd)
        fd = os.open(self.root, os.O_RDONLY)
        try:
            fiemap(fd)
            return 'a directory: no error'
        except OSError as x:
            return None if x.errno == errno.EOPNOTSUPP else f'a directory: {x}'
        finally:
            os.close(fd)


def main():
    there = common.images()
    for name in ('v113-tree', 'v113-reflink', 'v139-reflink', 'v113-csum-none', 'v113-block512', 'v139-nocow',
                 'v113-repl2', 'v113-comp-lz4', 'v139-comp-zstd'):
        if name not in there:
            tap.skip(name, 'no such image')
            continue
        with Loop(common.unpack(name)) as loop, Mounted(loop.source) as root:
            image = Image(name, root, loop.devices)
            for test in (image.as_seek_says, image.in_small_pieces, image.on_the_device, image.parts, image.flags,
                         image.refusals):
                tap.check(f'{name}: {test.__name__.replace("_", " ")}', test)
    tap.done()


if __name__ == '__main__':
    main()
