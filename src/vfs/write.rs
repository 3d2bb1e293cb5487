// SPDX-License-Identifier: GPL-2.0

//! Writing data of regular files.

use super::{
    charge,
    errno::{
        errno,
        reported, //
    },
    file::file_id,
    inode::changes,
    job::{
        give_back,
        Direct,
        Job,
        Outcome,
        Run, //
    },
    Bcachefs, //
};
use crate::{
    alloc::{
        space::Engine,
        Reserved, //
    },
    data::{
        self,
        inode_get,
        write::{
            self,
            WriteOptions, //
        },
        Seek, //
    },
    env::{
        num::{
            self,
            u64_of, //
        },
        pr_err,
        Arc,
        Box, //
    },
    error::{
        self,
        Class,
        Error, //
    },
    format::sb::counters::Counter,
    init::Filesystem,
    journal::live::Watermark,
    sys::{
        fs::{
            DirectEnd,
            DirtyRun,
            FileWrite,
            INode,
            Result,
            Taken, //
        },
        reclaim::NoFs,
        wait::WaitQueue,
        workqueue::WorkQueue, //
    },
};
use core::sync::atomic::{
    AtomicU32,
    Ordering, //
};

/// The largest block that files can be written in: a page of any machine.
const BLOCK_MAX: u32 = 4096;
/// Bytes in a sector.
const SECTOR: u64 = 512;

/// Runs up to so many bytes are sent by whoever collects them: handing them over would take longer
/// than what is to be done.
const AT_ONCE_BYTES: usize = 16 << 10;
/// The most runs that are written at the same time.
const RUNS_MAX: u32 = 32;
/// The most bytes of processes that are copied and written while these go on.
const DIRECT_BYTES_MAX: u32 = 32 << 20;

/// Where data is written, and how much of it.
pub(super) struct Writes {
    /// Runs are begun here, which can take long.
    queue: WorkQueue,
    /// And ended here.
    ends: WorkQueue,
    runs: Arc<Flow>,
    /// The ends of direct writes can wait for runs, which must not have to wait behind them.
    direct_queue: WorkQueue,
    direct: Arc<Flow>,
}

/// How much is being written.
struct Flow {
    active: AtomicU32,
    max: u32,
    changed: WaitQueue,
}

impl Writes {
    /// Nothing is written yet.
    pub(super) fn try_new() -> error::Result<Self> {
        Ok(Self {
            queue: WorkQueue::try_new(c"bcachefs_write")?,
            ends: WorkQueue::try_new_local(c"bcachefs_written")?,
            runs: Flow::try_new(RUNS_MAX)?,
            direct_queue: WorkQueue::try_new_local(c"bcachefs_direct")?,
            direct: Flow::try_new(DIRECT_BYTES_MAX)?,
        })
    }
}

impl Flow {
    fn try_new(max: u32) -> error::Result<Arc<Self>> {
        Arc::try_new(Self {
            active: AtomicU32::new(0),
            max,
            changed: WaitQueue::new(),
        })
    }

    /// Waits until no more than the most is being written with `nr` more.
    fn enter(flow: &Arc<Self>, nr: u32) -> Turn {
        let nr = nr.min(flow.max);
        flow.changed.wait(|| {
            let more = |active: u32| active.checked_add(nr).filter(|all| *all <= flow.max);
            flow.active
                .fetch_update(Ordering::AcqRel, Ordering::Relaxed, more)
                .is_ok()
        });
        Turn(flow.clone(), nr)
    }
}

/// A part of what is being written.
pub(super) struct Turn(Arc<Flow>, u32);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.active.fetch_sub(self.1, Ordering::AcqRel);
        self.0.changed.wake_all();
    }
}

/// How blocks of a file are counted.
#[derive(Clone, Copy)]
struct Blocks {
    bytes: u64,
    /// Sectors of all copies of one.
    sectors: u64,
}

impl Blocks {
    fn of(inode: &INode<Bcachefs>) -> Self {
        let st = inode.sb().data().fs.view.sb();
        let copies = inode.data().nr_replicas(st);
        let bytes = u64::from(st.sb.block_bytes()).max(SECTOR);
        Self {
            bytes,
            sectors: (bytes / SECTOR).saturating_mul(copies.into()),
        }
    }

    /// The blocks that a range is in.
    fn around(&self, pos: u64, end: u64) -> (u64, u64) {
        let per = self.bytes;
        let last = end.saturating_add(per.wrapping_sub(1));
        (div(pos, per), div(last, per))
    }

