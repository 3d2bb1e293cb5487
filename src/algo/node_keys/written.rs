// SPDX-License-Identifier: GPL-2.0

//! A sorted set of keys that are on disk.

use crate::{
    algo::{
        aux_tree::AuxTree,
        key_format::KeyFormat,
        pack::Head,
        search_key::SearchKey, //
    },
    env::{
        num::u64_of,
        Vec, //
    },
    error::Result,
    format::{
        bpos::Bpos,
        key_type::KeyType, //
    },
};

/// A sorted set of packed keys with its search tree. Nothing is ever added; keys that are
/// overwritten or deleted are marked deleted where they are.
///
/// # Invariants
///
/// `words` is a sequence of well-formed keys in ascending order, each position only once.
///
/// C: `struct bset` with its `struct bset_tree`.
#[derive(Debug)]
pub(super) struct WrittenSet {
    words: Vec<u64>,
    tree: AuxTree,
    /// Words of keys that are not deleted.
    live_u64s: usize,
}

impl WrittenSet {
    /// A set of `words`, none of them deleted, between `min` and `max`.
    pub(super) fn build(format: &KeyFormat, words: Vec<u64>, min: Bpos, max: Bpos) -> Result<Self> {
        Ok(Self {
            // INVARIANT: The caller has merged sets, which keeps these properties.
            tree: AuxTree::build(format, &words, min, max)?,
            live_u64s: words.len(),
            words,
        })
    }

    /// The end of the set.
    #[inline]
    pub(super) fn end(&self) -> usize {
        self.words.len()
    }

    /// Words of keys that are not deleted.
    #[inline]
    pub(super) fn live_u64s(&self) -> usize {
        self.live_u64s
    }

    /// The key at `at` and all after it.
    #[inline]
    pub(super) fn stored(&self, at: usize) -> &[u64] {
        self.words.get(at..).unwrap_or(&[])
    }

    /// Where the key after the one at `at` is, deleted or not.
    #[inline]
    fn after(&self, at: usize) -> usize {
        let first = self.words.get(at).copied().unwrap_or(0);
        at.saturating_add(Head::of(first).u64s().max(1))
    }

    /// The first key from `at` on that is not deleted.
    #[inline]
    pub(super) fn live(&self, mut at: usize) -> usize {
        // Often everything was overwritten, and is in a newer set.
        if self.live_u64s == 0 {
            return self.end();
        }
        while let Some(first) = self.words.get(at) {
            let head = Head::of(*first);
            if head.key_type() != KeyType::DELETED {
                break;
            }
            at = at.saturating_add(head.u64s().max(1));
        }
        at
    }

    /// The first live key after the one at `at`.
    #[inline]
    pub(super) fn next(&self, at: usize) -> usize {
        self.live(self.after(at))
    }

    /// The first key, deleted or not, at or after the one searched for.
    #[inline]
    pub(super) fn search(&self, format: &KeyFormat, key: &SearchKey) -> usize {
        let mut at = self.tree.search(format, &self.words, key);
        while let Some([first, ..]) = self.words.get(at..) {
            let head = Head::of(*first);
            if format.compare(head, self.stored(at), key).is_ge() {
                break;
            }
            at = at.saturating_add(head.u64s().max(1));
        }
        at
    }

    /// Where the key with exactly the position searched for is, deleted or not.
    fn find(&self, format: &KeyFormat, key: &SearchKey) -> Option<usize> {
        if self.words.is_empty() {
            return None;
        }
        let at = self.search(format, key);
        let stored = self.words.get(at..).filter(|w| !w.is_empty())?;
        (format.pos_of(stored) == key.pos()).then_some(at)
    }

    /// Whether there is a key with exactly the position searched for, deleted or not.
    pub(super) fn has(&self, format: &KeyFormat, key: &SearchKey) -> bool {
        self.find(format, key).is_some()
    }

    /// The key with exactly the position searched for, unless it is deleted.
    pub(super) fn get(&self, format: &KeyFormat, key: &SearchKey) -> Option<&[u64]> {
        let stored = self.stored(self.find(format, key)?);
        let head = Head::of(*stored.first()?);
        (head.key_type() != KeyType::DELETED).then_some(stored)
    }

    /// Marks the key with exactly the position searched for deleted, if there is one.
    pub(super) fn hide(&mut self, format: &KeyFormat, key: &SearchKey) {
        let found = self.find(format, key);
        let Some(first) = found.and_then(|at| self.words.get_mut(at)) else {
            return;
        };
        let head = Head::of(*first);
        if head.key_type() != KeyType::DELETED {
            self.live_u64s = self.live_u64s.saturating_sub(head.u64s());
            *first = Head::mark_deleted(*first);
        }
    }

    /// Bytes of memory the keys and their search tree take.
    pub(super) fn bytes(&self) -> u64 {
        let words = self.words.len().saturating_mul(8);
        u64_of(words.saturating_add(self.tree.bytes()))
    }
}
