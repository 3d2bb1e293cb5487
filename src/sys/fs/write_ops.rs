// SPDX-License-Identifier: GPL-2.0

//! Regular files: what the VFS calls to write them, through the page cache and past it.

use super::{
    direct_write,
    inode::INode,
    life::Life,
    names::synced,
    write::{
        block_bytes,
        round_down,
        round_up,
        FileWrite,
        Tables, //
    },
    Result, //
};
use crate::{
    bindings,
    env::num,
    error::errno::Errno,
    sys::{
        check,
        failed,
        returned, //
    },
};
use core::{
    ffi::c_int,
    ptr, //
};

/// What fallocate(2) is to do to a range.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Allocate {
    /// Have space for it.
    Space,
    /// Have no space for it, and zeros there.
    Hole,
    /// Have zeros there, and space for it.
    Zeros,
    /// Have it not at all: what is behind comes to its place.
    Collapse,
    /// Have a hole before what is there.
    Insert,
}

impl<T: FileWrite + Life> INode<T> {
    /// Waits for what is being written back of `len` bytes from `pos` on. No folio of these may be
    /// locked by the caller.
    pub fn wait_written_back(&self, pos: u64, len: u64) {
        let last = pos.saturating_add(len).saturating_sub(1);
        // SAFETY: The inode is ours. Errors stay with the mapping, for `fsync`.
        unsafe {
            bindings::filemap_fdatawait_range_keep_errors(
                (*self.as_ptr()).i_mapping,
                num::i64_of_bits(pos),
                num::i64_of_bits(last),
            );
        }
    }

    /// Changes the number of sectors that the VFS shows.
    pub fn add_sectors(&self, by: i64) {
        if by != 0 {
            // SAFETY: The inode is valid by the type invariant.
            unsafe { bindings::bch_rs_add_sectors(self.as_ptr(), by) };
            T::sectors_changed(self, by);
        }
    }
}

/// `->open`.
///
/// # Safety
///
/// For the VFS to call, with a file of `T`.
pub(super) unsafe extern "C" fn open<T: FileWrite>(
    inode: *mut bindings::inode,
    file: *mut bindings::file,
) -> c_int {
    // SAFETY: By the function's contract.
    unsafe {
        let ret = bindings::bch_rs_file_open(inode, file);
        if ret != 0 || !bindings::bch_rs_file_writes(file) {
            return ret;
        }
        returned(T::may_write(INode::from_raw(inode)))
    }
}

/// `->write_iter`.
///
/// C: `bch2_write_iter()`.
///
/// # Safety
///
/// For the VFS to call, with an open file of `T`.
pub(super) unsafe extern "C" fn write_iter<T: FileWrite>(
    iocb: *mut bindings::kiocb,
    from: *mut bindings::iov_iter,
) -> isize {
    // SAFETY: By the function's contract. An open file has an inode of ours.
    unsafe {
        let inode = INode::<T>::from_raw((*(*iocb).ki_filp).f_inode);
        let count = bindings::bch_rs_write_start(iocb, from);
        if count <= 0 {
            return count;
        }
        let written = write_locked::<T>(inode, iocb, from);
        bindings::bch_rs_write_end(inode.as_ptr());
        if written > 0 {
            return bindings::bch_rs_write_sync(iocb, written);
        }
        written
    }
}

/// Writes while the inode is locked.
///
/// # Safety
///
/// As [`write_iter`].
unsafe fn write_locked<T: FileWrite>(
    inode: &INode<T>,
    iocb: *mut bindings::kiocb,
    from: *mut bindings::iov_iter,
) -> isize {
    // SAFETY: By the function's contract.
    unsafe {
        let pos = num::u64_of_bits((*iocb).ki_pos);
        let is_direct = (*iocb).ki_flags & num::i32_of_bits(bindings::IOCB_DIRECT) != 0;
        let block = block_bytes(inode);
        let count = num::u64_of(bindings::iov_iter_count(from));
        let is_past_cache = is_direct && (pos | count) & block.wrapping_sub(1) == 0;
        if !is_past_cache || pos > inode.size() {
            // Pages will be dirty, as none may be meanwhile.
            inode.queued().wait();
        }
        if let Err(e) = clear_old_end(inode, pos) {
            return failed(e);
        }
        if is_past_cache {
            return direct_write::write::<T>(inode, iocb, from);
        }
        let written = bindings::iomap_file_buffered_write(
            iocb,
            from,
            &Tables::<T>::MAPPING,
            &Tables::<T>::WRITE,
            ptr::null_mut(),
        );
        if is_direct && written > 0 {
            return bindings::bch_rs_write_back_part(iocb, written);
        }
        written
    }
}

