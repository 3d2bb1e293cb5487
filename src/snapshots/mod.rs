// SPDX-License-Identifier: GPL-2.0

//! Snapshots and subvolumes: what each sees of the btrees, and changes of that.
//!
//! | file            | holds                                                             |
//! |-----------------|-------------------------------------------------------------------|
//! | `create.rs`     | new subvolumes, and snapshots of them                             |
//! | `dead.rs`       | what is to become of the keys and nodes of dead snapshots         |
//! | `delete.rs`     | subvolumes that go                                                |
//! | `first.rs`      | the snapshot tree and the subvolume to begin with                 |
//! | `gate.rs`       | [`Gate`]: subvolumes that go to other snapshots, and changes of files |
//! | `grow.rs`       | lists that grow while others read them                            |
//! | `keys.rs`       | keys of snapshots and subvolumes in transactions                  |
//! | `moves.rs`      | keys that go to other snapshots, while others read                |
//! | `reap.rs`       | keys and nodes of dead snapshots are removed                      |
//! | `subvolumes.rs` | the subvolumes in memory                                          |
//! | `table.rs`      | [`Table`]: the snapshot trees in memory, who descends from whom    |
//! | `trans.rs`      | transactions on what one snapshot sees                             |
//! | `unsettled.rs`  | [`Unsettled`]: data that a loss of power would give to others again |
//! | `view.rs`       | [`View`]: what one snapshot sees of the btrees                     |
//! | `visible.rs`    | [`VisibleIter`]: the walk behind it                                |
//!
//! A key belongs to a node of a snapshot tree and is seen by all that descend from it, unless they
//! have a key of their own at the same position. Descendants have lower ids than ancestors, so
//! that at each position the first key that is an ancestor's is the one that counts; if it is a
//! whiteout, there is nothing.

mod create;
mod dead;
mod delete;
mod first;
mod gate;
mod grow;
pub mod keys;
mod moves;
mod reap;
mod subvolumes;
mod table;
mod trans;
mod unsettled;
mod view;
mod visible;

pub use create::{
    create,
    skip_from,
    Made,
    New, //
};
pub use delete::{
    delete_unused,
    unlink, //
};
pub use first::{
    first_subvolume,
    FIRST_SNAPSHOT, //
};
pub use gate::{
    Closed,
    Gate, //
};
pub use keys::Writing;
pub use reap::{
    clean_up,
    reap,
    Reaped, //
};
pub use table::Table;
pub use trans::{
    delete_visible,
    lookup_visible,
    next_visible,
    update_visible, //
};
pub use unsettled::Unsettled;
pub use view::View;
pub use visible::VisibleIter;
