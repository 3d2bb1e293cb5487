// SPDX-License-Identifier: GPL-2.0

//! The table of checks by key type.

use super::{
    context::ValidateCtx,
    files,
    header,
    ptrs,
    space,
    trees, //
};
use crate::{
    env::num::u64_of,
    error::{
        fsck::FsckError,
        Invalid, //
    },
    format::{
        bkey::Key,
        btree_id::BtreeId,
        key_type::KeyType, //
    },
};

/// The check of one key type's value, which has at least the bytes the table says.
pub(super) type Check = fn(&Key<'_>, &ValidateCtx<'_>) -> Result<(), Invalid>;

/// Least bytes of a value, and its check. C: `struct bkey_ops`.
#[derive(Clone, Copy)]
struct Row {
    bytes_min: usize,
    check: Check,
}

fn anything(_: &Key<'_>, _: &ValidateCtx<'_>) -> Result<(), Invalid> {
    Ok(())
}

/// C: `empty_val_key_validate()`.
fn empty(key: &Key<'_>, _: &ValidateCtx<'_>) -> Result<(), Invalid> {
    if key.v.is_empty() {
        return Ok(());
    }
    Err(Invalid::with(
        FsckError::BKEY_VAL_SIZE_NONZERO,
        "incorrect value size",
        u64_of(key.v.len()),
        0,
    ))
}

/// C: `bch2_bkey_ops`.
fn row(key_type: KeyType) -> Option<Row> {
    let (bytes_min, check): (usize, Check) = match key_type {
        KeyType::DELETED
        | KeyType::WHITEOUT
        | KeyType::EXTENT_WHITEOUT
        | KeyType::ERROR
        | KeyType::INLINE_DATA => (0, anything),
        KeyType::COOKIE | KeyType::INDIRECT_INLINE_DATA => (8, anything),
        KeyType::HASH_WHITEOUT | KeyType::SET => (0, empty),
        KeyType::BTREE_PTR => (0, ptrs::btree_ptr),
        KeyType::BTREE_PTR_V2 => (40, ptrs::btree_ptr_v2),
        KeyType::EXTENT => (0, ptrs::ptrs),
        KeyType::REFLINK_V => (8, ptrs::reflink_v),
        KeyType::STRIPE => (8, space::stripe),
        KeyType::RESERVATION => (8, files::reservation),
        KeyType::REFLINK_P => (16, files::reflink_p),
        KeyType::INODE => (16, files::inode),
        KeyType::INODE_V2 => (32, files::inode),
        KeyType::INODE_V3 => (48, files::inode_v3),
        KeyType::INODE_GENERATION => (8, files::inode_generation),
        KeyType::INODE_ALLOC_CURSOR => (16, files::inode_alloc_cursor),
        KeyType::DIRENT => (16, files::dirent),
        KeyType::XATTR => (8, files::xattr),
        KeyType::QUOTA => (32, files::quota),
        KeyType::DAMAGE => (16, files::damage),
        KeyType::LOGGED_OP_TRUNCATE | KeyType::LOGGED_OP_FINSERT => (24, anything),
        KeyType::LOGGED_OP_STRIPE_UPDATE => (40, anything),
        KeyType::ALLOC | KeyType::ALLOC_V2 => (8, space::alloc_old),
        KeyType::ALLOC_V3 => (16, space::alloc_old),
        KeyType::ALLOC_V4 => (48, space::alloc_v4),
        KeyType::BUCKET_GENS => (0, space::bucket_gens),
        KeyType::LRU => (8, space::lru),
        KeyType::BACKPOINTER => (32, space::backpointer),
        KeyType::ACCOUNTING => (8, space::accounting),
        KeyType::SUBVOLUME => (16, trees::subvolume),
        KeyType::SNAPSHOT => (24, trees::snapshot),
        KeyType::SNAPSHOT_TREE => (8, trees::snapshot_tree),
        _ => return None,
    };
    Some(Row { bytes_min, check })
}

/// Checks a key: what holds for all keys at its place, then its value. C: `bch2_bkey_validate()`.
pub fn validate_key(key: &Key<'_>, ctx: &ValidateCtx<'_>) -> Result<(), Invalid> {
    header::check(&key.k, ctx)?;
    validate_value(key, ctx)
}

/// Checks a key's value; those of unknown types pass. C: `bch2_bkey_val_validate()`.
pub fn validate_value(key: &Key<'_>, ctx: &ValidateCtx<'_>) -> Result<(), Invalid> {
    let Some(row) = row(key.k.key_type) else {
        return Ok(());
    };
    super::super::raw::at_least(key.v, row.bytes_min)?;
    (row.check)(key, ctx)
}

/// [`validate_key`] for a key read from a node at `level` of `btree`, by what can be told without
/// knowing the filesystem.
pub fn validate(btree: BtreeId, level: u8, key: &Key<'_>) -> Result<(), Invalid> {
    validate_key(key, &ValidateCtx::new(btree, level))
}
