// SPDX-License-Identifier: GPL-2.0

//! Blocks of a file that are in the page cache, have to be written, and have space reserved for
//! that.
//!
//! Space is reserved when a block becomes dirty, so that whoever writes learns that there is none,
//! and not whoever closes the file. Where it will be is decided when it is written.

use crate::{
    alloc::{
        space::Space,
        Reserved, //
    },
    env::Vec,
    error::Result,
    sys::sync::Mutex,
};
use core::sync::atomic::{
    AtomicU64,
    Ordering, //
};

/// Ranges of blocks, in order; none touches the next.
#[derive(Debug, Default)]
struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    /// The first range that ends behind `at`.
    fn index(&self, at: u64) -> usize {
        self.0.partition_point(|r| r.1 <= at)
    }

    /// How many blocks of a range are there.
    fn count(&self, start: u64, end: u64) -> u64 {
        let behind = self.0.iter().skip(self.index(start));
        let inside = behind.take_while(|r| r.0 < end);
        inside.fold(0, |nr: u64, r| {
            nr.saturating_add(r.1.min(end).saturating_sub(r.0.max(start)))
        })
    }

    /// Adds a range.
    fn add(&mut self, mut start: u64, mut end: u64) -> Result {
        // One that ends where it starts becomes part of it.
        let at = self.0.partition_point(|r| r.1 < start);
        let mut nr = 0usize;
        while let Some(r) = self.0.get(at.saturating_add(nr)).filter(|r| r.0 <= end) {
            (start, end) = (start.min(r.0), end.max(r.1));
            nr = nr.saturating_add(1);
        }
        if nr == 0 {
            return self.0.insert(at, (start, end));
        }
        for _ in 1..nr {
            self.0.remove(at);
        }
        if let Some(r) = self.0.get_mut(at) {
            *r = (start, end);
        }
        Ok(())
    }

    /// Takes a range out; how many blocks of it were there. Without memory for two ranges in the
    /// place of one, the one behind goes as well.
    fn remove(&mut self, start: u64, end: u64) -> u64 {
        let at = self.index(start);
        let mut nr = 0u64;
        while let Some(r) = self.0.get_mut(at).filter(|r| r.0 < end) {
            let (first, last) = *r;
            if first < start {
                *r = (first, start);
                nr = nr.saturating_add(last.min(end).saturating_sub(start));
                let behind = at.saturating_add(1);
                if last > end && self.0.insert(behind, (end, last)).is_err() {
                    nr = nr.saturating_add(last.saturating_sub(end));
                }
                nr = nr.saturating_add(self.remove_behind(behind, end));
                return nr;
            }
            if last > end {
                *r = (end, last);
                return nr.saturating_add(end.saturating_sub(first));
            }
            nr = nr.saturating_add(last.saturating_sub(first));
            self.0.remove(at);
        }
        nr
    }

    /// Takes out what is before `end` from the range at index `at` on.
    fn remove_behind(&mut self, at: usize, end: u64) -> u64 {
        let mut nr = 0u64;
        while let Some(r) = self.0.get_mut(at).filter(|r| r.0 < end) {
            let (first, last) = *r;
            if last > end {
                *r = (end, last);
                return nr.saturating_add(end.saturating_sub(first));
            }
            nr = nr.saturating_add(last.saturating_sub(first));
            self.0.remove(at);
        }
        nr
    }
}

#[derive(Debug)]
struct Inner {
    ranges: Ranges,
    held: Reserved,
}

/// The blocks of a file that have space reserved.
///
/// C: `struct bch_folio_sector`, where this is known of each sector in the page cache.
pub struct Delalloc {
    inner: Mutex<Inner>,
    /// Changes when a reservation is used or given up.
    changes: AtomicU64,
}

impl Delalloc {
    /// None.
    pub fn try_new() -> Result<Self> {
        Ok(Self {
            inner: Mutex::try_new(Inner {
                ranges: Ranges::default(),
                held: Reserved::nothing(),
            })?,
            changes: AtomicU64::new(0),
        })
    }

