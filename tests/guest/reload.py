#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
# guest: uml 300
# guest: uml-debug? 900 5
# guest: stock? 900
"""The module is inserted, filesystems are mounted and unmounted while another one is written to, and the
module is removed, again and again: nothing is left of it, no memory, no thread, no device that is held.

    reload.py [NUMBER]    so many times"""
import glob
import os
import shutil
import signal
import sys
import time

import common
import mutate
import rw
import sysfs
from common import Limit, Log, Loop, Skip, Tap, mount, umount

NUMBER, SECONDS, WRITERS = 20, 120, 2
# Mounted and unmounted beside the one that is written to: image, options, flags.
MOUNTS = (('v113-tree', '', 0), ('v113-snap', '', common.MS_RDONLY), ('v113-repl2', '', 0),
          ('v113-empty', 'fsck,fix_errors=yes', 0), ('v113-repl2', 'degraded', 0),
          ('v113-csum-none', 'nochanges', common.MS_RDONLY))
BUSY = 'v113-threedev'
# Objects by which a cache may be larger than before, whatever the number.
SLACK = 400


def write_files(root, nr):
    """Makes, writes, syncs and removes files until it is ended."""
    at = 0
    while True:
        path = f'{root}/{nr}-{at % 20}'
        with open(path, 'wb', buffering=0) as f:
            f.write(b'%d' % nr * (1 + at * 997 % 60000))
            if at % 9 == 0:
                os.fsync(f.fileno())
        if at % 3 == 0:
            os.rename(path, path + '.other')
            os.unlink(path + '.other')
        at += 1
        # Others have to get on, too.
        time.sleep(.003)


class Load:
    """Processes that write to a filesystem, for the length of a `with`."""

    def __init__(self, root):
        self.root, self.pids, self.wrong = root, [], []

    def __enter__(self):
        for nr in range(WRITERS):
            pid = os.fork()
            if pid == 0:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                try:
                    write_files(self.root, nr)
                finally:
                    os._exit(1)
            self.pids.append(pid)
        return self

    def __exit__(self, *_):
        for pid in self.pids:
            os.kill(pid, signal.SIGTERM)
            _, status = os.waitpid(pid, 0)
            if os.WTERMSIG(status) != signal.SIGTERM:
                self.wrong.append('a writer failed')


def threads():
    """Threads of the module."""
    found = []
    for path in glob.glob('/proc/[0-9]*/comm'):
        try:
            with open(path, encoding='ascii') as f:
                found.append(f.read().strip())
        except OSError:
            pass
    return [name for name in found if name.startswith(('bch', 'bcachefs'))]


def left():
    """Those that stay. One that was told to stop is listed a moment longer than who has stopped it waits."""
    for _ in range(100):
        found = threads()
        if not found:
            break
        time.sleep(.02)
    return found


def objects():
    """How many objects each cache of the kernel has that does not shrink when memory is needed."""
    with open('/proc/sys/vm/drop_caches', 'w', encoding='ascii') as f:
        f.write('3')
    with open('/proc/slabinfo', encoding='ascii') as f:
        lines = [x.split() for x in f if x[0] != '#' and not x.startswith('slabinfo')]
    return {x[0]: int(x[1]) for x in lines}


def once(images, nr):
    """One life of the module."""
    wrong, where, busy = [], common.MNT + '-busy', [mutate.copied(f) for f in images[BUSY]]
    with Loop(busy) as dev:
        mount(dev.source, where=where, flags=0)
        load = Load(where)
        with load:
            for at in range(3):
                name, options, flags = MOUNTS[(nr + at) % len(MOUNTS)]
                files = [mutate.copied(f) for f in images[name]]
                # A device that is missing.
                with Loop(files[:1] if options == 'degraded' else files) as other:
                    mount(other.source, options, flags=flags)
                    common.read_everything(common.MNT, most=100)
                    if not flags:
                        os.mkdir(f'{common.MNT}/made')
                        shutil.copyfile(__file__, f'{common.MNT}/made/file')
                    umount()
        umount(where)
        wrong += load.wrong
        if nr % 10 == 0:
            wrong += rw.fsck(dev.devices)
    remaining = left()
    if remaining:
        wrong.append(f'threads are left: {remaining}')
    return wrong + sysfs.reload()


def lives(number):
    if not os.path.isdir('/sys/module/bcachefs/holders'):
        raise Skip('bcachefs is no module')
    names = {n for n, _, _ in MOUNTS} | {BUSY}
    lacking = names - set(common.images())
    if lacking:
        raise Skip(f'no image {sorted(lacking)}')
    images = {n: common.unpack(n) for n in names}
    wrong, before, start, warm, log = [], {}, time.monotonic(), min(number // 2, 20), Log()
    for nr in range(number):
        if nr == warm and os.path.exists('/proc/slabinfo'):
            before = objects()
        log.take()
        with Limit(SECONDS):
            bad = once(images, nr)
        bad += common.complaints(log.take())
        wrong += [f'life {nr}: {b}' for b in bad]
        if len(wrong) > 20:
            break
    after = objects() if before else {}
    more = {n: after[n] - before.get(n, 0) for n in after if n in before}
    # Less than one object in two lives is chance.
    wrong += [f'{nr} objects more in {n}, in {number - warm} lives' for n, nr in more.items()
              if nr > max(SLACK, (number - warm) // 2)]
    largest = sorted(more.items(), key=lambda x: -x[1])[:4]
    print(f'# {number} lives in {time.monotonic() - start:.0f} s; grown most: {largest}')
    return wrong + mutate.leaks()


def main():
    number = int(sys.argv[1]) if len(sys.argv) > 1 else NUMBER
    mutate.not_leaks()
    tap = Tap()
    tap.check(f'{number} times inserted and removed', lives, number)
    tap.done()


if __name__ == '__main__':
    main()
