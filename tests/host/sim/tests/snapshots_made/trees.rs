// SPDX-License-Identifier: GPL-2.0

//! What has to be true of snapshot trees and subvolumes, as the check of the C implementation has
//! it; read anew, and compared the simple way.

use sim::{
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        values::{
            dirent::{
                dirent,
                FileType,
                Target, //
            },
            inode::Inode,
            snapshot::{
                Snapshot,
                SnapshotTree, //
            },
            subvolume::{
                SubvolState,
                Subvolume, //
            },
        },
    },
    fs::{
        inode::find,
        SubvolInum, //
    },
    snapshots::View,
};
use std::collections::{
    BTreeMap,
    BTreeSet, //
};

fn read<T>(view: &View, btree: BtreeId, decode: impl Fn(&[u8]) -> T) -> BTreeMap<u32, T> {
    let mut all = BTreeMap::new();
    let mut iter = view.btrees.iter(btree, 0, Bpos::MIN);
    while let Some(key) = iter.next().unwrap() {
        all.insert(key.k.p.offset as u32, decode(key.v));
    }
    all
}

pub(crate) fn snapshots(view: &View) -> BTreeMap<u32, Snapshot> {
    read(view, BtreeId::SNAPSHOTS, |v| Snapshot::decode(v).unwrap())
}

pub(crate) fn subvolumes(view: &View) -> BTreeMap<u32, Subvolume> {
    read(view, BtreeId::SUBVOLUMES, |v| Subvolume::decode(v).unwrap())
}

pub(crate) fn trees(view: &View) -> BTreeMap<u32, SnapshotTree> {
    read(view, BtreeId::SNAPSHOT_TREES, |v| {
        SnapshotTree::decode(v).unwrap()
    })
}

/// How many subvolumes without a name, and nodes that are not needed, there are.
pub(crate) fn nr_to_go(view: &View) -> usize {
    let (nodes, subvols) = (snapshots(view), subvolumes(view));
    let is_needed = |s: &&Snapshot| {
        let nr = s.children.iter().filter(|c| **c != 0).count();
        nr == 2 || nr == 0 && s.flags & Snapshot::IS_SUBVOL != 0
    };
    let unlinked = subvols.values().filter(|s| s.state != SubvolState::Live);
    nodes.values().filter(|s| !is_needed(s)).count() + unlinked.count()
}

fn is_ancestor(all: &BTreeMap<u32, Snapshot>, mut id: u32, above: u32) -> bool {
    while id < above && id != 0 {
        id = all.get(&id).map_or(0, |s| s.parent);
    }
    id == above
}

fn check_nodes(nodes: &BTreeMap<u32, Snapshot>, trees: &BTreeMap<u32, SnapshotTree>) {
    let mut used = BTreeSet::new();
    for (id, s) in nodes {
        let what = format!("snapshot {id}: {s}");
        let parent = nodes.get(&s.parent);
        assert_eq!(parent.is_none(), s.parent == 0, "{what}");
        assert!(parent.is_none_or(|p| p.children.contains(id)), "{what}");
        for c in s.children.into_iter().filter(|c| *c != 0) {
            assert_eq!(nodes[&c].parent, *id, "{what}");
        }
        assert_eq!(s.depth, parent.map_or(0, |p| p.depth + 1), "{what}");
        for skip in s.skip {
            match s.parent {
                0 => assert_eq!(skip, 0, "{what}"),
                parent => assert!(is_ancestor(nodes, parent, skip), "{what}"),
            }
        }
        assert!(s.skip.is_sorted(), "{what}");
        let root = trees[&s.tree].root_snapshot;
        assert!(is_ancestor(nodes, *id, root), "{what}");
        used.insert(s.tree);
    }
    assert_eq!(used, trees.keys().copied().collect());
}

