#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
# guest: uml 120
# guest: stock? 300
"""What a tree looks like from the edges: long names, sparse files, reads at odd places, refusals."""
import ctypes
import errno
import mmap
import os
import random
import stat
import sys

import common
from common import Loop, Mounted, Tap, libc

tap = Tap()


class Tree:
    def __init__(self, root):
        self.root = os.fsencode(root)
        self.files, self.dirs, self.other = [], [], []
        for d, dirs, files in os.walk(self.root):
            self.dirs.append(d)
            for f in files:
                p = os.path.join(d, f)
                mode = os.lstat(p).st_mode
                (self.files if stat.S_ISREG(mode) else self.other).append(p)
        self.largest = max(self.files, key=os.path.getsize) if self.files else None

    def names_of_255_bytes(self):
        if all(len(os.path.basename(p)) < 255 for p in self.files + self.dirs):
            return 'the image has none'
        for n in (256, 1000):
            try:
                os.stat(os.path.join(self.root, b'x' * n))
            except OSError as x:
                if x.errno not in (errno.ENAMETOOLONG, errno.ENOENT):
                    return f'a name of {n} bytes: {x}'

    def does_not_exist(self):
        for p in (b'nothing', b'nothing/below'):
            try:
                os.stat(os.path.join(self.root, p))
                return f'{p!r} exists'
            except FileNotFoundError:
                pass
        try:
            os.stat(os.path.join(self.files[0], b'below'))
            return 'a name below a file exists'
        except NotADirectoryError:
            pass

    def read_only(self):
        calls = {'create': lambda: os.open(os.path.join(self.root, b'new'), os.O_CREAT | os.O_WRONLY),
                 'write': lambda: os.open(self.files[0], os.O_WRONLY),
                 'mkdir': lambda: os.mkdir(os.path.join(self.root, b'new')),
                 'unlink': lambda: os.unlink(self.files[0]),
                 'rename': lambda: os.rename(self.files[0], self.files[0] + b'2'),
                 'chmod': lambda: os.chmod(self.files[0], 0o777),
                 'utime': lambda: os.utime(self.files[0]),
                 'setxattr': lambda: os.setxattr(self.files[0], 'user.x', b'1'),
                 'truncate': lambda: os.truncate(self.files[0], 0),
                 'symlink': lambda: os.symlink('x', os.path.join(self.root, b'new')),
                 'link': lambda: os.link(self.files[0], os.path.join(self.root, b'new'))}
        for name, call in calls.items():
            try:
                call()
                return f'{name} worked'
            except OSError as x:
                if x.errno != errno.EROFS:
                    return f'{name}: {x}, expected EROFS'

    def reads_at_any_place(self):
        """pread anywhere gives what reading from the start gave."""
        rng = random.Random(1)
        for path in sorted(self.files, key=os.path.getsize)[-8:] + self.files[:8]:
            fd = os.open(path, os.O_RDONLY)
            try:
                with open(path, 'rb') as f:
                    whole = f.read(1 << 24)
                for _ in range(50):
                    at = rng.randrange(len(whole) + 4096)
                    n = rng.choice((1, 511, 512, 4095, 4096, 4097, 65536, 1 << 20))
                    if os.pread(fd, n, at)[:max(0, len(whole) - at)] != whole[at:at + n]:
                        return f'{path!r}: {n} bytes at {at}'
                if os.pread(fd, 4096, os.fstat(fd).st_size):
                    return f'{path!r}: bytes after the end'
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                at = len(whole) // 2
                if os.pread(fd, 100, at) != whole[at:at + 100]:
                    return f'{path!r}: other contents when read again'
            finally:
                os.close(fd)

    def mapped_files(self):
        for path in sorted(self.files, key=os.path.getsize)[-4:]:
            with open(path, 'rb') as f, mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ) as m:
                if m[:1 << 20] != f.read(1 << 20):
                    return f'{path!r}: the mapping differs'

    def direct_reads(self):
        path = self.largest
        try:
            fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
        except OSError as x:
            if x.errno != errno.EINVAL:
                raise
            raise common.Skip('the module has no direct reads') from None
        try:
            with open(path, 'rb') as f, mmap.mmap(-1, 1 << 16) as buffer:
                for at in range(0, min(os.path.getsize(path), 1 << 22), 1 << 16):
                    f.seek(at)
                    want = f.read(1 << 16)
                    n = os.preadv(fd, [buffer], at)
                    if buffer[:n] != want[:n] or n < len(want):
                        return f'{path!r} at {at}: {n} bytes, expected {len(want)}'
        finally:
            os.close(fd)

    def holes(self):
        """SEEK_DATA and SEEK_HOLE, where they say hole, are over zeroes."""
        sparse = [p for p in self.files if os.stat(p).st_blocks * 512 + 65536 < os.path.getsize(p)]
        if not sparse:
            return 'the image has no sparse file'
        for path in sparse:
            fd = os.open(path, os.O_RDONLY)
            try:
                size, at = os.fstat(fd).st_size, 0
                while at < size:
                    try:
                        data = os.lseek(fd, at, os.SEEK_DATA)
                    except OSError as x:
                        if x.errno != errno.ENXIO:
                            return f'{path!r}: SEEK_DATA: {x}'
                        data = size
                    for p in range(at, min(data, at + (1 << 22)), 1 << 20):
                        b = os.pread(fd, min(1 << 20, data - p), p)
                        if b.strip(b'\0'):
                            return f'{path!r}: data in a hole at {p}'
                    if data >= size:
                        break
                    at = os.lseek(fd, data, os.SEEK_HOLE)
                    if at <= data:
                        return f'{path!r}: no way forward at {data}'
            finally:
                os.close(fd)

    def hard_links(self):
        by_ino = {}
        for p in self.files:
            by_ino.setdefault(os.lstat(p).st_ino, []).append(p)
        linked = [v for v in by_ino.values() if len(v) > 1]
        if not linked:
            return 'the image has no hard link'
        for paths in linked:
            for p in paths:
                if os.lstat(p).st_nlink < len(paths):
                    return f'{p!r}: link count {os.lstat(p).st_nlink}, {len(paths)} names'

    def special_files(self):
        kinds = {stat.S_IFMT(os.lstat(p).st_mode) for p in self.other}
        missing = {stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFLNK} - kinds
        if missing:
            return f'the image has no {[oct(k) for k in missing]}'

    def dot_dot(self):
        for d in self.dirs[1:200]:
            if os.stat(os.path.join(d, b'..')).st_ino != os.stat(os.path.dirname(d)).st_ino:
                return f'{d!r}/.. is not its parent'

    def statistics(self):
        """statvfs makes sense; the type is that of bcachefs."""
        v = os.statvfs(self.root)
        if not (0 < v.f_bfree <= v.f_blocks and v.f_bavail <= v.f_bfree and v.f_namemax >= 255 and v.f_bsize):
            return str(v)
        buf = ctypes.create_string_buffer(256)
        if libc.statfs(self.root, buf) or int.from_bytes(buf[:4], 'little') != 0xca451a4e:
            return 'the type is not that of bcachefs'


