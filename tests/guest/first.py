#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
# guest: uml 300
# guest: uml-debug? 600
# guest: stock? 600
"""The first mount of filesystems that the packaged tools have just made: the tools' fsck has nothing to
say of what is there then, and it can be mounted again, read-write and read-only.

    first.py --keep DIRECTORY [NAME]...

leaves them in the directory, with what statfs(2) says, for another kernel to look at:

    first.py --look DIRECTORY [NAME]...

mounts them there, read-write, and compares."""
import errno
import json
import os
import stat
import subprocess
import sys

import common
import keys
from common import Limit, Log, Loop, Mounted, Tap, mount, own, umount
from packaged import formatted
from rw import fsck, shown

SECONDS = 120
PASSPHRASE = 'correct horse'
# Name: MiB of each device, options of the format command, with DEV where a device comes.
KINDS = {
    'default': ((64,), 'DEV'),
    'version': ((64,), '--version=1037 DEV'),
    'small': ((16,), 'DEV'),
    'nodes-16k': ((16,), '--bucket=16k --btree_node_size=16k DEV'),
    'blocks-512': ((64,), '--block_size=512 --btree_node_size=4k DEV'),
    'blocks-1k': ((64,), '--block_size=1k --btree_node_size=64k --bucket=256k DEV'),
    'blocks-2k': ((64,), '--block_size=2k --btree_node_size=32k DEV'),
    'large': ((1024,), 'DEV'),
    'three': ((64, 200, 90), '--replicas=2 --label=ssd.a DEV --label=hdd.b --bucket=512k DEV --label=ssd.c DEV'),
    'target': ((64, 96), '--metadata_target=meta --label=meta.a DEV --label=data.b DEV'),
    'encrypted': ((64,), '--encrypted DEV'),
    'no-passphrase': ((64,), '--encrypted --no_passphrase DEV'),
    'checksums': ((64,), '--metadata_checksum=xxhash --str_hash=crc64 DEV'),
    'quotas': ((64,), '--usrquota --grpquota --label=x DEV'),
}


def make(name):
    """The files of a filesystem that was never mounted."""
    sizes, options = KINDS[name]
    files = []
    for i, mib in enumerate(sizes):
        files.append(f'{common.WORK}/new-{name}.{i}.img')
        with open(files[-1], 'wb') as f:
            f.truncate(mib << 20)
    with Loop(files) as dev:
        devices = iter(dev.devices)
        formatted(*(next(devices) if o == 'DEV' else o for o in options.split()),
                  given=f'{PASSPHRASE}\n{PASSPHRASE}\n')
    unlock(name, files)
    return files


def unlock(name, files):
    if name == 'encrypted':
        keys.unlock(files[0], PASSPHRASE)


def root_is_wrong(where=common.MNT):
    wrong = []
    if os.listdir(where) != ['lost+found']:
        wrong.append(f'in the root directory: {os.listdir(where)}')
    for path, mode, ino, links in ((where, 0o755, 4096, 3), (f'{where}/lost+found', 0o700, 4097, 2)):
        st = os.stat(path)
        if (st.st_mode, st.st_ino, st.st_nlink) != (stat.S_IFDIR | mode, ino, links) or st.st_uid or st.st_gid:
            wrong.append(f'{path}: {st}')
    return wrong


def space(where=common.MNT):
    s = os.statvfs(where)
    return {'frsize': s.f_frsize, 'blocks': s.f_blocks, 'bfree': s.f_bfree, 'bavail': s.f_bavail,
            'inodes': s.f_files - s.f_ffree}


def first_mount(name, flags):
    files, wrong = make(name), []
    with Loop(files) as dev:
        mount(dev.source, flags=flags)
        try:
            wrong += root_is_wrong()
            before = space()
            os.sync()
        finally:
            umount()
        if before['inodes'] != 2:
            wrong.append(f'inodes: {before}')
        for d in dev.devices:
            if shown(d, 'Clean') != ['1']:
                wrong.append(f'{d} is not clean')
        if name != 'encrypted':
            wrong += fsck(dev.devices)
        with Mounted(dev.source):
            wrong += root_is_wrong()
            # What was on its way to the disk may have taken nodes more.
            after = space()
            if after['blocks'] != before['blocks'] or after['bfree'] > before['bfree']:
                wrong.append(f'space: {before}, then {after}')
        mount(dev.source, flags=0)
        umount()
        if name != 'encrypted':
            wrong += fsck(dev.devices)
    return wrong


