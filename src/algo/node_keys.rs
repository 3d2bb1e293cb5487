// SPDX-License-Identifier: GPL-2.0

//! The keys of a btree node in memory.

use super::{
    aux_tree::AuxTree,
    key_format::KeyFormat,
    merge::merge_sets,
    pack::Head,
    search_key::SearchKey, //
};
use crate::{
    env::{
        num::u64_of,
        Vec, //
    },
    error::Result,
    format::{
        bkey::Key,
        bpos::Bpos, //
    },
};
use zerocopy::IntoBytes as _;

/// A sorted set of packed keys that does not change any more, with its search tree.
///
/// # Invariants
///
/// `words` is a sequence of well-formed keys in ascending order, none of them deleted, each
/// position only once.
///
/// C: `struct bset` with its `struct bset_tree`.
#[derive(Debug)]
pub struct WrittenSet {
    words: Vec<u64>,
    tree: AuxTree,
}

/// All keys of a node. The sets that were read are merged into one when the node is read.
///
/// C: the keys of a `struct btree`.
#[derive(Debug)]
pub struct NodeKeys {
    format: KeyFormat,
    written: WrittenSet,
}

/// A key in a node, and where the next one is.
#[derive(Clone, Copy, Debug)]
pub struct Placed<'a> {
    /// The key.
    pub key: Key<'a>,
    /// Place of the key after this one, or the end.
    pub next: usize,
}

impl WrittenSet {
    /// The place of the first key at or after the one searched for.
    #[inline]
    fn search(&self, format: &KeyFormat, key: &SearchKey) -> usize {
        let mut at = self.tree.search(format, &self.words, key);
        while let Some([first, ..]) = self.words.get(at..) {
            let (head, stored) = (Head::of(*first), self.words.get(at..).unwrap_or(&[]));
            if format.compare(head, stored, key).is_ge() {
                break;
            }
            at = at.saturating_add(head.u64s().max(1));
        }
        at
    }
}

impl NodeKeys {
    /// Merges the sets of a node, oldest first, that [`check_set`](super::raw_set::check_set) has
    /// accepted for the range `min` to `max`.
    pub fn build(format: KeyFormat, sets: &[&[u8]], min: Bpos, max: Bpos) -> Result<Self> {
        let words = merge_sets(&format, sets)?;
        let tree = AuxTree::build(&format, &words, min, max)?;
        Ok(Self {
            format,
            written: WrittenSet { words, tree },
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
    pub fn search(&self, pos: &Bpos) -> usize {
        self.written
            .search(&self.format, &self.format.search_key(*pos))
    }

    /// The key at a place, and the place after it. `None` at the end.
    #[inline]
    pub fn key_at(&self, place: usize) -> Option<Placed<'_>> {
        let stored = self.written.words.get(place..)?;
        let head = Head::of(*stored.first()?);
        let u64s = head.u64s().max(1);
        let format = self.format.of_key(head);
        let value = stored.get(format.key_u64s()..u64s).unwrap_or(&[]);
        Some(Placed {
            key: Key {
                k: format.unpack(stored),
                v: value.as_bytes(),
            },
            next: place.saturating_add(u64s),
        })
    }

    /// The value of the key at a place, without unpacking the key.
    #[inline]
    pub fn value_at(&self, place: usize) -> Option<&[u8]> {
        let stored = self.written.words.get(place..)?;
        let head = Head::of(*stored.first()?);
        let header = self.format.of_key(head).key_u64s();
        Some(stored.get(header..head.u64s())?.as_bytes())
    }

    /// The position of the key at a place, without the rest.
    #[inline]
    pub fn pos_at(&self, place: usize) -> Option<Bpos> {
        let stored = self.written.words.get(place..).filter(|w| !w.is_empty())?;
        Some(self.format.pos_of(stored))
    }

    /// The place of the first key.
    #[inline]
    pub const fn start(&self) -> usize {
        0
    }

    /// The place after the last key.
    #[inline]
    pub fn end(&self) -> usize {
        self.written.words.len()
    }

    /// Whether there is no key.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.written.words.is_empty()
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
        KeyCursor { keys: self, at: 0 }
    }

    /// Bytes of memory the keys and their search tree take.
    pub fn bytes(&self) -> u64 {
        let words = self.written.words.len().saturating_mul(8);
        u64_of(words.saturating_add(self.written.tree.bytes()))
    }
}

/// A place among the keys of a node.
///
/// C: `struct btree_node_iter`.
#[derive(Clone, Debug)]
pub struct KeyCursor<'a> {
    keys: &'a NodeKeys,
    at: usize,
}

impl<'a> KeyCursor<'a> {
    /// The key here, without moving. `None` at the end.
    #[inline]
    pub fn peek(&self) -> Option<Key<'a>> {
        self.keys.key_at(self.at).map(|p| p.key)
    }

    /// The place, for [`NodeKeys::key_at`].
    #[inline]
    pub fn place(&self) -> usize {
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
mod tests;
