// SPDX-License-Identifier: GPL-2.0

//! The kinds of values a key can have.

use core::fmt;

/// The kind of a key's value. Unknown numbers are kept, so that newer filesystems can be shown.
///
/// C: `enum bch_bkey_type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyType(pub u8);

macro_rules! key_types {
    ($($name:ident = $nr:literal, $text:literal;)*) => {
        impl KeyType {
            $(#[doc = concat!("`", $text, "`")] pub const $name: KeyType = KeyType($nr);)*

            /// The name, `None` for a number this version does not know.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($nr => Some($text),)*
                    _ => None,
                }
            }
        }
    };
}

key_types! {
    DELETED = 0, "deleted";
    WHITEOUT = 1, "whiteout";
    ERROR = 2, "error";
    COOKIE = 3, "cookie";
    HASH_WHITEOUT = 4, "hash_whiteout";
    BTREE_PTR = 5, "btree_ptr";
    EXTENT = 6, "extent";
    RESERVATION = 7, "reservation";
    INODE = 8, "inode";
    INODE_GENERATION = 9, "inode_generation";
    DIRENT = 10, "dirent";
    XATTR = 11, "xattr";
    ALLOC = 12, "alloc";
    QUOTA = 13, "quota";
    STRIPE = 14, "stripe";
    REFLINK_P = 15, "reflink_p";
    REFLINK_V = 16, "reflink_v";
    INLINE_DATA = 17, "inline_data";
    BTREE_PTR_V2 = 18, "btree_ptr_v2";
    INDIRECT_INLINE_DATA = 19, "indirect_inline_data";
    ALLOC_V2 = 20, "alloc_v2";
    SUBVOLUME = 21, "subvolume";
    SNAPSHOT = 22, "snapshot";
    INODE_V2 = 23, "inode_v2";
    ALLOC_V3 = 24, "alloc_v3";
    SET = 25, "set";
    LRU = 26, "lru";
    ALLOC_V4 = 27, "alloc_v4";
    BACKPOINTER = 28, "backpointer";
    INODE_V3 = 29, "inode_v3";
    BUCKET_GENS = 30, "bucket_gens";
    SNAPSHOT_TREE = 31, "snapshot_tree";
    LOGGED_OP_TRUNCATE = 32, "logged_op_truncate";
    LOGGED_OP_FINSERT = 33, "logged_op_finsert";
    ACCOUNTING = 34, "accounting";
    INODE_ALLOC_CURSOR = 35, "inode_alloc_cursor";
    EXTENT_WHITEOUT = 36, "extent_whiteout";
    LOGGED_OP_STRIPE_UPDATE = 37, "logged_op_stripe_update";
    DAMAGE = 38, "damage";
}

impl KeyType {
    /// Whether the key hides what ancestors' snapshots have at its position.
    /// C: `bkey_whiteout()`, without `extent_whiteout`.
    #[inline]
    pub const fn is_whiteout(self) -> bool {
        matches!(self, KeyType::DELETED | KeyType::WHITEOUT)
    }

    /// Whether the key hides what ancestors' snapshots have in its range. C:
    /// `bkey_extent_whiteout()`.
    #[inline]
    pub const fn is_extent_whiteout(self) -> bool {
        matches!(
            self,
            KeyType::DELETED | KeyType::WHITEOUT | KeyType::EXTENT_WHITEOUT
        )
    }

    /// Whether a key of this type has space that counts in the sectors of a file.
    /// C: `bkey_extent_is_allocation()`.
    pub const fn is_allocation(self) -> bool {
        matches!(
            self,
            KeyType::EXTENT
                | KeyType::RESERVATION
                | KeyType::REFLINK_P
                | KeyType::INLINE_DATA
                | KeyType::ERROR
        )
    }

    /// Bit of this type in a set of types; 0 for numbers beyond 63.
    #[inline]
    pub const fn bit(self) -> u64 {
        if self.0 < 64 {
            1 << self.0
        } else {
            0
        }
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "(unknown key type {})", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_dense_and_named() {
        for nr in 0..=38 {
            assert!(KeyType(nr).name().is_some());
        }
        assert!(KeyType(39).name().is_none());
        assert_eq!(KeyType::INODE_V3.bit(), 1 << 29);
        assert_eq!(KeyType(200).bit(), 0);
    }
}
