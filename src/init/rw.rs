// SPDX-License-Identifier: GPL-2.0

//! Going read-write, and the way back.

use super::new;
use crate::{
    alloc::{
        space::{
            keep_buckets_free,
            keep_discarded,
            Engine,
            Space,
            Writer, //
        },
        Usage, //
    },
    btree::{
        flush_key_cache,
        replay,
        write_back,
        write_back_all,
        write_for_memory,
        Btrees, //
    },
    env::{
        pr_err,
        pr_info,
        pr_warn,
        Arc,
        Vec, //
    },
    error::{
        Class,
        Error,
        Result, //
    },
    format::sb::{
        Superblock,
        Version, //
    },
    journal::live::{
        Journal,
        Start, //
    },
    sb::{
        SbState,
        State, //
    },
    sys::{
        sync::Mutex,
        task::{
            Stop,
            Thread, //
        },
    },
};

/// The only version that is written yet.
const WRITABLE: Version = Version::new(1, 13);

/// The fewest blocks of a node. A node is written a block at a time at least, and when all are
/// used, in another place, of which the allocation btrees have to tell. With less, these would
/// never be done with themselves; the C implementation hangs.
const NODE_BLOCKS_MIN: u16 = 4;

/// Refuses superblocks of filesystems that can not be written yet.
pub(super) fn check_superblock(st: &SbState) -> Result {
    let checked = may_write(&st.sb);
    if checked.is_err() {
        let (name, version) = (st.name(), st.sb.version());
        pr_err!("{name}: version {version}: can not be mounted read-write");
    }
    for dev in st.devices().filter(|d| d.is_writable()) {
        if !dev.bdev.is_writable() {
            pr_err!("{}: can not be written to", dev.bdev.name());
            return Err(Error::ReadOnly);
        }
    }
    checked
}

fn may_write(sb: &Superblock) -> Result {
    if sb.version() != WRITABLE {
        return Err(Error::ReadWriteUnsupported);
    }
    if sb.node_sectors() < sb.block_sectors().saturating_mul(NODE_BLOCKS_MIN) {
        return Err(Error::ReadWriteNodeSize);
    }
    Ok(())
}

/// Prepares the first mount of a filesystem, which writes to it, for whatever it is mounted.
pub(super) fn prepare_new(st: &mut SbState) -> Result {
    if st.opts.forces_read_only() {
        pr_err!("{}: was never mounted", st.name());
        return Err(Error::ReadWriteNew);
    }
    if st.devices().any(|d| !d.bdev.is_writable()) {
        return Err(Error::NewNeedsWriting);
    }
    st.prepare_new(WRITABLE)?;
    check_superblock(st)
}

/// What a filesystem has in addition while it is read-write.
pub struct ReadWrite {
    btrees: Arc<Btrees>,
    writer: Arc<Writer>,
    /// What goes on in the background; gone when the filesystem is read-only again.
    threads: Mutex<Vec<Thread>>,
}

/// What transactions need, for a thread.
pub(super) struct Handle {
    btrees: Arc<Btrees>,
    writer: Arc<Writer>,
}

impl Handle {
    pub(super) fn engine(&self) -> Engine<'_> {
        Engine {
            btrees: &self.btrees,
            writer: &self.writer,
        }
    }
}

/// What goes on in the background.
#[derive(Clone, Copy, Debug)]
enum Task {
    /// Writing back what the journal holds.
    Reclaim,
    /// Making emptied buckets free.
    Discard,
}

/// Milliseconds between looks at the journal, when nobody wakes the thread that writes back.
const RECLAIM_MS: u64 = 100;
/// Milliseconds between looks for buckets to be discarded.
const DISCARD_MS: u64 = 1000;

impl ReadWrite {
    /// Makes a filesystem that was never mounted, whose btrees are empty.
    pub(super) fn start_new(btrees: &Arc<Btrees>, from: &Start) -> Result<Self> {
        let this = Self::begin(btrees, from, |_| Ok(()))?;
        // Who mounts has used much of his stack.
        let make = || this.replay().and_then(|()| new::set_up(this.engine()));
        let made = this.writer.on_own_stack(make);
        match made {
            Ok(()) => Ok(this),
            Err(e) => Err(this.abandon(e)),
        }
    }

