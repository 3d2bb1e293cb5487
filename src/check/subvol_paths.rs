// SPDX-License-Identifier: GPL-2.0

//! The pass `check_subvolume_structure`: whether the way up from each subvolume ends at the first
//! one.
//!
//! C: `bch2_check_subvolume_structure()`.

use super::{
    files::Files,
    loops::take_out,
    trees::Trees, //
};
use crate::{
    error::{
        fsck::FsckError,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        values::subvolume::{
            SubvolState,
            Subvolume,
            ROOT_SUBVOL, //
        },
    },
};

/// Finds subvolumes that are above themselves, or in none, and gives them a name in `lost+found`.
#[inline(never)]
pub fn check_subvolume_structure(files: &mut Files<'_>) -> Result {
    let all = Trees::read(files.btrees())?;
    for (id, s) in all.subvols.iter() {
        // Those without a name are about to be deleted.
        if s.state == SubvolState::Live {
            check_path(files, *id)?;
        }
    }
    Ok(())
}

/// A subvolume as it is now: names may have been given to some meanwhile.
fn subvolume(files: &Files<'_>, id: u32) -> Result<Option<Subvolume>> {
    let pos = Bpos::new(0, id.into(), 0);
    let found = files.btrees().lookup(BtreeId::SUBVOLUMES, pos)?;
    let found = found.filter(|f| f.key().k.key_type == KeyType::SUBVOLUME);
    Ok(found.and_then(|f| Subvolume::decode(f.key().v).ok()))
}

/// C: `check_subvol_path()`.
#[inline(never)]
fn check_path(files: &mut Files<'_>, mut id: u32) -> Result {
    // As in a loop of directories.
    let (mut mark, mut steps, mut until) = (id, 0u64, 1u64);
    let mut next = subvolume(files, id)?;
    while let Some(s) = next.filter(|_| id != ROOT_SUBVOL) {
        let parent = s.fs_path_parent;
        next = subvolume(files, parent)?;
        if next.is_none() {
            let is = files.found(
                FsckError::SUBVOL_UNREACHABLE,
                format_args!("subvolume {id} is unreachable: {s}"),
            )?;
            return if is { move_away(files, &s) } else { Ok(()) };
        }
        if steps == until {
            (mark, steps) = (id, 0);
            until = until.saturating_mul(2);
        }
        steps = steps.saturating_add(1);
        if parent == mark {
            let is = files.found(
                FsckError::SUBVOL_LOOP,
                format_args!("subvolume loop: {parent} is above itself"),
            )?;
            return match next.filter(|_| is) {
                Some(s) => move_away(files, &s),
                None => Ok(()),
            };
        }
        id = parent;
    }
    Ok(())
}

/// C: `reattach_subvol()`.
fn move_away(files: &mut Files<'_>, s: &Subvolume) -> Result {
    let versions = files.versions(s.inode)?;
    match versions.of(files.table(), s.snapshot).copied() {
        Some(root) => take_out(files, &root),
        // The pass `check_subvols` looks after that.
        None => Ok(()),
    }
}
