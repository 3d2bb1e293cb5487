#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
# guest: uml 300
# guest: uml-debug? 600
# guest: stock? 600
"""Subvolumes and snapshots are made and deleted by the tools, while several processes change what they
are made of; what is in them stays, what is deleted goes, and the tools' fsck has nothing to say.

    subvolumes.py --keep DIRECTORY

leaves filesystems in the directory, with what they hold, for another kernel to look at:

    subvolumes.py --look DIRECTORY

mounts them there and compares."""
import ctypes
import errno
import fcntl
import hashlib
import json
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import time

import common
import packaged
from common import Limit, Log, Loop, Mounted, Tap, libc, mount, umount
from namespace import differences, fails, files_of, several
from rw import fsck

SECONDS = 150
CREATE, DESTROY = 0x4020bc10, 0x4020bc11
CREATE_V2, DESTROY_V2 = 0x4030bc1d, 0x4030bc1e
LIST, TO_PATH, TREE_V2 = 0xc018bc1f, 0xc010bc20, 0xc018bc23
SNAPSHOT, READ_ONLY = 1, 2
AT_FDCWD = -100


def tool(*args):
    p = subprocess.run(['bcachefs', 'subvolume', *args], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                       timeout=60)
    if p.returncode:
        return [f'bcachefs subvolume {" ".join(args)}: {p.stdout}{p.stderr}']
    return []


def exchange(a, b):
    """Two names are exchanged."""
    if libc.renameat2(AT_FDCWD, os.fsencode(a), AT_FDCWD, os.fsencode(b), 2):
        e = ctypes.get_errno()
        raise OSError(e, os.strerror(e))


def made(ret):
    """What the tools said, when that was not nothing."""
    if ret:
        raise RuntimeError(ret[0])


def subvolume(path, source=None, flags=0, mode=0o777, on=None, v2=None):
    """Makes a subvolume, or with a flag a snapshot, by ioctl."""
    fd = os.open(on or os.path.dirname(path), os.O_RDONLY)
    texts = [bytes(os.fsencode(p)) + b'\0' if p else b'' for p in (path, source)]
    bufs = [ctypes.create_string_buffer(t) if t else None for t in texts]
    at = [ctypes.addressof(b) if b else 0 for b in bufs]
    arg = struct.pack('=IiH6xQQ', flags, AT_FDCWD, mode, *at)
    try:
        if v2 is not None:
            fcntl.ioctl(fd, CREATE_V2, arg + struct.pack('=QII', ctypes.addressof(v2), len(v2), 0))
        else:
            fcntl.ioctl(fd, CREATE, arg)
    finally:
        os.close(fd)


def destroy(path, on=None, flags=0):
    fd = os.open(on or os.path.dirname(path), os.O_RDONLY)
    buf = ctypes.create_string_buffer(os.fsencode(path) + b'\0')
    try:
        fcntl.ioctl(fd, DESTROY, struct.pack('=IiH6xQQ', flags, AT_FDCWD, 0, ctypes.addressof(buf), 0))
    finally:
        os.close(fd)


def children(path, room=4096):
    """The subvolumes that have a name in the one of a directory: id, flags, what they were made of, when, path."""
    fd, buf, pos, found = os.open(path, os.O_RDONLY), ctypes.create_string_buffer(room), 0, []
    try:
        while True:
            arg = bytearray(struct.pack('=IIQII', pos, room, ctypes.addressof(buf), 0, 0))
            fcntl.ioctl(fd, LIST, arg)
            pos, _, _, used, _ = struct.unpack('=IIQII', arg)
            if not used:
                return found
            at = 0
            while at < used:
                length, nr, flags, parent, sec, nsec, _ = struct.unpack_from('=IIIIQII', buf, at)
                name = buf.raw[at + 32:at + length].split(b'\0')[0]
                found.append((nr, flags, parent, sec + nsec / 10**9, os.fsdecode(name)))
                at += length
    finally:
        os.close(fd)


def path_of(nr, room=4096):
    fd, buf = os.open(common.MNT, os.O_RDONLY), ctypes.create_string_buffer(room)
    try:
        fcntl.ioctl(fd, TO_PATH, struct.pack('=IIQ', nr, room, ctypes.addressof(buf)))
        return os.fsdecode(buf.value)
    finally:
        os.close(fd)


