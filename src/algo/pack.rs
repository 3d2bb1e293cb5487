// SPDX-License-Identifier: GPL-2.0

//! Packing and unpacking of key headers. See [`key_format`](super::key_format) for the layout.

use super::{
    key_format::{
        nth_word,
        KeyFormat,
        INODE,
        MAX_KEY_U64S,
        OFFSET,
        SIZE,
        SNAPSHOT,
        VERSION_HI,
        VERSION_LO, //
    },
    search_key::SearchKey, //
};
use crate::{
    env::num::{
        low_u32,
        low_u8,
        usize_of,
        usize_of_u32, //
    },
    format::{
        bkey::{
            Bkey,
            Version,
            FORMAT_LOCAL,
            FORMAT_UNPACKED, //
        },
        bpos::Bpos,
        key_type::KeyType,
        node::NR_KEY_FIELDS,
    },
};

/// The bits every key starts with, packed or not: the low bits of its first word.
///
/// C: the start of `struct bkey_packed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head(u64);

impl Head {
    /// The head of a key whose first word this is.
    #[inline]
    pub const fn of(first_word: u64) -> Self {
        Self(first_word & 0xff_ffff)
    }

    /// A head for a key of `u64s` words.
    pub fn new(u64s: u8, format: u8, key_type: KeyType) -> Self {
        Self(u64::from(u64s) | u64::from(format & 0x7f) << 8 | u64::from(key_type.0) << 16)
    }

    /// Words of 8 bytes in header and value together; from disk, it may be 0 or too large.
    #[inline]
    pub const fn u64s(self) -> usize {
        usize_of(self.0 & 0xff)
    }

    /// The number of the key format.
    #[inline]
    pub const fn format(self) -> u8 {
        low_u8((self.0 >> 8) & 0x7f)
    }

    /// Whether the header is packed the node's own way.
    #[inline]
    pub const fn is_packed(self) -> bool {
        self.format() == FORMAT_LOCAL
    }

    /// Whether deleting the key has to leave a whiteout, because an older set of the node may
    /// have another key at this position.
    #[inline]
    pub const fn needs_whiteout(self) -> bool {
        self.0 & (1 << 15) != 0
    }

    /// The first word of a key, with its type changed to deleted.
    #[inline]
    pub const fn mark_deleted(first_word: u64) -> u64 {
        first_word & !0xff_0000
    }

    /// The kind of value.
    #[inline]
    pub const fn key_type(self) -> KeyType {
        KeyType(low_u8(self.0 >> 16))
    }
}

/// The fields of a key in packing order.
pub(super) fn field_values(k: &Bkey) -> [u64; NR_KEY_FIELDS] {
    [
        k.p.inode,
        k.p.offset,
        u64::from(k.p.snapshot),
        u64::from(k.size),
        u64::from(k.version.hi),
        k.version.lo,
    ]
}

/// A packed header, ready to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackedHeader {
    /// The words as stored, lowest first; those beyond the format's length are 0.
    words: [u64; MAX_KEY_U64S],
    len: usize,
}

impl PackedHeader {
    /// What the key starts with.
    #[inline]
    pub fn head(&self) -> Head {
        let [lowest, ..] = self.words;
        Head::of(lowest)
    }

    /// The words to store.
    #[inline]
    pub fn words(&self) -> &[u64] {
        self.words.get(..self.len).unwrap_or(&self.words)
    }
}

impl KeyFormat {
    /// The words of a header from the highest down, zeros after the last.
    #[inline]
    fn load(&self, words: &[u64]) -> [u64; 8] {
        match words.get(..self.key_u64s()) {
            Some(&[a]) => [a, 0, 0, 0, 0, 0, 0, 0],
            Some(&[b, a]) => [a, b, 0, 0, 0, 0, 0, 0],
            Some(&[c, b, a]) => [a, b, c, 0, 0, 0, 0, 0],
            Some(&[d, c, b, a]) => [a, b, c, d, 0, 0, 0, 0],
            Some(&[e, d, c, b, a]) => [a, b, c, d, e, 0, 0, 0],
            _ => [0; 8],
        }
    }

    /// One field's value. The value can not exceed the field's unpacked width: the format was
    /// checked for that.
    #[inline]
    fn get(&self, from_top: &[u64; 8], field: usize) -> u64 {
        let Some(f) = self.fields.get(field) else {
            return 0;
        };
        // Most fields of most nodes have no bits.
        if f.mask == 0 {
            return f.offset;
        }
        let (word, shift) = (f.from_top >> 6, f.from_top & 63);
        let high = nth_word(from_top, word) << shift;
        // Two shifts, as one by 64 would be void.
        let low = nth_word(from_top, word.wrapping_add(1)) >> 1 >> (63 ^ shift);
        (((high | low) >> f.align) & f.mask).wrapping_add(f.offset)
    }

    /// Stores `packed`, which must not exceed the field's mask.
    #[inline]
    pub(super) fn put(&self, from_top: &mut [u64; 8], field: usize, packed: u64) {
        let Some(f) = self.fields.get(field) else {
            return;
        };
        if f.mask == 0 {
            return;
        }
        let (word, shift) = (f.from_top >> 6, f.from_top & 63);
        let left = packed << f.align;
        if let Some(w) = from_top.get_mut(usize_of_u32(word & 7)) {
            *w |= left >> shift;
        }
        if let Some(w) = from_top.get_mut(usize_of_u32(word.wrapping_add(1) & 7)) {
            *w |= left << 1 << (63 ^ shift);
        }
    }

