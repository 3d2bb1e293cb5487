#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
# guest: uml 60
# guest: stock? 240
"""What statx(2) and ioctl(2) say of files and of the filesystem."""
import ctypes
import errno
import fcntl
import os
import re
import struct
import uuid

import common
from common import Loop, Mounted, Tap, libc

tap = Tap()
STATX = 332
BTIME, SUBVOL = 0x800, 0x8000
IMMUTABLE, APPEND, NODUMP = 0x10, 0x20, 0x40
GETFLAGS, FSGETXATTR, GETVERSION = 0x80086601, 0x801c581f, 0x80087601
GETFSLABEL, SETFSLABEL, GETFSUUID, GETSYSFSPATH = 0x81009431, 0x41009432, 0x80111500, 0x80811501
# FS_IOC_GETFLAGS: FS_IOC_FSGETXATTR
FLAGS = {0x8: 0x20, 0x10: 0x8, 0x20: 0x10, 0x40: 0x80, 0x80: 0x40}


def statx(path):
    buf = ctypes.create_string_buffer(256)
    if libc.syscall(STATX, -100, os.fsencode(path), 0x100, 0xffff, buf):
        e = ctypes.get_errno()
        raise OSError(e, os.strerror(e))
    mask, blksize, attributes = struct.unpack_from('=IIQ', buf.raw, 0)
    known, = struct.unpack_from('=Q', buf.raw, 0x38)
    birth, = struct.unpack_from('=q', buf.raw, 0x50)
    subvol, = struct.unpack_from('=Q', buf.raw, 0xa0)
    return {'mask': mask, 'blksize': blksize, 'attributes': attributes, 'known': known, 'birth': birth,
            'subvol': subvol}


def ask(path, command, size):
    fd = os.open(path, os.O_RDONLY)
    try:
        buf = bytearray(size)
        fcntl.ioctl(fd, command, buf)
        return bytes(buf)
    finally:
        os.close(fd)


def paths(root):
    for d, dirs, files in os.walk(root):
        for n in dirs + files:
            p = os.path.join(d, n)
            if os.path.isdir(p) or os.path.isfile(p):
                yield p


def flags_agree(root, name):
    """FS_IOC_FSGETXATTR and statx show the flags that FS_IOC_GETFLAGS shows."""
    seen, wrong = 0, []
    for p in paths(root):
        if os.path.islink(p):
            continue
        flags, = struct.unpack('=I', ask(p, GETFLAGS, 4))
        xflags, _, _, project, _ = struct.unpack_from('=IIIII', ask(p, FSGETXATTR, 28))
        want = sum(x for f, x in FLAGS.items() if flags & f)
        if xflags & ~0x200 != want or project:
            wrong.append(f'{p}: flags {flags:x}, by FSGETXATTR {xflags:x} project {project}')
        st = statx(p)
        both = IMMUTABLE | APPEND | NODUMP
        if st['known'] & both != both or st['attributes'] & both != flags & both:
            wrong.append(f'{p}: flags {flags:x}, by statx {st["attributes"]:x} of {st["known"]:x}')
        seen |= flags
    if name.endswith('-tree') and seen & 0xf8 != 0xf8:
        wrong.append(f'flags seen: {seen:x}')
    return wrong


def times_and_blocks(root):
    block = os.statvfs(root).f_bsize
    for p in paths(root):
        st = statx(p)
        if st['mask'] & (BTIME | SUBVOL) != BTIME | SUBVOL or st['blksize'] != block:
            return f'{p}: {st}, block size {block}'
        if not 1 << 30 < st['birth'] < 1 << 34:
            return f'{p}: made at {st["birth"]}'
        if os.path.isdir(p) and not os.stat(p).st_size:
            return f'{p}: a directory of no size'


def subvolumes(root):
    seen = {statx(p)['subvol'] for p in paths(root)}
    if statx(root)['subvol'] != 1 or 0 in seen or len(seen) < 3:
        return f'the root is in {statx(root)["subvol"]}, seen {seen}'


def versions(root):
    for p in paths(root):
        if os.path.islink(p):
            continue
        _, filled = ask(p, GETVERSION, 8)[:4], ask(p, GETVERSION, 8)[4:]
        if filled != bytes(4):
            return f'{p}: more than 32 bits'


def filesystem(root, manifest):
    buf = ask(root, GETFSUUID, 17)
    want = manifest['superblock']['External UUID']
    if buf[0] != 16 or str(uuid.UUID(bytes=buf[1:])) != want:
        return f'id {buf.hex()}, expected {want}'
    label = re.search(r'(?:-L|--fs_label[= ])\s*(\S+)', manifest['mkfs'])
    want = (label.group(1) if label else '').encode()
    for p in [root] + list(paths(root))[:1]:
        if ask(p, GETFSLABEL, 256).rstrip(b'\0') != want:
            return f'{p}: label {ask(p, GETFSLABEL, 256)!r}, expected {want!r}'
    if not ask(root, GETSYSFSPATH, 129)[1:].startswith(b'bcachefs/'):
        return f'path below /sys/fs: {ask(root, GETSYSFSPATH, 129)!r}'


def refusals(root):
    wrong = []
    for what, command, size, number in (('setting the label', SETFSLABEL, 256, errno.EROFS),
                                        ('an unknown command', 0x8008bc99, 8, errno.ENOTTY)):
        try:
            ask(root, command, size)
            wrong.append(f'{what}: no error')
        except OSError as x:
            if x.errno != number:
                wrong.append(f'{what}: {x}')
    fd = os.open(root, os.O_RDONLY)
    try:
        if libc.ioctl(fd, ctypes.c_ulong(GETFSLABEL), ctypes.c_void_p(8192)) != -1 \
                or ctypes.get_errno() != errno.EFAULT:
            wrong.append(f'memory that is not there: errno {ctypes.get_errno()}')
    finally:
        os.close(fd)
    return wrong


def main():
    there = common.images()
    for name in ('v113-tree', 'v139-tree', 'v113-snap', 'v113-block512', 'v113-quota'):
        if name not in there:
            tap.skip(name, 'no such image')
            continue
        with Loop(common.unpack(name)) as loop, Mounted(loop.source) as root:
            tap.check(f'{name}: flags', flags_agree, root, name)
            tap.check(f'{name}: times and blocks', times_and_blocks, root)
            if name.endswith('-snap'):
                tap.check(f'{name}: subvolumes', subvolumes, root)
            tap.check(f'{name}: versions', versions, root)
            tap.check(f'{name}: of the filesystem', filesystem, root, common.manifest(name))
            tap.check(f'{name}: refusals', refusals, root)
    tap.done()


main()
