// SPDX-License-Identifier: GPL-2.0

//! A file as a sequence of segments, each with one place its data comes from.

use super::{
    plan::{
        self,
        Devices,
        Piece,
        Replica,
        Source, //
    },
    FileId,
};
use crate::{
    env::{
        num,
        units::DevIdx, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        bkey::Key,
        bpos::Bpos,
        btree_id::BtreeId, //
    },
    sb::SbState,
    snapshots::{
        View,
        VisibleIter, //
    },
};

/// A range of a file whose data comes from one place.
#[derive(Debug)]
pub(crate) struct Segment {
    /// The first sector.
    pub(crate) start: u64,
    /// The sector behind the last.
    pub(crate) end: u64,
    /// Where the data is.
    pub(crate) source: Source,
}

impl Devices for SbState {
    fn rank(&self, dev: DevIdx) -> Option<u8> {
        Some(u8::from(self.dev(dev)?.is_last_resort()))
    }
}

/// Finds the segments of one file. Cheapest when asked in rising order: the next extent is then
/// near the last one.
pub(crate) struct Segments<'a> {
    view: &'a View,
    file: FileId,
    iter: VisibleIter<'a>,
    /// The iterator stands on the first extent that ends behind this sector.
    placed: Option<u64>,
    /// How many buckets had been taken before anything was looked up.
    taken: u64,
}

impl<'a> Segments<'a> {
    /// The segments of `file`.
    pub(crate) fn new(view: &'a View, file: FileId) -> Self {
        let start = Bpos::new(file.inum, 0, 0);
        let end = Bpos::new(file.inum, u64::MAX, u32::MAX);
        Self {
            view,
            file,
            iter: view.range(BtreeId::EXTENTS, start, end, file.snapshot),
            placed: None,
            taken: view.sb().buckets_taken(),
        }
    }

    /// How many buckets had been taken before anything was looked up.
    pub(crate) const fn taken(&self) -> u64 {
        self.taken
    }

    /// The segment that has sector `at`. It may start before `at`; what follows the last extent is
    /// one segment of zeros.
    ///
    /// C: the loop of `__bch2_read()`.
    pub(crate) fn at(&mut self, at: u64) -> Result<Segment> {
        self.place(at)?;
        let inum = self.file.inum;
        let zeros = |end| Segment {
            start: at,
            end,
            source: Source::Zeros,
        };
        match self.iter.current().filter(|k| k.k.p.inode == inum) {
            None => Ok(zeros(u64::MAX)),
            Some(key) if key.k.start_offset() > at => Ok(zeros(key.k.start_offset())),
            Some(key) => segment_of(self.view, &key, at),
        }
    }

    /// Whether sector `at` is in a hole, and the sector behind that hole or behind the extent. Data
    /// need not be readable, nor looked up where it is shared.
    pub(crate) fn extent_at(&mut self, at: u64) -> Result<(bool, u64)> {
        self.place(at)?;
        let inum = self.file.inum;
        Ok(match self.iter.current().filter(|k| k.k.p.inode == inum) {
            None => (true, u64::MAX),
            Some(key) if key.k.start_offset() > at => (true, key.k.start_offset()),
            Some(key) => {
                let sizes = self.view.btrees.entry_sizes();
                (plan::is_unwritten(&key, sizes), key.k.p.offset)
            }
        })
    }

    /// The first extent that ends behind sector `at`.
    pub(crate) fn key_from(&mut self, at: u64) -> Result<Option<Key<'_>>> {
        self.place(at)?;
        let inum = self.file.inum;
        Ok(self.iter.current().filter(|k| k.k.p.inode == inum))
    }

    /// Makes the iterator stand on the first extent that ends behind sector `at`.
    fn place(&mut self, at: u64) -> Result {
        let inum = self.file.inum;
        if self.placed.is_some_and(|p| p <= at) {
            // Here already, or one step ahead: in a sequence of extents it always is.
            for _ in 0..2 {
                let here = self.iter.current().map(|k| k.k.p);
                if here.is_none_or(|p| p.inode != inum || p.offset > at) {
                    self.placed = Some(at);
                    return Ok(());
                }
                self.iter.advance()?;
            }
        }
        self.placed = None;
        // An extent's position is its end.
        self.iter.seek(Bpos::new(inum, at.saturating_add(1), 0));
        self.iter.advance()?;
        self.placed = Some(at);
        Ok(())
    }
}

