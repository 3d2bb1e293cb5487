// SPDX-License-Identifier: GPL-2.0

//! The two sides of a staged read: memory that the device has written to, and ranges of folios
//! that are to hold what becomes of it.

use crate::{
    bindings,
    env::num,
    sys::copy_and_fill, //
};
use core::{
    marker::PhantomData,
    slice, //
};

/// Where the bytes of a vector are: contiguous, in the kernel's address space.
///
/// # Safety
///
/// The vector's memory must be allocated.
unsafe fn address(vec: &bindings::bio_vec) -> *mut u8 {
    // SAFETY: By the function's contract; the offset is within the memory.
    unsafe {
        let base: *mut u8 = bindings::bch_rs_page_address(vec.bv_page).cast();
        base.add(num::usize_of_u32(vec.bv_offset))
    }
}

/// The bytes of a vector.
///
/// # Safety
///
/// Its memory must be valid, and nobody, the device included, write to it for as long as `'a`.
pub(super) unsafe fn bytes<'a>(vec: &bindings::bio_vec) -> &'a [u8] {
    // SAFETY: By the function's contract.
    unsafe { slice::from_raw_parts(address(vec), num::usize_of_u32(vec.bv_len)) }
}

/// The bytes of a vector, to be changed.
///
/// # Safety
///
/// Its memory must be valid, and nobody else have access to it for as long as `'a`.
pub(super) unsafe fn bytes_mut<'a>(vec: &bindings::bio_vec) -> &'a mut [u8] {
    // SAFETY: By the function's contract.
    unsafe { slice::from_raw_parts_mut(address(vec), num::usize_of_u32(vec.bv_len)) }
}

/// What the device has transferred to scratch memory.
///
/// # Invariants
///
/// The vectors are scratch memory that nobody writes to.
pub struct Scratch<'a>(&'a [bindings::bio_vec]);

impl<'a> Scratch<'a> {
    /// Wraps vectors.
    ///
    /// # Safety
    ///
    /// The type invariant must hold for as long as `'a`.
    pub(super) unsafe fn new(vecs: &'a [bindings::bio_vec]) -> Self {
        // INVARIANT: By the function's contract.
        Self(vecs)
    }

    /// All of it, when it is in one piece.
    pub fn whole(&self) -> Option<&'a [u8]> {
        match self.0 {
            // SAFETY: By the type invariant.
            [one] => Some(unsafe { bytes(one) }),
            _ => None,
        }
    }

    /// How many bytes there are.
    pub fn nr_bytes(&self) -> usize {
        self.0
            .iter()
            .fold(0, |n, v| n.wrapping_add(num::usize_of_u32(v.bv_len)))
    }

    /// Copies all of it to `to`, as far as there is room.
    pub fn copy_to(&self, to: &mut [u8]) {
        let mut rest = to;
        for vec in self.0 {
            // SAFETY: By the type invariant.
            let from = unsafe { bytes(vec) };
            let Some((now, later)) = rest.split_at_mut_checked(from.len()) else {
                return;
            };
            copy_and_fill(now, from);
            rest = later;
        }
    }
}

/// Ranges that wait for their data.
///
/// # Invariants
///
/// The vectors are ranges of folios, the last one first, that nobody else has access to.
pub struct Held<'a>(&'a [bindings::bio_vec], PhantomData<&'a mut [u8]>);

impl<'a> Held<'a> {
    /// Wraps vectors.
    ///
    /// # Safety
    ///
    /// The type invariant must hold for as long as `'a`.
    pub(super) unsafe fn new(vecs: &'a [bindings::bio_vec]) -> Self {
        // INVARIANT: By the function's contract.
        Self(vecs, PhantomData)
    }

    /// The ranges one after the other, when that is how they are in memory.
    pub fn contiguous(&mut self) -> Option<&mut [u8]> {
        let mut ranges = self.0.iter().rev();
        let first = ranges.next()?;
        // SAFETY: By the type invariant.
        let start = unsafe { address(first) };
        let mut len = num::usize_of_u32(first.bv_len);
        for vec in ranges {
            // SAFETY: As above.
            if unsafe { address(vec) } != start.wrapping_add(len) {
                return None;
            }
            len = len.wrapping_add(num::usize_of_u32(vec.bv_len));
        }
        // SAFETY: By the type invariant these bytes are ours, for as long as `self` is borrowed;
        // the kernel's address space is one object.
        Some(unsafe { slice::from_raw_parts_mut(start, len) })
    }

    /// Copies `data` to the ranges, one after the other; zeros follow it.
    pub fn copy_from(&mut self, data: &[u8]) {
        let mut rest = data;
        for vec in self.0.iter().rev() {
            // SAFETY: By the type invariant these bytes are ours.
            let to = unsafe { bytes_mut(vec) };
            let (now, later) = rest.split_at_checked(to.len()).unwrap_or((rest, &[]));
            copy_and_fill(to, now);
            rest = later;
        }
    }
}
