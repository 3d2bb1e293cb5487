// SPDX-License-Identifier: GPL-2.0

//! Direct reads (`O_DIRECT`): into the caller's memory, past the page cache.
//!
//! iomap pins the caller's memory, or puts memory of its own in its place, makes bios of it, and
//! tells the caller when all are done. None of these bios goes to a device: their memory is handed
//! out as ranges, just as folios are when the page cache is filled.

use super::{
    file::FileData,
    inode::INode, //
};
use crate::{
    bindings,
    env::num,
    error::errno::Errno,
    sys::{
        failed,
        iomap::{
            FolioRange,
            Holder,
            RangeReader, //
        }, //
    },
};
use core::{
    ffi::c_int,
    marker::PhantomData,
    ptr::NonNull, //
};

/// A part of a direct read: memory for a contiguous range of a file.
///
/// # Invariants
///
/// A bio of iomap's that waits to be ended, of which one part is this value's.
pub struct DirectRead<'a> {
    bio: NonNull<bindings::bio>,
    pos: u64,
    bounced: bool,
    call: PhantomData<&'a mut ()>,
}

impl DirectRead<'_> {
    /// Whether the caller can see and change the memory while it is being filled.
    pub fn is_exposed(&self) -> bool {
        !self.bounced
    }

    /// The first byte of the file behind what is wanted.
    pub fn end(&self) -> u64 {
        // SAFETY: The bio is valid by the type invariant.
        let len = unsafe { (*self.bio.as_ptr()).bi_iter.bi_size };
        self.pos.saturating_add(len.into())
    }

    /// Has all memory filled by `reader`.
    pub fn read<R: RangeReader>(self, reader: &mut R) {
        let bio = self.bio.as_ptr();
        let mut pos = self.pos;
        // SAFETY: The bio is valid by the type invariant.
        let mut left = unsafe { (*bio).bi_iter };
        loop {
            let (mut page, mut offset) = (core::ptr::null_mut(), 0);
            // SAFETY: The bio is not done before this value's part is; `left` started as what all
            // of it is, and only this function moves it.
            let len =
                unsafe { bindings::bch_rs_direct_piece(bio, &mut left, &mut page, &mut offset) };
            if len == 0 {
                return;
            }
            // INVARIANT: A piece is contiguous, and pinned or the kernel's until the bio is done,
            // which has one part more to wait for.
            // SAFETY: As just said.
            let range = unsafe {
                bindings::bch_rs_direct_hold(bio);
                FolioRange::from_page(page, offset, len, Holder::Direct(self.bio))
            };
            reader.read(pos, range);
            pos = pos.saturating_add(num::u64_of(len));
        }
    }
}

impl Drop for DirectRead<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant there is a part to be ended.
        unsafe { bindings::bch_rs_direct_end(self.bio.as_ptr(), 0) };
    }
}

/// Reads `iocb` into `to`. Place and length have to be multiples of the device's blocks; the
/// memory can be anywhere.
///
/// C: `bch2_direct_IO_read()`.
///
/// # Safety
///
/// The arguments must be those of `->read_iter()` for a file of `T`.
pub(super) unsafe fn read<T: FileData>(
    iocb: *mut bindings::kiocb,
    to: *mut bindings::iov_iter,
) -> isize {
    // SAFETY: By the function's contract. An open file has an inode of ours.
    let (inode, pos, count) = unsafe {
        let inode = INode::<T>::from_raw((*(*iocb).ki_filp).f_inode);
        let pos = num::u64_of_bits((*iocb).ki_pos);
        (inode, pos, bindings::iov_iter_count(to))
    };
    let Some(device) = T::direct_device(inode) else {
        return failed(Errno::EIO);
    };
    let block = u64::from(device.logical_block_bytes());
    if count == 0 {
        return 0;
    }
    if (pos | num::u64_of(count)) & block.wrapping_sub(1) != 0 {
        return failed(Errno::EINVAL);
    }
    let left = inode.size().saturating_sub(pos);
    let Some(limit) = num::round_up_pow2(left, block).filter(|&n| n != 0) else {
        return 0;
    };
    // SAFETY: By the function's contract.
    let unaligned = unsafe { bindings::iov_iter_alignment(to) };
    let bounce =
        unaligned & num::usize_of_u32(device.memory_mask()) != 0 || T::is_encoded_at(inode, pos);
    let ops = if bounce {
        &Tables::<T>::BOUNCED
    } else {
        &Tables::<T>::EXPOSED
    };
    // SAFETY: By the function's contract; the tables are constants.
    unsafe {
        bindings::bch_rs_direct_read(
            iocb,
            to,
            &Tables::<T>::MAPPING,
            ops,
            bounce,
            num::usize_of(limit),
        )
    }
}

/// The operation tables of direct reads.
struct Tables<T>(PhantomData<T>);

impl<T: FileData> Tables<T> {
    const MAPPING: bindings::iomap_ops = bindings::iomap_ops {
        iomap_begin: Some(begin::<T>),
        iomap_end: None,
        iomap_next: None,
    };

    const EXPOSED: bindings::iomap_dio_ops = Self::ops(submit::<T, false>);
    const BOUNCED: bindings::iomap_dio_ops = Self::ops(submit::<T, true>);

    const fn ops(submit: Submit) -> bindings::iomap_dio_ops {
        bindings::iomap_dio_ops {
            end_io: None,
            submit_io: Some(submit),
            bio_set: core::ptr::null_mut(),
        }
    }
}

/// `->submit_io`.
type Submit =
    unsafe extern "C" fn(*const bindings::iomap_iter, *mut bindings::bio, bindings::loff_t);

/// Maps all that is asked for, to a device whose limits are to be kept.
///
/// # Safety
///
/// For iomap to call.
unsafe extern "C" fn begin<T: FileData>(
    inode: *mut bindings::inode,
    pos: bindings::loff_t,
    len: bindings::loff_t,
    _flags: core::ffi::c_uint,
    iomap: *mut bindings::iomap,
    _srcmap: *mut bindings::iomap,
) -> c_int {
    // SAFETY: iomap passes an inode of ours and a mapping to fill in.
    let (inode, map) = unsafe { (INode::<T>::from_raw(inode), &mut *iomap) };
    let Some(device) = T::direct_device(inode) else {
        return Errno::EIO.0.wrapping_neg();
    };
    map.type_ = crate::sys::iomap::MAP_MAPPED;
    map.bdev = device.as_ptr();
    map.addr = 0;
    map.offset = pos;
    map.length = num::u64_of_bits(len);
    0
}

/// Takes over a bio.
///
/// # Safety
///
/// For iomap to call; `BOUNCED` must say whether the bio's memory is iomap's own.
unsafe extern "C" fn submit<T: FileData, const BOUNCED: bool>(
    iter: *const bindings::iomap_iter,
    bio: *mut bindings::bio,
    pos: bindings::loff_t,
) {
    let Some(bio) = NonNull::new(bio) else {
        return;
    };
    // SAFETY: iomap passes an inode of ours, and a bio that waits to be ended. What iomap has of
    // its own is copied to the caller's memory in the end, which is not for interrupts.
    let inode = unsafe {
        if BOUNCED {
            bindings::bch_rs_direct_in_task(bio.as_ptr());
        }
        INode::<T>::from_raw((*iter).inode)
    };
    // INVARIANT: The bio has one part from the start.
    let request = DirectRead {
        bio,
        pos: num::u64_of_bits(pos),
        bounced: BOUNCED,
        call: PhantomData,
    };
    T::read_direct(inode, request);
}
