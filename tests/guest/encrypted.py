#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
# guest: uml 300
# guest: stock? 300 v113-encrypted-repl2
"""Encrypted filesystems: without a key, with a wrong one, with the right one, and with changed data.

Arguments choose images by name.
"""
import errno
import os
import subprocess
import sys

import common
import keys
import manifest
from common import Log, Loop, Mounted, Skip, Tap, own


class Image:
    """An encrypted image, locked."""

    def __init__(self, name):
        self.name, self.manifest = name, common.manifest(name)
        self.files = common.unpack(name)
        self.sb = keys.Superblock(self.files[0])
        self.log = Log()
        keys.lock()

    def unlock(self):
        keys.unlock(self.files[0], self.manifest['passphrase'])

    def refused(self, want, message):
        """What is wrong if a mount does not fail with that errno and message."""
        self.log.take()
        with Loop(self.files) as dev:
            try:
                with Mounted(dev.source):
                    return 'it was mounted'
            except OSError as x:
                said = own(self.log.take())
                if x.errno != want:
                    return [f'{x}, not {errno.errorcode[want]}'] + said
                if not any(message in line for line in said):
                    return [f'no message with "{message}"'] + said
        return None

    def compared(self):
        """What is different from the manifest."""
        self.log.take()
        with Loop(self.files) as dev, Mounted(dev.source) as root:
            different = manifest.compare(root, self.manifest)[:20]
        return different and different + own(self.log.take())[-10:]


def without_key(image):
    return image.refused(errno.ENOKEY, 'run bcachefs unlock')


def other_filesystems_key(image):
    keys.add('bcachefs:00000000-0000-0000-0000-000000000000', bytes(32))
    return image.refused(errno.ENOKEY, f'no key "{image.sb.description}"')


def wrong_key(image):
    keys.add(image.sb.description, bytes(32))
    return image.refused(errno.EINVAL, "is not this filesystem's")


def wrong_size(image):
    for size in (31, 33, 1):
        keys.lock()
        keys.add(image.sb.description, bytes(size))
        if wrong := image.refused(errno.EINVAL, f'has {size} bytes, not 32'):
            return wrong
    return None


def revoked(image):
    number = keys.add(image.sb.description, bytes(32))
    keys.keyctl('revoke', number)
    return image.refused(errno.EKEYREVOKED, 'was revoked')


def right_key(image):
    image.unlock()
    different = image.compared()
    # A filesystem that is mounted needs the keyring no more.
    with Loop(image.files) as dev, Mounted(dev.source) as root:
        keys.lock()
        _, errors = common.read_everything(root)
    return different or errors


def by_the_tools(image):
    """With the command that users have. The packaged one does not know newer superblocks."""
    if not image.name.startswith('v113'):
        raise Skip('the packaged bcachefs unlock is older')
    keys.lock()
    keys.keyctl('link', '@u', '@us')
    with Loop(image.files) as dev:
        for _ in range(3):  # it crashes at exit now and then
            done = subprocess.run(['timeout', '60', 'bcachefs', 'unlock', dev.devices[0]],
                                  input=image.manifest['passphrase'].encode() + b'\n', capture_output=True)
            if done.returncode == 0:
                break
        else:
            return f'bcachefs unlock: {done}'
    return image.compared()


def changed_data(image):
    """The data of one device is wrong: it is read from the other, or not at all."""
    image.unlock()
    good = {}
    with Loop(image.files) as dev, Mounted(dev.source) as root:
        common.read_everything(root, good)
    places = where(image)
    if not places:
        raise Skip('no data found')
    with open(image.files[0], 'r+b') as f:
        for at in places:
            flip(f, at)
        image.log.take()
        sums = {}
        with Loop(image.files) as dev, Mounted(dev.source) as root:
            _, errors = common.read_everything(root, sums)
        for at in places:
            flip(f, at)
    said = own(image.log.take())
    bad = {os.fsencode(p) for p, _ in errors}
    wrong = [f'{p} is different' for p in good if p not in bad and sums.get(p) != good[p]]
    wrong += [f'{p}: {os.strerror(e)}' for p, e in errors if e != errno.EIO]
    if (len(image.files) == 1) != bool(errors):
        wrong.append(f'{len(errors)} errors')
    if not any('does not match its checksum' in line for line in said):
        wrong.append('no message')
    return wrong and wrong[:10] + said[-10:]


def flip(f, at):
    f.seek(at)
    byte = f.read(1)[0]
    f.seek(at)
    f.write(bytes([byte ^ 1]))
    f.flush()


def where(image):
    """Bytes of the first device that belong to files: in the middle of each block that is followed by
    another in a bucket without a btree node or journal entry."""
    with open(image.files[0], 'rb') as f:
        data = f.read()
    fs = int.from_bytes(data[4096 + 40:4096 + 48], 'little')
    magics = [(fs ^ m).to_bytes(8, 'little') for m in (0x90135c78b99e07f5, 0x245235c1a3625032)]
    bucket, found = 128 << 10, []
    # The first buckets hold superblocks.
    for start in range(bucket * 32, len(data), bucket):
        if not any(data[at + 16:at + 24] in magics for at in range(start, start + bucket, 512)):
            found += [at + 2048 for at in range(start, start + bucket, 4096)
                      if any(data[at + 2048:at + 4096])]
    return found


TESTS = (without_key, other_filesystems_key, wrong_key, wrong_size, revoked, right_key, by_the_tools,
         changed_data)


def main():
    tap = Tap()
    names = [n for n in common.images() if n.endswith(('-encrypted', '-encrypted-wide', '-encrypted-repl2'))]
    for name in names:
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        image = Image(name)
        for test in TESTS:
            keys.lock()
            tap.check(f'{name}: {test.__name__.replace("_", " ")}', test, image)
    if not tap.nr:
        tap.skip('encrypted images', 'there are none')
    tap.done()


if __name__ == '__main__':
    main()
