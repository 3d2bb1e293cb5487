// SPDX-License-Identifier: GPL-2.0

//! Emptied buckets become free: the device is told that what they held is not needed, and they go
//! from one index to the other.

use super::{
    evacuate::evacuate_nodes,
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
    error::Result,
    format::{
        bkey::Bkey,
        bpos::Bpos,
        btree_id::BtreeId,
        data_type::DataType,
        key_type::KeyType,
        opts::OptId,
        values::{
            alloc::Alloc,
            bucket_index::bucket_of, //
        },
    },
    journal::live::Watermark,
    sb::Device,
    sys::wait::WaitQueue,
};
use core::sync::atomic::{
    AtomicU64,
    Ordering, //
};

/// Buckets looked at at a time.
const BATCH: usize = 64;
/// Words of the journal that making a bucket free takes, at most: its key, and what follows.
const FREE_U64S: u32 = 256;

/// Milliseconds that one waits for another who makes buckets free, and who may wait for him.
const OTHERS_MS: u64 = 100;

/// Counts buckets that became free.
#[derive(Default)]
pub(super) struct Freed {
    nr: AtomicU64,
    waiters: WaitQueue,
}

impl Freed {
    fn add(&self) {
        self.nr.fetch_add(1, Ordering::AcqRel);
        self.waiters.wake_all();
    }

    pub(super) fn nr(&self) -> u64 {
        self.nr.load(Ordering::Acquire)
    }

    /// Waits for a moment until there were more than `before`; whether there were.
    fn exceeds(&self, before: u64) -> bool {
        let more = || self.nr() > before;
        self.waiters.wait_timeout_ms(OTHERS_MS, more)
    }
}

/// Whether who makes buckets free may wait for room in the journal.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Patience {
    Waits,
    /// He may be the one who makes room there, and wants a bucket for that.
    No,
}

/// Makes buckets free that wait to be discarded. Those that were emptied by what is not on disk
/// yet are left, and counted: how many became free, and how many wait for the journal. `watermark`
/// is that of the caller: who writes back the journal must not wait for it.
///
/// C: `bch2_do_discards_work()`.
pub fn discard_buckets(engine: Engine<'_>, watermark: Watermark) -> Result<(usize, usize)> {
    discard(engine, watermark, Patience::Waits)
}

fn discard(engine: Engine<'_>, watermark: Watermark, patience: Patience) -> Result<(usize, usize)> {
    let space = &engine.writer.hooks;
    let waits = |dev: &Device| space.nr_to_discard(dev.idx) != 0;
    if !space.st.devices().any(waits) {
        return Ok((0, 0));
    }
    // Who comes second has nothing to do, and must not wait: it may be the first one's own doing.
    let Some(_one) = space.discarding.try_lock() else {
        return Ok((0, 0));
    };
    // The index is one of the btrees that are behind.
    try_flush_write_buffer(engine.btrees, engine.writer)?;
    let (mut free, mut waiting) = (0usize, 0usize);
    let mut from = Bpos::MIN;
    loop {
        let mut found = Vec::new();
        let mut iter = engine.btrees.iter(BtreeId::NEED_DISCARD, 0, from);
        while found.len() < BATCH {
            match iter.advance()? {
                Some(k) => found.push(k.p)?,
                None => break,
            }
        }
        let Some(last) = found.last().copied() else {
            return Ok((free, waiting));
        };
        for pos in found {
            let journal = &engine.writer.journal;
            if patience == Patience::No && !journal.has_room(FREE_U64S, watermark) {
                return Ok((free, waiting));
            }
            match discard_one(engine, watermark, pos)? {
                Done::Free => {
                    free = free.saturating_add(1);
                    space.freed.add();
                }
                Done::Waits => waiting = waiting.saturating_add(1),
                Done::No => (),
            }
        }
        from = last.successor();
    }
}

/// Makes buckets free, with a flush of the journal if that helps; when there are none, moves nodes
/// out of one that has few. Says whether there are more than before. Does not wait for room in the
/// journal.
pub(super) fn make_free(engine: Engine<'_>, watermark: Watermark) -> Result<bool> {
    let space = &engine.writer.hooks;
    let before = space.freed.nr();
    if free_emptied(engine, watermark)? {
        return Ok(true);
    }
    if evacuate_nodes(engine)? {
        return free_emptied(engine, watermark);
    }
    let others = space.evacuating.try_lock().is_none();
    Ok(others && space.freed.exceeds(before))
}

fn free_emptied(engine: Engine<'_>, watermark: Watermark) -> Result<bool> {
    let space = &engine.writer.hooks;
    let before = space.freed.nr();
    let (free, waiting) = discard(engine, watermark, Patience::No)?;
    if (free, waiting) == (0, 0) && space.discarding.try_lock().is_none() {
        return Ok(space.freed.exceeds(before));
    }
    let can_flush = || {
        engine
            .writer
            .journal
            .has_room(FREE_U64S, Watermark::Reclaim)
    };
    if free != 0 || waiting == 0 || !can_flush() {
        return Ok(free != 0);
    }
    engine.writer.journal.flush()?;
    let (free, _) = discard(engine, watermark, Patience::No)?;
    Ok(free != 0)
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
    if st.opts.is_on(OptId::Discard) && dev.bdev.supports_discard() {
        let sectors = u64::from(dev.member.bucket_sectors());
        let start = bucket.0.saturating_mul(sectors);
        if let Err(e) = dev.bdev.discard(start, sectors) {
            // The bucket can be used all the same.
            pr_warn!("{}: discarding bucket {bucket}: {e}", dev.bdev.name());
        }
    }
    let done = engine.run(watermark, |t| free_one(t, pos))?;
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
