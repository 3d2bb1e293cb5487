// SPDX-License-Identifier: GPL-2.0

//! Fuzz targets: whatever the bytes, a decoder returns, in bounded time, without a panic.
//!
//! | file         | holds                                                          |
//! |--------------|----------------------------------------------------------------|
//! | `targets.rs` | the list of targets, one line each                              |
//! | `bodies/`    | what the targets do, one file per part of the format            |
//! | `mutate.rs`  | the seeded generator of inputs for the bounded run              |
//! | `guided.rs`  | the coverage-guided runner (libFuzzer; `scripts/fuzz`)          |
//!
//! `corpus/NAME/*` holds valid inputs for target NAME; both runners start from them.

#![forbid(unsafe_code)]

mod bodies;
pub mod mutate;
mod targets;

pub use targets::TARGETS;

/// One thing to fuzz.
pub struct Target {
    /// Names the target on the command line, and its corpus directory.
    pub name: &'static str,
    /// Consumes arbitrary bytes. Panics when a property does not hold.
    pub run: fn(&[u8]),
}

/// The target called `name`.
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|t| t.name == name)
}
