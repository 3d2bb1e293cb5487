// SPDX-License-Identifier: GPL-2.0

//! Stopping the machine.

/// Ends the test.
#[allow(clippy::panic)]
pub fn panic_after_error() {
    panic!("errors=panic");
}
