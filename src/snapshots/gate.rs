// SPDX-License-Identifier: GPL-2.0

//! Which snapshot a subvolume is at changes when a snapshot is made of it: from then on, it has a
//! new one, and what it has written so far is what both see.
//!
//! Whoever changes a file looks up the snapshot first, then locks the keys that he is going to
//! change, and looks here once more before the commit: if the snapshot may be another one by then,
//! he starts over. So a change either is made in the new snapshot, or has locked its keys before
//! the snapshot was made. In that case it counts as having been made before: nobody has looked at
//! those keys in between, as they were locked.

use crate::{
    btree::trans::{
        TransError,
        TransResult, //
    },
    error::Result,
    sys::{
        sync::{
            atomic::{
                AtomicU64,
                Ordering, //
            },
            Mutex,
            MutexGuard, //
        },
        wait::WaitQueue, //
    },
};

/// When subvolumes last went to other snapshots.
pub struct Gate {
    /// Odd while they do.
    epoch: AtomicU64,
    opened: WaitQueue,
    /// Held by who changes the snapshot trees.
    one: Mutex<()>,
}

/// As long as this exists, nobody changes files, nor the snapshot trees.
pub struct Closed<'a> {
    gate: &'a Gate,
    _one: MutexGuard<'a, ()>,
}

impl Gate {
    pub(super) fn try_new() -> Result<Self> {
        Ok(Self {
            epoch: AtomicU64::new(0),
            opened: WaitQueue::new(),
            one: Mutex::try_new(())?,
        })
    }

    /// Before a change of a file looks up its snapshot. It must hold no locks.
    #[inline]
    pub fn enter(&self) -> u64 {
        let epoch = self.epoch.load(Ordering::Acquire);
        match epoch & 1 {
            0 => epoch,
            _ => self.wait(),
        }
    }

    #[cold]
    fn wait(&self) -> u64 {
        let is_open = || self.epoch.load(Ordering::Acquire) & 1 == 0;
        self.opened.wait(is_open);
        // Should it be closed again, the change starts over.
        self.epoch.load(Ordering::Acquire)
    }

    /// Before the change is committed, when it has locked all it has read: starts over if
    /// subvolumes have gone to other snapshots since [`enter`](Self::enter).
    #[inline]
    pub fn check(&self, entered: u64) -> TransResult {
        match self.epoch.load(Ordering::Acquire) == entered && entered & 1 == 0 {
            true => Ok(()),
            false => Err(TransError::Restart),
        }
    }

    /// Whether subvolumes are still at the snapshots they were at when the filesystem was mounted.
    pub(super) fn was_never_closed(&self) -> bool {
        self.epoch.load(Ordering::Acquire) == 0
    }

    /// Has changes of files wait, so that subvolumes can go to other snapshots.
    ///
    /// C: `snapshot_create_lock` of `struct bch_fs`.
    pub fn close(&self) -> Closed<'_> {
        let one = self.one.lock();
        self.epoch.fetch_add(1, Ordering::AcqRel);
        Closed {
            gate: self,
            _one: one,
        }
    }

    /// Has others who change snapshot trees wait, but not those who change files.
    pub fn hold_trees(&self) -> MutexGuard<'_, ()> {
        self.one.lock()
    }
}

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        self.gate.epoch.fetch_add(1, Ordering::AcqRel);
        self.gate.opened.wake_all();
    }
}

impl core::fmt::Debug for Gate {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "epoch {}", self.epoch.load(Ordering::Relaxed))
    }
}
