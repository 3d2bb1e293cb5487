// SPDX-License-Identifier: GPL-2.0

//! Section `counters`: events counted over the life of the filesystem.

use super::{
    finding::Finding,
    journal::words,
    superblock::Superblock, //
};
use core::fmt;

/// Any contents are valid; counters that are not known are kept. C: `bch2_sb_counters_validate()`.
pub(super) fn validate(_: &Superblock, _: &[u8]) -> Result<(), Finding> {
    Ok(())
}

/// C: `bch2_sb_counters_to_text()`.
pub(super) fn to_text(_: &Superblock, body: &[u8], f: &mut dyn fmt::Write) -> fmt::Result {
    for (id, v) in words(body).enumerate() {
        match counters().find(|c| usize::from(c.nr) == id) {
            Some(c) => writeln!(f, "{:<47} {v}", c.name)?,
            None => writeln!(f, "(unknown counter {id:<3})                           {v}")?,
        }
    }
    Ok(())
}

/// One kind of event that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    /// The number: its place in the section.
    pub nr: u8,
    /// The name.
    pub name: &'static str,
}

impl Counter {
    /// Sectors of data read from devices.
    pub const DATA_READ: u8 = 0;
    /// Sectors of data written, copies not counted.
    pub const DATA_WRITE: u8 = 1;
    /// Buckets whose cached data was dropped.
    pub const BUCKET_INVALIDATE: u8 = 3;
    /// Btree nodes read.
    pub const BTREE_NODE_READ: u8 = 14;
    /// Writes of btree nodes.
    pub const BTREE_NODE_WRITE: u8 = 13;
    /// Reads that were tried again.
    pub const DATA_READ_RETRY: u8 = 32;
    /// Reads that found their bucket used for something else by then.
    pub const DATA_READ_REUSE_RACE: u8 = 34;
    /// Sectors read of data that is moved.
    pub const DATA_UPDATE_READ: u8 = 35;
    /// Sectors written of data that is moved, copies not counted.
    pub const DATA_UPDATE_WRITE: u8 = 36;
    /// Sectors that were found in their new place.
    pub const DATA_UPDATE_KEY: u8 = 37;
    /// Sectors that somebody else changed while they were moved.
    pub const DATA_UPDATE_KEY_FAIL: u8 = 38;
    /// Rounds of moving data so that buckets become free.
    pub const COPYGC: u8 = 40;
    /// Sectors of data read out of keys.
    pub const DATA_READ_INLINE: u8 = 80;
    /// Sectors of holes read.
    pub const DATA_READ_HOLE: u8 = 81;
    /// Buckets that data was moved out of.
    pub const EVACUATE_BUCKET: u8 = 84;
    /// Keys taken into the key cache.
    pub const BTREE_KEY_CACHE_FILL: u8 = 107;

    /// Whether it counts sectors, not events. C: `TYPE_SECTORS`.
    pub fn is_sectors(&self) -> bool {
        IN_SECTORS.contains(&self.nr)
    }
}

/// All counters that this version knows, by number.
pub fn counters() -> impl Iterator<Item = Counter> {
    NAMES.iter().map(|&(nr, name)| Counter { nr, name })
}

/// The value of counter `nr` in the section with this body; 0 when it is not there.
pub(super) fn value(body: &[u8], nr: u8) -> u64 {
    words(body).nth(nr.into()).unwrap_or(0)
}

/// Counters of sectors.
const IN_SECTORS: &[u8] = &[
    0, 1, 2, 30, 35, 36, 37, 38, 80, 81, 82, 83, 91, 96, 113, 114, 115, 116, 117, 118, 119, 120,
    121, 126, 128, 130, 133,
];

