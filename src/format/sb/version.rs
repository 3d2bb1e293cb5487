// SPDX-License-Identifier: GPL-2.0

//! On-disk format versions.

use core::fmt;

/// A version of the on-disk format: one number for the superblock, nodes and journal entries.
///
/// C: `enum bcachefs_metadata_version`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u16);

/// Bits of the minor number. C: `BCH_VERSION()`.
const MINOR_BITS: u32 = 10;

impl Version {
    /// The oldest version of the format that was ever released; anything below is not a version.
    pub const EVER_OLDEST: Self = Self(9);
    /// The oldest version that can be mounted.
    pub const OLDEST: Self = Self::new(1, 13);
    /// The oldest version that data on disk may have: what came before 1.0 was rewritten by the
    /// upgrade to 1.0.
    pub const OLDEST_DATA: Self = Self::new(1, 0);
    /// The newest version that is known.
    pub const NEWEST: Self = Self::new(1, 39);
    /// From this version on, each superblock records the sequence numbers of the others.
    /// C: `bcachefs_metadata_version_member_seq`.
    pub const MEMBER_SEQ: Self = Self::new(1, 4);
    /// Before this version, the member state 2 means "failed", afterwards "evacuating".
    /// C: `bcachefs_metadata_version_reconcile`.
    pub const EVACUATING: Self = Self::new(1, 33);
    /// From this version on, replicas of user data are not listed in the superblock.
    /// C: `bcachefs_metadata_version_no_sb_user_data_replicas`.
    pub const NO_SB_USER_DATA_REPLICAS: Self = Self::new(1, 36);

    /// A version from its two numbers. C: `BCH_VERSION()`.
    pub const fn new(major: u16, minor: u16) -> Self {
        Self((major << MINOR_BITS) | minor)
    }

    /// The major number; a higher one is incompatible with everything before.
    pub const fn major(self) -> u16 {
        self.0 >> MINOR_BITS
    }

    /// The minor number.
    pub const fn minor(self) -> u16 {
        self.0 & ((1 << MINOR_BITS) - 1)
    }

    /// The name of the change that made this version; `None` when it is not known.
    pub fn name(self) -> Option<&'static str> {
        NAMES
            .iter()
            .find(|(major, minor, _)| Self::new(*major, *minor) == self)
            .map(|(_, _, name)| *name)
    }
}

impl fmt::Display for Version {
    /// C: `bch2_version_to_text()`: "inode_depth (1.17)".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name().unwrap_or("(unknown version)");
        write!(f, "{name} ({}.{})", self.major(), self.minor())
    }
}

/// C: `BCH_METADATA_VERSIONS()`.
const NAMES: &[(u16, u16, &str)] = &[
    (0, 10, "bkey_renumber"),
    (0, 11, "inode_btree_change"),
    (0, 12, "snapshot"),
    (0, 13, "inode_backpointers"),
    (0, 14, "btree_ptr_sectors_written"),
    (0, 15, "snapshot_2"),
    (0, 16, "reflink_p_fix"),
    (0, 17, "subvol_dirent"),
    (0, 18, "inode_v2"),
    (0, 19, "freespace"),
    (0, 20, "alloc_v4"),
    (0, 21, "new_data_types"),
    (0, 22, "backpointers"),
    (0, 23, "inode_v3"),
    (0, 24, "unwritten_extents"),
    (0, 25, "bucket_gens"),
    (0, 26, "lru_v2"),
    (0, 27, "fragmentation_lru"),
    (0, 28, "no_bps_in_alloc_keys"),
    (0, 29, "snapshot_trees"),
    (1, 0, "major_minor"),
    (1, 1, "snapshot_skiplists"),
    (1, 2, "deleted_inodes"),
    (1, 3, "rebalance_work"),
    (1, 4, "member_seq"),
    (1, 5, "subvolume_fs_parent"),
    (1, 6, "btree_subvolume_children"),
    (1, 7, "mi_btree_bitmap"),
    (1, 8, "bucket_stripe_sectors"),
    (1, 9, "disk_accounting_v2"),
    (1, 10, "disk_accounting_v3"),
    (1, 11, "disk_accounting_inum"),
    (1, 12, "rebalance_work_acct_fix"),
    (1, 13, "inode_has_child_snapshots"),
    (1, 14, "backpointer_bucket_gen"),
    (1, 15, "disk_accounting_big_endian"),
    (1, 16, "reflink_p_may_update_opts"),
    (1, 17, "inode_depth"),
    (1, 18, "persistent_inode_cursors"),
    (1, 19, "autofix_errors"),
    (1, 20, "directory_size"),
    (1, 21, "cached_backpointers"),
    (1, 22, "stripe_backpointers"),
    (1, 23, "stripe_lru"),
    (1, 24, "casefolding"),
    (1, 25, "extent_flags"),
    (1, 26, "snapshot_deletion_v2"),
    (1, 27, "fast_device_removal"),
    (1, 28, "inode_has_case_insensitive"),
    (1, 29, "extent_snapshot_whiteouts"),
    (1, 30, "31bit_dirent_offset"),
    (1, 31, "btree_node_accounting"),
    (1, 32, "sb_field_extent_type_u64s"),
    (1, 33, "reconcile"),
    (1, 34, "extented_key_type_error"),
    (1, 35, "bucket_stripe_index"),
    (1, 36, "no_sb_user_data_replicas"),
    (1, 37, "erasure_coding"),
    (1, 38, "need_discard_by_journal_seq"),
    (1, 39, "per_dev_fragmentation_lru"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn numbers_and_names() {
        assert_eq!(Version::new(1, 13).0, 1037);
        assert_eq!(Version(1063), Version::NEWEST);
        assert_eq!(
            format!("{}", Version::NEWEST),
            "per_dev_fragmentation_lru (1.39)"
        );
        assert_eq!(format!("{}", Version(0)), "(unknown version) (0.0)");
        for minor in 0..=39 {
            assert!(Version::new(1, minor).name().is_some());
        }
        assert_eq!(Version::new(1, 40).name(), None);
    }
}
