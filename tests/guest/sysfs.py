#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
# guest: uml 240
# guest: uml-debug? 500
# guest: stock? 600
"""/sys/fs/bcachefs: what is there and what it says, against the superblock as `bcachefs show-super`
prints it; damage is counted; and it goes, whoever is reading it."""
import base64
import errno
import glob
import json
import os
import re
import subprocess
import sys
import threading
import time

import common
import packaged
from common import Log, Loop, Mounted, Skip, Tap, mount, umount

TOP = '/sys/fs/bcachefs'
SEVERAL, ONE = 'v113-threedev', 'v113-dmgbase'
log = Log()


def have(*names):
    for name in names:
        if name not in common.images():
            raise Skip(f'no image {name}')


def read(path):
    with open(path, 'rb') as f:
        return f.read().decode()


def show_super(device):
    """What the tools print: the part before the devices, and each device, as dictionaries."""
    _, out, _ = packaged.run('show-super', device)
    if 'Durability' not in out:
        raise RuntimeError(f'bcachefs show-super: {out}')
    # The very first line is one about a device, too.
    parts = [{}]
    for line in out.split('\n'):
        m = re.fullmatch(r'\s*([^:]+):\s+(.*?)\s*', line)
        if not m:
            continue
        if m.group(1) == 'Device' and parts[0]:
            parts.append({})
        parts[-1].setdefault(m.group(1), m.group(2))
    return parts[0], parts[1:]


def files(top, mode=0o444):
    """The files under `top` with any bit of `mode`: those to be read. `perf_test` can only be written."""
    every = sorted(os.path.join(d, f) for d, _, fs in os.walk(top) for f in fs)
    return [f for f in every if os.stat(f).st_mode & mode]


def triggers(top):
    there = {f'{top}/internal/{f}' for f in os.listdir(f'{top}/internal') if f.startswith('trigger_')}
    return there | {f'{top}/perf_test'}


def nothing_mounted():
    return [] if os.listdir(TOP) == [] else os.listdir(TOP)


def as_superblock():
    have(SEVERAL)
    wrong = []
    with Loop(common.unpack(SEVERAL)) as dev:
        head, members = show_super(dev.devices[0])
        with Mounted(dev.source):
            there = os.listdir(TOP)
            if there != [head['External UUID']]:
                return f'{there}, not {head["External UUID"]}'
            top = os.path.join(TOP, there[0])

            def same(path, want):
                got = read(os.path.join(top, path))
                if got != want + '\n':
                    wrong.append(f'{path}: {got!r}, not {want!r}')
            same('internal/internal_uuid', head['Internal UUID'])
            compared = 0
            for name, value in head.items():
                if os.path.exists(os.path.join(top, 'options', name)) and not re.search(r'[ k]B$|KiB|MiB', value):
                    same(f'options/{name}', value + (' ' if '[' in value else ''))
                    compared += 1
            if compared < 15:
                wrong.append(f'only {compared} options to compare')
            for nr, m in enumerate(members):
                for path, field in (('uuid', 'UUID'), ('nbuckets', 'Buckets'), ('first_bucket', 'First bucket'),
                                    ('has_data', 'Has data'), ('data_allowed', 'Data allowed'),
                                    ('durability', 'Durability'), ('discard', 'Discard')):
                    same(f'dev-{nr}/{path}', m[field])
                same(f'dev-{nr}/state', ' '.join(f'[{s}]' if s == m['State'] else s
                                                 for s in ('rw', 'ro', 'evacuating', 'spare')) + ' ')
                # The tools print the last part of the label, with its number.
                label = read(f'{top}/dev-{nr}/label').strip()
                if label.split('.')[-1] != m['Label'].split()[0]:
                    wrong.append(f'dev-{nr}/label: {label}, not {m["Label"]}')
            if len(members) != 3:
                wrong.append(f'{len(members)} devices to compare')
            wrong += readable(top)
    return wrong


def readable(top):
    """All files can be read, and are empty only when there is nothing to say."""
    wrong = []
    for f in files(top):
        try:
            text = read(f)
        except OSError as x:
            wrong.append(str(x))
            continue
        if not text.endswith('\n') and not f.endswith(('/errors', '/disk_groups', '/label')):
            wrong.append(f'{f}: {text!r}')
    if len(files(top)) < 200:
        wrong.append(f'only {len(files(top))} files')
    return wrong


def links():
    have(SEVERAL)
    wrong = []
    with Loop(common.unpack(SEVERAL)) as dev:
        back = [f'/sys/class/block/{os.path.basename(d)}/bcachefs' for d in dev.devices]
        with Mounted(dev.source):
            top = os.path.join(TOP, os.listdir(TOP)[0])
            for nr, (d, b) in enumerate(zip(dev.devices, back)):
                block = os.path.basename(os.path.realpath(f'{top}/dev-{nr}/block'))
                if f'/dev/{block}' != d:
                    wrong.append(f'dev-{nr}/block leads to {block}, not to {d}')
                if os.path.realpath(b) != f'{top}/dev-{nr}':
                    wrong.append(f'{b} leads to {os.path.realpath(b)}')
        wrong += [f'{x} is still there' for x in back if os.path.lexists(x)]
    return wrong + nothing_mounted()


