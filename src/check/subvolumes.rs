// SPDX-License-Identifier: GPL-2.0

//! The passes `check_subvols` and `check_subvol_children`: subvolumes.

use super::{
    trees::{
        broken,
        get,
        repair,
        Trees, //
    },
    Outcome,
    Report, //
};
use crate::{
    alloc::space::Engine,
    data::inode::inode_put,
    env::Vec,
    error::{
        fsck::FsckError,
        Class,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        values::{
            inode::Inode,
            subvolume::{
                SubvolState,
                Subvolume,
                ROOT_SUBVOL, //
            },
        },
    },
    snapshots::{
        keys::{
            put_subvolume,
            set_child, //
        },
        View,
    },
};

/// Subvolumes are at snapshots, have roots that say so, and are known to those their names are in.
/// One without a root goes, as those without a name, unless inodes are among what was `lost`,
/// btrees by bit: then it is made anew, by the passes about files.
///
/// C: `bch2_check_subvols()`, for which it always goes.
#[inline(never)]
pub fn check_subvols(engine: Engine<'_>, view: &View, lost: u64, report: &mut Report) -> Result {
    let inodes_lost = lost & 1u64 << BtreeId::INODES.0 != 0;
    let all = Trees::read(engine.btrees)?;
    for (id, s) in all.subvols.iter() {
        if get(&all.nodes, s.snapshot).is_none() {
            let at = s.snapshot;
            broken(
                engine.btrees,
                format_args!("subvolume {id} is at snapshot {at}, which does not exist"),
            )?;
        }
        // Those without a name are about to be deleted.
        if s.state == SubvolState::Live {
            check_parent(engine, report, *id, *s)?;
            check_root(engine, view, (*id, s), inodes_lost, report)?;
            check_master(engine, report, &all, *id)?;
        }
    }
    Ok(())
}

fn check_parent(engine: Engine<'_>, report: &mut Report, id: u32, s: Subvolume) -> Result {
    let st = engine.btrees.sb();
    let (mut s, parent) = (s, s.fs_path_parent);
    if parent == 0 {
        return Ok(());
    }
    if id == ROOT_SUBVOL {
        let what = FsckError::SUBVOL_ROOT_FS_PATH_PARENT_NONZERO;
        let outcome = report.found(
            st,
            what,
            format_args!("the root subvolume says it is in another one: {s}"),
        )?;
        if outcome == Outcome::Repair {
            s.fs_path_parent = 0;
            repair(engine, |t| put_subvolume(t, id, &s))?;
        }
        return Ok(());
    }
    let pos = Bpos::new(parent.into(), id.into(), 0);
    let found = engine.btrees.lookup(BtreeId::SUBVOLUME_CHILDREN, pos)?;
    if found.is_none_or(|f| f.key().k.key_type != KeyType::SET) {
        let what = FsckError::SUBVOL_CHILDREN_NOT_SET;
        let outcome = report.found(
            st,
            what,
            format_args!("subvolume {id} is not listed as one that is in {parent}"),
        )?;
        if outcome == Outcome::Repair {
            repair(engine, |t| set_child(t, parent, id, true))?;
        }
    }
    Ok(())
}

fn check_root(
    engine: Engine<'_>,
    view: &View,
    (id, s): (u32, &Subvolume),
    inodes_lost: bool,
    report: &mut Report,
) -> Result {
    let st = engine.btrees.sb();
    let pos = Bpos::new(0, s.inode, s.snapshot);
    let found = match view.lookup(BtreeId::INODES, pos) {
        Ok(found) => found,
        // Whether there is one can not be told.
        Err(e) if e.class() != Class::NoMemory => return Ok(()),
        Err(e) => return Err(e),
    };
    if found
        .as_ref()
        .is_some_and(|f| f.key().k.key_type == KeyType::ERROR)
    {
        return Ok(());
    }
    let inode = match &found {
        Some(f) => match Inode::decode(&f.key()) {
            Ok(inode) => inode,
            Err(_) => return Ok(()),
        },
        None => None,
    };
    let Some(mut inode) = inode else {
        // The first directory of all is made anew, later: what else there is must not go with it.
        if id == ROOT_SUBVOL || inodes_lost {
            return Ok(());
        }
        let what = FsckError::SUBVOL_TO_MISSING_ROOT;
        let outcome = report.found(
            st,
            what,
            format_args!("subvolume {id} points to a root that does not exist: {s}"),
        )?;
        if outcome == Outcome::Repair {
            view.unlinked(id);
        }
        return Ok(());
    };
    if inode.subvol != id {
        let what = FsckError::SUBVOL_ROOT_WRONG_BI_SUBVOL;
        let has = inode.subvol;
        let outcome = report.found(
            st,
            what,
            format_args!("the root of subvolume {id} says it is that of {has}"),
        )?;
        if outcome == Outcome::Repair {
            (inode.subvol, inode.snapshot) = (id, s.snapshot);
            repair(engine, |t| inode_put(t, &inode))?;
        }
    }
    Ok(())
}

fn check_master(engine: Engine<'_>, report: &mut Report, all: &Trees, id: u32) -> Result {
    let Some(mut s) = get(&all.subvols, id).filter(|s| !s.is_snapshot) else {
        return Ok(());
    };
    let root = get(&all.nodes, all.root(s.snapshot));
    let tree = root.and_then(|root| get(&all.trees, root.tree));
    if tree.is_none_or(|tree| tree.master_subvol == id) {
        return Ok(());
    }
    let what = FsckError::SUBVOL_NOT_MASTER_AND_NOT_SNAPSHOT;
    let outcome = report.found(
        engine.btrees.sb(),
        what,
        format_args!("subvolume {id} is no snapshot, and not what others are made of: {s}"),
    )?;
    if outcome == Outcome::Repair {
        s.is_snapshot = true;
        repair(engine, |t| put_subvolume(t, id, &s))?;
    }
    Ok(())
}

/// Only subvolumes that say so are listed as being in another one.
///
/// C: `bch2_check_subvol_children()`.
#[inline(never)]
pub fn check_subvol_children(engine: Engine<'_>, report: &mut Report) -> Result {
    let all = Trees::read(engine.btrees)?;
    let mut wrong = Vec::new();
    let mut iter = engine
        .btrees
        .iter(BtreeId::SUBVOLUME_CHILDREN, 0, Bpos::MIN);
    while let Some(k) = iter.advance()? {
        let child = u32::try_from(k.p.offset).ok();
        let child = child.and_then(|id| get(&all.subvols, id));
        if child.is_none_or(|s| u64::from(s.fs_path_parent) != k.p.inode) {
            wrong.push(k.p)?;
        }
    }
    drop(iter);
    for pos in wrong.iter() {
        let (parent, child) = (pos.inode, pos.offset);
        let what = FsckError::SUBVOL_CHILDREN_BAD;
        let outcome = report.found(
            engine.btrees.sb(),
            what,
            format_args!("subvolume {child} is listed as one that is in {parent}"),
        )?;
        if outcome == Outcome::Repair {
            repair(engine, |t| t.delete(BtreeId::SUBVOLUME_CHILDREN, *pos))?;
        }
    }
    Ok(())
}
