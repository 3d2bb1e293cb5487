// SPDX-License-Identifier: GPL-2.0

//! What is to become of the keys and the nodes of dead snapshots: plain values, no I/O.
//!
//! A node is dead when it is marked, or when nothing is left of what was below it. Its keys go. A
//! node with one child left sees, with that child, what the child sees: they are one class. Of
//! keys of a class at one place, the one of the lowest node counts; it goes to that node, and the
//! others go. Then all nodes of a class but the lowest have no keys, and go as well.

use super::create::skip_from;
use crate::{
    env::{
        num::usize_of,
        random_u64,
        sort,
        Few,
        Vec, //
    },
    error::Result,
    format::{
        key_type::KeyType,
        values::snapshot::{
            Snapshot,
            SnapshotState, //
        },
    },
};

/// All nodes, in ascending order of ids: a child before its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Node {
    id: u32,
    /// As it is to be.
    is: Snapshot,
    dead: bool,
    /// The node that its keys go to.
    class: u32,
}

/// The nodes of the snapshot trees, and which of them are to go.
#[derive(Debug)]
pub(super) struct Dead(Vec<Node>);

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Keep,
    Delete,
    /// It becomes a key of this snapshot.
    MoveTo(u32),
}

/// A node that changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) id: u32,
    /// What it is then; `None` when it is gone.
    pub(super) to: Option<Snapshot>,
    /// The root of the tree of this number is this node now; 0 if the tree is gone.
    pub(super) root_of: Option<(u32, u32)>,
}

/// Most changes of nodes in one transaction.
pub(super) const CHANGES_MAX: usize = 48;

impl Dead {
    /// Of all nodes, in ascending order of ids, and whether a subvolume is at them.
    ///
    /// C: `bch2_delete_redundant_snapshot()`, `bch2_snapshot_set_equiv()`.
    pub(super) fn of(nodes: impl Iterator<Item = (u32, Snapshot, bool)>) -> Result<Self> {
        let mut all = Self(Vec::new());
        for (id, s, has_subvol) in nodes {
            let live = s.children.into_iter().filter(|c| all.is_live(*c));
            let (nr_live, child) = live.fold((0u32, 0), |(nr, _), c| (nr.saturating_add(1), c));
            let has_subvol = has_subvol || s.flags & Snapshot::IS_SUBVOL != 0;
            let is_marked = s.state == SnapshotState::WillDelete;
            let class = match nr_live {
                1 => all.find(child).map_or(id, |c| c.class),
                _ => id,
            };
            all.0.push(Node {
                id,
                is: s,
                dead: nr_live == 0 && (is_marked || !has_subvol),
                class,
            })?;
        }
        Ok(all)
    }

    fn index(&self, id: u32) -> Option<usize> {
        self.0.binary_search_by_key(&id, |n| n.id).ok()
    }

    fn find(&self, id: u32) -> Option<&Node> {
        self.0.get(self.index(id)?)
    }

    fn find_mut(&mut self, id: u32) -> Option<&mut Node> {
        let at = self.index(id)?;
        self.0.get_mut(at)
    }

    /// Whether a child counts. One that can not be found may be damaged: its parent stays.
    fn is_live(&self, id: u32) -> bool {
        id != 0 && self.find(id).is_none_or(|n| !n.dead)
    }

    fn goes(node: &Node) -> bool {
        node.dead || node.class != node.id
    }

    /// Only what is to go in `planned` goes, and where it goes there.
    pub(super) fn only(&mut self, planned: &Self) {
        for node in self.0.iter_mut() {
            (node.dead, node.class) = match planned.find(node.id) {
                Some(p) if Self::goes(p) => (p.dead, p.class),
                _ => (false, node.id),
            };
        }
    }

    /// How many nodes are to go.
    pub(super) fn nr(&self) -> usize {
        self.0.iter().filter(|n| Self::goes(n)).count()
    }

    /// Whether keys of a snapshot are to go, or to another one.
    pub(super) fn concerns(&self, snapshot: u32) -> bool {
        self.find(snapshot).is_some_and(Self::goes)
    }

    /// Whether keys go to other snapshots.
    pub(super) fn moves(&self) -> bool {
        self.0.iter().any(|n| !n.dead && n.class != n.id)
    }

