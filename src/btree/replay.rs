// SPDX-License-Identifier: GPL-2.0

//! Replay: the keys that the journal of the mount before has go to their nodes.
//!
//! They are not added to the journal again: nodes pin the entries that the keys are from. No
//! triggers run, as all that follows from a key is in the journal beside it. As long as something
//! is not replayed, it is laid over the btrees, and everybody sees it.
//!
//! Replaying may split nodes, which takes room in the journal, and that may be full of what is to
//! be replayed. So the keys for which there is no room are left out at first; then they come in the
//! order of the journal, which frees one entry after the other.

use super::{
    interior::make_root,
    trans::{
        run,
        Hooks,
        Writer, //
    },
    write_back,
    write_buffer::sum,
    Btrees,
    KeyBuf, //
};
use crate::{
    env::{
        pr_err,
        sort::sort_by,
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId, //
    },
    journal::{
        keys::{
            JournalKeys,
            AMENDED, //
        },
        live::Watermark, //
    },
};

/// Replays all that is laid over the btrees, and takes it away. Returns the number of keys.
///
/// After an error, what was replayed is so, and doing it again does no harm.
///
/// C: `bch2_journal_replay()`.
pub fn replay<H: Hooks>(btrees: &Btrees, writer: &Writer<H>) -> Result<usize> {
    let mut nr = 0;
    if let Some(keys) = btrees.overlay() {
        writer.buffer.hold_counters(true);
        let added = add_deltas(btrees, writer, &keys);
        writer.buffer.hold_counters(false);
        nr = added?.saturating_add(replay_keys(btrees, writer, &keys)?);
    }
    btrees.drop_overlay();
    writer.journal.replayed(u64::MAX);
    Ok(nr)
}

/// Adds the differences of counters to these. Before anything else: a counter has the version of
/// the newest difference that it has, so they must come in order.
///
/// C: the first loop of `bch2_journal_replay()`.
#[inline(never)]
fn add_deltas<H: Hooks>(btrees: &Btrees, writer: &Writer<H>, keys: &JournalKeys) -> Result<usize> {
    let (btree, mut nr) = (BtreeId::ACCOUNTING, 0usize);
    let mut deltas = keys.deltas_from(Bpos::MIN, Bpos::MAX).peekable();
    while let Some(first) = deltas.next() {
        let pos = first.0.k.p;
        let mut group = Vec::new();
        group.push(first)?;
        while let Some(more) = deltas.next_if(|(d, _)| d.k.p == pos) {
            group.push(more)?;
        }
        let seqs = group.iter().map(|(_, seq)| *seq);
        let oldest = seqs.clone().min().unwrap_or(0);
        let newest = seqs.max().unwrap_or(0);
        let done = run(btrees, writer, Watermark::Reclaim, |t| {
            let old = t.get(btree, pos)?;
            let before = old.as_ref().map(|old| old.k.version);
            let new = sum(old, group.iter().map(|(delta, _)| *delta))?;
            match before == Some(new.k.version) {
                true => t.reset(),
                false => t.insert_journalled((btree, 0), &new, (oldest, newest))?,
            }
            Ok(())
        });
        done.inspect_err(|e| failed(btrees, btree, pos, *e))?;
        nr = nr.saturating_add(group.len());
    }
    keys.note_deltas_added();
    Ok(nr)
}

#[inline(never)]
fn replay_keys<H: Hooks>(btrees: &Btrees, writer: &Writer<H>, keys: &JournalKeys) -> Result<usize> {
    let (mut later, mut nr) = (Vec::new(), 0usize);
    for at in 0..keys.len() {
        if writer.journal.watermark() > Watermark::Stripe {
            later.push(at)?;
            continue;
        }
        match replay_key(btrees, writer, keys, at) {
            Ok(()) => nr = nr.saturating_add(1),
            Err(Error::JournalFull) => later.push(at)?,
            Err(e) => return Err(e),
        }
    }
    sort_by(&mut later, |a, b| (keys.seq(*a), a).cmp(&(keys.seq(*b), b)));
    for at in later.iter().copied() {
        writer.journal.replayed(keys.seq(at).unwrap_or(0));
        while let Err(e) = replay_key(btrees, writer, keys, at) {
            match e {
                Error::JournalFull => make_room(btrees, writer)?,
                e => return Err(e),
            }
        }
        nr = nr.saturating_add(1);
    }
    Ok(nr)
}

/// Replays the key with this index, unless something newer was written in its place.
///
/// C: `bch2_journal_replay_key()`.
fn replay_key<H: Hooks>(
    btrees: &Btrees,
    writer: &Writer<H>,
    keys: &JournalKeys,
    at: usize,
) -> Result {
    let (btree, level, key, seq) = keys.with_origin(at)?;
    let pos = key.k.p;
    let key = KeyBuf::copy_of(&key)?;
    if btrees
        .root_node(btree)
        .is_some_and(|root| root.is_stand_in())
    {
        // Its pointers come with the keys that are replayed.
        make_root(btrees, writer, Watermark::Reclaim, btree)?;
    }
    if level > btrees.root_level(btree) {
        // Of nodes above the leaves from before all of these were made anew.
        return Ok(());
    }
    let done = run(btrees, writer, Watermark::Reclaim, |t| {
        t.lock(btree, level, pos)?;
        if keys.is_written(at) {
            t.reset();
            return Ok(());
        }
        match seq {
            AMENDED => t.insert_amended((btree, level), &key),
            seq => t.insert_journalled((btree, level), &key, (seq, seq)),
        }
    });
    if let Err(e) = done {
        if e != Error::JournalFull {
            failed(btrees, btree, pos, e);
        }
    }
    done
}

/// Writes back what was replayed of the oldest entries, so that these are no longer needed.
#[cold]
#[inline(never)]
fn make_room<H: Hooks>(btrees: &Btrees, writer: &Writer<H>) -> Result {
    let journal = &writer.journal;
    let before = journal.oldest_pinned();
    write_back(btrees, writer, before)?;
    if journal.oldest_pinned() == before {
        return Err(journal.stuck());
    }
    // It says on disk from where on the journal is needed.
    journal.write_entry().map(|_| ())
}

#[cold]
fn failed(btrees: &Btrees, btree: BtreeId, pos: Bpos, e: Error) {
    let name = btrees.sb().name();
    pr_err!("{name}: replaying the journal: btree {btree} key {pos}: {e}");
}
