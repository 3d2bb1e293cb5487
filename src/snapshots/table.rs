// SPDX-License-Identifier: GPL-2.0

//! The snapshot trees in memory.

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
        values::snapshot::{
            Snapshot,
            SnapshotState, //
        },
    },
    sb::Lost,
};

/// One node of a snapshot tree.
#[derive(Clone, Copy, Debug)]
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
    subvol: u32,
    state: SnapshotState,
    /// All its ancestors are there: what it sees can be told.
    whole: bool,
}

/// All snapshot nodes. What is stored to speed up searches is not trusted, and not used: it is
/// made again from the parents.
///
/// C: `struct snapshot_table`.
#[derive(Debug, Default)]
pub struct Table {
    /// In descending order of ids: a parent before its children.
    nodes: Vec<Node>,
}

impl Table {
    /// Reads all snapshot nodes.
    ///
    /// C: `bch2_snapshots_read()`.
    pub fn read(btrees: &Btrees) -> Result<Self> {
        let mut found = Vec::new();
        let mut iter = btrees.iter(BtreeId::SNAPSHOTS, 0, Bpos::MIN);
        while let Some(key) = iter.next()? {
            if key.k.key_type == KeyType::ERROR {
                // What is wrong with it was reported when it was read.
                btrees.sb().damage.count(Lost::Snapshot);
            }
            if key.k.key_type != KeyType::SNAPSHOT {
                continue;
            }
            let Ok(id) = u32::try_from(key.k.p.offset) else {
                pr_err!("snapshots: key {} is no snapshot id", key.k);
                continue;
            };
            match Snapshot::decode(key.v) {
                Ok(s) => found.push((id, s))?,
                Err(invalid) => {
                    pr_err!(
                        "snapshots: node {id} (btree snapshots, {}): {invalid}",
                        key.k.p
                    );
                    btrees.sb().errors.count(invalid.id);
                    btrees.sb().damage.count(Lost::Snapshot);
                }
            }
        }
        // Read in ascending order: the other way round, parents come first.
        let mut table = Self { nodes: Vec::new() };
        for (id, s) in found.iter().rev() {
            if !table.add(*id, s)? {
                btrees.sb().errors.count(FsckError::SNAPSHOT_NODE_MISSING);
            }
        }
        Ok(table)
    }

    /// Adds a node whose id is below all others. Says whether its parent is there.
    fn add(&mut self, id: u32, s: &Snapshot) -> Result<bool> {
        let own = sat_u32(self.nodes.len());
        let parent = match s.parent {
            0 => None,
            parent => {
                let index = self.index(parent);
                if index.is_none() {
                    pr_err!("snapshots: node {id} has parent {parent}, which does not exist");
                }
                index
            }
        };
        let found = s.parent == 0 || parent.is_some();
        let (parent, depth, jump, whole) = match parent.and_then(|p| Some((p, self.node(p)?))) {
            None => (own, 0, own, found),
            Some((index, p)) => {
                let depth = p.depth.saturating_add(1);
                (index, depth, self.jump_from(index, p), p.whole)
            }
        };
        self.nodes.push(Node {
            id,
            parent,
            jump,
            depth,
            tree: s.tree,
            subvol: s.subvol,
            state: s.state,
            whole,
        })?;
        Ok(found)
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

    fn node(&self, index: u32) -> Option<&Node> {
        self.nodes.get(usize_of_u32(index))
    }

    fn index(&self, id: u32) -> Option<u32> {
        let found = self.nodes.binary_search_by(|n| id.cmp(&n.id));
        found.ok().map(sat_u32)
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
        self.nodes.is_empty()
    }

    /// Whether there is a node `id`.
    pub fn contains(&self, id: u32) -> bool {
        self.index(id).is_some()
    }

    /// Whether there is a node `id` and all nodes above it. If not, keys it should see are not
    /// visible, and nothing says which.
    pub fn is_whole(&self, id: u32) -> bool {
        self.find(id).is_some_and(|n| n.whole)
    }

    /// The tree that node `id` is in.
    pub fn tree(&self, id: u32) -> Option<u32> {
        self.find(id).map(|n| n.tree)
    }

    /// The subvolume of node `id`, 0 when it has none.
    pub fn subvol(&self, id: u32) -> Option<u32> {
        self.find(id).map(|n| n.subvol)
    }

    /// What state node `id` is in.
    pub fn state(&self, id: u32) -> Option<SnapshotState> {
        self.find(id).map(|n| n.state)
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

    fn snapshot(parent: u32) -> Snapshot {
        let mut v = [0u8; 64];
        v[4..8].copy_from_slice(&parent.to_le_bytes());
        Snapshot::decode(&v).unwrap()
    }

    fn table(parents: &[(u32, u32)]) -> Table {
        let mut t = Table::default();
        for (id, parent) in parents {
            t.add(*id, &snapshot(*parent)).unwrap();
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
}
