// SPDX-License-Identifier: GPL-2.0

//! Where a bucket is in the indices that are made from its state: positions in the btrees
//! `freespace`, `need_discard`, `lru` and `bucket_gens`.

use super::alloc::{
    Alloc,
    LruPos,
    LRU_TIME_MAX, //
};
use crate::{
    env::{
        num::{
            div_or_zero,
            low_u8,
            u64_of,
            usize_of_u8, //
        },
        units::{
            BucketNr,
            DevIdx, //
        },
    },
    format::{
        bpos::Bpos,
        data_type::DataType, //
    },
};

/// Bits by which the group of a generation's age is shifted in a position of `freespace`.
const AGE_SHIFT: u32 = 56;

/// A bucket's position in the alloc btree.
pub fn alloc_pos(dev: DevIdx, bucket: BucketNr) -> Bpos {
    Bpos::new(dev.0.into(), bucket.0, 0)
}

/// The bucket that a position in the alloc btree is of; `None` when no device can have it.
pub fn bucket_of(pos: Bpos) -> Option<(DevIdx, BucketNr)> {
    let dev = u8::try_from(pos.inode).ok()?;
    (pos.snapshot == 0).then_some((DevIdx(dev), BucketNr(pos.offset)))
}

/// A bucket as a single number, as LRUs have it. C: `bucket_to_u64()`.
pub fn bucket_to_u64(dev: DevIdx, bucket: BucketNr) -> u64 {
    u64::from(dev.0).wrapping_shl(48) | bucket.0
}

/// The reverse of [`bucket_to_u64`]. C: `u64_to_bucket()`.
pub fn u64_to_bucket(dev_bucket: u64) -> (DevIdx, BucketNr) {
    (
        DevIdx(low_u8(dev_bucket.wrapping_shr(48))),
        BucketNr(dev_bucket & ((1 << 48) - 1)),
    )
}

/// The key of `bucket_gens` that has a bucket's generation, and which of its generations it is.
/// C: `alloc_gens_pos()`.
pub fn bucket_gens_pos(dev: DevIdx, bucket: BucketNr) -> (Bpos, u8) {
    (
        Bpos::new(dev.0.into(), bucket.0.wrapping_shr(8), 0),
        low_u8(bucket.0),
    )
}

impl Alloc {
    /// Whether the bucket holds nothing. C: `data_type_is_empty()`.
    pub const fn is_empty(&self) -> bool {
        is_empty(self.data_type)
    }

    /// Whether a bucket that holds nothing may be discarded and used again, when journal entries up
    /// to `flushed` are on stable storage: what made it empty has to be among them, or else what it
    /// held could be needed after a crash.
    ///
    /// C: `bucket_flushed()` in `bch2_trigger_alloc()`, `bch2_bucket_needs_journal_commit()`.
    pub const fn is_flushed(&self, flushed: u64) -> bool {
        self.journal_seq_nonempty <= flushed
    }

    /// Sectors of any kind. C: `bch2_bucket_sectors_total()`.
    pub fn sectors_total(&self) -> u64 {
        self.sectors_dirty()
            .saturating_add(self.cached_sectors.into())
    }

    /// Sectors that count as used by what the bucket holds. C: `bch2_bucket_sectors()`.
    pub fn sectors_used(&self) -> u64 {
        match self.data_type {
            DataType::CACHED => self.cached_sectors.into(),
            _ => self.sectors_dirty(),
        }
    }

    /// Sectors that can not be used for anything else as long as the bucket of `bucket_sectors`
    /// holds something. C: `bch2_bucket_sectors_fragmented()`.
    pub fn sectors_fragmented(&self, bucket_sectors: u64) -> u64 {
        match self.sectors_used() {
            0 => 0,
            used => bucket_sectors.saturating_sub(used),
        }
    }

    /// Sectors in a bucket of a stripe that the stripe does not protect.
    /// C: `bch2_bucket_sectors_unstriped()`.
    pub fn sectors_unstriped(&self) -> u64 {
        match self.data_type {
            DataType::STRIPE => self.dirty_sectors.into(),
            _ => 0,
        }
    }

    /// Buckets are taken from those with younger pointers first: the group of this one, in the
    /// bits where `freespace` has it. C: `alloc_freespace_genbits()`.
    pub const fn freespace_bits(&self) -> u64 {
        u64_of(usize_of_u8(self.gc_gen() >> 4)).wrapping_shl(AGE_SHIFT)
    }