def far_apart(root):
    """A file of nearly 2^62 bytes has data at its start and its end, and in between."""
    sys.path.insert(0, os.path.join(common.SRC, 'tests/golden'))
    from fill import content
    fd = os.open(os.path.join(root, 'huge'), os.O_RDONLY)
    try:
        if os.fstat(fd).st_size != 1 << 62:
            return f'size {os.fstat(fd).st_size}'
        for at in (0, 1 << 32, 1 << 44, (1 << 62) - 4096):
            if os.pread(fd, 4096, at) != content(at >> 32, 4096):
                return f'wrong data at {at}'
            if at and os.pread(fd, 4096, at - 4096) != bytes(4096):
                return f'not a hole before {at}'
            if os.lseek(fd, max(0, at - (1 << 20)), os.SEEK_DATA) != at:
                return f'the data at {at} is not found'
    finally:
        os.close(fd)


def main():
    names = [n for n in common.images() if n.endswith('-tree')]
    if not names:
        tap.skip('edges of a tree', 'no image of one')
    for name in names:
        with Loop(common.unpack(name)) as dev, Mounted(dev.source) as root:
            tree = Tree(root)
            for test in (tree.names_of_255_bytes, tree.does_not_exist, tree.read_only, tree.reads_at_any_place,
                         tree.mapped_files, tree.direct_reads, tree.holes, tree.hard_links,
                         tree.special_files, tree.dot_dot, tree.statistics):
                tap.check(f'{name}: {test.__name__.replace("_", " ")}', test)
    for name in (n for n in common.images() if n.endswith('-limits')):
        with Loop(common.unpack(name)) as dev, Mounted(dev.source) as root:
            tap.check(f'{name}: far apart', far_apart, root)
    tap.done()


if __name__ == '__main__':
    main()
