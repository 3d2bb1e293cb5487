// SPDX-License-Identifier: GPL-2.0

//! Erasure coding: a block of a stripe from the other blocks, when its device is not there or what
//! it has is bad.

use super::{
    plan::Replica,
    report, //
};
use crate::{
    env::{
        num,
        units::SECTOR_SHIFT,
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        csum::CsumType,
        key_type::KeyType,
        values::{
            alloc::Alloc,
            extent_entry::{
                Ptr,
                StripePtr,
                DEV_NONE, //
            },
            stripe::Stripe, //
        },
    },
    sb::Device,
    snapshots::View,
    sys::raid::{
        Blocks,
        MAX_BLOCKS, //
    },
};

/// Fills `buf` with what `replica` has from `sector` of its device on, without reading that: from
/// the other blocks of its stripe. Every block that has a checksum there is verified.
///
/// C: `bch2_ec_read_extent()`.
#[inline(never)]
pub(super) fn rebuild(view: &View, replica: &Replica, sector: u64, buf: &mut [u8]) -> Result {
    let Some(at) = replica.stripe else {
        return Err(Error::Io);
    };
    // Copied, so that no node is held while devices are read.
    let value = find(view, at)?;
    let stripe = decode(&value)?;
    let own = stripe.ptrs().nth(at.block.into());
    let own = own.filter(|own| at.block < stripe.nr_data() && is_within(own, replica, &stripe));
    let own = own.ok_or(Error::StripeMismatch)?;
    let from = sector.wrapping_sub(own.offset.0);
    let nr = num::u64_of(buf.len()) >> SECTOR_SHIFT;
    let range = Range::around(from, nr, &stripe).ok_or(Error::StripeTooShort)?;
    let devices = Devices {
        view,
        at,
        may_be_stale: stripe.csum_type == CsumType::NONE,
    };
    let mut rebuilder = Rebuilder {
        blocks_of: devices,
        stripe,
        range,
        blocks: Blocks::new(range.bytes())?,
    };
    rebuilder.run(at.block.into())?;
    let skip = num::usize_of(from.wrapping_sub(range.start) << SECTOR_SHIFT);
    let good = rebuilder.blocks.get(at.block.into());
    let good = good.and_then(|b| b.get(skip..)).unwrap_or(&[]);
    for (to, from) in buf.iter_mut().zip(good) {
        *to = *from;
    }
    Ok(())
}

/// The value of a stripe's key. Out of line, as iterators are large.
#[inline(never)]
fn find(view: &View, at: StripePtr) -> Result<Vec<u8>> {
    let found = view
        .btrees
        .lookup(BtreeId::STRIPES, Bpos::new(0, at.idx, 0))?;
    let key = found.as_ref().map(|f| f.key());
    let key = key.filter(|k| k.k.key_type == KeyType::STRIPE);
    let key = key.ok_or(Error::StripeMissing)?;
    let mut value = Vec::new();
    value.extend_from_slice(key.v)?;
    Ok(value)
}

/// A stripe that this code can calculate with.
fn decode(value: &[u8]) -> Result<Stripe<'_>> {
    let stripe = Stripe::decode(value).ok().filter(|s| {
        let nr = usize::from(s.nr_blocks);
        s.bytes() <= num::u64_of(value.len())
            && nr <= MAX_BLOCKS
            && (1..=2).contains(&s.nr_redundant)
            && s.nr_data() > 0
    });
    let stripe = stripe.ok_or(Error::StripeInvalid)?;
    match stripe.csum_type.checksum(&[]) {
        Some(_) => Ok(stripe),
        None => Err(Error::StripeChecksumKind),
    }
}

/// Whether `replica` is what block `own` of a stripe holds.
///
/// C: `bch2_ptr_matches_stripe()`.
fn is_within(own: &Ptr, replica: &Replica, stripe: &Stripe<'_>) -> bool {
    (own.dev == replica.dev || own.dev == DEV_NONE || replica.dev == DEV_NONE)
        && own.generation == replica.generation
        && replica.sector >= own.offset.0
        && replica.sector.wrapping_sub(own.offset.0) < stripe.sectors.into()
}

