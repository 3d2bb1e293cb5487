// SPDX-License-Identifier: GPL-2.0

//! Starting and stopping a filesystem.
//!
//! | file       | holds                                                        |
//! |------------|--------------------------------------------------------------|
//! | `options.rs` | options that ask for what can not be done yet                |
//! | `start.rs` | [`Filesystem`]: from opened devices to something that can be read |
//! | `state.rs` | [`State`]: starting, read-only, emergency read-only            |

mod options;
mod start;
mod state;

pub use start::{
    Filesystem,
    JournalSpan, //
};
pub use state::{
    State,
    StateCell, //
};
