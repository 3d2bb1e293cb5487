#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
# guest: uml 120
# guest: uml-debug? 300
# guest: stock? 300
"""What system calls do besides what they are for: errors in odd cases, what a call that fails leaves alone, what
is safe when it returns."""
import errno
import fcntl
import os
import time

import common
import emergency
from common import Log, Loop, Tap, mount, umount
from namespace import fails, fresh
from rw import fsck

SECONDS = 60
FICLONE, XATTR_CREATE, XATTR_REPLACE = 0x40049409, 1, 2


def times_of(path):
    s = os.lstat(path)
    return s.st_mtime_ns, s.st_ctime_ns


def unchanged(what, paths, call, *args):
    """A call that fails, or makes nothing that has a name, and changes no time."""
    before = [times_of(p) for p in paths]
    time.sleep(0.02)
    try:
        call(*args)
    except OSError:
        pass
    return [f'{what}: other times: {p}' for p, t in zip(paths, before) if times_of(p) != t]


def not_changed(d):
    """What fails leaves times as they were, and so does a file without a name."""
    full, empty, file = f'{d}/full', f'{d}/empty', f'{d}/file'
    os.makedirs(f'{full}/x')
    os.mkdir(empty)
    os.close(os.open(file, os.O_CREAT))
    os.setxattr(file, 'user.a', b'1')
    wrong = unchanged('rmdir', [d, full], os.rmdir, full)
    wrong += unchanged('rename', [d, full, empty], os.rename, empty, full)
    wrong += unchanged('setxattr', [file], os.setxattr, file, 'user.a', b'2', XATTR_CREATE)
    wrong += unchanged('removexattr', [file], os.removexattr, file, 'user.b')
    wrong += unchanged('link', [d, file], os.link, file, full)
    wrong += unchanged('O_TMPFILE', [d], lambda: os.close(os.open(d, os.O_TMPFILE | os.O_RDWR)))
    return wrong


def attributes(d):
    """An attribute that has both to be there and not to be there."""
    file = f'{d}/file'
    os.close(os.open(file, os.O_CREAT))
    both = XATTR_CREATE | XATTR_REPLACE
    wrong = fails(errno.ENODATA, os.setxattr, file, 'user.a', b'1', both)
    os.setxattr(file, 'user.a', b'1')
    wrong += fails(errno.EEXIST, os.setxattr, file, 'user.a', b'2', both)
    return wrong + ([] if os.getxattr(file, 'user.a') == b'1' else ['it was set'])


def on_fresh(test):
    """Runs a test in a directory of a new filesystem."""
    with Loop(fresh()) as dev:
        mount(dev.source, flags=0)
        try:
            d = f'{common.MNT}/d'
            os.mkdir(d)
            wrong = test(d)
        finally:
            umount()
        return wrong + fsck(dev.devices)


def shared_and_safe():
    """Sharing data with a file that is open with O_SYNC is safe when that is done, and fsync(2) when writing has
    ended is an I/O error."""
    with Loop(fresh()) as dev:
        mount(dev.source, flags=0)
        data, wrong = os.urandom(100000), []
        source = os.open(f'{common.MNT}/source', os.O_CREAT | os.O_RDWR)
        os.write(source, data)
        to = os.open(f'{common.MNT}/to', os.O_CREAT | os.O_RDWR | os.O_SYNC)
        os.fsync(source)
        os.fsync(to)
        fcntl.ioctl(to, FICLONE, source)
        os.write(source, data)
        os.mkdir(f'{common.MNT}/not-safe')
        emergency.by_ioctl(emergency.NO_FLUSH)
        wrong += fails(errno.EIO, os.fsync, source)
        root = os.open(common.MNT, os.O_RDONLY)
        wrong += fails(errno.EIO, os.fsync, root)
        for fd in source, to, root:
            os.close(fd)
        umount()
        mount(dev.source, flags=0)
        with open(f'{common.MNT}/to', 'rb') as f:
            if f.read() != data:
                wrong.append('what was shared is not there')
        umount()
        return wrong + fsck(dev.devices)


def main():
    tap, log = Tap(), Log()
    tests = [('times that a failure leaves alone', on_fresh, not_changed),
             ('attributes that are to be there and not', on_fresh, attributes),
             ('shared with a synchronous file', shared_and_safe)]
    tap.check_each(log, [t for t in tests if os.environ.get('ONLY', '') in t[0]], SECONDS)
    tap.done()


if __name__ == '__main__':
    main()
