// SPDX-License-Identifier: GPL-2.0

//! The stable ids of on-disk inconsistencies.
//!
//! The numbers are part of the on-disk format: the superblock counts errors by id, and the
//! downgrade table names ids to keep silent about. They are never reused. The constants carry the
//! C names in upper case (`BCH_FSCK_ERR_bset_bad_seq` is [`FsckError::BSET_BAD_SEQ`]).

use core::fmt;

/// One kind of on-disk inconsistency, by its stable number.
///
/// A number that a newer version added is a valid value too; it only has no name here.
///
/// C: `enum bch_sb_error_id`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FsckError(u16);

impl FsckError {
    /// The id with this number, known or not.
    pub const fn from_raw(raw: u16) -> Self {
        Self(raw)
    }

    /// The on-disk number.
    pub const fn raw(self) -> u16 {
        self.0
    }
}

impl fmt::Display for FsckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.known_name() {
            Some(name) => f.write_str(name),
            None => write!(f, "(unknown error {})", self.0),
        }
    }
}

impl fmt::Debug for FsckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

macro_rules! is_autofix {
    () => {
        false
    };
    (autofix) => {
        true
    };
}

macro_rules! fsck_errors {
    ($($const:ident, $name:ident, $nr:literal $(, $flag:ident)?;)*) => {
        impl FsckError {
            $(
                #[doc = concat!("C: `BCH_FSCK_ERR_", stringify!($name), "`")]
                pub const $const: FsckError = FsckError($nr);
            )*

            /// Every known id, in numeric order.
            pub const ALL: &'static [FsckError] = &[$(FsckError::$const,)*];

            /// The name C prints for this id; `None` when the id is not known.
            pub const fn known_name(self) -> Option<&'static str> {
                match self.0 {
                    $($nr => Some(stringify!($name)),)*
                    _ => None,
                }
            }

            /// Whether the repair is safe enough to be made without asking.
            ///
            /// C: `FSCK_AUTOFIX`.
            pub const fn autofix(self) -> bool {
                match self.0 {
                    $($nr => is_autofix!($($flag)?),)*
                    _ => false,
                }
            }
        }
    };
}

impl FsckError {
    /// The id's name; "unknown error" for an id that is not known.
    pub const fn name(self) -> &'static str {
        match self.known_name() {
            Some(name) => name,
            None => "unknown error",
        }
    }

    /// The id with this C name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|e| e.name() == name)
    }
}

