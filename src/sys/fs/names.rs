// SPDX-License-Identifier: GPL-2.0

//! Changing directories.

use super::{
    acl::AclEntry,
    inode::{
        INode,
        INodeParams, //
    },
    make::make,
    Complete,
    FileSystem,
    Result, //
};
use crate::{
    bindings,
    error::errno::Errno,
    sys::{
        err_ptr,
        returned, //
    },
};
use core::{
    ffi::{
        c_int,
        c_uint,
        CStr, //
    },
    ptr,
    slice, //
};
use kernel::{
    ffi::c_char,
    str::CStrExt as _, //
};

/// What a new inode is to have.
#[derive(Clone, Copy, Debug)]
pub struct NewNode<'a> {
    /// Kind and permissions (`S_IF*` and the low 12 bits).
    pub mode: u16,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The device that a special file stands for (kernel's `dev_t`).
    pub rdev: u32,
    /// Where a symbolic link leads.
    pub link: Option<&'a [u8]>,
    /// Who may do what, besides `mode`.
    pub acl: Option<&'a [AclEntry]>,
    /// What new files in a new directory get.
    pub default_acl: Option<&'a [AclEntry]>,
}

/// An inode that was made, for the kernel's table.
pub struct Made<T: FileSystem> {
    /// What identifies it.
    pub key: T::Key,
    /// Where in the table it is.
    pub hash: u64,
    /// What the VFS has to know.
    pub params: INodeParams,
    /// The filesystem's part.
    pub data: T::INode,
}

/// A name in a directory.
pub struct Place<'a, T: FileSystem> {
    /// The directory.
    pub dir: &'a INode<T>,
    /// The name.
    pub name: &'a [u8],
}

