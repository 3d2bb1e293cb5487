// SPDX-License-Identifier: GPL-2.0

//! Giving cached memory back when the kernel is short of it.

use crate::{
    bindings,
    env::{
        num,
        Arc, //
    },
    error::{
        Error,
        Result, //
    },
};
use core::{
    ffi::CStr,
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    str::CStrExt as _,
    types::ForeignOwnable, //
};

/// A cache that can shrink.
pub trait Shrink: Send + Sync + 'static {
    /// How many objects could be given back; a guess is enough.
    fn count(&self) -> usize;

    /// Tries to give back `nr` objects, returns how many it did. Called while memory is being
    /// allocated, perhaps by us, so it must not wait for locks that are held while allocating.
    fn scan(&self, nr: usize) -> usize;
}

/// A registered shrinker; unregistered when dropped.
///
/// # Invariants
///
/// `ptr` is a registered shrinker whose private data owns a reference on a `T`.
pub struct Shrinker<T: Shrink> {
    ptr: NonNull<bindings::shrinker>,
    cache: PhantomData<Arc<T>>,
}

// SAFETY: A shrinker may be unregistered by any thread, and its `T` is `Send` and `Sync`.
unsafe impl<T: Shrink> Send for Shrinker<T> {}
// SAFETY: There are no methods on a shared reference.
unsafe impl<T: Shrink> Sync for Shrinker<T> {}

impl<T: Shrink> Shrinker<T> {
    /// Registers `cache`; `name` is shown in debugfs.
    pub fn register(name: &'static CStr, cache: Arc<T>) -> Result<Self> {
        // SAFETY: The format takes one string, and `name` is one.
        let ptr = unsafe { bindings::shrinker_alloc(0, c"%s".as_char_ptr(), name.as_char_ptr()) };
        let ptr = NonNull::new(ptr).ok_or(Error::NoMemory)?;
        // SAFETY: The shrinker is ours and not registered yet. The private data holds a reference
        // until `drop`.
        unsafe {
            let s = ptr.as_ptr();
            (*s).count_objects = Some(count::<T>);
            (*s).scan_objects = Some(scan::<T>);
            (*s).seeks = 0;
            (*s).private_data = cache.into_kernel().into_foreign();
            bindings::shrinker_register(s);
        }
        // INVARIANT: Just registered, with a reference.
        Ok(Self {
            ptr,
            cache: PhantomData,
        })
    }
}

impl<T: Shrink> Drop for Shrinker<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the shrinker is registered and has the reference; after
        // `shrinker_free()`, which waits for running callbacks, nobody uses it.
        unsafe {
            let data = (*self.ptr.as_ptr()).private_data;
            bindings::shrinker_free(self.ptr.as_ptr());
            drop(<kernel::sync::Arc<T> as ForeignOwnable>::from_foreign(data));
        }
    }
}

/// `->count_objects`.
///
/// # Safety
///
/// For the kernel to call with a shrinker made by `register` for `T`.
unsafe extern "C" fn count<T: Shrink>(
    s: *mut bindings::shrinker,
    _sc: *mut bindings::shrink_control,
) -> usize {
    // SAFETY: By the function's contract the private data is an `Arc<T>`.
    let cache = unsafe { <kernel::sync::Arc<T> as ForeignOwnable>::borrow((*s).private_data) };
    match cache.count() {
        0 => SHRINK_EMPTY,
        n => n,
    }
}

/// `->scan_objects`.
///
/// # Safety
///
/// As [`count`].
unsafe extern "C" fn scan<T: Shrink>(
    s: *mut bindings::shrinker,
    sc: *mut bindings::shrink_control,
) -> usize {
    // SAFETY: By the function's contract the private data is an `Arc<T>`, and `sc` is valid.
    let (cache, nr) = unsafe {
        (
            <kernel::sync::Arc<T> as ForeignOwnable>::borrow((*s).private_data),
            num::usize_of(num::u64_of((*sc).nr_to_scan)),
        )
    };
    match cache.scan(nr) {
        0 => SHRINK_STOP,
        n => n,
    }
}

/// "There is nothing to give back." C: `SHRINK_EMPTY`.
const SHRINK_EMPTY: usize = usize::MAX - 1;
/// "Nothing more can be given back now." C: `SHRINK_STOP`.
const SHRINK_STOP: usize = usize::MAX;
