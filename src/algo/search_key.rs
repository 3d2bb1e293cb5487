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

    #[inline(never)]
    fn compare_unpacked(&self, words: &[u64]) -> Ordering {
        KeyFormat::UNPACKED.unpack_pos(words).cmp(&self.pos)
    }

    /// How a packed key whose position bits equal [`words`](Self::words) compares.
    #[inline]
    pub(super) fn on_equal(&self) -> Ordering {
        self.on_equal
    }

    /// The rank of the position; see [`KeyFormat::rank_of`].
    #[inline]
    pub fn rank(&self) -> u128 {
        let [first, second, ..] = self.words;
        u128::from(first) << 64 | u128::from(second)
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
    #[inline]
    pub fn search_key(&self, pos: Bpos) -> SearchKey {
        let [inode, offset, snapshot, ..] = &self.fields;
        let fits = pos.inode.wrapping_sub(inode.offset) <= inode.mask
            && pos.offset.wrapping_sub(offset.offset) <= offset.mask
            && u64::from(pos.snapshot).wrapping_sub(snapshot.offset) <= snapshot.mask;
        if fits {
            return SearchKey {
                pos,
                words: self.pack_pos(pos),
                on_equal: Ordering::Equal,
            };
        }
        self.search_key_near(pos)
    }

    #[inline(never)]
    fn search_key_near(&self, pos: Bpos) -> SearchKey {
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

    #[inline]
    fn pack_pos(&self, p: Bpos) -> PosWords {
        let mut from_top = [0; 8];
        let [inode, offset, snapshot, ..] = &self.fields;
        self.put(&mut from_top, INODE, p.inode.wrapping_sub(inode.offset));
        self.put(&mut from_top, OFFSET, p.offset.wrapping_sub(offset.offset));
        let packed = u64::from(p.snapshot).wrapping_sub(snapshot.offset);
        self.put(&mut from_top, SNAPSHOT, packed);
        let [a, b, c, ..] = from_top;
        [a, b, c, 0]
    }

    /// The position bits of the packed key at the start of `words`.
    #[inline]
    pub(super) fn pos_words(&self, words: &[u64]) -> PosWords {
        let [m0, m1, m2] = self.pos_mask;
        match words.get(..self.key_u64s()) {
            Some(&[a]) => [a & m0, 0, 0, 0],
            Some(&[b, a]) => [a & m0, b & m1, 0, 0],
            Some(&[.., c, b, a]) => [a & m0, b & m1, c & m2, 0],
            _ => [0; 4],
        }
    }

    /// How the position of the key at the start of `words`, which `head` belongs to, compares with
    /// the one searched for. Packed keys are not unpacked for it.
    ///
    /// C: `bkey_cmp_p_or_unp()`.
    #[inline(always)]
    pub fn compare(&self, head: Head, words: &[u64], search: &SearchKey) -> Ordering {
        if !head.is_packed() {
            return search.compare_unpacked(words);
        }
        let [m0, m1, m2] = self.pos_mask;
        let [s0, s1, s2, _] = search.words;
        let last = self.key_u64s().wrapping_sub(1);
        let word = |from_top| words.get(last.wrapping_sub(from_top)).copied().unwrap_or(0);
        let mut order = (word(0) & m0).cmp(&s0);
        // Mostly it is the highest word that differs.
        if order.is_eq() && m1 != 0 {
            order = (word(1) & m1).cmp(&s1);
            if order.is_eq() && m2 != 0 {
                order = (word(2) & m2).cmp(&s2);
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

    /// What keys with this format are put in order by first: the highest 128 bits of a position
    /// packed as by [`search_key`](Self::search_key). Of two keys, the one with the lower rank is
    /// lower; of two with the same rank, either can be.
    #[inline]
    pub fn rank_of(&self, words: &[u64]) -> u128 {
        let head = Head::of(words.first().copied().unwrap_or(0));
        if !head.is_packed() {
            return self.search_key(Self::UNPACKED.unpack_pos(words)).rank();
        }
        let [m0, m1, _] = self.pos_mask;
        let last = self.key_u64s().wrapping_sub(1);
        let word = |from_top| words.get(last.wrapping_sub(from_top)).copied().unwrap_or(0);
        let second = if m1 == 0 { 0 } else { word(1) & m1 };
        u128::from(word(0) & m0) << 64 | u128::from(second)
    }

    /// Compares the positions of two keys of the same rank, however they are packed.
    pub fn compare_equal_ranks(&self, a: &[u64], b: &[u64]) -> Ordering {
        let packed = |k: &[u64]| k.first().is_some_and(|w| Head::of(*w).is_packed());
        if packed(a) && packed(b) {
            self.compare_packed(a, b)
        } else {
            self.pos_of(a).cmp(&self.pos_of(b))
        }
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
