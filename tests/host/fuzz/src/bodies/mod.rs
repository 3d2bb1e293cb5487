// SPDX-License-Identifier: GPL-2.0

//! What the targets do, one file per part of the format.
//!
//! | file      | fuzzes                                             |
//! |-----------|----------------------------------------------------|
//! | `bkey.rs` | key headers and positions                          |
//! | `jset.rs` | journal entries                                    |
//! | `node.rs` | btree node headers and their sets                  |

pub(crate) mod bkey;
pub(crate) mod jset;
pub(crate) mod node;

use core::fmt::{
    self,
    Write, //
};

/// Prints `v` to nowhere: a value decoded from any bytes can be shown.
pub(crate) fn show(v: &impl fmt::Display) {
    struct Null;
    impl Write for Null {
        fn write_str(&mut self, _: &str) -> fmt::Result {
            Ok(())
        }
    }
    write!(Null, "{v}").unwrap();
}
