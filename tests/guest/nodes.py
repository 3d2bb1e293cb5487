# SPDX-License-Identifier: GPL-2.0
"""Btree nodes and journal keys in image files: found by their magic numbers, and changed so that their
checksums are right. For filesystems without encryption."""
import struct

import superblock

BSET_MAGIC, JSET_MAGIC = 0x90135c78b99e07f5, 0x245235c1a3625032
DIRENTS, ALLOC, LRU = 2, 4, 10
NODE_HEADER, ENTRY_HEADER, JSET_HEADER, UNPACKED = 160, 40, 56, 40
# Where the set's header begins in that of a node, and in that of a later set of keys.
NODE_BSET, ENTRY_BSET = 136, 16
# Words between the btree's number, a node's range and the format of its keys.
FLAGS_AT, MIN_AT, MAX_AT, FORMAT_AT = 24, 32, 52, 80
BTREE_KEYS = 0
# In an entry's flags: what it says of the oldest one that is needed means nothing.
NO_FLUSH = 1 << 5


class Key:
    """A key in a buffer: where it begins, and its position (inode, offset, snapshot)."""

    def __init__(self, buf, at, layout):
        self.at, self.bytes, self.type = at, 8 * buf[at], buf[at + 2]
        bits, offsets, words = layout if buf[at + 1] & 0x7f == 0 else ((64, 64, 32), (0, 0, 0), 5)
        value, top, pos = int.from_bytes(buf[at:at + 8 * words], 'little'), 64 * words, []
        for n, offset in zip(bits, offsets):
            top -= n
            pos.append((value >> top & (1 << n) - 1) + offset)
        self.pos = tuple(pos)


class Set:
    """A set of keys in a buffer: where it begins, its keys, its checksum's kind."""

    def __init__(self, buf, at, header, bset):
        self.at = at
        self.seq, self.journal_seq, flags, _, u64s = struct.unpack_from('<QQIHH', buf, at + bset)
        self.csum, self.keys_at, self.end = flags & 15, at + header, at + header + 8 * u64s

    def keys(self, buf, layout):
        at = self.keys_at
        while at < self.end and buf[at]:
            key = Key(buf, at, layout)
            yield key
            at += key.bytes


class Node:
    """A node, alive or not, and where it is."""

    def __init__(self, image, at):
        self.image, self.at, self.b = image, at, bytearray(image.read(at, image.node_bytes))
        flags = struct.unpack_from('<Q', self.b, FLAGS_AT)[0]
        self.btree, self.level = flags & 15 | (flags >> 9 & 0xffff) << 4, flags >> 4 & 15
        self.range = bytes(self.b[MIN_AT:MAX_AT + 20])
        words, bits, offsets = self.b[FORMAT_AT], self.b[FORMAT_AT + 2:FORMAT_AT + 8], FORMAT_AT + 8
        self.layout = tuple(bits[:3]), struct.unpack_from('<3Q', self.b, offsets), words
        self.sets = [Set(self.b, 0, NODE_HEADER, NODE_BSET)]
        while True:
            # A set begins at the next block, and has the number of the first one.
            at = -(-self.sets[-1].end // image.block) * image.block
            if at + ENTRY_HEADER > len(self.b):
                break
            later = Set(self.b, at, ENTRY_HEADER, ENTRY_BSET)
            if later.seq != self.sets[0].seq or later.end > len(self.b):
                break
            self.sets.append(later)

    def newest(self):
        return max(s.journal_seq for s in self.sets)

    def keys(self):
        return [k for s in self.sets for k in s.keys(self.b, self.layout)]

    def delete(self, wanted):
        """Makes the keys at these positions deleted ones; how many there were."""
        found = [k for k in self.keys() if k.type and k.pos in wanted]
        for k in found:
            self.b[k.at + 2] = 0
        return len(found)

    def set_btree(self, btree):
        flags = struct.unpack_from('<Q', self.b, FLAGS_AT)[0]
        struct.pack_into('<Q', self.b, FLAGS_AT, flags & ~15 | btree)

    def write(self):
        """Only what changed: a set may have been added meanwhile."""
        for s in self.sets:
            self.b[s.at:s.at + 16] = superblock.checksum(s.csum, bytes(self.b[s.at + 16:s.end]))
        was = self.image.read(self.at, len(self.b))
        for at in range(0, len(self.b), 8):
            if was[at:at + 8] != self.b[at:at + 8]:
                self.image.write(self.at + at, self.b[at:at + 8])


class Image:
    """An image file of one device."""

    def __init__(self, path):
        self.path = path
        with open(path, 'rb') as f:
            sb = superblock.Superblock(f, superblock.FIRST_SECTOR)
            f.seek(0)
            self.bytes = bytearray(f.read())
        self.block = 512 * sb.get('block_size')
        self.node_bytes = 512 * (sb.get('flags0') >> 12 & 0xffff)
        self.own = struct.unpack_from('<Q', sb.b, 40)[0]

    def read(self, at, length):
        return self.bytes[at:at + length]

    def write(self, at, data):
        with open(self.path, 'r+b') as f:
            f.seek(at)
            f.write(data)
        self.bytes[at:at + len(data)] = data

    def places(self, magic):
        """Where blocks begin with a checksum and this magic number."""
        wanted, at = struct.pack('<Q', magic ^ self.own), -1
        while (at := self.bytes.find(wanted, at + 1)) >= 0:
            if at % self.block == 16:
                yield at - 16

    def nodes(self, btree, level=0):
        for at in self.places(BSET_MAGIC):
            flags = struct.unpack_from('<Q', self.bytes, at + FLAGS_AT)[0]
            if (flags & 15 | (flags >> 9 & 0xffff) << 4, flags >> 4 & 15) == (btree, level):
                yield Node(self, at)

    def journal(self):
        """Sequence number, oldest one that is needed if known, and [(btree, level, key)] of each entry."""
        for at in self.places(JSET_MAGIC):
            seq, _, flags, u64s, _, _, last = struct.unpack_from('<QIIIHHQ', self.bytes, at + 24)
            record, end, keys = at + JSET_HEADER, at + JSET_HEADER + 8 * u64s, []
            while record < end:
                n, btree, level, kind = struct.unpack_from('<HBBB', self.bytes, record)
                key, record = record + 8, record + 8 + 8 * n
                while kind == BTREE_KEYS and key < record and self.bytes[key]:
                    keys.append((btree, level, Key(self.bytes, key, None)))
                    key += keys[-1][2].bytes
            yield seq, None if flags & NO_FLUSH else last, keys


def journalled(images, btree):
    """Positions of the leaf keys of a btree that the journal's entries hold, those that are needed."""
    entries = {seq: (last, keys) for image in images for seq, last, keys in image.journal()}
    newest = max(seq for seq, (last, _) in entries.items() if last)
    oldest = entries[newest][0]
    return {k.pos for seq, (_, keys) in entries.items() if oldest <= seq <= newest
            for b, level, k in keys if (b, level) == (btree, 0)}
