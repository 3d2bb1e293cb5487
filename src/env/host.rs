// SPDX-License-Identifier: GPL-2.0

//! Memory, time and log of the host build.

use super::log::Level;
use crate::error::{
    Error,
    Result, //
};
use core::{
    fmt,
    ops::{
        Deref,
        DerefMut, //
    },
};

/// A growable array whose growth can fail; same interface as in the kernel.
#[derive(Debug, PartialEq, Eq)]
pub struct Vec<T>(std::vec::Vec<T>);

impl<T> Vec<T> {
    /// An empty array; allocates nothing.
    pub const fn new() -> Self {
        Self(std::vec::Vec::new())
    }

    /// An empty array with room for `n` elements.
    pub fn with_capacity(n: usize) -> Result<Self> {
        let mut v = Self::new();
        v.reserve(n)?;
        Ok(v)
    }

    /// Makes room for `n` more elements.
    pub fn reserve(&mut self, n: usize) -> Result {
        if self.0.capacity().wrapping_sub(self.0.len()) < n {
            scarce::take()?;
        }
        self.0.try_reserve(n).map_err(|_| Error::NoMemory)
    }

    /// Appends `value`.
    pub fn push(&mut self, value: T) -> Result {
        self.reserve(1)?;
        self.0.push(value);
        Ok(())
    }

    /// Inserts `value` before position `at`; `at` beyond the end appends.
    pub fn insert(&mut self, at: usize, value: T) -> Result {
        self.reserve(1)?;
        let at = at.min(self.0.len());
        self.0.insert(at, value);
        Ok(())
    }

    /// Takes the element at position `at` out, if there is one.
    pub fn remove(&mut self, at: usize) -> Option<T> {
        (at < self.0.len()).then(|| self.0.remove(at))
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

    /// Gives memory back, if there is much that is not used.
    pub fn shrink(&mut self)
    where
        T: Copy,
    {
        self.0.shrink_to_fit();
    }

    /// Bytes of memory that its room takes.
    pub fn memory_bytes(&self) -> usize {
        self.0.capacity().saturating_mul(size_of::<T>())
    }
}

impl<T: Clone> Vec<T> {
    /// Appends copies of all elements of `other`.
    pub fn extend_from_slice(&mut self, other: &[T]) -> Result {
        self.reserve(other.len())?;
        self.0.extend_from_slice(other);
        Ok(())
    }

    /// Shrinks or grows to `len` elements, new ones being copies of `value`.
    pub fn resize(&mut self, len: usize, value: T) -> Result {
        self.reserve(len.saturating_sub(self.0.len()))?;
        self.0.resize(len, value);
        Ok(())
    }

