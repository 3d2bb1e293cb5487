// SPDX-License-Identifier: GPL-2.0

//! Operations that take several transactions and are finished after a crash.

use super::raw;
use crate::error::Invalid;
use core::fmt;
use zerocopy::little_endian::{
    U32,
    U64, //
};
use zerocopy_derive::{
    FromBytes,
    Immutable,
    IntoBytes,
    KnownLayout,
    Unaligned, //
};

/// A file being cut.
///
/// C: `struct bch_logged_op_truncate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoggedTruncate {
    /// The file's subvolume.
    pub subvol: u32,
    /// The file's inode number.
    pub inum: u64,
    /// Its size once done, in bytes.
    pub new_size: u64,
}

impl LoggedTruncate {
    /// Decodes the value of a `logged_op_truncate` key.
    pub fn decode(v: &[u8]) -> Result<Self, Invalid> {
        let (subvol, rest) = raw::split::<[U32; 2]>(v)?;
        let [inum, new_size] = raw::prefix::<[U64; 2]>(rest)?.map(U64::get);
        let [subvol, _] = subvol;
        Ok(Self {
            subvol: subvol.get(),
            inum,
            new_size,
        })
    }

    /// The value of a `logged_op_truncate` key.
    pub fn encode(&self) -> [u8; 24] {
        let mut v = [0; 24];
        let words = [u64::from(self.subvol), self.inum, self.new_size];
        for (to, from) in v.chunks_exact_mut(8).zip(words) {
            for (to, from) in to.iter_mut().zip(from.to_le_bytes()) {
                *to = from;
            }
        }
        v
    }
}

impl fmt::Display for LoggedTruncate {
    /// C: `bch2_logged_op_truncate_to_text()`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "subvol={} inum={} new_i_size={}",
            self.subvol, self.inum, self.new_size
        )
    }
}

/// A range being inserted into a file, or taken out.
///
/// C: `struct bch_logged_op_finsert`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoggedInsert {
    /// How far it got: 0 start, 1 extents are being shifted, 2 finish.
    pub state: u8,
    /// The file's subvolume.
    pub subvol: u32,
    /// The file's inode number.
    pub inum: u64,
    /// Where the data goes, in sectors.
    pub dst_offset: u64,
    /// Where the data is, in sectors.
    pub src_offset: u64,
    /// How far extents are shifted, in sectors.
    pub pos: u64,
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawLoggedInsert {
    state: u8,
    pad: [u8; 3],
    subvol: U32,
    inum: U64,
    dst_offset: U64,
    src_offset: U64,
    pos: U64,
}

const _: () = assert!(size_of::<RawLoggedInsert>() == 40);

impl LoggedInsert {
    /// Decodes the value of a `logged_op_finsert` key.
    pub fn decode(v: &[u8]) -> Result<Self, Invalid> {
        let raw: RawLoggedInsert = raw::padded(v, 24)?;
        Ok(Self {
            state: raw.state,
            subvol: raw.subvol.get(),
            inum: raw.inum.get(),
            dst_offset: raw.dst_offset.get(),
            src_offset: raw.src_offset.get(),
            pos: raw.pos.get(),
        })
    }

    /// The value of a `logged_op_finsert` key.
    pub fn encode(&self) -> [u8; 40] {
        let raw = RawLoggedInsert {
            state: self.state,
            pad: [0; 3],
            subvol: self.subvol.into(),
            inum: self.inum.into(),
            dst_offset: self.dst_offset.into(),
            src_offset: self.src_offset.into(),
            pos: self.pos.into(),
        };
        zerocopy::transmute!(raw)
    }
}

impl fmt::Display for LoggedInsert {
    /// C: `bch2_logged_op_finsert_to_text()`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "subvol={} inum={} dst_offset={} src_offset={}",
            self.subvol, self.inum, self.dst_offset, self.src_offset
        )
    }
}

/// A stripe being replaced by another (1.37).
///
/// C: `struct bch_logged_op_stripe_update`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoggedStripeUpdate {
    /// The stripe being replaced.
    pub old_idx: u64,
    /// The stripe that takes its place.
    pub new_idx: u64,
    /// Blocks of the old stripe that are used again: how many of `old_block_map` count.
    pub old_blocks_nr: u8,
    /// Which block of the new stripe each of them becomes.
    pub old_block_map: [u8; 16],
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawLoggedStripeUpdate {
    old_idx: U64,
    new_idx: U64,
    old_blocks_nr: u8,
    old_block_map: [u8; 16],
    pad: [u8; 7],
}

const _: () = assert!(size_of::<RawLoggedStripeUpdate>() == 40);

impl LoggedStripeUpdate {
    /// Decodes the value of a `logged_op_stripe_update` key.
    pub fn decode(v: &[u8]) -> Result<Self, Invalid> {
        let raw: RawLoggedStripeUpdate = raw::prefix(v)?;
        Ok(Self {
            old_idx: raw.old_idx.get(),
            new_idx: raw.new_idx.get(),
            old_blocks_nr: raw.old_blocks_nr,
            old_block_map: raw.old_block_map,
        })
    }
}

impl fmt::Display for LoggedStripeUpdate {
    /// C: `bch2_logged_op_stripe_update_to_text()`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "old_idx={} new_idx={} old_blocks_nr={}",
            self.old_idx, self.new_idx, self.old_blocks_nr
        )
    }
}
