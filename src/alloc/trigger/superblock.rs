// SPDX-License-Identifier: GPL-2.0

//! Buckets of superblocks and of the journal: no key points to them.

use super::{
    bucket::Kind,
    effects::Effects,
    lookups::Lookups, //
};
use crate::{
    env::{
        num::div_or_zero,
        units::{
            BucketNr,
            Bytes,
            DevIdx, //
        },
    },
    error::{
        fsck::FsckError,
        Error,
        Result, //
    },
    format::{
        data_type::DataType,
        sb::{
            Member,
            Superblock, //
        },
        values::alloc::Alloc, //
    },
};

/// Where the first superblock is, in sectors. What is before is not used. C: `BCH_SB_SECTOR`.
const SB_SECTOR: u64 = 8;

/// Calls `visit` with each bucket of a device that has superblocks or journal in it, with what is
/// there, and how many sectors of it. `own` is the superblock of that device.
///
/// C: `__bch2_trans_mark_dev_sb()`.
pub fn metadata_buckets(
    own: &Superblock,
    member: &Member,
    mut visit: impl FnMut(BucketNr, DataType, u32) -> Result,
) -> Result {
    let size = u64::from(member.bucket_sectors());
    let nr_buckets = member.nbuckets();
    // Superblocks that share a bucket are marked together; layouts are in order.
    let mut pending: Option<(u64, u32)> = None;
    let sb_sectors = Bytes(own.layout.max_bytes()).sectors_floor().0;
    for offset in own.layout.offsets() {
        let start = if offset == SB_SECTOR { 0 } else { offset };
        let end = offset.saturating_add(sb_sectors);
        let mut at = start;
        while at < end {
            let bucket = div_or_zero(at, size);
            let bucket_end = bucket.saturating_add(1).saturating_mul(size);
            let next = bucket_end.min(end);
            if next <= at {
                return Ok(());
            }
            let sectors = u32::try_from(next.saturating_sub(at)).unwrap_or(u32::MAX);
            match &mut pending {
                Some((b, sum)) if *b == bucket => *sum = sum.saturating_add(sectors),
                _ => {
                    if let Some((b, sum)) = pending.replace((bucket, sectors)) {
                        mark(b, nr_buckets, DataType::SB, sum, &mut visit)?;
                    }
                }
            }
            at = next;
        }
    }
    if let Some((bucket, sectors)) = pending {
        mark(bucket, nr_buckets, DataType::SB, sectors, &mut visit)?;
    }
    own.journal_buckets().iter().try_for_each(|bucket| {
        let sectors = member.bucket_sectors().into();
        mark(bucket, nr_buckets, DataType::JOURNAL, sectors, &mut visit)
    })
}

/// Adds the buckets of superblocks and of the journal of `dev` to `out`, as
/// [`recount`](super::recount) does for keys.
///
/// C: `bch2_mark_superblocks()`.
pub fn recount_metadata(
    dev: DevIdx,
    own: &Superblock,
    member: &Member,
    out: &mut Effects,
) -> Result {
    metadata_buckets(own, member, |bucket, data_type, sectors| {
        out.bucket(dev, bucket, |b| {
            b.pointer(Kind::Dirty, sectors.into(), data_type);
        })
    })
}

fn mark(
    bucket: u64,
    nr_buckets: u64,
    data_type: DataType,
    sectors: u32,
    visit: &mut impl FnMut(BucketNr, DataType, u32) -> Result,
) -> Result {
    // A superblock can be behind the last bucket.
    match bucket < nr_buckets {
        true => visit(BucketNr(bucket), data_type, sectors),
        false => Ok(()),
    }
}

/// The state of a bucket that has `sectors` of superblocks or journal in it, or with `free` that
/// has no longer; `None` when it is as it should be.
///
/// C: `__bch2_trans_mark_metadata_bucket()`.
pub fn mark_metadata(
    cx: &impl Lookups,
    dev: DevIdx,
    bucket: BucketNr,
    old: &Alloc,
    data_type: DataType,
    sectors: u32,
) -> Result<Option<Alloc>> {
    let free = DataType::FREE;
    if old.data_type != free && data_type != free && old.data_type != data_type {
        cx.found(
            FsckError::BUCKET_METADATA_TYPE_MISMATCH,
            format_args!(
                "bucket {dev}:{bucket} gen {}: different types of data in the same bucket: \
                 {}, {data_type}",
                old.generation, old.data_type
            ),
        );
        return Err(Error::MetadataBucketInconsistency);
    }
    if (old.data_type, old.dirty_sectors) == (data_type, sectors) {
        return Ok(None);
    }
    Ok(Some(Alloc {
        data_type,
        dirty_sectors: sectors,
        ..*old
    }))
}
