// SPDX-License-Identifier: GPL-2.0

//! The on-disk format: every structure as bytes, decoded and validated. No I/O, no state.
//!
//! | file          | holds                                                                 |
//! |---------------|-----------------------------------------------------------------------|
//! | `bpos.rs`     | [`Bpos`](bpos::Bpos): a position in a btree                            |
//! | `bkey.rs`     | [`Bkey`](bkey::Bkey), [`Key`](bkey::Key): an unpacked key, with its value |
//! | `btree_id.rs` | [`BtreeId`](btree_id::BtreeId): the btrees and what each may hold       |
//! | `csum.rs`     | [`CsumType`](csum::CsumType): kinds of checksums                        |
//! | `data_type.rs` | [`DataType`](data_type::DataType): what a bucket holds                |
//! | `jset.rs`     | [`RawJset`](jset::RawJset), [`Entry`](jset::Entry): journal entries and their records |
//! | `key_type.rs` | [`KeyType`](key_type::KeyType): the kinds of values                     |
//! | `node.rs`     | [`RawNode`](node::RawNode), [`Bset`](node::Bset): btree node headers       |
//! | `nonce.rs`    | [`Nonce`](nonce::Nonce): what makes each encrypted object's key stream its own |
//! | `opts/`       | [`Opts`](opts::Opts): the options                                      |
//! | `sb/`         | [`Superblock`](sb::Superblock): the superblock                          |
//! | `values/`     | the values of keys, by type: [`values`]                                |
//!
//! All on-disk integers are little-endian. Keys are in the byte order of the machine that wrote
//! them; nodes and journal entries written by a big-endian machine are refused by their reader.

pub mod bkey;
pub mod bpos;
pub mod btree_id;
pub mod csum;
pub mod data_type;
pub mod jset;
pub mod key_type;
pub mod node;
pub mod nonce;
pub mod opts;
pub mod sb;
pub mod values;
