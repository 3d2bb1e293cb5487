// SPDX-License-Identifier: GPL-2.0

//! Extents that became another's, or are elsewhere in a file, while their data stayed where it is.
//!
//! If the power is lost before the journal has that on the devices, the old keys are there again:
//! of a snapshot that was about to be deleted, say. Who writes over data must not change what they
//! show, and so waits until the new ones are there.

use crate::{
    journal::live::Journal,
    sys::sync::atomic::{
        AtomicU32,
        AtomicU64,
        Ordering, //
    },
};

/// Whether there are such extents.
#[derive(Debug, Default)]
pub struct Unsettled {
    /// How many are making some.
    changing: AtomicU32,
    /// The journal entry up to which the last ones are.
    after: AtomicU64,
}

impl Unsettled {
    /// Calls `change`, which commits such keys.
    pub fn change<T>(&self, journal: &Journal, change: impl FnOnce() -> T) -> T {
        self.changing.fetch_add(1, Ordering::AcqRel);
        let done = change();
        self.after.fetch_max(journal.newest(), Ordering::AcqRel);
        self.changing.fetch_sub(1, Ordering::AcqRel);
        done
    }

    /// Whether data can be written over of which the key was looked up before.
    pub fn is_over(&self, journal: &Journal) -> bool {
        let is_changing = self.changing.load(Ordering::Acquire) != 0;
        !is_changing && journal.flushed() >= self.after.load(Ordering::Acquire)
    }
}
