// SPDX-License-Identifier: GPL-2.0

//! What the passes about files have in common: inodes in all their versions, one for each snapshot
//! that has changed them, and repairs that are one small transaction each.

use super::{
    Outcome,
    Report, //
};
use crate::{
    alloc::space::{
        Engine,
        Trans, //
    },
    btree::{
        trans::TransResult,
        Btrees,
        KeyBuf, //
    },
    data::inode_put,
    env::Vec,
    error::{
        fsck::FsckError,
        Result, //
    },
    format::{
        bkey::Bkey,
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        values::{
            inode::{
                Inode,
                InodeFlags, //
            },
            subvolume::{
                Subvolume,
                ROOT_SUBVOL, //
            },
        },
    },
    fs::{
        change::Numbers,
        first::new_inode, //
    },
    journal::live::Watermark,
    sb::SbState,
    snapshots::{
        Table,
        View, //
    },
};
use core::fmt;

/// What the passes about files work with.
pub struct Files<'a> {
    /// Transactions.
    pub engine: Engine<'a>,
    /// What is there.
    pub view: &'a View,
    /// Numbers of new inodes.
    pub numbers: &'a Numbers,
    /// Btrees that have lost something: by bit.
    pub lost: u64,
    /// What is found.
    pub report: &'a mut Report,
}

/// All versions of an inode, those of lower snapshots first.
#[derive(Debug, Default)]
pub(super) struct Versions {
    pub(super) all: Vec<Inode>,
    /// There are some that can not be read.
    pub(super) is_unclear: bool,
}

impl Versions {
    /// The version that a key of snapshot `snapshot` belongs to.
    ///
    /// C: `lookup_inode_for_snapshot()`.
    pub(super) fn of(&self, table: &Table, snapshot: u32) -> Option<&Inode> {
        let mut all = self.all.iter();
        all.find(|i| table.is_ancestor(snapshot, i.snapshot))
    }
}

