// SPDX-License-Identifier: GPL-2.0

//! Space: how much there is and how much is used, and what keys mean for it.
//!
//! | file            | holds                                                             |
//! |-----------------|-------------------------------------------------------------------|
//! | `accounting.rs` | the accounting btree, with the journal's differences added          |
//! | `enough.rs`     | whether everything can be read with the devices that are there      |
//! | `usage.rs`      | [`Usage`]: capacity and use of the whole filesystem, and of a device |
//! | `live_usage.rs` | [`LiveUsage`]: the counters, changed by every commit                  |
//! | `reserve.rs`    | [`Reservations`]: space that is going to be used                      |
//! | `foreground/`   | taking buckets, and space in them, for what is to be written          |
//! | `space/`        | both for transactions: what they mean, and space for new nodes        |
//! | `trigger/`      | what an update of a key means for everything that is derived         |

mod accounting;
mod enough;
pub mod foreground;
mod live_usage;
mod reserve;
pub mod space;
pub mod trigger;
mod usage;

pub use accounting::{
    for_each_of_types,
    for_each_of_whole,
    Counter, //
};
pub use enough::check_enough;
pub use live_usage::LiveUsage;
pub use reserve::Reserved;
pub use usage::{
    device_usage,
    Capacity,
    DeviceUsage,
    Usage,
    UsageBase, //
};
