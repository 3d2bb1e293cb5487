// SPDX-License-Identifier: GPL-2.0

//! What is behind the journal's lock: which entries there are, how far each got, and what room
//! there is (`room.rs`). No I/O, no memory, no waiting.

use super::{
    pins::Pins,
    ring::Ring,
    watermark::Watermark,
    word::{
        buffer_of,
        BUFFERS, //
    },
};
use crate::{
    env::{
        num::{
            low_u32,
            round_up_pow2,
            u64_of, //
        },
        units::DevIdx,
        Vec, //
    },
    error::Error,
    format::jset::JSET_HEADER_BYTES,
};
use core::ops::Range;

/// Words of 8 bytes in a sector.
const SECTOR_U64S: u32 = 64;
/// Words of an entry's header.
const HEADER_U64S: u32 = 7;
const _: () = assert!(JSET_HEADER_BYTES == 56);
/// The most replicas of an entry. C: `BCH_REPLICAS_MAX`.
pub(super) const REPLICAS_MAX: usize = 4;

/// What does not change.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conf {
    /// Sectors of a block, a power of two: entries are multiples of it.
    pub(super) block_sectors: u32,
    /// Sectors of a buffer.
    pub(super) buffer_sectors: u32,
    /// Words of each entry for what is added when it is written.
    pub(super) reserved_u64s: u32,
    /// How many replicas entries should have.
    pub(super) replicas: u8,
    /// How many they have to have.
    pub(super) replicas_needed: u8,
    /// How long until an entry is written without anybody asking, in nanoseconds.
    pub(super) flush_delay_ns: u64,
    /// How long entries may wait for being written back, in nanoseconds.
    pub(super) reclaim_delay_ns: u64,
    /// How long a journal without room may stay as it is while nothing is under way, in
    /// milliseconds.
    pub(super) stuck_ms: u64,
    /// Whether entries may be written without a flush.
    pub(super) may_skip_flush: bool,
}

/// Why no entry can be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No room until something is written back.
    Full,
    /// All buffers are being written.
    Busy,
    /// No entry is as large.
    TooBig,
    /// Too few devices.
    NoDevice,
    /// The journal is stopped.
    Stopped,
    /// All sequence numbers were used.
    NoSeq,
    /// Something ended it.
    Halted,
}

/// How far an entry got.
///
/// C: `struct journal_buf`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Entry {
    /// Sectors to keep for it; 0 once it has a place.
    pub(super) sectors: u32,
    /// Words that reservations took.
    pub(super) used: u32,
    /// The oldest entry that was needed when it was closed.
    pub(super) last_seq: u64,
    /// It is, or will be, written with a flush.
    pub(super) must_flush: bool,
    /// Its write has begun, without a flush.
    pub(super) no_flush: bool,
    /// Its write has begun.
    started: bool,
    /// It has a place: the next one may have one.
    placed: bool,
    /// It was written.
    done: bool,
    /// When to close it.
    pub(super) expires_ns: u64,
}

/// Where an entry is to be written: devices and sectors.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    copies: [Option<(DevIdx, u64)>; REPLICAS_MAX],
}

impl Place {
    /// The copies.
    pub(super) fn iter(&self) -> impl Iterator<Item = (DevIdx, u64)> + '_ {
        self.copies.iter().flatten().copied()
    }

    fn has(&self, dev: DevIdx) -> bool {
        self.iter().any(|(d, _)| d == dev)
    }

    /// `false` when there are as many as can be.
    fn add(&mut self, dev: DevIdx, sector: u64) -> bool {
        match self.copies.iter_mut().find(|c| c.is_none()) {
            Some(slot) => {
                *slot = Some((dev, sector));
                true
            }
            None => false,
        }
    }
}

/// What is behind the journal's lock.
#[derive(Debug)]
pub(super) struct State {
    /// The newest entry.
    pub(super) seq: u64,
    /// All up to this one were written.
    pub(super) ondisk: u64,
    /// The newest of them that was written with a flush: all up to it survive a crash.
    pub(super) flushed: u64,
    /// The oldest entry that is needed after a crash.
    pub(super) last_ondisk: u64,
    pub(super) pins: Pins,
    entries: [Entry; BUFFERS],
    pub(super) rings: Vec<Ring>,
    /// How large an entry becomes at most, unless a single reservation wants more: of a short
    /// journal, one must not take all that is kept for writing it back.
    entry_sectors: u32,
    /// The largest next entry, in sectors, or why there can be none.
    next_entry: Result<u32, Refusal>,
    /// Below it, nothing is reserved.
    pub(super) watermark: Watermark,
    /// Buckets can be discarded.
    pub(super) can_discard: bool,
    /// There is enough room that entries without a flush do no harm.
    may_skip_flush: bool,
    /// No entry was written with a flush yet: what is on disk of an older journal may get lost.
    need_flush: bool,
    last_flush_ns: u64,
    last_reclaim_ns: u64,
    /// Entries of an older journal that are kept until they are replayed.
    replaying: Range<u64>,
    /// No entry is opened any more.
    pub(super) stopped: bool,
    /// Why nothing can be written back, since that was last tried.
    pub(super) held_up: Option<Error>,
    /// How often that was so.
    pub(super) nr_held_up: u64,
    /// What ended it all.
    pub(super) halted: Option<Error>,
}

