// SPDX-License-Identifier: GPL-2.0

//! How long things take, since the mount.

use crate::env::{
    num::div_or_zero,
    time::monotonic_ns, //
};
use core::{
    fmt,
    sync::atomic::{
        AtomicU64,
        Ordering, //
    },
};

/// How long one kind of thing took.
///
/// C: `struct bch2_time_stats`.
#[derive(Debug)]
pub struct TimeStat {
    nr: AtomicU64,
    total_ns: AtomicU64,
    min_ns: AtomicU64,
    max_ns: AtomicU64,
}

impl TimeStat {
    const fn new() -> Self {
        Self {
            nr: AtomicU64::new(0),
            total_ns: AtomicU64::new(0),
            min_ns: AtomicU64::new(u64::MAX),
            max_ns: AtomicU64::new(0),
        }
    }

    /// Something begins, which ends when the result is dropped.
    pub fn begin(&self) -> Timed<'_> {
        Timed {
            of: self,
            since: monotonic_ns(),
        }
    }

    /// Something has ended that began at `since`, by the monotonic clock.
    pub fn end(&self, since: u64) {
        let ns = monotonic_ns().saturating_sub(since);
        self.nr.fetch_add(1, Ordering::Relaxed);
        self.total_ns.fetch_add(ns, Ordering::Relaxed);
        self.min_ns.fetch_min(ns, Ordering::Relaxed);
        self.max_ns.fetch_max(ns, Ordering::Relaxed);
    }
}

/// Something that takes time.
pub struct Timed<'a> {
    of: &'a TimeStat,
    since: u64,
}

impl Timed<'_> {
    /// When it began, by the monotonic clock.
    pub const fn since(&self) -> u64 {
        self.since
    }
}

impl Drop for Timed<'_> {
    fn drop(&mut self) {
        self.of.end(self.since);
    }
}

impl fmt::Display for TimeStat {
    /// C: the first part of `bch2_time_stats_to_text()`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let get = |n: &AtomicU64| n.load(Ordering::Relaxed);
        let (nr, total) = (get(&self.nr), get(&self.total_ns));
        writeln!(f, "count:{nr:>20}")?;
        if nr == 0 {
            return Ok(());
        }
        writeln!(f, "duration of events")?;
        for (what, ns) in [
            ("min:", get(&self.min_ns)),
            ("max:", get(&self.max_ns)),
            ("total:", total),
            ("mean:", div_or_zero(total, nr)),
        ] {
            let (n, unit) = in_units(ns);
            writeln!(f, "  {what:<8}{n:>12} {unit}")?;
        }
        Ok(())
    }
}

/// A time in the largest unit of which there are ten. C: `bch2_pr_time_units()`.
fn in_units(ns: u64) -> (u64, &'static str) {
    let units = [(1_000_000_000, "s"), (1_000_000, "ms"), (1000, "us")];
    let fits = units.iter().find(|(unit, _)| div_or_zero(ns, *unit) >= 10);
    let (unit, name) = fits.unwrap_or(&(1, "ns"));
    (div_or_zero(ns, *unit), name)
}

/// Defines [`TimeStats`].
macro_rules! times {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// All that is measured, by the names of C.
        ///
        /// C: `BCH_TIME_STATS()`.
        #[derive(Debug)]
        pub struct TimeStats {
            $($(#[$doc])* pub $name: TimeStat,)*
        }

        impl TimeStats {
            /// Nothing was measured.
            pub const fn new() -> Self {
                Self { $($name: TimeStat::new(),)* }
            }

            /// Each with its name.
            pub fn all(&self) -> impl Iterator<Item = (&'static str, &TimeStat)> {
                [$((stringify!($name), &self.$name),)*].into_iter()
            }
        }
    };
}

times! {
    /// Replacing a btree node by several.
    btree_node_split,
    /// Replacing a btree node by one.
    btree_node_compact,
    /// Replacing two btree nodes by one.
    btree_node_merge,
    /// Merging what was added to a btree node in memory with what is on disk.
    btree_node_sort,
    /// Reading a btree node.
    btree_node_read,
    /// Making a btree node of what was read.
    btree_node_read_done,
    /// Writing a btree node, all its copies.
    btree_node_write,
    /// Replacing btree nodes, with the pointers to them.
    btree_interior_update_foreground,
    /// The same, with the wait for places and for room in the journal.
    btree_interior_update_total,
    /// Bringing keys of the write buffer to their leaves.
    btree_write_buffer_flush,
    /// Finding out which generations of buckets are still pointed to.
    btree_gc,
    /// Writing data of a file, with its keys.
    data_write,
    /// Reading data of a file, from the request to the end.
    data_read,
    /// Writing a journal entry, and making all before it safe.
    journal_flush_write,
    /// Writing a journal entry that need not be safe.
    journal_noflush_write,
    /// Waiting until a journal entry is safe.
    journal_flush_seq,
    /// Writing btree nodes, so that journal entries are not needed any more.
    journal_pin_flush_btree,
    /// Bringing keys of the key cache to their leaves, for that.
    journal_pin_flush_key_cache,
    /// Waiting for room in the journal.
    blocked_journal_low_on_space,
    /// Waiting for a journal entry to be written, as too many are.
    blocked_journal_max_in_flight,
    /// Bringing keys of the key cache to their leaves, as there are too many.
    blocked_key_cache_flush,
    /// Waiting for a free bucket, or making one free.
    blocked_allocate,
    /// Waiting until fewer buckets are being written to.
    blocked_allocate_open_bucket,
}

impl Default for TimeStats {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_add_up() {
        let stats = TimeStats::new();
        assert_eq!(stats.data_read.to_string(), "count:                   0\n");
        drop(stats.data_read.begin());
        let long = stats.data_read.begin();
        std::thread::sleep(std::time::Duration::from_millis(25));
        drop(long);
        let text = stats.data_read.to_string();
        assert!(text.starts_with("count:                   2\n"), "{text}");
        let max = text.lines().find(|l| l.starts_with("  max:")).unwrap();
        let words: std::vec::Vec<_> = max.split_whitespace().collect();
        let ms: u64 = words[1].parse().unwrap();
        assert!(ms >= 25 && words[2] == "ms", "{text}");
        assert_eq!([0, 9999].map(in_units), [(0, "ns"), (9999, "ns")]);
        assert_eq!([10_000, 1 << 40].map(in_units), [(10, "us"), (1099, "s")]);
    }
}
