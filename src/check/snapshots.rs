// SPDX-License-Identifier: GPL-2.0

//! The passes `check_snapshot_trees` and `check_snapshots`: snapshot trees.

use super::{
    trees::{
        broken,
        get,
        get_mut,
        repair,
        Trees, //
    },
    Outcome,
    Report, //
};
use crate::{
    alloc::space::Engine,
    error::{
        fsck::FsckError,
        Error,
        Result, //
    },
    format::{
        btree_id::BtreeId,
        values::{
            snapshot::{
                Snapshot,
                SnapshotState,
                SnapshotTree, //
            },
            subvolume::{
                SubvolState,
                Subvolume, //
            },
        },
    },
    snapshots::{
        keys::{
            delete,
            put_snapshot,
            put_subvolume,
            put_tree, //
        },
        skip_from,
    },
};

/// Each tree has a root that says so, and one subvolume that the others were made of.
///
/// C: `bch2_check_snapshot_trees()`.
#[inline(never)]
pub fn check_snapshot_trees(engine: Engine<'_>, report: &mut Report) -> Result {
    let mut all = Trees::read(engine.btrees)?;
    for at in 0..all.trees.len() {
        if let Some((id, tree)) = all.trees.get(at).copied() {
            check_tree(engine, report, &mut all, id, tree)?;
        }
    }
    Ok(())
}

/// C: `check_snapshot_tree()`.
fn check_tree(
    engine: Engine<'_>,
    report: &mut Report,
    all: &mut Trees,
    id: u32,
    mut tree: SnapshotTree,
) -> Result {
    let st = engine.btrees.sb();
    let root = get(&all.nodes, tree.root_snapshot);
    if root.is_none_or(|s| s.parent != 0 || s.tree != id) {
        let what = FsckError::SNAPSHOT_TREE_TO_MISSING_SNAPSHOT;
        let outcome = report.found(
            st,
            what,
            format_args!("snapshot tree {id} points to no root of it: {tree}"),
        )?;
        if outcome == Outcome::Repair {
            repair(engine, |t| delete(t, BtreeId::SNAPSHOT_TREES, id))?;
        }
        return Ok(());
    }
    let is_in_tree = |s: &Subvolume| all.is_ancestor(s.snapshot, tree.root_snapshot);
    let wrong = match get(&all.subvols, tree.master_subvol) {
        // The C implementation leaves it so when it deletes that subvolume: then it is no damage.
        None => None,
        Some(s) if !is_in_tree(&s) => Some((
            FsckError::SNAPSHOT_TREE_TO_WRONG_SUBVOL,
            "a subvolume of another tree",
        )),
        Some(s) if s.is_snapshot => Some((
            FsckError::SNAPSHOT_TREE_TO_SNAPSHOT_SUBVOL,
            "a subvolume that is a snapshot",
        )),
        Some(_) => return Ok(()),
    };
    let mut others = all.subvols.iter().filter(|(_, s)| is_in_tree(s));
    let live = |(_, s): &&(u32, Subvolume)| s.state == SubvolState::Live;
    let master = others.clone().find(|s| !s.1.is_snapshot);
    let master = master.or_else(|| others.clone().find(live));
    let Some((master, mut subvol)) = master.or_else(|| others.next()).copied() else {
        // The tree is going: there is no subvolume in it.
        return Ok(());
    };
    if let Some((kind, text)) = wrong {
        let outcome = report.found(
            st,
            kind,
            format_args!("snapshot tree {id} points to {text}: {tree}"),
        )?;
        if outcome != Outcome::Repair {
            return Ok(());
        }
    }
    tree.master_subvol = master;
    subvol.is_snapshot = false;
    repair(engine, |t| {
        put_subvolume(t, master, &subvol)?;
        put_tree(t, id, &tree)
    })?;
    if let Some(s) = get_mut(&mut all.subvols, master) {
        *s = subvol;
    }
    Ok(())
}

/// Nodes have the parents and children that say so, the subvolumes that are at them, and know their
/// trees, depths and ancestors.
///
/// C: `bch2_check_snapshots()`.
#[inline(never)]
pub fn check_snapshots(engine: Engine<'_>, report: &mut Report) -> Result {
    let mut all = Trees::read(engine.btrees)?;
    // Parents come first: depths count from them.
    for at in (0..all.nodes.len()).rev() {
        let Some((id, s)) = all.nodes.get(at).copied() else {
            continue;
        };
        check_edges(engine, &all, id, &s)?;
        let is = check_node(engine, report, &mut all, id, s)?;
        if is != s {
            repair(engine, |t| put_snapshot(t, id, &is))?;
            if let Some(s) = get_mut(&mut all.nodes, id) {
                *s = is;
            }
        }
    }
    Ok(())
}