def tree_of(path, room=64):
    """The nodes of the tree of snapshots that a file is in: parents and sectors, by id."""
    fd = os.open(path, os.O_RDONLY)
    try:
        arg = bytearray(struct.pack('=IIIIII', 0, 0, 0, room, 0, 56) + bytes(56 * room))
        fcntl.ioctl(fd, TREE_V2, arg)
        nr, = struct.unpack_from('=I', arg, 12)
        nodes = [struct.unpack_from('=IIIIIIIIQQQ', arg, 24 + 56 * i) for i in range(nr)]
        return {n[0]: (n[1], n[4], n[8]) for n in nodes}
    finally:
        os.close(fd)


def lists(name):
    """Subvolumes are listed, in directories that one may search, with their paths from the top; what the nodes
    of the tree hold is what was written since a snapshot was made."""
    files, wrong = files_of(name), []

    def paths(of, room=4096):
        return sorted(c[4] for c in children(of, room))

    def by_nobody(of):
        r, w = os.pipe()
        if not os.fork():
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            os.write(w, json.dumps(paths(of)).encode())
            os._exit(0)
        os.close(w)
        with os.fdopen(r) as f:
            os.wait()
            return json.load(f)

    with Loop(files) as dev:
        mount(dev.source, flags=0)
        top = common.MNT
        for d in 'dir/open/below', 'shut', 'vol-dir':
            os.makedirs(f'{top}/{d}')
        os.chmod(f'{top}/shut', 0o700)
        subvolume(f'{top}/vol')
        subvolume(f'{top}/dir/open/below/deep')
        subvolume(f'{top}/shut/hidden')
        subvolume(f'{top}/vol/inner')
        with open(f'{top}/vol/data', 'wb') as f:
            f.write(os.urandom(1 << 20))
        os.sync()
        subvolume(f'{top}/vol-dir/snap', f'{top}/vol', SNAPSHOT | READ_ONLY)
        with open(f'{top}/vol/more', 'wb') as f:
            f.write(os.urandom(1 << 18))
        os.sync()
        want = ['dir/open/below/deep', 'shut/hidden', 'vol', 'vol-dir/snap']
        for room in 64, 4096:
            if paths(top, room) != want:
                wrong.append(f'with room for {room} bytes: {paths(top, room)}')
        for of, has in (f'{top}/dir', want), (f'{top}/vol/data', ['inner']), (f'{top}/vol/inner', []):
            if paths(of) != has:
                wrong.append(f'{of}: {paths(of)}')
        if by_nobody(top) != ['dir/open/below/deep', 'vol', 'vol-dir/snap']:
            wrong.append(f'to nobody: {by_nobody(top)}')
        by_path = {c[4]: c for c in children(top)}
        if wrong:
            return wrong
        if (by_path['vol'][1:3], by_path['vol-dir/snap'][1:3]) != ((0, 0), (3, by_path['vol'][0])):
            wrong.append(f'flags and what they are made of: {by_path}')
        wrong += [f'{c}: made at that time?' for c in by_path.values() if abs(c[3] - time.time()) > 300]
        for c in list(by_path.values()) + [(1, 0, 0, 0, '')]:
            if path_of(c[0]) != c[4]:
                wrong.append(f'{c}: its path is {path_of(c[0])}')
        (inner,) = children(f'{top}/vol')
        if path_of(inner[0]) != 'vol/inner':
            wrong.append(f'the inner one is at {path_of(inner[0])}')
        wrong += fails(errno.ENOENT, path_of, 4711)
        wrong += fails(errno.ERANGE, path_of, inner[0], 9)
        wrong += fails(errno.ERANGE, tree_of, f'{top}/vol', 1)
        nodes = tree_of(f'{top}/vol')
        held = {subvol: sectors for _, subvol, sectors in nodes.values()}
        if len(nodes) != 3 or held.keys() != {0, by_path['vol'][0], by_path['vol-dir/snap'][0]} \
                or held[0] < 2048 or not 512 <= held[by_path['vol'][0]] < 1024 or held[by_path['vol-dir/snap'][0]] > 64:
            wrong.append(f'nodes of the tree: {nodes}')
        os.rename(f'{top}/dir/open/below/deep', f'{top}/dir/moved')
        destroy(f'{top}/shut/hidden')
        want = ['dir/moved', 'vol', 'vol-dir/snap']
        if paths(top) != want or path_of(by_path['dir/open/below/deep'][0]) != 'dir/moved':
            wrong.append(f'after changes: {paths(top)}')
        umount()
        with Mounted(dev.source):
            if paths(top) != want or path_of(inner[0]) != 'vol/inner':
                wrong.append(f'mounted again: {paths(top)}')
        wrong += fsck(dev.devices)
    return wrong


