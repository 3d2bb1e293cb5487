// SPDX-License-Identifier: GPL-2.0

//! The recovery passes, and section `recovery_passes`: when each was last run.

use super::{
    finding::Finding,
    journal_v2::ranges_v2,
    superblock::Superblock,
    text::DateTime, //
};
use crate::env::num::sat_u32;
use core::fmt;

/// Properties of a pass. C: `PASS_*`.
pub mod flag {
    /// Not announced in the log.
    pub const SILENT: u8 = 1;
    /// Part of a filesystem check.
    pub const FSCK: u8 = 2;
    /// Run after an unclean shutdown.
    pub const UNCLEAN: u8 = 4;
    /// Run at every mount.
    pub const ALWAYS: u8 = 8;
    /// Can run while the filesystem is in use.
    pub const ONLINE: u8 = 16;
    /// About allocation; not possible without alloc info.
    pub const ALLOC: u8 = 32;
    /// Not put off at mount.
    pub const NODEFER: u8 = 64;
}

/// A recovery pass.
///
/// C: `enum bch_recovery_pass`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    /// Its number on disk, which never changes.
    pub stable: u8,
    /// See [`flag`].
    pub flags: u8,
    /// The name.
    pub name: &'static str,
}

/// The passes in the order in which they run; the position is the number used at run time.
pub fn passes() -> impl Iterator<Item = Pass> + Clone {
    TABLE.iter().map(|(stable, flags, name)| Pass {
        stable: *stable,
        flags: *flags,
        name,
    })
}

/// The pass with this number on disk.
pub fn from_stable(stable: u8) -> Option<Pass> {
    passes().find(|p| p.stable == stable)
}

/// Writes the names of a set of passes given by stable ids, in the order in which they run.
pub(super) fn write_stable(f: &mut dyn fmt::Write, set: u64) -> fmt::Result {
    let mut comma = "";
    for pass in passes().filter(|p| set & (1 << (p.stable & 63)) != 0) {
        write!(f, "{comma}{}", pass.name)?;
        comma = ",";
    }
    Ok(())
}

/// Any contents are valid. C: `bch2_sb_recovery_passes_validate()`.
pub(super) fn validate(_: &Superblock, _: &[u8]) -> Result<(), Finding> {
    Ok(())
}

/// C: `bch2_sb_recovery_passes_to_text()`.
pub(super) fn to_text(_: &Superblock, body: &[u8], f: &mut dyn fmt::Write) -> fmt::Result {
    writeln!(f, "{:<32}{:<32}Last runtime", "Pass", "Last run")?;
    for (stable, (last_run, rest)) in ranges_v2(body).enumerate() {
        if last_run == 0 {
            continue;
        }
        // 32 bits of seconds, then flags of which bit 0 is "not limited in rate".
        let seconds = crate::env::num::low_u32(rest);
        let note = match (rest >> 32) & 1 {
            0 => "",
            _ => " (no ratelimit)",
        };
        let last_run = DateTime(last_run);
        match u8::try_from(sat_u32(stable)).ok().and_then(from_stable) {
            Some(p) => write!(f, "{:<32}", p.name)?,
            None => write!(f, "(unknown pass {stable:<3})             ")?,
        }
        writeln!(f, "{last_run:<32}{seconds}s{note}")?;
    }
    Ok(())
}

use flag::*;

/// C: `BCH_RECOVERY_PASSES()`: stable id, flags, name.
const TABLE: &[(u8, u8, &str)] = &[
    (41, SILENT, "recovery_pass_empty"),
    (37, 0, "scan_for_btree_nodes"),
    (4, 0, "check_topology"),
    (39, ALWAYS, "accounting_read"),
    (0, ALWAYS, "alloc_read"),
    (1, 0, "stripes_read"),
    (2, 0, "initialize_subvolumes"),
    (3, ALWAYS, "snapshots_read"),
    (5, ALLOC | FSCK, "check_allocations"),
    (6, ALLOC | ALWAYS | SILENT, "trans_mark_dev_sbs"),
    (7, ALLOC | ALWAYS | SILENT, "fs_journal_alloc"),
    (8, ALWAYS | SILENT, "set_may_go_rw"),
    (9, ALWAYS, "journal_replay"),
    (45, ONLINE, "merge_btree_nodes"),
    (48, ALWAYS, "presplit_shard_boundaries"),
    (10, ALLOC | FSCK | ONLINE, "check_alloc_info"),
    (11, ALLOC | FSCK | ONLINE, "check_lrus"),
    (12, ALLOC | FSCK | ONLINE, "check_btree_backpointers"),
    (13, ONLINE, "check_backpointers_to_extents"),
    (14, ALLOC | FSCK | ONLINE, "check_extents_to_backpointers"),
    (15, ALLOC | FSCK | ONLINE, "check_alloc_to_lru_refs"),
    (16, ALWAYS | SILENT, "fs_freespace_init"),
    (17, 0, "bucket_gens_init"),
    (38, 0, "reconstruct_snapshots"),
    (44, 0, "delete_dead_interior_snapshots"),
    (18, FSCK | ONLINE, "check_snapshot_trees"),
    (19, ALWAYS | FSCK | NODEFER | ONLINE, "check_snapshots"),
    (20, FSCK | ONLINE, "check_subvols"),
    (35, FSCK | ONLINE, "check_subvol_children"),
    (21, FSCK | ONLINE, "delete_dead_snapshots"),
    (22, 0, "fs_upgrade_for_subvolumes"),
    (24, FSCK, "check_inodes"),
    (25, FSCK, "check_extents"),
    (26, FSCK | ONLINE, "check_indirect_extents"),
    (27, FSCK, "check_dirents"),
    (28, FSCK, "check_xattrs"),
    (49, FSCK, "check_damage"),
    (29, FSCK | ONLINE, "check_root"),
    (40, FSCK, "check_unreachable_inodes"),
    (36, FSCK | ONLINE, "check_subvolume_structure"),
    (30, FSCK | ONLINE, "check_directory_structure"),
    (31, FSCK, "check_nlinks"),
    (43, FSCK | ONLINE, "check_reconcile_work"),
    (23, ALWAYS, "resume_logged_ops"),
    (32, ALWAYS, "delete_dead_inodes"),
    (47, ONLINE, "kill_i_generation_keys"),
    (33, 0, "fix_reflink_p"),
    (34, 0, "set_fs_needs_reconcile"),
    (46, ONLINE, "btree_bitmap_gc"),
    (42, ALWAYS | SILENT, "lookup_root_inode"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stable_ids_are_unique_and_fit_a_word() {
        for (i, a) in passes().enumerate() {
            assert!(a.stable < 64);
            assert!(passes().skip(i + 1).all(|b| b.stable != a.stable));
        }
        assert_eq!(passes().count(), 50);
        assert_eq!(from_stable(9).unwrap().name, "journal_replay");
    }
}
