// SPDX-License-Identifier: GPL-2.0

//! Buckets with few btree nodes in them are emptied.
//!
//! A bucket holds several nodes, which are replaced one at a time: without this, in the end all
//! buckets would have some, and none be free, however much space is in them.

use super::{
    look::alloc_of,
    space::Engine, //
};
use crate::{
    btree::{
        interior::move_node,
        try_flush_write_buffer,
        KeyBuf, //
    },
    env::{
        units::{
            BucketNr,
            DevIdx,
            Sectors, //
        },
        Vec,
    },
    error::{
        Class,
        Error,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        data_type::DataType,
        values::{
            alloc::{
                Alloc,
                LruPos, //
            },
            backpointer::Backpointer,
            bucket_index::{
                alloc_pos,
                u64_to_bucket, //
            },
            extent_entry::Ptr, //
        },
    },
    journal::live::Watermark,
    sb::Device,
};

/// Buckets that are looked at until one can be emptied.
const CANDIDATES: usize = 16;
/// Words of the journal that moving a node takes, at most: its pointers, and what follows.
const MOVE_U64S: u32 = 1024;
/// Buckets that are emptied at a time, in the background.
const BATCH: usize = 32;

/// Empties buckets of nodes while few are free.
///
/// C: `bch2_copygc_thread()`, as far as btree nodes go.
pub fn keep_buckets_free(engine: Engine<'_>) -> Result {
    let space = &engine.writer.hooks;
    let is_short = |dev: &Device| {
        let has = space.dev_space(dev.idx, space.open.lock().nr_unused(dev.idx));
        has.is_some_and(|has| has.available_for(Watermark::Normal) == 0)
    };
    for _ in 0..BATCH {
        if !space.st.devices().any(is_short) || !evacuate_nodes(engine)? {
            break;
        }
    }
    Ok(())
}

/// Moves the nodes out of the bucket that has the fewest. Says whether there was one; it is free
/// when the journal has been flushed and it was discarded.
///
/// C: `bch2_copygc()`.
pub(super) fn evacuate_nodes(engine: Engine<'_>) -> Result<bool> {
    let space = &engine.writer.hooks;
    // Who comes second is perhaps the first one's own doing.
    let Some(mut pointless_at) = space.evacuating.try_lock() else {
        return Ok(false);
    };
    let freed = space.freeing.nr();
    if *pointless_at == Some(freed) {
        return Ok(false);
    }
    // The lists are among the btrees that are behind.
    try_flush_write_buffer(engine.btrees, engine.writer)?;
    let is_wanted = |dev, bucket| is_of_nodes(engine, dev, bucket);
    for (dev, bucket) in fragmented_buckets(engine, CANDIDATES, is_wanted)? {
        match evacuate(engine, dev, bucket) {
            Ok(true) => return Ok(true),
            Ok(false) => (),
            // There is no place to move it to.
            Err(e) if e.class() == Class::NoSpace => break,
            Err(e) => return Err(e),
        }
    }
    *pointless_at = Some(freed);
    Ok(false)
}

/// Up to `nr` buckets that have room, those with the least in them first, of which `is_wanted`.
///
/// C: `bch2_copygc_get_buckets()`.
#[inline(never)]
pub(super) fn fragmented_buckets(
    engine: Engine<'_>,
    nr: usize,
    mut is_wanted: impl FnMut(DevIdx, BucketNr) -> Result<bool>,
) -> Result<Vec<(DevIdx, BucketNr)>> {
    let list = |time| LruPos {
        id: LruPos::FRAGMENTATION_OLD,
        time,
        dev_bucket: 0,
    };
    let mut found = Vec::with_capacity(nr)?;
    let mut iter = engine.btrees.iter(BtreeId::LRU, 0, list(1).encode());
    while found.len() < nr {
        let Some(k) = iter.advance()? else {
            break;
        };
        let LruPos { id, dev_bucket, .. } = LruPos::decode(k.p);
        if id != LruPos::FRAGMENTATION_OLD {
            break;
        }
        let (dev, bucket) = u64_to_bucket(dev_bucket);
        if is_wanted(dev, bucket)? {
            found.push((dev, bucket))?;
        }
    }
    Ok(found)
}

/// The state of a bucket, if nobody puts more there.
pub(super) fn closed_bucket(
    engine: Engine<'_>,
    dev: DevIdx,
    bucket: BucketNr,
) -> Result<Option<Alloc>> {
    let space = &engine.writer.hooks;
    if space.open.lock().is_written(dev, bucket) {
        return Ok(None);
    }
    let found = engine
        .btrees
        .lookup(BtreeId::ALLOC, alloc_pos(dev, bucket))?;
    let key = found.map(|f| KeyBuf::copy_of(&f.key())).transpose()?;
    alloc_of(key.as_ref()).map(Some)
}

/// Whether the bucket holds nodes, and nobody puts more there.
fn is_of_nodes(engine: Engine<'_>, dev: DevIdx, bucket: BucketNr) -> Result<bool> {
    let state = closed_bucket(engine, dev, bucket)?;
    Ok(state.is_some_and(|s| s.data_type == DataType::BTREE && s.sectors_dirty() != 0))
}

/// Says whether all nodes that the bucket is known to hold were moved, and there were some.
///
/// C: `evacuate_bucket()`.
#[inline(never)]
fn evacuate(engine: Engine<'_>, idx: DevIdx, bucket: BucketNr) -> Result<bool> {
    let Some(dev) = engine.writer.hooks.st.dev(idx) else {
        return Ok(false);
    };
    let sectors = u64::from(dev.member.bucket_sectors());
    let start = bucket.0.saturating_mul(sectors);
    let end = start.saturating_add(sectors);
    let is_there = |ptr: &Ptr| ptr.dev == idx && (start..end).contains(&ptr.offset.0);
    let mut nr = 0usize;
    for (_, at) in backpointers_of(engine, DataType::BTREE, idx, (start, end))? {
        let Backpointer {
            btree, level, pos, ..
        } = at;
        let Some(level) = level.checked_sub(1) else {
            continue;
        };
        let (place, watermark) = ((btree, level, pos), Watermark::BtreeCopyGc);
        // What is left of the journal is for those who make room in it.
        if !engine.writer.journal.has_room(MOVE_U64S, watermark) {
            return Ok(false);
        }
        if move_node(engine.btrees, engine.writer, watermark, place, is_there)? {
            nr = nr.saturating_add(1);
        }
    }
    Ok(nr != 0)
}

/// Backpointers of what is of this type between two sectors of a device, with their positions.
#[inline(never)]
pub(super) fn backpointers_of(
    engine: Engine<'_>,
    data_type: DataType,
    dev: DevIdx,
    (start, end): (u64, u64),
) -> Result<Vec<(Bpos, Backpointer)>> {
    let at = |sector| Backpointer::position(dev, Sectors(sector), 0);
    let mut found = Vec::new();
    let (start, end): (Bpos, Bpos) = (at(start), at(end));
    let mut iter = engine.btrees.iter(BtreeId::BACKPOINTERS, 0, start);
    while iter.advance()?.is_some_and(|k| k.p < end) {
        let key = iter.current();
        let one = key.and_then(|k| Some((k.k.p, Backpointer::decode(k.v).ok()?)));
        let one = one.ok_or(Error::BackpointerInvalid)?;
        if one.1.data_type == data_type {
            found.push(one)?;
        }
    }
    Ok(found)
}
