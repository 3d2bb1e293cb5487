#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
# guest: stock 240
"""Programs of 32 bits: positions in directories have 31 bits for them, and some commands of ioctl(2)
other numbers. Calls are made by int 0x80 from this program of 64 bits."""
import ctypes
import errno
import mmap
import os
import struct

import common
from common import Loop, Mounted, Tap, libc

tap = Tap()
LSEEK, IOCTL, GETDENTS = 19, 54, 141
GETVERSION, GETFLAGS, GETFSLABEL = 0x80047601, 0x80046601, 0x81009431
END = 0x7fffffff
MAP_32BIT = 0x40
# push rbx; mov eax, edi; mov ebx, esi; xchg edx, ecx; int 0x80; cdqe; pop rbx; ret
CODE = bytes.fromhex('53 89f8 89f3 87d1 cd80 4898 5b c3')


class Calls:
    """Memory below 4 GiB: code at the start, then a buffer."""

    def __init__(self):
        libc.mmap.restype = ctypes.c_void_p
        self.base = libc.mmap(None, ctypes.c_size_t(1 << 17), 7, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_32BIT,
                              -1, ctypes.c_long(0))
        ctypes.memmove(self.base, CODE, len(CODE))
        self.buffer = self.base + 4096
        self.function = ctypes.CFUNCTYPE(ctypes.c_long, *[ctypes.c_long] * 4)(self.base)

    def works(self):
        """Not every kernel has calls for 32-bit programs."""
        pid = os.fork()
        if pid == 0:
            os._exit(self.function(20, 0, 0, 0) != os.getpid())
        return os.waitpid(pid, 0)[1] == 0

    def call(self, nr, *args):
        result = self.function(nr, *args, *[0] * (3 - len(args)))
        if result < 0:
            raise OSError(-result, os.strerror(-result))
        return result

    def entries(self, fd, size):
        """One call: [(inode number, position of the next entry, name)]."""
        n = self.call(GETDENTS, fd, self.buffer, size)
        data, at, out = ctypes.string_at(self.buffer, n), 0, []
        while at < n:
            ino, off, length = struct.unpack_from('=IIH', data, at)
            out.append((ino, off, data[at + 10:at + length].split(b'\0')[0]))
            at += length
        return out

    def listed(self, fd, size, to=None):
        if to is not None:
            self.call(LSEEK, fd, to, os.SEEK_SET)
        out = []
        while more := self.entries(fd, size):
            out += more
            if len(out) > 100000:
                raise RuntimeError('a directory without end')
        return out


class Directory:
    def __init__(self, path, calls):
        self.path, self.calls = path, calls
        self.fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        self.want = sorted(os.fsencode(n) for n in os.listdir(path)) + [b'.', b'..']
        self.want.sort()
        self.whole = calls.listed(self.fd, 1 << 15, 0)

    def all_entries(self):
        if sorted(e[2] for e in self.whole) != self.want:
            return f'{len(self.whole)} entries, expected {len(self.want)}'
        above = os.fsencode(self.path)
        for ino, off, name in self.whole:
            if off > END:
                return f'{name!r}: position {off:x}'
            if name not in (b'.', b'..') and ino != os.lstat(os.path.join(above, name)).st_ino & 0xffffffff:
                return f'{name!r}: inode number {ino}'
        if self.whole[-1][1] != END:
            return f'the last position is {self.whole[-1][1]:x}'

    def small_buffers(self):
        for size in (280, 300, 1000):
            if self.calls.listed(self.fd, size, 0) != self.whole:
                return f'buffer of {size} bytes: other entries'

    def seeks(self):
        """From where any entry ended, all the others are found, perhaps with some before them."""
        names = [e[2] for e in self.whole]
        for at in range(0, len(self.whole) - 1, max(1, len(self.whole) // 60)):
            other = os.open(self.path, os.O_RDONLY)
            got = [e[2] for e in self.calls.listed(other, 4096, self.whole[at][1])]
            os.close(other)
            if got[-len(names[at + 1:]):] != names[at + 1:] or len(got) > len(names[at + 1:]) + 3:
                return f'after {names[at]!r}: {len(got)} entries, expected {len(names[at + 1:])}'

    def at_the_end(self):
        if self.calls.listed(self.fd, 4096, END):
            return 'entries'
        try:
            self.calls.call(LSEEK, self.fd, -1, os.SEEK_SET)
            return 'a negative position'
        except OSError as x:
            return None if x.errno == errno.EINVAL else f'{x}'

    def both_widths(self):
        """A position of 64 bits is as it was, on the same open file."""
        os.lseek(self.fd, 0, os.SEEK_SET)
        self.calls.entries(self.fd, 400)
        os.lseek(self.fd, 0, os.SEEK_SET)
        if sorted(os.fsencode(n) for n in os.listdir(self.fd)) != [n for n in self.want if n not in (b'.', b'..')]:
            return 'other entries'


def commands(path, calls):
    fd = os.open(path, os.O_RDONLY)
    try:
        for command in (GETVERSION, GETFLAGS, GETFSLABEL):
            calls.call(IOCTL, fd, ctypes.c_int32(command).value & 0xffffffff, calls.buffer)
        for command in (0x80087601, 0x8008bc99):
            try:
                calls.call(IOCTL, fd, command, calls.buffer)
                return f'{command:x}: no error'
            except OSError as x:
                if x.errno != errno.ENOTTY:
                    return f'{command:x}: {x}'
    finally:
        os.close(fd)


def main():
    there, calls = common.images(), Calls()
    if not calls.works():
        tap.skip('all', 'this kernel has no calls for 32-bit programs')
        return tap.done()
    for name in ('v113-tree', 'v139-tree', 'v113-strhash-crc64', 'v139-casefold'):
        if name not in there:
            tap.skip(name, 'no such image')
            continue
        with Loop(common.unpack(name)) as loop, Mounted(loop.source) as root:
            path = max((d for d, _, _ in os.walk(root)), key=lambda d: len(os.listdir(d)))
            d = Directory(path, calls)
            for test in (d.all_entries, d.small_buffers, d.seeks, d.at_the_end, d.both_widths):
                tap.check(f'{name}: {test.__name__.replace("_", " ")}', test)
            os.close(d.fd)
            tap.check(f'{name}: commands', commands, path, calls)
    tap.done()


main()
