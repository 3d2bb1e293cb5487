// SPDX-License-Identifier: GPL-2.0

//! Taking buckets and space in them for what is about to be written, as far as that needs neither a
//! btree nor a device: who may take what, which device is next, and what has been taken.
//!
//! | file           | holds                                                                 |
//! |----------------|-----------------------------------------------------------------------|
//! | `watermark.rs` | [`Watermark`], [`DevSpace`]: what each kind of write may use               |
//! | `bucket.rs`    | [`OpenBucket`]: one that is being written to; [`Refusal`]                  |
//! | `open.rs`      | [`OpenBuckets`]: all of them                                               |
//! | `in_place.rs`  | [`InPlace`]: others, in which data is written over where it is             |
//! | `list.rs`      | [`OpenList`]: a few of them                                                |
//! | `clock.rs`     | [`DevClock`]: devices take turns by how much space they have               |
//! | `regions.rs`   | [`NodeRegions`]: which parts of a device hold btree nodes                  |
//! | `search.rs`    | [`Search`]: which free bucket of a device                                  |
//! | `point.rs`     | [`WritePoint`]: buckets for one stream of writes                           |
//! | `gather.rs`    | [`Gather`]: filling a write point for one write                            |
//! | `points.rs`    | [`Points`]: which write point a stream of writes uses                      |
//!
//! A bucket is *open* from when it was taken until nobody writes to it any more and all keys that
//! point there are in a btree. While it is open nobody else takes it, and its generation stays. Who
//! uses an open bucket holds an [`OpenRef`], which can only be given back.
//!
//! ```text
//!   Gather::begin -- next_device --> Search::step: which bucket? --> OpenBuckets::take
//!        |                ^                                                |
//!        |                +------------- offer <---------------------------+
//!        +-- finish --> WritePoint::append: pointers --> WritePoint::done
//! ```
//!
//! All of these are plain values. [`OpenBuckets`] belongs behind a spinlock, a [`WritePoint`]
//! behind a mutex; the latter is taken first. The spinlock is not held while a bucket is searched.

mod bucket;
mod clock;
mod gather;
mod in_place;
mod list;
mod open;
mod point;
mod points;
mod regions;
mod search;
#[cfg(test)]
mod tests;
mod watermark;

pub use bucket::{
    OpenBucket,
    OpenRef,
    Refusal, //
};
pub use clock::DevClock;
pub use gather::{
    Filled,
    Gather,
    Request, //
};
pub use in_place::InPlace;
pub use list::OpenList;
pub use open::{
    OpenBuckets,
    OPEN_BUCKETS, //
};
pub use point::WritePoint;
pub use points::{
    stream,
    Chosen,
    Points,
    POINTS_MAX, //
};
pub use regions::NodeRegions;
pub use search::{
    Search,
    Skip,
    Step,
    Verdict, //
};
pub use watermark::{
    DevSpace,
    Watermark, //
};
