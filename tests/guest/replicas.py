#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
# guest: uml 400
# guest: uml-debug? 600
# guest: stock? 900
"""Filesystems on several devices: without one of them, with noise on one of them, in any order; and
proof that nothing is written to a device, whatever state the filesystem is in."""
import errno
import hashlib
import os
import re
import subprocess

import common
import manifest
import stripes
import superblock
from common import Limit, Log, Loop, Mounted, Tap, mount, own, umount

SECONDS = 120
SECTOR, BLOCK, PIECE = 512, 4096, 1 << 20
# Images with two copies of everything, as copies or by erasure coding.
TWICE = re.compile(r'v\d+-(repl2|ec)$')
UNCLEAN = re.compile(r'v\d+-unclean|v\d+-dmgbase')
# Stripes of an image that are given a second block of parity.
STRIPES = 3
OPTIONS = ('', 'norecovery', 'nochanges', 'errors=continue', 'degraded')
# A slow guest takes one image of each kind, and not every device.
FEW = os.environ.get('KIND') == 'stock'

tap, log = Tap(), Log()


def chosen(pattern):
    names = [n for n in common.images() if pattern.search(n)]
    if not FEW:
        return names
    kinds = {}
    for n in names:
        kinds.setdefault(n.split('-', 1)[1], n)
    return sorted(kinds.values())


def numbers(files):
    return range(len(files))[:2] if FEW else range(len(files))


def in_use(f):
    """Pieces of a sparse file that are not holes: (start, length)."""
    at = 0
    while True:
        try:
            start = os.lseek(f, at, os.SEEK_DATA)
        except OSError as x:
            if x.errno == errno.ENXIO:
                return
            raise
        at = os.lseek(f, start, os.SEEK_HOLE)
        for piece in range(start, at, PIECE):
            yield piece, min(PIECE, at - piece)


def digest(files):
    """A hash of all that is in the files, and where it is."""
    h = hashlib.sha256()
    for name in files:
        f = os.open(name, os.O_RDONLY)
        try:
            for at, length in in_use(f):
                data = os.pread(f, length, at)
                # A hole that was read through a loop device may have become zeroes.
                if data.strip(b'\0'):
                    h.update(b'%d' % at)
                    h.update(data)
        finally:
            os.close(f)
    return h.hexdigest()


def noise(path):
    """Overwrites everything but the superblocks."""
    with open(path, 'rb') as f:
        f.seek(superblock.LAYOUT_SECTOR * SECTOR)
        size = SECTOR << f.read(SECTOR)[17]
        keep = [(at * SECTOR, at * SECTOR + size) for at in superblock.copies(f)]
    keep.append((0, (superblock.LAYOUT_SECTOR + 1) * SECTOR))
    rand = os.urandom(PIECE + 4096)
    f = os.open(path, os.O_RDWR)
    try:
        for at, length in list(in_use(f)):
            skip = at // PIECE * 97 % 4096
            data = bytearray(rand[skip:skip + length])
            for start, end in keep:
                start, end = max(start - at, 0), min(end - at, length)
                if start < end:
                    data[start:end] = os.pread(f, end - start, at + start)
            os.pwrite(f, data, at)
    finally:
        os.close(f)


def as_it_should_be(name, what, source, man, options='', words=None):
    """Mounted, the tree is that of the manifest, and a message matches `words`."""
    log.take()
    wrong = []
    try:
        with Limit(SECONDS), Mounted(source, options) as root:
            wrong += manifest.compare(root, man)
    except (OSError, common.Late) as x:
        wrong.append(f'mount: {x}')
    lines = log.take()
    wrong += common.complaints(lines)
    if words and not any(re.search(words, x) for x in own(lines)):
        wrong.append(f'no message matches {words!r}')
    if not words:
        # Whoever has nothing to report is silent.
        wrong += [x for x in own(lines) if re.search(r'can not be read|does not match', x)]
    tap.result(not wrong, f'{name}: {what}', wrong[:20] + own(lines)[-10:] if wrong else ())


def refused(name, what, source, words):
    log.take()
    try:
        mount(source)
    except OSError as x:
        lines = own(log.take())
        good = x.errno == errno.ENXIO and all(any(re.search(w, x) for x in lines) for w in words)
        tap.result(good, f'{name}: {what}', [str(x), *words] + lines)
    else:
        umount()
        tap.result(False, f'{name}: {what}', 'mounted')


