// SPDX-License-Identifier: GPL-2.0

//! Locks, atomic variables.

use crate::error::Result;
pub use std::sync::MutexGuard;
use std::sync::{
    PoisonError,
    TryLockError, //
};

pub use core::sync::atomic;

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
