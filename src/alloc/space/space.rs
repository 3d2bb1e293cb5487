// SPDX-License-Identifier: GPL-2.0

//! The space of a filesystem that is written.

use super::{
    counts::Counts,
    derive::derive,
    nodes::{
        alloc_nodes,
        NodePlaces, //
    },
};
use crate::{
    alloc::foreground::{
        DevSpace,
        OpenBuckets,
        OPEN_BUCKETS, //
    },
    btree::{
        interior::NodePlace,
        trans::{
            self,
            Hooks,
            TransResult, //
        },
        Btrees,
        KeyBuf, //
    },
    env::{
        units::DevIdx,
        Arc,
        Vec, //
    },
    error::Result,
    format::{
        bkey::Key,
        btree_id::BtreeId,
        data_type::DataType,
        sb::members::MemberState,
        values::in_place::set_journal_seq, //
    },
    journal::live::{
        Journal,
        Watermark, //
    },
    sb::SbState,
    sys::sync::{
        Mutex,
        SpinLock, //
    },
};

/// The space of a filesystem that is written: who has what, and what there is.
///
/// C: the parts of `struct bch_fs` for allocation.
pub struct Space {
    pub(super) st: Arc<SbState>,
    pub(super) journal: Arc<Journal>,
    /// Buckets by what they hold.
    pub counts: Counts,
    pub(super) open: SpinLock<OpenBuckets>,
    pub(super) nodes: Mutex<NodePlaces>,
    /// Held by who discards: one at a time is enough.
    pub(super) discarding: Mutex<()>,
}

/// Transactions of a filesystem.
pub type Trans<'a> = trans::Trans<'a, Space>;
/// What transactions of a filesystem need besides its btrees.
pub type Writer = trans::Writer<Space>;

/// All that is needed to change a filesystem.
#[derive(Clone, Copy)]
pub struct Engine<'a> {
    /// The btrees.
    pub btrees: &'a Btrees,
    /// Where changes go.
    pub writer: &'a Writer,
}

impl Engine<'_> {
    /// Runs a transaction; see [`trans::run`].
    pub fn run<T>(
        &self,
        watermark: Watermark,
        f: impl FnMut(&mut Trans<'_>) -> TransResult<T>,
    ) -> Result<T> {
        trans::run(self.btrees, self.writer, watermark, f)
    }
}

impl Space {
    /// The space of the filesystem whose btrees these are.
    pub fn try_new(btrees: &Btrees, journal: Arc<Journal>) -> Result<Self> {
        Ok(Self {
            st: btrees.sb().clone(),
            journal,
            counts: Counts::read(btrees)?,
            open: SpinLock::try_new(OpenBuckets::new(OPEN_BUCKETS)?)?,
            nodes: Mutex::try_new(NodePlaces::try_new()?)?,
            discarding: Mutex::try_new(())?,
        })
    }

    /// What a device has; `None` when it can not be written to.
    pub(super) fn dev_space(&self, dev: DevIdx, open_unused: u64) -> Option<DevSpace> {
        let member = &self.st.dev(dev)?.member;
        if member.state() != MemberState::RW {
            return None;
        }
        let count = |kind| self.counts.buckets(dev, kind);
        Some(DevSpace {
            nr_buckets: member.nbuckets(),
            bucket_sectors: member.bucket_sectors().into(),
            node_sectors: self.st.sb.node_sectors().into(),
            free: count(DataType::FREE),
            cached: count(DataType::CACHED),
            need_discard: count(DataType::NEED_DISCARD),
            need_gc_gens: count(DataType::NEED_GC_GENS),
            open_unused,
            durability: member.durability(),
        })
    }
}

impl Hooks for Space {
    fn derive(t: &mut Trans<'_>) -> TransResult {
        derive(t)
    }

    fn stamp(&self, _: BtreeId, key: &mut KeyBuf, seq: u64) {
        let kind = key.k.key_type;
        // Only keys of types that have the field are staged to be stamped.
        let _ = set_journal_seq(kind, key.value_mut(), seq);
    }

    fn counted(&self, delta: &Key<'_>) {
        self.counts.apply(delta);
    }

    fn alloc_nodes(
        &self,
        btrees: &Btrees,
        writer: &Writer,
        watermark: Watermark,
        nr: usize,
        places: &mut Vec<NodePlace>,
    ) -> Result {
        let engine = Engine { btrees, writer };
        alloc_nodes(self, engine, watermark, nr, places)
    }

    fn place_done(&self, place: NodePlace, _: bool) {
        self.nodes.lock().give_back(&self.open, place);
    }
}
