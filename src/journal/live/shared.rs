// SPDX-License-Identifier: GPL-2.0

//! What the users of the journal, and its threads, have in common.

use super::{
    buffer::Buffer,
    roots::RootTable,
    state::{
        Conf,
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
        num::u64_of,
        pr_err,
        time::monotonic_ns,
        Arc,
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        btree_id::BtreeId,
        sb::assemble::DevMask, //
    },
    sb::SbState,
    sys::{
        sync::{
            Mutex,
            SpinLock, //
        },
        wait::WaitQueue, //
    },
};
use core::sync::atomic::{
    AtomicBool,
    AtomicU64,
    AtomicU8,
    Ordering, //
};

/// The journal, to those who add to it and wait for it.
///
/// Locks: `marking`, `discarding`, `roots` in this order, each only by the journal's threads; the
/// lock of `state` inside of all others, for moments.
///
/// C: `struct journal`.
pub struct Shared {
    pub(super) st: Arc<SbState>,
    pub(super) conf: Conf,
    /// What is reserved; see [`Word`].
    pub(super) word: AtomicU64,
    /// Below this rank, nothing is reserved; a copy of what `state` has.
    pub(super) watermark: AtomicU8,
    pub(super) buffers: [Buffer; super::word::BUFFERS],
    pub(super) state: SpinLock<State>,
    /// Counts what others may wait for; see [`Shared::wait_for_change`].
    changes: AtomicU64,
    wait: WaitQueue,
    /// Writers wait for entries to write.
    pub(super) work: WaitQueue,
    /// The timer waits for the next entry to close.
    pub(super) timer: WaitQueue,
    pub(super) timer_kicked: AtomicBool,
    /// When the timer looks again if nobody wakes it, in nanoseconds.
    pub(super) timer_due: AtomicU64,
    /// Those wait who write back what the journal holds.
    reclaim: WaitQueue,
    reclaim_wanted: AtomicBool,
    /// The threads are to end.
    pub(super) ending: AtomicBool,
    pub(super) roots: Mutex<RootTable>,
    /// The version of the newest key.
    pub(super) key_version: AtomicU64,
    /// Sectors read and written over the life of the filesystem.
    pub(super) clocks: [AtomicU64; 2],
    /// Sets of devices that the superblock says have entries.
    pub(super) marking: Mutex<Vec<DevMask>>,
    pub(super) discarding: Mutex<()>,
}

impl Shared {
    /// Runs `f` on the state behind the lock. Wakes those who wait when there is news.
    pub(super) fn locked<R>(&self, f: impl FnOnce(&mut State) -> R) -> R {
        let (result, is_news) = {
            let mut s = self.state.lock();
            let before = s.progress();
            let result = f(&mut s);
            self.watermark.store(s.watermark.rank(), Ordering::Relaxed);
            (result, s.progress() != before)
        };
        if is_news {
            self.notify();
        }
        result
    }

    /// How often there was news so far.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Waits until there is news after what `seen` counts. Whoever wants something looks at the
    /// count first, then whether he can have it, and waits here if not.
    pub(super) fn wait_for_change(&self, seen: u64) {
        self.wait.wait(|| self.changes() != seen);
    }

    /// The same, for so many milliseconds at most; whether there is news.
    pub(super) fn changes_within(&self, ms: u64, seen: u64) -> bool {
        self.wait.wait_timeout_ms(ms, || self.changes() != seen)
    }

    fn notify(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.wait.wake_all();
    }

    /// Changes the word by `change`, if that has a new value for it. Returns the old one.
    pub(super) fn change_word(&self, change: impl Fn(Word) -> Option<Word>) -> Option<Word> {
        let (success, failure) = (Ordering::AcqRel, Ordering::Acquire);
        self.word
            .fetch_update(success, failure, |w| change(Word(w)).map(|new| new.0))
            .ok()
            .map(Word)
    }

    /// One fewer holds `buffer`; whether it was the last one.
    pub(super) fn leave(&self, buffer: usize) -> bool {
        let one = Word::one(buffer);
        let old = self.word.fetch_sub(one, Ordering::AcqRel);
        Word(old.wrapping_sub(one)).count(buffer) == 0
    }

    /// The last holder of the closed entry `seq` is gone: it can be written, and is not kept on its
    /// own account any more. Writers have to be woken.
    ///
    /// C: `bch2_journal_buf_put_final()`.
    pub(super) fn last_left(&self, s: &mut State, seq: u64) {
        s.unpin(&self.conf, seq);
    }

