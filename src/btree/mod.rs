// SPDX-License-Identifier: GPL-2.0

//! Btrees, for reading.
//!
//! | file         | holds                                                                  |
//! |--------------|------------------------------------------------------------------------|
//! | `btrees.rs`  | [`Btrees`]: all btrees of a filesystem, and lookups                     |
//! | `cache.rs`   | [`cache::NodeCache`]: nodes in memory, bounded, each read once           |
//! | `fsck_ids.rs` | under which ids damaged nodes are counted                             |
//! | `health.rs`  | [`health::Health`]: which btrees were found damaged                     |
//! | `iter.rs`    | [`Iter`]: keys in order, journal overlay included                       |
//! | `node.rs`    | [`Node`]: one node in memory                                            |
//! | `ptr.rs`     | [`ptr::NodePtr`]: what a parent says about a node                       |
//! | `read.rs`    | from sectors on a device to a [`Node`], everything checked              |
//! | `table.rs`   | the hash table of the cache                                             |
//!
//! Nodes are never changed once read, and are shared by reference count: an iterator keeps the
//! nodes it stands on alive, and no lock is held between two steps. Lock order: a node's loading
//! lock, then a shard of the cache; nothing is allocated and no device is waited for under a
//! shard's lock.

mod btrees;
pub mod cache;
mod fsck_ids;
pub mod health;
mod iter;
mod node;
pub mod ptr;
mod read;
mod table;

pub use btrees::{
    Btrees,
    Found, //
};
pub use iter::Iter;
pub use node::Node;
