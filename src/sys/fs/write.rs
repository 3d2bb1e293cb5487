// SPDX-License-Identifier: GPL-2.0

//! Regular files: writing through the page cache and past it.
//!
//! iomap gets no disk addresses: everything is mapped, and what a write needs is space, which is
//! reserved before a block becomes dirty. Where the data goes is decided when it is written back.

use super::{
    file::FileData,
    inode::INode,
    write_back::DirtyRun,
    Result, //
};
use crate::{
    bindings,
    env::{
        num,
        Box,
        Vec, //
    },
    error::errno::Errno,
    sys::{
        check,
        failed,
        iomap::MAP_MAPPED,
        reclaim::NoFs,
        returned, //
    },
};
use core::{
    ffi::{
        c_int,
        c_uint, //
    },
    marker::PhantomData,
    ptr,
    slice, //
};

/// Bytes that a direct write copies at a time.
const DIRECT_BYTES: usize = 1 << 20;

/// What fallocate(2) is to do to a range.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Allocate {
    /// Have space for it.
    Space,
    /// Have no space for it, and zeros there.
    Hole,
    /// Have zeros there, and space for it.
    Zeros,
}

/// Writing regular files.
pub trait FileWrite: FileData {
    /// Space that is reserved.
    type Reserved: Default + Send;

    /// The most bytes that are written back together.
    const RUN_BYTES: usize;

    /// Whether the file may be changed.
    fn may_write(inode: &INode<Self>) -> Result;

    /// Reserves space for bytes from `pos` to `end`, or for as many as there is space for; where
    /// these end. When it `must` not fail, for all, whether there is space or not.
    fn reserve(inode: &INode<Self>, pos: u64, end: u64, must: bool) -> Result<u64>;

    /// A number that is another one when a reservation was used or given up.
    fn reserve_changes(inode: &INode<Self>) -> u64;

    /// Whether the block with byte `pos` is a hole: nothing is there, nor in the page cache.
    fn is_hole(inode: &INode<Self>, pos: u64) -> Result<bool>;

    /// Adds what is reserved for bytes from `pos` to `end` to `to`: they are being written.
    fn take_reserved(inode: &INode<Self>, pos: u64, end: u64, to: &mut Self::Reserved);

    /// Gives up what is reserved for the blocks within bytes from `pos` to `end`.
    fn release(inode: &INode<Self>, pos: u64, end: u64);

    /// Gives up all that is reserved.
    fn release_all(inode: &INode<Self>);

    /// Reads bytes of the file, as it is on the devices.
    fn read_sync(inode: &INode<Self>, pos: u64, to: &mut [u8]) -> Result;

    /// Writes a run of this inode, and ends it, now or later.
    fn write_back(inode: &INode<Self>, run: Box<DirtyRun<Self>>);

    /// Writes `data`, whole blocks, at byte `pos`, and waits for it. The file has `size` bytes
    /// then, if it had less.
    fn write_direct(inode: &INode<Self>, pos: u64, data: &mut [u8], size: u64) -> Result;

    /// Waits until all that was written back is safe from a loss of power.
    fn sync_data(inode: &INode<Self>) -> Result;

    /// Makes blocks from byte `pos` to byte `end` a hole. None of them is in the page cache.
    fn punch(inode: &INode<Self>, pos: u64, end: u64) -> Result;

    /// Has space for the blocks from byte `pos` to byte `end`. The file has `size` bytes then, if
    /// it had less.
    fn allocate(inode: &INode<Self>, pos: u64, end: u64, size: u64) -> Result;

    /// Has the second file share `bytes` of the first one's data, both from these bytes on. The
    /// second has `size` bytes then, if it had less. What it had there is not in its page cache,
    /// and nothing of it is dirty in that of the other.
    fn share_data(
        from: (&INode<Self>, u64),
        to: (&INode<Self>, u64),
        bytes: u64,
        size: u64,
    ) -> Result;

    /// Gives the file another size on disk.
    fn truncate(inode: &INode<Self>, size: u64) -> Result;
}

/// The operation tables of writing.
pub(super) struct Tables<T>(PhantomData<T>);

