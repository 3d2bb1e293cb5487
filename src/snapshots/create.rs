// SPDX-License-Identifier: GPL-2.0

//! New subvolumes, and snapshots of them.
//!
//! A snapshot of a subvolume makes two nodes below the one that the subvolume is at: one for the
//! snapshot, which is a subvolume as any other, and one that the subvolume itself goes on with.
//! What it has written so far is of the node above from then on, which nobody writes to.

use super::{
    gate::Closed,
    keys::{
        is_taken,
        put_snapshot,
        put_subvolume,
        put_tree,
        set_child,
        snapshot,
        subvolume, //
    },
    View,
};
use crate::{
    btree::trans::{
        Hooks,
        Trans,
        TransResult, //
    },
    env::{
        num::usize_of,
        random_u64,
        sort, //
    },
    error::{
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
                Subvolume,
                SUBVOL_MAX, //
            },
        },
    },
};

/// What a new subvolume is to be.
#[derive(Clone, Copy, Debug)]
pub struct New {
    /// The number of its root directory.
    pub inode: u64,
    /// The subvolume with the directory that it is in.
    pub parent: u32,
    /// The subvolume that it is a snapshot of.
    pub source: Option<u32>,
    /// Nothing in it can be changed.
    pub read_only: bool,
    /// The time, in the filesystem's units.
    pub now: u64,
}

/// A subvolume that was made, or is going to be with the commit.
#[derive(Clone, Copy, Debug)]
pub struct Made {
    /// Its number.
    pub id: u32,
    /// What is known of it.
    pub subvol: Subvolume,
    /// The snapshot tree.
    tree: u32,
    /// The subvolume it is a snapshot of, the node that was at, and the one it goes on with.
    source: Option<(u32, u32, u32)>,
}

impl Made {
    /// The snapshot it is at.
    pub const fn snapshot(&self) -> u32 {
        self.subvol.snapshot
    }

    /// The snapshot that a subvolume is at which was at `snapshot`.
    pub fn next_of(&self, snapshot: u32) -> u32 {
        match self.source {
            Some((_, node, next)) if node == snapshot => next,
            _ => snapshot,
        }
    }
}

/// Stages a new subvolume, without its root directory. [`Error::SubvolumeUnlinked`] if its name
/// would be in one that has none any more, and would go with it.
///
/// C: `bch2_subvolume_create()`.
pub fn create<H: Hooks>(t: &mut Trans<'_, H>, view: &View, new: &New) -> TransResult<Made> {
    if subvolume(t, new.parent)?.state != SubvolState::Live {
        return Err(Error::SubvolumeUnlinked.into());
    }
    let id = free_subvolume(t, view)?;
    let (node, source, tree) = match new.source {
        None => {
            let (node, tree) = new_tree(t, view, id, new.now)?;
            (node, None, tree)
        }
        Some(source) => {
            let mut from = subvolume(t, source)?;
            let above = from.snapshot;
            let (tree, [node, next]) = children(t, view, above, [id, source], new.now)?;
            from.snapshot = next;
            put_subvolume(t, source, &from)?;
            (node, Some((source, above, next)), tree)
        }
    };
    let subvol = Subvolume {
        read_only: new.read_only,
        is_snapshot: new.source.is_some(),
        snapshot: node,
        inode: new.inode,
        creation_parent: new.source.unwrap_or(0),
        fs_path_parent: new.parent,
        otime_lo: new.now,
        otime_hi: 0,
        state: SubvolState::Live,
        has_state: false,
        pad: 0,
    };
    put_subvolume(t, id, &subvol)?;
    set_child(t, new.parent, id, true)?;
    Ok(Made {
        id,
        subvol,
        tree,
        source,
    })
}

/// An id for a new subvolume, above all others.
fn free_subvolume<H: Hooks>(t: &mut Trans<'_, H>, view: &View) -> TransResult<u32> {
    let mut id = view.subvols.last();
    loop {
        id = id.saturating_add(1);
        if u64::from(id) > SUBVOL_MAX {
            return Err(Error::SubvolumesExhausted.into());
        }
        if !is_taken(t, BtreeId::SUBVOLUMES, id)? {
            return Ok(id);
        }
    }
}

/// An id for a new snapshot node, below `from`.
fn free_node<H: Hooks>(t: &mut Trans<'_, H>, from: u32) -> TransResult<u32> {
    let mut id = from;
    loop {
        id = id.saturating_sub(1);
        if id == 0 {
            return Err(Error::SnapshotsExhausted.into());
        }
        if !is_taken(t, BtreeId::SNAPSHOTS, id)? {
            return Ok(id);
        }
    }
}

