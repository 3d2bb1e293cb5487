// SPDX-License-Identifier: GPL-2.0

//! The journal of a filesystem that is written.
//!
//! | file           | holds                                                                |
//! |----------------|----------------------------------------------------------------------|
//! | `start.rs`     | [`Journal`]: starting and ending                                      |
//! | `shared.rs`    | [`Shared`]: pins, roots, halting; what users and threads have in common |
//! | `reserve.rs`   | [`Reservation`]: room in the open entry                               |
//! | `flush.rs`     | waiting until entries are safe; the timer                              |
//! | `write.rs`     | the writers: from a closed entry to the devices                        |
//! | `state.rs`     | what is behind the lock: how far each entry is                         |
//! | `state/room.rs` | what room there is, and who may have it                               |
//! | `word.rs`      | the word of reservations: pure transitions                             |
//! | `ring.rs`      | the journal buckets of one device                                      |
//! | `pins.rs`      | how many want each entry kept                                          |
//! | `buffer.rs`    | the memory of an entry                                                 |
//! | `roots.rs`     | where each btree starts                                                |
//! | `watermark.rs` | [`Watermark`]: who gets space when it is short                         |
//!
//! An entry is opened by the first who wants room, filled by all, and closed when it is full, when
//! somebody waits for it, or after a while. The last one who leaves a closed entry wakes a writer.
//! Writers find places in order, and write at the same time; an entry counts as written when all
//! before it are. One with a flush is written after all before it, and after a flush of all
//! devices.
//!
//! ```text
//! seq:   front ....... ondisk | ondisk+1 ..... seq
//!        kept for someone     | being written  | open
//!          flushed ^ (survives a crash)
//! ```

mod buffer;
mod flush;
mod pins;
mod reserve;
mod ring;
mod roots;
mod shared;
mod start;
mod state;
mod watermark;
mod word;
mod write;

pub use flush::Stopped;
pub use reserve::Reservation;
pub use shared::Shared;
pub use start::{
    Journal,
    Start, //
};
pub use watermark::Watermark;
