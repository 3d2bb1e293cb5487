// SPDX-License-Identifier: GPL-2.0

//! Changing the keys of a node, and packing them for the disk.

use super::{
    build::{
        pack_at,
        Builder, //
    },
    fresh::FreshSet,
    written::WrittenSet,
    NodeKeys,
    Place,
    Spot, //
};
use crate::{
    algo::{
        key_format::MAX_KEY_U64S,
        pack::{
            Head,
            PackedHeader, //
        },
        search_key::SearchKey, //
    },
    env::{
        num::{
            sat_u32,
            usize_of_u32, //
        },
        Vec, //
    },
    error::Result,
    format::{
        bkey::Bkey,
        bpos::Bpos,
        key_type::KeyType, //
    },
};
use zerocopy::IntoBytes as _;

/// The set written since is merged with the large one when it is over this share of it.
const MERGE_SHARE: usize = 16;

impl NodeKeys {
    /// Makes room in memory for inserting or deleting `nr` keys with values of `value_u64s` words
    /// together: these can not fail then. Says whether it takes more memory now.
    pub fn reserve(&mut self, value_u64s: usize, nr: usize) -> Result<bool> {
        let (headers, before) = (nr.saturating_mul(MAX_KEY_U64S), self.fresh.bytes());
        self.fresh.reserve(value_u64s.saturating_add(headers), nr)?;
        Ok(self.fresh.bytes() != before)
    }

    /// Inserts a key in place of the one at its position. Fails only when there is no memory, and
    /// has done nothing then; see [`reserve`](Self::reserve).
    ///
    /// C: `bch2_btree_bset_insert_key()`.
    pub fn insert(&mut self, k: &Bkey, value: &[u64]) -> Result {
        self.insert_near(None, k, value)
    }

    /// As [`insert`](Self::insert). `spot` is where a search in this node has ended before.
    pub fn insert_near(&mut self, spot: Option<&Spot>, k: &Bkey, value: &[u64]) -> Result {
        let key = self.format.search_key(k.p);
        let at = self.find_from(spot, &key);
        if k.key_type == KeyType::DELETED {
            return self.delete_at(at, &key);
        }
        let header = pack_at(&self.format, &key, k, value.len())?;
        self.put(at, &key, &header, value)
    }

    /// Deletes the key at `pos`, if there is one. As [`insert`](Self::insert).
    pub fn delete(&mut self, pos: Bpos) -> Result {
        let key = self.format.search_key(pos);
        self.delete_at(self.find(&key), &key)
    }

    fn delete_at(&mut self, at: Place, key: &SearchKey) -> Result {
        let f = &self.format;
        let is_on_disk = self.base.is_at(usize_of_u32(at.base), f, key)
            || self.later.is_at(usize_of_u32(at.later), f, key);
        if !is_on_disk {
            self.fresh_version = self.fresh_version.wrapping_add(1);
            self.fresh.remove(usize_of_u32(at.fresh), f, key);
            return Ok(());
        }
        // It would come back when the node is read, but for a whiteout.
        let whiteout = Bkey {
            p: key.pos(),
            ..Bkey::default()
        };
        let header = pack_at(f, key, &whiteout, 0)?;
        self.put(at, key, &header, &[])
    }

    /// Takes a key or whiteout in at the place of its position, and hides what was there.
    fn put(&mut self, at: Place, key: &SearchKey, header: &PackedHeader, value: &[u64]) -> Result {
        self.fresh
            .put(usize_of_u32(at.fresh), &self.format, key, header, value)?;
        self.fresh_version = self.fresh_version.wrapping_add(1);
        self.hide(at, key);
        Ok(())
    }

    /// Hides what the written sets have at the place of a position.
    fn hide(&mut self, at: Place, key: &SearchKey) {
        let (base, later) = (usize_of_u32(at.base), usize_of_u32(at.later));
        if self.base.is_at(base, &self.format, key) {
            self.base.hide(base);
        }
        if self.later.is_at(later, &self.format, key) {
            self.later.hide(later);
        }
    }

    /// Leaves keys outside of `min` to `max` out, for a node whose range was cut without writing
    /// it again.
    ///
    /// C: `bch2_btree_node_drop_keys_outside_node()`.
    pub fn hide_outside(&mut self, min: Bpos, max: Bpos) {
        let mut place = self.start();
        while let Some(placed) = self.key_at(place) {
            let (pos, next) = (placed.key.k.p, placed.next);
            if pos < min || pos > max {
                let key = self.format.search_key(pos);
                self.hide(self.find(&key), &key);
            }
            place = next;
        }
    }

    /// Appends what is not on disk yet to `out`, as it is stored: keys and whiteouts in order.
    pub fn pack_fresh(&self, out: &mut Vec<u8>) -> Result {
        self.fresh
            .iter()
            .try_for_each(|stored| out.extend_from_slice(stored.as_bytes()))
    }

