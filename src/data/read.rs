// SPDX-License-Identifier: GPL-2.0

//! Synchronous reads: of few bytes, and again after a copy turned out bad.

use super::{
    decode,
    plan::{
        Replica,
        Replicas,
        Source, //
    },
    report,
    segments::{
        Seen,
        Segments, //
    },
    stripe, FileId,
};
use crate::{
    env::{
        num,
        units::DevIdx,
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        csum::CsumType,
        data_type::DataType,
        sb::counters::Counter, //
    },
    sb::{
        Device,
        Lost, //
    },
    snapshots::View,
};

/// Bytes in a sector.
const SECTOR: u64 = 512;

/// Reads `buf.len()` bytes of a file from byte `pos` on, whatever the file's size: what was never
/// written reads as zeros. Returns the number of bytes, always that of the whole buffer.
///
/// C: `bch2_read()`.
pub fn read_sync(view: &View, file: FileId, pos: u64, buf: &mut [u8]) -> Result<usize> {
    read_avoiding(view, file, pos, buf, None)
}

/// As [`read_sync`], trying device `avoid` last.
pub(super) fn read_avoiding(
    view: &View,
    file: FileId,
    pos: u64,
    buf: &mut [u8],
    avoid: Option<DevIdx>,
) -> Result<usize> {
    let total = buf.len();
    let mut segments = Segments::new(view, file);
    let (mut at, mut rest) = (pos, buf);
    while !rest.is_empty() {
        let segment = segments
            .at(at / SECTOR)
            .inspect_err(|&e| report::unreadable(view, file, at, e))?;
        let end = segment.end.saturating_mul(SECTOR);
        let len = rest.len().min(num::usize_of(end.saturating_sub(at)));
        let Some(now) = rest.get_mut(..len).filter(|_| len != 0) else {
            return Err(Error::Overflow);
        };
        let skip = num::usize_of(at.saturating_sub(segment.start.saturating_mul(SECTOR)));
        match &segment.source {
            Source::Zeros => {
                count(view, Counter::DATA_READ_HOLE, len);
                now.fill(0);
            }
            Source::Inline(data) => {
                count(view, Counter::DATA_READ_INLINE, len);
                copy_and_fill(now, data.get(skip..).unwrap_or(&[]));
            }
            Source::Replicas(replicas) => {
                let seen = Seen {
                    start: segment.start,
                    taken: segments.taken(),
                };
                let reader = Reader {
                    view,
                    file,
                    at,
                    seen,
                };
                match reader.any(replicas, skip, now, avoid) {
                    Err(Error::DataMoved) => {
                        view.sb().count(Counter::DATA_READ_REUSE_RACE);
                        segments = Segments::new(view, file);
                        continue;
                    }
                    done => done?,
                }
            }
        }
        at = at.saturating_add(num::u64_of(len));
        rest = core::mem::take(&mut rest).get_mut(len..).unwrap_or(&mut []);
    }
    Ok(total)
}

/// Counts `bytes` of data that were read.
pub(super) fn count(view: &View, counter: u8, bytes: usize) {
    let sectors = num::u64_of(bytes).div_ceil(SECTOR);
    view.sb().counters.add(counter, sectors);
}

/// Counts data that a device gave.
pub(super) fn count_read(view: &View, replica: &Replica, sectors: u64) {
    view.sb().counters.add(Counter::DATA_READ, sectors);
    if let Some(dev) = view.sb().dev(replica.dev) {
        dev.stats.count_read(DataType::USER, sectors);
    }
}

/// How to get at a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// By reading it.
    Direct,
    /// By rebuilding it from the other blocks of its stripe.
    Rebuilt,
}

/// The device that a replica is on.
pub(super) fn device<'a>(view: &'a View, replica: &Replica) -> Result<&'a Device> {
    view.sb().dev_or_gone(replica.dev)
}

/// Copies `from` to the front of `to` and fills the rest with zeros.
fn copy_and_fill(to: &mut [u8], from: &[u8]) {
    to.fill(0);
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

/// Reads part of one segment.
struct Reader<'a> {
    view: &'a View,
    file: FileId,
    /// The byte of the file that is read first.
    at: u64,
    /// When that was looked up.
    seen: Seen,
}

