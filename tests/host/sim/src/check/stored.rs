// SPDX-License-Identifier: GPL-2.0

//! All keys of a filesystem, in maps that a test can change.

use crate::alloc::foreground::NodeRegions;
use crate::format::{
    bkey::{
        Bkey,
        Key, //
    },
    bpos::Bpos,
    btree_id::BtreeId,
    sb::Version,
    values::{
        accounting::Replicas,
        alloc::Alloc,
        backpointer::Backpointer,
        extent_entry::EntrySizes,
        inode::InodeFlags,
        validate::DevGeometry, //
    },
};
use std::collections::{
    BTreeMap,
    BTreeSet, //
};

/// A key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedKey {
    /// The header.
    pub k: Bkey,
    /// The value.
    pub v: Vec<u8>,
}

impl OwnedKey {
    /// The key as the engine has it.
    pub fn key(&self) -> Key<'_> {
        Key {
            k: self.k,
            v: &self.v,
        }
    }
}

impl From<Key<'_>> for OwnedKey {
    fn from(key: Key<'_>) -> Self {
        Self {
            k: key.k,
            v: key.v.to_vec(),
        }
    }
}

/// A member device.
#[derive(Clone, Debug)]
pub struct Dev {
    /// Its buckets.
    pub geometry: DevGeometry,
    /// Its buckets with superblocks and journal: what, and how many sectors.
    pub metadata: Vec<(u64, u8, u32)>,
    /// Its label and those above.
    pub groups: Vec<u64>,
    /// User data may be written to it.
    pub takes_user_data: bool,
    /// Which parts of it hold btree nodes.
    pub regions: NodeRegions,
}

/// All keys of a filesystem.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// The version.
    pub version: Version,
    /// Sizes of extent entries.
    pub sizes: EntrySizes,
    /// Sectors of a btree node.
    pub node_sectors: u64,
    /// The members.
    pub devs: BTreeMap<u8, Dev>,
    /// Keys that something is derived from, by btree, level and position; those of the alloc btree
    /// are in [`Stored::alloc`].
    pub sources: BTreeMap<(BtreeId, u8, Bpos), OwnedKey>,
    /// The parents of snapshots.
    pub snapshot_parents: BTreeMap<u32, u32>,
    /// The flags of inodes, by number and snapshot.
    pub inodes: BTreeMap<(u64, u32), InodeFlags>,
    /// Shared extents by where they end: where they start, and their reference count.
    pub indirect: BTreeMap<u64, (u64, u64)>,
    /// Buckets that have a key, by device and number.
    pub alloc: BTreeMap<(u8, u64), Alloc>,
    /// Generations in `bucket_gens`, those that are not 0.
    pub gens: BTreeMap<(u8, u64), u8>,
    /// Keys of type `set`: by btree and position. Those of `freespace` are one for each bucket and
    /// stand where the bucket starts.
    pub bits: BTreeSet<(BtreeId, Bpos)>,
    /// Backpointers.
    pub backpointers: BTreeMap<Bpos, Backpointer>,
    /// Counters, those that are not all 0.
    pub counters: BTreeMap<Bpos, Vec<i64>>,
    /// What the superblock says is on which devices.
    pub replicas: Vec<Replicas>,
    /// Buckets that are being written to.
    pub open: BTreeSet<(u8, u64)>,
    /// The time of reads and writes, in sectors.
    pub now: u64,
}
