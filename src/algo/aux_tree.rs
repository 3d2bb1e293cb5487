// SPDX-License-Identifier: GPL-2.0

//! The search tree beside a sorted set of keys: four bytes for every block of keys.
//!
//! The set is divided into blocks; each tree element stands for the first key that starts in its
//! block. It holds the 16 bits of that key's packed position which matter at its place in the
//! tree: the first is the highest bit in which the nearest elements to the left and to the right
//! differ. A search compares them with the same bits of the packed search key and follows the
//! tree; it looks at a key itself only where the 16 bits are equal and not the last ones, or where
//! an element could not be made because keys are not packed.

use super::{
    eytzinger,
    key_format::KeyFormat,
    pack::Head,
    search_key::{
        sixteen_bits,
        PosWords,
        SearchKey, //
    },
};
use crate::{
    env::{
        num::{
            low_u8,
            sat_u32,
            u64_of,
            usize_of_u32, //
        },
        prefetch,
        Vec, //
    },
    error::Result, //
};

/// log2 of the words in a block.
pub(super) const BLOCK_SHIFT: u32 = 5;
/// Bits of a position that an element holds. C: `BKEY_MANTISSA_BITS`.
const PREFIX_BITS: u32 = 16;
/// [`Element::from_top`] of an element without a prefix. C: `BFLOAT_FAILED`.
const NO_PREFIX: u8 = u8::MAX;

/// One block's first key, as far as the search needs it.
///
/// C: `struct bkey_float`.
#[derive(Clone, Copy, Debug)]
struct Element {
    /// Distance of the prefix from the highest bit of the position: at most 144.
    from_top: u8,
    /// Where the key starts, in words from the start of the block.
    key_offset: u8,
    /// The bits.
    prefix: u16,
}

/// The search tree of one sorted set.
///
/// C: `struct ro_aux_tree` with its `struct bset_tree`.
#[derive(Debug)]
pub struct AuxTree {
    /// Element 0 is not used.
    elements: Vec<Element>,
    size: u32,
    extra: u32,
    /// Where the last key starts.
    last: usize,
    /// The ranks of the first and the last key: to know without looking at these that a key is
    /// between them.
    ranks: (u128, u128),
}

/// The bounds of an element while the tree is made: a packed position, if there is one.
type Bound = Option<PosWords>;

impl AuxTree {
    /// Makes the tree for `words`, a sorted set of well-formed keys.
    ///
    /// C: `__build_ro_aux_tree()`.
    pub fn build(format: &KeyFormat, words: &[u64]) -> Result<Self> {
        let last = Starts::new(words).last().unwrap_or(0);
        let size = sat_u32(last >> BLOCK_SHIFT);
        let mut tree = Self {
            elements: Vec::new(),
            size,
            extra: eytzinger::extra(size),
            last,
            ranks: (
                format.rank_of(words),
                format.rank_of(words.get(last..).unwrap_or(&[])),
            ),
        };
        if size == 0 {
            return Ok(tree);
        }
        let none = Element {
            from_top: NO_PREFIX,
            key_offset: 0,
            prefix: 0,
        };
        tree.elements = Vec::from_elem(none, usize_of_u32(size).saturating_add(1))?;
        tree.place_keys(words);

        let min = tree.bound_at(format, words, 0);
        let max = tree.bound_at(format, words, last);
        for i in 1..=size {
            tree.make_prefix(format, words, i, min, max);
        }
        Ok(tree)
    }

    /// Finds the first key of each block. A key longer than a block is the first of several.
    fn place_keys(&mut self, words: &[u64]) {
        let mut block = 1u32;
        for start in Starts::new(words) {
            while block <= self.size && usize_of_u32(block) << BLOCK_SHIFT <= start {
                let in_block = start.wrapping_sub(usize_of_u32(block) << BLOCK_SHIFT);
                let i = eytzinger::from_inorder(block, self.size, self.extra);
                if let Some(e) = self.elements.get_mut(usize_of_u32(i)) {
                    // Below 255: the key before is at most that long, and starts earlier.
                    e.key_offset = low_u8(u64_of(in_block));
                }
                block = block.wrapping_add(1);
            }
        }
    }

    /// Where the key of element `i` starts; the start of the set for element 0.
    #[inline]
    fn key_start(&self, i: u32) -> usize {
        if i == 0 {
            return 0;
        }
        let block = eytzinger::to_inorder(i, self.size, self.extra);
        let offset = self
            .elements
            .get(usize_of_u32(i))
            .map_or(0, |e| usize::from(e.key_offset));
        (usize_of_u32(block) << BLOCK_SHIFT).wrapping_add(offset)
    }