    /// A number that is another one when a block that was reserved may not be any more.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Reserves space for the blocks from `start` to `end` that have none, `per_block` sectors for
    /// each, or for as many as there is space for; where those end.
    /// [`Error::DiskReservation`](crate::error::Error::DiskReservation) when there is none for the
    /// first one.
    ///
    /// C: `bch2_folio_reservation_get()`.
    pub fn reserve(&self, space: &Space, start: u64, end: u64, per_block: u64) -> Result<u64> {
        let mut inner = self.inner.lock();
        let mut end = end.max(start.saturating_add(1));
        loop {
            let have = inner.ranges.count(start, end);
            let nr = end.saturating_sub(start).saturating_sub(have);
            if nr == 0 {
                return Ok(end);
            }
            match space.reserve(nr.saturating_mul(per_block)) {
                Ok(reserved) => {
                    inner.add(space, reserved, start, end)?;
                    return Ok(end);
                }
                Err(e) if end.saturating_sub(start) == 1 => return Err(e),
                Err(_) => end = start.saturating_add(end.saturating_sub(start) / 2),
            }
        }
    }

    /// The same where that must not fail for lack of space.
    pub fn reserve_anyway(&self, space: &Space, start: u64, end: u64, per_block: u64) -> Result {
        let mut inner = self.inner.lock();
        let have = inner.ranges.count(start, end);
        let nr = end.saturating_sub(start).saturating_sub(have);
        let reserved = space.reserve_anyway(nr.saturating_mul(per_block));
        inner.add(space, reserved, start, end)
    }

    /// Whether a block is reserved: it is, or is about to be, dirty.
    pub fn has(&self, block: u64) -> bool {
        let next = block.saturating_add(1);
        self.inner.lock().ranges.count(block, next) != 0
    }

    /// Takes out what is reserved for the blocks from `start` to `end`: they are being written, or
    /// not going to be. It is to be given back when what was written is in use.
    pub fn take(&self, start: u64, end: u64, per_block: u64) -> Reserved {
        let mut inner = self.inner.lock();
        let nr = inner.ranges.remove(start, end);
        self.changes.fetch_add(1, Ordering::Release);
        inner.held.split(nr.saturating_mul(per_block))
    }

    /// Gives all up.
    pub fn clear(&self, space: &Space) {
        let mut inner = self.inner.lock();
        inner.ranges = Ranges::default();
        let all = inner.held.sectors();
        space.give_back(inner.held.split(all));
    }
}

impl Inner {
    fn add(&mut self, space: &Space, reserved: Reserved, start: u64, end: u64) -> Result {
        match self.ranges.add(start, end) {
            Ok(()) => {
                self.held.add(reserved);
                Ok(())
            }
            Err(e) => {
                space.give_back(reserved);
                Err(e)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_as_a_set_of_blocks_is() {
        let mut seed = 1u64;
        let mut below = |n: u64| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1);
            (seed >> 33) % n
        };
        for _ in 0..50 {
            let (mut ranges, mut set) = (Ranges::default(), [false; 64]);
            for _ in 0..60 {
                let start = below(60);
                let end = start + 1 + below(64 - start - 1);
                let part = &mut set[start as usize..end as usize];
                let there = part.iter().filter(|b| **b).count() as u64;
                assert_eq!(ranges.count(start, end), there);
                if below(2) == 0 {
                    ranges.add(start, end).unwrap();
                    part.fill(true);
                } else {
                    assert_eq!(ranges.remove(start, end), there);
                    part.fill(false);
                }
                for pair in ranges.0.windows(2) {
                    assert!(pair[0].1 < pair[1].0, "{ranges:?}");
                }
                assert_eq!(
                    ranges.count(0, 64),
                    set.iter().filter(|b| **b).count() as u64
                );
            }
        }
    }
}
