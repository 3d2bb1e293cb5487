// SPDX-License-Identifier: GPL-2.0

//! The journal buckets of one device, written round and round.
//!
//! ```text
//!  discard      dirty_ondisk     dirty            current
//!     |              |             |                 |
//!     v              v             v                 v
//! ...  to discard    | not needed  | needed ........ | free: discarded ...
//!                    | once a flush entry says so    |
//! ```
//!
//! C: `struct journal_device`.

use crate::{
    env::{
        num::{
            low_u32,
            u64_of, //
        },
        units::DevIdx,
        Vec, //
    },
    error::Result,
};

/// What counts as free.
///
/// C: `enum journal_space_from`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Free {
    /// What can be written now.
    Discarded,
    /// What can be written after discarding.
    CleanOnDisk,
    /// What can be written after the next flush, too.
    Clean,
    /// Everything.
    Total,
}

/// Room for entries, in sectors.
///
/// C: `struct journal_space`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Space {
    /// The largest next entry.
    pub(super) next_entry: u32,
    /// Of all entries.
    pub(super) total: u64,
}

/// The journal buckets of one device.
#[derive(Debug)]
pub(super) struct Ring {
    /// The device.
    pub(super) dev: DevIdx,
    /// How many replicas an entry on it counts for.
    pub(super) durability: u8,
    /// Whether it is one of those that the journal should be on.
    pub(super) preferred: bool,
    bucket_sectors: u32,
    /// Where each bucket starts, in sectors.
    starts: Vec<u64>,
    /// The highest sequence number in each.
    seqs: Vec<u64>,
    current: usize,
    /// Sectors of the current one that are free.
    free: u32,
    dirty: usize,
    dirty_ondisk: usize,
    discard: usize,
    /// Sectors written since the start.
    written: u64,
}

impl Ring {
    /// A ring on the buckets that begin at the sectors `starts`, each with `bucket_sectors`.
    /// Nothing in it is needed. Writing goes on at sector `offset` of bucket `current`, or at the
    /// start when that can not be.
    pub(super) fn new(
        dev: DevIdx,
        bucket_sectors: u32,
        starts: Vec<u64>,
        (current, offset): (u32, u32),
    ) -> Result<Self> {
        let current = crate::env::num::usize_of_u32(current);
        let current = if current < starts.len() { current } else { 0 };
        Ok(Self {
            dev,
            durability: 1,
            preferred: true,
            bucket_sectors,
            seqs: Vec::from_elem(0, starts.len())?,
            starts,
            current,
            free: bucket_sectors.saturating_sub(offset),
            dirty: current,
            dirty_ondisk: current,
            discard: current,
            written: 0,
        })
    }

    /// Goes on with an older journal: `used` has a bucket, its newest entry and where that ends,
    /// for all buckets with entries that may be needed.
    ///
    /// C: the end of `bch2_journal_read_device()`.
    pub(super) fn resume(&mut self, used: impl Iterator<Item = (usize, u64, u32)>) {
        let mut newest = 0;
        for (bucket, seq, end) in used {
            let Some(slot) = self.seqs.get_mut(bucket) else {
                continue;
            };
            *slot = seq;
            if seq >= newest {
                newest = seq;
                self.current = bucket;
                self.free = self.bucket_sectors.saturating_sub(end);
            }
        }
        // All others may be needed, as far as is known here.
        let next = self.after(self.current);
        (self.dirty, self.dirty_ondisk, self.discard) = (next, next, next);
    }

    fn nr(&self) -> usize {
        self.starts.len()
    }

    fn after(&self, at: usize) -> usize {
        match at.saturating_add(1) {
            next if next < self.nr() => next,
            _ => 0,
        }
    }

    fn seq(&self, at: usize) -> u64 {
        self.seqs.get(at).copied().unwrap_or(0)
    }

    fn set_seq(&mut self, seq: u64) {
        if let Some(slot) = self.seqs.get_mut(self.current) {
            *slot = seq;
        }
    }

    /// Sectors of a bucket: no entry can have more.
    pub(super) fn bucket_sectors(&self) -> u32 {
        self.bucket_sectors
    }

