// SPDX-License-Identifier: GPL-2.0

//! Errors: one typed value for every way an operation can fail.
//!
//! | file         | holds                                                              |
//! |--------------|--------------------------------------------------------------------|
//! | `code.rs`    | [`Error`], [`Class`], [`Result`] and the questions one can ask them |
//! | `table.rs`   | the table: every code with its class, errno and text                |
//! | `errno.rs`   | Linux errno numbers, so that this layer needs no kernel headers     |
//! | `fsck.rs`    | [`FsckError`](fsck::FsckError): the on-disk-stable inconsistency ids |
//! | `invalid.rs` | [`Invalid`]: what a validator found wrong in bytes from disk        |
//!
//! An [`Error`] is small and `Copy`: it says *what* failed. Where it failed (btree, position,
//! device, sector) is written to the log by the code that raises it, so nothing has to be carried
//! up the call chain. The errno is looked up once, at the VFS boundary.

mod code;
pub mod errno;
pub mod fsck;
mod invalid;
mod table;

pub use code::{
    Class, //
    Result,
};
pub use invalid::Invalid;
pub use table::Error;
