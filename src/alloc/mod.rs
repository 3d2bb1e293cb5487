// SPDX-License-Identifier: GPL-2.0

//! Space: how much there is and how much is used, and what keys mean for it.
//!
//! | file            | holds                                                             |
//! |-----------------|-------------------------------------------------------------------|
//! | `accounting.rs` | the accounting btree, with the journal's differences added          |
//! | `enough.rs`     | whether everything can be read with the devices that are there      |
//! | `usage.rs`      | [`Usage`]: capacity and use of the whole filesystem, and of a device |
//! | `foreground/`   | taking buckets, and space in them, for what is to be written          |
//! | `space/`        | both for transactions: what they mean, and space for new nodes        |
//! | `trigger/`      | what an update of a key means for everything that is derived         |

mod accounting;
mod enough;
pub mod foreground;
pub mod space;
pub mod trigger;
mod usage;

pub use accounting::{
    for_each_of_types,
    for_each_of_whole,
    Counter, //
};
pub use enough::check_enough;
pub use usage::{
    device_usage,
    Capacity,
    DeviceUsage,
    Usage,
    UsageBase, //
};
