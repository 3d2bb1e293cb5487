// SPDX-License-Identifier: GPL-2.0

//! Buckets that are being made free, and those who wait for some.

use super::space::Space;
use crate::{
    env::Vec,
    error::Result,
    format::bpos::Bpos,
    sys::{
        sync::SpinLock,
        wait::WaitQueue, //
    },
};
use core::sync::atomic::{
    AtomicBool,
    AtomicU64,
    Ordering, //
};

/// Milliseconds that one waits for another who makes buckets free, and who may wait for him.
const OTHERS_MS: u64 = 100;
/// Buckets that are made free at a time.
const IN_FLIGHT: usize = 16;

/// Buckets that are being made free, and how many were.
pub(super) struct Freeing {
    /// Those that somebody is at: nobody else may discard them, as they may be in use by then.
    ///
    /// C: `discard_buckets_in_flight`.
    in_flight: SpinLock<Vec<Bpos>>,
    nr: AtomicU64,
    waiters: WaitQueue,
    /// There are more to be discarded than free ones.
    wanted: AtomicBool,
    /// The thread that discards.
    sleeper: WaitQueue,
}

/// A bucket that nobody else makes free, until this is dropped.
pub(super) struct InFlight<'a>(&'a Freeing, Bpos);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        let mut in_flight = self.0.in_flight.lock();
        if let Some(at) = in_flight.iter().position(|pos| *pos == self.1) {
            in_flight.remove(at);
        }
    }
}

impl Freeing {
    pub(super) fn try_new() -> Result<Self> {
        Ok(Self {
            in_flight: SpinLock::try_new(Vec::with_capacity(IN_FLIGHT)?)?,
            nr: AtomicU64::new(0),
            waiters: WaitQueue::new(),
            wanted: AtomicBool::new(false),
            sleeper: WaitQueue::new(),
        })
    }

    /// Takes a bucket, unless somebody is at it or at as many as can be: half of that for who may
    /// have to wait before it is free.
    pub(super) fn begin(&self, pos: Bpos, may_wait: bool) -> Result<Option<InFlight<'_>>> {
        let mut in_flight = self.in_flight.lock();
        let most = match may_wait {
            true => IN_FLIGHT / 2,
            false => IN_FLIGHT,
        };
        if in_flight.len() >= most || in_flight.contains(&pos) {
            return Ok(None);
        }
        // There is room for as many.
        in_flight.push(pos)?;
        Ok(Some(InFlight(self, pos)))
    }

    /// Whether somebody is at one.
    pub(super) fn is_busy(&self) -> bool {
        !self.in_flight.lock().is_empty()
    }

    pub(super) fn add(&self) {
        self.nr.fetch_add(1, Ordering::AcqRel);
        self.waiters.wake_all();
    }

    /// How many were made free so far.
    pub(super) fn nr(&self) -> u64 {
        self.nr.load(Ordering::Acquire)
    }

    /// Waits for a moment until there were more than `before`, if somebody is at one; whether there
    /// were.
    pub(super) fn exceeds(&self, before: u64) -> bool {
        let more = || self.nr() > before;
        more() || self.is_busy() && self.wait_for(more)
    }

    /// Waits for a moment until it is true.
    pub(super) fn wait_for(&self, more: impl Fn() -> bool) -> bool {
        self.waiters.wait_timeout_ms(OTHERS_MS, more)
    }

    /// Has the thread that discards look what there is.
    ///
    /// C: `bch2_do_discards_async()`.
    pub(super) fn want(&self) {
        if !self.wanted.swap(true, Ordering::AcqRel) {
            self.sleeper.wake_all();
        }
    }
}

impl Space {
    /// Waits until buckets should be made free, or for so many milliseconds.
    pub fn wait_for_discards(&self, ms: u64) {
        let wanted = || self.freeing.wanted.swap(false, Ordering::AcqRel);
        self.freeing.sleeper.idle_timeout_ms(ms, wanted);
    }

    /// Ends such a wait.
    pub fn want_discards(&self) {
        self.freeing.want();
    }
}
