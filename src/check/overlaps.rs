// SPDX-License-Identifier: GPL-2.0

//! Extents of one file that overlap, as some snapshot sees them.
//!
//! C: `check_overlapping_extents()`.

use super::{
    files::{
        same,
        Files, //
    },
    seen::Seen,
};
use crate::{
    btree::KeyBuf,
    env::Vec,
    error::{
        fsck::FsckError,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId, //
    },
};

/// Where the last extent of a snapshot ends.
struct End {
    snapshot: u32,
    offset: u64,
    seen: Seen,
}

/// Where extents of a file have ended so far, by snapshot.
///
/// C: `struct extent_ends`.
#[derive(Default)]
pub(super) struct Ends(Vec<End>);

impl Ends {
    /// Compares an extent with those before it. Says whether something was repaired.
    #[inline(never)]
    pub(super) fn check(
        &mut self,
        files: &mut Files<'_>,
        key: &KeyBuf,
        seen: &Seen,
    ) -> Result<bool> {
        for end in self.0.iter() {
            let meets = match end.snapshot > key.k.p.snapshot {
                true => end.seen.is_seen_by(files.table(), key.k.p.snapshot),
                false => seen.is_seen_by(files.table(), end.snapshot),
            };
            if end.offset > key.k.start_offset() && meets {
                let first = Bpos::new(key.k.p.inode, end.offset, end.snapshot);
                if overlap(files, first, key)? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// An extent was looked at.
    ///
    /// C: `extent_ends_at()`.
    pub(super) fn add(&mut self, key: &KeyBuf, seen: &Seen) -> Result {
        let snapshot = key.k.p.snapshot;
        let offset = key.k.p.offset;
        let at = self.0.partition_point(|e| e.snapshot < snapshot);
        if let Some(end) = self.0.get_mut(at).filter(|e| e.snapshot == snapshot) {
            end.offset = offset;
            return end.seen.copy_from(seen);
        }
        let mut new = End {
            snapshot,
            offset,
            seen: Seen::default(),
        };
        new.seen.copy_from(seen)?;
        self.0.insert(at, new)
    }
}

/// The extent at `first` reaches into `second`. What is of the higher snapshot, or else the first
/// one, is overwritten by the other.
///
/// C: `overlapping_extents_found()`.
#[inline(never)]
fn overlap(files: &mut Files<'_>, first: Bpos, second: &KeyBuf) -> Result<bool> {
    let Some(found) = files.btrees().lookup(BtreeId::EXTENTS, first)? else {
        return Ok(false);
    };
    let first = KeyBuf::copy_of(&found.key())?;
    drop(found);
    let (old, new, which) = match first.k.p.snapshot >= second.k.p.snapshot {
        true => (&first, second, "first"),
        false => (second, &first, "second"),
    };
    if !files.found(
        FsckError::EXTENT_OVERLAPPING,
        format_args!(
            "overlapping extents: {} and {}: overwriting the {which} one",
            first.k, second.k
        ),
    )? {
        return Ok(false);
    }
    files.repair(|t| {
        if !same(t, BtreeId::EXTENTS, old)? || !same(t, BtreeId::EXTENTS, new)? {
            return Ok(false);
        }
        t.overwrite(BtreeId::EXTENTS, old, new, files.table())?;
        t.update(BtreeId::EXTENTS, KeyBuf::copy_of(&new.key())?)?;
        Ok(true)
    })
}
