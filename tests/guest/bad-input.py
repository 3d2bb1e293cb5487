#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
# guest: uml 240
# guest: uml-debug? 400
# guest: stock? 600
"""Input that is no filesystem, or not a good one: the errno, the message, and a kernel that is well.

Each case changes an image and mounts it. The error must be one that fits, and the kernel log must
name the device and what is wrong there.
"""
import errno
import os
import random
import re
import subprocess
import time

import common
import superblock
from common import Limit, Log, Loop, Mounted, Tap, mount, own, umount

# Not a superblock, or damaged; valid but not something this module can do; an argument that is wrong.
DAMAGED = {errno.EINVAL, errno.EUCLEAN, errno.EIO}
BASE, TWO = 'empty', 'repl2'
EVERY_BYTE_SECONDS = 60

tap, log = Tap(), Log()


def image(kind):
    """A name of an image of this kind, the older format first."""
    for name in common.images():
        if re.fullmatch(r'v\d+-' + kind, name):
            return name
    return None


class Copy:
    """A fresh copy of an image that changes between the tests."""

    def __init__(self, name):
        self.kept = common.unpack(name, 'kept-')
        self.files = [f.replace('kept-', 'work-') for f in self.kept]

    def fresh(self):
        for a, b in zip(self.kept, self.files):
            subprocess.check_call(['cp', '--sparse=always', a, b])
        return self.files[0]


def refused(name, source, errnos, words, options='', device=None):
    """Mounting fails with one of the errnos, and a message has the device and matches `words`."""
    log.take()
    try:
        with Limit(60):
            mount(source, options)
    except common.Late as x:
        return tap.result(False, name, str(x))
    except OSError as x:
        got = x.errno
    else:
        umount()
        return tap.result(False, name, ['it was mounted'] + own(log.take()))
    lines = log.take()
    said, wrong = own(lines), common.complaints(lines)
    if got not in errnos:
        wrong.append(f'{errno.errorcode[got]}, expected {" or ".join(errno.errorcode[e] for e in errnos)}')
    if not any(re.search(words, x, re.I) for x in said):
        wrong.append(f'no message matches {words!r}')
    if device and not any(device in x for x in said):
        wrong.append(f'no message names {device}')
    tap.result(not wrong, name, wrong + said)


def works(name, source, words=None, options=''):
    """Mounting works, and a message matches `words`."""
    log.take()
    wrong = []
    try:
        with Limit(60), Mounted(source, options) as root:
            _, errors = common.read_everything(root)
            wrong += [str(e) for e in errors]
    except (OSError, common.Late) as x:
        wrong.append(f'mount: {x}')
    lines = log.take()
    wrong += common.complaints(lines)
    if words and not any(re.search(words, x, re.I) for x in own(lines)):
        wrong.append(f'no message matches {words!r}')
    tap.result(not wrong, name, wrong + own(lines))


def file_case(name, errnos, words):
    """A file mounted as it is."""
    with Loop([common.WORK + '/file']) as dev:
        refused(name, dev.source, errnos, words, device=os.path.basename(dev.source))


def not_filesystems():
    path = common.WORK + '/file'

    def fill(data, size):
        with open(path, 'wb') as f:
            f.write(data)
            f.truncate(size)

    fill(b'', 64 << 20)
    file_case('a device of zeroes', {errno.EINVAL}, 'superblock|magic')
    fill(os.urandom(1 << 20), 64 << 20)
    file_case('a device of noise', {errno.EINVAL}, 'superblock|magic')
    fill(b'', 512)
    file_case('a device of one sector', DAMAGED, 'superblock|end of the device|small')
    fill(b'', 4096 + 512)
    file_case('a device that ends within the superblock', DAMAGED,
              'superblock|magic|end of the device|small')
    fill(b'', 64 << 20)
    if subprocess.call(['mkfs.ext4', '-q', '-F', path], stderr=subprocess.DEVNULL) == 0:
        file_case('another filesystem', {errno.EINVAL}, 'superblock|magic')
    os.unlink(path)
    refused('a device that does not exist', '/dev/nowhere', {errno.ENOENT}, 'nowhere')
    refused('a file that is no block device', '/etc/passwd', {errno.ENOTBLK, errno.EINVAL}, 'passwd')


def members(name, value):
    return lambda sb: sb.member(name, value)


def field(name, value):
    return lambda sb: sb.set(name, value)


def bits(name, first, end, value):
    def change(sb):
        mask = (1 << end - first) - 1 << first
        sb.set(name, sb.get(name) & ~mask | value << first)
    return change


