// SPDX-License-Identifier: GPL-2.0

//! What a validator reports.

use super::fsck::FsckError;
use core::fmt;

/// One thing wrong in bytes from disk: the stable id, what it is about, and the two numbers that
/// disagree. Small and `Copy`, so that validators need no memory and no place to print to; the
/// caller adds where the bytes came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The on-disk-stable id of this kind of inconsistency.
    pub id: FsckError,
    /// What is wrong, with the field's name: "inode mode", "u64s larger than the node".
    pub what: &'static str,
    /// The value found.
    pub found: u64,
    /// The value or limit it was held against.
    pub limit: u64,
}

impl Invalid {
    /// A finding without numbers.
    pub const fn new(id: FsckError, what: &'static str) -> Self {
        Self {
            id,
            what,
            found: 0,
            limit: 0,
        }
    }

    /// A finding about the value `found`, held against `limit`.
    pub const fn with(id: FsckError, what: &'static str, found: u64, limit: u64) -> Self {
        Self {
            id,
            what,
            found,
            limit,
        }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.id.name(), self.what)?;
        if self.found != self.limit {
            write!(f, " (found {}, against {})", self.found, self.limit)?;
        }
        Ok(())
    }
}
