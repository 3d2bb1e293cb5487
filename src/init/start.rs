// SPDX-License-Identifier: GPL-2.0

//! From opened devices to a filesystem that can be read.

use super::{
    copygc::CopyGc,
    options,
    passes::{
        remove_dead,
        Recovery,
        PASSES, //
    },
    reaper::{
        writing,
        Reaper, //
    },
    rw::{
        self,
        ReadWrite, //
    },
};
use crate::{
    alloc::{
        space::Space,
        Usage, //
    },
    btree::Btrees,
    check::{
        self,
        Plan,
        Report, //
    },
    env::{
        pr_err,
        pr_info,
        pr_warn,
        time::monotonic_ns,
        Arc,
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    format::opts::{
        OnError,
        OptId,
        Opts, //
    },
    fs::{
        change::{
            Changes,
            Numbers, //
        },
        quota::Quotas, //
    },
    journal::{
        self,
        live::Start,
        JournalContents, //
    },
    sb::{
        self,
        SbState,
        State,
        StateCell, //
    },
    snapshots::{
        clean_up,
        View, //
    },
    sys::{
        block::BlockDevice,
        sync::{
            Mutex,
            Once, //
        },
    },
};

/// Nanoseconds that going read-only may take to delete what is left of snapshots.
const REAP_NS: u64 = 5_000_000_000;

/// A filesystem that was started. Dropping the last reference shuts it down and frees everything.
///
/// C: `struct bch_fs`.
pub struct Filesystem {
    /// Deletes snapshots, while the filesystem is read-write. The first to be dropped.
    reaper: Reaper,
    /// Moves data, at the same time.
    copygc: CopyGc,
    /// What can be read.
    pub view: Arc<View>,
    /// What was read of the journal.
    pub journal: JournalSpan,
    /// Space in use, as of the mount.
    usage: Usage,
    /// Quotas as of the mount, or why they are not known.
    quotas: Result<Quotas>,
    /// Numbers of new inodes.
    numbers: Arc<Numbers>,
    /// What it takes to change something; there for good once the filesystem was read-write.
    rw: Once<ReadWrite>,
    /// What writing goes on from, until it does.
    start: Mutex<Option<Start>>,
}

/// What a filesystem is started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading only. Nothing is written, whatever is found; but what was never mounted is set up.
    Read,
    /// Reading and writing.
    Write,
}

/// Which journal entries the filesystem was started from.
#[derive(Clone, Copy, Debug)]
pub struct JournalSpan {
    /// It was shut down cleanly, none had to be read.
    pub clean: bool,
    /// The oldest that was used.
    pub first: u64,
    /// The newest that counts.
    pub last: u64,
    /// The highest number seen.
    pub highest: u64,
    /// Keys taken from them.
    pub nr_keys: usize,
}

impl JournalSpan {
    fn of(journal: &JournalContents) -> Self {
        let nr_keys = journal.keys.len();
        if nr_keys != 0 {
            pr_info!("{nr_keys} keys of the journal are laid over the btrees");
        }
        Self {
            clean: journal.clean,
            first: journal.first_seq,
            last: journal.last_seq,
            highest: journal.highest_seq,
            nr_keys,
        }
    }
}

impl Filesystem {
    /// Starts the filesystem on `devs`, for reading only.
    pub fn start(devs: Vec<BlockDevice>, opts: &Opts) -> Result<Arc<Self>> {
        Self::start_for(Access::Read, devs, opts)
    }

    /// Starts the filesystem on `devs`. [`Error::NewNeedsWriting`] when it was never mounted, and
    /// [`Error::CheckNeedsWriting`] when it is to be checked, and the devices are not open for
    /// writing, which both need even for reading.
    ///
    /// Order: superblocks, journal, btree roots, and the recovery passes (`passes.rs`). What was
    /// never mounted is made before the passes, also when it is mounted for reading only. A failure
    /// is reported where it is found; everything done so far is undone.
    ///
    /// C: `bch2_fs_open()`, `bch2_fs_start()`, `bch2_fs_recovery()`.
    pub fn start_for(access: Access, devs: Vec<BlockDevice>, opts: &Opts) -> Result<Arc<Self>> {
        let started = options::check(opts).and_then(|()| Self::recover(devs, opts, access));
        match started {
            Ok(fs) => Arc::try_new(fs),
            // For the caller, who opens the devices in another way.
            Err(e @ (Error::NewNeedsWriting | Error::CheckNeedsWriting)) => Err(e),
            Err(e) => {
                pr_err!("can not start the filesystem: {e}");
                Err(e)
            }
        }
    }

