// SPDX-License-Identifier: GPL-2.0

//! Reads into the page cache, and direct reads.
//!
//! Each extent that folios need data of becomes one read from the replica that is best. Checksummed
//! data is read whole: into the folios what they need, into scratch memory the rest. It is verified
//! in a task when it has come; only then do the folios become up to date. Compressed data is all
//! read into scratch memory, and decompressed from there to the folios by that task, so that I/O
//! goes on meanwhile, and several CPUs decompress. Whatever goes wrong on the way is read again
//! there, synchronously, from any replica.

use super::{
    decode, decompress,
    plan::{
        Replica,
        Source, //
    },
    read::{
        bad_replica,
        count,
        count_read,
        device,
        read_avoiding, //
    },
    report,
    segments::{
        Seen,
        Segment,
        Segments, //
    },
    FileId,
};
use crate::{
    env::{
        num,
        time::monotonic_ns,
        units::DevIdx,
        Arc,
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        csum::CsumType,
        sb::counters::Counter, //
    },
    sb::SbState,
    snapshots::View,
    sys::{
        bio::{
            Completion,
            Finished,
            Held,
            Outcome,
            Pool,
            Read,
            Scratch,
            MAX_VECS, //
        },
        fs::DirectRead,
        iomap::{
            FolioRange,
            RangeReader,
            Readahead, //
        },
        workspace::Workspace,
    },
};
use core::sync::atomic::{
    AtomicBool,
    Ordering, //
};

/// Bytes in a sector.
const SECTOR: u64 = 512;
/// log2 of the least memory that one vector of a read refers to, except at the ends.
const PAGE_SHIFT: u32 = 12;

/// What reads come from and are verified on, for one filesystem. To be dropped before the
/// filesystem's devices are closed, and after its inodes are gone.
pub struct Reads<F: Owner>(Pool<Op<F>>);

/// The filesystem that reads belong to; each holds a reference until it has its data.
pub trait Owner: Send + Sync + 'static {
    /// Its keys.
    fn view(&self) -> &View;
}

impl<F: Owner> Reads<F> {
    /// Makes the pool of reads.
    pub fn try_new() -> Result<Self> {
        Pool::try_new(c"bcachefs_read").map(Self)
    }

    /// What reads ranges of `file`, up to byte `end`. `ahead` says that nobody waits for the data
    /// yet.
    pub fn reader<'a>(
        &'a self,
        fs: &'a Arc<F>,
        file: FileId,
        end: u64,
        ahead: bool,
    ) -> Reader<'a, F> {
        Reader {
            pool: &self.0,
            fs,
            file,
            end,
            ahead,
            exposed: false,
            segments: Segments::new(fs.view(), file),
            segment: None,
            open: None,
        }
    }

    /// Reads all folios of `rac`, after making it cover the extents at its ends: those that have
    /// to be read whole anyway. `size` is the file's in bytes.
    pub fn readahead(&self, fs: &Arc<F>, file: FileId, size: u64, mut rac: Readahead<'_>) {
        let first = rac.pos();
        let end = first.saturating_add(num::u64_of(rac.nr_bytes()));
        let mut reader = self.reader(fs, file, end, true);
        let from = reader.whole_extent(first).map_or(first, |(start, _)| start);
        let to = reader
            .whole_extent(end.saturating_sub(1))
            .map_or(end, |(_, stop)| stop.min(size));
        if from < first || to > end {
            rac.expand(from, to);
        }
        reader.end = rac.pos().saturating_add(num::u64_of(rac.nr_bytes()));
        rac.read(&mut reader);
    }
}

impl<F: Owner> Reads<F> {
    /// Reads what a direct read asks for.
    ///
    /// C: `bch2_direct_IO_read()`.
    pub fn direct(&self, fs: &Arc<F>, file: FileId, request: DirectRead<'_>) {
        let mut reader = self.reader(fs, file, request.end(), false);
        reader.exposed = request.is_exposed();
        request.read(&mut reader);
    }
}

/// Whether the data at byte `pos` has to be checked or decoded after it was read.
pub fn is_encoded_at<F: Owner>(fs: &Arc<F>, file: FileId, pos: u64) -> bool {
    let segment = Segments::new(fs.view(), file).at(pos / SECTOR);
    segment.is_ok_and(|s| match s.source {
        Source::Replicas(replicas) => replicas.first().crc.is_encoded(),
        Source::Zeros | Source::Inline(_) => false,
    })
}

