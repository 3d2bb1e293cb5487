// SPDX-License-Identifier: GPL-2.0

//! The pass `check_root`: whether there is a root directory.
//!
//! C: `bch2_check_root()`.

use super::files::Files;
use crate::{
    data::inode_put,
    error::{
        fsck::FsckError,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        values::{
            inode::Inode,
            subvolume::ROOT_SUBVOL, //
        },
    },
    fs::first::new_inode,
};

/// Checks the root directory, and makes it anew when it is not there. Its subvolume has to be
/// there.
#[inline(never)]
pub fn check_root(files: &mut Files<'_>) -> Result {
    let root = files.view.subvolume(ROOT_SUBVOL)?;
    let pos = Bpos::new(0, root.inode, root.snapshot);
    let found = files.view.lookup(BtreeId::INODES, pos)?;
    let inode = found.map(|f| Inode::decode(&f.key()));
    let (id, what) = match inode {
        Some(Ok(Some(inode))) if inode.is_dir() => return Ok(()),
        Some(Ok(Some(_))) => (FsckError::ROOT_INODE_NOT_DIR, "is no directory"),
        _ => (FsckError::ROOT_DIR_MISSING, "is missing"),
    };
    if files.found(
        id,
        format_args!("the root directory, inode {}, {what}", root.inode),
    )? {
        let new = Inode {
            inum: root.inode,
            snapshot: root.snapshot,
            mode: 0o040755,
            subvol: ROOT_SUBVOL,
            ..new_inode(files.st())
        };
        files.repair(|t| {
            inode_put(t, &new)?;
            Ok(true)
        })?;
    }
    Ok(())
}
