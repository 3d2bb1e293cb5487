#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
# guest: uml 120
# guest: stock? 300
"""Handles: a file is found again by its handle, also after a new mount; handles of nothing are
stale. The kernel has to find the directories above by itself."""
import ctypes
import errno
import os
import struct

import common
from common import Loop, Mounted, Tap, libc

tap = Tap()
NAME_TO_HANDLE_AT, OPEN_BY_HANDLE_AT = 303, 304
AT_SYMLINK_FOLLOW, AT_EMPTY_PATH, AT_HANDLE_FID = 0x400, 0x1000, 0x200
AT_HANDLE_CONNECTABLE = 0x2
WITHOUT_PARENT, WITH_PARENT = 0xb1, 0xb2
O_PATH = 0o10000000


def drop_caches():
    with open('/proc/sys/vm/drop_caches', 'w') as f:
        f.write('3')


def handle_of(path, flags=0, room=128):
    """(type, bytes)"""
    buf = ctypes.create_string_buffer(struct.pack('=Ii', room, 0) + bytes(128))
    mount_id = ctypes.c_int()
    if libc.syscall(NAME_TO_HANDLE_AT, -100, path, buf, ctypes.byref(mount_id), flags):
        e = ctypes.get_errno()
        raise OSError(e, os.strerror(e), struct.unpack_from('=I', buf.raw, 0)[0])
    length, kind = struct.unpack_from('=Ii', buf.raw, 0)
    return kind & 0xffff, buf.raw[8:8 + length]


def open_handle(mount, kind, handle, flags=os.O_RDONLY):
    buf = ctypes.create_string_buffer(struct.pack('=Ii', len(handle), kind) + handle)
    fd = libc.syscall(OPEN_BY_HANDLE_AT, mount, buf, flags)
    if fd < 0:
        e = ctypes.get_errno()
        raise OSError(e, os.strerror(e))
    return fd