def seen(top):
    """All that is below a directory, as it is."""
    found = {}
    for d, dirs, names in os.walk(top):
        for name in dirs + names:
            p = os.path.join(d, name)
            s = os.lstat(p)
            what = [s.st_mode, s.st_uid, s.st_size if not os.path.isdir(p) else 0, s.st_mtime_ns, s.st_nlink]
            if os.path.islink(p):
                what.append(os.readlink(p))
            elif os.path.isfile(p):
                with open(p, 'rb') as f:
                    what.append(hash_of(f.read()))
            found[os.path.relpath(p, top)] = what
    return found


def hash_of(data):
    return hashlib.sha256(data).hexdigest()


def used():
    s = os.statvfs(common.MNT)
    return (s.f_blocks - s.f_bfree) * s.f_frsize


def wait_until(what, seconds=60):
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return True


def fill(top, r, nr):
    for _ in range(nr):
        p = f'{top}/f{r.randrange(12)}'
        match r.randrange(6):
            case 0:
                if os.path.lexists(p):
                    os.unlink(p)
            case 1:
                with open(p, 'ab') as f:
                    f.truncate(r.randrange(200000))
            case 2:
                os.makedirs(f'{top}/d{r.randrange(4)}/e', exist_ok=True)
            case _:
                with open(p, 'r+b' if os.path.exists(p) else 'w+b') as f:
                    f.seek(r.randrange(150000))
                    f.write(r.randbytes(r.randrange(1, 60000)))


def commands(name):
    """What the tools make, list and delete."""
    files, wrong = files_of(name), []
    with Loop(files) as dev:
        mount(dev.source, flags=0)
        try:
            m = common.MNT
            made(tool('create', f'{m}/a'))
            with open(f'{m}/a/known', 'xb') as f:
                f.write(b'known')
            fill(f'{m}/a', random.Random(1), 40)
            before = seen(f'{m}/a')
            made(tool('snapshot', f'{m}/a', f'{m}/b'))
            made(tool('snapshot', '--read-only', f'{m}/a', f'{m}/ro'))
            made(tool('create', f'{m}/a/nested'))
            fill(f'{m}/a', random.Random(2), 40)
            for snap in ('b', 'ro'):
                wrong += differences(before, seen(f'{m}/{snap}'))
            wrong += fails(errno.EROFS, os.mkdir, f'{m}/ro/x')
            wrong += fails(errno.EROFS, os.unlink, f'{m}/ro/known')
            wrong += fails(errno.EROFS, open, f'{m}/ro/new', 'x')
            wrong += fails(errno.EXDEV, os.link, f'{m}/a/known', f'{m}/b/linked')
            os.mkdir(f'{m}/a/dir')
            wrong += fails(errno.EXDEV, os.rename, f'{m}/a/dir', f'{m}/b/dir')
            # Roots of others can go from one to another, also in place of each other.
            made(tool('create', f'{m}/b/other'))
            os.rename(f'{m}/a/nested', f'{m}/b/nested')
            wrong += fails(errno.EXDEV, exchange, f'{m}/a/dir', f'{m}/b/nested')
            wrong += fails(errno.EROFS, os.rename, f'{m}/b/nested', f'{m}/ro/nested')
            os.mkdir(f'{m}/b/nested/inside')
            made(tool('create', f'{m}/a/third'))
            exchange(f'{m}/a/third', f'{m}/b/nested')
            os.rename(f'{m}/b/other', f'{m}/other')
            if os.listdir(f'{m}/a/third') != ['inside'] or os.listdir(f'{m}/b/nested'):
                wrong.append(f'exchanged: {os.listdir(f"{m}/a/third")} {os.listdir(f"{m}/b/nested")}')
            os.rename(f'{m}/a/third', f'{m}/a/nested')
            made(tool('delete', f'{m}/b/nested'))
            made(tool('delete', f'{m}/other'))
            # Of a read-only one, one that can be written.
            made(tool('snapshot', f'{m}/ro', f'{m}/again'))
            wrong += differences(before, seen(f'{m}/again'))
            os.mkdir(f'{m}/again/x')
            if os.path.exists(f'{m}/ro/x') or os.path.exists(f'{m}/a/x'):
                wrong.append('seen elsewhere')
            ids = {os.stat(f'{m}/{p}').st_dev for p in ('.', 'a', 'b', 'ro')}
            if len(ids) != 1:
                wrong.append(f'devices: {ids}')
            if not tool('delete', f'{m}/a'):
                wrong.append('deleted with another one in it')
            made(tool('delete', f'{m}/a/nested'))
            made(tool('delete', f'{m}/a'))
            made(tool('delete', f'{m}/ro'))
            for snap in ('b', 'again'):
                found = seen(f'{m}/{snap}')
                found.pop('x', None)
                wrong += differences(before, found)
            left = set(os.listdir(m)) - {'lost+found'}
            if left != {'b', 'again'}:
                wrong.append(f'left: {left}')
        finally:
            umount()
        wrong += fsck(dev.devices)
        with Mounted(dev.source):
            wrong += differences(before, seen(f'{common.MNT}/b'))
    return wrong


