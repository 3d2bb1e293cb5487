// SPDX-License-Identifier: GPL-2.0

//! Sequence numbers that are void.
//!
//! After a crash, sets of keys in btree nodes can refer to journal entries that never reached the
//! disk. Their sequence numbers are skipped and listed, so that neither the sets of keys nor the
//! gap in the journal are mistaken for anything else.

use crate::{
    env::{
        sort::sort_by,
        Vec, //
    },
    error::Result, //
};

/// A set of ranges of journal sequence numbers, sorted, each from its start to before its end.
///
/// C: `struct journal_seq_blacklist_table`.
#[derive(Debug, Default)]
pub struct Blacklist {
    ranges: Vec<(u64, u64)>,
}

impl Blacklist {
    /// An empty set.
    pub const fn new() -> Self {
        Self { ranges: Vec::new() }
    }

    /// The union of `ranges`, each from its start to before its end.
    pub fn from_ranges(ranges: impl Iterator<Item = (u64, u64)>) -> Result<Self> {
        let mut all = Vec::new();
        for r in ranges {
            all.push(r)?;
        }
        let mut list = Self { ranges: all };
        list.normalise();
        Ok(list)
    }

    /// Adds the sequence numbers from `start` to before `end`.
    pub fn add(&mut self, start: u64, end: u64) -> Result {
        self.ranges.push((start, end))?;
        self.normalise();
        Ok(())
    }

    /// Ends the last range, which has no end, before `end`: from there on, numbers are used again.
    pub fn end_at(&mut self, end: u64) {
        if let Some(last) = self.ranges.last_mut().filter(|r| r.1 == u64::MAX) {
            last.1 = end.max(last.0);
        }
        self.normalise();
    }

    /// Sorts the ranges and joins those that touch.
    fn normalise(&mut self) {
        sort_by(&mut self.ranges, |a, b| a.cmp(b));
        let mut kept = 0usize;
        for i in 0..self.ranges.len() {
            let Some(&(start, end)) = self.ranges.get(i) else {
                break;
            };
            if start >= end {
                continue;
            }
            let last = kept.checked_sub(1).and_then(|l| self.ranges.get_mut(l));
            match last {
                Some(last) if start <= last.1 => last.1 = last.1.max(end),
                _ => {
                    if let Some(slot) = self.ranges.get_mut(kept) {
                        *slot = (start, end);
                        kept = kept.saturating_add(1);
                    }
                }
            }
        }
        self.ranges.truncate(kept);
    }

    /// The range that contains `seq`, if it is void.
    fn range_of(&self, seq: u64) -> Option<(u64, u64)> {
        let after = self.ranges.partition_point(|r| r.0 <= seq);
        let r = self.ranges.get(after.checked_sub(1)?)?;
        (seq < r.1).then_some(*r)
    }

    /// Whether `seq` is void. C: `bch2_journal_seq_is_blacklisted()`.
    #[inline]
    pub fn contains(&self, seq: u64) -> bool {
        !self.ranges.is_empty() && self.range_of(seq).is_some()
    }

    /// The first run of sequence numbers from `start` to before `end` that are not void, as start
    /// and end. C: `bch2_journal_entry_missing_range()`.
    pub fn first_valid_run(&self, start: u64, end: u64) -> Option<(u64, u64)> {
        let start = self.range_of(start).map_or(start, |r| r.1);
        if start >= end {
            return None;
        }
        let next = self.ranges.partition_point(|r| r.0 <= start);
        let stop = self.ranges.get(next).map_or(end, |r| r.0.min(end));
        Some((start, stop))
    }

    /// The ranges, sorted.
    pub fn ranges(&self) -> &[(u64, u64)] {
        &self.ranges
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_joined_and_searched() {
        let b = Blacklist::from_ranges([(20, 30), (5, 8), (7, 10), (10, 12), (3, 3)].into_iter())
            .unwrap();
        assert_eq!(b.ranges(), [(5, 12), (20, 30)]);
        let hit: std::vec::Vec<u64> = (0..40).filter(|s| b.contains(*s)).collect();
        assert_eq!(hit, (5..12).chain(20..30).collect::<std::vec::Vec<_>>());
    }

    #[test]
    fn the_end_is_found_later() {
        let open = |end| {
            let ranges = [(5, 8), (20, u64::MAX)];
            let mut b = Blacklist::from_ranges(ranges.into_iter()).unwrap();
            b.end_at(end);
            b.end_at(end + 100);
            b
        };
        assert_eq!(open(30).ranges(), [(5, 8), (20, 30)]);
        assert_eq!(open(20).ranges(), [(5, 8)]);
        assert_eq!(open(3).ranges(), [(5, 8)]);
    }

    #[test]
    fn runs_between_ranges() {
        let b = Blacklist::from_ranges([(5, 12), (20, 30)].into_iter()).unwrap();
        assert_eq!(b.first_valid_run(6, 25), Some((12, 20)));
        assert_eq!(b.first_valid_run(20, 30), None);
        assert_eq!(b.first_valid_run(20, 31), Some((30, 31)));
        assert_eq!(b.first_valid_run(1, 3), Some((1, 3)));
        assert_eq!(Blacklist::new().first_valid_run(4, 4), None);
    }
}
