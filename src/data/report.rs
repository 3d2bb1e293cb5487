// SPDX-License-Identifier: GPL-2.0

//! Messages about data that could not be read, a limited number of them.

use super::{
    plan::Replica,
    read::Way,
    FileId, //
};
use crate::{
    env::{
        pr_err,
        pr_info, //
    },
    error::{
        fsck::FsckError,
        Class,
        Error, //
    },
    format::{
        sb::counters::Counter,
        values::extent_entry::{
            Ptr,
            StripePtr, //
        },
    },
    sb::Lost,
    snapshots::View,
};
use core::fmt;

/// Where data is stored, and how if that is not as it is.
struct Stored<'a>(&'a Replica);

impl fmt::Display for Stored<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let crc = &self.0.crc;
        write!(f, "at sector {}", self.0.sector)?;
        if crc.is_compressed() {
            let (from, to) = (crc.compressed_size, crc.uncompressed_size);
            write!(f, " ({from} sectors of {}, {to} without)", crc.compression)?;
        }
        Ok(())
    }
}

/// Counts data that a device failed to give, which is lost unless another replica was good.
///
/// C: the error ids that `bch2_rbio_error()` counts.
pub(super) fn count_failure(view: &View, error: Error, recovered: bool) {
    let id = match (error.class(), recovered) {
        (Class::Io, true) => FsckError::DATA_READ_IO_ERR_RECOVERED,
        (Class::Io, false) => FsckError::DATA_READ_IO_ERR,
        (Class::Checksum, true) => FsckError::DATA_READ_CSUM_ERR_RECOVERED,
        (Class::Checksum, false) => FsckError::DATA_READ_CSUM_ERR,
        _ => return,
    };
    view.sb().errors.count(id);
}

/// A replica of data at byte `pos` of a file could not be used.
pub(super) fn bad_replica(view: &View, file: FileId, pos: u64, replica: &Replica, error: Error) {
    let dev = view.sb().dev(replica.dev);
    view.sb().lost(Lost::ExtentCopy);
    view.sb().count(Counter::DATA_READ_RETRY);
    if view.sb().admit_message() {
        let FileId { inum, snapshot } = file;
        let name = dev.map_or("missing device", |d| d.bdev.name());
        pr_err!(
            "{name}: data of inode {inum} snapshot {snapshot} offset {pos} (btree extents), {}: \
             {error}",
            Stored(replica)
        );
    }
}

/// After a replica could not be used, another one could, or was rebuilt.
pub(super) fn recovered(view: &View, file: FileId, pos: u64, replica: &Replica, way: Way) {
    if view.sb().admit_message() {
        let FileId { inum, snapshot } = file;
        let (name, dev) = (view.sb().name(), replica.dev);
        let how = match way {
            Way::Direct => "the copy",
            Way::Rebuilt => "what the stripe gives for the copy",
        };
        pr_info!(
            "{name}: data of inode {inum} snapshot {snapshot} offset {pos}: {how} on device {dev} \
             is good"
        );
    }
}

/// Data at byte `pos` of a file could not be rebuilt from the stripe of `replica`.
pub(super) fn not_rebuilt(view: &View, file: FileId, pos: u64, replica: &Replica, error: Error) {
    if view.sb().admit_message() {
        let FileId { inum, snapshot } = file;
        let (name, stripe) = (view.sb().name(), replica.stripe.map_or(0, |s| s.idx));
        pr_err!(
            "{name}: data of inode {inum} snapshot {snapshot} offset {pos}: can not rebuild it \
             from stripe {stripe}: {error}"
        );
    }
}

/// A block of a stripe can not be used to rebuild another.
pub(super) fn bad_block(view: &View, at: StripePtr, block: usize, ptr: &Ptr, error: Error) {
    if view.sb().admit_message() {
        let name = view.sb().name();
        let stripe = at.idx;
        pr_err!("{name}: stripe {stripe} block {block}, at {ptr}: {error}");
    }
}

/// Data at byte `pos` of a file can not be read.
pub(super) fn unreadable(view: &View, file: FileId, pos: u64, error: Error) {
    view.sb().lost(Lost::Extent);
    if view.sb().admit_message() {
        let FileId { inum, snapshot } = file;
        let name = view.sb().name();
        pr_err!(
            "{name}: data of inode {inum} snapshot {snapshot} offset {pos} (btree extents): {error}"
        );
    }
}
