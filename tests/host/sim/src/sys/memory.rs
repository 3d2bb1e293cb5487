// SPDX-License-Identifier: GPL-2.0

//! How much memory there is.

use std::cell::Cell;

thread_local! {
    static TOTAL: Cell<u64> = const { Cell::new(4 << 30) };
}

/// Bytes of memory in this machine.
pub fn total_bytes() -> u64 {
    TOTAL.get()
}

/// What is made by this thread from now on finds a machine with so many bytes.
pub fn set_total_bytes(bytes: u64) {
    TOTAL.set(bytes);
}

/// Bytes of memory that could be had: all, as nobody else is there.
pub fn available_bytes() -> u64 {
    TOTAL.get()
}
