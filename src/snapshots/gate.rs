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
                fence,
                AtomicBool,
                AtomicU32,
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
    /// It is closed, or going to be.
    closing: AtomicBool,
    /// Operations of several transactions that are under way.
    ops: AtomicU32,
    /// Woken when it is open again, and when there is no operation any more.
    opened: WaitQueue,
    /// Held by who changes the snapshot trees.
    one: Mutex<()>,
}

/// As long as this exists, nobody closes the gate.
pub struct Op<'a>(&'a Gate);

/// As long as this exists, nobody changes files, nor the snapshot trees.
pub struct Closed<'a> {
    gate: &'a Gate,
    _one: MutexGuard<'a, ()>,
}

impl Gate {
    pub(super) fn try_new() -> Result<Self> {
        Ok(Self {
            epoch: AtomicU64::new(0),
            closing: AtomicBool::new(false),
            ops: AtomicU32::new(0),
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

    /// Before an operation that takes several transactions, of which a snapshot is to have all or
    /// nothing. The caller must hold no locks of nodes, and be in no other one.
    ///
    /// C: `down_read(&c->snapshot_create_lock)`.
    pub fn op(&self) -> Op<'_> {
        loop {
            self.opened.wait(|| !self.closing.load(Ordering::Acquire));
            self.ops.fetch_add(1, Ordering::AcqRel);
            let op = Op(self);
            // Who closes it sees the one, or this sees the other.
            fence(Ordering::SeqCst);
            if !self.closing.load(Ordering::Acquire) {
                return op;
            }
        }
    }

    /// The same, of who does not wait, and may be in others: `false` when the gate is about to be
    /// closed. It has to be [ended](Self::end_op).
    #[must_use]
    pub fn try_begin_op(&self) -> bool {
        if self.closing.load(Ordering::Acquire) {
            return false;
        }
        self.ops.fetch_add(1, Ordering::AcqRel);
        // As in `op`.
        fence(Ordering::SeqCst);
        if !self.closing.load(Ordering::Acquire) {
            return true;
        }
        self.end_op();
        false
    }

    /// Ends an operation that was [begun](Self::try_begin_op).
    pub fn end_op(&self) {
        self.ops.fetch_sub(1, Ordering::AcqRel);
        self.opened.wake_all();
    }

    /// Has changes of files wait, so that subvolumes can go to other snapshots.
    ///
    /// C: `snapshot_create_lock` of `struct bch_fs`.
    pub fn close(&self) -> Closed<'_> {
        self.close_held(self.hold_trees())
    }

    /// The same, by who has [held the trees](Self::hold_trees) so far.
    pub(super) fn close_held<'a>(&'a self, trees: MutexGuard<'a, ()>) -> Closed<'a> {
        self.closing.store(true, Ordering::Release);
        // As in `op`.
        fence(Ordering::SeqCst);
        self.opened.wait(|| self.ops.load(Ordering::Acquire) == 0);
        self.epoch.fetch_add(1, Ordering::AcqRel);
        Closed {
            gate: self,
            _one: trees,
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
        self.gate.closing.store(false, Ordering::Release);
        self.gate.opened.wake_all();
    }
}

impl Drop for Op<'_> {
    fn drop(&mut self) {
        self.0.end_op();
    }
}

impl core::fmt::Debug for Gate {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "epoch {}", self.epoch.load(Ordering::Relaxed))
    }
}
