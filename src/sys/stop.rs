// SPDX-License-Identifier: GPL-2.0

//! What a thread is told by those who own it: to stop, and to look whether there is work. The host
//! build has the same file.

use super::{
    sync::atomic::{
        AtomicBool,
        Ordering, //
    },
    wait::WaitQueue,
};

/// A thread's side of the two messages.
#[derive(Debug, Default)]
pub struct Stop {
    stop: AtomicBool,
    /// Woken since the last sleep.
    woken: AtomicBool,
    sleeper: WaitQueue,
}

impl Stop {
    /// Whether the thread is to return as soon as it can. Never becomes false again.
    pub fn requested(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Sleeps for `ms` milliseconds, until the thread is woken, or until it is to stop. Being woken
    /// while it did not sleep ends the next sleep at once, so nothing gets lost.
    pub fn sleep_ms(&self, ms: u64) {
        self.sleeper.idle_timeout_ms(ms, || self.has_message());
    }

    /// Sleeps until the thread is woken or is to stop.
    pub fn sleep(&self) {
        // Nothing in the system waits for longer than a day without looking again.
        while !self
            .sleeper
            .idle_timeout_ms(86_400_000, || self.has_message())
        {}
    }

    /// What the owner says.
    pub(super) fn request(&self) {
        self.stop.store(true, Ordering::Release);
        self.sleeper.wake_all();
    }

    /// What anybody says who has work for the thread.
    pub(super) fn wake(&self) {
        // Only the one who sets the flag has to wake; it is cleared by a thread that is awake.
        if !self.woken.swap(true, Ordering::AcqRel) {
            self.sleeper.wake_all();
        }
    }

    fn has_message(&self) -> bool {
        self.woken.swap(false, Ordering::AcqRel) || self.requested()
    }
}
