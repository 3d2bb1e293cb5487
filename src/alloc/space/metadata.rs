// SPDX-License-Identifier: GPL-2.0

//! Buckets of superblocks and of the journal: they are never taken for anything else, whatever the
//! btrees say of them.

use super::{
    derive::alloc_key,
    look::{
        alloc_of,
        Look, //
    },
    space::{
        Engine,
        Trans, //
    },
};
use crate::{
    alloc::trigger::{
        mark_metadata,
        metadata_buckets, //
    },
    btree::trans::TransResult,
    env::{
        sort::sort_by,
        units::{
            BucketNr,
            DevIdx, //
        },
        Vec, //
    },
    error::Result,
    format::{
        btree_id::BtreeId,
        data_type::DataType,
        values::bucket_index::alloc_pos, //
    },
    journal::live::Watermark,
    sb::{
        Device,
        SbState, //
    },
};

/// The buckets of superblocks and of the journal.
pub(super) struct Metadata {
    /// By slot: ranges of buckets, ascending, the end excluded.
    by_dev: Vec<Vec<(u64, u64)>>,
}

impl Metadata {
    /// Those of all devices that are there.
    pub(super) fn of(st: &SbState) -> Result<Self> {
        let mut by_dev = Vec::new();
        for idx in 0..st.sb.nr_devices() {
            by_dev.push(match st.dev(DevIdx(idx)) {
                Some(dev) => ranges(dev)?,
                None => Vec::new(),
            })?;
        }
        Ok(Self { by_dev })
    }

    /// Whether a bucket is one of them.
    pub(super) fn has(&self, dev: DevIdx, bucket: BucketNr) -> bool {
        let of_dev = self.by_dev.get(usize::from(dev.0));
        of_dev.is_some_and(|ranges| {
            let at = ranges.partition_point(|(_, end)| *end <= bucket.0);
            ranges.get(at).is_some_and(|(start, _)| *start <= bucket.0)
        })
    }
}

/// C: `is_superblock_bucket()`.
fn ranges(dev: &Device) -> Result<Vec<(u64, u64)>> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    metadata_buckets(&dev.own, &dev.member, |BucketNr(bucket), _, _| {
        let next = bucket.saturating_add(1);
        match ranges.last_mut().filter(|(_, end)| *end == bucket) {
            Some((_, end)) => *end = next,
            None => ranges.push((bucket, next))?,
        }
        Ok(())
    })?;
    sort_by(&mut ranges, |a, b| a.cmp(b));
    Ok(ranges)
}

/// Has the alloc btree say what is in these buckets, on all devices that are there.
///
/// C: `bch2_trans_mark_dev_sbs()`.
pub fn mark_metadata_buckets(engine: Engine<'_>) -> Result {
    for dev in engine.btrees.sb().devices() {
        metadata_buckets(&dev.own, &dev.member, |bucket, data_type, sectors| {
            // What is in front of those that can be used has no key.
            if bucket.0 < u64::from(dev.member.first_bucket()) {
                return Ok(());
            }
            engine.run(Watermark::Reclaim, |t| {
                mark_one(t, dev.idx, bucket, data_type, sectors)
            })
        })?;
    }
    Ok(())
}

#[inline(never)]
fn mark_one(
    t: &mut Trans<'_>,
    dev: DevIdx,
    bucket: BucketNr,
    data_type: DataType,
    sectors: u32,
) -> TransResult {
    let pos = alloc_pos(dev, bucket);
    let key = t.get(BtreeId::ALLOC, pos)?;
    let old = alloc_of(key.as_ref())?;
    let new = mark_metadata(&Look(t), dev, bucket, &old, data_type, sectors)?;
    let Some(new) = new else {
        return Ok(());
    };
    t.update(BtreeId::ALLOC, alloc_key(pos, &new)?)?;
    t.commit().map(|_| ())
}