    /// The blocks that are within a range.
    fn within(&self, pos: u64, end: u64) -> (u64, u64) {
        let first = pos.saturating_add(self.bytes.wrapping_sub(1));
        (div(first, self.bytes), div(end, self.bytes))
    }
}

fn div(a: u64, b: u64) -> u64 {
    crate::env::num::div_or_zero(a, b)
}

/// What writing needs of a mount that can be written.
pub(super) fn engine(fs: &Filesystem) -> error::Result<Engine<'_>> {
    fs.read_write().map(|rw| rw.engine())
}

/// The same, for the VFS.
fn engine_of(inode: &INode<Bcachefs>) -> Result<Engine<'_>> {
    engine(&inode.sb().data().fs).map_err(errno)
}

/// What is reserved for a run.
pub struct RunReserved {
    all: Reserved,
    /// Looked up once for all of its folios.
    blocks: Option<Blocks>,
}

impl Default for RunReserved {
    fn default() -> Self {
        Self {
            all: Reserved::nothing(),
            blocks: None,
        }
    }
}

/// The sector that space ends before which fallocate(2) has set aside at the sector `at`.
fn set_aside_until(inode: &INode<Bcachefs>, at: u64) -> Result<u64> {
    // Freeing memory could otherwise end in removing inodes, here.
    let _scope = NoFs::enter();
    let (engine, view) = (engine_of(inode)?, &inode.sb().data().fs.view);
    let options = WriteOptions::of(view.sb(), &inode.data().inode());
    let until = write::set_aside_until(engine, view, file_id(inode), &options, at);
    until.map_err(|e| reported("looking for space", inode, e))
}

/// Reserves space for all copies of the bytes of a file from `pos`, of which there are `len`.
///
/// C: `bch2_dio_write_loop()`, `bch2_dio_write_check_allocated()`.
fn reserve_now(inode: &INode<Bcachefs>, pos: u64, len: usize) -> Result<Reserved> {
    let st = inode.sb().data().fs.view.sb();
    let copies = WriteOptions::of(st, &inode.data().inode()).nr_replicas;
    let sectors = (u64_of(len) / SECTOR).saturating_mul(copies.into());
    let space = &engine_of(inode)?.writer.hooks;
    let e = match space.reserve(sectors) {
        Ok(reserved) => return Ok(reserved),
        Err(e) if e.class() != Class::NoSpace => return Err(errno(e)),
        Err(e) => e,
    };
    // What was set aside for it is in use already.
    let (mut at, end) = (pos / SECTOR, pos.saturating_add(u64_of(len)) / SECTOR);
    while at < end {
        let until = set_aside_until(inode, at)?;
        if until <= at {
            return Err(errno(e));
        }
        at = until;
    }
    Ok(space.reserve_anyway(sectors))
}

impl FileWrite for Bcachefs {
    type Reserved = RunReserved;

    /// Buckets are hardly smaller.
    const RUN_BYTES: usize = 1 << 20;

    fn may_write(inode: &INode<Self>) -> Result {
        let mount = inode.sb().data();
        if mount.fs.view.sb().sb.block_bytes() > BLOCK_MAX {
            return Err(errno(Error::DataBlockSize));
        }
        let changes = changes(mount)?;
        changes.may_change(inode.key()).map_err(errno)
    }

    fn reserve(inode: &INode<Self>, pos: u64, end: u64, must: bool) -> Result<u64> {
        let space = &engine_of(inode)?.writer.hooks;
        let (blocks, dirty) = (Blocks::of(inode), &inode.data().dirty);
        let (first, last) = blocks.around(pos, end);
        if must {
            let done = dirty.reserve_anyway(space, first, last, blocks.sectors);
            return done.map(|()| end).map_err(errno);
        }
        let end = charge::reserve(inode, pos, end)?;
        let (_, last) = blocks.around(pos, end);
        let last = match dirty.reserve(space, first, last, blocks.sectors) {
            Ok(last) => last,
            Err(e) if e.class() != Class::NoSpace => return Err(errno(e)),
            Err(e) => {
                // What was set aside for it is in use already.
                let per_block = blocks.bytes / SECTOR;
                let until = set_aside_until(inode, first.saturating_mul(per_block))?;
                let last = last.min(div(until, per_block));
                if last <= first {
                    return Err(errno(e));
                }
                let done = dirty.reserve_anyway(space, first, last, blocks.sectors);
                done.map(|()| last).map_err(errno)?
            }
        };
        Ok(end.min(last.saturating_mul(blocks.bytes)))
    }

    fn reserve_changes(inode: &INode<Self>) -> u64 {
        inode.data().dirty.changes()
    }

