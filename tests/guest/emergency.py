#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
# guest: uml 300
# guest: uml-debug? 600
# guest: stock? 600
"""Writing is ended at once while btrees and files change, each by eight threads: by the ioctl, by sysfs, by
a device that fails. Whoever is at it gets an error and nobody waits for ever; the filesystem can still be
read, unmounted, and mounted again, and what was safe is there. (The other ways: emergency.rs, on the host.)"""
import errno
import fcntl
import os
import shutil
import struct
import threading
import time

import common
import engine
import faults
import manifest
import rw
import sysfs
from common import Log, Loop, Mounted, Skip, Tap, mount, own, umount

GOING_DOWN, DEFAULT, FLUSH, NO_FLUSH = 0x8004587d, 0, 1, 2
IMAGES = 'v113-snap', 'v113-threedev'
THREADS, NUMBER, SECONDS = 8, 10_000_000, 20


def by_ioctl(flags):
    fd = os.open(common.MNT, os.O_RDONLY)
    try:
        fcntl.ioctl(fd, GOING_DOWN, struct.pack('I', flags))
    finally:
        os.close(fd)


def by_sysfs(_=None):
    with open(f'{engine.sysfs()}/internal/trigger_emergency_read_only', 'w', encoding='ascii') as f:
        f.write('1')


class Failing:
    """All requests to a device fail from now on."""

    def __init__(self, device):
        self.switch = f'/sys/block/{os.path.basename(device)}/make-it-fail'
        for name, value in (('verbose', 0), ('interval', 1), ('probability', 100), ('space', 0), ('times', -1)):
            faults.setting(f'fail_make_request/{name}', value)

    def set(self, on):
        with open(self.switch, 'w', encoding='ascii') as f:
            f.write('01'[on])


def by_device(devices):
    for d in devices:
        Failing(d).set(True)


def write_files(nr, ended):
    """Makes, writes, syncs, renames and removes files until that fails."""
    at = 0
    try:
        while True:
            path = f'{common.MNT}/load/{nr}-{at % 10}'
            with open(path, 'wb', buffering=0) as f:
                f.write(b'%d' % nr * (1 + at * 997 % 50000))
                if at % 7 == 0:
                    os.fsync(f.fileno())
            os.rename(path, path + '-new')
            if at % 3:
                os.unlink(path + '-new')
            at += 1
    except OSError as x:
        ended.append(x.errno)


def different(root, man):
    """What differs, besides what is in the way: the directory of the load, and the one it is in."""
    return [x for x in manifest.compare(root, man) if "'load" not in x and not x.startswith("b'.':")][:5]


def under_load(name, end, *args):
    if end is by_device and not os.path.isdir(f'{faults.DEBUG}/fail_make_request'):
        raise Skip('needs CONFIG_FAIL_MAKE_REQUEST')
    files, wrong = common.unpack(name), []
    man = common.manifest(name)
    with Loop(files) as dev:
        log = Log()
        mount(dev.source, flags=0)
        path, ended, of_files = f'{engine.sysfs()}/perf_test', [], []
        os.mkdir(f'{common.MNT}/load')
        os.sync()

        def change():
            try:
                with open(path, 'w', encoding='ascii') as f:
                    f.write(f'rand_insert {NUMBER} {THREADS}\n')
                ended.append('went through')
            except OSError as x:
                ended.append(x.errno)
        threads = [threading.Thread(target=change)]
        threads += [threading.Thread(target=write_files, args=(nr, of_files)) for nr in range(THREADS)]
        for t in threads:
            t.start()
        time.sleep(1)
        start = time.monotonic()
        end(*(args or [dev.devices]))
        for t in threads:
            t.join(SECONDS)
        if len(ended) != 1 or ended[0] not in (errno.EROFS, errno.EIO):
            wrong.append(f'who changed the btrees got {ended}')
        if len(of_files) != THREADS or not set(of_files) <= {errno.EROFS, errno.EIO}:
            wrong.append(f'who wrote files got {of_files}')
        if 'emergency_ro' not in sysfs.read(f'{engine.sysfs()}/internal/flags'):
            wrong.append('not emergency read-only')
        if end is by_device:
            for d in dev.devices:
                Failing(d).set(False)
        wrong += different(common.MNT, man)
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
        shutil.rmtree(f'{common.MNT}/load')
        umount()
        with Mounted(dev.source) as root:
            wrong += different(root, man)
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
                      (f'{name}: the device fails', under_load, name, by_device),
                      (f'{name}: mounted read-only', read_only, name)]
    tap.check_each(log, tests, 120)
    tap.done()


if __name__ == '__main__':
    main()
