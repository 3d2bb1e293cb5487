// SPDX-License-Identifier: GPL-2.0

//! Writes of the same memory to several devices, whose end a task is told of.

use super::{
    medium::Inner,
    BlockDevice,
    Durability, //
};
use crate::{
    env::span::Span,
    error::Result,
    sys::workqueue::WorkQueue, //
};
use std::sync::{
    atomic::{
        AtomicU32,
        Ordering, //
    },
    Arc,
    Mutex,
    PoisonError, //
};

/// The most devices that one flight goes to.
pub const FLIGHT_MAX: usize = 16;

/// Calls `f`; what it sends is sent at once.
pub fn plugged<R>(f: impl FnOnce() -> R) -> R {
    f()
}

/// What is written.
pub trait Cargo: Send + Sync + 'static {
    /// The memory that is written, in order.
    fn spans(&self) -> impl Iterator<Item = Span<'_>>;
}

/// What is done when it is written.
pub trait Landing: Cargo {
    /// All writes have ended. Bit `nr` of `failed` says that the one with this number failed.
    fn landed(self, failed: u32);
}

/// Writes that are under way: here each has been made when it was sent, but nobody knows before it
/// has [landed](super::Medium::hold_flights).
pub struct Flight<T: Cargo> {
    payload: T,
    failed: AtomicU32,
    to: Mutex<Vec<Arc<Inner>>>,
}

impl<T: Cargo> Flight<T> {
    /// Nothing is written yet.
    pub fn try_new(payload: T) -> Result<Self> {
        Ok(Self {
            payload,
            failed: AtomicU32::new(0),
            to: Mutex::default(),
        })
    }

    /// Waits until all have landed: what was written, and which writes failed.
    fn land(self) -> (T, u32) {
        let to = self.to.into_inner();
        for dev in to.unwrap_or_else(PoisonError::into_inner) {
            dev.air.land();
        }
        (self.payload, self.failed.into_inner())
    }

    /// What is written.
    pub fn payload(&self) -> &T {
        &self.payload
    }

    /// Sends all of it to `dev`, at `sector`, as write `nr`.
    pub fn send(&self, dev: &BlockDevice, sector: u64, nr: u32, _waits: bool) {
        dev.inner.air.take_off();
        let mut to = self.to.lock().unwrap_or_else(PoisonError::into_inner);
        to.push(dev.inner.clone());
        drop(to);
        let mut spans = self.payload.spans();
        if let (Some(Span::Still(bytes)), None) = (spans.next(), spans.next()) {
            // Nothing is put together, so no memory can be missing.
            if dev.write(sector, bytes, Durability::Cached).is_err() {
                self.not_sent(nr);
            }
            return;
        }
        let mut all = crate::env::Vec::new();
        let copied = self.payload.spans().try_for_each(|s| s.copy_to(&mut all));
        if copied.is_err() || dev.write(sector, &all, Durability::Cached).is_err() {
            self.not_sent(nr);
        }
    }

    /// Write `nr` counts as failed.
    pub fn not_sent(&self, nr: u32) {
        self.failed.fetch_or(1 << nr, Ordering::Relaxed);
    }

    /// What was written, and which writes failed.
    pub fn ended(self) -> (T, u32) {
        self.land()
    }
}

impl<T: Landing> Flight<T> {
    /// Has a thread of `queue` call [`Landing::landed`].
    pub fn detach(self, queue: &WorkQueue) {
        // A queue has no limit here, so that does not fail.
        let _ = queue.spawn(move || self.wait());
    }

    /// Calls [`Landing::landed`].
    pub fn wait(self) {
        let (payload, failed) = self.land();
        payload.landed(failed);
    }
}