    /// What becomes of the keys at one place, which are in ascending order of their snapshots.
    ///
    /// C: `delete_dead_snapshots_process_key()`.
    pub(super) fn settle(
        &self,
        keys: &[(u32, KeyType)],
        is_ancestor: impl Fn(u32, u32) -> bool,
    ) -> Result<Vec<Act>> {
        let mut acts = Vec::new();
        let mut seen: Few<u32, 8> = Few::new();
        for (snapshot, _) in keys {
            let Some(node) = self.find(*snapshot) else {
                // Of no snapshot: not for us to judge.
                acts.push(Act::Keep)?;
                continue;
            };
            let class = node.class;
            acts.push(if node.dead || seen.iter().any(|s| *s == class) {
                Act::Delete
            } else {
                seen.push(class)?;
                match class == *snapshot {
                    true => Act::Keep,
                    false => Act::MoveTo(class),
                }
            })?;
        }
        // Whiteouts that hide nothing any more.
        let after = |at: usize| -> Option<u32> {
            match acts.get(at)? {
                Act::Delete => None,
                Act::Keep => keys.get(at).map(|k| k.0),
                Act::MoveTo(to) => Some(*to),
            }
        };
        let mut useless: Few<usize, 8> = Few::new();
        for (at, (_, key_type)) in keys.iter().enumerate() {
            let Some(snapshot) = after(at).filter(|_| key_type.is_extent_whiteout()) else {
                continue;
            };
            let mut others = (0..keys.len()).filter_map(after);
            if !others.any(|other| other > snapshot && is_ancestor(snapshot, other)) {
                useless.push(at)?;
            }
        }
        for at in useless.iter() {
            if let Some(act) = acts.get_mut(*at) {
                *act = Act::Delete;
            }
        }
        Ok(acts)
    }

    /// Depths and skip lists as they are when the nodes that go are gone; where they differ.
    ///
    /// C: `bch2_fix_child_of_deleted_snapshot()`.
    pub(super) fn renumber(
        &mut self,
        is_ancestor: impl Fn(u32, u32) -> bool,
    ) -> Result<Vec<Change>> {
        let mut changes = Vec::new();
        // Parents come first.
        for at in (0..self.0.len()).rev() {
            let Some(node) = self.0.get(at).copied().filter(|n| !Self::goes(n)) else {
                continue;
            };
            let parent = self.staying(node.is.parent).copied();
            let (depth, skip) = match &parent {
                None => (0, [0; 3]),
                Some(p) => {
                    let is_good = |id: &u32| {
                        self.find(*id).is_some_and(|n| !Self::goes(n)) && is_ancestor(p.id, *id)
                    };
                    (p.is.depth.saturating_add(1), skip(&node, p, is_good))
                }
            };
            let is = Snapshot {
                depth,
                skip,
                ..node.is
            };
            if is == node.is {
                continue;
            }
            if let Some(node) = self.0.get_mut(at) {
                node.is = is;
            }
            changes.push(Change {
                id: node.id,
                to: Some(is),
                root_of: None,
            })?;
        }
        Ok(changes)
    }

    /// The first node from `id` upwards that stays.
    fn staying(&self, mut id: u32) -> Option<&Node> {
        loop {
            let node = self.find(id)?;
            if !Self::goes(node) {
                return Some(node);
            }
            // Parents have higher ids.
            if node.is.parent <= id {
                return None;
            }
            id = node.is.parent;
        }
    }

    /// Takes out the nodes that go, one after the other, children before parents: what changes
    /// with each.
    pub(super) fn take_out(&mut self) -> Result<Vec<Vec<Change>>> {
        let mut steps = Vec::new();
        for at in 0..self.0.len() {
            if let Some(node) = self.0.get(at).copied().filter(Self::goes) {
                steps.push(self.take_out_one(&node)?)?;
            }
        }
        Ok(steps)
    }

    /// C: `bch2_snapshot_node_delete()`.
    fn take_out_one(&mut self, node: &Node) -> Result<Vec<Change>> {
        let mut changes = Vec::new();
        let child = node.is.children.into_iter().find(|c| *c != 0).unwrap_or(0);
        let parent = node.is.parent;
        let (mut root_of, mut edit) = (None, |id: u32, f: &dyn Fn(&mut Snapshot)| -> Result {
            if let Some(n) = self.find_mut(id) {
                f(&mut n.is);
                changes.push(Change {
                    id,
                    to: Some(n.is),
                    root_of: None,
                })?;
            }
            Ok(())
        });
        edit(parent, &|p| {
            for c in p.children.iter_mut().filter(|c| **c == node.id) {
                *c = child;
            }
            let [a, b] = p.children;
            p.children = [a.max(b), a.min(b)];
        })?;
        edit(child, &|c| c.parent = parent)?;
        if parent == 0 {
            root_of = Some((node.is.tree, child));
        }
        changes.push(Change {
            id: node.id,
            to: None,
            root_of,
        })?;
        Ok(changes)
    }
}

/// The skip list of a node below `parent`: as it is, if all in it can be used.
fn skip(node: &Node, parent: &Node, is_good: impl Fn(&u32) -> bool) -> [u32; 3] {
    if node.is.skip.is_sorted() && node.is.skip.iter().all(&is_good) {
        return node.is.skip;
    }
    let mut skip = skip_from(parent.id, &parent.is);
    for id in &mut skip {
        // Now and then from further up.
        if usize_of(random_u64() & 1) == 0 && is_good(id) {
            continue;
        }
        *id = parent.id;
    }
    sort::sort_by(&mut skip, u32::cmp);
    skip
}

#[cfg(test)]
#[path = "dead/tests.rs"]
mod tests;