impl State {
    /// The state before the first entry, `next`.
    pub(super) fn new(
        next: u64,
        replaying: Range<u64>,
        pins: Pins,
        rings: Vec<Ring>,
        now: u64,
    ) -> Self {
        let before = next.saturating_sub(1);
        Self {
            seq: before,
            ondisk: before,
            flushed: before,
            last_ondisk: pins.front(),
            pins,
            entries: [Entry::default(); BUFFERS],
            rings,
            entry_sectors: 0,
            next_entry: Err(Refusal::NoDevice),
            watermark: Watermark::Stripe,
            can_discard: false,
            may_skip_flush: false,
            need_flush: true,
            last_flush_ns: now,
            last_reclaim_ns: now,
            replaying,
            stopped: false,
            held_up: None,
            nr_held_up: 0,
            halted: None,
        }
    }

    /// Whether an older journal is being replayed.
    pub(super) fn is_replaying(&self) -> bool {
        !self.replaying.is_empty()
    }

    /// The entries before `end` of an older journal were replayed.
    pub(super) fn replayed(&mut self, conf: &Conf, end: u64) {
        let done = self.replaying.start..self.replaying.end.min(end);
        self.replaying.start = done.end.max(done.start);
        for seq in done {
            self.unpin(conf, seq);
        }
    }

    /// The entry `seq`, which must be open or being written.
    pub(super) fn entry(&mut self, seq: u64) -> &mut Entry {
        let [a, b, c, d] = &mut self.entries;
        match buffer_of(seq) {
            0 => a,
            1 => b,
            2 => c,
            _ => d,
        }
    }

    /// The entry `seq`, if it is open or being written.
    fn get(&self, seq: u64) -> Option<&Entry> {
        self.entries
            .get(buffer_of(seq))
            .filter(|_| (self.ondisk.saturating_add(1)..=self.seq).contains(&seq))
    }

    /// Entries that are open or not written yet, the oldest first.
    pub(super) fn unwritten(&self) -> impl Iterator<Item = u64> {
        self.ondisk.saturating_add(1)..=self.seq
    }

    /// How many those are.
    pub(super) fn nr_unwritten(&self) -> u64 {
        self.seq.saturating_sub(self.ondisk)
    }

    /// Whether nothing is open or being written.
    pub(super) fn is_quiet(&self) -> bool {
        self.seq == self.ondisk
    }

    /// Sectors of an entry with `u64s` words besides its header.
    fn sectors_of(conf: &Conf, u64s: u32) -> u32 {
        let all = u64s
            .saturating_add(HEADER_U64S)
            .saturating_add(SECTOR_U64S - 1);
        let sectors = u64::from(all / SECTOR_U64S);
        low_u32(round_up_pow2(sectors, conf.block_sectors.into()).unwrap_or(sectors))
    }

    /// Words that reservations may use of an entry with so many sectors.
    fn words_of(conf: &Conf, sectors: u32) -> u32 {
        sectors
            .saturating_mul(SECTOR_U64S)
            .saturating_sub(HEADER_U64S)
            .saturating_sub(conf.reserved_u64s)
    }

    /// Whether no entry can have room for so many words.
    pub(super) fn is_too_big(&self, conf: &Conf, u64s: u32) -> bool {
        let bucket = self.rings.iter().map(Ring::bucket_sectors).max();
        bucket.is_some_and(|sectors| u64s > Self::words_of(conf, sectors.min(conf.buffer_sectors)))
    }

    /// Makes the next entry, with room for at least `u64s` words. Returns its number and how many
    /// words it has room for.
    ///
    /// C: `journal_entry_open()`.
    pub(super) fn open(&mut self, conf: &Conf, u64s: u32, now: u64) -> Result<(u64, u32), Refusal> {
        if self.stopped {
            return Err(Refusal::Stopped);
        }
        if self.nr_unwritten() >= u64_of(BUFFERS) {
            return Err(Refusal::Busy);
        }
        let most = self.entry_sectors.max(Self::sectors_of(
            conf,
            u64s.max(1).saturating_add(conf.reserved_u64s),
        ));
        let sectors = self.next_entry?.min(conf.buffer_sectors).min(most);
        let words = Self::words_of(conf, sectors);
        if words < u64s.max(1) {
            return Err(Refusal::Full);
        }
        // A number that is all ones would look like "never" to readers.
        if self.seq >= u64::MAX >> 1 {
            return Err(Refusal::NoSeq);
        }
        let seq = self.pins.push().ok_or(Refusal::Full)?;
        let since = match self.seq == self.flushed {
            true => now,
            false => self.last_flush_ns,
        };
        self.seq = seq;
        *self.entry(seq) = Entry {
            sectors,
            expires_ns: since.saturating_add(conf.flush_delay_ns),
            ..Entry::default()
        };
        Ok((seq, words))
    }

