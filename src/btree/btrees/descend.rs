// SPDX-License-Identifier: GPL-2.0

//! From a node to those below it: in memory, or read; and what is wrong there.

use super::{
    Btrees,
    RootState, //
};
use crate::{
    btree::{
        health::{
            Health,
            Place,
            What, //
        },
        node::{
            Body,
            Node, //
        },
        ptr::{
            NodeKey,
            NodePtr, //
        },
        read::Reader, //
    },
    env::{
        pr_err,
        Arc, //
    },
    error::{
        Error,
        Invalid,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        values::btree_ptr::BtreePtr, //
    },
    journal::keys::JournalKeys,
};

impl Btrees {
    pub(in crate::btree) fn reader_for<'a>(&'a self, health: &'a Health) -> Reader<'a> {
        Reader {
            st: &self.st,
            blacklist: &self.blacklist,
            check: &self.check,
            health,
            salvage: false,
        }
    }

    /// Reads a node; when none of its copies is whole, what is left of it, if that is to be.
    #[inline(never)]
    fn read_or_salvage(&self, ptr: &NodePtr) -> Result<Arc<Node>> {
        let mut reader = self.reader_for(&self.health);
        match reader.read(ptr) {
            Err(e) if e.is_corruption() && self.is_salvaging() => {
                reader.salvage = true;
                // What is a passing trouble does not make a node a lost one.
                reader
                    .read(ptr)
                    .map_err(|again| if again.is_corruption() { e } else { again })
            }
            read => read,
        }
    }

    /// Reads the node that `ptr` points to, past the cache: what is on the devices. On a stack of
    /// its own: whoever wants a node may be deep in a call already.
    pub fn read_node(&self, ptr: &NodePtr) -> Result<Arc<Node>> {
        self.tasks.call(|| self.read_or_salvage(ptr))?
    }

    /// The child of the interior node `parent` that covers `pos`; `None` when the parent is no
    /// longer part of its btree.
    ///
    /// C: `bch2_btree_node_get()`.
    pub(in crate::btree) fn child(
        &self,
        parent: &Node,
        pos: Bpos,
        over: Option<&JournalKeys>,
    ) -> Result<Option<Arc<Node>>> {
        if over.is_none() {
            if let Some(node) = self.cached_child(parent, pos) {
                return Ok(Some(node));
            }
        }
        self.find_or_read_child(parent, pos, over)
    }

    /// The same, when the child is in memory and there is nothing the matter with it or with the
    /// pointer to it.
    #[inline]
    fn cached_child(&self, parent: &Node, pos: Bpos) -> Option<Arc<Node>> {
        let (id, max) = {
            let body = parent.read();
            let key = body.first_from(pos).filter(|_| !parent.is_dead())?;
            (BtreePtr::decode(&key).ok()??.v2?, key.k.p)
        };
        let key = NodeKey {
            hash: id.seq,
            btree: parent.btree,
            level: parent.level.saturating_sub(1),
        };
        let node = self.cache.peek(&key)?;
        (node.max == max && node.min == id.min_key && node.covers(pos)).then_some(node)
    }

    #[inline(never)]
    fn find_or_read_child(
        &self,
        parent: &Node,
        pos: Bpos,
        over: Option<&JournalKeys>,
    ) -> Result<Option<Arc<Node>>> {
        while let Some(ptr) = self.child_ptr(parent, pos, over)? {
            let key = ptr.cache_key();
            let node = self.cache.get(key, || {
                // The node may have been in memory until just now, and written: only from here on
                // nobody changes it, nor what the parent says of it.
                let now = self.child_ptr(parent, pos, over)?;
                let now = now.filter(|now| now.cache_key() == key);
                now.map(|ptr| self.read_node(&ptr)).transpose()
            });
            let Some(node) = node.inspect_err(|e| self.note(ptr.place(), *e))? else {
                continue;
            };
            // Two pointers can name one node; only one of them can be right about its range.
            if node.max != ptr.max || ptr.min().is_some_and(|min| min != node.min) {
                return Err(self.other_range(&node, &ptr));
            }
            return Ok(Some(node));
        }
        Ok(None)
    }

    /// The node of `level` that covers `pos`; `None` when the btree has no root.
    pub(in crate::btree) fn find_node(
        &self,
        btree: BtreeId,
        level: u8,
        pos: Bpos,
    ) -> Result<Option<Arc<Node>>> {
        loop {
            let node = match self.root(btree) {
                RootState::Node(root) => root,
                RootState::None => return Ok(None),
                RootState::Broken(e) => return Err(e),
            };
            if node.level < level {
                return Err(Error::BtreeNoLevel);
            }
            match self.find_below(&node, level, pos)? {
                Some(found) => return Ok(Some(found)),
                None if node.level == level => return Ok(Some(node)),
                None => (),
            }
        }
    }

