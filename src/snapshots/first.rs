// SPDX-License-Identifier: GPL-2.0

//! The keys of the snapshot tree and the subvolume that every filesystem begins with.

use crate::{
    btree::KeyBuf,
    env::Vec,
    error::Result,
    format::{
        bkey::Bkey,
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        values::{
            snapshot::{
                Snapshot,
                SnapshotState,
                SnapshotTree, //
            },
            subvolume::{
                SubvolState,
                Subvolume,
                ROOT_SUBVOL, //
            },
        },
    },
};

/// The snapshot that the first subvolume is at.
pub const FIRST_SNAPSHOT: u32 = u32::MAX;
/// The tree that it is the root of.
const FIRST_TREE: u32 = 1;

/// Adds these keys to `keys`. `root` is the inode number of the root directory.
///
/// C: `bch2_initialize_subvolumes()`.
pub fn first_subvolume(root: u64, keys: &mut Vec<(BtreeId, KeyBuf)>) -> Result {
    let tree = SnapshotTree {
        master_subvol: ROOT_SUBVOL,
        root_snapshot: FIRST_SNAPSHOT,
    };
    let snapshot = Snapshot {
        flags: Snapshot::IS_SUBVOL,
        parent: 0,
        children: [0; 2],
        subvol: ROOT_SUBVOL,
        tree: FIRST_TREE,
        depth: 0,
        skip: [0; 3],
        btime_lo: 0,
        btime_hi: 0,
        state: SnapshotState::Live,
        has_state: false,
        pad: 0,
    };
    let subvolume = Subvolume {
        read_only: false,
        is_snapshot: false,
        snapshot: FIRST_SNAPSHOT,
        inode: root,
        creation_parent: 0,
        fs_path_parent: 0,
        otime_lo: 0,
        otime_hi: 0,
        state: SubvolState::Live,
        has_state: false,
        pad: 0,
    };
    let mut add = |btree, key_type, offset: u32, value: &[u8]| -> Result {
        let k = Bkey {
            key_type,
            p: Bpos::new(0, offset.into(), 0),
            ..Bkey::default()
        };
        keys.push((btree, KeyBuf::of(k, value)?))
    };
    add(
        BtreeId::SNAPSHOT_TREES,
        KeyType::SNAPSHOT_TREE,
        FIRST_TREE,
        &tree.encode(),
    )?;
    add(
        BtreeId::SNAPSHOTS,
        KeyType::SNAPSHOT,
        FIRST_SNAPSHOT,
        &snapshot.encode(),
    )?;
    add(
        BtreeId::SUBVOLUMES,
        KeyType::SUBVOLUME,
        ROOT_SUBVOL,
        &subvolume.encode(),
    )
}
