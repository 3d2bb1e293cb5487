// SPDX-License-Identifier: GPL-2.0

//! Inodes that have no name and are not used any more: they go with all they have.

use super::{
    Changes,
    Nodes, //
};
use crate::{
    alloc::space::Trans,
    btree::{
        flush_write_buffer,
        trans::TransResult, //
    },
    data::{
        inode::inode_get,
        FileId, //
    },
    env::{
        pr_warn,
        Vec, //
    },
    error::Result,
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        values::inode::{
            inode_flags,
            InodeFlags, //
        },
    },
    fs::SubvolInum,
    snapshots::{
        delete_visible,
        next_visible, //
    },
};

/// Keys that are deleted in one transaction.
const BATCH: usize = 16;

/// What belongs to an inode.
const CONTENTS: [BtreeId; 3] = [BtreeId::EXTENTS, BtreeId::XATTRS, BtreeId::DIRENTS];

impl Changes<'_> {
    /// Removes an inode. Nothing of it is left.
    ///
    /// C: `bch2_inode_rm()`.
    pub fn remove(&self, id: SubvolInum) -> Result {
        let _op = self.view.gate.op();
        self.remove_from(id.inum, &|| Ok(self.at(id)?.snapshot))
    }

    /// Removes an inode from the snapshot that `at` says.
    ///
    /// C: `__bch2_inode_rm_snapshot()`.
    fn remove_from(&self, inum: u64, at: &dyn Fn() -> Result<u32>) -> Result {
        for btree in CONTENTS {
            let mut from = Bpos::new(inum, 0, 0);
            while let Some(next) = self.delete_some(btree, from, at)? {
                from = next;
            }
        }
        self.run(Nodes::FromReserve, |t| {
            let snapshot = at()?;
            // It has to be there.
            inode_get(t, self.view, FileId { inum, snapshot })?;
            let pos = Bpos::new(0, inum, snapshot);
            delete_visible(t, &self.view.table, BtreeId::INODES, pos)
        })?;
        Ok(())
    }

    /// Deletes some of what a snapshot sees of an inode, from the place of `from` on; says where
    /// to go on.
    ///
    /// C: `bch2_inode_delete_keys()`.
    fn delete_some(
        &self,
        btree: BtreeId,
        from: Bpos,
        at: &dyn Fn() -> Result<u32>,
    ) -> Result<Option<Bpos>> {
        let end = Bpos::new(from.inode, u64::MAX, u32::MAX);
        let table = &self.view.table;
        let (next, _) = self.run(Nodes::FromReserve, |t| {
            let snapshot = at()?;
            let mut pos = from.with_snapshot(snapshot);
            for _ in 0..BATCH {
                let Some(key) = next_visible(t, table, btree, pos, end)? else {
                    return Ok(None);
                };
                // An extent of a snapshot above is hidden by a whiteout at the same place.
                let place = key.k.p.with_snapshot(snapshot);
                delete_visible(t, table, btree, place)?;
                let next = place.next_offset();
                if next.inode != from.inode {
                    return Ok(None);
                }
                pos = next.with_snapshot(snapshot);
            }
            Ok(Some(pos))
        })?;
        Ok(next)
    }

    /// Removes what is listed as having no name. Nobody may be using files.
    ///
    /// C: `bch2_delete_dead_inodes()`, as the recovery pass `delete_dead_inodes`.
    pub fn remove_dead(&self) -> Result<u64> {
        let mut nr = 0u64;
        loop {
            flush_write_buffer(self.engine.btrees, self.engine.writer)?;
            let dead = self.listed()?;
            let before = nr;
            for pos in &dead {
                match self.is_dead(*pos)? {
                    true => {
                        self.remove_from(pos.offset, &|| Ok(pos.snapshot))?;
                        nr = nr.saturating_add(1);
                    }
                    false => pr_warn!(
                        "{}: inode at {pos} is listed as removed, but is not",
                        self.view.sb().name()
                    ),
                }
            }
            // With the last one of a snapshot below gone, one above may be dead, too.
            if nr == before {
                return Ok(nr);
            }
        }
    }

    fn listed(&self) -> Result<Vec<Bpos>> {
        let mut all = Vec::new();
        let mut iter = self
            .engine
            .btrees
            .iter(BtreeId::DELETED_INODES, 0, Bpos::MIN);
        while let Some(k) = iter.advance()? {
            if k.key_type == KeyType::SET {
                all.push(k.p)?;
            }
        }
        Ok(all)
    }

    /// Whether the inode at `pos` has no name, and none that comes from it is left.
    ///
    /// C: `may_delete_deleted_inode()`.
    fn is_dead(&self, pos: Bpos) -> Result<bool> {
        let (is_dead, _) = self.run(Nodes::FromReserve, |t| is_unlinked(t, pos))?;
        Ok(is_dead)
    }
}

fn is_unlinked(t: &mut Trans<'_>, pos: Bpos) -> TransResult<bool> {
    let key = t.get(BtreeId::INODES, pos)?;
    let flags = key.and_then(|k| inode_flags(&k.key()).ok().flatten());
    Ok(flags.is_some_and(|f| {
        f.has(InodeFlags::UNLINKED) && !f.has(InodeFlags::HAS_CHILD_SNAPSHOT) //
    }))
}
