// SPDX-License-Identifier: GPL-2.0

//! Errors of a device, counted since the mount.

use crate::{
    env::time::monotonic_ns,
    error::{
        Class,
        Error, //
    },
};
use core::sync::atomic::{
    AtomicU64,
    Ordering, //
};

/// How often a device did not do what it was asked, since the mount. Added to
/// [`Member::errors`](crate::format::sb::Member::errors), this is what the device has done since
/// the filesystem was made.
///
/// C: `struct bch_dev::errors`.
#[derive(Debug, Default)]
pub struct IoErrors {
    /// Reads that failed. C: `BCH_MEMBER_ERROR_read`.
    pub read: AtomicU64,
    /// Writes that failed, and flushes. C: `BCH_MEMBER_ERROR_write`.
    pub write: AtomicU64,
    /// Data or metadata that did not match its checksum. C: `BCH_MEMBER_ERROR_checksum`.
    pub checksum: AtomicU64,
    /// When writes began to fail, in nanoseconds; 0 when the last one did not.
    ///
    /// C: `write_errors_start` of `struct bch_dev`.
    failing_since: AtomicU64,
}

impl IoErrors {
    /// Counts `error`, if it is one of a device: others are not its fault.
    ///
    /// C: `bch2_io_error()`.
    pub fn count(&self, error: Error) {
        match error.class() {
            Class::Io => {
                self.read.fetch_add(1, Ordering::Relaxed);
            }
            Class::Checksum => self.bad_checksum(),
            _ => (),
        }
    }

    /// Counts `error` of a write or a flush, if it is one of a device.
    pub fn count_write(&self, error: Error) {
        if error.class() == Class::Io {
            self.write.fetch_add(1, Ordering::Relaxed);
            let (order, now) = (Ordering::Relaxed, monotonic_ns().max(1));
            // Who was first has the earlier time.
            let _ = self.failing_since.compare_exchange(0, now, order, order);
        }
    }

    /// A write was done.
    ///
    /// C: `bch2_account_io_success_fail()`.
    pub fn write_done(&self) {
        if self.failing_since.load(Ordering::Relaxed) != 0 {
            self.failing_since.store(0, Ordering::Relaxed);
        }
    }

    /// For how many nanoseconds before `now` all writes have failed; `None` when the last one did
    /// not.
    pub(super) fn failing_ns(&self, now: u64) -> Option<u64> {
        match self.failing_since.load(Ordering::Relaxed) {
            0 => None,
            since => Some(now.saturating_sub(since)),
        }
    }

    /// Counts a wrong checksum.
    pub fn bad_checksum(&self) {
        self.checksum.fetch_add(1, Ordering::Relaxed);
    }

    /// Failed reads, failed writes and wrong checksums so far, in the order of
    /// [`Member::errors`](crate::format::sb::Member::errors).
    pub fn all(&self) -> [u64; 3] {
        [&self.read, &self.write, &self.checksum].map(|n| n.load(Ordering::Relaxed))
    }

    /// Failed reads and wrong checksums so far.
    pub fn get(&self) -> (u64, u64) {
        (
            self.read.load(Ordering::Relaxed),
            self.checksum.load(Ordering::Relaxed),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_device_did_counts() {
        let errors = IoErrors::default();
        for e in [
            Error::Io,
            Error::DataChecksum,
            Error::NodeChecksum,
            Error::NoMemory,
            Error::NodeMagic,
        ] {
            errors.count(e);
        }
        assert_eq!(errors.get(), (1, 2));
    }
}
