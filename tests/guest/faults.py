#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
# guest: uml-debug? 900
"""One allocation fails, or one request to the device, the first, the second and so on: while a filesystem
that was not shut down is mounted, while files are changed, and while it is unmounted. There is an error
with the right errno or none, nobody waits for ever, the kernel has nothing to complain about and loses no
memory; afterwards the filesystem mounts, has what was synced, and the tools find nothing.

    faults.py [NUMBER [FIRST [LAST]]]    so many of each kind, spread over all there are; 0: all, from FIRST
                                         on, and up to LAST

ONLY is a part of the name of a test, for those that are to be run.
Needs a kernel with CONFIG_FAILSLAB, CONFIG_FAIL_PAGE_ALLOC and CONFIG_FAIL_MAKE_REQUEST."""
import ctypes
import errno
import os
import re
import sys
import time

import common
import founding
import manifest
import mutate
import rw
from common import Late, Limit, Log, Loop, Mounted, Tap, mount, own, umount

DEBUG = '/sys/kernel/debug'
IMAGE, NUMBER, SECONDS, FSCK_EACH = 'v113-csum-xxhash', 6, 60, 4
PHASES = 'mount', 'work', 'umount'
# Of all faults, after how many it is said how far that is.
EACH = 250
# Differences that are expected: what was made, and the directory that it is in.
NEW = re.compile(r"b'(\.|new.*|old|safe)':")
OLD = b'old' * 5000


def setting(path, value):
    with open(f'{DEBUG}/{path}', 'w', encoding='ascii') as f:
        f.write(str(value))


class Allocation:
    """The nth allocation of this task fails."""
    name, step, errnos = 'allocation', 1, (errno.ENOMEM,)

    def __init__(self, _):
        for attr in 'failslab', 'fail_page_alloc':
            setting(f'{attr}/ignore-gfp-wait', 'N')
            setting(f'{attr}/verbose', 0)
        setting('fail_page_alloc/min-order', 0)
        self.fd = os.open('/proc/thread-self/fail-nth', os.O_RDWR)
        self.failed = False

    def start(self, nr):
        os.pwrite(self.fd, b'%d' % (nr + 1), 0)

    def stop(self):
        self.failed = int(os.pread(self.fd, 20, 0)) == 0
        os.pwrite(self.fd, b'0', 0)
        os.close(self.fd)


class Request:
    """A request to the device fails, of anybody: the first one after so many bytes."""
    name, step, errnos = 'request', 2048, (errno.EIO, errno.EROFS, errno.EUCLEAN, errno.EINVAL)

    def __init__(self, device):
        self.switch = f'/sys/block/{os.path.basename(device)}/make-it-fail'
        for name, value in (('verbose', 0), ('interval', 1), ('probability', 100)):
            setting(f'fail_make_request/{name}', value)
        self.failed = False

    def start(self, nr):
        setting('fail_make_request/space', nr)
        setting('fail_make_request/times', 1)
        with open(self.switch, 'w', encoding='ascii') as f:
            f.write('1')

    def stop(self):
        with open(self.switch, 'w', encoding='ascii') as f:
            f.write('0')
        with open(f'{DEBUG}/fail_make_request/times', encoding='ascii') as f:
            self.failed = int(f.read()) == 0


def work(root, nr):
    """Changes files; the errnos of what failed, and whether the last one was made safe."""
    failed = []

    def attempt(f, *args):
        try:
            return f(*args)
        except OSError as x:
            failed.append(x.errno)
            return None

    def written(path, data, flags=os.O_CREAT):
        fd = attempt(os.open, path, os.O_RDWR | flags)
        if fd is None:
            return False
        before = len(failed)
        attempt(os.pwrite, fd, data, 0)
        attempt(os.fsync, fd)
        os.close(fd)
        return len(failed) == before

    top = f'{root}/new{nr}'
    attempt(os.mkdir, top)
    for i in range(3):
        written(f'{top}/{i}', b'%d' % i * 9000)
    attempt(os.rename, f'{top}/0', f'{top}/other')
    attempt(os.link, f'{top}/1', f'{top}/link')
    attempt(os.symlink, 'x' * 50, f'{top}/symlink')
    attempt(os.setxattr, f'{top}/1', 'user.name', b'value')
    attempt(os.truncate, f'{top}/2', 100)
    attempt(os.unlink, f'{top}/other')
    attempt(os.listdir, top)
    attempt(os.statvfs, root)
    safe = written(f'{root}/safe', OLD[:nr % 100 + 1])
    return failed, safe


def crashed():
    """A filesystem with changes that are in the journal only."""
    files = common.unpack(IMAGE)
    with Loop(files) as dev, founding.Written(dev.source) as fs:
        with open(f'{common.MNT}/old', 'wb') as f:
            f.write(OLD)
            os.fsync(f.fileno())
        fs.perf('rand_insert', 500)
        fs.perf('rand_delete', 500)
        fs.perf('seq_insert', 300)
        fs.perf('seq_delete', 300)
        os.sync()
        fs.stop()
    return files


