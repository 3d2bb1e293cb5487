// SPDX-License-Identifier: GPL-2.0

//! The index of free space of a device that has none yet: making it, and finding free buckets as
//! long as it is not complete.

use super::{
    derive::counter_key,
    look::alloc_of,
    space::{
        Engine,
        Trans, //
    },
};
use crate::{
    btree::{
        trans::TransResult,
        KeyBuf, //
    },
    env::{
        num::low_u32,
        pr_info,
        units::{
            BucketNr,
            DevIdx, //
        },
    },
    error::Result,
    format::{
        bkey::Bkey,
        bpos::Bpos,
        btree_id::BtreeId,
        data_type::DataType,
        key_type::KeyType,
        values::{
            accounting::Counted,
            bucket_index::{
                alloc_pos,
                bucket_of, //
            },
        },
    },
    journal::live::Watermark,
    sb::Device, //
};

/// The most buckets of a range. Ranges are merged up to twice as many.
const RANGE_MAX: u64 = 1 << 30;

/// Counts all buckets of all devices as free: of a filesystem that has no key of any of them.
///
/// C: `bch2_dev_usage_init()`.
pub fn count_new_devices(engine: Engine<'_>) -> Result {
    let st = engine.btrees.sb();
    for dev in st.devices() {
        let counted = Counted::DevDataType(dev.idx, DataType::FREE);
        let first = u64::from(dev.member.first_bucket());
        let nr = i64::try_from(dev.member.nbuckets().saturating_sub(first)).unwrap_or(i64::MAX);
        let version = st.sb.version();
        engine.run(Watermark::Reclaim, |t| {
            let key = counter_key(&counted, version, &[nr, 0, 0])?;
            t.buffer(BtreeId::ACCOUNTING, key)?;
            t.commit()
        })?;
    }
    Ok(())
}

/// Completes the index of free space of all devices where it is not complete, and notes in the
/// superblock that it is.
///
/// C: `bch2_fs_freespace_init()`.
pub fn complete_freespace(engine: Engine<'_>) -> Result {
    let (st, space) = (engine.btrees.sb(), &engine.writer.hooks);
    let mut any = false;
    for dev in st.devices().filter(|d| space.lacks_freespace(d.idx)) {
        if !any {
            pr_info!("{}: initializing freespace", st.name());
        }
        any = true;
        complete_device(engine, dev)?;
    }
    if !any {
        return Ok(());
    }
    // What was found free must not be lost when the superblock says that all was.
    engine.writer.journal.flush()?;
    st.change_super(|sb| {
        for dev in st.devices() {
            sb.update_member(dev.idx.0, |m| m.set_freespace_initialized(true));
        }
        Ok(true)
    })
}

/// C: `bch2_dev_freespace_init()`.
fn complete_device(engine: Engine<'_>, dev: &Device) -> Result {
    let mut from = u64::from(dev.member.first_bucket());
    while from < dev.member.nbuckets() {
        from = engine.run(Watermark::Reclaim, |t| add_one(t, dev, from))?;
    }
    engine.writer.hooks.has_freespace(dev.idx);
    Ok(())
}

/// Adds the bucket `from`, if it is free, or all from there on that never were used. Returns the
/// next one.
#[inline(never)]
fn add_one(t: &mut Trans<'_>, dev: &Device, from: u64) -> TransResult<u64> {
    let end = dev.member.nbuckets().min(from.saturating_add(RANGE_MAX));
    let last = alloc_pos(dev.idx, BucketNr(end.saturating_sub(1)));
    let found = t.next(BtreeId::ALLOC, alloc_pos(dev.idx, BucketNr(from)), last)?;
    let next = found.as_ref().and_then(|k| bucket_of(k.k.p));
    let next = next.map_or(end, |(_, bucket)| bucket.0);
    if next > from {
        let p = alloc_pos(dev.idx, BucketNr(next));
        t.update_extent(BtreeId::FREESPACE, set(p, next.saturating_sub(from))?)?;
        t.commit()?;
        return Ok(next);
    }
    let state = alloc_of(found.as_ref())?;
    let pos = alloc_pos(dev.idx, BucketNr(from));
    match state.data_type {
        DataType::FREE => {
            let start = state.freespace_start(dev.idx, BucketNr(from));
            let p = Bpos {
                offset: start.offset.saturating_add(1),
                ..start
            };
            t.update_extent(BtreeId::FREESPACE, set(p, 1)?)?;
        }
        DataType::NEED_DISCARD => t.buffer(BtreeId::NEED_DISCARD, set(pos, 0)?)?,
        _ => (),
    }
    t.commit()?;
    Ok(from.saturating_add(1))
}

fn set(p: Bpos, size: u64) -> Result<KeyBuf> {
    let k = Bkey {
        key_type: KeyType::SET,
        size: low_u32(size),
        p,
        ..Bkey::default()
    };
    KeyBuf::of(k, &[])
}

/// The first range of buckets from `at` on that were never used, of a device without an index.
///
/// C: `bch2_bucket_alloc_early()`.
#[inline(never)]
pub(super) fn unused_range(
    engine: Engine<'_>,
    dev: DevIdx,
    (at, end): (u64, u64),
) -> Result<Option<(u64, u64)>> {
    let last = alloc_pos(dev, BucketNr(end.saturating_sub(1)));
    let first = alloc_pos(dev, BucketNr(at));
    let mut iter = engine.btrees.iter(BtreeId::ALLOC, 0, first).until(last);
    let mut start = at;
    while let Some(k) = iter.advance()?.filter(|k| k.p <= last) {
        match k.p.offset {
            used if used == start => start = start.saturating_add(1),
            next => return Ok(Some((start, next))),
        }
    }
    Ok((start < end).then_some((start, end)))
}
