// SPDX-License-Identifier: GPL-2.0

//! What an extent's value consists of: entries of one or more words, each told apart by the
//! position of the first set bit of its first word.

use super::{
    crc::{
        Crc,
        CrcKind, //
    },
    raw::{
        bits,
        place, //
    },
};
use crate::{
    env::{
        num::{
            low_u16,
            low_u8,
            u64_of,
            usize_of_u32, //
        },
        units::{
            DevIdx,
            Sectors, //
        },
    },
    error::{
        fsck::FsckError,
        Invalid, //
    },
};
use core::fmt;

/// The device number that stands for "no device": the device was removed.
/// C: `BCH_SB_MEMBER_INVALID`.
pub const DEV_NONE: DevIdx = DevIdx(255);

/// Entry types this version knows. C: `BCH_EXTENT_ENTRY_MAX`.
pub const ENTRY_TYPES_KNOWN: u8 = 9;

/// Names of the known entry types. C: `bch2_extent_entry_types`.
pub const ENTRY_NAMES: [&str; 9] = [
    "ptr",
    "crc32",
    "crc64",
    "crc128",
    "stripe_ptr",
    "rebalance_v1",
    "flags",
    "reconcile",
    "reconcile_bp",
];

/// How many words each entry type has, including types of newer versions that the superblock
/// tells the size of, so that they can be skipped.
///
/// C: `extent_type_u64s` and `extent_types_known` in `struct bch_sb_cpu`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntrySizes {
    u64s: [u8; 31],
}

impl EntrySizes {
    /// The types this version knows.
    pub const KNOWN: Self = Self {
        u64s: [
            1, 1, 2, 3, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            0, 0,
        ],
    };

    /// The known types and those that `field`, the contents of the superblock field
    /// `extent_type_u64s`, adds: the first zero ends it.
    pub fn with_superblock(field: &[u8]) -> Self {
        let mut sizes = Self::KNOWN;
        for (own, &u64s) in sizes
            .u64s
            .iter_mut()
            .zip(field.iter().take_while(|&&u64s| u64s != 0))
        {
            if *own == 0 {
                *own = u64s;
            }
        }
        sizes
    }

    /// Words in an entry of type `ty`; `None` when that is not known.
    fn get(&self, ty: u32) -> Option<u8> {
        self.u64s
            .get(usize_of_u32(ty))
            .copied()
            .filter(|&u64s| u64s != 0)
    }
}

impl Default for EntrySizes {
    fn default() -> Self {
        Self::KNOWN
    }
}

/// Where one copy of the data is.
///
/// C: `struct bch_extent_ptr`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ptr {
    /// The device; [`DEV_NONE`] when it was removed.
    pub dev: DevIdx,
    /// Where on the device, below 2^44.
    pub offset: Sectors,
    /// The bucket's generation when this was written: older than the bucket's means stale.
    pub generation: u8,
    /// A copy that may be dropped at any time.
    pub cached: bool,
    /// Space is allocated but reads as zero.
    pub unwritten: bool,
}

impl Ptr {
    /// Whether there is a device to read from.
    pub const fn has_dev(&self) -> bool {
        self.dev.0 != DEV_NONE.0
    }

    /// From the word on disk.
    pub const fn from_word(w: u64) -> Self {
        Self {
            dev: DevIdx(low_u8(bits(w, 48, 56))),
            offset: Sectors(bits(w, 4, 48)),
            generation: low_u8(bits(w, 56, 64)),
            cached: bits(w, 1, 2) != 0,
            unwritten: bits(w, 3, 4) != 0,
        }
    }

    /// The word on disk; high bits of an offset that does not fit are lost.
    pub fn to_word(&self) -> u64 {
        1 | place(u64::from(self.cached), 1, 2)
            | place(u64::from(self.unwritten), 3, 4)
            | place(self.offset.0, 4, 48)
            | place(u64::from(self.dev.0), 48, 56)
            | place(u64::from(self.generation), 56, 64)
    }
}

impl fmt::Display for Ptr {
    /// C: `bch2_extent_ptr_to_text()` without a filesystem.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} gen {}", self.dev, self.offset, self.generation)?;
        if self.cached {
            f.write_str(" cached")?;
        }
        if self.unwritten {
            f.write_str(" unwritten")?;
        }
        Ok(())
    }
}

/// The stripe the next pointer's bucket is part of.
///
/// C: `struct bch_extent_stripe_ptr`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StripePtr {
    /// The stripe: position in the stripes btree.
    pub idx: u64,
    /// Which block of the stripe.
    pub block: u8,
    /// How many blocks of the stripe may be lost.
    pub redundancy: u8,
}

impl StripePtr {
    const fn from_word(w: u64) -> Self {
        Self {
            idx: bits(w, 17, 64),
            block: low_u8(bits(w, 5, 13)),
            redundancy: low_u8(bits(w, 13, 17)),
        }
    }

