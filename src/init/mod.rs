// SPDX-License-Identifier: GPL-2.0

//! Starting and stopping a filesystem.
//!
//! | file       | holds                                                        |
//! |------------|--------------------------------------------------------------|
//! | `copygc.rs` | moving data in the background, so that there are free buckets  |
//! | `new.rs`   | the first mount: what a filesystem has from then on            |
//! | `options.rs` | options that ask for what can not be done yet                |
//! | `passes.rs` | what is done for each recovery pass                          |
//! | `reaper.rs` | deleting dead snapshots in the background                    |
//! | `rw.rs`    | [`ReadWrite`]: going read-write, and the way back              |
//! | `start.rs` | [`Filesystem`]: from opened devices to something that can be read |

mod copygc;
mod new;
mod options;
mod passes;
mod reaper;
mod rw;
mod start;

pub use crate::sb::State;
pub use rw::ReadWrite;
pub use start::{
    Access,
    Filesystem,
    JournalSpan, //
};
