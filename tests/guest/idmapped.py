#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
# guest: stock 240
"""Idmapped mounts: who has files is another number there, in all that shows and sets it; and who has none
can make nothing."""
import ctypes
import errno
import os
import stat
import struct

import common
from common import Log, Loop, Mounted, Tap, libc, mount, umount
from rw import fsck
from subvolumes import subvolume

SECONDS = 60
OPEN_TREE, MOVE_MOUNT, MOUNT_SETATTR = 428, 429, 442
OPEN_TREE_CLONE, EMPTY_PATH, MOVE_EMPTY_PATH, IDMAP, NEWUSER = 1, 0x1000, 4, 0x100000, 0x10000000
AT_FDCWD, SYMLINK_FOLLOW, O_TMPFILE = -100, 0x400, 0o20200000
# Number N of the filesystem is FIRST + N in the mount; those from NR on are nobody.
FIRST, NR, NOBODY = 10000, 1000, 65534
ACCESS, DEFAULT = 'system.posix_acl_access', 'system.posix_acl_default'
USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, OTHER = 1, 2, 4, 8, 16, 32
THERE = os.path.join(common.WORK, 'idmapped')


def syscall(nr, *args):
    ret = libc.syscall(ctypes.c_long(nr), *args)
    if ret < 0:
        e = ctypes.get_errno()
        raise OSError(e, f'system call {nr}: {os.strerror(e)}')
    return ret


def namespace():
    """A user namespace with these numbers, as a file."""
    ready, done = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os._exit(0 if libc.unshare(NEWUSER) == 0 and os.write(ready[1], b'x') and os.read(done[0], 1) else 1)
    try:
        os.read(ready[0], 1)
        for which in ('uid', 'gid'):
            with open(f'/proc/{child}/{which}_map', 'w') as f:
                f.write(f'0 {FIRST} {NR}')
        return os.open(f'/proc/{child}/ns/user', os.O_RDONLY)
    finally:
        os.write(done[1], b'x')
        os.waitpid(child, 0)
        for fd in (*ready, *done):
            os.close(fd)


class Idmapped:
    """What is mounted, mounted once more with other numbers."""

    def __enter__(self):
        os.makedirs(THERE, exist_ok=True)
        tree = syscall(OPEN_TREE, AT_FDCWD, common.MNT.encode(), OPEN_TREE_CLONE)
        ns = namespace()
        try:
            attr = struct.pack('=QQQQ', IDMAP, 0, 0, ns)
            syscall(MOUNT_SETATTR, tree, b'', EMPTY_PATH, attr, ctypes.c_size_t(len(attr)))
            syscall(MOVE_MOUNT, tree, b'', AT_FDCWD, THERE.encode(), MOVE_EMPTY_PATH)
        finally:
            os.close(ns)
            os.close(tree)
        return THERE

    def __exit__(self, *_):
        umount(THERE)


def as_user(uid, gid, test, *args):
    """What a process of somebody finds wrong."""
    end, start = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            said = '\n'.join(test(*args) or [])
        except Exception as x:
            said = f'as {uid}: {type(x).__name__}: {x}'
        os.write(start, said.encode()[:4000])
        os._exit(0)
    os.close(start)
    with os.fdopen(end) as f:
        said = f.read()
    os.waitpid(child, 0)
    return said.splitlines()


def owner(path):
    s = os.lstat(path)
    return s.st_uid, s.st_gid


def expect(what, found, want):
    return [] if found == want else [f'{what}: {found}, not {want}']


def fails(want, what, call, *args):
    try:
        call(*args)
    except OSError as x:
        return expect(what, errno.errorcode[x.errno], errno.errorcode[want])
    return [f'{what}: it did not fail']


def acl(*entries):
    return struct.pack('<I', 2) + b''.join(struct.pack('<HHI', *e) for e in entries)


def entries_of(path, name):
    value = os.getxattr(path, name)
    return [struct.unpack_from('<HHI', value, at) for at in range(4, len(value), 8)]


def shown_and_set(root):
    """What is there shows as another's, and chown(2) goes the other way."""
    wrong, here = [], common.MNT
    for name, ids in (('a', (5, 7)), ('b', (0, 0)), ('c', (999, 999)), ('none', (5000, 5000))):
        with open(f'{here}/{name}', 'w'):
            pass
        os.chown(f'{here}/{name}', *ids)
        want = tuple(FIRST + i if i < NR else NOBODY for i in ids)
        wrong += expect(name, owner(f'{root}/{name}'), want)
    os.chown(f'{root}/a', FIRST + 9, FIRST + 11)
    wrong += expect('chown', owner(f'{here}/a'), (9, 11))
    wrong += expect('chown', owner(f'{root}/a'), (FIRST + 9, FIRST + 11))
    # Somebody who is not in the mount can not have a file.
    wrong += fails(errno.EOVERFLOW, 'chown to root', os.chown, f'{root}/a', 0, 0)
    wrong += expect('chown that failed', owner(f'{here}/a'), (9, 11))
    return wrong


