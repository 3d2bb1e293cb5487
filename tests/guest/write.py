#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
# guest: uml 300
# guest: uml-debug? 600
# guest: stock? 600
"""Contents of files are written in all ways there are, by several processes at once, and compared with
plain bytes: through the page cache, through mappings, past the page cache, as holes and allocations, by
changing the size, and by sharing; mounted again, and after writing was ended at once behind fsync(2).

    write.py [SEED [OPERATIONS]]

Filesystems with files that were changed are left in a directory, for another kernel to look at, and are
looked at there:

    write.py --keep DIRECTORY [SEED [OPERATIONS]]
    write.py --look DIRECTORY"""
import ctypes
import errno
import fcntl
import json
import mmap
import os
import random
import shutil
import stat
import struct
import sys
import time
import traceback

import common
import emergency
import rw
from common import Limit, Log, Loop, Mounted, Skip, Tap, mount, mount_with, umount

SEED, OPERATIONS = 1, 400
SECONDS, SIZE = 120, 1 << 20
IMAGES = 'v113-tree', 'v113-repl2', 'v113-csum-none', 'v113-snap', 'v113-block512', 'v113-encrypted'
COMPRESSED = {'v113-tree': 'compression=lz4', 'v113-repl2': 'compression=gzip', 'v113-encrypted': 'compression=zstd:7'}
KEEP_SIZE, PUNCH_HOLE, COLLAPSE, ZERO_RANGE, INSERT = 1, 2, 8, 16, 32
FICLONE, FICLONERANGE, FIEMAP, INLINE = 0x40049409, 0x4020940d, 0xc020660b, 0x200
# System calls and a command of io_submit(2).
IO_SETUP, IO_DESTROY, IO_GETEVENTS, IO_SUBMIT, PWRITE = 206, 207, 208, 209, 1


def fallocate(fd, mode, at, length):
    call = common.libc.fallocate
    call.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    if call(fd, mode, at, length):
        e = ctypes.get_errno()
        raise OSError(e, 'fallocate: ' + os.strerror(e))


def begin_to_write(fd, at, length):
    """sync_file_range(2): writes what is dirty, and does not wait for the end of it."""
    call = common.libc.sync_file_range
    call.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
    if call(fd, at, length, 2):
        e = ctypes.get_errno()
        raise OSError(e, 'sync_file_range: ' + os.strerror(e))


def syscall(name, *args):
    call = common.libc.syscall
    call.restype, call.argtypes = ctypes.c_long, [ctypes.c_long] * (1 + len(args))
    result = call(globals()[name], *args)
    if result < 0:
        e = ctypes.get_errno()
        raise OSError(e, f'{name}: ' + os.strerror(e))
    return result


def submit(fd, pieces):
    """Writes pieces of memory, each (position, mmap), at once; how many bytes of each were written."""
    context = ctypes.c_ulong(0)
    syscall('IO_SETUP', len(pieces), ctypes.addressof(context))
    buffers = [(ctypes.c_char * len(m)).from_buffer(m) for _, m in pieces]
    blocks = [ctypes.create_string_buffer(struct.pack('QIiHhIQQqQII', nr, 0, 0, PWRITE, 0, fd, ctypes.addressof(b),
                                                      len(b), at, 0, 0, 0), 64)
              for nr, ((at, _), b) in enumerate(zip(pieces, buffers))]
    pointers = (ctypes.c_void_p * len(blocks))(*(ctypes.addressof(b) for b in blocks))
    done, nr = {}, 0
    while nr < len(blocks):
        nr += syscall('IO_SUBMIT', context.value, len(blocks) - nr, ctypes.addressof(pointers) + 8 * nr)
    while len(done) < len(blocks):
        events = ctypes.create_string_buffer(32 * len(blocks))
        found = syscall('IO_GETEVENTS', context.value, 1, len(blocks), ctypes.addressof(events), 0)
        for i in range(found):
            data, _, result, _ = struct.unpack_from('QQqq', events, 32 * i)
            done[data] = result
    syscall('IO_DESTROY', context.value)
    del buffers
    return [done[i] for i in range(len(blocks))]


