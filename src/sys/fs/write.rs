// SPDX-License-Identifier: GPL-2.0

//! Regular files: what iomap wants when they are written.
//!
//! iomap gets no disk addresses: everything is mapped, and what a write needs is space, which is
//! reserved before a block becomes dirty. Where the data goes is decided when it is written back.

use super::{
    direct_write::DirectEnd,
    file::FileData,
    inode::INode,
    taken::Taken,
    write_back::DirtyRun,
    Result, //
};
use crate::{
    bindings,
    env::{
        num,
        Box, //
    },
    sys::{
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
    slice, //
};

/// Writing regular files.
pub trait FileWrite: FileData {
    /// Space that is reserved.
    type Reserved: Default + Send + Sync;

    /// The most bytes that are written back together.
    const RUN_BYTES: usize;

    /// Whether the file may be changed.
    fn may_write(inode: &INode<Self>) -> Result;

    /// Reserves space for bytes from `pos` to `end`, or for as many as there is space for; where
    /// these end. When it `must` not fail, for all, whether there is space or not.
    fn reserve(inode: &INode<Self>, pos: u64, end: u64, must: bool) -> Result<u64>;

    /// A number that is another one when a reservation was used or given up.
    fn reserve_changes(inode: &INode<Self>) -> u64;

    /// Whether the block with byte `pos` is a hole: nothing is there, nor is anything going to be
    /// written there. Waits for what is being written, so no folio may be locked.
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

    /// Whether nothing but the devices looks at what is written: there is no checksum, say.
    fn is_written_as_it_is(inode: &INode<Self>) -> bool;

    /// Writes `data`, whole blocks, at byte `pos`, and waits for it. The file has `size` bytes
    /// then, if it had less.
    fn write_direct(inode: &INode<Self>, pos: u64, data: Taken, size: u64) -> Result;

    /// Writes `data`, whole blocks, at byte `pos`, and ends it, now or later.
    fn start_direct(inode: &INode<Self>, pos: u64, data: Taken, end: DirectEnd<Self>);

    /// Waits until all that was written back is safe from a loss of power.
    fn sync_data(inode: &INode<Self>) -> Result;

    /// Makes blocks from byte `pos` to byte `end` a hole. None of them is in the page cache.
    fn punch(inode: &INode<Self>, pos: u64, end: u64) -> Result;

    /// Has space for the blocks from byte `pos` to byte `end`. The file has `size` bytes then, if
    /// it had less.
    fn allocate(inode: &INode<Self>, pos: u64, end: u64, size: u64) -> Result;

    /// Puts a hole of `bytes` bytes into the file at byte `pos`, if `inserts`, or takes as many out
    /// there: all whole blocks. Its size on disk changes by as much. Nothing from there on is in
    /// the page cache.
    fn shift(inode: &INode<Self>, pos: u64, bytes: u64, inserts: bool) -> Result;

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
    pub(super) const MAPPING: bindings::iomap_ops = bindings::iomap_ops {
        iomap_begin: Some(begin::<T>),
        iomap_end: Some(end::<T>),
        iomap_next: None,
    };

    pub(super) const WRITE: bindings::iomap_write_ops = bindings::iomap_write_ops {
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
pub(super) fn block_bytes<T: FileWrite>(inode: &INode<T>) -> u64 {
    // SAFETY: Set when the inode was made.
    1 << (unsafe { (*inode.as_ptr()).i_blkbits } & 31)
}

pub(super) fn round_up<T: FileWrite>(inode: &INode<T>, pos: u64) -> u64 {
    num::round_up_pow2(pos, block_bytes(inode)).unwrap_or(pos)
}

pub(super) fn round_down<T: FileWrite>(inode: &INode<T>, pos: u64) -> u64 {
    num::round_down_pow2(pos, block_bytes(inode))
}

/// Bytes that space is reserved for at a time. All of them are gone over again when a block was
/// written back meanwhile, so it is not as much as somebody writes.
const RESERVE_BYTES: u64 = 8 << 20;

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
    let step = num::round_down_pow2(start, RESERVE_BYTES).saturating_add(RESERVE_BYTES);
    let mut end = start.saturating_add(num::u64_of_bits(len)).min(step);
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
    // SAFETY: By the function's contract; the table is a constant. A mapped file has an inode of
    // ours. Its pages are kept when this goes on.
    unsafe {
        let inode = INode::<T>::from_raw(bindings::bch_rs_mkwrite_start(vmf));
        inode.queued().wait_without(
            || bindings::bch_rs_let_pages_go(inode.as_ptr()),
            || bindings::bch_rs_keep_pages(inode.as_ptr()),
        );
        bindings::bch_rs_mkwrite_end(vmf, &Tables::<T>::MAPPING)
    }
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
