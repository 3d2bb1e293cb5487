// SPDX-License-Identifier: GPL-2.0

//! Flights that are under way, and can be kept there.

use std::sync::{
    Condvar,
    Mutex,
    MutexGuard,
    PoisonError, //
};

/// What is under way to a device.
#[derive(Debug, Default)]
pub(super) struct Air {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    under_way: usize,
    most: usize,
    held: bool,
}

impl Air {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more is under way.
    pub(super) fn take_off(&self) {
        let mut s = self.state();
        s.under_way += 1;
        s.most = s.most.max(s.under_way);
        self.changed.notify_all();
    }

    /// One ends, once none is held any more.
    pub(super) fn land(&self) {
        let held = |s: &mut State| s.held;
        let mut s = self
            .changed
            .wait_while(self.state(), held)
            .unwrap_or_else(PoisonError::into_inner);
        s.under_way -= 1;
        self.changed.notify_all();
    }

    /// From now on none ends, or all do.
    pub(super) fn hold(&self, held: bool) {
        self.state().held = held;
        self.changed.notify_all();
    }

    /// Waits until so many are under way.
    pub(super) fn wait_for(&self, nr: usize) {
        let fewer = |s: &mut State| s.under_way < nr;
        let s = self.changed.wait_while(self.state(), fewer);
        drop(s.unwrap_or_else(PoisonError::into_inner));
    }

    /// The most that were under way at a time.
    pub(super) fn most(&self) -> usize {
        self.state().most
    }
}