/// Nobody can tell where a node belongs when its neighbours do not agree.
fn check_edges(engine: Engine<'_>, all: &Trees, id: u32, s: &Snapshot) -> Result {
    let btrees = engine.btrees;
    if s.parent != 0 {
        let parent = get(&all.nodes, s.parent);
        if parent.is_none_or(|p| !p.children.contains(&id)) {
            broken(btrees, format_args!("snapshot {id} is no child of {s}"))?;
        }
    }
    for child in s.children.into_iter().filter(|c| *c != 0) {
        let has = get(&all.nodes, child);
        if has.is_none_or(|c| c.parent != id) {
            broken(btrees, format_args!("snapshot {id} has no child {child}"))?;
        }
    }
    let has_subvol = s.flags & Snapshot::IS_SUBVOL != 0;
    if has_subvol && s.state == SnapshotState::Live {
        let subvol = get(&all.subvols, s.subvol);
        if subvol.is_none_or(|subvol| subvol.snapshot != id) {
            let what = s.subvol;
            broken(
                btrees,
                format_args!("subvolume {what} is not at snapshot {id}"),
            )?;
        }
    }
    Ok(())
}

/// What a node should be.
///
/// C: `check_snapshot()`.
fn check_node(
    engine: Engine<'_>,
    report: &mut Report,
    all: &mut Trees,
    id: u32,
    mut s: Snapshot,
) -> Result<Snapshot> {
    let st = engine.btrees.sb();
    let has_subvol = s.flags & Snapshot::IS_SUBVOL != 0 && s.state == SnapshotState::Live;
    if !has_subvol && s.subvol != 0 {
        let what = FsckError::SNAPSHOT_SHOULD_NOT_HAVE_SUBVOL;
        let outcome = report.found(
            st,
            what,
            format_args!("snapshot {id} should not point to a subvolume: {s}"),
        )?;
        if outcome == Outcome::Repair {
            s.subvol = 0;
        }
    }
    let tree = get(&all.trees, s.tree);
    if tree.is_none_or(|t| !all.is_ancestor(id, t.root_snapshot)) {
        let what = FsckError::SNAPSHOT_TO_BAD_SNAPSHOT_TREE;
        let outcome = report.found(
            st,
            what,
            format_args!("snapshot {id} points to a tree that it is not in: {s}"),
        )?;
        if outcome == Outcome::Repair {
            s.tree = tree_of(engine, all, id)?;
        }
    }
    let parent = get(&all.nodes, s.parent);
    let depth = parent.map_or(0, |p| p.depth.saturating_add(1));
    if s.depth != depth {
        let what = FsckError::SNAPSHOT_BAD_DEPTH;
        let outcome = report.found(
            st,
            what,
            format_args!("snapshot {id} should have depth {depth}: {s}"),
        )?;
        if outcome == Outcome::Repair {
            s.depth = depth;
        }
    }
    let is_good = |skip: u32| match s.parent {
        0 => skip == 0,
        parent => all.is_ancestor(parent, skip),
    };
    if !s.skip.into_iter().all(is_good) {
        let what = FsckError::SNAPSHOT_BAD_SKIPLIST;
        let outcome = report.found(
            st,
            what,
            format_args!("snapshot {id} has a bad skip list: {s}"),
        )?;
        if outcome == Outcome::Repair {
            s.skip = parent.map_or([0; 3], |p| skip_from(s.parent, &p));
        }
    }
    Ok(s)
}

/// The tree of the root that `id` comes from; a new one, if that has none.
///
/// C: `snapshot_tree_ptr_repair()`.
fn tree_of(engine: Engine<'_>, all: &mut Trees, id: u32) -> Result<u32> {
    let root = all.root(id);
    let has = get(&all.nodes, root).map_or(0, |s| s.tree);
    if get(&all.trees, has).is_some_and(|t| t.root_snapshot == root) {
        return Ok(has);
    }
    let last = all.trees.last().map_or(0, |t| t.0);
    let new = last.checked_add(1).ok_or(Error::Overflow)?;
    let mut subvols = all.subvols.iter();
    let master = subvols.find(|(_, s)| all.is_ancestor(s.snapshot, root));
    let tree = SnapshotTree {
        master_subvol: master.map_or(0, |m| m.0),
        root_snapshot: root,
    };
    let mut node = get(&all.nodes, root).ok_or(Error::NoEntry)?;
    node.tree = new;
    repair(engine, |t| {
        put_tree(t, new, &tree)?;
        put_snapshot(t, root, &node)
    })?;
    all.trees.push((new, tree))?;
    if let Some(s) = get_mut(&mut all.nodes, root) {
        *s = node;
    }
    Ok(new)
}