/// Reads ranges of one file. Dropping it sends what is not sent yet.
pub struct Reader<'a, F: Owner> {
    pool: &'a Pool<Op<F>>,
    fs: &'a Arc<F>,
    file: FileId,
    end: u64,
    ahead: bool,
    /// Others can write to the memory of the ranges, so nothing may be checked there.
    exposed: bool,
    segments: Segments<'a>,
    /// The segment of the last range.
    segment: Option<Segment>,
    open: Option<Open<F>>,
}

/// A read that more ranges may be added to.
struct Open<F: Owner> {
    read: Read<Op<F>>,
    /// The byte of the file that the next range has to start with.
    next: u64,
    /// Bytes to read in all; `None` for data of which any part can be read.
    whole: Option<usize>,
    /// This can not be read asynchronously.
    defer: bool,
}

impl<F: Owner> Open<F> {
    fn send(mut self) {
        if self.defer {
            return self.read.defer();
        }
        let missing = self
            .whole
            .map_or(0, |n| n.saturating_sub(self.read.nr_bytes()));
        match self.read.push_scratch(missing) {
            Ok(()) => self.read.submit(),
            Err(_) => self.read.defer(),
        }
    }
}

impl<F: Owner> Reader<'_, F> {
    fn send(&mut self) {
        if let Some(open) = self.open.take() {
            open.send();
        }
    }

    /// The range, in bytes, of the extent around byte `at`, if it has to be read whole.
    fn whole_extent(&mut self, at: u64) -> Option<(u64, u64)> {
        let segment = self.segments.at(at / SECTOR).ok()?;
        match &segment.source {
            Source::Replicas(r) if r.first().crc.is_encoded() => Some((
                segment.start.saturating_mul(SECTOR),
                segment.end.saturating_mul(SECTOR),
            )),
            _ => None,
        }
    }

    /// Makes `self.segment` the one around byte `pos`.
    fn find(&mut self, pos: u64) -> Result {
        let at = pos / SECTOR;
        let found = self.segment.as_ref();
        if found.is_some_and(|s| (s.start..s.end).contains(&at)) {
            return Ok(());
        }
        if self.segment.is_some() {
            self.fs.view().sb().count(Counter::DATA_READ_SPLIT);
        }
        self.send();
        self.segment = Some(self.segments.at(at)?);
        Ok(())
    }

    /// Reads a range that is within `self.segment`.
    fn read_within(&mut self, pos: u64, mut range: FolioRange) -> Result {
        let Some(segment) = &self.segment else {
            return Err(Error::Io);
        };
        let skip = pos.saturating_sub(segment.start.saturating_mul(SECTOR));
        let seen = Seen {
            start: segment.start,
            taken: self.segments.taken(),
        };
        let end = segment.end.saturating_mul(SECTOR);
        let replica = match &segment.source {
            Source::Zeros => {
                count(self.fs.view(), Counter::DATA_READ_HOLE, range.nr_bytes());
                range.fill(&[]);
                return Ok(());
            }
            Source::Inline(data) => {
                count(self.fs.view(), Counter::DATA_READ_INLINE, range.nr_bytes());
                range.fill(data.get(num::usize_of(skip)..).unwrap_or(&[]));
                return Ok(());
            }
            Source::Replicas(replicas) => *replicas.first(),
        };
        let next = pos.saturating_add(num::u64_of(range.nr_bytes()));
        if let Some(open) = self.open.as_mut().filter(|o| o.next == pos) {
            match open.read.push(range) {
                Ok(()) => {
                    open.next = next;
                    return Ok(());
                }
                Err(back) => range = back,
            }
        }
        let left = end.min(self.end).saturating_sub(pos);
        self.send();
        let mut open = self.start((&replica, seen), pos, skip, left)?;
        open.next = next;
        // An empty read has room, or it would be of no use at all.
        open.read.push(range).map_err(|_| Error::NoMemory)?;
        self.open = Some(open);
        Ok(())
    }

    /// Starts a read of `replica` for up to `len` bytes of the file from `pos` on, which are `skip`
    /// bytes behind the start of the segment.
    fn start(
        &self,
        (replica, seen): (&Replica, Seen),
        pos: u64,
        skip: u64,
        len: u64,
    ) -> Result<Open<F>> {
        let sb = self.fs.view().sb();
        let lead = u64::from(replica.skip)
            .saturating_mul(SECTOR)
            .saturating_add(skip);
        let op = Op {
            fs: self.fs.clone(),
            file: self.file,
            pos,
            replica: *replica,
            seen,
            is_recent: AtomicBool::new(false),
            lead: num::usize_of(lead),
            since: monotonic_ns(),
        };
        // What others can write to gets only what has been checked elsewhere.
        if !replica.is_here || self.exposed && replica.crc.is_encoded() {
            return self.start_deferred(op, len);
        }
        let dev = &device(self.fs.view(), replica)?.bdev;
        if !replica.crc.is_encoded() {
            let sector = replica.sector.saturating_add(skip / SECTOR);
            let nr_vecs = nr_vecs(len);
            return Ok(Open {
                read: self.pool.start(dev, sector, nr_vecs, self.ahead, op)?,
                next: pos,
                whole: None,
                defer: false,
            });
        }
        let whole = u64::from(replica.crc.compressed_size).saturating_mul(SECTOR);
        let in_place = decode::is_in_place(replica);
        let nr_vecs = match in_place {
            true => nr_vecs(whole),
            false => nr_vecs(whole).saturating_add(nr_vecs(len)),
        };
        let mut read = self
            .pool
            .start(dev, replica.sector, nr_vecs, self.ahead, op)?;
        let prepared = match in_place {
            true if nr_vecs > MAX_VECS => Err(Error::NoMemory),
            true => read.push_scratch(num::usize_of(lead)),
            false => {
                sb.count(Counter::DATA_READ_BOUNCE);
                decode::check_size(sb, replica).and_then(|()| read.stage(num::usize_of(whole)))
            }
        };
        Ok(Open {
            read,
            next: pos,
            whole: Some(num::usize_of(whole)),
            // What is wrong is found again, and reported, if it is so with all replicas.
            defer: prepared.is_err(),
        })
    }

    /// Starts a read of up to `len` bytes that no device has as they are, or that can not be read
    /// to where they are wanted: when it is sent, they are read synchronously, or rebuilt.
    fn start_deferred(&self, op: Op<F>, len: u64) -> Result<Open<F>> {
        let any = self.fs.view().sb().devices().next();
        let dev = &any.ok_or(Error::Io)?.bdev;
        let next = op.pos;
        Ok(Open {
            read: self.pool.start(dev, 0, nr_vecs(len), self.ahead, op)?,
            next,
            whole: None,
            defer: true,
        })
    }
}

