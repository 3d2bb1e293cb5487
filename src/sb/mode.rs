// SPDX-License-Identifier: GPL-2.0

//! What a filesystem may do at the moment.

use crate::{
    env::pr_err,
    error::Error,
    sys::{
        sync::SpinLock,
        watchers::Watchers, //
    },
};
use core::sync::atomic::{
    AtomicU8,
    Ordering, //
};

/// What a filesystem may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Recovery is running, nobody else has access.
    Starting,
    /// Reads only.
    ReadOnly,
    /// Reads and writes.
    ReadWrite,
    /// Reads only, because of an error; stays so until the filesystem is mounted again.
    EmergencyReadOnly,
}

impl State {
    const fn to_raw(self) -> u8 {
        match self {
            State::Starting => 0,
            State::ReadOnly => 1,
            State::EmergencyReadOnly => 2,
            State::ReadWrite => 3,
        }
    }

    const fn from_raw(raw: u8) -> Self {
        match raw {
            0 => State::Starting,
            1 => State::ReadOnly,
            3 => State::ReadWrite,
            _ => State::EmergencyReadOnly,
        }
    }
}

/// The state of a filesystem, shared by all that use it, and the error that ended normal
/// operation.
pub struct StateCell {
    state: AtomicU8,
    first_error: SpinLock<Option<Error>>,
    /// Who is told of errors.
    pub watchers: Watchers,
}

impl StateCell {
    /// A filesystem that is starting.
    pub fn try_new() -> crate::error::Result<Self> {
        Ok(Self {
            state: AtomicU8::new(State::Starting.to_raw()),
            first_error: SpinLock::try_new(None)?,
            watchers: Watchers::try_new()?,
        })
    }

    /// The state now.
    pub fn get(&self) -> State {
        State::from_raw(self.state.load(Ordering::Acquire))
    }

    /// Leaves [`State::Starting`], unless an error was faster.
    pub fn started(&self) {
        self.change(State::Starting, State::ReadOnly);
    }

    /// From `old` to `new`, unless it is something else by now: says whether it was `old`.
    pub fn change(&self, old: State, new: State) -> bool {
        let (success, failure) = (Ordering::AcqRel, Ordering::Acquire);
        self.state
            .compare_exchange(old.to_raw(), new.to_raw(), success, failure)
            .is_ok()
    }

    /// Whether something may be written.
    pub fn may_write(&self) -> bool {
        self.get() != State::EmergencyReadOnly
    }

    /// Goes emergency read-only because of `e`. The first error is kept and reported; says
    /// whether this was it.
    pub fn emergency(&self, e: Error) -> bool {
        {
            // Who sees the state finds its reason.
            let mut first = self.first_error.lock();
            if first.is_some() {
                return false;
            }
            *first = Some(e);
            let emergency = State::EmergencyReadOnly.to_raw();
            self.state.store(emergency, Ordering::Release);
        }
        pr_err!("going emergency read-only: {e}");
        self.watchers.shutdown();
        true
    }

    /// The error that ended normal operation.
    pub fn first_error(&self) -> Option<Error> {
        *self.first_error.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_error_is_kept() {
        let s = StateCell::try_new().unwrap();
        assert_eq!(s.get(), State::Starting);
        s.started();
        assert_eq!(s.get(), State::ReadOnly);
        assert!(!s.change(State::ReadWrite, State::ReadOnly));
        assert!(s.change(State::ReadOnly, State::ReadWrite));
        assert_eq!(s.get(), State::ReadWrite);
        assert!(s.emergency(Error::NodeMagic));
        assert!(!s.emergency(Error::NodeSeq));
        s.started();
        assert_eq!(s.get(), State::EmergencyReadOnly);
        assert_eq!(s.first_error(), Some(Error::NodeMagic));
    }
}
