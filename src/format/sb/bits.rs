// SPDX-License-Identifier: GPL-2.0

//! Feature and compatibility bits.

use super::text::write_names;
use core::fmt;

/// Names of the feature bits, by number. C: `BCH_SB_FEATURES()`.
pub const FEATURES: &[&str] = &[
    "lz4",
    "gzip",
    "zstd",
    "atomic_nlink",
    "ec",
    "journal_seq_blacklist_v3",
    "reflink",
    "new_siphash",
    "inline_data",
    "new_extent_overwrite",
    "incompressible",
    "btree_ptr_v2",
    "extents_above_btree_updates",
    "btree_updates_journalled",
    "reflink_inline_data",
    "new_varint",
    "journal_no_flush",
    "alloc_v2",
    "extents_across_btree_nodes",
    "incompat_version_field",
    "casefolding",
    "no_alloc_info",
    "small_image",
    "no_default_sb",
];

/// Names of the compatibility bits, by number. C: `BCH_SB_COMPAT()`.
pub const COMPAT: &[&str] = &[
    "alloc_info",
    "alloc_metadata",
    "extents_above_btree_updates_done",
    "bformat_overflow_done",
    "no_stale_ptrs",
];

/// What the filesystem uses. A bit that is not known must stop a mount: the data can not be read
/// right without knowing it.
///
/// C: `enum bch_sb_feature`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features(pub [u64; 2]);

macro_rules! feature_consts {
    ($($name:ident = $nr:literal,)*) => {
        impl Features {
            $(#[doc = concat!("Feature bit ", $nr, ".")] pub const $name: u8 = $nr;)*
        }
    };
}

feature_consts! {
    LZ4 = 0,
    GZIP = 1,
    ZSTD = 2,
    EC = 4,
    REFLINK = 6,
    NEW_SIPHASH = 7,
    INLINE_DATA = 8,
    NEW_EXTENT_OVERWRITE = 9,
    INCOMPRESSIBLE = 10,
    EXTENTS_ABOVE_BTREE_UPDATES = 12,
    BTREE_UPDATES_JOURNALLED = 13,
    REFLINK_INLINE_DATA = 14,
    JOURNAL_NO_FLUSH = 16,
    ALLOC_V2 = 17,
    EXTENTS_ACROSS_BTREE_NODES = 18,
    INCOMPAT_VERSION_FIELD = 19,
    CASEFOLDING = 20,
    NO_ALLOC_INFO = 21,
    SMALL_IMAGE = 22,
    NO_DEFAULT_SB = 23,
}

impl Features {
    /// What every filesystem has that was written to. C: `BCH_SB_FEATURES_ALWAYS`.
    pub const ALWAYS: u64 = 1 << Self::NEW_EXTENT_OVERWRITE
        | 1 << Self::EXTENTS_ABOVE_BTREE_UPDATES
        | 1 << Self::BTREE_UPDATES_JOURNALLED
        | 1 << Self::ALLOC_V2
        | 1 << Self::EXTENTS_ACROSS_BTREE_NODES;
    /// What is gone after an orderly shutdown.
    pub const UNTIL_CLEAN: u64 =
        1 << Self::EXTENTS_ABOVE_BTREE_UPDATES | 1 << Self::BTREE_UPDATES_JOURNALLED;

    /// Whether the bit with this number is set.
    pub fn has(self, bit: u8) -> bool {
        let word = self.0.get(usize::from(bit >> 6)).copied().unwrap_or(0);
        word & (1 << (bit & 63)) != 0
    }

    /// The lowest bit that is set and not known.
    pub fn first_unknown(self) -> Option<u8> {
        (0..128).find(|&bit| self.has(bit) && usize::from(bit) >= FEATURES.len())
    }
}

impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_names(f, FEATURES, self.0[0])
    }
}

/// Promises about what the filesystem does not contain; a version that does not know one clears
/// it on writing.
///
/// C: `enum bch_sb_compat`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compat(pub u64);

impl Compat {
    /// The alloc btree and the accounting are complete.
    pub const ALLOC_INFO: u8 = 0;
    /// The same for metadata.
    pub const ALLOC_METADATA: u8 = 1;
    /// No extent is split by updates below it. C: `BCH_COMPAT_extents_above_btree_updates_done`.
    pub const EXTENTS_ABOVE_BTREE_UPDATES_DONE: u8 = 2;
    /// No packed key overflows its field. C: `BCH_COMPAT_bformat_overflow_done`.
    pub const BFORMAT_OVERFLOW_DONE: u8 = 3;
    /// No pointer is older than its bucket.
    pub const NO_STALE_PTRS: u8 = 4;

    /// Whether the bit with this number is set.
    pub const fn has(self, bit: u8) -> bool {
        self.0 & (1 << (bit & 63)) != 0
    }
}

impl fmt::Display for Compat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_names(f, COMPAT, self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn unknown_bits_are_found_in_both_words() {
        assert_eq!(Features([(1 << 24) - 1, 0]).first_unknown(), None);
        assert_eq!(Features([1 << 24, 0]).first_unknown(), Some(24));
        assert_eq!(Features([0, 1]).first_unknown(), Some(64));
        assert_eq!(Features([0, 1 << 63]).first_unknown(), Some(127));
    }

    #[test]
    fn names_in_order() {
        assert_eq!(format!("{}", Features([0b101, 0])), "lz4,zstd");
        assert_eq!(format!("{}", Compat(0b10001)), "alloc_info,no_stale_ptrs");
    }
}
