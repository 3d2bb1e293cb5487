// SPDX-License-Identifier: GPL-2.0

//! The kernel's C types and functions: those of the `kernel` crate, and what bindgen makes of
//! `include/bindings.h` for us. Only `sys` and `env` may name this module.
//!
//! Where the crate knows only the name of a C type, the complete type from here hides it. Pointers
//! to such a type need a cast where they meet one of the crate's own structures.

#![allow(
    clippy::all,
    clippy::as_conversions,
    clippy::as_underscore,
    clippy::cast_lossless,
    clippy::indexing_slicing,
    clippy::ptr_as_ptr,
    clippy::ref_as_ptr,
    clippy::undocumented_unsafe_blocks,
    dead_code,
    improper_ctypes,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unreachable_pub,
    unsafe_op_in_unsafe_fn
)]

use pin_init::MaybeZeroable;

pub use kernel::bindings::*;

include!(env!("BCACHEFS_BINDINGS"));
