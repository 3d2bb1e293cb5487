// SPDX-License-Identifier: GPL-2.0

//! Stopping the machine: only where the administrator has asked for it.

use crate::bindings;

/// Panics, as `errors=panic` asks for. Does not return.
pub fn panic_after_error() {
    // SAFETY: Takes nothing, may be called anywhere, and does not return.
    unsafe { bindings::bch_rs_panic_after_error() }
}
