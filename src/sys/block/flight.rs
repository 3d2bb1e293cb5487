// SPDX-License-Identifier: GPL-2.0

//! Writes of the same memory to several devices, all at once, whose end a task is told of.

use super::{
    BlockDevice,
    Durability,
    SECTOR_BYTES, //
};
use crate::{
    bindings,
    env::{
        num,
        span::Span,
        Box,
        Vec, //
    },
    error::Result,
    sys::{
        reclaim::NoFs,
        wait::WaitQueue,
        workqueue::WorkQueue, //
    },
};
use core::{
    ffi::c_void,
    ptr::{
        self,
        NonNull, //
    },
    sync::atomic::{
        AtomicPtr,
        AtomicU32,
        Ordering, //
    },
};
use kernel::str::CStrExt as _;

/// The most devices that one flight goes to.
pub const FLIGHT_MAX: usize = 16;
/// Set in `left` when a task is to be told of the end, and nobody waits for it.
const DETACHED: u32 = 1 << 31;

/// Calls `f`; what it sends may be put together until it returns, or sleeps.
pub fn plugged<R>(f: impl FnOnce() -> R) -> R {
    let mut plug = bindings::blk_plug::default();
    // SAFETY: The plug stays where it is, and is finished by the task that has started it.
    unsafe { bindings::blk_start_plug(&mut plug) };
    let result = f();
    // SAFETY: As above.
    unsafe { bindings::blk_finish_plug(&mut plug) };
    result
}

/// What is written.
pub trait Cargo: Send + Sync + 'static {
    /// The memory that is written, in order. All spans are whole blocks of the devices, and stay
    /// where they are until the end.
    fn spans(&self) -> impl Iterator<Item = Span<'_>>;
}

/// What is done when it is written.
pub trait Landing: Cargo {
    /// All writes have ended. Bit `nr` of `failed` says that the one with this number failed; then
    /// any part of its range may have its old or its new contents. Runs in a task.
    fn landed(self, failed: u32);
}

/// Where a write says that it ended.
#[repr(C)]
struct Slot {
    flight: *mut c_void,
    nr: u32,
}

/// The memory of a flight.
///
/// # Invariants
///
/// It does not move, and is freed by whoever takes `left` to 0 when it is detached, or else by the
/// one that waits for that. `left` counts the bios that were submitted and have not ended, and one
/// for the [`Flight`].
#[repr(C)]
struct Inner<T> {
    work: bindings::work_struct,
    slots: [Slot; FLIGHT_MAX],
    left: AtomicU32,
    failed: AtomicU32,
    queue: AtomicPtr<bindings::workqueue_struct>,
    waiter: WaitQueue,
    payload: T,
}

/// Writes that are under way. Dropping it waits for them.
///
/// # Invariants
///
/// Holds one count of `left`, which is not detached.
pub struct Flight<T: Cargo>(NonNull<Inner<T>>);

impl<T: Cargo> Flight<T> {
    /// Nothing is written yet.
    pub fn try_new(payload: T) -> Result<Self> {
        let inner = Box::try_new(Inner {
            work: bindings::work_struct::default(),
            slots: [const {
                Slot {
                    flight: ptr::null_mut(),
                    nr: 0,
                }
            }; FLIGHT_MAX],
            left: AtomicU32::new(1),
            failed: AtomicU32::new(0),
            queue: AtomicPtr::new(ptr::null_mut()),
            waiter: WaitQueue::new(),
            payload,
        })?;
        let raw = inner.into_raw();
        // SAFETY: It is ours alone.
        unsafe {
            for (nr, slot) in (0..).zip((*raw).slots.iter_mut()) {
                *slot = Slot {
                    flight: raw.cast(),
                    nr,
                };
            }
        }
        let raw = NonNull::new(raw).ok_or(crate::error::Error::NoMemory)?;
        // INVARIANT: The count that it starts with.
        Ok(Self(raw))
    }

    fn inner(&self) -> &Inner<T> {
        // SAFETY: By the type invariants it is there.
        unsafe { self.0.as_ref() }
    }

    /// What is written.
    pub fn payload(&self) -> &T {
        &self.inner().payload
    }

    /// Sends all of it to `dev`, at `sector`, as write `nr`. `waits` says that somebody waits for
    /// it. The device must not be closed before the end.
    pub fn send(&self, dev: &BlockDevice, sector: u64, nr: u32, waits: bool) {
        let inner = self.inner();
        let Some(slot) = inner.slots.get(num::usize_of_u32(nr)) else {
            return self.not_sent(nr);
        };
        let all = || inner.payload.spans();
        let needed = all().try_fold((0usize, 0u32), |(bytes, vecs), p| {
            let bytes = bytes.saturating_add(p.len());
            Some((bytes, vecs.saturating_add(dev.vecs_of(p)?)))
        });
        let needed = needed.filter(|(bytes, _)| dev.check_write(sector, *bytes).is_ok());
        let Some((_, vecs)) = needed else {
            if self.send_each(dev, sector).is_err() {
                self.not_sent(nr);
            }
            return;
        };
        // SAFETY: The calls get memory of the payload, which stays until all bios have ended,
        // as does the slot; each bio that is submitted has a count in `left`.
        unsafe {
            let (mut bio, mut sector) = (ptr::null_mut::<bindings::bio>(), sector);
            let mut left = vecs;
            for span in all() {
                let mut rest = span;
                while !rest.is_empty() {
                    if bio.is_null() {
                        let private = ptr::from_ref(slot).cast_mut().cast();
                        bio = bindings::bch_rs_write_bio(
                            dev.as_ptr(),
                            sector,
                            left,
                            waits,
                            Some(ended::<T>),
                            private,
                        );
                    }
                    let at = rest.as_ptr().cast();
                    let added = bindings::bch_rs_bio_add(bio, at, rest.len());
                    left = left.saturating_sub(1);
                    rest = rest.part(added, usize::MAX);
                    sector = sector.saturating_add(num::u64_of(added / SECTOR_BYTES));
                    if added == 0 {
                        self.submit(core::mem::replace(&mut bio, ptr::null_mut()));
                    }
                }
            }
            if !bio.is_null() {
                self.submit(bio);
            }
        }
    }

