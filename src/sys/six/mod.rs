// SPDX-License-Identifier: GPL-2.0

//! SIX locks: shared, intent, exclusive. The host build has the same files.
//!
//! | file       | holds                                                                      |
//! |------------|----------------------------------------------------------------------------|
//! | `guard.rs` | holding a lock: [`ReadGuard`], [`IntentGuard`], [`WriteGuard`]             |
//! | `raw.rs`   | the lock without what it protects                                          |
//! | `state.rs` | the word of a lock, and what may follow what                               |
//!
//! Any number of readers can be inside, and beside them one holder of intent: it knows that nobody
//! else changes anything, and reads as the others do. To change something it writes: no new
//! readers get in, and when those inside have left, it is alone. That is meant to be short.
//!
//! The sequence number is another one after each write. Who has let go of a lock and finds the
//! number as it was knows that nothing has changed.
//!
//! Nothing here keeps locks from being taken in different orders. Sleeping for one is safe for
//! who holds no other; with others, try.

mod guard;
mod raw;
mod state;

pub use guard::{
    IntentGuard,
    ReadGuard,
    WriteGuard, //
};

use crate::error::Result;
use core::{
    cell::UnsafeCell,
    fmt, //
};
use raw::RawSix;

/// A value behind a SIX lock.
///
/// C: `struct six_lock`.
pub struct Six<T> {
    raw: RawSix,
    value: UnsafeCell<T>,
}

// SAFETY: The value goes along.
unsafe impl<T: Send> Send for Six<T> {}
// SAFETY: Several threads can have a shared reference to the value at the same time, as readers and
// holder of intent, or one of them an exclusive one, as the writer.
unsafe impl<T: Send + Sync> Sync for Six<T> {}

/// An object with such a lock, which is in shared memory.
pub trait HasSix {
    /// What the lock protects.
    type Body;

    /// The lock.
    fn six(&self) -> &Six<Self::Body>;
}

impl<T> Six<T> {
    /// Puts `value` behind a lock.
    pub fn try_new(value: T) -> Result<Self> {
        Ok(Self {
            raw: RawSix::new(),
            value: UnsafeCell::new(value),
        })
    }

    /// The sequence number. While there is a writer, it is already the one after the write.
    pub fn seq(&self) -> u32 {
        self.raw.state().seq()
    }

    /// Waits until there is no writer; intent does not matter.
    pub fn read(&self) -> ReadGuard<'_, T> {
        self.raw.read();
        ReadGuard::new(self)
    }

    /// The same without waiting.
    pub fn try_read(&self) -> Option<ReadGuard<'_, T>> {
        self.raw.try_read().then(|| ReadGuard::new(self))
    }

    /// The value, of a lock that nobody else can get at.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

impl<T> fmt::Debug for Six<T> {
    /// Who holds it. What it protects may be changing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.raw.fmt(f)
    }
}
