#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
# guest: uml 300
# guest: uml-debug? 600
# guest: stock? 600
"""Names, inodes and attributes are changed: by several processes, each against a model of its own, and
all is as the models say after the filesystem was mounted again; the tools' fsck has nothing to say.

    namespace.py --keep DIRECTORY

leaves filesystems in the directory, with what they hold, for another kernel to look at:

    namespace.py --look DIRECTORY

mounts them there and compares."""
import ctypes
import errno
import fcntl
import json
import os
import random
import stat
import struct
import subprocess
import sys
import time

import common
from common import Limit, Log, Loop, Mounted, Tap, mount, umount
from packaged import formatted
from rw import fsck

SECONDS = 150
STEPS = int(os.environ.get('BCACHEFS_RS_STEPS', 400))
# Bytes of a path, of which the kernel takes 4095, and files of a process: all have to fit in 16 MiB.
LONGEST, MOST = 3900, 400
RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT = 1, 2, 4
FS_IOC_GETFLAGS, FS_IOC_SETFLAGS = 0x80086601, 0x40086602
SYNC, IMMUTABLE, APPEND, NODUMP, NOATIME = 0x8, 0x10, 0x20, 0x40, 0x80
CASEFOLD = 0x40000000
AT_FDCWD, AT_SYMLINK_FOLLOW = -100, 0x400
# A list of a file for its owner, user 1000, the group, a mask and others.
ACL = struct.pack('<I' + 'HHI' * 5, 2, 1, 6, 0xffffffff, 2, 4, 1000, 4, 4, 0xffffffff, 16, 6, 0xffffffff,
                  32, 0, 0xffffffff)


def renameat2(old, new, flags):
    if common.libc.renameat2(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), flags):
        e = ctypes.get_errno()
        raise OSError(e, os.strerror(e))


def link_open_file(fd, to):
    """Gives a file without a name one."""
    if common.libc.linkat(AT_FDCWD, f'/proc/self/fd/{fd}'.encode(), AT_FDCWD, os.fsencode(to), AT_SYMLINK_FOLLOW):
        e = ctypes.get_errno()
        raise OSError(e, os.strerror(e))


def get_flags(path):
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        return struct.unpack('i', fcntl.ioctl(fd, FS_IOC_GETFLAGS, b'\0' * 4))[0]
    finally:
        os.close(fd)


def set_flags(path, flags):
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        fcntl.ioctl(fd, FS_IOC_SETFLAGS, struct.pack('i', flags))
    finally:
        os.close(fd)


def fails(wanted, what, *args, **kwargs):
    """What is wrong when a call does not fail with this errno."""
    try:
        what(*args, **kwargs)
    except OSError as x:
        return [] if x.errno == wanted else [f'{what.__name__} {args}: {x}, not {errno.errorcode[wanted]}']
    return [f'{what.__name__} {args}: not {errno.errorcode[wanted]}']


def seen(path):
    """What there is of a file, as lists and numbers."""
    st = os.lstat(path)
    what = [st.st_mode, st.st_uid, st.st_gid, st.st_nlink if not stat.S_ISDIR(st.st_mode) else 0, st.st_rdev,
            st.st_mtime_ns, st.st_size if not stat.S_ISDIR(st.st_mode) else 0]
    if stat.S_ISLNK(st.st_mode):
        what.append(os.readlink(path))
    else:
        names = sorted(os.listxattr(path, follow_symlinks=False))
        what.append([[n, os.getxattr(path, n, follow_symlinks=False).hex()] for n in names
                     if not n.startswith('bcachefs')])
    if stat.S_ISREG(st.st_mode) or stat.S_ISDIR(st.st_mode):
        what.append(get_flags(path))
    return what


