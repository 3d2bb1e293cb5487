// SPDX-License-Identifier: GPL-2.0

//! The superblock: who the filesystem is, which devices it has, how it is set up, and where to
//! find the journal. Each device has several copies of its own.
//!
//! | file              | holds                                                               |
//! |-------------------|---------------------------------------------------------------------|
//! | `superblock.rs`   | [`Superblock`]: decoding, checking, access to the parts              |
//! | `header.rs`       | [`RawSb`]: the fixed part                                            |
//! | `flags.rs`        | the bit fields of the fixed part                                     |
//! | `layout.rs`       | [`RawLayout`]: where the copies are                                  |
//! | `version.rs`      | [`Version`]: versions of the format and their names                  |
//! | `bits.rs`         | [`Features`], [`Compat`]                                             |
//! | `section.rs`      | [`Section`]: how sections follow each other, table of their kinds     |
//! | `members*.rs`     | [`Member`]: the devices                                              |
//! | `groups.rs`       | device labels, and targets of options                                |
//! | `journal*.rs`     | this device's journal buckets                                        |
//! | `blacklist.rs`    | journal sequence numbers to ignore                                   |
//! | `clean.rs`        | what an orderly shutdown recorded                                    |
//! | `replicas*.rs`    | which sets of devices hold what                                      |
//! | `crypt.rs` `quota.rs` `counters.rs` `errors*.rs` `ext.rs` `downgrade.rs` `extent_types.rs` | the other sections |
//! | `passes.rs`       | the recovery passes, and when each was run                           |
//! | `finding.rs`      | [`Finding`]: what a validator reports                                |
//! | `copies.rs`       | finding the right copy on one device                                 |
//! | `edit.rs`         | changing a superblock that is to be written                          |
//! | `assemble.rs`     | which devices belong together, and whether they are enough           |
//! | `show.rs`         | the superblock as text                                               |
//! | `text.rs`         | numbers, names, times as text                                        |
//!
//! Nothing read from a device is trusted: a superblock is used after
//! [`Superblock::validate`] only, and every accessor is total for any bytes.

pub mod assemble;
pub mod bits;
pub mod blacklist;
pub mod clean;
pub mod copies;
pub mod counters;
pub mod crypt;
pub mod downgrade;
mod edit;
pub mod errors;
mod errors_v2;
pub mod ext;
pub mod extent_types;
pub mod finding;
pub mod flags;
pub mod groups;
pub mod header;
pub mod journal;
mod journal_v2;
pub mod layout;
pub mod members;
mod members_v1;
mod members_v2;
pub mod passes;
pub mod quota;
pub mod replicas;
mod replicas_v0;
pub mod section;
pub mod show;
pub mod superblock;
pub mod text;
pub mod version;

#[cfg(test)]
pub(crate) mod tests;

pub use bits::{
    Compat,
    Features, //
};
pub use finding::Finding;
pub use header::RawSb;
pub use layout::RawLayout;
pub use members::Member;
pub use section::Section;
pub use superblock::Superblock;
pub use version::Version;
