// SPDX-License-Identifier: GPL-2.0

//! Inodes that are about to be made: their memory is there before anything is changed, so that
//! nothing can fail after it was.

use super::{
    inode::{
        has_key,
        INodeRef,
        NewINode,
        Slot, //
    },
    names::Made,
    sb::SuperBlock,
    Complete,
    FileSystem,
    Result, //
};
use crate::{
    bindings,
    error::errno::Errno, //
};
use core::ptr::NonNull;

/// The memory of an inode.
///
/// # Invariants
///
/// Owns one count of an inode that is in no table, whose slot is not ready, and that nobody else
/// knows.
pub(super) struct Fresh<T: FileSystem>(NonNull<Slot<T>>);

impl<T: Complete> Fresh<T> {
    /// Memory for an inode.
    pub(super) fn try_new(sb: &SuperBlock<T>) -> Result<Self> {
        // SAFETY: The superblock is live.
        let inode = unsafe { bindings::new_inode(sb.as_ptr()) };
        // INVARIANT: It is new, with a count; `alloc_inode()` made its slot.
        let inode = NonNull::new(inode).ok_or(Errno::ENOMEM)?;
        Ok(Self(inode.cast()))
    }

    /// The C object.
    pub(super) fn as_ptr(&self) -> *mut bindings::inode {
        self.0.as_ptr().cast()
    }

    /// Makes it the inode that was made.
    pub(super) fn finish(self, made: Made<T>) -> Result<INodeRef<T>> {
        let slot = self.0.as_ptr();
        let mut key = made.key;
        // SAFETY: By the type invariant nobody else knows the inode; the callback gets the key's
        // address for the time of the call.
        let ret = unsafe {
            (*slot).set_key(made.key);
            bindings::insert_inode_locked4(
                slot.cast(),
                made.hash,
                Some(has_key::<T>),
                (&raw mut key).cast(),
            )
        };
        if ret == 0 {
            core::mem::forget(self);
            // SAFETY: It is in the table now, new and locked, with the count that `self` had.
            let new = unsafe { NewINode::from_slot(NonNull::new_unchecked(slot)) };
            return Ok(new.init(&made.params, made.data));
        }
        // Somebody guessed its number and has it in memory already.
        // SAFETY: The superblock is live as long as the inode.
        let sb = unsafe { SuperBlock::<T>::from_raw((*self.as_ptr()).i_sb) };
        sb.inode(made.key, made.hash, || Ok((made.params, made.data)))
    }
}

impl<T: FileSystem> Drop for Fresh<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant there is a count, given up here.
        unsafe { bindings::iput(self.0.as_ptr().cast()) };
    }
}