    /// Buckets that can be used after the current one.
    ///
    /// C: `bch2_journal_dev_buckets_available()`.
    pub(super) fn available(&self, what: Free) -> usize {
        let end = match what {
            Free::Discarded => self.discard,
            Free::CleanOnDisk => self.dirty_ondisk,
            Free::Clean => self.dirty,
            Free::Total => return self.nr(),
        };
        let nr = self.nr();
        // Both are below `nr`.
        let ahead = end
            .wrapping_add(nr)
            .wrapping_sub(self.current.saturating_add(1));
        let available = ahead.checked_rem(nr).unwrap_or(0);
        // The last bucket is for an entry that makes another one available.
        match self.dirty_ondisk == self.dirty {
            true => available.saturating_sub(1),
            false => available,
        }
    }

    /// Room for entries, beside those of `waiting` sectors each that have no place yet.
    ///
    /// C: `journal_dev_space_available()`.
    pub(super) fn space(&self, what: Free, waiting: impl Iterator<Item = u32>) -> Space {
        let bucket = self.bucket_sectors;
        let of_buckets = |n: usize| u64_of(n).saturating_mul(u64::from(bucket));
        if what == Free::Total {
            return Space {
                next_entry: bucket,
                total: of_buckets(self.nr()),
            };
        }
        let (mut buckets, mut sectors) = (self.available(what), self.free);
        for entry in waiting {
            if entry == 0 || entry > bucket {
                continue;
            }
            if entry >= sectors {
                let Some(left) = buckets.checked_sub(1) else {
                    sectors = 0;
                    break;
                };
                (buckets, sectors) = (left, bucket);
            }
            sectors = sectors.saturating_sub(entry);
        }
        if sectors < bucket {
            if let Some(left) = buckets.checked_sub(1) {
                (buckets, sectors) = (left, bucket);
            }
        }
        Space {
            next_entry: sectors,
            total: of_buckets(buckets).saturating_add(sectors.into()),
        }
    }

    /// Notes which entries are needed: in memory those from `last_seq` on, on disk those from
    /// `last_seq_ondisk` on.
    pub(super) fn advance(&mut self, last_seq: u64, last_seq_ondisk: u64) {
        while self.dirty != self.current && self.seq(self.dirty) < last_seq {
            self.dirty = self.after(self.dirty);
        }
        while self.dirty_ondisk != self.dirty && self.seq(self.dirty_ondisk) < last_seq_ondisk {
            self.dirty_ondisk = self.after(self.dirty_ondisk);
        }
    }

    /// Whether buckets are not needed any more, but what is on disk does not say so.
    pub(super) fn wants_flush(&self) -> bool {
        self.dirty_ondisk != self.dirty
    }

    /// The start of the next bucket to discard.
    pub(super) fn to_discard(&self) -> Option<u64> {
        match self.discard != self.dirty_ondisk {
            true => self.starts.get(self.discard).copied(),
            false => None,
        }
    }

    /// The bucket of [`Ring::to_discard`] was discarded.
    pub(super) fn discarded(&mut self) {
        if self.discard != self.dirty_ondisk {
            self.discard = self.after(self.discard);
        }
    }

    /// Whether the current bucket has room for so many sectors.
    pub(super) fn has_room(&self, sectors: u32) -> bool {
        sectors <= self.free
    }

    /// Takes room for entry `seq` in the current bucket; the first sector.
    pub(super) fn place(&mut self, sectors: u32, seq: u64) -> Option<u64> {
        let free = self.free.checked_sub(sectors)?;
        let used = self.bucket_sectors.saturating_sub(self.free);
        let sector = self.starts.get(self.current)?.checked_add(used.into())?;
        self.free = free;
        self.written = self.written.saturating_add(sectors.into());
        self.set_seq(seq);
        Some(sector)
    }

    /// Goes to the next bucket for the entry `seq`, if the current one has no room for it and there
    /// is one.
    pub(super) fn next_bucket(&mut self, sectors: u32, seq: u64) {
        let fits = self.free < sectors && sectors <= self.bucket_sectors;
        if fits && self.available(Free::Discarded) != 0 {
            self.current = self.after(self.current);
            self.free = self.bucket_sectors;
            self.set_seq(seq);
        }
    }

    /// The newest entry that has to go so that half of the ring is free.
    pub(super) fn seq_at_half(&self) -> u64 {
        let half = self.current.saturating_add(self.nr() >> 1);
        self.seq(half.checked_rem(self.nr()).unwrap_or(0))
    }

    /// How much was written, for its size: what to compare rings by.
    pub(super) fn load(&self) -> u64 {
        let total = self.space(Free::Total, core::iter::empty()).total;
        (self.written << 16).checked_div(total).unwrap_or(u64::MAX)
    }

