// SPDX-License-Identifier: GPL-2.0

//! Writing back what the journal holds.

use super::{
    flush_key_cache,
    flush_write_buffer,
    key_cache::flush_changed,
    trans::{
        Hooks,
        Writer, //
    },
    write,
    write_buffer::end_empty_counters,
    Btrees,
    Node, //
};
use crate::{
    env::{
        sort::sort_by,
        Arc,
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    format::sb::counters::Counter,
};

/// Nodes written before the next ones are looked for.
const BATCH: usize = 64;
/// Nodes that are written for memory by who changes others.
const SOME: usize = 4;
/// Parts of the journal that are written back one after the other.
const STEPS: u64 = 8;

/// Writes back what pins a journal entry up to `seq`: keys of the write buffer and of the key cache
/// go to their nodes, nodes to the disk. What others bring meanwhile may stay.
///
/// The oldest entries come first. All of it can take more of the journal than is left, for new
/// pointers and for nodes that are split: what was written back so far makes room for the rest.
///
/// C: `journal_flush_pins()`.
pub fn write_back<H: Hooks>(btrees: &Btrees, writer: &Writer<H>, seq: u64) -> Result {
    btrees.sb().count(Counter::JOURNAL_RECLAIM_START);
    flush_write_buffer(btrees, writer)?;
    let newest = writer.journal.newest();
    let mut until = writer.journal.oldest_pinned();
    let at_once = newest.saturating_sub(until) / STEPS;
    while until < seq.min(newest) {
        until = until.saturating_add(at_once);
        write_back_to(btrees, writer, until.min(seq), seq)?;
        until = until.saturating_add(1);
    }
    write_back_to(btrees, writer, seq, seq)?;
    flush_key_cache(btrees, writer)?;
    btrees.sb().count(Counter::JOURNAL_RECLAIM_FINISH);
    Ok(())
}

/// Writes back what pins an entry up to `until`, in any order; all up to `last` is going to be.
fn write_back_to<H: Hooks>(btrees: &Btrees, writer: &Writer<H>, until: u64, last: u64) -> Result {
    let times = &btrees.sb().times;
    let timed = times.journal_pin_flush_key_cache.begin();
    flush_changed(btrees, writer, until, last)?;
    drop(timed);
    let _timed = times.journal_pin_flush_btree.begin();
    while write_nodes(btrees, writer, until, BATCH)? == BATCH {}
    Ok(())
}

/// Writes nodes that pin an entry up to `seq`, `max` at most. How many there were.
fn write_nodes<H: Hooks>(
    btrees: &Btrees,
    writer: &Writer<H>,
    seq: u64,
    max: usize,
) -> Result<usize> {
    let mut nodes = Vec::new();
    btrees.cache().dirty_up_to(seq, &mut nodes, max)?;
    // The leaves first: writing them changes their parents.
    sort_by(&mut nodes, |a, b| a.level.cmp(&b.level));
    let mut rest: &[Arc<Node>] = &nodes;
    while let Some(first) = rest.first() {
        let same = rest.iter().take_while(|n| n.level == first.level).count();
        let (level, others) = rest.split_at_checked(same).unwrap_or((rest, &[]));
        write::write_nodes(btrees, writer, level)?;
        rest = others;
    }
    Ok(nodes.len())
}

/// When nodes take too much memory, writes some, so that they can be dropped: for who is going to
/// change more. He holds no lock.
#[cold]
#[inline(never)]
pub(super) fn write_some<H: Hooks>(btrees: &Btrees, writer: &Writer<H>) -> Result {
    write_oldest(btrees, writer).map(drop)
}

/// When nodes take too much memory, writes some of them until enough can be dropped.
pub fn write_for_memory<H: Hooks>(btrees: &Btrees, writer: &Writer<H>) -> Result {
    btrees.cache().adapt();
    let mut wanted = btrees.cache().take_wanted();
    if wanted == 0 {
        return Ok(());
    }
    // Not for ever: the journal may need room meanwhile.
    for _ in 0..BATCH {
        if wanted == 0 && btrees.cache().make_room() {
            break;
        }
        match write_oldest(btrees, writer)? {
            0 => break,
            nr => wanted = wanted.saturating_sub(nr),
        }
    }
    Ok(())
}

/// Writes some of the nodes that hold the oldest entries. How many there were; none when there is
/// no memory for that, which is no reason to fail for who is to make room.
fn write_oldest<H: Hooks>(btrees: &Btrees, writer: &Writer<H>) -> Result<usize> {
    let (oldest, newest) = (writer.journal.oldest_pinned(), writer.journal.newest());
    let until = oldest.saturating_add(newest.saturating_sub(oldest) / STEPS);
    let done = match write_nodes(btrees, writer, until, SOME) {
        // It is something else that holds these.
        Ok(0) => write_nodes(btrees, writer, newest, SOME),
        done => done,
    };
    match done {
        Err(Error::NoMemory) => Ok(0),
        done => done,
    }
}

/// Writes back everything, until the journal holds nothing any more. For when nothing new comes.
///
/// C: `bch2_journal_flush_all_pins()`.
pub fn write_back_all<H: Hooks>(btrees: &Btrees, writer: &Writer<H>) -> Result {
    loop {
        let newest = writer.journal.newest();
        write_back(btrees, writer, newest)?;
        writer.journal.flush()?;
        let in_keys = !writer.buffer.is_empty() || btrees.key_cache().nr_changed() != 0;
        let held = in_keys || btrees.cache().has_dirty()?;
        if !held && !end_empty_counters(btrees, writer)? {
            return Ok(());
        }
    }
}
