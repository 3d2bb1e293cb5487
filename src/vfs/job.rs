// SPDX-License-Identifier: GPL-2.0

//! Data of a file on its way to the devices, and what follows from it for the VFS.

use super::{
    charge,
    errno::errno,
    file::file_id,
    write::{
        engine,
        Turn, //
    },
    Bcachefs, //
};
use crate::{
    alloc::{
        space::{
            Engine,
            Space, //
        },
        Reserved, //
    },
    data::{
        write::{
            Bytes,
            Source,
            WriteOptions,
            Written, //
        },
        FileId, //
    },
    env::{
        num::u64_of,
        pr_err,
        span::Span,
        Arc,
        Box,
        Vec, //
    },
    error,
    init::Filesystem,
    snapshots::View,
    sys::{
        fs::{
            DirectEnd,
            DirtyRun,
            INode,
            Taken, //
        },
        sync::SpinLock, //
    },
};

/// Bytes in a sector.
const SECTOR: u64 = 512;

/// What came of a job so far.
#[derive(Clone, Copy)]
pub(super) struct Outcome {
    pub(super) done: Written,
    pub(super) result: error::Result,
}

/// Bytes, and who is told when they were written.
pub(super) trait Data: Bytes + Send + Sync + 'static {
    /// Where in the file its byte `skip` is to be.
    fn pos_of(&self, skip: usize) -> u64;

    /// Somebody waits for it.
    fn is_waited_for(&self) -> bool;

    /// A process can change it meanwhile.
    fn is_shared(&self) -> bool {
        false
    }

    /// What to say of it when it could not be written, if it is lost then: where it was to be, and
    /// how many bytes.
    fn lost(&self) -> Option<(u64, usize)>;

    /// All was written, or not. With that, an unmount may go on.
    fn end(&mut self, outcome: &Outcome);
}

/// Data that is written. When the last part has ended, it is dropped; and then, after the
/// filesystem was let go, its end is told: with that, an unmount may go on. Fields are dropped in
/// their order.
pub(super) struct Job<D: Data> {
    file: FileId,
    options: WriteOptions,
    size: u64,
    pub(super) outcome: SpinLock<Outcome>,
    reserved: Reserved,
    fs: Arc<Filesystem>,
    pub(super) end: End<D>,
}

/// The end of a job.
pub(super) struct End<D: Data> {
    pub(super) data: D,
    outcome: Outcome,
}

impl<D: Data> Drop for End<D> {
    fn drop(&mut self) {
        self.data.end(&self.outcome);
    }
}

impl<D: Data> Job<D> {
    /// A job for data of a file, for which space is reserved; the file has `size` bytes then, if it
    /// had less. On failure the data is told its end. What is dropped before it has
    /// [begun](Self::begin) ends with an error: there was no memory.
    pub(super) fn start(
        inode: &INode<Bcachefs>,
        data: D,
        size: u64,
        reserved: Reserved,
    ) -> error::Result<Arc<Self>> {
        let fs = &inode.sb().data().fs;
        let nothing = Outcome {
            done: Written::default(),
            result: Err(error::Error::NoMemory),
        };
        let end = End {
            data,
            outcome: nothing,
        };
        let outcome = match SpinLock::try_new(nothing) {
            Ok(outcome) => outcome,
            Err(e) => {
                give_back(fs, reserved);
                return Err(e);
            }
        };
        let options = WriteOptions::of(fs.view.sb(), &inode.data().inode());
        Arc::try_new(Self {
            file: file_id(inode),
            // As they were when the process's memory was taken.
            options: match end.data.is_shared() {
                true => options.as_it_is(),
                false => options,
            },
            size,
            outcome,
            reserved,
            fs: fs.clone(),
            end,
        })
    }

    /// From now on what came of it is what came of its parts.
    pub(super) fn begin(&self) {
        self.outcome.lock().result = Ok(());
    }
}

/// Nothing will be written in what was reserved, or it was.
pub(super) fn give_back(fs: &Filesystem, reserved: Reserved) {
    if let Some(space) = fs.space() {
        space.give_back(reserved);
    }
}

impl<D: Data> Drop for Job<D> {
    fn drop(&mut self) {
        let outcome = *self.outcome.lock();
        let reserved = core::mem::replace(&mut self.reserved, Reserved::nothing());
        give_back(&self.fs, reserved);
        let st = self.fs.view.sb();
        if let (Err(e), Some((pos, len))) = (outcome.result, self.end.data.lost()) {
            if st.admit_message() {
                let (name, inum) = (st.name(), self.file.inum);
                pr_err!("{name}: inode {inum}: {len} bytes from {pos} on are lost: {e}");
            }
        }
        self.end.outcome = outcome;
    }
}