    /// Stores a field's value, if the field can hold it.
    #[inline]
    fn put_checked(&self, from_top: &mut [u64; 8], field: usize, value: u64) -> Option<()> {
        let f = self.fields.get(field)?;
        let packed = value.checked_sub(f.offset).filter(|p| *p <= f.mask)?;
        self.put(from_top, field, packed);
        Some(())
    }

    /// Unpacks the header at the start of `words`, a key packed this way. When `words` is shorter
    /// than a header, the missing bits count as zeros.
    ///
    /// C: `__bch2_bkey_unpack_key()`.
    #[inline]
    pub fn unpack(&self, words: &[u64]) -> Bkey {
        let w = self.load(words);
        Bkey {
            key_type: Head::of(words.first().copied().unwrap_or(0)).key_type(),
            version: Version {
                hi: low_u32(self.get(&w, VERSION_HI)),
                lo: self.get(&w, VERSION_LO),
            },
            size: low_u32(self.get(&w, SIZE)),
            p: Bpos::new(
                self.get(&w, INODE),
                self.get(&w, OFFSET),
                low_u32(self.get(&w, SNAPSHOT)),
            ),
        }
    }

    /// Unpacks only the position; see [`unpack`](Self::unpack).
    ///
    /// C: `__bkey_unpack_pos()`.
    #[inline]
    pub fn unpack_pos(&self, words: &[u64]) -> Bpos {
        let w = self.load(words);
        Bpos::new(
            self.get(&w, INODE),
            self.get(&w, OFFSET),
            low_u32(self.get(&w, SNAPSHOT)),
        )
    }

    /// The format that `head` says its key is packed with, `self` being the node's.
    #[inline]
    pub fn of_key(&self, head: Head) -> &KeyFormat {
        if head.is_packed() {
            self
        } else {
            &Self::UNPACKED
        }
    }

    /// Packs the header of `k` for a value of `value_u64s` words. `None` when a field does not
    /// fit this format, or the whole key is longer than a key can be.
    ///
    /// C: `bch2_bkey_pack_key()`.
    #[inline]
    pub fn pack(&self, k: &Bkey, value_u64s: u8) -> Option<PackedHeader> {
        if self.is_unpacked {
            return unpacked(k, value_u64s);
        }
        let mut from_top = [0; 8];
        let [inode, offset, snapshot, ..] = field_values(k);
        self.put_checked(&mut from_top, INODE, inode)?;
        self.put_checked(&mut from_top, OFFSET, offset)?;
        self.put_checked(&mut from_top, SNAPSHOT, snapshot)?;
        self.pack_rest(from_top, k, value_u64s)
    }

    /// As [`pack`](Self::pack); `at` has the position of `k`, and has it packed.
    #[inline]
    pub(super) fn pack_at(&self, at: &SearchKey, k: &Bkey, value_u64s: u8) -> Option<PackedHeader> {
        if self.is_unpacked {
            return unpacked(k, value_u64s);
        }
        let [a, b, c, _] = *at.words();
        match at.is_exact() {
            true => self.pack_rest([a, b, c, 0, 0, 0, 0, 0], k, value_u64s),
            false => None,
        }
    }

    /// Adds the other fields to those of the position.
    #[inline]
    fn pack_rest(&self, mut from_top: [u64; 8], k: &Bkey, value_u64s: u8) -> Option<PackedHeader> {
        let [_, _, _, size, hi, lo] = field_values(k);
        self.put_checked(&mut from_top, SIZE, size)?;
        self.put_checked(&mut from_top, VERSION_HI, hi)?;
        self.put_checked(&mut from_top, VERSION_LO, lo)?;
        let u64s = self.key_u64s.checked_add(value_u64s)?;
        let [a, b, c, d, e, ..] = from_top;
        let mut words = match self.key_u64s {
            1 => [a, 0, 0, 0, 0],
            2 => [b, a, 0, 0, 0],
            3 => [c, b, a, 0, 0],
            4 => [d, c, b, a, 0],
            _ => [e, d, c, b, a],
        };
        let [lowest, ..] = &mut words;
        *lowest |= Head::new(u64s, FORMAT_LOCAL, k.key_type).0;
        Some(PackedHeader {
            words,
            len: self.key_u64s(),
        })
    }
}

/// The header of `k` with fields of their full width.
#[inline]
fn unpacked(k: &Bkey, value_u64s: u8) -> Option<PackedHeader> {
    let u64s = KeyFormat::UNPACKED.key_u64s.checked_add(value_u64s)?;
    let head = Head::new(u64s, FORMAT_UNPACKED, k.key_type).0;
    let Version { hi, lo } = k.version;
    Some(PackedHeader {
        words: [
            lo << 32 | head,
            u64::from(hi) << 32 | lo >> 32,
            u64::from(k.p.snapshot) << 32 | u64::from(k.size),
            k.p.offset,
            k.p.inode,
        ],
        len: MAX_KEY_U64S,
    })
}

#[cfg(test)]
mod tests;
