// SPDX-License-Identifier: GPL-2.0

//! Finding inodes.

use crate::{
    data::{
        inode::known,
        FileId, //
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
        values::{
            inode::Inode,
            subvolume::ROOT_SUBVOL, //
        },
    },
    sb::Lost,
    snapshots::View,
};
use core::fmt;

/// An inode of a subvolume. The same number in another subvolume is another inode.
///
/// C: `subvol_inum`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubvolInum {
    /// The subvolume.
    pub subvol: u32,
    /// The inode number.
    pub inum: u64,
}

impl SubvolInum {
    /// The inode with the keys of its contents: those its subvolume's snapshot sees.
    pub fn file(self, view: &View) -> Result<FileId> {
        Ok(FileId {
            inum: self.inum,
            snapshot: self.snapshot(view)?,
        })
    }

    /// The snapshot its subvolume is at.
    pub(super) fn snapshot(self, view: &View) -> Result<u32> {
        Ok(view.subvolume(self.subvol)?.snapshot)
    }
}

impl fmt::Display for SubvolInum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "inode {} of subvolume {}", self.inum, self.subvol)
    }
}

/// The root directory of a subvolume.
pub fn subvolume_root(view: &View, subvol: u32) -> Result<SubvolInum> {
    Ok(SubvolInum {
        subvol,
        inum: view.subvolume(subvol)?.inode,
    })
}

/// The root directory of the filesystem.
pub fn root(view: &View) -> Result<SubvolInum> {
    subvolume_root(view, ROOT_SUBVOL)
}

/// Finds an inode.
///
/// C: `bch2_inode_find_by_inum()`.
pub fn find(view: &View, at: SubvolInum) -> Result<Inode> {
    let pos = Bpos::new(0, at.inum, at.snapshot(view)?);
    let found = view.lookup(BtreeId::INODES, pos)?;
    let (place, decoded) = match &found {
        None => return known(view, Ok(None), |_| ()),
        Some(f) if f.key().k.key_type == KeyType::ERROR => {
            // What is wrong with it was reported when it was read.
            view.sb().lost(Lost::Inode);
            return Err(Error::InodeLost);
        }
        Some(f) => (f.place(), Inode::decode(&f.key())),
    };
    known(view, decoded, |invalid| {
        pr_err!("{at} (btree inodes {place}): {invalid}");
        view.btrees.bad_key(place, invalid);
    })
}
