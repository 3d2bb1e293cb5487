#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
# guest: uml 600 60
# guest: uml-debug 900 30
"""Random damage: thousands of mutated images are mounted, walked and read.

mutate.py [COUNT [SEED]] [--kinds KIND,...] [--first N] [--write] [--seconds S]

Mutation N follows from SEED, the kinds and N alone; a failure prints all of them, and `--first N`
with a COUNT of 1 repeats it. Kinds are the names of KINDS below, or parts of names of images. Half
of the images of the default kind have no checksums, so that the damage reaches the validators. No
mount may hang, no kernel complaint may appear, an error must come with a message, and one about a
btree must say where in it. What can be read from an image with checksums is what was written.
With `--write` they are mounted read-write, and btrees and files changed; of one in FSCK_EACH, the tools'
fsck must not find more afterwards than before. `--seconds S` ends it after S seconds.
"""
import argparse
import contextlib
import errno
import glob
import os
import random
import re
import struct
import subprocess
import time

import common
import packaged
import rw
import superblock
from common import Late, Limit, Log, Loop, Tap, mount, own, umount

COUNT, SEED, BATCH, SECONDS, QUIET_SECONDS = 2000, 1, 100, 60, 6
# How often the tools look at what was written.
FSCK_EACH = 20
KMEMLEAK = '/sys/kernel/debug/kmemleak'
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
NO_BTREE = re.compile("keyring|filesystem's key|devices of btree")
PLACE = re.compile(r'btree \w+|\w+ level \d|POS_MIN|SPOS_MAX|\d+:\d+(:\d+)?|U64_MAX|sector \d+|root')


class Spent:
    """Where the time goes, in seconds by what it goes for: `with spent('mount'):`."""

    def __init__(self):
        self.seconds = {}

    @contextlib.contextmanager
    def __call__(self, what):
        start = time.monotonic()
        try:
            yield
        finally:
            self.seconds[what] = self.seconds.get(what, 0) + time.monotonic() - start

    def __str__(self):
        return ', '.join(f'{what} {s:.0f} s' for what, s in self.seconds.items())


spent = Spent()


class Image:
    """An image file with the places worth damaging, and a way back."""

    def __init__(self, name):
        self.name = name
        self.files = common.unpack(name)
        # The key of an encrypted one is there.
        rw.unlocked(name, self.files)
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


def copied(path):
    """A copy of an image, of what is not a hole in it."""
    to = path + '.written'
    with open(path, 'rb', buffering=0) as a, open(to, 'wb', buffering=0) as b:
        size = os.fstat(a.fileno()).st_size
        b.truncate(size)
        end = 0
        while True:
            try:
                at = os.lseek(a.fileno(), end, os.SEEK_DATA)
            except OSError:
                return to
            end = os.lseek(a.fileno(), at, os.SEEK_HOLE)
            while at < end:
                at += os.pwrite(b.fileno(), os.pread(a.fileno(), min(end - at, 1 << 20), at), at)


def change_btrees():
    for path in glob.glob('/sys/fs/bcachefs/*/perf_test'):
        for test in 'rand_insert 300 2', 'rand_delete 200 1', 'seq_insert 300 1', 'seq_delete 300 1':
            try:
                with open(path, 'w', encoding='ascii') as f:
                    f.write(test + '\n')
            except OSError:
                pass


def change_files(rng, root):
    """Has names and files changed, those that are there and new ones: about thirty operations."""
    paths, directories = [], [root]
    for top in directories:
        try:
            entries = list(os.scandir(top))
        except OSError:
            continue
        paths += [e.path for e in entries]
        directories += [e.path for e in entries if e.is_dir(follow_symlinks=False)]
        if len(paths) > 300:
            break

    def new():
        return os.path.join(rng.choice(directories), f'new{rng.randrange(1000)}')

    def written():
        path = rng.choice(paths) if paths and rng.randrange(2) else new()
        if os.path.lexists(path) and not os.path.isfile(path):
            return
        with open(path, 'r+b' if os.path.exists(path) else 'wb', buffering=0) as f:
            f.seek(rng.choice((0, 0, 512, 4095, 65536)))
            f.write(rng.randbytes(rng.choice((1, 4096, 30000))))
            if rng.randrange(3) == 0:
                os.fsync(f.fileno())
            if rng.randrange(3) == 0:
                f.truncate(rng.choice((0, 1, 5000, 1 << 20)))

    def old():
        return rng.choice(paths or [new()])

    operations = (written, written, lambda: os.mkdir(new()), lambda: os.rename(old(), new()),
                  lambda: os.rename(old(), old()), lambda: os.unlink(old()), lambda: os.link(old(), new()),
                  lambda: os.symlink('x' * rng.randrange(1, 100), new()), lambda: os.chmod(old(), 0o700),
                  lambda: os.setxattr(old(), 'user.new', rng.randbytes(50)), lambda: os.rmdir(old()))
    for _ in range(30):
        try:
            rng.choice(operations)()
        except OSError:
            pass


def change(rng=random, root=common.MNT):
    """Has btrees and files changed, which may fail."""
    with spent('btrees'):
        change_btrees()
    with spent('files'):
        change_files(rng, root)
    with spent('sync'):
        os.sync()