fsck_errors! {
    CLEAN_BUT_JOURNAL_NOT_EMPTY, clean_but_journal_not_empty, 0;
    DIRTY_BUT_NO_JOURNAL_ENTRIES, dirty_but_no_journal_entries, 1;
    DIRTY_BUT_NO_JOURNAL_ENTRIES_POST_DROP_NONFLUSHES, dirty_but_no_journal_entries_post_drop_nonflushes, 2;
    SB_CLEAN_JOURNAL_SEQ_MISMATCH, sb_clean_journal_seq_mismatch, 3;
    SB_CLEAN_BTREE_ROOT_MISMATCH, sb_clean_btree_root_mismatch, 4;
    SB_CLEAN_MISSING, sb_clean_missing, 5;
    JSET_UNSUPPORTED_VERSION, jset_unsupported_version, 6;
    JSET_UNKNOWN_CSUM, jset_unknown_csum, 7;
    JSET_LAST_SEQ_NEWER_THAN_SEQ, jset_last_seq_newer_than_seq, 8;
    JSET_PAST_BUCKET_END, jset_past_bucket_end, 9;
    JSET_SEQ_BLACKLISTED, jset_seq_blacklisted, 10;
    JOURNAL_ENTRIES_MISSING, journal_entries_missing, 11;
    JOURNAL_ENTRY_REPLICAS_NOT_MARKED, journal_entry_replicas_not_marked, 12, autofix;
    JOURNAL_ENTRY_PAST_JSET_END, journal_entry_past_jset_end, 13;
    JOURNAL_ENTRY_REPLICAS_DATA_MISMATCH, journal_entry_replicas_data_mismatch, 14;
    JOURNAL_ENTRY_BKEY_U64S_0, journal_entry_bkey_u64s_0, 15;
    JOURNAL_ENTRY_BKEY_PAST_END, journal_entry_bkey_past_end, 16;
    JOURNAL_ENTRY_BKEY_BAD_FORMAT, journal_entry_bkey_bad_format, 17;
    JOURNAL_ENTRY_BKEY_INVALID, journal_entry_bkey_invalid, 18;
    JOURNAL_ENTRY_BTREE_ROOT_BAD_SIZE, journal_entry_btree_root_bad_size, 19;
    JOURNAL_ENTRY_BLACKLIST_BAD_SIZE, journal_entry_blacklist_bad_size, 20;
    JOURNAL_ENTRY_BLACKLIST_V2_BAD_SIZE, journal_entry_blacklist_v2_bad_size, 21;
    JOURNAL_ENTRY_BLACKLIST_V2_START_PAST_END, journal_entry_blacklist_v2_start_past_end, 22;
    JOURNAL_ENTRY_USAGE_BAD_SIZE, journal_entry_usage_bad_size, 23;
    JOURNAL_ENTRY_DATA_USAGE_BAD_SIZE, journal_entry_data_usage_bad_size, 24;
    JOURNAL_ENTRY_CLOCK_BAD_SIZE, journal_entry_clock_bad_size, 25;
    JOURNAL_ENTRY_CLOCK_BAD_RW, journal_entry_clock_bad_rw, 26;
    JOURNAL_ENTRY_DEV_USAGE_BAD_SIZE, journal_entry_dev_usage_bad_size, 27;
    JOURNAL_ENTRY_DEV_USAGE_BAD_DEV, journal_entry_dev_usage_bad_dev, 28;
    JOURNAL_ENTRY_DEV_USAGE_BAD_PAD, journal_entry_dev_usage_bad_pad, 29;
    BTREE_NODE_UNREADABLE, btree_node_unreadable, 30;
    BTREE_NODE_FAULT_INJECTED, btree_node_fault_injected, 31;
    BTREE_NODE_BAD_MAGIC, btree_node_bad_magic, 32;
    BTREE_NODE_BAD_SEQ, btree_node_bad_seq, 33;
    BTREE_NODE_UNSUPPORTED_VERSION, btree_node_unsupported_version, 34;
    BTREE_NODE_BSET_OLDER_THAN_SB_MIN, btree_node_bset_older_than_sb_min, 35;
    BTREE_NODE_BSET_NEWER_THAN_SB, btree_node_bset_newer_than_sb, 36;
    BTREE_NODE_DATA_MISSING, btree_node_data_missing, 37, autofix;
    BTREE_NODE_BSET_AFTER_END, btree_node_bset_after_end, 38;
    BTREE_NODE_REPLICAS_SECTORS_WRITTEN_MISMATCH, btree_node_replicas_sectors_written_mismatch, 39;
    BTREE_NODE_REPLICAS_DATA_MISMATCH, btree_node_replicas_data_mismatch, 40;
    BSET_UNKNOWN_CSUM, bset_unknown_csum, 41;
    BSET_BAD_CSUM, bset_bad_csum, 42, autofix;
    BSET_PAST_END_OF_BTREE_NODE, bset_past_end_of_btree_node, 43;
    BSET_WRONG_SECTOR_OFFSET, bset_wrong_sector_offset, 44;
    BSET_EMPTY, bset_empty, 45;
    BSET_BAD_SEQ, bset_bad_seq, 46;
    BSET_BLACKLISTED_JOURNAL_SEQ, bset_blacklisted_journal_seq, 47, autofix;
    FIRST_BSET_BLACKLISTED_JOURNAL_SEQ, first_bset_blacklisted_journal_seq, 48, autofix;
    BTREE_NODE_BAD_BTREE, btree_node_bad_btree, 49;
    BTREE_NODE_BAD_LEVEL, btree_node_bad_level, 50;
    BTREE_NODE_BAD_MIN_KEY, btree_node_bad_min_key, 51;
    BTREE_NODE_BAD_MAX_KEY, btree_node_bad_max_key, 52;
    BTREE_NODE_BAD_FORMAT, btree_node_bad_format, 53;
    BTREE_NODE_BKEY_PAST_BSET_END, btree_node_bkey_past_bset_end, 54;
    BTREE_NODE_BKEY_BAD_FORMAT, btree_node_bkey_bad_format, 55;
    BTREE_NODE_BAD_BKEY, btree_node_bad_bkey, 56;
    BTREE_NODE_BKEY_OUT_OF_ORDER, btree_node_bkey_out_of_order, 57, autofix;
    BTREE_ROOT_BKEY_INVALID, btree_root_bkey_invalid, 58, autofix;
    BTREE_ROOT_READ_ERROR, btree_root_read_error, 59, autofix;
    BTREE_ROOT_BAD_MIN_KEY, btree_root_bad_min_key, 60;
    BTREE_ROOT_BAD_MAX_KEY, btree_root_bad_max_key, 61;
    BTREE_NODE_READ_ERROR, btree_node_read_error, 62, autofix;
    BTREE_NODE_TOPOLOGY_BAD_MIN_KEY, btree_node_topology_bad_min_key, 63, autofix;
    BTREE_NODE_TOPOLOGY_BAD_MAX_KEY, btree_node_topology_bad_max_key, 64, autofix;
    BTREE_NODE_TOPOLOGY_OVERWRITTEN_BY_PREV_NODE, btree_node_topology_overwritten_by_prev_node, 65, autofix;
    BTREE_NODE_TOPOLOGY_OVERWRITTEN_BY_NEXT_NODE, btree_node_topology_overwritten_by_next_node, 66, autofix;
    BTREE_NODE_TOPOLOGY_INTERIOR_NODE_EMPTY, btree_node_topology_interior_node_empty, 67, autofix;
    FS_USAGE_HIDDEN_WRONG, fs_usage_hidden_wrong, 68, autofix;
    FS_USAGE_BTREE_WRONG, fs_usage_btree_wrong, 69, autofix;
    FS_USAGE_DATA_WRONG, fs_usage_data_wrong, 70, autofix;
    FS_USAGE_CACHED_WRONG, fs_usage_cached_wrong, 71, autofix;
    FS_USAGE_RESERVED_WRONG, fs_usage_reserved_wrong, 72, autofix;
    FS_USAGE_PERSISTENT_RESERVED_WRONG, fs_usage_persistent_reserved_wrong, 73, autofix;
    FS_USAGE_NR_INODES_WRONG, fs_usage_nr_inodes_wrong, 74, autofix;
    FS_USAGE_REPLICAS_WRONG, fs_usage_replicas_wrong, 75, autofix;
    DEV_USAGE_BUCKETS_WRONG, dev_usage_buckets_wrong, 76, autofix;
    DEV_USAGE_SECTORS_WRONG, dev_usage_sectors_wrong, 77, autofix;
    DEV_USAGE_FRAGMENTED_WRONG, dev_usage_fragmented_wrong, 78, autofix;
    DEV_USAGE_BUCKETS_EC_WRONG, dev_usage_buckets_ec_wrong, 79, autofix;
    BKEY_VERSION_IN_FUTURE, bkey_version_in_future, 80;
    BKEY_U64S_TOO_SMALL, bkey_u64s_too_small, 81;
    BKEY_INVALID_TYPE_FOR_BTREE, bkey_invalid_type_for_btree, 82;
    BKEY_EXTENT_SIZE_ZERO, bkey_extent_size_zero, 83;
    BKEY_EXTENT_SIZE_GREATER_THAN_OFFSET, bkey_extent_size_greater_than_offset, 84;
    BKEY_SIZE_NONZERO, bkey_size_nonzero, 85;
    BKEY_SNAPSHOT_NONZERO, bkey_snapshot_nonzero, 86;
    BKEY_SNAPSHOT_ZERO, bkey_snapshot_zero, 87;
    BKEY_AT_POS_MAX, bkey_at_pos_max, 88;
    BKEY_BEFORE_START_OF_BTREE_NODE, bkey_before_start_of_btree_node, 89;
    BKEY_AFTER_END_OF_BTREE_NODE, bkey_after_end_of_btree_node, 90;
    BKEY_VAL_SIZE_NONZERO, bkey_val_size_nonzero, 91;
    BKEY_VAL_SIZE_TOO_SMALL, bkey_val_size_too_small, 92;
    ALLOC_V1_VAL_SIZE_BAD, alloc_v1_val_size_bad, 93;
    ALLOC_V2_UNPACK_ERROR, alloc_v2_unpack_error, 94;
    ALLOC_V3_UNPACK_ERROR, alloc_v3_unpack_error, 95;
    ALLOC_V4_VAL_SIZE_BAD, alloc_v4_val_size_bad, 96;
    ALLOC_V4_BACKPOINTERS_START_BAD, alloc_v4_backpointers_start_bad, 97;
    ALLOC_KEY_DATA_TYPE_BAD, alloc_key_data_type_bad, 98;
    ALLOC_KEY_EMPTY_BUT_HAVE_DATA, alloc_key_empty_but_have_data, 99;
    ALLOC_KEY_DIRTY_SECTORS_0, alloc_key_dirty_sectors_0, 100;
    ALLOC_KEY_DATA_TYPE_INCONSISTENCY, alloc_key_data_type_inconsistency, 101;
    ALLOC_KEY_TO_MISSING_DEV_BUCKET, alloc_key_to_missing_dev_bucket, 102;
    ALLOC_KEY_CACHED_INCONSISTENCY, alloc_key_cached_inconsistency, 103;
    ALLOC_KEY_CACHED_BUT_READ_TIME_ZERO, alloc_key_cached_but_read_time_zero, 104, autofix;
    ALLOC_KEY_TO_MISSING_LRU_ENTRY, alloc_key_to_missing_lru_entry, 105, autofix;
    ALLOC_KEY_DATA_TYPE_WRONG, alloc_key_data_type_wrong, 106, autofix;
    ALLOC_KEY_GEN_WRONG, alloc_key_gen_wrong, 107, autofix;
    ALLOC_KEY_DIRTY_SECTORS_WRONG, alloc_key_dirty_sectors_wrong, 108, autofix;
    ALLOC_KEY_CACHED_SECTORS_WRONG, alloc_key_cached_sectors_wrong, 109, autofix;
    ALLOC_KEY_STRIPE_WRONG, alloc_key_stripe_wrong, 110, autofix;
    ALLOC_KEY_STRIPE_REDUNDANCY_WRONG, alloc_key_stripe_redundancy_wrong, 111, autofix;
    BUCKET_SECTOR_COUNT_OVERFLOW, bucket_sector_count_overflow, 112;
    BUCKET_METADATA_TYPE_MISMATCH, bucket_metadata_type_mismatch, 113;
    NEED_DISCARD_KEY_WRONG, need_discard_key_wrong, 114, autofix;
    FREESPACE_KEY_WRONG, freespace_key_wrong, 115, autofix;
    FREESPACE_HOLE_MISSING, freespace_hole_missing, 116, autofix;
    BUCKET_GENS_VAL_SIZE_BAD, bucket_gens_val_size_bad, 117;
    BUCKET_GENS_KEY_WRONG, bucket_gens_key_wrong, 118, autofix;
    BUCKET_GENS_HOLE_WRONG, bucket_gens_hole_wrong, 119, autofix;
    BUCKET_GENS_TO_INVALID_DEV, bucket_gens_to_invalid_dev, 120, autofix;
    BUCKET_GENS_TO_INVALID_BUCKETS, bucket_gens_to_invalid_buckets, 121, autofix;
    BUCKET_GENS_NONZERO_FOR_INVALID_BUCKETS, bucket_gens_nonzero_for_invalid_buckets, 122, autofix;
    NEED_DISCARD_FREESPACE_KEY_TO_INVALID_DEV_BUCKET, need_discard_freespace_key_to_invalid_dev_bucket, 123, autofix;
    NEED_DISCARD_FREESPACE_KEY_BAD, need_discard_freespace_key_bad, 124, autofix;
    BACKPOINTER_BUCKET_OFFSET_WRONG, backpointer_bucket_offset_wrong, 125;
    BACKPOINTER_TO_MISSING_DEVICE, backpointer_to_missing_device, 126, autofix;
    BACKPOINTER_TO_MISSING_ALLOC, backpointer_to_missing_alloc, 127, autofix;
    BACKPOINTER_TO_MISSING_PTR, backpointer_to_missing_ptr, 128, autofix;
    LRU_ENTRY_AT_TIME_0, lru_entry_at_time_0, 129, autofix;
    LRU_ENTRY_TO_INVALID_BUCKET, lru_entry_to_invalid_bucket, 130, autofix;
    LRU_ENTRY_BAD, lru_entry_bad, 131, autofix;
    BTREE_PTR_VAL_TOO_BIG, btree_ptr_val_too_big, 132;
    BTREE_PTR_V2_VAL_TOO_BIG, btree_ptr_v2_val_too_big, 133;
    BTREE_PTR_HAS_NON_PTR, btree_ptr_has_non_ptr, 134;
    EXTENT_PTRS_INVALID_ENTRY, extent_ptrs_invalid_entry, 135;
    EXTENT_PTRS_NO_PTRS, extent_ptrs_no_ptrs, 136;
    EXTENT_PTRS_TOO_MANY_PTRS, extent_ptrs_too_many_ptrs, 137;
    EXTENT_PTRS_REDUNDANT_CRC, extent_ptrs_redundant_crc, 138;
    EXTENT_PTRS_REDUNDANT_STRIPE, extent_ptrs_redundant_stripe, 139;
    EXTENT_PTRS_UNWRITTEN, extent_ptrs_unwritten, 140;
    EXTENT_PTRS_WRITTEN_AND_UNWRITTEN, extent_ptrs_written_and_unwritten, 141;
    PTR_TO_INVALID_DEVICE, ptr_to_invalid_device, 142;
    PTR_TO_DUPLICATE_DEVICE, ptr_to_duplicate_device, 143;
    PTR_AFTER_LAST_BUCKET, ptr_after_last_bucket, 144;
    PTR_BEFORE_FIRST_BUCKET, ptr_before_first_bucket, 145;
    PTR_SPANS_MULTIPLE_BUCKETS, ptr_spans_multiple_buckets, 146;
    PTR_TO_MISSING_BACKPOINTER, ptr_to_missing_backpointer, 147, autofix;
    PTR_TO_MISSING_ALLOC_KEY, ptr_to_missing_alloc_key, 148, autofix;
    PTR_TO_MISSING_REPLICAS_ENTRY, ptr_to_missing_replicas_entry, 149, autofix;
    PTR_TO_MISSING_STRIPE, ptr_to_missing_stripe, 150;
    PTR_TO_INCORRECT_STRIPE, ptr_to_incorrect_stripe, 151;
    PTR_GEN_NEWER_THAN_BUCKET_GEN, ptr_gen_newer_than_bucket_gen, 152, autofix;
    PTR_TOO_STALE, ptr_too_stale, 153;
    STALE_DIRTY_PTR, stale_dirty_ptr, 154, autofix;
    PTR_BUCKET_DATA_TYPE_MISMATCH, ptr_bucket_data_type_mismatch, 155;
    PTR_CACHED_AND_ERASURE_CODED, ptr_cached_and_erasure_coded, 156;
    PTR_CRC_UNCOMPRESSED_SIZE_TOO_SMALL, ptr_crc_uncompressed_size_too_small, 157;
    PTR_CRC_CSUM_TYPE_UNKNOWN, ptr_crc_csum_type_unknown, 158;
    PTR_CRC_COMPRESSION_TYPE_UNKNOWN, ptr_crc_compression_type_unknown, 159;
    PTR_CRC_REDUNDANT, ptr_crc_redundant, 160;
    PTR_CRC_UNCOMPRESSED_SIZE_TOO_BIG, ptr_crc_uncompressed_size_too_big, 161;
    PTR_CRC_NONCE_MISMATCH, ptr_crc_nonce_mismatch, 162;
    PTR_STRIPE_REDUNDANT, ptr_stripe_redundant, 163;
    RESERVATION_KEY_NR_REPLICAS_INVALID, reservation_key_nr_replicas_invalid, 164;
    REFLINK_V_REFCOUNT_WRONG, reflink_v_refcount_wrong, 165, autofix;
    REFLINK_P_TO_MISSING_REFLINK_V, reflink_p_to_missing_reflink_v, 166, autofix;
    STRIPE_POS_BAD, stripe_pos_bad, 167;
    STRIPE_VAL_SIZE_BAD, stripe_val_size_bad, 168;
    STRIPE_SECTOR_COUNT_WRONG, stripe_sector_count_wrong, 169;
    SNAPSHOT_TREE_POS_BAD, snapshot_tree_pos_bad, 170;
    SNAPSHOT_TREE_TO_MISSING_SNAPSHOT, snapshot_tree_to_missing_snapshot, 171;
    SNAPSHOT_TREE_TO_MISSING_SUBVOL, snapshot_tree_to_missing_subvol, 172;
    SNAPSHOT_TREE_TO_WRONG_SUBVOL, snapshot_tree_to_wrong_subvol, 173;
    SNAPSHOT_TREE_TO_SNAPSHOT_SUBVOL, snapshot_tree_to_snapshot_subvol, 174;
    SNAPSHOT_POS_BAD, snapshot_pos_bad, 175;
    SNAPSHOT_PARENT_BAD, snapshot_parent_bad, 176;
    SNAPSHOT_CHILDREN_NOT_NORMALIZED, snapshot_children_not_normalized, 177;
    SNAPSHOT_CHILD_DUPLICATE, snapshot_child_duplicate, 178;
    SNAPSHOT_CHILD_BAD, snapshot_child_bad, 179;
    SNAPSHOT_SKIPLIST_NOT_NORMALIZED, snapshot_skiplist_not_normalized, 180;
    SNAPSHOT_SKIPLIST_BAD, snapshot_skiplist_bad, 181;
    SNAPSHOT_SHOULD_NOT_HAVE_SUBVOL, snapshot_should_not_have_subvol, 182;
    SNAPSHOT_TO_BAD_SNAPSHOT_TREE, snapshot_to_bad_snapshot_tree, 183, autofix;
    SNAPSHOT_BAD_DEPTH, snapshot_bad_depth, 184, autofix;
    SNAPSHOT_BAD_SKIPLIST, snapshot_bad_skiplist, 185, autofix;
    SUBVOL_POS_BAD, subvol_pos_bad, 186;
    SUBVOL_NOT_MASTER_AND_NOT_SNAPSHOT, subvol_not_master_and_not_snapshot, 187, autofix;
    SUBVOL_TO_MISSING_ROOT, subvol_to_missing_root, 188, autofix;
    SUBVOL_ROOT_WRONG_BI_SUBVOL, subvol_root_wrong_bi_subvol, 189, autofix;
    BKEY_IN_MISSING_SNAPSHOT, bkey_in_missing_snapshot, 190;
    INODE_POS_INODE_NONZERO, inode_pos_inode_nonzero, 191;
    INODE_POS_BLOCKDEV_RANGE, inode_pos_blockdev_range, 192;
    INODE_UNPACK_ERROR, inode_unpack_error, 193;
    INODE_STR_HASH_INVALID, inode_str_hash_invalid, 194;
    INODE_V3_FIELDS_START_BAD, inode_v3_fields_start_bad, 195;
    INODE_SNAPSHOT_MISMATCH, inode_snapshot_mismatch, 196, autofix;
    INODE_UNLINKED_BUT_CLEAN, inode_unlinked_but_clean, 197;
    INODE_UNLINKED_BUT_NLINK_NONZERO, inode_unlinked_but_nlink_nonzero, 198;
    INODE_CHECKSUM_TYPE_INVALID, inode_checksum_type_invalid, 199;
    INODE_COMPRESSION_TYPE_INVALID, inode_compression_type_invalid, 200;
    INODE_SUBVOL_ROOT_BUT_NOT_DIR, inode_subvol_root_but_not_dir, 201;
    INODE_I_SIZE_DIRTY_BUT_CLEAN, inode_i_size_dirty_but_clean, 202, autofix;
    INODE_I_SECTORS_DIRTY_BUT_CLEAN, inode_i_sectors_dirty_but_clean, 203, autofix;
    INODE_I_SECTORS_WRONG, inode_i_sectors_wrong, 204, autofix;
    INODE_DIR_WRONG_NLINK, inode_dir_wrong_nlink, 205, autofix;
    INODE_DIR_MULTIPLE_LINKS, inode_dir_multiple_links, 206, autofix;
    INODE_MULTIPLE_LINKS_BUT_NLINK_0, inode_multiple_links_but_nlink_0, 207, autofix;
    INODE_WRONG_BACKPOINTER, inode_wrong_backpointer, 208, autofix;
    INODE_WRONG_NLINK, inode_wrong_nlink, 209, autofix;
    INODE_UNREACHABLE, inode_unreachable, 210, autofix;
    DELETED_INODE_BUT_CLEAN, deleted_inode_but_clean, 211, autofix;
    DELETED_INODE_MISSING, deleted_inode_missing, 212, autofix;
    DELETED_INODE_IS_DIR, deleted_inode_is_dir, 213, autofix;
    DELETED_INODE_NOT_UNLINKED, deleted_inode_not_unlinked, 214, autofix;
    EXTENT_OVERLAPPING, extent_overlapping, 215, autofix;
    KEY_IN_MISSING_INODE, key_in_missing_inode, 216, autofix;
    KEY_IN_WRONG_INODE_TYPE, key_in_wrong_inode_type, 217;
    EXTENT_PAST_END_OF_INODE, extent_past_end_of_inode, 218, autofix;
    DIRENT_EMPTY_NAME, dirent_empty_name, 219;
    DIRENT_VAL_TOO_BIG, dirent_val_too_big, 220;
    DIRENT_NAME_TOO_LONG, dirent_name_too_long, 221;
    DIRENT_NAME_EMBEDDED_NUL, dirent_name_embedded_nul, 222;
    DIRENT_NAME_DOT_OR_DOTDOT, dirent_name_dot_or_dotdot, 223;
    DIRENT_NAME_HAS_SLASH, dirent_name_has_slash, 224;
    DIRENT_D_TYPE_WRONG, dirent_d_type_wrong, 225, autofix;
    INODE_BI_PARENT_WRONG, inode_bi_parent_wrong, 226, autofix;
    DIRENT_IN_MISSING_DIR_INODE, dirent_in_missing_dir_inode, 227;
    DIRENT_IN_NON_DIR_INODE, dirent_in_non_dir_inode, 228;
    DIRENT_TO_MISSING_INODE, dirent_to_missing_inode, 229, autofix;
    DIRENT_TO_MISSING_SUBVOL, dirent_to_missing_subvol, 230, autofix;
    DIRENT_TO_ITSELF, dirent_to_itself, 231;
    QUOTA_TYPE_INVALID, quota_type_invalid, 232;
    XATTR_VAL_SIZE_TOO_SMALL, xattr_val_size_too_small, 233;
    XATTR_VAL_SIZE_TOO_BIG, xattr_val_size_too_big, 234;
    XATTR_INVALID_TYPE, xattr_invalid_type, 235;
    XATTR_NAME_INVALID_CHARS, xattr_name_invalid_chars, 236;
    XATTR_IN_MISSING_INODE, xattr_in_missing_inode, 237;
    ROOT_SUBVOL_MISSING, root_subvol_missing, 238, autofix;
    ROOT_DIR_MISSING, root_dir_missing, 239, autofix;
    ROOT_INODE_NOT_DIR, root_inode_not_dir, 240, autofix;
    DIR_LOOP, dir_loop, 241, autofix;
    HASH_TABLE_KEY_DUPLICATE, hash_table_key_duplicate, 242, autofix;
    HASH_TABLE_KEY_WRONG_OFFSET, hash_table_key_wrong_offset, 243, autofix;
    UNLINKED_INODE_NOT_ON_DELETED_LIST, unlinked_inode_not_on_deleted_list, 244, autofix;
    REFLINK_P_FRONT_PAD_BAD, reflink_p_front_pad_bad, 245;
    JOURNAL_ENTRY_DUP_SAME_DEVICE, journal_entry_dup_same_device, 246;
    INODE_BI_SUBVOL_MISSING, inode_bi_subvol_missing, 247, autofix;
    INODE_BI_SUBVOL_WRONG, inode_bi_subvol_wrong, 248, autofix;
    INODE_POINTS_TO_MISSING_DIRENT, inode_points_to_missing_dirent, 249, autofix;
    INODE_POINTS_TO_WRONG_DIRENT, inode_points_to_wrong_dirent, 250, autofix;
    INODE_BI_PARENT_NONZERO, inode_bi_parent_nonzero, 251;
    DIRENT_TO_MISSING_PARENT_SUBVOL, dirent_to_missing_parent_subvol, 252;
    DIRENT_NOT_VISIBLE_IN_PARENT_SUBVOL, dirent_not_visible_in_parent_subvol, 253, autofix;
    SUBVOL_FS_PATH_PARENT_WRONG, subvol_fs_path_parent_wrong, 254, autofix;
    SUBVOL_ROOT_FS_PATH_PARENT_NONZERO, subvol_root_fs_path_parent_nonzero, 255;
    SUBVOL_CHILDREN_NOT_SET, subvol_children_not_set, 256;
    SUBVOL_CHILDREN_BAD, subvol_children_bad, 257;
    SUBVOL_LOOP, subvol_loop, 258, autofix;
    SUBVOL_UNREACHABLE, subvol_unreachable, 259, autofix;
    BTREE_NODE_BKEY_BAD_U64S, btree_node_bkey_bad_u64s, 260;
    BTREE_NODE_TOPOLOGY_EMPTY_INTERIOR_NODE, btree_node_topology_empty_interior_node, 261;
    BTREE_PTR_V2_MIN_KEY_BAD, btree_ptr_v2_min_key_bad, 262;
    BTREE_ROOT_UNREADABLE_AND_SCAN_FOUND_NOTHING, btree_root_unreadable_and_scan_found_nothing, 263;
    SNAPSHOT_NODE_MISSING, snapshot_node_missing, 264, autofix;
    DUP_BACKPOINTER_TO_BAD_CSUM_EXTENT, dup_backpointer_to_bad_csum_extent, 265, autofix;
    BTREE_BITMAP_NOT_MARKED, btree_bitmap_not_marked, 266, autofix;
    SB_CLEAN_ENTRY_OVERRUN, sb_clean_entry_overrun, 267;
    BTREE_PTR_V2_WRITTEN_0, btree_ptr_v2_written_0, 268;
    SUBVOL_SNAPSHOT_BAD, subvol_snapshot_bad, 269;
    SUBVOL_INODE_BAD, subvol_inode_bad, 270;
    ALLOC_KEY_STRIPE_SECTORS_WRONG, alloc_key_stripe_sectors_wrong, 271, autofix;
    ACCOUNTING_MISMATCH, accounting_mismatch, 272, autofix;
    ACCOUNTING_REPLICAS_NOT_MARKED, accounting_replicas_not_marked, 273, autofix;
    INVALID_BTREE_ID, invalid_btree_id, 274, autofix;
    ALLOC_KEY_IO_TIME_BAD, alloc_key_io_time_bad, 275;
    ALLOC_KEY_FRAGMENTATION_LRU_WRONG, alloc_key_fragmentation_lru_wrong, 276, autofix;
    ACCOUNTING_KEY_JUNK_AT_END, accounting_key_junk_at_end, 277, autofix;
    ACCOUNTING_KEY_REPLICAS_NR_DEVS_0, accounting_key_replicas_nr_devs_0, 278, autofix;
    ACCOUNTING_KEY_REPLICAS_NR_REQUIRED_BAD, accounting_key_replicas_nr_required_bad, 279, autofix;
    ACCOUNTING_KEY_REPLICAS_DEVS_UNSORTED, accounting_key_replicas_devs_unsorted, 280, autofix;
    INODE_UNLINKED_AND_NOT_OPEN, inode_unlinked_and_not_open, 281;
    ACCOUNTING_KEY_VERSION_0, accounting_key_version_0, 282, autofix;
    LOGGED_OP_BUT_CLEAN, logged_op_but_clean, 283, autofix;
    INODE_DIR_MISSING_BACKPOINTER, inode_dir_missing_backpointer, 284, autofix;
    INODE_UNLINKED_BUT_HAS_DIRENT, inode_unlinked_but_has_dirent, 285, autofix;
    INODE_DIR_UNLINKED_BUT_NOT_EMPTY, inode_dir_unlinked_but_not_empty, 286, autofix;
    INODE_HAS_CHILD_SNAPSHOTS_WRONG, inode_has_child_snapshots_wrong, 287, autofix;
    DELETED_INODE_HAS_CHILD_SNAPSHOTS, deleted_inode_has_child_snapshots, 288, autofix;
    ACCOUNTING_TO_INVALID_DEVICE, accounting_to_invalid_device, 289;
    STRIPE_CSUM_GRANULARITY_BAD, stripe_csum_granularity_bad, 290;
    DISCARDING_BUCKET_NOT_IN_NEED_DISCARD_BTREE, discarding_bucket_not_in_need_discard_btree, 291;
    REFLINK_V_POS_BAD, reflink_v_pos_bad, 292;
    REFLINK_REFCOUNT_UNDERFLOW, reflink_refcount_underflow, 293;
    BACKPOINTER_LEVEL_BAD, backpointer_level_bad, 294;
    COMPRESSION_OPT_NOT_MARKED_IN_SB, compression_opt_not_marked_in_sb, 295, autofix;
    COMPRESSION_TYPE_NOT_MARKED_IN_SB, compression_type_not_marked_in_sb, 296, autofix;
    BACKPOINTER_DEV_BAD, backpointer_dev_bad, 297;
    ALLOC_KEY_JOURNAL_SEQ_IN_FUTURE, alloc_key_journal_seq_in_future, 298, autofix;
    INODE_JOURNAL_SEQ_IN_FUTURE, inode_journal_seq_in_future, 299, autofix;
    PTR_CRC_UNCOMPRESSED_SIZE_MISMATCH, ptr_crc_uncompressed_size_mismatch, 300;
    INODE_ALLOC_CURSOR_INODE_BAD, inode_alloc_cursor_inode_bad, 301;
    DIRENT_TO_OVERWRITTEN_INODE, dirent_to_overwritten_inode, 302, autofix;
    DIRECTORY_SIZE_MISMATCH, directory_size_mismatch, 303, autofix;
    DIRENT_CF_NAME_TOO_BIG, dirent_cf_name_too_big, 304;
    DIRENT_STRAY_DATA_AFTER_CF_NAME, dirent_stray_data_after_cf_name, 305;
    EXTENT_FLAGS_NOT_AT_START, extent_flags_not_at_start, 306;
    ACCOUNTING_KEY_NR_COUNTERS_WRONG, accounting_key_nr_counters_wrong, 307, autofix;
    SUBVOL_MISSING, subvol_missing, 308, autofix;
    RECONCILE_WORK_INCORRECTLY_SET, reconcile_work_incorrectly_set, 309, autofix;
    RECONCILE_BP_TO_MISSING_BTREE_PTR, reconcile_bp_to_missing_btree_ptr, 310, autofix;
    VFS_INODE_I_BLOCKS_UNDERFLOW, vfs_inode_i_blocks_underflow, 311, autofix;
    INODE_I_SECTORS_UNDERFLOW, inode_i_sectors_underflow, 312, autofix;
    VFS_INODE_I_BLOCKS_NOT_ZERO_AT_TRUNCATE, vfs_inode_i_blocks_not_zero_at_truncate, 313, autofix;
    SNAPSHOT_KEY_MISSING_INODE_SNAPSHOT, snapshot_key_missing_inode_snapshot, 314, autofix;
    BKEY_IN_DELETED_SNAPSHOT, bkey_in_deleted_snapshot, 315, autofix;
    INODE_HAS_CASE_INSENSITIVE_NOT_SET, inode_has_case_insensitive_not_set, 316, autofix;
    INODE_PARENT_HAS_CASE_INSENSITIVE_NOT_SET, inode_parent_has_case_insensitive_not_set, 317, autofix;
    DIRENT_CASEFOLD_MISMATCH, dirent_casefold_mismatch, 318, autofix;
    INODE_DIR_HAS_NONZERO_I_SIZE, inode_dir_has_nonzero_i_size, 319, autofix;
    VFS_BAD_INODE_RM, vfs_bad_inode_rm, 320;
    MISSING_INODE_WITH_CONTENTS, missing_inode_with_contents, 321, autofix;
    PTR_TO_REMOVED_DEVICE, ptr_to_removed_device, 322, autofix;
    BTREE_NODE_TOPOLOGY_BAD_ROOT_MIN_KEY, btree_node_topology_bad_root_min_key, 323, autofix;
    BTREE_NODE_TOPOLOGY_BAD_ROOT_MAX_KEY, btree_node_topology_bad_root_max_key, 324, autofix;
    ACCOUNTING_KEY_UNDERFLOW, accounting_key_underflow, 325, autofix;
    ACCOUNTING_KEY_VERSION_OUT_OF_ORDER, accounting_key_version_out_of_order, 326, autofix;
    STALE_PTR_WITH_NO_STALE_PTRS_FEATURE, stale_ptr_with_no_stale_ptrs_feature, 327, autofix;
    BTREE_NODE_TOPOLOGY_GAP_BETWEEN_NODES, btree_node_topology_gap_between_nodes, 328, autofix;
    VALIDATE_ERROR_IN_COMMIT, validate_error_in_commit, 329;
    EXTENT_IO_OPTS_NOT_SET, extent_io_opts_not_set, 330, autofix;
    EXTENT_IO_OPTS_UNNEEDED, extent_io_opts_unneeded, 331, autofix;
    EXTENT_RECONCILE_BAD_PENDING, extent_reconcile_bad_pending, 332;
    EXTENT_RECONCILE_BAD_HIPRI, extent_reconcile_bad_hipri, 333;
    RECONCILE_BP_TO_LEAF_NODE_KEY, reconcile_bp_to_leaf_node_key, 334, autofix;
    BTREE_PTR_WITH_NO_RECONCILE_BP, btree_ptr_with_no_reconcile_bp, 335, autofix;
    BTREE_PTR_WITH_BAD_RECONCILE_BP, btree_ptr_with_bad_reconcile_bp, 336, autofix;
    BTREE_PTR_TO_BAD_RECONCILE_BP, btree_ptr_to_bad_reconcile_bp, 337, autofix;
    EXTENT_PTRS_ALL_INVALID, extent_ptrs_all_invalid, 338, autofix;
    EXTENT_RECONCILE_BAD_REPLICAS, extent_reconcile_bad_replicas, 339;
    STRIPE_SECTORS_ZERO, stripe_sectors_zero, 340;
    RECONCILE_WORK_PHYS_INCORRECTLY_SET, reconcile_work_phys_incorrectly_set, 341, autofix;
    COMPRESSION_ERROR, compression_error, 342;
    VFS_I_SIZE_BAD, vfs_i_size_bad, 343;
    VFS_I_SECTORS_BAD, vfs_i_sectors_bad, 344;
    ALLOC_KEY_STRIPE_REFCOUNT_WRONG, alloc_key_stripe_refcount_wrong, 345, autofix;
    STRIPE_TO_MISSING_BUCKET_REF, stripe_to_missing_bucket_ref, 346, autofix;
    BUCKET_STRIPE_REF_TO_MISSING_STRIPE, bucket_stripe_ref_to_missing_stripe, 347, autofix;
    BUCKET_STRIPE_REF_TO_INCORRECT_STRIPE, bucket_stripe_ref_to_incorrect_stripe, 348, autofix;
    VFS_UNLINK_GOT_WRONG_INUM, vfs_unlink_got_wrong_inum, 349;
    DATA_UPDATE_GOT_NON_EXTENT, data_update_got_non_extent, 350;
    EXTENT_PTRS_ALL_INVALID_BUT_CACHED, extent_ptrs_all_invalid_but_cached, 351, autofix;
    STRIPE_NEEDS_RECONCILE_NOT_SET, stripe_needs_reconcile_not_set, 352, autofix;
    ALLOC_KEY_BUCKET_NONEMPTY_TO_EMPTY_NOT_OPEN, alloc_key_bucket_nonempty_to_empty_not_open, 353;
    STRIPE_UPDATE_STALE_STRIPE_PTR, stripe_update_stale_stripe_ptr, 354, autofix;
    JOURNAL_ENTRY_REWIND_LIMIT_BAD_SIZE, journal_entry_rewind_limit_bad_size, 355;
    JOURNAL_ENTRY_REWIND_BAD_SIZE, journal_entry_rewind_bad_size, 356;
    DEVICE_BAD_FLUSH, device_bad_flush, 357;
    JOURNAL_BUCKET_SEQ_NOT_MONOTONIC, journal_bucket_seq_not_monotonic, 358;
    ALLOC_KEY_DATA_TYPE_FREE_DIRTY_BOOKKEEPING, alloc_key_data_type_free_dirty_bookkeeping, 359, autofix;
    STRIPE_PARITY_BLOCK_SECTOR_COUNT_WRONG, stripe_parity_block_sector_count_wrong, 360;
    STRIPE_CAN_WIDEN_WRONG, stripe_can_widen_wrong, 361, autofix;
    DUP_EXTENTS_TO_REFLINK, dup_extents_to_reflink, 362, autofix;
    STRIPE_READ_PTR_STALE, stripe_read_ptr_stale, 363;
    BKEY_IN_DELETED_INTERIOR_SNAPSHOT, bkey_in_deleted_interior_snapshot, 364, autofix;
    INODE_HAS_INODE_OPTS_FLAG_WRONG, inode_has_inode_opts_flag_wrong, 365, autofix;
    INODE_HAS_ACCESS_ACL_FLAG_WRONG, inode_has_access_acl_flag_wrong, 366, autofix;
    INODE_HAS_DEFAULT_ACL_FLAG_WRONG, inode_has_default_acl_flag_wrong, 367, autofix;
    DIRENT_TO_INODE_IN_DESCENDANT_SNAPSHOT, dirent_to_inode_in_descendant_snapshot, 368, autofix;
    SNAPSHOT_SUBVOL_FLAG_WRONG, snapshot_subvol_flag_wrong, 369, autofix;
    SNAPSHOT_PAD_NONZERO, snapshot_pad_nonzero, 370;
    SNAPSHOT_EDGE_BAD, snapshot_edge_bad, 371;
    SUBVOL_PAD_NONZERO, subvol_pad_nonzero, 372;
    SNAPSHOT_STATE_BAD, snapshot_state_bad, 373, autofix;
    SUBVOL_STATE_BAD, subvol_state_bad, 374, autofix;
    SUBVOL_SNAPSHOT_NOT_LEAF, subvol_snapshot_not_leaf, 375;
    SNAPSHOT_DELETED_BUT_SUBVOL_LIVE, snapshot_deleted_but_subvol_live, 376, autofix;
    SNAPSHOT_SUBVOL_BACKREF_WRONG, snapshot_subvol_backref_wrong, 377, autofix;
    SNAPSHOT_NO_KEYS_CHILDLESS, snapshot_no_keys_childless, 378, autofix;
    SNAPSHOT_STATE_BITFLIP, snapshot_state_bitflip, 379, autofix;
    SUBVOL_STATE_BITFLIP, subvol_state_bitflip, 380, autofix;
    SNAPSHOT_DELETED_HAS_LIVE_CHILDREN, snapshot_deleted_has_live_children, 381, autofix;
    SNAPSHOT_STATE_STALE_TOMBSTONE, snapshot_state_stale_tombstone, 382, autofix;
    SUBVOL_ROOT_UNLINKED_FLAG_MISSING, subvol_root_unlinked_flag_missing, 383, autofix;
    SNAPSHOT_DELETED_BUT_LINKED, snapshot_deleted_but_linked, 384, autofix;
    SNAPSHOT_DELETED_BUT_HAS_DATA, snapshot_deleted_but_has_data, 385, autofix;
    SNAPSHOT_SUBVOL_STATE_MISMATCH, snapshot_subvol_state_mismatch, 386, autofix;
    DAMAGE_ENTRIES_BAD, damage_entries_bad, 387;
    DAMAGE_KEY_NO_INODE, damage_key_no_inode, 388, autofix;
    DATA_READ_IO_ERR_RECOVERED, data_read_io_err_recovered, 389;
    DATA_READ_IO_ERR, data_read_io_err, 390;
    DATA_READ_CSUM_ERR_RECOVERED, data_read_csum_err_recovered, 391;
    DATA_READ_CSUM_ERR, data_read_csum_err, 392;
    DATA_LOST_DEVICE_REMOVED, data_lost_device_removed, 393;
    BLK_STS_NOTSUPP, blk_sts_notsupp, 394;
    BLK_STS_TIMEOUT, blk_sts_timeout, 395;
    BLK_STS_NOSPC, blk_sts_nospc, 396;
    BLK_STS_TRANSPORT, blk_sts_transport, 397;
    BLK_STS_TARGET, blk_sts_target, 398;
    BLK_STS_RESV_CONFLICT, blk_sts_resv_conflict, 399;
    BLK_STS_MEDIUM, blk_sts_medium, 400;
    BLK_STS_PROTECTION, blk_sts_protection, 401;
    BLK_STS_RESOURCE, blk_sts_resource, 402;
    BLK_STS_IOERR, blk_sts_ioerr, 403;
    BLK_STS_AGAIN, blk_sts_again, 404;
    BLK_STS_DEV_RESOURCE, blk_sts_dev_resource, 405;
    BLK_STS_OFFLINE, blk_sts_offline, 406;
    BLK_STS_DURATION_LIMIT, blk_sts_duration_limit, 407;
    BLK_STS_INVAL, blk_sts_inval, 408;
    BLK_STS_REMOVED, blk_sts_removed, 409;
    BLK_STS_UNKNOWN, blk_sts_unknown, 410;
    DATA_DECOMPRESS_ERR_EXCEEDED_MAX_ENCODED_EXTENT, data_decompress_err_exceeded_max_encoded_extent, 411;
    DATA_DECOMPRESS_ERR_LZ4_OLD, data_decompress_err_lz4_old, 412;
    DATA_DECOMPRESS_ERR_LZ4, data_decompress_err_lz4, 413;
    DATA_DECOMPRESS_ERR_GZIP, data_decompress_err_gzip, 414;
    DATA_DECOMPRESS_ERR_GZIP_SIZE_MISMATCH, data_decompress_err_gzip_size_mismatch, 415;
    DATA_DECOMPRESS_ERR_ZSTD_SRC_LEN_BAD, data_decompress_err_zstd_src_len_bad, 416;
    DATA_DECOMPRESS_ERR_ZSTD_SIZE_MISMATCH, data_decompress_err_zstd_size_mismatch, 417;
    DATA_DECOMPRESS_ERR_ZSTD_CORRUPTION_DETECTED, data_decompress_err_zstd_corruption_detected, 418;
    DATA_DECOMPRESS_ERR_ZSTD_CHECKSUM_WRONG, data_decompress_err_zstd_checksum_wrong, 419;
    DATA_DECOMPRESS_ERR_ZSTD_PREFIX_UNKNOWN, data_decompress_err_zstd_prefix_unknown, 420;
    DATA_DECOMPRESS_ERR_ZSTD_SRC_SIZE_WRONG, data_decompress_err_zstd_src_size_wrong, 421;
    DATA_DECOMPRESS_ERR_ZSTD_DST_SIZE_TOO_SMALL, data_decompress_err_zstd_dst_size_too_small, 422;
    DATA_DECOMPRESS_ERR_ZSTD_MEMORY_ALLOCATION, data_decompress_err_zstd_memory_allocation, 423;
    DATA_DECOMPRESS_ERR_ZSTD_UNKNOWN, data_decompress_err_zstd_unknown, 424;
    DATA_DECOMPRESS_ERR_UNKNOWN, data_decompress_err_unknown, 425;
    SNAPSHOT_CHILD_MISSING_BUT_ACCOUNTED, snapshot_child_missing_but_accounted, 426, autofix;
    INODE_UNREACHABLE_DIRENT_IN_DESCENDANT, inode_unreachable_dirent_in_descendant, 427, autofix;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn numbers_are_dense_and_names_unique() {
        for (i, e) in FsckError::ALL.iter().enumerate() {
            assert_eq!(usize::from(e.raw()), i);
            assert_eq!(FsckError::from_name(e.name()), Some(*e));
        }
        assert_eq!(FsckError::ALL.len(), 428);
    }

    #[test]
    fn constants_carry_the_name() {
        assert_eq!(FsckError::BSET_BAD_SEQ.raw(), 46);
        assert_eq!(FsckError::BSET_BAD_SEQ.name(), "bset_bad_seq");
        assert!(FsckError::BSET_BAD_CSUM.autofix());
        assert!(!FsckError::BSET_BAD_SEQ.autofix());
        assert_eq!(FsckError::ALL.iter().filter(|e| e.autofix()).count(), 185);
    }

    #[test]
    fn unknown_ids_are_kept() {
        let e = FsckError::from_raw(60000);
        assert_eq!(e.raw(), 60000);
        assert!(!e.autofix());
        assert_eq!(format!("{e}"), "(unknown error 60000)");
    }
}
