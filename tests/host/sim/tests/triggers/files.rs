// SPDX-License-Identifier: GPL-2.0

//! Inodes in several snapshots.

use super::Fs;
use sim::{
    check::OwnedKey,
    format::{
        bkey::Bkey,
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        values::inode::{
            Inode,
            InodeFlags, //
        },
    },
};

/// An inode is made, changed or deleted.
pub(crate) fn inode(fs: &mut Fs) -> bool {
    let snapshot = u32::MAX - fs.rng.below(4) as u32;
    let pos = Bpos::new(0, 4096 + fs.rng.below(3), snapshot);
    let there = fs.s.inodes.get(&(pos.offset, snapshot)).copied();
    let mut flags = there.unwrap_or_default();
    let key_type = match (there, fs.rng.below(4)) {
        (Some(_), 0) => KeyType::INODE_GENERATION,
        (Some(_), 1) => KeyType::DELETED,
        (Some(_), _) => {
            flags.0 ^= InodeFlags::UNLINKED.0;
            KeyType::INODE_V3
        }
        (None, _) => {
            // A copy of one that had others below it, or not; here may be some below it or not.
            let below =
                fs.s.inodes
                    .range((pos.offset, 0)..(pos.offset, snapshot))
                    .next();
            if below.is_some() || fs.rng.below(2) == 0 {
                flags.0 |= InodeFlags::HAS_CHILD_SNAPSHOT.0;
            }
            KeyType::INODE_V3
        }
    };
    let inode = Inode {
        flags,
        mode: 0o100644,
        ..Inode::default()
    };
    let v = match key_type {
        KeyType::INODE_V3 => inode.encode().as_bytes().to_vec(),
        KeyType::INODE_GENERATION => vec![0; 8],
        _ => Vec::new(),
    };
    let k = Bkey {
        key_type,
        p: pos,
        ..Bkey::default()
    };
    fs.commit(vec![(BtreeId::INODES, 0, OwnedKey { k, v })]);
    true
}
