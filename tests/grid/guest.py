#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The part of tests/grid/run that runs in a guest.

guest.py fill BATCH     with the C implementation: fills each filesystem and writes its manifest
guest.py compare BATCH  with the module: mounts each and compares it with its manifest
guest.py source DIR MANIFEST    on the host: what a copy of DIR must have

BATCH has a line for each filesystem: its name and the number of its devices, which are $DISK0 and
so on in order. Manifests are NAME.json in $OUT. One of a filesystem that could not be mounted has
"refused", the reason, and nothing else.
"""
import errno
import json
import os
import re
import sys
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../guest'))
import common
import manifest
from common import Limit, Log, Tap, mount, own, umount
from fill import Tree

OUT = os.environ.get('OUT')
SECONDS, QUIET_SECONDS = 240, 6
# What a module that does not read something says.
NOT_SUPPORTED = re.compile('not supported|compressed|encrypted|compression|decrypt', re.I)
MAP_BYTES = 1 << 30


def batch(path):
    """(name, source of the mount) of each."""
    disk, out = 0, []
    with open(path) as f:
        for line in f:
            name, nr = line.split()
            out.append((name, ':'.join(os.environ[f'DISK{disk + i}'] for i in range(int(nr)))))
            disk += int(nr)
    return out


def data_map(path):
    """Where the file has data, as [start, end] in bytes."""
    found = []
    fd = os.open(path, os.O_RDONLY)
    try:
        at, size = 0, os.fstat(fd).st_size
        while at < size:
            try:
                at = os.lseek(fd, at, os.SEEK_DATA)
            except OSError as x:
                if x.errno == errno.ENXIO:
                    break
                raise
            end = os.lseek(fd, at, os.SEEK_HOLE)
            found.append([at, end])
            at = end
    finally:
        os.close(fd)
    return found


def maps(root, man):
    """The data maps of the manifest's files."""
    out = {}
    for entry in man['entries']:
        if entry['type'] == 'file' and entry['size'] <= MAP_BYTES:
            path = os.path.join(os.fsencode(root), manifest.raw(entry, 'path'))
            try:
                out[entry['path']] = data_map(path)
            except OSError as x:
                out[entry['path']] = errno.errorcode[x.errno]
    return out


def write_manifest(name, source):
    to = f'{OUT}/{name}.tmp'
    with common.Mounted(source) as root:
        manifest.write(root, to, {'name': name})
        with open(to) as f:
            man = json.load(f)
        v = os.statvfs(root)
        man['statvfs'] = dict(blocks=v.f_blocks, bfree=v.f_bfree, bavail=v.f_bavail)
        man['maps'] = maps(root, man)
    return man


def fill_one(log, name, source):
    log.take()
    try:
        mount(source, flags=0)
    except OSError as x:
        said = own(log.take())
        return {'refused': f'{x.strerror}: ' + '; '.join(said[-3:])}
    try:
        Tree(common.MNT, int(name.split('-')[0]), False).fill()
    finally:
        umount()
    return write_manifest(name, source)


def fill(path):
    log = Log()
    for name, source in batch(path):
        try:
            man = fill_one(log, name, source)
        except (OSError, AssertionError) as x:
            # Without a manifest the image does not count.
            where = traceback.extract_tb(x.__traceback__)[-1]
            print(f'{name}: can not be filled: {x!r} at {where.name}:{where.lineno} {where.line}',
                  *own(log.take())[-5:], sep='\n  ', flush=True)
            continue
        with open(f'{OUT}/{name}.tmp', 'w') as f:
            json.dump(man, f)
        os.rename(f'{OUT}/{name}.tmp', f'{OUT}/{name}.json')
        print(f'{name}: {len(man.get("entries", ()))} objects {man.get("refused", "")}', flush=True)


def unwritten(path, have, want):
    """Whether all that the C implementation has more are zeros: for it space that is allocated and was never
    written is data."""
    if os.environ.get('KIND', '').endswith('612'):
        # It is the one that looks.
        have, want = want, have
    blocks = [{b for start, end in m for b in range(start >> 9, (end + 511) >> 9)} for m in (have, want)]
    if blocks[0] - blocks[1]:
        return False
    with open(path, 'rb') as f:
        return not any(any(os.pread(f.fileno(), 512, b << 9)) for b in blocks[1] - blocks[0])


def compare_one(name, source, man):
    """What differs, as lines."""
    with Limit(SECONDS), common.Mounted(source) as root:
        out = manifest.compare(root, man)
        have = maps(root, man)
        for entry in man['entries']:
            path = entry['path']
            want = man['maps'].get(path)
            if want is None or have[path] == want:
                continue
            # Only without copying on write is space allocated before it is written.
            if 'nocow' in name and unwritten(os.path.join(os.fsencode(root), manifest.raw(entry, 'path')),
                                             have[path], want):
                continue
            out.append(f'{path!r}: data at {have[path]}, expected {want}')
        return out


def compare(path):
    tap, log, heard = Tap(), Log(), 0
    for name, source in batch(path):
        with open(f'{OUT}/{name}.json') as f:
            man = json.load(f)
        # The kernel keeps messages back that come too fast; what this case says must be heard.
        time.sleep(max(0, heard + QUIET_SECONDS - time.monotonic()))
        log.take()
        refused, different = None, []
        try:
            if 'refused' in man:
                with Limit(SECONDS), common.Mounted(source) as root:
                    common.read_everything(root)
            else:
                different = compare_one(name, source, man)
        except OSError as x:
            refused = x
        lines = log.take()
        messages, complaints = own(lines), common.complaints(lines)
        unsupported = [m for m in messages if NOT_SUPPORTED.search(m)]
        heard = time.monotonic() if unsupported else heard
        unreadable = re.compile(f'read_error: {errno.EIO}|(sha256|link): None')
        wrong = [x for x in different if not unreadable.search(x)]
        if complaints:
            tap.result(False, name, complaints)
        elif 'refused' in man:
            # Nothing to compare with; mounting it or not, nothing may break.
            what = f'refused: {refused}' if refused else 'mounted'
            tap.skip(name, f'6.12 can not mount it ({man["refused"][:200]}); here {what}')
        elif refused and unsupported and refused.errno != errno.EIO:
            tap.skip(name, f'refused: {unsupported[0]}')
        elif refused:
            tap.result(False, name, [f'mount: {refused}'] + messages[-10:])
        elif different and not wrong and unsupported:
            nr = sum('read_error' in x for x in different)
            tap.skip(name, f'{nr} of {len(man["entries"])} objects can not be read: {unsupported[0]}')
        else:
            tap.result(not different, name, (wrong or different)[:20] + messages[-10:])
    tap.done()


def source(top, to):
    """The manifest of a tree before it is copied: without what a copy does not keep."""
    manifest.write(top, to, {'made_with': 'the packaged tools'})
    with open(to) as f:
        entries = json.load(f)['entries']
    for e in entries:
        e.pop('ino')
        e.pop('flags', None)
        e.pop('rdev', None)  # the tools store the C library's number, a kernel reads its own
        if e['path'] == '.':
            e.pop('mtime')
            e['nlink'] += 1  # lost+found
    with open(to, 'w') as f:
        json.dump({'must_exist': entries}, f)


if __name__ == '__main__':
    {'fill': fill, 'compare': compare, 'source': source}[sys.argv[1]](*sys.argv[2:])
