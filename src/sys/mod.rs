// SPDX-License-Identifier: GPL-2.0

//! Safe wrappers over the kernel's C interfaces. They know nothing of bcachefs: everything here
//! could serve another filesystem. All `unsafe` code of the module is here and in `env`.
//!
//! | file            | wraps                                                                     |
//! |-----------------|---------------------------------------------------------------------------|
//! | `bio.rs`        | asynchronous reads into folios                                            |
//! | `block.rs`      | block devices: claim for a filesystem, size, synchronous reads and writes |
//! | `caller.rs`     | the process that made a system call: its memory, what it may do           |
//! | `compress.rs`   | compressors and decompressors                                             |
//! | `fs/`           | filesystem types, mounts, inodes, directories, attributes: see there      |
//! | `halt.rs`       | stopping the machine, because somebody wants that                         |
//! | `iomap.rs`      | reading into the page cache                                               |
//! | `keyring.rs`    | keys that a process holds                                                 |
//! | `kobject.rs`    | directories and files in sysfs                                            |
//! | `kunit.rs`      | tests inside the kernel, by KUnit                                         |
//! | `memory.rs`     | how much memory the machine has                                           |
//! | `nodes.rs`      | character devices for ioctl(2)                                            |
//! | `parameter.rs`  | what the module shows of itself as a parameter                            |
//! | `raid.rs`       | lost blocks from parity                                                   |
//! | `reclaim.rs`    | not asking filesystems for memory                                         |
//! | `shrinker.rs`   | giving memory back under pressure                                         |
//! | `six/`          | SIX locks                                                                 |
//! | `stop.rs`       | what a thread is told: to stop, to look again                             |
//! | `sync.rs`       | mutexes, spinlocks, atomic variables                                      |
//! | `task.rs`       | threads                                                                   |
//! | `task_tests.rs` | tests of them inside the kernel, and of waiting and SIX locks             |
//! | `unicode.rs`    | names compared without case                                               |
//! | `wait.rs`       | waiting for a condition                                                   |
//! | `watchers.rs`   | telling those who watch a filesystem of errors                            |
//! | `workqueue.rs`  | work queues                                                               |
//! | `workspace.rs`  | memory for decompression, kept for the next time                          |
//! | `*.c`           | C for macros and variable arguments, declared in `include/`               |

pub mod bio;
pub mod block;
pub mod caller;
pub mod compress;
pub mod fs;
pub mod halt;
pub mod iomap;
pub mod keyring;
pub mod kobject;
#[cfg(CONFIG_BCACHEFS_KUNIT_TEST)]
mod kunit;
pub mod memory;
pub mod nodes;
pub mod parameter;
pub mod raid;
pub mod reclaim;
pub mod shrinker;
pub mod six;
pub mod stop;
pub mod sync;
pub mod task;
#[cfg(CONFIG_BCACHEFS_KUNIT_TEST)]
mod task_tests;
pub mod unicode;
pub mod wait;
pub mod watchers;
pub mod workqueue;
pub mod workspace;

use crate::{
    env::num,
    error::errno::Errno, //
};
use core::ffi::c_int;

/// The result of a C function that returns 0 or a negative errno.
fn check(ret: c_int) -> Result<(), Errno> {
    if ret < 0 {
        Err(Errno(ret.wrapping_neg()))
    } else {
        Ok(())
    }
}

/// The pointer from a C function that returns a pointer or an errno in its place.
fn check_ptr<T>(ptr: *mut T) -> Result<*mut T, Errno> {
    match kernel::error::from_err_ptr(ptr) {
        Ok(ptr) => Ok(ptr),
        Err(e) => Err(Errno(e.to_errno().wrapping_neg())),
    }
}

/// What a C callback returns for a result: 0 or a negative errno.
fn returned(result: Result<(), Errno>) -> c_int {
    match result {
        Ok(()) => 0,
        Err(e) => e.0.wrapping_neg(),
    }
}

/// An errno in the place of a number, for callbacks that return a long.
fn failed(e: Errno) -> isize {
    num::isize_of_bits(num::usize_of_u32(e.0.unsigned_abs())).wrapping_neg()
}

/// An errno in the place of a pointer, for callbacks that return one.
fn err_ptr<T>(e: Errno) -> *mut T {
    kernel::error::Error::from_errno(e.0.wrapping_neg()).to_ptr()
}

/// Copies `from` to the front of `to` and fills the rest with zeros.
fn copy_and_fill(to: &mut [u8], from: &[u8]) {
    let at = from.len().min(to.len());
    if let Some((front, rest)) = to.split_at_mut_checked(at) {
        for (to, from) in front.iter_mut().zip(from) {
            *to = *from;
        }
        rest.fill(0);
    }
}
