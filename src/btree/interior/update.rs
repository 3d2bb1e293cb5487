// SPDX-License-Identifier: GPL-2.0

//! Making new nodes part of their btrees.

use super::{
    merge::{
        has_partner,
        make_merged, //
    },
    replace::{
        make,
        make_first,
        Made,
        Replacement, //
    },
    room::Rooms,
    NodePlace,
};
use crate::{
    btree::{
        node::Node,
        trans::{
            Before,
            Hooks,
            RootChange,
            Trans,
            TransError,
            TransResult,
            Writer, //
        },
        write::drop_pin,
        Btrees,
        KeyBuf, //
    },
    env::{
        Arc,
        Vec, //
    },
    error::Result,
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        sb::counters::Counter,
        values::extent_entry::Ptr, //
    },
    journal::live::Watermark,
    sys::six::IntentGuard, //
};

/// Places taken at first: for a split that grows the root, and a rewrite or two beside it.
const PLACES: usize = 5;
/// The same for who writes back what is in the journal, or makes buckets free for that: what most
/// updates take. With the last buckets, more can be more than there are.
const PLACES_IN_NEED: usize = 2;

/// How an update of nodes went.
enum Outcome {
    Done,
    /// The node was replaced by somebody else.
    Gone,
    /// All was undone. Again, once this has happened.
    Again(Before),
    /// All was undone. Again, with so many more places.
    Places(usize),
    /// All was undone: a new node has no room for what came of other nodes that had to be replaced
    /// after it. Again, with room for so many words where that one was.
    Tight(Arc<Node>, usize),
}

/// Makes room for `wanted_u64s` words in `node`: splits it, or rewrites it when it is its log that
/// is full and not the node. When it was replaced meanwhile nothing is done.
///
/// C: `bch2_btree_split_leaf()`, `btree_split()`.
pub(in crate::btree) fn split<H: Hooks>(
    btrees: &Btrees,
    writer: &Writer<H>,
    watermark: Watermark,
    node: Arc<Node>,
    wanted_u64s: usize,
) -> Result {
    let what = What::Node(node, wanted_u64s);
    let update = || update(btrees, writer, watermark, &what);
    writer.tasks.call(update)?
}

/// Moves the node of `level` that covers `pos`, if one of its copies is where `is_there` says.
/// Whether it did.
///
/// C: `bch2_btree_node_rewrite()`.
pub fn move_node<H: Hooks>(
    btrees: &Btrees,
    writer: &Writer<H>,
    watermark: Watermark,
    (btree, level, pos): (BtreeId, u8, Bpos),
    is_there: impl Fn(&Ptr) -> bool,
) -> Result<bool> {
    let Some(node) = btrees.find_node(btree, level, pos)? else {
        return Ok(false);
    };
    if !node.ptr.copies().any(|ptr| is_there(&ptr)) {
        return Ok(false);
    }
    split(btrees, writer, watermark, node, 0)?;
    Ok(true)
}

/// Makes the root of a btree that has none.
///
/// C: `bch2_btree_root_alloc_fake()`.
pub(in crate::btree) fn make_root<H: Hooks>(
    btrees: &Btrees,
    writer: &Writer<H>,
    watermark: Watermark,
    btree: BtreeId,
) -> Result {
    let what = What::Root(btree);
    let update = || update(btrees, writer, watermark, &what);
    writer.tasks.call(update)?
}

