// SPDX-License-Identifier: GPL-2.0

//! How many want each journal entry kept.

use crate::{
    env::{
        num::{
            u64_of,
            usize_of, //
        },
        Vec, //
    },
    error::Result,
};
use core::ops::Range;

/// Counts for the entries from the oldest that is kept to the newest.
///
/// C: `journal.pin`.
#[derive(Debug)]
pub(super) struct Pins {
    /// The oldest entry that is kept.
    front: u64,
    /// The next entry.
    back: u64,
    /// By sequence number, modulo the length: a power of two.
    counts: Vec<u32>,
}

impl Pins {
    /// No entries, `next` being the first to come; room for `size`, a power of two.
    pub(super) fn new(next: u64, size: usize) -> Result<Self> {
        Ok(Self {
            front: next,
            back: next,
            counts: Vec::from_elem(0, size)?,
        })
    }

    /// The entries `kept` of an older journal, each with one who wants it kept, and the numbers up
    /// to `next` that nobody wants. There must be room for these.
    pub(super) fn resume(kept: Range<u64>, next: u64, size: usize) -> Result<Self> {
        let mut this = Self::new(next, size)?;
        this.front = kept.start.min(next);
        for seq in kept {
            if let Some(count) = this.count_mut(seq) {
                *count = 1;
            }
        }
        Ok(this)
    }

    /// The oldest entry that is kept; the next one when there is none.
    pub(super) fn front(&self) -> u64 {
        self.front
    }

    /// How many more entries there is room for.
    pub(super) fn free(&self) -> u64 {
        self.size()
            .saturating_sub(self.back.saturating_sub(self.front))
    }

    /// How many entries there is room for.
    pub(super) fn size(&self) -> u64 {
        u64_of(self.counts.len())
    }

    fn count_mut(&mut self, seq: u64) -> Option<&mut u32> {
        let there = (self.front..self.back).contains(&seq);
        let at = usize_of(seq & self.size().wrapping_sub(1));
        self.counts.get_mut(at).filter(|_| there)
    }

    /// Adds the next entry, with one who wants it kept. `None` when there is no room.
    pub(super) fn push(&mut self) -> Option<u64> {
        if self.free() == 0 {
            return None;
        }
        let seq = self.back;
        self.back = seq.checked_add(1)?;
        *self.count_mut(seq)? = 1;
        Some(seq)
    }

    /// One more wants `seq` kept. `false` when it is not kept any more.
    pub(super) fn get(&mut self, seq: u64) -> bool {
        match self.count_mut(seq) {
            Some(count) => {
                *count = count.saturating_add(1);
                true
            }
            None => false,
        }
    }

    /// One fewer wants `seq` kept. `false` when nobody did.
    pub(super) fn put(&mut self, seq: u64) -> bool {
        match self.count_mut(seq) {
            Some(count) if *count != 0 => {
                *count = count.wrapping_sub(1);
                true
            }
            _ => false,
        }
    }

    /// Lets go of the oldest entries up to `written` that nobody wants. Says whether there were
    /// any.
    ///
    /// C: `bch2_journal_reclaim_fast()`.
    pub(super) fn advance(&mut self, written: u64) -> bool {
        let before = self.front;
        while self.front <= written && self.count_mut(self.front).is_some_and(|c| *c == 0) {
            self.front = self.front.wrapping_add(1);
        }
        self.front != before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_an_older_journal_are_kept() {
        let mut p = Pins::resume(5..8, 12, 16).unwrap();
        assert_eq!((p.front(), p.free()), (5, 9));
        assert!(p.get(7) && p.put(6) && p.put(7));
        assert!(!p.advance(11));
        assert!(p.put(5) && p.advance(11));
        assert_eq!(p.front(), 7);
        assert!(p.put(7) && p.advance(11));
        assert_eq!((p.front(), p.push()), (12, Some(12)));
    }

    #[test]
    fn only_the_oldest_go_and_only_when_written() {
        let mut p = Pins::new(100, 4).unwrap();
        assert_eq!((p.front(), p.free()), (100, 4));
        assert!(!p.get(100) && !p.put(100) && !p.advance(u64::MAX));
        for seq in 100..104 {
            assert_eq!(p.push(), Some(seq));
        }
        assert_eq!(p.push(), None);
        assert!(p.get(101) && p.put(100) && p.put(101) && p.put(102));
        assert!(!p.advance(99));
        assert!(p.advance(103));
        assert_eq!((p.front(), p.free()), (101, 1));
        assert!(!p.get(100));
        assert_eq!(p.push(), Some(104));
        assert!(p.put(101) && !p.put(101));
        assert!(p.advance(101));
        assert_eq!(p.front(), 102);
        assert!(p.advance(104));
        assert_eq!(p.front(), 103);
        assert!(p.put(103) && p.put(104) && p.advance(104));
        assert_eq!((p.front(), p.free()), (105, 4));
    }
}
