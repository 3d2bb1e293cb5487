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
import rw
import sysfs
from common import Log, Loop, Mounted, Tap, mount, own, umount

IMAGE, SECONDS = 'v113-csum-xxhash', 60
QUERY_UUID = 0x8010bc01


def refused(code, want, f, *args):
    """What is wrong when `f` does not fail with the errno `want`, which is that of `code`."""
    try:
        f(*args)
    except OSError as x:
        return [] if x.errno == want else [f'{x}, not {errno.errorcode[want]} ({code})']
    return [f'no {errno.errorcode[want]} ({code})']


def mount_refused(code, want, dev, where=common.MNT, flags=0):
    """The same of a mount for writing, which says the code."""
    log = Log()
    wrong = refused(code, want, mount, dev.source, '', where, flags)
    said = own(log.take())
    if not wrong and not any(f'({code})' in x for x in said):
        wrong += [f'nothing says {code}', *said]
    return wrong


def mounted_twice():
    """Read-write, while it is mounted read-only elsewhere."""
    other = common.MNT + '-other'
    with Loop(common.unpack(IMAGE)) as dev, Mounted(dev.source):
        wrong = mount_refused('RemountShared', errno.EROFS, dev, other)
        if os.path.ismount(other):
            umount(other)
    return wrong


def not_writable():
    """Made writable, on a device that can not be opened for that."""
    with Loop(common.unpack(IMAGE), '-r') as dev, Mounted(dev.source):
        return mount_refused('DeviceNotWritable', errno.EROFS, dev, flags=rw.MS_REMOUNT)


def options_of_inodes():
    """Options of inodes are read as attributes, and not set."""
    with Loop(common.unpack(IMAGE)) as dev:
        mount(dev.source, flags=0)
        path, name = f'{common.MNT}/new', 'bcachefs.compression'
        os.close(os.open(path, os.O_CREAT | os.O_RDWR))
        # There are such attributes: the VFS has the same errno for those it does not know.
        wrong = refused('XattrNotFound', errno.ENODATA, os.getxattr, path, name)
        wrong += refused('InodeOptionUnsupported', errno.EOPNOTSUPP, os.setxattr, path, 'bcachefs.casefold', b'1')
        umount()
    return wrong


def large_blocks():
    """Files with larger blocks than pages are not written; directories have none."""
    first.KINDS['large-blocks'] = ((128,), '--block_size=16k --bucket=256k DEV')
    with Loop(first.make('large-blocks')) as dev:
        mount(dev.source, flags=0)
        os.mkdir(f'{common.MNT}/dir')
        wrong = refused('DataBlockSize', errno.EOPNOTSUPP, os.open, f'{common.MNT}/dir/new', os.O_CREAT | os.O_RDWR)
        umount()
    return wrong


def not_mounted_any_more():
    """The control device is open longer than the filesystem is mounted."""
    with Loop(common.unpack(IMAGE)) as dev:
        before = set(os.listdir(sysfs.TOP))
        mount(dev.source)
        top = os.path.join(sysfs.TOP, *set(os.listdir(sysfs.TOP)) - before)
        fd = os.open(f'/dev/bcachefs{sysfs.read(f"{top}/minor").strip()}-ctl', os.O_RDWR)
        try:
            fcntl.ioctl(fd, QUERY_UUID, bytearray(16))
            umount()
            return refused('IoctlUnmounted', errno.ENODEV, fcntl.ioctl, fd, QUERY_UUID, bytearray(16))
        finally:
            os.close(fd)


def main():
    tap, log = Tap(), Log()
    tap.check_each(log, [(f.__doc__.split('\n')[0], f) for f in (
        mounted_twice, not_writable, options_of_inodes, large_blocks, not_mounted_any_more)], SECONDS)
    tap.done()


if __name__ == '__main__':
    main()
