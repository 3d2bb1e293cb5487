// SPDX-License-Identifier: GPL-2.0

//! Memory, time and log of the kernel build, on the `kernel` crate.

use super::log::Level;
use crate::error::{
    Error,
    Result, //
};
use core::{
    fmt,
    mem::ManuallyDrop,
    ops::{
        Deref,
        DerefMut, //
    },
};
use kernel::{
    alloc::{
        flags::GFP_KERNEL,
        AllocError,
        KVVec, //
    },
    prelude::*,
    rbtree::RBTree, //
};

impl From<AllocError> for Error {
    fn from(_: AllocError) -> Self {
        Error::NoMemory
    }
}

/// Elements there is room for when the first one comes, unless they are larger than this.
const FEW: usize = 4;
const FEW_BYTES: usize = 512;

/// A growable array whose growth can fail. Large ones use virtually contiguous memory.
pub struct Vec<T>(
    /// Dropped with this, and not before.
    ManuallyDrop<KVVec<T>>,
);

impl<T> Drop for Vec<T> {
    /// For the kernel crate, to free no memory is a call as any other.
    #[inline]
    fn drop(&mut self) {
        if self.0.capacity() != 0 {
            // SAFETY: Nothing uses it after this.
            unsafe { ManuallyDrop::drop(&mut self.0) };
        }
    }
}

impl<T> Vec<T> {
    /// An empty array; allocates nothing.
    pub const fn new() -> Self {
        Self(ManuallyDrop::new(KVVec::new()))
    }

    /// An empty array with room for `n` elements.
    pub fn with_capacity(n: usize) -> Result<Self> {
        let vec = KVVec::with_capacity(n, GFP_KERNEL)?;
        Ok(Self(ManuallyDrop::new(vec)))
    }

    /// Makes room for `n` more elements: for as many as are in the memory that is given for them.
    pub fn reserve(&mut self, n: usize) -> Result {
        let (len, capacity) = (self.0.len(), self.0.capacity());
        let want = len.saturating_add(n);
        if want <= capacity {
            return Ok(());
        }
        let bytes = given(
            want.max(capacity.saturating_mul(2))
                .saturating_mul(size_of::<T>()),
        );
        let fits = bytes.checked_div(size_of::<T>()).unwrap_or(0).max(want);
        Ok(self.0.reserve(fits.saturating_sub(len), GFP_KERNEL)?)
    }

    /// Makes room for one more, and for a few when it is the first: it is rarely alone.
    #[inline]
    fn reserve_one(&mut self) -> Result {
        match self.0.capacity() {
            0 if size_of::<T>() <= FEW_BYTES => self.reserve(FEW),
            _ => self.reserve(1),
        }
    }

    /// Gives memory back, if there is much that is not used; not when that takes memory which is
    /// not there.
    pub fn shrink(&mut self)
    where
        T: Copy,
    {
        let less = given(self.0.len().saturating_mul(size_of::<T>()));
        if less < self.memory_bytes() {
            let mut new = Self::new();
            if new.extend_from_slice(self).is_ok() {
                *self = new;
            }
        }
    }

    /// Bytes of memory that its room takes.
    pub fn memory_bytes(&self) -> usize {
        given(self.0.capacity().saturating_mul(size_of::<T>()))
    }

    /// Appends `value`.
    pub fn push(&mut self, value: T) -> Result {
        self.reserve_one()?;
        self.0
            .push_within_capacity(value)
            .map_err(|_| Error::NoMemory)
    }

    /// Inserts `value` before position `at`; `at` beyond the end appends.
    pub fn insert(&mut self, at: usize, value: T) -> Result {
        self.reserve_one()?;
        let at = at.min(self.0.len());
        self.0
            .insert_within_capacity(at, value)
            .map_err(|_| Error::NoMemory)
    }

    /// Takes the element at position `at` out, if there is one.
    pub fn remove(&mut self, at: usize) -> Option<T> {
        self.0.remove(at).ok()
    }

    /// Takes the last element.
    pub fn pop(&mut self) -> Option<T> {
        self.0.pop()
    }

    /// Drops all elements from position `len` on.
    pub fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }

    /// Drops all elements.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// Bytes that `kmalloc()` gives for so many: it has powers of two, and few sizes in between.
fn given(bytes: usize) -> usize {
    match bytes {
        0 => 0,
        _ => bytes.checked_next_power_of_two().unwrap_or(bytes),
    }
}

impl<T: Clone> Vec<T> {
    /// Appends copies of all elements of `other`.
    pub fn extend_from_slice(&mut self, other: &[T]) -> Result {
        self.reserve(other.len())?;
        Ok(self.0.extend_from_slice(other, GFP_KERNEL)?)
    }

    /// Shrinks or grows to `len` elements, new ones being copies of `value`.
    pub fn resize(&mut self, len: usize, value: T) -> Result {
        let Some(more) = len.checked_sub(self.0.len()) else {
            self.0.truncate(len);
            return Ok(());
        };
        // Not by the kernel crate's `resize()`, which has a bounds check that can panic.
        self.reserve(more)?;
        let mut filled = 0usize;
        for slot in self.0.spare_capacity_mut().iter_mut().take(more) {
            slot.write(value.clone());
            filled = filled.wrapping_add(1);
        }
        // SAFETY: That many elements of the spare capacity were initialised just now.
        unsafe { self.0.inc_len(filled) };
        Ok(())
    }

    /// `n` copies of `value`.
    pub fn from_elem(value: T, n: usize) -> Result<Self> {
        let mut v = Self::with_capacity(n)?;
        v.resize(n, value)?;
        Ok(v)
    }
}

impl<T: fmt::Debug> fmt::Debug for Vec<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: PartialEq> PartialEq for Vec<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Eq> Eq for Vec<T> {}

