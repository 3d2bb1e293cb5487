// SPDX-License-Identifier: GPL-2.0

//! Emptied buckets become free: the device is told that what they held is not needed, and they go
//! from one index to the other.

use super::{
    evacuate::evacuate_nodes,
    gens::{
        renew_generations,
        wants_generations, //
    },
    invalidate::drop_cached,
    look::alloc_of,
    space::{
        Engine,
        Trans, //
    },
};
use crate::{
    btree::{
        trans::TransResult,
        try_flush_write_buffer,
        KeyBuf, //
    },
    env::{
        pr_warn,
        Vec, //
    },
    error::{
        Class,
        Result, //
    },
    format::{
        bkey::Bkey,
        bpos::Bpos,
        btree_id::BtreeId,
        data_type::DataType,
        key_type::KeyType,
        sb::counters::Counter,
        values::{
            alloc::Alloc,
            bucket_index::bucket_of, //
        },
    },
    journal::live::Watermark,
    sb::Device,
};

/// The watermark of changes that make a bucket free, at least: what they need comes from what is
/// kept in reserve, as they must not wait for free buckets.
pub(super) const DISCARDS_AS: Watermark = Watermark::BtreeCopyGc;
/// Buckets looked at at a time.
const BATCH: usize = 64;
/// Words of the journal that making a bucket free takes, at most: its key, and what follows.
const FREE_U64S: u32 = 256;
/// As many buckets as one makes free who must not wait for room in the journal: what is left of it
/// is for writing it back.
const ENOUGH: usize = 4;
/// Free buckets of a device that are left for making others free, as long as that helps.
const RESERVE: u64 = 8;

/// Whether who asks for buckets may wait for room in the journal: he is not one of those who make
/// some, who may want a bucket for that.
fn may_wait(watermark: Watermark) -> bool {
    watermark < Watermark::Reclaim
}

/// Whether who has made `done` buckets free may go on, whose watermark this is.
pub(super) fn may_go_on(engine: Engine<'_>, watermark: Watermark, done: usize) -> bool {
    let journal = &engine.writer.journal;
    may_wait(watermark) || done < ENOUGH && journal.has_room(FREE_U64S, watermark)
}

/// The indices of buckets are btrees that are behind. They will do as they are, if they can not be
/// brought up to date because no bucket is free.
pub(super) fn bring_indices_up_to_date(engine: Engine<'_>) -> Result {
    match try_flush_write_buffer(engine.btrees, engine.writer) {
        Err(e) if e.class() != Class::NoSpace => Err(e),
        _ => Ok(()),
    }
}

/// Some entries of an index, the first ones of those from `from` to `end`.
pub(super) fn next_of_index(
    engine: Engine<'_>,
    index: BtreeId,
    from: Bpos,
    end: Bpos,
) -> Result<Vec<Bpos>> {
    let mut found = Vec::new();
    let mut iter = engine.btrees.iter(index, 0, from).until(end);
    while found.len() < BATCH {
        match iter.advance()?.filter(|k| k.p <= end) {
            Some(k) => found.push(k.p)?,
            None => break,
        }
    }
    Ok(found)
}

/// Makes buckets free that wait to be discarded. Those that were emptied by what is not on disk
/// yet are left, and counted: how many became free, and how many wait for the journal. `watermark`
/// is that of the caller: who writes back the journal must not wait for it.
///
/// C: `bch2_do_discards_work()`.
pub fn discard_buckets(engine: Engine<'_>, watermark: Watermark) -> Result<(usize, usize)> {
    let space = &engine.writer.hooks;
    let waits = |dev: &Device| space.nr_to_discard(dev.idx) != 0;
    if !space.st.devices().any(waits) {
        return Ok((0, 0));
    }
    bring_indices_up_to_date(engine)?;
    let (mut free, mut waiting) = (0usize, 0usize);
    let mut from = Bpos::MIN;
    loop {
        let found = next_of_index(engine, BtreeId::NEED_DISCARD, from, Bpos::MAX)?;
        let Some(last) = found.last().copied() else {
            return Ok((free, waiting));
        };
        for pos in found {
            if !may_go_on(engine, watermark, free) {
                return Ok((free, waiting));
            }
            match discard_one(engine, watermark, pos)? {
                Done::Free => {
                    space.st.count(Counter::BUCKET_DISCARD);
                    free = free.saturating_add(1);
                    space.freeing.add();
                }
                Done::Waits => waiting = waiting.saturating_add(1),
                Done::No => (),
            }
        }
        from = last.successor();
    }
}

/// The same in the background: with a flush of the journal, if that makes more buckets free than
/// there were.
///
/// C: `bch2_do_invalidates_work()`, the end of `bch2_do_discards_work()`, and
/// `bch2_gc_gens_async()`.
pub fn keep_discarded(engine: Engine<'_>) -> Result {
    drop_cached(engine, Watermark::Btree, 0)?;
    engine.btrees.sb().count(Counter::BUCKET_DISCARD_WORKER);
    let (free, waiting) = discard_buckets(engine, Watermark::Btree)?;
    let journal = &engine.writer.journal;
    if waiting > free && journal.has_room(FREE_U64S, Watermark::Btree) {
        journal.flush()?;
        discard_buckets(engine, Watermark::Btree)?;
    }
    if wants_generations(engine) {
        renew_generations(engine)?;
    }
    Ok(())
}

