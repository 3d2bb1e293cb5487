// SPDX-License-Identifier: GPL-2.0

//! Asynchronous reads of file data into folios.
//!
//! A [`Read`] is one bio with a payload in front of it, in one allocation from a pool with a
//! reserve. Its pages are ranges of folios, with scratch pages before and after where more has to
//! be read than is wanted (a checksum covers whole extents). What has to be decoded is staged
//! instead: all of it is read to scratch memory, and the ranges wait beside it ([`Read::stage`]).
//! When the device is done, [`Completion::complete`] runs, in a task unless the payload says
//! otherwise.

mod staged;

pub use staged::{
    Held,
    Scratch, //
};

use super::{
    block::BlockDevice,
    iomap::{
        FolioRange,
        Holder, //
    },
    reclaim::NoFs,
    workqueue::WorkQueue, //
};
use crate::{
    bindings,
    env::{
        num,
        Box, //
    },
    error::{
        Error,
        Result, //
    },
};
use core::{
    cell::UnsafeCell,
    ffi::CStr,
    marker::PhantomData,
    mem::ManuallyDrop,
    ptr::NonNull,
    slice, //
};
use kernel::str::CStrExt as _;
use staged::{
    bytes,
    bytes_mut, //
};

/// The most ranges and scratch pages together that a read can have.
pub const MAX_VECS: usize = 256;
/// Bytes in one page of scratch memory.
const PAGE_BYTES: usize = bindings::PAGE_SIZE;

/// A payload of reads: what to do when the device is done.
pub trait Completion: Sized + Send + 'static {
    /// Whether [`complete`](Self::complete) may run in interrupt context after success. If so it
    /// must neither sleep nor take long.
    fn is_quick(&self) -> bool;

    /// Takes the finished read over. Unless it ends the read, dropping it does, with an error.
    fn complete(read: Finished<Self>);
}

/// How a read went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The device has transferred all data.
    Done,
    /// The device reported an error.
    Failed,
    /// Nothing was asked of the device: see [`Read::defer`].
    Deferred,
}

/// What reads are made from; completions run on its work queue. Dropping the pool waits for them.
///
/// # Invariants
///
/// `set` is an initialised `bio_set` whose front padding is `Header<T>`, and never moves.
pub struct Pool<T: Completion> {
    /// `None` only while `drop` runs.
    queue: Option<WorkQueue>,
    set: Box<UnsafeCell<bindings::bio_set>>,
    payload: PhantomData<T>,
}

// SAFETY: Allocating from a `bio_set` and queueing work are safe from any thread.
unsafe impl<T: Completion> Send for Pool<T> {}
// SAFETY: As above.
unsafe impl<T: Completion> Sync for Pool<T> {}

/// In front of every bio of a pool.
#[repr(C)]
struct Header<T> {
    work: bindings::work_struct,
    queue: *mut bindings::workqueue_struct,
    outcome: Outcome,
    /// How many vectors at the front are scratch.
    nr_lead: u16,
    /// From which vector on they are scratch again.
    tail_at: u16,
    /// Whose the ranges are.
    holder: Holder,
    /// All vectors are scratch, and ranges are held back.
    is_staged: bool,
    /// How many ranges are held back.
    nr_held: u16,
    payload: ManuallyDrop<T>,
}

impl<T> Header<T> {
    /// Bytes of padding in front of the bio.
    const BYTES: usize = {
        let size = size_of::<Self>();
        assert!(align_of::<Self>() <= align_of::<bindings::bio>());
        assert!(size % align_of::<bindings::bio>() == 0 && size < 1024);
        size
    };
}

/// Reads kept in reserve for when memory is short.
const RESERVE: u32 = 4;

impl<T: Completion> Pool<T> {
    /// Makes a pool; `name` is the work queue's.
    pub fn try_new(name: &'static CStr) -> Result<Self> {
        let queue = WorkQueue::try_new(name)?;
        let set = Box::try_new(UnsafeCell::new(bindings::bio_set::default()))?;
        let front = num::sat_u32(Header::<T>::BYTES);
        // SAFETY: The set is zeroed memory at its final place.
        let ret = unsafe {
            bindings::bioset_init(
                set.get(),
                RESERVE,
                front,
                num::i32_of_bits(bindings::BIOSET_NEED_BVECS),
            )
        };
        if ret != 0 {
            return Err(Error::NoMemory);
        }
        // INVARIANT: Just initialised, and in a box.
        Ok(Self {
            queue: Some(queue),
            set,
            payload: PhantomData,
        })
    }

