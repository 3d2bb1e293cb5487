// SPDX-License-Identifier: GPL-2.0

//! The order of keys that are somewhere in memory.

use crate::{
    env::{
        num::{
            sat_u32,
            usize_of_u32, //
        },
        prefetch,
        Vec, //
    },
    error::Result,
};
use core::cmp::Ordering;

/// log2 of the most keys in a run: one for each bit of its map.
const SHIFT: u32 = 5;
const RUN: usize = 1 << SHIFT;
const NONE: u32 = u32::MAX;
/// Ranks in a line of the processor's cache.
const RANKS_IN_LINE: usize = 4;

/// Keys that are neighbours.
#[derive(Clone, Copy, Debug)]
struct Run {
    ranks: [u128; RUN],
    /// What the owner of the order has said of each.
    keys: [u32; RUN],
    /// Which of them are live.
    live: u32,
    len: u32,
}

/// The first key of a run, and where in memory the run is.
#[derive(Clone, Copy, Debug)]
struct First {
    rank: u128,
    run: u32,
}

/// Keys in ascending order, each known by a number and a rank: of keys with different ranks, the
/// one with the lower is lower, and only among others the owner is asked. Inserting one moves at
/// most a few dozens, and a search looks at memory in few places.
///
/// Places are numbers that ascend, with gaps; they change when a key is inserted or removed.
///
/// # Invariants
///
/// `firsts` has each run with keys once, in the order of the keys. The others are in a list from
/// `free`, through the first of their `keys`.
#[derive(Debug)]
pub(super) struct Order {
    runs: Vec<Run>,
    firsts: Vec<First>,
    free: u32,
    nr_live: usize,
}

impl Default for Order {
    fn default() -> Self {
        Self {
            runs: Vec::new(),
            firsts: Vec::new(),
            free: NONE,
            nr_live: 0,
        }
    }
}

impl Run {
    const EMPTY: Self = Self {
        ranks: [0; RUN],
        keys: [0; RUN],
        live: 0,
        len: 0,
    };

    #[inline]
    fn keys(&self) -> &[u32] {
        self.keys
            .get(..usize_of_u32(self.len))
            .unwrap_or(&self.keys)
    }

    fn is_full(&self) -> bool {
        usize_of_u32(self.len) >= RUN
    }

    /// Inserts before the one at `slot`. The run is not full.
    fn insert(&mut self, slot: u32, rank: u128, key: u32, live: bool) {
        let (at, len) = (usize_of_u32(slot), usize_of_u32(self.len));
        let (mut rank, mut key) = (rank, key);
        for r in self.ranks.get_mut(at..=len).unwrap_or(&mut []) {
            core::mem::swap(r, &mut rank);
        }
        for k in self.keys.get_mut(at..=len).unwrap_or(&mut []) {
            core::mem::swap(k, &mut key);
        }
        let below = bit(slot).wrapping_sub(1);
        self.live = (self.live & below) | (self.live & !below) << 1;
        self.set_live(slot, live);
        self.len = self.len.saturating_add(1);
    }

    fn remove(&mut self, slot: u32) {
        let (at, len) = (usize_of_u32(slot), usize_of_u32(self.len));
        let (mut rank, mut key) = (0, 0);
        for r in self
            .ranks
            .get_mut(at..len)
            .unwrap_or(&mut [])
            .iter_mut()
            .rev()
        {
            core::mem::swap(r, &mut rank);
        }
        for k in self
            .keys
            .get_mut(at..len)
            .unwrap_or(&mut [])
            .iter_mut()
            .rev()
        {
            core::mem::swap(k, &mut key);
        }
        let below = bit(slot).wrapping_sub(1);
        self.live = (self.live & below) | (self.live >> 1 & !below);
        self.len = self.len.saturating_sub(1);
    }

    /// Moves the upper half to an empty run.
    fn split(&mut self, upper: &mut Self) {
        let half = self.len >> 1;
        let at = usize_of_u32(half);
        for (to, from) in upper.ranks.iter_mut().zip(self.ranks.iter().skip(at)) {
            *to = *from;
        }
        for (to, from) in upper.keys.iter_mut().zip(self.keys.iter().skip(at)) {
            *to = *from;
        }
        upper.len = self.len.saturating_sub(half);
        upper.live = self.live >> (half & 31);
        self.len = half;
        self.live &= bit(half).wrapping_sub(1);
    }

    fn is_live(&self, slot: u32) -> bool {
        self.live & bit(slot) != 0
    }

    fn set_live(&mut self, slot: u32, live: bool) {
        match live {
            true => self.live |= bit(slot),
            false => self.live &= !bit(slot),
        }
    }
}

const fn bit(slot: u32) -> u32 {
    1 << (slot & 31)
}