impl<T: FileWrite> Tables<T> {
    const MAPPING: bindings::iomap_ops = bindings::iomap_ops {
        iomap_begin: Some(begin::<T>),
        iomap_end: Some(end::<T>),
        iomap_next: None,
    };

    const WRITE: bindings::iomap_write_ops = bindings::iomap_write_ops {
        get_folio: None,
        put_folio: None,
        iomap_valid: Some(is_valid::<T>),
        read_folio_range: Some(read_folio_range::<T>),
    };

    const VM: bindings::vm_operations_struct = bindings::vm_operations_struct {
        fault: Some(bindings::filemap_fault),
        map_pages: Some(bindings::filemap_map_pages),
        page_mkwrite: Some(page_mkwrite::<T>),
        ..pin_init::zeroed()
    };
}

/// Bytes of a block of the VFS.
fn block_bytes<T: FileWrite>(inode: &INode<T>) -> u64 {
    // SAFETY: Set when the inode was made.
    1 << (unsafe { (*inode.as_ptr()).i_blkbits } & 31)
}

fn round_up<T: FileWrite>(inode: &INode<T>, pos: u64) -> u64 {
    num::round_up_pow2(pos, block_bytes(inode)).unwrap_or(pos)
}

fn round_down<T: FileWrite>(inode: &INode<T>, pos: u64) -> u64 {
    num::round_down_pow2(pos, block_bytes(inode))
}

/// `->iomap_begin`: reserves space.
///
/// # Safety
///
/// For iomap to call, with an inode of `T`.
unsafe extern "C" fn begin<T: FileWrite>(
    inode: *mut bindings::inode,
    pos: bindings::loff_t,
    len: bindings::loff_t,
    flags: c_uint,
    iomap: *mut bindings::iomap,
    _srcmap: *mut bindings::iomap,
) -> c_int {
    // Memory for it must not come from the folio that is locked, if one is.
    let _scope = NoFs::enter();
    // SAFETY: iomap passes an inode of ours and a mapping to fill in.
    let (inode, map) = unsafe { (INode::<T>::from_raw(inode), &mut *iomap) };
    let start = num::u64_of_bits(pos);
    let mut end = start.saturating_add(num::u64_of_bits(len));
    let zeroes = flags & bindings::IOMAP_ZERO != 0;
    map.type_ = MAP_MAPPED;
    map.addr = u64::MAX;
    map.offset = pos;
    // Before what it tells of changes is looked at.
    map.validity_cookie = T::reserve_changes(inode);
    if zeroes {
        // One block: that is all that is ever asked for.
        end = end.min(round_down(inode, start).saturating_add(block_bytes(inode)));
        match T::is_hole(inode, start) {
            Ok(true) => map.type_ = MAP_HOLE,
            Ok(false) => (),
            Err(e) => return e.0.wrapping_neg(),
        }
    }
    if map.type_ == MAP_MAPPED {
        match T::reserve(inode, start, end, zeroes) {
            Ok(to) => end = end.min(to),
            Err(e) => return e.0.wrapping_neg(),
        }
    }
    map.length = end.saturating_sub(start);
    0
}

/// `IOMAP_HOLE`.
const MAP_HOLE: u16 = 0;

/// `->iomap_end`: gives up what was reserved and not used.
///
/// # Safety
///
/// For iomap to call, with an inode of `T`.
unsafe extern "C" fn end<T: FileWrite>(
    inode: *mut bindings::inode,
    pos: bindings::loff_t,
    len: bindings::loff_t,
    written: isize,
    flags: c_uint,
    iomap: *mut bindings::iomap,
) -> c_int {
    let written = u64::try_from(written).unwrap_or(0);
    let len = num::u64_of_bits(len);
    // SAFETY: iomap passes what `begin()` has filled in.
    let is_mapped = unsafe { (*iomap).type_ == MAP_MAPPED };
    // For zeros, nobody else is kept away; what was reserved for them is used by the next write.
    let keeps = bindings::IOMAP_FAULT | bindings::IOMAP_ZERO;
    if written >= len || flags & keeps != 0 || !is_mapped {
        return 0;
    }
    let start = num::u64_of_bits(pos);
    // SAFETY: iomap passes an inode of ours.
    let (from, to) = unsafe {
        let inode = INode::<T>::from_raw(inode);
        let from = match written {
            0 => round_down(inode, start),
            n => round_up(inode, start.saturating_add(n)),
        };
        (from, round_up(inode, start.saturating_add(len)))
    };
    if from < to {
        // SAFETY: No folio is locked, and the caller holds the inode's lock.
        unsafe {
            bindings::bch_rs_release_short(
                inode,
                num::i64_of_bits(from),
                num::i64_of_bits(to),
                flags,
                iomap,
                Some(punch::<T>),
            )
        };
    }
    0
}

