// SPDX-License-Identifier: GPL-2.0

//! The pass `check_xattrs`: whether extended attributes have an inode, and are where their names
//! are looked for.
//!
//! C: `bch2_check_xattrs()`.

use super::{
    files::{
        Files,
        Versions, //
    },
    hash::Hashed,
    seen::Seen, //
};
use crate::{
    algo::str_hash::HashInfo,
    btree::KeyBuf,
    error::Result,
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        values::inode::ROOT_INUM, //
    },
};

/// Checks extended attributes, and repairs them.
#[inline(never)]
pub fn check_xattrs(files: &mut Files<'_>) -> Result {
    let (btree, btrees) = (BtreeId::XATTRS, files.engine.btrees);
    let (mut seen, mut owner) = (Seen::default(), (0, Versions::default()));
    let mut keys = btrees.iter(btree, 0, Bpos::new(ROOT_INUM, 0, 0));
    while let Some(key) = keys.next()? {
        let k = key.k;
        if files.is_of_no_snapshot(btree, &k)? {
            continue;
        }
        seen.note(k.p)?;
        if k.key_type.is_whiteout() {
            continue;
        }
        let key = KeyBuf::copy_of(&key)?;
        if owner.0 != k.p.inode {
            owner = (k.p.inode, files.versions(k.p.inode)?);
        }
        if !files.has_inode(btree, &key, &mut owner.1)? {
            continue;
        }
        let inode = owner.1.of(files.table(), k.p.snapshot);
        if let Some(info) = inode.and_then(HashInfo::of) {
            Hashed { btree, info }.check(files, &key, &seen)?;
        }
    }
    Ok(())
}
