// SPDX-License-Identifier: GPL-2.0

//! Finding the entries in a device's journal buckets.

use super::{
    contents::UsedBucket,
    select::Found,
    window::Window, //
};
use crate::{
    algo::crypt::{
        Seal,
        Unusable, //
    },
    env::{
        num::{
            low_u32,
            round_up_pow2,
            u64_of, //
        },
        sort::sort_by,
        units::SECTOR_SHIFT,
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        csum::CsumType,
        jset::{
            RawJset,
            JSET_BYTES_MAX,
            JSET_HEADER_BYTES,
            JSET_SEALED_AT, //
        },
        nonce::Nonce,
        sb::assemble::DevMask, //
    },
    sb::{
        Device,
        SbState, //
    },
};

/// What the whole journal read has in common.
pub(super) struct Scan<'a> {
    pub(super) st: &'a SbState,
    /// The magic number of this filesystem's journal entries.
    pub(super) magic: u64,
    /// The `last_seq` of the newest flushed entry so far; older entries are not kept.
    pub(super) need_from: u64,
    /// Everything found so far.
    pub(super) found: Vec<Found>,
    /// The buckets that has been found in.
    pub(super) used: Vec<UsedBucket>,
    /// Devices of which a bucket can not be read that may have the newest entries.
    pub(super) unreadable: DevMask,
}

/// A journal bucket and the first sequence number in it.
#[derive(Clone, Copy)]
struct Bucket {
    index: usize,
    start: u64,
    end: u64,
    first_seq: u64,
}

/// What stands at one place of a bucket.
enum Here {
    /// Nothing of this filesystem's journal.
    Nothing,
    /// An entry, this many bytes long.
    Entry(Found, u64),
    /// The header of an entry, whose length can not be trusted.
    Damaged(Found),
}

