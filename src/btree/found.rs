// SPDX-License-Identifier: GPL-2.0

//! Nodes that were found on devices, or through their btrees: which of several that overlap are
//! the newest, and what of them is left.

use super::{
    key_buf::KeyBuf,
    node::Node,
    ptr::{
        NodeKey,
        NodePtr, //
    },
};
use crate::{
    env::{
        sort::sort_by,
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        values::extent_entry::Ptr, //
    },
};
use core::cmp::Ordering;

/// A node, and the range it is good for.
///
/// C: `struct found_btree_node`.
#[derive(Clone, Copy, Debug)]
pub struct FoundNode {
    /// The pointer to it, with the range.
    ptr: NodePtr,
    /// Sectors of its log that are in use.
    written: u16,
    /// How often nodes at its place were replaced: the higher, the newer.
    seq: u32,
    /// The newest journal entry with a key in it, as far as it says.
    journal_seq: u64,
}

impl FoundNode {
    /// A node that was read; `journal_seq` is the newest journal entry with a key in it.
    pub(super) fn of(node: &Node, journal_seq: u64) -> Option<Self> {
        let body = node.read();
        body.ptr.id?;
        Some(Self {
            ptr: body.ptr,
            written: body.on_disk,
            seq: node.replaced,
            journal_seq,
        })
    }

    /// The btree it is in.
    pub fn btree(&self) -> BtreeId {
        self.ptr.btree
    }

    /// The lowest position.
    pub fn min(&self) -> Bpos {
        self.ptr.min().unwrap_or(self.ptr.max)
    }

    /// The highest position.
    pub fn max(&self) -> Bpos {
        self.ptr.max
    }

    /// The same node for another range; `None` for an empty one.
    pub fn with_range(mut self, min: Bpos, max: Bpos) -> Option<Self> {
        if min > max {
            return None;
        }
        let is_other = min != self.min() || max != self.max();
        let id = self.ptr.id.as_mut()?;
        id.range_updated |= is_other;
        id.min_key = min;
        self.ptr.max = max;
        Some(self)
    }

    /// Whether its range is not the one that it says itself.
    pub fn is_cut(&self) -> bool {
        self.ptr.range_updated()
    }

    /// What to look for in the cache.
    pub(super) fn cache_key(&self) -> NodeKey {
        self.ptr.cache_key()
    }

    /// The pointer to it.
    pub(super) fn pointer(&self) -> Result<KeyBuf> {
        self.ptr.key(self.written)?.ok_or(Error::FoundNodeIdentity)
    }

    /// Which of two is the older one.
    ///
    /// C: `found_btree_node_cmp_time()`.
    fn cmp_age(&self, other: &Self) -> Ordering {
        (self.seq, self.journal_seq).cmp(&(other.seq, other.journal_seq))
    }

    /// Where its first copy is.
    fn first_copy(&self) -> Option<Ptr> {
        self.ptr.copies().next()
    }
}

/// Puts copies of one node together: each was found by itself.
pub fn join_copies(nodes: &mut Vec<FoundNode>) -> Result {
    let id = |n: &FoundNode| {
        let key = n.ptr.cache_key();
        (key.btree, n.ptr.level, key.hash)
    };
    let place = |n: &FoundNode| n.first_copy().map(|c| (c.dev, c.offset));
    sort_by(nodes, |a, b| (id(a), place(a)).cmp(&(id(b), place(b))));
    let mut joined: Vec<FoundNode> = Vec::new();
    for node in nodes.iter() {
        if let Some(last) = joined.last_mut().filter(|l| id(l) == id(node)) {
            match node.written.cmp(&last.written) {
                // What the other one misses was not written to it.
                Ordering::Greater => *last = *node,
                Ordering::Equal => {
                    if let Some(copy) = node.first_copy() {
                        last.ptr.add_copy(copy);
                    }
                }
                Ordering::Less => (),
            }
            continue;
        }
        joined.push(*node)?;
    }
    *nodes = joined;
    Ok(())
}

