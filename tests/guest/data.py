#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
# guest: uml 120
# guest: uml-debug 240 v113-tree v113-csum-none v113-repl2 comp-zstd
# guest: stock? 300
"""File data: every way of reading gives the same bytes; bad replicas are read around, and what no
replica has is an error and never wrong data; compressed data is decompressed by several tasks at
once; data and holes are where they should be.

Arguments choose images by a part of their name.
"""
import errno
import hashlib
import mmap
import os
import random
import sys
import threading
import time

import common
from common import Limit, Log, Loop, Mounted, Tap

tap = Tap()
BLOCK = 4096


def drop_caches():
    with open('/proc/sys/vm/drop_caches', 'w') as f:
        f.write('3')


def entries_of(name):
    """Path below the root and sha256 of the image's regular files."""
    found = []
    for e in common.manifest(name)['entries']:
        if e['type'] == 'file' and 'sha256' in e and 'path_b64' not in e:
            found.append((e['path'], e['size'], e['sha256']))
    return found


def whole(fd, size, step):
    parts = []
    while b := os.read(fd, step):
        parts.append(b)
    return b''.join(parts)


def backwards(fd, size, _):
    parts = [os.pread(fd, BLOCK, at) for at in range(0, size, BLOCK)[::-1]]
    return b''.join(parts[::-1])


def at_random(fd, size, seed):
    rand = random.Random(seed)
    places, out = list(range(0, size, 3000)), bytearray(size)
    rand.shuffle(places)
    for at in places:
        b = os.pread(fd, 3000, at)
        out[at:at + len(b)] = b
    return bytes(out)


def mapped(fd, size, _):
    if not size:
        return b''
    with mmap.mmap(fd, size, prot=mmap.PROT_READ) as m:
        return m[:]


def sent(fd, size, _):
    """sendfile(2) to a pipe, which splices."""
    r, w = os.pipe()
    parts, at = [], 0
    try:
        while at < size:
            n = os.sendfile(w, fd, at, 16384)
            assert n, f'sendfile ends at {at} of {size}'
            parts.append(os.read(r, n))
            at += n
    finally:
        os.close(r)
        os.close(w)
    return b''.join(parts)


def read_way(root, files, way, arg):
    wrong = []
    for path, size, sha in files:
        fd = os.open(os.path.join(root, path), os.O_RDONLY)
        try:
            if hashlib.sha256(way(fd, size, arg)).hexdigest() != sha:
                wrong.append(f'{path}: contents differ')
        finally:
            os.close(fd)
    return wrong


def damage(image, share):
    """Changes two bytes in some of the blocks in use, superblocks aside."""
    rand, nr = random.Random(7), 0
    fd = os.open(image, os.O_RDWR)
    end, at = os.lseek(fd, 0, os.SEEK_END) - (4 << 20), 4 << 20
    try:
        while True:
            start = os.lseek(fd, at, os.SEEK_DATA)
            at = os.lseek(fd, start, os.SEEK_HOLE)
            for block in range(start, min(at, end), BLOCK):
                if rand.random() < share:
                    os.pwrite(fd, b'\xff\x13', block + rand.randrange(BLOCK - 1))
                    nr += 1
    except OSError as x:
        if x.errno != errno.ENXIO:
            raise
    finally:
        os.close(fd)
    return nr


def advised(fd, size, _):
    """All of it is read ahead before the first byte is asked for."""
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_WILLNEED)
    return whole(fd, size, 1 << 16)


def without_readahead(fd, size, _):
    """Each page on its own, so that most reads are in the middle of an extent."""
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
    return backwards(fd, size, 0)


def in_pieces(fd, size, _):
    """Parts of extents are in memory when the rest is wanted."""
    for at in range(0, size, 40000):
        os.pread(fd, 10, at)
        os.posix_fadvise(fd, at, 8192, os.POSIX_FADV_DONTNEED)
    return whole(fd, size, 8192)


WAYS = [('one byte more than a page at a time', whole, 4097), ('a MiB at a time', whole, 1 << 20),
        ('blocks from the end', backwards, 0), ('3000 bytes in random order', at_random, 1),
        ('through mmap', mapped, 0), ('through sendfile', sent, 0),
        ('all of it read ahead', advised, 0), ('without readahead', without_readahead, 0),
        ('in pieces', in_pieces, 0)]


def read_at_once(root, files):
    """Every file in a thread of its own."""
    wrong = []

    def one(path, sha):
        with open(os.path.join(root, path), 'rb') as f:
            if hashlib.sha256(f.read()).hexdigest() != sha:
                wrong.append(f'{path}: contents differ')

    threads = [threading.Thread(target=one, args=(path, sha)) for path, _, sha in files]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return wrong


def around_bad_replicas(name):
    """One device after the other is damaged; the other one has everything."""
    wrong, lines = [], []
    time.sleep(6)  # messages are limited
    for bad in range(2):
        files = common.unpack(name, 'bad-')
        damage(files[bad], 0.3)
        log = Log()
        with Loop(files) as loop, Mounted(loop.source) as root, Limit(60):
            wrong += read_way(root, entries_of(name), whole, 1 << 20)
        lines += log.take()
    if not any('data of inode' in x and 'checksum' in x for x in common.own(lines)):
        wrong.append('no message about a checksum of data')
    return wrong + common.complaints(lines)


