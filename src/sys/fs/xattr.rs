// SPDX-License-Identifier: GPL-2.0

//! Extended attributes.

use super::{
    change::XattrMode,
    inode::INode,
    Attributes,
    Complete,
    FileSystem,
    Result, //
};
use crate::{
    bindings,
    error::errno::Errno,
    sys::{
        caller,
        returned, //
    },
};
use core::{
    ffi::{
        c_int,
        c_void,
        CStr, //
    },
    marker::PhantomData,
    slice, //
};
use kernel::{
    ffi::c_char,
    str::{
        as_char_ptr_in_const_context,
        CStrExt as _, //
    },
};

/// A name space of extended attributes, such as `user.`.
#[repr(transparent)]
pub struct XattrHandler<T: FileSystem>(bindings::xattr_handler, PhantomData<fn() -> T>);

// SAFETY: Never changed after it was made.
unsafe impl<T: FileSystem> Sync for XattrHandler<T> {}

impl<T: Complete> XattrHandler<T> {
    /// The name space of names that start with `prefix`; `space` is its number for
    /// [`Attributes::get_xattr`].
    pub const fn new(prefix: &'static CStr, space: i32) -> Self {
        Self(
            bindings::xattr_handler {
                prefix: as_char_ptr_in_const_context(prefix),
                flags: space,
                get: Some(get::<T>),
                set: Some(set::<T>),
                ..pin_init::zeroed()
            },
            PhantomData,
        )
    }
}

/// The table of name spaces as C wants it.
pub(super) fn table<T: Complete>() -> *const *const bindings::xattr_handler {
    const {
        // C finds the end of the table by its last, empty, entry.
        assert!(matches!(T::XATTRS.last(), Some(None)));
    }
    // An `Option` of a reference is a pointer, null for `None`; a handler is transparent.
    T::XATTRS.as_ptr().cast()
}

/// `->get`.
///
/// # Safety
///
/// For the VFS to call.
unsafe extern "C" fn get<T: Attributes>(
    handler: *const bindings::xattr_handler,
    _dentry: *mut bindings::dentry,
    inode: *mut bindings::inode,
    name: *const c_char,
    buffer: *mut c_void,
    size: usize,
) -> c_int {
    // SAFETY: The VFS passes an inode of ours, a name without the prefix, and either a buffer of
    // `size` bytes or none.
    let result = unsafe {
        let buf = if buffer.is_null() {
            None
        } else {
            Some(slice::from_raw_parts_mut(buffer.cast::<u8>(), size))
        };
        T::get_xattr(
            INode::from_raw(inode),
            (*handler).flags,
            CStr::from_char_ptr(name).to_bytes(),
            buf,
        )
    };
    match result.map(c_int::try_from) {
        Ok(Ok(len)) => len,
        Ok(Err(_)) => Errno::ERANGE.0.wrapping_neg(),
        Err(e) => e.0.wrapping_neg(),
    }
}

/// `->set`.
///
/// # Safety
///
/// For the VFS to call.
unsafe extern "C" fn set<T: Complete>(
    handler: *const bindings::xattr_handler,
    _idmap: *mut bindings::mnt_idmap,
    _dentry: *mut bindings::dentry,
    inode: *mut bindings::inode,
    name: *const c_char,
    value: *const c_void,
    size: usize,
    flags: c_int,
) -> c_int {
    const BOTH: u32 = bindings::XATTR_CREATE | bindings::XATTR_REPLACE;
    let mode = match u32::try_from(flags).unwrap_or(0) {
        bindings::XATTR_CREATE => XattrMode::Create,
        bindings::XATTR_REPLACE => XattrMode::Replace,
        BOTH => XattrMode::Never,
        _ => XattrMode::Any,
    };
    // SAFETY: The VFS passes an inode of ours, which it has locked, a name without the prefix, and
    // either a value of `size` bytes or none.
    returned(unsafe {
        let value = match value.is_null() {
            true => None,
            false => Some(slice::from_raw_parts(value.cast::<u8>(), size)),
        };
        T::set_xattr(
            INode::from_raw(inode),
            (*handler).flags,
            CStr::from_char_ptr(name).to_bytes(),
            value,
            mode,
        )
    })
}

/// Where the names of extended attributes go.
pub struct XattrList<'a> {
    /// `None` when only the length is wanted.
    buf: Option<&'a mut [u8]>,
    len: usize,
}

impl XattrList<'_> {
    /// Adds the name `prefix` + `name`.
    pub fn add(&mut self, prefix: &[u8], name: &[u8]) -> Result {
        for &b in prefix.iter().chain(name).chain(&[0]) {
            if let Some(buf) = &mut self.buf {
                *buf.get_mut(self.len).ok_or(Errno::ERANGE)? = b;
            }
            self.len = self.len.wrapping_add(1);
        }
        Ok(())
    }

    /// Whether the caller may see attributes that are for administrators.
    pub fn for_admin(&self) -> bool {
        caller::is_admin()
    }
}

/// `->listxattr`.
///
/// # Safety
///
/// For the VFS to call.
pub(super) unsafe extern "C" fn listxattr<T: Attributes>(
    dentry: *mut bindings::dentry,
    buffer: *mut c_char,
    size: usize,
) -> isize {
    // SAFETY: The VFS passes a dentry with an inode of ours, and a buffer of `size` bytes or none.
    let (inode, buf) = unsafe {
        let buf = if buffer.is_null() || size == 0 {
            None
        } else {
            Some(slice::from_raw_parts_mut(buffer.cast::<u8>(), size))
        };
        (INode::<T>::from_raw((*dentry).d_inode), buf)
    };
    let mut list = XattrList { buf, len: 0 };
    match T::list_xattr(inode, &mut list) {
        Ok(()) => isize::try_from(list.len).unwrap_or(isize::MAX),
        Err(e) => isize::try_from(e.0).unwrap_or(1).wrapping_neg(),
    }
}
