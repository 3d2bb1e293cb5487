// SPDX-License-Identifier: GPL-2.0

//! Making the keys of a new node.

use super::NodeKeys;
use crate::{
    algo::{
        key_format::{
            FormatBuilder,
            KeyFormat, //
        },
        pack::PackedHeader,
        search_key::SearchKey, //
    },
    env::Vec,
    error::{
        Error,
        Result, //
    },
    format::{
        bkey::Bkey,
        bpos::Bpos, //
    },
};

/// The header of `k` for a value of so many words, packed when `format` can hold it. An error when
/// the whole is longer than a key can be.
pub fn pack(format: &KeyFormat, k: &Bkey, value_u64s: usize) -> Result<PackedHeader> {
    packed_or_not(k, value_u64s, |nr| format.pack(k, nr))
}

/// The same, with the position packed already.
pub(super) fn pack_at(
    format: &KeyFormat,
    at: &SearchKey,
    k: &Bkey,
    value_u64s: usize,
) -> Result<PackedHeader> {
    packed_or_not(k, value_u64s, |nr| format.pack_at(at, k, nr))
}

#[inline]
fn packed_or_not(
    k: &Bkey,
    value_u64s: usize,
    packed: impl FnOnce(u8) -> Option<PackedHeader>,
) -> Result<PackedHeader> {
    let header = u8::try_from(value_u64s)
        .ok()
        .and_then(|nr| packed(nr).or_else(|| KeyFormat::UNPACKED.pack(k, nr)));
    header.ok_or(Error::KeyTooLong)
}

/// Makes the keys of a new node: first all are counted, then all are pushed.
///
/// C: `struct bkey_format_state`, `bch2_btree_node_alloc_replacement()`.
pub struct Builder {
    counted: FormatBuilder,
    format: KeyFormat,
    words: Vec<u64>,
}

impl Builder {
    /// A node for the positions from `min` to `max`.
    pub fn new(min: Bpos, max: Bpos) -> Self {
        let mut counted = FormatBuilder::new();
        counted.add_pos(min);
        counted.add_pos(max);
        Self {
            counted,
            format: KeyFormat::UNPACKED,
            words: Vec::new(),
        }
    }

    /// The node is going to have this key.
    pub fn count(&mut self, k: &Bkey) {
        self.counted.add_key(k);
    }

    /// The node is going to have all keys of this one.
    pub fn count_all(&mut self, keys: &NodeKeys) -> Result {
        keys.each_stored(keys.start(), |stored| {
            self.count(&keys.split(stored).0);
            Ok(true)
        })
    }

    /// All keys were counted.
    pub fn lay_out(&mut self) {
        self.format = self.counted.finish();
    }

    /// Keys are packed as those of another node are, without being counted. Those for which that
    /// does not do are not packed.
    pub fn lay_out_as(&mut self, keys: &NodeKeys) {
        self.format = keys.format;
    }

    /// Makes room for `nr` keys that were counted, with values of `value_u64s` words together.
    pub(super) fn reserve(&mut self, nr: usize, value_u64s: usize) -> Result {
        let headers = nr.saturating_mul(self.format.key_u64s());
        self.words.reserve(headers.saturating_add(value_u64s))
    }

    /// Appends a key; it has to be after those before.
    pub fn push(&mut self, k: &Bkey, value: &[u64]) -> Result {
        let header = pack(&self.format, k, value.len())?;
        self.words.extend_from_slice(header.words())?;
        self.words.extend_from_slice(value)
    }

    /// Appends all keys of a node.
    pub fn push_all(&mut self, keys: &NodeKeys) -> Result {
        self.words.reserve(keys.live_u64s())?;
        if keys.format == self.format {
            return keys.each_piece(|stored| self.words.extend_from_slice(stored));
        }
        keys.each_stored(keys.start(), |stored| {
            let (k, value) = keys.split(stored);
            self.push(&k, value)?;
            Ok(true)
        })
    }

    /// The keys.
    pub fn finish(self) -> Result<NodeKeys> {
        NodeKeys::of_words(self.format, self.words)
    }
}