def errors(name):
    files, wrong = files_of(name), []
    with Loop(files) as dev:
        mount(dev.source, flags=0)
        try:
            m = common.MNT
            os.mkdir(f'{m}/dir')
            wrong += fails(errno.EEXIST, subvolume, f'{m}/dir')
            wrong += fails(errno.ENOENT, subvolume, f'{m}/none/x', on=m)
            wrong += fails(errno.EXDEV, subvolume, f'{common.WORK}/x', on=m)
            wrong += fails(errno.EXDEV, subvolume, f'{m}/x', common.WORK, SNAPSHOT)
            wrong += fails(errno.EINVAL, subvolume, f'{m}/x', f'{m}/dir', SNAPSHOT)
            wrong += fails(errno.ENOENT, subvolume, f'{m}/x', f'{m}/none', SNAPSHOT)
            wrong += fails(errno.EINVAL, subvolume, f'{m}/x', None, READ_ONLY)
            wrong += fails(errno.EINVAL, subvolume, f'{m}/x', f'{m}/dir')
            wrong += fails(errno.EINVAL, subvolume, f'{m}/x', None, 4)
            wrong += fails(errno.ENOENT, destroy, f'{m}/dir')
            wrong += fails(errno.ENOENT, destroy, f'{m}/none', on=m)
            wrong += fails(errno.EBUSY, destroy, m, on=m)
            wrong += fails(errno.EINVAL, destroy, f'{m}/dir', flags=1)
            said = ctypes.create_string_buffer(200)
            wrong += fails(errno.EEXIST, subvolume, f'{m}/dir', v2=said)
            if said.value != b'the subvolume could not be made, or deleted':
                wrong.append(f'not what IoctlSubvolume says: {said.value}')
            subvolume(f'{m}/sub', mode=0o711)
            if os.stat(f'{m}/sub').st_mode & 0o7777 != 0o711:
                wrong.append(f'{os.stat(f"{m}/sub")}')
            # Without a source: of that which the name is in.
            subvolume(f'{m}/sub/within', None, SNAPSHOT)
            wrong += fails(errno.ENOTEMPTY, destroy, f'{m}/sub')
            wrong += fails(errno.ENOTEMPTY, os.rmdir, f'{m}/sub')
            os.rmdir(f'{m}/sub/within')
            os.mkdir(f'{m}/sub/d')
            wrong += fails(errno.ENOTEMPTY, os.rmdir, f'{m}/sub')
            # What is open can be used until it is closed.
            fd = os.open(f'{m}/sub/d/open', os.O_RDWR | os.O_CREAT)
            os.write(fd, b'x' * 100000)
            inside = os.open(f'{m}/sub/d', os.O_RDONLY)
            destroy(f'{m}/sub')
            if os.path.exists(f'{m}/sub'):
                wrong.append('still there')
            wrong += fails(errno.ENOENT, subvolume, f'/proc/self/fd/{inside}/late', on=m)
            os.close(inside)
            os.write(fd, b'y' * 1000)
            os.fsync(fd)
            if os.pread(fd, 200000, 0) != b'x' * 100000 + b'y' * 1000:
                wrong.append('not what was written')
            os.close(fd)
            # Others.
            subvolume(f'{m}/mine')
            subvolume(f'{m}/open', mode=0o777)
            os.chmod(f'{m}/open', 0o777)
            pid = os.fork()
            if pid == 0:
                os.setuid(1000)
                bad = fails(errno.EACCES, destroy, f'{m}/mine')
                bad += fails(errno.EACCES, subvolume, f'{m}/x')
                bad += fails(errno.EPERM, subvolume, f'{m}/open/x', f'{m}/mine', SNAPSHOT)
                subvolume(f'{m}/open/own')
                subvolume(f'{m}/open/snap', f'{m}/open/own', SNAPSHOT)
                destroy(f'{m}/open/snap')
                print('\n'.join(f'# {b}' for b in bad), flush=True)
                os._exit(bool(bad))
            if os.waitpid(pid, 0)[1]:
                wrong.append('as somebody else')
            if os.stat(f'{m}/open/own').st_uid != 1000:
                wrong.append(f'{os.stat(f"{m}/open/own")}')
        finally:
            umount()
        wrong += fsck(dev.devices)
    return wrong


