// SPDX-License-Identifier: GPL-2.0

//! Transactions: changing btrees.
//!
//! | file          | holds                                                                 |
//! |---------------|-----------------------------------------------------------------------|
//! | `attempt.rs`  | [`Trans`]: locks and staged updates of one attempt; running it           |
//! | `commit.rs`   | from staged updates to the journal and the nodes                       |
//! | `extents.rs`  | updates of extents: what they do to those they overlap                 |
//! | `read.rs`     | reading with the staged updates in sight                               |
//! | `result.rs`   | [`TransError`]: a failure, or the wish to start over                     |
//! | `staged.rs`   | [`Staged`]: updates in order                                             |
//! | `writer.rs`   | [`Writer`]: what changing needs besides the btrees                       |
//!
//! An attempt locks each leaf it is going to change for intent when it first looks at it, and keeps
//! it to the end. It blocks on a lock only while it holds none: with one in hand it tries, and when
//! that fails, ends with [`TransError::Restart`]; [`run`] then waits for that lock alone and calls
//! the closure again. So there is no order in which leaves have to be locked, and no deadlock.

mod attempt;
mod commit;
mod extents;
mod read;
mod result;
mod staged;
mod writer;

pub use attempt::{
    run,
    Committed,
    Trans, //
};
pub(super) use attempt::{
    Before,
    RootChange, //
};
pub(super) use commit::add_to_journal;
pub use extents::Ancestry;
pub use result::{
    TransError,
    TransResult, //
};
pub(super) use staged::Staged;
pub use staged::Update;
pub use writer::{
    Hooks,
    Writer, //
};
