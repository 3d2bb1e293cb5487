// SPDX-License-Identifier: GPL-2.0

//! Wait queues of loom's locks. It finds out when nobody is left to wake who sleeps.

use loom::sync::{
    Condvar,
    Mutex,
    MutexGuard, //
};
use std::sync::PoisonError;

/// Where threads wait.
#[derive(Debug, Default)]
pub struct WaitQueue {
    /// Held from a look at a condition until the thread sleeps.
    looking: Mutex<()>,
    woken: Condvar,
}

impl WaitQueue {
    /// Nobody waits.
    pub fn new() -> Self {
        Self::default()
    }

    /// Looking again is no other case.
    pub fn spin(mut cond: impl FnMut() -> bool) -> bool {
        cond()
    }

    /// Sleeps until `cond` is true.
    pub fn wait(&self, mut cond: impl FnMut() -> bool) {
        let mut looking = self.look();
        while !cond() {
            looking = self
                .woken
                .wait(looking)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Sleeps until `cond` is true: the time is never over, so that nobody can rely on it.
    pub fn idle_timeout_ms(&self, _ms: u64, cond: impl FnMut() -> bool) -> bool {
        self.wait(cond);
        true
    }

    /// Wakes all that wait here.
    pub fn wake_all(&self) {
        drop(self.look());
        self.woken.notify_all();
    }

    fn look(&self) -> MutexGuard<'_, ()> {
        self.looking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
