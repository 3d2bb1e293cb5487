// SPDX-License-Identifier: GPL-2.0

//! A bucket that is being written to, a reference to it, and why there is none.

use crate::{
    env::units::{
        BucketNr,
        DevIdx,
        Sectors, //
    },
    error::Error,
    format::{
        data_type::DataType,
        values::extent_entry::Ptr, //
    },
};

/// Why a bucket can not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The device has no bucket that this kind of write may take. C: `freelist_empty`.
    FreelistEmpty,
    /// Too many buckets are open. C: `open_buckets_empty`.
    OpenBucketsEmpty,
    /// There are not as many devices as there are to be copies. C: `insufficient_devices`.
    InsufficientDevices,
    /// A device or a btree failed.
    Failed(Error),
}

impl Refusal {
    /// As an error, for a caller that does not wait.
    pub const fn error(self) -> Error {
        match self {
            Self::FreelistEmpty => Error::FreelistEmpty,
            Self::OpenBucketsEmpty => Error::OpenBucketsEmpty,
            Self::InsufficientDevices => Error::InsufficientDevices,
            Self::Failed(e) => e,
        }
    }

    /// Whether it can help to wait until a bucket is given back or emptied.
    pub const fn can_wait(self) -> bool {
        matches!(self, Self::FreelistEmpty | Self::OpenBucketsEmpty)
    }
}

/// Holds a bucket open. It has to be given back: to
/// [`OpenBuckets::put`](super::OpenBuckets::put), or while there is space in it to
/// [`OpenBuckets::park`](super::OpenBuckets::park).
///
/// C: a reference counted by `pin` of `struct open_bucket`.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct OpenRef(pub(super) u16);

/// A bucket that is being written to.
///
/// C: `struct open_bucket`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenBucket {
    /// The device.
    pub dev: DevIdx,
    /// The bucket.
    pub bucket: BucketNr,
    /// Its generation.
    pub generation: u8,
    /// What is written there.
    pub data_type: DataType,
    /// Sectors of it.
    pub sectors: u32,
    /// Sectors that are still to be given out.
    pub sectors_free: u32,
    /// For how many replicas data there counts; 0 where it is only cached.
    pub durability: u8,
    /// It is still counted as free.
    pub(super) unused: bool,
}

impl OpenBucket {
    /// A free bucket of `sectors`, to be [taken](super::OpenBuckets::take) for `data_type`.
    pub const fn new(
        (dev, bucket): (DevIdx, BucketNr),
        generation: u8,
        sectors: u32,
        data_type: DataType,
        durability: u8,
    ) -> Self {
        Self {
            dev,
            bucket,
            generation,
            data_type,
            sectors,
            sectors_free: sectors,
            durability,
            unused: true,
        }
    }

    /// Whether nothing of it was given out yet.
    pub const fn is_untouched(&self) -> bool {
        self.sectors_free == self.sectors
    }

    /// Where the next sectors are. C: `bch2_ob_ptr()`.
    pub fn ptr(&self) -> Ptr {
        let size = u64::from(self.sectors);
        let used = size.saturating_sub(self.sectors_free.into());
        Ptr {
            dev: self.dev,
            offset: Sectors(self.bucket.0.saturating_mul(size).saturating_add(used)),
            generation: self.generation,
            cached: self.durability == 0 && self.data_type == DataType::USER,
            unwritten: false,
        }
    }
}
