// SPDX-License-Identifier: GPL-2.0

//! What a parent says about a node.

use super::{
    health::Place,
    key_buf::KeyBuf,
    table::TableKey, //
};
use crate::{
    env::{
        units::DevIdx,
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        bkey::{
            Bkey,
            Key, //
        },
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        values::{
            btree_ptr::{
                BtreePtr,
                NodeIdentity, //
            },
            extent_entry::{
                EntrySizes,
                Ptr, //
            }, //
        },
    },
};
use core::fmt;

/// The most copies a node has. C: `BCH_REPLICAS_MAX`.
pub const COPIES_MAX: usize = 4;

/// A pointer to a node, taken out of its key.
#[derive(Clone, Copy, Debug)]
pub struct NodePtr {
    /// The btree the node is in.
    pub btree: BtreeId,
    /// The node's level; leaves are 0.
    pub level: u8,
    /// The highest position in the node.
    pub max: Bpos,
    /// What the node's header must say; `None` for pointers of the first version.
    pub id: Option<NodeIdentity>,
    copies: [Option<Ptr>; COPIES_MAX],
}

/// What makes a node different from all others, for the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeKey {
    /// The node's sequence number, or where its first copy is.
    pub hash: u64,
    /// The btree the node is in.
    pub btree: BtreeId,
    /// The node's level.
    pub level: u8,
}

impl TableKey for NodeKey {
    fn hash(&self) -> u64 {
        self.hash
            .wrapping_add(u64::from(self.btree.0) << 8)
            .wrapping_add(u64::from(self.level))
    }
}

impl NodePtr {
    /// Takes a pointer to a node of `level` out of `key`. An error when the key is no pointer or
    /// has no copy; the caller knows where it stood.
    pub fn decode(btree: BtreeId, level: u8, key: &Key<'_>, sizes: &EntrySizes) -> Result<NodePtr> {
        let Ok(Some(ptr)) = BtreePtr::decode(key) else {
            return Err(Error::NodeChildKind);
        };
        let mut copies = [None; COPIES_MAX];
        let found = ptr.ptrs(sizes).map_while(|p| p.ok()).map(|p| p.ptr);
        for (slot, copy) in copies.iter_mut().zip(found) {
            *slot = Some(copy);
        }
        Ok(NodePtr {
            btree,
            level,
            max: ptr.max_key(),
            id: ptr.v2,
            copies,
        })
    }

    /// A pointer to a new node that covers `range`, with copies at `copies`.
    pub(super) fn of_new(
        btree: BtreeId,
        level: u8,
        seq: u64,
        range: (Bpos, Bpos),
        copies: [Option<Ptr>; COPIES_MAX],
    ) -> Self {
        Self {
            btree,
            level,
            max: range.1,
            id: Some(NodeIdentity {
                seq,
                sectors_written: 0,
                min_key: range.0,
                range_updated: false,
            }),
            copies,
        }
    }

    /// The key of a pointer, when so many sectors of the node are written. `None` for a pointer of
    /// the first version, which does not say.
    pub(super) fn key(&self, sectors_written: u16) -> Result<Option<KeyBuf>> {
        let Some(id) = self.id else {
            return Ok(None);
        };
        let id = NodeIdentity {
            sectors_written,
            ..id
        };
        let mut value = Vec::new();
        value.extend_from_slice(&id.encode())?;
        for copy in self.copies() {
            value.extend_from_slice(&copy.to_word().to_le_bytes())?;
        }
        let k = Bkey {
            key_type: KeyType::BTREE_PTR_V2,
            p: self.max,
            ..Bkey::default()
        };
        Ok(Some(KeyBuf::of(k, &value)?))
    }

    /// Whether the copies are where those of `other` are.
    pub(super) fn has_copies_of(&self, other: &Self) -> bool {
        self.copies == other.copies
    }

    /// Adds a copy, if there is room for it.
    pub(super) fn add_copy(&mut self, copy: Ptr) {
        if let Some(free) = self.copies.iter_mut().find(|c| c.is_none()) {
            *free = Some(copy);
        }
    }

    /// The pointer without the copy on a device.
    pub(super) fn without(mut self, dev: DevIdx) -> Self {
        for copy in &mut self.copies {
            if copy.is_some_and(|c| c.dev == dev) {
                *copy = None;
            }
        }
        self
    }

    /// The lowest position in the node, if the pointer says.
    pub fn min(&self) -> Option<Bpos> {
        self.id.map(|id| id.min_key)
    }

    /// Sectors of the node that hold keys; `None` when the pointer does not say.
    pub fn sectors_written(&self) -> Option<u16> {
        self.id.map(|id| id.sectors_written).filter(|s| *s != 0)
    }

    /// Whether the pointer's range counts and not the node's.
    pub fn range_updated(&self) -> bool {
        self.id.is_some_and(|id| id.range_updated)
    }

    /// Where the copies are.
    pub fn copies(&self) -> impl Iterator<Item = Ptr> + '_ {
        self.copies.iter().flatten().copied()
    }

    /// The place of the node, as far as the pointer says.
    pub fn place(&self) -> Place {
        Place {
            btree: self.btree,
            level: self.level,
            pos: self.min().unwrap_or(self.max),
            at: self.copies().next().map(|p| (p.dev, p.offset.0)),
        }
    }

    /// What to look for in the cache.
    pub fn cache_key(&self) -> NodeKey {
        let hash = match self.id {
            Some(id) => id.seq,
            None => self.copies().next().map_or(0, |p| p.to_word()),
        };
        NodeKey {
            hash,
            btree: self.btree,
            level: self.level,
        }
    }
}

impl fmt::Display for NodePtr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "btree {} level {} ", self.btree, self.level)?;
        match self.min() {
            Some(min) => write!(f, "{min} - {}", self.max),
            None => write!(f, "up to {}", self.max),
        }
    }
}
