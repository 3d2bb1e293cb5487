// SPDX-License-Identifier: GPL-2.0

//! The overlay: keys from the journal that may not have reached the btree yet, sorted, laid over
//! the btree by every iterator.

use crate::{
    env::{
        num::{
            sat_u32,
            usize_of_u32, //
        },
        sort::sort_by,
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        bkey::{
            split_unpacked,
            Key,
            Version, //
        },
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType, //
    },
};
use core::cmp::Ordering;

/// One key of the overlay: where it belongs and where its bytes are.
///
/// C: `struct journal_key`.
#[derive(Clone, Copy, Debug)]
struct Slot {
    pos: Bpos,
    btree: BtreeId,
    level: u8,
    /// Index of the buffer that holds the key.
    buffer: u32,
    /// Where in that buffer it starts, in bytes.
    offset: u32,
}

impl Slot {
    fn place(&self) -> (BtreeId, u8, Bpos) {
        (self.btree, self.level, self.pos)
    }
}

/// The overlay. At most one key per btree, level and position: the newest. Accounting keys are
/// kept apart, all of them, because each is a difference to be added and not a new value.
///
/// C: `struct journal_keys`.
#[derive(Debug, Default)]
pub struct JournalKeys {
    buffers: Vec<Vec<u8>>,
    slots: Vec<Slot>,
    deltas: Vec<Slot>,
}

/// A piece of the overlay: the keys of one level of one btree. Indices into [`JournalKeys`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyRange {
    /// The first key.
    pub start: usize,
    /// One after the last key.
    pub end: usize,
}

impl KeyRange {
    /// Whether no key is in the range.
    pub const fn is_empty(&self) -> bool {
        self.start >= self.end
    }
}

impl JournalKeys {
    /// An overlay without keys.
    pub const fn new() -> Self {
        Self {
            buffers: Vec::new(),
            slots: Vec::new(),
            deltas: Vec::new(),
        }
    }

    /// Takes over the bytes of one journal entry or clean section; [`JournalKeys::push`] refers to
    /// them. Buffers have to come in the order they were written, oldest first.
    pub fn add_buffer(&mut self, bytes: Vec<u8>) -> Result {
        self.buffers.push(bytes)
    }

    /// Gives the bytes last taken over back, for when none of their keys was wanted.
    pub fn last_buffer(&self) -> Option<&[u8]> {
        self.buffers.last().map(|b| &**b)
    }

    /// Notes the key that is `offset` bytes into the newest buffer.
    pub fn push(&mut self, btree: BtreeId, level: u8, offset: usize) -> Result {
        let slot = Slot {
            pos: Bpos::MIN,
            btree,
            level,
            buffer: sat_u32(self.buffers.len().saturating_sub(1)),
            offset: sat_u32(offset),
        };
        let Some(key) = self.read(&slot) else {
            return Err(Error::JournalKeyLost);
        };
        let (pos, kind) = (key.k.p, key.k.key_type);
        let slot = Slot { pos, ..slot };
        match kind {
            KeyType::ACCOUNTING if btree == BtreeId::ACCOUNTING && level == 0 => {
                self.deltas.push(slot)
            }
            _ => self.slots.push(slot),
        }
    }

    /// Sorts the overlay and drops keys that a newer one replaces.
    pub fn finish(&mut self) {
        // Later buffers and later offsets are newer: an oldest-first total order.
        let by_place = |a: &Slot, b: &Slot| {
            (a.place(), a.buffer, a.offset).cmp(&(b.place(), b.buffer, b.offset))
        };
        sort_by(&mut self.slots, by_place);
        sort_by(&mut self.deltas, by_place);
        let mut kept = 0usize;
        for i in 0..self.slots.len() {
            let Some(&slot) = self.slots.get(i) else {
                break;
            };
            let next = self.slots.get(i.saturating_add(1));
            if next.is_some_and(|n| n.place() == slot.place()) {
                continue;
            }
            if let Some(to) = self.slots.get_mut(kept) {
                *to = slot;
                kept = kept.saturating_add(1);
            }
        }
        self.slots.truncate(kept);
    }

