// SPDX-License-Identifier: GPL-2.0

//! Keys with pointers.

use super::{
    super::{
        btree_ptr::BtreePtr,
        crc::Crc,
        extent::{
            entries,
            PTRS_MAX, //
        },
        extent_entry::{
            Entry,
            Ptr,
            Reconcile, //
        },
        plain::REPLICAS_MAX,
        reflink::REFLINK_IDX_MAX, //
    },
    context::ValidateCtx,
};
use crate::{
    env::{
        num::{
            div_or_zero,
            rem_or_zero,
            u64_of, //
        },
        units::DevIdx,
    },
    error::{
        fsck::FsckError,
        Invalid, //
    },
    format::{
        bkey::Key,
        bpos::Bpos,
        key_type::KeyType,
        sb::Version, //
    },
};

/// Bytes the value of a `btree_ptr_v2` can have. C: `BKEY_BTREE_PTR_VAL_U64s_MAX`.
const BTREE_PTR_V2_BYTES_MAX: usize = 40 + 8 * 8 + 8 + 8;

/// C: `bch2_btree_ptr_validate()`.
pub(super) fn btree_ptr(key: &Key<'_>, ctx: &ValidateCtx<'_>) -> Result<(), Invalid> {
    let max = usize::from(REPLICAS_MAX).saturating_mul(8);
    if key.v.len() > max {
        return Err(Invalid::with(
            FsckError::BTREE_PTR_VAL_TOO_BIG,
            "value too big",
            u64_of(key.v.len()),
            u64_of(max),
        ));
    }
    ptrs(key, ctx)
}

/// C: `bch2_btree_ptr_v2_validate()`.
pub(super) fn btree_ptr_v2(key: &Key<'_>, ctx: &ValidateCtx<'_>) -> Result<(), Invalid> {
    if key.v.len() > BTREE_PTR_V2_BYTES_MAX {
        return Err(Invalid::with(
            FsckError::BTREE_PTR_V2_VAL_TOO_BIG,
            "value too big",
            u64_of(key.v.len()),
            u64_of(BTREE_PTR_V2_BYTES_MAX),
        ));
    }
    if let Some(BtreePtr { v2: Some(id), .. }) = BtreePtr::decode(key)? {
        if id.min_key >= key.k.p {
            return Err(Invalid::new(
                FsckError::BTREE_PTR_V2_MIN_KEY_BAD,
                "min_key > key",
            ));
        }
        if ctx.writing && id.sectors_written == 0 && ctx.version >= Version::new(0, 14) {
            return Err(Invalid::new(
                FsckError::BTREE_PTR_V2_WRITTEN_0,
                "sectors_written == 0",
            ));
        }
    }
    ptrs(key, ctx)
}

/// C: `bch2_reflink_v_validate()`.
pub(super) fn reflink_v(key: &Key<'_>, ctx: &ValidateCtx<'_>) -> Result<(), Invalid> {
    if key.k.p > Bpos::new(0, REFLINK_IDX_MAX, u32::MAX) {
        return Err(Invalid::with(
            FsckError::REFLINK_V_POS_BAD,
            "indirect extent above maximum position",
            key.k.p.offset,
            REFLINK_IDX_MAX,
        ));
    }
    ptrs(key, ctx)
}

/// What was seen on the way through a key's entries.
#[derive(Default)]
struct Seen {
    devs: DevSet,
    nr_ptrs: usize,
    written: bool,
    unwritten: bool,
    stripe: bool,
    crc: bool,
    nonce: Option<u32>,
    sectors: u32,
    readable: bool,
    readable_dirty: bool,
    is_btree_ptr: bool,
}

#[derive(Default)]
struct DevSet([u64; 4]);

impl DevSet {
    /// Adds a device; false when it is there already.
    fn add(&mut self, dev: DevIdx) -> bool {
        let bit = 1u64.wrapping_shl(u32::from(dev.0 & 63));
        match self.0.get_mut(usize::from(dev.0 >> 6)) {
            Some(word) if *word & bit == 0 => {
                *word |= bit;
                true
            }
            _ => false,
        }
    }
}

