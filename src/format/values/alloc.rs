// SPDX-License-Identifier: GPL-2.0

//! Buckets: what each holds, in four encodings on disk, and the generations of 256 at a time.

use super::{
    kinds::DataType,
    raw::{
        self,
        bits,
        place, //
    },
    varint, //
};
use crate::{
    env::num::{
        low_u16,
        low_u32,
        low_u8,
        u64_of,
        usize_of_u32, //
    },
    error::{
        fsck::FsckError,
        Invalid, //
    },
    format::{
        bkey::Key,
        bpos::Bpos,
        key_type::KeyType, //
    },
};
use core::fmt;
use zerocopy::little_endian::{
    U32,
    U64, //
};
use zerocopy_derive::{
    FromBytes,
    Immutable,
    IntoBytes,
    KnownLayout,
    Unaligned, //
};

/// Generations between a bucket's and its oldest pointer's from which the bucket can not be used
/// again before the oldest is known better. C: `BUCKET_GC_GEN_MAX`.
pub const GC_GEN_MAX: u8 = 96;

/// The highest time an LRU can hold. C: `LRU_TIME_MAX`.
pub const LRU_TIME_MAX: u64 = (1 << 48) - 1;

/// The state of a bucket.
///
/// C: `struct bch_alloc_v4`, and `struct bkey_alloc_unpacked` for earlier versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Alloc {
    /// Journal entry that made the bucket hold something (before 1.38: that changed it last).
    pub journal_seq_nonempty: u64,
    /// Journal entry that made the bucket hold nothing (1.38); before, not used.
    pub journal_seq_empty: u64,
    /// The device has to be told that the bucket is unused.
    pub need_discard: bool,
    /// The generation is to be raised before the bucket is used again.
    pub need_inc_gen: bool,
    /// Generation: pointers with another one are stale.
    pub generation: u8,
    /// Generation of the oldest pointer there may be.
    pub oldest_gen: u8,
    /// What the bucket holds.
    pub data_type: DataType,
    /// Blocks of the stripe that may be lost (no longer used).
    pub stripe_redundancy: u8,
    /// Sectors that can not be dropped.
    pub dirty_sectors: u32,
    /// Sectors that can be dropped.
    pub cached_sectors: u32,
    /// Sectors of data that is part of a stripe (1.8).
    pub stripe_sectors: u32,
    /// Logical time of the last read and of the last write.
    pub io_time: [u64; 2],
    /// How many stripes the bucket is part of; before 1.35, the number of the stripe or 0.
    pub stripe: u32,
    /// Backpointers kept in their btree (no longer used).
    pub nr_external_backpointers: u32,
    /// Words before backpointers kept in the key, 0 for those of the first version.
    pub backpointers_start: u8,
    /// Backpointers kept in the key (before 0.28).
    pub nr_backpointers: u8,
}

/// C: `struct bch_alloc_v4`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawAllocV4 {
    journal_seq_nonempty: U64,
    flags: U32,
    generation: u8,
    oldest_gen: u8,
    data_type: u8,
    stripe_redundancy: u8,
    dirty_sectors: U32,
    cached_sectors: U32,
    io_time: [U64; 2],
    stripe: U32,
    nr_external_backpointers: U32,
    journal_seq_empty: U64,
    stripe_sectors: U32,
    pad: U32,
}

/// C: `struct bch_alloc_v3`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawAllocV3 {
    journal_seq: U64,
    flags: U32,
    v2: RawAllocV2,
}

/// C: `struct bch_alloc_v2`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawAllocV2 {
    nr_fields: u8,
    generation: u8,
    oldest_gen: u8,
    data_type: u8,
}

const _: () = assert!(size_of::<RawAllocV4>() == 64);
const _: () = assert!(size_of::<RawAllocV3>() == 16);

/// Words of an `alloc_v4` before backpointers, as written now. C: `BCH_ALLOC_V4_U64s`.
const V4_U64S: u8 = 8;
/// Words of the first version of `alloc_v4`. C: `BCH_ALLOC_V4_U64s_V0`.
const V4_U64S_MIN: u64 = 6;
/// Words of one backpointer kept in the key.
const BACKPOINTER_U64S: u64 = 4;

