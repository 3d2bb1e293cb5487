// SPDX-License-Identifier: GPL-2.0

//! What the targets do, one file per part of the format.
//!
//! | file          | fuzzes                              |
//! |---------------|-------------------------------------|
//! | `bkey.rs`     | key headers and positions           |
//! | `compress.rs` | compressed data                     |
//! | `crypt.rs`    | keys and encrypted sets of keys     |
//! | `jset.rs`     | journal entries                     |
//! | `keys.rs`     | packed keys of btree nodes          |
//! | `node.rs`     | btree node headers and their sets   |
//! | `sb.rs`       | superblocks                         |
//! | `values.rs`   | values of keys                      |

pub(crate) mod bkey;
pub(crate) mod compress;
pub(crate) mod crypt;
pub(crate) mod jset;
pub(crate) mod keys;
pub(crate) mod node;
pub(crate) mod sb;
pub(crate) mod values;

use core::fmt::{
    self,
    Write, //
};

/// Text goes nowhere.
pub(crate) struct Null;

impl Write for Null {
    fn write_str(&mut self, _: &str) -> fmt::Result {
        Ok(())
    }
}

/// Prints `v` to nowhere: a value decoded from any bytes can be shown.
pub(crate) fn show(v: &impl fmt::Display) {
    write!(Null, "{v}").unwrap();
}
