// SPDX-License-Identifier: GPL-2.0

//! Transactions on what one snapshot sees: read, and changed for that snapshot alone.
//!
//! Files are changed in snapshots of subvolumes, which have no descendants. So a key of an ancestor
//! is never touched: who changes what it says puts a key of its own in front of it, and who deletes
//! it a whiteout.

use super::Table;
use crate::{
    btree::{
        trans::{
            Hooks,
            Trans,
            TransResult, //
        },
        KeyBuf, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType, //
    },
};

/// The key at `pos` that `pos.snapshot` sees, staged updates included. It stays as it is until the
/// commit.
///
/// C: `bch2_bkey_get_iter()` with `BTREE_ITER_filter_snapshots`.
pub fn lookup_visible<H: Hooks>(
    t: &mut Trans<'_, H>,
    table: &Table,
    btree: BtreeId,
    pos: Bpos,
) -> TransResult<Option<KeyBuf>> {
    if !btree.has_snapshots() {
        return t.get(btree, pos);
    }
    if btree.uses_key_cache() {
        // Most likely it is there, and then no other key has to be looked at.
        if let Some(key) = t.get(btree, pos)? {
            return Ok(Some(key).filter(|k| !k.k.key_type.is_extent_whiteout()));
        }
    }
    let key = nearest(t, table, btree, pos, pos)?;
    Ok(key.filter(|k| !k.k.key_type.is_extent_whiteout()))
}

/// The first key at `from` or above that is the snapshot's of `pos`, or an ancestor's, at the place
/// of `pos`; whiteouts, too.
fn nearest<H: Hooks>(
    t: &mut Trans<'_, H>,
    table: &Table,
    btree: BtreeId,
    pos: Bpos,
    mut from: Bpos,
) -> TransResult<Option<KeyBuf>> {
    let until = pos.with_snapshot(u32::MAX);
    while let Some(key) = t.next(btree, from, until)? {
        if table.is_ancestor(pos.snapshot, key.k.p.snapshot) {
            return Ok(Some(key));
        }
        if key.k.p.snapshot == u32::MAX {
            break;
        }
        from = key.k.p.successor();
    }
    Ok(None)
}

/// The first key that `from.snapshot` sees at or after the place of `from`, up to that of `end`,
/// whose snapshot does not count. An extent is at the place where it ends. Leaves that were gone
/// over stay locked.
///
/// C: `bch2_btree_iter_peek_max()` with `BTREE_ITER_filter_snapshots`.
pub fn next_visible<H: Hooks>(
    t: &mut Trans<'_, H>,
    table: &Table,
    btree: BtreeId,
    from: Bpos,
    end: Bpos,
) -> TransResult<Option<KeyBuf>> {
    if !btree.has_snapshots() {
        return t.next(btree, from, end);
    }
    let (snapshot, until) = (from.snapshot, end.with_snapshot(u32::MAX));
    let mut at = from;
    while let Some(key) = t.next(btree, at, until)? {
        let p = key.k.p;
        // Those of ids below ours are no ancestors.
        at = if p.snapshot < snapshot {
            p.with_snapshot(snapshot)
        } else if !table.is_ancestor(snapshot, p.snapshot) {
            p.successor()
        } else if key.k.key_type.is_extent_whiteout() {
            p.next_offset().with_snapshot(snapshot)
        } else {
            return Ok(Some(key));
        };
        if at > until || at <= p {
            break;
        }
    }
    Ok(None)
}

/// Stages `key`, which is of the snapshot of its position and no extent.
///
/// C: `bch2_trans_update()`, `bch2_btree_insert_trans()`.
pub fn update_visible<H: Hooks>(
    t: &mut Trans<'_, H>,
    table: &Table,
    btree: BtreeId,
    key: KeyBuf,
) -> TransResult {
    if key.is_deleted() {
        return delete_visible(t, table, btree, key.k.p);
    }
    t.update(btree, key)
}

/// Has `pos.snapshot` see no key at `pos`: its own is deleted, and if then an ancestor's would show
/// through, a whiteout takes its place. Not for extents.
///
/// C: `bch2_btree_delete_at()`, `need_whiteout_for_snapshot()`.
pub fn delete_visible<H: Hooks>(
    t: &mut Trans<'_, H>,
    table: &Table,
    btree: BtreeId,
    pos: Bpos,
) -> TransResult {
    let mut deletion = KeyBuf::deletion(pos);
    if btree.has_snapshots() && pos.snapshot != u32::MAX {
        let above = nearest(t, table, btree, pos, pos.successor())?;
        if above.is_some_and(|k| !k.k.key_type.is_whiteout()) {
            deletion.k.key_type = KeyType::WHITEOUT;
        }
    }
    t.update(btree, deletion)
}
