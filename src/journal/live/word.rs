// SPDX-License-Identifier: GPL-2.0

//! The word that says what is reserved: pure transitions, for others to make atomic.
//!
//! ```text
//! bits  0..20  where the next reservation starts in the open buffer, in words; or CLOSED, HALTED
//!      20..24  the low bits of the open entry's sequence number; the lowest tell the buffer
//!      24..64  for each of four buffers: how many hold it
//! ```
//!
//! The journal itself holds a buffer from opening to closing, so that nobody who leaves while it is
//! open is the last.
//!
//! C: `union journal_res_state`, whose bits of the oldest buffer that is not written are used here
//! to tell entries apart that were in one buffer one after the other.

/// Buffers for entries that are open or being written. C: `JOURNAL_BUF_NR`.
pub(super) const BUFFERS: usize = 4;

const OFFSET_BITS: u32 = 20;
const OFFSET_MASK: u64 = (1 << OFFSET_BITS) - 1;
const TAG_SHIFT: u32 = OFFSET_BITS;
const TAG_MASK: u64 = 0xf;
const COUNT_SHIFT: u32 = 24;
const COUNT_BITS: u32 = 10;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;

/// No entry is open. C: `JOURNAL_ENTRY_CLOSED_VAL`.
const CLOSED: u64 = OFFSET_MASK - 1;
/// No entry will be opened any more. C: `JOURNAL_ENTRY_ERROR_VAL`.
const HALTED: u64 = OFFSET_MASK;

/// The word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word(pub(super) u64);

/// A reservation that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reserved {
    /// The buffer.
    pub(super) buffer: usize,
    /// Its first word.
    pub(super) offset: u32,
}

impl Word {
    /// Before the first entry, `seq` being the number of the one before it.
    pub(super) const fn new(seq: u64) -> Self {
        Self(CLOSED | (seq & TAG_MASK) << TAG_SHIFT)
    }

    const fn offset(self) -> u64 {
        self.0 & OFFSET_MASK
    }

    /// Whether there is an open entry.
    pub(super) const fn is_open(self) -> bool {
        self.offset() < CLOSED
    }

    /// Whether no entry will be opened any more.
    pub(super) const fn is_halted(self) -> bool {
        self.offset() == HALTED
    }

    /// The words used of the open entry.
    pub(super) const fn used(self) -> Option<u32> {
        match self.is_open() {
            true => Some(crate::env::num::low_u32(self.offset())),
            false => None,
        }
    }

    /// The buffer of the entry opened last.
    pub(super) const fn buffer(self) -> usize {
        buffer_of(self.0 >> TAG_SHIFT)
    }

    const fn shift(buffer: usize) -> u32 {
        // The buffer is at most 3.
        COUNT_SHIFT.wrapping_add(COUNT_BITS.wrapping_mul(crate::env::num::sat_u32(buffer & 3)))
    }

    /// How many hold a buffer.
    pub(super) const fn count(self, buffer: usize) -> u32 {
        crate::env::num::low_u32((self.0 >> Self::shift(buffer)) & COUNT_MASK)
    }

    /// What one more who holds `buffer` adds to the word, and what leaving takes away.
    pub(super) const fn one(buffer: usize) -> u64 {
        1 << Self::shift(buffer)
    }

    /// Takes the next `u64s` words of the open entry, of which `limit` may be used. `None` when
    /// there is no open entry, no room in it, or when too many hold it.
    pub(super) fn reserve(self, u64s: u32, limit: u32) -> Option<(Self, Reserved)> {
        let buffer = self.buffer();
        let offset = self.used()?;
        if offset.checked_add(u64s)? > limit || u64::from(self.count(buffer)) == COUNT_MASK {
            return None;
        }
        // No carry: what is used stays within the limit, and the count below its maximum.
        let new = self
            .0
            .wrapping_add(u64::from(u64s))
            .wrapping_add(Self::one(buffer));
        Some((Self(new), Reserved { buffer, offset }))
    }

    /// Opens the entry `seq`, the one after the last, and holds its buffer. `None` when one is
    /// open, when the buffer is still held, or after a halt.
    pub(super) fn open(self, seq: u64) -> Option<Self> {
        let buffer = buffer_of(seq);
        if self.offset() != CLOSED || self.count(buffer) != 0 {
            return None;
        }
        let counts = self.0 & !(OFFSET_MASK | TAG_MASK << TAG_SHIFT);
        Some(Self(
            counts | (seq & TAG_MASK) << TAG_SHIFT | Self::one(buffer),
        ))
    }

    /// Closes the open entry; the journal still holds its buffer. `None` when none is open.
    pub(super) fn close(self) -> Option<Self> {
        self.is_open().then_some(self.with(CLOSED))
    }

    /// Ends everything. An open entry's buffer is still held by the journal.
    pub(super) const fn halt(self) -> Self {
        self.with(HALTED)
    }

    const fn with(self, offset: u64) -> Self {
        Self(self.0 & !OFFSET_MASK | offset)
    }

    /// Leaves `buffer`, which must be held.
    #[cfg(test)]
    pub(super) fn leave(self, buffer: usize) -> Self {
        assert_ne!(self.count(buffer), 0);
        Self(self.0 - Self::one(buffer))
    }
}

/// The buffer of the entry with this sequence number.
pub(super) const fn buffer_of(seq: u64) -> usize {
    crate::env::num::usize_of(seq & 3)
}

const _: () = assert!(BUFFERS == 4);

#[cfg(test)]
mod tests;
