// SPDX-License-Identifier: GPL-2.0

//! How often each kind of inconsistency was found: over the life of the filesystem, as the
//! superblock has it, and since the mount. Nothing is written back while read-only.

use crate::{
    env::{
        time,
        Vec, //
    },
    error::{
        fsck::FsckError,
        Result, //
    },
    format::sb::{
        errors::ErrorEntry,
        Superblock, //
    },
    sys::sync::Mutex,
};
use core::sync::atomic::{
    AtomicU64,
    Ordering, //
};

/// The counts by id.
///
/// C: `bch_sb_errors_cpu`.
pub struct ErrorCounts {
    /// Ascending by id, each id once.
    list: Mutex<Vec<ErrorEntry>>,
    since_mount: AtomicU64,
}

/// Adds `e` to what the list has of the same id.
fn add(list: &mut Vec<ErrorEntry>, e: ErrorEntry) -> Result {
    match list.binary_search_by_key(&e.id, |have| have.id) {
        Ok(at) => {
            if let Some(have) = list.get_mut(at) {
                have.nr = have.nr.saturating_add(e.nr);
                have.last = have.last.max(e.last);
                // 0: not recorded.
                have.first = match (have.first, e.first) {
                    (0, first) | (first, 0) => first,
                    (a, b) => a.min(b),
                };
            }
            Ok(())
        }
        Err(at) => list.insert(at, e),
    }
}

impl ErrorCounts {
    /// Starts from what the superblock has.
    ///
    /// C: `bch2_sb_errors_to_cpu()`.
    pub fn of(sb: &Superblock) -> Result<Self> {
        let mut list = Vec::new();
        for e in sb.errors() {
            add(&mut list, e)?;
        }
        Self::starting_with(list)
    }

    /// Starts from nothing.
    #[cfg(test)]
    pub(crate) fn none() -> Self {
        Self::starting_with(Vec::new()).unwrap()
    }

    fn starting_with(list: Vec<ErrorEntry>) -> Result<Self> {
        Ok(Self {
            list: Mutex::try_new(list)?,
            since_mount: AtomicU64::new(0),
        })
    }

    /// Counts one. When memory is short, an id that was not seen before is left out.
    ///
    /// C: `bch2_sb_error_count()`.
    pub fn count(&self, id: FsckError) {
        self.since_mount.fetch_add(1, Ordering::Relaxed);
        let now = time::real_seconds();
        let e = ErrorEntry {
            id,
            nr: 1,
            last: now,
            first: now,
        };
        let _ = add(&mut self.list.lock(), e);
    }

    /// How many inconsistencies were found since the mount.
    pub fn since_mount(&self) -> u64 {
        self.since_mount.load(Ordering::Relaxed)
    }

    /// Calls `each` with all counts, ascending by id, until it returns an error.
    pub fn for_each<E>(
        &self,
        mut each: impl FnMut(&ErrorEntry) -> core::result::Result<(), E>,
    ) -> core::result::Result<(), E> {
        self.list.lock().iter().try_for_each(&mut each)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: u16, nr: u64, first: u64, last: u64) -> ErrorEntry {
        ErrorEntry {
            id: FsckError::from_raw(id),
            nr,
            last,
            first,
        }
    }

    #[test]
    fn entries_of_one_id_add_up() {
        let mut list = Vec::new();
        for e in [
            entry(5, 2, 0, 70),
            entry(3, 1, 10, 20),
            entry(5, 4, 50, 60),
            entry(3, 1, 5, 8),
        ] {
            add(&mut list, e).unwrap();
        }
        assert_eq!(&list[..], [entry(3, 2, 5, 20), entry(5, 6, 50, 70)]);
    }
}
