// SPDX-License-Identifier: GPL-2.0

//! The keys of a btree node in memory.
//!
//! | file         | holds                                                          |
//! |--------------|----------------------------------------------------------------|
//! | `build.rs`   | [`Builder`]: the keys of a new node                             |
//! | `edit.rs`    | inserting, deleting, packing for the disk                       |
//! | `written.rs` | a set of keys that are on disk, with its search tree             |
//! | `fresh.rs`   | the set of keys that are not on disk yet                         |
//! | `order.rs`   | the order of these                                               |
//!
//! A key that is overwritten or deleted is marked deleted where it is: at any position, at most
//! one set has a key that is not. So reading merges sets without asking which is newer.

mod build;
mod edit;
mod fresh;
mod order;
mod written;

pub use self::build::{
    pack,
    Builder, //
};

use self::{
    fresh::FreshSet,
    written::WrittenSet, //
};
use super::{
    key_format::{
        KeyFormat,
        MAX_KEY_U64S, //
    },
    merge::merge_sets,
    pack::Head,
    search_key::SearchKey, //
};
use crate::{
    env::{
        num::{
            sat_u32,
            usize_of_u32, //
        },
        Vec, //
    },
    error::Result,
    format::{
        bkey::{
            Bkey,
            Key, //
        },
        bpos::Bpos,
        key_type::KeyType, //
    },
};
use core::cmp::Ordering;
use zerocopy::IntoBytes as _;

/// Steps from a place before a search begins anew.
const NEAR: usize = 4;

/// All keys of a node.
///
/// C: the keys of a `struct btree`.
#[derive(Debug)]
pub struct NodeKeys {
    format: KeyFormat,
    /// What was merged when the node was read or last compacted.
    base: WrittenSet,
    /// What was written since.
    later: WrittenSet,
    /// What was not written yet.
    fresh: FreshSet,
    /// Change when places in the written sets do, and in the other one.
    written_version: u32,
    fresh_version: u32,
}

/// A place among the keys of a node: that of a key, or the end. Good until the node changes.
///
/// C: `struct btree_node_iter`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    base: u32,
    later: u32,
    fresh: u32,
}

/// Where a position is among the keys of one node, deleted ones included: what a search there has
/// found, for the next one. When the node has changed, it is of no use, but does no harm.
#[derive(Clone, Copy, Debug)]
pub struct Spot {
    pos: Bpos,
    place: Place,
    written_version: u32,
    fresh_version: u32,
}

/// A key in a node, and where the next one is.
#[derive(Clone, Copy, Debug)]
pub struct Placed<'a> {
    /// The key.
    pub key: Key<'a>,
    /// Place of the key after this one, or the end.
    pub next: Place,
}

/// The set that has the first key from a place on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Base,
    Later,
    Fresh,
}

impl Spot {
    /// The position.
    pub fn pos(&self) -> Bpos {
        self.pos
    }
}

impl NodeKeys {
    /// Merges the sets of a node, oldest first, that [`check_set`](super::raw_set::check_set) has
    /// accepted.
    pub fn build(format: KeyFormat, sets: &[&[u8]]) -> Result<Self> {
        Self::of_words(format, merge_sets(&format, sets)?)
    }

    fn of_words(format: KeyFormat, words: Vec<u64>) -> Result<Self> {
        Ok(Self {
            format,
            base: WrittenSet::build(&format, words)?,
            later: WrittenSet::build(&format, Vec::new())?,
            fresh: FreshSet::default(),
            written_version: 0,
            fresh_version: 0,
        })
    }

    /// How the keys are packed.
    #[inline]
    pub fn format(&self) -> &KeyFormat {
        &self.format
    }

    /// The place of the first key at or after `pos`; [`end`](Self::end) when there is none.
    ///
    /// C: `bch2_btree_node_iter_init()`.
    #[inline]
    pub fn search(&self, pos: &Bpos) -> Place {
        self.live(self.find(&self.format.search_key(*pos)))
    }

    /// As [`search`](Self::search), to be kept for an update of that key, or of one near behind.
    #[inline]
    pub fn spot(&self, pos: &Bpos) -> Spot {
        self.spot_from(None, pos)
    }

    /// The same, beginning at another spot of this node, if that helps.
    #[inline]
    pub fn spot_from(&self, near: Option<&Spot>, pos: &Bpos) -> Spot {
        Spot {
            pos: *pos,
            place: self.find_from(near, &self.format.search_key(*pos)),
            written_version: self.written_version,
            fresh_version: self.fresh_version,
        }
    }

