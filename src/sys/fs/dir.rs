// SPDX-License-Identifier: GPL-2.0

//! Directories: lookup and readdir.

use super::{
    attr,
    inode::INode,
    xattr,
    Complete,
    Directory,
    Result, //
};
use crate::{
    bindings,
    env::num,
    sys::{
        err_ptr,
        returned, //
    },
};
use core::{
    ffi::{
        c_int,
        c_uint, //
    },
    marker::PhantomData,
    slice, //
};

/// Where the entries of a directory go.
///
/// # Invariants
///
/// The context of a readdir(3) call that lasts as long as `'a`.
pub struct DirEmitter<'a> {
    ctx: *mut bindings::dir_context,
    call: PhantomData<&'a mut ()>,
}

impl DirEmitter<'_> {
    /// The first position that is wanted, at least 2.
    pub fn pos(&self) -> u64 {
        // SAFETY: By the type invariant.
        num::u64_of_bits(unsafe { (*self.ctx).pos })
    }

    /// Emits an entry with position `pos`. Returns `false` if there is no room for it: it comes
    /// first the next time. `kind` is a `DT_*` number.
    pub fn emit(&mut self, pos: u64, name: &[u8], ino: u64, kind: u8) -> bool {
        let Ok(len) = c_int::try_from(name.len()) else {
            return true;
        };
        // SAFETY: By the type invariant; the name is readable for its length.
        unsafe {
            (*self.ctx).pos = num::i64_of_bits(pos);
            bindings::dir_emit(self.ctx, name.as_ptr(), len, ino, c_uint::from(kind))
        }
    }

    /// Makes `pos` the position to go on from: after the last entry emitted, or at the end.
    pub fn advance(&mut self, pos: u64) {
        // SAFETY: By the type invariant.
        unsafe { (*self.ctx).pos = num::i64_of_bits(pos) };
    }
}

/// The operation tables of directories.
struct Tables<T>(PhantomData<T>);

impl<T: Complete> Tables<T> {
    const INODE: bindings::inode_operations = bindings::inode_operations {
        lookup: Some(lookup::<T>),
        getattr: Some(attr::getattr::<T>),
        listxattr: Some(xattr::listxattr::<T>),
        get_inode_acl: Some(super::acl::get_inode_acl::<T>),
        fileattr_get: Some(attr::fileattr_get::<T>),
        ..pin_init::zeroed()
    };

    const FILE: bindings::file_operations = bindings::file_operations {
        llseek: Some(bindings::generic_file_llseek),
        read: Some(bindings::generic_read_dir),
        iterate_shared: Some(iterate::<T>),
        setlease: Some(bindings::generic_setlease),
        ..pin_init::zeroed()
    };
}

/// Makes `inode` a directory.
///
/// # Safety
///
/// `inode` must be a new inode of `T`.
pub(super) unsafe fn set_operations<T: Complete>(inode: *mut bindings::inode) {
    // SAFETY: By the function's contract.
    unsafe {
        (*inode).i_op = &Tables::<T>::INODE;
        (*inode).__bindgen_anon_3.i_fop = &Tables::<T>::FILE;
    }
}

/// `->lookup`.
///
/// # Safety
///
/// For the VFS to call.
unsafe extern "C" fn lookup<T: Directory>(
    dir: *mut bindings::inode,
    dentry: *mut bindings::dentry,
    _flags: c_uint,
) -> *mut bindings::dentry {
    // SAFETY: `dir` is a directory of ours. The name does not change while the directory is
    // locked, which it is. `d_splice_alias()` takes over the inode's count, and takes a null inode
    // or an errno just as well.
    unsafe {
        let mut len = 0;
        let name = bindings::bch_rs_dentry_name(dentry, &mut len);
        let inode = match T::lookup(INode::from_raw(dir), slice::from_raw_parts(name, len)) {
            Ok(Some(inode)) => inode.into_raw(),
            Ok(None) => core::ptr::null_mut(),
            Err(e) => err_ptr(e),
        };
        bindings::d_splice_alias(inode, dentry)
    }
}

/// `->iterate_shared`.
///
/// # Safety
///
/// For the VFS to call.
unsafe extern "C" fn iterate<T: Directory>(
    file: *mut bindings::file,
    ctx: *mut bindings::dir_context,
) -> c_int {
    // SAFETY: `file` is an open directory of ours.
    let dir = unsafe {
        if !bindings::dir_emit_dots(file, ctx) {
            return 0;
        }
        INode::<T>::from_raw(bindings::file_inode(file))
    };
    // INVARIANT: The VFS passed the context for this call.
    let mut to = DirEmitter {
        ctx,
        call: PhantomData,
    };
    let result: Result = T::readdir(dir, &mut to);
    returned(result)
}
