#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
# guest: uml 240
"""The tools with a mounted filesystem, and the ioctls and devices that they use. What `bcachefs fs
usage` has to print, and the ioctls behind it have to give, is what the C implementation of Linux 6.12
said of the same images: tests/golden/usage.json.

    tools.py --write FILE

makes that file, in a guest with the C implementation (scripts/guest -k c612, FILE in $OUT), of the
images it finds."""
import ctypes
import errno
import glob
import hashlib
import json
import mmap
import os
import random
import re
import struct
import subprocess
import sys
import time

import common
import packaged
from common import Log, Loop, Mounted, Skip, Tap, libc, mount, umount

USAGE_OF = ('v113-repl2', 'v113-comp-zstd', 'v113-snap', 'v113-threedev', 'v113-csum-none', 'v113-tree',
            'v113-reflink', 'v113-unclean')
TOP = '/sys/fs/bcachefs'
SEVERAL, ONE, NEW = 'v113-threedev', 'v113-repl2', 'v139-threedev'
NOBODY = 65534
READ, WRITE = 2, 1


def number(direction, nr, size):
    return direction << 30 | size << 16 | 0xbc << 8 | nr


QUERY_UUID = number(READ, 1, 16)
FS_USAGE = number(READ | WRITE, 11, 64)
DEV_USAGE = number(READ | WRITE, 11, 280)
READ_SUPER = number(WRITE, 12, 32)
DISK_GET_IDX = number(WRITE, 13, 8)
DEV_USAGE_V2 = number(READ | WRITE, 18, 32)
QUERY_ACCOUNTING = number(WRITE, 21, 32)
QUERY_COUNTERS = number(WRITE, 21, 8)
FSCK_OFFLINE = number(WRITE, 19, 24)
DISKS = {4: 16, 5: 16, 6: 16, 7: 16, 8: 16, 22: 32, 23: 32, 24: 32, 25: 32, 26: 32, 14: 24, 15: 24, 27: 40, 28: 40}
BY_INDEX, READ_DEV = 1 << 4, 1 << 5
# All that the header has, on files: number, and errno with an argument of zeros for an administrator
# and for others.
ALL = {QUERY_UUID: (0, 0), FS_USAGE: (errno.ERANGE, errno.ERANGE), DEV_USAGE: (errno.EFAULT, errno.EFAULT),
       DEV_USAGE_V2: (errno.EFAULT, errno.EFAULT), READ_SUPER: (errno.ERANGE, errno.EPERM),
       DISK_GET_IDX: (errno.EINVAL, errno.EPERM), QUERY_ACCOUNTING: (0, 0), QUERY_COUNTERS: (0, 0)}
ALL.update({number(WRITE, nr, size): (errno.EFAULT, errno.EPERM) for nr, size in DISKS.items()})
ALL.update({number(WRITE, 10, 112): (errno.EROFS, errno.EPERM), number(WRITE, 20, 16): (errno.EROFS, errno.EPERM)})
ALL.update({number(*x): (errno.EROFS, errno.EROFS) for x in (
    (WRITE, 16, 32), (WRITE, 17, 32), (WRITE, 29, 48), (WRITE, 30, 48), (READ, 64, 8), (0, 66, 0), (WRITE, 68, 24),
    (0, 71, 0))})
ALL[number(0, 65, 0)] = (errno.EROFS, errno.EPERM)
ALL.update({number(*x): (errno.EOPNOTSUPP, errno.EOPNOTSUPP) for x in (
    (3, 34, 72), (3, 67, 48), (3, 69, 40), (3, 70, 8))})
ALL.update({number(3, 31, 24): (0, 0), number(3, 33, 24): (0, 0)})
ALL.update({number(3, nr, size): (errno.EINVAL, errno.EINVAL) for nr, size in ((32, 16), (35, 24))})
# Those that are of a file, not of the filesystem, are not known to the control device.
OF_FILE = {16, 17, 29, 30, 31, 32, 33, 35, 64, 65, 66, 67, 68, 69, 70, 71}

log = Log()


def ioctl(fd, cmd, arg):
    """What ioctl(2) returns; OSError. `arg` is a ctypes buffer, an address, or nothing."""
    if not isinstance(arg, int) and arg is not None:
        arg = ctypes.addressof(arg)
    ret = libc.ioctl(fd, ctypes.c_ulong(cmd), ctypes.c_void_p(arg))
    if ret < 0:
        e = ctypes.get_errno()
        raise OSError(e, os.strerror(e))
    return ret


