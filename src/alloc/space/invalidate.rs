// SPDX-License-Identifier: GPL-2.0

//! Copies of data that is on another device, too, are dropped where space is short: the bucket gets
//! a new generation, and what points to it counts for nothing from then on.

use super::{
    derive::{
        alloc_key,
        counter_key_at, //
    },
    discard::{
        bring_indices_up_to_date,
        may_go_on,
        next_of_index,
        DISCARDS_AS, //
    },
    look::{
        alloc_of,
        Look, //
    },
    space::{
        Engine,
        Space,
        Trans, //
    },
};
use crate::{
    alloc::trigger::{
        invalidated,
        Effects, //
    },
    btree::trans::TransResult,
    env::units::{
        BucketNr,
        DevIdx, //
    },
    error::{
        Class,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        data_type::DataType,
        sb::counters::Counter,
        values::{
            alloc::{
                LruPos,
                LRU_TIME_MAX, //
            },
            bucket_index::{
                alloc_pos,
                lru_read_pos,
                u64_to_bucket, //
            },
        },
    },
    journal::live::Watermark,
    sb::Device,
};

/// Drops cached data on devices where free buckets are scarce, what was used least recently first.
/// `at_least` buckets of each device that has as many: for who finds none. Says whether there was
/// any.
///
/// C: `bch2_do_invalidates_work()`.
pub(super) fn drop_cached(engine: Engine<'_>, watermark: Watermark, at_least: u64) -> Result<bool> {
    let space = &engine.writer.hooks;
    if space
        .st
        .devices()
        .all(|dev| nr_to_drop(space, dev, at_least) == 0)
    {
        return Ok(false);
    }
    bring_indices_up_to_date(engine)?;
    let mut nr = 0usize;
    for dev in space.st.devices() {
        match drop_of(engine, watermark, dev, at_least, &mut nr) {
            // There are other means.
            Err(e) if e.class() != Class::NoSpace => return Err(e),
            _ => (),
        }
    }
    Ok(nr != 0)
}

fn nr_to_drop(space: &Space, dev: &Device, at_least: u64) -> u64 {
    let unused = space.open.lock().nr_unused(dev.idx);
    let has = space.dev_space(dev.idx, unused);
    has.map_or(0, |has| has.to_invalidate().max(at_least.min(has.cached)))
}

/// Counts in `nr` what is dropped. Who must not wait for room in the journal stops when there is
/// none.
///
/// C: the loop in `bch2_do_invalidates_work()`.
#[inline(never)]
fn drop_of(
    engine: Engine<'_>,
    watermark: Watermark,
    dev: &Device,
    at_least: u64,
    nr: &mut usize,
) -> Result {
    let space = &engine.writer.hooks;
    let mut left = nr_to_drop(space, dev, at_least);
    let mut from = lru_read_pos(dev.idx, BucketNr(0), 1);
    let end = Bpos {
        offset: u64::MAX,
        snapshot: u32::MAX,
        ..lru_read_pos(dev.idx, BucketNr(0), LRU_TIME_MAX)
    };
    while left != 0 {
        let found = next_of_index(engine, BtreeId::LRU, from, end)?;
        let Some(last) = found.last().copied() else {
            break;
        };
        for pos in found {
            if left == 0 || !may_go_on(engine, watermark, *nr) {
                return Ok(());
            }
            if drop_one(engine, watermark, pos)? {
                left = left.saturating_sub(1);
                *nr = nr.saturating_add(1);
                space.st.count(Counter::BUCKET_INVALIDATE);
            }
        }
        from = last.successor();
    }
    Ok(())
}

/// Drops what is in the bucket of an entry of the list, if it is still as that says.
///
/// C: `invalidate_one_bucket()`.
#[inline(never)]
fn drop_one(engine: Engine<'_>, watermark: Watermark, pos: Bpos) -> Result<bool> {
    let space = &engine.writer.hooks;
    let LruPos {
        time, dev_bucket, ..
    } = LruPos::decode(pos);
    let (dev, bucket) = u64_to_bucket(dev_bucket);
    if space.open.lock().is_open(dev, bucket) {
        return Ok(false);
    }
    let at = (dev, bucket, time);
    engine
        .run(watermark.max(DISCARDS_AS), |t| {
            t.use_reserve();
            stage(t, at)?.then(|| t.commit()).transpose()
        })
        .map(|done| done.is_some())
}

/// Stages it; whether there is something to be done.
fn stage(t: &mut Trans<'_>, (dev, bucket, time): (DevIdx, BucketNr, u64)) -> TransResult<bool> {
    let pos = alloc_pos(dev, bucket);
    let key = t.get(BtreeId::ALLOC, pos)?;
    let old = alloc_of(key.as_ref())?;
    if old.data_type != DataType::CACHED || old.lru_read() != time {
        t.reset();
        return Ok(false);
    }
    let mut out = Effects::new();
    let new = invalidated(&Look(t), dev, &old, &mut out)?;
    t.update(BtreeId::ALLOC, alloc_key(pos, &new)?)?;
    for change in out.counters() {
        t.buffer(
            BtreeId::ACCOUNTING,
            counter_key_at(change.pos, change.by())?,
        )?;
    }
    Ok(true)
}
