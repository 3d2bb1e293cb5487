// SPDX-License-Identifier: GPL-2.0

//! Handles of files: for NFS servers and open_by_handle_at(2).

use super::{
    inode::{
        INode,
        INodeRef, //
    },
    sb::SuperBlock,
    Complete,
    FileSystem,
    Result, //
};
use crate::{
    bindings,
    env::Vec,
    sys::{
        err_ptr,
        returned, //
    },
};
use core::{
    ffi::c_int,
    marker::PhantomData,
    ptr,
    slice, //
};

/// Bytes in the part of a handle that identifies one file.
pub const HANDLE_BYTES: usize = 16;
/// Units of 32 bits in that part.
const WORDS: c_int = 4;
/// The longest name.
const NAME_MAX: usize = 255;

/// Files that can be found by a handle.
pub trait Exported: FileSystem {
    /// The type of a handle for a file alone.
    const ALONE: u8;
    /// The type of a handle for a file, followed by one for a directory it is in.
    const WITH_PARENT: u8;

    /// The handle of an inode.
    fn handle(inode: &INode<Self>) -> [u8; HANDLE_BYTES];

    /// The inode that a handle is for. The handle may be anything.
    fn by_handle(sb: &SuperBlock<Self>, handle: &[u8; HANDLE_BYTES]) -> Result<INodeRef<Self>>;

    /// The directory above a directory.
    fn parent(dir: &INode<Self>) -> Result<INodeRef<Self>>;

    /// The name of an inode in a directory.
    fn name(dir: &INode<Self>, inode: &INode<Self>) -> Result<Vec<u8>>;
}

/// The operation table.
struct Tables<T>(PhantomData<T>);

impl<T: Complete> Tables<T> {
    const EXPORT: bindings::export_operations = bindings::export_operations {
        encode_fh: Some(encode_fh::<T>),
        fh_to_dentry: Some(fh_to_dentry::<T>),
        fh_to_parent: Some(fh_to_parent::<T>),
        get_parent: Some(get_parent::<T>),
        get_name: Some(get_name::<T>),
        commit_metadata: Some(commit_metadata::<T>),
        ..pin_init::zeroed()
    };
}

/// The operation table of `T`, for superblocks.
pub(super) fn table<T: Complete>() -> *const bindings::export_operations {
    &Tables::<T>::EXPORT
}

/// `->commit_metadata`: what a client was told to be done has to last.
///
/// # Safety
///
/// For the kernel's NFS server to call.
unsafe extern "C" fn commit_metadata<T: Complete>(inode: *mut bindings::inode) -> c_int {
    // SAFETY: An inode of ours. Times that are only in memory are written first.
    unsafe {
        match bindings::sync_inode_metadata(inode, 1) {
            0 => returned(T::sync_inode(INode::<T>::from_raw(inode))),
            e => e,
        }
    }
}

/// `->encode_fh`.
///
/// # Safety
///
/// For the VFS to call.
unsafe extern "C" fn encode_fh<T: Exported>(
    inode: *mut bindings::inode,
    fh: *mut u32,
    len: *mut c_int,
    parent: *mut bindings::inode,
) -> c_int {
    // SAFETY: The inodes are of a filesystem of ours, the second if it is not null. `fh` has room
    // for `*len` words.
    unsafe {
        let is_dir = u32::from((*inode).i_mode) & bindings::S_IFMT == bindings::S_IFDIR;
        let with_parent = !is_dir && !parent.is_null();
        let (kind, words) = match with_parent {
            true => (T::WITH_PARENT, WORDS.wrapping_mul(2)),
            false => (T::ALONE, WORDS),
        };
        let room = core::mem::replace(&mut *len, words);
        if room < words {
            return FILEID_INVALID;
        }
        let first = T::handle(INode::from_raw(inode));
        let fh: *mut u8 = fh.cast();
        ptr::copy_nonoverlapping(first.as_ptr(), fh, HANDLE_BYTES);
        if with_parent {
            let second = T::handle(INode::from_raw(parent));
            ptr::copy_nonoverlapping(second.as_ptr(), fh.add(HANDLE_BYTES), HANDLE_BYTES);
        }
        c_int::from(kind)
    }
}

