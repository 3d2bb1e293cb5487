# SPDX-License-Identifier: GPL-2.0
"""Erasure coded images with two blocks of parity, made from some with one: the last block of data of
a stripe becomes the first of parity, and what it held is lost."""
import struct

import superblock

BSET_MAGIC = 0x90135c78b99e07f5
SECTOR, NODE_HEADER, LATER_HEADER = 512, 160, 40
STRIPES_BTREE, STRIPE_KEY, UNPACKED_KEY_WORDS = 6, 14, 5
CSUM_BYTES = {0: 0, 1: 4, 2: 8, 5: 4, 6: 8, 7: 8}


class Stripe:
    """The value of a stripe's key."""

    def __init__(self, v):
        self.sectors, _, self.nr, self.redundant, self.bits, self.csum = struct.unpack_from('<HBBBBB', v)
        words = struct.unpack_from(f'<{self.nr}Q', v, 8)
        # Device and byte of each block.
        self.places = [(w >> 48 & 255, (w >> 4 & (1 << 44) - 1) * SECTOR) for w in words]
        self.bytes = self.sectors * SECTOR

    def checksums(self, block, data):
        """Where in the value those of a block are, and what they should be."""
        size, step = CSUM_BYTES[self.csum], SECTOR << self.bits
        per_block = -(-self.bytes // step)
        sums = [superblock.checksum(self.csum, data[at:at + step])[:size] for at in range(0, self.bytes, step)]
        return 8 + 8 * self.nr + block * per_block * size, b''.join(sums)


def double(block):
    """Each byte times 2 in the field of RAID6; of a number as long as a block."""
    x, n = block
    ones = int.from_bytes(b'\1' * n, 'little')
    return (x & 0x7f * ones) << 1 ^ (x >> 7 & ones) * 0x1d


def parity(data):
    """P and Q."""
    n, p, q = len(data[0]), 0, 0
    for d in reversed([int.from_bytes(d, 'little') for d in data]):
        p, q = p ^ d, double((q, n)) ^ d
    return p.to_bytes(n, 'little'), q.to_bytes(n, 'little')


def sets(node, block_bytes):
    """The sets of keys of a node: (start, where the keys start, end)."""
    at, seq = 0, None
    while at + NODE_HEADER < len(node):
        head = at + (NODE_HEADER if at == 0 else LATER_HEADER) - 24
        own, _, _, _, words = struct.unpack_from('<QQIHH', node, head)
        if seq not in (None, own):
            return
        seq, end = own, head + 24 + words * 8
        yield at, head + 24, end
        at += -(-(end - at) // block_bytes) * block_bytes


def stripe_nodes(f):
    """Where the leaves of the stripes btree are."""
    sb = superblock.Superblock(f, superblock.FIRST_SECTOR)
    magic = struct.pack('<Q', BSET_MAGIC ^ struct.unpack('<Q', sb.get('uuid')[:8])[0])
    size = (sb.get('flags0') >> 12 & 0xffff) * SECTOR
    f.seek(0)
    data, at = f.read(), 0
    while (at := data.find(magic, at)) >= 0:
        start = at - 16
        flags = struct.unpack_from('<Q', data, start + 24)[0]
        if start % SECTOR == 0 and (flags & 15, flags >> 4 & 15, flags >> 9 & 0xffff) == (STRIPES_BTREE, 0, 0):
            yield start, bytearray(data[start:start + size]), sb.get('block_size') * SECTOR
        at += 8


def stripe_keys(node, start, end):
    """Where the values of the stripes in a set are."""
    while start < end:
        words, fmt, kind = node[start], node[start + 1] & 127, node[start + 2]
        if not words:
            return
        if kind == STRIPE_KEY:
            yield start + 8 * (node[80] if fmt == 0 else UNPACKED_KEY_WORDS)
        start += words * 8


def with_two_parities(files, limit):
    """Changes up to `limit` stripes; returns them, as they are now."""
    changed = {}
    for path in files:
        with open(path, 'r+b') as f:
            for at, node, block_bytes in list(stripe_nodes(f)):
                for start, first, end in sets(node, block_bytes):
                    for value in stripe_keys(node, first, end):
                        change_key(node, value, files, changed, limit)
                    kind = struct.unpack_from('<I', node, first - 8)[0] & 15
                    node[start:start + 16] = superblock.checksum(kind, bytes(node[start + 16:end]))
                f.seek(at)
                f.write(node)
    return [stripe for stripe, _ in changed.values()]


def change_key(node, value, files, changed, limit):
    stripe = Stripe(node[value:])
    key = tuple(stripe.places)
    if stripe.redundant != 1 or stripe.nr < 4 or (key not in changed and len(changed) == limit):
        return
    data = stripe.nr - 2
    if key not in changed:
        blocks = []
        for dev, at in stripe.places[:data]:
            with open(files[dev], 'rb') as f:
                f.seek(at)
                blocks.append(f.read(stripe.bytes))
        new = parity(blocks)
        for (dev, at), block in zip(stripe.places[data:], new):
            with open(files[dev], 'r+b') as f:
                f.seek(at)
                f.write(block)
        changed[key] = stripe, [stripe.checksums(data + i, block) for i, block in enumerate(new)]
    node[value + 4] = 2
    for at, sums in changed[key][1]:
        node[value + at:value + at + len(sums)] = sums