/// Merges `node` with one beside it, if both are small, and then its parent. What can not be done
/// now is left: it is done when more is deleted, or never.
///
/// C: `bch2_foreground_maybe_merge()`.
pub(in crate::btree) fn merge<H: Hooks>(
    btrees: &Btrees,
    writer: &Writer<H>,
    watermark: Watermark,
    mut node: Arc<Node>,
) {
    // Whoever is in a hurry because space is short must not take any; and as long as keys are laid
    // over the btrees, nodes are not what they seem.
    if watermark >= Watermark::InteriorUpdates || btrees.overlay().is_some() {
        return;
    }
    let node_sectors = btrees.sb().sb.node_sectors();
    while node.is_small(node_sectors) && has_partner(btrees, &node) {
        let merged = writer
            .tasks
            .call(|| merge_one(btrees, writer, watermark, &node));
        let Ok(Ok(true)) = merged else {
            return;
        };
        let level = node.level.saturating_add(1);
        match btrees.find_node(node.btree, level, node.min) {
            Ok(Some(parent)) => node = parent,
            // A failure is reported where it matters.
            Ok(None) | Err(_) => return,
        }
    }
}

/// Says whether it was merged. Does not wait for room in the journal; writes of nodes, for which it
/// does, need none.
fn merge_one<H: Hooks>(
    btrees: &Btrees,
    writer: &Writer<H>,
    watermark: Watermark,
    node: &Arc<Node>,
) -> Result<bool> {
    // It can wait until the journal has room again, also for those who make some.
    let may_go_on = || writer.journal.has_room(1, watermark.min(Watermark::Btree));
    let _timed = btrees.sb().times.btree_interior_update_total.begin();
    btrees.sb().count(Counter::BTREE_NODE_MERGE_ATTEMPT);
    let hooks = &writer.hooks;
    while may_go_on() {
        let mut places = Vec::new();
        let outcome = hooks
            .alloc_nodes(btrees, writer, watermark, 2, &mut places)
            .and_then(|()| {
                let _one = writer.interior.lock();
                match may_go_on() {
                    true => {
                        let what = What::Merged(node.clone());
                        replace(btrees, writer, &what, &Rooms::default(), &mut places)
                    }
                    false => Ok(Outcome::Gone),
                }
            });
        places.iter().for_each(|p| hooks.place_done(*p, false));
        match outcome? {
            Outcome::Done => return Ok(true),
            // Many are written at once; it may be the last time that anybody asks.
            Outcome::Again(Before::Settled(busy)) => writer.settled.wait(|| busy.is_settled()),
            _ => break,
        }
    }
    Ok(false)
}

/// What is to be made anew.
#[derive(Clone)]
enum What {
    /// This node, which is to have room for so many words.
    Node(Arc<Node>, usize),
    /// The first root of a btree.
    Root(BtreeId),
    /// This node, together with one beside it.
    Merged(Arc<Node>),
}

fn update<H: Hooks>(
    btrees: &Btrees,
    writer: &Writer<H>,
    watermark: Watermark,
    what: &What,
) -> Result {
    let _timed = btrees.sb().times.btree_interior_update_total.begin();
    let in_need = watermark >= Watermark::BtreeCopyGc;
    let mut wanted = if in_need { PLACES_IN_NEED } else { PLACES };
    let mut rooms = Rooms::default();
    loop {
        let mut places = Vec::new();
        let found = writer
            .hooks
            .alloc_nodes(btrees, writer, watermark, wanted, &mut places);
        if found.is_err() {
            btrees.sb().count(Counter::BTREE_RESERVE_GET_FAIL);
        }
        let outcome = found.and_then(|()| {
            let _one = writer.interior.lock();
            // It is committed with what is left of the journal for those who make room in it: of
            // the others, one at a time at most may have begun.
            if !writer.journal.has_room(1, watermark) {
                return Ok(Outcome::Again(Before::JournalRoom(1)));
            }
            replace(btrees, writer, what, &rooms, &mut places)
        });
        places
            .iter()
            .for_each(|p| writer.hooks.place_done(*p, false));
        match outcome? {
            Outcome::Done | Outcome::Gone => return Ok(()),
            Outcome::Places(more) => wanted = wanted.saturating_add(more),
            Outcome::Tight(node, u64s) => rooms.note(&node, u64s)?,
            Outcome::Again(Before::JournalRoom(u64s)) => {
                writer.journal.wait_for_space(u64s, watermark)?;
            }
            Outcome::Again(Before::Settled(node)) => {
                writer.settled.wait(|| node.is_settled());
            }
            Outcome::Again(_) => (),
        }
    }
}

