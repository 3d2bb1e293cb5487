// SPDX-License-Identifier: GPL-2.0

//! Keys that change often, outside of their nodes.
//!
//! | file        | holds                                                                   |
//! |-------------|-------------------------------------------------------------------------|
//! | `cache.rs`  | [`KeyCache`]: the keys in memory, bounded, by place                        |
//! | `flush.rs`  | bringing changed keys to their nodes                                    |
//! | `key.rs`    | [`CachedKey`]: one key with its lock, and what it holds of the journal     |
//! | `queue.rs`  | changed keys, in order of the journal                                   |
//! | `text.rs`   | what of it is shown to users                                            |
//! | `update.rs` | transactions: locking cached keys, filling the cache, changing them     |
//!
//! A transaction that changes a key of one of these btrees puts the new value here and into the
//! journal, and not into the leaf: the next change costs no search, no room in the leaf, and no
//! write of it. Later all of them together go there in one.
//!
//! A key that is here is also in its leaf, perhaps with an older value: keys come and go in leaves
//! only. So whoever walks over leaves meets every key, and looks here for its value. That a leaf
//! does not have a key that was changed here can not be, and is an error with a name:
//! `Documentation/key-cache.rst` says why.

mod cache;
mod flush;
mod key;
mod queue;
mod text;
mod update;

pub use cache::KeyCache;
pub(super) use cache::{
    Newest,
    Room, //
};
pub use flush::flush_key_cache;
pub(super) use flush::{
    flush_changed,
    flush_some, //
};
pub(super) use key::CachedKey;
pub(super) use update::{
    put_changed,
    Locked, //
};