    /// A read with room for `nr_vecs` ranges and scratch pages, from `sector` of `dev` on. `ahead`
    /// marks reads nobody waits for yet.
    ///
    /// The pool must not be dropped before the read has ended, which the holder of folios that
    /// reads wait for guarantees: they are locked.
    pub fn start(
        &self,
        dev: &BlockDevice,
        sector: u64,
        nr_vecs: usize,
        ahead: bool,
        payload: T,
    ) -> Result<Read<T>> {
        let Some(queue) = &self.queue else {
            return Err(Error::NoMemory);
        };
        let nr_vecs = u16::try_from(nr_vecs.clamp(1, MAX_VECS)).unwrap_or(1);
        // SAFETY: `dev` is an open device and the set is initialised by the type invariant.
        let bio =
            unsafe { bindings::bch_rs_read_bio(dev.as_ptr(), nr_vecs, ahead, self.set.get()) };
        let bio = NonNull::new(bio).ok_or(Error::NoMemory)?;
        let header = Header {
            work: bindings::work_struct::default(),
            queue: queue.as_ptr(),
            outcome: Outcome::Deferred,
            nr_lead: 0,
            tail_at: u16::MAX,
            holder: Holder::PageCache,
            is_staged: false,
            nr_held: 0,
            payload: ManuallyDrop::new(payload),
        };
        // SAFETY: The bio is ours alone, with room for a header in front of it by the type
        // invariant of the pool.
        unsafe {
            (*bio.as_ptr()).bi_iter.bi_sector = sector;
            (*bio.as_ptr()).bi_end_io = Some(end_io::<T>);
            let at = header_of::<T>(bio);
            at.write(header);
            bindings::init_work_with_key(
                &raw mut (*at).work,
                Some(work::<T>),
                false,
                c"bcachefs_read".as_char_ptr(),
                kernel::static_lock_class!().as_ptr(),
            );
        }
        // INVARIANT: Header and bio are initialised, there is no vector yet.
        Ok(Read(Bio(bio, PhantomData)))
    }
}

impl<T: Completion> Drop for Pool<T> {
    fn drop(&mut self) {
        // Waits for completions in tasks.
        self.queue = None;
        // SAFETY: Waits for completions in interrupt context, which run under the RCU read lock;
        // may sleep here. Then nothing uses the set any more.
        unsafe {
            bindings::bch_rs_wait_for_readers();
            bindings::bioset_exit(self.set.get());
        }
    }
}

/// A bio with its header.
///
/// # Invariants
///
/// Bio and header are initialised and owned by the value. Vectors `nr_lead..tail_at` are ranges
/// of `holder` from [`FolioRange::into_page`], each to be ended once; all others are scratch
/// memory, each from one allocation.
///
/// There is room for `bi_max_vecs` vectors, of which the block layer knows the first `bi_vcnt` and
/// leaves the others alone. The last `nr_held` of these hold ranges too, the first one at the end.
struct Bio<T: Completion>(NonNull<bindings::bio>, PhantomData<T>);

/// The header of a bio.
///
/// # Safety
///
/// The bio must come from a pool of `T`.
unsafe fn header_of<T>(bio: NonNull<bindings::bio>) -> *mut Header<T> {
    // SAFETY: The pool's padding of that size is in front of the bio.
    unsafe { bio.as_ptr().cast::<u8>().sub(Header::<T>::BYTES).cast() }
}

impl<T: Completion> Bio<T> {
    fn header(&self) -> &Header<T> {
        // SAFETY: By the type invariant.
        unsafe { &*header_of(self.0) }
    }

    fn header_mut(&mut self) -> &mut Header<T> {
        // SAFETY: By the type invariant.
        unsafe { &mut *header_of(self.0) }
    }

    fn bio(&self) -> &bindings::bio {
        // SAFETY: By the type invariant.
        unsafe { self.0.as_ref() }
    }

    fn vecs(&self) -> &[bindings::bio_vec] {
        let bio = self.bio();
        // SAFETY: A bio has as many initialised vectors as it says. Drivers leave them alone.
        unsafe { slice::from_raw_parts(bio.bi_io_vec, usize::from(bio.bi_vcnt)) }
    }

