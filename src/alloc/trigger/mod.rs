// SPDX-License-Identifier: GPL-2.0

//! What an update of a key means for everything that is derived from keys: the state of buckets
//! and its indices, backpointers, counters, reference counts.
//!
//! | file             | holds                                                               |
//! |------------------|---------------------------------------------------------------------|
//! | `run.rs`         | [`trigger`], [`recount`]: which of the others a key is for              |
//! | `lookups.rs`     | [`Lookups`]: what they have to know of the filesystem                 |
//! | `effects.rs`     | [`Effects`]: what follows from updates, not yet done                  |
//! | `bucket.rs`      | [`BucketChange`]: what follows for one bucket                         |
//! | `extent.rs`      | keys with pointers to data or nodes; reservations                     |
//! | `pointer.rs`     | one pointer of them                                                   |
//! | `rebalance.rs`   | what is to be moved in the background                                 |
//! | `stripe.rs`      | stripes, and pointers to their blocks                                 |
//! | `reflink.rs`     | pointers to shared extents                                            |
//! | `inode.rs`       | inodes                                                                |
//! | `bucket_key.rs`  | keys of the alloc btree: from the state of a bucket to its indices    |
//! | `superblock.rs`  | [`metadata_buckets`]: buckets of superblocks and of the journal       |
//!
//! Nothing here changes a key: a trigger adds up [`Effects`], and the transaction looks up, changes
//! and stages what they name. There are two users, and both get the same effects from the same
//! code:
//!
//! - A transaction calls [`trigger`] with the old and the new key of each update. What is derived
//!   is then right if it was right before.
//! - A check calls [`recount`] with every key there is, and compares the sum with what is stored.
//!
//! In a transaction, one [`Effects`] takes what follows from all of its updates:
//!
//! 1. The updates outside of the alloc btree, in ascending order of btrees. Behind each btree the
//!    [`Edit`]s are done: they are updates, too. So a shared extent, which is made without
//!    references, has one when its own trigger looks. An update that an edit changes after its
//!    trigger ran gets its trigger run again, with what that saw last as the old key.
//! 2. The [`BucketChange`]s are applied to the keys of the alloc btree.
//! 3. The triggers of those keys, each once, with the state from before the transaction as the old
//!    key, and the [`Edit`]s of that.
//! 4. [`KeyChange`]s and [`CounterChange`]s are written; nothing follows from them.
//!
//! Other than that order does not matter: sums are sums, and a deletion of a backpointer does not
//! take away what another key has set in its place.
//!
//! Version 1.13 is what this is for; see [`crate::format::values::backpointer`] for what differs
//! later.

mod bucket;
mod bucket_key;
mod effects;
mod extent;
mod inode;
mod lookups;
mod pointer;
mod rebalance;
mod reflink;
mod run;
mod stripe;
mod superblock;
#[cfg(test)]
mod tests;

pub use bucket::{
    BucketChange,
    Kind,
    StripeRef, //
};
pub use bucket_key::{
    invalidated,
    journal_seq_at_commit, //
};
pub use effects::{
    CounterChange,
    Derived,
    Edit,
    Effects,
    KeyChange, //
};
pub use lookups::{
    Indirect,
    Lookups, //
};
pub use pointer::bucket_of;
pub use run::{
    deleted,
    has_triggers,
    recount,
    trigger,
    Amend, //
};
pub use stripe::is_in_stripe;
pub use superblock::{
    mark_metadata,
    metadata_buckets,
    recount_metadata, //
};
