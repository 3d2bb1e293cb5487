// SPDX-License-Identifier: GPL-2.0

//! Changing the keys of a node, and packing them for the disk.

use super::{
    build::{
        pack,
        Builder, //
    },
    fresh::FreshSet,
    written::WrittenSet,
    NodeKeys, //
};
use crate::{
    algo::{
        key_format::MAX_KEY_U64S,
        pack::Head,
        search_key::SearchKey, //
    },
    env::{
        num::sat_u32,
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
const MERGE_SHARE: usize = 4;

impl NodeKeys {
    /// Makes room in memory for inserting or deleting `nr` keys with values of `value_u64s` words
    /// together: these can not fail then.
    pub fn reserve(&mut self, value_u64s: usize, nr: usize) -> Result {
        let headers = nr.saturating_mul(MAX_KEY_U64S);
        self.fresh.reserve(value_u64s.saturating_add(headers), nr)
    }

    /// Inserts a key in place of the one at its position. Fails only when there is no memory, and
    /// has done nothing then; see [`reserve`](Self::reserve).
    ///
    /// C: `bch2_btree_bset_insert_key()`.
    pub fn insert(&mut self, k: &Bkey, value: &[u64]) -> Result {
        if k.key_type == KeyType::DELETED {
            return self.delete(k.p);
        }
        self.put(k, value)?;
        let key = self.format.search_key(k.p);
        self.hide(&key);
        Ok(())
    }

    /// Deletes the key at `pos`, if there is one. As [`insert`](Self::insert).
    pub fn delete(&mut self, pos: Bpos) -> Result {
        let key = self.format.search_key(pos);
        if !self.base.has(&self.format, &key) && !self.later.has(&self.format, &key) {
            self.fresh.remove(&self.format, &key);
            return Ok(());
        }
        // It would come back when the node is read, but for a whiteout.
        let whiteout = Bkey {
            p: pos,
            ..Bkey::default()
        };
        self.put(&whiteout, &[])?;
        self.hide(&key);
        Ok(())
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
                self.hide(&key);
            }
            place = next;
        }
    }

    fn hide(&mut self, key: &SearchKey) {
        self.base.hide(&self.format, key);
        self.later.hide(&self.format, key);
    }

    fn put(&mut self, k: &Bkey, value: &[u64]) -> Result {
        let header = pack(&self.format, k, value.len())?;
        let key = self.format.search_key(k.p);
        self.fresh.put(&self.format, &key, &header, value)
    }

    /// Appends what is not on disk yet to `out`, as it is stored: keys and whiteouts in order.
    pub fn pack_fresh(&self, out: &mut Vec<u8>) -> Result {
        self.fresh
            .iter()
            .try_for_each(|stored| out.extend_from_slice(stored.as_bytes()))
    }

    /// Appends all keys to `out`, as they are stored.
    pub fn pack_all(&self, out: &mut Vec<u8>) -> Result {
        let mut place = self.start();
        while let Some((source, stored)) = self.source(place) {
            let u64s = Head::of(stored.first().copied().unwrap_or(0)).u64s();
            out.extend_from_slice(stored.get(..u64s).unwrap_or(stored).as_bytes())?;
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
        while let Some((source, stored)) = self.source(place) {
            let u64s = Head::of(stored.first().copied().unwrap_or(0)).u64s();
            words.extend_from_slice(stored.get(..u64s).unwrap_or(stored))?;
            place = self.after(source, place);
        }
        let set = WrittenSet::build(&self.format, words, self.min, self.max)?;
        if all {
            let none = WrittenSet::build(&self.format, Vec::new(), self.min, self.max)?;
            (self.base, self.later) = (set, none);
        } else {
            self.later = set;
        }
        self.fresh = FreshSet::default();
        Ok(())
    }

    /// The position of the last key of a first part that takes about `share` percent of the words;
    /// both parts have at least one key. `None` with less than two keys.
    pub fn split_pos(&self, share: usize) -> Option<Bpos> {
        let want = self.live_u64s().saturating_mul(share) / 100;
        let (mut place, mut u64s, mut at) = (self.start(), 0usize, None);
        while let Some((source, stored)) = self.source(place) {
            place = self.after(source, place);
            self.source(place)?;
            at = Some(self.format.pos_of(stored));
            u64s = u64s.saturating_add(Head::of(*stored.first()?).u64s());
            if u64s >= want {
                break;
            }
        }
        at
    }

    /// The keys from `start` to `end` for a node of their own that covers just these positions,
    /// packed as suits them best: they do not take more than here.
    ///
    /// C: `bch2_btree_sort_into()`, `bch2_btree_calc_format()`, `bch2_btree_node_format_fits()`.
    pub fn copy_range(&self, start: Bpos, end: Bpos) -> Result<Self> {
        let mut new = Builder::new(start, end);
        let mut u64s = 0usize;
        self.each_in(start, end, |k, value| {
            new.count(k);
            let header = pack(&self.format, k, value.len())?;
            u64s = u64s.saturating_add(header.words().len());
            u64s = u64s.saturating_add(value.len());
            Ok(())
        })?;
        new.lay_out();
        self.each_in(start, end, |k, value| new.push(k, value))?;
        let new = new.finish()?;
        if new.live_u64s() <= u64s {
            return Ok(new);
        }
        // All keys longer, so that those few that did not fit do.
        let mut same = Builder::with_format(start, end, self.format);
        self.each_in(start, end, |k, value| same.push(k, value))?;
        same.finish()
    }
}
