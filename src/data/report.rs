// SPDX-License-Identifier: GPL-2.0

//! Messages about data that could not be read, a limited number of them.

use super::{
    plan::Replica,
    FileId, //
};
use crate::{
    env::{
        pr_err,
        time, //
    },
    error::Error,
    snapshots::View,
};
use core::sync::atomic::{
    AtomicU64,
    Ordering, //
};

/// Messages let through in each [`PERIOD_NS`].
const BURST: u64 = 16;
/// The time after which as many messages are let through again.
const PERIOD_NS: u64 = 5_000_000_000;

/// When the current period began.
static SINCE: AtomicU64 = AtomicU64::new(0);
/// Messages asked for in the current period.
static COUNT: AtomicU64 = AtomicU64::new(0);

/// Whether one more message may be printed. Races only make the limit inexact.
fn admit() -> bool {
    let now = time::monotonic_ns();
    let since = SINCE.load(Ordering::Relaxed);
    if since == 0 || now.wrapping_sub(since) > PERIOD_NS {
        SINCE.store(now.max(1), Ordering::Relaxed);
        let before = COUNT.swap(0, Ordering::Relaxed);
        if before > BURST {
            let lost = before.wrapping_sub(BURST);
            pr_err!("data: {lost} more messages were suppressed");
        }
    }
    COUNT.fetch_add(1, Ordering::Relaxed) < BURST
}

/// A replica of data at byte `pos` of a file could not be used.
pub(super) fn bad_replica(view: &View, file: FileId, pos: u64, replica: &Replica, error: Error) {
    if admit() {
        let FileId { inum, snapshot } = file;
        let dev = view.sb().dev(replica.dev);
        let name = dev.map_or("missing device", |d| d.bdev.name());
        pr_err!(
            "{name}: data of inode {inum} snapshot {snapshot} offset {pos}, at sector {}: {error}",
            replica.sector
        );
    }
}

/// Data at byte `pos` of a file can not be read.
pub(super) fn unreadable(view: &View, file: FileId, pos: u64, error: Error) {
    if admit() {
        let FileId { inum, snapshot } = file;
        let name = view.sb().name();
        pr_err!("{name}: data of inode {inum} snapshot {snapshot} offset {pos}: {error}");
    }
}
