// SPDX-License-Identifier: GPL-2.0

//! Checking what is on disk, and repairing it.
//!
//! | file         | holds                                                                  |
//! |--------------|------------------------------------------------------------------------|
//! | `passes.rs`  | [`Plan`]: which recovery passes a mount runs; [`run`]: running them        |
//! | `report.rs`  | [`Report`]: what is found, and whether it is repaired                      |
//!
//! A pass that repairs something first finds what is wrong, without changing anything, then asks
//! [`Report::found`], and then does one small transaction for each finding. What a check finds can
//! be out of date by then, as repairs move btree nodes; so a pass starts over after repairs, until
//! it finds nothing.

mod passes;
mod report;

pub use passes::{
    pass,
    run,
    Plan,
    Step, //
};
pub use report::{
    Outcome,
    Report, //
};
