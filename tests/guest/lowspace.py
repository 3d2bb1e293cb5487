#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
# guest: uml 300
# guest: uml-debug? 900
# guest: stock? 600
"""A filesystem that is filled with keys: what has no space any more says so, soon; the filesystem goes on
afterwards, is unmounted cleanly, and the packaged fsck has nothing to say.

    lowspace.py [NAME]...    the images, of those in tests/golden that have no manifest"""
import errno
import os
import sys
import time

import common
import engine
import rw
from common import Log, Loop, Tap, mount, own, umount

IMAGES = ('engine-unequal', 'engine-small')
# More keys than there is space for.
MANY = int(os.environ.get("MANY", 2000000))
SECONDS = 250


def unpack(name):
    """Images without a manifest."""
    out = []
    for d in common.GOLDEN:
        for f in sorted(os.listdir(d)):
            if f.startswith(name + '.') and f.endswith('.img.zst'):
                to = os.path.join(common.WORK, f[:-len('.zst')])
                common.subprocess.check_call(['zstd', '-qdf', '--sparse', os.path.join(d, f), '-o', to])
                os.chmod(to, 0o600)
                out.append(to)
        if out:
            return out
    raise common.Skip('no such image')


def bench(test, number):
    """Runs a benchmark; the errno it ends with, 0 for none."""
    try:
        with open(f'{engine.sysfs()}/perf_test', 'w', encoding='ascii') as f:
            f.write(f'{test} {number} 1\n')
    except OSError as x:
        return x.errno
    return 0


def filled(name):
    log, wrong = Log(), []
    with Loop(unpack(name)) as dev:
        mount(dev.source, flags=0)
        try:
            for test, number in (('rand_insert', MANY), ('seq_insert', MANY), ('rand_insert', 1000)):
                start = time.monotonic()
                e = bench(test, number)
                took = time.monotonic() - start
                print(f'# {name}: {test} {number}: {errno.errorcode.get(e, e)}, {took:.1f} s', flush=True)
                if e not in (0, errno.ENOSPC) or number == MANY and not e:
                    wrong.append(f'{test} {number}: {errno.errorcode.get(e, e)}')
            # What is there is there, and can be read.
            if bench('rand_lookup', 1000):
                wrong.append('rand_lookup fails')
            os.sync()
        finally:
            start = time.monotonic()
            umount()
            print(f'# {name}: unmounted in {time.monotonic() - start:.1f} s', flush=True)
        lines = own(log.take())
        if not any('shut down cleanly' in x and 'not shut down' not in x for x in lines):
            wrong += ['not shut down cleanly'] + lines[-20:]
        mount(dev.source, flags=0)
        try:
            # Takes everything away that the others left: there is space in reserve for that. Then
            # there is space again.
            for test, number in (('seq_delete', MANY), ('rand_insert', 1000), ('seq_delete', MANY)):
                e = bench(test, number)
                print(f'# {name}: {test} {number}: {errno.errorcode.get(e, e)}', flush=True)
                if e:
                    wrong.append(f'{test} {number}: {errno.errorcode.get(e, e)}')
            # The tools want some buckets, too, and can not discard any.
            os.sync()
            time.sleep(2.5)
        finally:
            umount()
        wrong += rw.fsck(dev.devices)
    return wrong


def main():
    tap, log = Tap(), Log()
    names = sys.argv[1:] or IMAGES
    tap.check_each(log, [(f'{name}: filled', filled, name) for name in names], SECONDS)
    tap.done()


if __name__ == '__main__':
    main()