    /// `n` copies of `value`.
    pub fn from_elem(value: T, n: usize) -> Result<Self> {
        let mut v = Self::new();
        v.resize(n, value)?;
        Ok(v)
    }
}

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
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a Vec<T> {
    type Item = &'a T;
    type IntoIter = core::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

/// A sorted map with numbers for keys; same interface as in the kernel.
#[derive(Debug)]
pub struct Map<V>(std::collections::BTreeMap<u64, V>);

impl<V> Map<V> {
    /// An empty map; allocates nothing.
    pub fn new() -> Self {
        Self(std::collections::BTreeMap::new())
    }

    /// Adds an element, in the place of the one with this key.
    pub fn insert(&mut self, key: u64, value: V) -> Result {
        scarce::take()?;
        self.0.insert(key, value);
        Ok(())
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
        self.0.range(key..).next().map(|(k, v)| (*k, v))
    }
}

impl<V> Default for Map<V> {
    fn default() -> Self {
        Self::new()
    }
}

/// A value in memory of its own.
#[derive(Debug)]
pub struct Box<T>(std::boxed::Box<T>);

impl<T> Box<T> {
    /// Moves `value` to the heap.
    pub fn try_new(value: T) -> Result<Self> {
        scarce::take()?;
        Ok(Self(std::boxed::Box::new(value)))
    }

    /// Takes the value back.
    pub fn into_inner(self) -> T {
        *self.0
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
#[derive(Debug)]
pub struct Arc<T>(std::sync::Arc<T>);

impl<T> Arc<T> {
    /// Moves `value` to shared memory.
    pub fn try_new(value: T) -> Result<Self> {
        scarce::take()?;
        Ok(Self(std::sync::Arc::new(value)))
    }

    /// Whether both are the same object.
    #[inline]
    pub fn ptr_eq(a: &Self, b: &Self) -> bool {
        std::sync::Arc::ptr_eq(&a.0, &b.0)
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

/// Memory that runs out when a test wants it.
pub mod scarce {
    use crate::error::{
        Error,
        Result, //
    };
    use core::{
        cell::Cell,
        sync::atomic::{
            AtomicU64,
            Ordering, //
        },
    };

    /// How many more allocations go well before one of any thread fails; all ones: all do.
    static ANYWHERE: AtomicU64 = AtomicU64::new(u64::MAX);

    std::thread_local! {
        static LEFT: Cell<Option<u64>> = const { Cell::new(None) };
    }

    /// Makes one allocation of this thread fail, after `after` others; with `None`, none.
    pub fn fail_after(after: Option<u64>) {
        LEFT.set(after);
    }

    /// Whether that allocation is still to come.
    pub fn is_pending() -> bool {
        LEFT.get().is_some()
    }

    /// Makes one allocation of any thread fail, after `after` others; with `None`, none.
    pub fn fail_after_anywhere(after: Option<u64>) {
        ANYWHERE.store(after.unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Whether that allocation is still to come.
    pub fn is_pending_anywhere() -> bool {
        ANYWHERE.load(Ordering::Relaxed) != u64::MAX
    }

    fn take_anywhere() -> Result {
        let relaxed = Ordering::Relaxed;
        let next = |left: u64| match left {
            u64::MAX => None,
            0 => Some(u64::MAX),
            left => Some(left.wrapping_sub(1)),
        };
        match ANYWHERE.fetch_update(relaxed, relaxed, next) {
            Ok(0) => Err(Error::NoMemory),
            _ => Ok(()),
        }
    }

    pub(super) fn take() -> Result {
        take_anywhere()?;
        match LEFT.get() {
            None => Ok(()),
            Some(0) => {
                LEFT.set(None);
                Err(Error::NoMemory)
            }
            Some(left) => {
                LEFT.set(Some(left.wrapping_sub(1)));
                Ok(())
            }
        }
    }
}

/// Locks that seem to be taken, though nobody has them: whoever tries one holds others, and has to
/// let them go and start over.
pub mod busy {
    use core::sync::atomic::{
        AtomicU64,
        Ordering, //
    };

    /// How many more tries are what they are before one of any thread is not; all ones: all are.
    static LEFT: AtomicU64 = AtomicU64::new(u64::MAX);
    /// One try in so many fails besides; 0: none.
    static ONE_IN: AtomicU64 = AtomicU64::new(0);
    static TRIES: AtomicU64 = AtomicU64::new(0);

    /// Makes one try of any thread fail, after `after` others; with `None`, none.
    pub fn fail_after_anywhere(after: Option<u64>) {
        LEFT.store(after.unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Whether that one is still to come.
    pub fn is_pending_anywhere() -> bool {
        LEFT.load(Ordering::Relaxed) != u64::MAX
    }

    /// Makes one try in `nr` fail, in no order that anything could be in step with; 0: none.
    pub fn fail_one_in(nr: u64) {
        ONE_IN.store(nr, Ordering::Relaxed);
    }

    /// So many tries there were.
    pub fn nr_tries() -> u64 {
        TRIES.load(Ordering::Relaxed)
    }

    pub(super) fn takes() -> bool {
        let relaxed = Ordering::Relaxed;
        let nr = TRIES.fetch_add(1, relaxed);
        // Fibonacci hashing: the high bits are all over the place.
        let spread = nr.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        if spread.checked_rem(ONE_IN.load(relaxed)) == Some(0) {
            return true;
        }
        let next = |left: u64| match left {
            u64::MAX => None,
            0 => Some(u64::MAX),
            left => Some(left.wrapping_sub(1)),
        };
        LEFT.fetch_update(relaxed, relaxed, next) == Ok(0)
    }
}

/// Whether a lock that can be had is to be left to somebody who does not exist.
pub fn seems_taken() -> bool {
    busy::takes()
}

std::thread_local! {
    static RESTARTS: core::cell::Cell<u32> = const { core::cell::Cell::new(0) };
}

/// Makes this thread start each transaction over so many times: the first attempt ends with its
/// first step, the next one with its second, and so on.
pub fn restart_often(times: u32) {
    RESTARTS.set(times);
}

/// Whether the transaction that there were `attempt` attempts of, and that has done `step` steps of
/// this one, is to start over without a reason.
pub fn wants_restart(attempt: u32, step: u32) -> bool {
    step == attempt && attempt < RESTARTS.get()
}

/// Clocks.
pub mod time {
    /// Nanoseconds of a clock that never goes back.
    pub fn monotonic_ns() -> u64 {
        use std::{
            sync::OnceLock,
            time::Instant, //
        };
        static START: OnceLock<Instant> = OnceLock::new();
        let ns = START.get_or_init(Instant::now).elapsed().as_nanos();
        u64::try_from(ns).unwrap_or(u64::MAX)
    }

    /// Seconds since 1970.
    pub fn real_seconds() -> u64 {
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |d| d.as_secs())
    }
}

/// Prints one line to standard error; `BCACHEFS_RS_QUIET` in the environment silences it.
pub fn log_line(level: Level, args: fmt::Arguments<'_>) {
    use std::sync::OnceLock;
    static QUIET: OnceLock<bool> = OnceLock::new();
    note_codes(args);
    if *QUIET.get_or_init(|| std::env::var_os("BCACHEFS_RS_QUIET").is_some()) {
        return;
    }
    std::eprintln!("bcachefs: {level:?}: {args}");
}

/// Adds error codes that are printed for the first time to the file `BCACHEFS_RS_CODES`, in lines:
/// scripts/error-coverage wants to know which ones tests reach.
fn note_codes(args: fmt::Arguments<'_>) {
    use std::{
        collections::HashSet,
        fs::{
            File,
            OpenOptions, //
        },
        io::Write as _,
        string::{
            String,
            ToString as _, //
        },
        sync::{
            Mutex,
            OnceLock, //
        },
    };
    type Codes = Option<Mutex<(File, HashSet<String>)>>;
    static CODES: OnceLock<Codes> = OnceLock::new();
    let codes = CODES.get_or_init(|| {
        let path = std::env::var_os("BCACHEFS_RS_CODES")?;
        let file = OpenOptions::new().append(true).create(true).open(path);
        Some(Mutex::new((file.ok()?, HashSet::new())))
    });
    let Some(Ok(mut codes)) = codes.as_ref().map(Mutex::lock) else {
        return;
    };
    let text = args.to_string();
    for (_, rest) in text
        .match_indices('(')
        .filter_map(|(at, _)| text.split_at_checked(at))
    {
        let code = rest.get(1..).and_then(|r| r.split_once(')'));
        let Some((code, _)) = code.filter(|(c, _)| c.bytes().all(|b| b.is_ascii_alphanumeric()))
        else {
            continue;
        };
        if codes.1.insert(code.to_string()) {
            // Who asked for the file sees that it is not there.
            let _ = writeln!(codes.0, "({code})");
        }
    }
}

/// A number that nobody can foresee in the kernel. Here it is the next of a fixed sequence, so that
/// a test that failed fails again.
pub fn random_u64() -> u64 {
    static STATE: core::sync::atomic::AtomicU64 = core::sync::atomic::AtomicU64::new(0);
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    let n = STATE.fetch_add(STEP, core::sync::atomic::Ordering::Relaxed);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}
