// SPDX-License-Identifier: GPL-2.0

//! Reading a journal bucket piece by piece.

use crate::{
    env::{
        num::{
            round_up_pow2,
            u64_of,
            usize_of, //
        },
        units::{
            SECTOR_BYTES,
            SECTOR_SHIFT, //
        },
        Vec, //
    },
    error::Result,
    format::{
        data_type::DataType,
        jset::JSET_BYTES_MAX, //
    },
    sb::Device,
};

/// What is read first of a bucket: enough for a header. Most buckets of an idle journal need no
/// more.
const FIRST_BYTES: u64 = 4096;
/// What is read at a time once a bucket turned out to hold entries.
const NEXT_BYTES: u64 = 128 << 10;

/// A bucket being read from its start to its end. The buffer serves one bucket after another.
pub(super) struct Window<'a> {
    dev: &'a Device,
    buf: Vec<u8>,
    /// The sector at the buffer's start.
    start: u64,
    /// Bytes of the buffer that were read.
    filled: usize,
    /// The first sector after the bucket.
    end: u64,
    block_bytes: u64,
}

impl<'a> Window<'a> {
    /// A window on no bucket yet; `block_bytes` is the unit of transfer, a power of two.
    pub(super) fn new(dev: &'a Device, block_bytes: u64) -> Self {
        Self {
            dev,
            buf: Vec::new(),
            start: 0,
            filled: 0,
            end: 0,
            block_bytes,
        }
    }

    /// Turns to the bucket from sector `start` to before sector `end`.
    pub(super) fn open(&mut self, start: u64, end: u64) {
        (self.start, self.end, self.filled) = (start, end, 0);
    }

    /// Bytes of the bucket from `sector` on.
    pub(super) fn bytes_left(&self, sector: u64) -> u64 {
        self.end.saturating_sub(sector) << SECTOR_SHIFT
    }

    /// The bytes from `sector` on: at least `want`, or as many as the bucket has.
    pub(super) fn bytes(&mut self, sector: u64, want: u64) -> Result<&[u8]> {
        let want = want.min(self.bytes_left(sector));
        let skip = usize_of(sector.saturating_sub(self.start) << SECTOR_SHIFT);
        let have = u64_of(self.filled.saturating_sub(skip));
        let at = if sector >= self.start && have >= want {
            skip
        } else {
            self.fill(sector, want)?;
            0
        };
        Ok(self.buf.get(at..self.filled).unwrap_or_default())
    }

    fn fill(&mut self, sector: u64, want: u64) -> Result {
        let ahead = if self.filled == 0 {
            FIRST_BYTES
        } else {
            NEXT_BYTES
        };
        let len = want
            .max(ahead.max(self.block_bytes))
            .min(u64_of(JSET_BYTES_MAX).max(self.block_bytes));
        let len = round_up_pow2(len, self.block_bytes.max(SECTOR_BYTES)).unwrap_or(len);
        let len = usize_of(len.min(self.bytes_left(sector)));
        self.filled = 0;
        if self.buf.len() < len {
            self.buf.clear();
            self.buf.resize(len, 0)?;
        }
        if let Some(buf) = self.buf.get_mut(..len) {
            self.dev.bdev.read(sector, buf)?;
            let sectors = u64_of(len) >> SECTOR_SHIFT;
            self.dev.stats.count_read(DataType::JOURNAL, sectors);
        }
        (self.start, self.filled) = (sector, len);
        Ok(())
    }
}
