// SPDX-License-Identifier: GPL-2.0

//! The btrees of a filesystem.

use super::key_type::KeyType;
use core::fmt;

/// Which btree. Numbers up to 62 can occur on disk; those this version does not know are kept.
///
/// C: `enum btree_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BtreeId(pub u8);

/// How many btrees can exist; ids are below this. C: `BTREE_ID_NR_MAX`.
pub const BTREE_ID_NR_MAX: u8 = 63;
/// Levels in a btree, counting the leaves. C: `BTREE_MAX_DEPTH`.
pub const BTREE_MAX_DEPTH: u8 = 4;

/// Properties of one btree.
#[derive(Clone, Copy, Debug)]
struct Info {
    name: &'static str,
    flags: u8,
    types: u64,
}

/// Keys cover a range that ends at their position.
const EXTENTS: u8 = 1 << 0;
/// Keys are visible by snapshot ancestry.
const SNAPSHOTS: u8 = 1 << 1;
/// The position's snapshot field may be nonzero.
const SNAPSHOT_FIELD: u8 = 1 << 2;
/// Keys point to user data.
const DATA: u8 = 1 << 3;
/// Updates go through the write buffer.
const WRITE_BUFFER: u8 = 1 << 4;
/// Updates go to the key cache.
const KEY_CACHE: u8 = 1 << 5;

