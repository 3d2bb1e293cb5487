// SPDX-License-Identifier: GPL-2.0

//! The snapshot trees in memory.

use super::{
    grow::Grow,
    moves::Moves, //
};
use crate::{
    btree::{
        trans::Ancestry,
        Btrees, //
    },
    env::{
        num::{
            sat_u32,
            usize_of_u32, //
        },
        pr_err,
        Vec, //
    },
    error::{
        fsck::FsckError,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        values::snapshot::Snapshot, //
    },
    sb::Lost,
    sys::sync::atomic::{
        AtomicBool,
        AtomicU32,
        Ordering, //
    },
};

/// One node of a snapshot tree.
#[derive(Debug)]
struct Node {
    id: u32,
    /// Index of the parent; its own index for a root.
    parent: u32,
    /// Index of an ancestor further up, chosen so that any ancestor is reached in about as many
    /// steps as the depth has binary digits.
    jump: u32,
    /// Distance from the root.
    depth: u32,
    tree: u32,
    /// All its ancestors are there: what it sees can be told.
    whole: bool,
    /// The node below it that its subvolume has gone to since the mount; 0 if none.
    next: AtomicU32,
    /// It was deleted since the mount, or is about to be.
    gone: AtomicBool,
}

/// All snapshot nodes. What is stored to speed up searches is not trusted, and not used: it is
/// made again from the parents.
///
/// Nodes that are made since the mount are added, and those that are deleted stay: they have no
/// keys, so it makes no difference who descends from them. Thus the table only grows, and needs no
/// lock. The ids of deleted nodes are not used again before the next mount.
///
/// C: `struct snapshot_table`.
#[derive(Debug)]
pub struct Table {
    /// In descending order of ids: a parent before its children.
    nodes: Grow<Node>,
    /// Keys that go from one snapshot to another.
    pub(super) moves: Moves,
}

impl Table {
    /// Without nodes.
    pub(super) fn try_new() -> Result<Self> {
        Ok(Self {
            nodes: Grow::try_new(Vec::new())?,
            moves: Moves::default(),
        })
    }

    /// Reads all snapshot nodes.
    ///
    /// C: `bch2_snapshots_read()`.
    pub fn read(btrees: &Btrees) -> Result<Self> {
        let mut found = Vec::new();
        let mut iter = btrees.iter(BtreeId::SNAPSHOTS, 0, Bpos::MIN);
        while let Some(key) = iter.next()? {
            if key.k.key_type == KeyType::ERROR {
                // What is wrong with it was reported when it was read.
                btrees.sb().lost(Lost::Snapshot);
            }
            if key.k.key_type != KeyType::SNAPSHOT {
                continue;
            }
            let Ok(id) = u32::try_from(key.k.p.offset) else {
                pr_err!("snapshots: key {} is no snapshot id", key.k);
                continue;
            };
            match Snapshot::decode(key.v) {
                Ok(s) => found.push((id, s.parent, s.tree))?,
                Err(invalid) => {
                    pr_err!(
                        "snapshots: node {id} (btree snapshots, {}): {invalid}",
                        key.k.p
                    );
                    btrees.sb().errors.count(invalid.id);
                    btrees.sb().lost(Lost::Snapshot);
                }
            }
        }
        // Read in ascending order: the other way round, parents come first.
        let (table, orphans) = Self::of(found.iter().rev().copied())?;
        for _ in 0..orphans {
            btrees.sb().errors.count(FsckError::SNAPSHOT_NODE_MISSING);
        }
        Ok(table)
    }

    /// Of nodes with their parents and trees, in descending order of ids; and how many of them have
    /// a parent that is not there.
    pub fn of(nodes: impl Iterator<Item = (u32, u32, u32)>) -> Result<(Self, u32)> {
        let (mut table, mut orphans) = (Self::try_new()?, 0u32);
        for (id, parent, tree) in nodes {
            if !table.add(id, parent, tree)? {
                orphans = orphans.saturating_add(1);
            }
        }
        Ok((table, orphans))
    }

    /// Adds a node whose id is below all others, while nobody reads. Says whether its parent is
    /// there.
    fn add(&mut self, id: u32, parent: u32, tree: u32) -> Result<bool> {
        let found = parent == 0 || self.contains(parent);
        if !found {
            pr_err!("snapshots: node {id} has parent {parent}, which does not exist");
        }
        let node = self.new_node(id, parent, tree);
        self.nodes.add(node)?;
        Ok(found)
    }

    /// Makes room for `nr` nodes, so that adding them can not fail.
    pub(super) fn reserve(&self, nr: usize) -> Result {
        self.nodes.reserve(nr)
    }

