// SPDX-License-Identifier: GPL-2.0

//! Old nodes, and the new ones in their place.

use super::NodePlace;
use crate::{
    algo::node_keys::{
        Builder,
        NodeKeys, //
    },
    btree::{
        encode::encode,
        node::{
            Body,
            Node,
            Parts, //
        },
        ptr::NodePtr,
        sent::Sent,
        trans::{
            Hooks,
            Writer, //
        },
        Btrees,
        KeyBuf, //
    },
    env::{
        num::{
            round_up_pow2,
            u64_of,
            usize_of, //
        },
        random_u64,
        units::SECTOR_SHIFT,
        Arc,
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::{
            BtreeId,
            BTREE_MAX_DEPTH, //
        },
        node::{
            ENTRY_HEADER_BYTES,
            NODE_HEADER_BYTES, //
        },
        sb::{
            counters::Counter,
            Superblock, //
        },
    },
    sb::{
        TimeStat,
        TimeStats, //
    },
    sys::{
        block::Flight,
        six::IntentGuard, //
    },
};

/// Percent of a node's keys that go to the first of two new ones: a little more than half, as
/// keys are most often added at the end. C: `btree_node_split()`.
const FIRST_SHARE: usize = 60;
/// A node whose keys take less of its capacity than this many percent is not split, but rewritten
/// in one, if there is room enough then.
const SPLIT_FROM: usize = 66;

/// Nodes and those that replace them.
pub(in crate::btree) struct Replacement {
    pub(super) btree: BtreeId,
    /// Those that were in the btree so far: one, or several of which one comes of it; none when
    /// it had no root.
    pub(super) old: Vec<Arc<Node>>,
    /// Those that replace them, in order of position, of one level.
    pub(super) new: Vec<Arc<Node>>,
    /// A root above them, when the old one was the root and there are several.
    pub(super) root: Option<Arc<Node>>,
    /// Where the new ones are.
    pub(super) places: Vec<NodePlace>,
}

/// Whether what is to be done to a node can be done now.
pub(super) enum Made {
    /// Here it is.
    Yes(Replacement),
    /// The node was replaced meanwhile, or is not what it was.
    Gone,
    /// This node is being written.
    Busy(Arc<Node>),
    /// There are not enough places; so many more are needed.
    Places(usize),
}

impl Replacement {
    /// Whether it replaces `node`, or is the first root of `btree`.
    pub(in crate::btree) fn is_of(&self, btree: BtreeId, node: Option<&Arc<Node>>) -> bool {
        match node {
            Some(node) => self.old.iter().any(|old| Arc::ptr_eq(old, node)),
            None => self.old.is_empty() && self.btree == btree,
        }
    }

    /// The new node of `level` that covers `pos`.
    pub(in crate::btree) fn new_at(&self, level: u8, pos: Bpos) -> Option<Arc<Node>> {
        let mut new = self.new.iter().filter(|n| n.level == level);
        new.find(|n| n.covers(pos)).cloned()
    }

    /// What this is counted as, its time and itself; the first root of a btree is not.
    pub(super) fn kind<'a>(&self, times: &'a TimeStats) -> Option<(&'a TimeStat, u8)> {
        match (self.old.len(), self.new.len()) {
            (0, _) => None,
            (1, 1) => Some((&times.btree_node_compact, Counter::BTREE_NODE_COMPACT)),
            (1, _) => Some((&times.btree_node_split, Counter::BTREE_NODE_SPLIT)),
            _ => Some((&times.btree_node_merge, Counter::BTREE_NODE_MERGE)),
        }
    }

    /// All new nodes.
    pub(super) fn all_new(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.new.iter().chain(&self.root)
    }

    /// Lets the old nodes be changed again.
    pub(super) fn thaw(&self) {
        for old in &self.old {
            let mut guard = IntentGuard::lock(old.clone());
            Node::set_frozen(&mut guard.write(), false);
        }
    }

    /// The new nodes are part of their btree now.
    pub(super) fn settle(&self) {
        for new in self.all_new() {
            let mut guard = IntentGuard::lock(new.clone());
            guard.write().apart = false;
        }
    }
}

