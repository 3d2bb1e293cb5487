// SPDX-License-Identifier: GPL-2.0

//! Inodes: from the btree to the VFS, and what a change makes of them.

use super::{
    charge::{
        self,
        Charge, //
    },
    errno::{
        errno,
        reported_of, //
    },
    Bcachefs,
    Mount, //
};
use crate::{
    btree::trans::Committed,
    data::{
        write::WriteOptions,
        Delalloc, //
    },
    format::values::inode::{
        Inode,
        InodeFlags, //
    },
    fs::{
        change::Changes,
        folds_case,
        inode::find,
        stat::Attr,
        SubvolInum, //
    },
    sb::SbState,
    sys::{
        fs::{
            INode,
            INodeParams,
            INodeRef,
            InodeBits,
            Result,
            Shown,
            SuperBlock,
            Time, //
        },
        sync::SpinLock, //
    },
};

/// Our part of an inode in memory.
pub struct Node {
    known: SpinLock<Known>,
    /// The snapshot that its subvolume was at when it was read.
    pub(super) snapshot: u32,
    /// Blocks that are going to be written.
    pub(super) dirty: Delalloc,
    /// What it counts for.
    pub(super) charge: Charge,
}

/// What is known of an inode.
struct Known {
    /// As of the last commit.
    inode: Inode,
    /// When that was.
    at: Committed,
}

/// Which of the times were changed. Of the others the VFS may have newer ones, that are not
/// written yet.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    pub(super) atime: bool,
    pub(super) mtime: bool,
    pub(super) ctime: bool,
}

impl Times {
    /// Only the inode.
    pub(super) const CHANGE: Self = Self {
        atime: false,
        mtime: false,
        ctime: true,
    };
    /// The contents, and with them the inode.
    pub(super) const CONTENTS: Self = Self {
        mtime: true,
        ..Self::CHANGE
    };
}

impl Node {
    /// Of an inode that was read, or made, `at` that time.
    pub(super) fn try_new(
        inode: Inode,
        snapshot: u32,
        at: Committed,
    ) -> crate::error::Result<Self> {
        Ok(Self {
            known: SpinLock::try_new(Known { inode, at })?,
            snapshot,
            dirty: Delalloc::try_new()?,
            charge: Charge::none(),
        })
    }

    /// For an inode that is about to be made: memory, so that nothing can fail afterwards.
    pub(super) fn unused() -> crate::error::Result<Self> {
        Self::try_new(Inode::default(), 0, Committed::default())
    }

    /// It is the one of `inode`, which was made `at` that time.
    pub(super) fn set(&mut self, inode: Inode, snapshot: u32, at: Committed) {
        let journal_seq = at.seq;
        let inode = Inode {
            journal_seq,
            ..inode
        };
        *self.known.lock() = Known { inode, at };
        self.snapshot = snapshot;
    }

    /// The inode as of the last commit.
    pub(super) fn inode(&self) -> Inode {
        self.known.lock().inode
    }

    /// How many copies of its data there are to be.
    pub(super) fn nr_replicas(&self, st: &SbState) -> u8 {
        WriteOptions::nr_replicas_of(st, self.known.lock().inode.data_replicas)
    }

    /// The journal entry with the last change of the inode.
    pub(super) fn journal_seq(&self) -> u64 {
        self.known.lock().inode.journal_seq
    }
}

/// The inode was changed, and is `new` since `at`. Changes of one inode may come here in another
/// order than they were made; only the last one counts.
///
/// C: `bch2_inode_update_after_write()`.
pub(super) fn committed(inode: &INode<Bcachefs>, new: &Inode, at: Committed, times: Times) {
    let mount = inode.sb().data();
    let shown = shown(mount, new, times);
    {
        let mut known = inode.data().known.lock();
        if at > known.at {
            known.inode = *new;
            known.inode.journal_seq = at.seq;
            known.at = at;
            inode.show(&shown);
        }
    }
    charge::moved(inode);
}

fn shown(mount: &Mount, inode: &Inode, times: Times) -> Shown {
    let attr = Attr::of(inode, &mount.times);
    let time = |wanted: bool, t: crate::algo::time::Timespec| wanted.then_some((t.sec, t.nsec));
    Shown {
        mode: attr.mode,
        nlink: attr.links,
        uid: attr.uid,
        gid: attr.gid,
        flags: bits(mount, inode),
        times: [
            time(times.atime, attr.atime),
            time(times.mtime, attr.mtime),
            time(times.ctime, attr.ctime),
        ],
    }
}

fn bits(mount: &Mount, inode: &Inode) -> InodeBits {
    InodeBits {
        immutable: inode.flags.has(InodeFlags::IMMUTABLE),
        append: inode.flags.has(InodeFlags::APPEND),
        noatime: inode.flags.has(InodeFlags::NOATIME),
        sync: inode.flags.has(InodeFlags::SYNC),
        casefold: folds_case(mount.fs.view.sb(), inode),
    }
}

/// What the VFS has to know of an inode.
pub(super) fn params(mount: &Mount, inode: &Inode) -> INodeParams {
    let attr = Attr::of(inode, &mount.times);
    INodeParams {
        ino: attr.inum,
        mode: attr.mode,
        nlink: attr.links,
        uid: attr.uid,
        gid: attr.gid,
        size: attr.size,
        sectors: attr.sectors,
        atime: (attr.atime.sec, attr.atime.nsec),
        mtime: (attr.mtime.sec, attr.mtime.nsec),
        ctime: (attr.ctime.sec, attr.ctime.nsec),
        rdev: inode.dev,
        generation: inode.generation,
        flags: bits(mount, inode),
    }
}

/// The inode `id` of a mount.
pub(super) fn load(sb: &SuperBlock<Bcachefs>, id: SubvolInum) -> Result<INodeRef<Bcachefs>> {
    let mount = sb.data();
    sb.inode(id, id.inum, || {
        let view = &mount.fs.view;
        let read = || {
            let inode = find(view, id)?;
            let mut node = Node::try_new(inode, id.file(view)?.snapshot, Committed::default())?;
            node.charge = Charge::of(mount, id.subvol, &inode)?;
            Ok((params(mount, &inode), node))
        };
        read().map_err(|e| reported_of(mount.fs.view.sb(), "lookup", id.inum, e))
    })
}

/// What it takes to change files of a mount.
pub(super) fn changes(mount: &Mount) -> Result<Changes<'_>> {
    mount.fs.changes().map_err(errno)
}

/// A time as it is stored.
pub(super) fn raw_time(mount: &Mount, (sec, nsec): Time) -> u64 {
    mount.times.raw(crate::algo::time::Timespec { sec, nsec })
}

/// The time of a change of the inode that begins now, as it is stored.
pub(super) fn change_time(inode: &INode<Bcachefs>) -> u64 {
    raw_time(inode.sb().data(), inode.change_time())
}
