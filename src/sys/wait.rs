// SPDX-License-Identifier: GPL-2.0

//! Waiting until a condition on atomic variables holds.

use crate::bindings;
use core::{
    ffi::c_void,
    hint,
    ptr, //
};

/// How often to look for what is over in a moment. On today's machines that takes about as long as
/// going to sleep and waking up would.
const SPINS: u32 = 100;

/// Where tasks wait that [`wake_all`](Self::wake_all) wakes. Takes no memory to speak of: the
/// kernel has a table of wait queues by address, and wakes those of one address.
///
/// A condition is called in the state of a task that is about to sleep, so it must not sleep
/// itself. It is not called again after it was true, and may have a side effect then.
///
/// C: `wait_var_event()`.
#[derive(Debug, Default)]
pub struct WaitQueue(
    /// Only the address counts; something has to have it.
    u8,
);

impl WaitQueue {
    /// Nobody waits.
    pub const fn new() -> Self {
        Self(0)
    }

    /// Looks at `cond` a few times, for what others do in a moment, and does not sleep: returns
    /// whether it was true.
    #[inline]
    pub fn spin(mut cond: impl FnMut() -> bool) -> bool {
        for _ in 0..SPINS {
            if cond() {
                return true;
            }
            hint::spin_loop();
        }
        false
    }

    /// Sleeps until `cond` is true. It is called now, and after each wake-up that follows a change:
    /// whoever makes it true has to call [`wake_all`](Self::wake_all) then.
    #[inline]
    pub fn wait(&self, mut cond: impl FnMut() -> bool) {
        if !cond() {
            self.sleep(&mut cond);
        }
    }

    /// As [`wait`](Self::wait), for at most `ms` milliseconds: returns whether `cond` was true.
    pub fn wait_timeout_ms(&self, ms: u64, mut cond: impl FnMut() -> bool) -> bool {
        cond() || self.sleep_for(ms, false, &mut cond)
    }

    /// As [`wait_timeout_ms`](Self::wait_timeout_ms), for threads that wait for something to do:
    /// they do not count as held up, however long it takes. [`wake_all`](Self::wake_all) wakes only
    /// one of them. When there may be more than that one does, he wakes the next one.
    pub fn idle_timeout_ms(&self, ms: u64, mut cond: impl FnMut() -> bool) -> bool {
        cond() || self.sleep_for(ms, true, &mut cond)
    }

    /// Wakes all that wait here, to look at their conditions again; of those that wait for
    /// something to do, one.
    pub fn wake_all(&self) {
        // SAFETY: Only the address is used.
        unsafe { bindings::bch_rs_wake(self.at()) };
    }

    /// As [`wake_all`](Self::wake_all), for a queue that may be gone: only its address is used.
    pub(super) fn wake_all_at(queue: *const Self) {
        // SAFETY: Only the address is used.
        unsafe { bindings::bch_rs_wake(queue.cast()) };
    }

    fn at(&self) -> *const c_void {
        ptr::from_ref(&self.0).cast()
    }

    #[cold]
    fn sleep<F: FnMut() -> bool>(&self, cond: &mut F) {
        // SAFETY: `done::<F>` is called with `cond` only, and not after the call returned; this is
        // a place where a task may sleep, as the caller has to know.
        unsafe { bindings::bch_rs_wait(self.at(), Some(done::<F>), ptr::from_mut(cond).cast()) };
    }

    #[cold]
    fn sleep_for<F: FnMut() -> bool>(&self, ms: u64, idle: bool, cond: &mut F) -> bool {
        let ms = u32::try_from(ms).unwrap_or(u32::MAX);
        // SAFETY: As in `sleep`.
        unsafe {
            bindings::bch_rs_wait_timeout(
                self.at(),
                Some(done::<F>),
                ptr::from_mut(cond).cast(),
                ms,
                idle,
            )
        }
    }
}

/// Whether a waiter may go on.
///
/// # Safety
///
/// `cond` must be a `&mut F` that nobody else uses at the same time.
unsafe extern "C" fn done<F: FnMut() -> bool>(cond: *mut c_void) -> bool {
    // SAFETY: By the function's contract.
    unsafe { (*cond.cast::<F>())() }
}
