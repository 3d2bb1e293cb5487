#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""fill.py KIND DIR - fill a mounted filesystem with files whose contents compress well.

KIND: empty, few, small, tree (every kind of object, a large directory), limits (many extents, deep
directories, many links), compressed (a directory for each kind). The same files every time.
"""
import ctypes
import errno
import fcntl
import os
import random
import struct
import sys

# 2024-02-29 12:34:56.789012345 UTC
TIME = 1709210096789012345
FICLONERANGE = 0x4020940d
SIZES = (0, 1, 7, 100, 511, 512, 513, 4095, 4096, 4097, 65535, 65536, 65537, 131072, 1 << 20)


def content(seed, size):
    """Numbered lines: any part tells where it belongs."""
    lines = (size >> 5) + 1
    return b''.join(b'%-16d%15d\n' % (seed, i) for i in range(lines))[:size]


def put(path, data):
    with open(path, 'wb') as f:
        f.write(data)


def files(top):
    os.mkdir(f'{top}/sizes')
    for n, size in enumerate(SIZES):
        put(f'{top}/sizes/{size}', content(n, size))
    os.truncate(f'{top}/sizes/131072', 100000)
    with open(f'{top}/sizes/65537', 'r+b') as f:
        f.seek(8192)
        f.write(content(99, 5000))


def few(top):
    # Encrypted, these do not compress any more.
    for n, size in enumerate((0, 1, 511, 512, 4096, 4097, 20000)):
        put(f'{top}/{size}', content(n, size))
    os.mkdir(f'{top}/directory')
    put(f'{top}/directory/file', content(99, 9000))
    with open(f'{top}/20000', 'r+b') as f:
        f.seek(8192)
        f.write(content(100, 1000))
    os.symlink('directory/file', f'{top}/link')
    os.setxattr(f'{top}/1', 'user.comment', b'one byte')


def small(top):
    files(top)
    os.makedirs(f'{top}/a/b/c')
    put(f'{top}/a/b/c/file', b'at the bottom\n')
    os.symlink('a/b/c/file', f'{top}/link')
    os.link(f'{top}/a/b/c/file', f'{top}/hard')
    os.setxattr(f'{top}/a', 'user.comment', b'a directory')
    os.setxattr(f'{top}/hard', 'user.empty', b'')


def tree(top):
    small(top)
    d = f'{top}/many'
    os.mkdir(d)
    for i in range(1500):
        put(f'{d}/{i:x}-{"n" * (i % 40)}', b'%d' % i if i % 3 else b'')
    for i in range(0, 1500, 7):
        os.unlink(f'{d}/{i:x}-{"n" * (i % 40)}')
    d = f'{top}/names'
    os.mkdir(d)
    for name in (b'x' * 255, b'\xff\xfe not utf-8', 'naïve 日本語'.encode(), b' ', b'\n', b'-', b'a' * 254):
        put(os.path.join(os.fsencode(d), name), name)
    d = f'{top}/special'
    os.mkdir(d)
    os.mkfifo(f'{d}/fifo')
    os.mknod(f'{d}/sock', 0o140644)
    os.mknod(f'{d}/null', 0o020666, os.makedev(1, 3))
    os.mknod(f'{d}/disk', 0o060640, os.makedev(259, 1048575))
    for n in (1, 59, 60, 61, 255, 4000):
        os.symlink('l' * n if n < 256 else 'l/' * (n // 2), f'{d}/link-{n}')
    d = f'{top}/sparse'
    os.mkdir(d)
    for name, size, places in (('hole', 1 << 24, ()), ('end', 1 << 24, ((1 << 24) - 4096,)),
                               ('middle', 1 << 26, (1 << 25,)), ('comb', 1 << 20, range(0, 1 << 20, 16384))):
        with open(f'{d}/{name}', 'wb') as f:
            f.truncate(size)
            for at in places:
                f.seek(at)
                f.write(content(at >> 12, 4096))
    with open(f'{d}/preallocated', 'wb') as f:
        os.posix_fallocate(f.fileno(), 0, 1 << 20)
        f.write(b'start')
    d = f'{top}/modes'
    os.mkdir(d)
    for n, mode in enumerate((0o000, 0o400, 0o4755, 0o2755, 0o1777, 0o777)):
        put(f'{d}/{mode:o}', b'')
        os.chown(f'{d}/{mode:o}', n * 70000, 4294967294 - n)
        os.chmod(f'{d}/{mode:o}', mode)
    os.setxattr(f'{d}/777', 'trusted.t', b't' * 100)
    os.setxattr(f'{d}/777', 'user.long', bytes(range(256)))


def limits(top):
    # Written backwards and in between, so that neighbours do not merge.
    with open(f'{top}/extents', 'wb') as f:
        for start in (2, 0, 1):
            for i in reversed(range(start, 6000, 3)):
                f.seek(i * 4096)
                f.write(b'%15d\n' % i * 256)
            os.fsync(f.fileno())
    d = top
    for i in range(200):
        d = f'{d}/d{i % 10}'
        os.mkdir(d)
    put(f'{d}/bottom', b'two hundred levels down\n')
    os.mkdir(f'{top}/links')
    put(f'{top}/links/0', b'one file, many names\n')
    for i in range(1, 600):
        os.link(f'{top}/links/0', f'{top}/links/{i}')
    with open(f'{top}/huge', 'wb') as f:
        f.truncate((1 << 62))
        for at in (0, 1 << 32, 1 << 44, (1 << 62) - 4096):
            f.seek(at)
            f.write(content(at >> 32, 4096))
    put(f'{top}/xattrs', b'')
    for i in range(200):
        try:
            os.setxattr(f'{top}/xattrs', f'user.number-{i:03}-{"x" * (i % 50)}', b'v' * (i * 3))
        except OSError as x:
            if x.errno not in (errno.ENOSPC, errno.E2BIG, errno.ERANGE):
                raise


def compressed(top):
    noise = random.Random(5).randbytes(1 << 16)
    for kind in ('lz4', 'lz4:9', 'gzip', 'gzip:9', 'zstd', 'zstd:15'):
        d = f'{top}/{kind}'
        os.mkdir(d)
        os.setxattr(d, 'bcachefs.compression', kind.encode())
        files(d)
        # Every other extent is kept as it is.
        put(f'{d}/noise', b''.join(noise + content(i, 1 << 17) for i in range(3)))
        put(f'{d}/zeros', bytes(1 << 19))
        with open(f'{d}/holes', 'wb') as f:
            f.write(content(7, 1 << 20))
            f.flush()
            os.fsync(f.fileno())
            for at in range(12288, 1 << 20, 100000):
                f.seek(at)
                f.write(b'overwritten')
            os.fsync(f.fileno())
        # The middle of extents, shared, and partly overwritten in the copy.
        with open(f'{d}/copy', 'wb') as to, open(f'{d}/sizes/{1 << 20}', 'rb') as source:
            os.fsync(source.fileno())
            fcntl.ioctl(to, FICLONERANGE, struct.pack('qQQQ', source.fileno(), 20480, 300 << 10, 4096))
            to.seek(100000)
            to.write(b'overwritten')


def times(top):
    """The same times everywhere, deepest first."""
    for d, dirs, names in os.walk(os.fsencode(top), topdown=False):
        for n in names + [b'']:
            os.utime(os.path.join(d, n) if n else d, ns=(TIME, TIME), follow_symlinks=False)


def main():
    kind, top = sys.argv[1:]
    {'empty': lambda _: None, 'few': few, 'small': small, 'tree': tree, 'limits': limits,
     'compressed': compressed}[kind](top)
    ctypes.CDLL(None).sync()
    if os.path.isdir(f'{top}/lost+found'):
        os.utime(f'{top}/lost+found', ns=(TIME, TIME))
    times(top)


if __name__ == '__main__':
    main()
