#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
# guest: uml 300
# guest: uml-debug? 900
# guest: stock? 600
"""A filesystem is filled until there is no space, by large files, by small ones and by what a snapshot keeps,
written over in small pieces all over, and emptied, again and again. Who is told that his data has a place
finds it; nothing waits for ever; the space comes back, and the packaged fsck has nothing to say. ROUNDS makes
it longer, SEED another.

    fulldisk.py [KIND]...    of those of first.py"""
import errno
import os
import random
import sys
import time

import common
import first
import rw
from common import Log, Loop, Tap, mount, own, umount
from subvolumes import destroy, subvolume, wait_until

ROUNDS = int(os.environ.get('ROUNDS', 1))
SEED = int(os.environ.get('SEED', 1))
SECONDS = 250 + 60 * ROUNDS
KINDS = 'default', 'three'
BLOCK, LARGE = 4096, 1 << 20
SNAPSHOT = 1


def left():
    s = os.statvfs(common.MNT)
    return s.f_bavail * s.f_frsize


class Files:
    """Files and what should be in them."""

    def __init__(self, top, r):
        self.top, self.r, self.data, self.wrong = top, r, {}, []

    def bytes(self, n):
        """Some of it repeats itself."""
        piece = self.r.randbytes(min(n, 512))
        return (piece * (n // len(piece) + 1))[:n]

    def write(self, name, at, data, sync=False):
        """Says whether there was space."""
        path, done = f'{self.top}/{name}', 0
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT)
        except OSError as x:
            return self.no_space(x, name)
        is_there = self.data.setdefault(name, bytearray())
        try:
            while done < len(data):
                done += os.pwrite(fd, data[done:], at + done)
            if sync:
                self.sync(fd, name)
            return True
        except OSError as x:
            return self.no_space(x, name)
        finally:
            os.close(fd)
            end = at + done
            if done and len(is_there) < end:
                is_there.extend(bytes(end - len(is_there)))
            is_there[at:end] = data[:done]

    def sync(self, fd, name):
        """What was taken has a place."""
        try:
            os.fsync(fd)
        except OSError as x:
            self.wrong.append(f'fsync {name}: {x}')

    def no_space(self, x, name):
        if x.errno != errno.ENOSPC:
            self.wrong.append(f'{name}: {x}')
        return False

    def remove(self, name):
        os.unlink(f'{self.top}/{name}')
        del self.data[name]

    def check(self, what):
        os.sync()
        with open('/proc/sys/vm/drop_caches', 'w', encoding='ascii') as f:
            f.write('3')
        for name, data in self.data.items():
            with open(f'{self.top}/{name}', 'rb') as f:
                found = f.read()
            if found != data:
                at = next((i for i, (a, b) in enumerate(zip(found, data)) if a != b), min(len(found), len(data)))
                self.wrong.append(f'{what}: {name}: {len(found)} bytes of {len(data)}, different at {at}')

    def fill(self, kind, size):
        """Files until there is no space; how many."""
        for nr in range(100000):
            if not self.write(f'{kind}{nr}', 0, self.bytes(size() or 1)):
                return nr
        raise RuntimeError('no end')

    def overwrite(self, nr):
        """Small pieces all over the large ones; how many had space."""
        large, had = [n for n, d in self.data.items() if len(d) >= 2 * BLOCK], 0
        for i in range(nr if large else 0):
            name = self.r.choice(large)
            at = self.r.randrange(len(self.data[name]) // BLOCK) * BLOCK
            n = min(BLOCK * self.r.randrange(1, 4), len(self.data[name]) - at)
            had += self.write(name, at, self.bytes(n), sync=i % 50 == 49)
        return had


def one_round(files, r, nr, least):
    """Says how much is left after it, which should not be less than `least`."""
    at_first = left()
    large = files.fill('large', lambda: LARGE)
    files.check('large')
    # Whole buckets are free now, and later everything is used in part.
    for name in [n for n in files.data if r.randrange(8) == 0]:
        files.remove(name)
    over = files.overwrite(1500)
    files.check('written over')
    for name in [n for n in files.data if r.randrange(2)]:
        files.remove(name)
    small = files.fill('small', lambda: r.randrange(20000))
    over += files.overwrite(500)
    files.check('small')
    for name in [n for n in files.data if r.randrange(3) == 0]:
        files.remove(name)
    subvolume(f'{common.MNT}/snap', files.top, SNAPSHOT)
    kept = {name: bytes(data) for name, data in files.data.items()}
    above = files.overwrite(2000)
    files.check('with a snapshot')
    snap = Files(f'{common.MNT}/snap', r)
    snap.data = kept
    snap.check('the snapshot')
    files.wrong += snap.wrong
    destroy(f'{common.MNT}/snap')
    for name in list(files.data):
        files.remove(name)
    os.sync()
    least = least or at_first * 0.95
    if not wait_until(lambda: left() > least, 60):
        files.wrong.append(f'round {nr}: {left() >> 10} KiB are left, and not {int(least) >> 10}')
    print(
        f'# round {nr}: {large} large files, {small} small ones, written over {over} and {above}; '
        f'{left() >> 10} KiB are left of {at_first >> 10}',
        flush=True,
    )
    return left()


def counters():
    top = [d for d in os.listdir('/sys/fs/bcachefs') if os.path.isdir(f'/sys/fs/bcachefs/{d}/counters')]
    found = {}
    for name in 'copygc', 'evacuate_bucket', 'data_update_key', 'data_update_key_fail':
        with open(f'/sys/fs/bcachefs/{top[0]}/counters/{name}', encoding='ascii') as f:
            found[name] = f.read().split('\n')[0]
    return found


def filled(kind):
    log, r = Log(), random.Random(SEED)
    with Loop(first.make(kind)) as dev:
        mount(dev.source, flags=0)
        top = f'{common.MNT}/files'
        subvolume(top)
        files = Files(top, r)
        try:
            # It comes back to what it was after the first round, but for some nodes that are not full.
            least = 0
            for nr in range(ROUNDS):
                now = one_round(files, r, nr, least)
                least = least or now * 0.97
            print(f'# {kind}: {counters()}', flush=True)
        finally:
            start = time.monotonic()
            umount()
            print(f'# {kind}: unmounted in {time.monotonic() - start:.1f} s', flush=True)
        lines = own(log.take())
        files.wrong += [x for x in lines if 'are lost' in x or 'writing back' in x]
        if not any('shut down cleanly' in x and 'not shut down' not in x for x in lines):
            files.wrong += ['not shut down cleanly'] + lines[-20:]
        return files.wrong[:20] + rw.fsck(dev.devices)


def main():
    tap, log = Tap(), Log()
    kinds = sys.argv[1:] or KINDS
    tap.check_each(log, [(f'{kind}: filled and emptied', filled, kind) for kind in kinds], SECONDS)
    tap.done()


if __name__ == '__main__':
    main()
