// SPDX-License-Identifier: GPL-2.0

//! What transactions mean for space, and space for them: between the btrees below and the plain
//! values of [`trigger`](super::trigger) and [`foreground`](super::foreground).
//!
//! | file         | holds                                                                   |
//! |--------------|-------------------------------------------------------------------------|
//! | `space.rs`   | [`Space`]: the space of a filesystem that is written                       |
//! | `derive.rs`  | from the updates of a transaction to all that follows                     |
//! | `look.rs`    | what triggers have to know, as the transaction sees it                    |
//! | `nodes.rs`   | places for btree nodes                                                    |
//! | `data.rs`    | [`DataPlace`]: places for file data                                       |
//! | `discard.rs` | emptied buckets become free                                              |
//! | `invalidate.rs` | cached data is dropped where space is short                             |
//! | `gens.rs`    | buckets whose generation has gone far become free                         |
//! | `freeing.rs` | buckets that are being made free, and who waits for some                  |
//! | `evacuate.rs` | buckets with few nodes in them are emptied                              |
//! | `copygc.rs`  | who waits for data to be moved, and what is to be moved                     |
//! | `freespace.rs` | the index of free space of a device that has none yet                    |
//! | `held.rs`    | [`Held`]: buckets that are not taken while the check goes on                |
//! | `repair.rs`  | making right what was found wrong                                        |
//! | `metadata.rs` | buckets of superblocks and of the journal                               |

mod copygc;
mod data;
mod derive;
mod discard;
mod evacuate;
mod freeing;
mod freespace;
mod gens;
mod held;
mod invalidate;
mod look;
mod metadata;
mod nodes;
mod repair;
#[allow(clippy::module_inception)]
mod space;

pub use copygc::{
    Copying,
    DataAt,
    Fragmented, //
};
pub use data::{
    DataPlace,
    DataRequest,
    KeptPlace, //
};
pub use discard::{
    discard_buckets,
    keep_discarded, //
};
pub use evacuate::keep_buckets_free;
pub use freespace::{
    complete_freespace,
    count_new_devices, //
};
pub use gens::renew_generations;
pub use held::Held;
pub use look::{
    geometry,
    target_devs, //
};
pub use metadata::mark_metadata_buckets;
pub use repair::{
    add_to_counters,
    put_derived,
    set_bucket,
    set_generation,
    set_refcount, //
};
pub use space::{
    Engine,
    Space,
    Trans,
    Writer, //
};
