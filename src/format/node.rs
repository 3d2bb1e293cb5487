// SPDX-License-Identifier: GPL-2.0

//! Btree node headers: what stands before the keys of a node and of each set of keys in it.
//!
//! ```text
//! sector 0:  csum, node header (magic, range, key format), first bset header, keys
//! later:     csum, bset header, keys         each start a multiple of the block size
//! ```

use super::{
    bpos::{
        Bpos,
        RawBpos, //
    },
    btree_id::BtreeId,
    csum::{
        Csum,
        CsumType, //
    },
};
use zerocopy::{
    little_endian::{
        U16,
        U32,
        U64, //
    },
    FromBytes as _,
};
use zerocopy_derive::{
    FromBytes,
    Immutable,
    IntoBytes,
    KnownLayout,
    Unaligned, //
};

/// Bytes from a node's start to its first key.
pub const NODE_HEADER_BYTES: usize = 160;
/// Bytes from the start of a later set of keys to its first key.
pub const ENTRY_HEADER_BYTES: usize = 40;
/// The part of a node's header that is encrypted with the first set of keys: from the flags to
/// before the set's own header.
pub const NODE_SEALED: core::ops::Range<usize> = 24..136;
/// Bytes of a checksum; it covers everything after itself up to the last key.
pub const CSUM_BYTES: usize = 16;
/// Fields in a packed key.
pub const NR_KEY_FIELDS: usize = 6;

/// What the magic number of a node is made from, with the filesystem's own part.
/// C: `BSET_MAGIC`.
pub const BSET_MAGIC: u64 = 0x9013_5c78_b99e_07f5;

/// The filesystem's own part of the magic numbers of nodes and journal entries: the start of the
/// UUID that never changes. C: `__bch2_sb_magic()`.
pub const fn filesystem_magic(uuid: &[u8; 16]) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *uuid;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// A stored checksum.
///
/// C: `struct bch_csum`.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
    PartialEq,
    Eq,
)]
#[repr(C)]
pub struct RawCsum {
    /// Low 64 bits.
    pub lo: U64,
    /// High 64 bits; only the message authentication codes use them.
    pub hi: U64,
}

impl From<RawCsum> for Csum {
    fn from(raw: RawCsum) -> Self {
        Csum {
            lo: raw.lo.get(),
            hi: raw.hi.get(),
        }
    }
}

/// How the keys of a node are packed, as stored.
///
/// C: `struct bkey_format`.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
    PartialEq,
    Eq,
)]
#[repr(C)]
pub struct RawKeyFormat {
    /// Words of 8 bytes in a packed key's header.
    pub key_u64s: u8,
    /// Number of fields, always [`NR_KEY_FIELDS`].
    pub nr_fields: u8,
    /// Bits each field takes.
    pub bits_per_field: [u8; NR_KEY_FIELDS],
    /// What to add to each field.
    pub field_offset: [U64; NR_KEY_FIELDS],
}

/// A set of keys that was written at once.
///
/// C: `struct bset`.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
    PartialEq,
    Eq,
)]
#[repr(C)]
pub struct RawBset {
    seq: U64,
    journal_seq: U64,
    flags: U32,
    version: U16,
    u64s: U16,
}

/// The header of a node.
///
/// C: `struct btree_node`.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
    PartialEq,
    Eq,
)]
#[repr(C)]
pub struct RawNode {
    csum: RawCsum,
    magic: U64,
    flags: U64,
    min_key: RawBpos,
    max_key: RawBpos,
    unused_ptr: U64,
    format: RawKeyFormat,
    keys: RawBset,
}

/// The header of a set of keys after the first.
///
/// C: `struct btree_node_entry`.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
    PartialEq,
    Eq,
)]
#[repr(C)]
pub struct RawNodeEntry {
    csum: RawCsum,
    keys: RawBset,
}

const _: () = assert!(size_of::<RawNode>() == NODE_HEADER_BYTES);
const _: () = assert!(core::mem::offset_of!(RawNode, flags) == NODE_SEALED.start);
const _: () = assert!(core::mem::offset_of!(RawNode, keys) == NODE_SEALED.end);
const _: () = assert!(size_of::<RawNodeEntry>() == ENTRY_HEADER_BYTES);

/// One set of keys in a node: its header, decoded, and where its bytes are.
#[derive(Clone, Copy, Debug)]
pub struct Bset<'a> {
    /// The stored checksum.
    pub csum: RawCsum,
    /// The bytes the checksum covers.
    pub covered: &'a [u8],
    /// The keys.
    pub keys: &'a [u8],
    /// The header.
    pub head: RawBset,
}

