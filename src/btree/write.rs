// SPDX-License-Identifier: GPL-2.0

//! Writing what of a node is not on disk.

use super::{
    encode::encode,
    node::Node,
    ptr::NodePtr,
    sent::Sent,
    trans::{
        run,
        Before,
        Hooks,
        RootChange,
        TransError,
        Writer, //
    },
    Btrees,
    KeyBuf, //
};
use crate::{
    env::{
        num::sat_u32,
        pr_err,
        Arc,
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    journal::live::{
        Reservation,
        Watermark, //
    },
    sys::{
        block::{
            plugged,
            Flight, //
        },
        six::IntentGuard, //
    },
};
use core::sync::atomic::Ordering;

/// Writes what of `node` is not on disk, and then makes its pointer say so; see [`write_nodes`].
/// Does nothing when somebody else is at it.
///
/// C: `bch2_btree_node_write()`, `btree_node_write_work()`.
fn write_node<H: Hooks>(btrees: &Btrees, writer: &Writer<H>, node: &Arc<Node>) -> Result {
    let Some(mut begun) = begin(btrees, writer, node)? else {
        return Ok(());
    };
    begun.land(btrees, writer);
    begun.tell(btrees, writer)
}

/// Writes what of `nodes` is not on disk, all at once, and then makes their pointers say so. What
/// they held of the journal is given up once all is done.
///
/// Only while the devices are at it a node can not be replaced: changing the pointer may split the
/// parent, and for the accounting of that this very node may have to be split. So no pointer is
/// changed before all have landed; and who waits for a node while others are under way would wait
/// for somebody who may wait for those.
///
/// When no copy of a node could be written the journal is halted: what the node has can not be made
/// durable any more. When only the pointer can not be changed, for want of memory or space, that is
/// done with the next write.
pub(super) fn write_nodes<H: Hooks>(
    btrees: &Btrees,
    writer: &Writer<H>,
    nodes: &[Arc<Node>],
) -> Result {
    for nodes in nodes.chunks(AT_ONCE) {
        let mut begun = Vec::with_capacity(nodes.len())?;
        let mut busy = Vec::with_capacity(nodes.len())?;
        let mut done = plugged(|| {
            nodes.iter().try_for_each(|node| {
                if !node.is_settled() {
                    return busy.push(node);
                }
                match begin(btrees, writer, node) {
                    Ok(Some(new)) => begun.push(new),
                    Ok(None) => Ok(()),
                    // Those under way will give some back.
                    Err(Error::NoMemory) if !begun.is_empty() => busy.push(node),
                    Err(e) => Err(e),
                }
            })
        });
        for write in begun.iter_mut() {
            write.land(btrees, writer);
        }
        for write in begun {
            let told = write.tell(btrees, writer);
            done = done.and(told);
        }
        done?;
        for node in busy {
            writer.settled.wait(|| node.is_settled());
            write_node(btrees, writer, node)?;
        }
    }
    Ok(())
}

/// Nodes that are written at once.
const AT_ONCE: usize = 16;

/// A write that was begun: it has to land, and then has to be told to the pointer.
struct Begun {
    node: Arc<Node>,
    /// What is under way; `None` when it has landed, or when only the pointer is to be changed.
    sent: Option<Sent>,
    /// How it has landed.
    written: Result,
    /// The journal entry that is pinned until all is done.
    pin: u64,
}

/// Starts writing a node. From here on it counts that as written. `None` when there is nothing to
/// write, or somebody else is at it.
#[inline(never)]
fn begin<H>(btrees: &Btrees, writer: &Writer<H>, node: &Arc<Node>) -> Result<Option<Begun>> {
    let mut guard = IntentGuard::lock(node.clone());
    if node.is_dead() || guard.is_writing() || guard.is_frozen() {
        return Ok(None);
    }
    if guard.is_clean() {
        // A key that was not on disk yet was deleted again.
        drop_pin(node, writer);
        return Ok(None);
    }
    let flight = match guard.is_written() {
        true => None,
        false => Some(Flight::try_new(encode(btrees.sb(), node, &guard)?)?),
    };
    let mut body = guard.write();
    if let Some(flight) = &flight {
        let timed = btrees.sb().times.btree_node_sort.begin();
        body.keys.written()?;
        drop(timed);
        body.written = flight.payload().end();
        body.journal_seq = 0;
        Node::set_writing(&mut body, true);
    }
    let (ptr, pin) = (body.ptr, node.pin().swap(0, Ordering::Relaxed));
    drop(body);
    drop(guard);
    let sent = flight.map(|flight| Sent::send(btrees, writer, &ptr, flight));
    Ok(Some(Begun {
        node: node.clone(),
        sent,
        written: Ok(()),
        pin,
    }))
}

impl Begun {
    /// Waits until it is on disk, or not.
    fn land<H>(&mut self, btrees: &Btrees, writer: &Writer<H>) {
        if let Some(sent) = self.sent.take() {
            let ptr = sent.landed(btrees, writer);
            landed(writer, &self.node, ptr.ok());
            self.written = ptr.map(drop);
        }
    }

    /// Makes the pointer say what is on disk.
    #[inline(never)]
    fn tell<H: Hooks>(self, btrees: &Btrees, writer: &Writer<H>) -> Result {
        let Self { node, pin, .. } = self;
        self.written?;
        let told = update_pointer(btrees, writer, &node);
        let pin = match told {
            Ok(end) => {
                let mut guard = IntentGuard::lock(node.clone());
                let mut body = guard.write();
                body.told = body.told.max(end);
                pin
            }
            Err(e) => {
                pr_err!(
                    "can not change the pointer to a btree node ({}): {e}",
                    node.ptr
                );
                writer.fatal(e);
                let mut guard = IntentGuard::lock(node.clone());
                let body = guard.write();
                match pin {
                    0 => 0,
                    pin if node.is_dead() => pin,
                    pin => body.node().add_pin(pin),
                }
            }
        };
        if pin != 0 {
            writer.journal.unpin(pin);
        }
        btrees.cache().account(&node);
        btrees.cache().limit();
        told.map(drop)
    }
}

/// A write has ended; `ptr` has the copies that are there, if it did well.
fn landed<H>(writer: &Writer<H>, node: &Arc<Node>, ptr: Option<NodePtr>) {
    let mut guard = IntentGuard::lock(node.clone());
    let mut body = guard.write();
    Node::set_writing(&mut body, false);
    if let Some(ptr) = ptr {
        (body.ptr, body.on_disk) = (ptr, body.written);
    }
    drop(body);
    drop(guard);
    writer.settled.wake_all();
}

/// Gives up what a node holds of the journal, which is locked and has nothing that is not on disk.
pub(super) fn drop_pin<H>(node: &Node, writer: &Writer<H>) {
    match node.pin().swap(0, Ordering::Relaxed) {
        0 => (),
        pin => writer.journal.unpin(pin),
    }
}

/// Makes the pointer to a node say what of it is on disk: how much that is, is returned. The
/// pointer to a new node is made by whoever made the node.
///
/// C: `bch2_btree_node_update_key()`.
fn update_pointer<H: Hooks>(btrees: &Btrees, writer: &Writer<H>, node: &Arc<Node>) -> Result<u16> {
    if node.covers_all() {
        if let Some(end) = update_root(btrees, writer, node)? {
            return Ok(end);
        }
    }
    let level = node.level.saturating_add(1);
    run(btrees, writer, Watermark::InteriorUpdates, |t| {
        let old = t.get_level(node.btree, level, node.max)?;
        // With the parent locked, so that an older one can not come after this. If the node is
        // dead, others have said all there is; what was read again in its place may be longer.
        let (end, key) = pointer_now(node)?;
        let (Some(old), Some(key), false) = (old, key, node.is_dead()) else {
            return Ok(end);
        };
        let is_of = NodePtr::decode(node.btree, node.level, &old.key(), btrees.entry_sizes());
        // It can be another node's by now: nothing points to this one any more.
        let same = is_of.is_ok_and(|p| p.cache_key() == node.ptr.cache_key());
        if same && old.value() != key.value() {
            t.update_level(node.btree, level, key)?;
            t.commit()?;
        }
        Ok(end)
    })
}

/// How much of a node is on disk, and the pointer that says so; `None` when it can not.
fn pointer_now(node: &Node) -> Result<(u16, Option<KeyBuf>)> {
    let body = node.read();
    Ok((body.on_disk, body.ptr.key(body.on_disk)?))
}

/// The same for a root, whose pointer is in the journal. `None` when it is not the root, but all
/// that the root points to.
fn update_root<H: Hooks>(
    btrees: &Btrees,
    writer: &Writer<H>,
    node: &Arc<Node>,
) -> Result<Option<u16>> {
    loop {
        // With the lock: a root that is replaced in this moment must not come back, nor an older
        // pointer.
        let guard = IntentGuard::lock(node.clone());
        let end = guard.on_disk;
        let key = match guard.ptr.key(end)? {
            Some(key) if !node.is_dead() => key,
            _ => return Ok(Some(end)),
        };
        if !btrees.is_root(node) {
            return Ok(None);
        }
        if !guard.ptr.has_copies_of(&guard.told_ptr) {
            drop(guard);
            return update_copies(btrees, writer, node);
        }
        let header = key.header()?;
        let u64s = Reservation::u64s_for(sat_u32(key.journal_u64s()));
        match writer.journal.try_reserve(u64s, Watermark::InteriorUpdates) {
            Ok(mut res) => {
                res.set_root(node.btree, node.level, header.words(), key.value())?;
                return Ok(Some(end));
            }
            Err(Error::JournalFull | Error::JournalRetry) => drop(guard),
            Err(e) => return Err(e),
        }
        let journal = &writer.journal;
        journal.wait_for_space(u64s, Watermark::InteriorUpdates)?;
    }
}

/// The same when the root has fewer copies than before: what they took is free then.
#[inline(never)]
fn update_copies<H: Hooks>(
    btrees: &Btrees,
    writer: &Writer<H>,
    node: &Arc<Node>,
) -> Result<Option<u16>> {
    run(btrees, writer, Watermark::InteriorUpdates, |t| {
        let Some(guard) = IntentGuard::try_lock(node) else {
            t.before = Before::Unlocked(node.clone());
            return Err(TransError::Restart);
        };
        let end = guard.on_disk;
        let (old, new) = (guard.told_ptr.key(end)?, guard.ptr.key(end)?);
        let (Some(old), Some(new), false) = (old, new, node.is_dead()) else {
            return Ok(Some(end));
        };
        if !btrees.is_root(node) {
            return Ok(None);
        }
        t.nodes.push(guard)?;
        t.roots.push(RootChange {
            old,
            new,
            node: node.clone(),
            children: Vec::new(),
        })?;
        t.commit()?;
        Ok(Some(end))
    })
}