    /// The place in each set of the first key at or after the one searched for, deleted or not.
    #[inline]
    fn find(&self, key: &SearchKey) -> Place {
        let f = &self.format;
        // What one set is to be read for is fetched while the next one is searched.
        let base = self.base.near(f, key);
        let later = match self.later.end() {
            0 => 0,
            _ => self.later.near(f, key),
        };
        let fresh = match self.fresh.end() {
            0 => 0,
            _ => self.fresh.search(f, key),
        };
        Place {
            base: sat_u32(self.base.scan(base, f, key)),
            later: sat_u32(self.later.scan(later, f, key)),
            fresh: sat_u32(fresh),
        }
    }

    /// The same, beginning where the last search has ended, if that helps.
    #[inline]
    fn find_from(&self, spot: Option<&Spot>, key: &SearchKey) -> Place {
        let f = &self.format;
        let near = spot.filter(|s| s.written_version == self.written_version);
        let Some(spot) = near.filter(|s| s.pos <= key.pos()) else {
            return self.find(key);
        };
        let p = spot.place;
        let fresh = match spot.fresh_version == self.fresh_version {
            true => self.fresh.search_from(usize_of_u32(p.fresh), f, key),
            false => self.fresh.search_near(usize_of_u32(p.fresh), f, key),
        };
        Place {
            base: sat_u32(self.base.search_from(usize_of_u32(p.base), f, key)),
            later: sat_u32(self.later.search_from(usize_of_u32(p.later), f, key)),
            fresh: sat_u32(fresh),
        }
    }

    /// The first place in each set from `place` on that has a key which is not deleted.
    #[inline]
    fn live(&self, place: Place) -> Place {
        Place {
            base: sat_u32(self.base.live(usize_of_u32(place.base))),
            later: sat_u32(self.later.live(usize_of_u32(place.later))),
            fresh: sat_u32(self.fresh.live(usize_of_u32(place.fresh))),
        }
    }

    /// The set with the first key from `place` on, and that key with whatever follows it.
    #[inline]
    fn source(&self, place: Place) -> Option<(Source, &[u64])> {
        let base = self.base.stored(usize_of_u32(place.base));
        let first = (!base.is_empty()).then_some((Source::Base, base));
        if self.later.end() == 0 && self.fresh.end() == 0 {
            return first;
        }
        let f = &self.format;
        let first = first.map(|(source, words)| (source, words, f.rank_of(words)));
        let later = self.later.stored(usize_of_u32(place.later));
        let first = match later.is_empty() {
            true => first,
            false => self.earlier(first, f.rank_of(later), Source::Later, || later),
        };
        // Its order has the rank: the key itself is somewhere else.
        let at = usize_of_u32(place.fresh);
        let first = match self.fresh.rank(at) {
            None => first,
            Some(rank) => self.earlier(first, rank, Source::Fresh, || self.fresh.stored(at)),
        };
        first.map(|(source, words, _)| (source, words))
    }

    #[inline]
    fn earlier<'a>(
        &'a self,
        first: Option<(Source, &'a [u64], u128)>,
        rank: u128,
        source: Source,
        stored: impl FnOnce() -> &'a [u64],
    ) -> Option<(Source, &'a [u64], u128)> {
        let Some((_, words, first_rank)) = first else {
            return Some((source, stored(), rank));
        };
        match first_rank.cmp(&rank) {
            Ordering::Less => first,
            Ordering::Greater => Some((source, stored(), rank)),
            Ordering::Equal => {
                let stored = stored();
                match self.format.compare_equal_ranks(words, stored) {
                    Ordering::Less => first,
                    _ => Some((source, stored, rank)),
                }
            }
        }
    }

    #[inline]
    fn after(&self, source: Source, mut place: Place) -> Place {
        match source {
            Source::Base => place.base = sat_u32(self.base.next(usize_of_u32(place.base))),
            Source::Later => place.later = sat_u32(self.later.next(usize_of_u32(place.later))),
            Source::Fresh => place.fresh = sat_u32(self.fresh.next(usize_of_u32(place.fresh))),
        }
        place
    }

