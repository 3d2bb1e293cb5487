// SPDX-License-Identifier: GPL-2.0

//! Values of a word or less.

use super::{
    kinds::LostReason,
    raw, //
};
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

/// The most copies of data a filesystem can be asked to keep. C: `BCH_REPLICAS_MAX`.
pub const REPLICAS_MAX: u8 = 4;

/// Space set aside for a range of a file that reads as zero.
///
/// C: `struct bch_reservation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// Not used.
    pub generation: u32,
    /// For how many copies.
    pub nr_replicas: u8,
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawReservation {
    generation: U32,
    nr_replicas: u8,
    pad: [u8; 3],
}

const _: () = assert!(size_of::<RawReservation>() == 8);

impl Reservation {
    /// Decodes the value of a `reservation` key.
    pub fn decode(v: &[u8]) -> Result<Self, Invalid> {
        let raw: RawReservation = raw::prefix(v)?;
        Ok(Self {
            generation: raw.generation.get(),
            nr_replicas: raw.nr_replicas,
        })
    }

    /// The value of a `reservation` key.
    pub fn encode(&self) -> [u8; 8] {
        let [a, b, c, d] = self.generation.to_le_bytes();
        [a, b, c, d, self.nr_replicas, 0, 0, 0]
    }
}

impl fmt::Display for Reservation {
    /// C: `bch2_reservation_to_text()`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "generation {} replicas {}",
            self.generation, self.nr_replicas
        )
    }
}

/// The number in a `cookie` key: it grows when what it stands for changes.
///
/// C: `struct bch_cookie`.
pub fn cookie(v: &[u8]) -> Result<u64, Invalid> {
    raw::prefix::<U64>(v).map(U64::get)
}

/// Why the data of an `error` key was lost; the value may be empty.
///
/// C: `struct bch_error`.
pub fn lost_reason(v: &[u8]) -> LostReason {
    LostReason(v.first().copied().unwrap_or(0))
}

/// The index in an `lru` key (no longer used).
///
/// C: `struct bch_lru`.
pub fn lru_idx(v: &[u8]) -> Result<u64, Invalid> {
    raw::prefix::<U64>(v).map(U64::get)
}
