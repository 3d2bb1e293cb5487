// SPDX-License-Identifier: GPL-2.0

//! A key outside of a node.

use crate::{
    algo::{
        cut::{
            cut_back,
            cut_front, //
        },
        key_format::KeyFormat,
        node_keys::pack,
        pack::PackedHeader, //
    },
    env::Vec,
    error::{
        Invalid,
        Result, //
    },
    format::{
        bkey::{
            Bkey,
            Key,
            BKEY_BYTES, //
        },
        bpos::Bpos,
        key_type::KeyType,
        values::extent_entry::EntrySizes, //
    },
};
use zerocopy::IntoBytes as _;

/// Words of a value that need no memory of their own: as many as an inode has. Most values are
/// shorter.
const INLINE_U64S: usize = 14;

/// A key with a copy of its value.
///
/// C: `struct bkey_i`, `struct bkey_buf`.
#[derive(Debug, Default)]
pub struct KeyBuf {
    /// The header.
    pub k: Bkey,
    inline: [u64; INLINE_U64S],
    len: usize,
    heap: Vec<u64>,
}

impl KeyBuf {
    /// A deletion of what is at `pos`.
    pub fn deletion(pos: Bpos) -> Self {
        Self {
            k: Bkey {
                p: pos,
                ..Bkey::default()
            },
            ..Self::default()
        }
    }

    /// A copy of `key`.
    pub fn copy_of(key: &Key<'_>) -> Result<Self> {
        let mut new = Self::default();
        new.set(key)?;
        Ok(new)
    }

    /// A key of its parts; the value has to be a multiple of 8 bytes, or is filled up with zeros.
    pub fn of(k: Bkey, value: &[u8]) -> Result<Self> {
        Self::copy_of(&Key { k, v: value })
    }

    /// Becomes a copy of `key`. On failure the value is empty.
    #[inline]
    pub fn set(&mut self, key: &Key<'_>) -> Result {
        self.k = key.k;
        let len = key.v.len().div_ceil(8);
        self.len = 0;
        let room = if len <= INLINE_U64S {
            self.inline.get_mut(..len)
        } else {
            self.heap.resize(len, 0)?;
            self.heap.get_mut(..len)
        };
        let room = room.unwrap_or(&mut []);
        if let Some(last) = room.last_mut() {
            *last = 0;
        }
        for (to, from) in room.as_mut_bytes().iter_mut().zip(key.v) {
            *to = *from;
        }
        self.len = len;
        Ok(())
    }

    /// The value's words.
    #[inline]
    pub fn value(&self) -> &[u64] {
        let words: &[u64] = if self.len <= INLINE_U64S {
            &self.inline
        } else {
            &self.heap
        };
        words.get(..self.len).unwrap_or(words)
    }

    /// The value's bytes, to change in place.
    pub fn value_mut(&mut self) -> &mut [u8] {
        let words: &mut [u64] = if self.len <= INLINE_U64S {
            &mut self.inline
        } else {
            &mut self.heap
        };
        words.get_mut(..self.len).unwrap_or(&mut []).as_mut_bytes()
    }

    /// Cuts an extent so that it starts at sector `start`; see [`cut_front`].
    pub fn cut_front(&mut self, start: u64, sizes: &EntrySizes) -> Result<(), Invalid> {
        let mut k = self.k;
        let left = cut_front(&mut k, self.value_mut(), start, sizes)?;
        self.k = k;
        self.shorten(left);
        Ok(())
    }

    /// Cuts an extent so that it ends at sector `end`; see [`cut_back`].
    pub fn cut_back(&mut self, end: u64) -> Result<(), Invalid> {
        let mut k = self.k;
        let left = cut_back(&mut k, self.value_mut(), end)?;
        self.k = k;
        self.shorten(left);
        Ok(())
    }

    /// Only the first `bytes` of the value remain.
    fn shorten(&mut self, bytes: usize) {
        let tail = self.value_mut().get_mut(bytes..).unwrap_or(&mut []);
        tail.fill(0);
        let len = bytes.div_ceil(8).min(self.len);
        if self.len > INLINE_U64S && len <= INLINE_U64S {
            for (to, from) in self.inline.iter_mut().zip(self.heap.iter().take(len)) {
                *to = *from;
            }
        }
        self.len = len;
    }

    /// The key, to read.
    #[inline]
    pub fn key(&self) -> Key<'_> {
        Key {
            k: self.k,
            v: self.value().as_bytes(),
        }
    }

    /// Whether it stands for no key.
    pub fn is_deleted(&self) -> bool {
        self.k.key_type == KeyType::DELETED
    }

    /// Words of header and value in a journal entry.
    pub fn journal_u64s(&self) -> usize {
        self.len.saturating_add(BKEY_BYTES / 8)
    }

    /// Whether it is not longer than a key can be.
    pub fn check_len(&self) -> Result {
        if self.len <= INLINE_U64S {
            return Ok(());
        }
        pack(&KeyFormat::UNPACKED, &self.k, self.len).map(drop)
    }

    /// The header as it stands in a journal entry, before the value.
    pub fn header(&self) -> Result<PackedHeader> {
        pack(&KeyFormat::UNPACKED, &self.k, self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_values_are_kept() {
        let mut buf = KeyBuf::default();
        for len in [0usize, 8, INLINE_U64S * 8, INLINE_U64S * 8 + 8, 100 * 8, 3] {
            let value: std::vec::Vec<u8> = (0..len).map(|i| i as u8).collect();
            let k = Bkey {
                p: Bpos::new(1, len as u64, 0),
                ..Bkey::default()
            };
            buf.set(&Key { k, v: &value }).unwrap();
            assert_eq!(buf.key().v.get(..len).unwrap(), value);
            assert_eq!(buf.value().len(), len.div_ceil(8));
            assert!(buf.key().v[len..].iter().all(|b| *b == 0));
            assert_eq!(buf.key().k, k);
        }
    }
}
