#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
# guest: uml 200
# guest: uml-debug? 300
"""Error codes that only the layer of the VFS raises: by errno, and by the message where there is one."""
import errno
import fcntl
import os

import common
import first
import sysfs
from common import Log, Loop, Mounted, Tap, mount, umount

IMAGE, SECONDS = 'v113-csum-xxhash', 60
QUERY_UUID = 0x8010bc01


def refused(want, f, *args):
    """What is wrong when `f` does not fail with the errno `want`."""
    try:
        f(*args)
    except OSError as x:
        return [] if x.errno == want else [f'{x}, not {errno.errorcode[want]}']
    return [f'no {errno.errorcode[want]}']


def mounted_twice():
    """RemountShared: read-write, while it is mounted read-only elsewhere."""
    log = Log()
    with Loop(common.unpack(IMAGE)) as dev, Mounted(dev.source):
        log.take()
        wrong = refused(errno.EROFS, mount, dev.source, '', common.MNT + '-other', 0)
        # Which the VFS may notice by itself.
        said = log.take()
        if wrong == ['no EROFS']:
            umount(common.MNT + '-other')
        elif not wrong and said and not any('RemountShared' in x for x in said):
            wrong += said
    return wrong


def options_of_inodes():
    """InodeOptionUnsupported: options are read as attributes, and not set."""
    with Loop(common.unpack(IMAGE)) as dev:
        mount(dev.source, flags=0)
        path = f'{common.MNT}/new'
        os.close(os.open(path, os.O_CREAT | os.O_RDWR))
        wrong = refused(errno.EOPNOTSUPP, os.setxattr, path, 'bcachefs.compression', b'zstd')
        umount()
    return wrong


def large_blocks():
    """DataBlockSize: what has larger blocks than pages is not written."""
    first.KINDS['large-blocks'] = ((128,), '--block_size=16k --bucket=256k DEV')
    with Loop(first.make('large-blocks')) as dev:
        mount(dev.source, flags=0)
        wrong = refused(errno.EOPNOTSUPP, os.open, f'{common.MNT}/new', os.O_CREAT | os.O_RDWR)
        umount()
    return wrong


def not_mounted_any_more():
    """IoctlUnmounted: the control device is open longer than the filesystem is mounted."""
    with Loop(common.unpack(IMAGE)) as dev:
        before = set(os.listdir(sysfs.TOP))
        mount(dev.source)
        top = os.path.join(sysfs.TOP, *set(os.listdir(sysfs.TOP)) - before)
        fd = os.open(f'/dev/bcachefs{sysfs.read(f"{top}/minor").strip()}-ctl', os.O_RDWR)
        try:
            fcntl.ioctl(fd, QUERY_UUID, bytearray(16))
            umount()
            return refused(errno.ENODEV, fcntl.ioctl, fd, QUERY_UUID, bytearray(16))
        finally:
            os.close(fd)


def main():
    tap, log = Tap(), Log()
    tap.check_each(log, [(f.__doc__.split('\n')[0], f) for f in (
        mounted_twice, options_of_inodes, large_blocks, not_mounted_any_more)], SECONDS)
    tap.done()


if __name__ == '__main__':
    main()
