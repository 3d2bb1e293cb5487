// SPDX-License-Identifier: GPL-2.0

//! From a place on a device back to the key that points there.

use super::{
    kinds::DataType,
    raw, //
};
use crate::{
    env::{
        num::{
            low_u32,
            low_u8, //
        },
        units::{
            DevIdx,
            Sectors, //
        },
    },
    error::Invalid,
    format::{
        bpos::{
            Bpos,
            RawBpos, //
        },
        btree_id::BtreeId, //
    },
};
use core::fmt;
use zerocopy::little_endian::U32;
use zerocopy_derive::{
    FromBytes,
    Immutable,
    IntoBytes,
    KnownLayout,
    Unaligned, //
};

/// Bits by which a place on a device is shifted in the position of a backpointer, to make room
/// for several pointers to one sector. C: `MAX_EXTENT_COMPRESS_RATIO_SHIFT`.
pub const BACKPOINTER_SHIFT: u32 = 10;

/// Which key points to a place on a device.
///
/// C: `struct bch_backpointer`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backpointer {
    /// The btree of the key.
    pub btree: BtreeId,
    /// The level of the key.
    pub level: u8,
    /// What is there.
    pub data_type: DataType,
    /// The generation of the pointer (1.14).
    pub bucket_gen: u8,
    /// Flags (1.14).
    pub flags: u32,
    /// Sectors there.
    pub bucket_len: u32,
    /// The position of the key.
    pub pos: Bpos,
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawBackpointer {
    btree: u8,
    level: u8,
    data_type: u8,
    bucket_gen: u8,
    flags: U32,
    bucket_len: U32,
    pos: RawBpos,
}

const _: () = assert!(size_of::<RawBackpointer>() == 32);

impl Backpointer {
    /// Decodes the value of a `backpointer` key.
    pub fn decode(v: &[u8]) -> Result<Self, Invalid> {
        let raw: RawBackpointer = raw::prefix(v)?;
        Ok(Self {
            btree: BtreeId(raw.btree),
            level: raw.level,
            data_type: DataType(raw.data_type),
            bucket_gen: raw.bucket_gen,
            flags: raw.flags.get(),
            bucket_len: raw.bucket_len.get(),
            pos: raw.pos.into(),
        })
    }

    /// Of a filesystem before 1.14: the backpointer of a place that is `bucket_offset` into its
    /// bucket, in sectors shifted by [`BACKPOINTER_SHIFT`], of which 40 bits are kept.
    pub fn with_bucket_offset(self, bucket_offset: u64) -> Self {
        Self {
            bucket_gen: low_u8(bucket_offset),
            flags: low_u32(bucket_offset.wrapping_shr(8)),
            ..self
        }
    }

    /// The value of a `backpointer` key.
    pub fn encode(&self) -> [u8; 32] {
        zerocopy::transmute!(RawBackpointer {
            btree: self.btree.0,
            level: self.level,
            data_type: self.data_type.0,
            bucket_gen: self.bucket_gen,
            flags: self.flags.into(),
            bucket_len: self.bucket_len.into(),
            pos: self.pos.into(),
        })
    }

    /// The position of the backpointer for data that starts `into` sectors into what is stored at
    /// `sector` of `dev`. C: `bucket_pos_to_bp()`.
    pub fn position(dev: DevIdx, sector: Sectors, into: u16) -> Bpos {
        let offset = sector.0.wrapping_shl(BACKPOINTER_SHIFT);
        Bpos::new(dev.0.into(), offset.wrapping_add(into.into()), 0)
    }

    /// Before 1.14: where in the bucket, in sectors shifted by [`BACKPOINTER_SHIFT`].
    /// C: `bucket_offset` in `struct bch_backpointer` of these versions, 40 bits.
    pub fn bucket_offset(&self) -> u64 {
        u64::from(self.bucket_gen) | u64::from(self.flags).wrapping_shl(8)
    }

    /// Since 1.33: the queue for background work in device order this place is on, 0 for none.
    /// C: `BACKPOINTER_RECONCILE_PHYS`.
    pub const fn reconcile_phys(&self) -> u32 {
        self.flags & 3
    }

    /// Since 1.37: the place is part of a stripe. C: `BACKPOINTER_ERASURE_CODED`.
    pub const fn is_erasure_coded(&self) -> bool {
        self.flags & (1 << 2) != 0
    }

    /// Since 1.37: the position is a stripe's, not a device's. C: `BACKPOINTER_STRIPE_PTR`.
    pub const fn is_stripe_ptr(&self) -> bool {
        self.flags & (1 << 3) != 0
    }
}

impl fmt::Display for Backpointer {
    /// C: `bch2_backpointer_to_text()`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "btree={} level={} data_type={} len={} gen={} flags={:#x} pos={}",
            self.btree,
            self.level,
            self.data_type,
            self.bucket_len,
            self.bucket_gen,
            self.flags,
            self.pos
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_with_a_place_in_the_bucket() {
        let bp = Backpointer {
            btree: BtreeId::EXTENTS,
            level: 0,
            data_type: DataType::USER,
            bucket_gen: 0,
            flags: 0,
            bucket_len: 8,
            pos: Bpos::new(4096, 16, u32::MAX),
        };
        let bp = bp.with_bucket_offset(0x12_3456_789a);
        assert_eq!(bp.bucket_offset(), 0x12_3456_789a);
        let v = bp.encode();
        assert_eq!(v[3..8], [0x9a, 0x78, 0x56, 0x34, 0x12]);
        assert_eq!(Backpointer::decode(&v).unwrap(), bp);
        let pos = Backpointer::position(DevIdx(2), Sectors(3), 5);
        assert_eq!(pos, Bpos::new(2, 3 * 1024 + 5, 0));
    }
}