/// The part of each block that is read: sectors from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    start: u64,
    end: u64,
}

impl Range {
    /// The least range that has `nr` sectors from `from` on and can be verified. `None` beyond the
    /// end of the blocks.
    fn around(from: u64, nr: u64, stripe: &Stripe<'_>) -> Option<Self> {
        let size = u64::from(stripe.sectors);
        let end = from.checked_add(nr).filter(|end| *end <= size && nr != 0)?;
        let unit = granularity(stripe);
        Some(Self {
            start: num::round_down_pow2(from, unit),
            end: num::round_up_pow2(end, unit).unwrap_or(size).min(size),
        })
    }

    /// Bytes of the range: at most 65535 sectors.
    fn bytes(&self) -> usize {
        num::usize_of(self.end.wrapping_sub(self.start) << SECTOR_SHIFT)
    }
}

/// Sectors for which there is a checksum.
fn granularity(stripe: &Stripe<'_>) -> u64 {
    match stripe.csum_type.0 {
        0 => 1,
        _ => 1u64.wrapping_shl(stripe.csum_granularity_bits.into()),
    }
}

/// Where the blocks of a stripe can be read.
trait Source {
    /// Reads from `sector` of block `block` on, whose place is `ptr`.
    fn read(&self, ptr: &Ptr, sector: u64, to: &mut [u8]) -> Result;

    /// The block can not be used because of `error`.
    fn unusable(&self, block: usize, ptr: &Ptr, error: Error);
}

/// The devices of a filesystem.
struct Devices<'a> {
    view: &'a View,
    /// The stripe.
    at: StripePtr,
    /// No checksum tells whether a bucket was used again.
    may_be_stale: bool,
}

impl Source for Devices<'_> {
    fn read(&self, ptr: &Ptr, sector: u64, to: &mut [u8]) -> Result {
        let dev = self.view.sb().dev_or_gone(ptr.dev)?;
        if self.may_be_stale && is_stale(self.view, dev, ptr)? {
            return Err(Error::StripeStale);
        }
        dev.bdev.read(ptr.offset.0.saturating_add(sector), to)
    }

    fn unusable(&self, block: usize, ptr: &Ptr, error: Error) {
        if let Some(dev) = self.view.sb().dev(ptr.dev) {
            dev.errors.count(error);
        }
        report::bad_block(self.view, self.at, block, ptr, error);
    }
}

/// What can not be used besides the block to be rebuilt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AlsoLost {
    Nothing,
    /// Another block of data.
    Data(usize),
    /// The first block of parity.
    Parity,
}

/// Rebuilds one block.
struct Rebuilder<'a, S: Source> {
    blocks_of: S,
    stripe: Stripe<'a>,
    range: Range,
    blocks: Blocks,
}

