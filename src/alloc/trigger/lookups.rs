// SPDX-License-Identifier: GPL-2.0

//! What triggers have to know of the filesystem.

use crate::{
    env::units::{
        BucketNr,
        DevIdx, //
    },
    error::{
        fsck::FsckError,
        Error, //
    },
    format::{
        bpos::Bpos,
        sb::{
            assemble::DevMask,
            Version, //
        },
        values::{
            extent_entry::EntrySizes,
            inode::InodeFlags,
            stripe::Stripe,
            validate::DevGeometry, //
        },
    },
};
use core::fmt;

/// A shared extent: a key of the reflink btree that has a reference count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Indirect {
    /// Where it starts, in sectors.
    pub start: u64,
    /// Where it ends: the offset of its position.
    pub end: u64,
    /// How many pointers lead to it.
    pub refcount: u64,
}

/// What triggers have to know of the filesystem. All of it is as the transaction sees it: with its
/// own staged updates, and such that the transaction starts over when it changes before the commit.
/// What has to be looked up in a btree is asked of `&mut self`, as that may take locks.
pub trait Lookups {
    /// How looking up fails: with an [`Error`], or in a transaction with the wish to start over.
    type Error: From<Error>;

    /// The filesystem's version.
    fn version(&self) -> Version;

    /// Sizes of extent entries.
    fn entry_sizes(&self) -> &EntrySizes;

    /// Sectors of a btree node.
    fn node_sectors(&self) -> u64;

    /// The buckets of a member, whether it is online or not; `None` when there is no such member.
    fn device(&self, dev: DevIdx) -> Option<DevGeometry>;

    /// The generation of a bucket that exists.
    fn bucket_gen(&mut self, dev: DevIdx, bucket: BucketNr) -> Result<u8, Self::Error>;

    /// Whether the bucket is being written to. C: `bch2_bucket_is_open_safe()`.
    fn is_open(&self, dev: DevIdx, bucket: BucketNr) -> bool;

    /// The time of reads and that of writes, in sectors; not 0. C: `bch2_current_io_time()`.
    fn io_time(&self) -> [u64; 2];

    /// The devices of an option's target, if user data may be written to one of them; `None` for no
    /// target as well. C: `bch2_target_to_mask()`, `bch2_target_accepts_data()`.
    fn target(&self, target: u16) -> Option<DevMask>;

    /// Calls `f` with the stripe at `idx`; `None` when there is none.
    fn with_stripe<R>(
        &mut self,
        idx: u64,
        f: impl FnOnce(&Stripe<'_>) -> R,
    ) -> Result<Option<R>, Self::Error>;

    /// The first shared extent that ends behind `idx`.
    fn indirect(&mut self, idx: u64) -> Result<Option<Indirect>, Self::Error>;

    /// The inode of this number in the nearest snapshot above that of `pos` that has one: where its
    /// key is, and its flags. C: `bch2_inode_get_iter_snapshot_parent()`.
    fn parent_inode(&mut self, pos: Bpos) -> Result<Option<(Bpos, InodeFlags)>, Self::Error>;

    /// Whether a snapshot below that of `pos` has an inode of this number.
    /// C: `bch2_inode_has_child_snapshots()`.
    fn has_child_inode(&mut self, pos: Bpos) -> Result<bool, Self::Error>;

    /// Tells of an inconsistency that was found.
    fn found(&self, id: FsckError, what: fmt::Arguments<'_>);
}
