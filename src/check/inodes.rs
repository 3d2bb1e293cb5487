// SPDX-License-Identifier: GPL-2.0

//! Inodes, to the passes that compare them with other keys.

use crate::{
    alloc::space::Engine,
    btree::Btrees,
    data::inode_put,
    error::Result,
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        values::inode::Inode, //
    },
    journal::live::Watermark,
};

/// Whether all keys of a btree can be relied on.
pub(super) fn is_whole(btrees: &Btrees, btree: BtreeId) -> bool {
    let sb = &btrees.sb().sb;
    let lost = sb.ext().is_some_and(|e| e.has_lost_data(btree));
    !lost && !btrees.health.is_damaged(btree)
}

/// The versions of an inode.
pub(super) enum Versions {
    None,
    One(Inode),
    /// Or what can not be read.
    Several,
}

/// How many snapshots have a version of the inode `inum`.
pub(super) fn versions(btrees: &Btrees, inum: u64) -> Result<Versions> {
    let end = Bpos::new(0, inum, u32::MAX);
    let mut iter = btrees
        .iter(BtreeId::INODES, 0, Bpos::new(0, inum, 0))
        .until(end);
    let mut all = Versions::None;
    while let Some(key) = iter.next()?.filter(|k| k.k.p <= end) {
        if matches!(
            key.k.key_type,
            KeyType::WHITEOUT | KeyType::INODE_GENERATION
        ) {
            continue;
        }
        all = match (all, Inode::decode(&key)) {
            (Versions::None, Ok(Some(inode))) if key.k.key_type == KeyType::INODE_V3 => {
                Versions::One(inode)
            }
            _ => return Ok(Versions::Several),
        };
    }
    Ok(all)
}

/// Changes an inode, if it is there.
#[inline(never)]
pub(super) fn change_inode(
    engine: Engine<'_>,
    inum: u64,
    snapshot: u32,
    change: impl Fn(&mut Inode),
) -> Result {
    let pos = Bpos::new(0, inum, snapshot);
    engine.run(Watermark::Reclaim, |t| {
        let old = t.get(BtreeId::INODES, pos)?;
        let inode = old.as_ref().and_then(|k| Inode::decode(&k.key()).ok()?);
        let Some(mut inode) = inode else {
            t.reset();
            return Ok(());
        };
        change(&mut inode);
        inode_put(t, &inode)?;
        t.commit().map(|_| ())
    })
}