    /// Where the range of one bucket starts in `freespace`. C: `alloc_freespace_pos()`.
    pub fn freespace_start(&self, dev: DevIdx, bucket: BucketNr) -> Bpos {
        Bpos::new(dev.0.into(), bucket.0 | self.freespace_bits(), 0)
    }

    /// The place in the LRU of cached data of its device, 0 for none. C: `alloc_lru_idx_read()`.
    pub const fn lru_read(&self) -> u64 {
        match self.data_type {
            DataType::CACHED => {
                let [read, _] = self.io_time;
                read & LRU_TIME_MAX
            }
            _ => 0,
        }
    }

    /// The place in the LRU of buckets to be emptied, 0 for none: the share that is used, in units
    /// of 2^-31. C: `alloc_lru_idx_fragmentation()`.
    pub fn lru_fragmentation(&self, bucket_sectors: u64) -> u64 {
        let movable = matches!(
            self.data_type,
            DataType::BTREE | DataType::USER | DataType::STRIPE
        );
        if !movable || self.sectors_fragmented(bucket_sectors) == 0 {
            return 0;
        }
        let used = self.sectors_dirty().min(bucket_sectors);
        div_or_zero(used.wrapping_shl(31), bucket_sectors)
    }
}

/// Whether a bucket of this type holds nothing. C: `data_type_is_empty()`.
pub const fn is_empty(data_type: DataType) -> bool {
    matches!(
        data_type,
        DataType::FREE | DataType::NEED_GC_GENS | DataType::NEED_DISCARD
    )
}

/// The position in the LRU of cached data. C: `bch2_lru_set(.., dev, ..)`.
pub fn lru_read_pos(dev: DevIdx, bucket: BucketNr, time: u64) -> Bpos {
    LruPos {
        id: dev.0.into(),
        time,
        dev_bucket: bucket_to_u64(dev, bucket),
    }
    .encode()
}

/// The position in the LRU of buckets to be emptied, before 1.39.
pub fn lru_fragmentation_pos(dev: DevIdx, bucket: BucketNr, time: u64) -> Bpos {
    LruPos {
        id: LruPos::FRAGMENTATION_OLD,
        time,
        dev_bucket: bucket_to_u64(dev, bucket),
    }
    .encode()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEV: DevIdx = DevIdx(3);
    const NR: BucketNr = BucketNr(0x1234);

    #[test]
    fn positions() {
        assert_eq!(
            bucket_of(alloc_pos(DEV, NR)),
            Some((DEV, NR)) //
        );
        assert_eq!(bucket_of(Bpos::new(256, 0, 0)), None);
        assert_eq!(u64_to_bucket(bucket_to_u64(DEV, NR)), (DEV, NR));
        assert_eq!(bucket_gens_pos(DEV, NR), (Bpos::new(3, 0x12, 0), 0x34));
        let pos = lru_read_pos(DEV, NR, LRU_TIME_MAX);
        assert_eq!(
            pos,
            Bpos::new(0x0003_ffff_ffff_ffff, 0x0003_0000_0000_1234, 0)
        );
        let decoded = LruPos::decode(lru_fragmentation_pos(DEV, NR, 5));
        assert_eq!(
            decoded,
            LruPos {
                id: 0xffff,
                time: 5,
                dev_bucket: bucket_to_u64(DEV, NR)
            }
        );
    }

    #[test]
    fn ages_are_grouped() {
        let a = Alloc {
            generation: 0x35,
            oldest_gen: 0x10,
            ..Alloc::default()
        };
        assert_eq!(
            a.freespace_start(DEV, NR),
            Bpos::new(3, 0x0200_0000_0000_1234, 0)
        );
    }

    #[test]
    fn fragmentation_is_the_share_in_use() {
        let a = Alloc {
            data_type: DataType::USER,
            dirty_sectors: 64,
            ..Alloc::default()
        };
        assert_eq!(a.lru_fragmentation(256), 1 << 29);
        assert_eq!(a.lru_fragmentation(64), 0);
        assert_eq!(a.lru_fragmentation(0), 0);
        let sb = Alloc {
            data_type: DataType::SB,
            ..a
        };
        assert_eq!(sb.lru_fragmentation(256), 0);
        assert_eq!(sb.sectors_fragmented(256), 192);
        let huge = Alloc {
            dirty_sectors: u32::MAX,
            stripe_sectors: u32::MAX,
            ..a
        };
        assert_eq!(huge.sectors_fragmented(256), 0);
    }
}