impl Alloc {
    /// Decodes a key of any of the `alloc` types; `Ok(None)` for other types.
    pub fn decode(key: &Key<'_>) -> Result<Option<Self>, Invalid> {
        match key.k.key_type {
            KeyType::ALLOC_V4 => Self::decode_v4(key.v),
            KeyType::ALLOC_V3 => Self::decode_v3(key.v),
            KeyType::ALLOC_V2 => Self::decode_v2(key.v),
            KeyType::ALLOC => Self::decode_v1(key.v),
            _ => return Ok(None),
        }
        .map(Some)
    }

    fn decode_v4(v: &[u8]) -> Result<Self, Invalid> {
        let mut raw: RawAllocV4 = raw::padded(v, 48)?;
        let flags = u64::from(raw.flags.get());
        let backpointers_start = low_u8(bits(flags, 2, 8));
        // Where backpointers begin, the fields of later versions are not.
        if backpointers_start < 7 {
            raw.journal_seq_empty = U64::ZERO;
        }
        if backpointers_start < V4_U64S {
            raw.stripe_sectors = U32::ZERO;
        }
        Ok(Self {
            journal_seq_nonempty: raw.journal_seq_nonempty.get(),
            journal_seq_empty: raw.journal_seq_empty.get(),
            need_discard: bits(flags, 0, 1) != 0,
            need_inc_gen: bits(flags, 1, 2) != 0,
            generation: raw.generation,
            oldest_gen: raw.oldest_gen,
            data_type: DataType(raw.data_type),
            stripe_redundancy: raw.stripe_redundancy,
            dirty_sectors: raw.dirty_sectors.get(),
            cached_sectors: raw.cached_sectors.get(),
            stripe_sectors: raw.stripe_sectors.get(),
            io_time: raw.io_time.map(U64::get),
            stripe: raw.stripe.get(),
            nr_external_backpointers: raw.nr_external_backpointers.get(),
            backpointers_start,
            nr_backpointers: low_u8(bits(flags, 8, 14)),
        })
    }

    fn decode_v3(v: &[u8]) -> Result<Self, Invalid> {
        let (raw, fields) = raw::split::<RawAllocV3>(v)?;
        let flags = u64::from(raw.flags.get());
        let alloc = Self {
            journal_seq_nonempty: raw.journal_seq.get(),
            need_discard: bits(flags, 0, 1) != 0,
            need_inc_gen: bits(flags, 1, 2) != 0,
            ..Self::default()
        };
        alloc.read_fields(&raw.v2, fields).ok_or(Invalid::new(
            FsckError::ALLOC_V3_UNPACK_ERROR,
            "unpack error",
        ))
    }

    fn decode_v2(v: &[u8]) -> Result<Self, Invalid> {
        raw::at_least(v, 8)?;
        let (raw, fields) = raw::split::<RawAllocV2>(v)?;
        Self::default()
            .read_fields(&raw, fields)
            .ok_or(Invalid::new(
                FsckError::ALLOC_V2_UNPACK_ERROR,
                "unpack error",
            ))
    }

    /// C: the fields in `BCH_ALLOC_FIELDS_V2()`.
    fn read_fields(mut self, raw: &RawAllocV2, fields: &[u8]) -> Option<Self> {
        self.generation = raw.generation;
        self.oldest_gen = raw.oldest_gen;
        self.data_type = DataType(raw.data_type);
        let mut rest = fields;
        let mut left = raw.nr_fields;
        let mut next = || -> Option<u64> {
            let Some(after) = left.checked_sub(1) else {
                return Some(0);
            };
            left = after;
            let (value, behind) = varint::decode(rest)?;
            rest = behind;
            Some(value)
        };
        self.io_time = [next()?, next()?];
        self.dirty_sectors = next()?.try_into().ok()?;
        self.cached_sectors = next()?.try_into().ok()?;
        self.stripe = next()?.try_into().ok()?;
        self.stripe_redundancy = next()?.try_into().ok()?;
        Some(self)
    }

