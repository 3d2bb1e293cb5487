// SPDX-License-Identifier: GPL-2.0

//! What was found damaged since the mount, counted by what could not be used because of it.

use core::sync::atomic::{
    AtomicU64,
    Ordering, //
};

macro_rules! lost {
    ($($name:ident, $text:literal, $doc:literal;)*) => {
        /// Something that could not be used.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Lost {
            $(#[doc = $doc] $name,)*
        }

        impl Lost {
            /// All of them, in order.
            pub const ALL: &'static [Lost] = &[$(Lost::$name,)*];

            /// What it is called, in the plural.
            pub const fn text(self) -> &'static str {
                match self { $(Lost::$name => $text,)* }
            }

            /// Whether it is neither file data nor one copy of several: who asked for it goes
            /// without.
            pub const fn is_metadata(self) -> bool {
                !matches!(self, Lost::NodeCopy | Lost::ExtentCopy | Lost::Extent)
            }

            const fn index(self) -> usize {
                #[allow(clippy::as_conversions)]
                {
                    self as usize
                }
            }
        }
    };
}

lost! {
    NodeCopy, "copies of btree nodes", "One copy of a btree node; another may be good.";
    Node, "btree nodes", "A btree node of which no copy is good.";
    Key, "keys", "A key in a btree node whose contents can not be right.";
    JournalKey, "journal keys", "A key, or a record with keys, of the journal.";
    ExtentCopy, "copies of extents", "One copy of file data; another may be good.";
    Extent, "extents", "File data of which no copy is good.";
    Inode, "inodes", "An inode that was asked for.";
    Dirent, "directory entries", "A directory entry met on the way.";
    Xattr, "attributes", "An extended attribute met on the way.";
    Subvolume, "subvolumes", "A subvolume, or one whose snapshot can not be told.";
    Snapshot, "snapshots", "A node of a snapshot tree.";
}

const NR: usize = Lost::ALL.len();

/// Counts since the mount. What is asked for again after it was found bad is counted again, unless
/// the answer is remembered, as that about a btree node is.
#[derive(Debug)]
pub struct Damage {
    counts: [AtomicU64; NR],
}

impl Damage {
    /// Nothing was found damaged yet.
    pub const fn new() -> Self {
        Self {
            counts: [const { AtomicU64::new(0) }; NR],
        }
    }

    /// Counts one.
    pub fn count(&self, what: Lost) {
        if let Some(n) = self.counts.get(what.index()) {
            n.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many there were.
    pub fn get(&self, what: Lost) -> u64 {
        self.counts
            .get(what.index())
            .map_or(0, |n| n.load(Ordering::Relaxed))
    }
}

impl Default for Damage {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_count_of_its_own() {
        let d = Damage::new();
        for (n, what) in Lost::ALL.iter().enumerate() {
            for _ in 0..n {
                d.count(*what);
            }
        }
        for (n, what) in (0u64..).zip(Lost::ALL) {
            assert_eq!(d.get(*what), n, "{}", what.text());
        }
    }
}