const fn place(first: usize, slot: u32) -> usize {
    first << SHIFT | usize_of_u32(slot)
}

/// The index of the run in the order, and the slot in it.
const fn parts(place: usize) -> (usize, u32) {
    (place >> SHIFT, sat_u32(place & (RUN - 1)))
}

impl Order {
    /// The place behind the last key.
    #[inline]
    pub(super) fn end(&self) -> usize {
        self.firsts.len() << SHIFT
    }

    #[inline]
    fn run(&self, first: usize) -> Option<&Run> {
        self.runs.get(usize_of_u32(self.firsts.get(first)?.run))
    }

    fn run_mut(&mut self, first: usize) -> Option<&mut Run> {
        self.runs.get_mut(usize_of_u32(self.firsts.get(first)?.run))
    }

    /// The key at a place.
    #[inline]
    pub(super) fn key(&self, at: usize) -> Option<u32> {
        let (first, slot) = parts(at);
        self.run(first)?.keys().get(usize_of_u32(slot)).copied()
    }

    /// The rank of the key at a place.
    #[inline]
    pub(super) fn rank(&self, at: usize) -> Option<u128> {
        let (first, slot) = parts(at);
        let run = self.run(first).filter(|run| slot < run.len)?;
        run.ranks.get(usize_of_u32(slot)).copied()
    }

    /// Whether `at`, which may be of another time, is a place now, and no key before it has that
    /// rank or a higher one.
    #[inline]
    pub(super) fn is_behind_lower(&self, at: usize, rank: u128) -> bool {
        let (first, slot) = parts(at);
        let before = match slot.checked_sub(1) {
            Some(slot) => match self.run(first).filter(|run| slot.wrapping_add(1) < run.len) {
                Some(run) => run.ranks.get(usize_of_u32(slot)),
                None => return false,
            },
            None if first > self.firsts.len() => return false,
            None => {
                let run = first.checked_sub(1).and_then(|before| self.run(before));
                run.and_then(|r| r.ranks.get(usize_of_u32(r.len.wrapping_sub(1))))
            }
        };
        before.is_none_or(|r| *r < rank)
    }

    /// The place of the first live key from `at` on.
    #[inline]
    pub(super) fn live(&self, at: usize) -> usize {
        if self.nr_live == 0 {
            return self.end();
        }
        let (mut first, mut slot) = parts(at);
        while let Some(run) = self.run(first) {
            let left = run.live >> (slot & 31);
            if left != 0 {
                return place(first, slot.wrapping_add(left.trailing_zeros()));
            }
            (first, slot) = (first.wrapping_add(1), 0);
        }
        self.end()
    }

    /// The place of the first key that is not less than one of `rank`; `compare` says how a key of
    /// the same rank compares with it.
    #[inline]
    pub(super) fn search(&self, rank: u128, mut compare: impl FnMut(u32) -> Ordering) -> usize {
        let after = self.firsts.partition_point(|f| match f.rank.cmp(&rank) {
            Ordering::Equal => {
                let run = self.runs.get(usize_of_u32(f.run));
                run.and_then(|r| r.keys().first())
                    .is_some_and(|key| compare(*key).is_lt())
            }
            order => order.is_lt(),
        });
        let Some(first) = after.checked_sub(1) else {
            return 0;
        };
        let Some(run) = self.run(first) else {
            return self.end();
        };
        for slot in (0..RUN).step_by(RANKS_IN_LINE) {
            prefetch(&run.ranks, slot);
        }
        let keys = run.keys();
        let ranks = run.ranks.get(..keys.len()).unwrap_or(&[]);
        let mut slot = ranks.partition_point(|r| *r < rank);
        // Mostly none, or the one searched for.
        while ranks.get(slot).is_some_and(|r| *r == rank) {
            if keys.get(slot).is_none_or(|key| compare(*key).is_ge()) {
                break;
            }
            slot = slot.wrapping_add(1);
        }
        if slot < keys.len() {
            return place(first, sat_u32(slot));
        }
        place(after, 0)
    }

    /// The place after `at`.
    #[inline]
    pub(super) fn after(&self, at: usize) -> usize {
        let (first, slot) = parts(at);
        let slot = slot.wrapping_add(1);
        match self.run(first) {
            Some(run) if slot < run.len => place(first, slot),
            _ => place(first.wrapping_add(1), 0),
        }
    }

    /// Makes room for `nr` more: [`insert`](Self::insert) can not fail for them.
    pub(super) fn reserve(&mut self, nr: usize) -> Result {
        self.firsts.reserve(nr)?;
        self.runs.reserve(nr)
    }

