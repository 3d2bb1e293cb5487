// SPDX-License-Identifier: GPL-2.0

//! Keys in order.

use super::{
    btrees::{
        Btrees,
        RootState, //
    },
    health,
    key_buf::KeyBuf,
    key_cache::{
        CachedKey,
        Newest, //
    },
    node::Node, //
};
use crate::{
    algo::node_keys::Place,
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
    journal::keys::{
        JournalKeys,
        KeyRange, //
    },
};

/// Levels a path can have.
const DEPTH: usize = usize_of_u8(BTREE_MAX_DEPTH);

/// Where the key an iterator stands on is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Current {
    /// Nothing returned yet, or the end.
    Nowhere,
    /// A node.
    Node,
    /// The overlay; with this index.
    Overlay(usize),
}

/// What came of looking for the next key in a node.
enum Step {
    /// It is in the buffer.
    Key(Bkey),
    /// The node has no more.
    End,
    /// The node is no longer part of its btree.
    Gone,
    /// The next key is being changed by somebody else.
    Busy(Arc<CachedKey>),
}

/// Walks over the keys of one level of a btree in order. The overlay is merged in: its keys
/// replace those at the same position, and deletions hide them. Deleted keys are never returned;
/// whiteouts are.
///
/// In place of a key whose value was found invalid, there is one of type `error`: it hides what is
/// older as the key itself would, and nobody takes the place for empty. Above level 0 it is left
/// out; lookups look after that themselves.
///
/// Of a key that was changed in the key cache, the value is from there: nobody has to think of it.
///
/// The iterator keeps the nodes on the path to its place, so that the next key, and keys nearby,
/// cost no lookup from the root. It holds a lock only while it copies a key; when the node has
/// changed by the next step, it looks for its position again. It allocates nothing, but for long
/// values.
///
/// C: `struct btree_iter` with its `struct btree_path`.
pub struct Iter<'a> {
    btrees: &'a Btrees,
    overlay: Option<Arc<JournalKeys>>,
    btree: BtreeId,
    level: u8,
    /// Its keys can be in the key cache.
    cached: bool,
    /// The nodes on the way to `pos`, by level.
    path: [Option<Arc<Node>>; DEPTH],
    /// The overlay's keys of this level.
    range: KeyRange,
    /// What to look at next: place in the node, index in the overlay.
    place: Place,
    over: usize,
    /// The node's sequence number when `place` was right.
    seq: u32,
    /// `place` and `over` are valid. Otherwise the node for `pos` has to be found first.
    placed: bool,
    /// `place` was searched for in the node.
    searched: bool,
    /// Where the node in use ends.
    end: Bpos,
    /// Where to go on.
    pos: Bpos,
    /// Nodes that only have keys beyond this are not read.
    limit: Bpos,
    at_end: bool,
    current: Current,
    /// A copy of the key it stands on, unless that is in the overlay.
    buf: KeyBuf,
    /// Keys met that can not be used.
    unusable: u64,
}

impl<'a> Iter<'a> {
    pub(super) fn new(btrees: &'a Btrees, btree: BtreeId, level: u8, start: Bpos) -> Self {
        let overlay = btrees.overlay();
        let range = overlay.as_ref().map(|o| o.range(btree, level));
        Self {
            btrees,
            overlay,
            btree,
            level,
            cached: level == 0 && btree.uses_key_cache(),
            path: [const { None }; DEPTH],
            range: range.unwrap_or_default(),
            place: Place::default(),
            over: 0,
            seq: 0,
            placed: false,
            searched: false,
            end: Bpos::MAX,
            pos: start,
            limit: Bpos::MAX,
            at_end: false,
            current: Current::Nowhere,
            buf: KeyBuf::default(),
            unusable: 0,
        }
    }

    /// How many keys, or pointers to nodes above level 0, it has met so far that can not be used.
    pub fn nr_unusable(&self) -> u64 {
        self.unusable
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
        if let Some(end) = self.node().filter(|n| n.covers(pos)).map(|n| n.max) {
            self.end = end;
            self.over = self.lower_bound(pos);
            (self.searched, self.placed) = (false, true);
        }
    }

    /// The overlay's first key at or after `pos`.
    #[inline]
    fn lower_bound(&self, pos: Bpos) -> usize {
        let overlay = self.overlay.as_ref();
        overlay.map_or(0, |o| o.lower_bound(self.range, pos))
    }

    /// Finds the node that covers `pos`, from the lowest node of the path that covers it too.
    ///
    /// C: `bch2_btree_path_traverse_one()`.
    fn traverse(&mut self) -> Result {
        self.over = self.lower_bound(self.pos);
        let mut from = self.covering();
        loop {
            let node = match from.take() {
                Some(node) => node,
                None => match self.btrees.root(self.btree) {
                    RootState::Node(root) => root,
                    RootState::None => {
                        self.path = [const { None }; DEPTH];
                        (self.end, self.placed) = (Bpos::MAX, true);
                        return Ok(());
                    }
                    RootState::Broken(e) => return Err(e),
                },
            };
            if node.level < self.level {
                // The btree has no such level.
                (self.at_end, self.placed) = (true, true);
                return Ok(());
            }
            if self.descend(node)? {
                (self.searched, self.placed) = (false, true);
                return Ok(());
            }
            // A node on the way was replaced meanwhile.
            self.path = [const { None }; DEPTH];
        }
    }

