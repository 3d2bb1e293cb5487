#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
# guest: uml 300
# guest: uml-debug? 900
# guest: stock? 900
"""Programs that others have written to load filesystems: fio, which reads back what it wrote, dbench, and
stress-ng. Nothing fails, the kernel is well, what fio wrote is there after the next mount, and the tools'
fsck finds nothing.

    stress.py [SECONDS]    for so long each"""
import os
import shutil
import signal
import subprocess
import sys

import common
import first
import rw
from common import Log, Loop, Skip, Tap, mount, mount_with, umount

SECONDS = 8
# Options of mounts that each program runs on.
OPTIONS = '', 'compression=lz4,data_checksum=xxhash'
MIB = 384
FORMAT = '--bucket=256k DEV'
# One line each: what a job of fio does. Sizes that are no multiple of a block or of a page are among them.
FIO = {
    'buffered': 'ioengine=psync rw=randrw bsrange=512-96k bs_unaligned=1 fsync=32 size=12m',
    'direct': 'ioengine=libaio iodepth=8 direct=1 rw=randrw bsrange=4k-64k blockalign=4k size=12m',
    'synchronous': 'ioengine=psync sync=dsync rw=randwrite bsrange=4k-16k size=4m',
    'mapped': 'ioengine=mmap rw=randwrite bs=4k fsync=64 size=8m',
    # Of one size: of many, fio later looks for one more than it wrote.
    'appended': 'ioengine=psync rw=write bs=3000 bs_unaligned=1 size=6000000 fallocate=keep',
}
VERIFY = 'verify=crc32c verify_fatal=1 verify_backlog=64 verify_state_save=0 randseed=1 norandommap=0'
STRESSORS = ('hdd', 'dentry', 'dir', 'link', 'symlink', 'rename', 'fallocate', 'xattr', 'utime', 'fstat', 'chmod',
             'sync-file', 'seek', 'aio', 'dup', 'getdent', 'lease', 'filename', 'mmap')


def run(seconds, *args):
    """Runs a program; what is wrong."""
    if not shutil.which(args[0]):
        raise Skip(f'no {args[0]}')
    seconds *= int(os.environ.get('PATIENCE') or 1)
    with subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
                          stdin=subprocess.DEVNULL, cwd=common.MNT) as p:
        try:
            out, _ = p.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            # With all that it has started.
            os.killpg(p.pid, signal.SIGKILL)
            return [f'{args[0]}: no end after {seconds} s']
    if p.returncode == 0:
        return []
    return [f'{args[0]}: exit status {p.returncode}'] + [x[:200] for x in out.splitlines()[-30:]]


def fio(root, seconds, again):
    """All jobs at once; with `again`, only what they wrote before is read."""
    job = f'{common.WORK}/jobs'
    with open(job, 'w', encoding='ascii') as f:
        f.write(f'[global]\ndirectory={root}\nthread=0\n' + VERIFY.replace(' ', '\n') + '\n')
        f.write('verify_only=1\n' if again else '')
        for name, what in FIO.items():
            f.write(f'[{name}]\n' + what.replace(' ', '\n') + '\n')
    return run(seconds * 20 + 60, 'fio', '--minimal', job)


def with_fio(root, seconds):
    wrong = fio(root, seconds, False)
    if not wrong:
        umount()
        mount(with_fio.source, flags=0)
        wrong = fio(root, seconds, True)
    return wrong


def with_dbench(root, seconds):
    return run(seconds * 5 + 60, 'dbench', '-t', str(seconds), '-D', root, '-c', '/usr/share/dbench/client.txt', '4')


def with_stress_ng(root, seconds):
    args = [x for s in STRESSORS for x in (f'--{s}', '1')]
    return run(seconds * 5 + 120, 'stress-ng', '--temp-path', root, '--hdd-bytes', '4m', '--fallocate-bytes', '8m',
               '--timeout', f'{seconds}s', '--no-rand-seed', *args)


def stressed(program, options, seconds):
    first.KINDS['stress'] = ((MIB,), FORMAT)
    files, wrong = first.make('stress'), []
    with Loop(files) as dev:
        program.source = dev.source
        mount_with(dev.source, options)
        try:
            wrong += program(common.MNT, seconds)
        finally:
            umount()
        mount(dev.source)
        _, errors = common.read_everything(common.MNT)
        wrong += [f'{p!r}: {os.strerror(e)}' for p, e in errors[:5]]
        umount()
        wrong += rw.fsck(dev.devices)
    return wrong


def main():
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    tap, log = Tap(), Log()
    tests = [(f'{program.__name__[5:]}, {options or "no options"}', stressed, program, options, seconds)
             for options in OPTIONS for program in (with_fio, with_dbench, with_stress_ng)]
    tap.check_each(log, tests, seconds * 25 + 300)
    tap.done()


if __name__ == '__main__':
    main()