/// The counters and their places. C: `BCH_PERSISTENT_COUNTERS()`.
const NAMES: &[(u8, &str)] = &[
    (0, "data_read"),
    (1, "data_write"),
    (2, "data_update"),
    (3, "bucket_invalidate"),
    (4, "bucket_discard"),
    (5, "bucket_alloc"),
    (6, "bucket_alloc_fail"),
    (7, "btree_cache_scan"),
    (8, "btree_cache_reap"),
    (9, "btree_cache_cannibalize"),
    (10, "btree_cache_cannibalize_lock"),
    (11, "btree_cache_cannibalize_lock_fail"),
    (12, "btree_cache_cannibalize_unlock"),
    (13, "btree_node_write"),
    (14, "btree_node_read"),
    (15, "btree_node_compact"),
    (16, "btree_node_merge"),
    (17, "btree_node_split"),
    (18, "btree_node_rewrite"),
    (19, "btree_node_alloc"),
    (20, "btree_node_free"),
    (21, "btree_node_set_root"),
    (22, "btree_path_relock_fail"),
    (23, "btree_path_upgrade_fail"),
    (24, "btree_reserve_get_fail"),
    (25, "journal_res_get_blocked"),
    (26, "journal_full"),
    (27, "journal_reclaim_finish"),
    (28, "journal_reclaim_start"),
    (29, "journal_write"),
    (30, "data_read_promote"),
    (31, "data_read_bounce"),
    (32, "data_read_retry"),
    (33, "data_read_split"),
    (34, "data_read_reuse_race"),
    (35, "data_update_read"),
    (36, "data_update_write"),
    (37, "data_update_key"),
    (38, "data_update_key_fail"),
    (39, "data_update_start_fail_obsolete"),
    (40, "copygc"),
    (41, "copygc_wait_obsolete"),
    (42, "gc_gens_end"),
    (43, "gc_gens_start"),
    (44, "trans_blocked_journal_reclaim"),
    (45, "trans_restart_btree_node_reused"),
    (46, "trans_restart_btree_node_split"),
    (47, "trans_restart_fault_inject"),
    (48, "trans_restart_iter_upgrade"),
    (49, "trans_restart_journal_preres_get"),
    (50, "trans_restart_journal_reclaim"),
    (51, "trans_restart_journal_res_get"),
    (52, "trans_restart_key_cache_key_realloced"),
    (53, "trans_restart_key_cache_raced"),
    (54, "trans_restart_mark_replicas"),
    (55, "trans_restart_mem_realloced"),
    (56, "trans_restart_memory_allocation_failure"),
    (57, "trans_restart_relock"),
    (58, "trans_restart_relock_after_fill"),
    (59, "trans_restart_relock_key_cache_fill_obsolete"),
    (60, "trans_restart_relock_next_node"),
    (61, "trans_restart_relock_parent_for_fill_obsolete"),
    (62, "trans_restart_relock_path"),
    (63, "trans_restart_relock_path_intent"),
    (64, "trans_restart_too_many_iters"),
    (65, "trans_restart_traverse"),
    (66, "trans_restart_upgrade"),
    (67, "trans_restart_would_deadlock"),
    (68, "trans_restart_would_deadlock_write"),
    (69, "trans_restart_injected"),
    (70, "trans_restart_key_cache_upgrade"),
    (71, "transaction_begin"),
    (72, "transaction_commit"),
    (73, "write_super"),
    (74, "trans_restart_would_deadlock_recursion_limit"),
    (75, "trans_restart_write_buffer_flush"),
    (76, "trans_restart_split_race"),
    (77, "write_buffer_flush_slowpath"),
    (78, "write_buffer_flush_sync"),
    (79, "bucket_discard_fast"),
    (80, "data_read_inline"),
    (81, "data_read_hole"),
    (82, "data_update_fail"),
    (83, "reconcile_set_pending"),
    (84, "evacuate_bucket"),
    (85, "data_read_nopromote"),
    (86, "data_read_nopromote_may_not"),
    (87, "data_read_nopromote_already_promoted"),
    (88, "data_read_nopromote_unwritten"),
    (89, "data_read_nopromote_congested"),
    (90, "data_update_in_flight"),
    (91, "data_update_no_io"),
    (92, "data_update_noop_obsolete"),
    (93, "error_throw"),
    (94, "accounting_key_to_wb_slowpath"),
    (95, "data_read_fail_and_poison"),
    (96, "data_update_pred"),
    (97, "data_read_narrow_crcs"),
    (98, "data_read_narrow_crcs_fail"),
    (99, "stripe_update_extent"),
    (100, "stripe_update_extent_fail"),
    (101, "btree_node_merge_attempt"),
    (102, "stripe_create"),
    (103, "stripe_create_fail"),
    (104, "stripe_update_bucket"),
    (105, "write_buffer_flush"),
    (106, "write_buffer_maybe_flush"),
    (107, "btree_key_cache_fill"),
    (108, "bucket_discard_worker"),
    (109, "bucket_discard_fast_worker"),
    (110, "sync_fs"),
    (111, "fsync"),
    (112, "bkey_pack_pos_fail"),
    (113, "reconcile_scan_fs"),
    (114, "reconcile_scan_metadata"),
    (115, "reconcile_scan_pending"),
    (116, "reconcile_scan_device"),
    (117, "reconcile_scan_inum"),
    (118, "reconcile_btree"),
    (119, "reconcile_data"),
    (120, "reconcile_phys"),
    (121, "cached_ptr_drop"),
    (122, "open_bucket_alloc_fail"),
    (123, "stripe_reuse"),
    (124, "stripe_delete"),
    (125, "stripe_alloc"),
    (126, "sectors_alloc"),
    (127, "bucket_alloc_from_stripe"),
    (128, "data_update_useless_write_fail"),
    (129, "reconcile_clear_scan"),
    (130, "reconcile_stripe"),
    (131, "stripe_repair_race"),
    (132, "trans_restart_deadlock_waitlist_alloc"),
    (133, "reconcile_scan_stripes"),
    (134, "journal_pin_resize"),
    (135, "journal_flush"),
];
