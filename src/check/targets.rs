// SPDX-License-Identifier: GPL-2.0

//! What directory entries lead to, and what that says of them.
//!
//! C: `check_dirent_target()`, `check_dirent_to_subvol()`.

use super::{
    files::{
        is_unlinked,
        same,
        says_where,
        Files, //
    },
    hash::Hashed,
    inodes::{
        named,
        Named, //
    },
    seen::Seen,
};
use crate::{
    btree::KeyBuf,
    env::Vec,
    error::{
        fsck::FsckError,
        Error,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        values::{
            dirent::{
                Dirent,
                FileType,
                Target, //
            },
            inode::{
                Inode,
                InodeFlags, //
            },
            subvolume::Subvolume, //
        },
    },
    snapshots::keys::move_subvolume,
};

/// The most bytes of the value of an entry.
const VALUE_BYTES: usize = 2048;

/// Checks what the entry `key`, which is `d`, leads to. Says whether it is still there.
#[inline(never)]
pub(super) fn check(
    files: &mut Files<'_>,
    key: &KeyBuf,
    d: &Dirent<'_>,
    hashed: &Hashed,
    seen: &Seen,
) -> Result<bool> {
    let inum = match d.target {
        Target::Inode(inum) => inum,
        Target::Subvol { child, parent } => {
            return check_subvolume(files, key, d, hashed, (child, parent));
        }
    };
    let versions = files.versions(inum)?;
    let mut targets = Vec::new();
    for inode in versions.all.iter() {
        if seen.meets(files.table(), inode.snapshot) {
            targets.push(*inode)?;
            // Those above are hidden by it.
            if inode.snapshot >= key.k.p.snapshot {
                break;
            }
        }
    }
    if targets.is_empty() {
        if versions.is_unclear {
            return Ok(true);
        }
        let id = FsckError::DIRENT_TO_MISSING_INODE;
        return match files.found(
            id,
            format_args!("directory entry {} points to missing inode {inum}", key.k.p),
        )? {
            true => hashed.delete(files, key).map(|done| !done),
            false => Ok(true),
        };
    }
    for target in targets.iter() {
        if !check_names(files, key, target, hashed)? {
            return Ok(false);
        }
    }
    match targets.first() {
        Some(target) => check_type(files, key, d, target).map(|()| true),
        None => Ok(true),
    }
}

/// Whether an inode says where its name is. Says whether the entry is still there.
///
/// C: `check_dirent_inode_dirent()`.
#[inline(never)]
fn check_names(
    files: &mut Files<'_>,
    key: &KeyBuf,
    target: &Inode,
    hashed: &Hashed,
) -> Result<bool> {
    let p = key.k.p;
    if (target.dir, target.dir_offset) == (p.inode, p.offset) {
        return Ok(true);
    }
    let here = Inode {
        dir: p.inode,
        dir_offset: p.offset,
        flags: target.flags.without(InodeFlags::UNLINKED),
        ..*target
    };
    if !says_where(target) {
        check_silent(files, p, target, &here)?;
        return Ok(true);
    }
    let (inum, snapshot) = (target.inum, target.snapshot);
    let is_there = match named(files, target)? {
        Named::Yes => true,
        Named::Missing | Named::Other => false,
        Named::Unclear => return Ok(true),
    };
    if !is_there {
        let id = FsckError::INODE_WRONG_BACKPOINTER;
        if files.found(
            id,
            format_args!(
            "directory entry {p}: inode {inum}:{snapshot} says that its name is where it is not"
        ),
        )? {
            files.change_inode(target, &here)?;
        }
        return Ok(true);
    }
    if target.is_dir() || target.subvol != 0 {
        let id = FsckError::INODE_DIR_MULTIPLE_LINKS;
        return match files.found(
            id,
            format_args!("directory entry {p}: directory {inum}:{snapshot} has another name"),
        )? {
            true => hashed.delete(files, key).map(|done| !done),
            false => Ok(true),
        };
    }
    if target.nlink == 0 {
        let id = FsckError::INODE_MULTIPLE_LINKS_BUT_NLINK_0;
        if files.found(
            id,
            format_args!(
            "directory entry {p}: inode {inum}:{snapshot} has another name, and counts only one"
        ),
        )? {
            // How many there are is counted later.
            let new = Inode {
                nlink: 1,
                flags: here.flags,
                ..*target
            };
            files.change_inode(target, &new)?;
        }
    }
    Ok(true)
}

