// SPDX-License-Identifier: GPL-2.0

//! Reservations: room in the open entry, filled by who made them.

use super::{
    shared::Shared,
    state::{
        Refusal,
        State, //
    },
    watermark::Watermark,
    word::{
        buffer_of,
        Word, //
    },
};
use crate::{
    env::{
        num::{
            low_u32,
            sat_u32, //
        },
        pr_err,
        time::monotonic_ns, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        bkey::Version,
        btree_id::BtreeId,
        jset::{
            record_header,
            EntryType, //
        },
        sb::counters::Counter,
    },
};
use core::sync::atomic::Ordering;

/// Room in a journal entry. The entry is not written before this is dropped; room that was not used
/// is dropped from what is written.
///
/// Whoever has one must not wait for the journal.
///
/// C: `struct journal_res`.
#[must_use]
pub struct Reservation<'a> {
    journal: &'a Shared,
    buffer: usize,
    seq: u64,
    /// The next free word, and the first one behind the room.
    at: u32,
    end: u32,
}

/// What somebody wants who asks for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Want {
    /// A reservation.
    It,
    /// To know whether there is room for it.
    Room,
}

/// What he gets.
enum Got<'a> {
    It(Reservation<'a>),
    Room,
}

impl Reservation<'_> {
    /// Words that a record with `u64s` words takes.
    ///
    /// C: `jset_u64s()`.
    pub const fn u64s_for(u64s: u32) -> u32 {
        u64s.saturating_add(1)
    }

    /// The entry. Until the reservation is dropped, it can be pinned.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Where in the journal what is added next goes: the entry, and a word of it.
    pub fn place(&self) -> (u64, u32) {
        (self.seq, self.at)
    }

    /// A version for a key that is added next: higher than those of all keys added before, by
    /// anybody.
    ///
    /// C: `journal_pos_to_bversion()`.
    pub fn version(&self) -> Version {
        Version {
            hi: low_u32(self.seq >> 32),
            lo: self.seq << 32 | u64::from(self.at),
        }
    }

    /// Adds a record with a key: its header and its value.
    pub fn add_key(&mut self, btree: BtreeId, level: u8, header: &[u64], value: &[u64]) -> Result {
        self.add_parts(EntryType::BTREE_KEYS, btree, level, [header, value])
    }

    /// Makes a key, of header and value, the root of `btree`: from this entry on, it is in every
    /// one.
    pub fn set_root(&mut self, btree: BtreeId, level: u8, header: &[u64], value: &[u64]) -> Result {
        self.add_parts(EntryType::BTREE_ROOT, btree, level, [header, value])
    }

    /// Adds a record. When the room is too small, nothing is added.
    ///
    /// C: `bch2_journal_add_entry()`.
    pub fn add_entry(
        &mut self,
        kind: EntryType,
        btree: BtreeId,
        level: u8,
        words: &[u64],
    ) -> Result {
        self.add_parts(kind, btree, level, [words, &[]])
    }

    fn add_parts(
        &mut self,
        kind: EntryType,
        btree: BtreeId,
        level: u8,
        [first, second]: [&[u64]; 2],
    ) -> Result {
        let len = first.len().saturating_add(second.len());
        let end = self.at.saturating_add(Self::u64s_for(sat_u32(len)));
        let (Ok(u64s), true) = (u16::try_from(len), end <= self.end) else {
            return Err(Error::JournalOverrun);
        };
        if let Some(buffer) = self.journal.buffers.get(self.buffer) {
            let header = record_header(kind, btree, level, u64s);
            buffer.put(self.at, [&[header], first, second]);
        }
        self.at = end;
        Ok(())
    }

    /// Asks for the entry to be written with a flush.
    pub(super) fn must_flush(&self) {
        let now = monotonic_ns();
        self.journal.locked(|s| {
            let entry = s.entry(self.seq);
            entry.must_flush = true;
            entry.expires_ns = now;
        });
        self.journal.want_timer(now);
    }
}

impl Drop for Reservation<'_> {
    /// C: `bch2_journal_res_put()`.
    fn drop(&mut self) {
        // An empty record is a word of zeros.
        if let Some(buffer) = self.journal.buffers.get(self.buffer) {
            buffer.clear(self.at, self.end);
        }
        if self.journal.leave(self.buffer) {
            self.journal.locked(|s| self.journal.last_left(s, self.seq));
            self.journal.work.wake_all();
        }
    }
}