    /// Appends all keys to `out`, as they are stored.
    pub fn pack_all(&self, out: &mut Vec<u8>) -> Result {
        self.each_piece(|stored| out.extend_from_slice(stored.as_bytes()))
    }

    /// Calls `f` with all keys as they are stored, one at a time; or all at once, if they are
    /// together, as they are in a new node.
    pub(super) fn each_piece(&self, mut f: impl FnMut(&[u64]) -> Result) -> Result {
        if let (Some(all), 0, 0) = (self.base.whole(), self.later.end(), self.fresh.end()) {
            return f(all);
        }
        self.each_stored(self.start(), |stored| f(stored).map(|()| true))
    }

    /// Calls `f` with the keys from `place` on as they are stored, until it says that it is enough.
    pub(super) fn each_stored(
        &self,
        mut place: Place,
        mut f: impl FnMut(&[u64]) -> Result<bool>,
    ) -> Result {
        while let Some((source, stored)) = self.source(place) {
            let u64s = Head::of(stored.first().copied().unwrap_or(0)).u64s();
            if !f(stored.get(..u64s).unwrap_or(stored))? {
                break;
            }
            place = self.after(source, place);
        }
        Ok(())
    }

    /// Notes that everything is on its way to the disk: what was not written becomes a written set,
    /// merged with others so that there are few. On failure nothing has changed.
    ///
    /// C: `bch2_btree_post_write_cleanup()`.
    pub fn written(&mut self) -> Result {
        let small = self.later.end().saturating_add(self.fresh.used_u64s());
        let all = small.saturating_mul(MERGE_SHARE) > self.base.end();
        let mut place = self.start();
        if !all {
            place.base = sat_u32(self.base.end());
        }
        let mut words = Vec::with_capacity(match all {
            true => self.live_u64s(),
            false => small,
        })?;
        self.each_stored(place, |stored| {
            words.extend_from_slice(stored)?;
            Ok(true)
        })?;
        let set = WrittenSet::build(&self.format, words)?;
        if all {
            let none = WrittenSet::build(&self.format, Vec::new())?;
            (self.base, self.later) = (set, none);
        } else {
            self.later = set;
        }
        self.fresh = FreshSet::default();
        self.written_version = self.written_version.wrapping_add(1);
        self.fresh_version = self.fresh_version.wrapping_add(1);
        Ok(())
    }

    /// The position of the last key of a first part that takes about `share` percent of the words;
    /// both parts have at least one key. `None` with less than two keys.
    pub fn split_pos(&self, share: usize) -> Option<Bpos> {
        let want = self.live_u64s().saturating_mul(share) / 100;
        let (mut place, mut u64s) = (self.start(), 0usize);
        let mut first: &[u64] = &[];
        while let Some((source, stored)) = self.source(place) {
            if u64s >= want && !first.is_empty() {
                break;
            }
            place = self.after(source, place);
            if self.source(place).is_none() {
                break;
            }
            first = stored;
            u64s = u64s.saturating_add(Head::of(*stored.first()?).u64s());
        }
        (!first.is_empty()).then(|| self.format.pos_of(first))
    }

    /// The keys from `start` to `end` for a node of their own that covers just these positions,
    /// packed as suits them best: they do not take more than here.
    ///
    /// C: `bch2_btree_sort_into()`, `bch2_btree_calc_format()`, `bch2_btree_node_format_fits()`.
    pub fn copy_range(&self, start: Bpos, end: Bpos) -> Result<Self> {
        let mut new = Builder::new(start, end);
        let mut words = Vec::with_capacity(self.live_u64s())?;
        let (mut nr, mut values) = (0usize, 0usize);
        let last = self.format.search_key(end);
        self.each_stored(self.search(&start), |stored| {
            let head = Head::of(stored.first().copied().unwrap_or(0));
            if self.format.compare(head, stored, &last).is_gt() {
                return Ok(false);
            }
            let (k, value) = self.split(stored);
            new.count(&k);
            nr = nr.saturating_add(1);
            values = values.saturating_add(value.len());
            words.extend_from_slice(stored)?;
            Ok(true)
        })?;
        new.lay_out();
        new.reserve(nr, values)?;
        self.each_of(&words, |k, value| new.push(k, value))?;
        let new = new.finish()?;
        if new.live_u64s() <= words.len() {
            return Ok(new);
        }
        // All keys longer, so that those few that did not fit do.
        Self::of_words(self.format, words)
    }

    /// Calls `f` with keys that are stored one after the other.
    fn each_of(&self, words: &[u64], mut f: impl FnMut(&Bkey, &[u64]) -> Result) -> Result {
        let mut rest = words;
        while let Some(first) = rest.first() {
            let (stored, others) = rest
                .split_at_checked(Head::of(*first).u64s().max(1))
                .unwrap_or((rest, &[]));
            let (k, value) = self.split(stored);
            f(&k, value)?;
            rest = others;
        }
        Ok(())
    }
}
