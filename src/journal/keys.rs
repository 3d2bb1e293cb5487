// SPDX-License-Identifier: GPL-2.0

//! The overlay: keys from the journal that may not have reached the btree yet, sorted, laid over
//! the btree by every iterator.
//!
//! While they are replayed, which changes the btrees, a key of the overlay counts until something
//! is written to its place: itself, or something newer.

use crate::{
    env::{
        num::{
            sat_u32,
            usize_of_u32, //
        },
        sort::sort_by,
        Arc,
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
        btree_id::{
            BtreeId,
            BTREE_MAX_DEPTH, //
        },
        key_type::KeyType, //
    },
};
use core::{
    cmp::Ordering,
    sync::atomic::{
        AtomicBool,
        AtomicU64,
        Ordering::{
            Acquire,
            Release, //
        }, //
    },
};

mod amend;

pub use amend::{
    Amendments,
    AMENDED, //
};

/// Bits of a word of [`JournalKeys`]'s `written`.
const WORD_BITS: usize = 64;

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
    buffers: Vec<Arc<Buffer>>,
    slots: Vec<Slot>,
    deltas: Vec<Slot>,
    /// One bit for each slot: something was written to its place.
    written: Vec<AtomicU64>,
    /// The deltas were added to what they are differences of.
    deltas_added: AtomicBool,
}

/// The keys of a journal entry.
#[derive(Debug)]
struct Buffer {
    /// The number of the entry; 0 for a clean section.
    seq: u64,
    bytes: Vec<u8>,
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
            written: Vec::new(),
            deltas_added: AtomicBool::new(false),
        }
    }

    /// Takes over the bytes of journal entry `seq`, or of a clean section (0);
    /// [`JournalKeys::push`] refers to them. Buffers have to come in the order they were written,
    /// oldest first.
    pub fn add_buffer(&mut self, seq: u64, bytes: Vec<u8>) -> Result {
        self.buffers.push(Arc::try_new(Buffer { seq, bytes })?)
    }

    /// Gives the bytes last taken over back, for when none of their keys was wanted.
    pub fn last_buffer(&self) -> Option<&[u8]> {
        self.buffers.last().map(|b| &*b.bytes)
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
        let key = self.read(&slot).ok_or_else(lost)?;
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
    pub fn finish(&mut self) -> Result {
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
        self.written = Vec::with_capacity(kept.div_ceil(WORD_BITS))?;
        for _ in 0..kept.div_ceil(WORD_BITS) {
            self.written.push(AtomicU64::new(0))?;
        }
        Ok(())
    }

    fn bit(&self, index: usize) -> Option<(&AtomicU64, u64)> {
        Some((
            self.written.get(index / WORD_BITS)?,
            1 << (index % WORD_BITS),
        ))
    }

    /// Whether something was written to the place of the key with this index, which does not count
    /// any more.
    #[inline]
    pub fn is_written(&self, index: usize) -> bool {
        let bit = self.bit(index);
        bit.is_none_or(|(word, bit)| word.load(Acquire) & bit != 0)
    }

    /// Something was written to a place: the key that the overlay has for it does not count any
    /// more. Called with the node there locked.
    ///
    /// C: `bch2_journal_key_overwritten()`.
    pub fn note_written(&self, btree: BtreeId, level: u8, pos: Bpos) {
        let at = self.lower_bound(self.range(btree, level), pos);
        let is_there = self.slots.get(at).map(Slot::place) == Some((btree, level, pos));
        if let Some((word, bit)) = self.bit(at).filter(|_| is_there) {
            word.fetch_or(bit, Release);
        }
    }

    /// The nodes of a btree are given up: pointers to nodes do not count any more.
    pub fn forget_pointers(&self, btree: BtreeId) {
        for level in 1..=BTREE_MAX_DEPTH {
            let range = self.range(btree, level);
            for at in range.start..range.end {
                if let Some((word, bit)) = self.bit(at) {
                    word.fetch_or(bit, Release);
                }
            }
        }
    }

    /// The first key from index `at` to before `end` that still counts; or `end`.
    #[inline]
    pub fn counting(&self, mut at: usize, end: usize) -> usize {
        while at < end {
            let Some((word, bit)) = self.bit(at) else {
                return end;
            };
            let gone = word.load(Acquire);
            if gone & bit == 0 {
                return at;
            }
            // Over the rest of the word at once, if all of it is gone.
            let rest = gone | bit.wrapping_sub(1);
            at = match rest {
                u64::MAX => (at / WORD_BITS).saturating_add(1).saturating_mul(WORD_BITS),
                _ => at.saturating_add(1),
            };
        }
        end
    }

    /// The key at exactly this place, if there is one that still counts; it may be a deletion.
    pub fn at(&self, btree: BtreeId, level: u8, pos: Bpos) -> Option<Key<'_>> {
        let at = self.lower_bound(self.range(btree, level), pos);
        let slot = self.slots.get(at)?;
        let counts = slot.place() == (btree, level, pos) && !self.is_written(at);
        counts.then(|| self.read(slot)).flatten()
    }

    /// The first key of a btree's leaves at or after `pos` that still counts; it may be a deletion.
    pub fn next(&self, btree: BtreeId, pos: Bpos) -> Option<Key<'_>> {
        let range = self.range(btree, 0);
        let at = self.counting(self.lower_bound(range, pos), range.end);
        (at < range.end).then(|| self.key(at)).flatten()
    }

    /// The number of the journal entry that the key with this index is from.
    pub fn seq(&self, index: usize) -> Option<u64> {
        self.seq_of(self.slots.get(index)?)
    }

    /// The btree, level and value of the key with this index, and the number of the journal entry
    /// that it is from.
    pub fn with_origin(&self, index: usize) -> Result<(BtreeId, u8, Key<'_>, u64)> {
        let get = || {
            let slot = self.slots.get(index)?;
            Some((slot.btree, slot.level, self.read(slot)?, self.seq_of(slot)?))
        };
        get().ok_or_else(lost)
    }

    fn seq_of(&self, slot: &Slot) -> Option<u64> {
        Some(self.buffers.get(usize_of_u32(slot.buffer))?.seq)
    }

    /// The number of keys, accounting differences not counted.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are accounting differences.
    pub fn has_deltas(&self) -> bool {
        !self.deltas.is_empty()
    }

    /// Whether there is nothing to lay over the btree.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    fn read(&self, slot: &Slot) -> Option<Key<'_>> {
        let bytes = &self.buffers.get(usize_of_u32(slot.buffer))?.bytes;
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
    /// position oldest first. None when they were added.
    pub fn deltas(&self, first: Bpos, last: Bpos) -> impl Iterator<Item = Key<'_>> {
        self.deltas_from(first, last).map(|(key, _)| key)
    }

    /// The same, with the number of the journal entry each is from.
    pub fn deltas_from(&self, first: Bpos, last: Bpos) -> impl Iterator<Item = (Key<'_>, u64)> {
        let start = self.deltas.partition_point(|s| s.pos < first);
        let end = self.deltas.partition_point(|s| s.pos <= last);
        let within = match self.deltas_added.load(Acquire) {
            true => &[],
            false => self.deltas.get(start..end).unwrap_or_default(),
        };
        within
            .iter()
            .filter_map(|s| Some((self.read(s)?, self.seq_of(s)?)))
    }

    /// All differences were added to what they are differences of.
    pub fn note_deltas_added(&self) {
        self.deltas_added.store(true, Release);
    }
}