impl Shared {
    /// Reserves room for `u64s` words: for each record as many as [`Reservation::u64s_for`] says.
    /// Never sleeps.
    ///
    /// [`Error::JournalFull`] and [`Error::JournalRetry`] pass, [`Shared::wait_for_space`] waits
    /// for it; [`Error::JournalTooBig`] does not pass. Others say what ended the journal.
    ///
    /// C: `bch2_journal_res_get()` with `JOURNAL_RES_GET_NONBLOCK`.
    #[inline]
    pub fn try_reserve(&self, u64s: u32, watermark: Watermark) -> Result<Reservation<'_>> {
        match self.get_fast(u64s, watermark, Want::It) {
            Some(Got::It(reservation)) => Ok(reservation),
            _ => self.try_reserve_slowly(u64s, watermark),
        }
    }

    #[inline(never)]
    fn try_reserve_slowly(&self, u64s: u32, watermark: Watermark) -> Result<Reservation<'_>> {
        match self.get(u64s, watermark, Want::It) {
            Ok(Got::It(reservation)) => Ok(reservation),
            Ok(Got::Room) => Err(self.refused(Refusal::Busy)),
            Err(refusal) => Err(self.refused(refusal)),
        }
    }

    /// Whether a reservation of `u64s` words would succeed now.
    pub fn has_room(&self, u64s: u32, watermark: Watermark) -> bool {
        self.get(u64s, watermark, Want::Room).is_ok()
    }

    /// Waits until a reservation of `u64s` words is likely to succeed. The caller must hold no
    /// lock, and no reservation. While an older journal is replayed, this fails with
    /// [`Error::JournalFull`] rather than wait for the end of that. When the journal is full and
    /// nothing of it can be written back, it fails with the reason, unless the caller is one of
    /// those who write back.
    ///
    /// C: `bch2_journal_res_get()` with `JOURNAL_RES_GET_CHECK`.
    pub fn wait_for_space(&self, u64s: u32, watermark: Watermark) -> Result {
        // An attempt at writing back may have begun before there was space; the next one has not.
        let latest = self.locked(|s| s.nr_held_up).saturating_add(1);
        let times = &self.st.times;
        let (mut no_space, mut busy) = (None, None);
        loop {
            let seen = self.changes();
            let refusal = match self.get(u64s, watermark, Want::Room) {
                Ok(_) => return Ok(()),
                Err(refusal) => refusal,
            };
            if no_space.is_none() && busy.is_none() {
                self.st.count(Counter::JOURNAL_RES_GET_BLOCKED);
            }
            match refusal {
                Refusal::Full => {
                    no_space.get_or_insert_with(|| {
                        self.st.count(Counter::JOURNAL_FULL);
                        times.blocked_journal_low_on_space.begin()
                    });
                }
                Refusal::Busy => {
                    busy.get_or_insert_with(|| times.blocked_journal_max_in_flight.begin());
                }
                _ => return Err(self.refused(refusal)),
            }
            let others = watermark < Watermark::Reclaim;
            let (stuck, held_up, wants_flush, replaying) = self.locked(|s| {
                (
                    s.is_stuck(others),
                    s.held_up().filter(|_| s.nr_held_up > latest),
                    s.wants_flush(),
                    s.is_replaying(),
                )
            });
            if stuck && replaying {
                // Who replays can make room, by doing so in another order.
                match self.changes() == seen {
                    true => return Err(self.refused(refusal)),
                    false => continue,
                }
            }
            if stuck {
                // Somebody else may be writing back what he has taken of the journal already.
                match self.changes_within(self.conf.stuck_ms, seen) {
                    true => continue,
                    false => return Err(self.stuck()),
                }
            }
            if let Some(e) = held_up.filter(|_| others && refusal == Refusal::Full) {
                return Err(e);
            }
            if wants_flush {
                self.flush_soon();
            } else if refusal == Refusal::Full {
                self.close_if_in_the_way();
            }
            self.want_reclaim();
            self.wait_for_change(seen);
        }
    }

    /// As [`Shared::try_reserve`], but waits. The caller must hold no lock, and no reservation.
    pub fn reserve(&self, u64s: u32, watermark: Watermark) -> Result<Reservation<'_>> {
        loop {
            match self.try_reserve(u64s, watermark) {
                Err(Error::JournalFull | Error::JournalRetry) => {
                    self.wait_for_space(u64s, watermark)?;
                }
                done => return done,
            }
        }
    }

    /// What a refusal is to the caller.
    fn refused(&self, refusal: Refusal) -> Error {
        match refusal {
            Refusal::Full => Error::JournalFull,
            Refusal::Busy => Error::JournalRetry,
            Refusal::TooBig => Error::JournalTooBig,
            Refusal::NoDevice => Error::JournalNoDevice,
            Refusal::Stopped => Error::JournalStopped,
            Refusal::NoSeq => Error::JournalSeqs,
            Refusal::Halted => self.halted().unwrap_or(Error::Io),
        }
    }

    /// Ends a journal that will never have room again.
    ///
    /// C: `journal_error_check_stuck()`.
    #[cold]
    pub fn stuck(&self) -> Error {
        let name = self.st.name();
        let (front, seq, flushed) = self.locked(|s| (s.pins.front(), s.seq, s.flushed));
        pr_err!(
            "{name}: no room in the journal: entries {front} to {seq} are kept, {flushed} is safe"
        );
        self.halt(Error::JournalStuck);
        self.halted().unwrap_or(Error::Io)
    }

    /// Reserves, or looks whether that would succeed.
    ///
    /// C: `__journal_res_get()`.
    fn get(&self, u64s: u32, watermark: Watermark, want: Want) -> Result<Got<'_>, Refusal> {
        loop {
            if let Some(got) = self.get_fast(u64s, watermark, want) {
                return Ok(got);
            }
            if Word(self.word.load(Ordering::Acquire)).is_halted() {
                return Err(Refusal::Halted);
            }
            if watermark.rank() < self.watermark.load(Ordering::Relaxed) {
                return Err(Refusal::Full);
            }
            let now = monotonic_ns();
            let mut due = now;
            let opened = self.locked(|s| {
                // Somebody else may have opened one.
                match self.get_fast(u64s, watermark, want) {
                    Some(got) => Ok(Some(got)),
                    None => self.open_next(s, u64s, now).map(|()| {
                        due = s.entry(s.seq).expires_ns;
                        None
                    }),
                }
            });
            // What was closed is to be written.
            self.work.wake_all();
            match opened? {
                Some(got) => return Ok(got),
                None => self.want_timer(due),
            }
        }
    }

    /// Reserves in the open entry, if it has room.
    ///
    /// C: `journal_res_get_fast()`.
    #[inline]
    fn get_fast(&self, u64s: u32, watermark: Watermark, want: Want) -> Option<Got<'_>> {
        let mut old = self.word.load(Ordering::Acquire);
        loop {
            let word = Word(old);
            let buffer = self.buffers.get(word.buffer())?;
            if watermark.rank() < self.watermark.load(Ordering::Relaxed) {
                return None;
            }
            let (new, reserved) = word.reserve(u64s, buffer.limit())?;
            if want == Want::Room {
                return Some(Got::Room);
            }
            let (success, failure) = (Ordering::AcqRel, Ordering::Acquire);
            match self
                .word
                .compare_exchange_weak(old, new.0, success, failure)
            {
                Ok(_) => {
                    return Some(Got::It(Reservation {
                        journal: self,
                        buffer: reserved.buffer,
                        seq: buffer.seq(),
                        at: reserved.offset,
                        end: reserved.offset.saturating_add(u64s),
                    }))
                }
                Err(now) => old = now,
            }
        }
    }

    /// Closes the open entry, if there is one, and opens the next.
    fn open_next(&self, s: &mut State, u64s: u32, now: u64) -> Result<(), Refusal> {
        if s.halted.is_some() {
            return Err(Refusal::Halted);
        }
        if s.is_too_big(&self.conf, u64s) {
            return Err(Refusal::TooBig);
        }
        self.close_open(s);
        let next = s.seq.saturating_add(1);
        let word = Word(self.word.load(Ordering::Acquire));
        if word.count(buffer_of(next)) != 0 {
            return Err(Refusal::Busy);
        }
        let (seq, words) = s.open(&self.conf, u64s, now)?;
        if let Some(buffer) = self.buffers.get(buffer_of(seq)) {
            buffer.prepare(seq, words);
        }
        // Nobody else opens, closes or halts while we have the lock, so it succeeds in the end.
        self.change_word(|word| word.open(seq));
        Ok(())
    }
}