/// Checks all entries of a key with pointers. C: `bch2_bkey_ptrs_validate()`.
pub(super) fn ptrs(key: &Key<'_>, ctx: &ValidateCtx<'_>) -> Result<(), Invalid> {
    let is_btree_ptr = matches!(key.k.key_type, KeyType::BTREE_PTR | KeyType::BTREE_PTR_V2);
    let mut seen = Seen {
        sectors: match is_btree_ptr {
            true => ctx.node_sectors,
            false => key.k.size,
        },
        is_btree_ptr,
        ..Seen::default()
    };
    for (nr, entry) in entries(key, ctx.sizes).enumerate() {
        let entry = entry?;
        if is_btree_ptr && !allowed_in_btree_ptr(&entry) {
            return Err(Invalid::new(
                FsckError::BTREE_PTR_HAS_NON_PTR,
                "has non allowed field",
            ));
        }
        match entry {
            Entry::Ptr(ptr) => seen.ptr(&ptr, ctx)?,
            Entry::Crc(_, crc) => seen.crc(&crc, ctx)?,
            Entry::Stripe(_) if seen.stripe => {
                return Err(Invalid::new(
                    FsckError::PTR_STRIPE_REDUNDANT,
                    "redundant stripe entry",
                ));
            }
            Entry::Stripe(_) => seen.stripe = true,
            Entry::Reconcile(r) => reconcile(&r)?,
            Entry::Flags(_) if nr != 0 => {
                return Err(Invalid::with(
                    FsckError::EXTENT_FLAGS_NOT_AT_START,
                    "extent flags entry not at start, but",
                    u64_of(nr),
                    0,
                ));
            }
            Entry::Flags(_) | Entry::RebalanceV1(_) | Entry::ReconcileBp(_) => (),
            Entry::Unknown(_) => (),
        }
    }
    seen.done(key.k.key_type, ctx)
}

fn allowed_in_btree_ptr(entry: &Entry) -> bool {
    matches!(
        entry,
        Entry::Ptr(_) | Entry::Reconcile(_) | Entry::ReconcileBp(_) | Entry::Unknown(_)
    )
}

impl Seen {
    fn ptr(&mut self, ptr: &Ptr, ctx: &ValidateCtx<'_>) -> Result<(), Invalid> {
        if ptr.has_dev() {
            if !self.devs.add(ptr.dev) {
                return Err(Invalid::with(
                    FsckError::PTR_TO_DUPLICATE_DEVICE,
                    "multiple pointers to same device",
                    ptr.dev.0.into(),
                    ptr.dev.0.into(),
                ));
            }
            self.check_place(ptr, ctx)?;
            if ptr.unwritten {
                self.unwritten = true;
            } else {
                self.written = true;
            }
        }
        if ptr.cached && self.stripe {
            return Err(Invalid::new(
                FsckError::PTR_CACHED_AND_ERASURE_CODED,
                "cached, erasure coded ptr",
            ));
        }
        if ptr.has_dev() || self.stripe {
            self.readable = true;
            self.readable_dirty |= !ptr.cached;
        }
        self.stripe = false;
        self.crc = false;
        self.nr_ptrs = self.nr_ptrs.saturating_add(1);
        Ok(())
    }

    /// C: `extent_ptr_validate()`.
    fn check_place(&self, ptr: &Ptr, ctx: &ValidateCtx<'_>) -> Result<(), Invalid> {
        let Some(dev) = ctx.dev(ptr.dev) else {
            return Ok(());
        };
        let bucket = div_or_zero(ptr.offset.0, dev.bucket_sectors);
        let offset = rem_or_zero(ptr.offset.0, dev.bucket_sectors);
        if bucket >= dev.nr_buckets {
            return Err(Invalid::with(
                FsckError::PTR_AFTER_LAST_BUCKET,
                "pointer past last bucket",
                bucket,
                dev.nr_buckets,
            ));
        }
        if bucket < dev.first_bucket {
            return Err(Invalid::with(
                FsckError::PTR_BEFORE_FIRST_BUCKET,
                "pointer before first bucket",
                bucket,
                dev.first_bucket,
            ));
        }
        let end = offset.saturating_add(self.sectors.into());
        if end > dev.bucket_sectors {
            return Err(Invalid::with(
                FsckError::PTR_SPANS_MULTIPLE_BUCKETS,
                "pointer spans multiple buckets",
                end,
                dev.bucket_sectors,
            ));
        }
        Ok(())
    }