    /// Ends writing because of `e`. The superblock is left as it is.
    pub(super) fn abandon(self, e: Error) -> Error {
        self.end_threads();
        let st = self.btrees.sb();
        st.state.change(State::ReadWrite, State::ReadOnly);
        st.end_super();
        e
    }

    /// Marks the filesystem not clean, with a change of the superblock that comes first, and starts
    /// the journal. Nothing may be changed yet but by [`replay`](Self::replay).
    ///
    /// C: the first part of `__bch2_fs_read_write()`.
    #[inline(never)]
    pub(super) fn begin(
        btrees: &Arc<Btrees>,
        from: &Start,
        change: impl FnOnce(&mut Superblock) -> Result,
    ) -> Result<Self> {
        let st = btrees.sb();
        st.mark_dirty_with(btrees.blacklist().ranges(), change)?;
        let started = Journal::start(st.clone(), from).and_then(|journal| {
            // Some may have been given up, with nothing to take their place.
            journal.keep_roots(|btree| btrees.exists(btree));
            Self::with(btrees, journal)
        });
        started.inspect_err(|_| st.end_super())
    }

    #[inline(never)]
    fn with(btrees: &Arc<Btrees>, journal: Arc<Journal>) -> Result<Self> {
        let space = Space::try_new(btrees, journal.clone())?;
        let writer = Arc::try_new(Writer::try_new(journal, space)?)?;
        let this = Self {
            btrees: btrees.clone(),
            writer,
            threads: Mutex::try_new(Vec::with_capacity(2)?)?,
        };
        this.spawn(Task::Reclaim)?;
        Ok(this)
    }

    /// After a crash, replays what the journal has; there may be no room for an entry before that.
    /// Then writes the first entry: whether that works is to be known before anything is changed.
    #[inline(never)]
    pub(super) fn replay(&self) -> Result {
        let st = self.btrees.sb();
        let nr = replay(&self.btrees, &self.writer)?;
        if nr != 0 {
            pr_info!("{}: replayed {nr} keys of the journal", st.name());
        }
        self.journal().write_entry()?;
        match st.state.change(State::ReadOnly, State::ReadWrite) {
            true => Ok(()),
            false => Err(st.state.first_error().unwrap_or(Error::Io)),
        }
    }

    /// From here on, emptied buckets become free.
    pub(super) fn start_discarding(&self) -> Result {
        self.spawn(Task::Discard)
    }

    /// Starts what goes on in the background.
    fn spawn(&self, task: Task) -> Result {
        let name = self.btrees.sb().name();
        let (b, w) = (self.btrees.clone(), self.writer.clone());
        let thread = match task {
            Task::Reclaim => Thread::spawn(format_args!("bch-reclaim/{name}"), move |stop| {
                reclaim(&b, &w, stop);
            }),
            Task::Discard => Thread::spawn(format_args!("bch-discard/{name}"), move |stop| {
                discard(&b, &w, stop);
            }),
        };
        self.threads.lock().push(thread?)
    }

    /// Writes nothing by itself until [`go_on`](Self::go_on): all changes so far are safe, and who
    /// copies the devices now gets a filesystem as after a crash.
    ///
    /// C: `bch2_freeze()`.
    pub(super) fn pause(&self) -> Result {
        self.end_threads();
        self.journal().flush()
    }

    /// C: `bch2_unfreeze()`.
    pub(super) fn go_on(&self) -> Result {
        self.spawn(Task::Reclaim)?;
        self.spawn(Task::Discard)
    }

    /// Writes again, after [`stop`](Self::stop).
    ///
    /// C: `bch2_fs_read_write()`.
    pub(super) fn resume(&self) -> Result {
        let st = self.btrees.sb();
        st.mark_dirty(self.btrees.blacklist().ranges())?;
        self.journal().resume();
        let started = || {
            self.spawn(Task::Reclaim)?;
            self.journal().write_entry()?;
            self.spawn(Task::Discard)
        };
        let done = match started() {
            Ok(()) if st.state.change(State::ReadOnly, State::ReadWrite) => return Ok(()),
            Ok(()) => Err(st.state.first_error().unwrap_or(Error::Io)),
            Err(e) => Err(e),
        };
        self.end_threads();
        st.end_super();
        done
    }

