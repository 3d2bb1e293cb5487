// SPDX-License-Identifier: GPL-2.0

//! Host build of `src/format`. The layers below appear under the names they have in the kernel's
//! single crate, those above do not exist here: an upward `use` does not compile.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
// Nothing that can panic in shipped code; tests may.
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::todo,
        clippy::unimplemented,
        clippy::unreachable,
        clippy::unwrap_used,
    )
)]

pub use ::env::env;
pub use ::error::error;

#[path = "../../../../src/format/mod.rs"]
pub mod format;