impl<D: Data> Bytes for Job<D> {
    fn spans(&self, skip: usize, len: usize) -> impl Iterator<Item = Span<'_>> {
        self.end.data.spans(skip, len)
    }

    fn together(&self, skip: usize) -> usize {
        self.end.data.together(skip)
    }
}

impl<D: Data> Source for Job<D> {
    fn engine(&self) -> error::Result<Engine<'_>> {
        engine(&self.fs)
    }

    fn space(&self) -> Option<&Space> {
        self.fs.space()
    }

    fn view(&self) -> &View {
        &self.fs.view
    }

    fn file(&self) -> FileId {
        self.file
    }

    fn sector_at(&self, skip: usize) -> u64 {
        self.end.data.pos_of(skip) / SECTOR
    }

    fn options(&self) -> &WriteOptions {
        &self.options
    }

    fn size(&self) -> u64 {
        self.size
    }

    fn is_waited_for(&self) -> bool {
        self.end.data.is_waited_for()
    }

    fn part_ended(&self, written: Written, result: error::Result) {
        let mut outcome = self.outcome.lock();
        outcome.done.add(written);
        outcome.result = outcome.result.and(result);
    }
}

/// A dirty run.
pub(super) struct Run {
    pub(super) run: Option<DirtyRun<Bcachefs>>,
    /// Its bytes, if what is in the page cache may change.
    copy: Option<Vec<u8>>,
    _turn: Turn,
}

impl Run {
    /// On failure the run is ended.
    pub(super) fn of(run: Box<DirtyRun<Bcachefs>>, turn: Turn) -> error::Result<Self> {
        let copy = match run.is_unstable() {
            true => Some(run.copied()?),
            false => None,
        };
        charge::begin_run(run.inode());
        Ok(Self {
            run: Some(run.into_inner()),
            copy,
            _turn: turn,
        })
    }
}

impl Bytes for Run {
    fn spans(&self, skip: usize, len: usize) -> impl Iterator<Item = Span<'_>> {
        let theirs = match self.copy {
            Some(_) => 0,
            None => len,
        };
        let copy = self.copy.iter().flat_map(move |c| c.spans(skip, len));
        let run = self.run.iter().flat_map(move |r| r.pieces(skip, theirs));
        copy.chain(run.map(Span::Still))
    }

    fn together(&self, skip: usize) -> usize {
        self.run.as_ref().map_or(0, |run| run.place_of(skip).1)
    }
}

impl Data for Run {
    fn pos_of(&self, skip: usize) -> u64 {
        self.run.as_ref().map_or(0, |run| run.place_of(skip).0)
    }

    fn is_waited_for(&self) -> bool {
        self.run.as_ref().is_some_and(DirtyRun::is_waited_for)
    }

    fn lost(&self) -> Option<(u64, usize)> {
        self.run.as_ref().map(|run| (run.pos(), run.nr_bytes()))
    }

    fn end(&mut self, outcome: &Outcome) {
        if let Some(run) = self.run.take() {
            run.inode().add_sectors(outcome.done.sectors);
            charge::end_run(run.inode());
            run.end(outcome.result);
        }
    }
}

/// Data that goes past the page cache.
pub(super) struct Direct {
    pub(super) pos: u64,
    pub(super) data: Taken,
    /// Unless the caller waits.
    pub(super) later: Option<(DirectEnd<Bcachefs>, Turn)>,
}

impl Bytes for Direct {
    fn spans(&self, skip: usize, len: usize) -> impl Iterator<Item = Span<'_>> {
        self.data.spans(skip, len)
    }
}

impl Data for Direct {
    fn pos_of(&self, skip: usize) -> u64 {
        self.pos.saturating_add(u64_of(skip))
    }

    fn is_waited_for(&self) -> bool {
        true
    }

    fn is_shared(&self) -> bool {
        self.data.is_shared()
    }

    fn lost(&self) -> Option<(u64, usize)> {
        None
    }

    fn end(&mut self, outcome: &Outcome) {
        if let Some((end, turn)) = self.later.take() {
            // The end can wait for pages to be written, and those for a turn.
            self.data = Taken::default();
            drop(turn);
            end.inode().add_sectors(outcome.done.sectors);
            charge::release(end.inode());
            end.end(outcome.result.map_err(errno));
        }
    }
}