    /// The unpacked header and the value's words of the key at the start of `stored`.
    #[inline]
    fn split<'a>(&self, stored: &'a [u64]) -> (Bkey, &'a [u64]) {
        let head = Head::of(stored.first().copied().unwrap_or(0));
        let format = self.format.of_key(head);
        let value = stored.get(format.key_u64s()..head.u64s()).unwrap_or(&[]);
        (format.unpack(stored), value)
    }

    /// The key at a place, and the place after it. `None` at the end.
    #[inline]
    pub fn key_at(&self, place: Place) -> Option<Placed<'_>> {
        let (source, stored) = self.source(place)?;
        Some(Placed {
            key: self.key_of(stored),
            next: self.after(source, place),
        })
    }

    /// The first key at or after `pos`.
    #[inline]
    pub fn first_from(&self, pos: &Bpos) -> Option<Key<'_>> {
        let (_, stored) = self.source(self.search(pos))?;
        Some(self.key_of(stored))
    }

    #[inline]
    fn key_of<'a>(&self, stored: &'a [u64]) -> Key<'a> {
        let (k, value) = self.split(stored);
        Key {
            k,
            v: value.as_bytes(),
        }
    }

    /// The first key at or after the position of `spot`.
    #[inline]
    pub fn key_from(&self, spot: &Spot) -> Option<Key<'_>> {
        let (_, stored) = self.source(self.live(spot.place))?;
        Some(self.key_of(stored))
    }

    /// The key at exactly `pos`.
    pub fn get(&self, pos: &Bpos) -> Option<Key<'_>> {
        self.get_at(&self.spot(pos))
    }

    /// The key at exactly the position of `spot`. Quicker than to look for the first one from there
    /// on: in a node that is being emptied, that one can be far.
    pub fn get_at(&self, spot: &Spot) -> Option<Key<'_>> {
        let (f, key, at) = (&self.format, self.format.search_key(spot.pos), spot.place);
        let (base, later) = (usize_of_u32(at.base), usize_of_u32(at.later));
        let fresh = usize_of_u32(at.fresh);
        // Anything there means that the other sets have nothing that counts.
        let stored = if self.fresh.is_at(fresh, f, &key) {
            self.fresh.stored(fresh)
        } else if self.later.is_at(later, f, &key) {
            self.later.stored(later)
        } else if self.base.is_at(base, f, &key) {
            self.base.stored(base)
        } else {
            return None;
        };
        let head = Head::of(*stored.first()?);
        (head.key_type() != KeyType::DELETED).then(|| self.key_of(stored))
    }

    /// The value of the key at a place, without unpacking the key.
    #[inline]
    pub fn value_at(&self, place: Place) -> Option<&[u8]> {
        let (_, stored) = self.source(place)?;
        let head = Head::of(*stored.first()?);
        let header = self.format.of_key(head).key_u64s();
        Some(stored.get(header..head.u64s())?.as_bytes())
    }

    /// The position of the key at a place, without the rest.
    #[inline]
    pub fn pos_at(&self, place: Place) -> Option<Bpos> {
        let (_, stored) = self.source(place)?;
        Some(self.format.pos_of(stored))
    }

    /// The place of the first key.
    #[inline]
    pub fn start(&self) -> Place {
        self.live(Place::default())
    }

    /// The place after the last key.
    #[inline]
    pub fn end(&self) -> Place {
        Place {
            base: sat_u32(self.base.end()),
            later: sat_u32(self.later.end()),
            fresh: sat_u32(self.fresh.end()),
        }
    }

    /// Whether there is no key.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.live_u64s() == 0
    }

    /// Words of all keys, each as it is packed now.
    ///
    /// C: `live_u64s` of `struct btree_nr_keys`.
    #[inline]
    pub fn live_u64s(&self) -> usize {
        let written = self.base.live_u64s().saturating_add(self.later.live_u64s());
        written.saturating_add(self.fresh.live_u64s())
    }

    /// Words that writing what is not on disk yet takes.
    #[inline]
    pub fn fresh_u64s(&self) -> usize {
        self.fresh.used_u64s()
    }

    /// Most words that a key with a value of `value_u64s` words takes in this node.
    pub const fn key_u64s_max(value_u64s: usize) -> usize {
        value_u64s.saturating_add(MAX_KEY_U64S)
    }

    /// Walks from the first key at or after `pos`.
    pub fn cursor(&self, pos: &Bpos) -> KeyCursor<'_> {
        KeyCursor {
            keys: self,
            at: self.search(pos),
        }
    }

    /// Walks over all keys.
    pub fn iter(&self) -> KeyCursor<'_> {
        KeyCursor {
            keys: self,
            at: self.start(),
        }
    }

    /// Bytes of memory the keys and their search trees take.
    pub fn bytes(&self) -> u64 {
        let written = self.base.bytes().saturating_add(self.later.bytes());
        written.saturating_add(self.fresh.bytes())
    }
}

/// A place among the keys of a node.
///
/// C: `struct btree_node_iter`.
#[derive(Clone, Debug)]
pub struct KeyCursor<'a> {
    keys: &'a NodeKeys,
    at: Place,
}

impl<'a> KeyCursor<'a> {
    /// The key here, without moving. `None` at the end.
    #[inline]
    pub fn peek(&self) -> Option<Key<'a>> {
        self.keys.key_at(self.at).map(|p| p.key)
    }

    /// The place, for [`NodeKeys::key_at`].
    #[inline]
    pub fn place(&self) -> Place {
        self.at
    }
}

impl<'a> Iterator for KeyCursor<'a> {
    type Item = Key<'a>;

    #[inline]
    fn next(&mut self) -> Option<Key<'a>> {
        let placed = self.keys.key_at(self.at)?;
        self.at = placed.next;
        Some(placed.key)
    }
}

#[cfg(test)]
mod edit_tests;
#[cfg(test)]
mod tests;
