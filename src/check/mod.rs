// SPDX-License-Identifier: GPL-2.0

//! Checking what is on disk, and repairing it.
//!
//! | file         | holds                                                                  |
//! |--------------|------------------------------------------------------------------------|
//! | `passes.rs`  | [`Plan`]: which recovery passes a mount runs; [`run`]: running them        |
//! | `report.rs`  | [`Report`]: what is found, and whether it is repaired                      |
//! | `rounds.rs`  | how often a pass starts over                                            |
//! | `topology.rs` | [`check_topology`]: whether all nodes are there                        |
//! | `look.rs`    | what triggers have to know when everything is counted                      |
//! | `sources.rs` | all keys that something is derived of                                   |
//! | `recount.rs` | what they add up to                                        |
//! | `allocations.rs` | [`check_allocations`]: buckets, counters, shared extents              |
//! | `alloc_info.rs` | [`check_alloc_info`]: indices of buckets                              |
//! | `lru.rs`     | [`check_lrus`], [`check_alloc_to_lru_refs`]                               |
//! | `backpointers.rs` | backpointers, both ways                                            |
//! | `dirents.rs` | [`check_dirents`]: directory entries, and inodes about them              |
//! | `inodes.rs`  | inodes, to the passes that compare them with other keys                  |
//! | `nlinks.rs`  | [`check_nlinks`]: how many names files have                              |
//! | `sectors.rs` | [`check_sectors_of_files`]: how many sectors files have                  |
//! | `derived.rs` | derived keys that are wrong                                            |
//!
//! A pass that repairs something first finds what is wrong, without changing anything, then asks
//! [`Report::found`], and then does one small transaction for each finding. What a check finds can
//! be out of date by then, as repairs move btree nodes; so a pass starts over after repairs, until
//! it finds nothing.

mod alloc_info;
mod allocations;
mod backpointers;
mod derived;
mod dirents;
mod inodes;
mod look;
mod lru;
mod nlinks;
mod passes;
mod recount;
mod report;
mod rounds;
mod sectors;
mod sources;
mod topology;

pub use alloc_info::check_alloc_info;
pub use allocations::{
    buckets_in_use,
    check_allocations, //
};
pub use backpointers::{
    check_backpointers_to_extents,
    check_btree_backpointers,
    check_extents_to_backpointers, //
};
pub use dirents::check_dirents;
pub use lru::{
    check_alloc_to_lru_refs,
    check_lrus, //
};
pub use nlinks::check_nlinks;
pub use passes::{
    pass,
    run,
    Plan,
    Step, //
};
pub use report::{
    Outcome,
    Report, //
};
pub use sectors::check_sectors_of_files;
pub use topology::{
    check_topology,
    give_up_alloc,
    LostBtrees, //
};
