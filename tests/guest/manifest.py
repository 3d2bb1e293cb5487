#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""manifest.py DIR MANIFEST.json[.zst] - compare a mounted tree with the manifest of its image.
manifest.py --write DIR MANIFEST.json [KEY=VALUE]... - write one.

The manifest lists every object of the tree as the C implementation showed it: type, mode, owner,
link count, size, mtime, inode number, a hash of the contents, link target, device number, xattrs
and inode flags. Block counts and directory sizes are not compared. Prints one line for each
difference; the status is 1 when there is one.
"""
import base64
import errno
import fcntl
import hashlib
import json
import os
import stat
import struct
import subprocess
import sys

FS_IOC_GETFLAGS = 0x80086601
KINDS = {stat.S_IFDIR: 'dir', stat.S_IFREG: 'file', stat.S_IFLNK: 'link', stat.S_IFIFO: 'fifo',
         stat.S_IFSOCK: 'sock', stat.S_IFCHR: 'chr', stat.S_IFBLK: 'blk'}
NOT_COMPARED = {'blocks', 'atime', 'path', 'path_b64', 'target'}


# Larger files are sparse; their ends have to do.
WHOLE_BYTES, END_BYTES = 1 << 30, 1 << 16


def contents(path, size):
    """Which field, and the hash for it."""
    h = hashlib.sha256()
    if size > WHOLE_BYTES:
        with open(path, 'rb', buffering=0) as f:
            for at in (0, size - END_BYTES):
                h.update(os.pread(f.fileno(), END_BYTES, at))
        return 'sha256_ends', h.hexdigest()
    with open(path, 'rb', buffering=0) as f:
        while data := f.read(1 << 20):
            h.update(data)
    return 'sha256', h.hexdigest()


def flags(path):
    """The inode flags in hex; nothing when there are none, or no way to ask."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        value = struct.unpack_from('I', fcntl.ioctl(fd, FS_IOC_GETFLAGS, bytes(8)))[0]
    except OSError:
        return None
    finally:
        os.close(fd)
    return '%x' % value if value else None


def xattrs(path):
    found = {}
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError as x:
        return {} if x.errno == errno.EOPNOTSUPP else {'list': 'errno:%d' % x.errno}
    for name in names:
        try:
            value = base64.b64encode(os.getxattr(path, name, follow_symlinks=False)).decode()
        except OSError as x:
            value = 'errno:%d' % x.errno
        found[name] = value
    return found


def describe(path):
    """One object as an entry of a manifest; OSError when it does not exist."""
    st = os.lstat(path)
    kind = KINDS.get(stat.S_IFMT(st.st_mode), 'unknown')
    e = dict(type=kind, mode='%04o' % stat.S_IMODE(st.st_mode), uid=st.st_uid, gid=st.st_gid,
             nlink=st.st_nlink, mtime=st.st_mtime_ns, ino=st.st_ino, size=st.st_size)
    try:
        if kind == 'file':
            key, value = contents(path, st.st_size)
            e[key] = value
        elif kind == 'link':
            e['link'] = os.readlink(path)
        elif kind in ('chr', 'blk'):
            e['rdev'] = '%d:%d' % (os.major(st.st_rdev), os.minor(st.st_rdev))
    except OSError as x:
        e['read_error'] = x.errno
    e['xattrs'] = xattrs(path)
    if kind in ('dir', 'file'):
        e['flags'] = flags(path)
    return e


def listing(root):
    """All paths below `root`, as bytes relative to it, and the directories that can not be read."""
    paths, errors, todo = {b'.'}, {}, [b'']
    while todo:
        d = todo.pop()
        try:
            with os.scandir(os.path.join(root, d)) as entries:
                for e in entries:
                    rel = os.path.join(d, e.name)
                    if rel in paths:
                        errors[rel] = 'listed twice'
                    paths.add(rel)
                    if e.is_dir(follow_symlinks=False):
                        todo.append(rel)
        except OSError as x:
            errors[d or b'.'] = os.strerror(x.errno)
    return paths, errors


def raw(entry, key):
    if key + '_b64' in entry:
        return base64.b64decode(entry[key + '_b64'])
    return os.fsencode(entry[key])


def compare(root, man, only_must_exist=False):
    """What differs between the tree at `root` and the manifest, as lines of text. Objects whose
    contents can not be read differ by `read_error`."""
    root = os.fsencode(root)
    paths, errors = listing(root)
    out = [f'{os.fsdecode(p)!r}: {what}' for p, what in sorted(errors.items())
           if os.fsdecode(p) not in man.get('errors', {})]
    wanted = man['must_exist'] if only_must_exist else man['entries']
    for want in wanted:
        path = raw(want, 'path')
        paths.discard(path)
        try:
            have = describe(os.path.join(root, path))
        except OSError as x:
            out.append(f'{path!r}: {os.strerror(x.errno)}')
            continue
        want = dict(want)
        if 'target' in want:
            want['link'] = raw(want, 'target')
        if not only_must_exist:
            want.setdefault('xattrs', {})
        for key in sorted((set(want) | (set(have) if not only_must_exist else set())) - NOT_COMPARED):
            if key.endswith('_b64') or key == 'size' and want['type'] == 'dir':
                continue
            if only_must_exist and key not in want:
                continue
            if want.get(key) != have.get(key):
                out.append(f'{path!r}: {key}: {have.get(key)!r}, expected {want.get(key)!r}')
    for path in man.get('must_not_exist', ()):
        if os.path.lexists(os.path.join(root, os.fsencode(path if isinstance(path, str) else path['path']))):
            out.append(f'{path!r} exists and must not')
    if not only_must_exist:
        out += [f'{path!r}: not in the manifest' for path in sorted(paths)]
    return out


def text(entry, key, value):
    """Bytes into an entry; what is not UTF-8 with its exact bytes beside it."""
    entry[key] = os.fsdecode(value)
    try:
        value.decode()
    except UnicodeDecodeError:
        entry[key + '_b64'] = base64.b64encode(value).decode()


def write(root, to, head):
    """Writes the manifest of the tree at `root`."""
    root = os.fsencode(root)
    paths, errors = listing(root)
    if errors:
        sys.exit(f'{root!r} can not be listed: {errors}')
    entries = []
    for path in sorted(paths):
        e = {}
        text(e, 'path', path)
        e.update((k, v) for k, v in describe(os.path.join(root, path)).items() if v not in (None, {}))
        if 'link' in e:
            text(e, 'target', e.pop('link'))
        entries.append(json.dumps(e))
    with open(to, 'w') as f:
        f.write(json.dumps(head, indent=1)[:-2] + ',\n "entries": [\n  ' + ',\n  '.join(entries) + '\n ]\n}\n')


def main():
    if sys.argv[1:2] == ['--write'] and len(sys.argv) >= 4:
        write(sys.argv[2], sys.argv[3], dict(a.split('=', 1) for a in sys.argv[4:]))
        return
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    root, path = sys.argv[1:]
    if path.endswith('.zst'):
        man = json.loads(subprocess.check_output(['zstd', '-qdc', path]))
    else:
        with open(path) as f:
            man = json.load(f)
    different = compare(root, man)
    for line in different:
        print(line)
    print(f'{len(man["entries"])} objects, {len(different)} differences')
    sys.exit(bool(different))


if __name__ == '__main__':
    main()
