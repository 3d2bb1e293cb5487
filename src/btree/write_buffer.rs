// SPDX-License-Identifier: GPL-2.0

//! Keys that are in the journal and go to their btree later, many at a time and in order.
//!
//! What is derived from other keys comes in no order, and nobody looks at it soon: backpointers,
//! the LRU, counters. Each such key pins its journal entry until it is in a node. A key of the
//! buffer is not found by iterators: who reads one of these btrees flushes first.

use super::{
    empty_counters::EmptyCounters,
    trans::{
        run,
        Hooks,
        Writer, //
    },
    Btrees,
    KeyBuf, //
};
use crate::{
    env::{
        sort::sort_by,
        Vec, //
    },
    error::Result,
    format::{
        bkey::{
            Bkey,
            Key, //
        },
        bpos::Bpos,
        btree_id::BtreeId,
        sb::counters::Counter, //
    },
    journal::live::{
        Journal,
        Watermark, //
    },
    sys::sync::{
        Mutex,
        MutexGuard, //
    },
};
use core::sync::atomic::{
    AtomicBool,
    Ordering, //
};

/// Keys from which on the buffer is flushed without a need.
const FLUSH_AT: usize = 16 << 10;

/// A key on its way.
#[derive(Debug)]
struct Buffered {
    btree: BtreeId,
    key: KeyBuf,
    /// The journal entry it is in, which is pinned; 0 when the key is in its node.
    seq: u64,
}

/// Where a key goes to. They are sorted in place of the keys, which are larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    btree: BtreeId,
    pos: Bpos,
    /// The index of the key: of several for a position, the one that came last has the highest.
    at: usize,
}

/// The keys on their way.
///
/// C: `struct btree_write_buffer`.
pub struct WriteBuffer {
    incoming: Mutex<Incoming>,
    /// Held while flushing: keys of one position must reach their node in order.
    flushing: Mutex<Flushing>,
    /// Counters stay here: older differences are still to be added, and these have to be first, as
    /// it is the newest that is remembered.
    counters_wait: AtomicBool,
}

/// What a flush goes on with.
#[derive(Debug, Default)]
struct Flushing {
    /// Keys that are on their way to their nodes, or could not be brought there, as they came.
    keys: Vec<Buffered>,
    /// Memory for sorting them.
    order: Vec<Place>,
    /// Counters that became 0.
    empty: EmptyCounters,
}

/// The keys that came since the last flush.
#[derive(Debug, Default)]
struct Incoming {
    keys: Vec<Buffered>,
    /// Memory for sorting them: a flush, which makes room, must not lack it.
    order: Vec<Place>,
}

/// Room in the buffer for some keys, that nobody else can take.
pub(super) struct Room<'a>(MutexGuard<'a, Incoming>);

impl Room<'_> {
    /// Adds a key, of those there is room for, that is in journal entry `seq`.
    pub(super) fn add(
        &mut self,
        journal: &Journal,
        btree: BtreeId,
        key: KeyBuf,
        seq: u64,
    ) -> Result {
        self.0.keys.push(Buffered { btree, key, seq })?;
        journal.pin(seq);
        Ok(())
    }
}

impl WriteBuffer {
    pub(super) fn try_new() -> Result<Self> {
        Ok(Self {
            incoming: Mutex::try_new(Incoming::default())?,
            flushing: Mutex::try_new(Flushing::default())?,
            counters_wait: AtomicBool::new(false),
        })
    }

    /// Has counters stay in the buffer, or not any more.
    pub(super) fn hold_counters(&self, hold: bool) {
        self.counters_wait.store(hold, Ordering::Release);
    }

    /// Makes room for `nr` keys.
    pub(super) fn room(&self, nr: usize) -> Result<Room<'_>> {
        let mut incoming = self.incoming.lock();
        incoming.keys.reserve(nr)?;
        let all = incoming.keys.len().saturating_add(nr);
        incoming.order.reserve(all)?;
        Ok(Room(incoming))
    }

    /// Whether so much has come together that it is worth flushing.
    pub fn is_full(&self) -> bool {
        self.incoming.lock().keys.len() >= FLUSH_AT
    }

    /// Keys on their way.
    pub fn len(&self) -> usize {
        let flushing = self.flushing.lock().keys.len();
        flushing.saturating_add(self.incoming.lock().keys.len())
    }

    /// Whether no key is on its way.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Brings all keys that are in the buffer now to their nodes. After a failure, those that could not
/// be brought are still there.
///
/// C: `bch2_btree_write_buffer_flush_sync()`.
pub fn flush_write_buffer<H: Hooks>(btrees: &Btrees, writer: &Writer<H>) -> Result {
    btrees.sb().count(Counter::WRITE_BUFFER_FLUSH_SYNC);
    flush(btrees, writer, &mut writer.buffer.flushing.lock())
}

/// The same, unless somebody else is at it: perhaps the caller, or who waits for the caller.
pub fn try_flush_write_buffer<H: Hooks>(btrees: &Btrees, writer: &Writer<H>) -> Result {
    match writer.buffer.flushing.try_lock() {
        Some(mut flushing) => flush(btrees, writer, &mut flushing),
        None => Ok(()),
    }
}

/// After all was written back: has the journal start behind it, and does away with the counters
/// that are 0. Says whether there were any, which changes their nodes.
pub(super) fn end_empty_counters<H: Hooks>(btrees: &Btrees, writer: &Writer<H>) -> Result<bool> {
    let mut flushing = writer.buffer.flushing.lock();
    let there = !flushing.empty.is_empty();
    if there {
        writer.journal.write_entry()?;
        flushing.empty.drop_old(btrees, writer);
        // What could not be done stays.
        flushing.empty = EmptyCounters::default();
    }
    Ok(there)
}

