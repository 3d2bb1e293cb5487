// SPDX-License-Identifier: GPL-2.0

//! What was done to a device, in the order of time.

use super::SECTOR;
use std::sync::{
    atomic::{
        AtomicU64,
        Ordering, //
    },
    Arc,
};

/// What a sector reads as that was discarded.
const DISCARDED: [u8; SECTOR] = [0xd5; SECTOR];

/// When the data of a write is safe from a loss of power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// After the next flush that is started when the write has returned.
    Cached,
    /// When the write returns. Says nothing of the writes before it.
    Fua,
    /// When the write returns; and so is that of all writes that had returned before.
    All,
}

/// Where one or more devices get their power from: a clock that goes on whenever a write, flush or
/// discard of one of them begins, and when it ends.
#[derive(Clone, Debug, Default)]
pub struct Power(Arc<AtomicU64>);

impl Power {
    /// A clock that shows 0.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the clock shows: a moment between two events.
    pub fn now(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    /// The number of an event; afterwards the clock shows the next one.
    pub(super) fn tick(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

/// Something that was done.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) begin: u64,
    /// `u64::MAX` while it is not over, or when it failed.
    pub(super) end: u64,
    pub(super) what: What,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    Write {
        sector: u64,
        data: Arc<[u8]>,
        how: Durability,
    },
    Discard {
        sector: u64,
        nr: u64,
    },
    Flush,
}

impl Entry {
    /// The first sector, and how many.
    pub(super) fn range(&self) -> (u64, u64) {
        match &self.what {
            What::Write { sector, data, .. } => (*sector, (data.len() / SECTOR) as u64),
            What::Discard { sector, nr } => (*sector, *nr),
            What::Flush => (0, 0),
        }
    }

    /// What the `at`-th sector of the range got.
    pub(super) fn sector(&self, at: u64) -> &[u8] {
        match &self.what {
            What::Write { data, .. } => &data[at as usize * SECTOR..][..SECTOR],
            What::Discard { .. } | What::Flush => &DISCARDED,
        }
    }

    /// Whether it had returned at the moment `at`.
    pub(super) fn is_over(&self, at: u64) -> bool {
        self.end < at
    }

    /// Whether it is on stable media once it has returned.
    pub(super) fn is_fua(&self) -> bool {
        matches!(
            self.what,
            What::Write {
                how: Durability::Fua,
                ..
            }
        )
    }
}
