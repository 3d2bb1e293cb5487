// SPDX-License-Identifier: GPL-2.0

//! Which parts of a device hold btree nodes.

use crate::{
    env::{
        num::{
            div_or_zero,
            low_u32, //
        },
        units::{
            BucketNr,
            Sectors, //
        },
    },
    format::sb::{
        members::BITMAP_SHIFT_MAX,
        Member, //
    },
};

/// The parts of a device that hold btree nodes. Nodes go there, and other things elsewhere, as long
/// as there is space: so they can be found when no pointer to them can be read.
///
/// C: `btree_allocated_bitmap` of `struct bch_member`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeRegions {
    /// One bit for each part.
    pub bits: u64,
    /// log2 of the sectors of a part.
    pub shift: u8,
    /// Sectors of a bucket.
    pub bucket_sectors: u64,
}

impl NodeRegions {
    /// Those of a member.
    pub fn of(member: &Member) -> Self {
        Self {
            bits: member.btree_allocated_bitmap(),
            shift: member.btree_bitmap_shift(),
            bucket_sectors: member.bucket_sectors().into(),
        }
    }

    /// Sectors of a part.
    fn part(&self) -> u64 {
        1u64.checked_shl(self.shift.into()).unwrap_or(u64::MAX)
    }

    fn start(&self, bucket: u64) -> u64 {
        bucket.saturating_mul(self.bucket_sectors)
    }

    /// Whether the bucket is behind all parts.
    pub(super) fn is_behind(&self, bucket: u64) -> bool {
        self.start(bucket) > self.part().saturating_mul(64)
    }

    /// The bits of the parts that `sectors` from `start` on touch; `None` behind all parts.
    fn bits_of(&self, start: u64, sectors: u64) -> Option<u64> {
        let last = start.saturating_add(sectors).checked_sub(1)?;
        let first = low_u32(div_or_zero(start, self.part()).min(64));
        let last = low_u32(div_or_zero(last, self.part()).min(64));
        let above = 63u32.checked_sub(last)?;
        Some((u64::MAX.checked_shl(first)?) & (u64::MAX.checked_shr(above)?))
    }

    /// Whether all of `sectors` from `start` on is in parts that hold nodes.
    /// C: `bch2_dev_btree_bitmap_marked_sectors()`.
    pub fn covers(&self, start: Sectors, sectors: u64) -> bool {
        let bits = self.bits_of(start.0, sectors);
        bits.is_some_and(|bits| self.bits & bits == bits)
    }

    /// Whether all of the bucket is in parts that hold nodes.
    pub fn has(&self, bucket: BucketNr) -> bool {
        self.covers(Sectors(self.start(bucket.0)), self.bucket_sectors)
    }

    /// With `sectors` from `start` on, where a node is to be; the superblock has to say so before
    /// the node is pointed to. Parts become larger if they have to, to reach that far; `None` when
    /// they can not.
    ///
    /// C: `__bch2_dev_btree_bitmap_mark()`.
    pub fn with(self, start: Sectors, sectors: u64) -> Option<Self> {
        let mut more = self;
        loop {
            if let Some(bits) = more.bits_of(start.0, sectors) {
                more.bits |= bits;
                return Some(more);
            }
            more.shift = more
                .shift
                .checked_add(1)
                .filter(|s| *s < BITMAP_SHIFT_MAX)?;
            // Two parts become one.
            let pairs = more.bits | more.bits.wrapping_shr(1);
            more.bits = (0..32u32).fold(0, |bits, part| {
                let bit = pairs.wrapping_shr(part.wrapping_mul(2)) & 1;
                bits | bit.wrapping_shl(part)
            });
        }
    }

    /// The first bucket that starts behind the part that `bucket` starts in; more than `bucket`.
    pub(super) fn next_part(&self, bucket: u64) -> u64 {
        let part = div_or_zero(self.start(bucket), self.part());
        let end = part.saturating_add(1).saturating_mul(self.part());
        let next = div_or_zero(end, self.bucket_sectors);
        next.max(bucket.saturating_add(1))
    }
}