    /// Appends a vector; `false` when there is no room.
    fn push(&mut self, page: *mut bindings::page, offset: usize, len: usize) -> bool {
        // SAFETY: By the type invariant.
        let bio = unsafe { self.0.as_mut() };
        let (nr, len) = (bio.bi_vcnt, num::sat_u32(len));
        let Some(size) = bio.bi_iter.bi_size.checked_add(len) else {
            return false;
        };
        if nr >= bio.bi_max_vecs {
            return false;
        }
        // SAFETY: `nr` is below the number of vectors allocated.
        unsafe {
            bio.bi_io_vec.add(usize::from(nr)).write(bindings::bio_vec {
                bv_page: page,
                bv_len: len,
                bv_offset: num::sat_u32(offset),
            })
        };
        bio.bi_vcnt = nr.wrapping_add(1);
        bio.bi_iter.bi_size = size;
        true
    }

    /// Holds a range back, where no device sees it; `false` when there is no room.
    fn hold(&mut self, page: *mut bindings::page, offset: usize, len: usize) -> bool {
        let (bio, nr) = (self.bio(), self.header().nr_held);
        let Some(at) = bio.bi_max_vecs.checked_sub(nr.saturating_add(1)) else {
            return false;
        };
        if at < bio.bi_vcnt {
            return false;
        }
        // SAFETY: `at` is below the number of vectors allocated, and behind those in use.
        // INVARIANT: It is the one in front of those held.
        unsafe {
            bio.bi_io_vec.add(usize::from(at)).write(bindings::bio_vec {
                bv_page: page,
                bv_len: num::sat_u32(len),
                bv_offset: num::sat_u32(offset),
            })
        };
        self.header_mut().nr_held = nr.wrapping_add(1);
        true
    }

    /// The ranges held back, the last one first.
    fn held(&self) -> &[bindings::bio_vec] {
        let (bio, nr) = (self.bio(), self.header().nr_held);
        let at = bio.bi_max_vecs.wrapping_sub(nr);
        // SAFETY: By the type invariant the last `nr` vectors are initialised.
        unsafe { slice::from_raw_parts(bio.bi_io_vec.add(usize::from(at)), usize::from(nr)) }
    }

    /// Takes everything apart: `each` gets the ranges in order.
    fn dismantle(mut self, mut each: impl FnMut(FolioRange)) {
        let (lead, tail) = (self.header().nr_lead, self.header().tail_at);
        let holder = self.header().holder;
        // Before any range ends: with the last one, an unmount may go on, and what the payload
        // holds must not be the last reference then.
        // SAFETY: The payload is there until here, and never used after.
        unsafe { ManuallyDrop::drop(&mut self.header_mut().payload) };
        for (i, vec) in (0u16..).zip(self.vecs()) {
            let (page, offset) = (vec.bv_page, num::usize_of_u32(vec.bv_offset));
            if i < lead || i >= tail {
                // SAFETY: By the type invariant an allocation of that many bytes, freed once.
                unsafe { bindings::bch_rs_free_scratch(page, order_of(vec.bv_len)) };
            } else {
                let len = num::usize_of_u32(vec.bv_len);
                // SAFETY: By the type invariant the vector came from `into_page()`.
                each(unsafe { FolioRange::from_page(page, offset, len, holder) });
            }
        }
        for vec in self.held().iter().rev() {
            let offset = num::usize_of_u32(vec.bv_offset);
            let len = num::usize_of_u32(vec.bv_len);
            // SAFETY: As above.
            each(unsafe { FolioRange::from_page(vec.bv_page, offset, len, holder) });
        }
        // SAFETY: The bio is ours, `self` is gone.
        unsafe { bindings::bio_put(self.0.as_ptr()) };
    }

    fn queue(self) {
        let header = self.header();
        // SAFETY: The work is initialised and not queued; its function takes the bio over.
        unsafe {
            bindings::queue_work_on(
                bindings::ANY_CPU,
                header.queue,
                (&raw const header.work).cast_mut(),
            )
        };
    }
}

/// A read that is being put together. Dropping it ends its ranges with an error.
pub struct Read<T: Completion>(Bio<T>);

impl<T: Completion> Read<T> {
    /// Bytes to be read so far.
    pub fn nr_bytes(&self) -> usize {
        num::usize_of_u32(self.0.bio().bi_iter.bi_size)
    }

    /// The payload.
    pub fn payload_mut(&mut self) -> &mut T {
        &mut self.0.header_mut().payload
    }