    /// Inserts a key before the one at `at`.
    pub(super) fn insert(&mut self, at: usize, rank: u128, key: u32, live: bool) -> Result {
        let (mut first, mut slot) = parts(at);
        if slot == 0 {
            // Behind the last of the run before.
            if let Some(before) = first.checked_sub(1) {
                (first, slot) = (before, self.run(before).map_or(0, |r| r.len));
            }
        }
        if self.run(first).is_none_or(|r| r.is_full()) {
            (first, slot) = self.make_room(first, slot, rank)?;
        }
        if let Some(run) = self.run_mut(first) {
            run.insert(slot, rank, key, live);
        }
        if slot == 0 {
            if let Some(f) = self.firsts.get_mut(first) {
                f.rank = rank;
            }
        }
        self.nr_live = self.nr_live.saturating_add(usize::from(live));
        Ok(())
    }

    /// Adds a run, so that there is room before the place of run and slot: where it is then.
    #[inline(never)]
    fn make_room(&mut self, first: usize, slot: u32, rank: u128) -> Result<(usize, u32)> {
        self.reserve(1)?;
        let new = self.new_run()?;
        if self.firsts.is_empty() {
            self.firsts.push(First { rank, run: new })?;
            return Ok((0, 0));
        }
        let next = first.saturating_add(1);
        if usize_of_u32(slot) >= RUN {
            // Keys that come in order fill the runs.
            self.firsts.insert(next, First { rank, run: new })?;
            return Ok((next, 0));
        }
        let mut upper = Run::EMPTY;
        let mut half = 0;
        if let Some(run) = self.run_mut(first) {
            run.split(&mut upper);
            half = run.len;
        }
        let [rank, ..] = upper.ranks;
        if let Some(run) = self.runs.get_mut(usize_of_u32(new)) {
            *run = upper;
        }
        self.firsts.insert(next, First { rank, run: new })?;
        Ok(match slot.checked_sub(half) {
            Some(slot) if slot != 0 => (next, slot),
            _ => (first, slot),
        })
    }

    /// An empty run.
    fn new_run(&mut self) -> Result<u32> {
        let free = self.free;
        if let Some(run) = self.runs.get_mut(usize_of_u32(free)) {
            let [next, ..] = run.keys;
            self.free = next;
            *run = Run::EMPTY;
            return Ok(free);
        }
        let new = sat_u32(self.runs.len());
        self.runs.push(Run::EMPTY)?;
        Ok(new)
    }

    /// Puts another key in the place of the one at `at`, at the same position.
    pub(super) fn replace(&mut self, at: usize, key: u32, live: bool) {
        let (first, slot) = parts(at);
        let Some(run) = self.run_mut(first) else {
            return;
        };
        if let Some(k) = run.keys.get_mut(usize_of_u32(slot)) {
            *k = key;
        }
        let was = run.is_live(slot);
        run.set_live(slot, live);
        let others = self.nr_live.saturating_sub(usize::from(was));
        self.nr_live = others.saturating_add(usize::from(live));
    }

    /// Takes the key at `at` out.
    pub(super) fn remove(&mut self, at: usize) {
        let (first, slot) = parts(at);
        let Some(run) = self.run_mut(first).filter(|r| slot < r.len) else {
            return;
        };
        let was = run.is_live(slot);
        run.remove(slot);
        let (len, [rank, ..]) = (run.len, run.ranks);
        self.nr_live = self.nr_live.saturating_sub(usize::from(was));
        if len == 0 {
            self.free_run(first);
        } else if let Some(f) = self.firsts.get_mut(first).filter(|_| slot == 0) {
            f.rank = rank;
        }
    }

    fn free_run(&mut self, first: usize) {
        let free = self.free;
        if let Some(run) = self.run_mut(first) {
            let [next, ..] = &mut run.keys;
            *next = free;
        }
        if let Some(f) = self.firsts.remove(first) {
            self.free = f.run;
        }
    }

    /// All keys, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let runs = self.firsts.iter();
        runs.filter_map(|f| self.runs.get(usize_of_u32(f.run)))
            .flat_map(|run| run.keys().iter().copied())
    }

    /// Calls `f` with all keys in order, to change their numbers.
    pub(super) fn each_mut(&mut self, mut f: impl FnMut(&mut u32) -> Result) -> Result {
        for first in self.firsts.iter() {
            if let Some(run) = self.runs.get_mut(usize_of_u32(first.run)) {
                let len = usize_of_u32(run.len);
                run.keys.iter_mut().take(len).try_for_each(&mut f)?;
            }
        }
        Ok(())
    }

    /// Bytes of memory it takes.
    pub(super) fn bytes(&self) -> usize {
        let runs = self.runs.memory_bytes();
        runs.saturating_add(self.firsts.memory_bytes())
    }
}

#[cfg(test)]
mod tests;