def tree(top):
    """Everything below a directory, by path; and what is wrong with the links of directories."""
    all_of_it, wrong = {}, []
    for d, dirs, files in os.walk(top):
        if os.stat(d).st_nlink != 2 + len([x for x in dirs if not os.path.islink(os.path.join(d, x))]):
            wrong.append(f'{d} has {os.stat(d).st_nlink} links, and in it {dirs}')
        for name in dirs + files:
            path = os.path.join(d, name)
            all_of_it[os.path.relpath(path, top)] = seen(path)
    return all_of_it, wrong


class Model:
    """One process's directories: names and kinds, by path."""

    def __init__(self, top, seed):
        self.top, self.r, self.dirs = top, random.Random(seed), ['']
        self.has = {}  # path: 'd' or something else; inode number
        os.mkdir(top)
        self.names = [f'n{i}' for i in range(12)] + ['x' * 255, 'y' * 512, 'e\xe4' * 100, 'a b\nc']

    def path(self, rel):
        return os.path.join(self.top, rel)

    def any_dir(self):
        d = self.r.choice(self.dirs)
        return d if len(os.fsencode(self.path(d))) < LONGEST // 2 else ''

    def fits(self, old, new):
        """Whether all below a directory can still be reached by its path when that has another one."""
        longest = max(len(os.fsencode(self.path(p))) for p in [old] + self.below(old))
        return longest - len(os.fsencode(old)) + len(os.fsencode(new)) < LONGEST

    def new(self):
        d = self.any_dir()
        return os.path.join(d, self.r.choice(self.names)) if d else self.r.choice(self.names)

    def some(self):
        return self.r.choice(list(self.has)) if self.has else None

    def expect(self, wanted, what, *args):
        """Does it; False when it failed as it should."""
        try:
            what(*args)
        except OSError as x:
            if wanted and x.errno in wanted:
                return False
            raise RuntimeError(f'{what.__name__} {args}: {x}, not {wanted}') from x
        if wanted:
            raise RuntimeError(f'{what.__name__} {args}: not one of {wanted}')
        return True

    def below(self, rel):
        return [p for p in self.has if p.startswith(rel + '/')]

    def made(self, rel, kind):
        self.has[rel] = kind
        if kind == 'd':
            self.dirs.append(rel)

    def gone(self, rel):
        if self.has.pop(rel) == 'd':
            self.dirs.remove(rel)

    def step(self):
        do = self.r.choice((self.make, self.make, self.make, self.make, self.remove, self.remove, self.link,
                            self.rename, self.rename, self.exchange, self.whiteout, self.temporary, self.attributes,
                            self.xattrs, self.flags))
        if do == self.make and len(self.has) > MOST:
            do = self.remove
        do()

    def make(self):
        rel = self.new()
        p, there = self.path(rel), {errno.EEXIST} if rel in self.has else None
        kind = self.r.choice('ddfflcps')
        if kind == 'd':
            ok = self.expect(there, os.mkdir, p, self.r.choice((0o755, 0o700, 0o2775)))
        elif kind == 'l':
            ok = self.expect(there, os.symlink, self.r.choice(('t', 'long/' * 60, 'q' * 2000, 'z' * 4000)), p)
        elif kind == 'f':
            ok = self.expect(there, lambda: os.close(os.open(p, os.O_CREAT | os.O_EXCL | os.O_RDONLY, 0o644)))
        elif kind == 'c':
            ok = self.expect(there, os.mknod, p, stat.S_IFCHR | 0o600, os.makedev(1, 3))
        else:
            ok = self.expect(there, os.mknod, p, (stat.S_IFIFO if kind == 'p' else stat.S_IFSOCK) | 0o640)
        if ok:
            self.made(rel, kind)

    def remove(self):
        rel = self.r.random() < .8 and self.some() or self.new()
        if rel not in self.has:
            return self.expect({errno.ENOENT}, os.unlink, self.path(rel))
        if self.has[rel] != 'd':
            self.expect(None, os.unlink, self.path(rel))
        elif not self.expect({errno.ENOTEMPTY} if self.below(rel) else None, os.rmdir, self.path(rel)):
            return None
        self.gone(rel)
        return None

    def link(self):
        old, new = self.some(), self.new()
        if old is None:
            return
        wanted = {errno.EEXIST} if new in self.has else {errno.EPERM} if self.has[old] == 'd' else None
        if self.has[old] == 'd' and new in self.has:
            wanted = {errno.EEXIST, errno.EPERM}
        if self.expect(wanted, lambda: os.link(self.path(old), self.path(new), follow_symlinks=False)):
            self.made(new, self.has[old])

    def moved(self, old, new):
        for p in [old] + self.below(old):
            kind = self.has[p]
            self.gone(p)
            self.made(new + p[len(old):], kind)

    def same(self, a, b):
        return os.lstat(self.path(a)).st_ino == os.lstat(self.path(b)).st_ino

    def rename(self):
        old, new = self.some(), self.new()
        if old is None or new == old or new.startswith(old + '/') or old.startswith(new + '/'):
            return
        if new in self.has and self.same(old, new) or not self.fits(old, new):
            return
        flags = self.r.choice((0, 0, RENAME_NOREPLACE))
        wanted = None
        if new in self.has:
            a, b = self.has[old] == 'd', self.has[new] == 'd'
            if flags:
                wanted = {errno.EEXIST}
            elif a != b:
                wanted = {errno.EISDIR if b else errno.ENOTDIR}
            elif self.below(new):
                wanted = {errno.ENOTEMPTY}
        if self.expect(wanted, renameat2, self.path(old), self.path(new), flags):
            if new in self.has:
                self.gone(new)
            self.moved(old, new)

    def exchange(self):
        a, b = self.some(), self.some()
        if a is None or a == b or a.startswith(b + '/') or b.startswith(a + '/') or self.same(a, b):
            return
        if not self.fits(a, b) or not self.fits(b, a):
            return
        self.expect(None, renameat2, self.path(a), self.path(b), RENAME_EXCHANGE)
        self.moved(a, '\0')
        self.moved(b, a)
        self.moved('\0', b)

    def whiteout(self):
        old, new = self.some(), self.new()
        if old is None or new in self.has or new.startswith(old + '/') or not self.fits(old, new):
            return
        self.expect(None, renameat2, self.path(old), self.path(new), RENAME_WHITEOUT)
        self.moved(old, new)
        self.made(old, 'c')
        st = os.lstat(self.path(old))
        if (st.st_mode, st.st_rdev) != (stat.S_IFCHR, 0):
            raise RuntimeError(f'whiteout: {st}')

    def temporary(self):
        fd = os.open(self.path(self.any_dir()), os.O_TMPFILE | os.O_RDWR, 0o600)
        try:
            if os.fstat(fd).st_nlink:
                raise RuntimeError(f'without a name: {os.fstat(fd)}')
            rel = self.new()
            if self.r.random() < .5 and self.expect({errno.EEXIST} if rel in self.has else None, link_open_file, fd,
                                                    self.path(rel)):
                self.made(rel, 'f')
        finally:
            os.close(fd)

    def attributes(self):
        rel = self.some()
        if rel is None:
            return
        p = self.path(rel)
        os.chown(p, self.r.randrange(5), self.r.randrange(5), follow_symlinks=False)
        ns = self.r.randrange(1 << 60)
        os.utime(p, ns=(ns, ns + 1), follow_symlinks=False)
        st = os.lstat(p)
        if (st.st_atime_ns, st.st_mtime_ns) != (ns, ns + 1):
            raise RuntimeError(f'utimes {ns}: {st}')
        if self.has[rel] != 'l':
            os.chmod(p, self.r.choice((0o600, 0o755, 0o4711)))

    def xattrs(self):
        rel = self.some()
        if rel is None or self.has[rel] not in 'df':
            return
        p, name = self.path(rel), self.r.choice(('user.a', 'user.' + 'b' * 250, 'trusted.c', 'security.d'))
        there = name in os.listxattr(p)
        if self.r.random() < .3:
            return self.expect(None if there else {errno.ENODATA}, os.removexattr, p, name)
        value, how = os.urandom(self.r.choice((0, 1, 100, 1000))), self.r.choice((0, os.XATTR_CREATE, os.XATTR_REPLACE))
        wanted = {errno.EEXIST} if how == os.XATTR_CREATE and there else \
            {errno.ENODATA} if how == os.XATTR_REPLACE and not there else None
        if self.expect(wanted, os.setxattr, p, name, value, how) and os.getxattr(p, name) != value:
            raise RuntimeError(f'{p}: {name} is not what was set')
        return None

    def flags(self):
        rel = self.some()
        if rel is None or self.has[rel] not in 'df':
            return
        wanted = self.r.choice((0, NODUMP, NOATIME, NODUMP | NOATIME, SYNC))
        set_flags(self.path(rel), wanted)
        if get_flags(self.path(rel)) != wanted:
            raise RuntimeError(f'{rel}: flags {get_flags(self.path(rel))}, not {wanted}')

    def check(self):
        found = {os.path.relpath(os.path.join(d, n), self.top) for d, a, b in os.walk(self.top) for n in a + b}
        if found != set(self.has):
            return [f'{self.top}: not there {set(self.has) - found}, too many {found - set(self.has)}']
        return []


