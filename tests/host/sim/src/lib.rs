// SPDX-License-Identifier: GPL-2.0

//! The engine on the host: a second `sys` and every engine layer, as one crate. What runs here in
//! a test is the source that runs in the kernel.

#![deny(unsafe_code)]
// Nothing that can panic in shipped code; tests and the simulated `sys` may.
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::todo,
        clippy::unimplemented,
        clippy::unreachable,
        clippy::unwrap_used,
    )
)]

pub use ::algo::algo;
pub use ::env::env;
pub use ::error::error;
pub use ::format::format;

#[allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing
)]
pub mod sys;

#[path = "../../../../src/sb/mod.rs"]
pub mod sb;

#[path = "../../../../src/journal/mod.rs"]
pub mod journal;

#[path = "../../../../src/btree/mod.rs"]
pub mod btree;

#[path = "../../../../src/alloc/mod.rs"]
pub mod alloc;

#[path = "../../../../src/snapshots/mod.rs"]
pub mod snapshots;

#[allow(dead_code)] // the kernel reads asynchronously, with more of it
#[path = "../../../../src/data/mod.rs"]
pub mod data;

#[path = "../../../../src/fs/mod.rs"]
pub mod fs;

#[path = "../../../../src/check/mod.rs"]
mod check_layer;

#[path = "../../../../src/init/mod.rs"]
pub mod init;

#[path = "../../../../src/ctl/mod.rs"]
pub mod ctl;

#[allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing
)]
pub mod golden;

#[allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used
)]
#[path = "check/mod.rs"]
mod oracle;

/// The layer of this name, and the independent check of what is derived from keys.
pub mod check {
    pub use super::{
        check_layer::*,
        oracle::*, //
    };
}