    /// Appends a range; gives it back when there is no room, or when somebody else waits for it
    /// than for those before.
    pub fn push(&mut self, range: FolioRange) -> Result<(), FolioRange> {
        let holder = range.holder();
        let no_vec = usize::from(self.0.header().nr_lead) == self.0.vecs().len();
        if no_vec && self.0.header().nr_held == 0 {
            self.0.header_mut().holder = holder;
        } else if self.0.header().holder != holder {
            return Err(range);
        }
        let (page, offset, len) = range.into_page();
        let done = match self.0.header().is_staged {
            true => self.0.hold(page, offset, len),
            false => self.0.push(page, offset, len),
        };
        if done {
            return Ok(());
        }
        // SAFETY: From `into_page()`, and not stored.
        Err(unsafe { FolioRange::from_page(page, offset, len, holder) })
    }

    /// Appends `nr_bytes` of scratch memory: at the front, or at the end, after which no range may
    /// follow.
    pub fn push_scratch(&mut self, nr_bytes: usize) -> Result {
        let at_front = usize::from(self.0.header().nr_lead) == self.0.vecs().len();
        if !at_front && self.0.header().tail_at == u16::MAX {
            self.0.header_mut().tail_at = self.0.bio().bi_vcnt;
        }
        let mut left = nr_bytes;
        while left != 0 {
            let len = left.min(PAGE_BYTES);
            // SAFETY: Allocates; may sleep.
            let page = unsafe { bindings::bch_rs_alloc_scratch(0) };
            if page.is_null() {
                return Err(Error::NoMemory);
            }
            if !self.0.push(page, 0, len) {
                // SAFETY: Just allocated, not stored.
                unsafe { bindings::bch_rs_free_scratch(page, 0) };
                return Err(Error::Overflow);
            }
            if at_front {
                self.0.header_mut().nr_lead = self.0.bio().bi_vcnt;
            }
            left = left.wrapping_sub(len);
        }
        Ok(())
    }

    /// Has `nr_bytes` read to scratch memory, and nothing to the ranges: there may be any number of
    /// bytes of these, which the completion fills. Comes first, and allows no other scratch memory.
    pub fn stage(&mut self, nr_bytes: usize) -> Result {
        self.0.header_mut().is_staged = true;
        let order = order_of(num::sat_u32(nr_bytes));
        // SAFETY: Allocates; may sleep.
        let page = unsafe { bindings::bch_rs_alloc_scratch(order) };
        if !page.is_null() {
            if self.0.push(page, 0, nr_bytes) {
                self.0.header_mut().nr_lead = self.0.bio().bi_vcnt;
                return Ok(());
            }
            // SAFETY: Just allocated, not stored.
            unsafe { bindings::bch_rs_free_scratch(page, order) };
        }
        // In single pages, when there are vectors left for ranges.
        if nr_bytes.div_ceil(PAGE_BYTES) > usize::from(self.0.bio().bi_max_vecs) / 2 {
            return Err(Error::NoMemory);
        }
        self.push_scratch(nr_bytes)
    }

    /// Sends the read to the device.
    pub fn submit(mut self) {
        self.0.header_mut().outcome = Outcome::Done;
        let bio = self.into_bio();
        // SAFETY: The bio is complete; `end_io` takes it over.
        unsafe { bindings::submit_bio(bio.0.as_ptr()) };
    }

    /// Reads nothing; the completion runs in a task, with [`Outcome::Deferred`].
    pub fn defer(self) {
        self.into_bio().queue();
    }

    /// Ends all ranges with an error.
    pub fn fail(self, error: Error) {
        self.into_bio().dismantle(|range| range.end(Err(error)));
    }

    fn into_bio(self) -> Bio<T> {
        let bio = Bio(self.0 .0, PhantomData);
        core::mem::forget(self);
        bio
    }
}

impl<T: Completion> Drop for Read<T> {
    fn drop(&mut self) {
        Bio::<T>(self.0 .0, PhantomData).dismantle(drop);
    }
}

/// A read the device is done with.
pub struct Finished<T: Completion>(Bio<T>);

impl<T: Completion> Finished<T> {
    /// How it went.
    pub fn outcome(&self) -> Outcome {
        self.0.header().outcome
    }

    /// The payload.
    pub fn payload(&self) -> &T {
        &self.0.header().payload
    }