def one_process(top, seed, shared):
    """Random steps in a directory of its own, and now and then in one for all."""
    m = Model(top, seed)
    for nr in range(STEPS):
        m.step()
        if nr % 4 == 0:
            p = [f'{shared}/{m.r.randrange(8)}' for _ in range(2)]
            try:
                m.r.choice((lambda: os.mkdir(p[0]), lambda: os.rmdir(p[0]), lambda: os.rename(*p),
                            lambda: os.mknod(p[0]), lambda: os.unlink(p[0]), lambda: os.link(*p),
                            lambda: renameat2(*p, RENAME_EXCHANGE)))()
            except OSError as x:
                if x.errno not in (errno.EEXIST, errno.ENOENT, errno.ENOTEMPTY, errno.EISDIR, errno.ENOTDIR,
                                   errno.EPERM):
                    raise
    return m.check()


def several(top, nr, seed):
    """Processes at the same time; what is wrong, of all."""
    os.mkdir(f'{top}/shared')
    children = {}
    for i in range(nr):
        r, w = os.pipe()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                wrong = one_process(f'{top}/p{i}', seed + i, f'{top}/shared')
                status = bool(wrong)
            except BaseException as x:  # what it is goes to the parent
                wrong = [f'{type(x).__name__}: {x}']
            os.write(w, '\n'.join(wrong).encode(errors='surrogateescape')[:4000])
            os._exit(status)
        os.close(w)
        children[pid] = (i, r)
    wrong = []
    for pid, (i, r) in children.items():
        said = b''
        while part := os.read(r, 4096):
            said += part
        os.close(r)
        if os.waitpid(pid, 0)[1]:
            wrong.append(f'process {i}: {said.decode(errors="replace")}')
    return wrong


