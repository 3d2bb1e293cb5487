// SPDX-License-Identifier: GPL-2.0

//! Where a file has data and where it has holes.

use super::{
    segments::Segments,
    FileId, //
};
use crate::{
    error::Result,
    snapshots::View, //
};

/// Bytes in a sector.
const SECTOR: u64 = 512;

/// What to look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seek {
    /// Bytes that were written.
    Data,
    /// Bytes that were never written; the end of the file is a hole.
    Hole,
}

/// The first byte at or after `pos` of a file of `size` bytes that is what was looked for. `None`
/// when there is none, and for a `pos` at or beyond the end. Space that was allocated but never
/// written is a hole.
///
/// C: `bch2_seek_data()`, `bch2_seek_hole()`.
pub fn seek(view: &View, file: FileId, size: u64, pos: u64, what: Seek) -> Result<Option<u64>> {
    let mut segments = Segments::new(view, file);
    let mut at = pos;
    while at < size {
        let (is_hole, end) = segments.extent_at(at / SECTOR)?;
        if is_hole == (what == Seek::Hole) {
            return Ok(Some(at));
        }
        at = end.saturating_mul(SECTOR).max(at.saturating_add(1));
    }
    Ok(match what {
        Seek::Hole if pos < size => Some(size),
        _ => None,
    })
}