    // Out of line, as its steps: kernel stacks are small.
    #[inline(never)]
    fn recover(devs: Vec<BlockDevice>, opts: &Opts, access: Access) -> Result<Self> {
        let mut st = sb::open(devs, opts)?;
        let is_new = st.is_new();
        // Repairs are writes, also of a filesystem that is mounted to be read.
        let goal = access;
        let access = match Plan::is_asked_for(opts) && !is_new {
            true => Access::Write,
            false => goal,
        };
        let plan = Self::plan(&mut st, access, goal)?;
        let st = Arc::try_new(st)?;
        // What is missing of the journal would be missing for good once something is written.
        let lenient = st.opts.on_error() == OnError::Continue && access == Access::Read;
        let repairs = plan.fsck && check::repairs_all(&st);
        let mut journal = match is_new {
            true => journal::of_new(&st)?,
            false => journal::read(&st, lenient || repairs)?,
        };
        let lacks_entries = journal.damaged;
        let span = JournalSpan::of(&journal);
        let from = match lenient {
            true => None,
            false => Some(Start::after(&mut journal)?),
        };
        let narrow = st.opts.is_on(OptId::Inodes32bit);
        let btrees = Arc::try_new(Btrees::start(st, journal)?)?;
        let new = match &from {
            Some(from) if is_new => Some(Self::first_start(&btrees, from, access)?),
            _ => None,
        };
        let numbers = Arc::try_new(Numbers::try_new(narrow, true)?)?;
        let mut m = Recovery {
            lacks_entries,
            rw: new,
            ..Recovery::try_new(plan, btrees, from, numbers)?
        };
        if lacks_entries && access == Access::Write {
            m.plan.add_checks(PASSES);
        }
        Self::of(m, goal, span)
    }

    /// Runs the passes, and makes a filesystem of what is there then.
    #[inline(never)]
    fn of(mut m: Recovery, goal: Access, journal: JournalSpan) -> Result<Self> {
        let done = Self::run_passes(&mut m).and_then(|()| Self::begin(&m, goal));
        let (copygc, reaper) = match done {
            Ok(threads) => threads,
            Err(e) => return Err(m.rw.map_or(e, |rw| rw.abandon(e))),
        };
        let view = m.view.ok_or(Error::NoEntry)?;
        let quotas = Quotas::read(&view);
        if let Err(e) = &quotas {
            pr_warn!("can not read the quotas, they are not shown: {e}");
        }
        let start = m.from.filter(|_| m.rw.is_none());
        Ok(Self {
            reaper,
            copygc,
            view,
            journal,
            usage: m.usage,
            quotas,
            numbers: m.numbers,
            start: Mutex::try_new(start)?,
            rw: Once::new(m.rw),
        })
    }

    /// Goes on as what it is mounted for: data is moved and snapshots are deleted in the
    /// background, or writing, that was for repairs only, ends.
    fn begin(m: &Recovery, goal: Access) -> Result<(CopyGc, Reaper)> {
        let (copygc, reaper) = (CopyGc::try_new()?, Reaper::try_new()?);
        let view = m.view.as_ref().ok_or(Error::NoEntry)?;
        match (&m.rw, goal) {
            (Some(rw), Access::Write) => {
                copygc.start(rw, view)?;
                reaper.start(rw, view)?;
            }
            // What is written back may change the pointers to nodes.
            (Some(rw), Access::Read) => m.tasks.call(|| rw.stop(view.sb()))??,
            (None, _) => (),
        }
        Ok((copygc, reaper))
    }

