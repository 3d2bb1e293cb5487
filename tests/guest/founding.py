#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
# guest: uml 300
# guest: uml-debug? 900
# guest: stock? 900
"""The case that this project began with: a leaf of the alloc btree is not the one that the pointer to it
asks for, or has lost keys that were changed in the key cache; on one device and on several, one of which
is missing, after a crash that left much in the journal. The C implementation's BUG_ON() in the flush of
the key cache took the machine with it. Here a read-write mount ends with an error that has a name, says
where once, and goes read-only or is refused; another filesystem goes on working, and the module unloads.

    founding.py --keep DIRECTORY    leaves the damaged filesystems there, for another kernel to look at
    founding.py --look DIRECTORY    mounts them there, as they are"""
import errno
import glob
import os
import re
import subprocess
import sys

import common
import first
import manifest
import nodes
import rw
import sysfs
from common import Limit, Log, Loop, Tap, mount, own, umount

OTHER, SECONDS = 'v113-tree', 120
REFUSALS = (errno.EROFS, errno.EUCLEAN, errno.EIO)
FORMAT = '--block_size=512 --bucket=16k --btree_node_size=16k'
KINDS = {
    'one': ((128,), f'{FORMAT} DEV'),
    'several': ((128, 160, 128), f'{FORMAT} --replicas=2 DEV DEV DEV'),
}
# What is missing of a filesystem while it is degraded.
MISSING = 1
# What names a place in the alloc btree.
PLACE = re.compile(r'btree alloc\b.*\d+:\d+')
# What is said when keys of the alloc btree are missed.
SIGN = re.compile('data type|data that is gone|Coherency')
# How often keys go from leaves under a mount, until somebody misses them.
TRIES = 4


class Written:
    """A read-write mount for the length of a `with`."""

    def __init__(self, source, options=''):
        before = set(os.listdir(sysfs.TOP))
        mount(source, options, flags=0)
        self.top = os.path.join(sysfs.TOP, *set(os.listdir(sysfs.TOP)) - before)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        umount()

    def perf(self, test, number, threads=1):
        with open(f'{self.top}/perf_test', 'w', encoding='ascii') as f:
            f.write(f'{test} {number} {threads}\n')

    def stop(self):
        """Nothing is written any more, as if the power were gone."""
        with open(f'{self.top}/internal/trigger_emergency_read_only', 'w', encoding='ascii') as f:
            f.write('1')

    def ended(self):
        """The filesystem is read-only because of an error, and says so."""
        return 'emergency_ro' in sysfs.read(f'{self.top}/internal/flags')


def drop_nodes():
    with open('/proc/sys/vm/drop_caches', 'w', encoding='ascii') as f:
        f.write('2')


def used(kind):
    """A filesystem that was used for a while."""
    first.KINDS[kind] = KINDS[kind]
    files = first.make(kind)
    with Loop(files) as dev, Written(dev.source) as fs:
        fs.perf('rand_insert', 15000)
        fs.perf('rand_delete', 5000)
    return files


def crashed(kind):
    """The same with changes that are in the journal only."""
    files = used(kind)
    with Loop(files) as dev, Written(dev.source) as fs:
        fs.perf('rand_insert', 6000, 2)
        fs.stop()
    return files


def wrong_header(files):
    """Gives the leaves to another btree: which of them will be looked at is not known."""
    for n in (n for f in files for n in nodes.Image(f).nodes(nodes.ALLOC)):
        n.set_btree(nodes.LRU)
        n.write()


def lost_keys(files):
    """Deletes those keys from the leaves of which the journal has a newer version; how many they were."""
    images = [nodes.Image(f) for f in files]
    wanted, count = nodes.journalled(images, nodes.ALLOC), 0
    for n in (n for i in images for n in i.nodes(nodes.ALLOC)):
        done = n.delete(wanted)
        if done:
            n.write()
            count += done
    if not count:
        raise RuntimeError(f'none of {len(wanted)} keys in the journal is in a leaf')
    return count


def build(kind, header, keys):
    files = crashed(kind)
    if keys:
        print(f'# {lost_keys(files)} keys are gone from leaves')
    if header:
        wrong_header(files)
    if kind == 'several':
        del files[MISSING]
    return files


def reported(said, wrong):
    """One report, which says where."""
    if sum('going emergency read-only' in m for m in said) > 1:
        wrong.append('more than one report')
    if not any(PLACE.search(m) for m in said):
        wrong.append('no message says where')
    if len(said) > 30:
        wrong.append(f'{len(said)} messages')


class Beside:
    """Another filesystem, which has to be as it was at the end."""

    def __enter__(self):
        self.loop = Loop(common.unpack(OTHER))
        self.loop.__enter__()
        self.where = common.MNT + '-other'
        mount(self.loop.source, where=self.where)
        return self

    def differences(self):
        return [f'the other filesystem: {x}' for x in manifest.compare(self.where, manifest_of_other())[:3]]

    def __exit__(self, *args):
        umount(self.where)
        self.loop.__exit__(*args)


