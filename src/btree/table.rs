// SPDX-License-Identifier: GPL-2.0

//! The hash table of one shard of a cache: open addressing, linear probing. It grows only where the
//! caller says, as nothing may be allocated under the shard's lock.

use crate::{
    env::{
        num::usize_of,
        Vec, //
    },
    error::Result, //
};

/// What values are found by.
pub(super) trait TableKey: Copy + PartialEq {
    /// A number that is the same for the same key, and most often another one for others.
    fn hash(&self) -> u64;
}

/// A table of values of type `T` by keys of type `K`.
#[derive(Debug)]
pub(super) struct Table<K, T> {
    slots: Vec<Option<(K, T)>>,
    len: usize,
}

/// Memory for a larger table.
pub(super) struct Room<K, T>(Vec<Option<(K, T)>>);

const MIN_SLOTS: usize = 64;

impl<K: TableKey, T> Table<K, T> {
    /// A table that has no room yet.
    pub(super) const fn new() -> Self {
        Self {
            slots: Vec::new(),
            len: 0,
        }
    }

    /// Elements in the table.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Slots in the table; a power of two, or 0.
    pub(super) fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// Whether the table has to grow before the next insertion: at three quarters.
    pub(super) fn is_full(&self) -> bool {
        self.len.saturating_mul(4) >= self.slots.len().saturating_mul(3)
    }

    /// Memory for twice as many elements as a table of `capacity` slots has.
    pub(super) fn room(capacity: usize) -> Result<Room<K, T>> {
        let n = capacity.saturating_mul(2).max(MIN_SLOTS);
        let mut slots = Vec::with_capacity(n)?;
        for _ in 0..n {
            slots.push(None)?;
        }
        Ok(Room(slots))
    }

    /// Moves to larger memory; gives the old back, for the caller to free without the lock.
    pub(super) fn grow(&mut self, mut room: Room<K, T>) -> Room<K, T> {
        if room.0.len() <= self.slots.len() {
            return room;
        }
        core::mem::swap(&mut self.slots, &mut room.0);
        self.len = 0;
        for old in room.0.iter_mut() {
            if let Some((key, value)) = old.take() {
                self.insert(key, value);
            }
        }
        room
    }

    fn home(&self, key: &K) -> usize {
        let mixed = key.hash().wrapping_mul(0x9e37_79b9_7f4a_7c15);
        usize_of(mixed >> 20) & self.mask()
    }

    fn mask(&self) -> usize {
        self.slots.len().wrapping_sub(1)
    }

    fn slot_of(&self, key: &K) -> Option<usize> {
        let mut at = self.home(key);
        for _ in 0..self.slots.len() {
            match self.slots.get(at)? {
                None => return None,
                Some((k, _)) if k == key => return Some(at),
                Some(_) => at = at.wrapping_add(1) & self.mask(),
            }
        }
        None
    }

    /// The element with this key.
    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut T> {
        let at = self.slot_of(key)?;
        self.slots.get_mut(at)?.as_mut().map(|(_, value)| value)
    }

    /// Adds an element; the key must not be in the table yet. Gives the value back when there is
    /// no room.
    pub(super) fn insert(&mut self, key: K, value: T) -> Option<T> {
        let mut at = self.home(&key);
        for _ in 0..self.slots.len() {
            match self.slots.get_mut(at) {
                Some(slot @ None) => {
                    *slot = Some((key, value));
                    self.len = self.len.saturating_add(1);
                    return None;
                }
                _ => at = at.wrapping_add(1) & self.mask(),
            }
        }
        Some(value)
    }

    /// Takes the element with this key out.
    pub(super) fn remove(&mut self, key: &K) -> Option<T> {
        let at = self.slot_of(key)?;
        self.remove_at(at)
    }

    /// The element in slot `at`.
    pub(super) fn peek_at(&self, at: usize) -> Option<&T> {
        self.slots.get(at)?.as_ref().map(|(_, value)| value)
    }

    /// Takes the element in slot `at` out, and moves later ones of its chain up.
    pub(super) fn remove_at(&mut self, at: usize) -> Option<T> {
        let (_, value) = self.slots.get_mut(at)?.take()?;
        self.len = self.len.saturating_sub(1);
        let mut hole = at;
        let mut next = at;
        for _ in 0..self.slots.len() {
            next = next.wrapping_add(1) & self.mask();
            let Some(Some((key, _))) = self.slots.get(next) else {
                break;
            };
            // An element may move up to the hole if its home is not after the hole.
            let from_home = next.wrapping_sub(self.home(key)) & self.mask();
            let from_hole = next.wrapping_sub(hole) & self.mask();
            if from_home < from_hole {
                continue;
            }
            let moved = self.slots.get_mut(next).and_then(Option::take);
            if let Some(slot) = self.slots.get_mut(hole) {
                *slot = moved;
            }
            hole = next;
        }
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        btree::ptr::NodeKey,
        format::btree_id::BtreeId, //
    };
    use std::collections::HashMap;

    #[test]
    fn behaves_like_a_map() {
        let mut table = Table::new();
        let mut model = HashMap::new();
        let mut seed = 1u64;
        for step in 0..20_000u64 {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1);
            let key = NodeKey {
                hash: (seed >> 33) % 300,
                btree: BtreeId(0),
                level: 0,
            };
            if seed >> 63 == 0 {
                assert_eq!(table.remove(&key), model.remove(&key.hash));
            } else if table.get_mut(&key).is_none() {
                if table.is_full() {
                    let room = Table::room(table.capacity()).unwrap();
                    table.grow(room);
                }
                assert_eq!(table.insert(key, step), None);
                model.insert(key.hash, step);
            }
            assert_eq!(table.len(), model.len());
            assert_eq!(table.get_mut(&key).copied(), model.get(&key.hash).copied());
        }
    }

    #[test]
    fn a_table_without_room_refuses() {
        let mut table = Table::new();
        let key = NodeKey {
            hash: 1,
            btree: BtreeId(0),
            level: 0,
        };
        assert_eq!(table.insert(key, 5), Some(5));
        assert_eq!(table.remove(&key), None);
    }
}
