// SPDX-License-Identifier: GPL-2.0

//! Telling those who watch a filesystem of its errors: they are counted.

use crate::error::Result;
use std::sync::atomic::{
    AtomicU64,
    Ordering, //
};

/// What was told.
#[derive(Debug, Default)]
pub struct Watchers {
    metadata: AtomicU64,
    shutdown: AtomicU64,
}

impl Watchers {
    /// Nothing yet.
    pub fn try_new() -> Result<Self> {
        Ok(Self::default())
    }

    /// Tells of damaged metadata.
    pub fn metadata(&self) {
        self.metadata.fetch_add(1, Ordering::Relaxed);
    }

    /// Tells that nothing is written any more.
    pub fn shutdown(&self) {
        self.shutdown.fetch_add(1, Ordering::Relaxed);
    }

    /// How often it was told of damaged metadata, and of the end of writing.
    pub fn told(&self) -> (u64, u64) {
        let get = |n: &AtomicU64| n.load(Ordering::Relaxed);
        (get(&self.metadata), get(&self.shutdown))
    }
}
