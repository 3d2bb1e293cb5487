// SPDX-License-Identifier: GPL-2.0

//! Buckets, backpointers, stripes, counters.

use super::{
    super::{
        accounting::{
            position_bytes,
            Counted,
            COUNTERS_MAX, //
        },
        alloc::{
            bucket_gens as decode_bucket_gens,
            Alloc,
            LruPos,
            LRU_TIME_MAX, //
        },
        backpointer::Backpointer,
        extent_entry::DEV_NONE,
        kinds::DataType,
        stripe::Stripe, //
    },
    context::ValidateCtx,
    ptrs,
};
use crate::{
    env::num::u64_of,
    error::{
        fsck::FsckError,
        Invalid, //
    },
    format::{
        bkey::{
            Key,
            Version as KeyVersion, //
        },
        bpos::Bpos,
        btree_id::BTREE_MAX_DEPTH,
        sb::Version, //
    },
};

/// From this version on, a bucket counts the stripes it is part of.
/// C: `bcachefs_metadata_version_bucket_stripe_index`.
const STRIPE_REFCOUNTS: Version = Version::new(1, 35);

/// C: `bch2_alloc_v1_validate()` and those up to v3: that the fields can be read.
pub(super) fn alloc_old(key: &Key<'_>, _: &ValidateCtx<'_>) -> Result<(), Invalid> {
    Alloc::decode(key).map(|_| ())
}

/// C: `bch2_alloc_v4_validate()`.
pub(super) fn alloc_v4(key: &Key<'_>, ctx: &ValidateCtx<'_>) -> Result<(), Invalid> {
    let Some(a) = Alloc::decode(key)? else {
        return Ok(());
    };
    let u64s = u64_of(key.v.len()).wrapping_shr(3);
    if a.v4_u64s() > u64s {
        return Err(Invalid::with(
            FsckError::ALLOC_V4_VAL_SIZE_BAD,
            "bad val size",
            a.v4_u64s(),
            u64s,
        ));
    }
    if a.backpointers_start == 0 && a.nr_backpointers != 0 {
        return Err(Invalid::new(
            FsckError::ALLOC_V4_BACKPOINTERS_START_BAD,
            "invalid backpointers_start",
        ));
    }
    check_data_type(&a, ctx)?;
    if let Some(&time) = a.io_time.iter().find(|&&time| time > LRU_TIME_MAX) {
        return Err(Invalid::with(
            FsckError::ALLOC_KEY_IO_TIME_BAD,
            "invalid io_time",
            time,
            LRU_TIME_MAX,
        ));
    }
    check_counts(&a, ctx)
}

/// That the type of data is what the counters say. Before 1.35 and from it on, the rules differ;
/// a key that was not written since the upgrade may still follow the earlier ones.
fn check_data_type(a: &Alloc, ctx: &ValidateCtx<'_>) -> Result<(), Invalid> {
    let fits = |refcounts| a.data_type_by_counts(a.data_type, refcounts) == a.data_type;
    if fits(true) || (ctx.version < STRIPE_REFCOUNTS && fits(false)) {
        return Ok(());
    }
    Err(Invalid::with(
        FsckError::ALLOC_KEY_DATA_TYPE_BAD,
        "invalid data type",
        a.data_type.0.into(),
        a.data_type_by_counts(a.data_type, ctx.version >= STRIPE_REFCOUNTS)
            .0
            .into(),
    ))
}

fn check_counts(a: &Alloc, ctx: &ValidateCtx<'_>) -> Result<(), Invalid> {
    // Words before the backpointers tell whether the key has the field.
    let stripe_sectors = match a.backpointers_start {
        0..=7 => 0,
        _ => a.stripe_sectors,
    };
    let in_stripe = a.stripe != 0;
    let problem = match a.data_type {
        DataType::FREE | DataType::NEED_GC_GENS | DataType::NEED_DISCARD
            if stripe_sectors != 0
                || a.dirty_sectors != 0
                || a.cached_sectors != 0
                || in_stripe =>
        {
            (
                FsckError::ALLOC_KEY_EMPTY_BUT_HAVE_DATA,
                "empty data type but have data",
            )
        }
        DataType::SB | DataType::JOURNAL | DataType::BTREE | DataType::USER | DataType::PARITY
            if a.dirty_sectors == 0
                && stripe_sectors == 0
                && !(in_stripe && ctx.version >= STRIPE_REFCOUNTS) =>
        {
            (
                FsckError::ALLOC_KEY_DIRTY_SECTORS_0,
                "data type of data but dirty_sectors==0",
            )
        }
        DataType::CACHED
            if a.cached_sectors == 0
                || a.dirty_sectors != 0
                || stripe_sectors != 0
                || in_stripe =>
        {
            (
                FsckError::ALLOC_KEY_CACHED_INCONSISTENCY,
                "data type inconsistency",
            )
        }
        _ => return Ok(()),
    };
    Err(Invalid::new(problem.0, problem.1))
}

