// SPDX-License-Identifier: GPL-2.0

//! Data to the devices, then its keys to the btree, while the caller waits.

use super::{
    key,
    seal::Part,
    update::{
        put_extents,
        Put, //
    },
    WriteOptions, //
};
use crate::{
    alloc::{
        foreground::stream,
        space::{
            DataPlace,
            DataRequest,
            Engine, //
        },
    },
    data::FileId,
    env::{
        num::{
            sat_u32,
            u64_of,
            usize_of_u32, //
        },
        pr_err,
        units::Sectors,
        Few,
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        data_type::DataType,
        sb::{
            assemble::DevMask,
            counters::Counter, //
        },
        values::extent_entry::Ptr, //
    },
    snapshots::View,
    sys::block::Durability,
};

/// Bytes in a sector.
pub(super) const SECTOR: usize = 512;

/// What came of a write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// The newest journal entry with a part of it.
    pub seq: u64,
    /// How many sectors more the file has.
    pub sectors: i64,
    /// How many bytes were written.
    pub bytes: usize,
}

impl Written {
    /// After another one.
    pub fn add(&mut self, other: Self) {
        self.seq = self.seq.max(other.seq);
        self.sectors = self.sectors.wrapping_add(other.sectors);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

/// A write to a file.
#[derive(Clone, Copy)]
pub(super) struct Op<'a> {
    pub(super) engine: Engine<'a>,
    pub(super) view: &'a View,
    pub(super) file: FileId,
    pub(super) options: &'a WriteOptions,
    /// The size of the file once all of it is written, in bytes, if that is more than before.
    pub(super) size: u64,
}

/// Writes `data` at sector `at` of `file`: both whole blocks. The file's size is at least `size`
/// bytes afterwards, as far as data was written. Space for it should be reserved.
///
/// On success all of it is found by whoever reads, and it survives a loss of power once all devices
/// are flushed and then the journal up to `Written::seq`. On failure a part of it may have been
/// written: as much as `done` says.
///
/// C: `bch2_write()`.
pub fn write(
    engine: Engine<'_>,
    view: &View,
    file: FileId,
    options: &WriteOptions,
    (at, data): (u64, &[u8]),
    size: u64,
    done: &mut Written,
) -> Result {
    let op = Op {
        engine,
        view,
        file,
        options,
        size,
    };
    op.check_aligned(data.len())?;
    if let Some(written) = op.put_inline(data, at, data.len())? {
        done.add(written);
        return Ok(());
    }
    let mut skip = 0;
    while let Some(rest) = data.get(skip..).filter(|rest| !rest.is_empty()) {
        let at = at.saturating_add(u64_of(skip / SECTOR));
        let len = match op.write_over(at, rest, done)? {
            Some(len) => len,
            None => op.write_some(at, rest, (&mut DevMask::default(), None), done)?,
        };
        skip = skip.saturating_add(len);
    }
    Ok(())
}

impl Op<'_> {
    /// Whether so many bytes are whole blocks.
    pub(super) fn check_aligned(&self, len: usize) -> Result {
        let block = usize_of_u32(self.view.sb().sb.block_bytes());
        match len & block.wrapping_sub(1) {
            0 => Ok(()),
            _ => Err(Error::DataWriteUnaligned),
        }
    }

    /// Writes `data` at sector `at`, first with no copy on devices in `avoid`. What has `failed`
    /// before, if anything, is what is wrong when there is no place.
    pub(super) fn write_avoiding(
        &self,
        mut at: u64,
        data: &[u8],
        mut avoid: DevMask,
        mut failed: Option<Error>,
        done: &mut Written,
    ) -> Result {
        let mut skip = 0;
        while let Some(rest) = data.get(skip..).filter(|rest| !rest.is_empty()) {
            let len = self.write_some(at, rest, (&mut avoid, failed.take()), done)?;
            avoid = DevMask::default();
            skip = skip.saturating_add(len);
            at = at.saturating_add(u64_of(len / SECTOR));
        }
        Ok(())
    }

    /// Writes a part of `data`, the first one; how many bytes.
    #[inline(never)]
    fn write_some(
        &self,
        at: u64,
        data: &[u8],
        (avoid, mut failed): (&mut DevMask, Option<Error>),
        done: &mut Written,
    ) -> Result<usize> {
        loop {
            // When there is no place because of devices that failed, that is what is wrong.
            let squeezed = self.squeeze(data, 0, data.len())?;
            let wanted = squeezed.as_ref().map_or(data.len(), |s| s.bytes.len());
            let place = self.place(wanted, avoid);
            let place = place.map_err(|e| failed.unwrap_or(e))?;
            let sealed = self.seal(data, 0, squeezed, place.sectors)?;
            let len = sealed.stored_len();
            let stored = match &sealed.own {
                Some(own) => own.get(..len),
                None => data.get(..len),
            };
            let stored = stored.ok_or(Error::Overflow)?;
            let bad = self.store(&place.copies, stored)?;
            match self.settle(&place.copies, len, bad, avoid) {
                Ok(good) => {
                    let sector_at = |into: usize| at.saturating_add(u64_of(into / SECTOR));
                    done.add(self.put_keys(sector_at, &sealed.parts, &good)?);
                    return Ok(sealed.len());
                }
                // Elsewhere, if there is another place.
                Err(e @ Error::DataWriteFailed) => failed = Some(e),
                Err(e) => return Err(e),
            }
        }
    }