    /// The newest entry was closed with `used` words.
    ///
    /// Which entries are needed is noted here and not later: who moves a pin from an old entry to
    /// his own reservation relies on it that either is kept. An entry opened later may have his
    /// reservation, this one has not.
    ///
    /// C: `__journal_entry_close()`.
    pub(super) fn close(&mut self, conf: &Conf, used: u32) {
        let (seq, front) = (self.seq, self.pins.front());
        let entry = self.entry(seq);
        let u64s = used.saturating_add(conf.reserved_u64s);
        entry.sectors = Self::sectors_of(conf, u64s).min(entry.sectors);
        entry.used = used;
        entry.last_seq = front;
        self.update_space(conf);
    }

    /// The next entry whose write can begin, `is_held` telling whether somebody may still add to
    /// one. They begin in order, each after the one before has its place.
    ///
    /// C: `bch2_journal_do_writes()`.
    pub(super) fn start_next(&mut self, is_held: impl Fn(u64) -> bool) -> Option<u64> {
        if self.halted.is_some() {
            return None;
        }
        for seq in self.unwritten() {
            let entry = self.entry(seq);
            if entry.started && !entry.placed {
                return None;
            }
            if entry.started {
                continue;
            }
            if is_held(seq) {
                return None;
            }
            entry.started = true;
            return Some(seq);
        }
        None
    }

    /// Decides whether `seq` is written with a flush: then the entries from the returned one on are
    /// needed.
    ///
    /// The first one always is: after a clean shutdown the old journal is not read, and may get
    /// overwritten, but there has to be one in the journal at any time.
    ///
    /// C: `bch2_journal_write_pick_flush()`.
    pub(super) fn pick_flush(&mut self, conf: &Conf, seq: u64, now: u64) -> Option<u64> {
        let recent = now < self.last_flush_ns.saturating_add(conf.flush_delay_ns);
        let may_skip = conf.may_skip_flush && self.may_skip_flush && !self.need_flush;
        let entry = self.entry(seq);
        if !entry.must_flush && recent && may_skip {
            entry.no_flush = true;
            return None;
        }
        entry.must_flush = true;
        let last_seq = entry.last_seq;
        self.last_flush_ns = now;
        self.need_flush = false;
        Some(last_seq)
    }

    /// Finds places for `seq`, of `sectors`. `None` when there are fewer than needed; nothing is
    /// taken then.
    ///
    /// C: `journal_write_alloc()`.
    pub(super) fn place(&mut self, conf: &Conf, seq: u64, sectors: u32) -> Option<Place> {
        let mut place = Place::default();
        let mut replicas = 0u8;
        for any in [false, true] {
            self.place_on(&mut place, &mut replicas, conf.replicas, any, sectors, seq);
            if replicas >= conf.replicas {
                break;
            }
            for ring in self.rings.iter_mut().filter(|r| any || r.preferred) {
                if !place.has(ring.dev) {
                    ring.next_bucket(sectors, seq);
                }
            }
            self.place_on(&mut place, &mut replicas, conf.replicas, any, sectors, seq);
        }
        let needed = conf.replicas_needed.min(conf.replicas).max(1);
        if replicas < needed {
            return None;
        }
        let entry = self.entry(seq);
        entry.sectors = 0;
        entry.placed = true;
        self.update_space(conf);
        Some(place)
    }

    /// Adds copies until there are `want`, the least loaded rings first.
    fn place_on(
        &mut self,
        place: &mut Place,
        replicas: &mut u8,
        want: u8,
        any: bool,
        sectors: u32,
        seq: u64,
    ) {
        while *replicas < want {
            let mut rings = self.rings.iter_mut();
            let mut best: Option<&mut Ring> = None;
            for ring in rings.by_ref().filter(|r| any || r.preferred) {
                let usable = ring.durability != 0 && !place.has(ring.dev) && ring.has_room(sectors);
                if usable && best.as_ref().is_none_or(|b| ring.load() < b.load()) {
                    best = Some(ring);
                }
            }
            let Some(ring) = best else {
                return;
            };
            let Some(sector) = ring.place(sectors, seq) else {
                return;
            };
            if !place.add(ring.dev, sector) {
                return;
            }
            *replicas = replicas.saturating_add(ring.durability);
        }
    }

