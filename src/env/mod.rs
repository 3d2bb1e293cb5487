// SPDX-License-Identifier: GPL-2.0

//! The environment facade: everything the code above needs from the world that is not a kernel
//! object. The kernel build and the host build have the same names here.
//!
//! | file             | holds                                                          |
//! |------------------|----------------------------------------------------------------|
//! | `kernel.rs`      | memory and time on the `kernel` crate (kernel build only)       |
//! | `kernel_hash.rs` | checksums and hashes by the kernel's functions (kernel only)    |
//! | `crypt.rs`       | ChaCha20, Poly1305, and keys in memory                          |
//! | `kernel_crypt.rs` | their parts that are the kernel's (kernel only)                |
//! | `host_crypt.rs`  | their parts that are of crates (host only)                     |
//! | `few.rs`         | [`Few`]: lists that are mostly short                             |
//! | `host.rs`        | memory and time on the standard library (host build only)       |
//! | `host_hash.rs`   | checksums and hashes by crates (host only)                      |
//! | `log.rs`         | [`pr_err!`](crate::env::pr_err), [`pr_warn!`](crate::env::pr_warn), [`pr_info!`](crate::env::pr_info) |
//! | `num.rs`         | lossless integer conversions, division that can not trap        |
//! | `prefetch.rs`    | telling the processor early what will be read                   |
//! | `retain.rs`      | dropping some elements of a [`Vec`]                             |
//! | `sort.rs`        | sorting without panics                                          |
//! | `span.rs`      | [`Span`](span::Span): memory that a device reads, also a process's |
//! | `units.rs`       | [`Sectors`](units::Sectors) and other numbers with a unit       |
//!
//! Allocation is fallible everywhere: [`Vec`], [`Map`], [`Box`] and [`Arc`] return
//! [`Error::NoMemory`](crate::error::Error::NoMemory).

pub mod crypt;
mod few;
#[cfg_attr(kernel, path = "kernel_hash.rs")]
#[cfg_attr(not(kernel), path = "host_hash.rs")]
pub mod hash;
mod log;
pub mod num;
mod prefetch;
mod retain;
pub mod sort;
pub mod span;
pub mod units;
#[cfg_attr(kernel, path = "kernel.rs")]
#[cfg_attr(not(kernel), path = "host.rs")]
mod world;

pub use few::Few;
pub use log::Level;
pub use prefetch::prefetch;
#[cfg(not(kernel))]
pub use world::{
    busy,
    restart_often,
    scarce, //
};
pub use world::{
    log_line,
    random_u64,
    seems_taken,
    time,
    wants_restart,
    Arc,
    Box,
    Map,
    Vec, //
};

pub use crate::{
    pr_err,
    pr_info,
    pr_warn, //
};
