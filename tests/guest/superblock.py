# SPDX-License-Identifier: GPL-2.0
"""Changing superblocks in an image file, checksums included."""
import struct

LAYOUT_SECTOR, FIRST_SECTOR = 7, 8
HEADER_BYTES = 752

# Name: (offset, struct format) in the superblock. C: struct bch_sb.
FIELDS = dict(version=(16, '<H'), version_min=(18, '<H'), magic=(24, '16s'), uuid=(40, '16s'),
              offset=(104, '<Q'), seq=(112, '<Q'), block_size=(120, '<H'), dev_idx=(122, 'B'),
              nr_devices=(123, 'B'), u64s=(124, '<I'), time_precision=(140, '<I'), flags0=(144, '<Q'),
              flags1=(152, '<Q'), flags3=(168, '<Q'), flags5=(184, '<Q'), features0=(208, '<Q'),
              features1=(216, '<Q'), compat0=(224, '<Q'))
# The copy of the layout inside a superblock. C: struct bch_sb_layout.
LAYOUT = dict(magic=(0, '16s'), layout_type=(16, 'B'), size_bits=(17, 'B'), nr=(18, 'B'),
              offset0=(24, '<Q'))
MEMBERS_V1, MEMBERS_V2, CLEAN, JOURNAL_V2 = 1, 11, 6, 9
# In the first member. C: struct bch_member.
MEMBER = dict(uuid=(0, '16s'), nbuckets=(16, '<Q'), first_bucket=(24, '<H'), bucket_size=(26, '<H'))


def tables(poly, bits, reflected):
    out, top, mask = [], 1 << bits - 1, (1 << bits) - 1
    for i in range(256):
        c = i if reflected else i << bits - 8
        for _ in range(8):
            if reflected:
                c = c >> 1 ^ (poly if c & 1 else 0)
            else:
                c = (c << 1 ^ (poly if c & top else 0)) & mask
        out.append(c)
    return out


CRC32C = tables(0x82f63b78, 32, True)
CRC64 = tables(0x42f0e1eba9ea3693, 64, False)


def crc32c(data, c):
    for b in data:
        c = c >> 8 ^ CRC32C[(c ^ b) & 255]
    return c


def crc64(data, c):
    for b in data:
        c = (c << 8 & (1 << 64) - 1) ^ CRC64[c >> 56 ^ b]
    return c


def xxh64(data):
    p1, p2, p3, p4, p5 = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63,
                          0x27D4EB2F165667C5)
    m = (1 << 64) - 1

    def rotate(x, n):
        return (x << n | x >> 64 - n) & m

    def mix(acc, x):
        return rotate((acc + x * p2) & m, 31) * p1 & m

    at, n = 0, len(data)
    if n >= 32:
        v = [(p1 + p2) & m, p2, 0, -p1 & m]
        while at + 32 <= n:
            for i, x in enumerate(struct.unpack_from('<4Q', data, at)):
                v[i] = mix(v[i], x)
            at += 32
        h = sum(rotate(x, r) for x, r in zip(v, (1, 7, 12, 18))) & m
        for x in v:
            h = ((h ^ mix(0, x)) * p1 + p4) & m
    else:
        h = p5
    h = (h + n) & m
    while at + 8 <= n:
        h = (rotate(h ^ mix(0, struct.unpack_from('<Q', data, at)[0]), 27) * p1 + p4) & m
        at += 8
    if at + 4 <= n:
        h = (rotate(h ^ struct.unpack_from('<I', data, at)[0] * p1 & m, 23) * p2 + p3) & m
        at += 4
    for b in data[at:]:
        h = rotate(h ^ b * p5 & m, 11) * p1 & m
    h = (h ^ h >> 33) * p2 & m
    h = (h ^ h >> 29) * p3 & m
    return h ^ h >> 32


def checksum(kind, data):
    """The 16 bytes that stand before `data`; None for a kind this file does not know."""
    c32, c64 = (1 << 32) - 1, (1 << 64) - 1
    value = {0: lambda: 0, 1: lambda: crc32c(data, c32) ^ c32, 2: lambda: crc64(data, c64) ^ c64,
             5: lambda: crc32c(data, 0), 6: lambda: crc64(data, 0), 7: lambda: xxh64(data)}.get(kind)
    return struct.pack('<QQ', value(), 0) if value else None


class Superblock:
    """One copy, read from `sector` of an open file."""

    def __init__(self, f, sector):
        self.f, self.at = f, sector * 512
        f.seek(self.at)
        head = f.read(HEADER_BYTES)
        n = struct.unpack_from('<I', head, 124)[0]
        f.seek(self.at)
        self.b = bytearray(f.read(HEADER_BYTES + min(n, 1 << 16) * 8))

    def get(self, name, table=None, base=0):
        offset, fmt = (table or FIELDS)[name]
        return struct.unpack_from(fmt, self.b, base + offset)[0]

    def set(self, name, value, table=None, base=0):
        offset, fmt = (table or FIELDS)[name]
        struct.pack_into(fmt, self.b, base + offset, value)

    def layout(self, name, value):
        self.set(name, value, LAYOUT, 240)

    def section(self, kind):
        """Offset of a section's header (u64s, type), or None."""
        at = HEADER_BYTES
        while at + 8 <= len(self.b):
            n, t = struct.unpack_from('<II', self.b, at)
            if t == kind:
                return at
            if not n:
                return None
            at += n * 8
        return None

    def member(self, name, value):
        at = self.section(MEMBERS_V2)
        if at is not None:
            self.set(name, value, MEMBER, at + 16)
        at = self.section(MEMBERS_V1)
        if at is not None:
            self.set(name, value, MEMBER, at + 8)

    def write(self, good=True):
        if good:
            end = min(len(self.b), HEADER_BYTES + self.get('u64s') * 8)
            csum = checksum(self.get('flags0') >> 2 & 63, bytes(self.b[16:end]))
            if csum:
                self.b[:16] = csum
        self.f.seek(self.at)
        self.f.write(self.b)


def copies(f):
    """The sectors of all copies, by the layout sector."""
    f.seek(LAYOUT_SECTOR * 512)
    b = f.read(512)
    return struct.unpack_from('<%dQ' % b[18], b, 24)


def change(path, function, which=None, good=True):
    """Applies `function` to the copies (all, or those whose number is in `which`)."""
    with open(path, 'r+b') as f:
        for n, sector in enumerate(copies(f)):
            if which is None or n in which:
                sb = Superblock(f, sector)
                function(sb)
                sb.write(good)