def without_one(name):
    files, man = common.unpack(name), common.manifest(name)
    before = digest(files)
    for gone in numbers(files):
        with Loop(files[:gone] + files[gone + 1:]) as dev:
            refused(name, f'without device {gone}, and not asked for', dev.source,
                    [f'device {gone} is missing', '-o degraded'])
            as_it_should_be(name, f'without device {gone}', dev.source, man, 'degraded')
    with Loop(files[::-1]) as dev:
        as_it_should_be(name, 'the devices in the opposite order', dev.source, man)
    tap.result(digest(files) == before, f'{name}: no byte of a device has changed')


def with_noise(name):
    man = common.manifest(name)
    for bad in numbers(common.unpack(name)):
        files = common.unpack(name)
        noise(files[bad])
        with Loop(files) as dev:
            device = os.path.basename(dev.devices[bad])
            as_it_should_be(name, f'device {bad} holds noise', dev.source, man, words=f'{device}: ')


def pieces(source, man, want=None):
    """Blocks of files that can be read, as (path, offset): contents. With `want`, also those that
    are not as they are there."""
    found, wrong = {}, []
    with Limit(SECONDS), Mounted(source) as root:
        for e in man['entries']:
            if e['type'] != 'file' or 'sha256' not in e:
                continue
            fd = os.open(os.path.join(root, e['path']), os.O_RDONLY)
            try:
                # A bad block is to fail alone.
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
                for at in range(0, e['size'], BLOCK):
                    try:
                        found[e['path'], at] = os.pread(fd, BLOCK, at)
                    except OSError as x:
                        if x.errno != errno.EIO:
                            wrong.append(f'{e["path"]} at {at}: {x}')
            finally:
                os.close(fd)
    wrong += [f'{path} at {at} differs' for (path, at), b in found.items() if want and want[path, at] != b]
    return found, wrong


def with_two_parities(name):
    """Two blocks of each of some stripes hold noise: those of data and of parity in turn."""
    man, files = common.manifest(name), common.unpack(name)
    with Loop(files) as dev:
        want, _ = pieces(dev.source, man)
    changed = stripes.with_two_parities(files, STRIPES)
    with Loop(files) as dev:
        whole, wrong = pieces(dev.source, man, want)
    if not 0 < len(want) - len(whole) < len(want) // 2:
        wrong.append(f'{len(whole)} of {len(want)} blocks can be read')
    tap.result(not wrong, f'{name}: {len(changed)} stripes with two blocks of parity', wrong[:20])
    for bad in ((0, 1), (1, 2), (0, 3), (2, 3), (0, 4), (3, 4)):
        files = common.unpack(name)
        changed = stripes.with_two_parities(files, STRIPES)
        for stripe in changed:
            for block in bad:
                device, at = stripe.places[block]
                with open(files[device], 'r+b') as f:
                    f.seek(at)
                    f.write(os.urandom(stripe.bytes))
        log.take()
        with Loop(files) as dev:
            found, wrong = pieces(dev.source, man, want)
        lines = log.take()
        wrong += common.complaints(lines)
        wrong += [f'{path} at {at} can not be read' for path, at in whole if (path, at) not in found]
        if min(bad) < 3 and not any('what the stripe gives' in x for x in lines):
            wrong.append('nothing was rebuilt')
        tap.result(not wrong, f'{name}: noise in blocks {bad[0]} and {bad[1]} of stripes of 3 and 2',
                   wrong and wrong[:20] + own(lines)[-10:])


def nothing_is_written(name):
    """The devices are attached for reading and writing."""
    files = common.unpack(name)
    before, wrong = digest(files), []
    for options in OPTIONS:
        log.take()
        try:
            with Loop(files) as dev, Limit(SECONDS), Mounted(dev.source, options) as root:
                _, errors = common.read_everything(root)
                wrong += [f'{options}: {x}' for x in errors]
        except (OSError, common.Late) as x:
            wrong += [f'-o {options}: {x}'] + own(log.take())
        subprocess.call(['sync'])
        if digest(files) != before:
            wrong.append(f'-o {options}: the devices have changed')
            before = digest(files)
    tap.result(not wrong, f'{name}: mounted with {len(OPTIONS)} sets of options, nothing was written', wrong[:20])


def main():
    for name in chosen(TWICE):
        without_one(name)
        with_noise(name)
        if name.endswith('-ec'):
            with_two_parities(name)
    for name in chosen(UNCLEAN):
        nothing_is_written(name)
    if not tap.nr:
        tap.skip('images', 'none with several devices')
    tap.done()


if __name__ == '__main__':
    main()
