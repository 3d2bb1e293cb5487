// SPDX-License-Identifier: GPL-2.0

//! How many messages are printed about damage that was met in files and directories.

use crate::env::time;
use core::sync::atomic::{
    AtomicU64,
    Ordering, //
};

/// Messages let through in each [`PERIOD_NS`].
const BURST: u64 = 16;
/// The time after which as many messages are let through again, in ns.
const PERIOD_NS: u64 = 5_000_000_000;

/// Lets some messages of one filesystem through, so that a bad device does not fill the log.
/// Another filesystem's messages are not kept back by it.
#[derive(Debug, Default)]
pub struct MessageLimit {
    /// When the current period began, in ns; 0: there was none.
    since: AtomicU64,
    /// Messages asked for in the current period.
    asked: AtomicU64,
}

/// Whether a message may be printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// It may.
    pub print: bool,
    /// So many were kept back in the period that has just ended.
    pub kept_back: u64,
}

impl MessageLimit {
    /// Asks for one more message. Races only make the limit inexact.
    pub fn ask(&self) -> Verdict {
        self.ask_at(time::monotonic_ns())
    }

    fn ask_at(&self, now: u64) -> Verdict {
        let since = self.since.load(Ordering::Relaxed);
        let mut kept_back = 0;
        if since == 0 || now.wrapping_sub(since) > PERIOD_NS {
            self.since.store(now.max(1), Ordering::Relaxed);
            kept_back = self.asked.swap(0, Ordering::Relaxed).saturating_sub(BURST);
        }
        Verdict {
            print: self.asked.fetch_add(1, Ordering::Relaxed) < BURST,
            kept_back,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_in_each_period() {
        let limit = MessageLimit::default();
        let printed = |now, nr: u64| (0..nr).filter(|_| limit.ask_at(now).print).count();
        assert_eq!(printed(1000, 20), 16);
        assert_eq!(printed(1000 + PERIOD_NS, 5), 0);
        let verdict = limit.ask_at(1001 + PERIOD_NS);
        assert_eq!((verdict.print, verdict.kept_back), (true, 9));
        assert_eq!(printed(1002 + PERIOD_NS, 100), 15);
    }
}
