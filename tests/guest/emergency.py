#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
# guest: uml 300
# guest: uml-debug? 600
# guest: stock? 600
"""Writing is ended at once while btrees change, by the ioctl and by sysfs: whoever is at it gets an error
and nobody waits for ever; the filesystem can still be read, unmounted, and mounted again, and what was
safe is there."""
import errno
import fcntl
import os
import struct
import threading
import time

import common
import engine
import manifest
import rw
import sysfs
from common import Log, Loop, Mounted, Tap, mount, own, umount

GOING_DOWN, DEFAULT, FLUSH, NO_FLUSH = 0x8004587d, 0, 1, 2
IMAGES = 'v113-snap', 'v113-threedev'
THREADS, NUMBER, SECONDS = 8, 10_000_000, 20


def by_ioctl(flags):
    fd = os.open(common.MNT, os.O_RDONLY)
    try:
        fcntl.ioctl(fd, GOING_DOWN, struct.pack('I', flags))
    finally:
        os.close(fd)


def by_sysfs():
    with open(f'{engine.sysfs()}/internal/trigger_emergency_read_only', 'w', encoding='ascii') as f:
        f.write('1')


def under_load(name, end, *args):
    files, wrong = common.unpack(name), []
    man = common.manifest(name)
    with Loop(files) as dev:
        log = Log()
        mount(dev.source, flags=0)
        path, ended = f'{engine.sysfs()}/perf_test', []

        def change():
            try:
                with open(path, 'w', encoding='ascii') as f:
                    f.write(f'rand_insert {NUMBER} {THREADS}\n')
                ended.append('went through')
            except OSError as x:
                ended.append(x.errno)
        t = threading.Thread(target=change)
        t.start()
        time.sleep(1)
        start = time.monotonic()
        end(*args)
        t.join(SECONDS)
        if ended != [errno.EROFS]:
            wrong.append(f'who changed the btrees got {ended}')
        if 'emergency_ro' not in sysfs.read(f'{engine.sysfs()}/internal/flags'):
            wrong.append('not emergency read-only')
        wrong += manifest.compare(common.MNT, man)[:5]
        umount()
        if time.monotonic() - start > SECONDS:
            wrong.append(f'took {time.monotonic() - start:.0f} s')
        said = own(log.take())
        if sum('going emergency read-only' in m for m in said) != 1:
            wrong += ['not said once'] + said
        # What was under way is recovered, and taken away, as no check would accept it.
        mount(dev.source, flags=0)
        with open(f'{engine.sysfs()}/perf_test', 'w', encoding='ascii') as f:
            f.write('seq_delete 1 1\n')
        umount()
        with Mounted(dev.source) as root:
            wrong += manifest.compare(root, man)[:5]
        wrong += rw.fsck(dev.devices)
    return wrong


def read_only(name):
    """Of a filesystem that is only read, nothing more is written than before; it says so."""
    wrong = []
    with Loop(common.unpack(name)) as dev, Mounted(dev.source):
        for flags in 3, 0xffffffff:
            try:
                by_ioctl(flags)
                wrong.append(f'flags {flags:x} are taken')
            except OSError as x:
                if x.errno != errno.EINVAL:
                    wrong.append(str(x))
        by_ioctl(DEFAULT)
        by_ioctl(NO_FLUSH)
        by_sysfs()
        wrong += manifest.compare(common.MNT, common.manifest(name))[:5]
    return wrong


def main():
    tap, log = Tap(), Log()
    tests = []
    for name in IMAGES:
        if name in common.images():
            tests += [(f'{name}: ioctl, flags {flags}', under_load, name, by_ioctl, flags)
                      for flags in (DEFAULT, FLUSH, NO_FLUSH)]
            tests += [(f'{name}: sysfs', under_load, name, by_sysfs),
                      (f'{name}: mounted read-only', read_only, name)]
    tap.check_each(log, tests, 120)
    tap.done()


if __name__ == '__main__':
    main()