def not_writable():
    have(ONE)
    wrong = []
    with Loop(common.unpack(ONE)) as dev, Mounted(dev.source):
        top = os.path.join(TOP, os.listdir(TOP)[0])
        before = read(f'{top}/options/errors')
        for name, text in (('options/errors', 'ro'), ('perf_test', 'rand_insert 1 1')):
            if not os.path.exists(f'{top}/{name}'):
                continue  # perf_test is for builds with tests
            try:
                with open(f'{top}/{name}', 'w') as f:
                    f.write(text)
                wrong.append(f'{name} could be written')
            except OSError as x:
                if x.errno != errno.EROFS:
                    wrong.append(str(x))
        if read(f'{top}/options/errors') != before:
            wrong.append('changed by a write that was refused')
        writable = files(top, 0o222)
        wrong += [f'{f} is writable' for f in writable
                  if '/options/' not in f and '/dev-' not in f and f not in triggers(top)]
        if not writable:
            wrong.append('no option can be changed at run time')
    return wrong


def open_while_it_goes():
    """A file that is open gives an error after the filesystem is gone, also without the module."""
    have(ONE)
    with Loop(common.unpack(ONE)) as dev:
        mount(dev.source)
        top = os.path.join(TOP, os.listdir(TOP)[0])
        opened = [os.open(f, os.O_RDONLY) for f in files(top)[:40]]
        here = os.open(top, os.O_RDONLY)
        try:
            if not os.read(opened[0], 4096):
                return 'nothing to read'
            umount()
            wrong = [] if not os.path.exists(top) else [f'{top} is still there']
            for fd in opened:
                try:
                    os.pread(fd, 4096, 0)
                    wrong.append('could be read')
                except OSError as x:
                    if x.errno != errno.ENODEV:
                        wrong.append(str(x))
            wrong += reload()
            for fd in opened[:3]:
                try:
                    os.pread(fd, 4096, 0)
                    wrong.append('could be read without the module')
                except OSError:
                    pass
            if os.listdir(here):
                wrong.append('a directory that is gone has files')
        finally:
            for fd in opened + [here]:
                os.close(fd)
    return wrong[:5]


def reload():
    """Removes the module and inserts it again."""
    if not os.path.isdir('/sys/module/bcachefs/holders'):
        return []
    where, wrong = os.environ.get('MODULE'), []
    for cmd in (['rmmod', 'bcachefs'], ['insmod', where] if where else ['modprobe', 'bcachefs']):
        p = subprocess.run(cmd, capture_output=True, text=True)
        if p.returncode:
            wrong.append(f'{" ".join(cmd)}: {p.stderr.strip()}')
        if cmd[0] == 'rmmod' and os.path.exists(TOP):
            wrong.append(f'{TOP} is there without the module')
    return wrong


def readers_race(seconds):
    """Readers of everything, while it is mounted, unmounted, and the module comes and goes: for as
    long as asked, and until both have happened often enough on a slow machine too."""
    have(ONE)
    stop, count, strange = threading.Event(), [0], []

    def reader():
        while not stop.is_set():
            for d, _, names in os.walk(TOP):
                for f in names:
                    if f in ('perf_test', 'io_errors_reset') or f.startswith('trigger_'):
                        continue  # no one reads it
                    try:
                        read(os.path.join(d, f))
                        count[0] += 1
                    except OSError as x:
                        if x.errno not in (errno.ENOENT, errno.ENODEV):
                            strange.append(f'{f}: {x}')
                if stop.is_set():
                    return

    threads = [threading.Thread(target=reader) for _ in range(3)]
    cycles = 0
    with Loop(common.unpack(ONE)) as dev:
        for t in threads:
            t.start()
        end = time.monotonic() + seconds
        try:
            while time.monotonic() < end or cycles < 8 or count[0] < 100:
                mount(dev.source)
                if cycles % 2:
                    time.sleep(0.02)
                umount()
                cycles += 1
                if cycles % 4 == 0:
                    strange += reload()
        finally:
            stop.set()
            for t in threads:
                t.join()
    print(f'# {cycles} mounts, {count[0]} files read')
    return strange[:5]