def number_of(fd, cmd, arg):
    """The errno of an ioctl, 0 for none."""
    try:
        ioctl(fd, cmd, arg)
        return 0
    except OSError as x:
        return x.errno


class Opened:
    def __init__(self, path):
        self.path = path

    def __enter__(self):
        self.fd = os.open(self.path, os.O_RDONLY)
        return self.fd

    def __exit__(self, *_):
        os.close(self.fd)


def as_nobody(f, *args):
    """What a function returns when a process without rights runs it."""
    r, w = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            result = f(*args)
        except Exception as x:
            result = f'{type(x).__name__}: {x}'
        os.write(w, json.dumps(result).encode())
        os._exit(0)
    os.close(w)
    with os.fdopen(r, 'rb') as pipe:
        result = pipe.read()
    os.waitpid(pid, 0)
    return json.loads(result or '"the process died"')


def printed(*args):
    status, out, err = packaged.run(*args)
    if status:
        raise RuntimeError(f'bcachefs {" ".join(args)}: exit status {status}, {out[-200:]}{err[-200:]}')
    return out


# --- what the ioctls give -------------------------------------------------------------------------


def accounting(fd, types):
    """The head, and the counters as bytes."""
    buf = ctypes.create_string_buffer(1 << 16)
    struct.pack_into('=II', buf, 24, 8000, types)
    ioctl(fd, QUERY_ACCOUNTING, buf)
    words, = struct.unpack_from('=I', buf, 24)
    found, at, end = [], 32, 32 + 8 * words
    while at < end:
        size = 8 * buf.raw[at]
        if size < 40:
            raise RuntimeError(f'a counter of {size} bytes')
        found.append(buf.raw[at:at + size])
        at += size
    return struct.unpack_from('=3Q', buf, 0), sorted(found)


def fs_usage(fd):
    buf = ctypes.create_string_buffer(1 << 14)
    struct.pack_into('=I', buf, 56, (1 << 14) - 64)
    ioctl(fd, FS_USAGE, buf)
    size, = struct.unpack_from('=I', buf, 56)
    found, at = [], 64
    while at < 64 + size:
        one = 11 + buf.raw[at + 9]
        found.append(buf.raw[at:at + one])
        at += one
    return buf.raw[:56], sorted(found)


def dev_usage(fd, idx, first=False):
    buf = ctypes.create_string_buffer(280 if first else 32 + 11 * 24)
    struct.pack_into('=QIBB', buf, 0, idx, BY_INDEX, 0, 0 if first else 11)
    ioctl(fd, DEV_USAGE if first else DEV_USAGE_V2, buf)
    return buf.raw


def raw(root, devices):
    """What the C implementation and this one have to agree on."""
    with Opened(root) as fd:
        head, counters = accounting(fd, 0xd6)
        usage, replicas = fs_usage(fd)
        return {'accounting': [*head, *(c.hex() for c in counters)],
                'fs_usage': [usage.hex(), *(r.hex() for r in replicas)],
                'dev_usage': [dev_usage(fd, i, first).hex() for i in range(devices) for first in (False, True)]}


# --- the texts ------------------------------------------------------------------------------------


def packed_files(directory, name):
    return sorted(glob.glob(f'{directory}/{name}.img.zst') + glob.glob(f'{directory}/{name}.[0-9].img.zst'))


def digest(files):
    h = hashlib.sha256()
    for f in files:
        with open(f, 'rb') as x:
            h.update(x.read())
    return h.hexdigest()


def unpack(files):
    out = []
    for f in files:
        to = os.path.join(common.WORK, os.path.basename(f)[:-len('.zst')])
        subprocess.check_call(['zstd', '-qdf', '--sparse', f, '-o', to])
        os.chmod(to, 0o600)
        out.append(to)
    return out


def write(path):
    entries = []
    for name in USAGE_OF:
        for d in common.GOLDEN:
            files = packed_files(d, name)
            if not files:
                continue
            with Loop(unpack(files)) as dev, Mounted(dev.source) as root:
                entries.append({'image': name, 'sha256': digest(files), 'devices': dev.devices,
                                'usage': printed('fs', 'usage', root).split('\n'),
                                'usage -h': printed('fs', 'usage', '-h', root).split('\n'),
                                **raw(root, len(files))})
            common.clean()
    with open(path, 'w') as f:
        json.dump(entries, f, indent=1)
        f.write('\n')
    print(f'{len(entries)} images')


