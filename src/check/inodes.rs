// SPDX-License-Identifier: GPL-2.0

//! The pass `check_inodes`: what inodes say of themselves, and of their names.
//!
//! C: `bch2_check_inodes()`.

use super::{
    files::{
        is_unlinked,
        says_where,
        Files,
        Versions, //
    },
    root::check_root, //
};
use crate::{
    alloc::{
        space::put_derived,
        trigger::{
            Derived,
            KeyChange, //
        },
    },
    btree::flush_write_buffer,
    error::{
        fsck::FsckError,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        values::{
            dirent::{
                dirent,
                Target, //
            },
            inode::{
                Inode,
                InodeFlags, //
            },
            subvolume::ROOT_SUBVOL,
        },
    },
};

/// What is at the place where an inode says that its name is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    /// Its name.
    Yes,
    /// Nothing.
    Missing,
    /// The name of another one.
    Other,
    /// It can not be told.
    Unclear,
}

/// Checks inodes, and repairs them.
#[inline(never)]
pub fn check_inodes(files: &mut Files<'_>) -> Result {
    flush_write_buffer(files.engine.btrees, files.engine.writer)?;
    // Without it, all names in it would be lost later.
    check_root(files)?;
    let btrees = files.engine.btrees;
    let mut versions = (0, Versions::default());
    let mut keys = btrees.iter(BtreeId::INODES, 0, Bpos::MIN);
    while let Some(key) = keys.next()? {
        let k = key.k;
        let inode = Inode::decode(&key).ok().flatten();
        if files.is_of_no_snapshot(BtreeId::INODES, &k)? {
            continue;
        }
        let Some(inode) = inode else { continue };
        if versions.0 != inode.inum {
            versions = (inode.inum, files.versions(inode.inum)?);
        }
        check(files, &inode, &versions.1)?;
    }
    Ok(())
}

#[inline(never)]
fn check(files: &mut Files<'_>, inode: &Inode, versions: &Versions) -> Result {
    let mut new = *inode;
    let at = (inode.inum, inode.snapshot);
    check_oldest(files, &mut new, versions)?;
    if says_where(&new) {
        check_name(files, &mut new)?;
    }
    if is_unlinked(&new) && new.dir != 0 {
        let id = FsckError::INODE_UNLINKED_BUT_HAS_DIRENT;
        if files.found(
            id,
            format_args!("inode {}:{} is unlinked, but has a name", at.0, at.1),
        )? {
            new.flags = new.flags.without(InodeFlags::UNLINKED);
        }
    }
    if is_unlinked(&new) && new.is_dir() && has_entries(files, &new)? {
        let id = FsckError::INODE_DIR_UNLINKED_BUT_NOT_EMPTY;
        if files.found(
            id,
            format_args!("directory {}:{} is unlinked, but not empty", at.0, at.1),
        )? {
            // It gets a name later.
            new.flags = new.flags.without(InodeFlags::UNLINKED);
        }
    }
    check_children(files, &mut new, versions)?;
    check_subvolume(files, &mut new)?;
    if new != *inode && !files.change_inode(inode, &new)? {
        return Ok(());
    }
    check_deleted_list(files, &new)
}

/// All versions of an inode have hashes of the same kind as the oldest one: they share names.
fn check_oldest(files: &mut Files<'_>, new: &mut Inode, versions: &Versions) -> Result {
    let Some(oldest) = versions.all.last() else {
        return Ok(());
    };
    if (new.hash_seed, new.str_hash) == (oldest.hash_seed, oldest.str_hash) {
        return Ok(());
    }
    let (inum, id) = (new.inum, FsckError::INODE_SNAPSHOT_MISMATCH);
    if files.found(
        id,
        format_args!("versions of inode {inum} in snapshots don't match"),
    )? {
        (new.hash_seed, new.str_hash) = (oldest.hash_seed, oldest.str_hash);
    }
    Ok(())
}

/// C: `check_inode_dirent_inode()`.
pub(super) fn check_name(files: &mut Files<'_>, new: &mut Inode) -> Result {
    let (id, what) = match named(files, new)? {
        Named::Yes | Named::Unclear => return Ok(()),
        Named::Missing => (FsckError::INODE_POINTS_TO_MISSING_DIRENT, "missing dirent"),
        Named::Other => (
            FsckError::INODE_POINTS_TO_WRONG_DIRENT,
            "a dirent that does not point back",
        ),
    };
    let (inum, snapshot) = (new.inum, new.snapshot);
    if files.found(id, format_args!("inode {inum}:{snapshot} points to {what}"))? {
        // If it has a name, that is found with the names.
        (new.dir, new.dir_offset) = (0, 0);
    }
    Ok(())
}