    /// Adds a node that was made, whose id is below all others. There is room for it, and nobody
    /// else is adding one.
    pub(super) fn insert(&self, id: u32, parent: u32, tree: u32) -> Result {
        self.nodes.push(self.new_node(id, parent, tree))
    }

    fn new_node(&self, id: u32, parent: u32, tree: u32) -> Node {
        let own = sat_u32(self.nodes.len());
        let above = match parent {
            0 => None,
            parent => self.index(parent),
        };
        let (index, depth, jump, whole) = match above.and_then(|p| Some((p, self.node(p)?))) {
            None => (own, 0, own, parent == 0),
            Some((index, p)) => {
                let depth = p.depth.saturating_add(1);
                (index, depth, self.jump_from(index, p), p.whole)
            }
        };
        Node {
            id,
            parent: index,
            jump,
            depth,
            tree,
            whole,
            next: AtomicU32::new(0),
            gone: AtomicBool::new(false),
        }
    }

    /// Where a child of `parent` jumps to: twice as far as the parent's jump, if the parent's
    /// jump and the one after it are of the same length, else to the parent.
    fn jump_from(&self, index: u32, parent: &Node) -> u32 {
        let Some(near) = self.node(parent.jump) else {
            return index;
        };
        let Some(far) = self.node(near.jump) else {
            return index;
        };
        let first = parent.depth.saturating_sub(near.depth);
        let second = near.depth.saturating_sub(far.depth);
        if first == second {
            near.jump
        } else {
            index
        }
    }

    #[inline]
    fn node(&self, index: u32) -> Option<&Node> {
        self.nodes.get(usize_of_u32(index))
    }

    #[inline]
    fn index(&self, id: u32) -> Option<u32> {
        let at = self.nodes.partition_point(|n| n.id > id);
        let found = self.nodes.get(at).is_some_and(|n| n.id == id);
        found.then(|| sat_u32(at))
    }

    fn find(&self, id: u32) -> Option<&Node> {
        self.node(self.index(id)?)
    }

    /// Nodes in the table.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is a node `id`, or was one since the mount.
    pub fn contains(&self, id: u32) -> bool {
        self.index(id).is_some()
    }

    /// Whether there is a node `id` and all nodes above it. If not, keys it should see are not
    /// visible, and nothing says which.
    pub fn is_whole(&self, id: u32) -> bool {
        self.find(id).is_some_and(|n| n.whole)
    }

    /// The lowest id there is, or was since the mount.
    pub(super) fn lowest(&self) -> u32 {
        self.nodes.iter().next_back().map_or(0, |n| n.id)
    }

    /// The highest number of a tree that a node is in.
    pub(super) fn last_tree(&self) -> u32 {
        self.nodes.iter().map(|n| n.tree).max().unwrap_or(0)
    }

    /// The tree that node `id` is in.
    pub fn tree(&self, id: u32) -> Option<u32> {
        self.find(id).map(|n| n.tree)
    }

    /// The subvolume that was at node `id` is at `next`, a node below.
    pub(super) fn goes_on(&self, id: u32, next: u32) {
        if let Some(node) = self.find(id) {
            node.next.store(next, Ordering::Release);
        }
    }

    /// The node that the subvolume is at now that was at node `id` at some time since the mount.
    pub(super) fn latest(&self, id: u32) -> u32 {
        let (mut latest, mut steps) = (id, 0u32);
        while let Some(node) = self.find(latest) {
            match node.next.load(Ordering::Acquire) {
                // Those below have lower ids.
                next if next != 0 && next < latest => latest = next,
                _ => break,
            }
            steps = steps.saturating_add(1);
        }
        if steps > 1 {
            // Who asks again does not go all the way.
            self.goes_on(id, latest);
        }
        latest
    }

    /// The node `id` goes: nothing is to be written for it any more.
    pub(super) fn end(&self, id: u32) {
        if let Some(node) = self.find(id) {
            node.gone.store(true, Ordering::Release);
        }
    }

    /// Whether nothing is to be written for `id` any more.
    pub(super) fn has_ended(&self, id: u32) -> bool {
        self.find(id)
            .is_some_and(|n| n.gone.load(Ordering::Acquire))
    }

    /// The parent of node `id`.
    pub fn parent(&self, id: u32) -> Option<u32> {
        let n = self.find(id)?;
        let p = self.node(n.parent)?;
        (p.id != id).then_some(p.id)
    }

