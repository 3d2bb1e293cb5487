// SPDX-License-Identifier: GPL-2.0

//! Algorithms on decoded data: pure functions, no I/O, no locks.
//!
//! | file            | holds                                                                 |
//! |-----------------|-----------------------------------------------------------------------|
//! | `key_format.rs` | [`KeyFormat`](key_format::KeyFormat): how a node packs key headers      |
//! | `pack.rs`       | packing and unpacking them, [`Head`](pack::Head)                        |
//! | `search_key.rs` | [`SearchKey`](search_key::SearchKey): comparing without unpacking       |
//! | `raw_set.rs`    | [`RawKeys`](raw_set::RawKeys): the keys of one set as read from disk    |
//! | `merge.rs`      | merging the sets of a node                                             |
//! | `eytzinger.rs`  | index arithmetic of search trees in an array                           |
//! | `aux_tree.rs`   | [`AuxTree`](aux_tree::AuxTree): the search tree beside a sorted set      |
//! | `node_keys.rs`  | [`NodeKeys`](node_keys::NodeKeys): all keys of a node in memory         |
//! | `checksum.rs`   | [`Running`](checksum::Running): checksums of pieces, merging            |
//! | `crypt.rs`      | [`Seal`](crypt::Seal): checksums that need a key, and decryption        |
//! | `cut.rs`        | [`cut_front`](cut::cut_front), [`cut_back`](cut::cut_back): parts of extents |
//! | `merge_extents.rs` | [`merged`](merge_extents::merged): one extent in the place of two    |
//! | `str_hash.rs`   | [`HashInfo`](str_hash::HashInfo): hashes of names                       |
//! | `time.rs`       | [`TimeUnits`](time::TimeUnits): times as stored                         |

pub mod aux_tree;
pub mod checksum;
pub mod crypt;
pub mod cut;
pub mod eytzinger;
pub mod key_format;
pub mod merge;
pub mod merge_extents;
pub mod node_keys;
pub mod pack;
pub mod raw_set;
pub mod search_key;
pub mod str_hash;
pub mod time;
