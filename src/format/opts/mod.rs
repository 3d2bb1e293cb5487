// SPDX-License-Identifier: GPL-2.0

//! Options: of filesystems, devices and inodes, from mount, from the superblock, from defaults.
//!
//! | file       | holds                                                            |
//! |------------|------------------------------------------------------------------|
//! | `opts.rs`  | [`Opts`]: a set of values; parsing mount options                   |
//! | `table.rs` | [`OptionInfo`](table::OptionInfo): the options, one row each       |
//! | `parse.rs` | values from text                                                  |
//! | `text.rs`  | values as text                                                    |
//! | `store.rs` | values from the superblock                                        |
//! | `error.rs` | [`OptError`]: why an option is refused                             |

mod error;
#[allow(clippy::module_inception)]
mod opts;
pub mod parse;
pub mod store;
pub mod table;
pub mod text;

#[cfg(test)]
mod tests;

pub use error::{
    BadValue,
    OptError, //
};
pub use opts::{
    Ignored,
    OnError,
    Opts,
    Outcome, //
};
pub use table::{
    options,
    Kind,
    OptId,
    OptionInfo,
    DEVICE,
    FS,
    HIDDEN,
    RUNTIME, //
};
pub use text::write_value;