/// What is behind the end of a file in its last block becomes part of the file when that grows to
/// `size` bytes, and has to be zeros.
pub(super) fn clear_old_end<T: FileWrite>(inode: &INode<T>, size: u64) -> Result {
    let old = inode.size();
    match old < size {
        true => clear_block_from(inode, old),
        false => Ok(()),
    }
}

/// Makes the rest of the block with byte `pos` zeros, unless it starts there.
fn clear_block_from<T: FileWrite>(inode: &INode<T>, pos: u64) -> Result {
    let len = round_up(inode, pos).saturating_sub(pos);
    zero(inode, pos, len)
}

/// Writes zeros to a range within one block, if there is something else.
fn zero<T: FileWrite>(inode: &INode<T>, pos: u64, len: u64) -> Result {
    if len == 0 {
        return Ok(());
    }
    // SAFETY: The inode is ours; the tables are constants.
    check(unsafe {
        bindings::bch_rs_zero_range(
            inode.as_ptr(),
            num::i64_of_bits(pos),
            num::i64_of_bits(len),
            &Tables::<T>::MAPPING,
            &Tables::<T>::WRITE,
        )
    })
}

/// `->fsync`.
///
/// C: `bch2_fsync()`.
///
/// # Safety
///
/// For the VFS to call, with an open file of `T`.
pub(super) unsafe extern "C" fn fsync<T: FileWrite>(
    file: *mut bindings::file,
    start: bindings::loff_t,
    end: bindings::loff_t,
    data_only: c_int,
) -> c_int {
    // SAFETY: By the function's contract.
    unsafe {
        let ret = bindings::file_write_and_wait_range(file, start, end);
        if ret != 0 {
            return ret;
        }
        let inode = INode::<T>::from_raw((*file).f_inode);
        let ret = bindings::bch_rs_sync_inode(inode.as_ptr(), data_only != 0);
        synced(match ret {
            0 => returned(T::sync_data(inode)),
            e => e,
        })
    }
}

/// `->fallocate`.
///
/// C: `bch2_fallocate_dispatch()`.
///
/// # Safety
///
/// For the VFS to call, with an open file of `T`.
pub(super) unsafe extern "C" fn fallocate<T: FileWrite>(
    file: *mut bindings::file,
    mode: c_int,
    offset: bindings::loff_t,
    len: bindings::loff_t,
) -> isize {
    let mode = u32::try_from(mode).unwrap_or(u32::MAX);
    let keeps = mode & bindings::FALLOC_FL_KEEP_SIZE != 0;
    let how = match mode & !bindings::FALLOC_FL_KEEP_SIZE {
        0 => Allocate::Space,
        bindings::FALLOC_FL_PUNCH_HOLE => Allocate::Hole,
        bindings::FALLOC_FL_ZERO_RANGE => Allocate::Zeros,
        bindings::FALLOC_FL_COLLAPSE_RANGE if !keeps => Allocate::Collapse,
        bindings::FALLOC_FL_INSERT_RANGE if !keeps => Allocate::Insert,
        _ => return failed(Errno::EOPNOTSUPP),
    };
    let start = num::u64_of_bits(offset);
    let end = start.saturating_add(num::u64_of_bits(len));
    // SAFETY: By the function's contract. Locked and unlocked in pairs.
    let done = unsafe {
        let inode = INode::<T>::from_raw((*file).f_inode);
        bindings::bch_rs_lock_cache(inode.as_ptr());
        let changed = check(bindings::bch_rs_changed(file));
        let done = changed.and_then(|()| match how {
            Allocate::Collapse => shift_locked(inode, (start, end), false),
            Allocate::Insert => shift_locked(inode, (start, end), true),
            _ => allocate_locked(inode, how, (start, end), keeps),
        });
        bindings::bch_rs_unlock_cache(inode.as_ptr());
        done
    };
    match done {
        Ok(()) => 0,
        Err(e) => failed(e),
    }
}

