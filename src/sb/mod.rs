// SPDX-License-Identifier: GPL-2.0

//! The member devices of a filesystem and its superblock.
//!
//! | file              | holds                                                             |
//! |-------------------|-------------------------------------------------------------------|
//! | `write.rs`        | writing the superblock                                            |
//! | `stop.rs`         | devices that fail to write, and are written no more                 |
//! | `mode.rs`         | [`State`]: starting, read-only, read-write, emergency read-only    |
//! | `state.rs`        | [`SbState`]: superblock, options and devices of a filesystem; [`Device`] |
//! | `new.rs`          | the superblock of a filesystem that was never mounted               |
//! | `options.rs`      | [`LiveOpts`]: options that change while the filesystem is mounted   |
//! | `open.rs`         | [`open`]: from block devices to an [`SbState`]                      |
//! | `read.rs`         | the superblock of one device, and what is printed about it         |
//! | `damage.rs`       | [`Damage`]: what could not be used since the mount                  |
//! | `error_counts.rs` | [`ErrorCounts`]: inconsistencies by their stable id                 |
//! | `io_errors.rs`    | [`IoErrors`]: what a device did wrong since the mount               |
//! | `device_options.rs` | what can be changed about a device while it is in use               |
//! | `device_stats.rs` | [`DeviceStats`]: what was read and written of a device since the mount        |
//! | `message_limit.rs` | [`MessageLimit`]: how many messages about data are printed            |
//! | `time_stats.rs`   | [`TimeStats`]: how long things take                                 |
//! | `counters.rs`     | [`Counters`]: events since the mount                               |
//! | `key.rs`          | the key of an encrypted filesystem, from the keyrings              |
//! | `encoding.rs`     | the rules for comparing names without case                         |
//!
//! What the bytes mean and which copy or device is to be believed is decided in
//! [`format::sb`](crate::format::sb), without I/O; here the devices are asked and the decisions
//! reported.

mod counters;
mod damage;
mod device_options;
mod device_stats;
mod encoding;
mod error_counts;
mod io_errors;
mod key;
mod message_limit;
mod mode;
mod new;
mod open;
mod options;
mod read;
mod state;
mod stop;
mod time_stats;
mod write;

pub use counters::Counters;
pub use damage::{
    Damage,
    Lost, //
};
pub use device_stats::DeviceStats;
pub use error_counts::ErrorCounts;
pub use io_errors::IoErrors;
pub use message_limit::MessageLimit;
pub use mode::{
    State,
    StateCell, //
};
pub use open::open;
pub use options::LiveOpts;
pub use state::{
    Device,
    Name,
    SbState, //
};
pub use time_stats::{
    TimeStat,
    TimeStats,
    Timed, //
};
