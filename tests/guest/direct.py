#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
# guest: uml 150
# guest: uml-debug? 300
# guest: stock? 400
"""Direct reads: the same bytes as by every other way, whatever the memory looks like; alignment, the
end of the file, many at a time, from a loop device, bad replicas."""
import ctypes
import errno
import hashlib
import mmap
import os
import random
import struct
import subprocess

import common
from common import Limit, Log, Loop, Mounted, Tap, address_of, libc

tap = Tap()
SECTOR = 512
IO_SETUP, IO_DESTROY, IO_GETEVENTS, IO_SUBMIT = 206, 207, 208, 209
STATX, STATX_DIOALIGN = 332, 0x2000


def drop_caches():
    with open('/proc/sys/vm/drop_caches', 'w') as f:
        f.write('3')


def up(n, to):
    return -(-n // to) * to


class Direct:
    """A file that is open with O_DIRECT."""

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        self.fd = os.open(self.path, os.O_RDONLY | os.O_DIRECT)
        self.size = os.fstat(self.fd).st_size
        return self

    def __exit__(self, *_):
        os.close(self.fd)

    def read(self, at, length, shift=0):
        """Reads to memory that starts `shift` bytes after a page."""
        with mmap.mmap(-1, up(length + shift, mmap.PAGESIZE) or mmap.PAGESIZE) as memory:
            with memoryview(memory)[shift:shift + length] as part:
                n = os.preadv(self.fd, [part], at)
                return bytes(part[:n])

    def expect(self, n, at, length):
        assert n == min(length, self.size - at), f'{n} bytes of {length} at {at} of {self.size}'

    def steps(self, start, end, step, shift=0):
        parts, at = [], start
        while at < end:
            b = self.read(at, step, shift)
            self.expect(len(b), at, step)
            parts.append(b)
            at += len(b)
        return b''.join(parts)


# Ways to read what is between two places of a file, or more. The first is a multiple of 4096.

def large(f, start, end):
    return f.steps(start, end, 3 << 20)


def blocks(f, start, end):
    return f.steps(start, end, 4096)


def sectors(f, start, end):
    return f.steps(start, end, 9 * SECTOR)


def odd_memory(f, start, end):
    return f.steps(start, end, 1 << 17, 7)


def half_pages(f, start, end):
    """Memory on sectors, not pages, and lengths of no number of pages."""
    return f.steps(start, end, 33 * SECTOR, 3 * SECTOR)


def pieces(f, start, end):
    """One read into many pieces of memory: of some sectors, or of any length."""
    out, at, turn = [], start, 0
    while at < end:
        lengths = [[SECTOR * (i % 5 + 1) for i in range(90)], [SECTOR] * 300, [1, 511, 1000, 24, 700, 324]][turn % 3]
        turn += 1
        with mmap.mmap(-1, up(sum(lengths) * 2, mmap.PAGESIZE)) as memory:
            views, place = [], 0
            for n in lengths:
                views.append(memoryview(memory)[place:place + n])
                place += n + (SECTOR if n % SECTOR == 0 else 8)
            n = os.preadv(f.fd, views, at)
            b = b''.join(views)[:n]
            for v in views:
                v.release()
        f.expect(len(b), at, sum(lengths))
        out.append(b)
        at += len(b)
    return b''.join(out)


def at_random(f, start, end):
    rand, out = random.Random(3), bytearray(end - start)
    places = list(range(start, end, 7 * SECTOR))
    rand.shuffle(places)
    for at in places:
        b = f.read(at, 7 * SECTOR)
        out[at - start:at - start + len(b)] = b
    return bytes(out)


def many_at_a_time(f, start, end):
    """io_submit(2): up to 64 reads under way."""
    ctx = ctypes.c_ulong(0)
    if libc.syscall(IO_SETUP, 64, ctypes.byref(ctx)):
        raise common.Skip('the kernel has no asynchronous I/O')
    step, out = 9 * 4096, bytearray()
    try:
        for base in range(start, end, step * 64):
            places = list(range(base, min(end, base + step * 64), step))
            with mmap.mmap(-1, step * len(places)) as memory:
                to = address_of(memory)
                calls = [ctypes.create_string_buffer(struct.pack(
                    '=QIIHhIQQqQII', i, 0, 0, 0, 0, f.fd, to + i * step, step, at, 0, 0, 0))
                    for i, at in enumerate(places)]
                table = (ctypes.c_void_p * len(calls))(*[ctypes.addressof(c) for c in calls])
                n = libc.syscall(IO_SUBMIT, ctx, ctypes.c_long(len(calls)), table)
                assert n == len(calls), f'io_submit: {n}'
                events = ctypes.create_string_buffer(32 * n)
                assert libc.syscall(IO_GETEVENTS, ctx, ctypes.c_long(n), ctypes.c_long(n), events, None) == n
                done = dict(struct.unpack_from('=Q8xq', events.raw, i * 32) for i in range(n))
                for i, at in enumerate(places):
                    if done[i] < 0:
                        raise OSError(-done[i], os.strerror(-done[i]))
                    f.expect(done[i], at, step)
                    out += memory[i * step:i * step + done[i]]
    finally:
        libc.syscall(IO_DESTROY, ctx)
    return bytes(out)


def into_its_own_mapping(f, start, end):
    """Memory that is a private mapping of the same file, none of which is there yet."""
    out, at, step = [], start, min(1 << 16, f.size // SECTOR * SECTOR)
    with open(f.path, 'rb') as other:
        while at < end and step:
            with mmap.mmap(other.fileno(), 0, flags=mmap.MAP_PRIVATE,
                           prot=mmap.PROT_READ | mmap.PROT_WRITE) as memory:
                with memoryview(memory)[:step] as part:
                    n = os.preadv(f.fd, [part], at)
                    out.append(bytes(part[:n]))
            f.expect(n, at, step)
            at += n
    return b''.join(out) if step else large(f, start, end)


def spliced(f, start, end):
    """sendfile(2) to a pipe."""
    out, at = [], start
    r, w = os.pipe()
    try:
        while at < end:
            n = os.sendfile(w, f.fd, at, 1 << 15)
            f.expect(n, at, 1 << 15)
            out.append(os.read(r, n))
            at += n
    finally:
        os.close(r)
        os.close(w)
    return b''.join(out)


WAYS = (blocks, sectors, odd_memory, half_pages, pieces, at_random, many_at_a_time, spliced,
        into_its_own_mapping)
# Bytes at the start and at the end of a file that are read each way.
WINDOW = 72 << 10


def contents(root, files):
    """Reads the files whole, directly; (path, contents)."""
    found, wrong = [], []
    for path, _, sha in files:
        path = os.path.join(root, path)
        with Direct(path) as f:
            found.append((path, large(f, 0, f.size)))
        if hashlib.sha256(found[-1][1]).hexdigest() != sha:
            wrong.append(f'{path}: contents differ')
    return found, wrong


def read_way(found, way):
    wrong = []
    for path, want in found:
        tail = max(0, len(want) - WINDOW) & ~4095
        for start, end in ((0, min(WINDOW, len(want))), (tail, len(want)))[:1 + (tail > 0)]:
            with Direct(path) as f:
                got = way(f, start, end)
            if got[:end - start] != want[start:end]:
                wrong.append(f'{path}: {start} to {end}: contents differ')
    return wrong


def with_the_page_cache_full(root, files):
    for path, _, _ in files:
        with open(os.path.join(root, path), 'rb') as f:
            f.read()
    return contents(root, files)[1]


def files_of(name):
    found = [(e['path'], e['size'], e['sha256']) for e in common.manifest(name)['entries']
             if e['type'] == 'file' and 'sha256' in e and 'path_b64' not in e and 0 < e['size'] < 1 << 23]
    found.sort(key=lambda f: f[1])
    return found[::max(1, len(found) // 8)] + found[-1:]


def expect(what, number, call):
    try:
        got = call()
    except OSError as x:
        return [] if x.errno == number else [f'{what}: {x}']
    return [] if number is None and not got else [f'{what}: {got!r}']


def limits(root, files, sector):
    """Alignment, and the end of the file."""
    wrong = []
    for path, size, _ in files[-3:]:
        with Direct(os.path.join(root, path)) as f:
            end = up(size, sector)
            for at, length in ((1, sector), (sector, sector - 1), (0, 1), (sector // 2, sector)):
                wrong += expect(f'{path}: {length} bytes at {at}', errno.EINVAL, lambda: f.read(at, length))
            wrong += expect(f'{path}: at the end', None, lambda: f.read(end, sector))
            wrong += expect(f'{path}: far beyond the end', None, lambda: f.read(1 << 40, sector))
            wrong += expect(f'{path}: no bytes', None, lambda: f.read(0, 0))
            tail = f.read(end - sector, 1 << 20)
            if len(tail) != size - (end - sector):
                wrong.append(f'{path}: {len(tail)} bytes at {end - sector} of {size}')
    return wrong


def bad_memory(root, files):
    wrong = []
    path = os.path.join(root, files[-1][0])
    with Direct(path) as f, mmap.mmap(-1, 1 << 16, prot=mmap.PROT_READ) as memory:
        libc.mmap.restype = ctypes.c_void_p
        fixed = libc.mmap(None, ctypes.c_size_t(1 << 16), 1, 0x22, -1, ctypes.c_long(0))
        for address in (8192, fixed):
            libc.pread.restype = ctypes.c_ssize_t
            n = libc.pread(f.fd, ctypes.c_void_p(address), ctypes.c_size_t(4096), ctypes.c_long(0))
            if n != -1 or ctypes.get_errno() != errno.EFAULT:
                wrong.append(f'to {address:x}: {n}, errno {ctypes.get_errno()}')
        if len(memory) and not f.read(0, 512):
            wrong.append('nothing can be read any more')
    return wrong


def alignment_shown(root, files, block):
    buf = ctypes.create_string_buffer(256)
    path = os.fsencode(os.path.join(root, files[-1][0]))
    assert libc.syscall(STATX, -100, path, 0, STATX_DIOALIGN, buf) == 0
    mask, = struct.unpack_from('=I', buf.raw, 0)
    memory, offset = struct.unpack_from('=II', buf.raw, 0x98)
    if not mask & STATX_DIOALIGN or (memory, offset) != (512, block):
        return f'mask {mask:x}, memory {memory}, offset {offset}, block size {block}'
    assert libc.syscall(STATX, -100, os.fsencode(root), 0, STATX_DIOALIGN, buf) == 0
    if struct.unpack_from('=I', buf.raw, 0)[0] & STATX_DIOALIGN:
        return 'a directory has one too'


def under_a_loop_device(root, files):
    """A block device on one of the files, which reads it directly."""
    path, size, sha = max((f for f in files if f[1] >= 1 << 16), key=lambda f: f[1])
    if size % SECTOR:
        raise common.Skip('no file of whole sectors')
    with Loop([os.path.join(root, path)], '-r', '--direct-io=on') as loop:
        with open(f'/sys/block/{os.path.basename(loop.devices[0])}/loop/dio') as f:
            if f.read().strip() != '1':
                return 'the loop device does not read directly'
        got = subprocess.check_output(['cat', loop.devices[0]])
    if hashlib.sha256(got).hexdigest() != sha:
        return f'{path}: contents differ'


def damage(image, share):
    """Changes two bytes in some of the blocks in use, superblocks aside."""
    rand = random.Random(7)
    fd = os.open(image, os.O_RDWR)
    end, at = os.lseek(fd, 0, os.SEEK_END) - (4 << 20), 4 << 20
    try:
        while True:
            start = os.lseek(fd, at, os.SEEK_DATA)
            at = os.lseek(fd, start, os.SEEK_HOLE)
            for block in range(start, min(at, end), 4096):
                if rand.random() < share:
                    os.pwrite(fd, b'\xff\x13', block + rand.randrange(4095))
    except OSError as x:
        if x.errno != errno.ENXIO:
            raise
    finally:
        os.close(fd)


def around_bad_replicas(name):
    wrong, log = [], Log()
    for bad in range(2):
        images = common.unpack(name, 'bad-')
        damage(images[bad], 0.3)
        with Loop(images) as loop, Mounted(loop.source) as root, Limit(150):
            found, bad_sums = contents(root, files_of(name))
            wrong += bad_sums
            for way in (odd_memory, many_at_a_time):
                wrong += read_way(found, way)
    return wrong + common.complaints(log.take())


def errors_not_garbage(name):
    images, log, errors, wrong = common.unpack(name, 'bad-'), Log(), 0, []
    with Loop(images) as loop, Mounted(loop.source) as root, Limit(150):
        common.read_everything(root)
        damage(images[0], 0.5)
        drop_caches()
        with open(loop.devices[0], 'rb') as dev:
            os.posix_fadvise(dev.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        for path, size, sha in files_of(name):
            for way in (large, many_at_a_time):
                try:
                    with Direct(os.path.join(root, path)) as f:
                        got = way(f, 0, size)
                    if hashlib.sha256(got).hexdigest() != sha:
                        wrong.append(f'{path}: wrong data')
                except OSError as x:
                    errors += 1
                    if x.errno != errno.EIO:
                        wrong.append(f'{path}: {x}')
    if not errors:
        wrong.append('no read has failed')
    return wrong + common.complaints(log.take())


def all_ways(name, root, files, ways):
    drop_caches()
    try:
        found, wrong = contents(root, files)
    except OSError as x:
        if x.errno != errno.EOPNOTSUPP:
            raise
        tap.skip(name, 'can not be read')
        return False
    tap.result(not wrong, f'{name}: large', wrong)
    for way in ways:
        drop_caches()
        tap.check(f'{name}: {way.__name__.replace("_", " ")}', read_way, found, way)
    return True


def main():
    there = common.images()
    for name in ('v113-csum-none', 'v113-tree', 'v113-block512', 'v113-reflink', 'v113-threedev', 'v139-nocow',
                 'v139-comp-zstd'):
        if name not in there:
            tap.skip(name, 'no such image')
            continue
        files = files_of(name)
        with Loop(common.unpack(name)) as loop, Mounted(loop.source) as root:
            if all_ways(name, root, files, WAYS):
                for test, args in ((with_the_page_cache_full, ()), (limits, (SECTOR,)), (bad_memory, ()),
                                   (alignment_shown, (os.statvfs(root).f_bsize,)), (under_a_loop_device, ())):
                    tap.check(f'{name}: {test.__name__.replace("_", " ")}', test, root, files, *args)
    if 'v113-csum-crc32c' in there:
        files, name = files_of('v113-csum-crc32c'), 'device of 4096-byte blocks'
        with Loop(common.unpack('v113-csum-crc32c'), '-b', '4096') as loop, Mounted(loop.source) as root:
            if all_ways(name, root, files, (blocks, odd_memory, many_at_a_time)):
                tap.check(f'{name}: limits', limits, root, files, 4096)
    for name, test in (('v113-repl2', around_bad_replicas), ('v113-csum-crc64', errors_not_garbage)):
        if name in there:
            tap.check(f'{name}: {test.__name__.replace("_", " ")}', test, name)
        else:
            tap.skip(f'{name}: {test.__name__}', 'no such image')
    tap.done()


main()
