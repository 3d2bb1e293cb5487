// SPDX-License-Identifier: GPL-2.0

//! New files: from a request of the VFS to an inode in memory.

use super::{
    acl::Lists,
    fresh::Fresh,
    inode::{
        INode,
        INodeRef, //
    },
    names::{
        Made,
        NewNode, //
    },
    Complete,
    Result, //
};
use crate::bindings;

/// Makes a file.
///
/// # Safety
///
/// `dir` must be a directory of `T`, and if there is a name, locked.
pub(super) unsafe fn make<T: Complete>(
    idmap: *mut bindings::mnt_idmap,
    dir: *mut bindings::inode,
    name: Option<&[u8]>,
    mode: u16,
    rdev: u32,
    link: Option<&[u8]>,
) -> Result<INodeRef<T>> {
    // SAFETY: By the function's contract.
    unsafe {
        make_by(idmap, dir, (mode, rdev), link, |dir, new| {
            T::create(dir, name, new)
        })
    }
}

/// Makes a file, by `create`.
///
/// # Safety
///
/// `dir` must be a directory of `T`.
pub(super) unsafe fn make_by<T: Complete>(
    idmap: *mut bindings::mnt_idmap,
    dir: *mut bindings::inode,
    (mode, rdev): (u16, u32),
    link: Option<&[u8]>,
    create: impl FnOnce(&INode<T>, &NewNode<'_>) -> Result<Made<T>>,
) -> Result<INodeRef<T>> {
    // SAFETY: By the function's contract.
    let parent = unsafe { INode::<T>::from_raw(dir) };
    let fresh = Fresh::try_new(parent.sb())?;
    let inode = fresh.as_ptr();
    // SAFETY: The inode is ours alone, and the directory is one.
    let (lists, new_mode, uid, gid) = unsafe {
        bindings::inode_init_owner(idmap, inode, dir, mode);
        (
            Lists::for_new(dir, inode)?,
            (*inode).i_mode,
            bindings::i_uid_read(inode),
            bindings::i_gid_read(inode),
        )
    };
    let (acl, default_acl) = (lists.access()?, lists.default()?);
    let new = NewNode {
        mode: new_mode,
        uid,
        gid,
        rdev,
        link,
        acl: acl.as_deref(),
        default_acl: default_acl.as_deref(),
    };
    let made = fresh.finish(create(parent, &new)?)?;
    lists.cache_at(&made);
    Ok(made)
}
