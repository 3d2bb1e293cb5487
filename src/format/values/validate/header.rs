// SPDX-License-Identifier: GPL-2.0

//! What holds for keys of any type.

use super::context::ValidateCtx;
use crate::{
    error::{
        fsck::FsckError,
        Invalid, //
    },
    format::{
        bkey::Bkey,
        bpos::Bpos,
        key_type::KeyType, //
    },
};

/// Key types that C did not check against the btree until a version did not write them wrongly
/// any more: found on disk, they are tolerated in any leaf.
/// C: types without `BKEY_TYPE_strict_btree_checks`.
const TOLERATED: u64 = KeyType::DELETED.bit()
    | KeyType::WHITEOUT.bit()
    | KeyType::ERROR.bit()
    | KeyType::COOKIE.bit()
    | KeyType::SET.bit()
    | KeyType::EXTENT_WHITEOUT.bit();

/// Key types an inner node may hold.
const INNER_TYPES: u64 =
    KeyType::DELETED.bit() | KeyType::BTREE_PTR.bit() | KeyType::BTREE_PTR_V2.bit();

/// Checks a key's type, size and position. C: `__bch2_bkey_validate()`.
pub(super) fn check(k: &Bkey, ctx: &ValidateCtx<'_>) -> Result<(), Invalid> {
    let inner = ctx.level != 0;
    if !inner && ctx.btree.name().is_none() {
        return Ok(());
    }
    check_type(k, ctx, inner)?;
    check_size(k, !inner && ctx.btree.is_extents())?;
    if inner {
        return Ok(());
    }
    let snapshot = u64::from(k.p.snapshot);
    if ctx.btree.has_snapshots() {
        if snapshot == 0 {
            return Err(Invalid::new(FsckError::BKEY_SNAPSHOT_ZERO, "snapshot == 0"));
        }
    } else if !ctx.btree.has_snapshot_field() && snapshot != 0 {
        return Err(Invalid::with(
            FsckError::BKEY_SNAPSHOT_NONZERO,
            "nonzero snapshot",
            snapshot,
            0,
        ));
    }
    if k.p.same_place(Bpos::MAX) {
        return Err(Invalid::new(FsckError::BKEY_AT_POS_MAX, "key at POS_MAX"));
    }
    Ok(())
}

fn check_type(k: &Bkey, ctx: &ValidateCtx<'_>, inner: bool) -> Result<(), Invalid> {
    if k.key_type.name().is_none() {
        return Ok(());
    }
    let allowed = if inner {
        INNER_TYPES
    } else if ctx.committing() {
        ctx.btree.leaf_types() | KeyType::DELETED.bit()
    } else {
        ctx.btree.leaf_types() | TOLERATED
    };
    if allowed & k.key_type.bit() == 0 {
        return Err(Invalid::with(
            FsckError::BKEY_INVALID_TYPE_FOR_BTREE,
            "invalid key type for btree",
            k.key_type.0.into(),
            ctx.btree.0.into(),
        ));
    }
    Ok(())
}

fn check_size(k: &Bkey, is_extent: bool) -> Result<(), Invalid> {
    let size = u64::from(k.size);
    if !is_extent || k.key_type.is_extent_whiteout() {
        if size != 0 {
            return Err(Invalid::with(
                FsckError::BKEY_SIZE_NONZERO,
                "size != 0",
                size,
                0,
            ));
        }
    } else if size == 0 {
        return Err(Invalid::new(FsckError::BKEY_EXTENT_SIZE_ZERO, "size == 0"));
    } else if size > k.p.offset {
        return Err(Invalid::with(
            FsckError::BKEY_EXTENT_SIZE_GREATER_THAN_OFFSET,
            "size greater than offset",
            size,
            k.p.offset,
        ));
    }
    Ok(())
}