/// Of nodes of one level of one btree, what is not covered by newer ones: in order of position, and
/// without overlaps.
///
/// C: `handle_overwrites()`.
pub fn newest(nodes: &mut [FoundNode]) -> Result<Vec<FoundNode>> {
    sort_by(nodes, |a, b| a.min().cmp(&b.min()));
    let (mut out, mut next) = (Vec::new(), nodes.iter().peekable());
    // Those that cover `at`, and some that have ended before; the newest is the last one.
    let mut covering: Vec<FoundNode> = Vec::new();
    let mut at = Bpos::MIN;
    loop {
        while let Some(node) = next.next_if(|n| n.min() <= at) {
            let place = covering.partition_point(|c| c.cmp_age(node) == Ordering::Less);
            covering.insert(place, *node)?;
        }
        while covering.last().is_some_and(|c| c.max() < at) {
            covering.pop();
        }
        let Some(winner) = covering.last() else {
            match next.peek() {
                Some(node) => at = node.min(),
                None => return Ok(out),
            }
            continue;
        };
        let until = next.peek().map_or(Bpos::MAX, |n| n.min().predecessor());
        let end = winner.max().min(until);
        add_part(&mut out, winner, (at, end))?;
        if end == Bpos::MAX {
            return Ok(out);
        }
        at = end.successor();
    }
}

/// Adds a part of `node`, or makes the last part longer.
fn add_part(out: &mut Vec<FoundNode>, node: &FoundNode, (min, max): (Bpos, Bpos)) -> Result {
    let key = node.cache_key();
    let goes_on = |last: &FoundNode| last.cache_key() == key && last.max().successor() == min;
    if let Some(last) = out.last_mut().filter(|last| goes_on(last)) {
        if let Some(longer) = node.with_range(last.min(), max) {
            *last = longer;
        }
        return Ok(());
    }
    match node.with_range(min, max) {
        Some(part) => out.push(part),
        None => Ok(()),
    }
}

/// What of `nodes` is in `ranges`; both are in order and without overlaps.
pub fn within(nodes: &[FoundNode], ranges: &[(Bpos, Bpos)]) -> Result<Vec<FoundNode>> {
    let mut out = Vec::new();
    for (min, max) in ranges {
        let first = nodes.partition_point(|n| n.max() < *min);
        let rest = nodes.get(first..).unwrap_or_default();
        for node in rest.iter().take_while(|n| n.min() <= *max) {
            if let Some(part) = node.with_range(node.min().max(*min), node.max().min(*max)) {
                out.push(part)?;
            }
        }
    }
    Ok(out)
}

/// Puts `more`, which is in the gaps of `nodes`, with them.
pub fn unite(nodes: &mut Vec<FoundNode>, more: &[FoundNode]) -> Result {
    for node in more {
        nodes.push(*node)?;
    }
    sort_by(nodes, |a, b| a.min().cmp(&b.min()));
    Ok(())
}

/// The position before `pos`.
fn before(pos: Bpos) -> Option<Bpos> {
    (pos != Bpos::MIN).then(|| pos.predecessor())
}

/// The position after `pos`.
fn after(pos: Bpos) -> Option<Bpos> {
    (pos != Bpos::MAX).then(|| pos.successor())
}

/// The ranges that none of `nodes` covers, which are in order and without overlaps.
pub fn gaps(nodes: &[FoundNode]) -> Result<Vec<(Bpos, Bpos)>> {
    let (mut out, mut from) = (Vec::new(), Some(Bpos::MIN));
    for node in nodes {
        if let (Some(start), Some(end)) = (from, before(node.min())) {
            if start <= end {
                out.push((start, end))?;
            }
        }
        from = after(node.max());
    }
    if let Some(start) = from {
        out.push((start, Bpos::MAX))?;
    }
    Ok(out)
}