/// Stages a tree with one node, for the subvolume `subvol`: the node, and the tree.
///
/// C: `bch2_snapshot_node_create_tree()`.
fn new_tree<H: Hooks>(
    t: &mut Trans<'_, H>,
    view: &View,
    subvol: u32,
    now: u64,
) -> TransResult<(u32, u32)> {
    let mut tree = view.table.last_tree();
    loop {
        tree = tree.checked_add(1).ok_or(Error::SnapshotTreesExhausted)?;
        if !is_taken(t, BtreeId::SNAPSHOT_TREES, tree)? {
            break;
        }
    }
    let node = free_node(t, view.table.lowest())?;
    let value = SnapshotTree {
        master_subvol: subvol,
        root_snapshot: node,
    };
    put_tree(t, tree, &value)?;
    put_snapshot(t, node, &leaf(None, subvol, tree, now))?;
    Ok((node, tree))
}

/// Stages two nodes below `above`, for the subvolumes `subvols`: the tree, and the nodes.
///
/// C: `bch2_snapshot_node_create_children()`.
fn children<H: Hooks>(
    t: &mut Trans<'_, H>,
    view: &View,
    above: u32,
    subvols: [u32; 2],
    now: u64,
) -> TransResult<(u32, [u32; 2])> {
    let mut parent = snapshot(t, above)?;
    if parent.children != [0; 2] {
        return Err(Error::SnapshotHasChildren.into());
    }
    let (mut nodes, mut lowest) = ([0; 2], view.table.lowest());
    for (node, subvol) in nodes.iter_mut().zip(subvols) {
        lowest = free_node(t, lowest)?;
        let s = leaf(Some((above, &parent)), subvol, parent.tree, now);
        put_snapshot(t, lowest, &s)?;
        *node = lowest;
    }
    // The higher one comes first, and has been made first.
    parent.children = nodes;
    parent.subvol = 0;
    parent.flags &= !Snapshot::IS_SUBVOL;
    put_snapshot(t, above, &parent)?;
    Ok((parent.tree, nodes))
}

/// A node without children.
///
/// C: `create_snapids()`.
fn leaf(above: Option<(u32, &Snapshot)>, subvol: u32, tree: u32, now: u64) -> Snapshot {
    Snapshot {
        flags: Snapshot::IS_SUBVOL,
        parent: above.map_or(0, |(id, _)| id),
        children: [0; 2],
        subvol,
        tree,
        depth: above.map_or(0, |(_, s)| s.depth.saturating_add(1)),
        skip: above.map_or([0; 3], |(id, s)| skip_from(id, s)),
        btime_lo: now,
        btime_hi: 0,
        state: SnapshotState::Live,
        has_state: false,
        pad: 0,
    }
}

/// Three ancestors for a child of `id`, in ascending order: any will do, and those that the parent
/// has are on all levels.
///
/// C: `bch2_snapshot_skiplist_get()`.
pub fn skip_from(id: u32, s: &Snapshot) -> [u32; 3] {
    let [a, b, c] = s.skip;
    let known = [id, a, b, c];
    let mut skip = [id; 3];
    for to in &mut skip {
        let nr = usize_of(random_u64() & 3);
        // A root has none.
        *to = known.get(nr).copied().filter(|id| *id != 0).unwrap_or(id);
    }
    sort::sort_by(&mut skip, u32::cmp);
    skip
}

impl View {
    /// Room for a subvolume that is going to be made, so that [`made`](Self::made) can not fail.
    pub fn reserve_made(&self, _closed: &Closed<'_>) -> Result {
        self.table.reserve(2)?;
        self.subvols.reserve()
    }

    /// A subvolume was made: the transaction with [`create`] was committed.
    ///
    /// C: `bch2_mark_snapshot()`.
    pub fn made(&self, made: &Made, _closed: &Closed<'_>) -> Result {
        let (node, tree) = (made.snapshot(), made.tree);
        match made.source {
            None => self.table.insert(node, 0, tree)?,
            Some((source, above, next)) => {
                self.table.insert(node, above, tree)?;
                self.table.insert(next, above, tree)?;
                self.table.goes_on(above, next);
                self.subvols.goes_on(source, next);
            }
        }
        self.subvols.insert(made.id, made.subvol)
    }
}
