// SPDX-License-Identifier: GPL-2.0

//! Bringing changed keys to their nodes.

use super::{
    key::Place,
    CachedKey, //
};
use crate::{
    btree::{
        trans::{
            run,
            Hooks,
            Trans,
            TransResult,
            Writer, //
        },
        Btrees,
        KeyBuf,
        Node, //
    },
    env::{
        pr_err,
        sort::sort_by,
        Arc,
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    journal::live::Watermark,
    sys::six::IntentGuard,
};

/// Keys taken at a time.
const BATCH: usize = 128;
/// All entries.
const ALL: (u64, u64) = (u64::MAX, u64::MAX);

/// Brings changed keys that pin a journal entry up to `until` to their nodes, but for those that
/// were changed after `last`, too: what is in entries up to that has to go sooner or later. Those
/// that somebody else is just at are left to him, and what others bring meanwhile may stay.
///
/// C: `journal_flush_pins()`, for key cache pins.
pub(in crate::btree) fn flush_changed<H: Hooks>(
    btrees: &Btrees,
    writer: &Writer<H>,
    until: u64,
    last: u64,
) -> Result {
    let nr = btrees.key_cache().nr_waiting();
    flush_up_to(btrees, writer, (until, last), nr)
}

/// When there are too many changed keys, brings some to their nodes, the oldest first.
pub fn flush_key_cache<H: Hooks>(btrees: &Btrees, writer: &Writer<H>) -> Result {
    let nr = btrees.key_cache().nr_to_flush();
    flush_up_to(btrees, writer, ALL, nr)
}

fn flush_up_to<H: Hooks>(
    btrees: &Btrees,
    writer: &Writer<H>,
    entries: (u64, u64),
    mut nr: usize,
) -> Result {
    while nr != 0 {
        match flush_batch(btrees, writer, entries, nr.min(BATCH))? {
            0 => break,
            done => nr = nr.saturating_sub(done),
        }
    }
    Ok(())
}

/// Brings some changed keys to their nodes: for who wants to make more, when there are too many. He
/// holds no lock.
///
/// C: `bch2_trans_commit_error()`, where it waits for somebody else to do this.
#[inline(never)]
pub(in crate::btree) fn flush_some<H: Hooks>(btrees: &Btrees, writer: &Writer<H>) -> Result {
    flush_batch(btrees, writer, ALL, BATCH).map(drop)
}

/// Takes keys that pin an entry up to `until`, the oldest first, `max` at most; says how many it
/// took. Each of them goes to its node, but for those of which the value is in an entry after
/// `last`: they pin just that.
fn flush_batch<H: Hooks>(
    btrees: &Btrees,
    writer: &Writer<H>,
    (until, last): (u64, u64),
    max: usize,
) -> Result<usize> {
    // What is only in memory is dropped then, not flushed.
    writer.journal.halted().map_or(Ok(()), Err)?;
    let cache = btrees.key_cache();
    let mut batch = Vec::new();
    cache.take_changed(until, max, &mut batch)?;
    let nr = batch.len();
    let place = |key: &CachedKey| (key.place.btree, key.place.pos);
    sort_by(&mut batch, |(_, a), (_, b)| place(a).cmp(&place(b)));
    let mut done = Ok(());
    for (seq, key) in batch {
        let mut pins = Some(seq);
        if done.is_ok() {
            match run(btrees, writer, Watermark::Reclaim, |t| {
                flush_pos(t, &key, last)
            }) {
                Ok(now) => pins = now,
                Err(e) => done = Err(failed(writer, &key, e)),
            }
        }
        cache.give_back(key, pins);
    }
    done.map(|()| nr)
}

/// Brings a changed key to its leaf, without another journal entry. The entry it pins after that is
/// returned, if any.
///
/// The leaf has a key there, or else it is not the leaf that the key came from. Nothing can be
/// written any more then: nobody knows what else the leaf lacks.
///
/// C: `btree_key_cache_flush_pos()`.
fn flush_pos<H: Hooks>(
    t: &mut Trans<'_, H>,
    key: &Arc<CachedKey>,
    last: u64,
) -> TransResult<Option<u64>> {
    let Place { btree, pos, .. } = key.place;
    t.step()?;
    if t.lock_found(key.clone())?.is_none() {
        return Ok(None);
    }
    let (btrees, writer) = (t.btrees, t.writer);
    let Some((_, newest)) = key.changed_in() else {
        return Ok(None);
    };
    if newest > last {
        // It may change once more before that entry has to go.
        let held = t.cached.last();
        return Ok(held.and_then(|held| CachedKey::move_pin(held, &writer.journal)));
    }
    btrees.health.require(btree)?;
    let at = t.lock(btree, 0, pos)?;
    let Some(held) = t.cached.pop() else {
        return Ok(None);
    };
    let leaf = t.nodes.get(at);
    if let Some(leaf) = leaf.filter(|leaf| leaf.get(&leaf.keys().spot(&pos)).is_none()) {
        report_lost(leaf, key, &held);
        return Err(Error::BtreeKeyCacheCoherency.into());
    }
    t.insert_journalled_at(at, &held, (newest, newest))?;
    btrees.key_cache().cleaned(&held, &writer.journal);
    Ok(None)
}

/// A key was changed in the cache, and its leaf has none at its position.
#[cold]
#[inline(never)]
fn report_lost(leaf: &IntentGuard<Node>, key: &CachedKey, cached: &KeyBuf) {
    let Place { btree, pos, .. } = key.place;
    let (oldest, newest) = key.changed_in().unwrap_or_default();
    let (cached, node) = (cached.k, leaf.node());
    let (min, max, place) = (node.min, node.max, node.place(pos));
    let next = leaf.key_at(leaf.search(pos)).map(|slot| slot.key.k);
    match next {
        Some(next) => pr_err!(
            "btree {btree} {pos}: the key cache has {cached}, of journal entries {oldest} to \
             {newest}, but the node {min} - {max} ({place}) has no key there, the next is {next}"
        ),
        None => pr_err!(
            "btree {btree} {pos}: the key cache has {cached}, of journal entries {oldest} to \
             {newest}, but the node {min} - {max} ({place}) has no key there, nor behind"
        ),
    }
}

/// A key could not be brought to its node. Unless that may go well the next time, writing ends:
/// what the journal has of the key could never be given up.
#[cold]
#[inline(never)]
fn failed<H: Hooks>(writer: &Writer<H>, key: &CachedKey, e: Error) -> Error {
    let Place { btree, pos, .. } = key.place;
    // Others come to know of it by the error.
    if writer.journal.halted().is_none() {
        pr_err!("btree {btree} {pos}: can not bring a cached key to its node: {e}");
        writer.fatal(e);
    }
    e
}
