// SPDX-License-Identifier: GPL-2.0

//! Walking the keys that the hash of a name can lead to: the one at the hash, and those at the
//! offsets right after it while there are keys.

use super::SubvolInum;
use crate::{
    error::Result,
    format::{
        bkey::Key,
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType, //
    },
    snapshots::View,
};

/// What a key turned out to be.
pub(super) enum Probed<T> {
    /// What was looked for.
    Found(T),
    /// Another name; what was looked for may come later.
    Other,
    /// Not a key anyone should see: it could be overwritten, nothing comes later.
    Hole,
}

/// Calls `check` with the keys of type `key_type`, and those that can not be used, from offset
/// `hash` on, until it finds what it looks for or there can be no more. Offsets whose key was
/// deleted while others followed hold a `hash_whiteout`.
///
/// C: `bch2_hash_lookup()`.
pub(super) fn probe<T>(
    view: &View,
    btree: BtreeId,
    key_type: KeyType,
    at: SubvolInum,
    hash: u64,
    mut check: impl FnMut(Key<'_>) -> Probed<T>,
) -> Result<Option<T>> {
    let snapshot = at.snapshot(view)?;
    let start = Bpos::new(at.inum, hash, snapshot);
    let end = Bpos::new(at.inum, u64::MAX, u32::MAX);
    let mut keys = view.range(btree, start, end, snapshot);
    let mut expected = Some(hash);
    while let Some(key) = keys.next()? {
        if key.k.p.inode != at.inum || Some(key.k.p.offset) != expected {
            break;
        }
        // A name that can not be read may be the one, and is no end of the chain.
        if key.k.key_type == key_type || key.k.key_type == KeyType::ERROR {
            match check(key) {
                Probed::Found(found) => return Ok(Some(found)),
                Probed::Other => (),
                Probed::Hole => break,
            }
        } else if key.k.key_type != KeyType::HASH_WHITEOUT {
            break;
        }
        expected = key.k.p.offset.checked_add(1);
    }
    Ok(None)
}
