// SPDX-License-Identifier: GPL-2.0

//! Replacing nodes: split, merge, rewrite, and new roots.
//!
//! | file         | holds                                                                  |
//! |--------------|------------------------------------------------------------------------|
//! | `merge.rs`   | merging small nodes                                                    |
//! | `place.rs`   | [`NodePlace`]: where a new node goes                                     |
//! | `replace.rs` | [`Replacement`]: old nodes, and the new ones in their place               |
//! | `room.rs`    | room that new nodes need for what is not known before they are made     |
//! | `update.rs`  | making new nodes part of their btrees                                  |
//!
//! 1. Places for new nodes are taken, before any lock.
//! 2. One at a time from here on: the old nodes are frozen. They can be read and locked, but a
//!    transaction that is going to change one waits. Their keys are copied to new nodes, and these
//!    are written, while no lock is held.
//! 3. One transaction changes the pointers in the parents, with all that means for the accounting
//!    of space. It holds the old nodes' locks; when it is through, they are dead.
//!
//! Before 3 nothing of it can be found from outside, so that any failure ends with thawing the old
//! nodes and giving the places back. When in 3 some node has no room, it is replaced in the same
//! update: keys for a node that is being replaced go to the new ones. That is what makes it safe
//! that the update of the allocation btrees itself may need room in a node that is being replaced.
//! Nothing in 2 and 3 waits for anybody who could be waiting for a frozen node: when the journal is
//! full, or places run out, all is undone, and done again when there are more.

mod merge;
mod place;
mod replace;
mod room;
mod update;

pub use place::NodePlace;
pub(super) use replace::Replacement;
pub use update::move_node;
pub(super) use update::{
    make_root,
    merge,
    split, //
};
