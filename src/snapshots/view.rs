// SPDX-License-Identifier: GPL-2.0

//! The btrees as one snapshot sees them.

use super::{
    table::Table,
    visible::VisibleIter, //
};
use crate::{
    btree::{
        Btrees,
        Found, //
    },
    env::pr_err,
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
};

/// The btrees of a filesystem and its snapshot trees.
#[derive(Debug)]
pub struct View {
    /// The btrees, with everything in them.
    pub btrees: Btrees,
    /// The snapshot trees.
    pub table: Table,
}

impl View {
    /// Reads the snapshot trees of `btrees`.
    pub fn new(btrees: Btrees) -> Result<Self> {
        let table = Table::read(&btrees)?;
        Ok(Self { btrees, table })
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
        let iter = self.btrees.iter(btree, 0, start);
        VisibleIter::new(iter, &self.table, snapshot, end)
    }

    /// The key at `pos` that `pos.snapshot` sees.
    pub fn lookup(&self, btree: BtreeId, pos: Bpos) -> Result<Option<Found<'_>>> {
        if !btree.has_snapshots() {
            return self.btrees.lookup(btree, pos);
        }
        // Everything the snapshot can see at this position is its own or has a higher id.
        let iter = self.btrees.iter(btree, 0, pos);
        let mut visible = VisibleIter::new(iter, &self.table, pos.snapshot, pos);
        match visible.advance()? {
            Some(k) if k.p.same_place(pos) => Ok(Some(visible.into_inner().into())),
            _ => Ok(None),
        }
    }

    /// The subvolume with this id.
    ///
    /// C: `bch2_subvolume_get()`.
    pub fn subvolume(&self, id: u32) -> Result<Subvolume> {
        let pos = Bpos::new(0, u64::from(id), 0);
        let found = self.btrees.lookup(BtreeId::SUBVOLUMES, pos)?;
        let Some(found) = found.filter(|f| f.key().k.key_type == KeyType::SUBVOLUME) else {
            return Err(Error::SubvolumeNotFound);
        };
        let subvol = Subvolume::decode(found.key().v).map_err(|invalid| {
            pr_err!("subvolume {id}: {invalid}");
            Error::SubvolumeInvalid
        })?;
        if !self.table.contains(subvol.snapshot) {
            pr_err!(
                "subvolume {id}: its snapshot {} does not exist",
                subvol.snapshot
            );
            return Err(Error::SubvolumeSnapshotMissing);
        }
        Ok(subvol)
    }
}
