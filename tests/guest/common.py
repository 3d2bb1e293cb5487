# SPDX-License-Identifier: GPL-2.0
"""What the tests share: TAP, images and loop devices, mounting, the kernel log."""
import atexit
import ctypes
import errno
import fcntl
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
import uuid
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
SRC = os.environ.get('SRC') or os.path.dirname(os.path.dirname(HERE))
# Those given, those of the checkout, those installed beside the tests.
GOLDEN = [d for d in (os.environ.get('IMAGES'), os.path.join(SRC, 'tests/golden'), os.path.join(HERE, 'golden'))
          if d and os.path.isdir(d)]
KSFT_SKIP = 4
MS_RDONLY, MNT_DETACH = 1, 2
FS_IOC_GETFSUUID = 0x80111500
# Options that mounts accept and take no notice of.
SET_LATER = ('data_checksum', 'metadata_checksum', 'compression', 'background_compression', 'data_replicas',
             'metadata_replicas')
# What a kernel that has found a mistake in itself prints.
COMPLAINT = re.compile(r'WARNING: |BUG: |BUG at|Oops|KASAN|UBSAN|Kernel panic|general protection|INFO: task'
                       r'|locking dependency|recursive locking|suspicious RCU|unreferenced object|panicked'
                       r'|sleeping function|detected stall')

libc = ctypes.CDLL(None, use_errno=True)


def work_directory():
    """A directory of this process alone, which goes when it ends. Other users can go through it."""
    for nr in range(100):
        path = os.path.join(os.environ.get('TMPDIR', '/tmp'), f'bcachefs-rs-{os.getpid()}-{nr}')
        try:
            os.mkdir(path, 0o711)
        except FileExistsError:
            continue
        atexit.register(shutil.rmtree, path, True)
        return path
    sys.exit(f'{path} and those before exist')


WORK = work_directory()
MNT = WORK + '/mnt'


def clean():
    """Removes the images that have been unpacked."""
    for name in os.listdir(WORK):
        if name.endswith('.img'):
            os.unlink(os.path.join(WORK, name))


def lacking():
    """Why this machine can not run a test, or nothing."""
    if os.geteuid() != 0:
        return 'needs root'
    if not shutil.which('zstd'):
        return 'needs zstd'
    with open('/proc/filesystems') as f:
        if '\tbcachefs\n' in f:
            return None
    if subprocess.call(['modprobe', '-q', 'bcachefs']):
        return 'this kernel has no bcachefs (CONFIG_BCACHEFS_FS)'
    return None


class Skip(Exception):
    """Raised by a test that has nothing to test, with the reason."""


class Tap:
    """Numbers the tests; `done` says how it went."""

    def __init__(self):
        self.nr = self.failed = 0
        why = lacking()
        if why:
            print(f'1..0 # SKIP {why}', flush=True)
            sys.exit(KSFT_SKIP)

    def result(self, good, name, detail=()):
        self.nr += 1
        self.failed += not good
        print(f'{"ok" if good else "not ok"} {self.nr} - {name}')
        if not good:
            for line in [detail] if isinstance(detail, str) else detail:
                print('# ' + str(line).replace('\n', '\n# '))
        sys.stdout.flush()
        return good

    def skip(self, name, why):
        self.nr += 1
        print(f'ok {self.nr} - {name} # SKIP {why}', flush=True)

    def check(self, name, test, *args):
        """Runs a function that returns what is wrong: a text, a list, or nothing."""
        try:
            wrong = test(*args)
        except Skip as x:
            return self.skip(name, x)
        except Exception as x:  # a test that breaks has failed, and the others go on
            wrong = f'{type(x).__name__}: {x}'
        return self.result(not wrong, name, wrong or ())

    def check_each(self, log, tests, seconds):
        """Checks (name, function, arguments...) one after the other, each within so many seconds.
        A complaint of the kernel meanwhile is a failure; images that were unpacked go."""
        for name, test, *args in tests:
            log.take()
            with Limit(seconds):
                self.check(name, test, *args)
            bad = complaints(log.take())
            if bad:
                self.result(False, f'{name}: the kernel is well', bad)
            clean()

    def done(self):
        print(f'1..{self.nr}', flush=True)
        sys.exit(self.failed != 0)


