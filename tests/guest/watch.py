#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
# guest: stock 300
"""Who watches a filesystem with fanotify(7) is told of its errors: of damaged metadata, of file data that
can not be read, in which file, and that writing has ended."""
import ctypes
import errno
import os
import select
import struct

import common
import emergency
import images
from common import Log, Loop, Mounted, Tap, libc, mount, umount

FAN_REPORT_FID, FAN_MARK_ADD, FAN_MARK_FILESYSTEM, FAN_FS_ERROR = 0x200, 1, 0x100, 0x8000
AT_FDCWD = -100
INFO_FID, INFO_ERROR = 1, 5
EVENT, INFO = struct.Struct('<IBBHQii'), struct.Struct('<BBH')
SECONDS = 60


def checked(result):
    if result < 0:
        e = ctypes.get_errno()
        if e in (errno.ENOSYS, errno.EPERM):
            raise common.Skip('needs CONFIG_FANOTIFY')
        raise OSError(e, os.strerror(e))
    return result


class Watch:
    """What is told of a mounted filesystem, for the length of a `with`."""

    def __enter__(self):
        self.fd = checked(libc.fanotify_init(FAN_REPORT_FID, os.O_RDONLY))
        checked(libc.fanotify_mark(self.fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, ctypes.c_uint64(FAN_FS_ERROR),
                                   AT_FDCWD, os.fsencode(common.MNT)))
        return self

    def __exit__(self, *_):
        os.close(self.fd)

    def told(self, seconds=5):
        """Pairs: an errno, and the type and bytes of a file's handle; until nothing comes for a while."""
        told = []
        while select.select([self.fd], [], [], seconds)[0]:
            buf, at = os.read(self.fd, 1 << 16), 0
            while at < len(buf):
                length, _, _, head, mask, _, _ = EVENT.unpack_from(buf, at)
                assert mask == FAN_FS_ERROR
                code = handle = None
                info, at = at + head, at + length
                while info < at:
                    kind, _, size = INFO.unpack_from(buf, info)
                    if kind == INFO_ERROR:
                        code, = struct.unpack_from('<i', buf, info + INFO.size)
                    if kind == INFO_FID:
                        nr, of = struct.unpack_from('<Ii', buf, info + INFO.size + 8)
                        handle = of, buf[info + INFO.size + 16:][:nr]
                    info += size
                told.append((code, handle))
            seconds = 1
        return told


class Handle(ctypes.Structure):
    _fields_ = [('bytes', ctypes.c_uint), ('type', ctypes.c_int), ('handle', ctypes.c_ubyte * 128)]


def handle_of(path):
    h, mount_id = Handle(bytes=128), ctypes.c_int()
    checked(libc.name_to_handle_at(AT_FDCWD, path, ctypes.byref(h), ctypes.byref(mount_id), 0))
    return h.type, bytes(h.handle[:h.bytes])


def metadata(name):
    with Loop(images.damaged_files(common.manifest(name))) as dev, Mounted(dev.source) as root, Watch() as w:
        _, errors = common.read_everything(root)
        told = w.told()
    if not errors:
        return 'nothing was damaged'
    if errno.EUCLEAN not in [code for code, _ in told]:
        return f'told: {told}'
    return None


def data(name):
    wrong = []
    with Loop(images.damaged_files(common.manifest(name))) as dev, Mounted(dev.source) as root:
        _, errors = common.read_everything(root)
        if not errors:
            wrong.append('nothing was damaged')
        # Of errors that come before the first is taken, fanotify keeps the number only.
        for path, code in errors:
            with Watch() as w:
                again = read_again(path)
                told = w.told()
            if again != code or (code, handle_of(path)) not in told:
                wrong.append(f'{path}: {handle_of(path)}, first {code}, then {again}, told: {told}')
    return wrong


def read_again(path):
    try:
        with open(path, 'rb') as f:
            f.read()
    except OSError as x:
        return x.errno
    return None


def shutdown(name):
    with Loop(common.unpack(name)) as dev:
        mount(dev.source, flags=0)
        try:
            with Watch() as w:
                before = w.told(1)
                emergency.by_sysfs()
                told = w.told()
        finally:
            umount()
    return None if not before and [code for code, _ in told] == [errno.ESHUTDOWN] else f'told: {before}, {told}'


def main():
    tap, log = Tap(), Log()
    tests = [('damaged metadata', metadata, 'v113-dmg-inode-unpack'), ('damaged data', data, 'v113-dmg-data-csum'),
             ('writing has ended', shutdown, 'v113-snap')]
    tap.check_each(log, [t for t in tests if t[2] in common.images()], SECONDS)
    if not tap.nr:
        tap.skip('images', 'none is there')
    tap.done()


if __name__ == '__main__':
    main()
