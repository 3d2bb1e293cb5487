// SPDX-License-Identifier: GPL-2.0

//! Regular files: reading through the page cache and past it.

use super::{
    attr,
    change,
    direct::{
        self,
        DirectRead, //
    },
    fiemap::{
        self,
        MapList, //
    },
    inode::INode,
    ioctl,
    remap,
    write,
    write_back,
    write_ops,
    xattr,
    Complete,
    FileSystem,
    Result, //
};
use crate::{
    bindings,
    env::num,
    error::errno::Errno,
    sys::{
        block::BlockDevice,
        iomap::{
            self,
            RangeReader,
            Readahead, //
        }, //
    },
};
use core::{
    ffi::c_int,
    marker::PhantomData, //
};

/// The data of regular files.
pub trait FileData: FileSystem {
    /// Folios of up to `1 << MAX_FOLIO_ORDER` pages are welcome.
    const MAX_FOLIO_ORDER: u32;

    /// Starts reading what `request` asks for; failed parts are read again by
    /// [`read_folio`](Self::read_folio).
    fn readahead(inode: &INode<Self>, request: Readahead<'_>);

    /// Reads one folio.
    fn read_folio(inode: &INode<Self>, folio: LockedFolio);

    /// The device whose block size direct reads have to keep to.
    fn direct_device(inode: &INode<Self>) -> Option<&BlockDevice>;

    /// Whether the data at byte `pos` has to be checked or decoded after it was read. Decides only
    /// how a direct read from there on is done best.
    fn is_encoded_at(inode: &INode<Self>, pos: u64) -> bool;

    /// Reads what `request` asks for.
    fn read_direct(inode: &INode<Self>, request: DirectRead<'_>);

    /// The mappings of the data between bytes `from` and `to`.
    fn map(inode: &INode<Self>, from: u64, to: u64, list: &mut MapList<'_>) -> Result;

    /// The first byte of a hole (or else of data) at or behind byte `pos`, if there is one. The
    /// end of the file is a hole.
    fn seek(inode: &INode<Self>, pos: u64, hole: bool) -> Result<Option<u64>>;
}

/// A locked folio of a file that is to be read.
///
/// # Invariants
///
/// As `->read_folio()` gets it: locked, in the page cache; the lock is the value's.
pub struct LockedFolio(*mut bindings::folio);

impl LockedFolio {
    /// Has the folio read by `reader`, which unlocks it when done.
    pub fn read<R: RangeReader>(self, reader: &mut R) {
        let folio = self.0;
        core::mem::forget(self);
        // SAFETY: By the type invariant.
        unsafe { iomap::read_folio(folio, reader) };
    }
}

impl Drop for LockedFolio {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the lock is ours. The folio is not up to date, which makes
        // whoever waits for it fail.
        unsafe { bindings::folio_unlock(self.0) };
    }
}

/// The operation tables of regular files.
struct Tables<T>(PhantomData<T>);

impl<T: Complete> Tables<T> {
    const INODE: bindings::inode_operations = bindings::inode_operations {
        getattr: Some(attr::getattr::<T>),
        setattr: Some(change::setattr::<T>),
        set_acl: Some(change::set_acl::<T>),
        fileattr_set: Some(change::fileattr_set::<T>),
        listxattr: Some(xattr::listxattr::<T>),
        get_inode_acl: Some(super::acl::get_inode_acl::<T>),
        fileattr_get: Some(attr::fileattr_get::<T>),
        fiemap: Some(fiemap::fiemap::<T>),
        ..pin_init::zeroed()
    };

    const FILE: bindings::file_operations = bindings::file_operations {
        llseek: Some(llseek::<T>),
        open: Some(write_ops::open::<T>),
        read_iter: Some(read_iter::<T>),
        write_iter: Some(write_ops::write_iter::<T>),
        fsync: Some(write_ops::fsync::<T>),
        fallocate: Some(write_ops::fallocate::<T>),
        mmap_prepare: Some(write::mmap_prepare::<T>),
        splice_read: Some(bindings::filemap_splice_read),
        splice_write: Some(bindings::iter_file_splice_write),
        remap_file_range: Some(remap::remap_file_range::<T>),
        unlocked_ioctl: Some(ioctl::ioctl::<T>),
        #[cfg(CONFIG_COMPAT)]
        compat_ioctl: Some(ioctl::compat_ioctl::<T>),
        setlease: Some(bindings::generic_setlease),
        ..pin_init::zeroed()
    };

    const MAPPING: bindings::address_space_operations = bindings::address_space_operations {
        read_folio: Some(read_folio::<T>),
        readahead: Some(readahead::<T>),
        writepages: Some(write_back::writepages::<T>),
        dirty_folio: Some(bindings::iomap_dirty_folio),
        release_folio: Some(bindings::iomap_release_folio),
        invalidate_folio: Some(write::invalidate_folio::<T>),
        is_partially_uptodate: Some(bindings::iomap_is_partially_uptodate),
        migrate_folio: Some(bindings::filemap_migrate_folio),
        ..pin_init::zeroed()
    };
}

/// Makes `inode` a regular file.
///
/// # Safety
///
/// `inode` must be a new inode of `T`.
pub(super) unsafe fn set_operations<T: Complete>(inode: *mut bindings::inode) {
    // SAFETY: By the function's contract.
    unsafe {
        (*inode).i_op = &Tables::<T>::INODE;
        (*inode).__bindgen_anon_3.i_fop = &Tables::<T>::FILE;
        (*(*inode).i_mapping).a_ops = &Tables::<T>::MAPPING;
        iomap::allow_large_folios((*inode).i_mapping, T::MAX_FOLIO_ORDER);
        // What a folio has reserved is to be given up with it.
        bindings::bch_rs_release_always((*inode).i_mapping);
        // A checksum is of what is written, and all copies are the same.
        bindings::bch_rs_stable_writes((*inode).i_mapping);
    }
}

/// `->readahead`.
///
/// # Safety
///
/// For the VFS to call.
unsafe extern "C" fn readahead<T: FileData>(rac: *mut bindings::readahead_control) {
    // SAFETY: The request is for a file of ours.
    unsafe {
        let inode = INode::<T>::from_raw(bindings::bch_rs_rac_inode(rac));
        if let Some(request) = Readahead::from_raw(rac) {
            T::readahead(inode, request);
        }
    }
}

/// `->read_folio`.
///
/// # Safety
///
/// For the VFS to call.
unsafe extern "C" fn read_folio<T: FileData>(
    _file: *mut bindings::file,
    folio: *mut bindings::folio,
) -> c_int {
    // SAFETY: A locked folio in the page cache of a file of ours, which keeps the inode in place.
    // INVARIANT: The lock goes to the value.
    unsafe {
        let inode = INode::<T>::from_raw(bindings::bch_rs_folio_inode(folio));
        T::read_folio(inode, LockedFolio(folio));
    }
    0
}

/// `->read_iter`.
///
/// # Safety
///
/// For the VFS to call.
unsafe extern "C" fn read_iter<T: FileData>(
    iocb: *mut bindings::kiocb,
    to: *mut bindings::iov_iter,
) -> isize {
    // SAFETY: The arguments are passed on.
    unsafe {
        if (*iocb).ki_flags & num::i32_of_bits(bindings::IOCB_DIRECT) != 0 {
            direct::read::<T>(iocb, to)
        } else {
            bindings::filemap_read(iocb, to, 0)
        }
    }
}

/// `->llseek`.
///
/// # Safety
///
/// For the VFS to call.
unsafe extern "C" fn llseek<T: FileData>(
    file: *mut bindings::file,
    offset: bindings::loff_t,
    whence: c_int,
) -> bindings::loff_t {
    let hole = match u32::try_from(whence).unwrap_or(u32::MAX) {
        bindings::SEEK_HOLE => true,
        bindings::SEEK_DATA => false,
        // SAFETY: A file of ours that is open.
        _ => return unsafe { bindings::generic_file_llseek(file, offset, whence) },
    };
    // SAFETY: An open file has an inode, of the filesystem that these operations belong to. What is
    // dirty has no place yet, and has to get one.
    let (inode, ret) = unsafe {
        let ret = bindings::filemap_write_and_wait_range((*file).f_mapping, 0, i64::MAX);
        (INode::<T>::from_raw((*file).f_inode), ret)
    };
    if ret != 0 {
        return ret.into();
    }
    let found = match u64::try_from(offset) {
        Ok(pos) => T::seek(inode, pos, hole),
        Err(_) => Ok(None),
    };
    match found.and_then(|pos| pos.ok_or(Errno::ENXIO)) {
        // SAFETY: A file of ours that is open. The position is within the file.
        Ok(pos) => unsafe {
            let limit = (*(*inode.as_ptr()).i_sb).s_maxbytes;
            bindings::vfs_setpos(file, num::i64_of_bits(pos), limit)
        },
        Err(e) => i64::from(e.0.wrapping_neg()),
    }
}