/// Vectors for ranges and scratch memory of `len` bytes together, with parts of pages where they
/// meet.
fn nr_vecs(len: u64) -> usize {
    num::usize_of(len >> PAGE_SHIFT).saturating_add(4)
}

impl<F: Owner> RangeReader for Reader<'_, F> {
    fn read(&mut self, pos: u64, range: FolioRange) {
        let (mut pos, mut rest) = (pos, Some(range));
        while let Some(range) = rest.take() {
            if let Err(e) = self.find(pos) {
                report::unreadable(self.fs.view(), self.file, pos, e);
                return range.end(Err(e));
            }
            let end = self.segment.as_ref().map_or(0, |s| s.end);
            let here = end.saturating_mul(SECTOR).saturating_sub(pos);
            let (now, later) = range.split_at(num::usize_of(here));
            let len = num::u64_of(now.nr_bytes());
            if let Err(e) = self.read_within(pos, now) {
                report::unreadable(self.fs.view(), self.file, pos, e);
            }
            pos = pos.saturating_add(len);
            rest = later;
        }
    }
}

impl<F: Owner> Drop for Reader<'_, F> {
    fn drop(&mut self) {
        self.send();
    }
}

/// A read under way.
struct Op<F: Owner> {
    fs: Arc<F>,
    file: FileId,
    /// The byte of the file that the first range starts with.
    pos: u64,
    replica: Replica,
    /// When that was looked up.
    seen: Seen,
    /// When the data came, no bucket had been taken since.
    is_recent: AtomicBool,
    /// How many bytes of the decoded data are in front of the first range.
    lead: usize,
    /// When it was asked for.
    since: u64,
}

impl<F: Owner> Completion for Op<F> {
    fn is_quick(&self) -> bool {
        // What may be of something else is looked up again, by a task.
        let is_recent = self.seen.is_recent(self.fs.view());
        self.is_recent.store(is_recent, Ordering::Relaxed);
        is_recent && !self.replica.crc.is_encoded()
    }