    /// Closes the open entry, if there is one. Writers have to be woken.
    ///
    /// C: `__journal_entry_close()`.
    pub(super) fn close_open(&self, s: &mut State) {
        let Some(old) = self.change_word(Word::close) else {
            return;
        };
        let seq = s.seq;
        s.close(&self.conf, old.used().unwrap_or(0));
        if self.leave(old.buffer()) {
            self.last_left(s, seq);
        }
    }

    /// Whether somebody may still add to entry `seq`, which is not written yet.
    pub(super) fn is_held(&self, seq: u64) -> bool {
        Word(self.word.load(Ordering::Acquire)).count(buffer_of(seq)) != 0
    }

    /// Has the timer look at the open entry at that time, in nanoseconds, or before. To be called
    /// after the state was changed.
    pub(super) fn want_timer(&self, due: u64) {
        if self.timer_due.load(Ordering::Acquire) > due {
            self.timer_kicked.store(true, Ordering::Release);
            self.timer.wake_all();
        }
    }

    /// The error that ended the journal, or is about to: it ended writing elsewhere.
    ///
    /// C: `bch2_journal_error()`.
    pub fn halted(&self) -> Option<Error> {
        let own = self.state.lock().halted;
        own.or_else(|| self.st.state.first_error())
    }

    /// Ends the journal because of `e`, unless it was ended before. Nothing is written any more,
    /// everybody who waits or comes gets the first error, and the filesystem goes emergency
    /// read-only.
    ///
    /// C: `bch2_journal_halt()`, `bch2_fatal_error()`.
    #[cold]
    pub fn halt(&self, e: Error) {
        // Who is told of the error finds the state changed.
        self.st.state.emergency(e);
        let e = self.st.state.first_error().unwrap_or(e);
        let first = self.locked(|s| {
            if s.halted.is_some() {
                return None;
            }
            s.halted = Some(e);
            let old = self.change_word(|w| Some(w.halt()))?;
            if old.is_open() {
                let seq = s.seq;
                s.close(&self.conf, old.used().unwrap_or(0));
                if self.leave(old.buffer()) {
                    self.last_left(s, seq);
                }
            }
            Some((s.seq, s.flushed))
        });
        if let Some((seq, flushed)) = first {
            let name = self.st.name();
            pr_err!("{name}: the journal stops at entry {seq}, {flushed} is safe: {e}");
        }
        self.work.wake_all();
        self.want_timer(0);
        self.want_reclaim();
    }

    /// Keeps the entry `seq`, until [`Shared::unpin`]. It has to be kept already: by a reservation
    /// in it, or by a pin.
    ///
    /// C: `bch2_journal_pin_set()`.
    pub fn pin(&self, seq: u64) {
        if !self.locked(|s| s.pins.get(seq)) {
            self.bad_pin(seq);
        }
    }

    /// What the entry `seq` was kept for is on disk.
    ///
    /// C: `bch2_journal_pin_drop()`.
    pub fn unpin(&self, seq: u64) {
        if !self.locked(|s| s.unpin(&self.conf, seq)) {
            self.bad_pin(seq);
        }
    }

    #[cold]
    fn bad_pin(&self, seq: u64) {
        let front = self.oldest_pinned();
        let name = self.st.name();
        pr_err!("{name}: journal entry {seq} is not kept, the oldest is {front}");
        self.halt(Error::JournalPin);
    }

    /// What the entries before `end` of the journal from before the mount hold is in the btrees:
    /// they are kept no longer than that takes to get to the disk.
    ///
    /// C: `replay_now_at()`.
    pub fn replayed(&self, end: u64) {
        self.locked(|s| s.replayed(&self.conf, end));
    }

    /// The oldest entry that is kept; the next one when none is.
    ///
    /// C: `journal_last_seq()`.
    pub fn oldest_pinned(&self) -> u64 {
        self.state.lock().pins.front()
    }

    /// The newest entry.
    ///
    /// C: `journal_cur_seq()`.
    pub fn newest(&self) -> u64 {
        self.state.lock().seq
    }

    /// The newest entry that survives a crash; all before it do too.
    pub fn flushed(&self) -> u64 {
        self.state.lock().flushed
    }

    /// The oldest entry that would be gone over after a crash.
    ///
    /// C: `last_seq_ondisk` of `struct journal`.
    pub fn oldest_needed(&self) -> u64 {
        self.state.lock().last_ondisk
    }

