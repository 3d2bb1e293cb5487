// SPDX-License-Identifier: GPL-2.0

//! What can be wrong with snapshot trees and subvolumes, and be repaired.

use crate::trees::{
    snapshots,
    subvolumes,
    trees, //
};
use sim::{
    btree::trans::TransResult,
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        values::{
            snapshot::Snapshot,
            subvolume::Subvolume, //
        },
    },
    init::Filesystem,
    snapshots::{
        keys::{
            put_snapshot,
            put_subvolume,
            put_tree,
            set_child, //
        },
        Writing,
    },
};

type Trans<'a> = sim::alloc::space::Trans<'a>;

fn change(fs: &Filesystem, mut f: impl FnMut(&mut Trans<'_>) -> TransResult) {
    let engine = fs.read_write().unwrap().engine();
    let w = Writing {
        btrees: engine.btrees,
        writer: engine.writer,
    };
    w.run(|t| {
        f(t)?;
        t.commit()
    })
    .unwrap();
}

/// A node with a parent that has one, too.
fn deep(fs: &Filesystem) -> (u32, Snapshot) {
    let all = snapshots(&fs.view);
    let mut deep = all.into_iter().filter(|(_, s)| s.depth > 1);
    deep.next().expect("a deep tree")
}

/// A subvolume that is a snapshot, and that is in another one.
fn snapshot(fs: &Filesystem) -> (u32, Subvolume) {
    let mut all = subvolumes(&fs.view).into_iter();
    all.find(|(_, s)| s.is_snapshot && s.fs_path_parent != 0)
        .expect("a snapshot")
}

/// Each does one thing.
pub(crate) const ALL: &[fn(&Filesystem)] = &[
    |fs| {
        let (id, mut s) = deep(fs);
        s.depth += 3;
        change(fs, |t| put_snapshot(t, id, &s));
    },
    |fs| {
        let (id, mut s) = deep(fs);
        s.skip = [u32::MAX - 1; 3];
        // Of another tree, or of none.
        s.skip = match snapshots(&fs.view)[&s.parent].parent {
            parent if s.skip[0] == parent => [u32::MAX - 2; 3],
            _ => s.skip,
        };
        change(fs, |t| put_snapshot(t, id, &s));
    },
    |fs| {
        let (id, mut s) = deep(fs);
        s.tree += 77;
        change(fs, |t| put_snapshot(t, id, &s));
    },
    |fs| {
        let all = snapshots(&fs.view);
        let (id, mut s) = all.into_iter().find(|s| s.1.children[0] != 0).unwrap();
        s.subvol = 1;
        change(fs, |t| put_snapshot(t, id, &s));
    },
    |fs| {
        let (id, mut tree) = trees(&fs.view).into_iter().next().unwrap();
        tree.master_subvol = 4000;
        change(fs, |t| put_tree(t, id, &tree));
    },
    |fs| {
        let (id, mut tree) = trees(&fs.view).into_iter().next().unwrap();
        tree.master_subvol = snapshot(fs).0;
        change(fs, |t| put_tree(t, id, &tree));
    },
    |fs| {
        let (id, tree) = trees(&fs.view).into_iter().next_back().unwrap();
        change(fs, |t| put_tree(t, id + 5, &tree));
    },
    |fs| {
        let (id, _) = trees(&fs.view).into_iter().next_back().unwrap();
        let pos = Bpos::new(0, id.into(), 0);
        change(fs, |t| t.delete(BtreeId::SNAPSHOT_TREES, pos));
    },
    |fs| {
        let (id, mut s) = snapshot(fs);
        s.is_snapshot = false;
        change(fs, |t| put_subvolume(t, id, &s));
    },
    |fs| {
        let (id, s) = snapshot(fs);
        change(fs, |t| set_child(t, s.fs_path_parent, id, false));
    },
    |fs| {
        let (id, s) = snapshot(fs);
        change(fs, |t| set_child(t, s.fs_path_parent + 1, id, true));
    },
    |fs| {
        let all = subvolumes(&fs.view);
        let mut root = all[&1];
        root.fs_path_parent = 1;
        change(fs, |t| put_subvolume(t, 1, &root));
    },
];