    fn is_hole(inode: &INode<Self>, pos: u64) -> Result<bool> {
        let blocks = Blocks::of(inode);
        let is_dirty = || inode.data().dirty.has(div(pos, blocks.bytes));
        if is_dirty() {
            return Ok(false);
        }
        // What is on its way to the device is not dirty any more, and not in a btree yet.
        inode.wait_written_back(pos, blocks.bytes);
        if is_dirty() {
            return Ok(false);
        }
        let view = &inode.sb().data().fs.view;
        let found = data::seek(view, file_id(inode), u64::MAX, pos, Seek::Data);
        let found = found.map_err(|e| reported("looking for a hole", inode, e))?;
        Ok(found != Some(pos))
    }

    fn take_reserved(inode: &INode<Self>, pos: u64, end: u64, to: &mut RunReserved) {
        let blocks = *to.blocks.get_or_insert_with(|| Blocks::of(inode));
        let (first, last) = blocks.around(pos, end);
        let taken = inode.data().dirty.take(first, last, blocks.sectors);
        to.all.add(taken);
    }

    fn release(inode: &INode<Self>, pos: u64, end: u64) {
        let blocks = Blocks::of(inode);
        let (first, last) = blocks.within(pos, end);
        if first >= last {
            return;
        }
        let reserved = inode.data().dirty.take(first, last, blocks.sectors);
        if let Some(space) = inode.sb().data().fs.space() {
            space.give_back(reserved);
        }
        charge::release(inode);
    }

    fn release_all(inode: &INode<Self>) {
        if let Some(space) = inode.sb().data().fs.space() {
            inode.data().dirty.clear(space);
        }
    }

    fn read_sync(inode: &INode<Self>, pos: u64, to: &mut [u8]) -> Result {
        let view = &inode.sb().data().fs.view;
        let read = data::read_sync(view, file_id(inode), pos, to);
        read.map(drop)
            .map_err(|e| reported("reading a block", inode, e))
    }

    fn write_back(inode: &INode<Self>, mut run: Box<DirtyRun<Self>>) {
        let mount = inode.sb().data();
        let turn = Flow::enter(&mount.writes.runs, 1);
        let reserved = core::mem::take(run.reserved_mut());
        let (len, size) = (run.nr_bytes(), run.size());
        let failed = |e| pr_err!("{}: writing back: {e}", mount.fs.view.sb().name());
        // Without memory for it, the run is dropped, which ends it with an error.
        let run = match Run::of(run, turn) {
            Ok(run) => run,
            Err(e) => {
                give_back(&mount.fs, reserved.all);
                return failed(e);
            }
        };
        let started = Job::start(inode, run, size, reserved.all).and_then(|job| {
            if len <= AT_ONCE_BYTES {
                job.begin();
                write::start(&job, len, &mount.writes.ends);
                return Ok(());
            }
            mount.writes.queue.spawn(move || {
                // Until its last part has ended, the inode and the mount are there.
                let Some(run) = job.end.data.run.as_ref() else {
                    return;
                };
                let ends = &run.inode().sb().data().writes.ends;
                job.begin();
                write::start(&job, len, ends);
            })
        });
        if let Err(e) = started {
            failed(e);
        }
    }

    fn is_written_as_it_is(inode: &INode<Self>) -> bool {
        let st = inode.sb().data().fs.view.sb();
        WriteOptions::of(st, &inode.data().inode()).is_as_it_is()
    }

    fn write_direct(inode: &INode<Self>, pos: u64, data: Taken, size: u64) -> Result {
        let _scope = NoFs::enter();
        let len = data.nr_bytes();
        charge::reserve_all(inode, pos, pos.saturating_add(u64_of(len)))?;
        let reserved = reserve_now(inode, pos, len)?;
        let direct = Direct {
            pos,
            data,
            later: None,
        };
        let job = Job::start(inode, direct, size, reserved).map_err(errno)?;
        job.begin();
        write::run(&job, len);
        let Outcome { done, result } = *job.outcome.lock();
        inode.add_sectors(done.sectors);
        charge::release(inode);
        result.map_err(|e| reported("writing", inode, e))
    }

    fn start_direct(inode: &INode<Self>, pos: u64, data: Taken, end: DirectEnd<Self>) {
        let _scope = NoFs::enter();
        let len = data.nr_bytes();
        let charged = charge::reserve_all(inode, pos, pos.saturating_add(u64_of(len)));
        let reserved = match charged.and_then(|()| reserve_now(inode, pos, len)) {
            Ok(reserved) => reserved,
            Err(e) => return end.end(Err(e)),
        };
        let writes = &inode.sb().data().writes;
        let turn = Flow::enter(&writes.direct, num::sat_u32(len));
        let direct = Direct {
            pos,
            data,
            later: Some((end, turn)),
        };
        // The size on disk is less as long as what made the file longer was not written back.
        let size = pos.saturating_add(u64_of(len));
        // What is dropped before it has begun ends with an error.
        if let Ok(job) = Job::start(inode, direct, size, reserved) {
            job.begin();
            write::start(&job, len, &writes.direct_queue);
        }
    }

