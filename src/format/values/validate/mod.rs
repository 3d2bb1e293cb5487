// SPDX-License-Identifier: GPL-2.0

//! Whether a key can be right, judged by itself: never by other keys.
//!
//! | file         | holds                                                                |
//! |--------------|----------------------------------------------------------------------|
//! | `context.rs` | [`ValidateCtx`]: where the key was found and what the filesystem is like |
//! | `header.rs`  | what holds for keys of any type, by btree and level                   |
//! | `table.rs`   | one row for each key type: least length and check                    |
//! | `ptrs.rs`    | pointers                                                             |
//! | `files.rs`   | inodes, names, extended attributes, ranges of files                  |
//! | `space.rs`   | buckets, backpointers, stripes, counters                             |
//! | `trees.rs`   | subvolumes and snapshots                                             |
//!
//! A validator finds at most one thing wrong. The ids are those C reports for the same bytes.

mod context;
mod files;
mod header;
mod ptrs;
mod space;
mod table;
#[cfg(test)]
mod tests;
mod trees;

pub use context::{
    DevGeometry,
    Origin,
    ValidateCtx, //
};
pub use table::{
    validate,
    validate_key,
    validate_value, //
};
