#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
# guest: uml 600 60
# guest: uml-debug 900 30
"""Random damage: thousands of mutated images are mounted, walked and read.

mutate.py [COUNT [SEED]] [--kinds KIND,...] [--first N] [--write]

Mutation N follows from SEED, the kinds and N alone; a failure prints all of them, and `--first N`
with a COUNT of 1 repeats it. Kinds are the names of KINDS below, or parts of names of images. Half
of the images of the default kind have no checksums, so that the damage reaches the validators. No
mount may hang, no kernel complaint may appear, an error must come with a message, and one about a
btree must say where in it. What can be read from an image with checksums is what was written.
With `--write` they are mounted read-write, and btrees changed before that.
"""
import argparse
import errno
import glob
import os
import random
import re
import shutil
import struct
import sys
import time

import common
import superblock
from common import Late, Limit, Log, Loop, Tap, mount, own, umount

COUNT, SEED, BATCH, SECONDS, QUIET_SECONDS = 2000, 1, 100, 60, 6
# Images by name without the version; one named twice is taken twice as often.
KINDS = {
    'default': ('csum-none', 'csum-none', 'tree', 'empty', 'snap', 'unclean-dirty', 'repl2'),
    'multi': ('repl2', 'threedev', 'ec'),
    'snap': ('snap', 'snapdel'),
    'data': ('comp-lz4', 'comp-gzip', 'comp-zstd', 'comp-bg', 'reflink', 'nocow'),
    'crypt': ('encrypted', 'encrypted-wide'),
}
EDGES = (0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0xffffffff, (1 << 63) - 1, (1 << 64) - 1)
# A message about a node or a key says where: btree name and position.
ABOUT_BTREE = re.compile(r'btree|\bnode\b|\bkey\b', re.I)
PLACE = re.compile(r'btree \w+|\w+ level \d|POS_MIN|SPOS_MAX|\d+:\d+(:\d+)?|U64_MAX|sector \d+|root')


class Image:
    """An image file with the places worth damaging, and a way back."""

    def __init__(self, name):
        self.name = name
        self.files = common.unpack(name)
        self.blocks = []
        for n, path in enumerate(self.files):
            with open(path, 'rb') as f:
                at = 0
                while b := f.read(4096):
                    if b.count(0) < len(b) - 16:
                        self.blocks.append((n, at))
                    at += 4096
        self.undo = []
        # Contents by path, for images where damage can not pass as data.
        self.sums = None

    def know_contents(self):
        self.sums = {}
        with Loop(self.files) as dev, common.Mounted(dev.source):
            common.read_everything(common.MNT, self.sums)

    def write(self, n, at, data):
        with open(self.files[n], 'r+b') as f:
            f.seek(at)
            self.undo.append((n, at, f.read(len(data))))
            f.seek(at)
            f.write(data)

    def read(self, n, at, length):
        with open(self.files[n], 'rb') as f:
            f.seek(at)
            return f.read(length)

    def restore(self):
        for n, at, data in reversed(self.undo):
            with open(self.files[n], 'r+b') as f:
                f.seek(at)
                f.write(data)
        self.undo = []

    def damage(self, rng):
        """One to three changes; says what they are."""
        done = []
        for _ in range(rng.choice((1, 1, 2, 3))):
            n, block = rng.choice(self.blocks)
            kind = rng.randrange(8)
            at = block + rng.randrange(4096)
            if kind < 2:
                self.write(n, at, bytes([self.read(n, at, 1)[0] ^ 1 << rng.randrange(8)]))
            elif kind < 5:
                size = rng.choice((1, 2, 4, 8))
                at -= at % size
                self.write(n, at, struct.pack('<Q', rng.choice(EDGES))[:size])
            elif kind == 5:
                self.write(n, block, bytes(4096))
            elif kind == 6:
                m, other = rng.choice(self.blocks)
                self.write(n, block, self.read(m, other, 4096))
            else:
                self.superblock(rng)
                done.append('superblock')
                continue
            done.append(f'{("bit", "bit", "field", "field", "field", "zero", "copy")[kind]} at {n}:{at}')
        return ', '.join(done)

    def superblock(self, rng):
        """One field of the superblock changes in all copies, which keep a right checksum."""
        for n, path in enumerate(self.files):
            with open(path, 'rb') as f:
                places = superblock.copies(f)
            state = rng.getstate()
            for sector in places:
                rng.setstate(state)
                with open(path, 'r+b') as f:
                    sb = superblock.Superblock(f, sector)
                    self.undo.append((n, sb.at, bytes(sb.b)))
                    size = rng.choice((1, 2, 4, 8))
                    at = rng.randrange(16, len(sb.b) - 8)
                    at -= at % size
                    sb.b[at:at + size] = struct.pack('<Q', rng.choice(EDGES))[:size]
                    sb.write()