# Name, change, what the message has to be about. Checksums are right after the change.
FIELDS = (
    ('magic', field('magic', b'not a filesystem'), 'magic|superblock'),
    ('major version of the future', field('version', 2 << 10 | 1), 'version'),
    ('version before the first supported', field('version', 9), 'version'),
    ('oldest version above the version', field('version_min', 1 << 10 | 1000), 'version'),
    ('own place', field('offset', 12345), 'offset|place|sector'),
    ('block size 0', field('block_size', 0), 'block.size'),
    ('block size not a power of two', field('block_size', 3), 'block.size'),
    ('block size beyond a page', field('block_size', 4096), 'block.size'),
    ('no devices', field('nr_devices', 0), 'devices'),
    ('more devices than there are members', field('nr_devices', 60), 'device|member'),
    ('device index beyond the devices', field('dev_idx', 5), 'dev|member'),
    ('longer than its place', field('u64s', 1 << 30), 'superblock'),
    ('shorter than its sections', field('u64s', 1), 'superblock|section|member'),
    ('time precision 0', field('time_precision', 0), 'time|precision'),
    ('incompatible feature of the future', bits('features0', 60, 61, 1), 'feature'),
    ('btree node size 0', bits('flags0', 12, 28, 0), 'node.size'),
    ('btree node size not a power of two', bits('flags0', 12, 28, 3), 'node.size'),
    ('checksum type of the future', bits('flags0', 2, 8, 33), 'checksum'),
    ('big endian', bits('flags0', 62, 63, 1), 'endian'),
    ('layout magic', lambda sb: sb.layout('magic', bytes(16)), 'layout'),
    ('layout type', lambda sb: sb.layout('layout_type', 9), 'layout'),
    ('layout without copies', lambda sb: sb.layout('nr', 0), 'layout'),
    ('layout with too many copies', lambda sb: sb.layout('nr', 200), 'layout'),
    ('layout with copies too large', lambda sb: sb.layout('size_bits', 60), 'layout|superblock'),
    ('member larger than its device', members('nbuckets', 1 << 20), 'device|bucket|member'),
    ('member of absurd size', members('nbuckets', 1 << 62), 'device|bucket|member'),
    ('member with few buckets', members('nbuckets', 8), 'bucket'),
    ('member with bucket size 0', members('bucket_size', 0), 'bucket'),
    ('member with buckets below a block', members('bucket_size', 1), 'bucket'),
    ('member whose first bucket is beyond the last', members('first_bucket', 65535), 'bucket'),
)


def section_of_length(kind, words):
    def change(sb):
        at = sb.section(kind)
        if at is not None:
            superblock.struct.pack_into('<I', sb.b, at, words)
    return change


def superblocks(copy):
    for name, change, words in FIELDS:
        path = copy.fresh()
        superblock.change(path, change)
        with Loop(copy.files) as dev:
            refused(f'superblock: {name}', dev.source, DAMAGED | {errno.EOPNOTSUPP}, words,
                    device=os.path.basename(dev.devices[0]))
    for kind, name in ((superblock.MEMBERS_V2, 'members'), (superblock.JOURNAL_V2, 'journal'),
                       (superblock.CLEAN, 'clean')):
        for words in (0, 1, 1 << 30):
            path = copy.fresh()
            superblock.change(path, section_of_length(kind, words))
            with Loop(copy.files) as dev:
                refused(f'superblock: {name} section of {words} words', dev.source, DAMAGED, 'superblock',
                        device=os.path.basename(dev.devices[0]))

    def wrong_checksum(sb):
        sb.b[0] ^= 1
    path = copy.fresh()
    superblock.change(path, wrong_checksum, good=False)
    with Loop(copy.files) as dev:
        refused('superblock: checksum of all copies', dev.source, DAMAGED, 'checksum')
    for which, name in ((0, 'first'), (1, 'second'), (2, 'last')):
        path = copy.fresh()
        superblock.change(path, wrong_checksum, which={which}, good=False)
        with Loop(copy.files) as dev:
            works(f'superblock: checksum of the {name} copy only', dev.source,
                  'checksum|superblock' if which == 0 else None)
    path = copy.fresh()
    with open(path, 'r+b') as f:
        f.seek(superblock.FIRST_SECTOR * 512)
        f.write(bytes(4096))
    with Loop(copy.files) as dev:
        works('superblock: first copy zeroed', dev.source, 'superblock|magic')
    path = copy.fresh()
    with open(path, 'r+b') as f:
        f.seek(superblock.LAYOUT_SECTOR * 512)
        f.write(bytes(512))
    with Loop(copy.files) as dev:
        works('superblock: layout sector zeroed, first copy good', dev.source)


