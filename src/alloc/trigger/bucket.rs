// SPDX-License-Identifier: GPL-2.0

//! What follows from updates for the state of one bucket.

use super::lookups::Lookups;
use crate::{
    env::units::{
        BucketNr,
        DevIdx, //
    },
    error::{
        fsck::FsckError,
        Error,
        Result, //
    },
    format::{
        data_type::DataType,
        values::{
            alloc::Alloc,
            bucket_index::is_empty, //
        },
    },
};

/// That a bucket is a block of a stripe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StripeRef {
    /// The stripe.
    pub idx: u32,
    /// How many of its blocks may be lost.
    pub redundancy: u8,
    /// `stripe` or `parity`.
    pub data_type: DataType,
}

/// Which of a bucket's counters a pointer is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Can not be dropped.
    Dirty,
    /// Can be dropped at any time.
    Cached,
    /// Is part of a stripe.
    Striped,
}

/// What follows from updates for the state of one bucket. All sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BucketChange {
    /// The device.
    pub dev: DevIdx,
    /// The bucket.
    pub bucket: BucketNr,
    /// Added to [`Alloc::dirty_sectors`].
    pub dirty: i64,
    /// Added to [`Alloc::cached_sectors`].
    pub cached: i64,
    /// Added to [`Alloc::stripe_sectors`].
    pub striped: i64,
    /// What pointers that are new say is there, and what those that went said.
    inserted: Option<DataType>,
    removed: Option<DataType>,
    /// New pointers do not agree.
    conflict: bool,
    /// It becomes part of a stripe.
    joins: Option<StripeRef>,
    /// It is no longer part of a stripe.
    leaves: Option<StripeRef>,
}

/// What a bucket can hold together. C: `bucket_data_type()`.
fn family(data_type: DataType) -> DataType {
    match data_type {
        DataType::CACHED | DataType::STRIPE => DataType::USER,
        other => other,
    }
}

fn mismatch(bucket: DataType, pointer: DataType) -> bool {
    !is_empty(bucket) && family(bucket) != family(pointer)
}

fn add(counter: u32, by: i64) -> Option<u32> {
    u32::try_from(i64::from(counter).checked_add(by)?).ok()
}

impl BucketChange {
    /// That nothing changes.
    pub const fn none(dev: DevIdx, bucket: BucketNr) -> Self {
        Self {
            dev,
            bucket,
            dirty: 0,
            cached: 0,
            striped: 0,
            inserted: None,
            removed: None,
            conflict: false,
            joins: None,
            leaves: None,
        }
    }

    /// Adds a pointer to `sectors` of data, or takes one away for negative numbers.
    pub fn pointer(&mut self, kind: Kind, sectors: i64, data_type: DataType) {
        let sum = match kind {
            Kind::Dirty => &mut self.dirty,
            Kind::Cached => &mut self.cached,
            Kind::Striped => &mut self.striped,
        };
        *sum = sum.wrapping_add(sectors);
        if sectors < 0 {
            self.removed = Some(data_type);
            return;
        }
        let before = self.inserted.replace(data_type);
        self.conflict |= before.is_some_and(|b| mismatch(b, data_type));
    }

    /// The bucket becomes part of a stripe.
    pub(super) fn join(&mut self, stripe: StripeRef) {
        self.conflict |= self.joins.is_some();
        self.joins = Some(stripe);
    }

    /// The bucket is no longer part of a stripe.
    pub(super) fn leave(&mut self, stripe: StripeRef) {
        self.conflict |= self.leaves.is_some();
        self.leaves = Some(stripe);
    }

    /// Adds another change of the same bucket.
    pub fn merge(&mut self, other: &Self) {
        self.dirty = self.dirty.wrapping_add(other.dirty);
        self.cached = self.cached.wrapping_add(other.cached);
        self.striped = self.striped.wrapping_add(other.striped);
        if let (Some(a), Some(b)) = (self.inserted, other.inserted) {
            self.conflict |= mismatch(a, b);
        }
        self.conflict |= other.conflict
            || (self.joins.is_some() && other.joins.is_some())
            || (self.leaves.is_some() && other.leaves.is_some());
        self.inserted = other.inserted.or(self.inserted);
        self.removed = other.removed.or(self.removed);
        self.joins = other.joins.or(self.joins);
        self.leaves = other.leaves.or(self.leaves);
    }