    /// The node of `level` below `node` that covers `pos`, which `node` does; `None` when it is on
    /// that level itself, or a node on the way is no longer part of the btree.
    #[inline]
    pub(in crate::btree) fn find_below(
        &self,
        node: &Node,
        level: u8,
        pos: Bpos,
    ) -> Result<Option<Arc<Node>>> {
        if node.level <= level {
            return Ok(None);
        }
        let over = self.overlay();
        let mut found = self.child(node, pos, over.as_deref())?;
        while let Some(node) = found.take_if(|n| n.level > level) {
            found = self.child(&node, pos, over.as_deref())?;
        }
        Ok(found)
    }

    #[cold]
    #[inline(never)]
    fn other_range(&self, node: &Node, ptr: &NodePtr) -> Error {
        let e = Error::NodeOtherRange;
        if node.report_once() {
            pr_err!(
                "btree node ({ptr}): in memory it covers {} - {} ({})",
                node.min,
                node.max,
                node.place(ptr.max)
            );
            self.count(e);
        }
        self.note(ptr.place(), e);
        e
    }

    /// Marks the btree of `place` sick when `e` says that it is damaged there.
    #[cold]
    #[inline(never)]
    pub(super) fn note(&self, place: Place, e: Error) {
        if e.is_corruption() && self.health.found(place, What::Node(e)) {
            pr_err!("btree {} is damaged at {place}: {e}", place.btree);
        }
    }

    /// Keeps and counts that a key that passed for good when it was read can not be used after all.
    pub fn bad_key(&self, place: Place, invalid: Invalid) {
        self.st.errors.count(invalid.id);
        self.health.found(place, What::Key(invalid));
    }

    /// What `parent` says of its child that covers `pos`.
    fn child_ptr(
        &self,
        parent: &Node,
        pos: Bpos,
        over: Option<&JournalKeys>,
    ) -> Result<Option<NodePtr>> {
        let body = parent.read();
        if parent.is_dead() {
            return Ok(None);
        }
        let found = self.find_child(parent, &body, pos, over);
        drop(body);
        match found {
            Ok(ptr) => Ok(Some(ptr)),
            Err(e) => {
                self.no_child(parent, pos, e);
                Err(e)
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn no_child(&self, parent: &Node, pos: Bpos, e: Error) {
        if parent.report_once() {
            pr_err!(
                "btree {} node {} - {} ({}): no usable pointer to the node there: {e}",
                parent.btree,
                parent.min,
                parent.max,
                parent.place(pos)
            );
            self.count(e);
        }
        self.note(parent.place(pos), e);
    }

    fn find_child(
        &self,
        parent: &Node,
        body: &Body,
        pos: Bpos,
        overlay: Option<&JournalKeys>,
    ) -> Result<NodePtr> {
        let range = overlay.map(|o| o.range(parent.btree, parent.level));
        let range = range.unwrap_or_default();
        let mut over = overlay.map_or(0, |o| o.lower_bound(range, pos));
        let mut place = body.search(pos);
        loop {
            let stored = body.key_at(place);
            over = overlay.map_or(0, |o| o.counting(over, range.end));
            let over_key = (over < range.end)
                .then(|| overlay.and_then(|o| o.key(over)))
                .flatten()
                .filter(|k| k.k.p <= parent.max);
            let over_pos = over_key.map_or(Bpos::MAX, |k| k.k.p);
            let key = match (stored, over_key) {
                (Some(slot), over) if over.is_none() || slot.key.k.p < over_pos => {
                    place = slot.next;
                    if slot.invalid {
                        return Err(Error::NodeChildInvalid);
                    }
                    slot.key
                }
                (stored, Some(key)) => {
                    if let Some(slot) = stored.filter(|s| s.key.k.p == over_pos) {
                        place = slot.next;
                    }
                    over = over.saturating_add(1);
                    key
                }
                _ => return Err(Error::NodeNoChild),
            };
            if key.k.key_type == KeyType::DELETED {
                continue;
            }
            let level = parent.level.saturating_sub(1);
            let ptr = NodePtr::decode(parent.btree, level, &key, self.entry_sizes())?;
            return match ptr.min() {
                Some(min) if min > pos => Err(Error::NodeGap),
                _ => Ok(ptr),
            };
        }
    }
}
