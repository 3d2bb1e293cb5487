// SPDX-License-Identifier: GPL-2.0

//! File data: from a range of a file to bytes, and back.
//!
//! | file            | holds                                                            |
//! |-----------------|------------------------------------------------------------------|
//! | `plan.rs`       | what has to be read for a piece of an extent; no I/O              |
//! | `segments.rs`   | a file as a sequence of segments, each from one place             |
//! | `decode.rs`     | from what was read to data: checking it, decompressing it         |
//! | `decompress.rs` | how compressed data is framed                                     |
//! | `entry.rs`      | the value of an extent that is put together                       |
//! | `inode.rs`      | inodes in transactions                                           |
//! | `delalloc.rs`   | [`Delalloc`]: dirty blocks that have space reserved               |
//! | `fiemap.rs`     | [`fiemap`]: where the data is on the devices                      |
//! | `read.rs`       | [`read_sync`]: synchronous reads, retries from other replicas     |
//! | `read_async.rs` | reads into the page cache (kernel build only)                     |
//! | `stripe.rs`     | a block of a stripe from the others                              |
//! | `seek.rs`       | [`seek`]: data and holes                                          |
//! | `report.rs`     | messages about data that could not be read                        |
//! | `mover/`        | [`mover`]: moving it, so that buckets become free                  |
//! | `write/`        | writing, holes, size: from bytes to extents                       |
//!
//! Data that has a checksum is given out only after the checksum was found right. No btree lock
//! is held while a device is read.

mod decode;
pub mod decompress;
#[cfg(any(kernel, test))]
mod delalloc;
mod entry;
pub mod fiemap;
pub mod inode;
pub mod mover;
mod plan;
mod read;
#[cfg(kernel)]
pub mod read_async;
mod report;
mod seek;
mod segments;
mod stripe;
pub mod write;

#[cfg(any(kernel, test))]
pub use delalloc::Delalloc;
pub use inode::{
    inode_get,
    inode_put, //
};
pub use read::read_sync;
pub use seek::{
    seek,
    Seek, //
};

/// A file in a snapshot, as the extents btree knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId {
    /// The inode number.
    pub inum: u64,
    /// The snapshot its subvolume is at.
    pub snapshot: u32,
}
