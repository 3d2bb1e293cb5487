// SPDX-License-Identifier: GPL-2.0

//! Making right what a check has found wrong, one thing in one transaction.
//!
//! What was found may have changed since, as repairs move btree nodes. So each repair says what it
//! is based on, and does nothing when that is no longer so; the check then comes again.

use super::{
    derive::{
        alloc_key,
        counter_key_at,
        no_gens,
        stage_derived, //
    },
    look::alloc_of,
    space::Engine, //
};
use crate::{
    alloc::trigger::KeyChange,
    env::units::{
        BucketNr,
        DevIdx, //
    },
    error::Result,
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        values::{
            alloc::Alloc,
            bucket_index::{
                alloc_pos,
                bucket_gens_pos, //
            },
            in_place::{
                add_refcount,
                set_bucket_gen, //
            },
            reflink::refcount, //
        },
    },
    journal::live::Watermark,
};

/// Gives a bucket the state `want`, if it has the state `have`, with all that follows for indices
/// and counters; says whether that was so.
///
/// C: `bch2_alloc_write_key()`.
#[inline(never)]
pub fn set_bucket(
    engine: Engine<'_>,
    dev: DevIdx,
    bucket: BucketNr,
    have: &Alloc,
    want: &Alloc,
) -> Result<bool> {
    let pos = alloc_pos(dev, bucket);
    engine.run(Watermark::Reclaim, |t| {
        let key = t.get(BtreeId::ALLOC, pos)?;
        if alloc_of(key.as_ref())? != *have {
            t.reset();
            return Ok(false);
        }
        t.update(BtreeId::ALLOC, alloc_key(pos, want)?)?;
        t.commit()?;
        Ok(true)
    })
}

/// Adds to the counters at `pos` of the accounting.
pub fn add_to_counters(engine: Engine<'_>, pos: Bpos, by: &[i64]) -> Result {
    engine.run(Watermark::Reclaim, |t| {
        t.buffer(BtreeId::ACCOUNTING, counter_key_at(pos, by)?)?;
        t.commit()
    })?;
    Ok(())
}

/// Has `bucket_gens` say what the key of a bucket says.
///
/// C: the end of `bch2_check_alloc_key()`.
#[inline(never)]
pub fn set_generation(engine: Engine<'_>, dev: DevIdx, bucket: BucketNr) -> Result {
    let (pos, nr) = bucket_gens_pos(dev, bucket);
    engine.run(Watermark::Reclaim, |t| {
        let key = t.get(BtreeId::ALLOC, alloc_pos(dev, bucket))?;
        let generation = alloc_of(key.as_ref())?.generation;
        let mut gens = match t.get(BtreeId::BUCKET_GENS, pos)? {
            Some(gens) => gens,
            None => no_gens(pos)?,
        };
        if set_bucket_gen(gens.value_mut(), nr, generation).is_none() {
            gens = no_gens(pos)?;
            let _ = set_bucket_gen(gens.value_mut(), nr, generation);
        }
        t.update(BtreeId::BUCKET_GENS, gens)?;
        t.commit()
    })?;
    Ok(())
}

/// Sets or deletes a derived key.
#[inline(never)]
pub fn put_derived(engine: Engine<'_>, change: &KeyChange) -> Result {
    engine.run(Watermark::Reclaim, |t| {
        stage_derived(t, change)?;
        t.commit()
    })?;
    Ok(())
}

/// Gives the shared extent that ends at `end` the reference count `want`, if it has `have`; says
/// whether that was so.
///
/// C: `bch2_gc_write_reflink_key()`.
#[inline(never)]
pub fn set_refcount(engine: Engine<'_>, end: u64, have: u64, want: u64) -> Result<bool> {
    let pos = Bpos::new(0, end, 0);
    let by = i64::try_from(i128::from(want).wrapping_sub(have.into())).unwrap_or(0);
    engine.run(Watermark::Reclaim, |t| {
        let key = t.get(BtreeId::REFLINK, pos)?;
        let key = key.filter(|k| refcount(k.key().v) == Ok(have));
        let Some(mut key) = key else {
            t.reset();
            return Ok(false);
        };
        if add_refcount(key.value_mut(), by).is_none() {
            return Ok(false);
        }
        t.update(BtreeId::REFLINK, key)?;
        t.commit()?;
        Ok(true)
    })
}
