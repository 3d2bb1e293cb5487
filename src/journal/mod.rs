// SPDX-License-Identifier: GPL-2.0

//! The journal: read at mount time, and written.
//!
//! | file           | holds                                                              |
//! |----------------|--------------------------------------------------------------------|
//! | `blacklist.rs` | [`Blacklist`]: sequence numbers that are void                       |
//! | `contents.rs`  | [`JournalContents`], [`Root`]: what recovery starts from            |
//! | `key_check.rs` | [`KeyCheck`]: whether keys can be right                             |
//! | `keys.rs`      | [`keys::JournalKeys`]: updates to lay over the btrees               |
//! | `keys/`        | what repairs lay over them besides                                 |
//! | `live/`        | the journal of a filesystem that is written                        |
//! | `read.rs`      | [`read`]: from the devices, or from the clean section               |
//! | `replay.rs`    | taking roots and keys out of the records                            |
//! | `scan.rs`      | finding the entries in a device's journal buckets                   |
//! | `select.rs`    | which entries count, what is missing                                |
//! | `window.rs`    | reading a bucket piece by piece                                     |
//!
//! ```text
//! seq:      first ........ last | last+1 ...... highest
//!           replayed            | written without a flush, or torn: void
//! ```
//!
//! After a clean shutdown nothing of this is read: the superblock's clean section has the roots.

pub mod blacklist;
mod contents;
mod key_check;
pub mod keys;
pub mod live;
mod read;
mod replay;
mod scan;
mod select;
mod window;

pub use blacklist::Blacklist;
pub use contents::{
    JournalContents,
    Root,
    Roots,
    UsedBucket, //
};
pub use key_check::KeyCheck;
pub use read::{
    of_new,
    read, //
};

use crate::format::sb::version::Version;

/// Whether something written with this version can be read.
///
/// C: `bch2_version_compatible()`.
pub(crate) fn version_is_readable(raw: u32) -> bool {
    match u16::try_from(raw).map(Version) {
        Ok(v) => v.major() <= Version::NEWEST.major() && v >= Version::OLDEST_DATA,
        Err(_) => false,
    }
}
