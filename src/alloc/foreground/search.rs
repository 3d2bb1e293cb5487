// SPDX-License-Identifier: GPL-2.0

//! Which free bucket of a device is taken.

use super::regions::NodeRegions;
use crate::{
    env::{
        num::low_u8,
        units::BucketNr, //
    },
    format::{
        data_type::DataType,
        values::alloc::Alloc, //
    },
};

/// Offsets in `freespace` have the age of the oldest pointer above these bits.
const BUCKET_BITS: u32 = 56;
const BUCKET_MASK: u64 = (1 << BUCKET_BITS) - 1;

/// Why a bucket was not taken, for counting.
///
/// C: `struct bucket_alloc_state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// It is open.
    Open,
    /// What emptied it is not in the journal on disk yet.
    NeedsJournalCommit,
    /// A write without copying is going on there.
    Nocow,
    /// It is marked as bad.
    Nouse,
}

/// What the key of a bucket says about taking it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is free.
    Free,
    /// It can not be taken now.
    Skip(Skip),
    /// It should not be in `freespace`, or not there: why.
    Inconsistent(&'static str),
}

impl Verdict {
    /// About a bucket in this state, which `freespace` has in `group`, when journal entries up to
    /// `flushed` are on stable storage.
    ///
    /// C: the checks in `try_alloc_bucket()`.
    pub fn on(state: &Alloc, group: u8, flushed: u64) -> Self {
        if state.data_type != DataType::FREE {
            return Self::Inconsistent("a bucket in freespace is not free");
        }
        if state.freespace_bits() != u64::from(group).wrapping_shl(BUCKET_BITS) {
            return Self::Inconsistent("a bucket is in the wrong group of freespace");
        }
        match state.is_flushed(flushed) {
            true => Self::Free,
            false => Self::Skip(Skip::NeedsJournalCommit),
        }
    }
}

/// What the search needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The first range of `freespace` that ends behind this offset, for [`Search::range`].
    Range(u64),
    /// Whether this bucket can be taken, for which [`Verdict::on`] its key is to be asked; if it
    /// can, the search ends. The number is the group by age that the index says it is in.
    Try(BucketNr, u8),
    /// Nothing: there is no other.
    End,
}

/// Where buckets are looked for first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Where {
    /// In parts with btree nodes, or outside of them.
    Nodes(bool),
    Anywhere,
}

/// A search for a free bucket of one device: from where the last one ended to the end, then from
/// the start; once with regard to [`NodeRegions`], once without.
///
/// C: `bch2_bucket_alloc_freelist()`, `bch2_bucket_alloc_trans()`.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    regions: NodeRegions,
    first: u64,
    end: u64,
    start: u64,
    at: u64,
    range_end: u64,
    has_range: bool,
    wrapped: bool,
    place: Where,
    /// Buckets seen.
    pub seen: u64,
    /// Buckets not taken, in the order of [`Skip`].
    pub skipped: [u64; 4],
}

impl Search {
    /// A search for a bucket for `data_type`, on a device whose usable buckets are `first..end`.
    /// `cursor` is where the last search of this kind ended, 0 at first.
    pub fn new(
        data_type: DataType,
        regions: NodeRegions,
        (first, end): (u64, u64),
        cursor: u64,
    ) -> Self {
        let start = cursor.max(first);
        Self {
            regions,
            first,
            end,
            start,
            at: start,
            range_end: start,
            has_range: false,
            wrapped: start == first,
            place: Where::Nodes(data_type == DataType::BTREE),
            seen: 0,
            skipped: [0; 4],
        }
    }

    /// Where the next search is to start, once a bucket was taken.
    pub const fn cursor(&self) -> u64 {
        self.at
    }

    /// What the search needs next.
    pub fn step(&mut self) -> Step {
        loop {
            if !self.has_range {
                return match self.restart() {
                    true => Step::Range(self.at),
                    false => Step::End,
                };
            }
            if self.at >= self.range_end {
                self.has_range = false;
                return Step::Range(self.at);
            }
            let (bucket, group) = (self.at & BUCKET_MASK, self.at & !BUCKET_MASK);
            self.seen = self.seen.saturating_add(1);
            match self.place {
                Where::Nodes(wants) if wants != self.regions.has(BucketNr(bucket)) => {
                    if wants && self.regions.is_behind(bucket) {
                        self.finish_pass();
                        continue;
                    }
                    // What is behind all parts is in none, so this one is in one of them.
                    self.at = group | self.regions.next_part(bucket).min(BUCKET_MASK);
                }
                _ => {
                    let group = low_u8(group.wrapping_shr(BUCKET_BITS));
                    return Step::Try(BucketNr(bucket), group);
                }
            }
        }
    }

    /// Whether there is anything left to be searched; if a pass has ended, starts the next.
    fn restart(&mut self) -> bool {
        if self.at != u64::MAX {
            return true;
        }
        if !self.wrapped {
            self.wrapped = true;
            self.at = self.first;
            return true;
        }
        if self.place == Where::Anywhere {
            return false;
        }
        self.place = Where::Anywhere;
        self.at = self.start;
        self.wrapped = self.start == self.first;
        true
    }

    fn finish_pass(&mut self) {
        self.has_range = false;
        self.at = u64::MAX;
    }

    /// Answers [`Step::Range`]: where the range starts and ends; `None` when there is none.
    pub fn range(&mut self, found: Option<(u64, u64)>) {
        match found.filter(|(_, end)| *end > self.at) {
            Some((start, end)) => {
                self.at = self.at.max(start);
                self.range_end = end;
                self.has_range = true;
            }
            None => self.finish_pass(),
        }
    }

    /// Whether a bucket is one of those the device has. If not, its index is wrong.
    pub const fn is_valid(&self, bucket: BucketNr) -> bool {
        bucket.0 >= self.first && bucket.0 < self.end
    }

    /// Answers [`Step::Try`]: the bucket can not be taken.
    pub fn skip(&mut self, why: Skip) {
        let nr = match why {
            Skip::Open => 0,
            Skip::NeedsJournalCommit => 1,
            Skip::Nocow => 2,
            Skip::Nouse => 3,
        };
        if let Some(n) = self.skipped.get_mut(usize::from(nr.min(3u8))) {
            *n = n.saturating_add(1);
        }
        self.at = self.at.saturating_add(1);
    }

    /// Answers [`Step::Try`]: the bucket was taken.
    pub fn taken(&mut self) {
        self.at = self.at.saturating_add(1);
    }

    /// Whether so many buckets wait for the journal that it should be flushed, on a device that has
    /// `free` to take.
    pub fn wants_journal_flush(&self, free: u64) -> bool {
        let [_, waiting, ..] = self.skipped;
        waiting.saturating_mul(2) > free
    }
}
