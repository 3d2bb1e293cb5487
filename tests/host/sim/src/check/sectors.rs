// SPDX-License-Identifier: GPL-2.0

//! What inodes say of how much space their files take: every version of every inode against the
//! extents that its snapshot sees.

use super::derived::Finding;
use crate::{
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        values::inode::Inode, //
    },
    snapshots::View,
};

/// Whether sectors of a key count. C: `bkey_extent_is_allocation()`.
fn is_allocation(key_type: KeyType) -> bool {
    matches!(
        key_type,
        KeyType::EXTENT
            | KeyType::RESERVATION
            | KeyType::REFLINK_P
            | KeyType::INLINE_DATA
            | KeyType::ERROR
    )
}

/// Inodes whose number of sectors is wrong. C: `check_i_sectors()`.
pub fn check_sectors(view: &View) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut inodes = view.btrees.iter(BtreeId::INODES, 0, Bpos::MIN);
    while let Some(key) = inodes.next().expect("readable") {
        let Some(inode) = Inode::decode(&key).expect("valid") else {
            continue;
        };
        let start = Bpos::new(inode.inum, 0, 0);
        let end = Bpos::new(inode.inum, u64::MAX, 0);
        let mut extents = view.range(BtreeId::EXTENTS, start, end, inode.snapshot);
        let mut sectors = 0;
        while let Some(k) = extents.advance().expect("readable") {
            if is_allocation(k.key_type) {
                sectors += u64::from(k.size);
            }
        }
        if sectors != inode.sectors {
            findings.push(Finding {
                what: "inode sectors".to_owned(),
                at: key.k.p.to_string(),
                stored: inode.sectors.to_string(),
                want: sectors.to_string(),
            });
        }
    }
    findings
}
