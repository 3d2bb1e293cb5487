// SPDX-License-Identifier: GPL-2.0

//! The second `sys`: the same interface as in the kernel, on the standard library.
//!
//! | file          | holds                                                          |
//! |---------------|----------------------------------------------------------------|
//! | `block.rs`    | [`BlockDevice`](block::BlockDevice) in a file or in memory      |
//! | `memory.rs`   | how much memory there is                                        |
//! | `raid.rs`     | lost blocks from parity                                         |
//! | `shrinker.rs` | memory reclaim that never asks                                  |
//! | `sync.rs`     | locks                                                           |

pub mod block;
pub mod memory;
pub mod raid;
pub mod shrinker;
pub mod sync;
