// SPDX-License-Identifier: GPL-2.0

//! Erasure-coded stripes.

use super::{
    extent_entry::Ptr,
    kinds::CsumType,
    raw::{
        self,
        bits, //
    },
};
use crate::{
    env::num::{
        low_u8,
        u64_of,
        usize_of, //
    },
    error::{
        fsck::FsckError,
        Invalid, //
    },
};
use core::fmt;
use zerocopy::little_endian::U16;
use zerocopy_derive::{
    FromBytes,
    Immutable,
    IntoBytes,
    KnownLayout,
    Unaligned, //
};

/// A stripe: buckets of which some may be lost.
///
/// C: `struct bch_stripe`.
#[derive(Clone, Copy, Debug)]
pub struct Stripe<'a> {
    v: &'a [u8],
    /// Sectors of each block.
    pub sectors: u16,
    /// How parity is computed.
    pub algorithm: u8,
    /// Background work is to be done on it (1.37).
    pub needs_reconcile: bool,
    /// By how many blocks it could be widened, up to 7 (1.37).
    pub can_widen: u8,
    /// Blocks of data and parity together.
    pub nr_blocks: u8,
    /// Blocks of parity: the last ones.
    pub nr_redundant: u8,
    /// Checksums cover 2^this sectors each.
    pub csum_granularity_bits: u8,
    /// How blocks are checksummed.
    pub csum_type: CsumType,
    /// The label of the devices it is on, plus one, or 0.
    pub disk_label: u8,
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawStripe {
    sectors: U16,
    algorithm_and_flags: u8,
    nr_blocks: u8,
    nr_redundant: u8,
    csum_granularity_bits: u8,
    csum_type: u8,
    disk_label: u8,
}

/// Bytes before the pointers.
pub(super) const STRIPE_BYTES: usize = 8;

const _: () = assert!(size_of::<RawStripe>() == STRIPE_BYTES);

/// Granularities from this on can not be. C: the check in `bch2_stripe_validate()`.
pub(super) const CSUM_GRANULARITY_END: u8 = 31;

impl<'a> Stripe<'a> {
    /// Decodes the value of a `stripe` key. That the value is as long as it says is left to
    /// [`Stripe::bytes`].
    pub fn decode(v: &'a [u8]) -> Result<Self, Invalid> {
        let raw: RawStripe = raw::prefix(v)?;
        let flags = u64::from(raw.algorithm_and_flags);
        if raw.csum_granularity_bits >= CSUM_GRANULARITY_END {
            return Err(Invalid::with(
                FsckError::STRIPE_CSUM_GRANULARITY_BAD,
                "invalid csum granularity",
                raw.csum_granularity_bits.into(),
                CSUM_GRANULARITY_END.into(),
            ));
        }
        Ok(Self {
            v,
            sectors: raw.sectors.get(),
            algorithm: low_u8(bits(flags, 0, 4)),
            needs_reconcile: bits(flags, 4, 5) != 0,
            can_widen: low_u8(bits(flags, 5, 8)),
            nr_blocks: raw.nr_blocks,
            nr_redundant: raw.nr_redundant,
            csum_granularity_bits: raw.csum_granularity_bits,
            csum_type: CsumType(raw.csum_type),
            disk_label: raw.disk_label,
        })
    }

    /// The blocks' places. Fewer than [`Stripe::nr_blocks`] when the value ends before.
    pub fn ptrs(&self) -> impl Iterator<Item = Ptr> + 'a {
        self.v
            .get(STRIPE_BYTES..)
            .unwrap_or(&[])
            .chunks_exact(8)
            .take(usize::from(self.nr_blocks))
            .filter_map(|chunk| Some(Ptr::from_word(u64::from_le_bytes(chunk.try_into().ok()?))))
    }

    /// Blocks of data.
    pub const fn nr_data(&self) -> u8 {
        self.nr_blocks.saturating_sub(self.nr_redundant)
    }

    /// Checksums of each block. C: `stripe_csums_per_device()`.
    pub fn csums_per_block(&self) -> u64 {
        let granularity = 1u64.wrapping_shl(u32::from(self.csum_granularity_bits));
        u64::from(self.sectors)
            .wrapping_add(granularity)
            .wrapping_sub(1)
            .wrapping_shr(u32::from(self.csum_granularity_bits))
    }

    /// Bytes of each checksum; the most there can be when the type is not known.
    fn csum_bytes(&self) -> u64 {
        match self.csum_type.name() {
            Some(_) => u64::from(self.csum_type.stored_bytes()),
            None => 16,
        }
    }

    /// Where the checksum `idx` of `block` is in the value. C: `stripe_csum_offset()`.
    fn csum_offset(&self, block: u64, idx: u64) -> u64 {
        // At most 255 blocks of 65535 checksums of 16 bytes.
        block
            .wrapping_mul(self.csums_per_block())
            .wrapping_add(idx)
            .wrapping_mul(self.csum_bytes())
            .wrapping_add(u64::from(self.nr_blocks).wrapping_mul(8))
            .wrapping_add(u64_of(STRIPE_BYTES))
    }

    /// Checksum `idx` of `block`: its bytes; `None` when there is no such checksum.
    /// C: `stripe_csum_get()`.
    pub fn csum(&self, block: u8, idx: u64) -> Option<&'a [u8]> {
        if block >= self.nr_blocks || idx >= self.csums_per_block() {
            return None;
        }
        let start = usize_of(self.csum_offset(block.into(), idx));
        self.v
            .get(start..)?
            .get(..usize::from(self.csum_type.stored_bytes()))
    }

    /// Where in the value the sectors used of `block` are; `None` when there is no such block.
    /// C: `stripe_blockcount_offset()`.
    pub(super) fn block_sectors_at(&self, block: u8) -> Option<usize> {
        if block >= self.nr_blocks {
            return None;
        }
        let start = self
            .csum_offset(self.nr_blocks.into(), 0)
            .wrapping_add(u64::from(block).wrapping_mul(2));
        Some(usize_of(start))
    }

    /// Sectors used of `block`; `None` when the value ends before.
    /// C: `stripe_blockcount_get()`.
    pub fn block_sectors(&self, block: u8) -> Option<u16> {
        self.v
            .get(self.block_sectors_at(block)?..)?
            .first_chunk()
            .map(|b| u16::from_le_bytes(*b))
    }

    /// Bytes the value needs: a multiple of 8. C: `stripe_val_u64s()`.
    pub fn bytes(&self) -> u64 {
        self.csum_offset(self.nr_blocks.into(), 0)
            .wrapping_add(u64::from(self.nr_blocks).wrapping_mul(2))
            .next_multiple_of(8)
    }
}

impl fmt::Display for Stripe<'_> {
    /// C: `bch2_stripe_to_text()`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "algo {} sectors {} blocks {}:{} csum {} gran {} label={}",
            self.algorithm,
            self.sectors,
            self.nr_data(),
            self.nr_redundant,
            self.csum_type,
            1u64.wrapping_shl(self.csum_granularity_bits.into()),
            self.disk_label
        )?;
        if self.needs_reconcile {
            f.write_str(" needs_reconcile")?;
        }
        for (block, ptr) in (0u8..).zip(self.ptrs()) {
            write!(f, "\n{ptr}")?;
            if let Some(sectors) = self.block_sectors(block) {
                write!(f, "#{sectors}")?;
            }
        }
        Ok(())
    }
}