impl Files<'_> {
    pub(super) fn btrees(&self) -> &Btrees {
        self.engine.btrees
    }

    pub(super) fn table(&self) -> &Table {
        &self.view.table
    }

    pub(super) fn st(&self) -> &SbState {
        self.engine.btrees.sb()
    }

    /// Whether a btree has lost something.
    pub(super) fn has_lost(&self, btree: BtreeId) -> bool {
        self.lost & 1u64.checked_shl(btree.0.into()).unwrap_or(0) != 0
    }

    /// Reports something. Says whether it is to be repaired.
    pub(super) fn found(&mut self, id: FsckError, what: fmt::Arguments<'_>) -> Result<bool> {
        let outcome = self.report.found(self.engine.btrees.sb(), id, what)?;
        Ok(outcome == Outcome::Repair)
    }

    /// Runs `f` and commits what it has staged, if it says that there is something to be done. That
    /// has a stack of its own: passes that follow paths are deep in theirs when they repair.
    pub(super) fn repair(
        &self,
        mut f: impl FnMut(&mut Trans<'_>) -> TransResult<bool> + Send,
    ) -> Result<bool> {
        let engine = self.engine;
        engine.writer.on_own_stack(|| {
            engine.run(Watermark::Reclaim, |t| {
                t.use_reserve();
                match f(t)? {
                    true => t.commit().map(|_| true),
                    false => {
                        t.reset();
                        Ok(false)
                    }
                }
            })
        })
    }

    /// All versions of the inode `inum`.
    ///
    /// C: `get_inodes_all_snapshots()`.
    pub(super) fn versions(&self, inum: u64) -> Result<Versions> {
        let end = Bpos::new(0, inum, u32::MAX);
        let start = Bpos::new(0, inum, 0);
        let mut keys = self.btrees().iter(BtreeId::INODES, 0, start).until(end);
        let mut versions = Versions::default();
        while let Some(key) = keys.next()?.filter(|k| k.k.p <= end) {
            match Inode::decode(&key) {
                Ok(Some(inode)) => versions.all.push(inode)?,
                Ok(None) if key.k.key_type != KeyType::ERROR => (),
                _ => versions.is_unclear = true,
            }
        }
        Ok(versions)
    }

    /// Calls `each` with all inodes that have numbers between these, in all their versions.
    #[inline(never)]
    pub(super) fn for_each_inode(
        &mut self,
        (after, before): (u64, u64),
        each: fn(&mut Self, &Inode) -> Result,
    ) -> Result {
        let btrees = self.engine.btrees;
        let start = Bpos::new(0, after.saturating_add(1), 0);
        let end = Bpos::new(0, before, 0);
        let mut keys = btrees.iter(BtreeId::INODES, 0, start).until(end);
        while let Some(key) = keys.next()?.filter(|k| k.k.p < end) {
            if let Ok(Some(inode)) = Inode::decode(&key) {
                each(self, &inode)?;
            }
        }
        Ok(())
    }

    /// Puts `new` in the place of `old`, if that is still there.
    #[inline(never)]
    pub(super) fn change_inode(&self, old: &Inode, new: &Inode) -> Result<bool> {
        let pos = Bpos::new(0, old.inum, old.snapshot);
        self.repair(|t| {
            let now = t.get(BtreeId::INODES, pos)?;
            let now = now.and_then(|k| Inode::decode(&k.key()).ok().flatten());
            if now.as_ref() != Some(old) {
                return Ok(false);
            }
            inode_put(t, new)?;
            Ok(true)
        })
    }

    /// Deletes exactly the key at `pos`, if it is what it was; see [`same`].
    pub(super) fn delete_key(&self, btree: BtreeId, old: &KeyBuf) -> Result<bool> {
        self.repair(|t| {
            if !same(t, btree, old)? {
                return Ok(false);
            }
            t.delete(btree, old.k.p)?;
            Ok(true)
        })
    }

    /// Deletes a key of a snapshot that does not exist, if it is one. Says whether that was so, and
    /// nothing else is to be done with it.
    ///
    /// C: `bch2_check_key_has_snapshot()`.
    pub(super) fn is_of_no_snapshot(&mut self, btree: BtreeId, k: &Bkey) -> Result<bool> {
        if self.table().contains(k.p.snapshot) {
            return Ok(false);
        }
        // It may be one of those that are lost: that is for the passes about snapshots.
        if self.has_lost(BtreeId::SNAPSHOTS) || self.is_of_subvolume(k.p.snapshot)? {
            self.report.left = self.report.left.saturating_add(1);
            return Ok(true);
        }
        let id = FsckError::BKEY_IN_MISSING_SNAPSHOT;
        if self.found(
            id,
            format_args!("btree {btree} {}: key in missing snapshot: delete it", k.p),
        )? {
            self.repair(|t| {
                t.delete(btree, k.p)?;
                Ok(true)
            })?;
        }
        Ok(true)
    }

    /// Whether some subvolume says that it is at a snapshot.
    fn is_of_subvolume(&self, snapshot: u32) -> Result<bool> {
        let mut keys = self.btrees().iter(BtreeId::SUBVOLUMES, 0, Bpos::MIN);
        while let Some(key) = keys.next()? {
            let is_one = key.k.key_type == KeyType::SUBVOLUME;
            let subvol = Subvolume::decode(key.v).ok().filter(|_| is_one);
            if subvol.is_some_and(|s| s.snapshot == snapshot) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a key of btree `btree`, of an inode with these versions, is to be looked at: whether
    /// it has an inode, of the right kind. If not, it is deleted; but when inodes are lost, one is
    /// made for it, and the versions are read again.
    ///
    /// C: `check_key_has_inode()`.
    #[inline(never)]
    pub(super) fn has_inode(
        &mut self,
        btree: BtreeId,
        key: &KeyBuf,
        versions: &mut Versions,
    ) -> Result<bool> {
        let p = key.k.p;
        if versions.of(self.table(), p.snapshot).is_none() && self.has_lost(BtreeId::INODES) {
            self.make_inode(btree, p)?;
            *versions = self.versions(p.inode)?;
        }
        let (id, what) = match versions.of(self.table(), p.snapshot) {
            None if versions.is_unclear => return Ok(false),
            None => (FsckError::KEY_IN_MISSING_INODE, "key in missing inode"),
            Some(inode) if !is_of_kind(btree, inode) => (
                FsckError::KEY_IN_WRONG_INODE_TYPE,
                "key for wrong inode mode",
            ),
            Some(_) => return Ok(true),
        };
        if self.found(
            id,
            format_args!("btree {btree} {}: {what}: delete it", key.k),
        )? {
            self.delete_key(btree, key)?;
        }
        Ok(false)
    }

    /// Makes an inode for the key of btree `btree` at `p`, as all that is left of it.
    ///
    /// C: `reconstruct_inode()`.
    #[inline(never)]
    fn make_inode(&mut self, btree: BtreeId, p: Bpos) -> Result {
        let (mut mode, mut size) = (0o100600, 0);
        match btree {
            BtreeId::DIRENTS => mode = 0o040600,
            BtreeId::EXTENTS => {
                let end = Bpos::new(p.inode, u64::MAX, u32::MAX);
                let start = Bpos::new(p.inode, 0, 0);
                let mut keys = self.view.range(btree, start, end, p.snapshot);
                while let Some(k) = keys.advance()?.filter(|k| k.p.inode == p.inode) {
                    size = k.p.offset.saturating_mul(512);
                }
            }
            _ => (),
        }
        let root = self.view.subvolume(ROOT_SUBVOL);
        let is_root = root.is_ok_and(|r| (r.inode, r.snapshot) == (p.inode, p.snapshot));
        let inode = Inode {
            inum: p.inode,
            snapshot: p.snapshot,
            mode,
            size,
            subvol: if is_root { ROOT_SUBVOL } else { 0 },
            ..new_inode(self.st())
        };
        let id = FsckError::MISSING_INODE_WITH_CONTENTS;
        if self.found(
            id,
            format_args!("inode {}:{} is lost: make it anew", p.inode, p.snapshot),
        )? {
            self.repair(|t| {
                inode_put(t, &inode)?;
                Ok(true)
            })?;
        }
        Ok(())
    }

    /// Adds `by` to the subdirectories that the directory `dir` counts, for all who see an entry of
    /// snapshot `snapshot` in it; those of snapshots in `blind`, and below, do not.
    #[inline(never)]
    pub(super) fn stage_subdirs(
        &self,
        t: &mut Trans<'_>,
        versions: &Versions,
        (snapshot, blind): (u32, &[u32]),
        by: i32,
    ) -> TransResult {
        let changed = |inode: &Inode| Inode {
            nlink: inode.nlink.saturating_add_signed(by),
            ..*inode
        };
        let is_blind = |id: u32| blind.iter().any(|b| self.table().is_ancestor(id, *b));
        for inode in versions.all.iter() {
            let is_below = self.table().is_ancestor(inode.snapshot, snapshot);
            if is_below && !is_blind(inode.snapshot) {
                inode_put(t, &changed(inode))?;
            }
        }
        match versions.of(self.table(), snapshot) {
            Some(inode) if inode.snapshot != snapshot => inode_put(
                t,
                &Inode {
                    snapshot,
                    ..changed(inode)
                },
            ),
            _ => Ok(()),
        }
    }
}

/// Whether the key at the place of `old` is still that.
pub(super) fn same(t: &mut Trans<'_>, btree: BtreeId, old: &KeyBuf) -> TransResult<bool> {
    let now = t.get(btree, old.k.p)?;
    Ok(now.is_some_and(|n| n.k.key_type == old.k.key_type && n.value() == old.value()))
}

/// Whether keys of a btree can belong to such an inode. C: `btree_matches_i_mode()`.
fn is_of_kind(btree: BtreeId, inode: &Inode) -> bool {
    match btree {
        BtreeId::EXTENTS => inode.is_regular() || inode.is_symlink(),
        BtreeId::DIRENTS => inode.is_dir(),
        _ => true,
    }
}

/// Whether an inode says where its name is.
pub(super) fn says_where(inode: &Inode) -> bool {
    inode.dir != 0 || inode.dir_offset != 0
}

/// Whether no name refers to it, and it is to be deleted.
pub(super) fn is_unlinked(inode: &Inode) -> bool {
    inode.flags.has(InodeFlags::UNLINKED)
}
