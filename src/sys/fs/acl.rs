// SPDX-License-Identifier: GPL-2.0

//! POSIX access control lists: from C and to C.

use super::{
    inode::{
        INode,
        INodeRef, //
    },
    Attributes,
    FileSystem,
    Result, //
};
use crate::{
    bindings,
    env::{
        num,
        Vec, //
    },
    error::errno::Errno,
    sys::{
        check,
        err_ptr, //
    },
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

impl AclKind {
    /// The kind that C means by `ACL_TYPE_*`.
    pub(super) fn from_raw(kind: c_int) -> Self {
        match kind {
            ACL_TYPE_DEFAULT => Self::Default,
            _ => Self::Access,
        }
    }
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
    let kind = AclKind::from_raw(kind);
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

/// C: the constants of these names.
pub(super) const ACL_TYPE_ACCESS: c_int = 0x8000;
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

/// The entries of a C list; `None` for a null pointer.
///
/// # Safety
///
/// `acl` must be null or a valid list, which does not change.
pub(super) unsafe fn entries_of(acl: *const bindings::posix_acl) -> Result<Option<Vec<AclEntry>>> {
    if acl.is_null() {
        return Ok(None);
    }
    // SAFETY: By the function's contract.
    let count = unsafe { bindings::bch_rs_acl_count(acl) };
    let nomem = |_| Errno::ENOMEM;
    let mut entries = Vec::with_capacity(num::usize_of_u32(count)).map_err(nomem)?;
    for i in 0..count {
        let (mut tag, mut perm, mut id) = (0, 0, 0);
        // SAFETY: As above, and `i` is less than its length.
        unsafe { bindings::bch_rs_acl_get(acl, i, &mut tag, &mut perm, &mut id) };
        entries.push(AclEntry { tag, perm, id }).map_err(nomem)?;
    }
    Ok(Some(entries))
}

/// The lists of a new inode.
///
/// # Invariants
///
/// Each is null, or a valid list of which this has a reference, and that nobody changes.
pub(super) struct Lists {
    default: *mut bindings::posix_acl,
    access: *mut bindings::posix_acl,
}

impl Lists {
    /// What the directory hands down to a new inode, whose permissions are set to go with it.
    ///
    /// # Safety
    ///
    /// `dir` must be a directory, and `inode` an inode that nobody else knows.
    pub(super) unsafe fn for_new(
        dir: *mut bindings::inode,
        inode: *mut bindings::inode,
    ) -> Result<Self> {
        // INVARIANT: Null, until C puts something there that is ours.
        let mut lists = Self {
            default: ptr::null_mut(),
            access: ptr::null_mut(),
        };
        // SAFETY: By the function's contract.
        check(unsafe {
            bindings::bch_rs_acl_create(dir, inode, &mut lists.default, &mut lists.access)
        })?;
        Ok(lists)
    }

    /// Who may do what.
    pub(super) fn access(&self) -> Result<Option<Vec<AclEntry>>> {
        // SAFETY: By the type invariant.
        unsafe { entries_of(self.access) }
    }

    /// What new files in a new directory get.
    pub(super) fn default(&self) -> Result<Option<Vec<AclEntry>>> {
        // SAFETY: By the type invariant.
        unsafe { entries_of(self.default) }
    }

    /// The VFS need not ask for those of `inode`, which are these.
    pub(super) fn cache_at<T: FileSystem>(&self, inode: &INodeRef<T>) {
        // SAFETY: By the type invariant. Caching takes references of its own.
        unsafe {
            bindings::bch_rs_acl_cache(inode.as_ptr(), ACL_TYPE_ACCESS, self.access);
            bindings::bch_rs_acl_cache(inode.as_ptr(), ACL_TYPE_DEFAULT, self.default);
        }
    }
}

impl Drop for Lists {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the references are ours.
        unsafe {
            bindings::bch_rs_acl_put(self.access);
            bindings::bch_rs_acl_put(self.default);
        }
    }
}
