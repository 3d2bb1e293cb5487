#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
# guest: uml 400
# guest: uml-debug? 900
# guest: stock? 600
"""Damaged filesystems are mounted read-write, and btrees changed: the mount is refused with a message, or
the filesystem works, or it goes read-only. Whatever it is, another filesystem that is mounted goes on
working, everything can be unmounted, and the module unloaded."""
import errno
import glob

import common
import images
import manifest
import mutate
import sysfs
from common import Limit, Log, Loop, Mounted, Tap, mount, own, umount

OTHER, SECONDS = 'v113-snap', 60
# What a mount may be refused with.
REFUSALS = (errno.EROFS, errno.EUCLEAN, errno.EIO, errno.EINVAL, errno.EOPNOTSUPP)


def damaged(name):
    log, man, wrong = Log(), common.manifest(name), []
    with Loop(common.unpack(OTHER)) as other, Mounted(other.source, where=common.MNT + '-other') as there:
        with Loop(images.damaged_files(man)) as dev:
            log.take()
            outcome = 'works'
            try:
                with Limit(SECONDS):
                    mount(dev.source, flags=0)
            except OSError as x:
                outcome = errno.errorcode[x.errno]
                if x.errno not in REFUSALS:
                    wrong.append(f'{x} is no errno for damage')
            else:
                with Limit(SECONDS):
                    mutate.change()
                    _, errors = common.read_everything(common.MNT)
                    for path in glob.glob('/sys/fs/bcachefs/*/internal/flags'):
                        if 'emergency_ro' in sysfs.read(path):
                            outcome = 'read-only'
                    umount()
                outcome += f', {len(errors)} errors'
            said = own(log.take())
        print(f'# {name}: {outcome}')
        if outcome != 'works, 0 errors' and not said:
            wrong.append('nothing was said')
        wrong += [f'the other filesystem: {x}' for x in manifest.compare(there, common.manifest(OTHER))[:3]]
        if wrong:
            wrong += said
    return wrong


def main():
    tap, log = Tap(), Log()
    names = [n for n in common.images() if n.startswith('v113-dmg-')]
    tests = [(f'{name}: mounted read-write', damaged, name) for name in names]
    if tests:
        tests.append(('the module can be unloaded', sysfs.reload))
    tap.check_each(log, tests, SECONDS * 4)
    tap.done()


if __name__ == '__main__':
    main()
