// SPDX-License-Identifier: GPL-2.0

//! Writing file data: from bytes to extents.
//!
//! | file         | holds                                                                   |
//! |--------------|-------------------------------------------------------------------------|
//! | `options.rs` | [`WriteOptions`]: copies, checksum and place of a file's data               |
//! | `bytes.rs`   | [`Bytes`]: what is written, wherever it is                                  |
//! | `seal.rs`    | what is stored of data: encrypted, with its checksum                      |
//! | `squeeze.rs` | [`Compression`] of what is written                                         |
//! | `key.rs`     | the keys of extents                                                       |
//! | `inline.rs`  | small files, kept with the keys                                           |
//! | `op.rs`      | [`write()`]: data to the devices, then its keys to the btree                |
//! | `start.rs`   | [`start`]: the same, without waiting                                       |
//! | `in_place.rs` | with the option `nocow`: data is written over where it is                |
//! | `update.rs`  | [`put_extent`]: extents and what they mean for the inode, together          |
//! | `space.rs`   | [`punch`], [`allocate`]: holes, and space without data                      |
//! | `reflink.rs` | [`share`]: data that several files have                                   |
//! | `cut.rs`     | [`truncate`]: another size                                                |
//! | `shift.rs`   | [`shift`]: ranges that are put in, or taken out                           |
//! | `logged.rs`  | [`resume_operations`]: what takes many transactions                       |
//!
//! Data is written to space that was free, and found by whoever reads once its keys are in the
//! btree: a write that was cut off has changed nothing. Only what has the option `nocow` is written
//! over where it is. One transaction has the keys of a range, and with them the size and the number
//! of sectors in the inode.

mod bytes;
mod cut;
mod in_place;
mod inline;
mod key;
mod logged;
mod op;
mod options;
mod reflink;
mod seal;
mod shift;
mod space;
mod squeeze;
mod start;
mod update;

pub use bytes::Bytes;
pub use cut::truncate;
pub use logged::resume_operations;
pub use op::{
    write,
    Written, //
};
pub use options::WriteOptions;
pub use reflink::share;
pub use shift::shift;
pub use space::{
    allocate,
    each_unallocated,
    nr_unallocated,
    punch,
    set_aside_until, //
};
pub use squeeze::Compression;
pub use start::{
    run,
    start,
    Source, //
};
pub use update::{
    put_extent,
    Put, //
};