def copies():
    """The same filesystem twice is refused, and does no harm to the first."""
    have(SEVERAL, ONE)
    wrong = []
    with Loop(common.unpack(SEVERAL)) as a, Loop(common.unpack(SEVERAL, 'copy-')) as b:
        with Mounted(a.source):
            try:
                mount(b.source, where=common.MNT + '-copy')
                umount(common.MNT + '-copy')
                wrong.append('a copy could be mounted')
            except OSError as x:
                if x.errno != errno.EINVAL:
                    wrong.append(str(x))
            wrong += readable(os.path.join(TOP, os.listdir(TOP)[0]))
        with Mounted(b.source):
            pass
    with Loop(common.unpack(ONE)) as a, Loop(common.unpack(ONE, 'copy-')) as b:
        with Mounted(a.source), Mounted(b.source, where=common.MNT + '-copy'):
            names = os.listdir(TOP)
            if len(names) != 2 or os.path.basename(b.devices[0]) not in names:
                wrong.append(f'two copies of one device: {names}')
    return wrong


def damaged(name):
    man = common.manifest(name)
    to = common.unpack(man['base'], 'damaged-')
    with open(to[0], 'r+b') as f:
        for p in man['patches']:
            f.seek(p['offset'])
            f.write(base64.b64decode(p['data']) if 'data' in p else bytes(p['zero']))
    return to


def counted():
    """A node that can not be read is in `errors` and `internal/damage`."""
    name = 'v113-dmg-bset-badkey'
    have(name)
    wrong = []
    with Loop(damaged(name)) as dev, Mounted(dev.source) as root:
        top = os.path.join(TOP, os.listdir(TOP)[0])
        _, failed = common.read_everything(root)
        if not failed:
            return 'nothing was damaged'
        damage, errors = read(f'{top}/internal/damage'), read(f'{top}/errors')
        print('# ' + damage.replace('\n', '\n# '))
        for want in (r'state: +read-only\n', r'  btree nodes +1\n', r'  extents +[1-9]\d*\n',
                     r'  extents +sick, first at level 0 \S+, device 0 sector \d+: .*NodeKeys'):
            if not re.search(want, damage):
                wrong.append(f'internal/damage does not match {want}')
        if not re.search(r'^btree_node_read_error +1 +\d{4}-\d\d-\d\d', errors, re.M):
            wrong.append(f'errors: {errors!r}')
        if read(f'{top}/internal/flags') != 'started,btree_running,error,topology_error\n':
            wrong.append(read(f'{top}/internal/flags'))
    return wrong


def checksums():
    """Data that does not match its checksum is counted for its device."""
    name = 'v113-dmg-data-csum'
    have(name)
    wrong = []
    with Loop(damaged(name)) as dev, Mounted(dev.source) as root:
        top = os.path.join(TOP, os.listdir(TOP)[0])
        before = read(f'{top}/dev-0/io_errors')
        common.read_everything(root)
        after = read(f'{top}/dev-0/io_errors')
        if 'checksum: 0' not in before or 'checksum: 0' in after:
            wrong.append(f'io_errors: {before!r}, then {after!r}')
        if 'data_read_csum_err ' not in read(f'{top}/errors'):
            wrong.append(read(f'{top}/errors'))
        done = read(f'{top}/dev-0/io_done')
        if not re.search(r'"user": [1-9]', done):
            wrong.append(done)
        if 'since mount:                    0\n' in read(f'{top}/counters/data_read'):
            wrong.append(read(f'{top}/counters/data_read'))
    return wrong


def transferred():
    """Each byte that was read of a device counts, and once."""
    have('v113-csum-none')
    with Loop(common.unpack('v113-csum-none')) as dev, Mounted(dev.source) as root:
        plain = [e.path for e in os.scandir(root) if e.is_file(follow_symlinks=False)]
        whole = [p for p in plain if os.path.getsize(p) and os.path.getsize(p) % 4096 == 0]
        if not whole:
            raise Skip('no file of whole blocks')
        path = max(whole, key=os.path.getsize)
        (io_done,) = glob.glob(f'{TOP}/*/dev-0/io_done')
        before = json.loads(read(io_done))['read']['user']
        with open(path, 'rb') as f:
            size = len(f.read())
        after = json.loads(read(io_done))['read']['user']
    return '' if after - before == size else f'{path}: {size} bytes, {after - before} counted'


def main():
    tap = Tap()
    if not os.path.isdir(TOP):
        tap.result(False, f'{TOP} exists')
        tap.done()
    seconds = 30 if os.environ.get('KIND') == 'stock' else 10
    tap.check_each(log, (
        ('nothing is shown when nothing is mounted', nothing_mounted),
        ('everything is as in the superblock', as_superblock),
        ('devices and their directories are linked', links),
        ('nothing can be written', not_writable),
        ('a node that can not be read is counted', counted),
        ('checksum errors are counted', checksums),
        ('what was read is counted once', transferred),
        ('copies', copies),
        ('open files outlive it', open_while_it_goes),
        ('readers race mounts, unmounts and the module', readers_race, seconds),
        ('nothing is left', nothing_mounted)), 400)
    tap.done()


if __name__ == '__main__':
    sys.exit(main())