    fn crc(&mut self, crc: &Crc, ctx: &ValidateCtx<'_>) -> Result<(), Invalid> {
        let encrypted = crc.csum_type.is_encryption();
        if crc.csum_type.name().is_none() || (encrypted && !ctx.has_key) {
            return Err(Invalid::with(
                FsckError::PTR_CRC_CSUM_TYPE_UNKNOWN,
                "invalid checksum type",
                crc.csum_type.0.into(),
                0,
            ));
        }
        if !crc.compression.is_known() {
            return Err(Invalid::with(
                FsckError::PTR_CRC_COMPRESSION_TYPE_UNKNOWN,
                "invalid compression type",
                crc.compression.0.into(),
                0,
            ));
        }
        let live_end = u64::from(crc.offset).saturating_add(crc.live_size.into());
        if live_end > crc.uncompressed_size.into() {
            return Err(Invalid::with(
                FsckError::PTR_CRC_UNCOMPRESSED_SIZE_TOO_SMALL,
                "checksum offset + key size > uncompressed size",
                live_end,
                crc.uncompressed_size.into(),
            ));
        }
        let max = ctx.encoded_extent_max;
        if crc.is_encoded() && max != 0 && crc.uncompressed_size > max && ctx.strict() {
            return Err(Invalid::with(
                FsckError::PTR_CRC_UNCOMPRESSED_SIZE_TOO_BIG,
                "too large encoded extent",
                crc.uncompressed_size.into(),
                max.into(),
            ));
        }
        if !crc.is_compressed() && crc.compressed_size != crc.uncompressed_size {
            return Err(Invalid::with(
                FsckError::PTR_CRC_UNCOMPRESSED_SIZE_MISMATCH,
                "not compressed but compressed != uncompressed size",
                crc.compressed_size.into(),
                crc.uncompressed_size.into(),
            ));
        }
        if encrypted {
            self.check_nonce(crc)?;
        }
        if self.crc {
            return Err(Invalid::new(
                FsckError::PTR_CRC_REDUNDANT,
                "redundant crc entry",
            ));
        }
        self.crc = true;
        self.sectors = crc.compressed_size;
        Ok(())
    }

    /// All copies of encrypted data are one stream: where they start in it must agree.
    fn check_nonce(&mut self, crc: &Crc) -> Result<(), Invalid> {
        let nonce = u32::from(crc.offset).saturating_add(crc.nonce.into());
        let first = *self.nonce.get_or_insert(nonce);
        if nonce != first {
            return Err(Invalid::with(
                FsckError::PTR_CRC_NONCE_MISMATCH,
                "incorrect nonce",
                nonce.into(),
                first.into(),
            ));
        }
        Ok(())
    }

    fn done(&self, key_type: KeyType, ctx: &ValidateCtx<'_>) -> Result<(), Invalid> {
        let problem = if self.nr_ptrs == 0 {
            (FsckError::EXTENT_PTRS_NO_PTRS, "no ptrs")
        } else if self.nr_ptrs > PTRS_MAX {
            return Err(Invalid::with(
                FsckError::EXTENT_PTRS_TOO_MANY_PTRS,
                "too many ptrs",
                u64_of(self.nr_ptrs),
                u64_of(PTRS_MAX),
            ));
        } else if self.written && self.unwritten {
            (
                FsckError::EXTENT_PTRS_WRITTEN_AND_UNWRITTEN,
                "extent with unwritten and written ptrs",
            )
        } else if self.unwritten && key_type != KeyType::EXTENT {
            (FsckError::EXTENT_PTRS_UNWRITTEN, "has unwritten ptrs")
        } else if self.crc {
            (FsckError::EXTENT_PTRS_REDUNDANT_CRC, "redundant crc entry")
        } else if self.stripe {
            (
                FsckError::EXTENT_PTRS_REDUNDANT_STRIPE,
                "redundant stripe entry",
            )
        } else if !self.is_btree_ptr && !self.readable {
            (
                FsckError::EXTENT_PTRS_ALL_INVALID,
                "extent without valid pointers",
            )
        } else if !self.is_btree_ptr && !self.readable_dirty && ctx.committing() {
            (
                FsckError::EXTENT_PTRS_ALL_INVALID,
                "extent without valid dirty pointers",
            )
        } else {
            return Ok(());
        };
        Err(Invalid::new(problem.0, problem.1))
    }
}

/// C: `bch2_extent_reconcile_validate()`.
fn reconcile(r: &Reconcile) -> Result<(), Invalid> {
    let data_replicas = 1 << 0;
    let problem = if r.pending() && r.need() == 0 {
        (
            FsckError::EXTENT_RECONCILE_BAD_PENDING,
            "pending incorrectly set",
        )
    } else if r.hipri() && r.need() & data_replicas == 0 {
        (
            FsckError::EXTENT_RECONCILE_BAD_HIPRI,
            "hipri incorrectly set",
        )
    } else if r.data_replicas() == 0 {
        (FsckError::EXTENT_RECONCILE_BAD_REPLICAS, "bad replicas")
    } else {
        return Ok(());
    };
    Err(Invalid::new(problem.0, problem.1))
}
