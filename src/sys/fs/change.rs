// SPDX-License-Identifier: GPL-2.0

//! Changing attributes.

use super::{
    acl::{
        entries_of,
        AclEntry,
        AclKind, //
    },
    attr::FileFlags,
    inode::INode,
    Complete,
    FileSystem,
    Result, //
};
use crate::{
    bindings,
    env::{
        num,
        Vec, //
    },
    sys::{
        check,
        returned, //
    },
};
use core::{
    ffi::c_int,
    ptr, //
};

/// A time: seconds since 1970 and nanoseconds.
pub type Time = (i64, u32);

/// Attributes to be set.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewAttributes {
    /// Kind and permissions.
    pub mode: Option<u16>,
    /// The owner.
    pub uid: Option<u32>,
    /// The group.
    pub gid: Option<u32>,
    /// Last access.
    pub atime: Option<Time>,
    /// Last change of the contents.
    pub mtime: Option<Time>,
    /// Last change of the inode.
    pub ctime: Option<Time>,
}

/// Whether an extended attribute has to be there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XattrMode {
    /// It may or may not.
    Any,
    /// It must not.
    Create,
    /// It must.
    Replace,
    /// Both, which is never so.
    Never,
}

/// Changing attributes.
pub trait Changeable: FileSystem {
    /// Sets attributes, and with them the access control list, if one is given.
    fn set_attributes(inode: &INode<Self>, new: &NewAttributes, acl: Option<&[AclEntry]>)
        -> Result;

    /// Makes a regular file `size` bytes long.
    fn resize(inode: &INode<Self>, size: u64) -> Result;

    /// Sets flags: by [`FileFlags::flags`] if `plain`, else by the others, and the project.
    fn set_flags(inode: &INode<Self>, new: &FileFlags, plain: bool) -> Result;

    /// Sets an extended attribute of name space `space`, or removes it when `value` is `None`.
    fn set_xattr(
        inode: &INode<Self>,
        space: i32,
        name: &[u8],
        value: Option<&[u8]>,
        mode: XattrMode,
    ) -> Result;

    /// Sets an access control list, or that there is none, with the permissions to go with it.
    fn set_acl(inode: &INode<Self>, kind: AclKind, list: Option<&[AclEntry]>, mode: u16) -> Result;
}

/// `->setattr`.
///
/// # Safety
///
/// For the VFS to call.
pub(super) unsafe extern "C" fn setattr<T: Complete>(
    idmap: *mut bindings::mnt_idmap,
    dentry: *mut bindings::dentry,
    attr: *mut bindings::iattr,
) -> c_int {
    // SAFETY: By the function's contract.
    returned(unsafe { set_attributes::<T>(idmap, dentry, attr) })
}

/// Sets what is asked for.
///
/// # Safety
///
/// As [`setattr`].
unsafe fn set_attributes<T: Complete>(
    idmap: *mut bindings::mnt_idmap,
    dentry: *mut bindings::dentry,
    attr: *mut bindings::iattr,
) -> Result {
    // SAFETY: The VFS has locked the inode, and passes what is to be set.
    let (inode, given) = unsafe {
        check(bindings::setattr_prepare(idmap, dentry, attr))?;
        let inode = (*dentry).d_inode;
        if (*attr).ia_valid & bindings::ATTR_SIZE != 0 {
            let (file, size) = (INode::<T>::from_raw(inode), (*attr).ia_size);
            let is_other = file.size() != num::u64_of_bits(size);
            // truncate(2) leaves it to the filesystem to see whether anything changes.
            if is_other {
                (*attr).ia_valid |= bindings::ATTR_MTIME | bindings::ATTR_CTIME;
            }
            // Space can be allocated behind the end, which goes.
            if is_other || (*inode).i_blocks != 0 {
                T::resize(file, num::u64_of_bits(size))?;
            }
        }
        let mut given = pin_init::zeroed();
        bindings::bch_rs_attr_values(idmap, inode, attr, &mut given);
        (inode, given)
    };
    let has = |flag| given.valid & flag != 0;
    let new = NewAttributes {
        mode: has(bindings::ATTR_MODE).then_some(given.mode),
        uid: has(bindings::ATTR_UID).then_some(given.uid),
        gid: has(bindings::ATTR_GID).then_some(given.gid),
        atime: has(bindings::ATTR_ATIME).then_some((given.atime_sec, given.atime_nsec)),
        mtime: has(bindings::ATTR_MTIME).then_some((given.mtime_sec, given.mtime_nsec)),
        ctime: has(bindings::ATTR_CTIME).then_some((given.ctime_sec, given.ctime_nsec)),
    };
    let mut acl = ptr::null_mut();
    if let Some(mode) = new.mode {
        // SAFETY: An inode of ours, locked; what comes back is ours.
        unsafe { check(bindings::bch_rs_acl_chmod(inode, mode, &mut acl))? };
    }
    // SAFETY: As above. The list is null or valid; caching it takes a reference of its own.
    unsafe {
        let done = entries_of(acl).and_then(|entries| {
            T::set_attributes(INode::<T>::from_raw(inode), &new, entries.as_deref())
        });
        if done.is_ok() && !acl.is_null() {
            bindings::bch_rs_acl_cache(inode, super::acl::ACL_TYPE_ACCESS, acl);
        }
        bindings::bch_rs_acl_put(acl);
        done
    }
}

/// `->fileattr_set`.
///
/// # Safety
///
/// For the VFS to call.
pub(super) unsafe extern "C" fn fileattr_set<T: Complete>(
    _idmap: *mut bindings::mnt_idmap,
    dentry: *mut bindings::dentry,
    fa: *mut kernel::bindings::file_kattr,
) -> c_int {
    // SAFETY: The VFS has locked the inode, which is one of ours, and checked who asks.
    returned(unsafe {
        let fa: *mut bindings::file_kattr = fa.cast();
        let new = FileFlags {
            flags: (*fa).flags,
            xflags: (*fa).fsx_xflags,
            project: (*fa).fsx_projid,
        };
        T::set_flags(
            INode::<T>::from_raw((*dentry).d_inode),
            &new,
            (*fa).flags_valid(),
        )
    })
}

/// `->set_acl`.
///
/// # Safety
///
/// For the VFS to call.
pub(super) unsafe extern "C" fn set_acl<T: Complete>(
    idmap: *mut bindings::mnt_idmap,
    dentry: *mut bindings::dentry,
    acl: *mut kernel::bindings::posix_acl,
    kind: c_int,
) -> c_int {
    let mut acl: *mut bindings::posix_acl = acl.cast();
    // SAFETY: The VFS has locked the inode, which is one of ours. The list is the caller's, null or
    // valid; `posix_acl_update_mode()` makes the pointer null when the permissions say it all.
    returned(unsafe {
        let inode = (*dentry).d_inode;
        let mut mode = (*inode).i_mode;
        let updated = match kind {
            super::acl::ACL_TYPE_ACCESS if !acl.is_null() => check(
                bindings::bch_rs_acl_update_mode(idmap, inode, &mut mode, &mut acl),
            ),
            _ => Ok(()),
        };
        let list: Result<Option<Vec<AclEntry>>> = updated.and_then(|()| entries_of(acl));
        list.and_then(|list| {
            let of = AclKind::from_raw(kind);
            T::set_acl(INode::<T>::from_raw(inode), of, list.as_deref(), mode)?;
            bindings::bch_rs_acl_cache(inode, kind, acl);
            Ok(())
        })
    })
}
