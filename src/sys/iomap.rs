// SPDX-License-Identifier: GPL-2.0

//! Reading into the page cache through iomap, and ranges of memory that wait for data.
//!
//! iomap keeps the state of folios: which blocks are up to date, which reads are under way. It is
//! told nothing of disk addresses: the mapping is always "mapped", and every range of a folio that
//! needs data is handed to a [`RangeReader`] as a [`FolioRange`], to be ended whenever the data is
//! there.

use crate::{
    bindings,
    env::num,
    error::{
        Error,
        Result, //
    },
};
use core::{
    ffi::c_int,
    marker::PhantomData,
    ptr::{
        self,
        NonNull, //
    }, //
};

/// A range of memory that waits for a file's data: of a locked folio in the page cache, or of what
/// a direct read is to fill. Whoever holds it has to end it, which dropping does too, with an
/// error.
///
/// # Invariants
///
/// - The `len` bytes from `offset` bytes behind the start of `page` on are contiguous in the
///   kernel's address space, which is so within a folio and within a piece of a bio: there is no
///   high memory. They stay where they are until the range has ended.
/// - `holder` counts on exactly one call that ends the range.
/// - In the page cache, nobody else reads or writes these bytes; the memory of a direct read may be
///   changed by its owner at any time.
pub struct FolioRange {
    page: NonNull<bindings::page>,
    offset: usize,
    len: usize,
    holder: Holder,
}

/// Who waits for a range.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    /// iomap, which has handed out bytes of a folio.
    PageCache,
    /// A bio of a direct read: one of its remaining parts.
    Direct(NonNull<bindings::bio>),
}

// SAFETY: A read may be ended by any thread.
unsafe impl Send for FolioRange {}

impl FolioRange {
    /// How many bytes the range has.
    pub fn nr_bytes(&self) -> usize {
        self.len
    }

    /// Cuts the range after `at` bytes; past the end the second part is `None`. `at` must be a
    /// multiple of the filesystem's block size.
    pub fn split_at(self, at: usize) -> (Self, Option<Self>) {
        let Some(rest) = self.len.checked_sub(at).filter(|&n| n != 0) else {
            return (self, None);
        };
        let (page, offset, _, holder) = self.into_parts();
        if let Holder::Direct(bio) = holder {
            // SAFETY: The bio is not done: the range that is cut is one of its parts.
            unsafe { bindings::bch_rs_direct_hold(bio.as_ptr()) };
        }
        // INVARIANT: Both parts together are the range `self` was, which is given up. iomap counts
        // bytes, and a bio has one part more now.
        let head = Self {
            page,
            offset,
            len: at,
            holder,
        };
        let tail = Self {
            page,
            offset: offset.wrapping_add(at),
            len: rest,
            holder,
        };
        (head, Some(tail))
    }

    /// Ends the range, its data being `data`, followed by zeros.
    pub fn fill(self, data: &[u8]) {
        let nr_data = data.len().min(self.len);
        // SAFETY: By the type invariant the range is contiguous and stays. No reference to it is
        // made, as others may be writing to the memory of a direct read.
        unsafe {
            let base: *mut u8 = bindings::bch_rs_page_address(self.page.as_ptr()).cast();
            let to = base.add(self.offset);
            ptr::copy_nonoverlapping(data.as_ptr(), to, nr_data);
            ptr::write_bytes(to.add(nr_data), 0, self.len.wrapping_sub(nr_data));
        }
        self.end(Ok(()));
    }

    /// Ends the range. With success its bytes are valid. Not with an error in interrupt context.
    pub fn end(self, result: Result) {
        let (page, offset, len, holder) = self.into_parts();
        let errno = match result {
            Ok(()) => 0,
            Err(e) => e.to_errno().wrapping_neg(),
        };
        // SAFETY: By the type invariant the range is waiting for exactly this call, and `self` is
        // gone. A page in the page cache has a folio.
        unsafe {
            match holder {
                Holder::PageCache => {
                    let mut start = 0;
                    let folio = bindings::bch_rs_page_folio(page.as_ptr(), &mut start);
                    let offset = start.wrapping_add(offset);
                    bindings::iomap_finish_folio_read(folio, offset, len, errno);
                }
                Holder::Direct(bio) => bindings::bch_rs_direct_end(bio.as_ptr(), errno),
            }
        }
    }