/// Something that was looked up, and may have been moved, or written over, since.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// The first sector of its segment.
    pub(crate) start: u64,
    /// How many buckets had been taken before.
    pub(crate) taken: u64,
}

impl Seen {
    /// Whether no bucket was taken since.
    pub(crate) fn is_recent(&self, view: &View) -> bool {
        self.taken == view.sb().buckets_taken()
    }

    /// Whether `replica`, of sector `at` of a file, is still there: its bucket was never used for
    /// anything else since it was looked up.
    ///
    /// C: the check for a stale pointer after a read, in `bch2_read_endio()`.
    pub(crate) fn is_still(&self, view: &View, file: FileId, at: u64, replica: &Replica) -> bool {
        if self.is_recent(view) {
            return true;
        }
        let Ok(now) = Segments::new(view, file).at(at) else {
            return false;
        };
        // Of what has a checksum, a part begins where the whole does.
        let place = |r: &Replica, start: u64| match r.crc.is_encoded() {
            true => (r.dev, r.generation, r.sector),
            false => (r.dev, r.generation, r.sector.wrapping_sub(start)),
        };
        match &now.source {
            Source::Replicas(all) => all
                .iter()
                .any(|r| place(r, now.start) == place(replica, self.start)),
            Source::Zeros | Source::Inline(_) => false,
        }
    }
}

/// The segment around sector `at` that `key`, an extent with that sector, makes.
fn segment_of(view: &View, key: &Key<'_>, at: u64) -> Result<Segment> {
    let (sb, sizes) = (view.sb(), view.btrees.entry_sizes());
    let start = key.k.start_offset();
    let whole = Piece {
        into: 0,
        len: key.k.size,
    };
    let Some(idx) = plan::indirect(key)? else {
        return Ok(Segment {
            start,
            end: key.k.p.offset,
            source: plan::source(key, whole, sizes, sb)?,
        });
    };
    with_indirect(view, key, idx, at, |v, piece, begin| {
        Ok(Segment {
            start: begin,
            end: begin.wrapping_add(piece.len.into()),
            source: plan::source(v, piece, sizes, sb)?,
        })
    })
}

/// Passes to `f` the indirect extent that sector `at` of a file is in, by way of `key`, a reflink
/// pointer to sector `idx` of the reflink btree; the piece of it that the pointer refers to; and
/// the sector of the file at which that piece begins.
///
/// C: `bch2_lookup_indirect_extent()`.
pub(super) fn with_indirect<T>(
    view: &View,
    key: &Key<'_>,
    idx: u64,
    at: u64,
    f: impl FnOnce(&Key<'_>, Piece, u64) -> Result<T>,
) -> Result<T> {
    // A reflink pointer may span several indirect extents, and start or end within one.
    let start = key.k.start_offset();
    let target = idx.wrapping_add(at.wrapping_sub(start));
    let mut iter = view.iter(
        BtreeId::REFLINK,
        Bpos::new(0, target.saturating_add(1), 0),
        0,
    );
    let found = iter.next()?;
    let found = found.filter(|v| v.k.p.inode == 0 && v.k.start_offset() <= target);
    let v = found.ok_or(Error::IndirectMissing)?;
    let first = v.k.start_offset().max(idx);
    let last = v.k.p.offset.min(idx.saturating_add(key.k.size.into()));
    let piece = Piece {
        into: num::low_u32(first.wrapping_sub(v.k.start_offset())),
        len: num::low_u32(last.wrapping_sub(first)),
    };
    f(&v, piece, start.wrapping_add(first.wrapping_sub(idx)))
}
