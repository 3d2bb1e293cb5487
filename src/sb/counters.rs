// SPDX-License-Identifier: GPL-2.0

//! Events counted since the mount, by the numbers of the superblock's section `counters`.

use crate::{
    env::Vec,
    error::Result,
    format::sb::counters::counters,
    sys::task, //
};
use core::sync::atomic::{
    AtomicU64,
    Ordering, //
};

/// The most processors that count apart from each other.
const SHARDS_MAX: usize = 16;

/// What was counted since the mount. Each processor counts by itself, so that they do not take the
/// memory from each other that all of them write to.
#[derive(Debug)]
pub struct Counters {
    shards: Vec<Vec<AtomicU64>>,
}

impl Counters {
    /// Nothing counted yet.
    pub fn try_new() -> Result<Self> {
        let nr = counters().map(|c| usize::from(c.nr)).max().unwrap_or(0);
        let nr_shards = task::nr_cpus().clamp(1, SHARDS_MAX);
        let mut shards = Vec::with_capacity(nr_shards)?;
        for _ in 0..nr_shards {
            let mut shard = Vec::with_capacity(nr.saturating_add(1))?;
            for _ in 0..=nr {
                shard.push(AtomicU64::new(0))?;
            }
            shards.push(shard)?;
        }
        Ok(Self { shards })
    }

    /// Adds to the counter `nr`, one of the constants of
    /// [`Counter`](crate::format::sb::counters::Counter).
    #[inline]
    pub fn add(&self, nr: u8, n: u64) {
        let here = task::cpu().checked_rem(self.shards.len()).unwrap_or(0);
        let shard = self.shards.get(here);
        if let Some(c) = shard.and_then(|s| s.get(usize::from(nr))) {
            c.fetch_add(n, Ordering::Relaxed);
        }
    }

    /// What the counter `nr` has counted since the mount.
    pub fn get(&self, nr: u8) -> u64 {
        let each = self.shards.iter().filter_map(|s| s.get(usize::from(nr)));
        each.fold(0, |sum, c| sum.wrapping_add(c.load(Ordering::Relaxed)))
    }
}
