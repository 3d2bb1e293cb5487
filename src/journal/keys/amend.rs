// SPDX-License-Identifier: GPL-2.0

//! What repairs lay over the btrees, in place of what the journal has there. It is replayed with
//! the rest, and gets into the journal only then.

use super::{
    lost,
    Buffer,
    JournalKeys,
    Slot, //
};
use crate::{
    env::{
        num::sat_u32,
        Arc,
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        bkey::{
            Key,
            RawBkey, //
        },
        btree_id::BtreeId, //
    },
};
use zerocopy::IntoBytes as _;

/// What stands for the number of the journal entry of a key that is in none yet. It is behind all
/// others.
pub const AMENDED: u64 = u64::MAX;

/// Bytes of keys after which another buffer is begun.
const BUFFER_BYTES: usize = 1 << 16;

/// Keys that are to be laid over the btrees.
#[derive(Debug, Default)]
pub struct Amendments {
    buffers: Vec<Vec<u8>>,
    slots: Vec<Slot>,
    /// Btrees whose pointers to nodes, as the journal has them, do not count any more.
    forgotten: u64,
}

impl Amendments {
    /// Adds a key, or a deletion.
    pub fn add(&mut self, btree: BtreeId, level: u8, key: &Key<'_>) -> Result {
        let full = |b: &Vec<u8>| b.len() >= BUFFER_BYTES;
        if self.buffers.last().is_none_or(full) {
            self.buffers.push(Vec::new())?;
        }
        let words = u8::try_from(key.v.len() >> 3).map_err(|_| Error::Overflow)?;
        let header = RawBkey::encode(&key.k, words).ok_or(Error::Overflow)?;
        let buffer = sat_u32(self.buffers.len().saturating_sub(1));
        let bytes = self.buffers.last_mut().ok_or_else(lost)?;
        let offset = sat_u32(bytes.len());
        bytes.extend_from_slice(header.as_bytes())?;
        bytes.extend_from_slice(key.v)?;
        self.slots.push(Slot {
            pos: key.k.p,
            btree,
            level,
            buffer,
            offset,
        })
    }

    /// Pointers to nodes of `btree` that the journal has do not count any more.
    pub fn forget_pointers(&mut self, btree: BtreeId) {
        self.forgotten |= bit(btree);
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty() && self.forgotten == 0
    }

    fn forgets(&self, slot: &Slot) -> bool {
        slot.level != 0 && self.forgotten & bit(slot.btree) != 0
    }
}

fn bit(btree: BtreeId) -> u64 {
    1u64.checked_shl(btree.0.into()).unwrap_or(0)
}

impl JournalKeys {
    /// These keys, and those of `by`, which come first. Only before anything is replayed.
    pub fn amended(&self, by: Amendments) -> Result<Self> {
        let mut new = Self::new();
        new.buffers.reserve(self.buffers.len())?;
        for buffer in &self.buffers {
            new.buffers.push(buffer.clone())?;
        }
        let first = sat_u32(new.buffers.len());
        for (at, slot) in self.slots.iter().enumerate() {
            if !self.is_written(at) && !by.forgets(slot) {
                new.slots.push(*slot)?;
            }
        }
        for slot in &self.deltas {
            new.deltas.push(*slot)?;
        }
        for slot in by.slots.iter() {
            let buffer = slot.buffer.saturating_add(first);
            new.slots.push(Slot { buffer, ..*slot })?;
        }
        for bytes in by.buffers {
            let seq = AMENDED;
            new.buffers.push(Arc::try_new(Buffer { seq, bytes })?)?;
        }
        new.finish()?;
        Ok(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{
        bkey::Bkey,
        bpos::Bpos,
        key_type::KeyType, //
    };

    fn key(offset: u64, key_type: KeyType) -> Key<'static> {
        let k = Bkey {
            key_type,
            p: Bpos::new(0, offset, 0),
            ..Bkey::default()
        };
        Key { k, v: &[] }
    }

    #[test]
    fn amendments_come_first() {
        let mut first = Amendments::default();
        assert!(first.is_empty());
        for (level, offset) in [(0, 3), (0, 5), (1, 9)] {
            let key = key(offset, KeyType::SET);
            first.add(BtreeId::DIRENTS, level, &key).unwrap();
        }
        let keys = JournalKeys::new().amended(first).unwrap();
        let mut second = Amendments::default();
        second.forget_pointers(BtreeId::DIRENTS);
        let deleted = key(5, KeyType::DELETED);
        second.add(BtreeId::DIRENTS, 0, &deleted).unwrap();
        let other = key(7, KeyType::COOKIE);
        second.add(BtreeId::DIRENTS, 1, &other).unwrap();
        let keys = keys.amended(second).unwrap();
        let at = |level, offset| {
            let found = keys.at(BtreeId::DIRENTS, level, Bpos::new(0, offset, 0));
            found.map(|k| k.k.key_type)
        };
        assert_eq!(at(0, 3), Some(KeyType::SET));
        assert_eq!(at(0, 5), Some(KeyType::DELETED));
        assert_eq!((at(1, 9), at(1, 7)), (None, Some(KeyType::COOKIE)));
        assert_eq!(keys.len(), 3);
        assert!((0..3).all(|i| keys.seq(i) == Some(AMENDED)));
    }
}