class File:
    """A file, what should be in it, and random things done to it."""

    def __init__(self, path, r):
        self.path, self.r = path, r
        with open(path, 'rb') as f:
            self.bytes = bytearray(f.read())
        self.fd = os.open(path, os.O_RDWR)
        self.direct = os.open(path, os.O_RDWR | os.O_DIRECT)
        self.sync = os.open(path, os.O_WRONLY | os.O_DSYNC)
        self.block = os.fstatvfs(self.fd).f_bsize
        self.did = []
        self.near = 0

    def close(self):
        for fd in self.fd, self.direct, self.sync:
            os.close(fd)

    def range(self, whole=False):
        """Anywhere, or near the one before: what is on its way to the device is met by what comes next."""
        at = self.r.randrange(SIZE)
        if self.r.random() < .4:
            at = min(max(self.near + self.r.randrange(-9000, 9000), 0), SIZE)
        self.near = at
        length = 1 + self.r.randrange(self.r.choice((100, 5000, 5000, 100000)))
        if whole:
            at -= at % self.block
            length += -length % self.block
        return at, length

    def put(self, at, data):
        if len(self.bytes) < at + len(data):
            self.bytes.extend(bytes(at + len(data) - len(self.bytes)))
        self.bytes[at:at + len(data)] = data

    def some(self, length):
        """Bytes of which a part can be compressed, or all, or none."""
        random_ = min(length, self.r.randrange(2 * length))
        return self.r.randbytes(random_) + b'abcabcd' * ((length - random_) // 7) + bytes((length - random_) % 7)

    def write(self, fd=None, whole=False):
        at, length = self.range(whole)
        data = self.some(length)
        if whole:
            buf = mmap.mmap(-1, length)
            buf[:] = data
            data = buf
        done = os.pwrite(fd or self.fd, data, at)
        if done != length:
            raise RuntimeError(f'{done} of {length} bytes')
        self.put(at, bytes(data))

    def write_direct(self):
        self.write(self.direct, True)

    def write_direct_anywhere(self):
        self.write(self.direct)

    def write_synchronously(self):
        self.write(self.sync)

    def write_queued(self):
        """Direct writes next to each other, at the same time."""
        at, pieces = self.range(True)[0], []
        for _ in range(1 + self.r.randrange(6)):
            buf = mmap.mmap(-1, self.block * (1 + self.r.randrange(12)))
            buf[:] = self.some(len(buf))
            pieces.append((at, buf))
            at += len(buf)
        done = submit(self.direct, pieces)
        for (at, buf), length in zip(pieces, done):
            if length != len(buf):
                raise RuntimeError(f'{length} of {len(buf)} bytes')
            self.put(at, bytes(buf))

    def append(self):
        fd = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        data = self.r.randbytes(1 + self.r.randrange(3000))
        if len(self.bytes) < 2 * SIZE:
            os.write(fd, data)
            self.bytes += data
        os.close(fd)

    def write_mapped(self):
        if len(self.bytes) < 2:
            return
        at = self.r.randrange(len(self.bytes))
        length = min(1 + self.r.randrange(9000), len(self.bytes) - at)
        with mmap.mmap(self.fd, len(self.bytes)) as m:
            data = self.r.randbytes(length)
            m[at:at + length] = data
            if self.r.random() < .3:
                m.flush()
        self.put(at, data)

    def punch(self):
        at, length = self.range()
        fallocate(self.fd, PUNCH_HOLE | KEEP_SIZE, at, length)
        end = min(at + length, len(self.bytes))
        if at < end:
            self.bytes[at:end] = bytes(end - at)

    def zero(self):
        at, length = self.range()
        keep = self.r.random() < .5
        fallocate(self.fd, ZERO_RANGE | (KEEP_SIZE if keep else 0), at, length)
        end = min(at + length, len(self.bytes)) if keep else at + length
        if at < end:
            self.put(at, bytes(end - at))

    def allocate(self):
        at, length = self.range()
        keep = self.r.random() < .5
        fallocate(self.fd, KEEP_SIZE if keep else 0, at, length)
        if not keep and len(self.bytes) < at + length:
            self.bytes.extend(bytes(at + length - len(self.bytes)))

    def truncate(self):
        size = self.r.choice((self.r.randrange(SIZE), len(self.bytes) // 2, len(self.bytes) + 5000))
        os.ftruncate(self.fd, size)
        if size < len(self.bytes):
            del self.bytes[size:]
        else:
            self.bytes.extend(bytes(size - len(self.bytes)))

    def collapse(self):
        at, length = self.range(True)
        if at + length < len(self.bytes):
            fallocate(self.fd, COLLAPSE, at, length)
            del self.bytes[at:at + length]

    def insert(self):
        at, length = self.range(True)
        if at < len(self.bytes) < 2 * SIZE:
            fallocate(self.fd, INSERT, at, length)
            self.bytes[at:at] = bytes(length)

    def clone_range(self):
        """A part of the file becomes what another part is."""
        at, length = self.range(True)
        length = min(length, (len(self.bytes) - at) // self.block * self.block)
        to = self.r.randrange(SIZE) // self.block * self.block
        if length <= 0 or abs(to - at) < length:
            return
        fcntl.ioctl(self.fd, FICLONERANGE, struct.pack('qQQQ', self.fd, at, length, to))
        self.put(to, bytes(self.bytes[at:at + length]))

    def copy_range(self):
        at, length = self.range()
        length, to = min(length, len(self.bytes) - at), self.r.randrange(SIZE)
        if length <= 0 or abs(to - at) < length:
            return
        while length:
            done = os.copy_file_range(self.fd, self.fd, length, at, to)
            self.put(to, bytes(self.bytes[at:at + done]))
            at, to, length = at + done, to + done, length - done

    def clone(self):
        """Another file with the same contents, which is changed then, and removed."""
        path, want = self.path + '.clone', bytearray(self.bytes)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        try:
            fcntl.ioctl(fd, FICLONE, self.fd)
            data, at = self.r.randbytes(5000), self.r.randrange(max(1, len(want)))
            os.pwrite(fd, data, at)
            want[at:at + len(data)] = data
            if self.r.random() < .5:
                os.fsync(fd)
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            return self.differs(os.pread(fd, len(want) + 1, 0), 0, want, 'clone')
        finally:
            os.close(fd)
            os.unlink(path)

    def forget(self):
        os.fsync(self.fd)
        os.posix_fadvise(self.fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def begin_to_write(self):
        """What is dirty goes to the device, and nobody waits for it."""
        at, length = self.range()
        if self.r.random() < .5:
            os.posix_fadvise(self.fd, at, length, os.POSIX_FADV_DONTNEED)
        else:
            begin_to_write(self.fd, at, length)

    def read_back(self):
        at, length = self.range()
        found = os.pread(self.fd, length, at)
        return self.differs(found, at, self.bytes[at:at + length], 'read')

    def read_direct(self):
        at, length = self.range(True)
        buf = mmap.mmap(-1, length)
        done = os.preadv(self.direct, [buf], at)
        return self.differs(buf[:done], at, self.bytes[at:at + length], 'direct read')

    def differs(self, found, at, want, how):
        if found == want:
            return []
        if len(found) != len(want):
            return [f'{self.path}: {how}: {len(found)} bytes at {at}, should be {len(want)}']
        first = next(i for i, (a, b) in enumerate(zip(found, want)) if a != b)
        return [f'{self.path}: {how}: byte {at + first} is {found[first]}, should be {want[first]}, after'] + \
            self.did[-30:]

    def compare(self):
        with open(self.path, 'rb') as f:
            return self.differs(f.read(), 0, self.bytes, 'whole file')

    def churn(self, nr):
        """What is wrong after so many random operations."""
        ways = [self.write] * 4 + [self.write_direct, self.write_direct, self.write_queued, self.write_queued,
                self.write_direct_anywhere, self.append,
                self.write_mapped, self.write_mapped, self.punch, self.zero, self.allocate, self.truncate,
                self.collapse, self.insert,
                self.write_synchronously, self.clone_range, self.copy_range, self.clone, self.forget,
                self.begin_to_write, self.begin_to_write, self.begin_to_write,
                self.read_back, self.read_back, self.read_direct]
        for _ in range(nr):
            way = self.r.choice(ways)
            self.did.append(way.__name__)
            wrong = way()
            if wrong:
                return wrong
        return self.compare()


def regular_files(root, nr):
    found = []
    for d, _, names in os.walk(root):
        for name in sorted(names):
            path = os.path.join(d, name)
            s = os.lstat(path)
            if stat.S_ISREG(s.st_mode) and s.st_nlink == 1 and s.st_size < SIZE and s.st_mode & 0o200:
                try:
                    os.close(os.open(path, os.O_RDWR))
                    found.append(path)
                except OSError as x:
                    # Of a snapshot that is read-only, or immutable.
                    if x.errno not in (errno.EROFS, errno.EPERM):
                        raise
    return found[:nr]


def read_only_snapshot(name):
    """Files of a snapshot that is read-only can not be changed."""
    with Loop(common.unpack(name)) as dev:
        mount(dev.source, flags=0)
        paths = [os.path.join(d, n) for d, _, names in os.walk(common.MNT) for n in names if 'snap-ro' in d]
        paths = [p for p in paths if stat.S_ISREG(os.lstat(p).st_mode) and os.lstat(p).st_mode & 0o200]
        wrong = [] if paths else ['no file to try']
        for path in paths[:20]:
            for what in lambda p: os.open(p, os.O_WRONLY), lambda p: os.open(p, os.O_RDONLY | os.O_TRUNC), \
                    lambda p: os.truncate(p, 1):
                try:
                    what(path)
                    wrong.append(f'{path} can be changed')
                except OSError as x:
                    if x.errno != errno.EROFS:
                        wrong.append(f'{path}: {x}')
        umount()
        return wrong


def in_processes(jobs):
    """Runs functions at once, each in a process of its own; what is wrong."""
    pids, wrong = {}, []
    for nr, job in enumerate(jobs):
        out = os.path.join(common.WORK, f'out.{nr}')
        pid = os.fork()
        if pid == 0:
            try:
                bad = job() or []
            except BaseException:  # pylint: disable=broad-except
                bad = [traceback.format_exc()]
            with open(out, 'w', encoding='utf-8') as f:
                f.write('\n'.join(bad))
            os._exit(0)
        pids[pid] = out
    for pid, out in pids.items():
        _, status = os.waitpid(pid, 0)
        if status:
            wrong.append(f'process {pid} ended with {status}')
        else:
            with open(out, encoding='utf-8') as f:
                wrong += f.read().splitlines()
    return wrong


def beside(path):
    """Where there is what a file should have."""
    return os.path.join(common.WORK, 'want.' + os.path.relpath(path, common.MNT).replace('/', '.'))


def churned(path, seed, nr):
    """Changes a file and leaves what it should have beside the mount."""
    f = File(path, random.Random(seed))
    wrong = f.churn(nr)
    f.close()
    with open(beside(path), 'wb') as to:
        to.write(f.bytes)
    return wrong


def compared(paths):
    wrong = []
    for path in paths:
        with open(beside(path), 'rb') as f:
            want = f.read()
        with open(path, 'rb') as f:
            found = f.read()
        if found != want:
            first = next((i for i, (a, b) in enumerate(zip(found, want)) if a != b), None)
            wrong.append(f'{path}: {len(found)} bytes of {len(want)}, byte {first} differs')
    return wrong


def fsck(man, devices):
    """What the tools' fsck has to say. It asks a terminal for a passphrase, which there is not."""
    return [] if 'passphrase' in man else rw.fsck(devices)


def random_operations(name, seed, nr, options=''):
    if name not in common.images():
        raise Skip('no such image')
    files, wrong = common.unpack(name), []
    man = rw.unlocked(name, files)
    with Loop(files) as dev:
        mount(dev.source, flags=0)
        paths = regular_files(common.MNT, 3)
        if not paths:
            raise Skip('no regular file')
        umount()
        for turn in range(2):
            mount_with(dev.source, options)
            wrong += in_processes([lambda p=p, i=i: churned(p, f'{seed}.{turn}.{i}', nr) for i, p in enumerate(paths)])
            wrong += compared(paths)
            umount()
            with Mounted(dev.source):
                wrong += compared(paths)
            wrong += fsck(man, dev.devices)
            if wrong:
                break
    return wrong


def safe_after_fsync(name, seed, nr):
    """What fsync(2) has acknowledged is there after all writing was ended at once."""
    files, wrong = common.unpack(name), []
    rw.unlocked(name, files)
    with Loop(files) as dev:
        mount(dev.source, flags=0)
        paths, fds = regular_files(common.MNT, 3), []
        for i, path in enumerate(paths):
            wrong += churned(path, f'{seed}.{i}', nr)
            fds.append(os.open(path, os.O_RDWR))
            os.fsync(fds[-1])
        for fd in fds:
            # Not safe, and behind what is compared.
            os.pwrite(fd, b'x' * 100000, 4 * SIZE)
        emergency.by_ioctl(emergency.NO_FLUSH)
        for fd in fds:
            os.close(fd)
        umount()
        mount(dev.source, flags=0)
        for path in paths:
            with open(beside(path), 'rb') as f:
                want = f.read()
            with open(path, 'rb') as f:
                if f.read(len(want)) != want:
                    wrong.append(f'{path}: what was safe is not there')
        umount()
        wrong += rw.fsck(dev.devices)
    return wrong


def end_without_data(name):
    """What makes a file longer becomes a hole, or zeros, before it was written: the file is as long as it was."""
    files, wrong, block = common.unpack(name), [], 4096
    data = os.urandom(19 * block)
    ways = {'hole': PUNCH_HOLE | KEEP_SIZE, 'zeros': ZERO_RANGE, 'kept': ZERO_RANGE | KEEP_SIZE}
    ends = {'at the end': 19, 'behind it': 24, 'within': 18}
    with Loop(files) as dev:
        mount(dev.source, flags=0)
        for way, mode in ways.items():
            for end, last in ends.items():
                fd = os.open(f'{common.MNT}/{way} {end}', os.O_RDWR | os.O_CREAT)
                os.pwrite(fd, data, 0)
                fallocate(fd, mode, 17 * block, (last - 17) * block)
                os.fsync(fd)
                os.close(fd)
        umount()
        with Mounted(dev.source) as root:
            for way in ways:
                for end, last in ends.items():
                    want = bytearray(data)
                    want[17 * block:min(last, 19) * block] = bytes(min(last - 17, 2) * block)
                    if way == 'zeros':
                        want.extend(bytes(max(0, last - 19) * block))
                    with open(f'{root}/{way} {end}', 'rb') as f:
                        found = f.read()
                    if found != want:
                        wrong.append(f'{way} {end}: {len(found)} bytes, should be {len(want)}, or others')
        wrong += rw.fsck(dev.devices)
    return wrong


def behind_the_end(name):
    """What a mapping has put behind the end of a file is not in it when it gets longer, whatever way that is."""
    files, wrong = common.unpack(name), []
    with Loop(files) as dev:
        mount(dev.source, flags=0)
        path, other = f'{common.MNT}/longer', os.open(f'{common.MNT}/other', os.O_RDWR | os.O_CREAT)
        os.write(other, b'o' * 8192)
        block = mmap.mmap(-1, 4096)
        block[:] = b'd' * 4096
        ways = {'write': (lambda fd, _: os.pwrite(fd, b'w', 9000), 9001, 9000),
                'direct write': (lambda _, fd: os.pwritev(fd, [block], 8192), 12288, 8192),
                'ftruncate': (lambda fd, _: os.ftruncate(fd, 12000), 12000, 12000),
                'fallocate': (lambda fd, _: fallocate(fd, 0, 0, 12000), 12000, 12000),
                'zeros': (lambda fd, _: fallocate(fd, ZERO_RANGE, 8192, 4096), 12288, 12288),
                'clone': (lambda fd, _: fcntl.ioctl(fd, FICLONERANGE, struct.pack('qQQQ', other, 0, 8192, 8192)),
                          16384, 8192)}
        for way, (longer, size, same) in ways.items():
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            direct = os.open(path, os.O_RDWR | os.O_DIRECT)
            os.pwrite(fd, b'x' * 8192, 0)
            for end in 5000, 5120, 300:
                os.ftruncate(fd, 8192)
                with mmap.mmap(fd, 8192) as m:
                    os.ftruncate(fd, end)
                    m[end:4096 + end // 4096 * 4096] = b'J' * (4096 - end % 4096)
                    longer(fd, direct)
                    for how in 'page cache', 'disk':
                        found = os.pread(fd, 20000, 0)
                        if len(found) != size or found[end:same] != bytes(same - end):
                            wrong.append(f'{way}, of {end} bytes: {len(found)} bytes, not all zeros, by {how}')
                        os.fsync(fd)
                        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(fd)
            os.close(direct)
        os.close(other)
        umount()
        wrong += rw.fsck(dev.devices)
    return wrong


def cleared_meanwhile(name):
    """A part of a block is made zeros while the block is on its way to the device, where nothing was before."""
    files, wrong = common.unpack(name), []
    with Loop(files) as dev:
        mount(dev.source, flags=0)
        size = os.statvfs(common.MNT).f_bsize
        hole, gone = PUNCH_HOLE | KEEP_SIZE, bytes(3 * size)

        def cut(fd, _, at):
            os.ftruncate(fd, at)
            os.ftruncate(fd, 3 * size)

        ways = {'the end of a block': (lambda fd, how, at: fallocate(fd, how, at, 3 * size - at), None),
                'the beginning': (lambda fd, how, at: fallocate(fd, how, 0, at), 0),
                'the middle': (lambda fd, how, at: fallocate(fd, how, at, 100), 100),
                'cut': (cut, None)}
        for way, (clear, first) in ways.items():
            for nr in range(120):
                fd = os.open(f'{common.MNT}/cleared', os.O_RDWR | os.O_CREAT | os.O_TRUNC)
                if nr % 3 == 2:
                    fallocate(fd, 0, 0, 3 * size)
                data = os.urandom(3 * size)
                os.pwrite(fd, data, 0)
                begin_to_write(fd, 0, 3 * size)
                at = (nr % 3) * size + 50 + nr
                clear(fd, (hole, ZERO_RANGE)[nr & 1], at)
                should = data[:at] + gone[at:] if first is None else gone[:at] + data[at:] if first == 0 else \
                    data[:at] + gone[:100] + data[at + 100:]
                for how in 'page cache', 'disk':
                    if os.pread(fd, 4 * size, 0) != should:
                        wrong.append(f'{way}, from {at} on, {(hole, ZERO_RANGE)[nr & 1]}: wrong by {how}')
                    os.fsync(fd)
                    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(fd)
        umount()
        wrong += rw.fsck(dev.devices)
    return wrong


def kept_behind(name):
    """Space that is allocated behind the end stays when the file gets longer, and goes when it is cut there."""
    files, wrong = common.unpack(name), []
    with Loop(files) as dev:
        mount(dev.source, flags=0)
        fd = os.open(f'{common.MNT}/kept', os.O_RDWR | os.O_CREAT)

        def is_there(what, least, most):
            os.fsync(fd)
            blocks = os.fstat(fd).st_blocks
            if not least <= blocks <= most:
                wrong.append(f'{what}: {blocks} sectors, not {least} to {most}')
        fallocate(fd, KEEP_SIZE, 0, 1 << 20)
        is_there('allocated', 2048, 2048)
        os.ftruncate(fd, 5000)
        is_there('longer', 2048, 2048)
        os.pwrite(fd, b'x', 100000)
        is_there('written', 2048, 2048)
        os.ftruncate(fd, 100001)
        is_there('cut where it ends', 196, 200)
        fallocate(fd, KEEP_SIZE, 0, 1 << 20)
        os.ftruncate(fd, 100)
        is_there('cut', 1, 8)
        if os.pread(fd, 1000, 0) != bytes(100):
            wrong.append('it is not zeros')
def privileges(name):
    """Who writes to a file takes away what it gives to those who run it, also when it gave nothing before."""
    files, wrong = common.unpack(name), []
    capability = struct.pack('<5I', 0x02000001, 1 << 13, 0, 0, 0)
    with Loop(files) as dev:
        mount(dev.source, flags=0)
        path = os.path.join(common.MNT, 'privileges')
        fd = os.open(path, os.O_RDWR | os.O_CREAT)
        for at in range(3):
            for how in 'bit', 'capability', 'nothing':
                if how == 'bit':
                    os.chmod(path, 0o4755)
                if how == 'capability':
                    os.setxattr(path, 'security.capability', capability)
                os.seteuid(1000)
                os.pwrite(fd, b'x', at)
                os.seteuid(0)
                if os.stat(path).st_mode & stat.S_ISUID:
                    wrong.append(f'write {at}, {how}: it runs as its owner')
                if 'security.capability' in os.listxattr(path):
                    wrong.append(f'write {at}, {how}: it has a capability')
        os.close(fd)
        umount()
        wrong += rw.fsck(dev.devices)
    return wrong


def set_aside(name, flags=0):
    """What fallocate(2) has set aside can be written when nothing else can be any more."""
    files, wrong = common.unpack(name), []
    with Loop(files) as dev:
        mount(dev.source, flags=0)
        s = os.statvfs(common.MNT)
        nr, piece = (s.f_bavail * s.f_frsize // 3) >> 20, mmap.mmap(-1, 1 << 20)
        piece[:] = os.urandom(1 << 20)
        fd = os.open(f'{common.MNT}/set-aside', os.O_RDWR | os.O_CREAT | flags)
        rest = os.open(f'{common.MNT}/rest', os.O_RDWR | os.O_CREAT)
        fallocate(fd, KEEP_SIZE, 0, nr << 20)
        try:
            while True:
                os.write(rest, piece)
        except OSError as x:
            wrong += [] if x.errno == errno.ENOSPC else [f'the rest: {x}']
        os.fsync(rest)
        try:
            for i in range(nr):
                if os.pwrite(fd, piece, i << 20) != len(piece):
                    wrong.append(f'MiB {i} of {nr}: not all was written')
                if i % 8 == 0:
                    os.fsync(fd)
            os.fsync(fd)
        except OSError as x:
            wrong.append(f'MiB {i} of {nr}: {x}')
        os.close(fd)
        os.close(rest)
        umount()
        with Mounted(dev.source), open(f'{common.MNT}/set-aside', 'rb') as f:
            wrong += [f'MiB {i} differs' for i in range(nr) if f.read(1 << 20) != piece[:]][:3]
        wrong += rw.fsck(dev.devices)
    return wrong


def queued(name, nr):
    """Direct writes of nr MiB at once, which is more than is copied at a time, in front of an end of the file
    that is not on disk yet. They are safe when the journal is, and then it has the file as long as they are."""
    files, wrong = common.unpack(name), []
    rw.unlocked(name, files)
    with Loop(files) as dev:
        mount(dev.source, flags=0)
        path, other = os.path.join(common.MNT, 'queued'), os.open(regular_files(common.MNT, 1)[0], os.O_RDWR)
        fd = os.open(path, os.O_RDWR | os.O_CREAT)
        direct = os.open(path, os.O_RDWR | os.O_DIRECT)
        os.pwrite(fd, b'end', nr << 20)
        pieces = [(i << 20, mmap.mmap(-1, 1 << 20)) for i in range(nr)]
        for _, m in pieces:
            m[:] = os.urandom(1 << 20)
        if submit(direct, pieces) != [1 << 20] * nr:
            wrong.append('not all was written')
        os.pwrite(other, b'x', 0)
        os.fsync(other)
        emergency.by_ioctl(emergency.NO_FLUSH)
        for f in fd, direct, other:
            os.close(f)
        umount()
        mount(dev.source, flags=0)
        with open(path, 'rb') as f:
            wrong += [f'MiB {at >> 20} differs' for at, m in pieces if os.pread(f.fileno(), 1 << 20, at) != m[:]]
        umount()
        wrong += rw.fsck(dev.devices)
    return wrong


def is_inline(path):
    """Whether the data of a file is where its keys are."""
    fd, request = os.open(path, os.O_RDONLY), bytearray(struct.pack('QQIIII', 0, 1 << 62, 1, 0, 1, 0) + bytes(56))
    fcntl.ioctl(fd, FIEMAP, request)
    os.close(fd)
    (nr,), (flags,) = struct.unpack_from('I', request, 20), struct.unpack_from('I', request, 32 + 40)
    return nr == 1 and bool(flags & INLINE)


def make_small(top, r, nr):
    """Files from a byte to some KiB, by name."""
    os.mkdir(top)
    made = {os.path.join(top, str(i)): r.randbytes(r.choice((1, 20, 500, 1024, 1025, 1 + r.randrange(5000)))) for i in
            range(nr)}
    for path, data in made.items():
        with open(path, 'wb') as f:
            f.write(data)
    return made


def small(name, seed, nr):
    """Small files, whose data is kept with their keys: overwritten, made longer, shorter, and shared."""
    files, wrong, r = common.unpack(name), [], random.Random(seed)
    man = rw.unlocked(name, files)

    def compare(how):
        for path, data in made.items():
            with open(path, 'rb') as f:
                if f.read() != data:
                    wrong.append(f'{path} of {len(data)} bytes differs {how}')

    with Loop(files) as dev:
        mount(dev.source, flags=0)
        made = make_small(os.path.join(common.MNT, 'small'), r, nr)
        os.sync()
        most = min(os.statvfs(common.MNT).f_bsize // 2, 1024)
        wrong += [f'{p} of {len(d)} bytes: inline {is_inline(p)}' for p, d in made.items()
                  if is_inline(p) != (len(d) <= most)]
        for turn in range(4):
            for path, data in list(made.items()):
                fd, way = os.open(path, os.O_RDWR), r.randrange(5)
                if way == 0:
                    at, more = r.randrange(len(data) + 1), r.randbytes(1 + r.randrange(300))
                    os.pwrite(fd, more, at)
                    data = data[:at] + more + data[at + len(more):]
                elif way == 1:
                    size = r.randrange(r.choice((2 * len(data), 10000))) + 1
                    os.ftruncate(fd, size)
                    data = data[:size] + bytes(max(0, size - len(data)))
                elif way == 2:
                    other = f'{path}.{turn}'
                    to = os.open(other, os.O_RDWR | os.O_CREAT)
                    fcntl.ioctl(to, FICLONE, fd)
                    made[other] = data
                    if r.random() < .5:
                        os.pwrite(to, b'x', 0)
                        made[other] = b'x' + data[1:]
                    os.close(to)
                elif way == 3:
                    os.fsync(fd)
                    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                made[path] = data
                os.close(fd)
            compare(f'in turn {turn}')
            if turn == 1:
                umount()
                mount(dev.source, flags=0)
                compare('when mounted again')
        umount()
        mount(dev.source, 'noinline_data', flags=0)
        compare('when mounted again')
        path = os.path.join(common.MNT, 'not-inline')
        with open(path, 'wb') as f:
            f.write(b'not inline')
        os.sync()
        wrong += [f'{path} is inline'] if is_inline(path) else []
        umount()
        wrong += fsck(man, dev.devices)
    return wrong


def scattered(name, seed, nr):
    """Blocks here and there, which are written together."""
    files, wrong, r = common.unpack(name), [], random.Random(seed)
    man = rw.unlocked(name, files)
    with Loop(files) as dev:
        mount_with(dev.source, COMPRESSED.get(name, ''))
        want = bytearray(r.randbytes(4 << 20))
        path = os.path.join(common.MNT, 'scattered')
        fd = os.open(path, os.O_RDWR | os.O_CREAT)
        os.write(fd, want)
        for turn in range(3):
            os.fsync(fd)
            for _ in range(nr):
                at, data = r.randrange(len(want) >> 12) << 12, r.randbytes(r.choice((100, 4096, 4096, 9000)))
                os.pwrite(fd, data, at)
                want[at:at + len(data)] = data
            if turn == 1:
                os.close(fd)
                umount()
                mount(dev.source, flags=0)
                fd = os.open(path, os.O_RDWR)
            found = os.pread(fd, len(want) + 1, 0)
            if found != want:
                first = next((i for i, (a, b) in enumerate(zip(found, want)) if a != b), len(found))
                wrong.append(f'turn {turn}: byte {first} of {len(found)} differs')
        os.close(fd)
        umount()
        with Mounted(dev.source), open(path, 'rb') as f:
            if f.read() != want:
                wrong.append('differs in the end')
        wrong += fsck(man, dev.devices)
    return wrong


def full(name):
    """The last byte there is can be written, and what was written is there; with space again, writing
    goes on."""
    files, wrong = common.unpack(name), []
    rw.unlocked(name, files)
    with Loop(files) as dev:
        mount(dev.source, flags=0)
        path = regular_files(common.MNT, 1)[0]
        fd, piece, nr = os.open(path, os.O_RDWR), os.urandom(1 << 20), 0
        try:
            while nr < 4096:
                done = os.pwrite(fd, piece, nr << 20)
                if done != len(piece):
                    break
                nr += 1
                if nr % 16 == 0:
                    os.fsync(fd)
            wrong.append(f'{nr} MiB, and no end') if nr == 4096 else None
        except OSError as x:
            if x.errno != errno.ENOSPC:
                wrong.append(f'after {nr} MiB: {x}')
        try:
            os.fsync(fd)
        except OSError as x:
            wrong.append(f'fsync after {nr} MiB: {x}')
        for at in range(0, nr, 7):
            if os.pread(fd, 1 << 20, at << 20) != piece:
                wrong.append(f'MiB {at} differs')
                break
        fallocate(fd, PUNCH_HOLE | KEEP_SIZE, 1 << 20, nr << 20)
        os.fsync(fd)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                if os.pwrite(fd, piece, 5 << 20) == len(piece):
                    os.fsync(fd)
                    break
            except OSError as x:
                if x.errno != errno.ENOSPC:
                    raise
            time.sleep(.5)
        else:
            wrong.append('no space again after all was punched')
        if os.pread(fd, 1 << 20, 5 << 20) != piece:
            wrong.append('what was written then differs')
        os.close(fd)
        umount()
        print(f'# {name}: {nr} MiB')
        wrong += rw.fsck(dev.devices)
    return wrong


def sums(root):
    """Sizes and sums of all files, by name."""
    found = {}
    _, errors = common.read_everything(root, found)
    return {os.path.relpath(os.fsdecode(p), root): list(v) for p, v in found.items()}, errors


def keep(to, seed, nr):
    for name in IMAGES:
        files = common.unpack(name)
        rw.unlocked(name, files)
        with Loop(files) as dev:
            mount_with(dev.source, COMPRESSED.get(name, ''))
            paths = regular_files(common.MNT, 3)
            for nr_small, path in enumerate(make_small(os.path.join(common.MNT, 'small'), random.Random(seed), 60)):
                if nr_small % 3 == 0:
                    os.sync()
                    shutil.copyfile(path, path + '.copy')
                    with open(path, 'rb') as f, open(path + '.clone', 'wb') as clone:
                        fcntl.ioctl(clone, FICLONE, f.fileno())
            wrong = in_processes([lambda p=p, i=i: churned(p, f'{seed}.{i}', nr) for i, p in enumerate(paths)])
            found, errors = sums(common.MNT)
            umount()
        if wrong or errors:
            sys.exit(f'{name}: {wrong[:5]} {errors[:5]}')
        for f in files:
            shutil.copy(f, to)
        with open(os.path.join(to, name + '.sums'), 'w', encoding='ascii') as f:
            json.dump(found, f)
        common.clean()
        print(f'kept {name}', flush=True)


def look(there, tap):
    for name in IMAGES:
        files = sorted(f for f in os.listdir(there) if f.startswith(name + '.') and f.endswith('.img'))
        files = [shutil.copy(os.path.join(there, f), common.WORK) for f in files]
        rw.unlocked(name, files)
        with open(os.path.join(there, name + '.sums'), encoding='ascii') as f:
            want = json.load(f)
        for flags, how in (common.MS_RDONLY, 'read-only'), (0, 'read-write'):
            with Loop(files) as dev, Limit(SECONDS):
                mount(dev.source, flags=flags)
                found, errors = sums(common.MNT)
                umount()
            different = [f'{n}: {found.get(n)}, should be {want.get(n)}' for n in {**want, **found}
                         if found.get(n) != want.get(n)]
            tap.result(not different and not errors, f'{name} mounted {how} by another kernel',
                       different[:10] + errors[:10])
        common.clean()


def main():
    if sys.argv[1:2] == ['--keep']:
        return keep(sys.argv[2], *(int(a) for a in sys.argv[3:] or (SEED, OPERATIONS)))
    if sys.argv[1:2] == ['--look']:
        tap = Tap()
        look(sys.argv[2], tap)
        return tap.done()
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else SEED
    nr = int(sys.argv[2]) if len(sys.argv) > 2 else OPERATIONS
    tap, log = Tap(), Log()
    tests = [(f'{n}: random operations, seed {seed}', random_operations, n, seed, nr) for n in IMAGES]
    tests += [(f'{n}: random operations, {o}, seed {seed}', random_operations, n, seed, nr, o)
              for n, o in COMPRESSED.items()]
    tests += [(f'{n}: what fsync said is safe', safe_after_fsync, n, seed, nr // 2) for n in IMAGES[:2]]
    tests += [(f'{n}: ends that are gone before they are written', end_without_data, n) for n in IMAGES[:1]]
    tests += [(f'{n}: what is behind the end does not show', behind_the_end, n) for n in (IMAGES[0], 'v113-block512')]
    tests += [(f'{n}: cleared while it is written', cleared_meanwhile, n) for n in (IMAGES[0], 'v113-block512')]
    tests += [(f'{n}: space behind the end', kept_behind, n) for n in (IMAGES[0], 'v113-block512')]
    for n in IMAGES[:1]:
        tests.append((f'{n}: space that was set aside', set_aside, n))
        tests.append((f'{n}: space that was set aside, written directly', set_aside, n, os.O_DIRECT))
    tests += [(f'{n}: what a file gives to those who run it', privileges, n) for n in IMAGES[:1]]
    tests += [('v113-snap: a snapshot that is read-only', read_only_snapshot, 'v113-snap')]
    tests += [('v113-threedev: direct writes that are queued', queued, 'v113-threedev', 36)]
    tests += [(f'{n}: small files, seed {seed}', small, n, seed, 60) for n in
              ('v113-tree', 'v113-block512', 'v113-encrypted')]
    tests += [(f'{n}: writes here and there, seed {seed}', scattered, n, seed, 150) for n in IMAGES[:3]]
    tests += [(f'{n}: until it is full', full, n) for n in IMAGES[:1]]
    tap.check_each(log, [t for t in tests if os.environ.get('ONLY', '') in t[0]], SECONDS)
    tap.done()


if __name__ == '__main__':
    main()