def not_written(name):
    """Mounts that may not write leave everything as it is, and say why."""
    files, log = make(name), Log()
    before = [open(f, 'rb').read(64 << 10) for f in files]
    with Loop(files) as dev:
        for options in ('nochanges', 'norecovery'):
            try:
                mount(dev.source, options)
                umount()
                return f'{options}: mounted'
            except OSError as x:
                lines = own(log.take())
                if x.errno != errno.EROFS or not any('never mounted' in m for m in lines):
                    return [options, str(x)] + lines
    if before != [open(f, 'rb').read(64 << 10) for f in files]:
        return 'something was written'


def cut(name):
    """What is on the devices right after the first mount, without unmounting."""
    files, wrong = make(name), []
    copies = [f.replace('/new-', '/cut-') for f in files]
    with Loop(files) as dev:
        mount(dev.source, flags=0)
        os.sync()
        for a, b in zip(files, copies):
            subprocess.check_call(['cp', '--sparse=always', a, b])
        umount()
    with Loop(copies) as dev:
        if name != 'encrypted':
            wrong += fsck(dev.devices)
        with Mounted(dev.source):
            wrong += root_is_wrong()
    return wrong


def keep(to, names):
    for name in names or KINDS:
        files = make(name)
        with Loop(files) as dev:
            mount(dev.source, flags=0)
            found = space()
            umount()
        for f in files:
            subprocess.check_call(['cp', '--sparse=always', f, to])
        with open(f'{to}/new-{name}.json', 'w', encoding='ascii') as f:
            json.dump(found, f)
        common.clean()
        print(f'kept {name}', flush=True)


def look(there, tap, names):
    for name in names or KINDS:
        files = sorted(f for f in os.listdir(there) if f.startswith(f'new-{name}.') and f.endswith('.img'))
        if not files:
            continue
        for f in files:
            subprocess.check_call(['cp', '--sparse=always', os.path.join(there, f), common.WORK])
        files = [os.path.join(common.WORK, f) for f in files]
        with open(f'{there}/new-{name}.json', encoding='ascii') as f:
            was = json.load(f)
        log = Log()
        with Loop(files) as dev, Limit(SECONDS):
            unlock(name, files)
            mount(dev.source, flags=0)
            wrong, found = root_is_wrong(), space()
            with open(f'{common.MNT}/file', 'wb') as f:
                f.write(b'x' * 100000)
            umount()
            mount(dev.source, flags=0)
            if os.stat(f'{common.MNT}/file').st_size != 100000:
                wrong.append('a file is not as it was')
            umount()
        lines = log.take()
        wrong += [x for x in lines if any(w in x for w in ('error', 'incorrect', 'mismatch', 'inconsist', 'should be'))]
        if not any('clean shutdown' in x for x in lines):
            wrong.append('not from a clean shutdown')
        # Where nothing is left for files, C counts below zero.
        if was['blocks'] and abs(found['bfree'] - was['bfree']) * found['frsize'] > 4 << 20:
            wrong.append(f'space: {found}, was {was}')
        tap.result(not wrong, f'{name}, mounted by another kernel', wrong + lines if wrong else ())
        common.clean()


def main():
    if sys.argv[1:2] == ['--keep']:
        return keep(sys.argv[2], sys.argv[3:])
    tap, log = Tap(), Log()
    if sys.argv[1:2] == ['--look']:
        look(sys.argv[2], tap, sys.argv[3:])
        return tap.done()
    tests = [(f'{name}: mounted for the first time', first_mount, name, 0) for name in KINDS]
    tests += [(f'{name}: mounted for the first time, read-only', first_mount, name, common.MS_RDONLY)
              for name in ('default', 'three', 'encrypted')]
    tests += [(f'{name}: not unmounted', cut, name) for name in ('default', 'three', 'blocks-2k')]
    tests.append(('mounts that may not write', not_written, 'three'))
    tap.check_each(log, tests, SECONDS)
    tap.done()


if __name__ == '__main__':
    main()