def fresh(size=128):
    """A filesystem that the tools have just made."""
    path = f'{common.WORK}/fresh.img'
    with open(path, 'wb') as f:
        f.truncate(size << 20)
    with Loop([path]) as dev:
        formatted(dev.devices[0])
    return [path]


def files_of(name):
    if name == 'fresh':
        return fresh()
    if name not in common.images():
        raise common.Skip('no such image')
    return common.unpack(name)


def random_operations(name, seed):
    files, wrong = files_of(name), []
    crashed = [f + '.crashed.img' for f in files]
    with Loop(files) as dev:
        mount(dev.source, flags=0)
        try:
            top = f'{common.MNT}/top'
            os.mkdir(top)
            wrong += several(top, 4, seed)
            before, bad = tree(top)
            wrong += bad
            os.sync()
            for f, to in zip(files, crashed):
                subprocess.check_call(['cp', '--sparse=always', f, to])
        finally:
            umount()
        wrong += fsck(dev.devices)
        for flags in (common.MS_RDONLY, 0):
            mount(dev.source, flags=flags)
            after, bad = tree(top)
            umount()
            wrong += bad + differences(before, after)
    # As after a crash.
    with Loop(crashed) as dev:
        mount(dev.source, flags=0)
        after, bad = tree(top)
        umount()
        wrong += bad + differences(before, after) + fsck(dev.devices)
    return wrong