/// Freezes `old` and makes what replaces it, in memory and on disk: so that a node has room for
/// `wanted_u64s` more, or at least fewer keys than before. On any other outcome than [`Made::Yes`]
/// it is as it was. New nodes go where `places` says, of which those used are taken from the end.
#[inline(never)]
pub(super) fn make<H: Hooks>(
    btrees: &Btrees,
    writer: &Writer<H>,
    old: &Arc<Node>,
    wanted_u64s: usize,
    places: &mut Vec<NodePlace>,
) -> Result<Made> {
    let mut guard = IntentGuard::lock(old.clone());
    if old.is_dead() || guard.is_frozen() {
        return Ok(Made::Gone);
    }
    if guard.is_writing() {
        return Ok(Made::Busy(old.clone()));
    }
    let parts = cut(&btrees.sb().sb, old, &guard, wanted_u64s)?;
    let grows = parts.len() > 1 && btrees.is_root(old);
    let needed = parts.len().saturating_add(grows.into());
    if let Some(more) = needed.checked_sub(places.len()).filter(|n| *n > 0) {
        return Ok(Made::Places(more));
    }
    let journal_seq = guard.journal_seq;

    let mut replacement = Replacement {
        btree: old.btree,
        old: Vec::with_capacity(1)?,
        new: Vec::new(),
        root: None,
        places: Vec::with_capacity(needed)?,
    };
    replacement.old.push(old.clone())?;
    for _ in 0..needed {
        if let Some(place) = places.pop() {
            replacement.places.push(place)?;
        }
    }
    Node::set_frozen(&mut guard.write(), true);
    drop(guard);
    let filled = fill(
        btrees,
        writer,
        (&mut replacement, old, grows),
        parts,
        journal_seq,
    );
    if let Err(e) = filled {
        replacement.thaw();
        for place in &replacement.places {
            places.push(*place)?;
        }
        return Err(e);
    }
    Ok(Made::Yes(replacement))
}

fn fill<H: Hooks>(
    btrees: &Btrees,
    writer: &Writer<H>,
    (replacement, old, grows): (&mut Replacement, &Node, bool),
    parts: Vec<Part>,
    journal_seq: u64,
) -> Result {
    let mut places = replacement.places.iter();
    replacement.new.reserve(parts.len())?;
    for (min, keys, max) in parts {
        let new = New {
            btree: old.btree,
            level: old.level,
            replaced: old.replaced.wrapping_add(1),
            range: (min, max),
            journal_seq,
        };
        let node = new.write(btrees, writer, keys, places.next())?;
        replacement.new.push(node)?;
    }
    if grows {
        let level = old.level.saturating_add(1);
        if level >= BTREE_MAX_DEPTH {
            return Err(Error::BtreeTooDeep);
        }
        let mut pointers = Vec::new();
        for node in &replacement.new {
            pointers.push(node.pointer()?)?;
        }
        let mut keys = Builder::new(Bpos::MIN, Bpos::MAX);
        pointers.iter().for_each(|p: &KeyBuf| keys.count(&p.k));
        keys.lay_out();
        for p in &pointers {
            keys.push(&p.k, p.value())?;
        }
        let new = New {
            btree: old.btree,
            level,
            replaced: 0,
            range: (Bpos::MIN, Bpos::MAX),
            journal_seq,
        };
        let root = new.write(btrees, writer, keys.finish()?, places.next())?;
        replacement.root = Some(root);
    }
    Ok(())
}

/// A part of a node's keys, with the range it is for.
type Part = (Bpos, NodeKeys, Bpos);

/// The keys of new nodes: at least two, if the node was crowded and has as many keys, and as many
/// as it takes for each to have room for `wanted_u64s` more.
#[inline(never)]
fn cut(sb: &Superblock, old: &Node, body: &Body, wanted_u64s: usize) -> Result<Vec<Part>> {
    let capacity = body.capacity_u64s(sb.node_sectors());
    let crowded = body.keys().live_u64s() > capacity.saturating_mul(SPLIT_FROM) / 100;
    let mut parts = Vec::with_capacity(2)?;
    match body.keys().split_pos(FIRST_SHARE).filter(|_| crowded) {
        Some(pivot) => cut_at(&mut parts, 0, body.keys(), (old.min, pivot, old.max))?,
        None => {
            let all = body.keys().copy_range(old.min, old.max)?;
            parts.push((old.min, all, old.max))?;
        }
    }
    let mut at = 0usize;
    while let Some((min, keys, max)) = parts.get(at) {
        if room_of_new(sb, keys.live_u64s()) >= wanted_u64s {
            at = at.saturating_add(1);
            continue;
        }
        let pivot = keys.split_pos(FIRST_SHARE);
        let range = (*min, pivot.ok_or(Error::BtreeNodeTooSmall)?, *max);
        if let Some((_, keys, _)) = parts.remove(at) {
            cut_at(&mut parts, at, &keys, range)?;
        }
    }
    Ok(parts)
}