/// Gives up what is reserved for blocks that are not dirty.
///
/// # Safety
///
/// For iomap to call, with an inode of `T`.
unsafe extern "C" fn punch<T: FileWrite>(
    inode: *mut bindings::inode,
    offset: bindings::loff_t,
    length: bindings::loff_t,
    _iomap: *mut bindings::iomap,
) {
    let start = num::u64_of_bits(offset);
    let end = start.saturating_add(num::u64_of_bits(length));
    // SAFETY: By the function's contract.
    T::release(unsafe { INode::<T>::from_raw(inode) }, start, end);
}

/// `->iomap_valid`: whether what was reserved still is.
///
/// # Safety
///
/// For iomap to call, with an inode of `T`.
unsafe extern "C" fn is_valid<T: FileWrite>(
    inode: *mut bindings::inode,
    iomap: *const bindings::iomap,
) -> bool {
    // SAFETY: By the function's contract.
    unsafe { T::reserve_changes(INode::<T>::from_raw(inode)) == (*iomap).validity_cookie }
}

/// `->read_folio_range`: the rest of a block that is partly written.
///
/// # Safety
///
/// For iomap to call, with a locked folio of a file of `T`.
unsafe extern "C" fn read_folio_range<T: FileWrite>(
    iter: *const bindings::iomap_iter,
    folio: *mut bindings::folio,
    pos: bindings::loff_t,
    len: usize,
) -> c_int {
    let _scope = NoFs::enter();
    // SAFETY: The range is within the folio, which is locked and not up to date there: nobody else
    // looks at these bytes. It is contiguous in the kernel's address space.
    let (inode, to) = unsafe {
        let offset = pos.wrapping_sub(bindings::bch_rs_folio_pos(folio));
        let page = bindings::bch_rs_folio_page(folio, 0);
        let base: *mut u8 = bindings::bch_rs_page_address(page).cast();
        let at = base.add(num::usize_of(num::u64_of_bits(offset)));
        let inode = INode::<T>::from_raw((*iter).inode);
        (inode, slice::from_raw_parts_mut(at, len))
    };
    returned(T::read_sync(inode, num::u64_of_bits(pos), to))
}

/// `->page_mkwrite`.
///
/// # Safety
///
/// For the kernel to call, for a mapping of a file of `T`.
unsafe extern "C" fn page_mkwrite<T: FileWrite>(
    vmf: *mut bindings::vm_fault,
) -> bindings::vm_fault_t {
    // SAFETY: By the function's contract; the table is a constant.
    unsafe { bindings::bch_rs_page_mkwrite(vmf, &Tables::<T>::MAPPING) }
}

/// `->mmap_prepare`.
///
/// # Safety
///
/// For the VFS to call.
pub(super) unsafe extern "C" fn mmap_prepare<T: FileWrite>(
    desc: *mut bindings::vm_area_desc,
) -> c_int {
    // SAFETY: By the function's contract; the table is a constant.
    unsafe { bindings::bch_rs_mmap_prepare(desc, &Tables::<T>::VM) };
    0
}