def differences(before, after):
    keys = [k for k in {**before, **after} if before.get(k) != after.get(k)]
    return [f'{k}: {before.get(k)}, then {after.get(k)}' for k in keys[:5]]


def errors(name):
    files, wrong = files_of(name), []
    with Loop(files) as dev:
        mount(dev.source, flags=0)
        try:
            d = f'{common.MNT}/d'
            os.mkdir(d)
            open(f'{d}/f', 'x').close()
            wrong += fails(errno.EEXIST, os.mkdir, d)
            wrong += fails(errno.ENOTEMPTY, os.rmdir, d)
            wrong += fails(errno.ENAMETOOLONG, os.mkdir, f'{d}/' + 'x' * 513)
            wrong += fails(errno.ENOENT, os.unlink, f'{d}/g')
            wrong += fails(errno.EISDIR, os.unlink, d)
            wrong += fails(errno.ENOTDIR, os.rmdir, f'{d}/f')
            wrong += fails(errno.EPERM, os.link, d, f'{d}/g')
            wrong += fails(errno.EINVAL, os.rename, d, f'{d}/g')
            wrong += fails(errno.ENOTDIR, os.rename, d, f'{d}/f/g')
            wrong += fails(errno.EXDEV, os.rename, f'{d}/f', f'{common.WORK}/f')
            wrong += fails(errno.ERANGE, os.setxattr, f'{d}/f', 'user.x', b'x' * 3000)
            wrong += fails(errno.ENODATA, os.removexattr, f'{d}/f', 'user.y')
            wrong += fails(errno.EOPNOTSUPP, set_flags, f'{d}/f', 1)
            wrong += fails(errno.EOPNOTSUPP, set_flags, d, CASEFOLD)
            set_flags(f'{d}/f', IMMUTABLE)
            for what in (os.unlink, lambda p: os.rename(p, p + 'x'), lambda p: os.chmod(p, 0),
                         lambda p: os.link(p, p + 'x'), lambda p: os.setxattr(p, 'user.z', b'')):
                wrong += fails(errno.EPERM, what, f'{d}/f')
            set_flags(f'{d}/f', 0)
            set_flags(d, APPEND)
            os.mkdir(f'{d}/new')
            wrong += fails(errno.EPERM, os.rmdir, f'{d}/new')
            set_flags(d, 0)
            os.rmdir(f'{d}/new')
            os.unlink(f'{d}/f')
            if os.listdir(d):
                return wrong + [f'left: {os.listdir(d)}']
            os.rmdir(d)
        finally:
            umount()
        wrong += fsck(dev.devices)
    return wrong