macro_rules! btrees {
    ($($name:ident = $nr:literal, $text:literal, [$($flag:ident)*], [$($ty:ident)*];)*) => {
        impl BtreeId {
            $(#[doc = concat!("`", $text, "`")] pub const $name: BtreeId = BtreeId($nr);)*

            const fn info(self) -> Option<Info> {
                match self.0 {
                    $($nr => Some(Info {
                        name: $text,
                        flags: 0 $(| $flag)*,
                        types: 0 $(| KeyType::$ty.bit())*,
                    }),)*
                    _ => None,
                }
            }
        }
    };
}

btrees! {
    EXTENTS = 0, "extents", [EXTENTS SNAPSHOTS DATA],
        [WHITEOUT EXTENT_WHITEOUT ERROR COOKIE EXTENT RESERVATION REFLINK_P INLINE_DATA];
    INODES = 1, "inodes", [SNAPSHOTS KEY_CACHE], [WHITEOUT INODE INODE_V2 INODE_V3 INODE_GENERATION];
    DIRENTS = 2, "dirents", [SNAPSHOTS], [WHITEOUT HASH_WHITEOUT DIRENT];
    XATTRS = 3, "xattrs", [SNAPSHOTS], [WHITEOUT COOKIE HASH_WHITEOUT XATTR];
    ALLOC = 4, "alloc", [KEY_CACHE], [ALLOC ALLOC_V2 ALLOC_V3 ALLOC_V4];
    QUOTAS = 5, "quotas", [], [QUOTA];
    STRIPES = 6, "stripes", [DATA], [STRIPE];
    REFLINK = 7, "reflink", [EXTENTS DATA], [REFLINK_V INDIRECT_INLINE_DATA ERROR];
    SUBVOLUMES = 8, "subvolumes", [KEY_CACHE], [SUBVOLUME];
    SNAPSHOTS = 9, "snapshots", [], [SNAPSHOT];
    LRU = 10, "lru", [WRITE_BUFFER], [SET];
    FREESPACE = 11, "freespace", [EXTENTS], [SET];
    NEED_DISCARD = 12, "need_discard", [WRITE_BUFFER], [SET];
    BACKPOINTERS = 13, "backpointers", [WRITE_BUFFER], [BACKPOINTER];
    BUCKET_GENS = 14, "bucket_gens", [], [BUCKET_GENS];
    SNAPSHOT_TREES = 15, "snapshot_trees", [], [SNAPSHOT_TREE];
    DELETED_INODES = 16, "deleted_inodes", [SNAPSHOT_FIELD WRITE_BUFFER], [SET];
    LOGGED_OPS = 17, "logged_ops", [KEY_CACHE],
        [LOGGED_OP_TRUNCATE LOGGED_OP_FINSERT LOGGED_OP_STRIPE_UPDATE INODE_ALLOC_CURSOR];
    RECONCILE_WORK = 18, "reconcile_work", [SNAPSHOT_FIELD WRITE_BUFFER], [SET COOKIE];
    SUBVOLUME_CHILDREN = 19, "subvolume_children", [], [SET];
    ACCOUNTING = 20, "accounting", [SNAPSHOT_FIELD WRITE_BUFFER], [ACCOUNTING];
    RECONCILE_HIPRI = 21, "reconcile_hipri", [SNAPSHOT_FIELD WRITE_BUFFER], [SET];
    RECONCILE_PENDING = 22, "reconcile_pending", [SNAPSHOT_FIELD WRITE_BUFFER], [SET];
    RECONCILE_SCAN = 23, "reconcile_scan", [], [COOKIE BACKPOINTER];
    RECONCILE_WORK_PHYS = 24, "reconcile_work_phys", [WRITE_BUFFER], [SET];
    RECONCILE_HIPRI_PHYS = 25, "reconcile_hipri_phys", [WRITE_BUFFER], [SET];
    BUCKET_TO_STRIPE = 26, "bucket_to_stripe", [], [SET];
    STRIPE_BACKPOINTERS = 27, "stripe_backpointers", [WRITE_BUFFER], [BACKPOINTER];
    DAMAGE = 28, "damage", [SNAPSHOTS], [WHITEOUT DAMAGE];
}

impl BtreeId {
    /// The name, `None` for a number this version does not know.
    pub fn name(self) -> Option<&'static str> {
        self.info().map(|i| i.name)
    }

    fn has(self, flag: u8) -> bool {
        self.info().is_some_and(|i| i.flags & flag != 0)
    }

    /// Whether keys cover a range that ends at their position. C: `btree_id_is_extents()`.
    #[inline]
    pub fn is_extents(self) -> bool {
        self.has(EXTENTS)
    }

    /// Whether keys are visible by snapshot ancestry. C: `btree_type_has_snapshots()`.
    #[inline]
    pub fn has_snapshots(self) -> bool {
        self.has(SNAPSHOTS)
    }

    /// Whether a position's snapshot may be nonzero. C: `btree_type_has_snapshot_field()`.
    #[inline]
    pub fn has_snapshot_field(self) -> bool {
        self.has(SNAPSHOTS | SNAPSHOT_FIELD)
    }

    /// Whether keys point to user data.
    pub fn has_data(self) -> bool {
        self.has(DATA)
    }

    /// Whether updates go through the write buffer. C: `btree_type_uses_write_buffer()`.
    pub fn uses_write_buffer(self) -> bool {
        self.has(WRITE_BUFFER)
    }

    /// Whether updates go to the key cache. C: `btree_id_cached()`.
    #[inline]
    pub fn uses_key_cache(self) -> bool {
        self.has(KEY_CACHE)
    }

    /// The key types allowed in a leaf, as [`KeyType::bit`]s, besides `deleted`; everything for
    /// an unknown btree.
    pub fn leaf_types(self) -> u64 {
        self.info().map_or(u64::MAX, |i| i.types)
    }
}

impl fmt::Display for BtreeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "(unknown btree {})", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties() {
        assert!(BtreeId::EXTENTS.is_extents() && BtreeId::EXTENTS.has_snapshots());
        assert!(!BtreeId::REFLINK.has_snapshot_field());
        assert!(BtreeId::ACCOUNTING.has_snapshot_field());
        assert!(!BtreeId::ACCOUNTING.has_snapshots());
        assert_eq!(BtreeId(60).name(), None);
        assert_eq!(BtreeId::QUOTAS.leaf_types(), KeyType::QUOTA.bit());
    }
}