    fn to_word(self) -> u64 {
        1 << 4
            | place(u64::from(self.block), 5, 13)
            | place(u64::from(self.redundancy), 13, 17)
            | place(self.idx, 17, 64)
    }
}

/// Options an extent was written with, and what is still to be done to match them (1.33).
///
/// C: `struct bch_extent_reconcile`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reconcile(pub u64);

/// What [`Entry::RebalanceV1`] asks for.
///
/// C: `struct bch_extent_rebalance`, before 1.33.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RebalanceV1 {
    /// How data is to be compressed: an option, with the level in the high 4 bits; 0 for any.
    pub compression: u8,
    /// Where the data is to be; 0 for anywhere.
    pub target: u16,
}

impl RebalanceV1 {
    /// From the word on disk.
    pub const fn from_word(w: u64) -> Self {
        Self {
            compression: low_u8(bits(w, 40, 48)),
            target: low_u16(bits(w, 48, 64)),
        }
    }

    /// The word on disk.
    pub fn to_word(self) -> u64 {
        1 << 5 | place(self.compression.into(), 40, 48) | place(self.target.into(), 48, 64)
    }
}

/// Bits of [`Reconcile::need`]. C: `enum bch_reconcile_opts`.
pub const RECONCILE_OPTS: [&str; 6] = [
    "data_replicas",
    "data_checksum",
    "erasure_code",
    "background_compression",
    "background_target",
    "promote_target",
];

macro_rules! word_fields {
    ($($(#[$doc:meta])* $name:ident: $from:literal..$to:literal, $cast:expr, $ty:ty;)*) => {
        $($(#[$doc])* pub const fn $name(&self) -> $ty {
            $cast(bits(self.0, $from, $to))
        })*
    };
}

const fn flag(v: u64) -> bool {
    v != 0
}

impl Reconcile {
    word_fields! {
        /// Pointers being moved, one bit each.
        ptrs_moving: 10..15, low_u8, u8;
        /// To be done before other work.
        hipri: 15..16, flag, bool;
        /// Can not be done now, for lack of space on the target.
        pending: 16..17, flag, bool;
        /// What has to be done, as bits in the order of [`RECONCILE_OPTS`].
        need: 17..22, low_u8, u8;
        /// Which options come from the inode, as bits in the order of [`RECONCILE_OPTS`].
        from_inode: 22..28, low_u8, u8;
        /// Option `data_replicas`.
        data_replicas: 28..31, low_u8, u8;
        /// Option `data_checksum`.
        data_checksum: 31..35, low_u8, u8;
        /// Option `erasure_code`.
        erasure_code: 35..36, flag, bool;
        /// Option `background_compression`.
        background_compression: 36..44, low_u8, u8;
        /// Option `background_target`.
        background_target: 44..54, low_u16, u16;
        /// Option `promote_target`.
        promote_target: 54..64, low_u16, u16;
    }
}

/// One entry of an extent's value.
///
/// C: `union bch_extent_entry`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A copy of the data.
    Ptr(Ptr),
    /// Checksum and compression of the pointers that follow, up to the next of its kind.
    Crc(CrcKind, Crc),
    /// The next pointer is part of a stripe.
    Stripe(StripePtr),
    /// Options for background work, before 1.33. C: `struct bch_extent_rebalance_v1`; the word.
    RebalanceV1(u64),
    /// Flags of the extent (1.25). C: `struct bch_extent_flags`.
    Flags(u64),
    /// Options for background work (1.33).
    Reconcile(Reconcile),
    /// Where a btree node's background work is queued (1.33). C:
    /// `struct bch_extent_reconcile_bp`; the position.
    ReconcileBp(u64),
    /// A type of a newer version, skipped: its number.
    Unknown(u8),
}

/// Bit of [`Entry::Flags`]: the data is known to be bad; reads fail.
/// C: `BCH_EXTENT_FLAG_poisoned`.
pub const EXTENT_POISONED: u64 = 1 << 0;

impl Entry {
    /// The entry as words, of which the first `n` count; `None` when a number does not fit or
    /// the type is unknown.
    pub fn encode(&self) -> Option<([u64; 3], u8)> {
        let one = |w| Some(([w, 0, 0], 1));
        match *self {
            Entry::Ptr(p) if p.offset.0 < 1 << 44 => one(p.to_word()),
            Entry::Crc(kind, crc) => Some((crc.pack(kind)?, kind.u64s())),
            Entry::Stripe(s) if s.idx < 1 << 47 && s.redundancy < 16 => one(s.to_word()),
            Entry::RebalanceV1(w) if w.trailing_zeros() == 5 => one(w),
            Entry::Flags(flags) if flags < 1 << 57 => one(1 << 6 | place(flags, 7, 64)),
            Entry::Reconcile(r) if r.0.trailing_zeros() == 7 => one(r.0),
            Entry::ReconcileBp(idx) if idx < 1 << 55 => one(1 << 8 | place(idx, 9, 64)),
            _ => None,
        }
    }
}

impl fmt::Display for Entry {
    /// C: a line of `bch2_bkey_ptrs_to_text()`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Entry::Ptr(p) => write!(f, "ptr: {p}"),
            Entry::Crc(CrcKind::Crc32, crc) => write!(f, "crc32: {crc}"),
            Entry::Crc(CrcKind::Crc64, crc) => write!(f, "crc64: {crc}"),
            Entry::Crc(CrcKind::Crc128, crc) => write!(f, "crc128: {crc}"),
            Entry::Stripe(s) => write!(f, "stripe_ptr: idx {} block {}", s.idx, s.block),
            Entry::RebalanceV1(w) => write!(f, "rebalance_v1: {w:#x}"),
            Entry::Flags(EXTENT_POISONED) => f.write_str("flags: poisoned"),
            Entry::Flags(flags) => write!(f, "flags: {flags:#x}"),
            Entry::Reconcile(r) => {
                write!(f, "reconcile: replicas={}", r.data_replicas())?;
                write!(f, " checksum={}", r.data_checksum())?;
                write!(f, " erasure_code={}", u8::from(r.erasure_code()))?;
                write!(f, " background_compression={}", r.background_compression())?;
                write!(f, " background_target={}", r.background_target())?;
                write!(f, " promote_target={}", r.promote_target())?;
                write!(f, " need={:#x}", r.need())?;
                if r.hipri() {
                    f.write_str(" hipri")?;
                }
                if r.pending() {
                    f.write_str(" pending")?;
                }
                Ok(())
            }
            Entry::ReconcileBp(idx) => write!(f, "reconcile_bp: idx {idx}"),
            Entry::Unknown(ty) => write!(f, "(unknown extent entry {ty})"),
        }
    }
}