def lists(name):
    """Access control lists: set, changed by chmod, handed down; with umask where there are none."""
    files, wrong = files_of(name), []

    def is_mode(path, mode):
        found = os.lstat(path).st_mode & 0o7777
        if found != mode:
            wrong.append(f'{path}: {found:o}, not {mode:o}')

    with Loop(files) as dev:
        mount(dev.source, flags=0)
        old = os.umask(0o027)
        try:
            d = f'{common.MNT}/lists'
            os.mkdir(d)
            is_mode(d, 0o750)
            os.setxattr(d, 'system.posix_acl_default', ACL)
            os.close(os.open(f'{d}/file', os.O_CREAT, 0o666))
            os.mkdir(f'{d}/sub')
            is_mode(f'{d}/file', 0o660)
            if os.getxattr(f'{d}/sub', 'system.posix_acl_default') != ACL:
                wrong.append('the list for new files is not handed down')
            wrong += fails(errno.EACCES, os.setxattr, f'{d}/file', 'system.posix_acl_default', ACL)
            os.chmod(f'{d}/file', 0o640)
            found = struct.unpack('<I' + 'HHI' * 5, os.getxattr(f'{d}/file', 'system.posix_acl_access'))
            if found[11:13] != (4, 0xffffffff) and found[10:12] != (16, 4):
                wrong.append(f'the mask after chmod: {found}')
            with open(f'{common.MNT}/plain', 'x') as f:
                f.close()
            is_mode(f'{common.MNT}/plain', 0o640)
            os.setxattr(f'{common.MNT}/plain', 'system.posix_acl_access', ACL)
            is_mode(f'{common.MNT}/plain', 0o660)
            os.removexattr(f'{common.MNT}/plain', 'system.posix_acl_access')
            before = {p: seen(f'{d}/{p}') for p in ('file', 'sub')}
        finally:
            os.umask(old)
            umount()
        wrong += fsck(dev.devices)
        with Mounted(dev.source):
            after = {p: seen(f'{d}/{p}') for p in before}
        wrong += differences(before, after)
    return wrong


def times(name):
    """Times as they are set, and as they set themselves."""
    files, wrong = files_of(name), []
    with Loop(files) as dev:
        mount(dev.source, flags=0)
        d = f'{common.MNT}/times'
        os.mkdir(d)
        a = os.stat(d)
        if not a.st_mtime_ns == a.st_ctime_ns or abs(a.st_mtime - time.time()) > 60:
            wrong.append(f'made: {a}')
        last = a.st_ctime_ns
        for i in range(20):
            os.mkdir(f'{d}/{i}')
            now = os.stat(d).st_ctime_ns
            if now <= last:
                wrong.append(f'{i}: the time does not go on after it was looked at: {last}, {now}')
            last = now
        os.utime(d, ns=(1234567891, 9876543219))
        with open(f'{d}/f', 'x') as f:
            f.close()
        for size in 5000, 100, 0:
            # By the name: nobody but the filesystem sees whether the size is another one.
            os.utime(f'{d}/f', ns=(1, 1))
            last = os.stat(f'{d}/f').st_ctime_ns
            time.sleep(0.02)
            os.truncate(f'{d}/f', size)
            s = os.stat(f'{d}/f')
            if s.st_mtime_ns == 1 or s.st_ctime_ns <= last:
                wrong.append(f'cut to {size} bytes: {s}')
        os.utime(d, ns=(1234567891, 9876543219))
        os.listdir(d)
        before = os.stat(d)
        umount()
        with Mounted(dev.source):
            after = os.stat(d)
        if (before.st_atime_ns, before.st_mtime_ns, before.st_ctime_ns) != \
                (after.st_atime_ns, after.st_mtime_ns, after.st_ctime_ns):
            wrong.append(f'before {before}, after {after}')
        wrong += fsck(dev.devices)
    return wrong


