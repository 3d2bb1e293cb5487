// SPDX-License-Identifier: GPL-2.0

//! Waiting until a condition holds.

use std::{
    sync::{
        Condvar,
        Mutex,
        MutexGuard,
        PoisonError, //
    },
    time::{
        Duration,
        Instant, //
    },
};

/// Where threads wait that [`wake_all`](Self::wake_all) wakes. Conditions must not sleep, nor wake
/// the same queue. They are not called again after they were true.
#[derive(Debug, Default)]
pub struct WaitQueue {
    /// Held from a look at a condition until the thread sleeps.
    looking: Mutex<()>,
    woken: Condvar,
}

impl WaitQueue {
    /// Nobody waits.
    pub const fn new() -> Self {
        Self {
            looking: Mutex::new(()),
            woken: Condvar::new(),
        }
    }

    /// Looks at `cond` a few times and does not sleep: returns whether it was true.
    pub fn spin(mut cond: impl FnMut() -> bool) -> bool {
        (0..100).any(|_| {
            std::hint::spin_loop();
            cond()
        })
    }

    /// Sleeps until `cond` is true. It is called now and after each wake-up.
    pub fn wait(&self, mut cond: impl FnMut() -> bool) {
        if cond() {
            return;
        }
        let mut looking = self.look();
        while !cond() {
            looking = self
                .woken
                .wait(looking)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// As [`wait`](Self::wait), for at most `ms` milliseconds: returns whether `cond` was true.
    pub fn wait_timeout_ms(&self, ms: u64, mut cond: impl FnMut() -> bool) -> bool {
        if cond() {
            return true;
        }
        let start = Instant::now();
        let mut looking = self.look();
        loop {
            if cond() {
                return true;
            }
            let Some(left) = Duration::from_millis(ms).checked_sub(start.elapsed()) else {
                return false;
            };
            looking = self
                .woken
                .wait_timeout(looking, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// The same: the kernel counts those that wait for something to do apart, and wakes one.
    pub fn idle_timeout_ms(&self, ms: u64, cond: impl FnMut() -> bool) -> bool {
        self.wait_timeout_ms(ms, cond)
    }

    /// Wakes all that wait here, to look at their conditions again.
    pub fn wake_all(&self) {
        drop(self.look());
        self.woken.notify_all();
    }

    fn look(&self) -> MutexGuard<'_, ()> {
        self.looking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