/// Replaces what `what` says, and whatever else has to be for that. New nodes have the room that
/// `rooms` asks for.
fn replace<H: Hooks>(
    btrees: &Btrees,
    writer: &Writer<H>,
    what: &What,
    rooms: &Rooms,
    places: &mut Vec<NodePlace>,
) -> Result<Outcome> {
    let st = btrees.sb();
    let timed = st.times.btree_interior_update_foreground.begin();
    let mut replaced: Vec<Replacement> = Vec::new();
    let mut next = Some(what.clone());
    let mut attempt = 0u32;
    let outcome = loop {
        if let Some(what) = next.take() {
            let room = replaced.reserve(1);
            match room.and_then(|()| make_one(btrees, writer, &what, rooms, places)) {
                Ok(Made::Yes(r)) => replaced.push(r)?,
                Ok(Made::Gone) if replaced.is_empty() => break Ok(Outcome::Gone),
                Ok(Made::Gone) => break Ok(Outcome::Again(Before::Nothing)),
                Ok(Made::Busy(node)) => break Ok(Outcome::Again(Before::Settled(node))),
                Ok(Made::Places(more)) => break Ok(Outcome::Places(more)),
                Err(e) => break Err(e),
            }
        }
        let done = commit(btrees, writer, &replaced, attempt);
        attempt = attempt.saturating_add(1);
        if let Err((TransError::Restart, before)) = &done {
            before.count(btrees);
        }
        match done {
            Ok(()) => break Ok(Outcome::Done),
            Err((TransError::Failed(e), _)) => break Err(e),
            Err((TransError::Restart, Before::Split(node, wanted))) => {
                if replaced
                    .iter()
                    .any(|r| r.all_new().any(|n| Arc::ptr_eq(n, &node)))
                {
                    break Ok(Outcome::Tight(node, wanted));
                }
                next = Some(What::Node(node, wanted));
            }
            Err((TransError::Restart, Before::Root(btree))) => next = Some(What::Root(btree)),
            Err((TransError::Restart, Before::Unlocked(node))) => drop(IntentGuard::lock(node)),
            Err((TransError::Restart, Before::KeyUnlocked(key))) => drop(IntentGuard::lock(key)),
            Err((TransError::Restart, Before::Nothing)) => (),
            Err((TransError::Restart, Before::Pointless)) => break Ok(Outcome::Gone),
            Err((TransError::Restart, before)) => break Ok(Outcome::Again(before)),
        }
    };
    let done = matches!(outcome, Ok(Outcome::Done));
    let mut is_rewrite = matches!(what, What::Node(_, 0));
    for r in &replaced {
        settle(btrees, writer, r, done);
        if let Some((time, counter)) = r.kind(&st.times).filter(|_| done) {
            time.end(timed.since());
            // The others are what had to be done for it.
            st.count(match core::mem::take(&mut is_rewrite) {
                true => Counter::BTREE_NODE_REWRITE,
                false => counter,
            });
        }
    }
    writer.settled.wake_all();
    outcome
}

/// Makes the new nodes that `what` says, and has the cache know them before anybody can find a
/// pointer to them.
fn make_one<H: Hooks>(
    btrees: &Btrees,
    writer: &Writer<H>,
    what: &What,
    rooms: &Rooms,
    places: &mut Vec<NodePlace>,
) -> Result<Made> {
    let made = match what {
        What::Node(node, wanted) => {
            let wanted = rooms.wanted(node, *wanted);
            make(btrees, writer, node, wanted, places)
        }
        What::Root(btree) => make_first(btrees, writer, *btree, places),
        What::Merged(node) => make_merged(btrees, writer, node, places),
    };
    if let Ok(Made::Yes(r)) = &made {
        let cached = r
            .all_new()
            .try_for_each(|n| btrees.cache().insert(n.clone()));
        if let Err(e) = cached {
            settle(btrees, writer, r, false);
            return Err(e);
        }
    }
    made
}