impl Reader<'_> {
    /// Reads from the first replica that is good: first those on other devices than `avoid`, then
    /// by rebuilding one, and then `avoid` once more. `skip` is where in the segment `buf` starts,
    /// in bytes.
    ///
    /// C: the retries of `bch2_rbio_retry()`.
    fn any(
        &self,
        replicas: &Replicas,
        skip: usize,
        buf: &mut [u8],
        avoid: Option<DevIdx>,
    ) -> Result {
        let (mut result, mut failure) = (Err(Error::Io), None);
        let mut failed = avoid.is_some();
        let is_avoided = |r: &Replica| Some(r.dev) == avoid;
        let here = |wanted: bool| {
            let these = replicas.iter().filter(|r| r.is_here);
            these.filter(move |r| is_avoided(r) == wanted)
        };
        let striped = replicas.iter().filter(|r| r.stripe.is_some());
        let ways = here(false)
            .map(|r| (r, Way::Direct))
            .chain(striped.map(|r| (r, Way::Rebuilt)))
            .chain(here(true).map(|r| (r, Way::Direct)));
        for (replica, way) in ways {
            result = self.one(replica, way, skip, buf);
            let e = match result {
                Ok(()) if failed => {
                    if let Some(e) = failure {
                        report::count_failure(self.view, e, true);
                    }
                    report::recovered(self.view, self.file, self.at, replica, way);
                    return Ok(());
                }
                Ok(()) => return Ok(()),
                Err(Error::NoMemory) => break,
                // It is nobody's fault.
                Err(e @ Error::DataMoved) => return Err(e),
                Err(e) => e,
            };
            failed = true;
            match way {
                // Whoever asked to avoid it has reported it.
                Way::Direct if is_avoided(replica) => (),
                Way::Direct => {
                    failure = Some(e);
                    bad_replica(self.view, self.file, self.at, replica, e);
                }
                Way::Rebuilt => report::not_rebuilt(self.view, self.file, self.at, replica, e),
            }
        }
        if let Err(e) = result {
            if e != Error::NoMemory {
                self.view.sb().lost(Lost::Extent);
                report::count_failure(self.view, e, false);
            }
        }
        result
    }

    /// [`Error::DataMoved`] when what was read may be of something else.
    fn check_still(&self, replica: &Replica) -> Result {
        let at = self.at / SECTOR;
        match self.seen.is_still(self.view, self.file, at, replica) {
            true => Ok(()),
            false => Err(Error::DataMoved),
        }
    }

    fn one(&self, replica: &Replica, way: Way, skip: usize, buf: &mut [u8]) -> Result {
        let fetch = |sector, to: &mut [u8]| match way {
            Way::Direct => device(self.view, replica)?.bdev.read(sector, to),
            Way::Rebuilt => stripe::rebuild(self.view, replica, sector, to),
        };
        if !replica.crc.is_encoded() {
            read_bytes(fetch, replica.sector, skip, buf)?;
            let sectors = num::u64_of(buf.len()).div_ceil(SECTOR);
            count_read(self.view, replica, sectors);
            return self.check_still(replica);
        }
        decode::check_size(self.view.sb(), replica)?;
        let nr_stored = u64::from(replica.crc.compressed_size).saturating_mul(SECTOR);
        let mut stored = Vec::from_elem(0u8, num::usize_of(nr_stored))?;
        fetch(replica.sector, &mut stored)?;
        count_read(self.view, replica, replica.crc.compressed_size.into());
        let sb = self.view.sb();
        let checked = decode::check(sb, replica, core::iter::once(&*stored));
        let data = checked.and_then(|()| {
            decode::decrypt(sb, replica, 0, core::iter::once(&mut *stored));
            decode::expand(sb, replica, stored)
        });
        // A checksum that is right says that it is what was looked for.
        if data.is_err() || replica.csum_type() == CsumType::NONE {
            self.check_still(replica)?;
        }
        let data = data?;
        let from = u64::from(replica.skip)
            .saturating_mul(SECTOR)
            .saturating_add(num::u64_of(skip));
        copy_and_fill(buf, data.get(num::usize_of(from)..).unwrap_or(&[]));
        Ok(())
    }
}

/// Counts and reports that a replica of data at byte `pos` of a file could not be used.
pub(super) fn bad_replica(view: &View, file: FileId, pos: u64, replica: &Replica, e: Error) {
    if let Ok(dev) = device(view, replica) {
        dev.errors.count(e);
    }
    report::bad_replica(view, file, pos, replica, e);
}

/// Reads any bytes of a device, from `skip` bytes behind `sector` on, by `fetch`, which reads whole
/// sectors.
fn read_bytes(
    fetch: impl Fn(u64, &mut [u8]) -> Result,
    sector: u64,
    skip: usize,
    buf: &mut [u8],
) -> Result {
    let skip_bytes = num::u64_of(skip);
    let first = sector.saturating_add(skip_bytes / SECTOR);
    let lead = num::usize_of(skip_bytes % SECTOR);
    let end = num::u64_of(lead.saturating_add(buf.len()));
    let whole = num::round_up_pow2(end, SECTOR).ok_or(Error::Overflow)?;
    if lead == 0 && whole == end {
        return fetch(first, buf);
    }
    let mut bounce = Vec::from_elem(0u8, num::usize_of(whole))?;
    fetch(first, &mut bounce)?;
    copy_and_fill(buf, bounce.get(lead..).unwrap_or(&[]));
    Ok(())
}
