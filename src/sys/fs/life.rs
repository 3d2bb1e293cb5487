// SPDX-License-Identifier: GPL-2.0

//! Inodes in memory that are written back, or leave it.

use super::{
    inode::{
        INode,
        Slot, //
    },
    write::FileWrite,
    FileSystem,
    Result, //
};
use crate::{
    bindings,
    sys::returned, //
};
use core::ffi::c_int;

/// What inodes in memory have to be written back, or to leave it.
pub trait Life: FileSystem {
    /// Writes the times that the VFS has.
    fn write_times(inode: &INode<Self>) -> Result;

    /// An inode is in memory from now on.
    fn entered(inode: &INode<Self>);

    /// An inode has so many sectors more.
    fn sectors_changed(inode: &INode<Self>, by: i64);

    /// An inode leaves memory, once all that becomes of it was done.
    fn left(inode: &INode<Self>);

    /// Removes an inode that has no name, and that nobody uses any more.
    fn remove(inode: &INode<Self>);
}

/// `->write_inode`.
///
/// # Safety
///
/// For the VFS to call.
pub(super) unsafe extern "C" fn write_inode<T: Life>(
    inode: *mut bindings::inode,
    _wbc: *mut bindings::writeback_control,
) -> c_int {
    // SAFETY: A complete inode of ours; others are not marked dirty.
    returned(T::write_times(unsafe { INode::from_raw(inode) }))
}

/// `->evict_inode`.
///
/// # Safety
///
/// For the VFS to call.
pub(super) unsafe extern "C" fn evict_inode<T: Life + FileWrite>(inode: *mut bindings::inode) {
    // SAFETY: The last use of an inode of ours. It is complete if its slot is ready, and stays in
    // the table until this returns: whoever looks for it waits.
    unsafe {
        bindings::truncate_inode_pages_final(&raw mut (*inode).i_data);
        bindings::clear_inode(inode);
        let is_ready = (*inode.cast::<Slot<T>>()).is_ready();
        if is_ready {
            // For what nothing became of.
            T::release_all(INode::from_raw(inode));
        }
        if is_ready && (*inode).__bindgen_anon_1.i_nlink == 0 {
            T::remove(INode::from_raw(inode));
        }
        if is_ready {
            T::left(INode::from_raw(inode));
        }
    }
}
