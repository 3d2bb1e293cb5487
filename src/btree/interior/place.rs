// SPDX-License-Identifier: GPL-2.0

//! Where a new node goes.

use crate::{
    btree::ptr::COPIES_MAX,
    format::values::extent_entry::Ptr, //
};

/// Space on devices for one node, in the hands of who is going to make it.
///
/// C: one element of `struct prealloc_nodes`.
#[derive(Clone, Copy, Debug)]
pub struct NodePlace {
    /// The copies.
    pub copies: [Option<Ptr>; COPIES_MAX],
    /// What the layer that gave it knows it by.
    pub token: u64,
}