    /// The entry `seq` was written. Says whether entries up to a higher one than before are.
    ///
    /// C: `journal_write_done()`.
    pub(super) fn written(&mut self, conf: &Conf, seq: u64) -> bool {
        self.entry(seq).done = true;
        let before = self.ondisk;
        for seq in self.unwritten() {
            let Entry {
                done,
                must_flush,
                no_flush,
                last_seq,
                ..
            } = *self.entry(seq);
            if !done {
                break;
            }
            if self.halted.is_none() && must_flush && !no_flush {
                self.flushed = seq;
                self.last_ondisk = last_seq;
            }
            self.ondisk = seq;
        }
        if self.ondisk == before {
            return false;
        }
        self.pins.advance(self.ondisk);
        self.update_space(conf);
        true
    }

    /// One fewer wants `seq` kept. `false` when nobody did.
    pub(super) fn unpin(&mut self, conf: &Conf, seq: u64) -> bool {
        if !self.pins.put(seq) {
            return false;
        }
        if self.pins.advance(self.ondisk) {
            self.held_up = None;
            self.update_space(conf);
        }
        true
    }

    /// The device, first sector and size of the next bucket to discard.
    pub(super) fn to_discard(&self) -> Option<(DevIdx, u64, u32)> {
        self.rings
            .iter()
            .find_map(|r| Some((r.dev, r.to_discard()?, r.bucket_sectors())))
    }

    /// The journal is not on `dev` any more.
    pub(super) fn leave(&mut self, conf: &Conf, dev: DevIdx) {
        if let Some(at) = self.rings.iter().position(|r| r.dev == dev) {
            self.rings.remove(at);
        }
        self.update_space(conf);
    }

    /// The next bucket of `dev` was discarded.
    pub(super) fn discarded(&mut self, conf: &Conf, dev: DevIdx) {
        let ring = self.rings.iter_mut().find(|r| r.dev == dev);
        if let Some(ring) = ring {
            ring.discarded();
        }
        self.update_space(conf);
    }

    /// What others may wait for: another value is news.
    pub(super) fn progress(&self) -> impl PartialEq {
        (
            (self.seq, self.ondisk, self.flushed, self.pins.front()),
            (self.next_entry, self.watermark, self.can_discard),
            (self.halted, self.stopped, self.nr_held_up),
        )
    }

    /// Whether nothing that is under way makes room: entries being written, buckets to discard,
    /// entries to be written with a flush, or those that others still have to write back.
    pub(super) fn is_stuck(&self, others_may_write_back: bool) -> bool {
        let waits_for_others = others_may_write_back && self.pins.front() <= self.seq;
        self.is_quiet() && !self.can_discard && !self.wants_flush() && !waits_for_others
    }

    /// Whether there is no room, and an entry with a flush would make some: in memory it is known
    /// that more was written back than the last one says.
    ///
    /// C: `bch2_journal_reclaim_fast()` leaves this to the next flush, which is a second away at
    /// most.
    pub(super) fn wants_flush(&self) -> bool {
        self.next_entry == Err(Refusal::Full) && self.rings.iter().any(Ring::wants_flush)
    }

    /// Whether the open entry is all that takes room: until it is closed, it has as much as it may
    /// ever need, which is most of a short journal.
    pub(super) fn is_open_in_the_way(&self) -> bool {
        !self.is_quiet() && self.pins.front() == self.seq
    }

    /// Why what is not written back stays so, if nothing else that is under way makes room.
    pub(super) fn held_up(&self) -> Option<Error> {
        let under_way = !self.is_quiet() || self.can_discard || self.wants_flush();
        self.held_up.filter(|_| !under_way)
    }

    /// Up to which entry should be written back, if any.
    ///
    /// C: `journal_seq_to_flush()`, and the times of `__bch2_journal_reclaim()`.
    pub(super) fn reclaim_target(&mut self, conf: &Conf, now: u64) -> Option<u64> {
        let front = self.pins.front();
        // Half of the rings, and of the counts, is to be free.
        let half = self.rings.iter().map(Ring::seq_at_half).max().unwrap_or(0);
        let many = self.seq.saturating_sub(self.pins.size() >> 1);
        let mut target = half.max(many);
        let is_due = now >= self.last_reclaim_ns.saturating_add(conf.reclaim_delay_ns);
        if is_due || self.watermark > Watermark::Stripe {
            self.last_reclaim_ns = now;
            target = target.max(front);
        }
        (front..=self.seq).contains(&target).then_some(target)
    }
}

mod room;
#[cfg(test)]
mod tests;
