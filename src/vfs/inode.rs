// SPDX-License-Identifier: GPL-2.0

//! Inodes: from the btree to the VFS.

use super::{
    errno::reported,
    Bcachefs, //
};
use crate::{
    format::values::inode::{
        Inode,
        InodeFlags, //
    },
    fs::{
        folds_case,
        inode::find,
        stat::Attr,
        SubvolInum, //
    },
    sys::fs::{
        INodeParams,
        INodeRef,
        Result,
        SuperBlock, //
    },
};

/// Our part of an inode in memory.
pub struct Node {
    /// The inode as it is on disk.
    pub(super) inode: Inode,
    /// The snapshot that its subvolume is at.
    pub(super) snapshot: u32,
}

/// The inode `id` of a mount.
pub(super) fn load(sb: &SuperBlock<Bcachefs>, id: SubvolInum) -> Result<INodeRef<Bcachefs>> {
    let mount = sb.data();
    sb.inode(id, id.inum, || {
        let view = &mount.fs.view;
        let read = || Ok((find(view, id)?, id.file(view)?.snapshot));
        let (inode, snapshot) = read().map_err(|e| reported("lookup", id.inum, e))?;
        let attr = Attr::of(&inode, &mount.times);
        let params = INodeParams {
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
            immutable: inode.flags.has(InodeFlags::IMMUTABLE),
            append: inode.flags.has(InodeFlags::APPEND),
            noatime: inode.flags.has(InodeFlags::NOATIME),
            sync: inode.flags.has(InodeFlags::SYNC),
            casefold: folds_case(mount.fs.view.sb(), &inode),
        };
        Ok((params, Node { inode, snapshot }))
    })
}