def overlaid(name):
    """What overlayfs puts on the filesystem, whose functions it calls with a part of the stack in use."""
    files, wrong = files_of(name), []
    if 'overlay' not in open('/proc/filesystems').read() and subprocess.call(['modprobe', '-q', 'overlay']):
        raise common.Skip('no overlayfs')
    with Loop(files) as dev:
        mount(dev.source, flags=0)
        top, merged = common.MNT, common.WORK + '/merged'
        try:
            for d in 'lower/dir/sub', 'upper', 'work':
                os.makedirs(f'{top}/{d}')
            os.makedirs(merged, exist_ok=True)
            for path in [f'{top}/lower/f{i}' for i in range(5)] + [f'{top}/lower/dir/f', f'{top}/lower/dir/sub/f']:
                with open(path, 'w', encoding='ascii') as f:
                    f.write('lower' * 1000)
            options = f'lowerdir={top}/lower,upperdir={top}/upper,workdir={top}/work,' \
                'redirect_dir=on,metacopy=on,index=on'
            if common.libc.mount(b'overlay', os.fsencode(merged), b'overlay', 0, options.encode()):
                return [f'mounting an overlay: {os.strerror(ctypes.get_errno())}']
            try:
                os.unlink(f'{merged}/f0')
                with open(f'{merged}/f1', 'w', encoding='ascii') as f:
                    f.write('new')
                os.rename(f'{merged}/f2', f'{merged}/f9')
                os.chmod(f'{merged}/f3', 0o600)
                os.chmod(f'{merged}/dir/sub', 0o711)
                os.link(f'{merged}/f4', f'{merged}/dir/sub/link')
                os.rename(f'{merged}/dir/sub', f'{merged}/moved')
                os.unlink(f'{merged}/dir/f')
                os.rmdir(f'{merged}/dir')
                os.mkdir(f'{merged}/dir')
                os.setxattr(f'{merged}/dir', 'user.x', b'y')
                os.close(os.open(merged, os.O_TMPFILE | os.O_RDWR))
                found = {d: sorted(os.listdir(f'{merged}/{d}')) for d in ('', 'dir', 'moved')}
                want = {'': ['dir', 'f1', 'f3', 'f4', 'f9', 'moved'], 'dir': [], 'moved': ['f', 'link']}
                if found != want:
                    wrong.append(f'in the overlay: {found}')
                with open(f'{merged}/f9', encoding='ascii') as f:
                    wrong += [] if f.read() == 'lower' * 1000 else ['what has another name is another file']
            finally:
                common.umount(merged)
            upper = os.lstat(f'{top}/upper/f0')
            if not stat.S_ISCHR(upper.st_mode) or upper.st_rdev:
                wrong.append(f'a whiteout: {upper}')
        finally:
            umount()
        wrong += fsck(dev.devices)
    return wrong


def open_and_gone(name):
    """Files that lose their last name while they are open; a crash in the meantime."""
    files, wrong = files_of(name), []
    crashed = [f + '.crashed.img' for f in files]
    with Loop(files) as dev:
        mount(dev.source, flags=0)
        inodes = os.statvfs(common.MNT).f_files - os.statvfs(common.MNT).f_ffree
        fds = []
        for i in range(20):
            p = f'{common.MNT}/open{i}'
            fds.append(os.open(p, os.O_CREAT | os.O_RDONLY))
            os.setxattr(p, 'user.x', b'y' * 500)
            os.unlink(p)
        if os.fstat(fds[0]).st_nlink:
            wrong.append(f'links: {os.fstat(fds[0])}')
        os.sync()
        for f, to in zip(files, crashed):
            subprocess.check_call(['cp', '--sparse=always', f, to])
        for fd in fds:
            os.close(fd)
        left = os.statvfs(common.MNT).f_files - os.statvfs(common.MNT).f_ffree
        umount()
        if left != inodes:
            wrong.append(f'{inodes} inodes before, {left} after')
        wrong += fsck(dev.devices)
    with Loop(crashed) as dev:
        mount(dev.source, flags=0)
        left = os.statvfs(common.MNT).f_files - os.statvfs(common.MNT).f_ffree
        umount()
        if left != inodes:
            wrong.append(f'{inodes} inodes before, {left} after a crash')
        wrong += fsck(dev.devices)
    return wrong


def filled(name):
    """A filesystem with no room for more names says so, and takes new ones when others are gone."""
    files, wrong = fresh(16), []
    with Loop(files) as dev:
        mount(dev.source, flags=0)
        try:
            for nr in range(2):
                d, made = f'{common.MNT}/{name}{nr}', 0
                os.mkdir(d)
                try:
                    while made < 200000:
                        os.symlink('x' * 900, f'{d}/{made}')
                        made += 1
                    wrong.append('never full')
                except OSError as x:
                    if x.errno != errno.ENOSPC:
                        wrong.append(f'full: {x}')
                print(f'# full with {made} links', flush=True)
                if len(os.listdir(d)) != made:
                    wrong.append(f'{len(os.listdir(d))} links of {made}')
                for i in range(made):
                    os.unlink(f'{d}/{i}')
                os.rmdir(d)
        finally:
            umount()
        wrong += fsck(dev.devices)
    return wrong