    /// Whether `ancestor` is `id` or above it.
    ///
    /// C: `bch2_snapshot_is_ancestor()`.
    #[inline]
    pub fn is_ancestor(&self, id: u32, ancestor: u32) -> bool {
        id == ancestor || (id < ancestor && self.descends(id, ancestor))
    }

    fn descends(&self, id: u32, ancestor: u32) -> bool {
        let Some(mut node) = self.find(id) else {
            return false;
        };
        // Ids rise towards the root, so each step gets closer and none leads past it.
        while node.id < ancestor {
            let next = match self.node(node.jump) {
                Some(far) if far.id <= ancestor && far.id > node.id => far,
                _ => match self.node(node.parent) {
                    Some(parent) if parent.id > node.id => parent,
                    _ => return false,
                },
            };
            node = next;
        }
        node.id == ancestor
    }
}

impl Ancestry for Table {
    #[inline]
    fn is_ancestor(&self, id: u32, ancestor: u32) -> bool {
        Table::is_ancestor(self, id, ancestor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(parents: &[(u32, u32)]) -> Table {
        let mut t = Table::try_new().unwrap();
        for (id, parent) in parents {
            t.add(*id, *parent, 1).unwrap();
        }
        t
    }

    #[test]
    fn matches_a_walk_by_parents() {
        let mut seed = 7u64;
        for round in 0..20u32 {
            let mut parents = vec![(1000u32, 0u32)];
            for i in 1..200u32 {
                seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1);
                // Long chains in even rounds, bushes in odd ones.
                let back = (seed >> 33) as u32 % if round % 2 == 0 { 2 } else { i };
                let parent = parents[(i - 1 - back.min(i - 1)) as usize].0;
                parents.push((1000 - i, parent));
            }
            let t = table(&parents);
            let by_walk = |id: u32, ancestor: u32| {
                let mut at = id;
                while at != 0 {
                    if at == ancestor {
                        return true;
                    }
                    at = parents.iter().find(|p| p.0 == at).unwrap().1;
                }
                false
            };
            for (a, _) in parents.iter().step_by(3) {
                for (b, _) in parents.iter().step_by(5) {
                    assert_eq!(t.is_ancestor(*a, *b), by_walk(*a, *b), "{a} {b}");
                }
            }
        }
    }

    #[test]
    fn nonsense_ends() {
        // A parent below its child, one that does not exist, itself.
        let t = table(&[(10, 5), (9, 99), (8, 8), (5, 10)]);
        assert!(!t.is_ancestor(8, 9));
        assert!(t.is_ancestor(5, 10));
        assert!(!t.is_ancestor(10, 5));
        assert!(!t.is_ancestor(3, 10));
        assert_eq!(t.parent(9), None);
        // Only what has all its ancestors is whole.
        let whole = [10, 9, 8, 5].map(|id| t.is_whole(id));
        assert_eq!(whole, [false; 4]);
        let t = table(&[(10, 0), (9, 10), (8, 99), (7, 8), (6, 9)]);
        let whole = [10, 9, 8, 7, 6, 5].map(|id| t.is_whole(id));
        assert_eq!(whole, [true, true, false, false, true, false]);
    }

    #[test]
    fn nodes_that_are_made_later() {
        let t = table(&[
            (u32::MAX, 0),
            (u32::MAX - 1, u32::MAX),
            (u32::MAX - 2, u32::MAX),
        ]);
        assert_eq!(t.lowest(), u32::MAX - 2);
        let mut at = u32::MAX - 2;
        for i in 0..100u32 {
            t.reserve(2).unwrap();
            let (other, next) = (at - 1, at - 2);
            t.insert(other, at, 1).unwrap();
            t.insert(next, at, 1).unwrap();
            t.goes_on(at, next);
            t.end(other);
            assert!(t.is_ancestor(next, u32::MAX) && t.is_ancestor(other, at));
            assert!(!t.is_ancestor(next, other) && !t.is_ancestor(next, u32::MAX - 1));
            assert!(t.has_ended(other) && !t.has_ended(next) && t.is_whole(next));
            assert_eq!(t.len(), 5 + 2 * i as usize);
            at = next;
        }
        assert_eq!(t.latest(u32::MAX - 2), at);
        assert_eq!(t.latest(u32::MAX), u32::MAX);
        assert_eq!(t.lowest(), at);
        // It goes on from there.
        t.reserve(1).unwrap();
        t.insert(at - 1, at, 1).unwrap();
        t.goes_on(at, at - 1);
        let all = (0..100).map(|i| u32::MAX - 2 - 2 * i);
        assert!(all.rev().all(|id| t.latest(id) == at - 1));
    }
}
