// SPDX-License-Identifier: GPL-2.0

//! Btrees.
//!
//! | file         | holds                                                                  |
//! |--------------|------------------------------------------------------------------------|
//! | `btrees.rs`  | [`Btrees`]: all btrees of a filesystem, and lookups                     |
//! | `cache.rs`   | [`cache::NodeCache`]: nodes in memory, bounded, each read once           |
//! | `empty_counters.rs` | counters of what is gone                                |
//! | `encode.rs`  | the bytes of what is written of a node                                  |
//! | `found.rs`   | [`found::FoundNode`]: nodes that overlap, and what is left of each      |
//! | `fsck_ids.rs` | under which ids damaged nodes are counted                             |
//! | `health.rs`  | [`health::Health`]: which btrees were found damaged                     |
//! | `interior/`  | replacing nodes: split, rewrite, new roots                              |
//! | `iter.rs`    | [`Iter`]: keys in order, journal overlay included                       |
//! | `key_buf.rs` | [`KeyBuf`]: a key outside of a node                                     |
//! | `key_cache/` | keys that change often, outside of their nodes                          |
//! | `node.rs`    | [`Node`]: one node in memory                                            |
//! | `ptr.rs`     | [`ptr::NodePtr`]: what a parent says about a node                       |
//! | `read.rs`    | from sectors on a device to a [`Node`], everything checked              |
//! | `reclaim.rs` | [`write_back`]: writing back what the journal holds                     |
//! | `replay.rs`  | [`replay`]: what the journal of the mount before has, to its nodes       |
//! | `rewrite.rs` | [`rewrite_nodes`]: writing nodes anew                                  |
//! | `scan.rs`    | [`ScanFor`]: looking for nodes that no pointer leads to                 |
//! | `sent.rs`    | a node on its way to the devices                                        |
//! | `survey.rs`  | [`Survey`]: which nodes of a btree are there; making it of others        |
//! | `table.rs`   | the hash table of the cache                                             |
//! | `trans/`     | transactions: changing keys                                             |
//! | `write.rs`   | writing what of nodes is not on disk                                    |
//! | `write_buffer.rs` | [`WriteBuffer`]: keys that go to their btree later                     |
//!
//! A node is shared by reference count and has a SIX lock. Readers lock it for the time of a copy
//! and look for their place again when it has changed; see `Documentation/write-engine.rst`. Lock
//! order: a node's loading lock, a shard of the cache, a root's lock; nothing is allocated and no
//! device is waited for under a shard's lock. Locks of nodes are only tried under it.

mod btrees;
pub mod cache;
mod empty_counters;
mod encode;
pub mod found;
mod fsck_ids;
pub mod health;
pub mod interior;
mod iter;
mod key_buf;
mod key_cache;
mod node;
pub mod ptr;
mod read;
mod reclaim;
mod replay;
mod rewrite;
mod scan;
mod sent;
mod survey;
mod table;
pub mod trans;
mod write;
mod write_buffer;

pub use btrees::{
    Btrees,
    Found, //
};
pub use empty_counters::drop_empty_counters;
pub use iter::Iter;
pub use key_buf::KeyBuf;
pub use key_cache::{
    flush_key_cache,
    KeyCache, //
};
pub use node::Node;
pub use reclaim::{
    write_back,
    write_back_all,
    write_for_memory, //
};
pub use replay::replay;
pub use rewrite::rewrite_nodes;
pub use scan::ScanFor;
pub use survey::{
    LostNode,
    Survey, //
};
pub use write_buffer::{
    flush_write_buffer,
    try_flush_write_buffer,
    WriteBuffer, //
};
