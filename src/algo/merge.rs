// SPDX-License-Identifier: GPL-2.0

//! Merging all sets of a node into one.

use super::{
    key_format::KeyFormat,
    raw_set::{
        word,
        RawKey,
        RawKeys, //
    },
};
use crate::{
    env::Vec,
    error::Result,
    format::{
        bpos::Bpos,
        key_type::KeyType, //
    },
};

/// How far the merge has come in one set.
struct Source<'a> {
    keys: RawKeys<'a>,
    next: RawKey<'a>,
    pos: Bpos,
    /// Number of the set in its node; later sets win.
    set: usize,
}

impl<'a> Source<'a> {
    fn start(format: &KeyFormat, mut keys: RawKeys<'a>, set: usize) -> Option<Self> {
        let next = keys.next()?.ok()?;
        Some(Self {
            pos: next.pos(format),
            keys,
            next,
            set,
        })
    }

    /// Moves to the set's next key; `false` at the end.
    fn advance(&mut self, format: &KeyFormat) -> bool {
        let Some(Ok(next)) = self.keys.next() else {
            return false;
        };
        self.pos = next.pos(format);
        self.next = next;
        true
    }

    fn comes_after(&self, other: &Self) -> bool {
        (self.pos, self.set) > (other.pos, other.set)
    }
}

/// Sets of a node, being merged. Kept in the order their next keys come in.
struct Merge<'a> {
    format: &'a KeyFormat,
    sources: Vec<Source<'a>>,
}

impl<'a> Merge<'a> {
    /// Restores the order after the first source's key has changed.
    fn sift(&mut self) {
        let mut at = 0usize;
        while let Some([a, b, ..]) = self.sources.get_mut(at..) {
            if !a.comes_after(b) {
                return;
            }
            core::mem::swap(a, b);
            at = at.saturating_add(1);
        }
    }

    fn insert(&mut self, source: Source<'a>) -> Result {
        self.sources.insert(0, source)?;
        self.sift();
        Ok(())
    }

    /// The next key that no later set replaces.
    fn next(&mut self) -> Option<RawKey<'a>> {
        loop {
            let first = self.sources.first_mut()?;
            let (key, pos) = (first.next, first.pos);
            if first.advance(self.format) {
                self.sift();
            } else {
                self.sources.remove(0);
            }
            if self.sources.first().is_none_or(|s| s.pos != pos) {
                return Some(key);
            }
        }
    }
}

/// Merges the sets of a node, oldest first, into one sorted set. At each position the newest key
/// wins; deleted ones are dropped. Each set must have passed
/// [`check_set`](super::raw_set::check_set); one that has not ends at its first malformed key, and
/// contributes no key that is out of order.
///
/// C: `bch2_key_sort_fix_overlapping()`.
pub fn merge_sets(format: &KeyFormat, sets: &[&[u8]]) -> Result<Vec<u64>> {
    let bytes: usize = sets.iter().map(|s| s.len()).sum();
    let mut words = Vec::from_elem(0, bytes >> 3)?;
    let mut merge = Merge {
        format,
        sources: Vec::with_capacity(sets.len())?,
    };
    for (nr, set) in sets.iter().enumerate() {
        if let Some(s) = Source::start(format, RawKeys::new(format, set), nr) {
            merge.insert(s)?;
        }
    }

    let mut used = 0usize;
    let mut last: Option<Bpos> = None;
    while let Some(key) = merge.next() {
        let pos = key.pos(format);
        if key.head().key_type() == KeyType::DELETED || last.is_some_and(|l| l >= pos) {
            continue;
        }
        last = Some(pos);
        let room = words.get_mut(used..).unwrap_or(&mut []);
        for (to, from) in room.iter_mut().zip(key.bytes().chunks_exact(8)) {
            *to = word(from);
        }
        used = used.saturating_add(key.head().u64s());
    }
    words.truncate(used);
    Ok(words)
}
