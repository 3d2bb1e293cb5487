// SPDX-License-Identifier: GPL-2.0

//! Checking what is on disk, and repairing it.
//!
//! | file         | holds                                                                  |
//! |--------------|------------------------------------------------------------------------|
//! | `passes.rs`  | [`Plan`]: which recovery passes a mount runs; [`run`]: running them        |
//! | `report.rs`  | [`Report`]: what is found, and whether it is repaired                      |
//! | `rounds.rs`  | how often a pass starts over                                            |
//! | `topology.rs` | [`check_topology`]: whether all nodes are there                        |
//! | `nodes.rs`   | [`Nodes`]: what takes the place of nodes that are lost                    |
//! | `look.rs`    | what triggers have to know when everything is counted                      |
//! | `sources.rs` | all keys that something is derived of                                   |
//! | `recount.rs` | what they add up to                                        |
//! | `pointers.rs` | pointers that do not fit their buckets                                 |
//! | `facts.rs`   | what pointers say of their buckets                                     |
//! | `allocations.rs` | [`check_allocations`]: buckets, counters, shared extents              |
//! | `alloc_info.rs` | [`check_alloc_info`]: indices of buckets                              |
//! | `lru.rs`     | [`check_lrus`], [`check_alloc_to_lru_refs`]                               |
//! | `backpointers.rs` | backpointers, both ways                                            |
//! | `files.rs`   | [`Files`]: what the passes about files have in common                    |
//! | `seen.rs`    | which snapshots see a key                                              |
//! | `inodes.rs`  | [`check_inodes`]: what inodes say of themselves and of their names       |
//! | `extents.rs` | [`check_extents`]: extents, and how many sectors files have              |
//! | `overlaps.rs` | extents of one file that overlap                                      |
//! | `indirect.rs` | [`check_indirect_extents`]: shared extents; those that are missing       |
//! | `dirents.rs` | [`check_dirents`]: directory entries, and how many subdirectories        |
//! | `targets.rs` | what directory entries lead to                                         |
//! | `hash.rs`    | whether keys are where their names are looked for                      |
//! | `xattrs.rs`  | [`check_xattrs`]: extended attributes                                    |
//! | `root.rs`    | [`check_root`]: the root directory                                       |
//! | `reattach.rs` | [`check_unreachable_inodes`]: names for what has lost its name          |
//! | `loops.rs`   | [`check_directory_structure`]: directories that are above themselves     |
//! | `nlinks.rs`  | [`check_nlinks`]: how many names files have                              |
//! | `snapshots.rs` | [`check_snapshot_trees`], [`check_snapshots`]                        |
//! | `subvolumes.rs` | [`check_subvols`], [`check_subvol_children`]                        |
//! | `subvol_paths.rs` | [`check_subvolume_structure`]: subvolumes above themselves          |
//! | `trees.rs`   | snapshot trees and subvolumes as they are stored                       |
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
mod extents;
mod facts;
mod files;
mod hash;
mod indirect;
mod inodes;
mod look;
mod loops;
mod lru;
mod nlinks;
mod nodes;
mod overlaps;
mod passes;
mod pointers;
mod reattach;
mod recount;
mod report;
mod root;
mod rounds;
mod seen;
mod snapshots;
mod sources;
mod subvol_paths;
mod subvolumes;
mod targets;
mod topology;
mod trees;
mod xattrs;

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
pub use extents::check_extents;
pub use files::Files;
pub use indirect::check_indirect_extents;
pub use inodes::check_inodes;
pub use loops::check_directory_structure;
pub use lru::{
    check_alloc_to_lru_refs,
    check_lrus, //
};
pub use nlinks::check_nlinks;
pub use nodes::Nodes;
pub use passes::{
    pass,
    run,
    Plan,
    Step, //
};
pub use reattach::check_unreachable_inodes;
pub use report::{
    repairs_all,
    Outcome,
    Report, //
};
pub use root::check_root;
pub use snapshots::{
    check_snapshot_trees,
    check_snapshots, //
};
pub use subvol_paths::check_subvolume_structure;
pub use subvolumes::{
    check_subvol_children,
    check_subvols, //
};
pub use topology::{
    check_topology,
    give_up_alloc,
    LostBtrees, //
};
pub use xattrs::check_xattrs;