    /// What it takes to change files, while that is possible.
    pub fn changes(&self) -> Result<Changes<'_>> {
        Ok(Changes {
            view: &self.view,
            engine: self.read_write()?.engine(),
            numbers: &self.numbers,
        })
    }

    /// Which passes are run, if what is to be done is possible at all.
    #[inline(never)]
    fn plan(st: &mut SbState, access: Access, goal: Access) -> Result<Plan> {
        if st.is_new() {
            rw::prepare_new(st)?;
            return Ok(Plan::reading());
        }
        if access == Access::Read {
            return Ok(Plan::reading());
        }
        if goal == Access::Read && st.devices().any(|d| !d.bdev.is_writable()) {
            return Err(Error::CheckNeedsWriting);
        }
        rw::check_superblock(st)?;
        let opts = st.opts.now()?;
        let plan = Plan::writing(&st.sb, &opts);
        plan.announce(st.name());
        plan.check(PASSES)?;
        Ok(plan)
    }

    /// Runs the passes of the plan, and notes in the superblock what of it need not be done again.
    #[inline(never)]
    fn run_passes(m: &mut Recovery) -> Result {
        let checks = m.plan.checks_allocations();
        m.btrees.sb().set_checking(checks);
        check::run(|m| m.plan, PASSES, m, Recovery::pass_done)?;
        m.btrees.sb().set_checking(false);
        m.btrees.sb().state.started();
        m.finish()
    }

    /// Starts what was never mounted. To read it only, it is shut down again.
    ///
    /// C: `bch2_fs_initialize()`, which is called for mounts of both kinds.
    #[inline(never)]
    fn first_start(btrees: &Arc<Btrees>, from: &Start, access: Access) -> Result<ReadWrite> {
        btrees.sb().state.started();
        let rw = ReadWrite::start_new(btrees, from)?;
        if access == Access::Read {
            rw.stop(btrees.sb())?;
        }
        Ok(rw)
    }

    /// What it takes to change something, while that is possible.
    pub fn read_write(&self) -> Result<&ReadWrite> {
        match self.rw.get() {
            Some(rw) if self.state().get() == State::ReadWrite => Ok(rw),
            _ => Err(self.state().first_error().unwrap_or(Error::ReadOnly)),
        }
    }

    /// The space of a filesystem that is, or was, read-write.
    pub fn space(&self) -> Option<&Space> {
        self.rw.get().map(|rw| &rw.engine().writer.hooks)
    }

    /// Waits until all changes so far are safe.
    ///
    /// C: `bch2_sync_fs()`.
    pub fn sync(&self) -> Result {
        match self.rw.get() {
            Some(rw) if self.state().get() != State::ReadOnly => rw.journal().flush(),
            _ => Ok(()),
        }
    }

    /// Waits until the journal entry `seq`, and all before it, are safe.
    ///
    /// C: `bch2_journal_flush_seq()`.
    pub fn sync_seq(&self, seq: u64) -> Result {
        match self.rw.get() {
            Some(rw) if self.state().get() != State::ReadOnly => rw.journal().flush_seq(seq),
            _ => Ok(()),
        }
    }

    /// Writes nothing by itself until [`thaw`](Self::thaw). Nobody may be changing anything.
    pub fn freeze(&self) -> Result {
        match self.read_write() {
            Ok(rw) => {
                self.reaper.stop();
                self.copygc.stop(Some(rw));
                rw.pause()
            }
            Err(_) => Ok(()),
        }
    }

    /// Ends [`freeze`](Self::freeze).
    pub fn thaw(&self) -> Result {
        match self.read_write() {
            Ok(rw) => {
                rw.go_on()?;
                self.copygc.start(rw, &self.view)?;
                self.reaper.start(rw, &self.view)
            }
            Err(_) => Ok(()),
        }
    }

    /// Goes read-only: everything is written, and the superblock says that the filesystem is clean.
    /// Nobody may be changing anything. Nothing happens when it is read-only already.
    ///
    /// C: `bch2_fs_read_only()`.
    pub fn go_read_only(&self) -> Result {
        let Some(rw) = self.rw.get() else {
            return Ok(());
        };
        self.reaper.stop();
        if let Ok(changes) = self.changes() {
            // Those that some snapshot had for the last time. What can not be removed stays listed.
            let _ = remove_dead(&changes);
            let w = writing(changes.engine);
            let end = monotonic_ns().saturating_add(REAP_NS);
            let stop = || monotonic_ns() > end;
            // What is not done by then is done by the next mount.
            let _ = clean_up(&w, &self.view, &stop);
        }
        self.copygc.stop(Some(rw));
        rw.stop(self.view.sb())
    }

    /// Removes what deleted subvolumes and snapshots leave, as is done in the background anyway.
    ///
    /// C: `__bch2_delete_dead_snapshots()`.
    pub fn delete_dead_snapshots(&self) -> Result {
        let w = writing(self.read_write()?.engine());
        clean_up(&w, &self.view, &|| !self.state().may_write())
    }

    /// Goes read-write, whatever it was mounted for. Nothing happens when it is read-write already.
    ///
    /// C: `bch2_fs_read_write()`.
    pub fn go_read_write(&self) -> Result {
        match self.state().get() {
            State::ReadWrite => return Ok(()),
            State::ReadOnly => (),
            _ => return Err(self.state().first_error().unwrap_or(Error::ReadOnly)),
        }
        match self.rw.get() {
            Some(rw) => rw.resume()?,
            None => return self.first_read_write(),
        }
        remove_dead(&self.changes()?)?;
        self.count_again();
        self.copygc.start(self.read_write()?, &self.view)?;
        self.reaper.start(self.read_write()?, &self.view)
    }

    #[inline(never)]
    fn first_read_write(&self) -> Result {
        let st = self.view.sb();
        if st.opts.forces_read_only() {
            return Err(Error::RemountForced);
        }
        for dev in st.devices().filter(|d| d.is_writable()) {
            dev.bdev.make_writable()?;
        }
        rw::check_superblock(st)?;
        let opts = st.opts.now()?;
        if Plan::writing(&st.sb, &opts).required() != 0 {
            return Err(Error::RemountNeedsCheck);
        }
        let mut start = self.start.lock();
        let (plan, btrees) = (Plan::remounting(&st.sb, &opts), self.view.btrees.clone());
        let mut m = Recovery {
            report: Report::new(false),
            usage: self.usage,
            view: Some(self.view.clone()),
            ..Recovery::try_new(plan, btrees, None, self.numbers.clone())?
        };
        m.from = Some(start.take().ok_or(Error::RemountUnsupported)?);
        let done = Self::run_passes(&mut m);
        match (done, m.rw) {
            (Ok(()), Some(rw)) => {
                self.rw.set(rw);
                self.count_again();
                self.copygc.start(self.read_write()?, &self.view)?;
                self.reaper.start(self.read_write()?, &self.view)
            }
            (done, rw) => {
                // It may be tried again.
                *start = m.from;
                let e = done.err().unwrap_or(Error::ReadOnly);
                Err(rw.map_or(e, |rw| rw.abandon(e)))
            }
        }
    }

    /// What is in use may be less than when the filesystem was mounted: files without a name are
    /// removed.
    fn count_again(&self) {
        if let Ok(Err(e)) = self.quotas().map(|quotas| quotas.read_again(&self.view)) {
            let name = self.view.sb().name();
            pr_warn!("{name}: can not read the quotas again: {e}");
        }
    }

    /// Ends all writing at once, because somebody asked for it: nothing that is not on the devices
    /// yet gets there.
    ///
    /// C: `bch2_fs_emergency_read_only()`.
    #[cold]
    pub fn end_writing(&self) {
        let e = Error::EmergencyAsked;
        match self.rw.get() {
            Some(rw) => rw.journal().halt(e),
            None => _ = self.state().emergency(e),
        }
    }

    /// Quotas.
    pub fn quotas(&self) -> Result<&Quotas> {
        self.quotas.as_ref().map_err(|e| *e)
    }

    /// What it may do at the moment.
    pub fn state(&self) -> &StateCell {
        &self.view.sb().state
    }

    /// Space in use: as of the last commit, or of the mount when nothing changes it.
    pub fn usage(&self) -> Usage {
        match self.rw.get() {
            Some(rw) => rw.usage(),
            None => self.usage,
        }
    }
}

impl Drop for Filesystem {
    /// Nobody uses it any more: it is shut down, unless that was done before.
    fn drop(&mut self) {
        // What goes wrong is reported there, and there is nobody to tell.
        let _ = self.go_read_only();
    }
}
