// SPDX-License-Identifier: GPL-2.0

//! Shared extents: the pointer in a file, and the head of what it points to.

use super::raw::{
    self,
    bits,
    place, //
};
use crate::error::Invalid;
use core::fmt;
use zerocopy::{
    little_endian::{
        U32,
        U64, //
    },
    IntoBytes as _,
};
use zerocopy_derive::{
    FromBytes,
    Immutable,
    IntoBytes,
    KnownLayout,
    Unaligned, //
};

/// The highest position in the reflink btree, in sectors. C: `REFLINK_P_IDX_MAX`.
pub const REFLINK_IDX_MAX: u64 = (1 << 56) - 1;

/// A range of a file that is stored in the reflink btree.
///
/// C: `struct bch_reflink_p`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReflinkPtr {
    /// Where the range starts in the reflink btree, in sectors.
    pub idx: u64,
    /// Sectors before `idx` this pointer holds a reference to as well.
    pub front_pad: u32,
    /// Sectors after the range this pointer holds a reference to as well.
    pub back_pad: u32,
    /// What it points to is missing.
    pub error: bool,
    /// Options of this file may be propagated to the shared data (1.16).
    pub may_update_options: bool,
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawReflinkPtr {
    idx_flags: U64,
    front_pad: U32,
    back_pad: U32,
}

const _: () = assert!(size_of::<RawReflinkPtr>() == 16);

impl ReflinkPtr {
    /// Decodes the value of a `reflink_p` key.
    pub fn decode(v: &[u8]) -> Result<Self, Invalid> {
        let raw: RawReflinkPtr = raw::prefix(v)?;
        let idx_flags = raw.idx_flags.get();
        Ok(Self {
            idx: bits(idx_flags, 0, 56),
            front_pad: raw.front_pad.get(),
            back_pad: raw.back_pad.get(),
            error: bits(idx_flags, 56, 57) != 0,
            may_update_options: bits(idx_flags, 57, 58) != 0,
        })
    }

    /// The value of a `reflink_p` key; `None` when `idx` is beyond [`REFLINK_IDX_MAX`].
    pub fn encode(&self) -> Option<[u8; 16]> {
        if self.idx > REFLINK_IDX_MAX {
            return None;
        }
        let raw = RawReflinkPtr {
            idx_flags: (self.idx
                | place(u64::from(self.error), 56, 57)
                | place(u64::from(self.may_update_options), 57, 58))
            .into(),
            front_pad: self.front_pad.into(),
            back_pad: self.back_pad.into(),
        };
        raw.as_bytes().try_into().ok()
    }
}

impl fmt::Display for ReflinkPtr {
    /// C: `bch2_reflink_p_to_text()`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "idx {} front_pad {} back_pad {}",
            self.idx, self.front_pad, self.back_pad
        )?;
        if self.error {
            f.write_str(" error")?;
        }
        if self.may_update_options {
            f.write_str(" may_update_opts")?;
        }
        Ok(())
    }
}

/// Bytes before the extent entries of a `reflink_v`, and before the data of an
/// `indirect_inline_data`.
pub(super) const REFLINK_V_BYTES: usize = 8;

/// How many pointers lead to a `reflink_v` or `indirect_inline_data`. What it holds is read by
/// [`ptrs`](super::extent::ptrs) and [`inline_data`](super::inline_data::inline_data).
///
/// C: `refcount` of `struct bch_reflink_v` and `struct bch_indirect_inline_data`.
pub fn refcount(v: &[u8]) -> Result<u64, Invalid> {
    raw::prefix::<U64>(v).map(U64::get)
}