/// What becomes of what has the new name in a renaming.
pub enum Over<'a, T: FileSystem> {
    /// There is nothing. If given, a whiteout of this owner and group is put in the old place.
    Free(Option<(u32, u32)>),
    /// It loses the name; the rest as for `Free`.
    Replaced(&'a INode<T>, Option<(u32, u32)>),
    /// It gets the old name.
    Exchanged(&'a INode<T>),
}

/// Changing directories.
pub trait Names: FileSystem {
    /// Makes a file as `name` in `dir`; without a name, one that is gone when it is not used any
    /// more. Nothing that may fail is done after it was made.
    fn create(dir: &INode<Self>, name: Option<&[u8]>, new: &NewNode<'_>) -> Result<Made<Self>>;

    /// Gives `inode` one name more.
    fn link(to: Place<'_, Self>, inode: &INode<Self>) -> Result;

    /// Takes a name of `inode` away, also if it is a directory.
    fn unlink(from: Place<'_, Self>, inode: &INode<Self>) -> Result;

    /// Gives `inode` another name in place of one it has.
    fn rename(
        from: Place<'_, Self>,
        to: Place<'_, Self>,
        inode: &INode<Self>,
        over: &Over<'_, Self>,
    ) -> Result;

    /// Waits until what was changed of an inode, or in a directory, is safe.
    fn sync_inode(inode: &INode<Self>) -> Result;
}

/// The name of a dentry.
///
/// # Safety
///
/// Its name must not change for `'a`: its directory must be locked.
pub(super) unsafe fn name_of<'a>(dentry: *mut bindings::dentry) -> &'a [u8] {
    let mut len = 0;
    // SAFETY: By the function's contract.
    unsafe {
        let name = bindings::bch_rs_dentry_name(dentry, &mut len);
        slice::from_raw_parts(name, len)
    }
}

/// Makes a file for a dentry.
///
/// # Safety
///
/// As for the operations below.
unsafe fn make_at<T: Complete>(
    idmap: *mut bindings::mnt_idmap,
    dir: *mut bindings::inode,
    dentry: *mut bindings::dentry,
    (mode, rdev): (u16, u32),
    link: Option<&[u8]>,
) -> Result {
    // SAFETY: By the function's contract. The dentry takes over the count.
    unsafe {
        let inode = make::<T>(idmap, dir, Some(name_of(dentry)), mode, rdev, link)?;
        bindings::d_instantiate(dentry, inode.into_raw());
    }
    Ok(())
}

/// `->create`.
///
/// # Safety
///
/// For the VFS to call.
pub(super) unsafe extern "C" fn create<T: Complete>(
    idmap: *mut bindings::mnt_idmap,
    dir: *mut bindings::inode,
    dentry: *mut bindings::dentry,
    mode: bindings::umode_t,
) -> c_int {
    // SAFETY: The VFS has locked the directory.
    returned(unsafe { make_at::<T>(idmap, dir, dentry, (mode | S_IFREG, 0), None) })
}

/// `->mkdir`.
///
/// # Safety
///
/// For the VFS to call.
pub(super) unsafe extern "C" fn mkdir<T: Complete>(
    idmap: *mut bindings::mnt_idmap,
    dir: *mut bindings::inode,
    dentry: *mut bindings::dentry,
    mode: bindings::umode_t,
) -> *mut bindings::dentry {
    // SAFETY: The VFS has locked the directory.
    match unsafe { make_at::<T>(idmap, dir, dentry, (mode | S_IFDIR, 0), None) } {
        Ok(()) => ptr::null_mut(),
        Err(e) => err_ptr(e),
    }
}

/// `->mknod`.
///
/// # Safety
///
/// For the VFS to call.
pub(super) unsafe extern "C" fn mknod<T: Complete>(
    idmap: *mut bindings::mnt_idmap,
    dir: *mut bindings::inode,
    dentry: *mut bindings::dentry,
    mode: bindings::umode_t,
    rdev: bindings::dev_t,
) -> c_int {
    // SAFETY: The VFS has locked the directory.
    returned(unsafe { make_at::<T>(idmap, dir, dentry, (mode, rdev), None) })
}

/// `->symlink`.
///
/// # Safety
///
/// For the VFS to call.
pub(super) unsafe extern "C" fn symlink<T: Complete>(
    idmap: *mut bindings::mnt_idmap,
    dir: *mut bindings::inode,
    dentry: *mut bindings::dentry,
    target: *const c_char,
) -> c_int {
    // SAFETY: The VFS has locked the directory, and passes a string.
    returned(unsafe {
        let target = CStr::from_char_ptr(target).to_bytes();
        make_at::<T>(idmap, dir, dentry, (S_IFLNK | 0o777, 0), Some(target))
    })
}

/// `->tmpfile`.
///
/// # Safety
///
/// For the VFS to call.
pub(super) unsafe extern "C" fn tmpfile<T: Complete>(
    idmap: *mut bindings::mnt_idmap,
    dir: *mut bindings::inode,
    file: *mut bindings::file,
    mode: bindings::umode_t,
) -> c_int {
    // SAFETY: The VFS passes a file that is being opened, with a dentry that has no inode, which
    // takes over the count. Its links are none already, so `d_tmpfile()` is not for it.
    unsafe {
        let inode = match make::<T>(idmap, dir, None, mode, 0, None) {
            Ok(inode) => inode.into_raw(),
            Err(e) => return e.0.wrapping_neg(),
        };
        let dentry = (*file).__bindgen_anon_1.f_path.dentry;
        bindings::d_mark_tmpfile(file, inode);
        bindings::d_instantiate(dentry, inode);
        bindings::finish_open(file, dentry, None)
    }
}

/// `->link`.
///
/// # Safety
///
/// For the VFS to call.
pub(super) unsafe extern "C" fn link<T: Complete>(
    old: *mut bindings::dentry,
    dir: *mut bindings::inode,
    dentry: *mut bindings::dentry,
) -> c_int {
    // SAFETY: The VFS has locked the directory and the inode. The dentry gets a count of its own.
    unsafe {
        let inode = (*old).d_inode;
        let to = Place {
            dir: INode::<T>::from_raw(dir),
            name: name_of(dentry),
        };
        let done = T::link(to, INode::from_raw(inode));
        if done.is_ok() {
            bindings::ihold(inode);
            bindings::d_instantiate(dentry, inode);
        }
        returned(done)
    }
}

/// `->unlink`, `->rmdir`.
///
/// # Safety
///
/// For the VFS to call.
pub(super) unsafe extern "C" fn unlink<T: Complete>(
    dir: *mut bindings::inode,
    dentry: *mut bindings::dentry,
) -> c_int {
    // SAFETY: The VFS has locked the directory and the inode.
    returned(unsafe {
        let from = Place {
            dir: INode::<T>::from_raw(dir),
            name: name_of(dentry),
        };
        T::unlink(from, INode::from_raw((*dentry).d_inode))
    })
}

/// `->rename`.
///
/// # Safety
///
/// For the VFS to call.
pub(super) unsafe extern "C" fn rename<T: Complete>(
    idmap: *mut bindings::mnt_idmap,
    old_dir: *mut bindings::inode,
    old: *mut bindings::dentry,
    new_dir: *mut bindings::inode,
    new: *mut bindings::dentry,
    flags: c_uint,
) -> c_int {
    let known = bindings::RENAME_NOREPLACE | bindings::RENAME_EXCHANGE | bindings::RENAME_WHITEOUT;
    if flags & !known != 0 {
        return Errno::EINVAL.0.wrapping_neg();
    }
    // SAFETY: The VFS has locked the directories; names and inodes stay as they are.
    returned(unsafe {
        let place = |dir, dentry| Place {
            dir: INode::<T>::from_raw(dir),
            name: name_of(dentry),
        };
        let there = (*new).d_inode;
        let there = (!there.is_null()).then(|| INode::<T>::from_raw(there));
        let whiteout = match flags & bindings::RENAME_WHITEOUT {
            0 => Ok(None),
            _ => owner_in(idmap, old_dir).map(Some),
        };
        whiteout.and_then(|whiteout| {
            let over = match there {
                None => Over::Free(whiteout),
                Some(there) if flags & bindings::RENAME_EXCHANGE != 0 => Over::Exchanged(there),
                Some(there) => Over::Replaced(there, whiteout),
            };
            let inode = INode::<T>::from_raw((*old).d_inode);
            T::rename(place(old_dir, old), place(new_dir, new), inode, &over)
        })
    })
}

/// Owner and group of a whiteout in a directory.
///
/// # Safety
///
/// `dir` must be a directory of ours.
unsafe fn owner_in(
    idmap: *mut bindings::mnt_idmap,
    dir: *mut bindings::inode,
) -> Result<(u32, u32)> {
    // SAFETY: By the function's contract; the new inode is ours alone.
    unsafe {
        let inode = bindings::new_inode((*dir).i_sb);
        if inode.is_null() {
            return Err(Errno::ENOMEM);
        }
        bindings::inode_init_owner(idmap, inode, dir, S_IFCHR);
        let owner = (bindings::i_uid_read(inode), bindings::i_gid_read(inode));
        bindings::iput(inode);
        Ok(owner)
    }
}

/// `->fsync` of directories.
///
/// # Safety
///
/// For the VFS to call.
pub(super) unsafe extern "C" fn fsync<T: Complete>(
    file: *mut bindings::file,
    _start: bindings::loff_t,
    _end: bindings::loff_t,
    _datasync: c_int,
) -> c_int {
    // SAFETY: An open directory of ours. Times that are only in memory are written first.
    unsafe {
        let inode = bindings::file_inode(file);
        synced(match bindings::sync_inode_metadata(inode, 1) {
            0 => returned(T::sync_inode(INode::<T>::from_raw(inode))),
            e => e,
        })
    }
}

/// What fsync(2) says. `EROFS` would be about files of a kind that can not be synced; what is not
/// safe when writing has ended is an I/O error.
pub(super) fn synced(ret: c_int) -> c_int {
    match ret == Errno::EROFS.0.wrapping_neg() {
        true => Errno::EIO.0.wrapping_neg(),
        false => ret,
    }
}

// C: `S_IFREG` and so on.
const S_IFREG: u16 = 0o100000;
const S_IFDIR: u16 = 0o040000;
const S_IFLNK: u16 = 0o120000;
const S_IFCHR: u16 = 0o020000;
