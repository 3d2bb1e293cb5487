// SPDX-License-Identifier: GPL-2.0

//! Whether a key may be where it was found, by its header.

use crate::{
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

/// Checks a key's header against the btree and level it was found in.
///
/// C: `__bch2_bkey_validate()`.
pub(crate) fn check_key(btree: BtreeId, level: u8, key: &Key<'_>) -> Result<(), Invalid> {
    let k = &key.k;
    let bad = |id, what, found: u64, limit: u64| Err(Invalid::with(id, what, found, limit));
    if level > 0 {
        let pointers = KeyType::BTREE_PTR.bit() | KeyType::BTREE_PTR_V2.bit();
        if k.key_type != KeyType::DELETED && k.key_type.bit() & pointers == 0 {
            let (id, what) = (
                FsckError::BKEY_INVALID_TYPE_FOR_BTREE,
                "type in an interior node",
            );
            return bad(id, what, u64::from(k.key_type.0), 0);
        }
        return Ok(());
    }
    if btree.name().is_none() {
        return Ok(());
    }
    let size = u64::from(k.size);
    if btree.is_extents() && !k.key_type.is_extent_whiteout() {
        if size == 0 {
            return bad(FsckError::BKEY_EXTENT_SIZE_ZERO, "extent of no size", 0, 0);
        }
        if size > k.p.offset {
            let (id, what) = (
                FsckError::BKEY_EXTENT_SIZE_GREATER_THAN_OFFSET,
                "size of an extent, against where it ends",
            );
            return bad(id, what, size, k.p.offset);
        }
    } else if size != 0 {
        return bad(FsckError::BKEY_SIZE_NONZERO, "size, not an extent", size, 0);
    }
    let snapshot = u64::from(k.p.snapshot);
    if btree.has_snapshots() && snapshot == 0 {
        return bad(FsckError::BKEY_SNAPSHOT_ZERO, "no snapshot", 0, 0);
    }
    if !btree.has_snapshot_field() && snapshot != 0 {
        return bad(FsckError::BKEY_SNAPSHOT_NONZERO, "snapshot", snapshot, 0);
    }
    Ok(())
}