impl RawBset {
    /// A header for a set that starts `offset` sectors into its node; it has no keys yet.
    pub fn new(seq: u64, journal_seq: u64, csum_type: CsumType, offset: u16, version: u16) -> Self {
        Self {
            seq: seq.into(),
            journal_seq: journal_seq.into(),
            flags: (u32::from(csum_type.0 & 0xf) | u32::from(offset) << 16).into(),
            version: version.into(),
            u64s: 0.into(),
        }
    }

    /// The same for so many words of keys.
    pub fn with_u64s(mut self, u64s: u16) -> Self {
        self.u64s = u64s.into();
        self
    }

    /// The random number all sets of one node have in common.
    pub fn seq(&self) -> u64 {
        self.seq.get()
    }

    /// The newest journal entry with a key in this set; the set is void when that entry never
    /// reached the disk.
    pub fn journal_seq(&self) -> u64 {
        self.journal_seq.get()
    }

    /// The checksum's kind. C: `BSET_CSUM_TYPE()`.
    pub fn csum_type(&self) -> u8 {
        (self.flags.get().to_le_bytes())[0] & 0xf
    }

    /// Whether a big-endian machine wrote the keys.
    pub fn is_big_endian(&self) -> bool {
        self.flags.get() & (1 << 4) != 0
    }

    /// Whether whiteouts are kept apart from keys, as filesystems before 0.11 did.
    pub fn has_separate_whiteouts(&self) -> bool {
        self.flags.get() & (1 << 5) != 0
    }

    /// Where in the node this set was meant to be, in sectors; 0 when not recorded.
    pub fn offset_sectors(&self) -> u32 {
        self.flags.get() >> 16
    }

    /// The on-disk version it was written with.
    pub fn version(&self) -> u16 {
        self.version.get()
    }

    /// Words of 8 bytes of keys.
    pub fn u64s(&self) -> u16 {
        self.u64s.get()
    }

    /// Bytes of keys.
    pub fn key_bytes(&self) -> usize {
        usize::from(self.u64s()).saturating_mul(8)
    }
}

/// What the header of a new node says.
#[derive(Clone, Copy, Debug)]
pub struct NodeHeader {
    /// The magic number of the filesystem's nodes.
    pub magic: u64,
    /// The btree.
    pub btree: BtreeId,
    /// The level; leaves are 0.
    pub level: u8,
    /// How often nodes at this place of the btree were replaced.
    pub replaced: u32,
    /// The lowest position.
    pub min: Bpos,
    /// The highest position.
    pub max: Bpos,
    /// How keys are packed.
    pub format: RawKeyFormat,
}

impl RawNode {
    /// The header of a new node, with that of its first set.
    pub fn new(header: &NodeHeader, keys: RawBset) -> Self {
        let id = u64::from(header.btree.0);
        let flags = (id & 0xf)
            | u64::from(header.level & 0xf) << 4
            | 1 << 8
            | (id >> 4) << 9
            | u64::from(header.replaced) << 32;
        Self {
            csum: RawCsum::default(),
            magic: header.magic.into(),
            flags: flags.into(),
            min_key: header.min.into(),
            max_key: header.max.into(),
            unused_ptr: 0.into(),
            format: header.format,
            keys,
        }
    }

    /// Reads a header off the front of a node. `None` when `bytes` is too short.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        Self::read_from_prefix(bytes).ok().map(|(n, _)| n)
    }

    /// The magic number; see [`BSET_MAGIC`].
    pub fn magic(&self) -> u64 {
        self.magic.get()
    }

    /// The first set's header.
    pub fn keys(&self) -> &RawBset {
        &self.keys
    }

    /// The btree this node is part of.
    pub fn btree(&self) -> u64 {
        let f = self.flags.get();
        (f & 0xf) | (((f >> 9) & 0xffff) << 4)
    }

    /// Whether the node says it belongs to `btree` at `level`.
    pub fn is_of(&self, btree: BtreeId, level: u8) -> bool {
        self.btree() == u64::from(btree.0) && self.level() == level
    }

    /// Levels above the leaves.
    pub fn level(&self) -> u8 {
        ((self.flags.get() >> 4).to_le_bytes())[0] & 0xf
    }

    /// Whether extents are overwritten the way all supported filesystems do it.
    /// C: `BTREE_NODE_NEW_EXTENT_OVERWRITE`.
    pub fn has_new_extent_overwrite(&self) -> bool {
        self.flags.get() & (1 << 8) != 0
    }

    /// Low 32 bits of the sequence number.
    pub fn seq_low(&self) -> u32 {
        let b = self.flags.get().to_le_bytes();
        u32::from_le_bytes([b[4], b[5], b[6], b[7]])
    }

    /// The lowest position in this node.
    pub fn min_key(&self) -> Bpos {
        self.min_key.into()
    }

    /// The highest position in this node.
    pub fn max_key(&self) -> Bpos {
        self.max_key.into()
    }

    /// How keys are packed.
    pub fn format(&self) -> &RawKeyFormat {
        &self.format
    }
}