def findings(devices):
    """How many things the tools' fsck finds wrong; None when it does not get to an end."""
    try:
        with spent('fsck'):
            status, out = packaged.tool('fsck', '-n', *devices)
    except packaged.Unwell:
        return None
    if status not in (0, 1, 4, 5) or 'exiting' in out or 'shutting down' in out:
        return None
    # It takes the root of a subvolume that was renamed as it was before, in a snapshot above, for lost: also when
    # 6.12 has renamed it.
    reports = re.findall(r'inode points to missing dirent\ninum:.*?not fixing', out, re.S)
    old = [r for r in reports if 'flags=has_child_snapshot' in r and not re.search(r'^  bi_subvol=0$', r, re.M)]
    return out.count('not fixing') - len(old)


def not_leaks():
    """To be called first. In User Mode Linux kmemleak does not look into the kernel's .bss, and takes what is
    only known there for lost: such as the text of /proc/filesystems, which the first to read it after a
    filesystem was registered allocates. That is to be somebody whom leaks() leaves out."""
    subprocess.run(['bash', '-c', 'read -r < /proc/filesystems'], check=False)


def leaks():
    """What kmemleak says, where the kernel has that, besides what was allocated in booting and in inserting
    the module. User Mode Linux does not say by what function."""
    def tell(command):
        with open(KMEMLEAK, 'w', encoding='ascii') as f:
            f.write(command)

    if not os.path.exists(KMEMLEAK):
        return []
    # It passes over what is younger than five seconds, and what it has not seen before.
    time.sleep(6)
    tell('scan')
    tell('scan')
    with open(KMEMLEAK, encoding='ascii') as f:
        found = f.read()
    tell('clear')
    early = re.compile('comm "(modprobe|insmod|swapper|init|bash)')
    return [x for x in found.split('unreferenced object') if x.strip() and not early.search(x)]


def one(image, source, sure, write, rng):
    """Mounts and reads everything. Returns (outcome, errors, what is wrong). With `sure`, what can
    be read must be what the image has. With `write`, read-write, and with changes."""
    start = time.monotonic()
    try:
        with Limit(SECONDS), spent('mount'):
            mount(source, flags=0 if write else common.MS_RDONLY)
    except Late:
        return 'late', [], ['mounting took too long']
    except OSError as x:
        return errno.errorcode[x.errno], [], []
    wrong, errors, sums = [], [], {}
    try:
        with Limit(SECONDS):
            if write:
                change(rng)
            with spent('read'):
                _, errors = common.read_everything(common.MNT, sums, 100 if write else None)
    except (Late, RuntimeError) as x:
        wrong.append(f'reading: {x} after {time.monotonic() - start:.0f} s')
    try:
        with Limit(SECONDS), spent('umount'):
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
    p = argparse.ArgumentParser(
        usage='mutate.py [COUNT [SEED]] [--kinds KIND,...] [--first N] [--write] [--seconds S]')
    p.add_argument('count', nargs='?', type=int, default=COUNT)
    p.add_argument('seed', nargs='?', type=int, default=SEED)
    p.add_argument('--kinds', default='default')
    p.add_argument('--first', type=int, default=0)
    p.add_argument('--write', action='store_true')
    p.add_argument('--seconds', type=float, default=float('inf'))
    args = p.parse_args()
    count, seed = args.count, args.seed
    not_leaks()
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
        with spent('damage'):
            what = image.damage(rng)
            files = [copied(f) for f in image.files] if args.write else image.files
        log.take()
        with Loop(files) as dev:
            sure = image.sums is not None and 'superblock' not in what and not args.write
            judged = args.write and nr % FSCK_EACH == 0
            before = findings(dev.devices) if judged else None
            outcome, errors, bad = one(image, dev.source, sure, args.write, rng)
            if before is not None and not bad:
                after = findings(dev.devices)
                if after is None or after > before:
                    bad.append(f'{outcome}: fsck -n finds {after}, and before {before}')
        image.restore()
        lines = log.take(range(6))
        said = own(lines)
        bad += common.complaints(lines)
        if 'csum-none' in image.name:
            # A name that is another one now is listed, but not where its hash leads to.
            errors = [(path, e) for path, e in errors if e != errno.ENOENT]
            outcome = 'clean' if outcome == 'errors' and not errors else outcome
        if said:
            heard = time.monotonic()
        # The kernel keeps back messages that come too fast.
        if outcome not in ('clean', 'late') and not said and time.monotonic() - heard > QUIET_SECONDS:
            bad.append(f'{outcome} without a message: {errors[:3]}')
        if outcome in ('EFAULT', 'ENOSYS', 'ENOMEM', 'EBUSY'):
            bad.append(f'{outcome} is no errno for damage')
        about = [x for x in said if ABOUT_BTREE.search(x) and not NO_BTREE.search(x)]
        if about and not any(PLACE.search(x) for x in about):
            bad.append(f'says no place: {about[0]}')
        wrong += [f'mutation {nr} of seed {seed}, kinds {args.kinds}, {image.name}, {what}: {b}' for b in bad]
        for o in outcomes, all_outcomes:
            o[outcome] = o.get(outcome, 0) + 1
        done = nr + 1 - args.first
        late = time.monotonic() - start > args.seconds
        if done % BATCH == 0 or done == count or late:
            with spent('kmemleak'):
                wrong += leaks()
            tap.result(not wrong, f'{done} mutations, seed {seed} ({outcomes})', wrong[:10])
            wrong, outcomes = [], {}
            if late:
                break
    print(f'# {sum(all_outcomes.values())} mutations of {args.kinds} in {time.monotonic() - start:.0f} s: '
          f'{all_outcomes}; {spent}')
    tap.done()


if __name__ == '__main__':
    main()