/// `->invalidate_folio`: what it has reserved is given up.
///
/// # Safety
///
/// For the VFS to call, with a locked folio of a file of `T`.
pub(super) unsafe extern "C" fn invalidate_folio<T: FileWrite>(
    folio: *mut bindings::folio,
    offset: usize,
    len: usize,
) {
    // SAFETY: By the function's contract.
    unsafe {
        let inode = INode::<T>::from_raw(bindings::bch_rs_folio_inode(folio));
        let pos = num::u64_of_bits(bindings::bch_rs_folio_pos(folio));
        bindings::iomap_invalidate_folio(folio, offset, len);
        let start = pos.saturating_add(num::u64_of(offset));
        let end = start.saturating_add(num::u64_of(len));
        T::release(inode, round_up(inode, start), round_down(inode, end));
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
        if let Err(e) = clear_old_end(inode, pos) {
            return failed(e);
        }
        let is_direct = (*iocb).ki_flags & num::i32_of_bits(bindings::IOCB_DIRECT) != 0;
        let block = block_bytes(inode);
        let count = num::u64_of(bindings::iov_iter_count(from));
        if is_direct && (pos | count) & block.wrapping_sub(1) == 0 {
            return write_direct::<T>(inode, iocb, from);
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

/// Writes past the page cache, whole blocks. The data is copied: nobody can change it while its
/// checksum is made, and it can be anywhere.
///
/// C: `bch2_direct_write()`.
///
/// # Safety
///
/// As [`write_iter`]; the inode is locked.
unsafe fn write_direct<T: FileWrite>(
    inode: &INode<T>,
    iocb: *mut bindings::kiocb,
    from: *mut bindings::iov_iter,
) -> isize {
    // SAFETY: By the function's contract.
    let (start, count) = unsafe { ((*iocb).ki_pos, bindings::iov_iter_count(from)) };
    // SAFETY: As above.
    let ready = check(unsafe { bindings::bch_rs_direct_start(iocb, count) });
    let mut pos = num::u64_of_bits(start);
    let mut result = ready;
    let mut buf = Vec::new();
    if result.is_ok() {
        let room = buf.resize(count.min(DIRECT_BYTES), 0u8);
        result = room.map_err(|_| Errno::ENOMEM);
    }
    while result.is_ok() {
        // SAFETY: As above. The buffer is as long as is said.
        let got = unsafe {
            let left = bindings::iov_iter_count(from).min(buf.len());
            bindings::bch_rs_take_from_iter(buf.as_mut_ptr().cast(), left, from)
        };
        let whole = num::usize_of(round_down(inode, num::u64_of(got)));
        let Some(data) = buf.get_mut(..whole).filter(|d| !d.is_empty()) else {
            // SAFETY: As above.
            if unsafe { bindings::iov_iter_count(from) } != 0 || got != whole {
                result = Err(Errno::EFAULT);
            }
            break;
        };
        let end = pos.saturating_add(num::u64_of(whole));
        result = T::write_direct(inode, pos, data, end);
        if result.is_ok() {
            // SAFETY: As above; the inode is locked.
            unsafe {
                bindings::bch_rs_direct_done(iocb, num::i64_of_bits(pos), whole);
                if end > inode.size() {
                    bindings::i_size_write(inode.as_ptr(), num::i64_of_bits(end));
                }
                (*iocb).ki_pos = num::i64_of_bits(end);
            }
            pos = end;
        }
    }
    match (pos.saturating_sub(num::u64_of_bits(start)), result) {
        (0, Err(e)) => failed(e),
        (done, _) => isize::try_from(done).unwrap_or(isize::MAX),
    }
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
    _data_only: c_int,
) -> c_int {
    // SAFETY: By the function's contract.
    unsafe {
        let ret = bindings::file_write_and_wait_range(file, start, end);
        if ret != 0 {
            return ret;
        }
        let inode = INode::<T>::from_raw((*file).f_inode);
        let ret = bindings::sync_inode_metadata(inode.as_ptr(), 1);
        match ret {
            0 => returned(T::sync_data(inode)),
            e => e,
        }
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
        _ => return failed(Errno::EOPNOTSUPP),
    };
    let start = num::u64_of_bits(offset);
    let end = start.saturating_add(num::u64_of_bits(len));
    // SAFETY: By the function's contract. Locked and unlocked in pairs.
    let done = unsafe {
        let inode = INode::<T>::from_raw((*file).f_inode);
        bindings::bch_rs_lock_cache(inode.as_ptr());
        let changed = check(bindings::bch_rs_changed(file));
        let done = changed.and_then(|()| allocate_locked(inode, how, (start, end), keeps));
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
        unsafe { bindings::i_size_write(inode.as_ptr(), num::i64_of_bits(end)) };
    }
    Ok(())
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