class Log:
    """The kernel's messages from now on."""

    def __init__(self):
        self.fd = os.open('/dev/kmsg', os.O_RDONLY | os.O_NONBLOCK)
        os.lseek(self.fd, 0, os.SEEK_END)

    def take(self, levels=range(8)):
        """The messages since the last call, of the levels asked for."""
        lines = []
        while True:
            try:
                record = os.read(self.fd, 8192).decode(errors='replace')
            except BlockingIOError:
                return lines
            except OSError as x:
                if x.errno == errno.EPIPE:  # overrun: older messages are gone
                    continue
                raise
            head, text = record.split(';', 1)
            if int(head.split(',')[0]) & 7 in levels:
                lines.append(text.split('\n', 1)[0])


def own(lines):
    """The module's messages."""
    return [x for x in lines if 'bcachefs' in x]


def complaints(lines):
    return [x for x in lines if COMPLAINT.search(x)]


def images():
    """NAME: directory of all images there are, the first directory winning."""
    found = {}
    for d in GOLDEN:
        for f in sorted(os.listdir(d)):
            m = re.fullmatch(r'(.+)\.manifest\.json(\.zst)?', f)
            if m:
                found.setdefault(m.group(1), d)
    return found


def manifest(name):
    d = images()[name]
    path = os.path.join(d, name + '.manifest.json')
    if os.path.exists(path):
        with open(path) as f:
            return json.load(f)
    return json.loads(subprocess.check_output(['zstd', '-qdc', path + '.zst']))


def unpack(name, prefix=''):
    """The image's files, one for each device, unpacked and writable."""
    d, out = images()[name], []
    for packed in [f'{name}.img.zst'] + [f'{name}.{i}.img.zst' for i in range(16)]:
        if os.path.exists(os.path.join(d, packed)):
            to = os.path.join(WORK, prefix + packed[:-len('.zst')])
            subprocess.check_call(['zstd', '-qdf', '--sparse', os.path.join(d, packed), '-o', to])
            os.chmod(to, 0o600)
            out.append(to)
    if not out:
        raise FileNotFoundError(f'no image file of {name}')
    return out


LOOP_CTL_GET_FREE, LOOP_CONFIGURE, LOOP_CLR_FD = 0x4C82, 0x4C0A, 0x4C01
# struct loop_config: descriptor and block size, then struct loop_info64 and what is reserved.
LOOP_CONFIG = struct.Struct('II232x64x')


def loop_attach(path):
    """The device that is now on a file. Without a program to run, which takes long in a debug guest."""
    with open('/dev/loop-control', 'rb') as control, open(path, 'r+b') as file:
        while True:
            device = f'/dev/loop{fcntl.ioctl(control, LOOP_CTL_GET_FREE)}'
            try:
                with open(device, 'r+b', buffering=0) as loop:
                    fcntl.ioctl(loop, LOOP_CONFIGURE, LOOP_CONFIG.pack(file.fileno(), 0))
                return device
            except OSError as x:
                if x.errno != errno.EBUSY:  # somebody else was faster
                    raise


def loop_detach(device):
    with open(device, 'rb', buffering=0) as loop:
        fcntl.ioctl(loop, LOOP_CLR_FD)


class Loop:
    """Block devices on files, gone at the end of the `with`. `options` are losetup's."""

    def __init__(self, files, *options):
        self.files, self.options, self.devices = files, options, []

    def __enter__(self):
        if not os.path.exists('/dev/loop-control'):
            subprocess.call(['modprobe', '-q', 'loop'])
        for f in self.files:
            self.devices.append(loop_attach(f) if not self.options else subprocess.check_output(
                ['losetup', '--show', '-f', *self.options, f], text=True).strip())
        return self

    @property
    def source(self):
        return ':'.join(self.devices)

    def __exit__(self, *_):
        for d in self.devices:
            loop_detach(d)


def mount(source, options='', where=MNT, flags=MS_RDONLY):
    """mount(2); OSError when it fails."""
    os.makedirs(where, exist_ok=True)
    if libc.mount(os.fsencode(source), os.fsencode(where), b'bcachefs', flags, os.fsencode(options)):
        e = ctypes.get_errno()
        raise OSError(e, os.strerror(e))