    /// Who waits for the range.
    pub(super) fn holder(&self) -> Holder {
        self.holder
    }

    /// The page the range starts in, the offset into that page, and the length; the obligation to
    /// end the range goes to the caller.
    pub(super) fn into_page(self) -> (*mut bindings::page, usize, usize) {
        let (page, offset, len, _) = self.into_parts();
        // SAFETY: By the type invariant `offset` is within what `page` is the start of.
        let page = unsafe { bindings::bch_rs_page_at(page.as_ptr(), offset) };
        (page, offset & PAGE_MASK, len)
    }

    /// The reverse of [`into_page`](Self::into_page).
    ///
    /// # Safety
    ///
    /// The arguments came from `into_page()` of a range of `holder` that has not been remade or
    /// ended since. For a new range, they must be as the type's invariants say.
    pub(super) unsafe fn from_page(
        page: *mut bindings::page,
        offset: usize,
        len: usize,
        holder: Holder,
    ) -> Self {
        // INVARIANT: By the function's contract.
        Self {
            // SAFETY: By the function's contract it is a page.
            page: unsafe { NonNull::new_unchecked(page) },
            offset,
            len,
            holder,
        }
    }

    fn into_parts(self) -> (NonNull<bindings::page>, usize, usize, Holder) {
        let parts = (self.page, self.offset, self.len, self.holder);
        core::mem::forget(self);
        parts
    }
}

impl Drop for FolioRange {
    fn drop(&mut self) {
        // INVARIANT: The range moves to a value that is ended.
        let range = Self {
            page: self.page,
            offset: self.offset,
            len: self.len,
            holder: self.holder,
        };
        range.end(Err(Error::Io));
    }
}

/// Offset within a page.
const PAGE_MASK: usize = bindings::PAGE_SIZE.wrapping_sub(1);

/// What reads the data of ranges, made for one call of [`read_folio`] or [`readahead`].
pub trait RangeReader {
    /// Takes over `range`, which is to hold the file's bytes from `pos` on. Called with rising,
    /// not necessarily contiguous, positions.
    fn read(&mut self, pos: u64, range: FolioRange);
}

/// A readahead request: locked folios, contiguous in a file.
///
/// # Invariants
///
/// Valid as long as `'a`, the duration of `->readahead()`.
pub struct Readahead<'a>(
    NonNull<bindings::readahead_control>,
    PhantomData<&'a mut ()>,
);

impl Readahead<'_> {
    /// Wraps the argument of `->readahead()`.
    ///
    /// # Safety
    ///
    /// `rac` must be what the kernel passed, and the result not used beyond that call.
    pub unsafe fn from_raw(rac: *mut bindings::readahead_control) -> Option<Self> {
        // INVARIANT: By the function's contract.
        NonNull::new(rac).map(|p| Self(p, PhantomData))
    }

    /// The first byte of the file that is wanted.
    pub fn pos(&self) -> u64 {
        // SAFETY: By the type invariant.
        num::u64_of_bits(unsafe { bindings::bch_rs_rac_pos(self.0.as_ptr()) })
    }

    /// How many bytes are wanted.
    pub fn nr_bytes(&self) -> usize {
        // SAFETY: By the type invariant.
        unsafe { bindings::bch_rs_rac_len(self.0.as_ptr()) }
    }

    /// Asks for more folios, so that the request covers the bytes from `start` to `end`, if the
    /// page cache has nothing there yet and memory is available. Never makes it smaller.
    pub fn expand(&mut self, start: u64, end: u64) {
        let here = self.pos();
        let start = start.min(here);
        let end = end.max(here.saturating_add(num::u64_of(self.nr_bytes())));
        let len = num::usize_of(end.wrapping_sub(start));
        // SAFETY: By the type invariant.
        unsafe { bindings::readahead_expand(self.0.as_ptr(), num::i64_of_bits(start), len) };
    }

    /// Has all folios of the request read by `reader`.
    pub fn read<R: RangeReader>(self, reader: &mut R) {
        let mut ctx = context::<R>(reader);
        ctx.rac = self.0.as_ptr();
        // SAFETY: `ctx` is complete; its operations match the reader, which outlives the call.
        unsafe { bindings::iomap_readahead(&MAPPED, &mut ctx, ptr::null_mut()) };
    }
}

