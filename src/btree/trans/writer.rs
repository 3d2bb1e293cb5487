// SPDX-License-Identifier: GPL-2.0

//! What changing btrees needs besides the btrees.

use super::{
    Trans,
    TransResult, //
};
use crate::{
    btree::{
        interior::NodePlace,
        write_buffer::WriteBuffer,
        Btrees,
        KeyBuf, //
    },
    env::{
        units::DevIdx,
        Arc,
        Vec, //
    },
    error::{
        Class,
        Error,
        Result, //
    },
    format::{
        bkey::Key,
        btree_id::BtreeId, //
    },
    journal::live::{
        Journal,
        Watermark, //
    },
    sys::{
        sync::{
            Mutex,
            MutexGuard, //
        },
        wait::WaitQueue,
        workqueue::WorkQueue, //
    },
};

/// What the layers above have to say about changes of btrees.
pub trait Hooks: Sized + Send + Sync {
    /// Stages what the staged updates mean for other keys. Called once in each commit, before
    /// anything is checked.
    ///
    /// C: `bch2_trans_commit_run_triggers()`.
    fn derive(t: &mut Trans<'_, Self>) -> TransResult;

    /// Writes the number of the journal entry into a key that was staged with
    /// [`Trans::stamp`](super::Trans::stamp).
    ///
    /// C: the triggers with `BTREE_TRIGGER_atomic` that do so.
    fn stamp(&self, btree: BtreeId, key: &mut KeyBuf, seq: u64);

    /// Something was counted, in this transaction, which can not fail any more: an accounting key
    /// with differences.
    ///
    /// C: `bch2_accounting_mem_mod_locked()`.
    fn counted(&self, delta: &Key<'_>);

    /// Appends places for `nr` new nodes to `places`. Waits when that is certain to help. Below
    /// [`Watermark::Btree`], what is kept in reserve for who frees space is not touched.
    ///
    /// C: `bch2_btree_reserve_get()`.
    fn alloc_nodes(
        &self,
        btrees: &Btrees,
        writer: &Writer<Self>,
        watermark: Watermark,
        nr: usize,
        places: &mut Vec<NodePlace>,
    ) -> Result;

    /// What extents may be merged to: not at all.
    ///
    /// C: what `bch2_bkey_merge()` asks the filesystem.
    fn encoded_max(&self) -> u32 {
        0
    }

    /// Whether two sectors of a device are in the same bucket. C: `PTR_BUCKET_NR()`.
    fn is_same_bucket(&self, dev: DevIdx, a: u64, b: u64) -> bool {
        let _ = (dev, a, b);
        false
    }

    /// Takes a place back: the node there is part of its btree now, if `used`, or else there is no
    /// node.
    ///
    /// C: `bch2_open_buckets_put()`.
    fn place_done(&self, place: NodePlace, used: bool);
}

/// The journal that changes go to, and what they set off.
pub struct Writer<H> {
    /// The journal.
    pub journal: Arc<Journal>,
    /// Triggers, and space for nodes.
    pub hooks: H,
    /// Keys that go to their btree later.
    pub buffer: WriteBuffer,
    /// What replaces nodes runs here: it needs most of a stack.
    pub(in crate::btree) tasks: WorkQueue,
    /// The same for what may have to change nodes, and wait for those tasks.
    outer_tasks: WorkQueue,
    /// Held by who replaces nodes: one at a time.
    pub(in crate::btree) interior: Mutex<()>,
    /// Woken when a node can be changed again, or when its write has ended.
    pub(in crate::btree) settled: WaitQueue,
}

impl<H: Hooks> Writer<H> {
    /// Changes go to `journal`.
    pub fn try_new(journal: Arc<Journal>, hooks: H) -> Result<Self> {
        Ok(Self {
            journal,
            hooks,
            buffer: WriteBuffer::try_new()?,
            tasks: WorkQueue::try_new(c"bcachefs-nodes")?,
            outer_tasks: WorkQueue::try_new(c"bcachefs-space")?,
            interior: Mutex::try_new(())?,
            settled: WaitQueue::new(),
        })
    }
}

impl<H> Writer<H> {
    /// Runs `f` once, on a stack of its own, or else, for want of memory, on the caller's. The
    /// caller must hold nothing that `f` waits for.
    pub fn on_own_stack<R: Send>(&self, mut f: impl FnMut() -> R + Send) -> R {
        self.outer_tasks.call(&mut f).unwrap_or_else(|_| f())
    }

    /// As long as what is returned exists, no node is replaced, and so nothing changes in what
    /// nodes mean for space. The holder must not change anything.
    pub fn hold_nodes(&self) -> MutexGuard<'_, ()> {
        self.interior.lock()
    }

    /// Something failed that has to be done before others can go on: ends writing because of `e`,
    /// unless it may be done the next time, for want of memory or space now. The filesystem goes
    /// emergency read-only then.
    ///
    /// C: `bch2_fs_fatal_error()`.
    #[cold]
    pub(in crate::btree) fn fatal(&self, e: Error) {
        if !matches!(e.class(), Class::NoMemory | Class::NoSpace | Class::Again) {
            self.journal.halt(e);
        }
    }
}
