// SPDX-License-Identifier: GPL-2.0

//! Keys in order.

use super::{
    btrees::{
        Btrees,
        RootState, //
    },
    health::Place,
    node::Node,
};
use crate::{
    env::{
        num::usize_of_u8,
        Arc, //
    },
    error::Result,
    format::{
        bkey::{
            Bkey,
            Key, //
        },
        bpos::Bpos,
        btree_id::{
            BtreeId,
            BTREE_MAX_DEPTH, //
        },
        key_type::KeyType,
    },
    journal::keys::KeyRange,
};

/// Levels a path can have.
const DEPTH: usize = usize_of_u8(BTREE_MAX_DEPTH);

/// Where the key an iterator stands on is held.
#[derive(Clone, Copy, Debug)]
enum Current {
    /// Nothing returned yet, or the end.
    Nowhere,
    /// In the node, at this place.
    Node(usize, Bkey),
    /// In the overlay, with this index.
    Overlay(usize),
    /// In the node, but its value can not be used.
    Invalid(Bkey),
}

/// Walks over the keys of one level of a btree in order. The overlay is merged in: its keys
/// replace those at the same position, and deletions hide them. Deleted keys are never returned;
/// whiteouts are.
///
/// In place of a key whose value was found invalid, there is one of type `error`: it hides what is
/// older as the key itself would, and nobody takes the place for empty. Above level 0 it is left
/// out; lookups look after that themselves.
///
/// The iterator keeps the nodes on the path to its place, so that the next key, and keys nearby,
/// cost no lookup from the root. It allocates nothing.
///
/// C: `struct btree_iter` with its `struct btree_path`.
pub struct Iter<'a> {
    btrees: &'a Btrees,
    btree: BtreeId,
    level: u8,
    /// The nodes on the way to `pos`, by level.
    path: [Option<Arc<Node>>; DEPTH],
    /// The overlay's keys of this level.
    range: KeyRange,
    /// What to look at next: place in the node, index in the overlay.
    place: usize,
    over: usize,
    /// `place` and `over` are valid. Otherwise the node for `pos` has to be found first.
    placed: bool,
    /// Where the node in use ends.
    end: Bpos,
    /// Where to go on.
    pos: Bpos,
    /// Nodes that only have keys beyond this are not read.
    limit: Bpos,
    at_end: bool,
    current: Current,
}

impl<'a> Iter<'a> {
    pub(super) fn new(btrees: &'a Btrees, btree: BtreeId, level: u8, start: Bpos) -> Self {
        Self {
            btrees,
            btree,
            level,
            path: [const { None }; DEPTH],
            range: btrees.overlay().range(btree, level),
            place: 0,
            over: 0,
            placed: false,
            end: Bpos::MAX,
            pos: start,
            limit: Bpos::MAX,
            at_end: false,
            current: Current::Nowhere,
        }
    }

    /// Ends where no node up to `limit` has more keys. The last node may give keys beyond.
    pub fn until(mut self, limit: Bpos) -> Self {
        self.limit = limit;
        self
    }

    /// The btree.
    pub fn btree(&self) -> BtreeId {
        self.btree
    }

    fn node(&self) -> Option<&Arc<Node>> {
        self.path.get(usize::from(self.level))?.as_ref()
    }

    /// Goes to `pos`: the next key is the first one at or after it.
    pub fn seek(&mut self, pos: Bpos) {
        self.current = Current::Nowhere;
        self.at_end = false;
        self.pos = pos;
        self.placed = false;
        let node = self.node().filter(|n| n.covers(pos));
        if let Some((place, end)) = node.map(|n| (n.search(pos), n.max)) {
            (self.place, self.end) = (place, end);
            self.over = self.btrees.overlay().lower_bound(self.range, pos);
            self.placed = true;
        }
    }

    /// Finds the node that covers `pos`, from the lowest node of the path that covers it too.
    ///
    /// C: `bch2_btree_path_traverse_one()`.
    fn traverse(&mut self) -> Result {
        self.over = self.btrees.overlay().lower_bound(self.range, self.pos);
        let mut node = match self.covering() {
            Some(node) => node,
            None => {
                self.path = [const { None }; DEPTH];
                match self.btrees.root(self.btree) {
                    RootState::Node(root) => root.clone(),
                    RootState::None => {
                        (self.end, self.placed) = (Bpos::MAX, true);
                        return Ok(());
                    }
                    RootState::Broken(e) => return Err(*e),
                }
            }
        };
        if node.level < self.level {
            // The btree has no such level.
            (self.at_end, self.placed) = (true, true);
            return Ok(());
        }
        loop {
            self.keep(node.clone());
            if node.level <= self.level {
                break;
            }
            let ptr = self.btrees.child(&node, self.pos)?;
            node = self.btrees.node(&ptr)?;
        }
        self.place = node.search(self.pos);
        self.end = node.max;
        self.placed = true;
        Ok(())
    }

