#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
# guest: uml 300
# guest: uml-debug? 900 72 16000
# guest: stock? 600
"""Memory is short: another process takes all but a little, and keeps it, while many files are made, read,
changed and removed. The kernel wants back what btree nodes and cached keys take, and gets it; nobody is killed,
no call fails, and all that was written is there, also after another mount with as little memory.

    pressure.py [MIB [FILES [SEED]]]    MIB are left"""
import os
import random
import signal
import sys
import time

import common
import counters
from common import Log, Loop, Tap, mount, umount
from packaged import formatted
from rw import fsck

SIZE, LEFT, FILES, SEED = 320, 40, 16000, 1
DIRECTORIES, LARGEST, MIB = 40, 12000, 1 << 20
SQUEEZE = 'import sys, time; m = bytearray(int(sys.argv[1])); m[::4096] = b"x" * len(m[::4096]); ' \
          'print("here", flush=True); time.sleep(3600)'
KILLED = 'Out of memory', 'oom-kill', 'page allocation failure'
log = Log()


def available():
    """Bytes of memory that could be had."""
    with open('/proc/meminfo', encoding='ascii') as f:
        found = dict(line.split(':') for line in f)
    return int(found['MemAvailable'].split()[0]) << 10


class Squeezed:
    """All memory but so much is taken for the length of the `with`. Whoever is killed for it is the one who has
    taken it; then the memory was not enough."""

    def __init__(self, left):
        self.left, self.pids = left, []

    def take(self, size):
        """A process that has so many bytes."""
        r, w = os.pipe()
        pid = os.fork()
        if not pid:
            try:
                with open('/proc/self/oom_score_adj', 'w', encoding='ascii') as f:
                    f.write('1000')
                os.dup2(w, 1)
                os.execv(sys.executable, [sys.executable, '-c', SQUEEZE, str(size)])
            finally:
                os._exit(1)
        os.close(w)
        with open(r, 'rb') as f:
            said = f.readline()
        self.pids.append(pid)
        if said != b'here\n':
            raise RuntimeError(f'{size} bytes could not be taken')

    def __enter__(self):
        # What it takes itself to take some is seen only afterwards.
        while available() > self.left + 4 * MIB:
            more = available() - self.left
            self.take(max(2 * MIB, more * 3 // 4 - 8 * MIB))
        print(f'# {available() >> 20} MiB are left, {len(self.pids)} processes have the others', flush=True)
        return self

    def lost(self):
        """How many of them were killed."""
        return sum(os.waitpid(p, os.WNOHANG)[0] != 0 for p in self.pids)

    def __exit__(self, *_):
        for pid in self.pids:
            try:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            except (ProcessLookupError, ChildProcessError):
                pass


class Files:
    """Files, and what is in them: as many bytes as a number says, of a sequence that another one says."""

    def __init__(self, r):
        self.r, self.there = r, {}
        for d in range(DIRECTORIES):
            os.mkdir(f'{common.MNT}/d{d}')

    def write(self, nr):
        seed, size = self.r.randrange(1 << 32), self.r.randrange(LARGEST)
        with open(self.path(nr), 'wb') as f:
            f.write(self.contents(seed, size))
        self.there[nr] = seed, size

    def remove(self, nr):
        os.unlink(self.path(nr))
        del self.there[nr]

    @staticmethod
    def path(nr):
        return f'{common.MNT}/d{nr % DIRECTORIES}/{"n" * 80}{nr}'

    @staticmethod
    def contents(seed, size):
        piece = seed.to_bytes(4, 'little') + (seed ^ size).to_bytes(4, 'big')
        return (piece * (size // 8 + 1))[:size]

    def differ(self, share=1):
        """What is not as it should be, of one in `share` files; and of the directories."""
        wrong = []
        for nr, (seed, size) in self.there.items():
            if self.r.randrange(share):
                continue
            with open(self.path(nr), 'rb') as f:
                if f.read() != self.contents(seed, size):
                    wrong.append(f'file {nr} is not as it was written')
        names = sum(len(os.listdir(f'{common.MNT}/d{d}')) for d in range(DIRECTORIES))
        if names != len(self.there):
            wrong.append(f'{names} names, {len(self.there)} files')
        return wrong[:5]


def with_little(left, nr_files, seed):
    r, wrong, shown = random.Random(seed), [], {}
    images = [f'{common.WORK}/pressure.img']
    with open(images[0], 'wb') as f:
        # It may be in memory, all of it then before that is short.
        os.posix_fallocate(f.fileno(), 0, SIZE * MIB)
    with Loop(images) as dev:
        formatted(dev.source)
    with Loop(images) as dev:
        with Squeezed(left) as squeezed:
            mount(dev.source, flags=0)
            try:
                files = Files(r)
                for nr in range(nr_files):
                    files.write(nr)
                wrong += files.differ(4)
                for nr in r.sample(sorted(files.there), nr_files // 2):
                    if r.randrange(2):
                        files.remove(nr)
                    else:
                        files.write(nr)
                os.sync()
                wrong += files.differ()
                counted = counters.counted()
                shown = {n: int(counted[n]) for n in ('btree_cache_scan', 'btree_cache_reap', 'btree_node_read')}
                print(f'# {available() >> 20} MiB are left, {shown}', flush=True)
            finally:
                start = time.monotonic()
                umount()
                print(f'# unmounted in {time.monotonic() - start:.1f} s', flush=True)
            mount(dev.source, flags=0)
            try:
                wrong += files.differ()
                reads = counters.counted()['btree_node_read']
            finally:
                umount()
            if squeezed.lost():
                wrong.append(f'{left >> 20} MiB were not enough')
        # The tools need more.
        wrong += fsck(dev.devices)
    wrong += [x for x in log.take() if any(k in x for k in KILLED)]
    if not all(shown.values()) or not reads:
        wrong.append(f'the kernel wanted nothing back: {shown}, {reads}')
    return wrong


def main():
    args = [int(x) for x in sys.argv[1:]]
    left, nr_files, seed = args + [LEFT, FILES, SEED][len(args):]
    tap = Tap()
    tap.check_each(log, ((f'{nr_files} files with {left} MiB', with_little, left * MIB, nr_files, seed),), 400)
    tap.done()


if __name__ == '__main__':
    sys.exit(main())