/// There are no bytes for a key that was noted.
#[cold]
fn lost() -> Error {
    Error::JournalKeyLost
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
            keys.add_buffer(7, buffer(b)).unwrap();
            for i in 0..b.len() {
                keys.push(btree, 0, i * 40).unwrap();
            }
        }
        keys.finish().unwrap();
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
    fn what_was_written_does_not_count() {
        let all: std::vec::Vec<_> = (0..200).map(|i| (i, KeyType::SET)).collect();
        let keys = overlay(&[&all], BtreeId::FREESPACE);
        let at = |i: u64| keys.at(BtreeId::FREESPACE, 0, Bpos::new(1, i, 0));
        for i in 0..150 {
            assert!(at(i).is_some());
            keys.note_written(BtreeId::FREESPACE, 0, Bpos::new(1, i, 0));
            assert!(at(i).is_none() && at(i + 1).is_some());
            assert_eq!(keys.counting(0, 200), i as usize + 1);
        }
        keys.note_written(BtreeId::FREESPACE, 1, Bpos::new(1, 170, 0));
        keys.note_written(BtreeId::FREESPACE, 0, Bpos::new(2, 0, 0));
        assert_eq!(keys.counting(160, 200), 160);
        assert_eq!(keys.counting(3, 100), 100);
        assert_eq!(keys.seq(170), Some(7));
    }

    #[test]
    fn differences_are_all_kept() {
        let a = (5, KeyType::ACCOUNTING);
        let keys = overlay(&[&[a, a], &[a]], BtreeId::ACCOUNTING);
        assert!(keys.is_empty());
        assert_eq!(keys.deltas(Bpos::MIN, Bpos::MAX).count(), 3);
        assert_eq!(keys.deltas(Bpos::MIN, Bpos::MIN).count(), 0);
        keys.note_deltas_added();
        assert_eq!(keys.deltas(Bpos::MIN, Bpos::MAX).count(), 0);
    }

    #[test]
    fn versions_order_by_high_word_first() {
        let v = |hi, lo| Version { hi, lo };
        assert!(delta_is_applied(v(0, 5), v(0, 5)));
        assert!(delta_is_applied(v(0, 5), v(1, 0)));
        assert!(!delta_is_applied(v(0, 6), v(0, 5)));
    }
}