    /// C: the fields in `BCH_ALLOC_FIELDS_V1()`.
    fn decode_v1(v: &[u8]) -> Result<Self, Invalid> {
        let (head, mut rest) = raw::split::<[u8; 2]>(v)?;
        let [fields, generation] = head;
        let mut bad = false;
        let mut next = |bit: u32, len: usize| -> u64 {
            if bits(u64::from(fields), bit, bit.wrapping_add(1)) == 0 {
                return 0;
            }
            let Some((own, behind)) = rest.split_at_checked(len) else {
                bad = true;
                return 0;
            };
            rest = behind;
            own.iter()
                .rev()
                .fold(0, |v, &b| v.wrapping_shl(8) | u64::from(b))
        };
        let alloc = Self {
            generation,
            io_time: [next(0, 2), next(1, 2)],
            data_type: DataType(low_u8(next(2, 1))),
            dirty_sectors: low_u32(next(3, 2)),
            cached_sectors: low_u32(next(4, 2)),
            oldest_gen: low_u8(next(5, 1)),
            stripe: low_u32(next(6, 4)),
            stripe_redundancy: low_u8(next(7, 1)),
            ..Self::default()
        };
        if bad {
            return Err(Invalid::with(
                FsckError::ALLOC_V1_VAL_SIZE_BAD,
                "fields end beyond the value, bytes",
                u64_of(v.len()),
                u64::from(fields),
            ));
        }
        Ok(alloc)
    }

    /// The value of an `alloc_v4` key, without backpointers. C: `bch2_alloc_to_v4_mut()`.
    pub fn encode(&self) -> [u8; 64] {
        let flags = place(u64::from(self.need_discard), 0, 1)
            | place(u64::from(self.need_inc_gen), 1, 2)
            | place(u64::from(V4_U64S), 2, 8);
        let raw = RawAllocV4 {
            journal_seq_nonempty: self.journal_seq_nonempty.into(),
            flags: low_u32(flags).into(),
            generation: self.generation,
            oldest_gen: self.oldest_gen,
            data_type: self.data_type.0,
            stripe_redundancy: self.stripe_redundancy,
            dirty_sectors: self.dirty_sectors.into(),
            cached_sectors: self.cached_sectors.into(),
            io_time: self.io_time.map(U64::new),
            stripe: self.stripe.into(),
            nr_external_backpointers: self.nr_external_backpointers.into(),
            journal_seq_empty: self.journal_seq_empty.into(),
            stripe_sectors: self.stripe_sectors.into(),
            pad: 0.into(),
        };
        zerocopy::transmute!(raw)
    }

    /// Words the value of an `alloc_v4` with these backpointers has. C: `alloc_v4_u64s_noerror()`.
    pub(super) fn v4_u64s(&self) -> u64 {
        let start = match self.backpointers_start {
            0 => V4_U64S_MIN,
            start => u64::from(start),
        };
        let backpointers = u64::from(self.nr_backpointers).wrapping_mul(BACKPOINTER_U64S);
        start.wrapping_add(backpointers)
    }

    /// Sectors that can not be dropped, counting those that are part of a stripe.
    /// C: `bch2_bucket_sectors_dirty()`.
    pub const fn sectors_dirty(&self) -> u64 {
        // Both are below 2^32.
        u64_of_u32(self.dirty_sectors).wrapping_add(u64_of_u32(self.stripe_sectors))
    }

    /// Generations between the bucket's and its oldest pointer's. C: `alloc_gc_gen()`.
    pub const fn gc_gen(&self) -> u8 {
        self.generation.wrapping_sub(self.oldest_gen)
    }

