// SPDX-License-Identifier: GPL-2.0

//! Locks, each in memory of its own so that they can be moved; what is set once; atomic variables.

use crate::error::{
    Error,
    Result, //
};
use core::{
    panic::Location,
    pin::Pin, //
};
use kernel::{
    alloc::flags::GFP_KERNEL,
    prelude::*,
    sync::{
        lock::{
            mutex::MutexBackend,
            spinlock::SpinLockBackend,
            Backend,
            Guard,
            Lock, //
        },
        LockClassKey,
        SetOnce, //
    },
};

/// For what is checked by a model as well, which brings its own.
pub use core::sync::atomic;

/// A value behind a kernel lock, in a box.
pub struct Boxed<T, B: Backend>(Pin<KBox<Lock<T, B>>>);

/// A mutex; waiting for it sleeps.
pub type Mutex<T> = Boxed<T, MutexBackend>;
/// A spinlock; nothing may sleep while it is held.
pub type SpinLock<T> = Boxed<T, SpinLockBackend>;
/// Access to the value of a [`Mutex`]; unlocks when dropped.
pub type MutexGuard<'a, T> = Guard<'a, T, MutexBackend>;
/// Access to the value of a [`SpinLock`]; unlocks when dropped.
pub type SpinLockGuard<'a, T> = Guard<'a, T, SpinLockBackend>;

impl<T, B: Backend> core::fmt::Debug for Boxed<T, B> {
    /// Not the value, which somebody may have locked.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Lock")
    }
}

impl<T, B: Backend> Boxed<T, B> {
    /// Puts `value` behind a lock. All locks made by one line of code are one class to lockdep.
    #[track_caller]
    pub fn try_new(value: T) -> Result<Self> {
        let class = class_of(Location::caller());
        KBox::pin_init(Lock::new(value, c"bcachefs", class), GFP_KERNEL)
            .map(Self)
            .map_err(|_: kernel::error::Error| Error::NoMemory)
    }

    /// Waits for the lock.
    #[inline]
    pub fn lock(&self) -> Guard<'_, T, B> {
        self.0.lock()
    }

    /// Takes the lock if it is free.
    #[inline]
    pub fn try_lock(&self) -> Option<Guard<'_, T, B>> {
        self.0.try_lock()
    }
}

/// A value that is set once, and stays.
pub struct Once<T>(SetOnce<T>);

impl<T> Once<T> {
    /// With a value, or to be given one.
    pub fn new(value: Option<T>) -> Self {
        let once = SetOnce::new();
        if let Some(value) = value {
            once.populate(value);
        }
        Self(once)
    }

    /// Sets the value, if there is none; says whether it did.
    pub fn set(&self, value: T) -> bool {
        self.0.populate(value)
    }

    /// The value, if there is one.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        self.0.as_ref()
    }
}

/// The lock class for a place in the code.
fn class_of(place: &'static Location<'static>) -> Pin<&'static LockClassKey> {
    const {
        assert!(size_of::<LockClassKey>() <= size_of::<Location<'static>>());
        assert!(align_of::<LockClassKey>() <= align_of::<Location<'static>>());
    }
    // SAFETY: Of a static lock class lockdep uses nothing but the address, which has to be that of
    // a static object of a kernel image or module: a `Location` is one, as large and aligned as a
    // key by the assertions above, and it is never written to. It never moves.
    unsafe {
        Pin::new_unchecked(&*core::ptr::from_ref(place).cast::<LockClassKey>()) //
    }
}