def change():
    """Has btrees changed, which may fail."""
    for path in glob.glob('/sys/fs/bcachefs/*/perf_test'):
        for test in 'rand_insert 3000 2', 'rand_delete 2000 1', 'seq_insert 3000 1', 'seq_delete 3000 1':
            try:
                with open(path, 'w', encoding='ascii') as f:
                    f.write(test + '\n')
            except OSError:
                pass
    os.sync()


def one(image, source, sure, write):
    """Mounts and reads everything. Returns (outcome, errors, what is wrong). With `sure`, what can
    be read must be what the image has. With `write`, read-write, and with changes."""
    start = time.monotonic()
    try:
        with Limit(SECONDS):
            mount(source, flags=0 if write else common.MS_RDONLY)
    except Late:
        return 'late', [], ['mounting took too long']
    except OSError as x:
        return errno.errorcode[x.errno], [], []
    wrong, errors, sums = [], [], {}
    try:
        with Limit(SECONDS):
            if write:
                change()
            _, errors = common.read_everything(common.MNT, sums)
    except (Late, RuntimeError) as x:
        wrong.append(f'reading: {x} after {time.monotonic() - start:.0f} s')
    try:
        with Limit(SECONDS):
            umount()
    except (Late, OSError) as x:
        wrong.append(f'umount: {x}')
    if sure:
        wrong += [f'{path!r}: wrong data, and no error' for path, s in sums.items()
                  if image.sums.get(path, s) != s][:3]
        if not errors and len(sums) != len(image.sums):
            wrong.append(f'{len(sums)} files, expected {len(image.sums)}, and no error')
    return ('errors' if errors else 'clean'), errors, wrong


def images_of(kinds):
    """Names of the images of these kinds."""
    have = [n for n in common.images() if '-dmg-' not in n]
    names = []
    for kind in kinds.split(','):
        if kind in KINDS:
            names += [n for k in KINDS[kind] for n in have if re.fullmatch(r'v\d+-' + k, n)]
        else:
            names += [n for n in have if kind in n]
    return names


def main():
    p = argparse.ArgumentParser(usage='mutate.py [COUNT [SEED]] [--kinds KIND,...] [--first N] [--write]')
    p.add_argument('count', nargs='?', type=int, default=COUNT)
    p.add_argument('seed', nargs='?', type=int, default=SEED)
    p.add_argument('--kinds', default='default')
    p.add_argument('--first', type=int, default=0)
    p.add_argument('--write', action='store_true')
    args = p.parse_args()
    count, seed = args.count, args.seed
    tap, log = Tap(), Log()
    names = images_of(args.kinds) or (images_of('-') if args.kinds == 'default' else [])
    if args.write:
        names = [n for n in names if n.startswith('v113-')]
    images = {n: Image(n) for n in dict.fromkeys(names)}
    for name, image in images.items():
        # What has data checksums, and can be read without a key.
        if not re.search('none|nocow|dirty|encrypted|empty', name):
            try:
                image.know_contents()
            except OSError as x:
                image.sums = None
                print(f'# {name} can not be mounted undamaged: {x}')
    tap.result(bool(images), 'there are images', 'neither $IMAGES nor tests/golden holds one')
    outcomes, all_outcomes, wrong, start, heard = {}, {}, [], time.monotonic(), 0
    for nr in range(args.first, args.first + count if images else args.first):
        rng = random.Random(seed * 1000003 + nr)
        image = images[names[nr % len(names)]]
        what = image.damage(rng)
        log.take()
        files = [shutil.copy(f, f + '.written') for f in image.files] if args.write else image.files
        with Loop(files) as dev:
            sure = image.sums is not None and 'superblock' not in what
            outcome, errors, bad = one(image, dev.source, sure, args.write)
        image.restore()
        lines = log.take(range(6))
        said = own(lines)
        bad += common.complaints(lines)
        if said:
            heard = time.monotonic()
        # The kernel keeps back messages that come too fast.
        if outcome not in ('clean', 'late') and not said and time.monotonic() - heard > QUIET_SECONDS:
            bad.append(f'{outcome} without a message: {errors[:3]}')
        if outcome in ('EFAULT', 'ENOSYS', 'ENOMEM', 'EBUSY'):
            bad.append(f'{outcome} is no errno for damage')
        about = [x for x in said if ABOUT_BTREE.search(x) and 'keyring' not in x]
        if about and not any(PLACE.search(x) for x in about):
            bad.append(f'says no place: {about[0]}')
        wrong += [f'mutation {nr} of seed {seed}, kinds {args.kinds}, {image.name}, {what}: {b}' for b in bad]
        for o in outcomes, all_outcomes:
            o[outcome] = o.get(outcome, 0) + 1
        done = nr + 1 - args.first
        if done % BATCH == 0 or done == count:
            tap.result(not wrong, f'{done} mutations, seed {seed} ({outcomes})', wrong[:10])
            wrong, outcomes = [], {}
    print(f'# {count} mutations of {args.kinds} in {time.monotonic() - start:.0f} s: {all_outcomes}')
    tap.done()


if __name__ == '__main__':
    main()
