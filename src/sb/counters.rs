// SPDX-License-Identifier: GPL-2.0

//! Events counted since the mount, by the numbers of the superblock's section `counters`.

use crate::{
    env::Vec,
    error::Result,
    format::sb::counters::counters, //
};
use core::sync::atomic::{
    AtomicU64,
    Ordering, //
};

/// What was counted since the mount.
#[derive(Debug)]
pub struct Counters {
    by_nr: Vec<AtomicU64>,
}

impl Counters {
    /// Nothing counted yet.
    pub fn try_new() -> Result<Self> {
        let mut by_nr = Vec::new();
        for _ in 0..=counters().map(|c| c.nr).max().unwrap_or(0) {
            by_nr.push(AtomicU64::new(0))?;
        }
        Ok(Self { by_nr })
    }

    /// Adds to the counter `nr`, one of the constants of
    /// [`Counter`](crate::format::sb::counters::Counter).
    #[inline]
    pub fn add(&self, nr: u8, n: u64) {
        if let Some(c) = self.by_nr.get(usize::from(nr)) {
            c.fetch_add(n, Ordering::Relaxed);
        }
    }

    /// What the counter `nr` has counted since the mount.
    pub fn get(&self, nr: u8) -> u64 {
        self.by_nr
            .get(usize::from(nr))
            .map_or(0, |c| c.load(Ordering::Relaxed))
    }
}
