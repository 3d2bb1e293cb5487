// SPDX-License-Identifier: GPL-2.0

//! Keys that are in the journal and go to their btree later, many at a time and in order.
//!
//! What is derived from other keys comes in no order, and nobody looks at it soon: backpointers,
//! the LRU, counters. Each such key pins its journal entry until it is in a node. A key of the
//! buffer is not found by iterators: who reads one of these btrees flushes first.

use super::{
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
        bkey::Bkey,
        btree_id::BtreeId, //
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

/// Keys from which on the buffer is flushed without a need.
const FLUSH_AT: usize = 16 << 10;

/// A key on its way.
#[derive(Debug)]
struct Buffered {
    btree: BtreeId,
    key: KeyBuf,
    /// The journal entry it is in, which is pinned.
    seq: u64,
    /// Larger than those of all that came before it.
    nr: u64,
}

/// Those that came, and how many there were before them.
#[derive(Debug, Default)]
struct Incoming {
    keys: Vec<Buffered>,
    before: u64,
}

/// The keys on their way.
///
/// C: `struct btree_write_buffer`.
pub struct WriteBuffer {
    incoming: Mutex<Incoming>,
    /// Held while flushing: keys of one position must reach their node in order.
    flushing: Mutex<()>,
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
        let nr = self.0.before;
        self.0.before = nr.wrapping_add(1);
        self.0.keys.push(Buffered {
            btree,
            key,
            seq,
            nr,
        })?;
        journal.pin(seq);
        Ok(())
    }
}

impl WriteBuffer {
    pub(super) fn try_new() -> Result<Self> {
        Ok(Self {
            incoming: Mutex::try_new(Incoming::default())?,
            flushing: Mutex::try_new(())?,
        })
    }

    /// Makes room for `nr` keys.
    pub(super) fn room(&self, nr: usize) -> Result<Room<'_>> {
        let mut incoming = self.incoming.lock();
        incoming.keys.reserve(nr)?;
        Ok(Room(incoming))
    }

    /// Whether so much has come together that it is worth flushing.
    pub fn is_full(&self) -> bool {
        self.incoming.lock().keys.len() >= FLUSH_AT
    }

    /// Keys on their way.
    pub fn len(&self) -> usize {
        self.incoming.lock().keys.len()
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
    let buffer = &writer.buffer;
    let _flushing = buffer.flushing.lock();
    let mut keys = core::mem::take(&mut buffer.incoming.lock().keys);
    sort_by(&mut keys, |a, b| {
        // In the order they came, where the position is the same.
        (a.btree, a.key.k.p, a.nr).cmp(&(b.btree, b.key.k.p, b.nr))
    });
    let mut done = 0usize;
    let flushed = flush_sorted(btrees, writer, &mut keys, &mut done);
    for b in keys.iter().take(done) {
        writer.journal.unpin(b.seq);
    }
    if flushed.is_ok() {
        return Ok(());
    }
    // Behind what has come meanwhile: `flushing` is held, so the next flush sorts all of them.
    let mut incoming = buffer.incoming.lock();
    for b in keys.into_iter().skip(done) {
        incoming.keys.push(b)?;
    }
    flushed
}

fn version(k: &Bkey) -> (u32, u64) {
    (k.version.hi, k.version.lo)
}

/// Brings sorted keys to their nodes; `done` counts those that are there.
fn flush_sorted<H: Hooks>(
    btrees: &Btrees,
    writer: &Writer<H>,
    keys: &mut [Buffered],
    done: &mut usize,
) -> Result {
    while let Some(first) = keys.get(*done) {
        let place = (first.btree, first.key.k.p);
        let rest = keys.get(*done..).unwrap_or_default();
        let same = |b: &&Buffered| (b.btree, b.key.k.p) == place;
        let nr = rest.iter().take_while(same).count().max(1);
        let group = rest.get(..nr).unwrap_or(rest);
        let oldest = group.iter().map(|b| b.seq).min().unwrap_or(first.seq);
        run(btrees, writer, Watermark::Reclaim, |t| {
            let key = match place.0 {
                BtreeId::ACCOUNTING => sum(t.get(place.0, place.1)?, group)?,
                _ => match group.last() {
                    Some(last) => KeyBuf::copy_of(&last.key.key())?,
                    None => return Ok(()),
                },
            };
            t.insert_journalled(place.0, &key, oldest)
        })?;
        *done = done.saturating_add(nr);
    }
    Ok(())
}

/// The counters of `old`, with what has to be added to them. What `old` has already is known by its
/// version.
///
/// C: `bch2_accounting_accumulate()`, `wb_flush_one()`.
fn sum(old: Option<KeyBuf>, deltas: &[Buffered]) -> Result<KeyBuf> {
    let mut new = KeyBuf::default();
    match old {
        Some(old) => new = old,
        None => {
            if let Some(first) = deltas.first() {
                new.set(&first.key.key())?;
                new.value_mut().fill(0);
                new.k.version = Default::default();
            }
        }
    }
    for b in deltas {
        if version(&b.key.k) <= version(&new.k) {
            continue;
        }
        new.k.version = b.key.k.version;
        let by = b.key.key().v;
        for (to, by) in new.value_mut().chunks_exact_mut(8).zip(by.chunks_exact(8)) {
            add(to, by);
        }
    }
    Ok(new)
}

/// Adds a little-endian number to another one.
fn add(to: &mut [u8], by: &[u8]) {
    if let (Some(to), Some(by)) = (to.first_chunk_mut::<8>(), by.first_chunk::<8>()) {
        *to = u64::from_le_bytes(*to)
            .wrapping_add(u64::from_le_bytes(*by))
            .to_le_bytes();
    }
}