/// What is at the place where an inode says that its name is.
///
/// C: `inode_get_dirent()`, `dirent_points_to_inode()`.
pub(super) fn named(files: &Files<'_>, inode: &Inode) -> Result<Named> {
    let snapshot = match inode.subvol {
        0 => inode.snapshot,
        _ => match files.view.subvolume(inode.parent_subvol) {
            Ok(parent) => parent.snapshot,
            Err(e) if e.is_not_found() => return Ok(Named::Missing),
            Err(_) => return Ok(Named::Unclear),
        },
    };
    let pos = Bpos::new(inode.dir, inode.dir_offset, snapshot);
    let Some(found) = files.view.lookup(BtreeId::DIRENTS, pos)? else {
        return Ok(Named::Missing);
    };
    let key = found.key();
    Ok(match dirent(&key) {
        Ok(Some(d)) => match d.target {
            Target::Inode(inum) if inum == inode.inum => Named::Yes,
            Target::Subvol { child, .. } if child == inode.subvol => Named::Yes,
            _ => Named::Other,
        },
        Ok(None) if key.k.key_type != KeyType::ERROR => Named::Missing,
        _ => Named::Unclear,
    })
}

/// C: `bch2_empty_dir_snapshot()`.
fn has_entries(files: &Files<'_>, dir: &Inode) -> Result<bool> {
    let start = Bpos::new(dir.inum, 0, 0);
    let end = Bpos::new(dir.inum, u64::MAX, u32::MAX);
    let mut keys = files.view.range(BtreeId::DIRENTS, start, end, dir.snapshot);
    while let Some(key) = keys.next()? {
        match dirent(&key) {
            Ok(Some(d)) if matches!(d.target, Target::Subvol { .. }) => (),
            Ok(None) if key.k.key_type != KeyType::ERROR => (),
            _ => return Ok(true),
        }
    }
    Ok(false)
}

/// C: `bch2_inode_has_child_snapshots()`.
fn check_children(files: &mut Files<'_>, new: &mut Inode, versions: &Versions) -> Result {
    let own = new.snapshot;
    let table = files.table();
    let mut below = versions.all.iter().filter(|v| v.snapshot < own);
    let has = below.any(|v| table.is_ancestor(v.snapshot, own));
    let flag = InodeFlags::HAS_CHILD_SNAPSHOT;
    if has == new.flags.has(flag) || versions.is_unclear {
        return Ok(());
    }
    let (inum, id) = (new.inum, FsckError::INODE_HAS_CHILD_SNAPSHOTS_WRONG);
    if files.found(
        id,
        format_args!("inode {inum}:{own} has_child_snapshots flag wrong (should be {has})"),
    )? {
        new.flags = match has {
            true => new.flags.with(flag),
            false => new.flags.without(flag),
        };
    }
    Ok(())
}

/// What it says of the subvolume that it is the root of.
fn check_subvolume(files: &mut Files<'_>, new: &mut Inode) -> Result {
    let (inum, snapshot, subvol) = (new.inum, new.snapshot, new.subvol);
    if new.parent_subvol != 0 && (subvol == 0 || subvol == ROOT_SUBVOL) {
        let id = FsckError::INODE_BI_PARENT_NONZERO;
        let parent = new.parent_subvol;
        if files.found(
            id,
            format_args!("inode {inum}:{snapshot} has parent subvolume {parent}, but {subvol}"),
        )? {
            new.parent_subvol = 0;
        }
    }
    if subvol == 0 {
        return Ok(());
    }
    let (id, what) = match files.view.subvolume(subvol) {
        Err(e) if e.is_not_found() => {
            if files.has_lost(BtreeId::SUBVOLUMES) {
                return Ok(());
            }
            (FsckError::INODE_BI_SUBVOL_MISSING, "a missing subvolume")
        }
        Err(_) => return Ok(()),
        Ok(s) if s.inode != inum || !files.table().is_ancestor(s.snapshot, snapshot) => (
            FsckError::INODE_BI_SUBVOL_WRONG,
            "a subvolume that has another root",
        ),
        Ok(_) => return Ok(()),
    };
    if files.found(
        id,
        format_args!("inode {inum}:{snapshot} is the root of {what}, {subvol}"),
    )? {
        (new.subvol, new.parent_subvol) = (0, 0);
    }
    Ok(())
}

/// Those that are to be deleted are listed: the pass `delete_dead_inodes` deletes them.
fn check_deleted_list(files: &mut Files<'_>, inode: &Inode) -> Result {
    if !is_unlinked(inode) || inode.flags.has(InodeFlags::HAS_CHILD_SNAPSHOT) {
        return Ok(());
    }
    let start = Bpos::new(0, inode.inum, inode.snapshot);
    if files
        .btrees()
        .lookup(BtreeId::DELETED_INODES, start)?
        .is_some()
    {
        return Ok(());
    }
    // What was repaired just now may wait in the write buffer.
    flush_write_buffer(files.engine.btrees, files.engine.writer)?;
    if files
        .btrees()
        .lookup(BtreeId::DELETED_INODES, start)?
        .is_some()
    {
        return Ok(());
    }
    let (inum, snapshot) = (inode.inum, inode.snapshot);
    let id = FsckError::UNLINKED_INODE_NOT_ON_DELETED_LIST;
    if files.found(
        id,
        format_args!("inode {inum}:{snapshot} unlinked, but not on deleted list"),
    )? {
        let change = KeyChange {
            btree: BtreeId::DELETED_INODES,
            start,
            to: Derived::Set,
        };
        put_derived(files.engine, &change)?;
    }
    Ok(())
}
