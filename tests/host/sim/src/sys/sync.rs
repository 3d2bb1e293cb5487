// SPDX-License-Identifier: GPL-2.0

//! Locks, what is set once, atomic variables.

use crate::error::Result;
pub use std::sync::MutexGuard;
use std::sync::{
    PoisonError,
    TryLockError, //
};

pub use core::sync::atomic;

/// Threads that are held up at locks, when a test wants it: so that what rarely comes between two
/// steps of another one does so often.
pub mod delays {
    use std::{
        cell::Cell,
        sync::atomic::{
            AtomicU64,
            Ordering, //
        },
        time::Duration,
    };

    static ONE_IN: AtomicU64 = AtomicU64::new(0);

    thread_local! {
        static RANDOM: Cell<u64> = const { Cell::new(0) };
    }

    /// Holds a thread up before one in `n` locks; with 0, never. For all threads of the process.
    pub fn set(n: u64) {
        ONE_IN.store(n, Ordering::Relaxed);
    }

    pub(super) fn pause() {
        let n = ONE_IN.load(Ordering::Relaxed);
        if n == 0 {
            return;
        }
        let mut r = RANDOM.get();
        if r == 0 {
            // Another one for each thread.
            r = std::ptr::from_ref(&RANDOM).addr() as u64 | 1;
            r ^= RANDOM.with(|here| std::ptr::from_ref(here).addr() as u64) << 16;
        }
        r ^= r << 13;
        r ^= r >> 7;
        r ^= r << 17;
        RANDOM.set(r);
        if (r >> 20) % n == 0 {
            // Mostly for a moment, and now and then long enough for much to happen.
            let most = if (r >> 40) % 16 == 0 { 10_000 } else { 100 };
            std::thread::sleep(Duration::from_micros((r >> 50) % most));
        }
    }
}

/// A value that is set once, and stays.
#[derive(Debug)]
pub struct Once<T>(std::sync::OnceLock<T>);

impl<T> Once<T> {
    /// With a value, or to be given one.
    pub fn new(value: Option<T>) -> Self {
        Self(value.map_or_else(std::sync::OnceLock::new, Into::into))
    }

    /// Sets the value, if there is none; says whether it did.
    pub fn set(&self, value: T) -> bool {
        self.0.set(value).is_ok()
    }

    /// The value, if there is one.
    pub fn get(&self) -> Option<&T> {
        self.0.get()
    }
}

/// A lock whose holder may sleep.
#[derive(Debug)]
pub struct Mutex<T>(std::sync::Mutex<T>);

impl<T> Mutex<T> {
    /// A lock around `value`.
    pub fn try_new(value: T) -> Result<Self> {
        Ok(Self(std::sync::Mutex::new(value)))
    }

    /// Waits for the lock.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        delays::pause();
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the lock if it is free.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(e)) => Some(e.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

/// A lock whose holder must not sleep.
#[derive(Debug)]
pub struct SpinLock<T>(std::sync::Mutex<T>);

impl<T> SpinLock<T> {
    /// A lock around `value`.
    pub fn try_new(value: T) -> Result<Self> {
        Ok(Self(std::sync::Mutex::new(value)))
    }

    /// Waits for the lock.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        delays::pause();
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the lock if it is free.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(e)) => Some(e.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}
