// SPDX-License-Identifier: GPL-2.0

//! Writing back: dirty folios of a file, collected to runs: what is contiguous, or small.

use super::{
    inode::INode,
    write::FileWrite, //
};
use crate::{
    bindings,
    env::{
        num,
        Box,
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    sys::reclaim::NoFs,
};
use core::{
    ffi::c_int,
    marker::PhantomData,
    ptr::NonNull,
    slice, //
};

/// The most bytes of a run that is not contiguous in the file. What is written here and there is
/// written together, to one place and with few transactions; but whoever waits for a part of it
/// waits for all.
const SCATTERED_BYTES: usize = 128 << 10;

/// How many folios end their writeback at a time, while there are no interrupts.
const END_TOGETHER: usize = 32;
/// When a run that is contiguous has as many parts, there will be more of the size.
const PARTS_FEW: usize = 8;

/// A range of a folio under writeback.
///
/// # Invariants
///
/// `len` bytes from `start` on are within the folio, which is contiguous in the kernel's address
/// space.
struct Part {
    /// Its first byte in the file, and in the run.
    pos: u64,
    at: usize,
    folio: NonNull<bindings::folio>,
    start: NonNull<u8>,
    len: usize,
}

impl Part {
    fn bytes(&self) -> &[u8] {
        // SAFETY: By the type invariant, and that of the run that it is a part of: the folio stays.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    /// Where it ends in the run.
    fn until(&self) -> usize {
        self.at.saturating_add(self.len)
    }

    fn end(&self) -> u64 {
        self.pos.saturating_add(num::u64_of(self.len))
    }
}

/// A run of dirty bytes of a file, whole blocks, under writeback. Whoever holds it has to end it,
/// which dropping does too, with an error.
///
/// # Invariants
///
/// The parts are ranges of folios under writeback that iomap waits for the end of, in order of
/// their place in the file. Until the last one was ended, the folios and the inode stay. The folios
/// do not change until then, unless `is_unstable`: their mapping asks for that, which makes iomap
/// wait before it changes them or lets a process do so.
pub struct DirtyRun<T: FileWrite> {
    inode: NonNull<INode<T>>,
    len: usize,
    size: u64,
    is_contiguous: bool,
    is_unstable: bool,
    is_waited_for: bool,
    parts: Vec<Part>,
    reserved: T::Reserved,
}

// SAFETY: Writeback may be ended by any thread.
unsafe impl<T: FileWrite> Send for DirtyRun<T> {}
// SAFETY: All that can be done with a reference is to read.
unsafe impl<T: FileWrite> Sync for DirtyRun<T> {}

impl<T: FileWrite> DirtyRun<T> {
    /// The file. Only for as long as the run has not been ended.
    pub fn inode(&self) -> &INode<T> {
        // SAFETY: By the type invariant.
        unsafe { self.inode.as_ref() }
    }

    /// The first byte.
    pub fn pos(&self) -> u64 {
        self.parts.first().map_or(0, |part| part.pos)
    }

    /// Where byte `skip` of it is in the file, and how many bytes from there on are contiguous.
    pub fn place_of(&self, skip: usize) -> (u64, usize) {
        if self.is_contiguous {
            let pos = self.pos().saturating_add(num::u64_of(skip));
            return (pos, self.len.saturating_sub(skip));
        }
        let mut parts = self.parts_from(skip);
        let Some(first) = parts.next() else {
            return (u64::MAX, 0);
        };
        let skip = skip.saturating_sub(first.at);
        let (mut end, mut len) = (first.end(), first.len.saturating_sub(skip));
        for part in parts.take_while(|part| {
            let goes_on = part.pos == end;
            end = part.end();
            goes_on
        }) {
            len = len.saturating_add(part.len);
        }
        (first.pos.saturating_add(num::u64_of(skip)), len)
    }

    /// How many bytes.
    pub fn nr_bytes(&self) -> usize {
        self.len
    }

    /// Where the file ends as far as this run knows: no byte behind that is written because of it.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// What was reserved for it.
    pub fn reserved_mut(&mut self) -> &mut T::Reserved {
        &mut self.reserved
    }

    /// Whether somebody waits for it.
    pub fn is_waited_for(&self) -> bool {
        self.is_waited_for
    }

    /// Whether a device may write to a folio at any time. Then the data has to be copied.
    pub fn is_unstable(&self) -> bool {
        self.is_unstable
    }

    /// A copy of all the bytes. What somebody changes meanwhile is old or new in it.
    pub fn copied(&self) -> Result<Vec<u8>> {
        let mut to = Vec::with_capacity(self.len)?;
        for part in self.parts.iter() {
            to.extend_from_slice(part.bytes())?;
        }
        Ok(to)
    }

    /// `len` bytes from byte `skip` on, in pieces: a folio each.
    pub fn pieces(&self, skip: usize, len: usize) -> impl Iterator<Item = &[u8]> {
        let mut left = len;
        self.parts_from(skip).map_while(move |part| {
            let behind = part.bytes().get(skip.saturating_sub(part.at)..)?;
            let bytes = behind.get(..left).unwrap_or(behind);
            left = left.saturating_sub(bytes.len());
            (!bytes.is_empty()).then_some(bytes)
        })
    }

    /// The parts from the one with byte `skip` on.
    fn parts_from(&self, skip: usize) -> impl Iterator<Item = &Part> {
        let first = self.parts.partition_point(|part| part.until() <= skip);
        self.parts.get(first..).unwrap_or_default().iter()
    }

    /// Ends the run. The inode may be gone afterwards.
    pub fn end(mut self, result: Result) {
        self.end_parts(result);
    }

    fn end_parts(&mut self, result: Result) {
        let inode = self.inode().as_ptr();
        if let Err(e) = result {
            let mut skip = 0;
            while skip < self.len {
                let (pos, len) = self.place_of(skip);
                // SAFETY: The inode is there until the last part was ended.
                unsafe { bindings::bch_rs_note_error(inode, pos, num::u64_of(len), negative(e)) };
                skip = skip.saturating_add(len.max(1));
            }
        }
        for some in core::mem::take(&mut self.parts).chunks(END_TOGETHER) {
            // SAFETY: By the type invariant iomap waits for just these; it does not sleep.
            unsafe {
                let flags = bindings::bch_rs_end_folios_start();
                for part in some {
                    bindings::iomap_finish_folio_write(inode, part.folio.as_ptr(), part.len);
                }
                bindings::bch_rs_end_folios_end(flags);
            }
        }
    }
}

impl<T: FileWrite> Drop for DirtyRun<T> {
    fn drop(&mut self) {
        if !self.parts.is_empty() {
            self.end_parts(Err(Error::Io));
        }
    }
}

fn negative(e: Error) -> c_int {
    e.to_errno().wrapping_neg()
}

/// The operation tables of writeback.
struct Tables<T>(PhantomData<T>);

impl<T: FileWrite> Tables<T> {
    const OPS: bindings::iomap_writeback_ops = bindings::iomap_writeback_ops {
        writeback_range: Some(writeback_range::<T>),
        writeback_submit: Some(writeback_submit::<T>),
    };
}

/// `->writepages`.
///
/// # Safety
///
/// For the VFS to call, with the mapping of a file of `T`.
pub(super) unsafe extern "C" fn writepages<T: FileWrite>(
    mapping: *mut bindings::address_space,
    wbc: *mut bindings::writeback_control,
) -> c_int {
    let _scope = NoFs::enter();
    // SAFETY: By the function's contract; the context is complete.
    unsafe {
        let mut ctx = bindings::iomap_writepage_ctx {
            inode: (*mapping).host,
            wbc,
            ops: &Tables::<T>::OPS,
            ..Default::default()
        };
        bindings::iomap_writepages(&mut ctx)
    }
}

/// Adds a range to the run that is being collected, or begins another one.
///
/// # Safety
///
/// For iomap to call.
unsafe extern "C" fn writeback_range<T: FileWrite>(
    wpc: *mut bindings::iomap_writepage_ctx,
    folio: *mut bindings::folio,
    pos: u64,
    len: core::ffi::c_uint,
    end_pos: u64,
) -> isize {
    // SAFETY: iomap passes valid objects; `wb_ctx` is null or a run of this function's.
    let (wpc, start) = unsafe {
        let offset = pos.wrapping_sub(num::u64_of_bits(bindings::bch_rs_folio_pos(folio)));
        let page = bindings::bch_rs_folio_page(folio, 0);
        let base: *mut u8 = bindings::bch_rs_page_address(page).cast();
        (&mut *wpc, base.wrapping_add(num::usize_of(offset)))
    };
    // SAFETY: The inode is a file of `T`.
    let inode = unsafe { INode::<T>::from_raw(wpc.inode) };
    wpc.iomap.type_ = crate::sys::iomap::MAP_MAPPED;
    wpc.iomap.offset = num::i64_of_bits(pos);
    wpc.iomap.length = len.into();
    // SAFETY: iomap passes the context that `writepages()` was called with.
    let is_waited_for = unsafe { bindings::bch_rs_wbc_waits(wpc.wbc) };
    let part = match (NonNull::new(folio), NonNull::new(start)) {
        // INVARIANT: iomap passes a range of the folio.
        (Some(folio), Some(start)) => Part {
            pos,
            at: 0,
            folio,
            start,
            len: num::usize_of_u32(len),
        },
        _ => return isize::try_from(negative(Error::Io)).unwrap_or(-1),
    };
    let run = NonNull::new(wpc.wb_ctx.cast::<DirtyRun<T>>());
    // SAFETY: As above.
    let fits = run.is_some_and(|run| unsafe { run.as_ref() }.takes(&part));
    let run = match run {
        Some(run) if fits => Ok(run),
        _ => {
            // SAFETY: As above; the context does not refer to it any more.
            unsafe { submit::<T>(wpc) };
            begin(inode, is_waited_for).inspect(|run| wpc.wb_ctx = run.as_ptr().cast())
        }
    };
    // SAFETY: As above; nobody else has the run.
    let added = run.and_then(|mut run| unsafe { run.as_mut() }.push(part).map(|()| run));
    match added {
        Ok(mut run) => {
            // SAFETY: As above.
            let run = unsafe { run.as_mut() };
            let end = pos.saturating_add(len.into());
            run.size = run.size.max(end.min(end_pos));
            // SAFETY: iomap passes a folio of the inode, locked: nobody pins it meanwhile, as it
            // can not be written through a page table.
            run.is_unstable |= unsafe { bindings::bch_rs_folio_may_be_pinned(folio) };
            // The folio is locked: nobody makes it dirty and counts on this meanwhile.
            T::take_reserved(inode, pos, end, &mut run.reserved);
            isize::try_from(len).unwrap_or(0)
        }
        Err(e) => isize::try_from(negative(e)).unwrap_or(-1),
    }
}

fn begin<T: FileWrite>(inode: &INode<T>, is_waited_for: bool) -> Result<NonNull<DirtyRun<T>>> {
    // INVARIANT: There is no part yet.
    let run = Box::try_new(DirtyRun {
        inode: NonNull::from(inode),
        len: 0,
        size: 0,
        is_contiguous: true,
        is_unstable: false,
        is_waited_for,
        parts: Vec::new(),
        reserved: T::Reserved::default(),
    })?;
    NonNull::new(run.into_raw()).ok_or(Error::NoMemory)
}

impl<T: FileWrite> DirtyRun<T> {
    /// Whether a part goes to the same run. Parts come in the order they have in the file.
    fn takes(&self, part: &Part) -> bool {
        let max = match self.is_contiguous && self.goes_on_with(part) {
            true => T::RUN_BYTES,
            false => SCATTERED_BYTES,
        };
        self.len.saturating_add(part.len) <= max
    }

    fn goes_on_with(&self, part: &Part) -> bool {
        self.parts.last().is_none_or(|last| last.end() == part.pos)
    }

    fn push(&mut self, mut part: Part) -> Result {
        part.at = self.len;
        let (len, goes_on) = (part.len, self.goes_on_with(&part));
        if self.parts.len() == PARTS_FEW && self.is_contiguous && goes_on {
            let left = T::RUN_BYTES.saturating_sub(self.len);
            self.parts.reserve(left.div_ceil(len.max(1)))?;
        }
        self.parts.push(part)?;
        self.len = self.len.saturating_add(len);
        self.is_contiguous &= goes_on;
        Ok(())
    }
}

/// Hands the run that was collected to the filesystem.
///
/// # Safety
///
/// `wb_ctx` must be null or a run of [`begin`].
unsafe fn submit<T: FileWrite>(wpc: &mut bindings::iomap_writepage_ctx) {
    let run = core::mem::replace(&mut wpc.wb_ctx, core::ptr::null_mut());
    if !run.is_null() {
        // SAFETY: By the function's contract.
        let run = unsafe { Box::from_raw(run.cast()) };
        // SAFETY: The inode is that of the mapping that is written back, a file of `T`.
        T::write_back(unsafe { INode::from_raw(wpc.inode) }, run);
    }
}

/// Ends collecting.
///
/// # Safety
///
/// For iomap to call.
unsafe extern "C" fn writeback_submit<T: FileWrite>(
    wpc: *mut bindings::iomap_writepage_ctx,
    error: c_int,
) -> c_int {
    // SAFETY: iomap passes a valid object; its `wb_ctx` is only changed here.
    unsafe { submit::<T>(&mut *wpc) };
    // What was collected is written all the same.
    error
}