    /// Up to which entry should be written back what the journal holds, if any: because room gets
    /// short, or because it is time.
    pub fn reclaim_target(&self) -> Option<u64> {
        let now = monotonic_ns();
        self.locked(|s| s.reclaim_target(&self.conf, now))
    }

    /// Waits until room is short, `stop` is true and the queue was woken, or `ms` milliseconds have
    /// passed. For who writes back what the journal holds.
    pub fn wait_for_reclaim(&self, ms: u64, stop: impl Fn() -> bool) {
        self.reclaim.idle_timeout_ms(ms, || {
            self.reclaim_wanted.swap(false, Ordering::AcqRel) || stop()
        });
    }

    /// Nothing could be written back, because of `e`: who waits for room is told, and does not wait
    /// until somebody makes room for that.
    pub fn held_up(&self, e: Error) {
        self.locked(|s| {
            s.held_up = Some(e);
            s.nr_held_up = s.nr_held_up.wrapping_add(1);
        });
    }

    /// Has somebody write back what the journal holds.
    ///
    /// C: `journal_reclaim_kick()`.
    pub fn want_reclaim(&self) {
        self.reclaim_wanted.store(true, Ordering::Release);
        self.reclaim.wake_all();
    }

    /// Forgets the roots of btrees that do not exist, before there is any entry. Later, roots
    /// change by [`Reservation::set_root`](super::Reservation::set_root), so that no older entry
    /// has the new root.
    pub fn keep_roots(&self, exists: impl Fn(BtreeId) -> bool) {
        self.roots.lock().keep(exists);
    }

    /// Counts sectors that were read (0) or written (1).
    ///
    /// C: `bch2_increment_clock()`.
    pub fn add_clock(&self, rw: usize, sectors: u64) {
        if let Some(clock) = self.clocks.get(rw) {
            clock.fetch_add(sectors, Ordering::Relaxed);
        }
    }

    /// The clocks: sectors read and written over the life of the filesystem.
    pub fn clocks(&self) -> [u64; 2] {
        let [read, written] = &self.clocks;
        [read, written].map(|c| c.load(Ordering::Relaxed))
    }

    /// A version for a key that no key had before.
    ///
    /// C: `atomic64_inc_return(&c->key_version)`.
    pub fn next_key_version(&self) -> u64 {
        self.key_version
            .fetch_add(1, Ordering::Relaxed)
            .wrapping_add(1)
    }

    /// The watermark below which nothing is reserved now.
    pub fn watermark(&self) -> Watermark {
        self.state.lock().watermark
    }

    /// What a new journal starts with.
    pub(super) fn new(
        st: Arc<SbState>,
        conf: Conf,
        state: State,
        start: &super::Start,
    ) -> Result<Self> {
        let [read, written] = start.clocks;
        let mut roots = RootTable::new()?;
        for root in start.roots() {
            roots.set(root.btree, root.level, root.key())?;
        }
        let rank = state.watermark.rank();
        Ok(Self {
            word: AtomicU64::new(Word::new(state.seq).0),
            watermark: AtomicU8::new(rank),
            buffers: Buffer::all(conf.buffer_u64s())?,
            state: SpinLock::try_new(state)?,
            changes: AtomicU64::new(0),
            wait: WaitQueue::new(),
            work: WaitQueue::new(),
            timer: WaitQueue::new(),
            timer_kicked: AtomicBool::new(false),
            timer_due: AtomicU64::new(u64::MAX),
            reclaim: WaitQueue::new(),
            reclaim_wanted: AtomicBool::new(false),
            ending: AtomicBool::new(false),
            roots: Mutex::try_new(roots)?,
            key_version: AtomicU64::new(start.key_version),
            clocks: [AtomicU64::new(read), AtomicU64::new(written)],
            marking: Mutex::try_new(Vec::new())?,
            discarding: Mutex::try_new(())?,
            st,
            conf,
        })
    }
}

impl Conf {
    /// Words of a buffer.
    fn buffer_u64s(&self) -> u32 {
        self.buffer_sectors.saturating_mul(64)
    }

    /// Bytes of a buffer.
    pub(super) fn buffer_bytes(&self) -> usize {
        crate::env::num::usize_of_u32(self.buffer_u64s()).saturating_mul(8)
    }
}

/// The number of entries that can be kept at a time. C: `JOURNAL_PIN`.
pub(super) const PINS: usize = 32 << 10;
const _: () = assert!(PINS.is_power_of_two() && u64_of(PINS) > 1024);