    /// All bytes that were read, scratch included, in pieces.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        // SAFETY: The bio's vectors; the device is done.
        self.0.vecs().iter().map(|v| unsafe { bytes(v) })
    }

    /// The payload, what was read, and the ranges that wait for data, of a read that was staged.
    pub fn staged(&mut self) -> (&T, Scratch<'_>, Held<'_>) {
        let vecs: &[bindings::bio_vec] = match self.0.header().is_staged {
            true => self.0.vecs(),
            false => &[],
        };
        // SAFETY: Of a bio that is borrowed until the parts are gone; the device is done with its
        // vectors, and those held back are ranges that nobody else has.
        unsafe {
            (
                &self.0.header().payload,
                Scratch::new(vecs),
                Held::new(self.0.held()),
            )
        }
    }

    /// The payload, how many bytes that were read are of no interest, and those that follow, in
    /// pieces: the bytes of the ranges, or, of a read that was staged, all.
    pub fn wanted_mut(&mut self) -> (&T, usize, impl Iterator<Item = &mut [u8]>) {
        let header = self.0.header();
        let (lead, tail) = match header.is_staged {
            true => (0, usize::MAX),
            false => (usize::from(header.nr_lead), usize::from(header.tail_at)),
        };
        let vecs = self.0.vecs();
        let lead_bytes = vecs.iter().take(lead);
        let lead_bytes = lead_bytes.fold(0, |n, v| num::usize_of_u32(v.bv_len).wrapping_add(n));
        // SAFETY: The device is done. Each vector has memory of its own, which nobody else looks
        // at: scratch, or folios that are locked and not up to date. `self` is borrowed as long.
        let pieces = vecs.iter().map(|v| unsafe { bytes_mut(v) });
        (&header.payload, lead_bytes, pieces.take(tail).skip(lead))
    }

    /// How many bytes the ranges have, without scratch memory.
    pub fn nr_range_bytes(&self) -> usize {
        let lead = usize::from(self.0.header().nr_lead);
        let tail = usize::from(self.0.header().tail_at);
        let ranges = self.0.vecs().iter().take(tail).skip(lead);
        let ranges = ranges.chain(self.0.held());
        ranges.fold(0, |n, v| n.wrapping_add(num::usize_of_u32(v.bv_len)))
    }

    /// Ends all ranges. Not with an error in interrupt context.
    pub fn end(self, result: Result) {
        self.into_bio().dismantle(|range| range.end(result));
    }

    /// Ends all ranges, filling them one after the other with `data`, then zeros.
    pub fn end_with(self, data: &[u8]) {
        let mut rest = data;
        self.into_bio().dismantle(|range| {
            let (head, tail) = rest
                .split_at_checked(range.nr_bytes())
                .unwrap_or((rest, &[]));
            rest = tail;
            range.fill(head);
        });
    }

    fn into_bio(self) -> Bio<T> {
        let bio = Bio(self.0 .0, PhantomData);
        core::mem::forget(self);
        bio
    }
}

impl<T: Completion> Drop for Finished<T> {
    fn drop(&mut self) {
        Bio::<T>(self.0 .0, PhantomData).dismantle(drop);
    }
}

/// log2 of the pages that scratch memory of `nr_bytes` takes, if it is in one piece.
fn order_of(nr_bytes: u32) -> u32 {
    let nr_pages = num::usize_of_u32(nr_bytes).div_ceil(PAGE_BYTES);
    nr_pages
        .checked_next_power_of_two()
        .map_or(0, usize::trailing_zeros)
}

/// The device is done; usually in interrupt context.
///
/// # Safety
///
/// For the block layer to call, with a bio of a pool of `T` that was submitted.
unsafe extern "C" fn end_io<T: Completion>(bio: *mut bindings::bio) {
    let Some(bio) = NonNull::new(bio) else {
        return;
    };
    // INVARIANT: The bio comes back complete from the device.
    let mut bio = Bio::<T>(bio, PhantomData);
    if bio.bio().bi_status != 0 {
        bio.header_mut().outcome = Outcome::Failed;
    } else if bio.header().payload.is_quick() {
        // SAFETY: The lock makes `Pool::drop` wait for the completion.
        unsafe { bindings::rcu_read_lock() };
        T::complete(Finished(bio));
        // SAFETY: Locked above.
        unsafe { bindings::rcu_read_unlock() };
        return;
    }
    bio.queue();
}

/// Runs a completion in a task.
///
/// # Safety
///
/// For the work queue to call, with the work of a header queued by [`Bio::queue`].
unsafe extern "C" fn work<T: Completion>(work: *mut bindings::work_struct) {
    // SAFETY: The work is the first field of a header, which is in front of its bio.
    let bio = unsafe { work.cast::<u8>().add(Header::<T>::BYTES).cast() };
    if let Some(bio) = NonNull::new(bio) {
        // Memory that completions need must not come from what waits for reads.
        let _scope = NoFs::enter();
        // INVARIANT: `Bio::queue` gave the bio up to this function.
        T::complete(Finished(Bio(bio, PhantomData)));
    }
}