/// Ends the old nodes' lives, or gives the new ones up.
fn settle<H: Hooks>(btrees: &Btrees, writer: &Writer<H>, r: &Replacement, done: bool) {
    for place in &r.places {
        writer.hooks.place_done(*place, done);
    }
    if !done {
        r.all_new().for_each(|new| btrees.cache().remove(new));
        r.thaw();
        return;
    }
    r.settle();
    for old in &r.old {
        btrees.cache().remove(old);
        drop_pin(old, writer);
        btrees.sb().count(Counter::BTREE_NODE_FREE);
    }
}

/// One attempt at changing the pointers.
#[inline(never)]
fn commit<H: Hooks>(
    btrees: &Btrees,
    writer: &Writer<H>,
    replaced: &[Replacement],
    attempt: u32,
) -> core::result::Result<(), (TransError, Before)> {
    btrees.sb().count(Counter::TRANSACTION_BEGIN);
    let mut t = Trans::new(btrees, writer, Watermark::InteriorUpdates, replaced);
    t.attempt = attempt;
    let done = stage(&mut t, replaced).and_then(|()| t.commit().map(|_| ()));
    let before = core::mem::replace(&mut t.before, Before::Nothing);
    t.reset();
    done.map_err(|e| (e, before))
}

fn stage<H: Hooks>(t: &mut Trans<'_, H>, replaced: &[Replacement]) -> TransResult {
    for old in replaced.iter().flat_map(|r| &r.old) {
        // Nobody may be in the middle of something that relies on the old node.
        match IntentGuard::try_lock(old) {
            Some(guard) => t.nodes.push(guard)?,
            None => {
                t.before = Before::Unlocked(old.clone());
                return Err(TransError::Restart);
            }
        }
    }
    for r in replaced {
        let root = r.old.iter().find(|old| t.btrees.is_root(old)).cloned();
        if root.is_some() || r.old.is_empty() {
            change_root(t, r, root)?;
            continue;
        }
        // The last one has the position of the last old one.
        for new in &r.new {
            t.update_level(new.btree, new.level.saturating_add(1), new.pointer()?)?;
        }
        if let [a, b] = &*r.old {
            delete_pointer(t, a, b)?;
        }
    }
    Ok(())
}

/// Deletes the pointer to `a`, which is merged into the node in place of `b`. That one's pointer
/// has to be in the same parent: where there is no pointer any more, the other one begins.
fn delete_pointer<H: Hooks>(t: &mut Trans<'_, H>, a: &Node, b: &Node) -> TransResult {
    let (btree, level) = (a.btree, a.level.saturating_add(1));
    t.update_level(btree, level, KeyBuf::deletion(a.max))?;
    if t.lock(btree, level, a.max)? != t.lock(btree, level, b.max)? {
        t.before = Before::Pointless;
        return Err(TransError::Restart);
    }
    Ok(())
}

/// The new root instead of the old one. It has its pointers already.
fn change_root<H: Hooks>(
    t: &mut Trans<'_, H>,
    r: &Replacement,
    old: Option<Arc<Node>>,
) -> TransResult {
    let Some(node) = r.root.as_ref().or(r.new.last()).cloned() else {
        return Ok(());
    };
    let mut children = Vec::new();
    if r.root.is_some() {
        for new in &r.new {
            children.push(new.pointer()?)?;
        }
    }
    t.roots.push(RootChange {
        old: match &old {
            Some(old) => old.told_pointer()?,
            None => KeyBuf::deletion(Bpos::MAX),
        },
        new: node.pointer()?,
        node,
        children,
    })?;
    Ok(())
}