/// An inode does not say where its name is, which is at `p`: `here` does.
#[inline(never)]
fn check_silent(files: &mut Files<'_>, p: Bpos, target: &Inode, here: &Inode) -> Result {
    let (id, what) = if is_unlinked(target) {
        (
            FsckError::INODE_UNLINKED_BUT_HAS_DIRENT,
            "is unlinked, but has a name",
        )
    } else if target.is_dir() {
        (
            FsckError::INODE_DIR_MISSING_BACKPOINTER,
            "is a directory, and does not say where",
        )
    } else {
        // One of several names was removed, and it was the one that the inode told of.
        return files.change_inode(target, here).map(drop);
    };
    let (inum, snapshot) = (target.inum, target.snapshot);
    if files.found(
        id,
        format_args!("directory entry {p}: inode {inum}:{snapshot} {what}"),
    )? {
        files.change_inode(target, here)?;
    }
    Ok(())
}

/// What an inode is as the target of an entry. C: `inode_d_type()`.
fn type_of(inode: &Inode) -> FileType {
    match inode.subvol {
        0 => FileType::of_mode(inode.mode),
        _ => FileType::SUBVOL,
    }
}

fn check_type(files: &mut Files<'_>, key: &KeyBuf, d: &Dirent<'_>, target: &Inode) -> Result {
    let file_type = type_of(target);
    if d.file_type == file_type {
        return Ok(());
    }
    let (have, want) = (d.file_type.0, file_type.0);
    if !files.found(
        FsckError::DIRENT_D_TYPE_WRONG,
        format_args!(
            "directory entry {}: incorrect type: got {have}, should be {want}",
            key.k.p
        ),
    )? {
        return Ok(());
    }
    let new_target = match target.subvol {
        0 => Target::Inode(target.inum),
        child => Target::Subvol {
            child,
            parent: target.parent_subvol,
        },
    };
    let new = Dirent {
        target: new_target,
        file_type,
        ..*d
    };
    put(files, key, &new).map(drop)
}

/// Puts an entry in the place of another one, with the same name.
fn put(files: &Files<'_>, old: &KeyBuf, new: &Dirent<'_>) -> Result<bool> {
    let mut value = Vec::from_elem(0, VALUE_BYTES)?;
    let len = new.encode(&mut value).ok_or(Error::Overflow)?;
    let new = KeyBuf::of(old.k, value.get(..len).unwrap_or(&value))?;
    files.repair(|t| {
        let is_there = same(t, BtreeId::DIRENTS, old)?;
        if is_there {
            t.update(BtreeId::DIRENTS, KeyBuf::copy_of(&new.key())?)?;
        }
        Ok(is_there)
    })
}

