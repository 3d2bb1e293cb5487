// SPDX-License-Identifier: GPL-2.0

//! Directories that are filesystems within the filesystem: made and removed by their paths, as
//! mkdirat(2) and unlinkat(2) would, because an ioctl asks for it.

use super::{
    fresh::Fresh,
    inode::{
        INode,
        INodeRef,
        Slot, //
    },
    make::make_by,
    names::{
        name_of,
        Made,
        Names,
        NewNode,
        Place, //
    },
    Complete,
    Result, //
};
use crate::{
    bindings,
    env::num::{
        i32_of_bits,
        u64_of, //
    },
    sys::{
        check,
        returned, //
    },
};
use core::{
    ffi::{
        c_int,
        c_void, //
    },
    ptr, //
};

/// Filesystems within a filesystem.
pub trait Subvolumes: Names {
    /// Makes one as `name` in `dir`. Nothing that may fail is done after it was made.
    fn create_subvolume(dir: &INode<Self>, name: &[u8], new: &NewNode<'_>) -> Result<Made<Self>>;

    /// Makes one as `name` in `dir`, with all that is in another one at the moment: in that whose
    /// root `source` is, or in that which `dir` is in. It is made by the user `uid`.
    fn snapshot(
        dir: &INode<Self>,
        name: &[u8],
        source: Option<&INode<Self>>,
        read_only: bool,
        uid: u32,
    ) -> Result<Made<Self>>;

    /// Takes away the name of the root `inode` of one, with all that is in it.
    fn remove_subvolume(from: Place<'_, Self>, inode: &INode<Self>) -> Result;

    /// Whether an inode is of one that has no name any more.
    fn is_removed(inode: &INode<Self>) -> bool;
}

/// A path that a caller gives.
#[derive(Clone, Copy, Debug)]
pub struct UserPath {
    /// What it is relative to, an open directory.
    pub dirfd: u32,
    /// The address of its text.
    pub text: usize,
}

/// What a new directory is to be.
#[derive(Clone, Copy, Debug)]
pub struct NewSubvolume {
    /// Where it is to be.
    pub at: UserPath,
    /// Permissions, if it is new.
    pub mode: u16,
    /// A snapshot; and if so, whether it is read-only, and the address of the path of what it is
    /// one of, or 0.
    pub snapshot: Option<(bool, usize)>,
}

/// Makes a directory in the filesystem that `on` is in.
pub fn create_subvolume<T: Complete>(on: &INode<T>, new: &NewSubvolume) -> Result {
    let sb = on.sb().as_ptr();
    let mut new = *new;
    let source = match new.snapshot {
        None => 0,
        Some((_, source)) => {
            // What is in the page cache belongs to it.
            // SAFETY: The superblock is live; the caller has a file of it, and holds no locks.
            unsafe { bindings::bch_rs_sync_data(sb) };
            source
        }
    };
    // SAFETY: As above; the callback is for such a structure, which lives during the call.
    check(unsafe {
        bindings::bch_rs_subvol_create(
            sb,
            i32_of_bits(new.at.dirfd),
            u64_of(new.at.text),
            u64_of(source),
            new.mode,
            Some(make::<T>),
            (&raw mut new).cast(),
        )
    })
}

/// Makes the directory.
///
/// # Safety
///
/// For `bch_rs_subvol_create()` to call, with a [`NewSubvolume`] and a locked directory of `T`.
unsafe extern "C" fn make<T: Complete>(
    with: *mut c_void,
    idmap: *mut bindings::mnt_idmap,
    dir: *mut bindings::inode,
    dentry: *mut bindings::dentry,
    mode: bindings::umode_t,
    source: *mut bindings::inode,
) -> c_int {
    // SAFETY: By the function's contract; the source is held, if there is one. The dentry takes
    // over the count of the inode.
    returned(unsafe {
        let name = name_of(dentry);
        let mode = mode & 0o7777 | S_IFDIR;
        let made = match (*with.cast::<NewSubvolume>()).snapshot {
            None => make_by(idmap, dir, (mode, 0), None, |dir, new| {
                T::create_subvolume(dir, name, new)
            }),
            Some((read_only, _)) => {
                let source = (!source.is_null()).then(|| INode::<T>::from_raw(source));
                copy(idmap, dir, mode, |dir, uid| {
                    T::snapshot(dir, name, source, read_only, uid)
                })
            }
        };
        made.map(|inode: INodeRef<T>| bindings::d_instantiate(dentry, inode.into_raw()))
    })
}

/// Makes an inode that gets its attributes from another one; `create` is told who makes it.
///
/// # Safety
///
/// `dir` must be a locked directory of `T`.
unsafe fn copy<T: Complete>(
    idmap: *mut bindings::mnt_idmap,
    dir: *mut bindings::inode,
    mode: u16,
    create: impl FnOnce(&INode<T>, u32) -> Result<Made<T>>,
) -> Result<INodeRef<T>> {
    // SAFETY: By the function's contract; the new inode is ours alone.
    unsafe {
        let parent = INode::<T>::from_raw(dir);
        let fresh = Fresh::try_new(parent.sb())?;
        bindings::inode_init_owner(idmap, fresh.as_ptr(), dir, mode);
        let uid = bindings::i_uid_read(fresh.as_ptr());
        fresh.finish(create(parent, uid)?)
    }
}

/// Removes a directory of the filesystem that `on` is in, with all that is in it.
pub fn remove_subvolume<T: Complete>(on: &INode<T>, at: UserPath) -> Result {
    let sb = on.sb().as_ptr();
    // SAFETY: The superblock is live; the caller has a file of it, and holds no locks.
    check(unsafe {
        bindings::bch_rs_subvol_destroy(
            sb,
            i32_of_bits(at.dirfd),
            u64_of(at.text),
            Some(remove::<T>),
        )
    })?;
    evict_removed(on);
    Ok(())
}

/// Has inodes leave memory that are removed and not used.
pub(super) fn evict_removed<T: Complete>(on: &INode<T>) {
    // SAFETY: The superblock is live, and the callback is for its inodes. Nothing is passed to it.
    unsafe {
        let sb = on.sb().as_ptr();
        bindings::bch_rs_evict_unused(sb, Some(is_removed::<T>), ptr::null_mut());
    }
}

/// # Safety
///
/// For `bch_rs_subvol_destroy()` to call, with a locked directory of `T`.
unsafe extern "C" fn remove<T: Complete>(
    dir: *mut bindings::inode,
    dentry: *mut bindings::dentry,
) -> c_int {
    // SAFETY: By the function's contract.
    returned(unsafe {
        let from = Place {
            dir: INode::<T>::from_raw(dir),
            name: name_of(dentry),
        };
        T::remove_subvolume(from, INode::from_raw((*dentry).d_inode))
    })
}

/// # Safety
///
/// For `bch_rs_evict_unused()` to call, with an inode of `T` that is not new.
unsafe extern "C" fn is_removed<T: Complete>(
    inode: *mut bindings::inode,
    _with: *mut c_void,
) -> bool {
    // SAFETY: An inode that is not new is complete if its slot is ready. It is in the list of the
    // superblock, which is locked, so it is not freed.
    unsafe { (*inode.cast::<Slot<T>>()).is_ready() && T::is_removed(INode::from_raw(inode)) }
}

/// `->drop_inode`: whether the last use was the last one for good.
///
/// # Safety
///
/// For the VFS to call.
pub(super) unsafe extern "C" fn drop_inode<T: Complete>(inode: *mut bindings::inode) -> c_int {
    // SAFETY: An inode of ours, complete if its slot is ready.
    unsafe {
        let is_gone = is_removed::<T>(inode, ptr::null_mut());
        c_int::from(is_gone || bindings::inode_generic_drop(inode) != 0)
    }
}

// C: `S_IFDIR`.
const S_IFDIR: u16 = 0o040000;