    fn complete(mut read: Finished<Self>) {
        let outcome = read.outcome();
        if outcome == Outcome::Deferred {
            return again(read, None);
        }
        count_transfer(&read);
        let result = match outcome {
            Outcome::Done => finish(&mut read),
            _ => Err(Error::Io),
        };
        // A checksum that is right says that it is what was looked for.
        let has_checksum = read.payload().replica.csum_type() != CsumType::NONE;
        let is_certain = result.is_ok() && has_checksum;
        if !is_certain && !read.payload().is_still() {
            read.payload()
                .fs
                .view()
                .sb()
                .count(Counter::DATA_READ_REUSE_RACE);
            return again(read, None);
        }
        match result {
            Ok(()) => {
                let op = read.payload();
                op.fs.view().sb().times.data_read.end(op.since);
                read.end(Ok(()));
            }
            // Not the replica's fault.
            Err(Error::NoMemory) => again(read, None),
            Err(e) => {
                let op = read.payload();
                bad_replica(op.fs.view(), op.file, op.pos, &op.replica, e);
                let failed = Some((op.replica.dev, e));
                again(read, failed);
            }
        }
    }
}

impl<F: Owner> Op<F> {
    /// Whether its data has not been moved since it was looked up.
    fn is_still(&self) -> bool {
        let at = self.pos / SECTOR;
        let is_recent = self.is_recent.load(Ordering::Relaxed);
        is_recent
            || self
                .seen
                .is_still(self.fs.view(), self.file, at, &self.replica)
    }
}

/// Counts what was asked of the device. Reads that were deferred are counted where they are made.
fn count_transfer<F: Owner>(read: &Finished<Op<F>>) {
    let op = read.payload();
    let sectors = match op.replica.crc.is_encoded() {
        true => op.replica.crc.compressed_size.into(),
        false => num::u64_of(read.nr_range_bytes()).div_ceil(SECTOR),
    };
    count_read(op.fs.view(), &op.replica, sectors);
}

/// Makes file data of what the device has transferred.
fn finish<F: Owner>(read: &mut Finished<Op<F>>) -> Result {
    let op = read.payload();
    if !op.replica.crc.is_encoded() {
        return Ok(());
    }
    decode::check(op.fs.view().sb(), &op.replica, read.pieces())?;
    let (op, skip, pieces) = read.wanted_mut();
    decode::decrypt(op.fs.view().sb(), &op.replica, num::u64_of(skip), pieces);
    if decode::is_in_place(&op.replica) {
        return Ok(());
    }
    let (op, stored, ranges) = read.staged();
    expand_to_ranges(op.fs.view().sb(), &op.replica, op.lead, &stored, ranges)
}

/// Decompresses `stored`, and gives the ranges what is behind the first `lead` bytes.
fn expand_to_ranges(
    sb: &SbState,
    replica: &Replica,
    lead: usize,
    stored: &Scratch<'_>,
    mut ranges: Held<'_>,
) -> Result {
    let mut lease = sb.workspaces.get();
    let space: &mut Workspace = &mut lease;
    let kind = replica.crc.compression;
    let stored = match stored.whole() {
        Some(stored) => stored,
        None => {
            let piece = space.stored.sized(stored.nr_bytes())?;
            stored.copy_to(piece);
            piece
        }
    };
    let len = decode::uncompressed_bytes(replica);
    if let Some(out) = ranges.contiguous().filter(|o| lead == 0 && o.len() == len) {
        return decompress::expand(&mut space.codecs, kind, stored, out);
    }
    let out = space.output.sized(len)?;
    decompress::expand(&mut space.codecs, kind, stored, out)?;
    ranges.copy_from(out.get(lead..).unwrap_or(&[]));
    Ok(())
}

/// Reads the ranges synchronously, if possible not from the device that failed before.
fn again<F: Owner>(read: Finished<Op<F>>, failed: Option<(DevIdx, Error)>) {
    let op = read.payload();
    let avoid = failed.map(|(dev, _)| dev);
    let data = Vec::from_elem(0u8, read.nr_range_bytes()).and_then(|mut buf| {
        read_avoiding(op.fs.view(), op.file, op.pos, &mut buf, avoid)?;
        Ok(buf)
    });
    if let (Ok(_), Some((_, e))) = (&data, failed) {
        report::count_failure(op.fs.view(), e, true);
    }
    match data {
        Ok(buf) => read.end_with(&buf),
        Err(e) => read.end(Err(e)),
    }
}
