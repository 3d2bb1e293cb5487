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
    /// Sectors moved.
    pub const DATA_UPDATE: u8 = 2;
    /// Buckets whose cached data was dropped.
    pub const BUCKET_INVALIDATE: u8 = 3;
    /// Buckets that were emptied and became free.
    pub const BUCKET_DISCARD: u8 = 4;
    /// Buckets taken to be written to.
    pub const BUCKET_ALLOC: u8 = 5;
    /// Attempts to take a bucket that found no free one.
    pub const BUCKET_ALLOC_FAIL: u8 = 6;
    /// Times the kernel wanted memory of btree nodes back.
    pub const BTREE_CACHE_SCAN: u8 = 7;
    /// Btree nodes dropped from memory.
    pub const BTREE_CACHE_REAP: u8 = 8;
    /// Writes of btree nodes.
    pub const BTREE_NODE_WRITE: u8 = 13;
    /// Btree nodes read.
    pub const BTREE_NODE_READ: u8 = 14;
    /// Btree nodes replaced by one, for room in them.
    pub const BTREE_NODE_COMPACT: u8 = 15;
    /// Pairs of btree nodes replaced by one.
    pub const BTREE_NODE_MERGE: u8 = 16;
    /// Btree nodes replaced by several.
    pub const BTREE_NODE_SPLIT: u8 = 17;
    /// Btree nodes written elsewhere.
    pub const BTREE_NODE_REWRITE: u8 = 18;
    /// New btree nodes.
    pub const BTREE_NODE_ALLOC: u8 = 19;
    /// Btree nodes that were replaced.
    pub const BTREE_NODE_FREE: u8 = 20;
    /// Changes of the root of a btree.
    pub const BTREE_NODE_SET_ROOT: u8 = 21;
    /// Times there was no place for new btree nodes.
    pub const BTREE_RESERVE_GET_FAIL: u8 = 24;
    /// Times somebody had to wait for room in the journal.
    pub const JOURNAL_RES_GET_BLOCKED: u8 = 25;
    /// Times somebody had to wait because the journal was full.
    pub const JOURNAL_FULL: u8 = 26;
    /// Times all that was to be written back of the journal was.
    pub const JOURNAL_RECLAIM_FINISH: u8 = 27;
    /// Times somebody began to write back what the journal holds.
    pub const JOURNAL_RECLAIM_START: u8 = 28;
    /// Journal entries written.
    pub const JOURNAL_WRITE: u8 = 29;
    /// Reads that went to memory that is not where they were wanted.
    pub const DATA_READ_BOUNCE: u8 = 31;
    /// Reads that were tried again.
    pub const DATA_READ_RETRY: u8 = 32;
    /// Extents read because a read went beyond another one.
    pub const DATA_READ_SPLIT: u8 = 33;
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
    /// Times they were all found.
    pub const GC_GENS_END: u8 = 42;
    /// Times the oldest generations that pointers have began to be looked for.
    pub const GC_GENS_START: u8 = 43;
    /// Transactions that had to write back changed cached keys first.
    pub const TRANS_BLOCKED_JOURNAL_RECLAIM: u8 = 44;
    /// Transactions that started over because a btree node was full.
    pub const TRANS_RESTART_BTREE_NODE_SPLIT: u8 = 46;
    /// Transactions that started over because the journal had no room.
    pub const TRANS_RESTART_JOURNAL_RES_GET: u8 = 51;
    /// Transactions that started over because somebody else had a lock.
    pub const TRANS_RESTART_WOULD_DEADLOCK: u8 = 67;
    /// Transactions that started over to test that they can.
    pub const TRANS_RESTART_INJECTED: u8 = 69;
    /// Attempts at transactions that change something.
    pub const TRANSACTION_BEGIN: u8 = 71;
    /// Transactions that were committed.
    pub const TRANSACTION_COMMIT: u8 = 72;
    /// Writes of the superblock.
    pub const WRITE_SUPER: u8 = 73;
    /// Transactions that started over because a btree node was being replaced or written.
    pub const TRANS_RESTART_SPLIT_RACE: u8 = 76;
    /// Times somebody waited until keys of the write buffer were in their nodes.
    pub const WRITE_BUFFER_FLUSH_SYNC: u8 = 78;
    /// Sectors of data read out of keys.
    pub const DATA_READ_INLINE: u8 = 80;
    /// Sectors of holes read.
    pub const DATA_READ_HOLE: u8 = 81;
    /// Sectors that could not be moved.
    pub const DATA_UPDATE_FAIL: u8 = 82;
    /// Buckets that data was moved out of.
    pub const EVACUATE_BUCKET: u8 = 84;
    /// Attempts at merging btree nodes.
    pub const BTREE_NODE_MERGE_ATTEMPT: u8 = 101;
    /// Times keys went from the write buffer to their nodes.
    pub const WRITE_BUFFER_FLUSH: u8 = 105;
    /// Keys taken into the key cache.
    pub const BTREE_KEY_CACHE_FILL: u8 = 107;
    /// Times emptied buckets were looked for in the background.
    pub const BUCKET_DISCARD_WORKER: u8 = 108;
    /// Calls of sync and syncfs.
    pub const SYNC_FS: u8 = 110;
    /// Calls of fsync and fdatasync.
    pub const FSYNC: u8 = 111;
    /// Times too many buckets were being written to.
    pub const OPEN_BUCKET_ALLOC_FAIL: u8 = 122;
    /// Sectors allocated, copies not counted.
    pub const SECTORS_ALLOC: u8 = 126;
    /// Times somebody wanted the journal to be safe.
    pub const JOURNAL_FLUSH: u8 = 135;

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