/// Has one folio read by `reader`.
///
/// # Safety
///
/// `folio` must be locked and in the page cache, as `->read_folio()` gets it; its lock goes to this
/// function.
pub unsafe fn read_folio<R: RangeReader>(folio: *mut bindings::folio, reader: &mut R) {
    let mut ctx = context::<R>(reader);
    ctx.cur_folio = folio;
    // SAFETY: As in `Readahead::read`; the folio is locked by the function's contract.
    unsafe { bindings::iomap_read_folio(&MAPPED, &mut ctx, ptr::null_mut()) };
}

fn context<R: RangeReader>(reader: &mut R) -> bindings::iomap_read_folio_ctx {
    bindings::iomap_read_folio_ctx {
        ops: &Ops::<R>::OPS,
        read_ctx: ptr::from_mut(reader).cast(),
        ..Default::default()
    }
}

struct Ops<R>(PhantomData<R>);

impl<R: RangeReader> Ops<R> {
    const OPS: bindings::iomap_read_ops = bindings::iomap_read_ops {
        read_folio_range: Some(Self::read_folio_range),
        submit_read: None,
        bio_set: ptr::null_mut(),
    };

    /// Hands a range to the reader.
    ///
    /// # Safety
    ///
    /// For iomap to call, with a context made by [`context`] for the same `R`.
    unsafe extern "C" fn read_folio_range(
        iter: *const bindings::iomap_iter,
        ctx: *mut bindings::iomap_read_folio_ctx,
        len: usize,
    ) -> c_int {
        // SAFETY: iomap passes valid objects, with a folio that is locked.
        let (pos, folio, reader) = unsafe { ((*iter).pos, (*ctx).cur_folio, (*ctx).read_ctx) };
        let Some(folio) = NonNull::new(folio) else {
            return Error::Io.to_errno().wrapping_neg();
        };
        // SAFETY: The folio is valid.
        let offset = pos.wrapping_sub(unsafe { bindings::bch_rs_folio_pos(folio.as_ptr()) });
        // INVARIANT: The range that iomap asks for, within the folio; returning 0 tells iomap that
        // `iomap_finish_folio_read()` will follow. The folio is locked until then.
        // SAFETY: As just said; the folio's first page is a page.
        let range = unsafe {
            let page = bindings::bch_rs_folio_page(folio.as_ptr(), 0);
            let offset = num::usize_of(num::u64_of_bits(offset));
            FolioRange::from_page(page, offset, len, Holder::PageCache)
        };
        // SAFETY: By the function's contract `read_ctx` is the `R` borrowed by the caller of
        // iomap.
        let reader = unsafe { &mut *reader.cast::<R>() };
        reader.read(num::u64_of_bits(pos), range);
        0
    }
}

/// The mapping for reads: everything is mapped, and where does not concern iomap.
static MAPPED: bindings::iomap_ops = bindings::iomap_ops {
    iomap_begin: Some(begin_mapped),
    iomap_end: None,
    iomap_next: None,
};

/// Maps all that is asked for.
///
/// # Safety
///
/// For iomap to call.
unsafe extern "C" fn begin_mapped(
    _inode: *mut bindings::inode,
    pos: bindings::loff_t,
    len: bindings::loff_t,
    _flags: core::ffi::c_uint,
    iomap: *mut bindings::iomap,
    _srcmap: *mut bindings::iomap,
) -> c_int {
    // SAFETY: iomap passes a mapping to fill in.
    let map = unsafe { &mut *iomap };
    map.type_ = MAP_MAPPED;
    map.addr = u64::MAX;
    map.offset = pos;
    map.length = num::u64_of_bits(len);
    0
}

/// `IOMAP_MAPPED`.
pub(super) const MAP_MAPPED: u16 = 2;

/// Lets the page cache use folios of up to `1 << max_order` pages for a file.
///
/// # Safety
///
/// `mapping` must be the mapping of an inode that is being set up.
pub unsafe fn allow_large_folios(mapping: *mut bindings::address_space, max_order: u32) {
    // SAFETY: By the function's contract.
    unsafe { bindings::bch_rs_mapping_set_orders(mapping, max_order) };
}
