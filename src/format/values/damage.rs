// SPDX-License-Identifier: GPL-2.0

//! Which errors damaged an inode (1.39).

use super::raw::bits;
use crate::{
    env::num::low_u16,
    error::fsck::FsckError, //
};
use core::fmt;

/// How often an error was seen, and when.
///
/// C: `bch_sb_field_error_entry_v2`, as in the values of `damage` keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DamageEntry {
    /// The error.
    pub id: FsckError,
    /// How often, up to 2^32 - 1.
    pub nr: u64,
    /// The first time, in seconds.
    pub first: u64,
    /// The last time, in seconds.
    pub last: u64,
}

/// Bytes of an entry.
pub(super) const DAMAGE_ENTRY_BYTES: usize = 16;

impl DamageEntry {
    const fn from_words(low: u64, high: u64) -> Self {
        Self {
            id: FsckError::from_raw(low_u16(bits(low, 0, 16))),
            nr: bits(low, 16, 48),
            first: bits(high, 24, 64),
            last: bits(low, 48, 64) | bits(high, 0, 24).wrapping_shl(16),
        }
    }
}

/// The entries in the value of a `damage` key. C: `struct bch_damage`.
pub fn damage(v: &[u8]) -> impl Iterator<Item = DamageEntry> + '_ {
    v.chunks_exact(DAMAGE_ENTRY_BYTES).filter_map(|chunk| {
        let low = chunk.first_chunk().map(|b| u64::from_le_bytes(*b))?;
        let high = chunk.last_chunk().map(|b| u64::from_le_bytes(*b))?;
        Some(DamageEntry::from_words(low, high))
    })
}

impl fmt::Display for DamageEntry {
    /// C: a line of `bch2_damage_to_text()`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} nr {} first {} last {}",
            self.id, self.nr, self.first, self.last
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden() {
        let low = 193u64 | (5 << 16) | (0x2211 << 48);
        let high = 0x44_3355u64 | (0x01_0203_0405 << 24);
        let mut v = low.to_le_bytes().to_vec();
        v.extend(high.to_le_bytes());
        v.push(0);
        let all: std::vec::Vec<_> = damage(&v).collect();
        assert_eq!(
            all,
            [DamageEntry {
                id: FsckError::INODE_UNPACK_ERROR,
                nr: 5,
                first: 0x01_0203_0405,
                last: 0x44_3355_2211,
            }]
        );
    }
}