    /// The lowest node of the path, from this iterator's level up, that covers `pos`.
    fn covering(&self) -> Option<Arc<Node>> {
        self.path
            .iter()
            .skip(usize::from(self.level))
            .flatten()
            .find(|n| n.covers(self.pos))
            .cloned()
    }

    fn keep(&mut self, node: Arc<Node>) {
        if let Some(slot) = self.path.get_mut(usize::from(node.level)) {
            *slot = Some(node);
        }
    }

    /// Moves to the next key and returns its header; [`current`](Self::current) has the value.
    /// `None` at the end. After an error the iterator has not moved; see [`seek`](Self::seek).
    pub fn advance(&mut self) -> Result<Option<Bkey>> {
        self.current = Current::Nowhere;
        while !self.at_end {
            if !self.placed {
                if self.pos > self.limit {
                    self.at_end = true;
                    break;
                }
                self.traverse()?;
                continue;
            }
            match self.step() {
                Some(k) => return Ok(Some(k)),
                None if self.end >= self.limit => self.at_end = true,
                None => {
                    self.pos = self.end.successor();
                    self.placed = false;
                }
            }
        }
        Ok(None)
    }

    /// The next key of this node or of the overlay in its range; `None` when there is none.
    fn step(&mut self) -> Option<Bkey> {
        loop {
            let over_pos = match self.over < self.range.end {
                true => self
                    .btrees
                    .overlay()
                    .pos(self.over)
                    .filter(|p| *p <= self.end),
                false => None,
            };
            let stored = self
                .path
                .get(usize::from(self.level))
                .and_then(Option::as_ref)
                .and_then(|n| n.key_at(self.place))
                .map(|s| (s.key.k, s.invalid, s.next));
            match (stored, over_pos) {
                (None, None) => return None,
                (Some((k, invalid, next)), over) if over.is_none_or(|p| k.p < p) => {
                    let at = core::mem::replace(&mut self.place, next);
                    if !invalid {
                        self.current = Current::Node(at, k);
                        return Some(k);
                    }
                    if self.level == 0 {
                        let unusable = Bkey {
                            key_type: KeyType::ERROR,
                            ..k
                        };
                        self.current = Current::Invalid(unusable);
                        return Some(unusable);
                    }
                }
                (stored, _) => {
                    let at = self.over;
                    self.over = at.saturating_add(1);
                    let Some(k) = self.btrees.overlay().key(at).map(|key| key.k) else {
                        continue;
                    };
                    if let Some((_, _, next)) = stored.filter(|s| s.0.p == k.p) {
                        self.place = next;
                    }
                    if k.key_type != KeyType::DELETED {
                        self.current = Current::Overlay(at);
                        return Some(k);
                    }
                }
            }
        }
    }

    /// The key that [`advance`](Self::advance) moved to.
    pub fn current(&self) -> Option<Key<'_>> {
        match self.current {
            Current::Nowhere => None,
            Current::Node(place, k) => Some(Key {
                k,
                v: self.node()?.value_at(place)?,
            }),
            Current::Overlay(index) => self.btrees.overlay().key(index),
            Current::Invalid(k) => Some(Key { k, v: &[] }),
        }
    }

    /// Where the key is that [`advance`](Self::advance) moved to.
    pub fn place(&self) -> Place {
        let (pos, in_node) = match self.current {
            Current::Nowhere => (self.pos, false),
            Current::Node(_, k) | Current::Invalid(k) => (k.p, true),
            Current::Overlay(index) => {
                (self.btrees.overlay().pos(index).unwrap_or(self.pos), false)
            }
        };
        Place {
            btree: self.btree,
            level: self.level,
            pos,
            at: self.node().filter(|_| in_node).map(|n| n.at),
        }
    }

    /// The next key; `None` at the end.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Key<'_>>> {
        match self.advance()? {
            Some(_) => Ok(self.current()),
            None => Ok(None),
        }
    }
}