    /// # Safety
    ///
    /// For a bio of this flight that was not submitted.
    unsafe fn submit(&self, bio: *mut bindings::bio) {
        self.inner().left.fetch_add(1, Ordering::Relaxed);
        // SAFETY: By the function's contract.
        unsafe { bindings::submit_bio(bio) };
    }

    /// Writes memory that no device can have, by copying it.
    #[cold]
    fn send_each(&self, dev: &BlockDevice, sector: u64) -> Result {
        let mut at = sector;
        for span in self.inner().payload.spans() {
            if let Span::Still(bytes) = span {
                dev.write(at, bytes, Durability::Cached)?;
            } else {
                let mut copy = Vec::with_capacity(span.len())?;
                span.copy_to(&mut copy)?;
                dev.write(at, &copy, Durability::Cached)?;
            }
            at = at.saturating_add(num::u64_of(span.len() / SECTOR_BYTES));
        }
        Ok(())
    }

    /// Write `nr` counts as failed.
    pub fn not_sent(&self, nr: u32) {
        let bit = 1u32.checked_shl(nr).unwrap_or(0);
        self.inner().failed.fetch_or(bit, Ordering::Relaxed);
    }

    /// Waits for the end. What was written is returned, and which writes failed: as
    /// [`Landing::landed`] is told.
    pub fn ended(self) -> (T, u32) {
        let at = self.0.as_ptr();
        core::mem::forget(self);
        // SAFETY: Nobody frees it but this function, as it is not detached; others do not look at
        // it once they have counted down.
        let inner = unsafe {
            (*at).left.fetch_sub(1, Ordering::AcqRel);
            (*at)
                .waiter
                .wait(|| (*at).left.load(Ordering::Acquire) == 0);
            Box::from_raw(at).into_inner()
        };
        (inner.payload, inner.failed.into_inner())
    }
}

impl<T: Landing> Flight<T> {
    /// Has a task of `queue` call [`Landing::landed`] at the end. The queue must not be dropped
    /// before, which whoever waits for what the payload is about guarantees.
    pub fn detach(self, queue: &WorkQueue) {
        let at = self.0.as_ptr();
        core::mem::forget(self);
        // SAFETY: The count of this flight keeps it, until it is given up as the last step. The
        // work is not queued before, and its function gets a flight that has ended.
        unsafe {
            bindings::init_work_with_key(
                &raw mut (*at).work,
                Some(land::<T>),
                false,
                c"bcachefs_flight".as_char_ptr(),
                kernel::static_lock_class!().as_ptr(),
            );
            (*at).queue.store(queue.as_ptr(), Ordering::Relaxed);
            let before = (*at)
                .left
                .fetch_add(DETACHED.wrapping_sub(1), Ordering::AcqRel);
            if before == 1 {
                queue_landing(at);
            }
        }
    }

    /// Waits for the end, and calls [`Landing::landed`].
    pub fn wait(self) {
        let (payload, failed) = self.ended();
        payload.landed(failed);
    }
}

impl<T: Cargo> Drop for Flight<T> {
    fn drop(&mut self) {
        // INVARIANT: The count goes over to the copy.
        drop(Self(self.0).ended());
    }
}

/// Queues the work of a flight that has ended.
///
/// # Safety
///
/// `at` must be detached and have ended; it is taken over.
unsafe fn queue_landing<T>(at: *mut Inner<T>) {
    // SAFETY: By the function's contract; the work is initialised and not queued.
    unsafe {
        let queue = (*at).queue.load(Ordering::Relaxed);
        bindings::queue_work_on(bindings::ANY_CPU, queue, &raw mut (*at).work);
    }
}

/// A bio has ended; usually in interrupt context.
///
/// # Safety
///
/// For the block layer to call, with a bio of `Flight::<T>::send`.
unsafe extern "C" fn ended<T: Cargo>(bio: *mut bindings::bio) {
    // SAFETY: The bio is ours, with a slot of a flight that is there until its count was given up.
    unsafe {
        let slot: *const Slot = (*bio).bi_private.cast_const().cast();
        let at: *mut Inner<T> = (*slot).flight.cast();
        if (*bio).bi_status != 0 {
            let bit = 1u32.checked_shl((*slot).nr).unwrap_or(0);
            (*at).failed.fetch_or(bit, Ordering::Relaxed);
        }
        bindings::bio_put(bio);
        let waiter = &raw const (*at).waiter;
        match (*at).left.fetch_sub(1, Ordering::AcqRel) {
            1 => WaitQueue::wake_all_at(waiter),
            n if n == DETACHED | 1 => queue_landing(at),
            _ => (),
        }
    }
}

/// Runs in a task when all have ended.
///
/// # Safety
///
/// For the work queue to call, with the work of a flight that [`queue_landing`] has queued.
unsafe extern "C" fn land<T: Landing>(work: *mut bindings::work_struct) {
    // SAFETY: The work is the first field; by the function's contract nobody else has it.
    let inner = unsafe { Box::from_raw(work.cast::<Inner<T>>()) }.into_inner();
    let _scope = NoFs::enter();
    inner.payload.landed(inner.failed.into_inner());
}