impl<S: Source> Rebuilder<'_, S> {
    /// Rebuilds data block `lost`. Reads no more than is needed: the second block of parity only
    /// when another one is bad.
    ///
    /// C: `bch2_stripe_buf_read()`, `bch2_ec_do_recov()`.
    fn run(&mut self, lost: usize) -> Result {
        let nr_data = usize::from(self.stripe.nr_data());
        match self.read_others(lost)?.ok_or(Error::StripeTooFewBlocks)? {
            AlsoLost::Nothing => self.blocks.rebuild_from_p(nr_data, lost)?,
            AlsoLost::Parity => self.blocks.rebuild_from_q(nr_data, lost)?,
            AlsoLost::Data(other) => {
                let (first, second) = (lost.min(other), lost.max(other));
                self.blocks.rebuild_two(nr_data, first, second)?;
            }
        }
        match self.matches(lost) {
            true => Ok(()),
            false => Err(Error::StripeRebuiltChecksum),
        }
    }

    /// Reads what is needed to rebuild data block `lost`; `None` when too few blocks are good.
    fn read_others(&mut self, lost: usize) -> Result<Option<AlsoLost>> {
        let nr_data = usize::from(self.stripe.nr_data());
        let (first_parity, second_parity) = (nr_data, nr_data.saturating_add(1));
        self.blocks.grow(second_parity)?;
        let mut also_lost = AlsoLost::Nothing;
        for block in (0..=first_parity).filter(|b| *b != lost) {
            if self.is_good(block)? {
                continue;
            }
            if also_lost != AlsoLost::Nothing || self.stripe.nr_redundant < 2 {
                return Ok(None);
            }
            also_lost = match block == first_parity {
                true => AlsoLost::Parity,
                false => AlsoLost::Data(block),
            };
        }
        if also_lost != AlsoLost::Nothing {
            self.blocks.grow(second_parity.saturating_add(1))?;
            if !self.is_good(second_parity)? {
                return Ok(None);
            }
        }
        Ok(Some(also_lost))
    }

    /// Reads a block; says what is wrong with it if it can not be used.
    fn is_good(&mut self, block: usize) -> Result<bool> {
        let Some(ptr) = self.stripe.ptrs().nth(block) else {
            return Ok(false);
        };
        let Err(e) = self.read(block, &ptr) else {
            return Ok(true);
        };
        if e == Error::NoMemory {
            return Err(e);
        }
        self.blocks_of.unusable(block, &ptr, e);
        Ok(false)
    }

    fn read(&mut self, block: usize, ptr: &Ptr) -> Result {
        let Some(to) = self.blocks.get_mut(block) else {
            return Err(Error::Overflow);
        };
        self.blocks_of.read(ptr, self.range.start, to)?;
        match self.matches(block) {
            true => Ok(()),
            false => Err(Error::StripeChecksum),
        }
    }

    /// Whether a block matches its checksums. True without checksums.
    ///
    /// C: `bch2_ec_validate_checksums()`.
    fn matches(&self, block: usize) -> bool {
        let kind = self.stripe.csum_type;
        if kind == CsumType::NONE {
            return true;
        }
        let unit = granularity(&self.stripe);
        let first = num::div_or_zero(self.range.start, unit);
        // A granularity beyond the end of the block means one checksum for all of it.
        let unit_bytes = num::usize_of(unit << SECTOR_SHIFT).max(512);
        let bytes = self.blocks.get(block).unwrap_or(&[]);
        let number = u8::try_from(block).unwrap_or(u8::MAX);
        let mut rest = bytes;
        let mut idx = first;
        while !rest.is_empty() {
            let (piece, later) = rest.split_at_checked(unit_bytes).unwrap_or((rest, &[]));
            let found = kind.checksum(piece).map(u64::to_le_bytes);
            let want = self.stripe.csum(number, idx);
            let (Some(found), Some(want)) = (found, want) else {
                return false;
            };
            if found.get(..want.len()) != Some(want) {
                return false;
            }
            (rest, idx) = (later, idx.wrapping_add(1));
        }
        true
    }
}

/// Whether a bucket was used again after `ptr` was written.
///
/// C: `dev_ptr_stale()`.
#[inline(never)]
fn is_stale(view: &View, dev: &Device, ptr: &Ptr) -> Result<bool> {
    let bucket_sectors = u64::from(dev.member.bucket_sectors());
    let bucket = num::div_or_zero(ptr.offset.0, bucket_sectors);
    let pos = Bpos::new(dev.idx.0.into(), bucket, 0);
    let found = view.btrees.lookup(BtreeId::ALLOC, pos)?;
    // Without alloc info only a checksum can tell.
    let alloc = found.and_then(|f| Alloc::decode(&f.key()).ok().flatten());
    // Generations wrap: newer is up to half of them away.
    Ok(alloc.is_some_and(|a| (1..128).contains(&a.generation.wrapping_sub(ptr.generation))))
}

#[cfg(test)]
mod tests;
