// SPDX-License-Identifier: GPL-2.0

//! Snapshots and subvolumes: what each sees of the btrees, and changes of that.
//!
//! | file            | holds                                                             |
//! |-----------------|-------------------------------------------------------------------|
//! | `first.rs`      | the snapshot tree and the subvolume to begin with                 |
//! | `subvolumes.rs` | the subvolumes in memory                                          |
//! | `table.rs`      | [`Table`]: the snapshot trees in memory, who descends from whom    |
//! | `trans.rs`      | transactions on what one snapshot sees                             |
//! | `view.rs`       | [`View`]: what one snapshot sees of the btrees                     |
//! | `visible.rs`    | [`VisibleIter`]: the walk behind it                                |
//!
//! A key belongs to a node of a snapshot tree and is seen by all that descend from it, unless they
//! have a key of their own at the same position. Descendants have lower ids than ancestors, so
//! that at each position the first key that is an ancestor's is the one that counts; if it is a
//! whiteout, there is nothing.

mod first;
mod subvolumes;
mod table;
mod trans;
mod view;
mod visible;

pub use first::{
    first_subvolume,
    FIRST_SNAPSHOT, //
};
pub use table::Table;
pub use trans::{
    delete_visible,
    lookup_visible,
    next_visible,
    update_visible, //
};
pub use view::View;
pub use visible::VisibleIter;
