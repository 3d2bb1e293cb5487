// SPDX-License-Identifier: GPL-2.0

//! Buckets whose generation has gone far since their oldest pointer was known.
//!
//! A generation has eight bits. With each reuse of a bucket it goes up, and pointers with an older
//! one are stale; should it come round to theirs, they would not be. So a bucket is not used again
//! once [`GC_GEN_MAX`](crate::format::values::alloc::GC_GEN_MAX) have gone by, until all pointers
//! were looked at for the oldest one there is.

use super::{
    derive::alloc_key,
    look::alloc_of,
    space::Engine, //
};
use crate::{
    btree::KeyBuf,
    env::{
        units::{
            BucketNr,
            DevIdx, //
        },
        Vec, //
    },
    error::Result,
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        data_type::DataType,
        sb::counters::Counter,
        values::{
            alloc::{
                Alloc,
                GC_GEN_MAX, //
            },
            bucket_index::alloc_pos,
            extent::ptrs,
            extent_entry::Ptr, //
        },
    },
    journal::live::Watermark,
    sb::Device, //
};

/// The btrees with pointers that may be stale. C: `btree_type_has_ptrs()`; those in nodes' parents
/// never are.
const BTREES: [BtreeId; 2] = [BtreeId::EXTENTS, BtreeId::REFLINK];
/// Buckets that so many generations have gone by of are looked at with those that can not wait.
const FROM: u8 = GC_GEN_MAX / 2;

/// A bucket, and the oldest generation that a pointer to it has.
struct Oldest {
    dev: DevIdx,
    bucket: BucketNr,
    /// The bucket's, when it was looked up.
    generation: u8,
    oldest: u8,
}

impl Oldest {
    fn place(&self) -> (DevIdx, BucketNr) {
        (self.dev, self.bucket)
    }

    fn age(&self, generation: u8) -> u8 {
        self.generation.wrapping_sub(generation)
    }
}

/// Whether so many buckets of a device wait for this that it should be done now.
pub(super) fn wants_generations(engine: Engine<'_>) -> bool {
    let space = &engine.writer.hooks;
    space.st.devices().any(|dev| {
        let has = space.dev_space(dev.idx, space.open.lock().nr_unused(dev.idx));
        has.is_some_and(|has| {
            let most = has.free_for(Watermark::Normal).min(has.nr_buckets >> 6);
            has.need_gc_gens > most
        })
    })
}

/// Finds out which is the oldest generation that pointers have, of buckets for which that matters,
/// so that they can be used again. Says whether there are more free ones than before; `false` when
/// somebody else is at it.
///
/// C: `bch2_gc_gens()`.
pub fn renew_generations(engine: Engine<'_>) -> Result<bool> {
    let space = &engine.writer.hooks;
    let Some(_one) = space.renewing.try_lock() else {
        return Ok(false);
    };
    let _timed = space.st.times.btree_gc.begin();
    space.st.count(Counter::GC_GENS_START);
    let mut buckets = Vec::new();
    for dev in space.st.devices() {
        collect(engine, dev, &mut buckets)?;
    }
    for btree in BTREES {
        look_at_pointers(engine, btree, &mut buckets)?;
    }
    let mut freed = false;
    for bucket in &buckets {
        if write(engine, bucket)? {
            freed = true;
            space.freeing.add();
        }
    }
    space.st.count(Counter::GC_GENS_END);
    Ok(freed)
}

/// The buckets of a device for which it matters, in order.
#[inline(never)]
fn collect(engine: Engine<'_>, dev: &Device, buckets: &mut Vec<Oldest>) -> Result {
    for nr in u64::from(dev.member.first_bucket())..dev.member.nbuckets() {
        let bucket = BucketNr(nr);
        let found = engine
            .btrees
            .lookup(BtreeId::ALLOC, alloc_pos(dev.idx, bucket))?;
        let Some(found) = found else {
            continue;
        };
        let key = KeyBuf::copy_of(&found.key())?;
        drop(found);
        let state = alloc_of(Some(&key))?;
        if state.gc_gen() >= FROM {
            buckets.push(Oldest {
                dev: dev.idx,
                bucket,
                generation: state.generation,
                oldest: state.generation,
            })?;
        }
    }
    Ok(())
}

/// C: `gc_btree_gens_key()`.
#[inline(never)]
fn look_at_pointers(engine: Engine<'_>, btree: BtreeId, buckets: &mut [Oldest]) -> Result {
    let space = &engine.writer.hooks;
    let sizes = engine.btrees.entry_sizes();
    let mut iter = engine.btrees.iter(btree, 0, Bpos::MIN);
    while iter.advance()?.is_some() {
        let Some(key) = iter.current() else {
            continue;
        };
        // What can not be read of a key nobody can follow.
        for ptr in ptrs(&key, sizes).filter_map(|p| p.ok()) {
            let Ptr { dev, .. } = ptr.ptr;
            let sectors = space.st.dev(dev).map(|d| d.member.bucket_sectors());
            let nr = sectors.and_then(|s| ptr.ptr.offset.0.checked_div(s.into()));
            let place = (dev, BucketNr(nr.unwrap_or(u64::MAX)));
            note(buckets, place, ptr.ptr.generation);
        }
    }
    Ok(())
}

/// There is a pointer with this generation to a bucket.
fn note(buckets: &mut [Oldest], place: (DevIdx, BucketNr), generation: u8) {
    let at = buckets.binary_search_by(|b| b.place().cmp(&place));
    let known = at.ok().and_then(|at| buckets.get_mut(at));
    if let Some(known) = known.filter(|k| k.age(generation) > k.age(k.oldest)) {
        known.oldest = generation;
    }
}

/// Writes down what was found out about a bucket. Says whether it is free now.
#[inline(never)]
fn write(engine: Engine<'_>, found: &Oldest) -> Result<bool> {
    let pos = alloc_pos(found.dev, found.bucket);
    engine.run(Watermark::BtreeCopyGc, |t| {
        let key = t.get(BtreeId::ALLOC, pos)?;
        let state = alloc_of(key.as_ref())?;
        // Pointers made since then are not older.
        let is_news = found.age(found.oldest) < found.age(state.oldest_gen);
        if !is_news {
            t.reset();
            return Ok(false);
        }
        let new = Alloc {
            oldest_gen: found.oldest,
            ..state
        };
        t.update(BtreeId::ALLOC, alloc_key(pos, &new)?)?;
        t.commit()?;
        // What it is now, its trigger has found out from the same.
        let is = new.data_type_by_counts(new.data_type, false);
        Ok(state.data_type == DataType::NEED_GC_GENS && is == DataType::FREE)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_pointer_counts() {
        let of = |bucket, generation| Oldest {
            dev: DevIdx(1),
            bucket: BucketNr(bucket),
            generation,
            oldest: generation,
        };
        let mut buckets = [of(3, 250), of(5, 4)];
        // Generations go round.
        for (bucket, generation) in [(3, 240), (3, 190), (3, 245), (4, 1), (5, 3), (5, 250)] {
            note(&mut buckets, (DevIdx(1), BucketNr(bucket)), generation);
        }
        note(&mut buckets, (DevIdx(0), BucketNr(3)), 170);
        let [a, b] = buckets;
        assert_eq!((a.oldest, b.oldest), (190, 250));
        assert_eq!((a.age(a.oldest), b.age(b.oldest)), (60, 10));
    }
}