def read_only_subvolumes(name):
    """Nothing of a snapshot that is read-only can be changed; nor do names go to other subvolumes."""
    files, wrong = files_of(name), []
    with Loop(files) as dev:
        mount(dev.source, flags=0)
        try:
            roots = [os.path.join(common.MNT, d) for d in os.listdir(common.MNT)]
            roots = [d for d in roots if os.path.isdir(d) and os.stat(d).st_ino == 4096 or 'snap' in d]
            found = {}
            for d in roots:
                try:
                    os.mkdir(f'{d}/made-here')
                    found[d] = 0
                    os.rmdir(f'{d}/made-here')
                except OSError as x:
                    found[d] = x.errno
            if set(found.values()) - {0, errno.EROFS, errno.ENOTDIR}:
                wrong.append(f'{found}')
        finally:
            umount()
        wrong += fsck(dev.devices)
    return wrong


def keep(to):
    for nr, name in enumerate(('fresh', 'v113-tree')):
        files = files_of(name)
        with Loop(files) as dev:
            mount(dev.source, flags=0)
            top = f'{common.MNT}/top'
            os.mkdir(top)
            wrong = several(top, 2, 77 + nr)
            found, _ = tree(top)
            umount()
        if wrong:
            sys.exit(f'{wrong}')
        subprocess.check_call(['cp', '--sparse=always', files[0], f'{to}/names-{name}.img'])
        with open(f'{to}/names-{name}.json', 'w', encoding='ascii') as f:
            json.dump(found, f)
        common.clean()
        print(f'kept {name}', flush=True)


def look(there, tap):
    for name in ('fresh', 'v113-tree'):
        to = f'{common.WORK}/names.img'
        subprocess.check_call(['cp', '--sparse=always', f'{there}/names-{name}.img', to])
        with open(f'{there}/names-{name}.json', encoding='ascii') as f:
            was = json.load(f)
        log = Log()
        with Loop([to]) as dev, Limit(SECONDS):
            mount(dev.source, flags=0)
            found, wrong = tree(f'{common.MNT}/top')
            umount()
            mount(dev.source, 'fsck', flags=0)
            # It can go on from there.
            os.mkdir(f'{common.MNT}/more')
            umount()
        lines = log.take()
        wrong += differences(was, json.loads(json.dumps(found)))
        wrong += [x for x in lines if any(w in x for w in ('error', 'incorrect', 'mismatch', 'inconsist', 'should be'))]
        tap.result(not wrong, f'{name}, mounted by another kernel', wrong + lines if wrong else ())
        common.clean()


def main():
    if sys.argv[1:2] == ['--keep']:
        return keep(sys.argv[2])
    tap, log = Tap(), Log()
    if sys.argv[1:2] == ['--look']:
        look(sys.argv[2], tap)
        return tap.done()
    seed = int(os.environ.get('BCACHEFS_RS_SEED', 1))
    tests = [(f'{name}: random operations of four processes', random_operations, name, seed)
             for name in ('fresh', 'v113-tree', 'v113-snap')]
    tests += [('errors', errors, 'fresh'), ('access control lists', lists, 'fresh'), ('times', times, 'fresh'),
              ('overlayfs', overlaid, 'fresh'),
             ('files that are open without a name', open_and_gone, 'fresh'),
              ('filled', filled, 'full'),
              ('snapshots that are read-only', read_only_subvolumes, 'v113-snap')]
    tap.check_each(log, [t for t in tests if os.environ.get('ONLY', '') in t[0]], SECONDS)
    tap.done()


if __name__ == '__main__':
    main()