impl<T> Default for Vec<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Deref for Vec<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> DerefMut for Vec<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

impl<T> IntoIterator for Vec<T> {
    type Item = T;
    type IntoIter = <KVVec<T> as IntoIterator>::IntoIter;

    fn into_iter(self) -> Self::IntoIter {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is not used, nor dropped, after this.
        unsafe { ManuallyDrop::take(&mut this.0) }.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a Vec<T> {
    type Item = &'a T;
    type IntoIter = core::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

/// A value in memory of its own.
pub struct Box<T>(KVBox<T>);

impl<T> Box<T> {
    /// Moves `value` to the heap.
    pub fn try_new(value: T) -> Result<Self> {
        Ok(Self(KVBox::new(value, GFP_KERNEL)?))
    }

    /// Takes the value back.
    pub fn into_inner(self) -> T {
        KVBox::into_inner(self.0)
    }

    /// The value's address, for C to keep; [`from_raw`](Self::from_raw) takes it back.
    pub fn into_raw(self) -> *mut T {
        KVBox::into_raw(self.0)
    }

    /// The box of a value.
    ///
    /// # Safety
    ///
    /// `ptr` must have come from [`into_raw`](Self::into_raw), and be taken back once.
    pub unsafe fn from_raw(ptr: *mut T) -> Self {
        // SAFETY: By the function's contract.
        Self(unsafe { KVBox::from_raw(ptr) })
    }
}

impl<T: fmt::Debug> fmt::Debug for Box<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T> Deref for Box<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Box<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

/// A shared value, freed with its last owner.
pub struct Arc<T>(kernel::sync::Arc<T>);

impl<T> Arc<T> {
    /// Moves `value` to shared memory.
    pub fn try_new(value: T) -> Result<Self> {
        Ok(Self(kernel::sync::Arc::new(value, GFP_KERNEL)?))
    }

    /// Whether both are the same object.
    #[inline]
    pub fn ptr_eq(a: &Self, b: &Self) -> bool {
        kernel::sync::Arc::ptr_eq(&a.0, &b.0)
    }

    /// The kernel's own type, for handing it to C.
    pub fn into_kernel(self) -> kernel::sync::Arc<T> {
        self.0
    }

    /// From the kernel's own type.
    pub fn from_kernel(arc: kernel::sync::Arc<T>) -> Self {
        Self(arc)
    }
}

impl<T: fmt::Debug> fmt::Debug for Arc<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T> Clone for Arc<T> {
    #[inline]
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Deref for Arc<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}

/// A sorted map with numbers for keys.
pub struct Map<V>(RBTree<u64, V>);

impl<V> Map<V> {
    /// An empty map; allocates nothing.
    pub fn new() -> Self {
        Self(RBTree::new())
    }

    /// Adds an element, in the place of the one with this key.
    pub fn insert(&mut self, key: u64, value: V) -> Result {
        let added = self.0.try_create_and_insert(key, value, GFP_KERNEL);
        added.map(drop).map_err(|_| Error::NoMemory)
    }

    /// The element with this key.
    pub fn get(&self, key: u64) -> Option<&V> {
        self.0.get(&key)
    }

    /// The same, to change.
    pub fn get_mut(&mut self, key: u64) -> Option<&mut V> {
        self.0.get_mut(&key)
    }

    /// Takes an element out.
    pub fn remove(&mut self, key: u64) -> Option<V> {
        self.0.remove(&key)
    }

    /// The first element whose key is not below this one.
    pub fn first_from(&self, key: u64) -> Option<(u64, &V)> {
        // Not by a cursor of the kernel crate's, which borrows for longer than it is there.
        let cursor = self.0.cursor_lower_bound(&key)?;
        let found = *cursor.current().0;
        Some((found, self.0.get(&found)?))
    }
}

impl<V> Default for Map<V> {
    fn default() -> Self {
        Self::new()
    }
}

/// Clocks.
pub mod time {
    /// Nanoseconds of a clock that never goes back.
    pub fn monotonic_ns() -> u64 {
        // SAFETY: Takes no argument, may be called in any context.
        let ns = unsafe { kernel::bindings::ktime_get() };
        u64::try_from(ns).unwrap_or(0)
    }

    /// Seconds since 1970.
    pub fn real_seconds() -> u64 {
        // SAFETY: Takes no argument, may be called in any context.
        let s = unsafe { kernel::bindings::ktime_get_real_seconds() };
        u64::try_from(s).unwrap_or(0)
    }
}

/// Prints one line to the kernel log.
pub fn log_line(level: Level, args: fmt::Arguments<'_>) {
    match level {
        Level::Err => kernel::prelude::pr_err!("{}\n", args),
        Level::Warning => kernel::prelude::pr_warn!("{}\n", args),
        Level::Info => kernel::prelude::pr_info!("{}\n", args),
    }
}

/// Whether the transaction that there were `attempt` attempts of, and that has done `step` steps of
/// this one, is to start over without a reason: less often with each attempt, and never in a kernel
/// that is not built for it.
///
/// C: `trans_maybe_inject_restart()`.
#[inline]
pub fn wants_restart(attempt: u32, step: u32) -> bool {
    let _ = step;
    cfg!(CONFIG_BCACHEFS_INJECT_TRANSACTION_RESTARTS) && {
        let mask = u64::MAX.wrapping_shr(54u32.saturating_sub(attempt));
        time::monotonic_ns() & mask == 0
    }
}

/// Whether a lock that can be had is to be left to somebody who does not exist: never.
#[inline]
pub const fn seems_taken() -> bool {
    false
}

/// A number that nobody can foresee.
pub fn random_u64() -> u64 {
    // SAFETY: It has no conditions.
    unsafe { kernel::bindings::get_random_u64() }
}
