// SPDX-License-Identifier: GPL-2.0

//! Starting and stopping a filesystem.
//!
//! | file       | holds                                                        |
//! |------------|--------------------------------------------------------------|
//! | `options.rs` | options that ask for what can not be done yet                |
//! | `start.rs` | [`Filesystem`]: from opened devices to something that can be read |

mod options;
mod start;

pub use crate::sb::State;
pub use start::{
    Filesystem,
    JournalSpan, //
};
