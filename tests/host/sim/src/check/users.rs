// SPDX-License-Identifier: GPL-2.0

//! What users put into a filesystem, and what was made of it.

use crate::{
    format::{
        bpos::Bpos,
        btree_id::BtreeId, //
    },
    snapshots::View,
};
use std::collections::BTreeMap;

/// Btrees that are derived of others: all about space.
pub const DERIVED: [BtreeId; 7] = [
    BtreeId::ALLOC,
    BtreeId::FREESPACE,
    BtreeId::NEED_DISCARD,
    BtreeId::BACKPOINTERS,
    BtreeId::BUCKET_GENS,
    BtreeId::LRU,
    BtreeId::ACCOUNTING,
];

/// Keys by btree and position: their types and values.
pub type Keys = BTreeMap<(u8, Bpos), (u8, Vec<u8>)>;

/// What users see, or what leads to it; not what tells of the space that nodes take.
pub fn keys_of_users(view: &View) -> Keys {
    let mut keys = Keys::new();
    for btree in (0..BtreeId::ACCOUNTING.0).map(BtreeId) {
        if DERIVED.contains(&btree) {
            continue;
        }
        let mut iter = view.btrees.iter(btree, 0, Bpos::MIN);
        while let Some(key) = iter.next().unwrap() {
            let value = (key.k.key_type.0, key.v.to_vec());
            keys.insert((btree.0, key.k.p), value);
        }
    }
    keys
}
