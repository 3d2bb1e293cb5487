// SPDX-License-Identifier: GPL-2.0

//! Stable ids of inconsistencies.

/// The on-disk-stable id of one kind of inconsistency.
///
/// C: `enum bch_sb_error_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FsckError(pub u16);

impl FsckError {
    /// The id's name.
    pub const fn name(self) -> &'static str {
        "unknown"
    }
}