/// Panics when something is wrong; with `is_reaped`, also when there is something that should be
/// gone.
pub(crate) fn check_trees(view: &View, is_reaped: bool) {
    let (nodes, subvols) = (snapshots(view), subvolumes(view));
    let trees = trees(view);
    check_nodes(&nodes, &trees);
    for (id, tree) in &trees {
        let what = format!("tree {id}: {tree}");
        assert_eq!(nodes[&tree.root_snapshot].tree, *id, "{what}");
        match subvols.get(&tree.master_subvol) {
            Some(s) => {
                assert!(
                    is_ancestor(&nodes, s.snapshot, tree.root_snapshot),
                    "{what}"
                );
                assert!(!s.is_snapshot, "{what}");
            }
            None => assert!(!is_reaped, "{what}"),
        }
    }
    let mut children = BTreeSet::new();
    for (id, s) in &subvols {
        let what = format!("subvolume {id}: {s}");
        let node = &nodes[&s.snapshot];
        assert!(node.children == [0; 2] && node.subvol == *id, "{what}");
        assert!(node.flags & Snapshot::IS_SUBVOL != 0, "{what}");
        if !s.is_snapshot {
            assert_eq!(trees[&node.tree].master_subvol, *id, "{what}");
        }
        if s.fs_path_parent != 0 {
            children.insert((u64::from(s.fs_path_parent), u64::from(*id)));
            assert!(subvols.contains_key(&s.fs_path_parent), "{what}");
        }
        let made_from = s.creation_parent;
        assert!(made_from == 0 || subvols.contains_key(&made_from), "{what}");
        let root = SubvolInum {
            subvol: *id,
            inum: s.inode,
        };
        let inode = find(view, root).unwrap();
        assert_eq!(inode.subvol, *id, "{what}");
        if s.state == SubvolState::Live {
            assert_eq!(inode.parent_subvol, s.fs_path_parent, "{what}");
        }
    }
    let mut found = BTreeSet::new();
    let mut iter = view.btrees.iter(BtreeId::SUBVOLUME_CHILDREN, 0, Bpos::MIN);
    while let Some(k) = iter.advance().unwrap() {
        found.insert((k.p.inode, k.p.offset));
    }
    assert_eq!(found, children);
    for (id, s) in nodes.iter().filter(|(_, s)| s.subvol != 0) {
        assert_eq!(subvols[&s.subvol].snapshot, *id);
    }
    let mut iter = view.btrees.iter(BtreeId::INODES, 0, Bpos::MIN);
    while let Some(key) = iter.next().unwrap() {
        let inode = Inode::decode(&key).unwrap();
        let Some(inode) = inode.filter(|i| i.subvol != 0 && is_reaped) else {
            continue;
        };
        let what = format!("root {}: {inode}", key.k);
        let s = subvols.get(&inode.subvol).expect(&what);
        assert_eq!(s.inode, inode.inum, "{what}");
        assert!(is_ancestor(&nodes, s.snapshot, key.k.p.snapshot), "{what}");
    }
    for btree in [
        BtreeId::EXTENTS,
        BtreeId::INODES,
        BtreeId::DIRENTS,
        BtreeId::XATTRS,
    ] {
        let mut iter = view.btrees.iter(btree, 0, Bpos::MIN);
        while let Some(k) = iter.advance().unwrap() {
            assert!(nodes.contains_key(&k.p.snapshot), "{btree}: {k}");
        }
    }
    if is_reaped {
        assert_eq!(nr_to_go(view), 0);
        check_links(view, &nodes);
    }
}

/// What snapshots have at a place: the file that an entry leads to.
type Versions = Vec<(u32, Option<u64>)>;

/// Each version of a file has as many names as its snapshot sees.
fn check_links(view: &View, nodes: &BTreeMap<u32, Snapshot>) {
    let mut entries: BTreeMap<(u64, u64), Versions> = BTreeMap::new();
    let mut iter = view.btrees.iter(BtreeId::DIRENTS, 0, Bpos::MIN);
    while let Some(key) = iter.next().unwrap() {
        let leads_to = match dirent(&key).unwrap().map(|d| (d.target, d.file_type)) {
            Some((Target::Inode(inum), kind)) if kind != FileType::DIR => Some(inum),
            _ => None,
        };
        let place = entries.entry((key.k.p.inode, key.k.p.offset)).or_default();
        place.push((key.k.p.snapshot, leads_to));
    }
    let mut iter = view.btrees.iter(BtreeId::INODES, 0, Bpos::MIN);
    while let Some(key) = iter.next().unwrap() {
        let inode = Inode::decode(&key).unwrap().filter(|i| !i.is_dir());
        let Some(inode) = inode.filter(|i| i.links() != 0) else {
            continue;
        };
        let sees = |keys: &&Versions| {
            let mut mine = keys.iter();
            let mine = mine.find(|k| is_ancestor(nodes, key.k.p.snapshot, k.0));
            mine.is_some_and(|k| k.1 == Some(inode.inum))
        };
        let found = entries.values().filter(sees).count();
        assert_eq!(found, inode.links() as usize, "{}: {inode}", key.k);
    }
}
