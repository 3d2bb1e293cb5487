// SPDX-License-Identifier: GPL-2.0

//! The keys of one set as read from disk: checked word counts, nothing assumed.

use super::{
    key_format::{
        KeyFormat,
        MAX_KEY_U64S, //
    },
    pack::Head,
};
use crate::{
    env::num::u64_of,
    error::{
        fsck::FsckError,
        Invalid, //
    },
    format::{
        bkey::{
            Bkey,
            Key,
            BKEY_BYTES,
            FORMAT_UNPACKED, //
        },
        bpos::Bpos,
    },
};

/// Most words a value can have. C: `BKEY_VAL_U64s_MAX`.
const MAX_VALUE_U64S: usize = 255 - MAX_KEY_U64S;

const _: () = assert!(MAX_KEY_U64S * 8 == BKEY_BYTES);

/// One key of a set, its length checked.
///
/// C: `struct bkey_packed`.
#[derive(Clone, Copy, Debug)]
pub struct RawKey<'a> {
    /// The header's words; those beyond its length are 0.
    header: [u64; MAX_KEY_U64S],
    /// Words of the header.
    key_u64s: usize,
    bytes: &'a [u8],
}

/// Something wrong in a set of keys.
#[derive(Clone, Copy, Debug)]
pub struct BadKey {
    /// Where the key starts, in words from the start of the set.
    pub at: usize,
    /// What is wrong with it.
    pub invalid: Invalid,
}

impl<'a> RawKey<'a> {
    /// What the key says of itself.
    #[inline]
    pub fn head(&self) -> Head {
        let [first, ..] = self.header;
        Head::of(first)
    }

    /// The header's words.
    #[inline]
    pub fn header(&self) -> &[u64] {
        self.header.get(..self.key_u64s).unwrap_or(&self.header)
    }

    /// The whole key as stored.
    #[inline]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The value as stored.
    #[inline]
    pub fn value(&self) -> &'a [u8] {
        self.bytes
            .get(self.key_u64s.saturating_mul(8)..)
            .unwrap_or(&[])
    }

    /// The position; `format` is the node's.
    #[inline]
    pub fn pos(&self, format: &KeyFormat) -> Bpos {
        format.of_key(self.head()).unpack_pos(self.header())
    }

    /// The unpacked header; `format` is the node's.
    #[inline]
    pub fn unpack(&self, format: &KeyFormat) -> Bkey {
        format.of_key(self.head()).unpack(self.header())
    }

    /// The unpacked key with its value; `format` is the node's.
    #[inline]
    pub fn key(&self, format: &KeyFormat) -> Key<'a> {
        Key {
            k: self.unpack(format),
            v: self.value(),
        }
    }
}

/// Walks over the keys of a set. After an error it ends: what follows can not be found.
#[derive(Clone, Debug)]
pub struct RawKeys<'a> {
    format: &'a KeyFormat,
    rest: &'a [u8],
    at: usize,
}

impl<'a> RawKeys<'a> {
    /// Walks over `set`, the keys of a set as stored, in a node with this format.
    pub fn new(format: &'a KeyFormat, set: &'a [u8]) -> Self {
        Self {
            format,
            rest: set,
            at: 0,
        }
    }

    /// Where the next key starts, in words from the start of the set.
    pub fn at(&self) -> usize {
        self.at
    }

    fn split(&mut self, first: u64) -> Result<RawKey<'a>, Invalid> {
        let head = Head::of(first);
        let (u64s, format) = (head.u64s(), head.format());
        if format > FORMAT_UNPACKED {
            return Err(Invalid::with(
                FsckError::BTREE_NODE_BKEY_BAD_FORMAT,
                "key format's number",
                u64::from(format),
                u64::from(FORMAT_UNPACKED),
            ));
        }
        let key_u64s = self.format.of_key(head).key_u64s();
        let value_u64s = u64s.checked_sub(key_u64s);
        if value_u64s.is_none_or(|v| v > MAX_VALUE_U64S) {
            return Err(Invalid::with(
                FsckError::BTREE_NODE_BKEY_BAD_U64S,
                "words of a key, against those of its header",
                u64_of(u64s),
                u64_of(key_u64s),
            ));
        }
        let Some((bytes, rest)) = self.rest.split_at_checked(u64s.saturating_mul(8)) else {
            return Err(Invalid::with(
                FsckError::BTREE_NODE_BKEY_PAST_BSET_END,
                "words of a key, against those left in its set",
                u64_of(u64s),
                u64_of(self.rest.len() >> 3),
            ));
        };
        let mut header = [0; MAX_KEY_U64S];
        let stored = bytes.chunks_exact(8).take(key_u64s);
        for (to, from) in header.iter_mut().zip(stored) {
            *to = word(from);
        }
        self.rest = rest;
        self.at = self.at.saturating_add(u64s);
        Ok(RawKey {
            header,
            key_u64s,
            bytes,
        })
    }
}

impl<'a> Iterator for RawKeys<'a> {
    type Item = Result<RawKey<'a>, BadKey>;

    fn next(&mut self) -> Option<Self::Item> {
        let first = word(self.rest.get(..8)?);
        let at = self.at;
        Some(self.split(first).map_err(|invalid| {
            self.rest = &[];
            BadKey { at, invalid }
        }))
    }
}

/// The word at the start of `bytes`; 0 when there are less than eight.
#[inline]
pub(super) fn word(bytes: &[u8]) -> u64 {
    match bytes.first_chunk::<8>() {
        Some(b) => u64::from_le_bytes(*b),
        None => 0,
    }
}

/// Checks that `set` can be walked to its end, that its keys are in order, each position only
/// once, and that they lie within `min` to `max`. Calls `check` with every key, for checks of
/// values. Returns the number of keys.
///
/// C: `validate_bset_keys()`.
pub fn check_set(
    format: &KeyFormat,
    set: &[u8],
    min: Bpos,
    max: Bpos,
    mut check: impl FnMut(Key<'_>) -> Result<(), Invalid>,
) -> Result<usize, BadKey> {
    let mut prev: Option<Bpos> = None;
    let mut nr = 0usize;
    let mut keys = RawKeys::new(format, set);
    loop {
        let at = keys.at();
        let Some(raw) = keys.next() else {
            return Ok(nr);
        };
        let key = raw?.key(format);
        let bad = |id, what| {
            let invalid = Invalid::with(id, what, key.k.p.inode, key.k.p.offset);
            Err(BadKey { at, invalid })
        };
        if prev.is_some_and(|p| p >= key.k.p) {
            let what = "key not above the one before; it is at inode:offset";
            return bad(FsckError::BTREE_NODE_BKEY_OUT_OF_ORDER, what);
        }
        if key.k.p < min {
            let what = "key before the start of its node; it is at inode:offset";
            return bad(FsckError::BKEY_BEFORE_START_OF_BTREE_NODE, what);
        }
        if key.k.p > max {
            let what = "key after the end of its node; it is at inode:offset";
            return bad(FsckError::BKEY_AFTER_END_OF_BTREE_NODE, what);
        }
        check(key).map_err(|invalid| BadKey { at, invalid })?;
        prev = Some(key.k.p);
        nr = nr.saturating_add(1);
    }
}
