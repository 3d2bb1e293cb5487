// SPDX-License-Identifier: GPL-2.0

//! The layout: where on a device the copies of its superblock are. It is stored inside each copy
//! and once more on its own, in front of the first copy.

use super::{
    finding::{
        Finding,
        Place, //
    },
    text::{
        Human,
        Uuid, //
    },
};
use crate::error::Error;
use core::fmt;
use zerocopy::little_endian::U64;
use zerocopy_derive::{
    FromBytes,
    Immutable,
    IntoBytes,
    KnownLayout,
    Unaligned, //
};

/// The sector of the layout that is on its own. C: `BCH_SB_LAYOUT_SECTOR`.
pub const LAYOUT_SECTOR: u64 = 7;
/// The sector of the first copy of the superblock. C: `BCH_SB_SECTOR`.
pub const PRIMARY_SECTOR: u64 = 8;
/// log2 of the most sectors a copy can have: 32 MiB. C: `BCH_SB_LAYOUT_SIZE_BITS_MAX`.
pub const SIZE_BITS_MAX: u8 = 16;
/// Copies that a layout can list.
pub const COPIES_MAX: usize = 61;
/// Bytes of a layout.
pub const LAYOUT_BYTES: usize = 512;

/// Identifies a superblock and a layout. C: `BCHFS_MAGIC`.
pub const MAGIC: Uuid = Uuid([
    0xc6, 0x85, 0x73, 0xf6, 0x66, 0xce, 0x90, 0xa9, 0xd9, 0x6a, 0x60, 0xcf, 0x80, 0x3d, 0xf7, 0xef,
]);
/// The magic number of bcache, which old superblocks have. C: `BCACHE_MAGIC`.
pub const MAGIC_BCACHE: Uuid = Uuid([
    0xc6, 0x85, 0x73, 0xf6, 0x4e, 0x1a, 0x45, 0xca, 0x82, 0x65, 0xf5, 0x7f, 0x48, 0xba, 0x6d, 0x81,
]);

/// The layout as bytes.
///
/// C: `struct bch_sb_layout`.
#[derive(
    Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, PartialEq, Eq,
)]
#[repr(C)]
pub struct RawLayout {
    pub(super) magic: [u8; 16],
    layout_type: u8,
    sb_max_size_bits: u8,
    nr_superblocks: u8,
    pad: [u8; 5],
    sb_offset: [U64; COPIES_MAX],
}

const _: () = assert!(size_of::<RawLayout>() == LAYOUT_BYTES);

fn bad(what: &'static str) -> Finding {
    Finding::new(Error::SbLayout, Place::Layout, what)
}

impl RawLayout {
    /// The magic number.
    pub const fn magic(&self) -> Uuid {
        Uuid(self.magic)
    }

    /// The most bytes a copy may have, by this layout; never more than 32 MiB.
    pub const fn max_bytes(&self) -> u64 {
        let bits = match self.sb_max_size_bits {
            b if b > SIZE_BITS_MAX => SIZE_BITS_MAX,
            b => b,
        };
        512 << bits
    }

    /// The sectors at which the copies start, in the order of the layout.
    pub fn offsets(&self) -> impl Iterator<Item = u64> + '_ {
        self.sb_offset
            .iter()
            .take(self.nr_superblocks.into())
            .map(|o| o.get())
    }

    /// Checks the layout by itself.
    ///
    /// C: `validate_sb_layout()`.
    pub fn validate(&self) -> Result<(), Finding> {
        if self.magic() != MAGIC && self.magic() != MAGIC_BCACHE {
            return Err(bad("not a bcachefs superblock layout: magic")
                .found(self.magic())
                .expected(MAGIC));
        }
        if self.layout_type != 0 {
            return Err(bad("layout type").found(self.layout_type).expected(0u8));
        }
        if self.nr_superblocks == 0 {
            return Err(bad("number of superblocks").found(0u8).min(1u8));
        }
        if usize::from(self.nr_superblocks) > COPIES_MAX {
            return Err(bad("number of superblocks")
                .found(self.nr_superblocks)
                .max(COPIES_MAX));
        }
        if self.sb_max_size_bits > SIZE_BITS_MAX {
            return Err(bad("sb_max_size_bits")
                .found(self.sb_max_size_bits)
                .max(SIZE_BITS_MAX));
        }
        self.validate_order()
    }

    fn validate_order(&self) -> Result<(), Finding> {
        let max_sectors = 1u64 << self.sb_max_size_bits.min(SIZE_BITS_MAX);
        let mut free = 0;
        for (i, offset) in (0u64..).zip(self.offsets()) {
            if offset < free {
                return Err(bad("superblocks overlap: start sector")
                    .item("superblock", i)
                    .found(offset)
                    .min(free));
            }
            free = offset.checked_add(max_sectors).ok_or_else(|| {
                bad("start sector")
                    .item("superblock", i)
                    .found(offset)
                    .max(u64::MAX.saturating_sub(max_sectors))
            })?;
        }
        Ok(())
    }
}

impl fmt::Display for RawLayout {
    /// C: `bch2_sb_layout_to_text()`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Type:                    {}", self.layout_type)?;
        writeln!(f, "Superblock max size:     {}", Human(self.max_bytes()))?;
        writeln!(f, "Nr superblocks:          {}", self.nr_superblocks)?;
        f.write_str("Offsets:                 ")?;
        for (i, offset) in self.offsets().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{offset}")?;
        }
        f.write_str("\n")
    }
}
