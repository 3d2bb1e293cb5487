// SPDX-License-Identifier: GPL-2.0

//! The member devices of a filesystem and its superblock.
//!
//! | file           | holds                                                                |
//! |----------------|----------------------------------------------------------------------|
//! | `state.rs`     | [`SbState`]: superblock, options and devices of a filesystem; [`Device`] |
//! | `open.rs`      | [`open`]: from block devices to an [`SbState`]                         |
//! | `key.rs`       | the key of an encrypted filesystem, from the keyrings                 |
//! | `read.rs`      | the superblock of one device, and what is printed about it            |
//! | `encoding.rs`  | the rules for comparing names without case                            |
//! | `io_errors.rs` | [`IoErrors`]: what a device did wrong since the mount                  |
//!
//! What the bytes mean and which copy or device is to be believed is decided in
//! [`format::sb`](crate::format::sb), without I/O; here the devices are asked and the decisions
//! reported.

mod encoding;
mod io_errors;
mod key;
mod open;
mod read;
mod state;

pub use io_errors::IoErrors;
pub use open::open;
pub use state::{
    Device,
    Name,
    SbState, //
};
