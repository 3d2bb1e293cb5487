// SPDX-License-Identifier: GPL-2.0

//! What a process writes past the page cache, where it is.

use super::Result;
use crate::{
    bindings,
    env::{
        num,
        span::Span,
        Vec, //
    },
    error::errno::Errno,
};
use core::{
    ptr::{
        self,
        NonNull, //
    },
    slice,
    sync::atomic::AtomicU8, //
};

const PAGE_BYTES: usize = bindings::PAGE_SIZE;
/// Pages that are taken at a time: their list takes half a page of memory.
const PAGES_MAX: usize = 256;

/// Contiguous memory.
struct Run {
    start: NonNull<u8>,
    len: usize,
}

/// Memory of a process, which can change it at any time.
///
/// # Invariants
///
/// The runs are within the pages. Those stay: they are pinned if `is_pinned`, and otherwise whoever
/// writes keeps them until the write has ended.
#[derive(Default)]
pub(super) struct Pinned {
    pages: Vec<*mut bindings::page>,
    runs: Vec<Run>,
    is_pinned: bool,
}

// SAFETY: Any thread may read the memory, and give it back.
unsafe impl Send for Pinned {}
// SAFETY: All that can be done with a reference is to read, byte by byte.
unsafe impl Sync for Pinned {}

impl Pinned {
    /// Whether the memory of an iterator can be had: it is not the kernel's own, and all parts of
    /// it begin and end at a multiple of `block` bytes, which is a power of two.
    ///
    /// # Safety
    ///
    /// `from` must be an iterator.
    pub(super) unsafe fn can_have(from: *const bindings::iov_iter, block: usize) -> bool {
        let mask = block.wrapping_sub(1);
        // SAFETY: By the function's contract.
        unsafe { bindings::bch_rs_iter_can_pin(from, mask) }
    }

    /// Takes at most `max` bytes off an iterator: fewer when some of the memory is not there.
    ///
    /// # Safety
    ///
    /// `from` must be an iterator over the caller's memory that [can be had](Self::can_have). What
    /// is not pinned of it must stay until the result is dropped.
    pub(super) unsafe fn from_iter(from: *mut bindings::iov_iter, max: usize) -> Result<Self> {
        let mut all = Self::default();
        // SAFETY: By the function's contract.
        all.is_pinned = unsafe { bindings::bch_rs_iter_pins(from) };
        // SAFETY: As above.
        let mut left = unsafe { bindings::iov_iter_count(from) }.min(max);
        while left > 0 {
            // SAFETY: As above.
            let got = unsafe { all.take(from, left) }?;
            if got == 0 {
                break;
            }
            left = left.saturating_sub(got);
        }
        Ok(all)
    }

    /// Takes what is contiguous for the process; how many bytes.
    ///
    /// # Safety
    ///
    /// As of [`from_iter`](Self::from_iter).
    unsafe fn take(&mut self, from: *mut bindings::iov_iter, max: usize) -> Result<usize> {
        // There is one page more if it begins within one.
        let nr = (max / PAGE_BYTES).saturating_add(2).min(PAGES_MAX);
        let mut pages = Vec::from_elem(ptr::null_mut(), nr).map_err(|_| Errno::ENOMEM)?;
        let mut skip = 0usize;
        // SAFETY: By the function's contract. There is room for so many pages.
        let got = unsafe {
            let (to, nr) = (pages.as_mut_ptr(), num::sat_u32(nr));
            bindings::bch_rs_pin_iter(from, to, nr, max, &mut skip)
        };
        let got = usize::try_from(got).unwrap_or(0);
        let nr = skip.saturating_add(got).div_ceil(PAGE_BYTES);
        pages.truncate(match got {
            0 => 0,
            _ => nr,
        });
        if self.pages.is_empty() {
            // INVARIANT: That many were pinned, if they are.
            self.pages = pages;
        } else {
            // What is not in the list would stay pinned.
            let rest = Self {
                pages,
                runs: Vec::new(),
                is_pinned: self.is_pinned,
            };
            self.pages
                .extend_from_slice(&rest.pages)
                .map_err(|_| Errno::ENOMEM)?;
            // INVARIANT: They are of the list now.
            core::mem::forget(rest);
        }
        self.add_runs(nr, skip, got)?;
        Ok(got)
    }

    /// Adds the `len` bytes of the last `nr` pages from byte `skip` on.
    fn add_runs(&mut self, nr: usize, skip: usize, len: usize) -> Result {
        let first = self.pages.len().saturating_sub(nr);
        let (mut skip, mut left) = (skip, len);
        for page in self.pages.get(first..).unwrap_or_default() {
            let room = PAGE_BYTES.saturating_sub(skip).min(left);
            // SAFETY: The page is there, and its memory in the kernel's address space.
            let start = unsafe { bindings::bch_rs_page_address(*page) };
            let start = NonNull::new(start.cast::<u8>()).ok_or(Errno::EFAULT)?;
            let start = start.map_addr(|at| at.saturating_add(skip));
            left = left.saturating_sub(room);
            skip = 0;
            if let Some(last) = self.runs.last_mut() {
                if last.start.addr().get().wrapping_add(last.len) == start.addr().get() {
                    // INVARIANT: The pages are one behind the other.
                    last.len = last.len.saturating_add(room);
                    continue;
                }
            }
            // INVARIANT: Within the page.
            let run = Run { start, len: room };
            self.runs.push(run).map_err(|_| Errno::ENOMEM)?;
        }
        Ok(())
    }

    /// How many bytes there are.
    pub(super) fn nr_bytes(&self) -> usize {
        self.runs.iter().map(|run| run.len).sum()
    }

    /// All of it, in order.
    pub(super) fn spans(&self) -> impl Iterator<Item = Span<'_>> {
        self.runs.iter().map(|run| {
            // SAFETY: By the type invariant the memory stays as long as `self`. Whatever others do
            // to it, an atomic may be read.
            Span::Shared(unsafe {
                slice::from_raw_parts(run.start.as_ptr().cast::<AtomicU8>(), run.len)
            })
        })
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if self.is_pinned {
            let pages = self.pages.as_mut_ptr();
            // SAFETY: By the type invariant; nobody uses them any more.
            unsafe { bindings::unpin_user_pages(pages, self.pages.len()) };
        }
    }
}
