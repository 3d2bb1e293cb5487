// SPDX-License-Identifier: GPL-2.0

//! Writes past the page cache that go on after the system call, and pages that are made dirty.
//!
//! Pages that come to the cache while such a write goes on have what was there before. They are
//! dropped at its end, unless they are dirty: then the old data would stay, and be written over the
//! new. So no page becomes dirty meanwhile. Who writes past the page cache and waits for the end
//! keeps pages out by their lock instead.

use crate::sys::wait::WaitQueue;
use core::sync::atomic::{
    AtomicU32,
    Ordering, //
};

/// The writes to one file that go on.
///
/// C: `pagecache_lock` in `struct bch_inode_info`, which has a lock of two states.
#[derive(Debug)]
pub(super) struct Queued {
    writes: AtomicU32,
    /// Who waits for there to be none, and gets his turn: meanwhile none begins.
    waiting: AtomicU32,
    ended: WaitQueue,
}

impl Queued {
    /// There are none.
    pub(super) const fn new() -> Self {
        Self {
            writes: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
            ended: WaitQueue::new(),
        }
    }

    /// Begins one, unless somebody waits: says whether. The pages and the inode are locked.
    pub(super) fn begin(&self) -> bool {
        let begins = self.waiting.load(Ordering::Acquire) == 0;
        if begins {
            self.writes.fetch_add(1, Ordering::AcqRel);
        }
        begins
    }

    /// One has ended.
    pub(super) fn end(&self) {
        self.writes.fetch_sub(1, Ordering::AcqRel);
        self.ended.wake_all();
    }

    fn are_none(&self) -> bool {
        self.writes.load(Ordering::Acquire) == 0
    }

    /// Waits until there are none. The inode is locked.
    pub(super) fn wait(&self) {
        self.ended.wait(|| self.are_none());
    }

    /// Waits until there are none, by a caller who has locked the pages, not alone, and unlocks
    /// them while he waits.
    #[inline]
    pub(super) fn wait_without(&self, unlock: impl Fn(), lock: impl Fn()) {
        if self.are_none() {
            return;
        }
        self.waiting.fetch_add(1, Ordering::AcqRel);
        while !self.are_none() {
            unlock();
            self.ended.wait(|| self.are_none());
            lock();
        }
        self.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}