    /// Goes down from `node` to this iterator's level; `false` when a node on the way is no longer
    /// part of the btree.
    fn descend(&mut self, mut node: Arc<Node>) -> Result<bool> {
        loop {
            self.keep(node.clone());
            if node.level <= self.level {
                self.end = node.max;
                return Ok(self.pos <= node.max);
            }
            let over = self.overlay.as_deref();
            let Some(child) = self.btrees.child(&node, self.pos, over)? else {
                return Ok(false);
            };
            node = child;
        }
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
            match self.step()? {
                Step::Key(k) => {
                    self.pos = k.p.successor();
                    return Ok(Some(k));
                }
                Step::End if self.end >= self.limit => self.at_end = true,
                Step::End => {
                    self.pos = self.end.successor();
                    self.placed = false;
                }
                Step::Gone => {
                    self.path = [const { None }; DEPTH];
                    self.placed = false;
                }
                Step::Busy(key) => drop(key.read()),
            }
        }
        Ok(None)
    }

    /// Copies the next key of this node or of the overlay in its range.
    fn step(&mut self) -> Result<Step> {
        let node = self
            .path
            .get(usize::from(self.level))
            .and_then(Option::as_ref);
        let body = node.map(|n| n.read());
        if let (Some(node), Some(body)) = (node, &body) {
            if node.is_dead() {
                return Ok(Step::Gone);
            }
            if !self.searched || body.seq() != self.seq {
                self.searched = true;
                (self.place, self.seq) = (body.search(self.pos), body.seq());
            }
        }
        let overlay = self.overlay.as_deref();
        loop {
            let over_pos = overlay.and_then(|o| {
                self.over = o.counting(self.over, self.range.end);
                let pos = (self.over < self.range.end).then(|| o.pos(self.over))?;
                pos.filter(|p| *p <= self.end)
            });
            let stored = body.as_ref().and_then(|b| b.key_at(self.place));
            match (stored, over_pos) {
                (None, None) => return Ok(Step::End),
                (Some(slot), over) if over.is_none_or(|p| slot.key.k.p < p) => {
                    let newest = match self.cached && !slot.invalid {
                        true => {
                            let keys = self.btrees.key_cache();
                            keys.newest(self.btree, slot.key.k.p, &mut self.buf)?
                        }
                        false => Newest::Stored,
                    };
                    match newest {
                        Newest::Stored => (),
                        Newest::Copied => {
                            self.place = slot.next;
                            self.current = Current::Node;
                            return Ok(Step::Key(self.buf.k));
                        }
                        Newest::Busy(key) => return Ok(Step::Busy(key)),
                    }
                    if !slot.invalid {
                        self.buf.set(&slot.key)?;
                    } else if self.level == 0 {
                        self.buf.set(&unusable(&slot.key))?;
                    }
                    self.place = slot.next;
                    self.unusable = self.unusable.saturating_add(slot.invalid.into());
                    if !slot.invalid || self.level == 0 {
                        self.current = Current::Node;
                        return Ok(Step::Key(self.buf.k));
                    }
                }
                (stored, _) => {
                    let at = self.over;
                    self.over = at.saturating_add(1);
                    let Some(k) = overlay.and_then(|o| o.key(at)).map(|key| key.k) else {
                        continue;
                    };
                    if let Some(slot) = stored.filter(|s| s.key.k.p == k.p) {
                        self.place = slot.next;
                    }
                    if k.key_type != KeyType::DELETED {
                        self.current = Current::Overlay(at);
                        return Ok(Step::Key(k));
                    }
                }
            }
        }
    }

    /// The key that [`advance`](Self::advance) moved to.
    pub fn current(&self) -> Option<Key<'_>> {
        match self.current {
            Current::Nowhere => None,
            Current::Node => Some(self.buf.key()),
            Current::Overlay(index) => self.overlay.as_ref()?.key(index),
        }
    }

    /// Where the key is that [`advance`](Self::advance) moved to.
    pub fn place(&self) -> health::Place {
        let (pos, in_node) = match self.current {
            Current::Nowhere => (self.pos, false),
            Current::Node => (self.buf.k.p, true),
            Current::Overlay(index) => {
                let pos = self.overlay.as_ref().and_then(|o| o.pos(index));
                (pos.unwrap_or(self.pos), false)
            }
        };
        health::Place {
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

/// What stands for a key whose value can not be used.
fn unusable<'a>(key: &Key<'a>) -> Key<'a> {
    Key {
        k: Bkey {
            key_type: KeyType::ERROR,
            ..key.k
        },
        v: &[],
    }
}
