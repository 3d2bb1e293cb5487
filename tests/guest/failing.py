#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
# guest: uml 200
# guest: uml-debug? 600
# guest: stock? 600
"""A device dies while the filesystem is mounted. When all has another copy, who writes does not notice: the
device is set read-only, and all is there without it. When not, writing ends, and the machine goes on."""
import hashlib
import os
import subprocess
import time

import common
import first
import logwrites
import sysfs
from common import Limit, Log, Loop, Mounted, Skip, Tap, mount, own, umount
from founding import Written
from rw import fsck

SECONDS = 60
KINDS = {
    'copies': ((96, 96), '--replicas=2 DEV DEV'),
    'no-copies': ((96, 96), 'DEV DEV'),
}


class Mortal:
    """A device on another one, that can die."""

    def __init__(self, device):
        self.device, self.name = device, 'mortal'

    def __enter__(self):
        self.sectors = logwrites.sectors_of(self.device)
        try:
            self.dmsetup('create', self.name, '--table', f'0 {self.sectors} linear {self.device} 0')
        except FileNotFoundError:
            raise Skip('no dmsetup') from None
        self.path = logwrites.mapped(self.name)
        return self

    def dmsetup(self, *args):
        subprocess.run(['dmsetup', *args, '--noudevsync'], check=True, capture_output=True)

    def die(self):
        """From now on it fails all transfers."""
        self.dmsetup('suspend', '--nolockfs', self.name)
        self.dmsetup('load', self.name, '--table', f'0 {self.sectors} error')
        self.dmsetup('resume', self.name)

    def __exit__(self, *_):
        self.dmsetup('remove', '--retry', self.name)


def written(nr, sums):
    """Writes files and waits until they are safe."""
    for i in range(nr):
        path, data = f'{common.MNT}/{len(sums)}', os.urandom(1 + 50000 * i)
        with open(path, 'wb') as f:
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
        sums[os.path.basename(path)] = hashlib.sha256(data).digest()


def differences(root, sums):
    wrong = []
    for name, wanted in sums.items():
        with open(f'{root}/{name}', 'rb') as f:
            if hashlib.sha256(f.read()).digest() != wanted:
                wrong.append(f'{name} is not what was written')
    return wrong


def with_copies():
    first.KINDS.update(KINDS)
    files, sums, wrong, log = first.make('copies'), {}, [], Log()
    with Loop(files) as dev, Mortal(dev.devices[1]) as mortal, Limit(SECONDS):
        with Written(f'{dev.devices[0]}:{mortal.path}', 'write_error_timeout=1') as fs:
            written(5, sums)
            log.take()
            mortal.die()
            # Its flushes are not errors: the device mapper has nothing to flush then.
            while '[rw]' in sysfs.read(f'{fs.top}/dev-1/state'):
                written(1, sums)
                time.sleep(.1)
            written(5, sums)
            if fs.ended():
                wrong.append('writing has ended')
            with open('/proc/sys/vm/drop_caches', 'w', encoding='ascii') as f:
                f.write('1')
            wrong += differences(common.MNT, sums)
        said = own(log.take())
        if sum('it is not written any more' in m for m in said) != 1:
            wrong += ['not told once'] + said[:20]
    with Loop(files[:1]) as dev:
        with Mounted(dev.source, 'degraded') as root:
            wrong += differences(root, sums)
    # The other device comes back as it was when it died.
    with Loop(files) as dev:
        mount(dev.source, flags=0)
        wrong += differences(common.MNT, sums)
        umount()
        wrong += fsck(dev.devices)
    return wrong


def without():
    first.KINDS.update(KINDS)
    files, sums, wrong, log = first.make('no-copies'), {}, [], Log()
    with Loop(files) as dev, Mortal(dev.devices[1]) as mortal, Limit(SECONDS):
        with Written(f'{dev.devices[0]}:{mortal.path}') as fs:
            written(6, sums)
            log.take()
            mortal.die()
            failed = None
            try:
                written(10, dict(sums))
            except OSError as x:
                failed = x
            if not failed or not fs.ended():
                wrong.append(f'{failed}, and it goes on')
        said = own(log.take())
        if sum('going emergency read-only' in m for m in said) != 1:
            wrong += ['not told once'] + said[:20]
    with Loop(files) as dev:
        mount(dev.source, flags=0)
        wrong += differences(common.MNT, sums)
        umount()
        wrong += fsck(dev.devices)
    return wrong


def main():
    tap, log = Tap(), Log()
    tests = [('with another copy of all', with_copies), ('without', without),
             ('the module can be unloaded', sysfs.reload)]
    tap.check_each(log, tests, SECONDS * 2)
    tap.done()


if __name__ == '__main__':
    main()