/// Makes buckets free, with a flush of the journal if that helps; when there are none, drops cached
/// data, or moves nodes out of a bucket that has few. Says whether there are more than before. Who
/// makes room in the journal does not wait for any.
fn make_free(engine: Engine<'_>, watermark: Watermark) -> Result<bool> {
    let space = &engine.writer.hooks;
    let before = space.freeing.nr();
    if may_wait(watermark) {
        // Nobody who makes room waits for this one.
        let journal = &engine.writer.journal;
        journal.wait_for_space(FREE_U64S, watermark)?;
    }
    if free_emptied(engine, watermark)? {
        return Ok(true);
    }
    if drop_cached(engine, watermark, 1)? || evacuate_nodes(engine)? {
        return free_emptied(engine, watermark);
    }
    if may_wait(watermark) && wants_generations(engine) && renew_generations(engine)? {
        return Ok(true);
    }
    let others = space.evacuating.try_lock().is_none();
    let more = || space.freeing.nr() > before;
    Ok(others && space.freeing.wait_for(more))
}

/// Makes buckets free while there still are some, for who may take the last ones: to make a bucket
/// free can itself take nodes, for the index of free space.
pub(super) fn keep_reserve(engine: Engine<'_>, watermark: Watermark) -> Result {
    let space = &engine.writer.hooks;
    let is_short = |dev: &Device| {
        let unused = space.open.lock().nr_unused(dev.idx);
        let free = space.dev_space(dev.idx, unused);
        space.nr_to_discard(dev.idx) != 0
            && free.is_some_and(|has| has.free_for(Watermark::Reclaim) < RESERVE)
    };
    // Whoever is at one may be the caller, for whom the reserve is.
    if space.freeing.is_busy() || !space.st.devices().any(is_short) {
        return Ok(());
    }
    match free_emptied(engine, watermark) {
        Err(e) if e.class() != Class::NoSpace => Err(e),
        _ => Ok(()),
    }
}

/// The same for who has other means: no space for that is no reason to fail.
pub(super) fn try_to_free(engine: Engine<'_>, watermark: Watermark) -> Result<bool> {
    match make_free(engine, watermark) {
        Err(e) if e.class() == Class::NoSpace => Ok(false),
        done => done,
    }
}

fn free_emptied(engine: Engine<'_>, watermark: Watermark) -> Result<bool> {
    let (space, journal) = (&engine.writer.hooks, &engine.writer.journal);
    let before = space.freeing.nr();
    let (free, waiting) = discard_buckets(engine, watermark)?;
    if free != 0 {
        return Ok(true);
    }
    if waiting != 0 && journal.has_room(FREE_U64S, watermark) {
        journal.flush()?;
        let (free, _) = discard_buckets(engine, watermark)?;
        return Ok(free != 0);
    }
    Ok(space.freeing.exceeds(before))
}

enum Done {
    Free,
    /// What emptied it is not on disk yet.
    Waits,
    /// It is not what the index says.
    No,
}

/// C: `bch2_discard_one_bucket()`.
#[inline(never)]
fn discard_one(engine: Engine<'_>, watermark: Watermark, pos: Bpos) -> Result<Done> {
    let space = &engine.writer.hooks;
    let (st, journal) = (&space.st, &space.journal);
    let Some((idx, bucket)) = bucket_of(pos) else {
        return Ok(Done::No);
    };
    let Some(dev) = st.dev(idx) else {
        return Ok(Done::No);
    };
    if space.open.lock().is_open(idx, bucket) {
        return Ok(Done::Waits);
    }
    let Some(_in_flight) = space.freeing.begin(pos, may_wait(watermark))? else {
        return Ok(Done::No);
    };
    let found = engine.btrees.lookup(BtreeId::ALLOC, pos)?;
    let key = found.map(|f| KeyBuf::copy_of(&f.key())).transpose()?;
    let state = alloc_of(key.as_ref())?;
    if state.data_type != DataType::NEED_DISCARD {
        // It was taken since the index was brought up to date.
        return Ok(Done::No);
    }
    if state.journal_seq_nonempty > journal.flushed() {
        return Ok(Done::Waits);
    }
    if st.discards(dev) {
        let sectors = u64::from(dev.member.bucket_sectors());
        let start = bucket.0.saturating_mul(sectors);
        if let Err(e) = dev.bdev.discard(start, sectors) {
            // The bucket can be used all the same.
            pr_warn!("{}: discarding bucket {bucket}: {e}", dev.bdev.name());
        }
    }
    let done = engine.run(watermark.max(DISCARDS_AS), |t| free_one(t, pos))?;
    Ok(match done {
        true => Done::Free,
        false => Done::No,
    })
}

#[inline(never)]
fn free_one(t: &mut Trans<'_>, pos: Bpos) -> TransResult<bool> {
    let key = t.get(BtreeId::ALLOC, pos)?;
    let state = alloc_of(key.as_ref())?;
    if state.data_type != DataType::NEED_DISCARD || !state.need_discard {
        return Ok(false);
    }
    // What it is then, its trigger finds out.
    let new = Alloc {
        need_discard: false,
        ..state
    };
    let k = Bkey {
        key_type: KeyType::ALLOC_V4,
        p: pos,
        ..Bkey::default()
    };
    t.update(BtreeId::ALLOC, KeyBuf::of(k, &new.encode())?)?;
    t.commit()?;
    Ok(true)
}
