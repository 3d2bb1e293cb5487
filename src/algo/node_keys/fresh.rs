// SPDX-License-Identifier: GPL-2.0

//! The keys of a node that are not on disk yet.

use crate::{
    algo::{
        key_format::KeyFormat,
        pack::{
            Head,
            PackedHeader, //
        },
        search_key::SearchKey,
    },
    env::{
        num::{
            sat_u32,
            u64_of,
            usize_of_u32, //
        },
        Vec, //
    },
    error::Result,
    format::key_type::KeyType,
};

/// Words of memory that may be lost to replaced keys before the set is made anew.
const GARBAGE_U64S: usize = 512;

/// Keys that are not on disk yet, and whiteouts for keys that are. Kept in order by an index, so
/// that inserting moves four bytes for each key behind, and no keys.
///
/// # Invariants
///
/// `order` has the places in `words` of well-formed keys, ascending by position, each position
/// only once.
///
/// C: the unwritten `struct bset` of a node, with its `struct rw_aux_tree`.
#[derive(Debug, Default)]
pub(super) struct FreshSet {
    words: Vec<u64>,
    order: Vec<u32>,
    /// Words of keys and whiteouts in `order`.
    used_u64s: usize,
    /// Words of keys that are not whiteouts.
    live_u64s: usize,
}

impl FreshSet {
    /// The end of the set: its places are indices into the order.
    #[inline]
    pub(super) fn end(&self) -> usize {
        self.order.len()
    }

    /// Words of keys and whiteouts.
    #[inline]
    pub(super) fn used_u64s(&self) -> usize {
        self.used_u64s
    }

    /// Words of keys.
    #[inline]
    pub(super) fn live_u64s(&self) -> usize {
        self.live_u64s
    }

    /// The key at `at`, and whatever follows it in memory.
    #[inline]
    pub(super) fn stored(&self, at: usize) -> &[u64] {
        match self.order.get(at) {
            Some(place) => self.words.get(usize_of_u32(*place)..).unwrap_or(&[]),
            None => &[],
        }
    }

    fn head(&self, at: usize) -> Option<Head> {
        self.stored(at).first().map(|w| Head::of(*w))
    }

    /// The first key from `at` on that is no whiteout.
    #[inline]
    pub(super) fn live(&self, mut at: usize) -> usize {
        while self
            .head(at)
            .is_some_and(|h| h.key_type() == KeyType::DELETED)
        {
            at = at.saturating_add(1);
        }
        at
    }

    /// The first live key after the one at `at`.
    #[inline]
    pub(super) fn next(&self, at: usize) -> usize {
        self.live(at.saturating_add(1))
    }

    /// The first key or whiteout at or after the one searched for.
    #[inline]
    pub(super) fn search(&self, format: &KeyFormat, key: &SearchKey) -> usize {
        self.order.partition_point(|place| {
            let stored = self.words.get(usize_of_u32(*place)..).unwrap_or(&[]);
            let first = stored.first().copied().unwrap_or(0);
            format.compare(Head::of(first), stored, key).is_lt()
        })
    }

    /// Where the key with exactly the position searched for is, or would be.
    fn find(&self, format: &KeyFormat, key: &SearchKey) -> (usize, bool) {
        let at = self.search(format, key);
        let stored = self.stored(at);
        let there = !stored.is_empty() && format.pos_of(stored) == key.pos();
        (at, there)
    }

    /// The key or whiteout with exactly the position searched for.
    pub(super) fn get(&self, format: &KeyFormat, key: &SearchKey) -> Option<&[u64]> {
        let (at, there) = self.find(format, key);
        there.then(|| self.stored(at))
    }

    /// Makes room for `nr` keys of `u64s` words together: [`put`](Self::put) can not fail for them.
    pub(super) fn reserve(&mut self, u64s: usize, nr: usize) -> Result {
        self.order.reserve(nr)?;
        let garbage = self.words.len().saturating_sub(self.used_u64s);
        if garbage > self.used_u64s.max(GARBAGE_U64S) {
            return self.pack(u64s);
        }
        self.words.reserve(u64s)
    }

    /// Leaves out what is no longer used, with room for `more` words.
    fn pack(&mut self, more: usize) -> Result {
        let mut words = Vec::with_capacity(self.used_u64s.saturating_add(more))?;
        for place in self.order.iter_mut() {
            let stored = self.words.get(usize_of_u32(*place)..).unwrap_or(&[]);
            let u64s = Head::of(stored.first().copied().unwrap_or(0)).u64s();
            *place = sat_u32(words.len());
            words.extend_from_slice(stored.get(..u64s).unwrap_or(stored))?;
        }
        self.words = words;
        Ok(())
    }

    /// Takes a key in, in place of the one or the whiteout at its position.
    pub(super) fn put(
        &mut self,
        format: &KeyFormat,
        key: &SearchKey,
        header: &PackedHeader,
        value: &[u64],
    ) -> Result {
        let u64s = header.words().len().saturating_add(value.len());
        let (at, there) = self.find(format, key);
        let old = if there { self.head(at) } else { None };
        if old.is_some_and(|h| h.u64s() == u64s) {
            self.overwrite(at, header, value);
        } else {
            let place = sat_u32(self.words.len());
            self.words.extend_from_slice(header.words())?;
            self.words.extend_from_slice(value)?;
            match self.order.get_mut(at).filter(|_| there) {
                Some(slot) => *slot = place,
                None => self.order.insert(at, place)?,
            }
        }
        if let Some(old) = old {
            self.discount(old);
        }
        self.used_u64s = self.used_u64s.saturating_add(u64s);
        let new = header.words().first().map(|w| Head::of(*w).key_type());
        if new != Some(KeyType::DELETED) {
            self.live_u64s = self.live_u64s.saturating_add(u64s);
        }
        Ok(())
    }

    fn overwrite(&mut self, at: usize, header: &PackedHeader, value: &[u64]) {
        let place = self.order.get(at).map_or(0, |p| usize_of_u32(*p));
        let room = self.words.get_mut(place..).unwrap_or(&mut []);
        let new = header.words().iter().chain(value);
        for (to, from) in room.iter_mut().zip(new) {
            *to = *from;
        }
    }

    fn discount(&mut self, old: Head) {
        self.used_u64s = self.used_u64s.saturating_sub(old.u64s());
        if old.key_type() != KeyType::DELETED {
            self.live_u64s = self.live_u64s.saturating_sub(old.u64s());
        }
    }

    /// Takes the key or whiteout at the position searched for out.
    pub(super) fn remove(&mut self, format: &KeyFormat, key: &SearchKey) {
        let (at, there) = self.find(format, key);
        if !there {
            return;
        }
        if let Some(old) = self.head(at) {
            self.discount(old);
        }
        self.order.remove(at);
    }

    /// Keys and whiteouts in order, each as stored.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u64]> {
        (0..self.order.len()).map(|at| {
            let stored = self.stored(at);
            let u64s = Head::of(stored.first().copied().unwrap_or(0)).u64s();
            stored.get(..u64s).unwrap_or(stored)
        })
    }

    /// Bytes of memory the set takes.
    pub(super) fn bytes(&self) -> u64 {
        let words = self.words.len().saturating_mul(8);
        u64_of(words.saturating_add(self.order.len().saturating_mul(4)))
    }
}
