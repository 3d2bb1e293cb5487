// SPDX-License-Identifier: GPL-2.0

//! What a filesystem shows of itself besides its files: `/sys/fs/bcachefs`, and the ioctls of the
//! tools. Documentation/sysfs.rst has a list of all files; a test compares it with the tables here.
//!
//! | file                | holds                                                           |
//! |---------------------|-----------------------------------------------------------------|
//! | `sysfs.rs`          | [`Published`]: the directory of a mounted filesystem             |
//! | `fs_files.rs`       | files about the whole filesystem                                |
//! | `damage.rs`         | the summary of what is damaged                                   |
//! | `device_files.rs`   | files about one device                                          |
//! | `option_files.rs`   | values of options                                                |
//! | `perf_test.rs`      | benchmarks of the btrees                                         |
//! | `triggers.rs`       | files that have something done                                   |
//! | `counter_files.rs`  | counters                                                         |
//! | `ioctl/`            | the ioctls of the tools                                          |
//!
//! Text is as the C implementation has it where it has the same file. It is made when the file is
//! read; nothing here takes a lock that mounting or unmounting holds.

mod counter_files;
mod damage;
mod device_files;
mod fs_files;
pub mod ioctl;
mod option_files;
mod perf_test;
mod sysfs;
mod triggers;

pub use sysfs::{
    publish,
    register,
    Published,
    Registration,
    Shown, //
};
