// SPDX-License-Identifier: GPL-2.0

//! The second `sys`: the same interface as in the kernel, on the standard library.
//!
//! | file           | holds                                                          |
//! |----------------|----------------------------------------------------------------|
//! | `block.rs`     | [`BlockDevice`](block::BlockDevice) in a file or in memory     |
//! | `caller.rs`    | the memory of who makes a system call                          |
//! | `compress.rs`  | compression                                                    |
//! | `halt.rs`      | ending the test                                                |
//! | `keyring.rs`   | keys, by thread                                                |
//! | `kobject.rs`   | files that show something                                      |
//! | `memory.rs`    | how much memory there is                                       |
//! | `raid.rs`      | lost blocks from parity                                        |
//! | `reclaim.rs`   | allocating without asking filesystems                          |
//! | `shrinker.rs`  | memory reclaim that never asks                                 |
//! | `sync.rs`      | locks, atomic variables                                        |
//! | `task.rs`      | threads                                                        |
//! | `unicode.rs`   | names compared without case                                    |
//! | `wait.rs`      | waiting for a condition                                        |
//! | `watchers.rs`  | counting what is told of errors                                |
//! | `workqueue.rs` | work queues                                                    |
//!
//! `six/`, `stop.rs` and `workspace.rs` are the kernel's own, on the modules here.

pub mod block;
pub mod caller;
pub mod compress;
pub mod halt;
pub mod keyring;
pub mod kobject;
pub mod memory;
pub mod raid;
pub mod reclaim;
pub mod shrinker;
#[allow(unsafe_code)] // the same as in the kernel
#[path = "../../../../../src/sys/six/mod.rs"]
pub mod six;
#[path = "../../../../../src/sys/stop.rs"]
pub mod stop;
pub mod sync;
pub mod task;
pub mod unicode;
pub mod wait;
pub mod watchers;
pub mod workqueue;
#[path = "../../../../../src/sys/workspace.rs"]
pub mod workspace;
