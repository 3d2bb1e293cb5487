// SPDX-License-Identifier: GPL-2.0

//! Merging small nodes.
//!
//! A node that is less than a third full is merged with one beside it, if what comes of it is at
//! most half full, so that it is not soon split again. C wants a third; with that, more space stays
//! in nodes when much is deleted.
//!
//! Roots stay as high as they are, as in the C implementation, also when they point to one node
//! only: the journal has updates of nodes by their level, and those of a root that is gone would be
//! taken for updates of one of the same level that comes later.

use super::{
    replace::{
        room_of_new,
        Made,
        New,
        Replacement, //
    },
    NodePlace,
};
use crate::{
    algo::node_keys::{
        Builder,
        NodeKeys, //
    },
    btree::{
        node::Node,
        trans::{
            Hooks,
            Writer, //
        },
        Btrees, //
    },
    env::{
        Arc,
        Vec, //
    },
    error::Result,
    format::{
        bkey::BKEY_U64S,
        bpos::Bpos, //
    },
    sys::six::IntentGuard,
};

/// Freezes `node` and one beside it, and makes what replaces both, in memory and on disk. On any
/// other outcome than [`Made::Yes`] all is as it was.
///
/// C: `__bch2_foreground_maybe_merge()`.
#[inline(never)]
pub(super) fn make_merged<H: Hooks>(
    btrees: &Btrees,
    writer: &Writer<H>,
    node: &Arc<Node>,
    places: &mut Vec<NodePlace>,
) -> Result<Made> {
    let Some(pair) = pair(btrees, node)? else {
        return Ok(Made::Gone);
    };
    let Some(place) = places.last().copied() else {
        return Ok(Made::Places(1));
    };
    let mut made = Replacement {
        btree: node.btree,
        old: Vec::with_capacity(pair.len())?,
        new: Vec::with_capacity(1)?,
        root: None,
        places: Vec::with_capacity(1)?,
    };
    for old in &pair {
        match freeze(old) {
            Frozen::Yes => made.old.push(old.clone())?,
            Frozen::Gone => {
                made.thaw();
                return Ok(Made::Gone);
            }
            Frozen::Busy => {
                made.thaw();
                return Ok(Made::Busy(old.clone()));
            }
        }
    }
    let new = keys_together(btrees, node, &pair).and_then(|keys| match keys {
        Some(keys) => new_of(btrees, writer, &pair, keys, &place).map(Some),
        None => Ok(None),
    });
    match new {
        Ok(Some(new)) => {
            made.new.push(new)?;
            made.places.push(place)?;
            places.pop();
            Ok(Made::Yes(made))
        }
        Ok(None) => {
            made.thaw();
            Ok(Made::Gone)
        }
        Err(e) => {
            made.thaw();
            Err(e)
        }
    }
}

/// The keys of both, if a node with them is small enough. For the wider range they may be packed
/// worse than in either, and take so much more that it would have to be split at once.
///
/// C: the use of `btree_node_u64s_with_format()` in `__bch2_foreground_maybe_merge()`.
fn keys_together(
    btrees: &Btrees,
    node: &Node,
    [a, b]: &[Arc<Node>; 2],
) -> Result<Option<NodeKeys>> {
    // They may have grown before they were frozen.
    if !is_small_together(btrees, a, b) {
        return Ok(None);
    }
    let sb = &btrees.sb().sb;
    let most = merged_max_u64s(btrees, a);
    let keys = keys_of([a, b])?;
    let live = keys.live_u64s();
    if live <= most && room_of_new(sb, live) >= most / 2 {
        return Ok(Some(keys));
    }
    node.merge_below(live_u64s(node).unwrap_or(0));
    Ok(None)
}

enum Frozen {
    Yes,
    Gone,
    Busy,
}

fn freeze(node: &Arc<Node>) -> Frozen {
    let mut guard = IntentGuard::lock(node.clone());
    if node.is_dead() || guard.is_frozen() {
        return Frozen::Gone;
    }
    if guard.is_writing() {
        return Frozen::Busy;
    }
    Node::set_frozen(&mut guard.write(), true);
    Frozen::Yes
}

/// Words of keys, if all of them are good.
fn live_u64s(node: &Node) -> Option<usize> {
    let body = node.read();
    body.all_valid().then(|| body.keys().live_u64s())
}

