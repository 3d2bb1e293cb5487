#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
# guest: uml 120
# guest: uml-debug? 300
# guest: stock? 240
"""Quotas of users, groups and projects of a filesystem that is written: what each operation counts, that
it is the same after a mount that counts anew, limits, times, and what quotactl(2) changes."""
import ctypes
import errno
import fcntl
import mmap
import os
import struct
import time

import common
import names
from common import Log, Loop, Skip, Tap, libc, mount, umount
from names import Q_GETINFO, Q_SETINFO, Q_SETQUOTA, Q_XGETQSTAT, SYS_quotactl_fd, Quota, qcmd
from rw import fsck

USER, GROUP, PROJECT = 0, 1, 2
ALICE, BOB = 2001, 2002
FSGETXATTR, FSSETXATTR, FICLONE = 0x801c581f, 0x401c5820, 0x40049409
ON = 'usrquota,grpquota,prjquota'
MS_REMOUNT, KIB, MIB = 32, 1024, 1 << 20
Q_QUOTAON, Q_QUOTAOFF, Q_XQUOTARM = 0x800002, 0x800003, 0x5806
BLOCK_LIMITS, INODE_LIMITS, BLOCK_TIME, INODE_TIME = 1, 4, 16, 32


class Mount:
    """A filesystem of its own with quotas, which the tools' fsck looks at in the end."""

    def __init__(self, options=ON):
        self.options = options

    def __enter__(self):
        if 'v113-empty' not in common.images():
            raise Skip('no image v113-empty')
        self.loop = Loop(common.unpack('v113-empty')).__enter__()
        mount(self.loop.source, self.options, flags=0)
        self.root, self.wrong = common.MNT, []
        os.chmod(self.root, 0o777)
        return self

    def __exit__(self, kind, *_):
        umount()
        if kind is None:
            self.wrong += fsck(self.loop.devices)
        self.loop.__exit__()

    def again(self, options=None):
        umount()
        mount(self.loop.source, self.options if options is None else options, flags=0)

    def used(self, kind, qid):
        """Bytes and inodes."""
        with Quota(self.root) as quota:
            got = quota.all(kind)
        return got.get(qid, (0, 0)) if isinstance(got, dict) else got

    def set(self, kind, qid, space=(0, 0), inodes=(0, 0)):
        """Sets limits, hard and soft, of space in KiB and of inodes."""
        arg = struct.pack('=8QI4x', *space, 0, *inodes, 0, 0, 0, BLOCK_LIMITS | INODE_LIMITS)
        return call(self.root, Q_SETQUOTA, kind, qid, arg)

    def sums(self):
        """What stat(2) says of all there is, by kind and id."""
        found, seen = {}, set()
        for path in [self.root] + [os.path.join(d, n) for d, dirs, files in os.walk(self.root) for n in dirs + files]:
            st = os.lstat(path)
            if st.st_ino in seen:
                continue
            seen.add(st.st_ino)
            ids = [(USER, st.st_uid), (GROUP, st.st_gid)]
            if os.path.isfile(path) and not os.path.islink(path) or os.path.isdir(path):
                ids.append((PROJECT, project(path)))
            else:
                ids.append((PROJECT, 0))
            for key in ids:
                space, inodes = found.get(key, (0, 0))
                found[key] = space + st.st_blocks * 512, inodes + 1
        return found

    def compare(self, what):
        """The counts are what stat(2) says, once all is written."""
        os.sync()
        with Quota(self.root) as quota:
            all_kinds = [quota.all(k) for k in (USER, GROUP, PROJECT)]
        got = {(k, i): v for k, ids in enumerate(all_kinds) for i, v in ids.items() if v != (0, 0)}
        want = self.sums()
        self.wrong += [f'{what}: kind {k} id {i}: {got.get((k, i))}, stat says {want.get((k, i))}'
                       for k, i in sorted(set(got) | set(want)) if got.get((k, i)) != want.get((k, i))]

    def expect(self, what, got, want):
        if got != want:
            self.wrong.append(f'{what}: {got}, not {want}')


def call(root, cmd, kind, qid, arg=b''):
    """quotactl(2) on a path: None, or the name of the errno."""
    fd = os.open(root, os.O_RDONLY)
    buf = ctypes.create_string_buffer(arg, max(len(arg), 1))
    ret = libc.syscall(SYS_quotactl_fd, fd, qcmd(cmd, kind), qid, buf)
    e = ctypes.get_errno()
    os.close(fd)
    return errno.errorcode[e] if ret else None


