// SPDX-License-Identifier: GPL-2.0

//! Moving data, so that buckets that are used in part become free.
//!
//! | file         | holds                                                                   |
//! |--------------|-------------------------------------------------------------------------|
//! | `rounds.rs`  | [`Mover`]: which buckets are emptied, in rounds                            |
//! | `bucket.rs`  | emptying one bucket                                                       |
//! | `extent.rs`  | an extent with a copy in it, and where its new copies are to be           |
//! | `image.rs`   | what is stored of an extent: as it is, or what is left of it              |
//! | `load.rs`    | from the bucket, or from another copy, to images                          |
//! | `send.rs`    | images on their way to a new place                                        |
//! | `value.rs`   | a key with other pointers                                                 |
//! | `update.rs`  | pointers to the new place, if the old ones are still there                |
//!
//! Data is read and written without a lock. The transaction that puts the new pointers in looks for
//! the old ones: what was written over, cut or deleted meanwhile is not touched, and its new copy
//! is nobody's. So whoever writes never waits for who moves, and nobody ever finds anything but the
//! newest data. See copygc.rst.

mod bucket;
mod extent;
mod image;
mod load;
mod rounds;
mod send;
mod update;
mod value;

pub use rounds::{
    Mover,
    Round, //
};