/// C: `bch2_bucket_gens_validate()`.
pub(super) fn bucket_gens(key: &Key<'_>, _: &ValidateCtx<'_>) -> Result<(), Invalid> {
    decode_bucket_gens(key.v).map(|_| ())
}

/// C: `bch2_lru_validate()`.
pub(super) fn lru(key: &Key<'_>, _: &ValidateCtx<'_>) -> Result<(), Invalid> {
    if LruPos::decode(key.k.p).time == 0 {
        return Err(Invalid::new(
            FsckError::LRU_ENTRY_AT_TIME_0,
            "lru entry at time=0",
        ));
    }
    Ok(())
}

/// C: `bch2_backpointer_validate()`, without what needs the device.
pub(super) fn backpointer(key: &Key<'_>, _: &ValidateCtx<'_>) -> Result<(), Invalid> {
    let bp = Backpointer::decode(key.v)?;
    if bp.level > BTREE_MAX_DEPTH {
        return Err(Invalid::with(
            FsckError::BACKPOINTER_LEVEL_BAD,
            "backpointer level bad",
            bp.level.into(),
            BTREE_MAX_DEPTH.into(),
        ));
    }
    if key.k.p.inode == u64::from(DEV_NONE.0) {
        return Err(Invalid::new(
            FsckError::BACKPOINTER_DEV_BAD,
            "backpointer for no device",
        ));
    }
    Ok(())
}

/// C: `bch2_stripe_validate()`.
pub(super) fn stripe(key: &Key<'_>, ctx: &ValidateCtx<'_>) -> Result<(), Invalid> {
    let s = Stripe::decode(key.v)?;
    if key.k.p.same_place(Bpos::MIN) || key.k.p > Bpos::new(0, u32::MAX.into(), 0) {
        return Err(Invalid::new(FsckError::STRIPE_POS_BAD, "stripe at bad pos"));
    }
    if u64_of(key.v.len()) < s.bytes() {
        return Err(Invalid::with(
            FsckError::STRIPE_VAL_SIZE_BAD,
            "incorrect value size",
            u64_of(key.v.len()),
            s.bytes(),
        ));
    }
    if s.sectors == 0 {
        return Err(Invalid::new(
            FsckError::STRIPE_SECTORS_ZERO,
            "invalid sectors zero",
        ));
    }
    ptrs::ptrs(key, ctx)
}

/// C: `bch2_accounting_validate()`.
pub(super) fn accounting(key: &Key<'_>, ctx: &ValidateCtx<'_>) -> Result<(), Invalid> {
    let counted = Counted::decode(key.k.p, ctx.version);
    if matches!(counted, Counted::Unknown(_)) {
        return Ok(());
    }
    if ctx.committing() && key.k.version == KeyVersion::default() {
        return Err(Invalid::new(
            FsckError::ACCOUNTING_KEY_VERSION_0,
            "accounting key with version=0",
        ));
    }
    if let Counted::Replicas(r) = &counted {
        check_replicas(r.nr_devs, r.nr_required, r.devs().map(|dev| dev.0))?;
    }
    let bytes = position_bytes(key.k.p, ctx.version);
    let junk = bytes.iter().skip(counted.bytes_used()).any(|&b| b != 0);
    if junk {
        return Err(Invalid::new(
            FsckError::ACCOUNTING_KEY_JUNK_AT_END,
            "junk at end of accounting key",
        ));
    }
    let nr = key.v.len() >> 3;
    if nr > COUNTERS_MAX {
        return Err(Invalid::with(
            FsckError::ACCOUNTING_KEY_NR_COUNTERS_WRONG,
            "accounting key with too many counters",
            u64_of(nr),
            u64_of(COUNTERS_MAX),
        ));
    }
    Ok(())
}

fn check_replicas(
    nr_devs: u8,
    nr_required: u8,
    devs: impl Iterator<Item = u8>,
) -> Result<(), Invalid> {
    if nr_devs == 0 {
        return Err(Invalid::new(
            FsckError::ACCOUNTING_KEY_REPLICAS_NR_DEVS_0,
            "accounting key replicas entry with nr_devs=0",
        ));
    }
    if nr_required > nr_devs || (nr_required > 1 && nr_required == nr_devs) {
        return Err(Invalid::with(
            FsckError::ACCOUNTING_KEY_REPLICAS_NR_REQUIRED_BAD,
            "accounting key replicas entry with bad nr_required",
            nr_required.into(),
            nr_devs.into(),
        ));
    }
    let mut previous: Option<u8> = None;
    for dev in devs {
        if previous.is_some_and(|p| p != DEV_NONE.0 && p >= dev) {
            return Err(Invalid::with(
                FsckError::ACCOUNTING_KEY_REPLICAS_DEVS_UNSORTED,
                "accounting key replicas entry with unsorted devs",
                dev.into(),
                previous.unwrap_or(0).into(),
            ));
        }
        previous = Some(dev);
    }
    Ok(())
}