class Tree:
    def __init__(self, root):
        self.root = os.fsencode(root)
        self.paths = []
        for d, dirs, files in os.walk(self.root):
            self.paths += [os.path.join(d, n) for n in dirs + files]
        self.paths.sort(key=lambda p: (-p.count(b'/'), p))
        step = max(1, len(self.paths) // 150)
        self.paths = self.paths[:20] + self.paths[20::step]
        self.handles = {p: handle_of(p) for p in self.paths}
        self.known = {p: os.lstat(p) for p in self.paths}

    def layout(self):
        """Inode number, subvolume and generation, of the file and perhaps of its directory."""
        for p in self.paths:
            kind, handle = self.handles[p]
            inum, subvol, _ = struct.unpack('=QII', handle[:16])
            if (kind, len(handle)) != (WITHOUT_PARENT, 16) or inum != self.known[p].st_ino or not subvol:
                return f'{p!r}: type {kind:x}, {handle.hex()}'
            try:
                kind, handle = handle_of(p, AT_HANDLE_CONNECTABLE)
            except OSError as x:
                if x.errno == errno.EINVAL:
                    raise common.Skip('the kernel gives out no handles with directories')
                raise
            is_dir = os.path.isdir(p) and not os.path.islink(p)
            want = (WITHOUT_PARENT, 16) if is_dir else (WITH_PARENT, 32)
            if (kind & 0xff, len(handle)) != want:
                return f'{p!r}: type {kind:x}, {handle.hex()}'
            if not is_dir and struct.unpack_from('=Q', handle, 16)[0] != os.lstat(os.path.dirname(p)).st_ino:
                return f'{p!r}: another directory: {handle.hex()}'

    def too_small(self):
        try:
            handle_of(self.paths[0], room=8)
            return 'no error'
        except OSError as x:
            return None if (x.errno, x.filename) == (errno.EOVERFLOW, 16) else f'{x}'

    def found_again(self):
        mount, wrong = os.open(self.root, os.O_RDONLY), []
        try:
            for p in self.paths:
                kind, handle = self.handles[p]
                fd = open_handle(mount, kind, handle, O_PATH)
                st = os.fstat(fd)
                if (st.st_ino, st.st_mode, st.st_size, st.st_mtime_ns) != (
                        self.known[p].st_ino, self.known[p].st_mode, self.known[p].st_size,
                        self.known[p].st_mtime_ns):
                    wrong.append(f'{p!r}: {st}')
                if os.path.isdir(p) and not os.path.islink(p):
                    name = os.fsencode(os.readlink(f'/proc/self/fd/{fd}'))
                    if name != p:
                        wrong.append(f'{p!r}: the kernel calls it {name!r}')
                    up = os.open('..', O_PATH, dir_fd=fd)
                    if os.fstat(up).st_ino != os.lstat(os.path.dirname(p)).st_ino:
                        wrong.append(f'{p!r}: another directory above')
                    os.close(up)
                os.close(fd)
        finally:
            os.close(mount)
        return wrong

    def after_dropping_caches(self):
        drop_caches()
        return self.found_again()

    def contents(self):
        mount = os.open(self.root, os.O_RDONLY)
        try:
            for p in self.paths:
                if os.path.isfile(p) and not os.path.islink(p) and os.path.getsize(p) < 1 << 20:
                    drop_caches()
                    fd = open_handle(mount, *self.handles[p])
                    with open(fd, 'rb') as f, open(p, 'rb') as g:
                        if f.read() != g.read():
                            return f'{p!r}: others'
                    return None
        finally:
            os.close(mount)

    def stale(self):
        mount, wrong = os.open(self.root, os.O_RDONLY), []
        kind, good = self.handles[self.paths[0]]
        inum, subvol, generation = struct.unpack('=QII', good)
        bad = {'another generation': (kind, struct.pack('=QII', inum, subvol, generation ^ 1)),
               'another number': (kind, struct.pack('=QII', inum + (1 << 40), subvol, generation)),
               'number 0': (kind, struct.pack('=QII', 0, subvol, generation)),
               'the largest number': (kind, struct.pack('=QII', (1 << 64) - 1, subvol, generation)),
               'another subvolume': (kind, struct.pack('=QII', inum, subvol + 1000, generation)),
               'subvolume 0': (kind, struct.pack('=QII', inum, 0, generation)),
               'another type': (0x51, good), 'a wrong length': (kind, good + bytes(4)),
               'too short for its type': (WITH_PARENT, good)}
        try:
            for what, (k, h) in bad.items():
                try:
                    os.close(open_handle(mount, k, h, O_PATH))
                    wrong.append(f'{what}: no error')
                except OSError as x:
                    if x.errno != errno.ESTALE:
                        wrong.append(f'{what}: {x}')
        finally:
            os.close(mount)
        return wrong


def subvolumes_differ(root):
    """The same number in a snapshot is another file."""
    seen = {}
    for d, _, files in os.walk(os.fsencode(root)):
        for f in files:
            _, handle = handle_of(os.path.join(d, f))
            inum, subvol, _ = struct.unpack('=QII', handle)
            seen.setdefault(inum, set()).add(subvol)
    if all(len(s) == 1 for s in seen.values()):
        return 'no file is in two subvolumes'


def main():
    there, log = common.images(), common.Log()
    for name in ('v113-tree', 'v139-tree', 'v113-snap', 'v139-snap', 'v139-casefold'):
        if name not in there:
            tap.skip(name, 'no such image')
            continue
        with Loop(common.unpack(name)) as loop:
            with Mounted(loop.source) as root:
                tree = Tree(root)
                for test in (tree.layout, tree.too_small, tree.found_again, tree.after_dropping_caches, tree.contents,
                             tree.stale):
                    tap.check(f'{name}: {test.__name__.replace("_", " ")}', test)
                if name.endswith('-snap'):
                    tap.check(f'{name}: subvolumes differ', subvolumes_differ, root)
            with Mounted(loop.source):
                tap.check(f'{name}: after mounting again', tree.found_again)
    tap.result(not common.complaints(log.take()), 'the kernel does not complain')
    tap.done()


main()
