// SPDX-License-Identifier: GPL-2.0

//! Quotas: limits of a user, group or project.

use super::raw;
use crate::error::Invalid;
use core::fmt;
use zerocopy::little_endian::U64;

/// Kinds of quota: user, group, project. C: `QTYP_NR`.
pub const QUOTA_TYPES: u64 = 3;

/// Bytes of the value of a key.
pub const QUOTA_BYTES: usize = 32;

/// One limit, in sectors or in inodes.
///
/// C: `struct bch_quota_counter`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limit {
    /// Can not be exceeded; 0 for none.
    pub hard: u64,
    /// Can be exceeded for some time; 0 for none.
    pub soft: u64,
}

/// The limits of one id. The key's position tells kind (inode) and id (offset).
///
/// C: `struct bch_quota`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Space.
    pub space: Limit,
    /// Inodes.
    pub inodes: Limit,
}

impl Quota {
    /// Decodes the value of a `quota` key.
    pub fn decode(v: &[u8]) -> Result<Self, Invalid> {
        let raw: [U64; 4] = raw::prefix(v)?;
        let [space_hard, space_soft, inodes_hard, inodes_soft] = raw.map(U64::get);
        Ok(Self {
            space: Limit {
                hard: space_hard,
                soft: space_soft,
            },
            inodes: Limit {
                hard: inodes_hard,
                soft: inodes_soft,
            },
        })
    }
}

impl Quota {
    /// The value of a `quota` key.
    pub fn encode(&self) -> [u8; QUOTA_BYTES] {
        let mut bytes = [0; QUOTA_BYTES];
        let Self { space, inodes } = self;
        let all = [space.hard, space.soft, inodes.hard, inodes.soft];
        for (to, from) in bytes
            .iter_mut()
            .zip(all.iter().flat_map(|v| v.to_le_bytes()))
        {
            *to = from;
        }
        bytes
    }
}

impl fmt::Display for Quota {
    /// C: `bch2_quota_to_text()`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "space hardlimit {} softlimit {} inodes hardlimit {} softlimit {}",
            self.space.hard, self.space.soft, self.inodes.hard, self.inodes.soft
        )
    }
}