impl Scan<'_> {
    /// Reads the journal of one device. Buckets whose entries are all older than needed are
    /// skipped unless `everything` is asked for. A failed read is reported and skipped: the
    /// entries may be on another device, and if not, they will be found missing; but for those
    /// after the newest that was found, of which nobody would know.
    pub(super) fn device(&mut self, dev: &Device, everything: bool) -> Result {
        let st = self.st;
        let mut window = Window::new(dev, u64::from(st.sb.block_bytes()));
        let (mut buckets, mut failed) = (Vec::new(), Vec::new());
        for (index, nr) in dev.own.journal_buckets().iter().enumerate() {
            let Some((start, end)) = bucket_range(dev, nr) else {
                continue;
            };
            window.open(start, end);
            match self.peek(&mut window, start) {
                Ok(Some(first_seq)) => buckets.push(Bucket {
                    index,
                    start,
                    end,
                    first_seq,
                })?,
                Ok(None) => (),
                Err(Error::NoMemory) => return Err(Error::NoMemory),
                Err(e) => {
                    report_io(dev, start, e);
                    failed.push(index)?;
                }
            }
        }
        // Newest first: the newest entry tells how far back to go.
        sort_by(&mut buckets, |a, b| b.first_seq.cmp(&a.first_seq));
        let mut newer_starts_at = u64::MAX;
        for b in &buckets {
            // All entries of this bucket are older than the first one of the next newer bucket.
            if newer_starts_at <= self.need_from && !everything {
                break;
            }
            newer_starts_at = b.first_seq;
            window.open(b.start, b.end);
            match self.bucket(dev, &mut window, b) {
                Ok(()) => (),
                Err(e @ (Error::NoMemory | Error::JournalVersion | Error::JournalBigEndian)) => {
                    return Err(e)
                }
                Err(e) => {
                    report_io(dev, b.start, e);
                    failed.push(b.index)?;
                }
            }
        }
        if self.may_hide_newest(dev, &failed) {
            self.unreadable.add(dev.idx.0);
        }
        Ok(())
    }

    /// Whether one of the buckets `failed` may have entries that are newer than those found on the
    /// device. Buckets are written in their order, so that would be the one with the newest, or the
    /// next one.
    fn may_hide_newest(&self, dev: &Device, failed: &[usize]) -> bool {
        let of_device = self.used.iter().filter(|u| u.dev == dev.idx);
        let newest = of_device.max_by_key(|u| u.seq).map(|u| u.bucket);
        let nr = dev.own.journal_buckets().iter().count();
        let next = newest.and_then(|at| at.saturating_add(1).checked_rem(nr));
        let may = |at: &usize| newest.is_none() || newest == Some(*at) || next == Some(*at);
        failed.iter().any(may)
    }

    /// The sequence number in the header at the start of a bucket.
    fn peek(&self, window: &mut Window<'_>, start: u64) -> Result<Option<u64>> {
        let bytes = window.bytes(start, u64_of(JSET_HEADER_BYTES))?;
        Ok(RawJset::read(bytes)
            .filter(|j| j.magic() == self.magic)
            .map(|j| j.seq()))
    }

    fn bucket(&mut self, dev: &Device, window: &mut Window<'_>, b: &Bucket) -> Result {
        let block_sectors = u64::from(self.st.sb.block_sectors()).max(1);
        let mut sector = b.start;
        let mut newest = 0;
        let mut end = b.start;
        let mut saw_damage = false;
        while sector < b.end {
            let (found, step) = match self.here(dev, window, sector)? {
                // After damage the length of the entry before is not to be trusted: look at
                // every block.
                Here::Nothing if saw_damage => (None, block_sectors),
                Here::Nothing => break,
                Here::Entry(found, bytes) => {
                    let block_bytes = u64::from(self.st.sb.block_bytes());
                    let bytes = round_up_pow2(bytes, block_bytes).unwrap_or(bytes);
                    (Some(found), (bytes >> SECTOR_SHIFT).max(block_sectors))
                }
                Here::Damaged(found) => {
                    saw_damage = true;
                    (Some(found), block_sectors)
                }
            };
            if let Some(mut found) = found {
                // The rest of a bucket that is being written over again is older.
                if found.good && found.seq < newest {
                    break;
                }
                if found.good {
                    newest = found.seq;
                    end = sector.saturating_add(step);
                }
                found.bucket = b.index;
                self.add(found)?;
            }
            sector = sector.saturating_add(step);
        }
        self.used.push(UsedBucket {
            dev: dev.idx,
            bucket: b.index,
            seq: newest,
            end: low_u32(end.min(b.end).saturating_sub(b.start)),
        })
    }

    fn here(&mut self, dev: &Device, window: &mut Window<'_>, sector: u64) -> Result<Here> {
        let left = window.bytes_left(sector);
        let bytes = window.bytes(sector, u64_of(JSET_HEADER_BYTES))?;
        let Some(head) = RawJset::read(bytes).filter(|j| j.magic() == self.magic) else {
            return Ok(Here::Nothing);
        };
        let mut found = Found {
            seq: head.seq(),
            last_seq: 0,
            no_flush: head.is_no_flush(),
            good: false,
            dev: dev.idx,
            bucket: 0,
            sector,
            bytes: Vec::new(),
        };
        let len = u64_of(head.total_bytes());
        if len > left || head.total_bytes() > JSET_BYTES_MAX {
            crate::env::pr_warn!(
                "{}: journal entry at sector {sector} (seq {}) goes beyond its bucket: {len} \
                 bytes, {left} left",
                dev.bdev.name(),
                found.seq
            );
            return Ok(Here::Damaged(found));
        }
        let bytes = window.bytes(sector, len)?;
        let (Some(covered), Some(whole)) = (head.covered(bytes), bytes.get(..head.total_bytes()))
        else {
            return Ok(Here::Damaged(found));
        };
        let (kind, seal) = (CsumType(head.csum_type()), self.seal(&head));
        if let Err(why) = check_sum(&seal, &head, covered) {
            crate::env::pr_warn!(
                "{}: journal entry at sector {sector} (seq {}) {why}",
                dev.bdev.name(),
                found.seq
            );
            dev.errors.bad_checksum();
            return Ok(Here::Damaged(found));
        }
        self.check_header(dev, sector, &head)?;
        let head = open_header(&seal, kind, whole).unwrap_or(head);
        if !head.is_no_flush() && head.last_seq() > head.seq() {
            crate::env::pr_warn!(
                "{}: journal entry at sector {sector}: last_seq {} is above its seq {}",
                dev.bdev.name(),
                head.last_seq(),
                found.seq
            );
            return Ok(Here::Damaged(found));
        }
        found.good = true;
        if !head.is_no_flush() {
            found.last_seq = head.last_seq();
        }
        if found.seq >= self.need_from {
            found.bytes.extend_from_slice(whole)?;
            if let Some(sealed) = found.bytes.get_mut(JSET_SEALED_AT..) {
                seal.decrypt(kind, 0, sealed);
            }
        }
        Ok(Here::Entry(found, len))
    }

    /// What the entry is encrypted with, if it is.
    fn seal(&self, head: &RawJset) -> Seal<'_> {
        Seal {
            key: self.st.key(),
            nonce: Nonce::journal(head.seq()),
        }
    }

    /// What a header with a right checksum may still ask for that we can not do.
    fn check_header(&self, dev: &Device, sector: u64, head: &RawJset) -> Result {
        if !super::version_is_readable(head.version()) {
            crate::env::pr_err!(
                "{}: journal entry at sector {sector} (seq {}) has unsupported version {}.{}",
                dev.bdev.name(),
                head.seq(),
                head.version() >> 10,
                head.version() & 0x3ff
            );
            return Err(Error::JournalVersion);
        }
        if head.is_big_endian() {
            crate::env::pr_err!(
                "{}: journal entry at sector {sector} (seq {}) was written by a big-endian machine",
                dev.bdev.name(),
                head.seq()
            );
            return Err(Error::JournalBigEndian);
        }
        Ok(())
    }

    fn add(&mut self, found: Found) -> Result {
        if found.good && found.last_seq > self.need_from {
            self.need_from = found.last_seq;
            self.drop_old();
        }
        if found.seq < self.need_from {
            return Ok(());
        }
        self.found.push(found)
    }

    /// Frees the bytes of entries that turned out to be too old.
    fn drop_old(&mut self) {
        for e in self.found.iter_mut().filter(|e| e.seq < self.need_from) {
            e.bytes = Vec::new();
        }
    }
}