def address_of(memory):
    """Where a mapping is. Does not keep it from being closed."""
    char = ctypes.c_char.from_buffer(memory)
    address = ctypes.addressof(char)
    del char
    return address


def mount_with(source, options, where=MNT):
    """Mounts it read-write with these options. Those of which a mount takes no notice any more are set when it is
    mounted, and stay."""
    given = [o for o in options.split(',') if o]
    later = [o.split('=') for o in given if o.split('=')[0] in SET_LATER]
    mount(source, ','.join(o for o in given if o.split('=')[0] not in SET_LATER), where, flags=0)
    for name, value in later:
        with open(f'/sys/fs/bcachefs/{uuid_of(where)}/options/{name}', 'w', encoding='ascii') as f:
            f.write(value)


def uuid_of(where):
    """The name in sysfs of what is mounted there."""
    fd = os.open(where, os.O_RDONLY)
    try:
        return str(uuid.UUID(bytes=fcntl.ioctl(fd, FS_IOC_GETFSUUID, bytes(17))[1:]))
    finally:
        os.close(fd)


def umount(where=MNT):
    if libc.umount2(os.fsencode(where), 0):
        e = ctypes.get_errno()
        libc.umount2(os.fsencode(where), MNT_DETACH)
        raise OSError(e, 'umount: ' + os.strerror(e))


class Mounted:
    """A mount for the length of a `with`."""

    def __init__(self, source, options='', where=MNT):
        self.args, self.where = (source, options, where), where

    def __enter__(self):
        mount(*self.args)
        return self.where

    def __exit__(self, *_):
        umount(self.where)


class Late(Exception):
    """Something took too long. No OSError, which walking a tree takes for an answer."""


class Limit:
    """Raises Late when the `with` takes longer; on slow machines, so many times that long as $PATIENCE says."""

    def __init__(self, seconds):
        self.seconds = seconds * int(os.environ.get('PATIENCE') or 1)

    def __enter__(self):
        def late(*_):
            raise Late(f'more than {self.seconds} s')
        self.outer = signal.signal(signal.SIGALRM, late)
        self.start, self.left = time.monotonic(), signal.alarm(self.seconds)

    def __exit__(self, *_):
        signal.signal(signal.SIGALRM, self.outer)
        # One around this one goes on.
        signal.alarm(self.left and max(1, self.left - int(time.monotonic() - self.start)))


def read_everything(root, sums=None, most=None):
    """Walks a tree and reads all of it: names, attributes, links, contents. Returns how many
    objects there were, and the errors as (path, errno). A sum of the contents of each file that
    could be read goes to `sums`. With `most`, it ends after so many objects."""
    seen, errors, todo = 0, [], [os.fsencode(root)]
    while todo:
        d = todo.pop()
        try:
            entries = list(os.scandir(d))
        except OSError as x:
            errors.append((d, x.errno))
            continue
        for e in entries:
            seen += 1
            try:
                if e.is_dir(follow_symlinks=False):
                    todo.append(e.path)
                elif e.is_symlink():
                    os.readlink(e.path)
                elif e.is_file(follow_symlinks=False):
                    fd = os.open(e.path, os.O_RDONLY)
                    try:
                        # A damaged inode can claim exabytes; the start and the end are enough then.
                        size = os.fstat(fd).st_size
                        if size > 1 << 26:
                            os.pread(fd, 1 << 16, size - (1 << 16))
                            size = 1 << 20
                        at = c = 0
                        while at < size and (b := os.pread(fd, 1 << 18, at)):
                            at += len(b)
                            c = zlib.crc32(b, c)
                        if sums is not None:
                            sums[e.path] = (at, c)
                    finally:
                        os.close(fd)
                e.stat(follow_symlinks=False)
                for x in os.listxattr(e.path, follow_symlinks=False):
                    os.getxattr(e.path, x, follow_symlinks=False)
            except OSError as x:
                if x.errno not in (errno.EOPNOTSUPP,):
                    errors.append((e.path, x.errno))
            if seen > 200000:
                raise RuntimeError('a walk without end')
            if seen == most:
                return seen, errors
    return seen, errors
