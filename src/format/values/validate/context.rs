// SPDX-License-Identifier: GPL-2.0

//! What validators have to know.

use super::super::extent_entry::EntrySizes;
use crate::{
    env::units::DevIdx,
    format::{
        btree_id::BtreeId,
        sb::Version, //
    },
};

/// Where a key comes from.
///
/// C: `BKEY_VALIDATE_CONTEXTS()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A record in the superblock.
    Superblock,
    /// A journal entry.
    Journal,
    /// The pointer to a root.
    BtreeRoot,
    /// A btree node.
    BtreeNode,
    /// A transaction about to be committed: checked most strictly.
    Commit,
}

/// Where pointers to a device can lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DevGeometry {
    /// The first bucket pointers may lead to.
    pub first_bucket: u64,
    /// Buckets of the device.
    pub nr_buckets: u64,
    /// Sectors of a bucket.
    pub bucket_sectors: u64,
}

/// Where a key was found, and what the filesystem is like. What is not known is not checked.
///
/// C: `struct bkey_validate_context`.
#[derive(Clone, Copy, Debug)]
pub struct ValidateCtx<'a> {
    /// The btree.
    pub btree: BtreeId,
    /// The level of the node the key is in, 0 for leaves. A pointer to a root is one above it.
    pub level: u8,
    /// Where the key comes from.
    pub origin: Origin,
    /// The key is about to be written. C: `BCH_VALIDATE_write`.
    pub writing: bool,
    /// The filesystem's version.
    pub version: Version,
    /// Sizes of extent entries.
    pub sizes: &'a EntrySizes,
    /// The filesystem's key is there, so that encrypted data can be read.
    pub has_key: bool,
    /// Sectors of a btree node, 0 when not known.
    pub node_sectors: u32,
    /// Sectors an encoded extent may have when written, 0 when not known.
    /// C: option `encoded_extent_max`.
    pub encoded_extent_max: u32,
    /// The devices, by index.
    pub devs: &'a [Option<DevGeometry>],
}

impl ValidateCtx<'static> {
    /// For a key in a node at `level` of `btree`, in a filesystem nothing is known of.
    pub const fn new(btree: BtreeId, level: u8) -> Self {
        const SIZES: &EntrySizes = &EntrySizes::KNOWN;
        Self {
            btree,
            level,
            origin: Origin::BtreeNode,
            writing: false,
            version: Version::NEWEST,
            sizes: SIZES,
            has_key: true,
            node_sectors: 0,
            encoded_extent_max: 0,
            devs: &[],
        }
    }
}

impl ValidateCtx<'_> {
    /// Whether the key is to be committed: what may be found on disk may not be written any more.
    pub(super) fn committing(&self) -> bool {
        self.origin == Origin::Commit
    }

    /// Whether the key is to be written or committed.
    pub(super) fn strict(&self) -> bool {
        self.writing || self.committing()
    }

    pub(super) fn dev(&self, dev: DevIdx) -> Option<DevGeometry> {
        self.devs.get(usize::from(dev.0)).copied().flatten()
    }
}