def as_user(uid, f, *args):
    """Calls a function in a process of a user who may not exceed quotas. None, or the name of an errno."""
    r, w = os.pipe()
    pid = os.fork()
    if not pid:
        code = 'none'
        try:
            os.umask(0)  # others own the file in between
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            f(*args)
        except OSError as x:
            code = errno.errorcode[x.errno]
        except BaseException as x:  # told to the parent
            code = repr(x)
        os.write(w, code.encode())
        os._exit(0)
    os.close(w)
    with os.fdopen(r) as said:
        code = said.read()
    os.waitpid(pid, 0)
    return None if code == 'none' else code


def write(path, size, offset=0, flags=os.O_CREAT | os.O_WRONLY):
    fd = os.open(path, flags, 0o666)
    try:
        done = 0
        while done < size:
            done += os.pwrite(fd, bytes(min(64 * KIB, size - done)), offset + done)
        os.fsync(fd)
    finally:
        os.close(fd)


def across(path, limit):
    """Of a write across a limit, what is below it is done."""
    fd = os.open(path, os.O_WRONLY)
    try:
        done = os.pwrite(fd, bytes(100), limit - 8)
    finally:
        os.close(fd)
    if done != 8:
        raise ValueError(done)


def project(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        return struct.unpack_from('=IIIII', fcntl.ioctl(fd, FSGETXATTR, bytes(28)))[3]
    finally:
        os.close(fd)


def set_project(path, number, inherit=True):
    fd = os.open(path, os.O_RDONLY)
    try:
        old = list(struct.unpack('=IIIII8s', fcntl.ioctl(fd, FSGETXATTR, bytes(28))))
        old[0], old[3] = (old[0] | 0x200) if inherit else old[0], number
        fcntl.ioctl(fd, FSSETXATTR, struct.pack('=IIIII8s', *old))
    finally:
        os.close(fd)


def each_operation():
    with Mount() as m:
        root = m.root
        m.compare('in the beginning')

        def used(what, space, inodes, uid=ALICE):
            os.sync()
            m.expect(what, m.used(USER, uid), (space, inodes))
            m.expect(what + ', group', m.used(GROUP, uid), (space, inodes))
            m.compare(what)
        f = f'{root}/f'
        m.expect('a file', as_user(ALICE, write, f, 1 * MIB), None)
        used('a file', MIB, 1)
        m.expect('longer', as_user(ALICE, write, f, MIB // 2, MIB), None)
        used('longer', MIB * 3 // 2, 1)
        m.expect('overwritten', as_user(ALICE, write, f, MIB), None)
        used('overwritten', MIB * 3 // 2, 1)
        os.truncate(f, MIB // 4)
        used('truncated', MIB // 4, 1)
        fd = os.open(f, os.O_RDWR)
        os.posix_fallocate(fd, 0, MIB)
        used('allocated', MIB, 1)
        libc.fallocate(fd, 3, ctypes.c_long(0), ctypes.c_long(MIB // 2))
        used('punched', MIB // 2, 1)
        with mmap.mmap(fd, MIB) as mapped:
            mapped[0] = mapped[4096 * 3] = 1
            mapped.flush()
        space = os.fstat(fd).st_blocks * 512
        used('mapped', space, 1)
        os.close(fd)
        g = f'{root}/g'
        m.expect('another', as_user(ALICE, write, g, 0), None)
        a, b = os.open(f, os.O_RDONLY), os.open(g, os.O_RDWR)
        fcntl.ioctl(b, FICLONE, a)
        os.close(a)
        os.close(b)
        used('shared', space + os.stat(g).st_blocks * 512, 2)
        os.chown(g, BOB, BOB)
        used('given away', space, 1)
        used('given', os.stat(g).st_blocks * 512, 1, BOB)
        os.symlink('x' * 700, f'{root}/l')
        os.lchown(f'{root}/l', ALICE, ALICE)
        used('a link', space + os.lstat(f'{root}/l').st_blocks * 512, 2)
        os.unlink(f'{root}/l')
        os.link(f, f'{root}/f2')
        used('a name', space, 1)
        held = os.open(f, os.O_RDONLY)
        os.unlink(f)
        os.unlink(f'{root}/f2')
        m.expect('without a name', m.used(USER, ALICE), (space, 1))
        os.close(held)
        used('removed', 0, 0)
        m.expect('a directory', as_user(ALICE, os.mkdir, f'{root}/d'), None)
        used('a directory', 0, 1)
        set_project(f'{root}/d', 77)
        m.expect('in a project', as_user(ALICE, write, f'{root}/d/f', 256 * KIB), None)
        os.sync()
        m.expect('project', m.used(PROJECT, 77), (256 * KIB, 2))
        m.compare('project')
        write(f'{root}/d/direct', 64 * KIB)
        fd = os.open(f'{root}/d/direct', os.O_RDWR | os.O_DIRECT)
        with mmap.mmap(-1, 64 * KIB) as buf:
            os.pwritev(fd, [buf], 64 * KIB)
        os.close(fd)
        m.compare('direct')
        os.rename(f'{root}/d/f', f'{root}/f')
        m.expect('out of the project', project(f'{root}/f'), 0)
        m.compare('out of the project')
        set_project(f'{root}/f', 78)
        m.compare('another project')
        before = {k: m.used(*k) for k in m.sums()}
        m.again()
        m.expect('after a mount', {k: m.used(*k) for k in before}, before)
        m.compare('after a mount')
        mount(m.loop.source, '', flags=MS_REMOUNT | 1)
        mount(m.loop.source, '', flags=MS_REMOUNT)
        m.compare('after a remount')
    return m.wrong


def several_at_once():
    """Processes that write, truncate and remove at the same time count as stat(2) says in the end."""
    with Mount() as m:
        def work(uid):
            for i in range(12):
                p = f'{m.root}/{uid}-{i}'
                write(p, 96 * KIB + 4096 * i)
                os.truncate(p, 4096 * i)
                write(p, 32 * KIB, 4096 * i)
                if i % 3 == 0:
                    os.unlink(p)
        pids = []
        for uid in (ALICE, BOB, ALICE + 10, BOB + 10):
            pid = os.fork()
            if not pid:
                os._exit(as_user(uid, work, uid) is not None)
            pids.append(pid)
        for i in range(40):
            for uid in (ALICE, BOB):
                try:
                    os.chown(f'{m.root}/{uid}-{i % 12}', BOB, ALICE)
                except FileNotFoundError:
                    pass
        m.wrong += ['a process failed' for pid in pids if os.waitpid(pid, 0)[1]]
        # What was in the page cache of inodes that are not used is not counted twice.
        m.compare('afterwards')
        m.again()
        m.compare('after a mount')
    return m.wrong


def limits_hold():
    with Mount() as m:
        f = f'{m.root}/f'
        m.expect('limits', m.set(USER, ALICE, (1024, 512), (5, 3)), None)
        m.expect('within', as_user(ALICE, write, f, MIB - 64 * KIB), None)
        m.expect('more', as_user(ALICE, write, f, 128 * KIB, MIB - 64 * KIB), 'EDQUOT')
        m.expect('up to the limit', os.stat(f).st_size, MIB)
        m.expect('across the limit', as_user(ALICE, across, f, MIB), None)
        m.expect('overwriting', as_user(ALICE, write, f, MIB), None)
        m.expect('allocating', as_user(ALICE, lambda: os.posix_fallocate(os.open(f, os.O_RDWR), MIB, 4096)), 'EDQUOT')
        m.expect('another one', as_user(ALICE, write, f'{m.root}/g', 4096), 'EDQUOT')

        def direct():
            fd = os.open(f, os.O_RDWR | os.O_DIRECT)
            with mmap.mmap(-1, 4096) as buf:
                os.pwritev(fd, [buf], MIB)
        m.expect('direct', as_user(ALICE, direct), 'EDQUOT')

        def clone():
            with open(f, 'rb') as a, open(f'{m.root}/g', 'r+b') as b:
                fcntl.ioctl(b.fileno(), FICLONE, a.fileno())
        m.expect('sharing', as_user(ALICE, clone), 'EDQUOT')
        m.expect('somebody else', as_user(BOB, write, f'{m.root}/h', 2 * MIB), None)
        os.chown(f'{m.root}/h', ALICE, BOB)  # whoever may exceed quotas may
        os.chown(f'{m.root}/h', BOB, BOB)
        m.expect('the superuser', write(f, 4096, MIB), None)
        os.truncate(f, 0)
        os.sync()
        m.expect('again', as_user(ALICE, write, f, 256 * KIB), None)
        for i in range(3):
            m.expect(f'file {i}', as_user(ALICE, write, f'{m.root}/i{i}', 0), None)
        m.expect('one too many', as_user(ALICE, write, f'{m.root}/i3', 0), 'EDQUOT')
        m.expect('a directory', as_user(ALICE, os.mkdir, f'{m.root}/i3'), 'EDQUOT')
        m.expect('a link', as_user(ALICE, os.symlink, 'x', f'{m.root}/i3'), 'EDQUOT')
        os.unlink(f'{m.root}/i0')
        m.expect('in place of it', as_user(ALICE, write, f'{m.root}/i3', 0), None)
        m.expect('limits of a group', m.set(GROUP, BOB, (64, 0), (0, 0)), None)
        m.expect('a group', as_user(BOB, write, f'{m.root}/h', 4096, 4 * MIB), 'EDQUOT')
        os.mkdir(f'{m.root}/p')
        os.chmod(f'{m.root}/p', 0o777)
        set_project(f'{m.root}/p', 9)
        m.expect('limits of a project', m.set(PROJECT, 9, (128, 0), (0, 0)), None)
        m.expect('a project', as_user(ALICE + 50, write, f'{m.root}/p/x', 256 * KIB), 'EDQUOT')
        m.expect('outside of it', as_user(ALICE + 50, write, f'{m.root}/x', 256 * KIB), None)
        m.expect('into it', as_user(ALICE + 50, os.rename, f'{m.root}/x', f'{m.root}/p/y'), 'EDQUOT')
        os.sync()
        m.compare('afterwards')
        m.again()
        with Quota(m.root) as quota:
            m.expect('kept', quota.numbers(USER, ALICE)[1:3] + quota.numbers(USER, ALICE)[4:6], (1024, 512, 5, 3))
        m.expect('still', as_user(ALICE, write, f'{m.root}/i9', 0), 'EDQUOT')
    return m.wrong


def times():
    """A soft limit holds when its time is over."""
    with Mount() as m:
        f = f'{m.root}/f'
        info = struct.pack('=QQII', 6, 604800, 0, 1)
        m.expect('a grace time', call(m.root, Q_SETINFO, USER, 0, info), None)
        m.expect('limits', m.set(USER, ALICE, (0, 64), (0, 0)), None)
        m.expect('more', as_user(ALICE, write, f, 128 * KIB), None)
        m.expect('for a time', as_user(ALICE, write, f, 4096, 128 * KIB), None)
        time.sleep(7.1)
        m.expect('too long', as_user(ALICE, write, f, 4096, 256 * KIB), 'EDQUOT')
        os.truncate(f, 32 * KIB)
        os.sync()
        m.expect('below', as_user(ALICE, write, f, 64 * KIB, 32 * KIB), None)
        m.again()
        with Quota(m.root) as quota:
            got = quota.call(Q_GETINFO, USER, 0, 24)
            m.expect('kept', struct.unpack('QQ', got[:16]), (6, 604800))
            m.expect('others', struct.unpack('QQ', quota.call(Q_GETINFO, GROUP, 0, 24)[:16]), (604800, 604800))
    return m.wrong


def turned_on_and_off():
    with Mount('usrquota') as m:
        m.expect('not on', call(m.root, Q_SETINFO, GROUP, 0, struct.pack('=QQII', 1, 1, 0, 1)), 'ESRCH')
        m.expect('groups', call(m.root, Q_QUOTAON, GROUP, 0), 'EINVAL')
        m.expect('users', call(m.root, Q_QUOTAON, USER, 0), None)
        m.expect('limits', m.set(USER, ALICE, (1000, 0), (0, 0)), None)
        m.expect('limits of who is not counted', m.set(GROUP, ALICE, (1000, 0), (0, 0)), None)
        m.expect('forgotten', call(m.root, Q_XQUOTARM, USER, 0, struct.pack('=I', 1)), 'EINVAL')
        m.again('')
        with Quota(m.root) as quota:
            m.expect('on', isinstance(quota.call(Q_GETINFO, USER, 0, 24), bytes), True)
        m.expect('off', call(m.root, Q_QUOTAOFF, USER, 0), None)
        m.again('')
        with Quota(m.root) as quota:
            m.expect('off by then', quota.call(Q_GETINFO, USER, 0, 24), 'ESRCH')
        m.expect('nobody counts', as_user(ALICE, write, f'{m.root}/f', 2 * MIB), None)
        m.expect('forgotten by then', call(m.root, Q_XQUOTARM, USER, 0, struct.pack('=I', 1)), None)
        m.again(ON)
        with Quota(m.root) as quota:
            m.expect('of users', quota.numbers(USER, ALICE), (ALICE, 0, 0, 2 * MIB, 0, 0, 1))
            m.expect('of groups', quota.numbers(GROUP, ALICE)[1], 1000)
    return m.wrong


def main():
    tap, log = Tap(), Log()
    tests = [(f.__name__.replace('_', ' '), f)
             for f in (each_operation, several_at_once, limits_hold, times, turned_on_and_off)]
    tap.check_each(log, tests, 60)
    tap.done()


if __name__ == '__main__':
    main()