/// Inserts the two parts of `keys` at `at`.
fn cut_at(
    parts: &mut Vec<Part>,
    at: usize,
    keys: &NodeKeys,
    (min, pivot, max): (Bpos, Bpos, Bpos),
) -> Result {
    let second = pivot.successor();
    parts.insert(at, (second, keys.copy_range(second, max)?, max))?;
    parts.insert(at, (min, keys.copy_range(min, pivot)?, pivot))
}

/// Words there is room for in a node that was just written with `live` words of keys.
pub(super) fn room_of_new(sb: &Superblock, live: usize) -> usize {
    let bytes = live.saturating_mul(8).saturating_add(NODE_HEADER_BYTES);
    let written = round_up_pow2(u64_of(bytes), sb.block_bytes().into());
    let whole = usize::from(sb.node_sectors()) << SECTOR_SHIFT;
    let left = whole.saturating_sub(written.map_or(usize::MAX, usize_of));
    left.saturating_sub(ENTRY_HEADER_BYTES) >> 3
}

/// Makes the first root of `btree`, which has no keys; or the one for which another one stands in.
pub(super) fn make_first<H: Hooks>(
    btrees: &Btrees,
    writer: &Writer<H>,
    btree: BtreeId,
    places: &mut Vec<NodePlace>,
) -> Result<Made> {
    let level = match btrees.root_node(btree) {
        Some(root) if root.is_stand_in() => root.level,
        None if !btrees.exists(btree) => 0,
        _ => return Ok(Made::Gone),
    };
    let Some(place) = places.last().copied() else {
        return Ok(Made::Places(1));
    };
    let range = (Bpos::MIN, Bpos::MAX);
    let new = New {
        btree,
        level,
        replaced: 0,
        range,
        journal_seq: 0,
    };
    let mut keys = Builder::new(range.0, range.1);
    keys.lay_out();
    let mut made = Replacement {
        btree,
        old: Vec::new(),
        new: Vec::with_capacity(1)?,
        root: None,
        places: Vec::with_capacity(1)?,
    };
    let node = new.write(btrees, writer, keys.finish()?, Some(&place))?;
    made.new.push(node)?;
    made.places.push(place)?;
    places.pop();
    Ok(Made::Yes(made))
}

/// A node to be made.
pub(super) struct New {
    pub(super) btree: BtreeId,
    pub(super) level: u8,
    pub(super) replaced: u32,
    pub(super) range: (Bpos, Bpos),
    pub(super) journal_seq: u64,
}

impl New {
    /// Makes the node with these keys, and writes it.
    #[inline(never)]
    pub(super) fn write<H>(
        &self,
        btrees: &Btrees,
        writer: &Writer<H>,
        keys: NodeKeys,
        place: Option<&NodePlace>,
    ) -> Result<Arc<Node>> {
        let place = place.ok_or(Error::NodeNoPlace)?;
        let first = place.copies.iter().flatten().next();
        let at = first.map(|p| (p.dev, p.offset.0)).unwrap_or_default();
        // Not 0, which stands for none.
        let seq = random_u64() | 1 << 63;
        let ptr = NodePtr::of_new(self.btree, self.level, seq, self.range, place.copies);
        let parts = Parts {
            seq,
            replaced: self.replaced,
            range: self.range,
            keys,
            invalid: Vec::new(),
            written: 0,
        };
        let node = Node::new(&ptr, at, parts)?;
        let mut guard = IntentGuard::lock(node.clone());
        {
            let mut body = guard.write();
            body.journal_seq = self.journal_seq;
            let image = encode(btrees.sb(), &node, &body)?;
            let end = image.end();
            // Nobody else knows the node, so the lock is in nobody's way.
            let sent = Sent::send(btrees, writer, &ptr, Flight::try_new(image)?);
            body.ptr = sent.landed(btrees, writer)?;
            body.told_ptr = body.ptr;
            body.written = end;
            (body.on_disk, body.told) = (body.written, body.written);
            body.journal_seq = 0;
            body.apart = true;
        }
        drop(guard);
        btrees.sb().count(Counter::BTREE_NODE_ALLOC);
        // Until here it is the caller's to give back.
        Ok(node)
    }
}