    /// The number of keys, accounting differences not counted.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is nothing to lay over the btree.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    fn read(&self, slot: &Slot) -> Option<Key<'_>> {
        let bytes = self.buffers.get(usize_of_u32(slot.buffer))?;
        let (key, _) = split_unpacked(bytes.get(usize_of_u32(slot.offset)..)?)?;
        Some(key)
    }

    /// The keys of one level of a btree.
    pub fn range(&self, btree: BtreeId, level: u8) -> KeyRange {
        if self.slots.is_empty() {
            return KeyRange::default();
        }
        let before = |s: &Slot| (s.btree, s.level).cmp(&(btree, level));
        KeyRange {
            start: self.slots.partition_point(|s| before(s) == Ordering::Less),
            end: self
                .slots
                .partition_point(|s| before(s) != Ordering::Greater),
        }
    }

    /// The first key of `range` at or after `pos`; `range.end` when there is none.
    pub fn lower_bound(&self, range: KeyRange, pos: Bpos) -> usize {
        let keys = self.slots.get(range.start..range.end).unwrap_or_default();
        range
            .start
            .saturating_add(keys.partition_point(|s| s.pos < pos))
    }

    /// Where the key with this index is.
    #[inline]
    pub fn pos(&self, index: usize) -> Option<Bpos> {
        self.slots.get(index).map(|s| s.pos)
    }

    /// The key with this index.
    pub fn key(&self, index: usize) -> Option<Key<'_>> {
        self.read(self.slots.get(index)?)
    }

    /// The accounting differences from `first` to `last` in order of position, those at one
    /// position oldest first.
    pub fn deltas(&self, first: Bpos, last: Bpos) -> impl Iterator<Item = Key<'_>> {
        let start = self.deltas.partition_point(|s| s.pos < first);
        let end = self.deltas.partition_point(|s| s.pos <= last);
        let within = self.deltas.get(start..end).unwrap_or_default();
        within.iter().filter_map(|s| self.read(s))
    }
}

/// Whether an accounting difference of version `delta` is already part of a value of version
/// `value`. C: the `bversion_cmp()` in `bch2_journal_replay_accounting_key()`.
pub fn delta_is_applied(delta: Version, value: Version) -> bool {
    (value.hi, value.lo) >= (delta.hi, delta.lo)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::bkey::{
        Bkey,
        RawBkey, //
    };
    use zerocopy::IntoBytes as _;

    fn buffer(keys: &[(u64, KeyType)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (offset, key_type) in keys {
            let k = Bkey {
                key_type: *key_type,
                p: Bpos::new(1, *offset, 0),
                ..Bkey::default()
            };
            out.extend_from_slice(RawBkey::encode(&k, 0).unwrap().as_bytes())
                .unwrap();
        }
        out
    }

    fn overlay(buffers: &[&[(u64, KeyType)]], btree: BtreeId) -> JournalKeys {
        let mut keys = JournalKeys::new();
        for b in buffers {
            keys.add_buffer(buffer(b)).unwrap();
            for i in 0..b.len() {
                keys.push(btree, 0, i * 40).unwrap();
            }
        }
        keys.finish();
        keys
    }

    #[test]
    fn the_newest_wins() {
        let keys = overlay(
            &[
                &[(5, KeyType::SET), (3, KeyType::SET), (5, KeyType::COOKIE)],
                &[(3, KeyType::DELETED)],
            ],
            BtreeId::FREESPACE,
        );
        let range = keys.range(BtreeId::FREESPACE, 0);
        assert_eq!((range.start, range.end), (0, 2));
        assert_eq!(keys.key(0).unwrap().k.key_type, KeyType::DELETED);
        assert_eq!(keys.key(1).unwrap().k.key_type, KeyType::COOKIE);
        assert_eq!(keys.lower_bound(range, Bpos::new(1, 4, 0)), 1);
        assert_eq!(keys.lower_bound(range, Bpos::MAX), 2);
        assert!(keys.range(BtreeId::FREESPACE, 1).is_empty());
        assert!(keys.range(BtreeId::EXTENTS, 0).is_empty());
    }

    #[test]
    fn differences_are_all_kept() {
        let a = (5, KeyType::ACCOUNTING);
        let keys = overlay(&[&[a, a], &[a]], BtreeId::ACCOUNTING);
        assert!(keys.is_empty());
        assert_eq!(keys.deltas(Bpos::MIN, Bpos::MAX).count(), 3);
        assert_eq!(keys.deltas(Bpos::MIN, Bpos::MIN).count(), 0);
    }

    #[test]
    fn versions_order_by_high_word_first() {
        let v = |hi, lo| Version { hi, lo };
        assert!(delta_is_applied(v(0, 5), v(0, 5)));
        assert!(delta_is_applied(v(0, 5), v(1, 0)));
        assert!(!delta_is_applied(v(0, 6), v(0, 5)));
    }
}