    /// Where the first key that starts in a block, or behind it, is.
    pub(super) fn block_start(&self, block: u32) -> usize {
        match block {
            0 => 0,
            b => self.key_start(eytzinger::from_inorder(b, self.size, self.extra)),
        }
    }

    /// The packed position of the key of element `i`.
    fn bound(&self, format: &KeyFormat, words: &[u64], i: u32) -> Bound {
        self.bound_at(format, words, self.key_start(i))
    }

    fn bound_at(&self, format: &KeyFormat, words: &[u64], at: usize) -> Bound {
        let key = words.get(at..)?;
        Head::of(*key.first()?)
            .is_packed()
            .then(|| format.pos_words(key))
    }

    /// C: `make_bfloat()`.
    fn make_prefix(&mut self, format: &KeyFormat, words: &[u64], i: u32, min: Bound, max: Bound) {
        let side = |ancestor, outermost| match ancestor {
            0 => outermost,
            a => self.bound(format, words, a),
        };
        let low = side(eytzinger::left_ancestor(i), min);
        let high = side(eytzinger::right_ancestor(i), max);
        let this = self.bound(format, words, i);
        let (Some(low), Some(high), Some(this)) = (low, high, this) else {
            return;
        };
        let bits = format.pos_bits();
        if bits == 0 {
            return;
        }
        // No use in bits below the lowest one.
        let from_top = first_difference(&low, &high).min(bits.saturating_sub(PREFIX_BITS));
        if let Some(e) = self.elements.get_mut(usize_of_u32(i)) {
            e.from_top = low_u8(u64::from(from_top));
            e.prefix = sixteen_bits(&this, from_top);
        }
    }

    /// Where to begin looking for the first key at or after the one searched for: every key before
    /// is lower, and it is in this block or starts the next one.
    ///
    /// C: `bset_search_tree()`.
    #[inline]
    pub fn search(&self, format: &KeyFormat, words: &[u64], key: &SearchKey) -> usize {
        // The tree tells only those apart that are between its first and its last key.
        if key.rank() >= self.ranks.1 {
            match words.get(self.last..) {
                Some(last @ [head, ..]) => {
                    if format.compare(Head::of(*head), last, key).is_lt() {
                        return words.len();
                    }
                }
                _ => return words.len(),
            }
        }
        if key.rank() <= self.ranks.0 {
            let first = words.first().copied().unwrap_or(0);
            if format.compare(Head::of(first), words, key).is_ge() {
                return 0;
            }
        }
        let mut i = 1u32;
        while let Some(e) = self.elements.get(usize_of_u32(i)) {
            // All that can be four steps from here is in one line.
            prefetch(&self.elements, usize_of_u32(i << 4));
            let wanted = sixteen_bits(key.words(), u32::from(e.from_top));
            let is_lower = if e.from_top != NO_PREFIX && e.prefix != wanted {
                e.prefix < wanted
            } else {
                self.is_lower(format, words, key, i, e)
            };
            i = (i << 1) | u32::from(is_lower);
        }
        self.key_start(eytzinger::left_ancestor(i))
    }

    /// Whether the key of element `i` is below the one searched for, when its prefix does not say.
    fn is_lower(
        &self,
        format: &KeyFormat,
        words: &[u64],
        key: &SearchKey,
        i: u32,
        e: &Element,
    ) -> bool {
        let last_bit = u32::from(e.from_top).saturating_add(PREFIX_BITS);
        if e.from_top != NO_PREFIX && last_bit >= format.pos_bits() {
            // The prefix is all there is to compare.
            return key.on_equal().is_lt();
        }
        let stored = words.get(self.key_start(i)..).unwrap_or(&[]);
        let Some(first) = stored.first() else {
            return false;
        };
        format.compare(Head::of(*first), stored, key).is_lt()
    }

    /// Bytes of memory the tree takes.
    pub fn bytes(&self) -> usize {
        self.elements.memory_bytes()
    }
}

/// Distance of the first bit that differs from the highest bit; 192 when none does.
fn first_difference(a: &PosWords, b: &PosWords) -> u32 {
    let mut distance = 0u32;
    for (a, b) in a.iter().zip(b).take(3) {
        let zeros = (a ^ b).leading_zeros();
        distance = distance.saturating_add(zeros);
        if zeros < 64 {
            break;
        }
    }
    distance
}

/// Where the keys of a set start, in words.
struct Starts<'a> {
    words: &'a [u64],
    at: usize,
}

impl<'a> Starts<'a> {
    fn new(words: &'a [u64]) -> Self {
        Self { words, at: 0 }
    }
}

impl Iterator for Starts<'_> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        let at = self.at;
        let u64s = Head::of(*self.words.get(at)?).u64s();
        self.at = at.saturating_add(u64s.max(1));
        Some(at)
    }
}
