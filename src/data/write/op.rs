// SPDX-License-Identifier: GPL-2.0

//! Data to the devices, then its keys to the btree.

use super::{
    key,
    seal::{
        seal,
        unseal, //
    },
    update::{
        put_extent,
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
        bkey::Version,
        csum::CsumType,
        data_type::DataType,
        sb::{
            assemble::DevMask,
            counters::Counter, //
        },
        values::{
            crc::Crc,
            extent_entry::Ptr, //
        },
    },
    snapshots::View,
    sys::block::Durability,
};

/// Bytes in a sector.
const SECTOR: usize = 512;

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

/// A write to a file.
#[derive(Clone, Copy)]
struct Op<'a> {
    engine: Engine<'a>,
    view: &'a View,
    file: FileId,
    options: &'a WriteOptions,
    /// The size of the file once all of it is written, in bytes, if that is more than before.
    size: u64,
}

/// Writes `data` at sector `at` of `file`: both whole blocks. Contents of `data` are changed: they
/// are encrypted there. The file's size is at least `size` bytes afterwards, as far as data was
/// written. Space for it should be reserved.
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
    (at, data): (u64, &mut [u8]),
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
    let block = usize_of_u32(view.sb().sb.block_bytes());
    let (mut at, mut rest) = (at, data);
    if rest.len() & block.wrapping_sub(1) != 0 {
        return Err(Error::DataWriteUnaligned);
    }
    while !rest.is_empty() {
        let len = op.write_some(at, rest, done)?;
        at = at.saturating_add(u64_of(len / SECTOR));
        rest = rest.get_mut(len..).unwrap_or(&mut []);
    }
    Ok(())
}

/// Data that has one checksum.
struct Part {
    sectors: u32,
    version: Version,
    crc: Option<Crc>,
}

impl Op<'_> {
    /// Writes a part of `data`, the first one; how many bytes.
    #[inline(never)]
    fn write_some(&self, at: u64, data: &mut [u8], done: &mut Written) -> Result<usize> {
        let mut request = DataRequest {
            stream: stream(self.file.inum),
            sectors: sat_u32(data.len() / SECTOR),
            nr_replicas: self.options.nr_replicas,
            target: self.options.target,
            avoid: DevMask::default(),
        };
        let mut failed = None;
        loop {
            // When there is no place because of devices that failed, that is what is wrong.
            let place = self.engine.place_data(&request);
            let place = place.map_err(|e| failed.unwrap_or(e))?;
            let room = usize_of_u32(place.sectors).saturating_mul(SECTOR);
            let now = data.get_mut(..room).ok_or(Error::Overflow)?;
            let parts = self.seal_parts(now)?;
            match self.store(&place, now, &mut request.avoid) {
                Ok(good) => {
                    self.put_keys(at, &parts, &good, done)?;
                    return Ok(room);
                }
                // Elsewhere, if there is another place.
                Err(e @ Error::DataWriteFailed) => {
                    self.unseal_parts(&parts, now);
                    failed = Some(e);
                }
                Err(e) => return Err(e),
            }
        }
    }

    /// Makes what is stored of `data`.
    fn seal_parts(&self, data: &mut [u8]) -> Result<Vec<Part>> {
        let kind = self.options.csum;
        let mut parts = Vec::new();
        for piece in data.chunks_mut(self.part_bytes(data.len())) {
            let version = match kind.is_encryption() {
                true => Version {
                    hi: 0,
                    lo: self.engine.writer.journal.next_key_version(),
                },
                false => Version::default(),
            };
            parts.push(Part {
                sectors: sat_u32(piece.len() / SECTOR),
                version,
                crc: seal(self.view.sb(), kind, version, piece)?,
            })?;
        }
        Ok(parts)
    }

    /// How many bytes have one checksum, of so many in all.
    fn part_bytes(&self, all: usize) -> usize {
        match self.options.csum == CsumType::NONE {
            true => all.max(SECTOR),
            false => usize_of_u32(self.options.encoded_max)
                .saturating_mul(SECTOR)
                .max(SECTOR),
        }
    }

    /// The reverse of [`seal_parts`](Self::seal_parts).
    fn unseal_parts(&self, parts: &[Part], data: &mut [u8]) {
        let pieces = data.chunks_mut(self.part_bytes(data.len()));
        for (part, piece) in parts.iter().zip(pieces) {
            unseal(self.view.sb(), part.version, part.crc.as_ref(), piece);
        }
    }

    /// Writes `data` to all copies of a place; those that were written. What can not be is noted in
    /// `avoid`.
    #[inline(never)]
    fn store(
        &self,
        place: &DataPlace<'_>,
        data: &[u8],
        avoid: &mut DevMask,
    ) -> Result<Few<Ptr, 4>> {
        let (st, mut devs) = (self.view.sb(), DevMask::default());
        for ptr in place.copies.iter() {
            devs.add(ptr.dev.0);
        }
        st.mark_replicas(DataType::USER, &devs)?;
        let sectors = u64_of(data.len() / SECTOR);
        let mut good = Few::new();
        for ptr in place.copies.iter() {
            let dev = st.dev_or_gone(ptr.dev)?;
            match dev.bdev.write(ptr.offset.0, data, Durability::Cached) {
                Ok(()) => {
                    dev.stats.count_write(DataType::USER, sectors);
                    good.push(*ptr)?;
                }
                Err(e) => {
                    dev.errors.count_write(e);
                    avoid.add(ptr.dev.0);
                    let (name, at) = (dev.bdev.name(), ptr.offset);
                    pr_err!("{name}: writing {sectors} sectors of data at sector {at}: {e}");
                }
            }
        }
        st.counters.add(Counter::DATA_WRITE, sectors);
        self.engine.writer.journal.add_clock(1, sectors);
        if good.iter().next().is_none() {
            return Err(Error::DataWriteFailed);
        }
        if good.iter().count() < place.copies.iter().count() {
            let mut devs = DevMask::default();
            for ptr in good.iter() {
                let ptr: &Ptr = ptr;
                devs.add(ptr.dev.0);
            }
            st.mark_replicas(DataType::USER, &devs)?;
        }
        Ok(good)
    }

    /// Puts the keys of what was stored in the btree.
    #[inline(never)]
    fn put_keys(
        &self,
        at: u64,
        parts: &[Part],
        copies: &Few<Ptr, 4>,
        done: &mut Written,
    ) -> Result {
        let mut into = 0u64;
        for part in parts {
            let start = at.saturating_add(into);
            let moved = copies.iter().map(|p| Ptr {
                offset: Sectors(p.offset.0.saturating_add(into)),
                ..*p
            });
            let key = key::extent(
                self.file,
                (start, part.sectors),
                part.version,
                part.crc,
                moved,
            )?;
            let Put { seq, sectors } =
                put_extent(self.engine, self.view, self.file, &key, self.size)?;
            done.seq = done.seq.max(seq);
            done.sectors = done.sectors.wrapping_add(sectors);
            let bytes = usize_of_u32(part.sectors).saturating_mul(SECTOR);
            done.bytes = done.bytes.saturating_add(bytes);
            into = into.saturating_add(part.sectors.into());
        }
        Ok(())
    }
}
