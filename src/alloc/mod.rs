// SPDX-License-Identifier: GPL-2.0

//! Space, for reading: how much there is and how much is used.
//!
//! | file            | holds                                                             |
//! |-----------------|-------------------------------------------------------------------|
//! | `accounting.rs` | the accounting btree, with the journal's differences added          |
//! | `enough.rs`     | whether everything can be read with the devices that are there      |
//! | `usage.rs`      | [`Usage`]: capacity and use of the whole filesystem, and of a device |

mod accounting;
mod enough;
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