def errors_not_garbage(name):
    """The data of one device is damaged behind the kernel's back, after the mount has read the
    metadata."""
    files, log, errors, wrong = common.unpack(name, 'bad-'), Log(), 0, []
    with Loop(files) as loop, Mounted(loop.source) as root, Limit(60):
        common.read_everything(root)
        damage(files[0], 0.5)
        drop_caches()
        with open(loop.devices[0], 'rb') as dev:
            os.posix_fadvise(dev.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        for path, size, sha in entries_of(name):
            try:
                fd = os.open(os.path.join(root, path), os.O_RDONLY)
                try:
                    if hashlib.sha256(whole(fd, size, 1 << 16)).hexdigest() != sha:
                        wrong.append(f'{path}: wrong data')
                finally:
                    os.close(fd)
            except OSError as x:
                errors += 1
                if x.errno != errno.EIO:
                    wrong.append(f'{path}: {x}')
    if not errors:
        wrong.append('no read has failed')
    return wrong + common.complaints(log.take())


def bad_streams(name):
    """Compressed data without checksums is damaged: what can not be decompressed is an error, with
    a message; what can is as long as it should be."""
    files, log, errors, wrong = common.unpack(name, 'bad-'), Log(), 0, []
    with Loop(files) as loop, Mounted(loop.source) as root, Limit(60):
        for path, _, _ in entries_of(name):
            os.stat(os.path.join(root, path))
        damage(files[0], 0.5)
        time.sleep(6)  # messages are limited
        for path, size, _ in entries_of(name):
            try:
                fd = os.open(os.path.join(root, path), os.O_RDONLY)
                try:
                    data = whole(fd, size, 1 << 16)
                    if len(data) != size:
                        wrong.append(f'{path}: {len(data)} bytes of {size}')
                finally:
                    os.close(fd)
            except OSError as x:
                errors += 1
                if x.errno != errno.EIO:
                    wrong.append(f'{path}: {x}')
    lines = log.take()
    if not errors:
        wrong.append('no read has failed')
    if not any('can not be decompressed' in x for x in common.own(lines)):
        wrong.append('no message about decompression')
    return wrong + common.complaints(lines)


def seek_data(root, files):
    wrong = []
    for path, size, _ in files:
        fd = os.open(os.path.join(root, path), os.O_RDONLY)
        try:
            at = 0
            while at < size:
                try:
                    data = os.lseek(fd, at, os.SEEK_DATA)
                except OSError as x:
                    if x.errno != errno.ENXIO:
                        raise
                    data = size
                while at < min(data, at + (1 << 20)):
                    b = os.pread(fd, min(1 << 16, data - at), at)
                    if b.strip(b'\0'):
                        wrong.append(f'{path}: a hole at {at} has data')
                        break
                    at += len(b)
                if data >= size:
                    break
                at = os.lseek(fd, data, os.SEEK_HOLE)
                if not data < at <= size:
                    wrong.append(f'{path}: data from {data}, hole at {at}, size {size}')
                    break
        finally:
            os.close(fd)
    return wrong


def beyond_the_end(root, files):
    wrong = []
    for path, size, _ in files[:50]:
        fd = os.open(os.path.join(root, path), os.O_RDONLY)
        try:
            if os.pread(fd, 100, size) or os.pread(fd, 100, size + (1 << 40)):
                wrong.append(f'{path}: bytes beyond the end')
            for whence in (os.SEEK_DATA, os.SEEK_HOLE):
                try:
                    os.lseek(fd, size, whence)
                    wrong.append(f'{path}: seek beyond the end')
                except OSError as x:
                    if x.errno != errno.ENXIO:
                        wrong.append(f'{path}: {x}')
        finally:
            os.close(fd)
    return wrong


def wanted(name):
    return not sys.argv[1:] or any(a in name for a in sys.argv[1:])


def main():
    there = common.images()
    for name in ('v113-tree', 'v113-csum-none', 'v113-csum-xxhash', 'v113-block512',
                 'v113-repl2', 'v113-threedev', 'v113-reflink', 'v139-ec',
                 'v113-comp-plain', 'v113-comp-lz4', 'v113-comp-gzip', 'v113-comp-zstd', 'v139-comp-bg'):
        if not wanted(name):
            continue
        if name not in there:
            tap.skip(name, 'no such image')
            continue
        files = entries_of(name)
        # The largest, and some of each size.
        files = sorted(files, key=lambda f: f[1])
        files = files[::max(1, len(files) // 40)] + files[-3:]
        files = [f for f in files if f[1] < 1 << 23]
        with Loop(common.unpack(name)) as loop, Mounted(loop.source) as root:
            for text, way, arg in WAYS:
                drop_caches()
                tap.check(f'{name}: {text}', read_way, root, files, way, arg)
            drop_caches()
            tap.check(f'{name}: all files at once', read_at_once, root, files)
            tap.check(f'{name}: data and holes', seek_data, root, files)
            tap.check(f'{name}: beyond the end', beyond_the_end, root, files)
    for name, test in (('v113-repl2', around_bad_replicas), ('v139-repl2', around_bad_replicas),
                       ('v113-csum-crc64', errors_not_garbage), ('v113-csum-xxhash', errors_not_garbage),
                       ('v113-comp-zstd', errors_not_garbage), ('v113-comp-plain', bad_streams)):
        if not wanted(name):
            continue
        if name in there:
            tap.check(f'{name}: {test.__name__.replace("_", " ")}', test, name)
        else:
            tap.skip(f'{name}: {test.__name__}', 'no such image')
    tap.done()


main()