def damaged(kind, header, keys):
    """A mount of what was damaged while it was not mounted."""
    files, log, wrong = build(kind, header, keys), Log(), []
    options = 'degraded' if kind == 'several' else ''
    with Beside() as other, Loop(files) as dev:
        log.take()
        outcome = 'works'
        try:
            with Limit(SECONDS), Written(dev.source, options) as fs:
                for test in ('rand_insert', 'rand_delete', 'seq_insert'):
                    try:
                        fs.perf(test, 2000, 2)
                    except OSError as x:
                        outcome = f'read-only, {errno.errorcode[x.errno]}'
                common.read_everything(common.MNT)
                if fs.ended() != (outcome != 'works'):
                    wrong.append('the state is not what the outcome is')
        except OSError as x:
            outcome = errno.errorcode[x.errno]
            if x.errno not in REFUSALS:
                wrong.append(f'{x} is no errno for damage')
        said = own(log.take())
        wrong += other.differences()
        print(f'# {outcome}')
        for m in said:
            print(f'# {m}')
        # What the journal has is laid over the leaves again: nothing is lost then.
        if header:
            if outcome == 'works':
                wrong.append('nothing was found')
            reported(said, wrong)
        elif outcome != 'works':
            wrong.append('not recovered')
        else:
            with Written(dev.source, options) as fs:
                fs.perf('seq_delete', 1)
            if kind != 'several':
                wrong += rw.fsck(dev.devices)
    return wrong


def under_the_mount(kind, goes_on):
    """Keys go from their leaves while newer versions are in the key cache, which is what ended in the
    BUG_ON(). Then that is found when they are flushed; or, when btrees are changed before that, perhaps by
    something else that misses them.

    Leaves that were written meanwhile, with the newer versions, or stayed in memory miss nothing: then
    nothing is said, the tools find nothing, and it is tried again."""
    for _ in range(TRIES):
        wrong, found = under_the_mount_once(kind, goes_on)
        if wrong or found:
            return wrong
        common.clean()
    return [f'nothing was said, {TRIES} times']


def under_the_mount_once(kind, goes_on):
    """What is wrong, and whether anything was said about the keys that are gone."""
    files, log, wrong = used(kind), Log(), []
    with Beside() as other, Loop(files) as dev:
        # Nobody brings keys to their leaves without a need.
        with Limit(SECONDS), Written(dev.source, 'journal_reclaim_delay=100000') as fs:
            fs.perf('rand_insert', 2000)
            os.sync()
            print(f'# {lost_keys(files)} keys are gone from leaves')
            log.take()
            # The first times they are only marked as not used.
            for _ in range(4):
                drop_nodes()
            try:
                if goes_on:
                    fs.perf('rand_insert', 5000)
            except OSError:
                pass
            common.read_everything(common.MNT)
        said = own(log.take())
        for m in said:
            print(f'# {m}')
        wrong += other.differences()
        found = any(SIGN.search(m) for m in said)
        if not found:
            wrong += rw.fsck(dev.devices)
        elif not goes_on:
            if not any('BtreeKeyCacheCoherency' in m for m in said):
                wrong.append('no BtreeKeyCacheCoherency')
            reported(said, wrong)
    return wrong, found


def manifest_of_other():
    return common.manifest(OTHER)


CASES = {f'{kind}-{name}': (kind, header, keys)
         for kind in KINDS
         for name, header, keys in (('header', True, False), ('keys', False, True), ('both', True, True))}


def keep(to):
    for name, case in CASES.items():
        for f in build(*case):
            subprocess.check_call(['cp', '--sparse=always', f, f'{to}/{name}.{f.split(".")[-2]}.img'])
        common.clean()
        print(f'kept {name}', flush=True)


def look(there):
    log = Log()
    for name in CASES:
        files = sorted(glob.glob(f'{there}/{name}.*.img'))
        for f in files:
            subprocess.check_call(['cp', '--sparse=always', f, common.WORK])
        files = [os.path.join(common.WORK, os.path.basename(f)) for f in files]
        log.take()
        with Loop(files) as dev:
            try:
                with Limit(SECONDS):
                    mount(dev.source, 'degraded', flags=0)
            except (OSError, common.Late) as x:
                outcome = str(x)
            else:
                outcome = 'mounted'
                try:
                    with Limit(SECONDS):
                        with open(f'{common.MNT}/file', 'wb') as f:
                            f.write(b'x' * 1000000)
                            os.fsync(f.fileno())
                except (OSError, common.Late) as x:
                    outcome += f', writing: {x}'
                with Limit(SECONDS):
                    umount()
        print(f'{name}: {outcome}')
        for m in log.take():
            print(f'    {m}')
        sys.stdout.flush()
        common.clean()


def main():
    if sys.argv[1:2] == ['--keep']:
        return keep(sys.argv[2])
    if sys.argv[1:2] == ['--look']:
        return look(sys.argv[2])
    tap, log = Tap(), Log()
    tests = [(f'{name}: mounted read-write', damaged, *case) for name, case in CASES.items()]
    tests += [(f'{kind}: leaves change under the mount, {what}', under_the_mount, kind, goes_on)
              for kind in KINDS for what, goes_on in (('flushed', False), ('gone on with', True))]
    tests.append(('the module can be unloaded', sysfs.reload))
    tap.check_each(log, tests, SECONDS * 3)
    tap.done()


if __name__ == '__main__':
    main()
