// SPDX-License-Identifier: GPL-2.0

//! Subvolumes going to other snapshots.

#[path = "../../../../src/snapshots/gate.rs"]
#[allow(dead_code)] // not all of it is checked here
mod gate;

pub use gate::Gate;

/// An open one.
#[allow(clippy::missing_panics_doc, clippy::unwrap_used)] // loom has memory
pub fn gate() -> Gate {
    Gate::try_new().unwrap()
}
