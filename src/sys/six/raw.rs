// SPDX-License-Identifier: GPL-2.0

//! The lock without what it protects: the word, and those who wait.

use super::{
    super::{
        sync::atomic::{
            AtomicU64,
            Ordering, //
        },
        wait::WaitQueue,
    },
    state::{
        State,
        Wake, //
    },
};
use core::fmt;

/// A SIX lock around nothing.
///
/// Who does not get in says so in the word before going to sleep, in the step that looks whether
/// it can: so whoever lets go knows from the word whether somebody has to be woken. The wait
/// queues see to it that a wake-up between that step and the sleep is not lost.
pub(super) struct RawSix {
    word: AtomicU64,
    readers: WaitQueue,
    intent: WaitQueue,
    writer: WaitQueue,
}

impl RawSix {
    pub(super) fn new() -> Self {
        Self {
            word: AtomicU64::new(State::FREE.0),
            readers: WaitQueue::new(),
            intent: WaitQueue::new(),
            writer: WaitQueue::new(),
        }
    }

    pub(super) fn state(&self) -> State {
        State(self.word.load(Ordering::Acquire))
    }

    /// Changes the word, if `next` has a state that may follow: returns whether.
    fn step(&self, mut next: impl FnMut(State) -> Option<State>) -> bool {
        let mut old = self.word.load(Ordering::Relaxed);
        while let Some(State(new)) = next(State(old)) {
            match self.swap(old, new) {
                Ok(_) => return true,
                Err(now) => old = now,
            }
        }
        false
    }

    /// As [`step`](Self::step); when nothing may follow, the word is changed to what `wait` makes
    /// of it.
    fn step_or(
        &self,
        mut next: impl FnMut(State) -> Option<State>,
        mut wait: impl FnMut(State) -> State,
    ) -> bool {
        let mut can = false;
        self.step(|old| {
            let new = next(old);
            can = new.is_some();
            Some(new.unwrap_or_else(|| wait(old)))
        });
        can
    }

    /// Changes the word, and wakes whom the change lets in.
    fn leave(&self, mut next: impl FnMut(State) -> (State, Wake)) {
        let mut wake = Wake::default();
        self.step(|old| {
            let (new, whom) = next(old);
            wake = whom;
            Some(new)
        });
        self.wake(wake);
    }

    fn swap(&self, old: u64, new: u64) -> Result<u64, u64> {
        // Release: what was done under the lock is seen by those that take it after this one.
        self.word
            .compare_exchange_weak(old, new, Ordering::AcqRel, Ordering::Relaxed)
    }

    fn wake(&self, whom: Wake) {
        if whom.readers {
            self.readers.wake_all();
        }
        if whom.intent {
            self.intent.wake_all();
        }
        if whom.writer {
            self.writer.wake_all();
        }
    }

    pub(super) fn try_read(&self) -> bool {
        self.step(State::read)
    }

    pub(super) fn read(&self) {
        // A writer only copies something.
        if !WaitQueue::spin(|| self.try_read()) {
            self.readers
                .wait(|| self.step_or(State::read, State::with_waiting_reader));
        }
    }

    pub(super) fn leave_read(&self) {
        let old = self.word.fetch_sub(State::READER, Ordering::Release);
        self.wake(State(old).reader_left());
    }

    pub(super) fn try_intent(&self) -> bool {
        self.step(State::intent)
    }

    pub(super) fn try_intent_if(&self, seq: u32) -> bool {
        self.step(|old| old.intent_if(seq))
    }

    pub(super) fn intent(&self) {
        // Held for as long as a transaction takes: no use in looking twice.
        if !self.try_intent() {
            self.intent
                .wait(|| self.step_or(State::intent, State::with_waiting_intent));
        }
    }

    pub(super) fn leave_intent(&self) {
        self.leave(State::intent_left);
    }

    /// For the holder of intent only.
    pub(super) fn write(&self) {
        self.step(|old| Some(old.write()));
        let is_alone = || self.state().readers() == 0;
        if !WaitQueue::spin(is_alone) {
            self.writer.wait(is_alone);
        }
    }

    /// For the writer only.
    pub(super) fn leave_write(&self) {
        self.leave(State::write_left);
    }
}

impl fmt::Debug for RawSix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        write!(f, "Six(seq {}, {} readers", state.seq(), state.readers())?;
        if state.is_intent() {
            f.write_str(", intent")?;
        }
        if state.is_write() {
            f.write_str(", write")?;
        }
        f.write_str(")")
    }
}
