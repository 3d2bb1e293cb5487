// SPDX-License-Identifier: GPL-2.0

//! Writing what of a node is not on disk.

use super::{
    encode::{
        encode,
        Image, //
    },
    node::Node,
    ptr::NodePtr,
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
        num::{
            sat_u32,
            u64_of, //
        },
        pr_err,
        units::SECTOR_SHIFT,
        Arc,
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        data_type::DataType,
        sb::{
            assemble::DevMask,
            counters::Counter, //
        },
    },
    journal::live::{
        Reservation,
        Watermark, //
    },
    sb::{
        Device,
        SbState, //
    },
    sys::{
        block::Durability,
        six::IntentGuard, //
    },
};
use core::sync::atomic::Ordering;

/// Writes what of `node` is not on disk, and then makes its pointer say so. Does nothing when there
/// is nothing to write, or when somebody else is at it. What it held of the journal is given up
/// once all is done.
///
/// Only while the device is at it the node can not be replaced: changing the pointer may split the
/// parent, and for the accounting of that this very node may have to be split.
///
/// When no copy could be written the journal is halted: what the node has can not be made durable
/// any more. When only the pointer can not be changed, for want of memory or space, that is done
/// with the next write.
///
/// C: `bch2_btree_node_write()`, `btree_node_write_work()`.
pub fn write_node<H: Hooks>(btrees: &Btrees, writer: &Writer<H>, node: &Arc<Node>) -> Result {
    let Some(Taken { write, pin }) = take(btrees, writer, node)? else {
        return Ok(());
    };
    if let Some((image, ptr)) = write {
        let written = write_copies(btrees, writer, &ptr, &image);
        landed(writer, node, written.ok());
        written?;
    }
    let told = update_pointer(btrees, writer, node);
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
    btrees.cache().account(node);
    btrees.cache().limit();
    told.map(drop)
}

/// What a node gives to who writes it.
struct Taken {
    /// What is to be written; `None` when that was done before, and only the pointer is to be
    /// changed.
    write: Option<(Image, NodePtr)>,
    /// The journal entry that is pinned until it is done.
    pin: u64,
}

/// What is to be done. From here on the node counts it as written.
#[inline(never)]
fn take<H>(btrees: &Btrees, writer: &Writer<H>, node: &Arc<Node>) -> Result<Option<Taken>> {
    let mut guard = IntentGuard::lock(node.clone());
    if node.is_dead() || guard.is_writing() || guard.is_frozen() {
        return Ok(None);
    }
    if guard.is_clean() {
        // A key that was not on disk yet was deleted again.
        drop_pin(node, writer);
        return Ok(None);
    }
    let image = match guard.is_written() {
        true => None,
        false => Some(encode(btrees.sb(), node, &guard)?),
    };
    let mut body = guard.write();
    if let Some(image) = &image {
        let timed = btrees.sb().times.btree_node_sort.begin();
        body.keys.written()?;
        drop(timed);
        body.written = image.end();
        body.journal_seq = 0;
        Node::set_writing(&mut body, true);
    }
    Ok(Some(Taken {
        write: image.map(|image| (image, body.ptr)),
        pin: node.pin().swap(0, Ordering::Relaxed),
    }))
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

/// Writes all copies; the pointer to those that could be. When none could, the journal is halted.
pub(super) fn write_copies<H>(
    btrees: &Btrees,
    writer: &Writer<H>,
    node: &NodePtr,
    image: &Image,
) -> Result<NodePtr> {
    let (st, mut ptr) = (btrees.sb(), *node);
    let mut last = Err(Error::NodeWriteNoDevice);
    for copy in node.copies() {
        // A node may point to what only the journal has. When that is lost, it must not be found.
        writer.journal.halted().map_or(Ok(()), Err)?;
        let sector = copy.offset.0.saturating_add(image.offset.into());
        let written = st
            .dev_or_gone(copy.dev)
            .and_then(|dev| write_copy(dev, sector, image));
        last = match written {
            Ok(()) => Ok(()),
            Err(e) => {
                // That a device is missing was said when the filesystem was mounted.
                if st.dev(copy.dev).is_some() {
                    pr_err!("btree node ({node}): can not write the copy at {copy}: {e}");
                }
                ptr = ptr.without(copy.dev);
                last.or(Err(e))
            }
        };
    }
    st.counters.add(Counter::BTREE_NODE_WRITE, 1);
    let noted = last.and_then(|()| match ptr.has_copies_of(node) {
        true => Ok(()),
        false => note_fewer(st, &ptr),
    });
    if let Err(e) = noted {
        writer.journal.halt(e);
        return Err(e);
    }
    Ok(ptr)
}

/// Has the superblock say on which devices alone a node is, before anything relies on it: that none
/// of them may be missing.
#[cold]
#[inline(never)]
fn note_fewer(st: &SbState, ptr: &NodePtr) -> Result {
    let mut devs = DevMask::default();
    for copy in ptr.copies() {
        devs.add(copy.dev.0);
    }
    st.mark_replicas(DataType::BTREE, &devs)
}

fn write_copy(dev: &Device, sector: u64, image: &Image) -> Result {
    let done = dev.bdev.write(sector, &image.bytes, Durability::Cached);
    if let Err(e) = done {
        dev.errors.count_write(e);
        return Err(e);
    }
    dev.errors.write_done();
    let sectors = u64_of(image.bytes.len() >> SECTOR_SHIFT);
    dev.stats.count_write(DataType::BTREE, sectors);
    Ok(())
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
