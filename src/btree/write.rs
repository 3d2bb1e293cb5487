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
        Hooks,
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
        Arc, //
    },
    error::{
        Class,
        Error,
        Result, //
    },
    format::{
        data_type::DataType,
        sb::counters::Counter, //
    },
    journal::live::{
        Reservation,
        Watermark, //
    },
    sb::Device,
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
/// When no copy could be written the journal is halted: what the node has can not be made durable
/// any more. When only the pointer can not be changed, for want of memory or space, that is done
/// with the next write.
///
/// C: `bch2_btree_node_write()`, `btree_node_write_work()`.
pub fn write_node<H: Hooks>(btrees: &Btrees, writer: &Writer<H>, node: &Arc<Node>) -> Result {
    let Some(mut taken) = take(btrees, writer, node)? else {
        return Ok(());
    };
    let written = match &taken.image {
        Some(image) => write_copies(btrees, writer, &taken.ptr, image),
        None => Ok(taken.ptr),
    };
    let told = match written {
        Ok(ptr) => {
            taken.ptr = ptr;
            update_pointer(btrees, writer, node, &ptr, taken.end)
        }
        Err(e) => Err(e),
    };
    let again = written.is_ok() && told.is_err_and(passes);
    release(writer, node, &taken, told.is_ok(), again);
    btrees.cache().account(node);
    if let Err(e) = told {
        pr_err!("can not write btree node ({}): {e}", node.ptr);
        if !again {
            writer.journal.halt(e);
        }
    }
    told
}

/// Whether trying again can help.
fn passes(e: Error) -> bool {
    e == Error::NoMemory || e.class() == Class::NoSpace
}

/// What a node gives to who writes it.
struct Taken {
    /// What is to be written; `None` when that was done before, and only the pointer is to be
    /// changed.
    image: Option<Image>,
    ptr: NodePtr,
    /// Sectors in use after that.
    end: u16,
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
        body.keys.written()?;
        body.written = image.end();
        body.journal_seq = 0;
    }
    Node::set_writing(&mut body, true);
    Ok(Some(Taken {
        image,
        ptr: body.ptr,
        end: body.written,
        pin: node.pin().swap(0, Ordering::Relaxed),
    }))
}

/// Ends a write. If it is to be done again, the node keeps what it had of the journal.
fn release<H>(writer: &Writer<H>, node: &Arc<Node>, taken: &Taken, told: bool, again: bool) {
    let mut guard = IntentGuard::lock(node.clone());
    let mut body = guard.write();
    Node::set_writing(&mut body, false);
    if told || again {
        body.ptr = taken.ptr;
    }
    if told {
        body.told = taken.end;
    }
    let pin = match again && taken.pin != 0 {
        true => node.add_pin(taken.pin),
        false => taken.pin,
    };
    drop(body);
    drop(guard);
    writer.settled.wake_all();
    if pin != 0 && (told || again) {
        writer.journal.unpin(pin);
    }
}

/// Gives up what a node holds of the journal, which is locked and has nothing that is not on disk.
fn drop_pin<H>(node: &Node, writer: &Writer<H>) {
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
                pr_err!("btree node ({node}): can not write the copy at {copy}: {e}");
                ptr = ptr.without(copy.dev);
                last.or(Err(e))
            }
        };
    }
    st.counters.add(Counter::BTREE_NODE_WRITE, 1);
    if let Err(e) = last {
        writer.journal.halt(e);
        return Err(e);
    }
    Ok(ptr)
}

fn write_copy(dev: &Device, sector: u64, image: &Image) -> Result {
    let done = dev.bdev.write(sector, &image.bytes, Durability::Cached);
    if let Err(e) = done {
        dev.errors.count(e);
        return Err(e);
    }
    let sectors = u64_of(image.bytes.len() >> SECTOR_SHIFT);
    dev.stats.count_write(DataType::BTREE, sectors);
    Ok(())
}

/// Makes the pointer to a node say that it has `written` sectors. The pointer to a new node is made
/// by whoever made the node.
///
/// C: `bch2_btree_node_update_key()`.
fn update_pointer<H: Hooks>(
    btrees: &Btrees,
    writer: &Writer<H>,
    node: &Arc<Node>,
    ptr: &NodePtr,
    written: u16,
) -> Result {
    let Some(key) = ptr.key(written)? else {
        return Ok(());
    };
    if node.is_root() {
        return update_root(writer, node, &key);
    }
    let level = node.level.saturating_add(1);
    run(btrees, writer, Watermark::InteriorUpdates, |t| {
        let old = t.get_level(node.btree, level, node.max)?;
        // Replaced meanwhile: nothing points to it any more.
        let same = old.is_some_and(|old| {
            NodePtr::decode(node.btree, node.level, &old.key(), btrees.entry_sizes())
                .is_ok_and(|p| p.cache_key() == node.ptr.cache_key())
        });
        if !same {
            return Ok(0);
        }
        t.update_level(node.btree, level, KeyBuf::copy_of(&key.key())?)?;
        t.commit()
    })?;
    Ok(())
}

/// The same for a root, whose pointer is in the journal.
fn update_root<H: Hooks>(writer: &Writer<H>, node: &Arc<Node>, key: &KeyBuf) -> Result {
    let header = key.header()?;
    let u64s = Reservation::u64s_for(sat_u32(key.journal_u64s()));
    loop {
        // With the lock: a root that is replaced in this moment must not come back.
        let guard = IntentGuard::lock(node.clone());
        if node.is_dead() {
            return Ok(());
        }
        match writer.journal.try_reserve(u64s, Watermark::InteriorUpdates) {
            Ok(mut res) => {
                return res.set_root(node.btree, node.level, header.words(), key.value())
            }
            Err(Error::JournalFull | Error::JournalRetry) => drop(guard),
            Err(e) => return Err(e),
        }
        let journal = &writer.journal;
        journal.wait_for_space(u64s, Watermark::InteriorUpdates)?;
    }
}
