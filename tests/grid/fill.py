#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""fill.py SEED DIR [--plain] - fill a directory with a tree that follows from SEED.

Files with many extents, overwritten, truncated, cloned, sparse and punched ones; inline ones,
directories, links, xattrs, deleted ones; subvolumes and snapshots with changes after them. With
--plain, only what any filesystem can have and a copy keeps.
"""
import ctypes
import errno
import fcntl
import os
import random
import struct
import sys

libc = ctypes.CDLL(None, use_errno=True)
libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]
KEEP_SIZE, PUNCH, COLLAPSE, ZERO, INSERT = 1, 2, 8, 16, 32
FICLONE, FICLONERANGE = 0x40049409, 0x4020940D
# C: struct bch_ioctl_subvolume.
SUBVOLUME_CREATE, SUBVOLUME_DESTROY = 0x4020BC10, 0x4020BC11
SNAPSHOT, READ_ONLY, AT_FDCWD = 1, 2, 0xFFFFFF9C


class Tree:
    def __init__(self, top, seed, plain):
        self.top, self.plain = top, plain
        self.rng = random.Random(seed)

    def path(self, name):
        return f'{self.top}/{name}'

    def content(self, size):
        """Random bytes, text that compresses well, zeros, or all of it."""
        kind = self.rng.randrange(4)
        if kind == 0:
            return self.rng.randbytes(size)
        if kind == 1:
            return bytes(size)
        nr = self.rng.randrange(1 << 20)
        text = b''.join(b'%-16d%15d\n' % (nr, i) for i in range((size >> 5) + 1))[:size]
        if kind == 2 or size < 100:
            return text
        cut = self.rng.randrange(size)
        return text[:cut] + self.rng.randbytes(size - cut)

    def put(self, name, data):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), 'wb') as f:
            f.write(data)
        return self.path(name)

    def size(self, most):
        edge = self.rng.choice((512, 4096, 16384, 65536, 131072, 262144))
        return min(most, self.rng.choice((self.rng.randrange(most), edge, edge - 1, edge + 1)))

    # --- what there can be ---

    def small(self):
        for i in range(60):
            self.put(f'small/{i}', self.content(self.rng.randrange(0, 600)))
        for i in range(12):
            self.put(f'medium/{i}', self.content(self.size(300000)))

    def many(self):
        for i in range(250):
            self.put(f'many/{i:x}{"-" * (i % 60)}', b'%d' % i if i % 2 else b'')
        for i in range(0, 250, 5):
            os.unlink(self.path(f'many/{i:x}{"-" * (i % 60)}'))

    def extents(self):
        """Written in pieces, out of order, each on disk before the next."""
        for n, unit in enumerate((512, 4096, 13000)):
            order = list(range(40))
            self.rng.shuffle(order)
            with open(self.put(f'extents/{n}', b''), 'r+b') as f:
                for i in order:
                    f.seek(i * unit)
                    f.write(self.content(unit))
                    f.flush()
                    if i % 4 == 0:
                        os.fsync(f.fileno())

    def overwritten(self):
        for n in range(6):
            size = 1 << 18
            with open(self.put(f'overwritten/{n}', self.content(size)), 'r+b') as f:
                os.fsync(f.fileno())
                for i in range(6):
                    at = self.rng.randrange(size)
                    if n % 2:
                        at &= ~4095
                    f.seek(at)
                    f.write(self.content(self.rng.choice((10, 512, 4096, 40000))))
                    f.flush()
                    if i % 2:
                        os.fsync(f.fileno())

    def truncated(self):
        for n in range(8):
            path = self.put(f'truncated/{n}', self.content(150000))
            with open(path, 'r+b') as f:
                os.fsync(f.fileno())
                for _ in range(2):
                    f.truncate(self.rng.choice((0, 1, 511, 5000, 70000, 65536, 149999, 200000, 1 << 22)))
                    f.flush()
                    if n % 2:
                        os.fsync(f.fileno())
                if n % 3 == 0:
                    f.seek(self.rng.randrange(1 << 18))
                    f.write(self.content(3000))

    def sparse(self):
        for n in range(4):
            with open(self.put(f'sparse/{n}', b''), 'r+b') as f:
                f.truncate(1 << self.rng.randrange(16, 30))
                for _ in range(n * 3):
                    f.seek(self.rng.randrange(1 << 20) & ~511)
                    f.write(self.content(self.rng.choice((1, 512, 4096, 20000))))

    def links(self):
        os.makedirs(self.path('a/b/c/d'))
        self.put('a/b/c/d/file', b'at the bottom\n')
        os.link(self.path('a/b/c/d/file'), self.path('hard'))
        for n in (1, 60, 255, 2000):
            os.symlink('l/' * (n // 2) + 'l' * (n % 2), self.path(f'link-{n}'))
        os.mkfifo(self.path('fifo'))
        os.mknod(self.path('null'), 0o020666, os.makedev(1, 3))
        os.chown(self.path('hard'), 70000, 4294967293)
        os.chmod(self.path('a'), 0o1751)

    def xattrs(self):
        for n in range(12):
            path = self.put(f'xattrs/{n}', b'')
            for i in range(n):
                os.setxattr(path, f'user.{i}-{"x" * (i * 9)}', self.rng.randbytes(i * 17))
        os.setxattr(self.path('xattrs'), 'user.on-a-directory', b'value')
        os.setxattr(self.path('xattrs/3'), 'trusted.t', b't')

    def fallocated(self):
        for n in range(6):
            with open(self.put(f'fallocated/{n}', self.content(1 << 18)), 'r+b') as f:
                os.fsync(f.fileno())
                for mode in ((0,), (PUNCH | KEEP_SIZE,), (ZERO,), (COLLAPSE,), (INSERT,), (PUNCH | KEEP_SIZE, 0))[n]:
                    at, length = self.rng.randrange(1, 24) << 12, self.rng.randrange(1, 20) << 12
                    if mode == 0:
                        at += 1 << 18
                    if libc.fallocate(f.fileno(), mode, at, length):
                        # Not every kernel and geometry can do all.
                        assert ctypes.get_errno() in (errno.EOPNOTSUPP, errno.EINVAL), ctypes.get_errno()

    def cloned(self):
        source = self.put('cloned/source', self.content(200000))
        with open(source, 'r+b') as f:
            os.fsync(f.fileno())
            for n in range(3):
                with open(self.put(f'cloned/{n}', b''), 'r+b') as to:
                    fcntl.ioctl(to.fileno(), FICLONE, f.fileno())
                    if n:
                        to.seek(self.rng.randrange(190000))
                        to.write(self.content(9000))
            with open(self.put('cloned/range', self.content(90000)), 'r+b') as to:
                fcntl.ioctl(to.fileno(), FICLONERANGE, struct.pack('=qQQQ', f.fileno(), 65536, 65536, 32768))
            # What the clones have stays.
            f.seek(4096)
            f.write(self.content(20000))
            f.truncate(150000)

    def options(self):
        """Files with checksums or copies of their own."""
        for name, value in (('data_checksum', 'none'), ('data_checksum', 'crc64'), ('data_checksum', 'xxhash')):
            path = self.put(f'options/{name}-{value}', b'')
            os.setxattr(path, f'bcachefs.{name}', value.encode())
            with open(path, 'wb') as f:
                f.write(self.content(70000))

    def subvolume(self, command, name, flags=0, source=None):
        dst = ctypes.create_string_buffer(os.fsencode(self.path(name)))
        src = ctypes.create_string_buffer(os.fsencode(self.path(source))) if source else None
        arg = struct.pack('=IIH6xQQ', flags, AT_FDCWD, 0o755, ctypes.addressof(dst),
                          ctypes.addressof(src) if src else 0)
        fd = os.open(self.top, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, command, arg)
        finally:
            os.close(fd)

    def snapshots(self):
        self.subvolume(SUBVOLUME_CREATE, 'volume')
        for i in range(12):
            self.put(f'volume/d/{i}', self.content(self.size(90000)))
        self.put('volume/large', self.content(300000))
        sync()
        self.subvolume(SUBVOLUME_CREATE, 'snap-rw', SNAPSHOT, 'volume')
        with open(self.path('volume/large'), 'r+b') as f:
            f.seek(50000)
            f.write(self.content(100000))
        for i in range(0, 12, 3):
            os.unlink(self.path(f'volume/d/{i}'))
            os.rename(self.path(f'volume/d/{i + 1}'), self.path(f'volume/moved-{i}'))
            os.truncate(self.path(f'volume/d/{i + 2}'), 3000)
        sync()
        self.subvolume(SUBVOLUME_CREATE, 'snap-ro', SNAPSHOT | READ_ONLY, 'volume')
        self.put('snap-rw/only here', self.content(5000))
        os.truncate(self.path('snap-rw/large'), 123456)
        os.setxattr(self.path('snap-rw/large'), 'user.snapshot', b'yes')
        self.subvolume(SUBVOLUME_CREATE, 'snap-of-snap', SNAPSHOT, 'snap-rw')
        os.unlink(self.path('snap-rw/only here'))
        self.put('snap-of-snap/d/new', b'new')
        self.subvolume(SUBVOLUME_CREATE, 'gone', SNAPSHOT, 'volume')
        self.subvolume(SUBVOLUME_DESTROY, 'gone')

    def fill(self):
        steps = [self.small, self.many, self.extents, self.overwritten, self.truncated, self.sparse, self.links,
                 self.xattrs]
        if not self.plain:
            steps += [self.fallocated, self.cloned, self.options, self.snapshots]
        for step in steps:
            step()
            if not self.plain:
                sync()


def sync():
    os.sync()


def main():
    seed, top = int(sys.argv[1]), sys.argv[2]
    Tree(top, seed, '--plain' in sys.argv).fill()


if __name__ == '__main__':
    main()