impl RawNodeEntry {
    /// The header of a later set.
    pub fn new(keys: RawBset) -> Self {
        Self {
            csum: RawCsum::default(),
            keys,
        }
    }
}

impl From<Csum> for RawCsum {
    fn from(csum: Csum) -> Self {
        Self {
            lo: csum.lo.into(),
            hi: csum.hi.into(),
        }
    }
}

impl<'a> Bset<'a> {
    /// The first set of a node. `None` when the header or the keys go beyond `bytes`.
    pub fn first(bytes: &'a [u8]) -> Option<Self> {
        let node = RawNode::read(bytes)?;
        Self::at(bytes, node.csum, node.keys, NODE_HEADER_BYTES)
    }

    /// The set at the start of `bytes`, one that is not a node's first. `None` when the header or
    /// the keys go beyond `bytes`.
    pub fn later(bytes: &'a [u8]) -> Option<Self> {
        let (entry, _) = RawNodeEntry::read_from_prefix(bytes).ok()?;
        Self::at(bytes, entry.csum, entry.keys, ENTRY_HEADER_BYTES)
    }

    /// The random number in the header of a set at the start of `bytes`, whatever its size says.
    pub fn peek_later(bytes: &[u8]) -> Option<RawBset> {
        let (entry, _) = RawNodeEntry::read_from_prefix(bytes).ok()?;
        Some(entry.keys)
    }

    fn at(bytes: &'a [u8], csum: RawCsum, head: RawBset, start: usize) -> Option<Self> {
        let end = start.checked_add(head.key_bytes())?;
        Some(Self {
            csum,
            covered: bytes.get(CSUM_BYTES..end)?,
            keys: bytes.get(start..end)?,
            head,
        })
    }

    /// Bytes from the start of the set to its last key.
    pub fn total_bytes(&self) -> usize {
        self.covered.len().saturating_add(CSUM_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::IntoBytes as _;

    fn node() -> RawNode {
        RawNode {
            flags: U64::new((20 & 0xf) | (2 << 4) | (1 << 8) | ((20 >> 4) << 9) | (0x55 << 32)),
            min_key: Bpos::MIN.into(),
            max_key: Bpos::MAX.into(),
            keys: RawBset {
                seq: U64::new(77),
                flags: U32::new(5 | (8 << 16)),
                u64s: U16::new(2),
                ..RawBset::default()
            },
            ..RawNode::default()
        }
    }

    #[test]
    fn flags_are_split() {
        let n = node();
        assert!(n.is_of(BtreeId::ACCOUNTING, 2));
        assert!(n.has_new_extent_overwrite());
        assert_eq!(n.seq_low(), 0x55);
        assert_eq!(n.keys().csum_type(), 5);
        assert_eq!(n.keys().offset_sectors(), 8);
    }

    #[test]
    fn a_new_header_says_what_it_was_given() {
        let keys = RawBset::new(77, 5, CsumType::CRC32C_NONZERO, 16, 1037).with_u64s(3);
        let header = NodeHeader {
            magic: 9,
            btree: BtreeId::ACCOUNTING,
            level: 3,
            replaced: 0x55,
            min: Bpos::new(1, 2, 3),
            max: Bpos::MAX,
            format: RawKeyFormat::default(),
        };
        let n = RawNode::new(&header, keys);
        assert!(n.is_of(BtreeId::ACCOUNTING, 3));
        assert!(n.has_new_extent_overwrite());
        assert_eq!((n.magic(), n.seq_low()), (9, 0x55));
        assert_eq!((n.min_key(), n.max_key()), (Bpos::new(1, 2, 3), Bpos::MAX));
        let k = n.keys();
        assert_eq!((k.seq(), k.journal_seq(), k.u64s()), (77, 5, 3));
        assert_eq!(
            (k.csum_type(), k.offset_sectors(), k.version()),
            (1, 16, 1037)
        );
        assert!(!k.is_big_endian() && !k.has_separate_whiteouts());
    }

    #[test]
    fn a_set_never_goes_beyond_its_buffer() {
        let mut bytes = std::vec::Vec::from(node().as_bytes());
        assert!(Bset::first(&bytes).is_none());
        bytes.extend_from_slice(&[1; 16]);
        let set = Bset::first(&bytes).unwrap();
        assert_eq!(set.keys, [1; 16]);
        assert_eq!(set.total_bytes(), 176);
        assert_eq!(set.covered.len(), 160);
        for len in 0..bytes.len() {
            assert!(Bset::first(&bytes[..len]).is_none());
        }
    }
}
