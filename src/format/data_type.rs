// SPDX-License-Identifier: GPL-2.0

//! What a bucket or a pointer holds.

use core::fmt;

/// What a bucket, a pointer or a replicas entry holds. Unknown numbers are kept.
///
/// C: `enum bch_data_type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DataType(pub u8);

macro_rules! data_types {
    ($($name:ident = $nr:literal, $text:literal;)*) => {
        impl DataType {
            $(#[doc = concat!("`", $text, "`")] pub const $name: DataType = DataType($nr);)*

            /// The names, by number.
            pub const NAMES: &'static [&'static str] = &[$($text,)*];
        }
    };
}

data_types! {
    FREE = 0, "free";
    SB = 1, "sb";
    JOURNAL = 2, "journal";
    BTREE = 3, "btree";
    USER = 4, "user";
    CACHED = 5, "cached";
    PARITY = 6, "parity";
    STRIPE = 7, "stripe";
    NEED_GC_GENS = 8, "need_gc_gens";
    NEED_DISCARD = 9, "need_discard";
    UNSTRIPED = 10, "unstriped";
    MULTIPLE = 11, "multiple";
}

impl DataType {
    /// How many are known; known numbers are below this. C: `BCH_DATA_NR`.
    pub const NR: u8 = 12;

    /// The name; `None` when this version does not know the number.
    pub fn name(self) -> Option<&'static str> {
        Self::NAMES.get(usize::from(self.0)).copied()
    }

    /// Whether it is metadata of the filesystem itself.
    pub const fn is_metadata(self) -> bool {
        self.0 < Self::USER.0
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "(unknown data_type {})", self.0),
        }
    }
}
