// SPDX-License-Identifier: GPL-2.0

//! What the module shows of itself as a parameter.

use crate::bindings;

/// Shows `version` as the parameter `version`, which can not be set.
pub fn show_version(version: u32) {
    // SAFETY: Takes a number. Whoever reads the file meanwhile sees the old one or the new one.
    unsafe { bindings::bch_rs_show_version(version) };
}
