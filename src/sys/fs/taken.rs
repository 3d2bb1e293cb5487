// SPDX-License-Identifier: GPL-2.0

//! A copy of what a process writes past the page cache.

use super::Result;
use crate::{bindings, env::Few, error::errno::Errno};
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

/// A copy of what a process writes. It can not be changed while its checksum is made, and the
/// process may have it anywhere.
///
/// C: the bounce pages of `bch2_write_bio_alloc()`.
#[derive(Default)]
pub struct Taken {
    pieces: Few<Piece, 4>,
    len: usize,
}

impl Taken {
    /// Takes at most `max` bytes off an iterator: fewer when some of the memory is not there.
    ///
    /// # Safety
    ///
    /// `from` must be an iterator over the caller's memory.
    pub(super) unsafe fn from_iter(from: *mut bindings::iov_iter, max: usize) -> Result<Self> {
        let mut taken = Self::default();
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
            taken.pieces.push(piece).map_err(|_| Errno::ENOMEM)?;
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

    /// Forgets what is behind the first `len` bytes.
    pub(super) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// `len` bytes from byte `skip` on, in pieces that are pages but for the last one.
    pub fn pieces(&self, skip: usize, len: usize) -> impl Iterator<Item = &[u8]> {
        let mut left = len.min(self.len.saturating_sub(skip));
        let mut skip = skip;
        self.pieces.iter().filter_map(move |piece| {
            let behind = piece.bytes().get(skip..);
            skip = skip.saturating_sub(piece.len);
            let behind = behind?;
            let bytes = behind.get(..left).unwrap_or(behind);
            left = left.saturating_sub(bytes.len());
            (!bytes.is_empty()).then_some(bytes)
        })
    }
}