def expected():
    for d in common.GOLDEN:
        path = os.path.join(d, 'usage.json')
        if os.path.exists(path):
            with open(path) as f:
                return json.load(f)
    return []


def named(text, devices):
    """Words, with devices by their place."""
    for i, d in enumerate(devices):
        text = re.sub(rf'\b{os.path.basename(d)}\b', f'DEV{i}', text)
    return [line.split() for line in text.split('\n')]


def same_text(got, want, devices, as_devices):
    """The lines that differ; with other names of devices, columns may be others."""
    if devices == as_devices:
        a, b = got.split('\n'), want.split('\n')
    else:
        a, b = named(got, devices), named(want, as_devices)
    differ = [f'{x!r}, not {y!r}' for x, y in zip(a, b) if x != y]
    return differ + ([f'{len(a)} lines, not {len(b)}'] if len(a) != len(b) else [])


def as_c(entry):
    files = next((f for d in common.GOLDEN for f in [packed_files(d, entry['image'])]
                  if f and digest(f) == entry['sha256']), None)
    if not files:
        raise Skip(f'no image {entry["image"]} of {entry["sha256"][:12]}')
    wrong = []
    with Loop(unpack(files)) as dev, Mounted(dev.source) as root:
        uuid = os.listdir(TOP)[0]
        inside = next((e.path for e in os.scandir(root)), root)
        for args, key in ((('fs', 'usage', root), 'usage'), (('fs', 'usage', '-h', root), 'usage -h'),
                          (('fs', 'usage', uuid), 'usage')) + (((('fs', 'usage', inside), 'usage'),)
                                                               if os.path.isdir(inside) else ()):
            got = printed(*args)
            wrong += [f'{" ".join(args)}: {x}'
                      for x in same_text(got, '\n'.join(entry[key]), dev.devices, entry['devices'])]
        got = raw(root, len(files))
        for key, value in got.items():
            wrong += [f'{key}: {x}, not {y}' for x, y in zip(value, entry[key]) if x != y]
            if len(value) != len(entry[key]):
                wrong.append(f'{key}: {len(value)}, not {len(entry[key])}')
        other = as_nobody(raw, root, len(files))
        if other != got:
            wrong.append(f'nobody is told {other}')
    return wrong


# --- the other commands ---------------------------------------------------------------------------


def have(*names):
    for name in names:
        if name not in common.images():
            raise Skip(f'no image {name}')


def mounted_or_not():
    """Commands that read a device print the same, mounted or not."""
    have(ONE)
    wrong = []
    with Loop(common.unpack(ONE)) as dev:
        commands = (('show-super', dev.devices[0]), ('show-super', '-l', dev.devices[1]),
                    ('list_journal', *dev.devices), ('list', '-b', 'inodes', *dev.devices),
                    ('version',))
        before = [printed(*c) for c in commands]
        with Mounted(dev.source) as root:
            for c, want in zip(commands, before):
                got = printed(*c)
                if got != want or len(got) < 5:
                    wrong.append(f'{c[0]}: {got[:500]!r}, when not mounted {want[:500]!r}')
            out = os.path.join(common.WORK, 'dump')
            printed('dump', '-o', out, *dev.devices)
            dumps = glob.glob(out + '*')
            if not dumps or min(os.path.getsize(d) for d in dumps) < 4096:
                wrong.append(f'dump: {dumps}')
            for d in dumps:
                os.unlink(d)
            common.read_everything(root)
    return wrong


def refused():
    """Commands that would change the filesystem say that it is read-only."""
    have(SEVERAL)
    wrong = []
    with Loop(common.unpack(SEVERAL)) as dev, Mounted(dev.source) as root:
        for args in (('device', 'offline', dev.devices[1]), ('device', 'remove', dev.devices[1]),
                     ('device', 'remove', '1', root), ('device', 'set-state', 'ro', dev.devices[1]),
                     ('device', 'resize-journal', dev.devices[1], '4M'), ('device', 'online', dev.devices[1]),
                     ('device', 'evacuate', dev.devices[1]),
                     ('data', 'rereplicate', root), ('subvolume', 'create', f'{root}/new'),
                     ('subvolume', 'snapshot', root, f'{root}/new')):
            status, out, err = packaged.run(*args)
            if not status or 'Read-only file system' not in out + err:
                wrong.append(f'{" ".join(args)}: exit status {status}: {out[-200:]}{err[-200:]}')
        if os.path.exists(f'{root}/new'):
            wrong.append('a subvolume was made')
    return wrong


