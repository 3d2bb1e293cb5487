// SPDX-License-Identifier: GPL-2.0

//! How much memory there is.

use crate::bindings;

/// Bytes of memory in this machine.
pub fn total_bytes() -> u64 {
    // SAFETY: Takes nothing and only reads counters.
    unsafe { bindings::bch_rs_memory_bytes() }
}

/// Bytes of memory that could be had without anybody missing them; a guess.
///
/// C: `si_mem_available()`.
pub fn available_bytes() -> u64 {
    // SAFETY: Takes nothing and only reads counters.
    unsafe { bindings::bch_rs_memory_available() }
}
