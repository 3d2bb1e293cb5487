// SPDX-License-Identifier: GPL-2.0

//! The passes `check_lrus` and `check_alloc_to_lru_refs`: entries of LRUs against the keys of
//! buckets, both ways.

use super::{
    derived::Fixes,
    rounds::Rounds,
    Report, //
};
use crate::{
    alloc::{
        space::{
            geometry,
            Engine, //
        },
        trigger::Derived,
    },
    btree::{
        flush_write_buffer,
        Btrees, //
    },
    env::units::{
        BucketNr,
        DevIdx, //
    },
    error::{
        fsck::FsckError,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        values::{
            alloc::{
                Alloc,
                LruPos, //
            },
            bucket_index::{
                alloc_pos,
                bucket_of,
                lru_fragmentation_pos,
                lru_read_pos,
                u64_to_bucket, //
            },
        },
    },
};

/// Where a bucket should be in LRUs.
fn places(btrees: &Btrees, dev: DevIdx, bucket: BucketNr, state: &Alloc) -> [Option<Bpos>; 2] {
    let size = geometry(btrees.sb(), dev).map_or(0, |g| g.bucket_sectors);
    let read = Some(state.lru_read()).filter(|t| *t != 0);
    let used = Some(state.lru_fragmentation(size)).filter(|t| *t != 0);
    [
        read.map(|t| lru_read_pos(dev, bucket, t)),
        used.map(|t| lru_fragmentation_pos(dev, bucket, t)),
    ]
}

/// Deletes entries that no bucket has.
///
/// C: `bch2_check_lrus()`.
#[inline(never)]
pub fn check_lrus(engine: Engine<'_>, report: &mut Report) -> Result {
    let btrees = engine.btrees;
    let mut rounds = Rounds::new();
    while rounds.go_on()? {
        flush_write_buffer(btrees, engine.writer)?;
        let mut found = Fixes::new(engine, report, BtreeId::LRU);
        let mut iter = btrees.iter(BtreeId::LRU, 0, Bpos::MIN);
        while let Some(k) = iter.advance()? {
            if !is_wanted(btrees, k.p)? {
                found.note(FsckError::LRU_ENTRY_BAD, k.p, Derived::Absent)?;
            }
        }
        rounds.fixed(found.end()?);
    }
    Ok(())
}

/// C: `bch2_check_lru_key()`.
fn is_wanted(btrees: &Btrees, pos: Bpos) -> Result<bool> {
    let lru = LruPos::decode(pos);
    if lru.id == LruPos::STRIPE_FRAGMENTATION {
        return Ok(true);
    }
    let (dev, bucket) = u64_to_bucket(lru.dev_bucket);
    let key = btrees.lookup(BtreeId::ALLOC, alloc_pos(dev, bucket))?;
    let state = key.and_then(|k| Alloc::decode(&k.key()).ok().flatten());
    let state = state.unwrap_or_default();
    let wanted = places(btrees, dev, bucket, &state);
    Ok(wanted.into_iter().flatten().any(|p| p == pos))
}

/// Adds entries that buckets should have.
///
/// C: `bch2_check_alloc_to_lru_refs()`.
#[inline(never)]
pub fn check_alloc_to_lru_refs(engine: Engine<'_>, report: &mut Report) -> Result {
    let btrees = engine.btrees;
    let mut rounds = Rounds::new();
    while rounds.go_on()? {
        flush_write_buffer(btrees, engine.writer)?;
        let mut found = Fixes::new(engine, report, BtreeId::LRU);
        let mut iter = btrees.iter(BtreeId::ALLOC, 0, Bpos::MIN);
        let mut lru = btrees.iter(BtreeId::LRU, 0, Bpos::MIN);
        while let Some(key) = iter.next()? {
            let Ok(Some(state)) = Alloc::decode(&key) else {
                continue;
            };
            let Some((dev, bucket)) = bucket_of(key.k.p) else {
                continue;
            };
            for pos in places(btrees, dev, bucket, &state).into_iter().flatten() {
                lru.seek(pos);
                if lru.advance()?.is_none_or(|k| k.p != pos) {
                    let id = FsckError::ALLOC_KEY_TO_MISSING_LRU_ENTRY;
                    found.note(id, pos, Derived::Set)?;
                }
            }
        }
        rounds.fixed(found.end()?);
    }
    Ok(())
}
