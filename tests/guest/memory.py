#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
# guest: uml 200
# guest: uml-debug? 400
# guest: stock? 400
"""Where the memory of a direct write is, and what happens to it meanwhile: it is changed by somebody else, in
many pieces, at odd addresses, a mapping of the file itself, partly not there, or of the kernel. Data without a
checksum is written from where it is; other data is copied first. Afterwards no page is held.

    memory.py [SEED]"""
import ctypes
import errno
import mmap
import os
import random
import sys
import threading

import common
import first
from common import Log, Loop, Tap, address_of, mount_with, umount
from rw import fsck
from write import submit

SEED, LIMIT, SIZE = 1, 60, 1 << 20
PAGE = mmap.PAGESIZE
REFRESH = '/proc/sys/vm/stat_refresh'
WAYS = 'data_checksum=none', 'data_checksum=crc32c', 'data_checksum=none,compression=lz4', 'data_checksum=none,nocow'
NOT_COPIED = WAYS[0], WAYS[3]


def pwritev(fd, pieces, at):
    """pwritev(2) of (address, length): how many bytes."""
    call, vec = common.libc.pwritev, (ctypes.c_size_t * (2 * len(pieces)))(*(x for p in pieces for x in p))
    call.restype, call.argtypes = ctypes.c_ssize_t, [ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_int64]
    done = call(fd, vec, len(pieces), at)
    if done < 0:
        e = ctypes.get_errno()
        raise OSError(e, 'pwritev: ' + os.strerror(e))
    return done


def pinned():
    """How many pages were pinned and let go so far."""
    # Of several processors each has a part of the numbers for itself until then.
    if os.path.exists(REFRESH):
        with open(REFRESH, 'w', encoding='ascii') as f:
            f.write('1')
    with open('/proc/vmstat', encoding='ascii') as f:
        found = dict(line.split() for line in f)
    return int(found['nr_foll_pin_acquired']), int(found['nr_foll_pin_released'])


class File:
    """A file that is open in two ways."""

    def __init__(self, name, r):
        self.path, self.r = f'{common.MNT}/{name}', r
        self.fd = os.open(self.path, os.O_RDWR | os.O_CREAT)
        self.direct = os.open(self.path, os.O_RDWR | os.O_DIRECT)

    def close(self):
        os.close(self.fd)
        os.close(self.direct)

    def read(self, at, length):
        """Those bytes, from the device."""
        os.fsync(self.fd)
        os.posix_fadvise(self.fd, 0, 0, os.POSIX_FADV_DONTNEED)
        return os.pread(self.fd, length, at)

    def memory(self, length):
        m = mmap.mmap(-1, length)
        m[:] = self.r.randbytes(length)
        return m


def in_pieces(f):
    """Pieces of one block to many, here and there in memory, and once the same one twice."""
    for _ in range(6):
        nr = 1 + f.r.randrange(60)
        all_ = [f.memory(PAGE * (1 + f.r.randrange(9))) for _ in range(nr)]
        all_.append(all_[0])
        at = PAGE * f.r.randrange(50)
        length = sum(len(m) for m in all_)
        done = pwritev(f.direct, [(address_of(m), len(m)) for m in all_], at)
        if done != length:
            return f'{done} of {length} bytes'
        if f.read(at, length) != b''.join(m[:] for m in all_):
            return f'{nr} pieces at {at} differ'
    return None


def at_odd_addresses(f):
    """Memory that begins somewhere, as does a piece of it that ends within a block."""
    for skip in 1, 8, 512, 1000, PAGE - 1:
        m = f.memory(SIZE + PAGE)
        at, cut = address_of(m) + skip, 3 * PAGE + skip
        done = pwritev(f.direct, [(at, cut), (at + cut, SIZE - cut)], 0)
        if done != SIZE:
            return f'{skip} bytes into a page: {done} bytes'
        if f.read(0, SIZE) != m[skip:skip + SIZE]:
            return f'{skip} bytes into a page: it differs'
    return None


def from_its_own_mapping(f):
    """A file is written to another place of its own, and to the same one."""
    data = f.r.randbytes(4 * SIZE)
    os.pwrite(f.fd, data, 0)
    want = bytearray(data)
    with mmap.mmap(f.fd, len(data)) as m:
        for start, to in ((0, 2 * SIZE), (SIZE, SIZE), (PAGE, 0), (0, 3 * SIZE)):
            new = bytes(want[start:start + SIZE])
            done = pwritev(f.direct, [(address_of(m) + start, SIZE)], to)
            if done != SIZE:
                return f'{start} to {to}: {done} bytes'
            if f.read(to, SIZE) != new:
                return f'{start} to {to}: it differs'
            want[to:to + SIZE] = new
            if m[:] != bytes(want):
                return f'{start} to {to}: the mapping differs from the file'
    return None


