// SPDX-License-Identifier: GPL-2.0

//! The btrees as one snapshot sees them.

use super::{
    gate::Gate,
    subvolumes::Subvolumes,
    table::Table,
    unsettled::Unsettled,
    visible::VisibleIter, //
};
use crate::{
    btree::{
        Btrees,
        Found, //
    },
    env::{
        Arc,
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        values::subvolume::Subvolume, //
    },
    sb::SbState,
    sys::sync::{
        atomic::AtomicBool,
        Mutex, //
    },
};

/// So many subvolumes are looked up at a time.
const SOME: usize = 64;

/// The btrees of a filesystem and its snapshot trees.
#[derive(Debug)]
pub struct View {
    /// The btrees, with everything in them.
    pub btrees: Arc<Btrees>,
    /// The snapshot trees.
    pub table: Table,
    /// Subvolumes that go to other snapshots.
    pub gate: Gate,
    /// Data that a loss of power would give to others again.
    pub unsettled: Unsettled,
    pub(super) subvols: Subvolumes,
    /// Snapshots may be dead that are not removed yet.
    pub(super) has_dead: AtomicBool,
    /// Held by who removes them.
    pub(super) cleaning: Mutex<()>,
}

impl View {
    /// Reads the snapshot trees and the subvolumes of `btrees`.
    pub fn new(btrees: Btrees) -> Result<Self> {
        Self::of(Arc::try_new(btrees)?)
    }

    /// As [`View::new`], of btrees that are used already.
    #[inline(never)]
    pub fn of(btrees: Arc<Btrees>) -> Result<Self> {
        let table = Table::read(&btrees)?;
        let subvols = Subvolumes::read(&btrees, &table)?;
        Ok(Self {
            btrees,
            table,
            gate: Gate::try_new()?,
            unsettled: Unsettled::default(),
            subvols,
            has_dead: AtomicBool::new(true),
            cleaning: Mutex::try_new(())?,
        })
    }

    /// The devices and the superblock.
    pub fn sb(&self) -> &SbState {
        self.btrees.sb()
    }

    /// The keys that `snapshot` sees, in order, from `start` on. The snapshot in `start` is
    /// ignored in btrees that have snapshots.
    pub fn iter(&self, btree: BtreeId, start: Bpos, snapshot: u32) -> VisibleIter<'_> {
        self.range(btree, start, Bpos::MAX, snapshot)
    }

    /// As [`View::iter`], but ends after the last key at or before `end`. The walk of a directory
    /// or a file should have an end: what follows may be another snapshot tree's, of which nothing
    /// is visible however far one goes. For extents, only the inode of `end` counts.
    pub fn range(&self, btree: BtreeId, start: Bpos, end: Bpos, snapshot: u32) -> VisibleIter<'_> {
        let start = match btree.has_snapshots() {
            true => start.with_snapshot(0),
            false => start,
        };
        let last = match btree.is_extents() {
            true => Bpos::new(end.inode, u64::MAX, u32::MAX),
            false => end.with_snapshot(u32::MAX),
        };
        let iter = self.btrees.iter(btree, 0, start).until(last);
        VisibleIter::new(iter, &self.table, snapshot, (start, end))
    }

    /// The key at `pos` that `pos.snapshot` sees.
    pub fn lookup(&self, btree: BtreeId, pos: Bpos) -> Result<Option<Found<'_>>> {
        if !btree.has_snapshots() {
            return self.btrees.lookup(btree, pos);
        }
        // Everything the snapshot can see at this position is its own or has a higher id.
        let iter = self.btrees.iter(btree, 0, pos);
        let iter = iter.until(pos.with_snapshot(u32::MAX));
        let mut visible = VisibleIter::new(iter, &self.table, pos.snapshot, (pos, pos));
        match visible.advance()? {
            Some(k) if k.p.same_place(pos) => Ok(Some(visible.into_inner().into())),
            _ => Ok(None),
        }
    }

    /// The subvolume with this id.
    ///
    /// C: `bch2_subvolume_get()`.
    #[inline]
    pub fn subvolume(&self, id: u32) -> Result<Subvolume> {
        self.subvols.get(id)
    }

    /// Subvolumes that have a name in the subvolume `parent`, from the id `from` on: some of them,
    /// in the order of their ids, and none when there are no more.
    pub fn children(&self, parent: u32, from: u32) -> Result<Vec<u32>> {
        let mut some = Vec::new();
        let start = Bpos::new(parent.into(), from.into(), 0);
        let last = Bpos::new(parent.into(), u64::MAX, u32::MAX);
        let mut iter = self.btrees.iter(BtreeId::SUBVOLUME_CHILDREN, 0, start);
        while let Some(key) = iter.next()?.filter(|k| k.k.p <= last) {
            if let (KeyType::SET, Ok(id)) = (key.k.key_type, u32::try_from(key.k.p.offset)) {
                some.push(id)?;
            }
            if some.len() == SOME {
                break;
            }
        }
        Ok(some)
    }

    /// The snapshot that the subvolume is at now that was at `snapshot` at some time since the
    /// mount.
    #[inline]
    pub fn latest(&self, snapshot: u32) -> u32 {
        match self.gate.was_never_closed() {
            true => snapshot,
            false => self.table.latest(snapshot),
        }
    }

    /// The snapshot to write to, as [`View::latest`]; see [`Gate`]. [`Error::SubvolumeDeleted`]
    /// when there is none any more.
    #[inline]
    pub fn latest_to_write(&self, snapshot: u32) -> Result<u32> {
        let latest = self.latest(snapshot);
        match self.table.has_ended(latest) {
            true => Err(Error::SubvolumeDeleted),
            false => Ok(latest),
        }
    }

    /// Whether a subvolume has no name any more, or is deleted.
    #[inline]
    pub fn is_removed(&self, subvol: u32) -> bool {
        self.subvols.has_removed() && self.subvols.is_removed(subvol)
    }

    /// An inode of a subvolume is in use from now on; or no more.
    pub fn count_user(&self, subvol: u32, is_used: bool) {
        self.subvols.count_user(subvol, is_used);
    }
}
