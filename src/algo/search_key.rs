// SPDX-License-Identifier: GPL-2.0

//! Comparing packed keys with a position without unpacking them.

use super::{
    key_format::{
        KeyFormat,
        INODE,
        OFFSET,
        SNAPSHOT, //
    },
    pack::Head,
};
use crate::{
    env::num::{
        low_u16,
        usize_of_u32, //
    },
    format::bpos::Bpos,
};
use core::cmp::Ordering;

/// The position bits of a packed header, highest word first, other bits 0; the fourth word is
/// always 0.
pub(super) type PosWords = [u64; 4];

/// The 16 bits at distance `from_top` from the highest; zeros after the last word.
#[inline]
pub(super) fn sixteen_bits(words: &PosWords, from_top: u32) -> u16 {
    let (word, shift) = (usize_of_u32((from_top >> 6) & 3), from_top & 63);
    let high = words.get(word).copied().unwrap_or(0) << shift;
    let low = words.get(word.wrapping_add(1) & 3).copied();
    low_u16((high | low.unwrap_or(0) >> 1 >> (63 ^ shift)) >> 48)
}

/// What to search a node for: a position, and the same packed the node's way.
///
/// C: the pair of `struct bpos` and lossily packed `struct bkey_packed` that node searches use.
#[derive(Clone, Copy, Debug)]
pub struct SearchKey {
    pos: Bpos,
    /// The highest position that can be packed and is not above `pos`; zeros when there is none.
    words: PosWords,
    /// How packed keys with exactly the position `words` compare with `pos`.
    on_equal: Ordering,
}

impl SearchKey {
    /// The position searched for.
    #[inline]
    pub fn pos(&self) -> Bpos {
        self.pos
    }

    #[inline]
    pub(super) fn words(&self) -> &PosWords {
        &self.words
    }

    /// How a packed key whose position bits equal [`words`](Self::words) compares.
    #[inline]
    pub(super) fn on_equal(&self) -> Ordering {
        self.on_equal
    }

    /// Whether `pos` itself could be packed.
    #[inline]
    pub fn is_exact(&self) -> bool {
        self.on_equal.is_eq()
    }
}

impl KeyFormat {
    /// Packs `pos`, exactly or as the nearest lower position that this format can hold.
    ///
    /// C: `bch2_bkey_pack_pos_lossy()`.
    pub fn search_key(&self, pos: Bpos) -> SearchKey {
        let (words, on_equal) = match self.nearest_lower(pos) {
            Some((p, true)) => (self.pack_pos(p), Ordering::Equal),
            Some((p, false)) => (self.pack_pos(p), Ordering::Less),
            // Every packed key is above `pos`.
            None => ([0; 4], Ordering::Greater),
        };
        SearchKey {
            pos,
            words,
            on_equal,
        }
    }

    /// Packs `pos` when this format can hold it exactly.
    pub(super) fn pack_pos_exact(&self, pos: Bpos) -> Option<PosWords> {
        let key = self.search_key(pos);
        key.is_exact().then_some(key.words)
    }

    /// The highest position not above `p` that this format holds, and whether that is `p` itself.
    fn nearest_lower(&self, mut p: Bpos) -> Option<(Bpos, bool)> {
        let field = |nr| self.fields.get(nr).copied().unwrap_or_default();
        let (inode, offset, snapshot) = (field(INODE), field(OFFSET), field(SNAPSHOT));
        let mut exact = true;

        // What is below a field's lowest value borrows from the field above.
        if u64::from(p.snapshot) < snapshot.offset {
            (p.inode, p.offset) = match p.offset.checked_sub(1) {
                Some(offset) => (p.inode, offset),
                None => (p.inode.checked_sub(1)?, u64::MAX),
            };
            (p.snapshot, exact) = (u32::MAX, false);
        }
        if p.offset < offset.offset {
            p = Bpos::new(p.inode.checked_sub(1)?, u64::MAX, u32::MAX);
            exact = false;
        }
        let over_inode = p.inode.checked_sub(inode.offset)? > inode.mask;

        // What is above a field's highest value becomes that, and so do the fields below.
        let over_offset = over_inode || p.offset.wrapping_sub(offset.offset) > offset.mask;
        let highest_snapshot = snapshot.offset.wrapping_add(snapshot.mask);
        let over_snapshot = over_offset || u64::from(p.snapshot) > highest_snapshot;
        if over_inode {
            p.inode = inode.offset.wrapping_add(inode.mask);
        }
        if over_offset {
            p.offset = offset.offset.wrapping_add(offset.mask);
        }
        if over_snapshot {
            p.snapshot = crate::env::num::low_u32(highest_snapshot);
            exact = false;
        }
        Some((p, exact))
    }

    fn pack_pos(&self, p: Bpos) -> PosWords {
        let mut from_top = [0; 8];
        let values = [p.inode, p.offset, u64::from(p.snapshot)];
        for (nr, (v, f)) in values.iter().zip(&self.fields).enumerate() {
            self.put(&mut from_top, nr, v.wrapping_sub(f.offset));
        }
        let [a, b, c, ..] = from_top;
        [a, b, c, 0]
    }

    /// The position bits of the packed key at the start of `words`.
    #[inline]
    pub(super) fn pos_words(&self, words: &[u64]) -> PosWords {
        let [m0, m1, m2] = self.pos_mask;
        let mut header = words.get(..self.key_u64s()).unwrap_or(&[]).iter().rev();
        let mut next = |mask| header.next().copied().unwrap_or(0) & mask;
        [next(m0), next(m1), next(m2), 0]
    }

    /// How the position of the key at the start of `words`, which `head` belongs to, compares with
    /// the one searched for. Packed keys are not unpacked for it.
    ///
    /// C: `bkey_cmp_p_or_unp()`.
    #[inline]
    pub fn compare(&self, head: Head, words: &[u64], search: &SearchKey) -> Ordering {
        if !head.is_packed() {
            return Self::UNPACKED.unpack_pos(words).cmp(&search.pos);
        }
        let [m0, m1, m2] = self.pos_mask;
        let [s0, s1, s2, _] = search.words;
        let mut header = words.get(..self.key_u64s()).unwrap_or(&[]).iter().rev();
        let mut next = || header.next().copied().unwrap_or(0);
        let mut order = (next() & m0).cmp(&s0);
        // Most nodes have positions of at most 64 bits.
        if order.is_eq() && m1 != 0 {
            order = (next() & m1).cmp(&s1);
            if order.is_eq() && m2 != 0 {
                order = (next() & m2).cmp(&s2);
            }
        }
        if order.is_eq() {
            search.on_equal
        } else {
            order
        }
    }

    /// The position of the key at the start of `words`, however it is packed.
    ///
    /// C: `bkey_unpack_pos()`.
    #[inline]
    pub fn pos_of(&self, words: &[u64]) -> Bpos {
        let head = Head::of(words.first().copied().unwrap_or(0));
        self.of_key(head).unpack_pos(words)
    }

    /// Compares the positions of two packed keys, without unpacking.
    ///
    /// C: `__bch2_bkey_cmp_packed_format_checked()`.
    #[inline]
    pub fn compare_packed(&self, a: &[u64], b: &[u64]) -> Ordering {
        self.pos_words(a).cmp(&self.pos_words(b))
    }
}

#[cfg(test)]
mod tests;