/// Makes `nodes`, of which there is one at least, cover everything: each begins where the one
/// before ends, and the last one ends with the btree.
///
/// C: `set_node_min()`, `set_node_max()`.
pub fn close_gaps(nodes: &mut [FoundNode]) {
    let mut from = Bpos::MIN;
    for node in nodes.iter_mut() {
        if let Some(wider) = node.with_range(from, node.max()) {
            *node = wider;
        }
        from = node.max().successor();
    }
    if let Some(last) = nodes.last_mut() {
        if let Some(wider) = last.with_range(last.min(), Bpos::MAX) {
            *last = wider;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        btree::ptr::COPIES_MAX,
        env::units::DevIdx,
        format::values::extent_entry::Ptr, //
    };

    fn pos(offset: u64) -> Bpos {
        Bpos::new(0, offset, 0)
    }

    fn copy_at(sector: u64) -> Ptr {
        Ptr::from_word(1 | sector << 4)
    }

    fn node(seq: u32, cookie: u64, min: Bpos, max: Bpos) -> FoundNode {
        let mut copies = [None; COPIES_MAX];
        copies[0] = Some(copy_at(cookie * 512));
        FoundNode {
            ptr: NodePtr::of_new(BtreeId::DIRENTS, 0, cookie, (min, max), copies),
            written: 8,
            seq,
            journal_seq: 0,
        }
    }

    /// Which node covers what.
    fn map(nodes: &[FoundNode]) -> std::vec::Vec<(u64, u64, u64)> {
        let of = |n: &FoundNode| (n.ptr.cache_key().hash, n.min().offset, n.max().offset);
        nodes.iter().map(of).collect()
    }

    #[test]
    fn newer_ones_hide_older_ones() {
        let old = node(1, 1, pos(0), pos(99));
        let new = node(2, 2, pos(20), pos(49));
        let newest_one = node(3, 3, pos(40), pos(59));
        for order in [[old, new, newest_one], [newest_one, old, new]] {
            let left = newest(&mut order.to_vec()).unwrap();
            let last_of = |n: u64| pos(n).predecessor();
            assert_eq!(left.len(), 4);
            assert_eq!(left[0].max(), last_of(20));
            assert_eq!((left[1].min(), left[1].max()), (pos(20), last_of(40)));
            assert_eq!((left[2].min(), left[2].max()), (pos(40), pos(59)));
            assert_eq!(left[3].min(), pos(59).successor());
            let cookies: std::vec::Vec<_> = map(&left).iter().map(|m| m.0).collect();
            assert_eq!(cookies, [1, 2, 3, 1]);
            assert!(left[0].is_cut() && left[1].is_cut() && !left[2].is_cut());
        }
    }

    #[test]
    fn what_covers_all_leaves_nothing_of_others() {
        let all = node(5, 1, Bpos::MIN, Bpos::MAX);
        let others = [node(1, 2, pos(3), pos(7)), node(4, 3, pos(0), Bpos::MAX)];
        let left = newest(&mut [others[0], all, others[1]]);
        assert_eq!(left.unwrap().len(), 1);
        assert!(gaps(&[all]).unwrap().is_empty());
    }

    #[test]
    fn gaps_are_closed() {
        let mut nodes = [node(1, 1, pos(5), pos(9)), node(1, 2, pos(20), pos(29))];
        let found = gaps(&nodes).unwrap();
        assert_eq!(found.len(), 3);
        assert_eq!(found[0], (Bpos::MIN, pos(5).predecessor()));
        assert_eq!(found[1], (pos(9).successor(), pos(20).predecessor()));
        assert_eq!(found[2], (pos(29).successor(), Bpos::MAX));
        close_gaps(&mut nodes);
        assert!(gaps(&nodes).unwrap().is_empty());
        assert_eq!((nodes[0].min(), nodes[0].max()), (Bpos::MIN, pos(9)));
        assert_eq!(
            (nodes[1].min(), nodes[1].max()),
            (pos(9).successor(), Bpos::MAX)
        );
    }

    #[test]
    fn only_gaps_are_filled() {
        let mut tree = newest(&mut [node(1, 1, pos(10), pos(19))]).unwrap();
        let scanned = newest(&mut [node(9, 2, pos(5), pos(14)), node(9, 3, pos(18), pos(30))]);
        let more = within(&scanned.unwrap(), &gaps(&tree).unwrap()).unwrap();
        unite(&mut tree, &more).unwrap();
        let cookies: std::vec::Vec<_> = map(&tree).iter().map(|m| m.0).collect();
        assert_eq!(cookies, [2, 1, 3]);
        assert_eq!(
            (tree[0].max(), tree[2].min()),
            (pos(10).predecessor(), pos(19).successor())
        );
    }

    #[test]
    fn pointers_are_of_the_second_version() {
        let new = node(1, 7, pos(0), pos(9));
        let key = new.pointer().unwrap();
        assert_eq!(key.k.p, pos(9));
        let mut old = new;
        old.ptr.id = None;
        assert_eq!(old.pointer().err(), Some(Error::FoundNodeIdentity));
        assert!(old.with_range(pos(1), pos(2)).is_none());
    }

    #[test]
    fn copies_belong_together() {
        let mut nodes = Vec::new();
        for (cookie, sector) in [(7, 1), (9, 2), (7, 3)] {
            let mut n = node(1, cookie, pos(0), pos(9));
            n.ptr = n.ptr.without(DevIdx(0));
            n.ptr.add_copy(copy_at(sector * 512));
            nodes.push(n).unwrap();
        }
        nodes
            .push(FoundNode {
                written: 4,
                ..nodes[0]
            })
            .unwrap();
        join_copies(&mut nodes).unwrap();
        let copies: std::vec::Vec<_> = nodes.iter().map(|n| n.ptr.copies().count()).collect();
        assert_eq!(copies, [2, 1]);
    }
}