    /// The journal.
    pub fn journal(&self) -> &Journal {
        &self.writer.journal
    }

    /// Space in use as of the last commit, and what is reserved for data that is not written yet.
    pub(super) fn usage(&self) -> Usage {
        self.writer.hooks.usage_to_come()
    }

    /// What it takes to run transactions, for a thread that ends before writing does.
    pub(super) fn handle(&self) -> Handle {
        Handle {
            btrees: self.btrees.clone(),
            writer: self.writer.clone(),
        }
    }

    /// What it takes to run transactions.
    pub fn engine(&self) -> Engine<'_> {
        Engine {
            btrees: &self.btrees,
            writer: &self.writer,
        }
    }

    /// Ends writing, with the superblock of a clean shutdown if everything is on disk.
    ///
    /// C: `bch2_fs_read_only()`.
    pub(super) fn stop(&self, st: &SbState) -> Result {
        self.end_threads();
        let stopped = match st.state.get() == State::ReadWrite {
            true => self.shut_down(st),
            // It was ended before, by an error or by somebody else.
            false => Ok(()),
        };
        st.state.change(State::ReadWrite, State::ReadOnly);
        st.end_super();
        if let Err(e) = &stopped {
            pr_err!("{}: not shut down cleanly: {e}", st.name());
        }
        stopped
    }

    fn end_threads(&self) {
        // The one that writes back was the first, and is the last: others may wait for it.
        let mut threads = core::mem::take(&mut *self.threads.lock());
        while let Some(thread) = threads.pop() {
            thread.ask_to_stop();
            self.journal().want_reclaim();
            self.writer.hooks.want_discards();
            thread.stop();
        }
    }

    fn shut_down(&self, st: &SbState) -> Result {
        write_back_all(&self.btrees, &self.writer)?;
        let journal = self.journal();
        let last = journal.stop()?;
        if !last.is_empty {
            pr_warn!(
                "{}: not shut down cleanly: what journal entries from {} on hold is not written back",
                st.name(),
                journal.oldest_pinned()
            );
            return Ok(());
        }
        let (records, positions) = (journal.clean_records()?, journal.positions()?);
        st.mark_clean(last.seq, &records, &positions)?;
        pr_info!("{}: shut down cleanly, journal seq {}", st.name(), last.seq);
        Ok(())
    }
}

/// Writes back what the journal holds, when that is wanted.
///
/// C: `bch2_journal_reclaim_thread()`.
fn reclaim(btrees: &Btrees, writer: &Writer, stop: &Stop) {
    while !stop.requested() {
        // It does not know yet when writing ended elsewhere.
        if let Some(e) = writer.journal.halted() {
            return writer.journal.halt(e);
        }
        writer
            .journal
            .wait_for_reclaim(RECLAIM_MS, || stop.requested());
        let short = write_for_memory(btrees, writer);
        let done = short.and_then(|()| match writer.journal.reclaim_target() {
            Some(target) => write_back(btrees, writer, target),
            None if writer.buffer.is_full() => write_back(btrees, writer, 0),
            None => flush_key_cache(btrees, writer),
        });
        match done {
            Ok(()) => continue,
            // While the journal is replayed; who does so makes room.
            Err(Error::JournalFull) => (),
            Err(e) => {
                pr_err!("{}: writing back: {e}", btrees.sb().name());
                if e.class() == Class::NoSpace {
                    writer.journal.held_up(e);
                }
            }
        }
        stop.sleep_ms(RECLAIM_MS);
    }
}

/// Makes emptied buckets free, and empties some when few are.
///
/// C: `bch2_do_discards_work()`.
fn discard(btrees: &Btrees, writer: &Writer, stop: &Stop) {
    let engine = Engine { btrees, writer };
    while !stop.requested() && writer.journal.halted().is_none() {
        if let Err(e) = keep_discarded(engine) {
            pr_err!("{}: discarding buckets: {e}", btrees.sb().name());
        }
        if let Err(e) = keep_buckets_free(engine) {
            pr_err!("{}: emptying buckets: {e}", btrees.sb().name());
        }
        writer.hooks.wait_for_discards(DISCARD_MS);
    }
}