def truncated(copy):
    path = copy.fresh()
    size = os.path.getsize(path)
    for what, length in (('half of it', size // 2), ('one block less', size - 4096)):
        os.truncate(copy.fresh(), length)
        with Loop(copy.files) as dev:
            refused(f'truncated device: {what}', dev.source, DAMAGED, 'device|bucket|member|larger',
                    device=os.path.basename(dev.devices[0]))


def every_byte(copy):
    """Bytes of the superblock flipped in all copies, with a right checksum: whatever comes of it, it
    comes as an errno. A slow guest does as many as fit in the time there is."""
    path = copy.fresh()
    with open(path, 'rb') as f:
        length = min(len(superblock.Superblock(f, superblock.FIRST_SECTOR).b), 2048)
    outcomes, wrong = {}, []
    log.take()
    with Loop(copy.files) as dev:
        places = list(range(16, 256)) + list(range(752, length, 7))
        random.Random(1).shuffle(places)
        end = time.monotonic() + EVERY_BYTE_SECONDS
        for at in places:
            if time.monotonic() > end:
                break
            def flip(sb, at=at):
                sb.b[at] ^= 0xff
            copy.fresh()
            superblock.change(path, flip)
            try:
                with Limit(30):
                    mount(dev.source)
                umount()
                outcome = 'mounted'
            except OSError as x:
                outcome = errno.errorcode[x.errno]
            lines = log.take()
            if outcome != 'mounted' and not own(lines):
                wrong.append(f'byte {at}: {outcome} without a message')
            wrong += [f'byte {at}: {x}' for x in common.complaints(lines)]
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
    wrong += [f'{x} is no errno for a damaged superblock' for x in outcomes
              if x not in ('mounted', 'EINVAL', 'EUCLEAN', 'EIO', 'EOPNOTSUPP', 'ENOTSUP', 'ENOKEY', 'EROFS', 'ENXIO')]
    tap.result(not wrong, f'superblock: every byte of the header flipped ({outcomes})', wrong[:20])


def options(copy):
    copy.fresh()
    with Loop(copy.files) as dev:
        for text, words in (('no_such_option', 'no_such_option'), ('errors=maybe', 'errors'),
                            ('degraded=perhaps', 'degraded'), ('data_replicas=0', 'data_replicas'),
                            ('data_replicas=99', 'data_replicas'), ('compression=none:99', 'compression')):
            refused(f'option {text}', dev.source, {errno.EINVAL, errno.ERANGE}, words, text)
        works('options that are known', dev.source, options='errors=ro,verbose,degraded')


def read_write(copy):
    """What can not be written yet: the message says what to do."""
    copy.fresh()
    with Loop(copy.files) as dev:
        log.take()
        try:
            mount(dev.source, flags=0)
        except OSError as x:
            lines = own(log.take())
            tap.result(x.errno == errno.EROFS and any('-o ro' in m for m in lines),
                       'a read-write mount is refused, and the message says what to do', [str(x)] + lines)
        else:
            umount()
            tap.result(False, 'a read-write mount is refused, and the message says what to do', 'mounted')


def devices(copy, two):
    if two:
        two.fresh()
        with Loop(two.files) as dev:
            a, b = dev.devices
            works('both devices', f'{a}:{b}')
            works('both devices, the other way round', f'{b}:{a}')
            refused('one of two devices is missing', a, {errno.EINVAL, errno.ENODEV, errno.ENXIO, errno.EROFS,
                                                        errno.ENOENT, errno.EIO}, 'missing|device|member')
            refused('the same device twice', f'{a}:{a}',
                    {errno.EINVAL, errno.EBUSY, errno.EEXIST, errno.ENXIO}, 'device|twice')
            refused('one device and one that does not exist', f'{a}:/dev/nowhere', {errno.ENOENT}, 'nowhere')
            copy.fresh()
            with Loop(copy.files) as other:
                refused('devices of two filesystems', f'{a}:{other.source}', {errno.EINVAL}, 'device|filesystem')
    copy.fresh()
    with Loop(copy.files) as dev, Mounted(dev.source):
        log.take()
        try:
            mount(dev.source, where=common.MNT + '-again')
            umount(common.MNT + '-again')
            tap.result(True, 'mounted a second time, or refused as busy')
        except OSError as x:
            tap.result(x.errno == errno.EBUSY, 'mounted a second time, or refused as busy', [str(x)] + log.take())


def unload():
    """After all this the module can go, and come back."""
    if not os.path.isdir('/sys/module/bcachefs/holders'):
        return tap.skip('the module can be unloaded', 'it is built in')
    where = os.environ.get('MODULE')
    wrong = []
    for cmd in (['rmmod', 'bcachefs'], ['insmod', where] if where else ['modprobe', 'bcachefs']):
        p = subprocess.run(cmd, capture_output=True, text=True)
        if p.returncode:
            wrong.append(f'{" ".join(cmd)}: {p.stderr.strip()}')
    lines = log.take()
    tap.result(not wrong and not common.complaints(lines), 'the module can be unloaded and loaded again',
               wrong + lines[-5:])


def main():
    not_filesystems()
    name = image(BASE)
    if not name:
        tap.result(False, 'there are images', 'neither $IMAGES nor tests/golden holds an empty filesystem')
        tap.done()
    copy = Copy(name)
    two = Copy(image(TWO)) if image(TWO) else None
    superblocks(copy)
    truncated(copy)
    every_byte(copy)
    options(copy)
    if 'v139-' + BASE in common.images():
        read_write(Copy('v139-' + BASE))
    devices(copy, two)
    unload()
    tap.done()


if __name__ == '__main__':
    main()
