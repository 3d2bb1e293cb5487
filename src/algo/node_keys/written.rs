// SPDX-License-Identifier: GPL-2.0

//! A sorted set of keys that are on disk.

use crate::{
    algo::{
        aux_tree::{
            AuxTree,
            BLOCK_SHIFT, //
        },
        key_format::KeyFormat,
        pack::Head,
        search_key::SearchKey, //
    },
    env::{
        num::{
            sat_u32,
            u64_of, //
        },
        prefetch,
        Vec, //
    },
    error::Result,
    format::key_type::KeyType,
};

/// Words in a block.
const BLOCK_WORDS: usize = 1 << BLOCK_SHIFT;
/// Words in a line of the processor's cache.
const LINE_WORDS: usize = 8;

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
    /// How many keys that start in each block are not deleted.
    live: Vec<u8>,
    /// Words of keys that are not deleted.
    live_u64s: usize,
}

impl WrittenSet {
    /// A set of `words`, none of them deleted.
    pub(super) fn build(format: &KeyFormat, mut words: Vec<u64>) -> Result<Self> {
        words.shrink();
        Ok(Self {
            // INVARIANT: The caller has merged sets, which keeps these properties.
            tree: AuxTree::build(format, &words)?,
            live: Self::count(&words)?,
            live_u64s: words.len(),
            words,
        })
    }

    fn count(words: &[u64]) -> Result<Vec<u8>> {
        let blocks = words.len().div_ceil(BLOCK_WORDS);
        let mut live = Vec::from_elem(0u8, blocks)?;
        let mut at = 0usize;
        while let Some(first) = words.get(at) {
            if let Some(nr) = live.get_mut(at >> BLOCK_SHIFT) {
                *nr = nr.saturating_add(1);
            }
            at = at.saturating_add(Head::of(*first).u64s().max(1));
        }
        Ok(live)
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

    /// The set, if none of its keys is deleted.
    pub(super) fn whole(&self) -> Option<&[u64]> {
        (self.live_u64s == self.words.len()).then_some(&self.words)
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
        let mut block = at >> BLOCK_SHIFT;
        while let Some(first) = self.words.get(at) {
            let head = Head::of(*first);
            if head.key_type() != KeyType::DELETED {
                break;
            }
            at = at.saturating_add(head.u64s().max(1));
            if at >> BLOCK_SHIFT != block {
                block = at >> BLOCK_SHIFT;
                if self.live.get(block) == Some(&0) {
                    return self.live_behind(block);
                }
            }
        }
        at
    }

    /// The first live key behind a block: whole blocks may have been overwritten.
    fn live_behind(&self, block: usize) -> usize {
        let behind = self.live.iter().enumerate().skip(block);
        match behind.filter(|(_, nr)| **nr != 0).map(|(b, _)| b).next() {
            // The first one of that block may be deleted, but another one is not.
            Some(block) => self.live(self.tree.block_start(sat_u32(block))),
            None => self.end(),
        }
    }

    /// The first live key after the one at `at`.
    #[inline]
    pub(super) fn next(&self, at: usize) -> usize {
        self.live(self.after(at))
    }

    /// The first key, deleted or not, at or after the one searched for.
    #[inline]
    pub(super) fn search(&self, format: &KeyFormat, key: &SearchKey) -> usize {
        self.scan(self.near(format, key), format, key)
    }

    /// A place from which [`scan`](Self::scan) finds the key: in the time until that, something
    /// else can be done.
    ///
    /// C: `prefetch_four_cachelines()` of what `bset_search_tree()` returns.
    #[inline]
    pub(super) fn near(&self, format: &KeyFormat, key: &SearchKey) -> usize {
        let at = self.tree.search(format, &self.words, key);
        for word in (0..BLOCK_WORDS).step_by(LINE_WORDS) {
            prefetch(&self.words, at.saturating_add(word));
        }
        at
    }

    /// The first key at or after the one searched for, from a place on that is not behind it.
    #[inline]
    pub(super) fn scan(&self, mut at: usize, format: &KeyFormat, key: &SearchKey) -> usize {
        while let Some(stored @ [first, ..]) = self.words.get(at..) {
            let head = Head::of(*first);
            if format.compare(head, stored, key).is_ge() {
                break;
            }
            at = at.saturating_add(head.u64s().max(1));
        }
        at
    }

    /// As [`search`](Self::search), from a place on that is not behind it, and most likely near.
    #[inline]
    pub(super) fn search_from(&self, mut at: usize, format: &KeyFormat, key: &SearchKey) -> usize {
        for _ in 0..super::NEAR {
            let Some(stored @ [first, ..]) = self.words.get(at..) else {
                return at;
            };
            let head = Head::of(*first);
            if format.compare(head, stored, key).is_ge() {
                return at;
            }
            at = at.saturating_add(head.u64s().max(1));
        }
        self.search(format, key)
    }

    /// Whether the key at `at`, deleted or not, has exactly the position searched for.
    #[inline]
    pub(super) fn is_at(&self, at: usize, format: &KeyFormat, key: &SearchKey) -> bool {
        match self.words.get(at..) {
            Some(stored @ [first, ..]) => format.compare(Head::of(*first), stored, key).is_eq(),
            _ => false,
        }
    }

    /// Marks the key at `at` deleted.
    #[inline]
    pub(super) fn hide(&mut self, at: usize) {
        let Some(first) = self.words.get_mut(at) else {
            return;
        };
        let head = Head::of(*first);
        if head.key_type() == KeyType::DELETED {
            return;
        }
        *first = Head::mark_deleted(*first);
        self.live_u64s = self.live_u64s.saturating_sub(head.u64s());
        if let Some(nr) = self.live.get_mut(at >> BLOCK_SHIFT) {
            *nr = nr.saturating_sub(1);
        }
    }

    /// Bytes of memory the keys and their search tree take.
    pub(super) fn bytes(&self) -> u64 {
        let others = self.tree.bytes().saturating_add(self.live.memory_bytes());
        u64_of(self.words.memory_bytes().saturating_add(others))
    }
}
