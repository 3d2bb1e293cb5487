// SPDX-License-Identifier: GPL-2.0

//! Symbolic links, and the operations of devices, pipes and sockets.

use super::{
    attr,
    change,
    inode::INode,
    xattr,
    Attributes,
    Complete, //
};
use crate::{
    bindings,
    error::errno::Errno,
    sys::err_ptr, //
};
use core::marker::PhantomData;
use kernel::{
    alloc::flags::GFP_KERNEL,
    ffi::c_char,
    prelude::*, //
};

/// The operation tables of symbolic links and special files.
struct Tables<T>(PhantomData<T>);

impl<T: Complete> Tables<T> {
    const LINK: bindings::inode_operations = bindings::inode_operations {
        get_link: Some(get_link::<T>),
        setattr: Some(change::setattr::<T>),
        fileattr_set: Some(change::fileattr_set::<T>),
        getattr: Some(attr::getattr::<T>),
        listxattr: Some(xattr::listxattr::<T>),
        fileattr_get: Some(attr::fileattr_get::<T>),
        ..pin_init::zeroed()
    };

    const SPECIAL: bindings::inode_operations = bindings::inode_operations {
        setattr: Some(change::setattr::<T>),
        set_acl: Some(change::set_acl::<T>),
        fileattr_set: Some(change::fileattr_set::<T>),
        getattr: Some(attr::getattr::<T>),
        listxattr: Some(xattr::listxattr::<T>),
        get_inode_acl: Some(super::acl::get_inode_acl::<T>),
        fileattr_get: Some(attr::fileattr_get::<T>),
        ..pin_init::zeroed()
    };
}

/// Makes `inode` a symbolic link.
///
/// # Safety
///
/// `inode` must be a new inode of `T`.
pub(super) unsafe fn set_operations<T: Complete>(inode: *mut bindings::inode) {
    // SAFETY: By the function's contract.
    unsafe { (*inode).i_op = &Tables::<T>::LINK };
}

/// Completes a device, pipe or socket.
///
/// # Safety
///
/// `inode` must be a new inode of `T`.
pub(super) unsafe fn set_special_operations<T: Complete>(inode: *mut bindings::inode) {
    // SAFETY: By the function's contract.
    unsafe { (*inode).i_op = &Tables::<T>::SPECIAL };
}

/// `->get_link`.
///
/// # Safety
///
/// For the VFS to call.
unsafe extern "C" fn get_link<T: Attributes>(
    dentry: *mut bindings::dentry,
    inode: *mut bindings::inode,
    done: *mut bindings::delayed_call,
) -> *const c_char {
    // Without a dentry it must not sleep; the VFS comes again with one.
    if dentry.is_null() {
        return err_ptr(ECHILD);
    }
    // SAFETY: `inode` is a symbolic link of ours.
    let text = match target::<T>(unsafe { INode::from_raw(inode) }) {
        Ok(text) => text,
        Err(e) => return err_ptr(e),
    };
    let (text, ..) = text.into_raw_parts();
    // SAFETY: The text is kmalloc memory that nobody else has; the VFS frees it through `done`.
    unsafe { bindings::bch_rs_free_link_later(done, text) };
    text
}

/// "Try again where you can sleep."
const ECHILD: Errno = Errno(10);

/// The target with a NUL at its end, in kmalloc memory.
fn target<T: Attributes>(inode: &INode<T>) -> Result<KVec<u8>, Errno> {
    let target = T::read_link(inode)?;
    let len = target.iter().position(|&b| b == 0).unwrap_or(target.len());
    let target = target.get(..len).unwrap_or_default();
    let nomem = |_| Errno::ENOMEM;
    let mut text = KVec::with_capacity(len.wrapping_add(1), GFP_KERNEL).map_err(nomem)?;
    text.extend_from_slice(target, GFP_KERNEL).map_err(nomem)?;
    text.push(0, GFP_KERNEL).map_err(nomem)?;
    Ok(text)
}
