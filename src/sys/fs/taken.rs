// SPDX-License-Identifier: GPL-2.0

//! What a process writes past the page cache.

use super::{
    pinned::Pinned,
    Result, //
};
use crate::{
    bindings,
    env::{
        span::{
            part_of,
            Span, //
        },
        Few, //
    },
    error::errno::Errno, //
};
use core::{
    ptr::NonNull,
    slice, //
};

/// Bytes of a piece, if there is so much contiguous memory: not so much that it would be hard to
/// find, and enough that a device gets few pieces.
const PIECE_ORDER: u32 = 4;
const PAGE_BYTES: usize = bindings::PAGE_SIZE;

/// One piece of memory.
///
/// # Invariants
///
/// The page is the first of `1 << order` that are ours; their first `len` bytes are initialised.
struct Piece {
    page: NonNull<bindings::page>,
    order: u32,
    len: usize,
}

// SAFETY: The memory is ours alone, and any thread may use and free it.
unsafe impl Send for Piece {}
// SAFETY: All that can be done with a reference is to read.
unsafe impl Sync for Piece {}

impl Piece {
    /// Memory for `wanted` bytes, or for fewer when there is none in one piece.
    fn try_new(wanted: usize) -> Result<Self> {
        let mut order = PIECE_ORDER;
        while order > 0 && wanted <= (PAGE_BYTES << order) / 2 {
            order = order.wrapping_sub(1);
        }
        loop {
            // SAFETY: Allocates; may sleep.
            let page = unsafe { bindings::bch_rs_alloc_scratch(order) };
            match (NonNull::new(page), order) {
                // INVARIANT: Just allocated; nothing is initialised.
                (Some(page), _) => {
                    return Ok(Self {
                        page,
                        order,
                        len: 0,
                    })
                }
                (None, 0) => return Err(Errno::ENOMEM),
                (None, _) => order = 0,
            }
        }
    }

    fn start(&self) -> *mut u8 {
        // SAFETY: The page is ours. Its memory is in the kernel's address space.
        unsafe { bindings::bch_rs_page_address(self.page.as_ptr()) }.cast()
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: By the type invariant.
        unsafe { slice::from_raw_parts(self.start(), self.len) }
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::bch_rs_free_scratch(self.page.as_ptr(), self.order) };
    }
}

/// What a process writes, which may have it anywhere: a copy, which can not be changed while its
/// checksum is made; or the process's own pages, when nothing but the device looks at them.
///
/// C: the bounce pages of `bch2_write_bio_alloc()`, or the bio of `bch2_direct_write()`.
#[derive(Default)]
pub struct Taken {
    copied: Few<Piece, 4>,
    pinned: Pinned,
    len: usize,
}

impl Taken {
    /// Takes at most `max` bytes off an iterator: fewer when some of the memory is not there. Pins
    /// them, or copies them.
    ///
    /// # Safety
    ///
    /// `from` must be an iterator over the caller's memory. To pin it, what [`Pinned::from_iter`]
    /// wants.
    pub(super) unsafe fn from_iter(
        from: *mut bindings::iov_iter,
        max: usize,
        pins: bool,
    ) -> Result<Self> {
        let mut taken = Self::default();
        if pins {
            // SAFETY: By the function's contract.
            taken.pinned = unsafe { Pinned::from_iter(from, max) }?;
            taken.len = taken.pinned.nr_bytes();
            return Ok(taken);
        }
        // SAFETY: By the function's contract.
        let wanted = unsafe { bindings::iov_iter_count(from) }.min(max);
        while taken.len < wanted {
            let left = wanted.saturating_sub(taken.len);
            let mut piece = Piece::try_new(left)?;
            let room = left.min(PAGE_BYTES << piece.order);
            // SAFETY: As above. The memory is ours, and as long as is said.
            let got = unsafe { bindings::bch_rs_take_from_iter(piece.start().cast(), room, from) };
            // INVARIANT: That much was copied there.
            piece.len = got;
            taken.len = taken.len.saturating_add(got);
            taken.copied.push(piece).map_err(|_| Errno::ENOMEM)?;
            if got < room {
                break;
            }
        }
        Ok(taken)
    }

    /// How many bytes there are.
    pub fn nr_bytes(&self) -> usize {
        self.len
    }

    /// Whether the process can change them meanwhile.
    pub fn is_shared(&self) -> bool {
        self.pinned.nr_bytes() != 0
    }

    /// Forgets what is behind the first `len` bytes.
    pub(super) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// `len` bytes from byte `skip` on, in spans whose boundaries are between blocks.
    pub fn spans(&self, skip: usize, len: usize) -> impl Iterator<Item = Span<'_>> {
        let copied = self.copied.iter().map(|piece| Span::Still(piece.bytes()));
        let len = len.min(self.len.saturating_sub(skip));
        part_of(copied.chain(self.pinned.spans()), skip, len)
    }
}
