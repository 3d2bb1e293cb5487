// SPDX-License-Identifier: GPL-2.0

//! What is held while an ioctl changes something.

use super::{
    inode::INode,
    FileSystem,
    Result, //
};
use crate::{
    bindings,
    sys::check, //
};

/// The right to write to the mount that an open file is of.
///
/// # Invariants
///
/// The file is open, and the right was taken.
pub(super) struct WriteAccess(*mut bindings::file);

impl WriteAccess {
    /// Takes the right; an error when the mount is read-only.
    ///
    /// # Safety
    ///
    /// `file` must be open as long as the result is there.
    pub(super) unsafe fn take(file: *mut bindings::file) -> Result<Self> {
        // SAFETY: By the function's contract.
        check(unsafe { bindings::mnt_want_write_file(file.cast()) })?;
        // INVARIANT: Just taken.
        Ok(Self(file))
    }
}

impl Drop for WriteAccess {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::mnt_drop_write_file(self.0.cast()) };
    }
}

/// An inode that nobody else changes meanwhile, as in the system calls that change one.
///
/// # Invariants
///
/// The inode is locked by us.
pub struct LockedInode<'a, T: FileSystem>(&'a INode<T>);

impl<T: FileSystem> INode<T> {
    /// Waits until nobody changes it. No other inode may be locked by the caller.
    pub fn lock(&self) -> LockedInode<'_, T> {
        // SAFETY: The inode is valid by the type invariant.
        unsafe { bindings::inode_lock(self.as_ptr()) };
        // INVARIANT: Just locked.
        LockedInode(self)
    }
}

impl<T: FileSystem> Drop for LockedInode<'_, T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::inode_unlock(self.0.as_ptr()) };
    }
}