/// "There is no room for it." C: the constant of that name.
const FILEID_INVALID: c_int = 0xff;

/// Handle number `nr` of a client, for its dentry; null if the client has no such handle.
///
/// # Safety
///
/// The arguments must be those of `->fh_to_dentry()` for a superblock of ours.
unsafe fn find<T: Exported>(
    sb: *mut bindings::super_block,
    fid: *mut bindings::fid,
    len: c_int,
    kind: c_int,
    nr: usize,
) -> *mut bindings::dentry {
    let nr_handles = match u8::try_from(kind) {
        Ok(kind) if kind == T::ALONE && len == WORDS => 1,
        Ok(kind) if kind == T::WITH_PARENT && len == WORDS.wrapping_mul(2) => 2,
        _ => 0,
    };
    if nr >= nr_handles {
        return ptr::null_mut();
    }
    let mut handle = [0; HANDLE_BYTES];
    // SAFETY: By the function's contract there are `len` words at `fid`, of which this is a part.
    // `d_obtain_alias()` takes over the inode's count, and takes an errno just as well.
    unsafe {
        let at = fid.cast::<u8>().add(nr.wrapping_mul(HANDLE_BYTES));
        ptr::copy_nonoverlapping(at, handle.as_mut_ptr(), HANDLE_BYTES);
        obtain(T::by_handle(SuperBlock::from_raw(sb), &handle))
    }
}

/// A dentry of an inode.
fn obtain<T: FileSystem>(inode: Result<INodeRef<T>>) -> *mut bindings::dentry {
    let inode = inode.map_or_else(err_ptr, INodeRef::into_raw);
    // SAFETY: Takes over the inode's count, and takes an errno just as well.
    unsafe { bindings::d_obtain_alias(inode) }
}

/// `->fh_to_dentry`.
///
/// # Safety
///
/// For the VFS to call.
unsafe extern "C" fn fh_to_dentry<T: Exported>(
    sb: *mut bindings::super_block,
    fid: *mut bindings::fid,
    len: c_int,
    kind: c_int,
) -> *mut bindings::dentry {
    // SAFETY: The arguments are passed on.
    unsafe { find::<T>(sb, fid, len, kind, 0) }
}

/// `->fh_to_parent`.
///
/// # Safety
///
/// For the VFS to call.
unsafe extern "C" fn fh_to_parent<T: Exported>(
    sb: *mut bindings::super_block,
    fid: *mut bindings::fid,
    len: c_int,
    kind: c_int,
) -> *mut bindings::dentry {
    // SAFETY: The arguments are passed on.
    unsafe { find::<T>(sb, fid, len, kind, 1) }
}

/// `->get_parent`.
///
/// # Safety
///
/// For the VFS to call.
unsafe extern "C" fn get_parent<T: Exported>(
    child: *mut bindings::dentry,
) -> *mut bindings::dentry {
    // SAFETY: The dentry is of a directory of ours.
    obtain(T::parent(unsafe { INode::<T>::from_raw((*child).d_inode) }))
}

/// `->get_name`.
///
/// # Safety
///
/// For the VFS to call.
unsafe extern "C" fn get_name<T: Exported>(
    parent: *mut bindings::dentry,
    name: *mut kernel::ffi::c_char,
    child: *mut bindings::dentry,
) -> c_int {
    // SAFETY: The dentries are of files of ours.
    let (dir, inode) = unsafe {
        (
            INode::<T>::from_raw((*parent).d_inode),
            INode::<T>::from_raw((*child).d_inode),
        )
    };
    // SAFETY: The buffer has room for the longest name and a NUL.
    let buf = unsafe { slice::from_raw_parts_mut(name.cast::<u8>(), NAME_MAX.wrapping_add(1)) };
    returned(T::name(dir, inode).map(|found| {
        buf.fill(0);
        for (to, from) in buf.iter_mut().zip(found.iter().take(NAME_MAX)) {
            *to = *from;
        }
    }))
}