/// Words of keys that what is merged with `node` has at most.
fn merged_max_u64s(btrees: &Btrees, node: &Node) -> usize {
    node.read().capacity_u64s(btrees.sb().sb.node_sectors()) / 2
}

fn is_small_together(btrees: &Btrees, a: &Node, b: &Node) -> bool {
    match (live_u64s(a), live_u64s(b)) {
        (Some(live_a), Some(live_b)) => together_u64s(live_a, live_b) <= merged_max_u64s(btrees, a),
        _ => false,
    }
}

/// Words that the keys of two nodes, which take so many in each, take together: if one has few, at
/// most, as each word of these can become a header that is not packed.
fn together_u64s(a: usize, b: usize) -> usize {
    let (few, many) = (a.min(b), a.max(b));
    let few = match is_few_beside(few, many) {
        true => few.saturating_mul(BKEY_U64S.into()),
        false => few,
    };
    many.saturating_add(few)
}

/// Whether so `few` words of keys, beside `many` of another node, are not worth packing all anew:
/// these are packed as the others are, or not at all.
fn is_few_beside(few: usize, many: usize) -> bool {
    few <= many >> 3
}

/// Whether `node` could be merged now: a look before anything is locked or allocated for that. When
/// not, it is not small any more until it has fewer keys.
pub(super) fn has_partner(btrees: &Btrees, node: &Arc<Node>) -> bool {
    // A failure is reported where it matters.
    matches!(pair(btrees, node), Ok(Some(_)))
}

/// `node` and the one beside it, in order, that it can be merged with.
fn pair(btrees: &Btrees, node: &Arc<Node>) -> Result<Option<[Arc<Node>; 2]>> {
    if node.is_dead() || btrees.is_root(node) {
        return Ok(None);
    }
    let level = node.level.saturating_add(1);
    let parent = match btrees.find_node(node.btree, level, node.min)? {
        Some(parent) if parent.covers(node.max) => parent,
        // It was replaced meanwhile.
        _ => return Ok(None),
    };
    let beside = |there: bool, pos: Bpos| match there && parent.covers(pos) {
        true => btrees.find_node(node.btree, node.level, pos),
        false => Ok(None),
    };
    let next = beside(node.max < Bpos::MAX, node.max.successor())?;
    let next = next.filter(|n| n.min == node.max.successor());
    if let Some(next) = next.filter(|n| is_small_together(btrees, node, n)) {
        return Ok(Some([node.clone(), next]));
    }
    let previous = beside(node.min > Bpos::MIN, node.min.predecessor())?;
    let previous = previous.filter(|p| p.max == node.min.predecessor());
    if let Some(previous) = previous.filter(|p| is_small_together(btrees, p, node)) {
        return Ok(Some([previous, node.clone()]));
    }
    // Not before it is smaller.
    node.merge_below(live_u64s(node).unwrap_or(0));
    Ok(None)
}

/// The new node with the `keys` of both, which are frozen.
fn new_of<H: Hooks>(
    btrees: &Btrees,
    writer: &Writer<H>,
    [a, b]: &[Arc<Node>; 2],
    keys: NodeKeys,
    place: &NodePlace,
) -> Result<Arc<Node>> {
    let journal_seq = a.read().journal_seq.max(b.read().journal_seq);
    let new = New {
        btree: a.btree,
        level: a.level,
        replaced: a.replaced.max(b.replaced).wrapping_add(1),
        range: (a.min, b.max),
        journal_seq,
    };
    new.write(btrees, writer, keys, Some(place))
}

/// The keys of both, packed for the range of both; or as those of one, if the other has few.
fn keys_of([a, b]: [&Node; 2]) -> Result<NodeKeys> {
    let live = |node: &Node| live_u64s(node).unwrap_or(0);
    let (few, many) = match live(a) < live(b) {
        true => (a, b),
        false => (b, a),
    };
    let mut keys = Builder::new(a.min, b.max);
    if is_few_beside(live(few), live(many)) {
        keys.lay_out_as(many.read().keys());
    } else {
        keys.count_all(a.read().keys())?;
        keys.count_all(b.read().keys())?;
        keys.lay_out();
    }
    keys.push_all(a.read().keys())?;
    keys.push_all(b.read().keys())?;
    keys.finish()
}
