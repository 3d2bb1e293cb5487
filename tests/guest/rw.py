#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
# guest: uml 300
# guest: uml-debug? 600
# guest: stock? 600
"""Read-write mounts: what is on the devices while mounted and after, judged by the tools; what can not
be written yet is refused.

    rw.py --keep DIRECTORY [NAME]...

mounts and unmounts images and leaves them in the directory, once more with what was on the devices
while they were mounted, for another kernel to look at:

    rw.py --look DIRECTORY [NAME]...

mounts them read-write there and compares them with their manifests."""
import errno
import fcntl
import os
import shutil
import subprocess
import sys
import time

import common
import keys
import manifest
from common import Limit, Log, Loop, Mounted, Skip, Tap, mount, own, umount
from packaged import tool

MS_REMOUNT = 32
FIFREEZE, FITHAW = 0xC0045877, 0xC0045878
IMAGES = ('v113-empty', 'v113-snap', 'v113-tree', 'v113-threedev', 'v113-repl2', 'v113-block512', 'v113-encrypted',
          'v113-csum-none', 'v113-csum-xxhash', 'v113-csum-crc64', 'v113-quota', 'v113-reflink')
SECONDS = 120


def shown(device, *names):
    """Lines of `show-super`, by name."""
    status, out = tool('show-super', device)
    if status:
        raise RuntimeError(f'show-super {device}: exit status {status}, {out[-300:]}')
    lines = dict(x.split(':', 1) for x in out.splitlines() if ':' in x)
    return [lines.get(n, '?').strip() for n in names]


def unlocked(name, files):
    man = common.manifest(name)
    if 'passphrase' in man:
        keys.unlock(files[0], man['passphrase'])
    return man


def fsck(devices):
    """What the tools' fsck has to say, nothing when all is well."""
    status, out = tool('fsck', '-n', *devices)
    return [] if status == 0 else [f'fsck -n: exit status {status}'] + out.splitlines()[-30:]


def mounted_and_unmounted(name):
    if name not in common.images():
        raise Skip('no such image')
    files = common.unpack(name)
    man, wrong = unlocked(name, files), []
    with Loop(files) as dev:
        seq = int(shown(dev.devices[0], 'Sequence number')[0])
        for nr in range(2):
            mount(dev.source, flags=0)
            wrong += [f'{d} is clean while mounted' for d in dev.devices if shown(d, 'Clean') != ['0']]
            os.sync()
            umount()
            for d in dev.devices:
                clean, new, features = shown(d, 'Clean', 'Sequence number', 'Features')
                if clean != '1' or int(new) < seq + 2:
                    wrong.append(f'{d} after unmount {nr}: clean {clean}, seq {new}, was {seq}')
                if 'btree_updates_journalled' in features:
                    wrong.append(f'{d} after unmount {nr}: features {features}')
            seq = int(new)
        if 'passphrase' not in man:
            wrong += fsck(dev.devices)
        with Mounted(dev.source) as root:
            wrong += manifest.compare(root, man)[:10]
    return wrong


def recovered(name):
    """The journal is replayed, a second time after another crash, and all is well then."""
    if name not in common.images():
        raise Skip('no such image')
    files, wrong = common.unpack(name), []
    man = common.manifest(name)
    crashed = [f + '.crashed' for f in files]
    with Loop(files) as dev:
        wrong += [f'{d} is clean' for d in dev.devices if shown(d, 'Clean') != ['0']]
        log = Log()
        mount(dev.source, flags=0)
        if not any(' keys of the journal' in m and 'replayed' in m for m in own(log.take())):
            wrong.append('no key of the journal was replayed')
        wrong += manifest.compare(common.MNT, man)[:10]
        os.sync()
        for f, to in zip(files, crashed):
            subprocess.check_call(['cp', '--sparse=always', f, to])
        umount()
        wrong += fsck(dev.devices)
    with Loop(crashed) as dev:
        mount(dev.source, flags=0)
        wrong += manifest.compare(common.MNT, man)[:10]
        umount()
        wrong += fsck(dev.devices)
    return wrong


def a_journal_that_lasts(name):
    """Many mounts, so that the journal goes through its buckets; and a crash each few."""
    files, wrong = common.unpack(name), []
    with Loop(files) as dev:
        for _ in range(40):
            mount(dev.source, flags=0)
            umount()
        wrong += fsck(dev.devices)
    return wrong


def refused(name, options=''):
    """Mounts that can not be read-write: the message says what to do."""
    if name not in common.images():
        raise Skip('no such image')
    log = Log()
    files = common.unpack(name)
    before = [os.stat(f).st_blocks for f in files]
    with Loop(files) as dev:
        try:
            mount(dev.source, options, flags=0)
            umount()
            return 'mounted'
        except OSError as x:
            lines = own(log.take())
            if x.errno != errno.EROFS or not any('-o ro' in m for m in lines):
                return [str(x)] + lines
    if before != [os.stat(f).st_blocks for f in files]:
        return 'something was written'