def under_load(name, seed):
    """Snapshots of a subvolume that several processes change."""
    files, wrong = files_of(name), []
    crashed = [f + '.crashed.img' for f in files]
    with Loop(files) as dev:
        mount(dev.source, flags=0)
        try:
            m = common.MNT
            subvolume(f'{m}/top')
            pid = os.fork()
            if pid == 0:
                bad = ['?']
                try:
                    bad = several(f'{m}/top', 3, seed)
                finally:
                    print('\n'.join(f'# {b}' for b in bad), flush=True)
                    os._exit(bool(bad))
            writers = []
            for i in range(2):
                d = f'{m}/top/data{i}'
                os.makedirs(d)
                w = os.fork()
                if w == 0:
                    fill(d, random.Random(seed + i), 300)
                    os._exit(0)
                writers.append(w)
            snaps, nr = {}, 0
            r = random.Random(seed)
            done = 0
            while not done:
                done, status = os.waitpid(pid, os.WNOHANG)
                nr += 1
                if len(snaps) > 5:
                    gone = r.choice(sorted(snaps))
                    del snaps[gone]
                    destroy(f'{m}/{gone}')
                subvolume(f'{m}/s{nr}', f'{m}/top', SNAPSHOT | READ_ONLY)
                snaps[f's{nr}'] = seen(f'{m}/s{nr}')
                for s in snaps:
                    wrong += [f'{s}: {d}' for d in differences(snaps[s], seen(f'{m}/{s}'))]
            if status:
                wrong.append('a process failed')
            for w in writers:
                if os.waitpid(w, 0)[1]:
                    wrong.append('a writer failed')
            print(f'# {nr} snapshots', flush=True)
            snaps['top'] = seen(f'{m}/top')
            os.sync()
            for f, to in zip(files, crashed):
                subprocess.check_call(['cp', '--sparse=always', f, to])
        finally:
            umount()
        wrong += checked(dev.devices)
        wrong += look_at(dev.source, snaps)
    with Loop(crashed) as dev:
        wrong += look_at(dev.source, snaps)
        wrong += checked(dev.devices)
    return wrong


def checked(devices):
    """What fsck has to say. It also counts a name for a version of a file above when the one below that
    has it has no other: too many, for a version that says that there are several. Of that it may say
    something, and nothing else; `links_of` counts what snapshots see."""
    status, out = packaged.tool('fsck', '-n', *devices)
    lines = out.splitlines()
    odd = [x for x in lines if 'fixing' in x or 'rror' in x and 'errors fixed' not in x and 'opts=' not in x]
    if status == 0 or status == 1 and odd and all(is_overcounted(x) for x in odd):
        return []
    return [f'fsck -n: exit status {status}'] + lines[-40:]


def is_overcounted(line):
    m = re.search(r'has wrong i_nlink \((\d+), should be (\d+)\)', line)
    return bool(m) and 1 < int(m[1]) < int(m[2])


def links_of(top):
    """Files below a directory that do not say how many names they have there."""
    says, names = {}, {}
    for d, _, files in os.walk(top):
        for name in files:
            s = os.lstat(f'{d}/{name}')
            says[s.st_ino] = s.st_nlink
            names[s.st_ino] = names.get(s.st_ino, 0) + 1
    return [f'{top}: inode {i}: {says[i]} links, {nr} names' for i, nr in names.items() if says[i] != nr]