fn flush<H: Hooks>(btrees: &Btrees, writer: &Writer<H>, flushing: &mut Flushing) -> Result {
    let Flushing { keys, order, empty } = flushing;
    take_incoming(&writer.buffer, keys, order)?;
    let st = btrees.sb();
    let _timed = (!keys.is_empty()).then(|| {
        st.count(Counter::WRITE_BUFFER_FLUSH);
        st.times.btree_write_buffer_flush.begin()
    });
    sort(keys, order)?;
    let done = bring_all(btrees, writer, (keys, order), empty);
    keys.retain(|b| b.seq != 0);
    done?;
    if !writer.buffer.counters_wait.load(Ordering::Acquire) {
        empty.drop_old(btrees, writer);
    }
    Ok(())
}

/// Makes `order` that of the nodes that `keys` go to.
fn sort(keys: &[Buffered], order: &mut Vec<Place>) -> Result {
    order.clear();
    order.reserve(keys.len())?;
    for (at, b) in keys.iter().enumerate() {
        order.push(Place {
            btree: b.btree,
            pos: b.key.k.p,
            at,
        })?;
    }
    sort_by(order, |a, b| a.cmp(b));
    Ok(())
}

/// Brings keys to their nodes, in order, until one can not be brought.
fn bring_all<H: Hooks>(
    btrees: &Btrees,
    writer: &Writer<H>,
    (keys, order): (&mut [Buffered], &[Place]),
    empty: &mut EmptyCounters,
) -> Result {
    let mut rest = order;
    while let Some(first) = rest.first() {
        let waits = writer.buffer.counters_wait.load(Ordering::Acquire);
        if waits && first.btree == BtreeId::ACCOUNTING {
            // They are the last btree.
            break;
        }
        let same = |p: &&Place| (p.btree, p.pos) == (first.btree, first.pos);
        let nr = rest.iter().take_while(same).count();
        let (group, others) = rest.split_at_checked(nr).unwrap_or((rest, &[]));
        bring(btrees, writer, (keys, group), empty)?;
        for p in group {
            if let Some(b) = keys.get_mut(p.at) {
                writer.journal.unpin(core::mem::take(&mut b.seq));
            }
        }
        rest = others;
    }
    Ok(())
}

/// Moves what came to `keys`, behind what is left there of the last flush.
fn take_incoming(buffer: &WriteBuffer, keys: &mut Vec<Buffered>, order: &mut Vec<Place>) -> Result {
    order.clear();
    let mut incoming = buffer.incoming.lock();
    if keys.is_empty() {
        core::mem::swap(keys, &mut incoming.keys);
        core::mem::swap(order, &mut incoming.order);
        return Ok(());
    }
    keys.reserve(incoming.keys.len())?;
    for b in core::mem::take(&mut incoming.keys) {
        keys.push(b)?;
    }
    Ok(())
}

fn version(k: &Bkey) -> (u32, u64) {
    (k.version.hi, k.version.lo)
}

/// Brings keys of one position, the oldest first, to their node.
fn bring<H: Hooks>(
    btrees: &Btrees,
    writer: &Writer<H>,
    (keys, group): (&[Buffered], &[Place]),
    empty: &mut EmptyCounters,
) -> Result {
    let all = || group.iter().filter_map(|p| keys.get(p.at));
    let (Some(oldest), Some(newest)) = (all().next(), all().next_back()) else {
        return Ok(());
    };
    let (btree, pos) = (newest.btree, newest.key.k.p);
    run(btrees, writer, Watermark::Reclaim, |t| {
        let key = match btree {
            BtreeId::ACCOUNTING => {
                let oldest_first = all().map(|b| b.key.key());
                let sum = sum(t.get(btree, pos)?, oldest_first)?;
                empty.look_at(t, &sum, newest.seq)?;
                sum
            }
            _ => KeyBuf::copy_of(&newest.key.key())?,
        };
        t.insert_journalled((btree, 0), &key, (oldest.seq, newest.seq))
    })
}

/// The counters of `old`, with what has to be added to them. What `old` has already is known by its
/// version.
///
/// C: `bch2_accounting_accumulate()`, `wb_flush_one()`.
pub(super) fn sum<'a>(
    old: Option<KeyBuf>,
    oldest_first: impl Iterator<Item = Key<'a>>,
) -> Result<KeyBuf> {
    let mut new = old;
    for delta in oldest_first {
        let new = match &mut new {
            Some(new) => new,
            None => {
                let new = new.insert(KeyBuf::copy_of(&delta)?);
                new.value_mut().fill(0);
                new.k.version = Default::default();
                new
            }
        };
        if version(&delta.k) <= version(&new.k) {
            continue;
        }
        new.k.version = delta.k.version;
        let by = delta.v.chunks_exact(8);
        for (to, by) in new.value_mut().chunks_exact_mut(8).zip(by) {
            add(to, by);
        }
    }
    Ok(new.unwrap_or_default())
}

/// Adds a little-endian number to another one.
fn add(to: &mut [u8], by: &[u8]) {
    if let (Some(to), Some(by)) = (to.first_chunk_mut::<8>(), by.first_chunk::<8>()) {
        *to = u64::from_le_bytes(*to)
            .wrapping_add(u64::from_le_bytes(*by))
            .to_le_bytes();
    }
}