def read(path):
    with open(path, 'rb') as f:
        return f.read()


def after(dev, want, safe, nr, judged):
    """What is wrong with what was left."""
    wrong = []
    with Limit(SECONDS), Mounted(dev.source) as root:
        wrong += [x for x in manifest.compare(root, want) if not NEW.match(x)][:5]
        if read(f'{root}/old') != OLD:
            wrong.append('what was synced before is gone')
        if safe and read(f'{root}/safe') != OLD[:nr % 100 + 1]:
            wrong.append('what was synced is gone')
    with Limit(SECONDS):
        mount(dev.source, flags=0)
        umount()
    if judged:
        wrong += rw.fsck(dev.devices)
    return wrong


def one(kind, phase, base, want, nr, judged):
    """One fault. Returns whether anything failed, what came of it, and what is wrong."""
    files, wrong, outcome, safe, failed = [mutate.copied(f) for f in base], [], 'well', False, []
    with Loop(files) as dev:
        fault = kind(dev.devices[0])
        source, mnt = os.fsencode(dev.source), os.fsencode(common.MNT)
        os.makedirs(common.MNT, exist_ok=True)
        is_mounted = False
        try:
            with Limit(SECONDS):
                if phase == 'mount':
                    fault.start(nr)
                ret = common.libc.mount(source, mnt, b'bcachefs', 0, b'')
                e = ctypes.get_errno() if ret else 0
                if phase == 'mount':
                    fault.stop()
            is_mounted = not ret
            if ret:
                outcome = errno.errorcode[e]
                failed.append(e)
            else:
                with Limit(SECONDS):
                    if phase == 'work':
                        fault.start(nr)
                    errors, safe = work(common.MNT, nr)
                    if phase == 'work':
                        fault.stop()
                    failed += errors
                    if errors:
                        outcome = f'{errno.errorcode[errors[0]]} in work'
        except Late as x:
            wrong.append(f'{phase}: {x}')
        if is_mounted:
            try:
                with Limit(SECONDS):
                    if phase == 'umount':
                        fault.start(nr)
                    ret = common.libc.umount2(mnt, 0)
                    if phase == 'umount':
                        fault.stop()
                # The VFS needs memory to know what is meant.
                e = ctypes.get_errno() if ret else 0
                if ret and (phase != 'umount' or e not in kind.errnos):
                    wrong.append(f'umount: {errno.errorcode[e]}')
                if ret:
                    outcome = errno.errorcode[e]
                    umount()
            except Late as x:
                wrong.append(f'umount: {x}')
        odd = [errno.errorcode[e] for e in failed if e not in kind.errnos + (errno.ENOENT,)]
        if odd:
            wrong.append(f'errnos {odd}')
        if not wrong or odd:
            wrong += after(dev, want, safe, nr, judged)
    return fault.failed, outcome, wrong


def faults(kind, phase, number, first, last):
    base, want, log = crashed(), common.manifest(IMAGE), Log()
    wrong, outcomes, at, tried, start = [], {}, first, 0, time.monotonic()
    while at <= last:
        log.take()
        hit, outcome, bad = one(kind, phase, base, want, at * kind.step, tried % FSCK_EACH == 0)
        lines = log.take()
        bad += common.complaints(lines)
        if bad:
            wrong += [f'{kind.name} {at} of {phase}: {outcome}: {b}' for b in bad] + own(lines)[-15:]
        if not hit:
            break
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        tried += 1
        at += 1 + at * 8 // number if number else 1
        if len(wrong) > 60:
            break
        if not number and tried % EACH == 0:
            print(f'# {kind.name} {at} of {phase}, {time.monotonic() - start:.0f} s', flush=True)
    wrong += mutate.leaks()
    print(f'# {kind.name}s of {phase}: {tried} of {at} in {time.monotonic() - start:.0f} s: {outcomes}')
    return wrong


def main():
    number = int(sys.argv[1]) if len(sys.argv) > 1 else NUMBER
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    last = int(sys.argv[3]) if len(sys.argv) > 3 else sys.maxsize
    mutate.not_leaks()
    tap, log = Tap(), Log()
    if not os.path.isdir(f'{DEBUG}/failslab'):
        os.system(f'mount -t debugfs none {DEBUG} 2>/dev/null')
    tests = []
    for kind in Allocation, Request:
        needs = 'failslab' if kind is Allocation else 'fail_make_request'
        for phase in PHASES:
            name = f'{kind.name}s that fail: {phase}'
            if os.environ.get('ONLY', '') not in name:
                continue
            if os.path.isdir(f'{DEBUG}/{needs}'):
                tests.append((name, faults, kind, phase, number, first, last))
            else:
                tap.skip(name, 'this kernel injects no faults')
    for name, *test in tests:
        tap.check(name, *test)
        common.clean()
    tap.done()


if __name__ == '__main__':
    main()