    fn sync_data(inode: &INode<Self>) -> Result {
        let _scope = NoFs::enter();
        let fs = &inode.sb().data().fs;
        let file = file_id(inode);
        let engine = engine(fs).map_err(errno)?;
        let seq = engine.run(Watermark::Normal, |t| {
            Ok(inode_get(t, &fs.view, file)?.journal_seq)
        });
        fs.view.sb().count(Counter::FSYNC);
        let synced = seq.and_then(|seq| engine.writer.journal.flush_seq(seq));
        synced.map_err(|e| reported("syncing", inode, e))
    }

    fn punch(inode: &INode<Self>, pos: u64, end: u64) -> Result {
        let _scope = NoFs::enter();
        let fs = &inode.sb().data().fs;
        let engine = engine(fs).map_err(errno)?;
        let (start, end) = (pos / SECTOR, end / SECTOR);
        let put = write::punch(engine, &fs.view, file_id(inode), start, end);
        let put = put.map_err(|e| reported("punching", inode, e))?;
        inode.add_sectors(put.sectors);
        Ok(())
    }

    fn allocate(inode: &INode<Self>, pos: u64, end: u64, size: u64) -> Result {
        let _scope = NoFs::enter();
        let fs = &inode.sb().data().fs;
        let (file, engine) = (file_id(inode), engine(fs).map_err(errno)?);
        let options = WriteOptions::of(fs.view.sb(), &inode.data().inode());
        charge::reserve_all(inode, pos, end)?;
        let (start, end) = (pos / SECTOR, end / SECTOR);
        let wanted = write::nr_unallocated(engine, &fs.view, file, start, end);
        let wanted = wanted.map_err(|e| reported("allocating", inode, e))?;
        let space = &engine.writer.hooks;
        let reserved = space.reserve(wanted.saturating_mul(options.nr_replicas.into()));
        let reserved = reserved.map_err(errno)?;
        let put = write::allocate(engine, &fs.view, file, (start, end), &options, size);
        space.give_back(reserved);
        let put = put.inspect(|put| inode.add_sectors(put.sectors));
        charge::release(inode);
        put.map_err(|e| reported("allocating", inode, e))?;
        Ok(())
    }

    fn shift(inode: &INode<Self>, pos: u64, bytes: u64, inserts: bool) -> Result {
        let _scope = NoFs::enter();
        let fs = &inode.sb().data().fs;
        let engine = engine(fs).map_err(errno)?;
        let file = (file_id(inode), inode.key().subvol);
        let range = (pos / SECTOR, bytes / SECTOR);
        let put = write::shift(engine, &fs.view, file, range, inserts);
        let put = put.map_err(|e| reported("moving data", inode, e))?;
        inode.add_sectors(put.sectors);
        Ok(())
    }

    fn share_data(
        (from, at): (&INode<Self>, u64),
        (to, pos): (&INode<Self>, u64),
        bytes: u64,
        size: u64,
    ) -> Result {
        let _scope = NoFs::enter();
        let fs = &to.sb().data().fs;
        let engine = engine(fs).map_err(errno)?;
        let block = u64::from(fs.view.sb().sb.block_bytes());
        // A part of a block is the last one of both files.
        let whole = num::round_up_pow2(bytes, block).unwrap_or(bytes);
        charge::reserve_all(to, pos, pos.saturating_add(whole))?;
        let mut done = 0;
        let put = write::share(
            engine,
            &fs.view,
            (file_id(from), at / SECTOR),
            (file_id(to), pos / SECTOR),
            whole / SECTOR,
            size,
            &mut done,
        );
        let put = put.inspect(|put| to.add_sectors(put.sectors));
        charge::release(to);
        put.map_err(|e| reported("sharing data", to, e))?;
        Ok(())
    }

    fn truncate(inode: &INode<Self>, size: u64) -> Result {
        let _scope = NoFs::enter();
        let fs = &inode.sb().data().fs;
        let engine = engine(fs).map_err(errno)?;
        let file = (file_id(inode), inode.key().subvol);
        let put = write::truncate(engine, &fs.view, file, size);
        let put = put.map_err(|e| reported("truncating", inode, e))?;
        inode.add_sectors(put.sectors);
        Ok(())
    }
}
