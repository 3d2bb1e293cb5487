// SPDX-License-Identifier: GPL-2.0

//! A node, or what of it is not on disk, on its way to the devices.

use super::{
    encode::Image,
    ptr::NodePtr,
    trans::Writer,
    Btrees, //
};
use crate::{
    env::{
        num::u64_of,
        pr_err,
        span::Span,
        time::monotonic_ns,
        units::SECTOR_SHIFT, //
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
    sb::SbState,
    sys::block::{
        Cargo,
        Flight, //
    },
};

impl Cargo for Image {
    fn spans(&self) -> impl Iterator<Item = Span<'_>> {
        core::iter::once(Span::Still(&self.bytes))
    }
}

/// The copies of an image that are being written, all at once.
pub(super) struct Sent {
    flight: Flight<Image>,
    /// The pointer to the node.
    to: NodePtr,
    /// Why not all of them were sent.
    stopped: Result,
    /// When that was, by the monotonic clock.
    since: u64,
}

impl Sent {
    /// Starts writing the copies that `to` points to. Does not wait for other nodes, or for locks.
    pub(super) fn send<H>(
        btrees: &Btrees,
        writer: &Writer<H>,
        to: &NodePtr,
        flight: Flight<Image>,
    ) -> Self {
        let (st, offset) = (btrees.sb(), flight.payload().offset);
        let since = monotonic_ns();
        let mut stopped = Ok(());
        for (nr, copy) in (0..).zip(to.copies()) {
            // A node may point to what only the journal has. When that is lost, it must not be
            // found.
            stopped = writer.journal.halted().map_or(Ok(()), Err);
            if stopped.is_err() {
                break;
            }
            match st.dev_or_gone(copy.dev) {
                Ok(dev) => {
                    let sector = copy.offset.0.saturating_add(offset.into());
                    flight.send(&dev.bdev, sector, nr, true);
                }
                Err(_) => flight.not_sent(nr),
            }
        }
        let to = *to;
        Self {
            flight,
            to,
            stopped,
            since,
        }
    }

    /// Waits until all are written; the pointer to those that could be. When none could, the
    /// journal is halted.
    pub(super) fn landed<H>(self, btrees: &Btrees, writer: &Writer<H>) -> Result<NodePtr> {
        let (st, node, mut ptr) = (btrees.sb(), self.to, self.to);
        let (image, failed) = self.flight.ended();
        st.times.btree_node_write.end(self.since);
        self.stopped?;
        let mut last = Err(Error::NodeWriteNoDevice);
        for (nr, copy) in (0..).zip(node.copies()) {
            let dev = st.dev(copy.dev);
            let is_written = failed.checked_shr(nr).unwrap_or(0) & 1 == 0;
            match dev.filter(|dev| is_written && !dev.is_stopped()) {
                Some(dev) => {
                    dev.errors.write_done();
                    let sectors = u64_of(image.bytes.len() >> SECTOR_SHIFT);
                    dev.stats.count_write(DataType::BTREE, sectors);
                    last = Ok(());
                }
                None => {
                    // That a device is missing was said when the filesystem was mounted.
                    if let Some(dev) = dev {
                        if !dev.is_stopped() {
                            dev.errors.count_write(Error::Io);
                        }
                        pr_err!("btree node ({node}): can not write the copy at {copy}");
                    }
                    ptr = ptr.without(copy.dev);
                    last = last.or(Err(Error::Io));
                }
            }
        }
        st.count(Counter::BTREE_NODE_WRITE);
        let noted = last.and_then(|()| match ptr.has_copies_of(&node) {
            true => Ok(()),
            false => note_fewer(st, &ptr),
        });
        if let Err(e) = noted {
            writer.journal.halt(e);
            return Err(e);
        }
        Ok(ptr)
    }
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
