// SPDX-License-Identifier: GPL-2.0

//! One node in memory.

use super::{
    health::Place,
    ptr::NodePtr, //
};
use crate::{
    algo::node_keys::NodeKeys,
    env::{
        num::u64_of,
        units::DevIdx,
        Vec, //
    },
    format::{
        bkey::Key,
        bpos::Bpos,
        btree_id::BtreeId, //
    },
};
use core::sync::atomic::{
    AtomicBool,
    Ordering, //
};

/// A node, all its sets of keys merged into one. Never changes.
///
/// C: `struct btree`.
#[derive(Debug)]
pub struct Node {
    /// The btree it is in.
    pub btree: BtreeId,
    /// Levels above the leaves.
    pub level: u8,
    /// The lowest position it covers.
    pub min: Bpos,
    /// The highest position it covers.
    pub max: Bpos,
    /// The sequence number of its header.
    pub seq: u64,
    /// The device and the sector it was read from.
    pub at: (DevIdx, u64),
    keys: NodeKeys,
    /// Places of keys that can not be right, ascending.
    invalid: Vec<usize>,
    used: AtomicBool,
    /// Damage of the pointers in it was reported.
    reported: AtomicBool,
}

/// A key in a node.
#[derive(Clone, Copy, Debug)]
pub struct Slot<'a> {
    /// The key.
    pub key: Key<'a>,
    /// Its value was found to be invalid when the node was read.
    pub invalid: bool,
    /// The place of the key after it.
    pub next: usize,
}

impl Node {
    /// A node from its checked parts; `invalid` holds places of `keys`, ascending.
    #[inline(never)]
    pub(super) fn new(
        ptr: &NodePtr,
        at: (DevIdx, u64),
        seq: u64,
        range: (Bpos, Bpos),
        (keys, invalid): (NodeKeys, Vec<usize>),
    ) -> Self {
        Self {
            btree: ptr.btree,
            level: ptr.level,
            min: range.0,
            max: range.1,
            seq,
            at,
            keys,
            invalid,
            used: AtomicBool::new(true),
            reported: AtomicBool::new(false),
        }
    }

    /// Whether the node covers `pos`.
    #[inline]
    pub fn covers(&self, pos: Bpos) -> bool {
        self.min <= pos && pos <= self.max
    }

    /// The place of the first key at or after `pos`.
    #[inline]
    pub fn search(&self, pos: Bpos) -> usize {
        self.keys.search(&pos)
    }

    /// The position of the key at `place`; `None` when there is none in the node's range.
    #[inline]
    pub fn pos_at(&self, place: usize) -> Option<Bpos> {
        self.keys.pos_at(place).filter(|p| *p <= self.max)
    }

    /// The key at `place`; `None` when there is none in the node's range.
    #[inline]
    pub fn key_at(&self, place: usize) -> Option<Slot<'_>> {
        let placed = self.keys.key_at(place)?;
        if placed.key.k.p > self.max {
            return None;
        }
        Some(Slot {
            key: placed.key,
            invalid: !self.invalid.is_empty() && self.invalid.binary_search(&place).is_ok(),
            next: placed.next,
        })
    }

    /// The value of the key at `place`.
    #[inline]
    pub fn value_at(&self, place: usize) -> Option<&[u8]> {
        self.keys.value_at(place)
    }

    /// Bytes of memory the node takes.
    pub fn memory_bytes(&self) -> u64 {
        let fixed = size_of::<Self>().saturating_add(self.invalid.len().saturating_mul(8));
        self.keys.bytes().saturating_add(u64_of(fixed))
    }

    /// Notes that the node was wanted.
    #[inline]
    pub(super) fn touch(&self) {
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
    }

    /// Whether damage of the pointers in it has not been reported yet; it is now.
    pub(super) fn report_once(&self) -> bool {
        !self.reported.swap(true, Ordering::Relaxed)
    }

    /// Where the node is, with position `pos` in it.
    pub fn place(&self, pos: Bpos) -> Place {
        Place {
            btree: self.btree,
            level: self.level,
            pos,
            at: Some(self.at),
        }
    }

    /// Whether the node was wanted since the last time this was asked.
    pub(super) fn take_used(&self) -> bool {
        self.used.swap(false, Ordering::Relaxed)
    }
}