def remounted(name):
    """From read-write to read-only and back, more than once; and the other way round."""
    files, wrong = common.unpack(name), []
    with Loop(files) as dev:
        for first in (0, common.MS_RDONLY):
            mount(dev.source, flags=first)
            try:
                for nr in range(3):
                    if nr or first:
                        mount(dev.source, flags=MS_REMOUNT)
                    if shown(dev.devices[0], 'Clean') != ['0']:
                        wrong.append(f'{first}: clean while read-write, {nr}')
                    made = f'{common.MNT}/{"later" if first else "made"}-{nr}'
                    os.mkdir(made)
                    mount(dev.source, flags=MS_REMOUNT | common.MS_RDONLY)
                    if shown(dev.devices[0], 'Clean') != ['1']:
                        wrong.append(f'{first}: not clean after remount,ro, {nr}')
                    if not os.path.isdir(made):
                        wrong.append(f'{made} is gone')
                    try:
                        os.rmdir(made)
                        wrong.append('changed while read-only')
                    except OSError as x:
                        if x.errno != errno.EROFS:
                            wrong.append(f'while read-only: {x}')
            finally:
                umount()
            wrong += fsck(dev.devices)
        mount(dev.source, flags=0)
        found = sorted(d for d in os.listdir(common.MNT) if d[:4] in ('made', 'late'))
        umount()
        if len(found) != 6:
            wrong.append(f'found {found}')
    return wrong


def remounted_after_a_crash(name):
    """Mounted read-only after a crash, and made writable then."""
    if name not in common.images():
        raise Skip('no such image')
    files, wrong = common.unpack(name), []
    man = common.manifest(name)
    with Loop(files) as dev:
        mount(dev.source)
        wrong += manifest.compare(common.MNT, man)[:10]
        mount(dev.source, flags=MS_REMOUNT)
        wrong += manifest.compare(common.MNT, man)[:10]
        os.mkdir(f'{common.MNT}/made')
        os.rmdir(f'{common.MNT}/made')
        umount()
        wrong += fsck(dev.devices)
    return wrong


def frozen(name):
    """A frozen filesystem changes nothing, and a copy of its devices is as after a crash."""
    files, wrong = common.unpack(name), []
    copies = [f + '.copy.img' for f in files]
    with Loop(files) as dev:
        mount(dev.source, flags=0)
        fd = os.open(common.MNT, os.O_RDONLY)
        try:
            for nr in range(100):
                os.mkdir(f'{common.MNT}/made-{nr}')
            fcntl.ioctl(fd, FIFREEZE, 0)
            for f, to in zip(files, copies):
                subprocess.check_call(['cp', '--sparse=always', f, to])
            time.sleep(2)
            for f, to in zip(files, copies):
                if subprocess.call(['cmp', '-s', f, to]):
                    wrong.append('something was written')
            fcntl.ioctl(fd, FITHAW, 0)
            os.mkdir(f'{common.MNT}/thawed')
        finally:
            os.close(fd)
            umount()
        wrong += fsck(dev.devices)
    with Loop(copies) as dev:
        mount(dev.source, flags=0)
        if len([d for d in os.listdir(common.MNT) if d.startswith('made-')]) != 100:
            wrong.append(f'in the copy: {os.listdir(common.MNT)}')
        umount()
        wrong += fsck(dev.devices)
    return wrong


def not_remounted(name):
    """What forbids to write at mount forbids it later, too."""
    files, wrong = common.unpack(name), []
    with Loop(files) as dev:
        for options in ('nochanges', 'norecovery'):
            mount(dev.source, options)
            try:
                mount(dev.source, flags=MS_REMOUNT)
                wrong.append(f'{options}: made writable')
            except OSError as x:
                if x.errno != errno.EROFS:
                    wrong.append(f'{options}: {x}')
            umount()
    return wrong


def keep(to, names):
    for name in names or IMAGES:
        files = common.unpack(name)
        unlocked(name, files)
        with Loop(files) as dev:
            mount(dev.source, flags=0)
            os.sync()
            for f in files:
                subprocess.check_call(['cp', '--sparse=always', f, f'{to}/cut-{os.path.basename(f)}'])
            umount()
        for f in files:
            subprocess.check_call(['cp', '--sparse=always', f, to])
        common.clean()
        print(f'kept {name}', flush=True)


def look(there, tap, names):
    for name in names or IMAGES:
        for cut, how in (('', 'shut down'), ('cut-', 'not shut down')):
            files = sorted(f for f in os.listdir(there) if f.startswith(f'{cut}{name}.') and f.endswith('.img'))
            if not files:
                continue
            files = [shutil.copy(os.path.join(there, f), common.WORK) for f in files]
            with Loop(files) as dev:
                man = unlocked(name, files)
                with Limit(SECONDS):
                    mount(dev.source, flags=0)
                    different = manifest.compare(common.MNT, man)
                    umount()
                tap.result(not different, f'{name}, {how}, mounted by another kernel', different[:10])
            common.clean()


def main():
    if sys.argv[1:2] == ['--keep']:
        return keep(sys.argv[2], sys.argv[3:])
    tap, log = Tap(), Log()
    if sys.argv[1:2] == ['--look']:
        look(sys.argv[2], tap, sys.argv[3:])
        return tap.done()
    tests = [(f'{name}: mounted, unmounted, checked', mounted_and_unmounted, name) for name in IMAGES]
    tests += [
        ('many mounts', a_journal_that_lasts, 'v113-empty'),
        ('version 1.39 is refused', refused, 'v139-snap'),
        ('after a crash with a large journal', recovered, 'v113-unclean'),
        ('after a crash with files open', recovered, 'v113-unclean-dirty'),
        ('remounts', remounted, 'v113-snap'),
        ('made writable after a crash', remounted_after_a_crash, 'v113-unclean'),
        ('frozen', frozen, 'v113-empty'),
        ('not made writable', not_remounted, 'v113-empty'),
    ]
    tap.check_each(log, tests, SECONDS)
    tap.done()


if __name__ == '__main__':
    main()
