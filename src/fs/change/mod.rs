// SPDX-License-Identifier: GPL-2.0

//! Changing names, inodes and attributes. Nothing of the VFS.
//!
//! | file         | holds                                                                  |
//! |--------------|------------------------------------------------------------------------|
//! | `create.rs`  | new files and directories                                               |
//! | `dirents.rs` | the entries of a directory                                              |
//! | `hash.rs`    | keys at the hash of a name                                              |
//! | `inode.rs`   | inodes: link counts, flags, options                                     |
//! | `link.rs`    | one name more, and one less                                             |
//! | `numbers.rs` | [`Numbers`]: inode numbers for new inodes                                |
//! | `options.rs` | options of inodes                                                       |
//! | `quota.rs`   | limits of quotas                                                        |
//! | `remove.rs`  | inodes that are gone, with all they have                                |
//! | `rename.rs`  | other names                                                             |
//! | `subvolume.rs` | new subvolumes, and snapshots                                         |
//! | `symlink.rs` | what symbolic links hold                                                |
//! | `xattr.rs`   | extended attributes and access control lists                            |
//!
//! Each operation is one transaction; it is there as a whole after a power cut, or not at all. Only
//! removing an inode takes several, the last of which is the inode's: until then it is listed in
//! the btree `deleted_inodes`, and removed at the next mount.

mod create;
mod dirents;
mod hash;
mod inode;
mod link;
mod numbers;
mod options;
mod quota;
mod remove;
mod rename;
mod subvolume;
mod symlink;
mod xattr;

pub use self::{
    create::{
        Created,
        NewFile, //
    },
    inode::Flags,
    link::Linked,
    numbers::Numbers,
    rename::{
        Mode,
        Renamed,
        Side, //
    },
    subvolume::Source,
    xattr::SetMode, //
};

use super::SubvolInum;
use crate::{
    alloc::space::{
        Engine,
        Trans, //
    },
    btree::trans::{
        Committed,
        TransResult, //
    },
    data::{
        inode::{
            inode_get,
            inode_put, //
        },
        FileId, //
    },
    error::{
        Error,
        Result, //
    },
    format::values::inode::Inode,
    journal::live::Watermark,
    snapshots::View,
    sys::reclaim::NoFs, //
};

/// What it takes to change files.
#[derive(Clone, Copy)]
pub struct Changes<'a> {
    /// What is there.
    pub view: &'a View,
    /// Transactions.
    pub engine: Engine<'a>,
    /// Numbers of new inodes.
    pub numbers: &'a Numbers,
}

/// An inode in a subvolume, of which it is known that it may be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct At {
    id: SubvolInum,
    snapshot: u32,
}

impl At {
    const fn file(self) -> FileId {
        FileId {
            inum: self.id.inum,
            snapshot: self.snapshot,
        }
    }
}

/// Which space the btree nodes come from that a change needs.
#[derive(Clone, Copy, Debug)]
enum Nodes {
    /// What is free.
    FromFree,
    /// What is kept in reserve, too: the change frees space, or takes none.
    FromReserve,
}

/// Has `f` stage its updates. Out of line: what that takes of the stack is needed for the commit.
#[inline(never)]
fn stage<T>(
    f: &mut impl FnMut(&mut Trans<'_>) -> TransResult<T>,
    t: &mut Trans<'_>,
    to: &mut Option<T>,
) -> TransResult {
    *to = Some(f(t)?);
    Ok(())
}

impl Changes<'_> {
    /// An inode that is going to be changed. [`Error::SubvolumeReadOnly`] when its subvolume is not
    /// to be.
    ///
    /// C: `bch2_subvol_is_ro()`.
    fn at(&self, id: SubvolInum) -> Result<At> {
        let subvol = self.view.subvolume(id.subvol)?;
        if subvol.read_only {
            return Err(Error::SubvolumeReadOnly);
        }
        Ok(At {
            id,
            snapshot: subvol.snapshot,
        })
    }

    /// Whether an inode may be changed: [`Error::SubvolumeReadOnly`] if not.
    pub fn may_change(&self, id: SubvolInum) -> Result {
        self.at(id).map(drop)
    }

    /// Runs `f` and commits what it staged. Says when that was. Which snapshot subvolumes are at
    /// has to be looked up by `f`.
    fn run<T>(
        &self,
        nodes: Nodes,
        mut f: impl FnMut(&mut Trans<'_>) -> TransResult<T>,
    ) -> Result<(T, Committed)> {
        // Freeing memory could otherwise end in removing inodes, here.
        let _scope = NoFs::enter();
        let mut value = None;
        let at = self.engine.run(Watermark::Normal, |t| {
            let entered = self.view.gate.enter();
            if matches!(nodes, Nodes::FromReserve) {
                t.use_reserve();
            }
            stage(&mut f, t, &mut value)?;
            self.view.gate.check(entered)?;
            t.commit()?;
            Ok(t.committed())
        })?;
        value.map(|value| (value, at)).ok_or(Error::NoEntry)
    }

    /// Changes an inode.
    ///
    /// C: `bch2_write_inode()`.
    pub fn change(
        &self,
        id: SubvolInum,
        mut f: impl FnMut(&mut Inode) -> Result,
    ) -> Result<(Inode, Committed)> {
        self.run(Nodes::FromReserve, |t| {
            let at = self.at(id)?;
            let old = inode_get(t, self.view, at.file())?;
            let mut inode = old;
            f(&mut inode)?;
            if inode != old {
                inode_put(t, &inode)?;
            }
            Ok(inode)
        })
    }
}
