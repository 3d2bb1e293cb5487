// SPDX-License-Identifier: GPL-2.0

//! Counters of what is gone: files, and snapshots.
//!
//! A counter of 0 says no more than none. But its version says which differences are in it, and the
//! journal may have some of them, which a replay would add again to one that is not there. So it
//! stays until the journal that a replay goes over starts behind the newest of them. Nothing is
//! added to the journal when it goes: should that get lost, the counter is still 0.
//!
//! The C implementation keeps them for ever.

use super::{
    trans::{
        run,
        Hooks,
        Trans,
        TransResult,
        Writer, //
    },
    Btrees,
    KeyBuf, //
};
use crate::{
    env::Vec,
    error::{
        Class,
        Error,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        values::accounting::Counted, //
    },
    journal::live::{
        Reservation,
        Watermark, //
    },
    sys::six::IntentGuard,
};

/// Leaves that are remembered. Of more than that the counters stay, until others in them get to 0.
const LEAVES_MAX: usize = 1024;
/// Counters that go at a time, with their leaf locked.
const BATCH: usize = 64;

/// Leaves of the accounting that have counters of 0.
#[derive(Debug, Default)]
pub(super) struct EmptyCounters(Vec<Leaf>);

#[derive(Clone, Copy, Debug)]
struct Leaf {
    min: Bpos,
    max: Bpos,
    /// The journal entry of the newest difference of the counter that was noted first.
    seq: u64,
}

impl EmptyCounters {
    /// Whether no leaf is known to have any.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The leaf from `min` to `max` has one, whose newest difference is in journal entry `seq`.
    fn note(&mut self, leaf: Leaf) {
        // They come in order, so it is the last one, mostly.
        let known = self
            .0
            .iter()
            .rev()
            .any(|l| l.max == leaf.max && l.min <= leaf.min);
        if !known && self.0.len() < LEAVES_MAX {
            // Without memory, they stay.
            let _ = self.0.push(leaf);
        }
    }

    /// Takes a leaf that was noted for an entry before `seq`.
    fn take_before(&mut self, seq: u64) -> Option<Leaf> {
        let at = self.0.iter().position(|l| l.seq < seq)?;
        let last = self.0.pop()?;
        Some(match self.0.get_mut(at) {
            Some(taken) => core::mem::replace(taken, last),
            None => last,
        })
    }

    /// Notes the leaf of `key`, which is locked and is about to get it, if that is such a counter.
    pub(super) fn look_at<H: Hooks>(
        &mut self,
        t: &mut Trans<'_, H>,
        key: &KeyBuf,
        seq: u64,
    ) -> TransResult {
        if is_empty(t.btrees, key) {
            let at = t.lock(BtreeId::ACCOUNTING, 0, key.k.p)?;
            if let Some(node) = t.nodes.get(at).map(IntentGuard::node) {
                let (min, max) = (node.min, node.max);
                self.note(Leaf { min, max, seq });
            }
        }
        Ok(())
    }

    /// Deletes those that nobody needs any more. What can not be done now is done later.
    pub(super) fn drop_old<H: Hooks>(&mut self, btrees: &Btrees, writer: &Writer<H>) {
        let needed = writer.journal.oldest_needed();
        while let Some(leaf) = self.take_before(needed) {
            match drop_within(btrees, writer, leaf, needed) {
                Ok(None) => (),
                Ok(Some(seq)) => self.note(Leaf { seq, ..leaf }),
                Err(e) if is_for_lack_of_room(e) => {
                    self.note(leaf);
                    break;
                }
                // They may as well stay; what is wrong there shows when it matters.
                Err(_) => (),
            }
        }
    }
}

/// Deletes all that nobody needs any more, also those that a crash has left.
///
/// Errors: those of transactions.
pub fn drop_empty_counters<H: Hooks>(btrees: &Btrees, writer: &Writer<H>) -> Result {
    let everywhere = Leaf {
        min: Bpos::MIN,
        max: Bpos::MAX,
        seq: 0,
    };
    let needed = writer.journal.oldest_needed();
    match drop_within(btrees, writer, everywhere, needed) {
        Err(e) if !is_for_lack_of_room(e) => Err(e),
        _ => Ok(()),
    }
}

/// Whether there was no room, in the journal or for nodes.
fn is_for_lack_of_room(e: Error) -> bool {
    matches!(e, Error::JournalFull | Error::JournalRetry) || e.class() == Class::NoSpace
}

/// Whether `key` counts something of which there is no end, and is 0.
fn is_empty(btrees: &Btrees, key: &KeyBuf) -> bool {
    let counted = || Counted::decode(key.k.p, btrees.sb().sb.version());
    key.k.key_type == KeyType::ACCOUNTING
        && key.value().iter().all(|word| *word == 0)
        && matches!(counted(), Counted::Inum(_) | Counted::Snapshot(..))
}

/// Deletes those of `leaf` whose newest difference is in an entry before `needed`. The first entry
/// of those that stay, if any do.
fn drop_within<H: Hooks>(
    btrees: &Btrees,
    writer: &Writer<H>,
    leaf: Leaf,
    needed: u64,
) -> Result<Option<u64>> {
    let (mut from, mut later) = (Some(leaf.min), None::<u64>);
    while let Some(pos) = from {
        let (next, stays) = run(btrees, writer, Watermark::Reclaim, |t| {
            drop_some(t, (pos, leaf.max), needed)
        })?;
        from = next;
        later = later.into_iter().chain(stays).min();
    }
    Ok(later)
}

/// Deletes some of those from `from` to `until`: where to go on, and the first entry of those that
/// stay.
fn drop_some<H: Hooks>(
    t: &mut Trans<'_, H>,
    (from, until): (Bpos, Bpos),
    needed: u64,
) -> TransResult<(Option<Bpos>, Option<u64>)> {
    let (mut pos, mut stays) = (from, None::<u64>);
    let mut old = Vec::new();
    let at = t.lock(BtreeId::ACCOUNTING, 0, from)?;
    let end = t.nodes.get(at).map_or(until, |n| n.node().max.min(until));
    let mut next = (end < until).then(|| end.successor());
    while let Some(key) = t.next(BtreeId::ACCOUNTING, pos, end)? {
        let after = (key.k.p < end).then(|| key.k.p.successor());
        if is_empty(t.btrees, &key) {
            let seq = key.k.version.journal_seq();
            if seq < needed {
                old.push(key.k.p)?;
            } else {
                stays = stays.into_iter().chain([seq]).min();
            }
        }
        match after {
            Some(after) if old.len() == BATCH => {
                next = Some(after);
                break;
            }
            Some(after) => pos = after,
            None => break,
        }
    }
    if !old.is_empty() {
        // So that the leaf is written, like any other that has changed.
        let entry = t
            .writer
            .journal
            .try_reserve(Reservation::u64s_for(0), t.watermark)?;
        for pos in &old {
            t.insert_journalled_at(at, &KeyBuf::deletion(*pos), (entry.seq(), entry.seq()))?;
        }
    }
    t.reset();
    Ok((next, stays))
}