/// The entries of a value, in order. After an error there are no more.
///
/// C: `bkey_extent_entry_for_each()`.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    rest: &'a [u8],
    live_size: u32,
    sizes: EntrySizes,
}

impl<'a> Entries<'a> {
    /// The entries in `bytes`, of a key of `live_size` sectors.
    pub fn new(bytes: &'a [u8], live_size: u32, sizes: &EntrySizes) -> Self {
        Self {
            rest: bytes,
            live_size,
            sizes: *sizes,
        }
    }

    /// Bytes of the value that were not looked at yet.
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    fn take(&mut self) -> Result<Option<Entry>, Invalid> {
        let Some(first) = word(self.rest) else {
            // A value is whole words; less than one is nothing.
            return Ok(None);
        };
        let ty = first.trailing_zeros();
        let Some(u64s) = self.sizes.get(ty) else {
            return Err(Invalid::with(
                FsckError::EXTENT_PTRS_INVALID_ENTRY,
                "invalid extent entry type",
                u64::from(ty),
                u64::from(ENTRY_TYPES_KNOWN),
            ));
        };
        let Some((own, rest)) = usize::from(u64s)
            .checked_mul(8)
            .and_then(|n| self.rest.split_at_checked(n))
        else {
            return Err(Invalid::with(
                FsckError::EXTENT_PTRS_INVALID_ENTRY,
                "extent entry past the end of the value, bytes left",
                u64_of(self.rest.len()),
                u64::from(u64s).wrapping_mul(8),
            ));
        };
        self.rest = rest;
        let second = own.get(8..).and_then(word).unwrap_or(0);
        let third = own.get(16..).and_then(word).unwrap_or(0);
        let crc = |kind| {
            Entry::Crc(
                kind,
                Crc::unpack(kind, [first, second, third], self.live_size),
            )
        };
        Ok(Some(match ty {
            0 => Entry::Ptr(Ptr::from_word(first)),
            1 => crc(CrcKind::Crc32),
            2 => crc(CrcKind::Crc64),
            3 => crc(CrcKind::Crc128),
            4 => Entry::Stripe(StripePtr::from_word(first)),
            5 => Entry::RebalanceV1(first),
            6 => Entry::Flags(bits(first, 7, 64)),
            7 => Entry::Reconcile(Reconcile(first)),
            8 => Entry::ReconcileBp(bits(first, 9, 64)),
            ty => Entry::Unknown(low_u8(u64::from(ty))),
        }))
    }
}

/// The first 8 bytes as a number.
fn word(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk().map(|b| u64::from_le_bytes(*b))
}

impl Iterator for Entries<'_> {
    type Item = Result<Entry, Invalid>;

    fn next(&mut self) -> Option<Self::Item> {
        let taken = self.take();
        if taken.is_err() {
            self.rest = &[];
        }
        taken.transpose()
    }
}
