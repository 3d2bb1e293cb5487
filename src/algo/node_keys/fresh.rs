// SPDX-License-Identifier: GPL-2.0

//! The keys of a node that are not on disk yet.

use super::order::Order;
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
use core::cmp::Ordering;

/// Words of memory that may be lost to replaced keys before the set is made anew.
const GARBAGE_U64S: usize = 512;

/// Keys that are not on disk yet, and whiteouts for keys that are. Kept in order by an index, so
/// that inserting moves no keys.
///
/// # Invariants
///
/// `order` has the places in `words` of well-formed keys, ascending by position, each position
/// only once, with the ranks that their format gives them; those that are no whiteouts are live.
///
/// C: the unwritten `struct bset` of a node, with its `struct rw_aux_tree`.
#[derive(Debug, Default)]
pub(super) struct FreshSet {
    words: Vec<u64>,
    order: Order,
    /// Words of keys and whiteouts in `order`.
    used_u64s: usize,
    /// Words of keys that are not whiteouts.
    live_u64s: usize,
}

impl FreshSet {
    /// The end of the set: its places are those of the order.
    #[inline]
    pub(super) fn end(&self) -> usize {
        self.order.end()
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

    #[inline]
    fn words_at(&self, place: u32) -> &[u64] {
        self.words.get(usize_of_u32(place)..).unwrap_or(&[])
    }

    /// The key at `at`, and whatever follows it in memory.
    #[inline]
    pub(super) fn stored(&self, at: usize) -> &[u64] {
        match self.order.key(at) {
            Some(place) => self.words_at(place),
            None => &[],
        }
    }

    fn head(&self, at: usize) -> Option<Head> {
        self.stored(at).first().map(|w| Head::of(*w))
    }

    /// The first key from `at` on that is no whiteout.
    #[inline]
    pub(super) fn live(&self, at: usize) -> usize {
        self.order.live(at)
    }

    /// The first live key after the one at `at`.
    #[inline]
    pub(super) fn next(&self, at: usize) -> usize {
        self.live(self.order.after(at))
    }

    /// The first key or whiteout at or after the one searched for.
    #[inline]
    pub(super) fn search(&self, format: &KeyFormat, key: &SearchKey) -> usize {
        self.order.search(key.rank(), |place| {
            let stored = self.words_at(place);
            let first = stored.first().copied().unwrap_or(0);
            format.compare(Head::of(first), stored, key)
        })
    }

    /// As [`search`](Self::search), from a place on that is not behind it, and most likely near.
    #[inline]
    pub(super) fn search_from(&self, mut at: usize, format: &KeyFormat, key: &SearchKey) -> usize {
        for _ in 0..super::NEAR {
            match self.order.rank(at) {
                None => return at,
                Some(rank) if rank > key.rank() => return at,
                Some(rank) if rank == key.rank() && self.compare(at, format, key).is_ge() => {
                    return at;
                }
                Some(_) => at = self.order.after(at),
            }
        }
        self.search(format, key)
    }

    /// As [`search_from`](Self::search_from), when keys may have come and gone since there was
    /// that place.
    #[inline]
    pub(super) fn search_near(&self, at: usize, format: &KeyFormat, key: &SearchKey) -> usize {
        match self.order.is_behind_lower(at, key.rank()) {
            true => self.search_from(at, format, key),
            false => self.search(format, key),
        }
    }

    fn compare(&self, at: usize, format: &KeyFormat, key: &SearchKey) -> Ordering {
        let stored = self.stored(at);
        let first = stored.first().copied().unwrap_or(0);
        format.compare(Head::of(first), stored, key)
    }

    /// Whether the key or whiteout at `at` has exactly the position searched for.
    #[inline]
    pub(super) fn is_at(&self, at: usize, format: &KeyFormat, key: &SearchKey) -> bool {
        self.order.rank(at) == Some(key.rank()) && self.compare(at, format, key).is_eq()
    }

    /// The rank of the key at `at`.
    #[inline]
    pub(super) fn rank(&self, at: usize) -> Option<u128> {
        self.order.rank(at)
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
        let old = &self.words;
        self.order.each_mut(|place| {
            let stored = old.get(usize_of_u32(*place)..).unwrap_or(&[]);
            let u64s = Head::of(stored.first().copied().unwrap_or(0)).u64s();
            *place = sat_u32(words.len());
            words.extend_from_slice(stored.get(..u64s).unwrap_or(stored))
        })?;
        self.words = words;
        Ok(())
    }

    /// Takes a key in: at `at`, where a search has found what has its position, or what is the
    /// first behind.
    pub(super) fn put(
        &mut self,
        at: usize,
        format: &KeyFormat,
        key: &SearchKey,
        header: &PackedHeader,
        value: &[u64],
    ) -> Result {
        let u64s = header.words().len().saturating_add(value.len());
        let is_live = header.head().key_type() != KeyType::DELETED;
        let old = match self.is_at(at, format, key) {
            true => self.head(at),
            false => None,
        };
        let same = self
            .order
            .key(at)
            .filter(|_| old.is_some_and(|h| h.u64s() == u64s));
        let place = match same {
            Some(place) => {
                self.overwrite(place, header, value);
                place
            }
            None => {
                let place = sat_u32(self.words.len());
                self.words.extend_from_slice(header.words())?;
                self.words.extend_from_slice(value)?;
                place
            }
        };
        match old {
            Some(old) => {
                self.order.replace(at, place, is_live);
                self.discount(old);
            }
            None => self.order.insert(at, key.rank(), place, is_live)?,
        }
        self.used_u64s = self.used_u64s.saturating_add(u64s);
        if is_live {
            self.live_u64s = self.live_u64s.saturating_add(u64s);
        }
        Ok(())
    }

    fn overwrite(&mut self, place: u32, header: &PackedHeader, value: &[u64]) {
        let room = self.words.get_mut(usize_of_u32(place)..);
        let (first, second) = room
            .and_then(|r| r.split_at_mut_checked(header.words().len()))
            .unwrap_or_default();
        for (to, from) in first.iter_mut().zip(header.words()) {
            *to = *from;
        }
        for (to, from) in second.iter_mut().zip(value) {
            *to = *from;
        }
    }

    fn discount(&mut self, old: Head) {
        self.used_u64s = self.used_u64s.saturating_sub(old.u64s());
        if old.key_type() != KeyType::DELETED {
            self.live_u64s = self.live_u64s.saturating_sub(old.u64s());
        }
    }

    /// Takes the key or whiteout at the position searched for out, if it is at `at`.
    pub(super) fn remove(&mut self, at: usize, format: &KeyFormat, key: &SearchKey) {
        if !self.is_at(at, format, key) {
            return;
        }
        if let Some(old) = self.head(at) {
            self.discount(old);
        }
        self.order.remove(at);
    }

    /// Keys and whiteouts in order, each as stored.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u64]> {
        self.order.iter().map(|place| {
            let stored = self.words_at(place);
            let u64s = Head::of(stored.first().copied().unwrap_or(0)).u64s();
            stored.get(..u64s).unwrap_or(stored)
        })
    }

    /// Bytes of memory the set takes.
    pub(super) fn bytes(&self) -> u64 {
        let words = self.words.memory_bytes();
        u64_of(words.saturating_add(self.order.bytes()))
    }
}
