// SPDX-License-Identifier: GPL-2.0

//! Waiting until entries are safe, and writing them without anybody asking.

use super::{
    reserve::Reservation,
    shared::Shared,
    state::State,
    watermark::Watermark,
    word::Word, //
};
use crate::{
    env::time::monotonic_ns,
    error::{
        Error,
        Result, //
    },
    format::sb::counters::Counter,
};
use core::sync::atomic::Ordering;

/// How far a flush is.
enum Progress {
    Done,
    /// An entry that will do is on its way.
    Pending,
    /// There is none that could do, one has to be made.
    NoEntry,
    Failed(Error),
}

/// What a stopped journal leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// The last entry.
    pub seq: u64,
    /// It, and those before it, are not needed: everything they hold was written back.
    pub is_empty: bool,
}

impl Shared {
    /// Waits until everything that was added before is safe.
    ///
    /// C: `bch2_journal_flush()`.
    pub fn flush(&self) -> Result {
        self.flush_seq(self.newest())
    }

    /// Waits until the entry `seq` is safe. The caller must hold no lock, and no reservation.
    ///
    /// C: `bch2_journal_flush_seq()`.
    pub fn flush_seq(&self, seq: u64) -> Result {
        let _timed = self.st.times.journal_flush_seq.begin();
        self.st.count(Counter::JOURNAL_FLUSH);
        loop {
            let seen = self.changes();
            let progress = self.locked(|s| self.push(s, seq));
            self.work.wake_all();
            match progress {
                Progress::Done => return Ok(()),
                Progress::Failed(e) => return Err(e),
                Progress::Pending => self.wait_for_change(seen),
                Progress::NoEntry => {
                    // What was written without a flush is safe once a later entry is.
                    let more = self.reserve(Reservation::u64s_for(0), Watermark::Reclaim)?;
                    more.must_flush();
                }
            }
        }
    }

    /// Has the entry that makes `seq` safe written as soon as possible.
    ///
    /// C: `bch2_journal_flush_seq_async()`.
    fn push(&self, s: &mut State, seq: u64) -> Progress {
        if seq.min(s.seq) <= s.flushed {
            return Progress::Done;
        }
        if let Some(e) = s.halted {
            return Progress::Failed(e);
        }
        for seq in s.unwritten().filter(|unwritten| *unwritten >= seq) {
            let entry = s.entry(seq);
            if entry.no_flush {
                continue;
            }
            entry.must_flush = true;
            if seq == s.seq {
                self.close_soon(s);
            }
            return Progress::Pending;
        }
        Progress::NoEntry
    }

    /// Has an entry written with a flush, so that what is on disk says which entries are not needed
    /// any more. Does not wait for it.
    pub(super) fn flush_soon(&self) {
        let progress = self.locked(|s| self.push(s, s.seq));
        self.work.wake_all();
        if matches!(progress, Progress::Done | Progress::NoEntry) {
            // When there is no room now, there will be news.
            let room = Reservation::u64s_for(0);
            if let Ok(more) = self.try_reserve(room, Watermark::InteriorUpdates) {
                more.must_flush();
            }
        }
    }

    /// Closes the open entry, or has that done once no older one is being written: until then it
    /// can take more.
    ///
    /// C: `journal_entry_want_write()`.
    fn close_soon(&self, s: &mut State) {
        if s.nr_unwritten() <= 1 {
            self.close_open(s);
        } else {
            let seq = s.seq;
            s.entry(seq).expires_ns = 0;
        }
    }

    /// Has the open entry written, if room is short because of it alone.
    pub(super) fn close_if_in_the_way(&self) {
        self.locked(|s| {
            if s.is_open_in_the_way() {
                self.close_soon(s);
            }
        });
        self.work.wake_all();
    }

    /// Waits until nothing is open or being written.
    ///
    /// C: `journal_quiesce()`.
    fn quiesce(&self) -> Result {
        loop {
            let seen = self.changes();
            let quiet = self.locked(|s| {
                self.close_soon(s);
                match s.halted {
                    Some(e) => Err(e),
                    None => Ok(s.is_quiet()),
                }
            });
            self.work.wake_all();
            match quiet? {
                true => return Ok(()),
                false => self.wait_for_change(seen),
            }
        }
    }

    /// Writes one more entry, and waits until it is safe. Returns its number.
    ///
    /// C: `bch2_journal_meta()`.
    pub fn write_entry(&self) -> Result<u64> {
        let entry = self.reserve(Reservation::u64s_for(0), Watermark::InteriorUpdates)?;
        let seq = entry.seq();
        entry.must_flush();
        drop(entry);
        self.flush_seq(seq)?;
        Ok(seq)
    }

    /// Writes everything, and one more entry, so that the last one has the clocks as they are, and
    /// tells whether any is needed. After that nothing is added. Nobody else may use the journal
    /// any more.
    ///
    /// C: `bch2_fs_journal_stop()`.
    pub fn stop(&self) -> Result<Stopped> {
        self.quiesce()?;
        let seq = self.write_entry()?;
        self.locked(|s| s.stopped = true);
        self.quiesce()?;
        self.locked(|s| {
            Ok(Stopped {
                seq: s.seq,
                is_empty: s.seq == seq && s.last_ondisk == seq,
            })
        })
    }

    /// Goes on after it was stopped. The superblock must say that the filesystem is not clean.
    pub fn resume(&self) {
        self.locked(|s| s.stopped = false);
    }

    /// Closes the open entry when its time has come. Returns how long that is from now, in
    /// nanoseconds.
    ///
    /// C: `journal_write_work()`.
    fn close_when_due(&self) -> Option<u64> {
        let now = monotonic_ns();
        let left = self.locked(|s| {
            let is_open = Word(self.word.load(Ordering::Acquire)).is_open();
            // Behind one that is being written it can take more.
            if !is_open || s.nr_unwritten() > 1 {
                return None;
            }
            let seq = s.seq;
            let left = s.entry(seq).expires_ns.saturating_sub(now);
            if left == 0 {
                self.close_open(s);
            }
            Some(left)
        });
        if left == Some(0) {
            self.work.wake_all();
        }
        left.filter(|left| *left != 0)
    }

    /// Closes the open entry when its time has come, or has the timer do that.
    pub(super) fn close_in_time(&self) {
        if let Some(left) = self.close_when_due() {
            self.want_timer(monotonic_ns().saturating_add(left));
        }
    }

    /// The timer's thread: closes entries in time, and discards buckets.
    pub(super) fn run_timer(&self) {
        while !self.ending.load(Ordering::Acquire) {
            // Who changes something from now on does not know what it sees.
            self.timer_due.store(u64::MAX, Ordering::Release);
            self.discard();
            let left = self.close_when_due();
            if let Some(left) = left {
                let due = monotonic_ns().saturating_add(left);
                self.timer_due.store(due, Ordering::Release);
            }
            // Without one to close: until there is one, or for a while.
            let ms = left.map_or(IDLE_MS, |ns| (ns / 1_000_000).saturating_add(1));
            self.timer.idle_timeout_ms(ms, || {
                self.timer_kicked.swap(false, Ordering::AcqRel)
                    || self.ending.load(Ordering::Acquire)
            });
        }
    }
}

/// For how long threads without work sleep at a time.
pub(super) const IDLE_MS: u64 = 3_600_000;
