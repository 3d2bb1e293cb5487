# SPDX-License-Identifier: GPL-2.0
"""Everything that is written to a block device, in the order in which it got safe, by the device mapper's
log-writes; and what a device may have after its power was cut at any moment of that.

Writes are in the log when they are safe: those with FUA when they have come back, all others in front of
the next flush that was asked for after they had come back. Between two flushes, any of the latter may have
arrived, and any not, and of each any sectors."""
import fcntl
import glob
import os
import struct
import subprocess

from common import Skip

FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8
MAGIC = 0x6a736677736872
SECTOR = 512
# struct dm_ioctl, and the head of struct dm_target_msg.
DM_TARGET_MSG, DM_IOCTL = 0xc138fd0e, struct.Struct('=3I 2I I i 3I Q 128s 129s 7x')
DM_VERSION = 4, 0, 0


def sectors_of(device):
    with open(f'/sys/block/{os.path.basename(device)}/size', encoding='ascii') as f:
        return int(f.read())


def mapped(name):
    """The path of the device mapper's device; there may be nobody who makes a link with the name."""
    return next('/dev/' + path.split('/')[3] for path in glob.glob('/sys/block/dm-*/dm/name')
                if open(path, encoding='ascii').read().strip() == name)


class Logged:
    """A device on another one, with a log of all that is written."""

    def __init__(self, device, log, name):
        self.device, self.log, self.name = device, log, name

    def __enter__(self):
        sectors = sectors_of(self.device)
        try:
            p = subprocess.run(['dmsetup', 'create', '--noudevsync', self.name, '--table',
                                f'0 {sectors} log-writes {self.device} {self.log}'], capture_output=True, text=True)
        except FileNotFoundError:
            raise Skip('no dmsetup') from None
        if p.returncode:
            if 'nknown target' in p.stderr or 'nvalid argument' in p.stderr:
                raise Skip('needs CONFIG_DM_LOG_WRITES')
            raise RuntimeError(p.stderr)
        self.control = os.open('/dev/mapper/control', os.O_RDWR)
        self.path = mapped(self.name)
        return self

    def mark(self, text):
        """Puts a mark, one word, behind all that is safe now."""
        text = f'mark {text}'.encode() + b'\0'
        size = DM_IOCTL.size + 8 + len(text)
        head = DM_IOCTL.pack(*DM_VERSION, size, DM_IOCTL.size, 0, 0, 0, 0, 0, 0, self.name.encode(), b'')
        fcntl.ioctl(self.control, DM_TARGET_MSG, bytearray(head + bytes(8) + text).ljust(2048, b'\0'))

    def __exit__(self, *_):
        os.close(self.control)
        subprocess.run(['dmsetup', 'remove', '--noudevsync', '--retry', self.name], check=True, capture_output=True)


class Entry:
    """One write of a log: where on the device, where its data are in the log, in bytes; or a mark."""

    def __init__(self, at, length, flags, data, mark):
        self.at, self.length, self.flags, self.data, self.mark = at, length, flags, data, mark

    def is_safe(self):
        """Whether it is when it has come back."""
        return self.flags & FUA and not self.flags & (DISCARD | MARK)


def read(path):
    """The entries of a log."""
    entries = []
    with open(path, 'rb') as f:
        magic, version, nr, sector = struct.unpack('<QQQI', f.read(28))
        if (magic, version) != (MAGIC, 1):
            raise RuntimeError(f'no log: {magic:x}, version {version}')
        at = sector
        for _ in range(nr):
            f.seek(at)
            first, sectors, flags, length = struct.unpack('<4Q', f.read(32))
            mark = f.read(length).decode() if flags & MARK else None
            at += sector
            entries.append(Entry(first * sector, sectors * sector, flags, at, mark))
            if not flags & (DISCARD | MARK):
                at += sectors * sector
    return entries


class Cutter:
    """Cuts the power of a device at moments that get later and later."""

    def __init__(self, image, log):
        """`image` is what the device had before; it gets what is safe."""
        self.path, self.entries, self.safe = image, read(log), 0
        self.image, self.log = os.open(image, os.O_RDWR), os.open(log, os.O_RDONLY)
        # Each flush comes behind what it makes safe.
        self.flushes = [i for i, e in enumerate(self.entries) if e.flags & FLUSH]

    def close(self):
        os.close(self.image)
        os.close(self.log)

    def write(self, to, e, sectors=None):
        """Has an entry, or some of its sectors, arrive."""
        if e.flags & MARK or not e.length:
            return
        data = bytes(e.length) if e.flags & DISCARD else os.pread(self.log, e.length, e.data)
        if sectors is None:
            os.pwrite(to, data, e.at)
        else:
            for s in sectors:
                os.pwrite(to, data[s * SECTOR:][:SECTOR], e.at + s * SECTOR)

    def upto(self, end):
        """Everything before entry `end`, which is behind a flush, is safe."""
        for e in self.entries[self.safe:end]:
            self.write(self.image, e)
        self.safe = max(self.safe, end)

    def cut(self, at, r, copied):
        """Cuts the power at entry `at`. Returns a copy of the device, how it was cut, and the marks that were
        before."""
        begin = max((f + 1 for f in self.flushes if f < at), default=0)
        end = min((f for f in self.flushes if f >= at), default=len(self.entries))
        self.upto(begin)
        how = r.choice(('prefix', 'safe only', 'some', 'some', 'torn'))
        if how == 'some':
            at = end
        path = copied(self.path)
        to = os.open(path, os.O_RDWR)
        part = r.random()
        for e in self.entries[begin:at]:
            if e.is_safe() or how in ('prefix', 'torn'):
                self.write(to, e)
            elif how == 'some' and r.random() < part:
                self.write(to, e, self.some(e, r) if r.random() < .3 else None)
        if how == 'torn' and at < len(self.entries):
            # What was under way.
            self.write(to, self.entries[at], self.some(self.entries[at], r))
        os.close(to)
        return path, how, [e.mark for e in self.entries[:at] if e.mark]

    @staticmethod
    def some(e, r):
        share = r.random()
        return [s for s in range(e.length // SECTOR) if r.random() < share]
