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
    env::{
        num::low_u32,
        Map, //
    },
    error::Result,
    sys::sync::Mutex,
};
use core::sync::atomic::{
    AtomicU64,
    Ordering, //
};

/// Blocks of one element of [`Blocks`].
const WORD: u64 = 64;

/// A set of blocks: bits, of 64 blocks each, where there are any.
#[derive(Default)]
struct Blocks(Map<u64>);

/// Which bits of element `key` are of the blocks from `start` to `end`.
fn mask(key: u64, start: u64, end: u64) -> u64 {
    let first = key.saturating_mul(WORD);
    let skip = start.saturating_sub(first).min(WORD);
    let until = end.saturating_sub(first).min(WORD);
    match until.checked_sub(skip) {
        None | Some(0) => 0,
        Some(nr) => {
            let ones = u64::MAX.wrapping_shr(low_u32(WORD.wrapping_sub(nr)));
            ones.wrapping_shl(low_u32(skip))
        }
    }
}

/// Calls `f` with the elements that the blocks from `start` to `end` are in, and which they are.
fn each_word(start: u64, end: u64, mut f: impl FnMut(u64, u64) -> Result) -> Result {
    let mut from = start;
    while from < end {
        let at = from / WORD;
        f(at, mask(at, from, end))?;
        from = at.saturating_add(1).saturating_mul(WORD);
    }
    Ok(())
}

impl Blocks {
    /// The first element with blocks from `start` to `end`, and which.
    fn first(&self, start: u64, end: u64) -> Option<(u64, u64)> {
        let mut key = start / WORD;
        loop {
            let (at, bits) = self.0.first_from(key)?;
            if at.saturating_mul(WORD) >= end {
                return None;
            }
            let bits = bits & mask(at, start, end);
            if bits != 0 {
                return Some((at, bits));
            }
            key = at.checked_add(1)?;
        }
    }

    /// The only element that a range has a part of, and which.
    fn only_word(start: u64, end: u64) -> Option<(u64, u64)> {
        let at = start / WORD;
        let last = end.checked_sub(1)?;
        (last / WORD == at).then(|| (at, mask(at, start, end)))
    }

    /// How many blocks of a range are there.
    fn count(&self, start: u64, end: u64) -> u64 {
        if let Some((at, bits)) = Self::only_word(start, end) {
            let has = self.0.get(at).map_or(0, |has| has & bits);
            return has.count_ones().into();
        }
        let (mut nr, mut from) = (0u64, start);
        while let Some((at, bits)) = self.first(from, end) {
            nr = nr.saturating_add(bits.count_ones().into());
            from = at.saturating_add(1).saturating_mul(WORD);
        }
        nr
    }

    /// Adds a range; on failure, nothing of it.
    fn add(&mut self, start: u64, end: u64) -> Result {
        // Elements without a block mean nothing.
        each_word(start, end, |at, _| match self.0.get_mut(at) {
            Some(_) => Ok(()),
            None => self.0.insert(at, 0),
        })?;
        each_word(start, end, |at, bits| {
            if let Some(has) = self.0.get_mut(at) {
                *has |= bits;
            }
            Ok(())
        })
    }

    /// Takes a range out; how many blocks of it were there.
    fn remove(&mut self, start: u64, end: u64) -> u64 {
        if let Some((at, bits)) = Self::only_word(start, end) {
            return self.remove_in(at, bits);
        }
        let mut nr = 0u64;
        while let Some((at, bits)) = self.first(start, end) {
            nr = nr.saturating_add(self.remove_in(at, bits));
        }
        nr
    }

    /// Takes blocks of one element out; how many of them were there.
    fn remove_in(&mut self, at: u64, bits: u64) -> u64 {
        let Some(has) = self.0.get_mut(at) else {
            return 0;
        };
        let gone = *has & bits;
        *has &= !bits;
        if *has == 0 {
            self.0.remove(at);
        }
        gone.count_ones().into()
    }
}

struct Inner {
    blocks: Blocks,
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
                blocks: Blocks::default(),
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
            let have = inner.blocks.count(start, end);
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
        let have = inner.blocks.count(start, end);
        let nr = end.saturating_sub(start).saturating_sub(have);
        let reserved = space.reserve_anyway(nr.saturating_mul(per_block));
        inner.add(space, reserved, start, end)
    }

    /// How many of the blocks from `start` to `end` are reserved.
    pub fn count(&self, start: u64, end: u64) -> u64 {
        self.inner.lock().blocks.count(start, end)
    }

    /// Whether a block is reserved: it is, or is about to be, dirty.
    pub fn has(&self, block: u64) -> bool {
        let next = block.saturating_add(1);
        self.inner.lock().blocks.count(block, next) != 0
    }

    /// Takes out what is reserved for the blocks from `start` to `end`: they are being written, or
    /// not going to be. It is to be given back when what was written is in use.
    pub fn take(&self, start: u64, end: u64, per_block: u64) -> Reserved {
        let mut inner = self.inner.lock();
        let nr = inner.blocks.remove(start, end);
        self.changes.fetch_add(1, Ordering::Release);
        inner.held.split(nr.saturating_mul(per_block))
    }

    /// Gives all up.
    pub fn clear(&self, space: &Space) {
        let mut inner = self.inner.lock();
        inner.blocks = Blocks::default();
        let all = inner.held.sectors();
        space.give_back(inner.held.split(all));
    }
}

impl Inner {
    fn add(&mut self, space: &Space, reserved: Reserved, start: u64, end: u64) -> Result {
        match self.blocks.add(start, end) {
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
    fn blocks_are_as_a_set_is() {
        let mut seed = 1u64;
        let mut below = |n: u64| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1);
            (seed >> 33) % n
        };
        for round in 0..50 {
            let (mut blocks, mut set) = (Blocks::default(), [false; 400]);
            let size = [64, 130, 400][round % 3];
            for _ in 0..60 {
                let start = below(size - 1);
                let end = start + 1 + below(size - start - 1);
                let part = &mut set[start as usize..end as usize];
                let there = part.iter().filter(|b| **b).count() as u64;
                assert_eq!(blocks.count(start, end), there);
                if below(2) == 0 {
                    blocks.add(start, end).unwrap();
                    part.fill(true);
                } else {
                    assert_eq!(blocks.remove(start, end), there);
                    part.fill(false);
                }
                let all = set.iter().filter(|b| **b).count() as u64;
                assert_eq!(blocks.count(0, u64::MAX), all);
            }
            blocks.remove(0, u64::MAX);
            assert_eq!(blocks.count(0, u64::MAX), 0);
            assert!(blocks.0.first_from(0).is_none_or(|(_, bits)| *bits == 0));
        }
    }
}