def by_ioctl(name):
    """What the ioctls say agrees with what else the filesystem says of itself."""
    have(name)
    wrong = []
    with Loop(common.unpack(name)) as dev, Mounted(dev.source) as root, Opened(root) as fd:
        uuid = os.listdir(TOP)[0]
        buf = ctypes.create_string_buffer(16)
        ioctl(fd, QUERY_UUID, buf)
        if buf.raw.hex() != uuid.replace('-', ''):
            wrong.append(f'UUID {buf.raw.hex()}, not {uuid}')
        st, base = os.statvfs(root), {}
        with open(f'{TOP}/{uuid}/internal/usage_base') as f:
            base = {k: int(v) for k, v in re.findall(r'(\w+): +(\d+)', f.read())}
        (capacity, used, reserved), counters = accounting(fd, 1 << 1 | 1 << 2)
        sectors = st.f_frsize // 512
        if (capacity // sectors, (capacity - used) // sectors, reserved) != (st.f_blocks, st.f_bfree, 0):
            wrong.append(f'capacity {capacity} used {used} reserved {reserved}, statvfs {st}')
        # Of the position the first byte in the order of 1.15 is the type; then what is held.
        sums = {}
        for c in counters:
            pos, value = c[20:40][::-1], struct.unpack_from('=Q', c, 40)[0]
            if pos[0] == 2:
                kind = {3: 'btree', 5: 'cached'}.get(pos[1], 'data')
                sums[kind] = sums.get(kind, 0) + value
        for kind in ('btree', 'data', 'cached'):
            if sums.get(kind, 0) != base[kind]:
                wrong.append(f'{kind}: {sums.get(kind)} sectors, in sysfs {base[kind]}')
        hidden = 0
        for i, d in enumerate(dev.devices):
            u = dev_usage(fd, i)
            bucket, nr = struct.unpack_from('=IQ', u, 20)
            types = list(struct.iter_unpack('=3Q', u[32:]))
            with open(f'{TOP}/{uuid}/dev-{i}/nbuckets') as f:
                nbuckets = int(f.read())
            with open(f'{TOP}/{uuid}/dev-{i}/first_bucket') as f:
                first = int(f.read())
            if nr != nbuckets - first or sum(t[0] for t in types) != nr:
                wrong.append(f'device {i}: {nr} buckets, by type {types}')
            hidden += sum(types[t][0] for t in (1, 2)) * bucket
            arg = ctypes.c_uint64(os.stat(d).st_rdev)
            if ioctl(fd, DISK_GET_IDX, arg) != i:
                wrong.append(f'{d} is not device {i}')
            wrong += own_superblock(fd, i, d)
        if hidden != base['hidden']:
            wrong.append(f'{hidden} sectors hidden, in sysfs {base["hidden"]}')
        if number_of(fd, DISK_GET_IDX, ctypes.c_uint64(os.stat('/dev/null').st_rdev)) != errno.ENOENT:
            wrong.append('/dev/null is a device of the filesystem')
    return wrong


def own_superblock(fd, idx, device):
    """BCH_IOCTL_READ_SUPER gives what is on the device."""
    with open(device, 'rb') as f:
        f.seek(4096)
        disk = f.read(1 << 16)
    buf = ctypes.create_string_buffer(1 << 16)
    arg = ctypes.create_string_buffer(struct.pack('=IIQQQ', BY_INDEX | READ_DEV, 0, idx, len(buf),
                                                  ctypes.addressof(buf)), 32)
    ioctl(fd, READ_SUPER, arg)
    words, = struct.unpack_from('=I', disk, 124)
    size = 752 + 8 * words
    return [] if buf.raw[:size] == disk[:size] else [f'the superblock of {device} is another one']


# --- control devices ------------------------------------------------------------------------------


def control_devices():
    have(ONE, SEVERAL)
    wrong = []

    def there():
        return sorted(os.path.basename(p) for p in glob.glob('/dev/bcachefs*-ctl'))
    if there() != ['bcachefs-ctl']:
        return f'before: {there()}'
    with Opened('/dev/bcachefs-ctl') as fd:
        for cmd, want in ((QUERY_UUID, errno.ENOTTY), (FSCK_OFFLINE, errno.EOPNOTSUPP)):
            got = number_of(fd, cmd, ctypes.create_string_buffer(64))
            if got != want:
                wrong.append(f'bcachefs-ctl: {cmd:x}: errno {got}')
    with Loop(common.unpack(ONE)) as a, Loop(common.unpack(SEVERAL)) as b:
        other = common.MNT + '-other'
        with Mounted(a.source):
            with Mounted(b.source, where=other) as root:
                if there() != ['bcachefs-ctl', 'bcachefs0-ctl', 'bcachefs1-ctl']:
                    wrong.append(f'two mounted: {there()}')
                for uuid in os.listdir(TOP):
                    with open(f'{TOP}/{uuid}/minor') as f:
                        path = f'/dev/bcachefs{f.read().strip()}-ctl'
                    if os.stat(path).st_mode & 0o077:
                        wrong.append(f'{path} is open to others')
                    buf = ctypes.create_string_buffer(16)
                    with Opened(path) as fd:
                        ioctl(fd, QUERY_UUID, buf)
                        if buf.raw.hex() != uuid.replace('-', ''):
                            wrong.append(f'{path} is of {buf.raw.hex()}, not {uuid}')
                with Opened(root) as fd:
                    buf = ctypes.create_string_buffer(16)
                    ioctl(fd, QUERY_UUID, buf)
                left = next(u for u in os.listdir(TOP) if u.replace('-', '') == buf.raw.hex())
                with open(f'{TOP}/{left}/minor') as f:
                    kept = os.open(f'/dev/bcachefs{f.read().strip()}-ctl', os.O_RDWR)
            # The second one is gone, what was open of it says so, and its number is free again.
            try:
                for cmd, size in ((QUERY_UUID, 16), (FS_USAGE, 64), (QUERY_ACCOUNTING, 32)):
                    got = number_of(kept, cmd, ctypes.create_string_buffer(size))
                    if got != errno.ENODEV:
                        wrong.append(f'after unmount: {cmd:x}: errno {got}')
                if len(there()) != 2:
                    wrong.append(f'one mounted: {there()}')
                with Mounted(b.source, where=other):
                    if len(there()) != 3:
                        wrong.append(f'mounted again: {there()}')
                    if number_of(kept, QUERY_UUID, ctypes.create_string_buffer(16)) != errno.ENODEV:
                        wrong.append('what was open leads to another mount')
            finally:
                os.close(kept)
    if there() != ['bcachefs-ctl']:
        wrong.append(f'after: {there()}')
    return wrong


def race(seconds):
    """Questions on control devices while filesystems come and go."""
    have(ONE)
    stop = os.path.join(common.WORK, 'stop')
    children = []
    for _ in range(2):
        pid = os.fork()
        if not pid:
            asked = 0
            while not os.path.exists(stop):
                try:
                    fd = os.open('/dev/bcachefs0-ctl', os.O_RDWR)
                except OSError:
                    continue
                for _ in range(200):
                    if number_of(fd, QUERY_ACCOUNTING, ctypes.create_string_buffer(32)) == errno.ENODEV:
                        break
                    asked += 1
                os.close(fd)
            os._exit(0 if asked else 1)
        children.append(pid)
    cycles, end = 0, time.monotonic() + seconds
    with Loop(common.unpack(ONE)) as dev:
        while time.monotonic() < end or cycles < 8:
            mount(dev.source)
            time.sleep(0.1)
            umount()
            cycles += 1
    with open(stop, 'w'):
        pass
    bad = [s for s in (os.waitpid(p, 0)[1] for p in children) if s]
    os.unlink(stop)
    return f'exit status {bad}' if bad else ''


# --- arguments that make no sense -------------------------------------------------------------------


def zeros():
    """An argument of zeros to everything in the header, by an administrator and by others."""
    have(NEW)
    wrong = []

    def errnos(path):
        with Opened(path) as fd:
            return {str(cmd): number_of(fd, cmd, ctypes.create_string_buffer(max(cmd >> 16 & 0x3fff, 8)))
                    for cmd in ALL}
    with Loop(common.unpack(NEW)) as dev, Mounted(dev.source) as root:
        file = next(os.path.join(d, f) for d, _, files in os.walk(root) for f in files
                    if os.path.isfile(os.path.join(d, f)) and not os.path.islink(os.path.join(d, f)))
        for where, got, who in (('a directory', errnos(root), 0), ('a file', errnos(file), 0),
                                ('a directory, by nobody', as_nobody(errnos, root), 1)):
            if isinstance(got, str):
                wrong.append(f'{where}: {got}')
                continue
            for cmd, want in ALL.items():
                if got[str(cmd)] != want[who]:
                    wrong.append(f'{cmd:x} on {where}: errno {got[str(cmd)]}, not {want[who]}')
        got = errnos('/dev/bcachefs0-ctl')
        for cmd, want in ALL.items():
            want = errno.ENOTTY if cmd & 0xff in OF_FILE else want[0]
            if got[str(cmd)] != want:
                wrong.append(f'{cmd:x} on the control device: errno {got[str(cmd)]}, not {want}')
    return wrong


def nonsense(path, seed, rounds):
    """Random arguments. Returns what is wrong."""
    r = random.Random(seed)
    commands = list(ALL) + [FSCK_OFFLINE]
    # Answers of 64 KiB at most go to the first 16 of this; behind it is nothing.
    pages = mmap.mmap(-1, (1 << 18) + mmap.PAGESIZE)
    start = ctypes.addressof(ctypes.c_char.from_buffer(pages))
    end, wrong = start + (1 << 18), []
    libc.mprotect(ctypes.c_void_p(end), ctypes.c_size_t(mmap.PAGESIZE), 0)
    fine = {0, errno.ENOTTY, errno.EOPNOTSUPP, errno.EFAULT, errno.EPERM, errno.EINVAL, errno.ENOENT,
            errno.ERANGE, errno.EROFS}
    with Opened(path) as fd:
        for _ in range(rounds):
            cmd = r.choice(commands)
            if not r.randrange(8):
                cmd = number(r.randrange(4), r.randrange(256), r.choice((0, 8, 16, 24, 32, 64, 280, 1000)))
            words = [r.choice((0, 0, 0, r.getrandbits(64), start + r.randrange(1 << 14), r.randrange(64),
                               r.randrange(64) << 32)) for _ in range(40)]
            where = r.choice((start, start, start, start + r.randrange(64), end - 400 + r.randrange(400),
                              0, 8, 4096, (1 << 64) - r.randrange(1, 300), 1 << 47, r.getrandbits(64)))
            struct.pack_into('=40Q', pages, 0, *words)
            got = number_of(fd, cmd, where)
            if got not in fine:
                wrong.append(f'{cmd:x}, {words}: errno {got}')
    return wrong[:3]


def all_nonsense():
    have(SEVERAL, NEW)
    wrong, seed = [], random.getrandbits(32)
    print(f'# seed {seed}')
    for name in (SEVERAL, NEW):
        with Loop(common.unpack(name)) as dev, Mounted(dev.source) as root:
            for path in (root, '/dev/bcachefs0-ctl', '/dev/bcachefs-ctl'):
                wrong += nonsense(path, seed, 2000)
            wrong += as_nobody(nonsense, root, seed, 2000)
            if common.read_everything(root)[1]:
                wrong.append('not readable any more')
    return wrong


def main():
    tap = Tap()
    tests = [(f'usage of {e["image"]} is as the C implementation prints it ({e["sha256"][:8]})', as_c, e)
             for e in expected()]
    tests += [(f'{name}: ioctls agree with statvfs and sysfs', by_ioctl, name)
              for name in (NEW, 'v139-comp-zstd', 'v139-snap', 'v139-ec')]
    tap.check_each(log, tests + [
        ('what reads devices does so while they are mounted', mounted_or_not),
        ('what changes the filesystem is refused', refused),
        ('control devices come and go', control_devices),
        ('control devices race mounts', race, 10),
        ('arguments of zeros', zeros),
        ('arguments that make no sense', all_nonsense)], 200)
    tap.done()


if __name__ == '__main__':
    if sys.argv[1:2] == ['--write']:
        write(sys.argv[2])
    else:
        main()