    /// The state of the bucket after the change; its data type does not yet tell what only the
    /// trigger of its key knows. What does not fit the state is reported; it is an error only if
    /// something is added to the bucket.
    ///
    /// C: `__mark_pointer()`, `bch2_bucket_ref_update()`, `__mark_stripe_bucket()`.
    pub fn apply(&self, cx: &impl Lookups, old: &Alloc) -> Result<Alloc> {
        let mut new = *old;
        if let Err(what) = self.apply_stripe(&mut new, old) {
            cx.found(
                FsckError::ALLOC_KEY_STRIPE_WRONG,
                format_args!(
                    "bucket {}:{} data type {} stripe {}: {what}",
                    self.dev, self.bucket, old.data_type, old.stripe
                ),
            );
            return Err(Error::MarkStripe);
        }
        if !self.apply_sectors(cx, &mut new, old) && self.inserted.is_some() {
            return Err(Error::BucketRefUpdate);
        }
        let data_type = match (self.joins, self.leaves) {
            (Some(stripe), _) => stripe.data_type,
            (None, Some(_)) => DataType::USER,
            (None, None) => match self.inserted.or(self.removed) {
                Some(data_type) if !self.mismatches(old) => data_type,
                _ => old.data_type,
            },
        };
        new.data_type = new.data_type_by_counts(data_type, false);
        Ok(new)
    }

    fn mismatches(&self, old: &Alloc) -> bool {
        let pointed = self.inserted.or(self.removed);
        self.conflict || pointed.is_some_and(|p| mismatch(old.data_type, p))
    }

    fn apply_stripe(&self, new: &mut Alloc, old: &Alloc) -> Result<(), &'static str> {
        if let Some(s) = self.leaves {
            if (old.stripe, old.stripe_redundancy) != (s.idx, s.redundancy) {
                return Err("is not part of the stripe that is deleted");
            }
            if old.data_type != s.data_type {
                return Err("has the wrong data type for a block of a stripe that is deleted");
            }
            (new.stripe, new.stripe_redundancy) = (0, 0);
        }
        let Some(s) = self.joins else {
            return Ok(());
        };
        if new.stripe != 0 || new.stripe_redundancy != 0 || self.conflict {
            return Err("is part of several stripes");
        }
        if s.data_type == DataType::PARITY && self.leaves.is_none() && old.sectors_total() != 0 {
            return Err("is to hold parity and holds data");
        }
        (new.stripe, new.stripe_redundancy) = (s.idx, s.redundancy);
        Ok(())
    }

    /// Says whether all could be counted.
    fn apply_sectors(&self, cx: &impl Lookups, new: &mut Alloc, old: &Alloc) -> bool {
        let pointed = self.inserted.or(self.removed);
        if let Some(pointed) = pointed.filter(|_| self.mismatches(old)) {
            cx.found(
                FsckError::PTR_BUCKET_DATA_TYPE_MISMATCH,
                format_args!(
                    "bucket {}:{} gen {}: different types of data in the same bucket: {}, {pointed}",
                    self.dev, self.bucket, old.generation, old.data_type
                ),
            );
            return false;
        }
        let mut all = true;
        for (counter, by) in [
            (&mut new.dirty_sectors, self.dirty),
            (&mut new.cached_sectors, self.cached),
            (&mut new.stripe_sectors, self.striped),
        ] {
            let sum = add(*counter, by);
            if sum.is_none() {
                cx.found(
                    FsckError::BUCKET_SECTOR_COUNT_OVERFLOW,
                    format_args!(
                        "bucket {}:{} gen {} data type {}: sectors out of range: {counter} + {by}",
                        self.dev, self.bucket, old.generation, old.data_type
                    ),
                );
                all = false;
            }
            *counter = sum.unwrap_or(0);
        }
        all
    }
}
