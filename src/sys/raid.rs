// SPDX-License-Identifier: GPL-2.0

//! Lost blocks from parity, by the kernel's RAID5 and RAID6 functions.

use crate::{
    bindings,
    env::{
        num,
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
};
use core::{
    ffi::c_void,
    ptr, //
};

/// The most blocks, parity included.
pub const MAX_BLOCKS: usize = 16;
/// What the functions for two lost blocks take at a time.
const PAGE_BYTES: usize = bindings::PAGE_SIZE;
/// The fewest blocks the kernel's RAID6 functions take.
const RAID6_MIN: usize = num::usize_of_u32(bindings::RAID6_MIN_DISKS);

/// Blocks of one size: of data, then one of their sum (P), then one of their weighted sum (Q) when
/// any two are to be replaceable.
///
/// # Invariants
///
/// Each buffer starts at a page and has `bytes` bytes, a multiple of 512 above 0, rounded up to
/// whole pages. There are no more than [`MAX_BLOCKS`].
pub struct Blocks {
    bufs: Vec<Vec<u8>>,
    bytes: usize,
}

impl Blocks {
    /// No blocks yet, each to have `bytes` bytes: a multiple of 512.
    pub fn new(bytes: usize) -> Result<Self> {
        if bytes == 0 || bytes % 512 != 0 || u32::try_from(bytes).is_err() {
            return Err(Error::Overflow);
        }
        // INVARIANT: No buffers.
        Ok(Self {
            bufs: Vec::new(),
            bytes,
        })
    }

    /// Adds zeroed blocks until there are `nr`.
    pub fn grow(&mut self, nr: usize) -> Result {
        if nr > MAX_BLOCKS {
            return Err(Error::Overflow);
        }
        while self.bufs.len() < nr {
            let room = num::round_up_pow2(num::u64_of(self.bytes), num::u64_of(PAGE_BYTES))
                .ok_or(Error::Overflow)?;
            // The allocator aligns whole pages to pages; what follows relies on it, so look.
            let buf = Vec::from_elem(0u8, num::usize_of(room))?;
            if buf.as_ptr().align_offset(PAGE_BYTES) != 0 {
                return Err(Error::NoMemory);
            }
            // INVARIANT: Of the right size and place, and one of `nr`.
            self.bufs.push(buf)?;
        }
        Ok(())
    }

    /// The bytes of a block.
    pub fn get(&self, block: usize) -> Option<&[u8]> {
        self.bufs.get(block)?.get(..self.bytes)
    }

    /// The bytes of a block.
    pub fn get_mut(&mut self, block: usize) -> Option<&mut [u8]> {
        self.bufs.get_mut(block)?.get_mut(..self.bytes)
    }

    /// Rebuilds data block `lost` from the other data blocks and P.
    pub fn rebuild_from_p(&mut self, nr_data: usize, lost: usize) -> Result {
        self.check(nr_data.saturating_add(1), lost < nr_data)?;
        let mut ptrs = [ptr::null_mut(); MAX_BLOCKS];
        let mut nr = 0u32;
        let others = self.bufs.iter_mut().take(nr_data.saturating_add(1));
        let others = others.enumerate().filter(|(i, _)| *i != lost);
        for (slot, (_, buf)) in ptrs.iter_mut().zip(others) {
            *slot = buf.as_mut_ptr().cast::<c_void>();
            nr = nr.wrapping_add(1);
        }
        let bytes = num::sat_u32(self.bytes);
        let Some(dest) = self.get_mut(lost) else {
            return Err(Error::Overflow);
        };
        dest.fill(0);
        // SAFETY: By the type invariant all buffers have `bytes` bytes at least and start at a
        // page; `dest` is none of the `nr` sources, of which there is one at least. This runs in a
        // task: all that read from devices and wait do.
        unsafe { bindings::xor_gen(dest.as_mut_ptr().cast(), ptrs.as_mut_ptr(), nr, bytes) };
        Ok(())
    }

    /// Rebuilds two data blocks, `first` before `second`, from the others, P and Q.
    pub fn rebuild_two(&mut self, nr_data: usize, first: usize, second: usize) -> Result {
        let nr = nr_data.saturating_add(2);
        self.check(nr, first < second && second < nr_data)?;
        self.by_page(nr, |disks, bytes, ptrs| {
            let (first, second) = (num::sat_u32(first), num::sat_u32(second));
            // SAFETY: `by_page` gives pointers to as many distinct buffers, and `nr` was checked to
            // be at least 4: two data blocks and two of parity.
            unsafe {
                bindings::raid6_recov_2data(
                    disks,
                    bytes,
                    num::i32_of_bits(first),
                    num::i32_of_bits(second),
                    ptrs,
                )
            }
        })
    }

    /// Rebuilds data block `lost` from the other data blocks and Q. P is overwritten.
    pub fn rebuild_from_q(&mut self, nr_data: usize, lost: usize) -> Result {
        let nr = nr_data.saturating_add(2);
        self.check(nr, lost < nr_data)?;
        if nr < RAID6_MIN {
            // The weight of the first data block is one.
            return self.copy(nr_data.saturating_add(1), lost);
        }
        self.by_page(nr, |disks, bytes, ptrs| {
            let lost = num::i32_of_bits(num::sat_u32(lost));
            // SAFETY: `by_page` gives pointers to as many distinct buffers, at least 4.
            unsafe { bindings::raid6_recov_datap(disks, bytes, lost, ptrs) }
        })
    }

    /// Whether `nr` blocks are there, and what else has to be true.
    fn check(&self, nr: usize, sound: bool) -> Result {
        match sound && nr <= self.bufs.len() {
            true => Ok(()),
            false => Err(Error::Overflow),
        }
    }

    fn copy(&mut self, from: usize, to: usize) -> Result {
        let Some((head, tail)) = self.bufs.split_at_mut_checked(from) else {
            return Err(Error::Overflow);
        };
        if let (Some(to), Some(from)) = (head.get_mut(to), tail.first()) {
            to.iter_mut().zip(from.iter()).for_each(|(to, b)| *to = *b);
        }
        Ok(())
    }

    /// Calls `f` for each page of the first `nr` blocks, with the number of blocks, the bytes of
    /// this page, and a pointer to it in each block. The pointers are valid for that many bytes,
    /// start at pages, and differ; `nr` is that of blocks that are there.
    fn by_page(&mut self, nr: usize, f: impl Fn(i32, usize, *mut *mut c_void)) -> Result {
        let mut at = 0;
        while at < self.bytes {
            let mut ptrs = [ptr::null_mut(); MAX_BLOCKS];
            let mut disks = 0u32;
            for (slot, buf) in ptrs.iter_mut().zip(self.bufs.iter_mut().take(nr)) {
                let page = buf.get_mut(at..).unwrap_or_default();
                *slot = page.as_mut_ptr().cast::<c_void>();
                disks = disks.wrapping_add(1);
            }
            let bytes = self.bytes.wrapping_sub(at).min(PAGE_BYTES);
            f(num::i32_of_bits(disks), bytes, ptrs.as_mut_ptr());
            at = at.saturating_add(PAGE_BYTES);
        }
        Ok(())
    }
}
