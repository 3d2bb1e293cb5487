// SPDX-License-Identifier: GPL-2.0

//! POSIX access control lists.

use super::{
    inode::INode,
    Attributes,
    Result, //
};
use crate::{
    bindings,
    env::num,
    error::errno::Errno,
    sys::err_ptr, //
};
use core::{
    ffi::c_int,
    ptr, //
};

/// Which of an inode's lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AclKind {
    /// Who may do what with the file.
    Access,
    /// What new files in the directory get.
    Default,
}

/// An entry of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AclEntry {
    /// Whom it is for (`ACL_*`, as in `linux/posix_acl.h`).
    pub tag: u16,
    /// What they may do, as three bits.
    pub perm: u16,
    /// The user's or group's id, where the tag wants one.
    pub id: u32,
}

/// `->get_inode_acl`.
///
/// # Safety
///
/// For the VFS to call.
pub(super) unsafe extern "C" fn get_inode_acl<T: Attributes>(
    inode: *mut bindings::inode,
    kind: c_int,
    rcu: bool,
) -> *mut kernel::bindings::posix_acl {
    if rcu {
        // Not where nothing may sleep; the VFS comes again.
        return err_ptr(ECHILD);
    }
    let kind = if kind == ACL_TYPE_DEFAULT {
        AclKind::Default
    } else {
        AclKind::Access
    };
    // SAFETY: `inode` is an inode of ours.
    match T::get_acl(unsafe { INode::from_raw(inode) }, kind) {
        Ok(None) => ptr::null_mut(),
        Ok(Some(entries)) => match build(&entries) {
            Ok(acl) => acl.cast(),
            Err(e) => err_ptr(e),
        },
        Err(e) => err_ptr(e),
    }
}

/// `ACL_TYPE_DEFAULT` of `uapi/linux/posix_acl.h`.
const ACL_TYPE_DEFAULT: c_int = 0x4000;
/// "Try again where you can sleep."
const ECHILD: Errno = Errno(10);

/// The list as a C object, which the caller owns.
fn build(entries: &[AclEntry]) -> Result<*mut bindings::posix_acl> {
    let count = num::sat_u32(entries.len());
    // SAFETY: Makes a list with room for `count` entries.
    let acl = unsafe { bindings::bch_rs_acl_alloc(count) };
    if acl.is_null() {
        return Err(Errno::ENOMEM);
    }
    for (i, e) in (0..count).zip(entries) {
        // SAFETY: The list is ours, and `i` is less than its length.
        unsafe { bindings::bch_rs_acl_set(acl, i, e.tag, e.perm, e.id) };
    }
    Ok(acl)
}
