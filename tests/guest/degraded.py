#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
# guest: uml 600
# guest: uml-debug? 900
# guest: stock? 600
"""One of three devices is missing, after a crash or not: with one or two copies of metadata and of data,
mounted with each option, to be read and to be written. The mount is refused with a message, or works: then
files are as they were or can not be read, and what is written is there when all devices are back. Nobody
waits for the device that is missing."""
import errno
import hashlib
import itertools
import os
import shutil
import time

import common
import first
import founding
import rw
from common import Limit, Log, Loop, Tap, mount, own, umount

FORMAT = '--block_size=512 --bucket=64k --btree_node_size=16k DEV DEV DEV'
# Copies of metadata and of data.
KINDS = (1, 1), (2, 1), (2, 2)
OPTIONS = ('', 'degraded', 'very_degraded', 'degraded,fsck,fix_errors=yes', 'very_degraded,errors=continue')
# What a mount, and what is done then, may take; all of a test.
SECONDS, TEST_SECONDS = 15, 200
REFUSALS = (errno.EROFS, errno.EUCLEAN, errno.EIO, errno.ENXIO)
FILES, MOST = 60, 200_000


def contents(nr):
    return hashlib.sha256(b'%d' % nr).digest() * (1 + nr * 3371 % MOST // 32)


def made(metadata, data, crashed):
    """The files of a filesystem with something in it."""
    kind = f'{metadata}-{data}'
    first.KINDS[kind] = ((48, 48, 48), f'--metadata_replicas={metadata} --data_replicas={data} {FORMAT}')
    files = first.make(kind)
    with Loop(files) as dev, founding.Written(dev.source) as fs:
        for nr in range(FILES):
            with open(f'{common.MNT}/{nr}', 'wb') as f:
                f.write(contents(nr))
        os.sync()
        fs.perf('rand_insert', 1000)
        if crashed:
            fs.stop()
    return files


def copied(files):
    """Other files with the same in them."""
    to = [f.replace('/new-', '/copy-') for f in files]
    for a, b in zip(files, to):
        with open(a, 'rb') as f, open(b, 'wb') as g:
            shutil.copyfileobj(f, g, 1 << 20)
    return to


def files_are_wrong(whole, gone_too=False):
    """What is wrong: when not all has to be there, what can not be read is not, nor, with `gone_too`, what is
    not known any more."""
    wrong, may = [], (errno.EIO, errno.EUCLEAN) + (errno.ENOENT,) * gone_too
    for nr in range(FILES):
        try:
            with open(f'{common.MNT}/{nr}', 'rb') as f:
                if f.read() != contents(nr):
                    wrong.append(f'{nr} has changed')
        except OSError as x:
            if whole or x.errno not in may:
                wrong.append(f'{nr}: {x}')
    return wrong[:5]


def written():
    """Writes something, and says whether that is safe."""
    try:
        with open(f'{common.MNT}/new', 'wb') as f:
            f.write(contents(FILES))
            f.flush()
            os.fsync(f.fileno())
        return True
    except OSError as x:
        if x.errno not in (errno.EROFS, errno.EIO, errno.ENOSPC):
            raise
        return False


def one(files, missing, option, flags, whole, crashed):
    """A mount without a device: the outcome, and what is wrong."""
    some, log, wrong = files[:missing] + files[missing + 1:], Log(), []
    # That option goes without journal entries that are missing, and shows what was before.
    gone_too = crashed and 'errors=continue' in option
    outcome, start = 'works', time.monotonic()
    with Loop(some) as dev:
        try:
            with Limit(SECONDS):
                mount(dev.source, option, flags=flags)
        except OSError as x:
            outcome = errno.errorcode[x.errno]
            if x.errno not in REFUSALS:
                wrong.append(f'{x} is no errno for it')
            if not own(log.take()):
                wrong.append('nothing was said')
        else:
            with Limit(SECONDS):
                wrong += files_are_wrong(whole, gone_too)
                if not flags:
                    outcome += ', writes' if written() else ', does not write'
                umount()
            if not option:
                wrong.append('mounted without being asked to')
    if time.monotonic() - start > SECONDS:
        wrong.append(f'took {time.monotonic() - start:.0f} s')
    return outcome, wrong


def all_back(files, new):
    """All devices are there again."""
    with Loop(files) as dev, Limit(SECONDS * 2):
        mount(dev.source, flags=0)
        wrong = files_are_wrong(True)
        if new:
            with open(f'{common.MNT}/new', 'rb') as f:
                if f.read() != contents(FILES):
                    wrong.append('what was written is not there')
        umount()
        return wrong + rw.fsck(dev.devices)


def degraded(metadata, data, crashed):
    wrong, base = [], made(metadata, data, crashed)
    twice = (metadata, data) == (2, 2)
    for missing, option, flags in itertools.product(range(3), OPTIONS, (common.MS_RDONLY, 0)):
        # Refused because of what the superblock says, whatever is to come then.
        if not twice and 'very' not in option and flags == 0:
            continue
        what = f'without {missing}, -o {option or "defaults"}, {"read" if flags else "write"}'
        files = copied(base)
        outcome, bad = one(files, missing, option, flags, data == 2, crashed and metadata == 1)
        print(f'# {what}: {outcome}', flush=True)
        if twice and option and not outcome.startswith('works'):
            bad.append(f'{outcome}, and nothing was missing')
        # A check that goes without what is missing may lose it.
        if twice and missing == 0 and flags == 0:
            bad += all_back(files, 'writes' in outcome and 'not' not in outcome)
        wrong += [f'{what}: {x}' for x in bad]
    return wrong


def main():
    tap, log = Tap(), Log()
    tests = [(f'{metadata} copies of metadata, {data} of data{", after a crash" if crashed else ""}',
              degraded, metadata, data, crashed)
             for (metadata, data), crashed in itertools.product(KINDS, (False, True)) if crashed or data == 2]
    tap.check_each(log, tests, TEST_SECONDS)
    tap.done()


if __name__ == '__main__':
    main()
