// SPDX-License-Identifier: GPL-2.0

//! What reading the journal gives.

use super::{
    blacklist::Blacklist,
    key_check::KeyCheck,
    keys::JournalKeys, //
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
            split_unpacked,
            Key, //
        },
        btree_id::{
            BtreeId,
            BTREE_ID_NR_MAX, //
        },
        jset::Entry,
        key_type::KeyType, //
    },
};

/// Where a btree starts.
///
/// C: `struct btree_root`.
#[derive(Debug)]
pub struct Root {
    /// Levels above the leaves.
    pub level: u8,
    /// The pointer to the root node, as a whole key; empty when it was recorded but is not
    /// readable.
    bytes: Vec<u8>,
}

impl Root {
    /// The pointer to the root node; `None` when it was recorded but is not readable.
    pub fn key(&self) -> Option<Key<'_>> {
        split_unpacked(&self.bytes).map(|(key, _)| key)
    }
}

/// The roots of all btrees that have one.
#[derive(Debug)]
pub struct Roots {
    by_id: Vec<Option<Root>>,
}

impl Roots {
    /// No roots.
    pub fn new() -> Result<Self> {
        let mut by_id = Vec::with_capacity(usize::from(BTREE_ID_NR_MAX))?;
        for _ in 0..BTREE_ID_NR_MAX {
            by_id.push(None)?;
        }
        Ok(Self { by_id })
    }

    /// The root of `btree`; a btree without one is empty.
    pub fn get(&self, btree: BtreeId) -> Option<&Root> {
        self.by_id.get(usize::from(btree.0))?.as_ref()
    }

    /// The btrees that have a root.
    pub fn iter(&self) -> impl Iterator<Item = (BtreeId, &Root)> {
        (0..BTREE_ID_NR_MAX)
            .map(BtreeId)
            .filter_map(|id| Some((id, self.get(id)?)))
    }

    /// Takes the root from a root record, instead of any older one. The record has been
    /// validated, or `valid` is false: then only the btree's existence is noted.
    pub(super) fn set(&mut self, record: &Entry<'_>, valid: bool) -> Result {
        let mut bytes = Vec::new();
        if valid {
            bytes.extend_from_slice(record.data)?;
        }
        match self.by_id.get_mut(usize::from(record.btree.0)) {
            Some(slot) => {
                *slot = Some(Root {
                    level: record.level,
                    bytes,
                });
                Ok(())
            }
            None => Err(Error::JournalBadBtree),
        }
    }
}

/// Whether a key of this kind can lead to a btree node.
pub(super) fn is_node_pointer(kind: KeyType) -> bool {
    matches!(kind, KeyType::BTREE_PTR | KeyType::BTREE_PTR_V2)
}

/// A journal bucket with entries of this filesystem, some of which may still be needed.
#[derive(Clone, Copy, Debug)]
pub struct UsedBucket {
    /// The device.
    pub dev: DevIdx,
    /// The bucket, by index in the device's list of journal buckets.
    pub bucket: usize,
    /// The newest entry in it, whether it counts or not.
    pub seq: u64,
    /// Sectors from the start of the bucket to the end of that entry.
    pub end: u32,
}

/// What recovery starts from.
#[derive(Debug)]
pub struct JournalContents {
    /// The filesystem was shut down cleanly; there is nothing to replay.
    pub clean: bool,
    /// The oldest entry that was used.
    pub first_seq: u64,
    /// The newest entry that counts.
    pub last_seq: u64,
    /// The highest sequence number seen; void entries are above `last_seq`.
    pub highest_seq: u64,
    /// Where each btree starts.
    pub roots: Roots,
    /// Sectors read and written over the life of the filesystem.
    pub clocks: [u64; 2],
    /// The version of the newest key.
    pub key_version: u64,
    /// Updates to lay over the btrees.
    pub keys: JournalKeys,
    /// Void sequence numbers.
    pub blacklist: Blacklist,
    /// What keys of this filesystem have to be like.
    pub check: KeyCheck,
    /// The journal buckets that were looked into; those that were not have nothing that is needed.
    pub used: Vec<UsedBucket>,
    /// Something of the entries that count is damaged, or missing, and was left out.
    pub damaged: bool,
}
