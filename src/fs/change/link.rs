// SPDX-License-Identifier: GPL-2.0

//! One name more for an inode, and one less.

use super::{
    dirents::Dir,
    inode::{
        add_link,
        add_subdirs,
        inherit,
        links_parent,
        remove_link,
        touch, //
    },
    At,
    Changes, //
    Nodes,
};
use crate::{
    alloc::space::Trans,
    btree::trans::{
        Committed,
        TransResult, //
    },
    data::inode::{
        inode_get,
        inode_put, //
    },
    env::Box,
    error::{
        Error,
        Result, //
    },
    format::values::{
        dirent::{
            FileType,
            Target, //
        },
        inode::Inode,
    },
    fs::SubvolInum,
    snapshots,
};

/// What became of a directory, and of what it has, or had, a name of.
#[derive(Clone, Copy, Debug)]
pub struct Linked {
    /// The directory.
    pub dir: Inode,
    /// The other inode.
    pub inode: Inode,
    /// When that was.
    pub at: Committed,
}

impl Linked {
    /// To be filled in. Inodes are large, and the stack is small.
    fn boxed() -> Result<Box<Self>> {
        Box::try_new(Self {
            dir: Inode::default(),
            inode: Inode::default(),
            at: Committed::default(),
        })
    }
}

impl Changes<'_> {
    /// Gives `target`, which is no directory, a name in the directory `dir`.
    ///
    /// C: `bch2_link_trans()`.
    pub fn link(
        &self,
        dir: SubvolInum,
        name: &[u8],
        target: SubvolInum,
        now: u64,
    ) -> Result<Box<Linked>> {
        if dir.subvol != target.subvol {
            return Err(Error::LinkOtherSubvolume);
        }
        let (mut done, at) =
            self.run(Nodes::FromFree, |t| self.link_in(t, dir, name, target, now))?;
        done.at = at;
        Ok(done)
    }

    // Out of line: what is needed here is not on the stack any more at commit.
    #[inline(never)]
    fn link_in(
        &self,
        t: &mut Trans<'_>,
        dir: SubvolInum,
        name: &[u8],
        target: SubvolInum,
        now: u64,
    ) -> TransResult<Box<Linked>> {
        let (dir, file) = (self.at(dir)?, self.at(target)?);
        let mut done = Linked::boxed()?;
        let Linked {
            dir: into, inode, ..
        } = &mut *done;
        *inode = inode_get(t, self.view, file.file())?;
        *into = inode_get(t, self.view, dir.file())?;
        inode.ctime = now;
        add_link(inode)?;
        if inherit(inode, into) {
            return Err(Error::LinkOtherOptions.into());
        }
        let entries = Dir::of(self, dir, into)?;
        let offset = entries.free(t, name)?;
        let to = (Target::Inode(inode.inum), FileType::of_mode(inode.mode));
        entries.put(t, offset, name, to)?;
        (inode.dir, inode.dir_offset) = (into.inum, offset);
        touch(into, now);
        inode_put(t, into)?;
        inode_put(t, inode)?;
        Ok(done)
    }

    /// Takes the name `name` out of the directory `dir`. What has no name any more is to be removed
    /// once it is not used. [`Error::DirNotEmpty`] for a directory that holds something, also the
    /// root of a subvolume.
    ///
    /// C: `bch2_unlink_trans()`.
    pub fn unlink(&self, dir: SubvolInum, name: &[u8], now: u64) -> Result<Box<Linked>> {
        self.unlink_what(dir, name, false, now)
    }

    /// The same for a subvolume, which may hold something, but no other subvolume:
    /// [`Error::SubvolumeNotEmpty`].
    ///
    /// C: `bch2_unlink_trans()` with `deleting_subvol`.
    pub fn unlink_subvolume(&self, dir: SubvolInum, name: &[u8], now: u64) -> Result<Box<Linked>> {
        self.unlink_what(dir, name, true, now)
    }

    fn unlink_what(
        &self,
        dir: SubvolInum,
        name: &[u8],
        is_subvolume: bool,
        now: u64,
    ) -> Result<Box<Linked>> {
        let (mut done, at) = self.run(Nodes::FromReserve, |t| {
            self.unlink_in(t, dir, name, is_subvolume, now)
        })?;
        if done.inode.is_subvol_root() {
            self.view.unlinked(done.inode.subvol);
        }
        done.at = at;
        Ok(done)
    }

    // Out of line as above.
    #[inline(never)]
    fn unlink_in(
        &self,
        t: &mut Trans<'_>,
        dir: SubvolInum,
        name: &[u8],
        is_subvolume: bool,
        now: u64,
    ) -> TransResult<Box<Linked>> {
        let dir = self.at(dir)?;
        let mut done = Linked::boxed()?;
        let Linked {
            dir: from, inode, ..
        } = &mut *done;
        *from = inode_get(t, self.view, dir.file())?;
        let entries = Dir::of(self, dir, from)?;
        let entry = entries.get(t, name)?;
        let file = At {
            id: entry.leads_to,
            snapshot: self.view.subvolume(entry.leads_to.subvol)?.snapshot,
        };
        *inode = inode_get(t, self.view, file.file())?;
        if inode.is_dir() && !is_subvolume {
            Dir::of(self, file, inode)?.check_empty(t)?;
        }
        if inode.is_subvol_root() {
            snapshots::unlink(t, inode.subvol)?;
        } else if is_subvolume {
            return Err(Error::SubvolumeNone.into());
        } else {
            remove_link(inode)?;
        }
        forget_place(inode, from.inum, entry.pos.offset);
        touch(from, now);
        inode.ctime = now;
        if links_parent(inode) {
            add_subdirs(from, -1)?;
        }
        let leads_on = entries.leads_on(t, entry.pos.offset)?;
        entries.delete(t, entry.pos.offset, leads_on)?;
        entries.delete_above(t, &entry)?;
        inode_put(t, from)?;
        inode_put(t, inode)?;
        Ok(done)
    }
}

/// The entry at `offset` of the directory `dir` does not lead to `inode` any more.
pub(super) fn forget_place(inode: &mut Inode, dir: u64, offset: u64) {
    if (inode.dir, inode.dir_offset) == (dir, offset) {
        (inode.dir, inode.dir_offset) = (0, 0);
    }
}
