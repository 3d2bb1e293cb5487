// SPDX-License-Identifier: GPL-2.0

//! What users are shown.

use super::KeyCache;
use crate::env::num::u64_of;
use core::{
    fmt,
    sync::atomic::{
        AtomicU64,
        Ordering, //
    },
};

/// What came of asking for memory.
#[derive(Debug, Default)]
pub(super) struct Counts {
    requested: AtomicU64,
    freed: AtomicU64,
    changed: AtomicU64,
    used: AtomicU64,
    locked: AtomicU64,
}

impl Counts {
    pub(super) fn requested(&self, nr: usize) {
        self.requested.fetch_add(u64_of(nr), Ordering::Relaxed);
    }

    pub(super) fn freed(&self, nr: usize) {
        self.freed.fetch_add(u64_of(nr), Ordering::Relaxed);
    }

    pub(super) fn skipped_changed(&self) {
        self.changed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn skipped_used(&self) {
        self.used.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn skipped_locked(&self) {
        self.locked.fetch_add(1, Ordering::Relaxed);
    }
}

impl fmt::Display for KeyCache {
    /// C: `bch2_btree_key_cache_to_text()`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |nr: &AtomicU64| nr.load(Ordering::Relaxed);
        let c = &self.counts;
        for (what, nr) in [
            ("keys:", u64_of(self.nr_keys())),
            ("dirty:", u64_of(self.nr_changed())),
            ("table size:", u64_of(self.nr_slots())),
        ] {
            writeln!(f, "{what:<24}{nr:>12}")?;
        }
        writeln!(f, "\nshrinker:")?;
        for (what, nr) in [
            ("requested_to_free:", of(&c.requested)),
            ("freed:", of(&c.freed)),
            ("skipped_dirty:", of(&c.changed)),
            ("skipped_accessed:", of(&c.used)),
            ("skipped_lock_fail:", of(&c.locked)),
        ] {
            writeln!(f, "{what:<24}{nr:>12}")?;
        }
        Ok(())
    }
}