/// Allocates while the inode is locked, and nobody can bring pages of it to the cache.
fn allocate_locked<T: FileWrite>(
    inode: &INode<T>,
    how: Allocate,
    (start, end): (u64, u64),
    keeps_size: bool,
) -> Result {
    let grows = !keeps_size && how != Allocate::Hole && end > inode.size();
    // SAFETY: The inode is ours.
    let limit = check(unsafe {
        match grows {
            true => bindings::inode_newsize_ok(inode.as_ptr(), num::i64_of_bits(end)),
            false => 0,
        }
    });
    limit?;
    if grows {
        clear_old_end(inode, end)?;
    }
    if how != Allocate::Space {
        clear(inode, start, end)?;
    }
    if how != Allocate::Hole {
        let (from, to) = (round_down(inode, start), round_up(inode, end));
        T::allocate(inode, from, to, if grows { end } else { 0 })?;
    }
    if grows {
        // SAFETY: The inode is ours, and locked.
        unsafe { bindings::bch_rs_set_longer(inode.as_ptr(), num::i64_of_bits(end)) };
    }
    Ok(())
}

/// Puts a range into a file or takes it out, while the inode is locked, and nobody can bring pages
/// of it to the cache.
///
/// C: `bchfs_fcollapse_finsert()`.
fn shift_locked<T: FileWrite>(inode: &INode<T>, (start, end): (u64, u64), inserts: bool) -> Result {
    let (size, bytes) = (inode.size(), end.saturating_sub(start));
    let is_within = match inserts {
        true => start < size,
        false => end < size,
    };
    if !is_within || (start | bytes) & block_bytes(inode).wrapping_sub(1) != 0 {
        return Err(Errno::EINVAL);
    }
    let new_size = match inserts {
        true => size.checked_add(bytes).ok_or(Errno::EFBIG)?,
        false => size.saturating_sub(bytes),
    };
    // SAFETY: The inode is ours.
    check(unsafe { bindings::inode_newsize_ok(inode.as_ptr(), num::i64_of_bits(new_size)) })?;
    drop_pages_from(inode, start)?;
    T::shift(inode, start, bytes, inserts)?;
    // SAFETY: As above; it is locked.
    unsafe { bindings::i_size_write(inode.as_ptr(), num::i64_of_bits(new_size)) };
    Ok(())
}

/// What is from `pos` on leaves the page cache once it is written, while the inode is locked, and
/// nobody can bring pages of it to the cache.
fn drop_pages_from<T: FileWrite>(inode: &INode<T>, pos: u64) -> Result {
    // SAFETY: The inode is ours, and locked.
    check(unsafe { bindings::bch_rs_drop_pages_from(inode.as_ptr(), num::i64_of_bits(pos)) })
}

/// Makes a range a hole, but for zeros in blocks that it has a part of.
fn clear<T: FileWrite>(inode: &INode<T>, start: u64, end: u64) -> Result {
    let (from, to) = (round_up(inode, start), round_down(inode, end));
    let size = inode.size();
    if from > to {
        // Within one block.
        return zero(inode, start, end.min(size).saturating_sub(start));
    }
    zero(inode, start, from.min(size).saturating_sub(start))?;
    zero(inode, to, end.min(size).saturating_sub(to))?;
    if from == to {
        return Ok(());
    }
    if (from.wrapping_add(1)..=to).contains(&size) {
        // The file gets its size on disk with its last byte, which is not written any more when
        // it is gone from the page cache.
        drop_pages_from(inode, from)?;
    }
    let last = num::i64_of_bits(to.wrapping_sub(1));
    // SAFETY: The inode is ours, and locked.
    unsafe { bindings::truncate_pagecache_range(inode.as_ptr(), num::i64_of_bits(from), last) };
    T::punch(inode, from, to)
}

/// Gives a file another size, in the page cache and on disk. The inode has to be locked.
///
/// C: `bch2_truncate()`, `bchfs_truncate()`.
pub fn set_size<T: FileWrite>(inode: &INode<T>, size: u64) -> Result {
    T::may_write(inode)?;
    let raw = inode.as_ptr();
    let old = inode.size();
    // SAFETY: The inode is ours.
    check(unsafe { bindings::inode_newsize_ok(raw, num::i64_of_bits(size)) })?;
    // SAFETY: As above. Nobody brings pages to the cache meanwhile.
    unsafe { bindings::bch_rs_lock_pages(raw) };
    let cleared = match size < old {
        true => clear_block_from(inode, size),
        false => clear_old_end(inode, size),
    };
    let done = cleared.and_then(|()| {
        // SAFETY: As above.
        unsafe { bindings::truncate_setsize(raw, num::i64_of_bits(size)) };
        T::truncate(inode, size)
    });
    // SAFETY: Locked above.
    unsafe { bindings::bch_rs_unlock_pages(raw) };
    done
}