def make_all(root):
    path = f'{root}/of-user'
    os.mkdir(path)
    with open(f'{path}/file', 'w') as f:
        f.write('x')
    os.mkdir(f'{path}/dir')
    os.symlink('there', f'{path}/symlink')
    os.mkfifo(f'{path}/fifo')
    fd = os.open(path, os.O_RDWR | O_TMPFILE)
    if libc.linkat(AT_FDCWD, f'/proc/self/fd/{fd}'.encode(), AT_FDCWD, f'{path}/tmpfile'.encode(), SYMLINK_FOLLOW):
        raise OSError(ctypes.get_errno(), 'linkat')
    os.close(fd)
    os.link(f'{path}/file', f'{path}/link')
    os.rename(f'{path}/link', f'{path}/renamed')
    subvolume(f'{path}/subvolume')
    names = ['.', 'file', 'dir', 'symlink', 'fifo', 'tmpfile', 'renamed', 'subvolume']
    wrong = []
    for name in names:
        wrong += expect(f'made: {name}', owner(f'{path}/{name}'), (FIRST + 5, FIRST + 7))
    os.chmod(f'{path}/file', 0o600)
    os.utime(f'{path}/file', (1, 1))
    return wrong


def made_by_somebody(root):
    os.chmod(common.MNT, 0o777)
    wrong = as_user(FIRST + 5, FIRST + 7, make_all, root)
    if wrong:
        return wrong
    path = f'{common.MNT}/of-user'
    for name in ('.', 'file', 'dir', 'symlink', 'fifo', 'tmpfile', 'renamed', 'subvolume'):
        wrong += expect(f'on disk: {name}', owner(f'{path}/{name}'), (5, 7))
    # In a directory that hands its group on.
    os.mkdir(f'{common.MNT}/group')
    os.chown(f'{common.MNT}/group', 5, 70)
    os.chmod(f'{common.MNT}/group', 0o2777)

    def in_group():
        os.mkdir(f'{root}/group/dir')
        with open(f'{root}/group/file', 'w'):
            pass
    wrong += as_user(FIRST + 6, FIRST + 6, in_group)
    for name in ('dir', 'file'):
        wrong += expect(f'group/{name}', owner(f'{common.MNT}/group/{name}'), (6, 70))
    wrong += expect('group/dir', stat.S_IMODE(os.stat(f'{common.MNT}/group/dir').st_mode) & 0o2000, 0o2000)
    # The same number is somebody else without the mapping.
    wrong += as_user(5, 7, lambda: fails(errno.EACCES, 'another 5', open, f'{root}/of-user/file'))
    wrong += as_user(FIRST + 5, FIRST + 7, lambda: fails(errno.EACCES, 'another 10005', open, f'{path}/file'))
    return wrong


def made_by_nobody(root):
    """Root is not in the mount."""
    os.chmod(common.MNT, 0o777)
    wrong = fails(errno.EOVERFLOW, 'open', os.open, f'{root}/new', os.O_CREAT | os.O_RDWR)
    wrong += fails(errno.EOVERFLOW, 'mkdir', os.mkdir, f'{root}/new')
    wrong += fails(errno.EOVERFLOW, 'symlink', os.symlink, 'x', f'{root}/new')
    wrong += fails(errno.EOVERFLOW, 'tmpfile', os.open, root, os.O_RDWR | O_TMPFILE)
    wrong += fails(errno.EOVERFLOW, 'subvolume', subvolume, f'{root}/new')
    return wrong + expect('made', os.path.lexists(f'{common.MNT}/new'), False)


def lists(root):
    """Access control lists name others, too; and what a directory hands on."""
    os.mkdir(f'{common.MNT}/lists')
    os.chown(f'{common.MNT}/lists', 5, 7)

    def of(first):
        nobody = 0xffffffff
        return [(USER_OBJ, 7, nobody), (USER, 6, first + 20), (GROUP_OBJ, 5, nobody), (GROUP, 4, first + 30),
                (MASK, 7, nobody), (OTHER, 0, nobody)]

    def give():
        for name in (ACCESS, DEFAULT):
            os.setxattr(f'{root}/lists', name, acl(*of(FIRST)))
        with open(f'{root}/lists/file', 'w'):
            pass
    wrong = as_user(FIRST + 5, FIRST + 7, give)
    for where, first in ((root, FIRST), (common.MNT, 0)):
        for name in (ACCESS, DEFAULT):
            wrong += expect(f'{where}: {name}', entries_of(f'{where}/lists', name), of(first))
        users = [e[2] for e in entries_of(f'{where}/lists/file', ACCESS) if e[0] == USER]
        wrong += expect(f'{where}: what a file was given', users, [first + 20])
    return wrong


def tested(test):
    if 'v113-empty' not in common.images():
        raise common.Skip('no image v113-empty')
    with Loop(common.unpack('v113-empty')) as dev:
        mount(dev.source, flags=0)
        try:
            with Idmapped() as root:
                wrong = test(root)
        finally:
            umount()
        with Mounted(dev.source), Idmapped() as root:
            for name in os.listdir(common.MNT):
                uid, gid = owner(f'{common.MNT}/{name}')
                want = tuple(FIRST + i if i < NR else NOBODY for i in (uid, gid))
                wrong += expect(f'after a remount: {name}', owner(f'{root}/{name}'), want)
        return wrong + fsck(dev.devices)


def main():
    tap, log = Tap(), Log()
    tests = shown_and_set, made_by_somebody, made_by_nobody, lists
    tests = [(t.__name__.replace('_', ' '), tested, t) for t in tests]
    tap.check_each(log, tests, SECONDS)
    tap.done()


if __name__ == '__main__':
    main()