def partly_not_there(f):
    """A page in the middle is gone: what is before it is written, or nothing."""
    for hole in 0, 1, 5, 255:
        m, old = f.memory(SIZE), f.r.randbytes(SIZE)
        data = m[:]
        os.pwrite(f.fd, old, 0)
        if common.libc.munmap(ctypes.c_void_p(address_of(m) + hole * PAGE), ctypes.c_size_t(PAGE)):
            return 'munmap failed'
        try:
            done = pwritev(f.direct, [(address_of(m), SIZE)], 0)
        except OSError as x:
            if x.errno != errno.EFAULT:
                return f'hole at page {hole}: {x}'
            done = 0
        # Something has to be there again for it to be unmapped in one piece.
        call = common.libc.mmap
        call.restype = ctypes.c_void_p
        call.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
        call(address_of(m) + hole * PAGE, PAGE, 3, 0x32, -1, 0)
        if done > hole * PAGE:
            return f'hole at page {hole}: {done} bytes were written'
        if f.read(0, SIZE) != data[:done] + old[done:]:
            return f'hole at page {hole}: the file is not what {done} bytes make it'
    return None


def that_changes(f):
    """Somebody else writes to the memory all the time: each byte is one of those that were there, and what has a
    checksum can be read."""
    m, stop = mmap.mmap(-1, SIZE), threading.Event()
    values = [bytes([v]) * SIZE for v in (17, 34)]

    def change():
        while not stop.is_set():
            for v in values:
                m[:] = v
    m[:] = values[0]
    thread = threading.Thread(target=change)
    thread.start()
    wrong = None
    for i in range(12):
        at = i % 4 * SIZE
        if i % 3:
            done = pwritev(f.direct, [(address_of(m), SIZE)], at)
        else:
            done = sum(submit(f.direct, [(at, m)]))
        found = f.read(at, SIZE)
        if done != SIZE or set(found) - {17, 34}:
            wrong = f'{done} bytes, with {sorted(set(found))[:9]}'
            break
    stop.set()
    thread.join()
    return wrong


def gone_meanwhile(f):
    """The memory is unmapped while the write is under way."""
    for i in range(8):
        m = f.memory(SIZE)
        data, thread = m[:], threading.Thread(target=pwritev, args=(f.direct, [(address_of(m), SIZE)], i * SIZE))
        thread.start()
        thread.join(.001 * i)
        common.libc.madvise(ctypes.c_void_p(address_of(m)), ctypes.c_size_t(SIZE), 4)
        thread.join()
        found = f.read(i * SIZE, SIZE)
        pages = (range(p, p + PAGE) for p in range(0, SIZE, PAGE))
        if any(found[p.start:p.stop] not in (data[p.start:p.stop], bytes(PAGE)) for p in pages):
            return f'write {i} is neither what was there nor zeros'
    return None


def of_the_kernel(f):
    """A loop device on the file, which passes on pages of its own."""
    os.ftruncate(f.fd, 8 * SIZE)
    with Loop([f.path], '--direct-io=on') as dev:
        fd, data = os.open(dev.devices[0], os.O_RDWR), f.r.randbytes(8 * SIZE)
        os.pwrite(fd, data, 0)
        os.fsync(fd)
        os.close(fd)
    return None if f.read(0, 8 * SIZE) == data else 'it differs'


TESTS = in_pieces, at_odd_addresses, from_its_own_mapping, partly_not_there, that_changes, gone_meanwhile, of_the_kernel


def written(way, name, seed):
    files, wrong = first.make(name), []
    with Loop(files) as dev:
        mount_with(dev.source, way)
        before = pinned()
        for nr, test in enumerate(TESTS):
            f = File(test.__name__, random.Random(seed + nr))
            try:
                bad = test(f)
            finally:
                f.close()
            wrong += [f'{test.__name__}: {bad}'] if bad else []
        umount()
        # The tools pin memory, too.
        after = pinned()
        wrong += fsck(dev.devices)
    taken, given = (a - b for a, b in zip(after, before))
    if taken != given:
        wrong.append(f'{taken - given} pages are still held')
    if bool(taken) != (way in NOT_COPIED):
        wrong.append(f'{taken} pages were pinned')
    return wrong


def main():
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else SEED
    tap, log = Tap(), Log()
    tests = [(f'{name}: {way}', written, way, name, seed) for name in ('default', 'blocks-512') for way in WAYS]
    tap.check_each(log, [t for t in tests if os.environ.get('ONLY', '') in t[0]], LIMIT)
    tap.done()


if __name__ == '__main__':
    main()