    /// A place for at most `len` bytes.
    pub(super) fn place(&self, len: usize, avoid: &DevMask) -> Result<DataPlace<'_>> {
        self.engine.place_data(&DataRequest {
            stream: stream(self.file.inum),
            sectors: sat_u32(len / SECTOR),
            nr_replicas: self.options.nr_replicas,
            target: self.options.target,
            avoid: *avoid,
        })
    }

    /// Has the superblock say that these devices have data together.
    pub(super) fn mark_replicas<'p>(&self, copies: impl Iterator<Item = &'p Ptr>) -> Result {
        let mut devs = DevMask::default();
        for ptr in copies {
            devs.add(ptr.dev.0);
        }
        self.view.sb().mark_replicas(DataType::USER, &devs)
    }

    /// Writes `data` to all copies: a bit for each that could not be written.
    #[inline(never)]
    pub(super) fn store(&self, copies: &Few<Ptr, 4>, data: &[u8]) -> Result<u32> {
        self.mark_replicas(copies.iter())?;
        let mut bad = 0u32;
        for (nr, ptr) in (0..).zip(copies.iter()) {
            let dev = self.view.sb().dev_or_gone(ptr.dev)?;
            let written = dev.bdev.write(ptr.offset.0, data, Durability::Cached);
            if written.is_err() {
                bad |= 1u32.checked_shl(nr).unwrap_or(0);
            }
        }
        Ok(bad)
    }

    /// After `len` bytes were written to `copies`, but for those of which a bit is in `bad`: the
    /// others. Devices that failed are added to `avoid`; [`Error::DataWriteFailed`] when all have.
    #[inline(never)]
    pub(super) fn settle(
        &self,
        copies: &Few<Ptr, 4>,
        len: usize,
        bad: u32,
        avoid: &mut DevMask,
    ) -> Result<Few<Ptr, 4>> {
        let st = self.view.sb();
        let sectors = u64_of(len / SECTOR);
        let mut good = Few::new();
        for (nr, ptr) in (0..).zip(copies.iter()) {
            let dev = st.dev_or_gone(ptr.dev)?;
            // Who was stopped meanwhile is flushed no more.
            if bad.checked_shr(nr).unwrap_or(0) & 1 == 0 && !dev.is_stopped() {
                dev.errors.write_done();
                dev.stats.count_write(DataType::USER, sectors);
                good.push(*ptr)?;
                continue;
            }
            dev.errors.count_write(Error::Io);
            avoid.add(ptr.dev.0);
            let (name, at) = (dev.bdev.name(), ptr.offset);
            pr_err!("{name}: writing {sectors} sectors of data at sector {at} failed");
        }
        st.counters.add(Counter::DATA_WRITE, sectors);
        self.engine.writer.journal.add_clock(1, sectors);
        if good.iter().next().is_none() {
            return Err(Error::DataWriteFailed);
        }
        if good.iter().count() != copies.iter().count() {
            self.mark_replicas(good.iter())?;
        }
        Ok(good)
    }

    /// Puts the keys of what was stored in the btree; `sector_at` says where in the file a byte of
    /// it goes to.
    #[inline(never)]
    pub(super) fn put_keys(
        &self,
        sector_at: impl Fn(usize) -> u64,
        parts: &[Part],
        copies: &Few<Ptr, 4>,
    ) -> Result<Written> {
        let mut keys = Vec::with_capacity(parts.len())?;
        let (mut bytes, mut into) = (0usize, 0u64);
        for part in parts {
            let moved = copies.iter().map(|p| Ptr {
                offset: Sectors(p.offset.0.saturating_add(into)),
                ..*p
            });
            let range = (sector_at(bytes), part.sectors);
            keys.push(key::extent(
                self.file,
                range,
                part.version,
                part.crc,
                moved,
            )?)?;
            bytes = bytes.saturating_add(usize_of_u32(part.sectors).saturating_mul(SECTOR));
            into = into.saturating_add(part.stored.into());
        }
        let Put { seq, sectors } =
            put_extents(self.engine, self.view, self.file, &keys, self.size)?;
        Ok(Written {
            seq,
            sectors,
            bytes,
        })
    }
}
