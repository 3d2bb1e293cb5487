// SPDX-License-Identifier: GPL-2.0

//! An independent check of what is derived from keys: everything that a filesystem has is read,
//! what should be derived of it is added up from nothing, and both are compared.
//!
//! | file         | holds                                                                  |
//! |--------------|------------------------------------------------------------------------|
//! | `stored.rs`  | [`Stored`]: all keys of a filesystem, in maps that a test can change       |
//! | `read.rs`    | reading a [`Stored`] from a filesystem                                    |
//! | `world.rs`   | what triggers have to know, from a [`Stored`]                              |
//! | `derived.rs` | [`check_derived`], [`Stored::check`]: the comparison                        |
//! | `commit.rs`  | [`Stored::commit`]: a transaction, as short as can be                       |
//! | `sectors.rs` | [`check_sectors`]: what inodes say of the size of their files               |
//! | `users.rs`   | [`keys_of_users`]: what nothing is derived of                              |
//! | `plain.rs`   | sectors of buckets and replicas once more, straight from the keys            |
//!
//! Of what is compared, only the sums come from the triggers. The comparison is here, and so is a
//! second way to the numbers that matter most.

mod commit;
mod derived;
mod plain;
mod read;
mod sectors;
mod stored;
mod users;
mod world;

pub use commit::Update;
pub use derived::{
    check_derived,
    Finding, //
};
pub use sectors::check_sectors;
pub use stored::{
    Dev,
    OwnedKey,
    Stored, //
};
pub use users::{
    keys_of_users,
    Keys,
    DERIVED, //
};
