// SPDX-License-Identifier: GPL-2.0

//! From opened devices to a filesystem that can be read.

use super::{
    options,
    rw::{
        self,
        ReadWrite, //
    },
};
use crate::{
    alloc::{
        check_enough,
        space::Space,
        Usage, //
    },
    btree::Btrees,
    env::{
        pr_err,
        pr_info,
        pr_warn,
        Arc,
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        opts::{
            OnError,
            OptId,
            Opts, //
        },
        values::subvolume::ROOT_SUBVOL, //
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
        live::Start, //
    },
    sb::{
        self,
        State,
        StateCell, //
    },
    snapshots::View,
    sys::{
        block::BlockDevice,
        sync::{
            Mutex,
            Once, //
        },
    },
};

/// A filesystem that was started. Dropping the last reference shuts it down and frees everything.
///
/// C: `struct bch_fs`.
pub struct Filesystem {
    /// What can be read.
    pub view: View,
    /// What was read of the journal.
    pub journal: JournalSpan,
    /// Space in use, as of the mount.
    usage: Usage,
    /// Quotas as of the mount, or why they are not known.
    quotas: Result<Quotas>,
    /// Numbers of new inodes.
    numbers: Numbers,
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

impl Filesystem {
    /// Starts the filesystem on `devs`, for reading only.
    pub fn start(devs: Vec<BlockDevice>, opts: &Opts) -> Result<Arc<Self>> {
        Self::start_for(Access::Read, devs, opts)
    }

    /// Starts the filesystem on `devs`. [`Error::NewNeedsWriting`] when it was never mounted, and
    /// the devices are not open for writing, which its first mount needs even for reading.
    ///
    /// Order: superblocks, journal, btree roots, snapshots, root directory, accounting; then, to
    /// write, the superblock is marked and the journal started. What was never mounted is made
    /// before snapshots are read, also when it is mounted for reading only. A failure is reported
    /// where it is found; everything done so far is undone.
    ///
    /// C: `bch2_fs_open()`, `bch2_fs_start()`, `bch2_fs_recovery()`.
    pub fn start_for(access: Access, devs: Vec<BlockDevice>, opts: &Opts) -> Result<Arc<Self>> {
        let started = options::check(opts).and_then(|()| Self::recover(devs, opts, access));
        match started {
            Ok(fs) => Arc::try_new(fs),
            // For the caller, who opens the devices in another way.
            Err(e) if e == Error::NewNeedsWriting => Err(e),
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
        match access {
            _ if is_new => rw::prepare_new(&mut st)?,
            Access::Write => rw::check_superblock(&st)?,
            Access::Read => (),
        }
        let st = Arc::try_new(st)?;
        // What is missing of the journal would be missing for good once something is written.
        let lenient = st.opts.on_error() == OnError::Continue && access == Access::Read;
        let mut journal = match is_new {
            true => journal::of_new(&st)?,
            false => journal::read(&st, lenient)?,
        };
        let replay = journal.keys.len();
        let span = JournalSpan {
            clean: journal.clean,
            first: journal.first_seq,
            last: journal.last_seq,
            highest: journal.highest_seq,
            nr_keys: replay,
        };
        if replay != 0 {
            pr_info!("{replay} keys of the journal are laid over the btrees");
        }
        let from = match lenient {
            true => None,
            false => Some(Start::after(&mut journal)?),
        };
        let btrees = Arc::try_new(Btrees::start(st, journal)?)?;
        let new = match &from {
            Some(from) if is_new => Some(Self::first_start(&btrees, from, access)?),
            _ => None,
        };
        let view = View::of(btrees)?;
        Self::check_root(&view)?;
        Self::check_data_is_there(&view)?;
        let usage = Usage::read(&view.btrees, view.sb().opts.get(OptId::GcReservePercent));
        let usage = usage.unwrap_or_else(|e| {
            pr_warn!("can not read the accounting, space in use is not known: {e}");
            Usage::default()
        });
        let quotas = Quotas::read(&view);
        if let Err(e) = &quotas {
            pr_warn!("can not read the quotas, they are not shown: {e}");
        }
        view.sb().state.started();
        let rw = match (&from, new) {
            (_, Some(rw)) => Some(rw),
            (Some(from), None) if access == Access::Write => {
                Some(Self::start_writing(&view, from)?)
            }
            _ => None,
        };
        let narrow = view.sb().opts.is_on(OptId::Inodes32bit);
        let fs = Self {
            view,
            journal: span,
            usage,
            quotas,
            numbers: Numbers::try_new(narrow, true)?,
            start: Mutex::try_new(from.filter(|_| rw.is_none()))?,
            rw: Once::new(rw),
        };
        if access == Access::Write {
            fs.remove_dead()?;
        }
        Ok(fs)
    }

    /// Removes inodes that nobody has a name or an open file of.
    ///
    /// C: the recovery pass `delete_dead_inodes`.
    #[inline(never)]
    fn remove_dead(&self) -> Result {
        let nr = self.changes()?.remove_dead()?;
        if nr != 0 {
            pr_info!(
                "{}: removed {nr} inodes without names",
                self.view.sb().name()
            );
        }
        Ok(())
    }

    /// What it takes to change files, while that is possible.
    pub fn changes(&self) -> Result<Changes<'_>> {
        Ok(Changes {
            view: &self.view,
            engine: self.read_write()?.engine(),
            numbers: &self.numbers,
        })
    }

    #[inline(never)]
    fn start_writing(view: &View, from: &Start) -> Result<ReadWrite> {
        if let Some(btree) = view.btrees.health.sick().next() {
            pr_err!("{}: btree {btree} is damaged", view.sb().name());
            return Err(Error::ReadWriteDamaged);
        }
        ReadWrite::start(view, from)
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
            Ok(rw) => rw.pause(),
            Err(_) => Ok(()),
        }
    }

    /// Ends [`freeze`](Self::freeze).
    pub fn thaw(&self) -> Result {
        match self.read_write() {
            Ok(rw) => rw.go_on(),
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
        if self.state().get() == State::ReadWrite {
            // Those that some snapshot had for the last time. What can not be removed stays listed.
            let _ = self.remove_dead();
        }
        rw.stop(self.view.sb())
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
            None => self.first_read_write()?,
        }
        self.remove_dead()
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
        let mut start = self.start.lock();
        let from = start.as_ref().ok_or(Error::RemountUnsupported)?;
        let rw = Self::start_writing(&self.view, from)?;
        self.rw.set(rw);
        *start = None;
        Ok(())
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

    /// Whether the root directory is there. C: the pass `lookup_root_inode`.
    #[inline(never)]
    fn check_root(view: &View) -> Result {
        let root = view.subvolume(ROOT_SUBVOL).inspect_err(|e| {
            pr_err!("can not find the root subvolume: {e}");
        })?;
        let pos = Bpos::new(0, root.inode, root.snapshot);
        match view.lookup(BtreeId::INODES, pos)? {
            Some(_) => Ok(()),
            None => {
                pr_err!("the root directory, inode {}, does not exist", root.inode);
                Err(Error::RootInodeMissing)
            }
        }
    }

    /// Whether user data can be read with the devices that are there. Damage of the accounting is
    /// no reason not to read.
    #[inline(never)]
    fn check_data_is_there(view: &View) -> Result {
        match check_enough(&view.btrees) {
            Err(e) if e != Error::DevicesMissingData => {
                pr_warn!("can not read the accounting, so data may be on missing devices: {e}");
                Ok(())
            }
            checked => checked,
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