    /// What the counters say the bucket holds, if it holds data of `data_type` at all. `refcounts`
    /// tells whether this filesystem is 1.35 or newer. C: `alloc_data_type()`.
    pub fn data_type_by_counts(&self, data_type: DataType, refcounts: bool) -> DataType {
        if refcounts && self.data_type == DataType::MULTIPLE {
            return DataType::MULTIPLE;
        }
        if self.stripe != 0 {
            return match data_type {
                DataType::PARITY => DataType::PARITY,
                _ => DataType::STRIPE,
            };
        }
        if self.sectors_dirty() != 0 {
            return match data_type {
                DataType::CACHED | DataType::STRIPE if refcounts => DataType::USER,
                other => other,
            };
        }
        if self.cached_sectors != 0 {
            return DataType::CACHED;
        }
        let discard = match refcounts {
            true => data_type == DataType::NEED_DISCARD,
            false => self.need_discard,
        };
        if discard {
            DataType::NEED_DISCARD
        } else if self.gc_gen() >= GC_GEN_MAX {
            DataType::NEED_GC_GENS
        } else {
            DataType::FREE
        }
    }
}

const fn u64_of_u32(v: u32) -> u64 {
    u64_of(usize_of_u32(v))
}

impl fmt::Display for Alloc {
    /// C: `bch2_alloc_v4_to_text()`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [read, write] = self.io_time;
        writeln!(
            f,
            "gen {} oldest_gen {} data_type {}",
            self.generation, self.oldest_gen, self.data_type
        )?;
        writeln!(f, "journal_seq_nonempty {}", self.journal_seq_nonempty)?;
        writeln!(f, "journal_seq_empty    {}", self.journal_seq_empty)?;
        writeln!(f, "need_discard         {}", u8::from(self.need_discard))?;
        writeln!(f, "need_inc_gen         {}", u8::from(self.need_inc_gen))?;
        writeln!(f, "dirty_sectors        {}", self.dirty_sectors)?;
        writeln!(f, "stripe_sectors       {}", self.stripe_sectors)?;
        writeln!(f, "cached_sectors       {}", self.cached_sectors)?;
        writeln!(f, "stripe               {}", self.stripe)?;
        writeln!(f, "io_time[READ]        {read}")?;
        writeln!(f, "io_time[WRITE]       {write}")?;
        write!(f, "bp_start             {}", self.backpointers_start)
    }
}

/// Buckets whose generations one key holds. C: `KEY_TYPE_BUCKET_GENS_NR`.
pub const BUCKET_GENS: usize = 256;

/// The generations of 256 buckets: the first is the key's offset times 256.
///
/// C: `struct bch_bucket_gens`.
pub fn bucket_gens(v: &[u8]) -> Result<&[u8; BUCKET_GENS], Invalid> {
    v.try_into().map_err(|_| {
        Invalid::with(
            FsckError::BUCKET_GENS_VAL_SIZE_BAD,
            "bad val size",
            u64_of(v.len()),
            u64_of(BUCKET_GENS),
        )
    })
}

/// An entry of the LRU btree, all of which is in its position.
///
/// C: `lru_pos()`, `struct bch_lru`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LruPos {
    /// Which list: a device's index for cached data, others by constants of this type.
    pub id: u16,
    /// The place in the list; 0 is not on it.
    pub time: u64,
    /// Device in the high 8 bits and bucket below, or a stripe.
    pub dev_bucket: u64,
}

impl LruPos {
    /// The fragmentation list of device 0; others follow (1.39).
    pub const FRAGMENTATION_START: u16 = 1 << 13;
    /// The list of stripes by fragmentation (1.23).
    pub const STRIPE_FRAGMENTATION: u16 = u16::MAX - 1;
    /// The fragmentation list of all devices (before 1.39).
    pub const FRAGMENTATION_OLD: u16 = u16::MAX;

    /// Takes the parts out of a position.
    pub const fn decode(pos: Bpos) -> Self {
        Self {
            id: low_u16(bits(pos.inode, 48, 64)),
            time: bits(pos.inode, 0, 48),
            dev_bucket: pos.offset,
        }
    }

    /// The position; of a time beyond [`LRU_TIME_MAX`] the high bits are lost.
    pub fn encode(&self) -> Bpos {
        let inode = place(u64::from(self.id), 48, 64) | place(self.time, 0, 48);
        Bpos::new(inode, self.dev_bucket, 0)
    }
}