/// The first sector of a bucket, and the first after it. `None` beyond the device.
fn bucket_range(dev: &Device, nr: u64) -> Option<(u64, u64)> {
    let sectors = u64::from(dev.member.bucket_sectors());
    let start = nr.checked_mul(sectors)?;
    Some((start, start.checked_add(sectors)?))
}

/// Whether a journal entry's checksum is the one its header has; says what is wrong.
fn check_sum(seal: &Seal<'_>, head: &RawJset, covered: &[u8]) -> Result<(), &'static str> {
    match seal.checksum(CsumType(head.csum_type()), core::iter::once(covered)) {
        Ok(sum) if sum.matches(head.csum().into()) => Ok(()),
        Ok(_) => Err("does not match its checksum"),
        Err(Unusable::NoKey) => Err("is encrypted, but the filesystem has no key"),
        Err(Unusable::Kind) => Err("has an unknown kind of checksum"),
    }
}

/// The header of the entry in `bytes`, decrypted: its end is encrypted with the records.
fn open_header(seal: &Seal<'_>, kind: CsumType, bytes: &[u8]) -> Option<RawJset> {
    let mut header = *bytes.first_chunk::<JSET_HEADER_BYTES>()?;
    seal.decrypt(kind, 0, header.get_mut(JSET_SEALED_AT..)?);
    RawJset::read(&header)
}

fn report_io(dev: &Device, sector: u64, e: Error) {
    dev.errors.count(e);
    crate::env::pr_err!(
        "{}: can not read the journal bucket at sector {sector}: {e}",
        dev.bdev.name()
    );
}
