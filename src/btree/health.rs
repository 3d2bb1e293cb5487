// SPDX-License-Identifier: GPL-2.0

//! Which btrees were found damaged.

use crate::format::btree_id::BtreeId;
use core::sync::atomic::{
    AtomicU64,
    Ordering, //
};

/// The state of every btree: *checked* when fsck has been through it, *sick* when something in it
/// was found damaged. Both stay until repair.
#[derive(Debug, Default)]
pub struct Health {
    checked: AtomicU64,
    sick: AtomicU64,
}

fn bit(btree: BtreeId) -> u64 {
    1u64.checked_shl(u32::from(btree.0)).unwrap_or(0)
}

impl Health {
    /// Nothing checked, nothing sick.
    pub const fn new() -> Self {
        Self {
            checked: AtomicU64::new(0),
            sick: AtomicU64::new(0),
        }
    }

    /// Notes that `btree` is damaged; says whether that is news.
    pub fn mark_sick(&self, btree: BtreeId) -> bool {
        self.sick.fetch_or(bit(btree), Ordering::Relaxed) & bit(btree) == 0
    }

    /// Whether `btree` was found damaged.
    pub fn is_sick(&self, btree: BtreeId) -> bool {
        self.sick.load(Ordering::Relaxed) & bit(btree) != 0
    }

    /// Notes that `btree` has been checked and repaired.
    pub fn mark_checked(&self, btree: BtreeId) {
        self.sick.fetch_and(!bit(btree), Ordering::Relaxed);
        self.checked.fetch_or(bit(btree), Ordering::Relaxed);
    }

    /// Whether `btree` has been checked.
    pub fn is_checked(&self, btree: BtreeId) -> bool {
        self.checked.load(Ordering::Relaxed) & bit(btree) != 0
    }

    /// The damaged btrees.
    pub fn sick(&self) -> impl Iterator<Item = BtreeId> {
        let sick = self.sick.load(Ordering::Relaxed);
        (0..64).map(BtreeId).filter(move |b| sick & bit(*b) != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sick_until_checked() {
        let h = Health::new();
        assert!(h.mark_sick(BtreeId::ALLOC));
        assert!(!h.mark_sick(BtreeId::ALLOC));
        assert_eq!(h.sick().collect::<Vec<_>>(), [BtreeId::ALLOC]);
        h.mark_checked(BtreeId::ALLOC);
        assert!(!h.is_sick(BtreeId::ALLOC) && h.is_checked(BtreeId::ALLOC));
    }
}
