// SPDX-License-Identifier: GPL-2.0

//! The pass `check_directory_structure`: whether the way up from each directory ends at a root.
//!
//! C: `bch2_check_directory_structure()`.

use super::{
    files::{
        is_unlinked,
        same,
        Files, //
    },
    hash::Hashed,
    inodes::{
        named,
        Named, //
    },
    reattach::reattach,
};
use crate::{
    algo::str_hash::HashInfo,
    btree::KeyBuf,
    error::{
        fsck::FsckError,
        Error,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        values::inode::Inode, //
    },
};

/// Finds directories that are above themselves, and gives one of each loop a name in `lost+found`.
#[inline(never)]
pub fn check_directory_structure(files: &mut Files<'_>) -> Result {
    let btrees = files.engine.btrees;
    let mut keys = btrees.iter(BtreeId::INODES, 0, Bpos::MIN);
    while let Some(key) = keys.next()? {
        match Inode::decode(&key) {
            Ok(Some(inode)) if inode.is_dir() && !is_unlinked(&inode) => {
                check_path(files, inode)?;
            }
            _ => (),
        }
    }
    Ok(())
}

/// C: `check_path()`, which compares each with all below.
#[inline(never)]
fn check_path(files: &mut Files<'_>, mut inode: Inode) -> Result {
    let mut snapshot = inode.snapshot;
    // Brent's way to find a loop: who comes to a mark again is in one. It goes along, less and less
    // often.
    let (mut mark, mut steps, mut until) = ((inode.inum, snapshot), 0u64, 1u64);
    while inode.subvol == 0 {
        // Without a name it gets one elsewhere, unless that was not wanted.
        if named(files, &Inode { snapshot, ..inode })? != Named::Yes {
            return Ok(());
        }
        if steps == until {
            (mark, steps) = ((inode.inum, snapshot), 0);
            until = until.saturating_mul(2);
        }
        steps = steps.saturating_add(1);
        let versions = files.versions(inode.dir)?;
        let Some(parent) = versions.of(files.table(), snapshot) else {
            return Ok(());
        };
        inode = *parent;
        snapshot = parent.snapshot;
        if (inode.inum, snapshot) == mark {
            let inum = inode.inum;
            if files.found(
                FsckError::DIR_LOOP,
                format_args!("directory structure loop: {inum}:{snapshot} is above itself"),
            )? {
                take_out(files, &inode)?;
            }
            return Ok(());
        }
    }
    Ok(())
}

/// Takes a directory, or the root of a subvolume, out of where it is, and gives it a name in
/// `lost+found`.
///
/// C: `remove_backpointer()`, which looks for the name of a subvolume in its own snapshot.
#[inline(never)]
pub(super) fn take_out(files: &mut Files<'_>, inode: &Inode) -> Result {
    let is_subvol = inode.subvol != 0;
    let snapshot = match is_subvol {
        true => files
            .view
            .subvolume(inode.parent_subvol)
            .map(|s| s.snapshot),
        false => Ok(inode.snapshot),
    };
    let parents = files.versions(inode.dir)?;
    let entry = match snapshot {
        Ok(id) => {
            let pos = Bpos::new(inode.dir, inode.dir_offset, id);
            let found = files.view.lookup(BtreeId::DIRENTS, pos)?;
            found.map(|f| KeyBuf::copy_of(&f.key())).transpose()?
        }
        Err(e) if e.is_not_found() => None,
        Err(e) => return Err(e),
    };
    let Some(entry) = entry else {
        return match is_subvol {
            true => reattach(files, &without_name(inode)),
            false => Ok(()),
        };
    };
    let parent = parents.of(files.table(), entry.k.p.snapshot);
    let info = parent
        .and_then(HashInfo::of)
        .ok_or(Error::CheckLoopParent)?;
    let hashed = Hashed {
        btree: BtreeId::DIRENTS,
        info,
    };
    let done = files.repair(|t| {
        if !same(t, BtreeId::DIRENTS, &entry)? {
            return Ok(false);
        }
        hashed.stage_delete(t, files, entry.k.p)?;
        if !is_subvol {
            files.stage_subdirs(t, &parents, (entry.k.p.snapshot, &[]), -1)?;
        }
        Ok(true)
    })?;
    match done {
        true => reattach(files, &without_name(inode)),
        false => Ok(()),
    }
}

fn without_name(inode: &Inode) -> Inode {
    Inode {
        dir: 0,
        dir_offset: 0,
        ..*inode
    }
}