    /// Where writing stopped: the bucket, and the sector in it.
    pub(super) fn position(&self) -> (u32, u32) {
        let offset = self.bucket_sectors.saturating_sub(self.free);
        (low_u32(u64_of(self.current)), offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(nr: u64, sectors: u32, at: (u32, u32)) -> Ring {
        let mut starts = Vec::new();
        for i in 0..nr {
            starts.push(1000 + i * u64::from(sectors)).unwrap();
        }
        Ring::new(DevIdx(0), sectors, starts, at).unwrap()
    }

    fn none() -> core::iter::Empty<u32> {
        core::iter::empty()
    }

    #[test]
    fn a_clean_ring_has_all_but_the_last_bucket() {
        let r = ring(8, 64, (2, 10));
        assert_eq!(r.available(Free::Discarded), 6);
        assert_eq!(r.position(), (2, 10));
        let s = r.space(Free::Discarded, none());
        // What is left of the current bucket is not used by an entry as large as a bucket.
        assert_eq!((s.next_entry, s.total), (64, 6 * 64));
        assert_eq!(r.space(Free::Total, none()).total, 8 * 64);
        let s = r.space(Free::Clean, [64, 0, 99, 10].into_iter());
        assert_eq!((s.next_entry, s.total), (64, 4 * 64));
    }

    #[test]
    fn an_older_journal_is_gone_on_with() {
        let mut r = ring(6, 16, (0, 0));
        r.resume([(1, 5, 16), (2, 9, 12), (0, 3, 16)].into_iter());
        assert_eq!(r.position(), (2, 12));
        assert_eq!(r.available(Free::Clean), 0);
        // Entries from 4 on are needed: 3, 4 and 5 have none, 0 has no newer one than 3.
        r.advance(4, 4);
        assert_eq!(r.available(Free::Clean), 3);
        assert_eq!(r.available(Free::Discarded), 0);
        while r.to_discard().is_some() {
            r.discarded();
        }
        assert_eq!(r.available(Free::Discarded), 3);
        assert_eq!(r.place(4, 20), Some(1000 + 2 * 16 + 12));
        r.next_bucket(16, 21);
        assert_eq!(r.place(16, 21), Some(1000 + 3 * 16));
    }

    #[test]
    fn positions_that_can_not_be() {
        assert_eq!(ring(4, 64, (9, 10)).position(), (0, 10));
        assert_eq!(ring(4, 64, (1, 99)).position(), (1, 64));
        assert_eq!(ring(0, 64, (0, 0)).available(Free::Clean), 0);
        assert_eq!(ring(0, 64, (0, 0)).place(1, 1), None);
        assert_eq!(ring(1, 64, (0, 0)).available(Free::Clean), 0);
    }

    #[test]
    fn it_is_written_round_and_round() {
        let mut r = ring(4, 16, (0, 16));
        let mut last = 1;
        for seq in 1..100u64 {
            let sectors = 1 + (seq % 9) as u32;
            // Nothing older than the last three is needed, and disk knows of it.
            last = seq.saturating_sub(3).max(last);
            r.advance(last, last);
            while r.to_discard().is_some() {
                r.discarded();
            }
            if r.place(sectors, seq).is_none() {
                let (before, _) = r.position();
                r.next_bucket(sectors, seq);
                assert_eq!(r.position(), ((before + 1) % 4, 0), "entry {seq}");
                assert!(r.place(sectors, seq).is_some());
            }
            let (bucket, end) = r.position();
            assert!(end <= 16 && bucket < 4);
        }
    }

    #[test]
    fn what_is_needed_is_not_overwritten() {
        let mut r = ring(4, 16, (0, 0));
        let mut placed = 0;
        for seq in 1..100u64 {
            r.advance(1, 1);
            if r.place(16, seq).is_none() {
                r.next_bucket(16, seq);
                if r.place(16, seq).is_none() {
                    break;
                }
            }
            placed += 1;
        }
        // One is kept back as long as nothing would be won.
        assert_eq!(placed, 3);
        assert_eq!(r.space(Free::Clean, none()), Space::default());
        // Entry 1 is not needed, but only memory knows.
        r.advance(2, 1);
        assert_eq!(r.available(Free::Discarded), 1);
        assert_eq!(r.available(Free::CleanOnDisk), 1);
        assert_eq!(r.available(Free::Clean), 2);
        r.next_bucket(16, 4);
        assert_eq!(r.place(16, 4), Some(1000 + 3 * 16));
        r.advance(2, 2);
        assert_eq!(r.to_discard(), Some(1000));
        r.discarded();
        assert_eq!(r.to_discard(), None);
    }
}
