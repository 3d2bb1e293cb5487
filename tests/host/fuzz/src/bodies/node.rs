// SPDX-License-Identifier: GPL-2.0

//! Btree node headers and their sets of keys.

use super::show;
use format::format::node::{
    Bset,
    RawNode, //
};

/// A node's header and its first set.
pub(crate) fn first_set(data: &[u8]) {
    if let Some(n) = RawNode::read(data) {
        show(&n.min_key());
        show(&n.max_key());
        n.level();
        n.btree();
    }
    if let Some(set) = Bset::first(data) {
        assert!(set.total_bytes() <= data.len());
    }
}

/// A set that is not a node's first.
pub(crate) fn later_set(data: &[u8]) {
    Bset::peek_later(data);
    if let Some(set) = Bset::later(data) {
        assert!(set.total_bytes() <= data.len());
    }
}
