// SPDX-License-Identifier: GPL-2.0

//! The memory of an entry: words that several fill at once, each his own.

use super::word::BUFFERS;
use crate::{
    env::{
        num::usize_of_u32,
        Vec, //
    },
    error::Result,
};
use core::sync::atomic::{
    AtomicU32,
    AtomicU64,
    Ordering, //
};

/// A buffer for one entry at a time.
#[derive(Debug)]
pub(super) struct Buffer {
    words: Vec<AtomicU64>,
    /// The entry in it. Set before it is opened, so that whoever holds it sees it.
    seq: AtomicU64,
    /// How many words reservations may use. Set before it is opened.
    limit: AtomicU32,
}

impl Buffer {
    fn new(u64s: u32) -> Result<Self> {
        let mut words = Vec::with_capacity(usize_of_u32(u64s))?;
        for _ in 0..u64s {
            words.push(AtomicU64::new(0))?;
        }
        Ok(Self {
            words,
            seq: AtomicU64::new(0),
            limit: AtomicU32::new(0),
        })
    }

    /// All buffers, each of so many words.
    pub(super) fn all(u64s: u32) -> Result<[Self; BUFFERS]> {
        Ok([
            Self::new(u64s)?,
            Self::new(u64s)?,
            Self::new(u64s)?,
            Self::new(u64s)?,
        ])
    }

    /// Prepares for the entry `seq`, of which `limit` words may be used.
    pub(super) fn prepare(&self, seq: u64, limit: u32) {
        self.seq.store(seq, Ordering::Relaxed);
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// The entry in it.
    pub(super) fn seq(&self) -> u64 {
        self.seq.load(Ordering::Relaxed)
    }

    /// How many words may be used.
    pub(super) fn limit(&self) -> u32 {
        self.limit.load(Ordering::Relaxed)
    }

    /// Sets the words from word `at` on, which must be reserved by the caller, to all `parts`.
    #[inline]
    pub(super) fn put(&self, at: u32, parts: [&[u64]; 3]) {
        let mut to = self.words.get(usize_of_u32(at)..).unwrap_or_default();
        for part in parts {
            for (to, word) in to.iter().zip(part) {
                to.store(*word, Ordering::Relaxed);
            }
            to = to.get(part.len()..).unwrap_or_default();
        }
    }

    /// Sets words to 0.
    pub(super) fn clear(&self, from: u32, to: u32) {
        let words = usize_of_u32(from)..usize_of_u32(to);
        for word in self.words.get(words).unwrap_or_default() {
            word.store(0, Ordering::Relaxed);
        }
    }

    /// The word at `at`. Only the writer of an entry that nobody holds any more reads.
    pub(super) fn get(&self, at: u32) -> u64 {
        self.words
            .get(usize_of_u32(at))
            .map_or(0, |w| w.load(Ordering::Relaxed))
    }
}