def look_at(source, snaps):
    wrong = []
    mount(source, flags=0)
    for s in snaps:
        wrong += [f'{s}, again: {d}' for d in differences(snaps[s], seen(f'{common.MNT}/{s}'))]
        wrong += links_of(f'{common.MNT}/{s}')
    umount()
    return wrong


def space(name):
    """Space of what is deleted comes back, also when the filesystem is unmounted at once."""
    files, wrong = files_of(name), []
    with Loop(files) as dev:
        mount(dev.source, flags=0)
        m = common.MNT
        subvolume(f'{m}/keep')
        with open(f'{m}/keep/f', 'wb') as f:
            f.write(os.urandom(8 << 20))
        os.sync()
        begin = used()
        for round_ in range(2):
            subvolume(f'{m}/s', f'{m}/keep', SNAPSHOT)
            with open(f'{m}/s/f', 'r+b') as f:
                f.write(os.urandom(8 << 20))
            with open(f'{m}/keep/g', 'wb') as f:
                f.write(os.urandom(4 << 20))
            os.sync()
            full = used()
            if full < begin + (11 << 20):
                wrong.append(f'{begin} bytes, then {full}')
            destroy(f'{m}/s')
            os.unlink(f'{m}/keep/g')
            if round_:
                umount()
                mount(dev.source, flags=0)
            if not wait_until(lambda: used() < begin + (1 << 20)):
                wrong.append(f'{begin} bytes, {full} with a snapshot, {used()} without')
        umount()
        wrong += fsck(dev.devices)
    return wrong


def keep(to):
    files = files_of('fresh')
    with Loop(files) as dev:
        mount(dev.source, flags=0)
        m, found = common.MNT, {}
        subvolume(f'{m}/top')
        for nr in range(6):
            fill(f'{m}/top', random.Random(nr), 60)
            subvolume(f'{m}/s{nr}', f'{m}/top', SNAPSHOT | (READ_ONLY if nr % 2 else 0))
            found[f's{nr}'] = seen(f'{m}/s{nr}')
            if nr % 3 == 2:
                destroy(f'{m}/s{nr - 1}')
                del found[f's{nr - 1}']
        found['top'] = seen(f'{m}/top')
        umount()
    shutil.copy(files[0], f'{to}/subvolumes.img')
    with open(f'{to}/subvolumes.json', 'w', encoding='ascii') as f:
        json.dump(found, f)
    print('kept', flush=True)


def look(there, tap):
    to = f'{common.WORK}/subvolumes.img'
    shutil.copy(f'{there}/subvolumes.img', to)
    with open(f'{there}/subvolumes.json', encoding='ascii') as f:
        was = json.load(f)
    log = Log()
    with Loop([to]) as dev, Limit(SECONDS):
        wrong = look_at(dev.source, was)
        mount(dev.source, 'fsck', flags=0)
        # It can go on from there.
        subvolume(f'{common.MNT}/more', f'{common.MNT}/top', SNAPSHOT)
        wrong += differences(was['top'], json.loads(json.dumps(seen(f'{common.MNT}/more'))))
        destroy(f'{common.MNT}/s0')
        umount()
    lines = log.take()
    wrong += [x for x in lines if any(w in x for w in ('error', 'incorrect', 'mismatch', 'inconsist', 'should be'))]
    tap.result(not wrong, 'mounted by another kernel', wrong + lines if wrong else ())


def main():
    if sys.argv[1:2] == ['--keep']:
        return keep(sys.argv[2])
    tap, log = Tap(), Log()
    if sys.argv[1:2] == ['--look']:
        look(sys.argv[2], tap)
        return tap.done()
    seed = int(os.environ.get('BCACHEFS_RS_SEED', 1))
    tests = [('made and deleted by the tools', commands, 'fresh'), ('errors', errors, 'fresh'),
             ('lists', lists, 'fresh'), ('space comes back', space, 'fresh'),
             ('snapshots of what is changed', under_load, 'fresh', seed)]
    tap.check_each(log, [t for t in tests if os.environ.get('ONLY', '') in t[0]], SECONDS)
    tap.done()


if __name__ == '__main__':
    main()