/// An entry that leads to a subvolume. Says whether it is still there.
#[inline(never)]
fn check_subvolume(
    files: &mut Files<'_>,
    key: &KeyBuf,
    d: &Dirent<'_>,
    hashed: &Hashed,
    (child, parent): (u32, u32),
) -> Result<bool> {
    let p = key.k.p;
    let Some(parent) = check_belongs(files, key, d, (child, parent))? else {
        return Ok(true);
    };
    let subvol = match files.view.subvolume(child) {
        Ok(subvol) => subvol,
        Err(e) if e.is_not_found() => {
            if files.has_lost(BtreeId::SUBVOLUMES) {
                return Ok(true);
            }
            let id = FsckError::DIRENT_TO_MISSING_SUBVOL;
            return match files.found(
                id,
                format_args!("directory entry {p} points to missing subvolume {child}"),
            )? {
                true => hashed.delete(files, key).map(|done| !done),
                false => Ok(true),
            };
        }
        Err(_) => return Ok(true),
    };
    check_parent(files, (child, &subvol), parent)?;
    let versions = files.versions(subvol.inode)?;
    let root = versions.of(files.table(), subvol.snapshot).copied();
    let Some(root) = root else {
        // The pass `check_subvols` looks after that.
        return Ok(true);
    };
    let mut root = root;
    if root.parent_subvol != parent {
        let id = FsckError::INODE_BI_PARENT_WRONG;
        let (inum, says) = (root.inum, root.parent_subvol);
        if files.found(
            id,
            format_args!(
                "root {inum} of subvolume {child} says that it is in {says}, and is in {parent}"
            ),
        )? {
            let new = Inode {
                parent_subvol: parent,
                ..root
            };
            files.change_inode(&root, &new)?;
            root = new;
        }
    }
    if !check_names(files, key, &root, hashed)? {
        return Ok(false);
    }
    check_type(files, key, d, &root).map(|()| true)
}

/// Whether the subvolume that an entry says it belongs to sees it; which one it belongs to then.
/// `None` when that can not be told.
#[inline(never)]
fn check_belongs(
    files: &mut Files<'_>,
    key: &KeyBuf,
    d: &Dirent<'_>,
    (child, parent): (u32, u32),
) -> Result<Option<u32>> {
    let p = key.k.p;
    let id = match files.view.subvolume(parent) {
        Ok(s) if files.table().is_ancestor(s.snapshot, p.snapshot) => return Ok(Some(parent)),
        Ok(_) => FsckError::DIRENT_NOT_VISIBLE_IN_PARENT_SUBVOL,
        Err(e) if e.is_not_found() => FsckError::DIRENT_TO_MISSING_PARENT_SUBVOL,
        Err(_) => return Ok(None),
    };
    let Some(other) = subvolume_below(files, p.snapshot)? else {
        // Nobody sees it.
        return Ok(None);
    };
    if !files.found(
        id,
        format_args!(
            "directory entry {p} belongs to subvolume {parent}, which does not see it: to {other}"
        ),
    )? {
        return Ok(Some(parent));
    }
    let target = Target::Subvol {
        child,
        parent: other,
    };
    put(files, key, &Dirent { target, ..*d })?;
    Ok(Some(other))
}

/// Whether a subvolume says in which one its name is.
fn check_parent(files: &mut Files<'_>, (child, subvol): (u32, &Subvolume), parent: u32) -> Result {
    if subvol.fs_path_parent == parent {
        return Ok(());
    }
    let (id, says) = (
        FsckError::SUBVOL_FS_PATH_PARENT_WRONG,
        subvol.fs_path_parent,
    );
    if !files.found(
        id,
        format_args!("subvolume {child} says that it is in {says}, and is in {parent}"),
    )? {
        return Ok(());
    }
    files.repair(|t| {
        move_subvolume(t, child, parent)?;
        Ok(true)
    })?;
    Ok(())
}

/// Some subvolume that sees what is of `snapshot`.
///
/// C: `find_snapshot_subvol()`.
fn subvolume_below(files: &Files<'_>, snapshot: u32) -> Result<Option<u32>> {
    let mut keys = files.btrees().iter(BtreeId::SUBVOLUMES, 0, Bpos::MIN);
    while let Some(key) = keys.next()? {
        let subvol = match key.k.key_type {
            KeyType::SUBVOLUME => Subvolume::decode(key.v).ok(),
            _ => None,
        };
        let sees = subvol.is_some_and(|s| files.table().is_ancestor(s.snapshot, snapshot));
        if let Some(id) = u32::try_from(key.k.p.offset).ok().filter(|_| sees) {
            return Ok(Some(id));
        }
    }
    Ok(None)
}
