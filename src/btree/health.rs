// SPDX-License-Identifier: GPL-2.0

//! Which btrees were found damaged, and where first.

use crate::{
    env::{
        units::DevIdx,
        Vec, //
    },
    error::{
        Error,
        Invalid,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId, //
    },
    sys::sync::Mutex,
};
use core::{
    fmt,
    sync::atomic::{
        AtomicU64,
        Ordering, //
    },
};

/// A place in a btree: what every report of damage names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The btree.
    pub btree: BtreeId,
    /// The level of the node.
    pub level: u8,
    /// The position, or the lowest one that is affected.
    pub pos: Bpos,
    /// The device and the sector of the node, if it has any.
    pub at: Option<(DevIdx, u64)>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "level {} {}", self.level, self.pos)?;
        match self.at {
            Some((dev, sector)) => write!(f, ", device {dev} sector {sector}"),
            None => Ok(()),
        }
    }
}

/// What was wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A node or a pointer to one.
    Node(Error),
    /// One key.
    Key(Invalid),
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Node(e) => write!(f, "{e}"),
            What::Key(invalid) => write!(f, "{invalid}"),
        }
    }
}

/// The state of every btree.
///
/// - *checked*: fsck has been through it.
/// - *sick*: a node, or a pointer to one, can not be used, so that the btree does not say what it
///   holds in some range. Lookups in other ranges go on. What would go wrong without an error
///   when something is missing asks [`Health::require`] first.
/// - *damaged*: as sick, or a key in it can not be used. That costs the key alone.
///
/// All stay until repair.
pub struct Health {
    checked: AtomicU64,
    sick: AtomicU64,
    damaged: AtomicU64,
    /// The first damage found in each btree.
    first: Mutex<Vec<(Place, What)>>,
    /// Void journal sequence numbers that sets of keys in nodes have.
    void: Mutex<Vec<u64>>,
    /// Nodes that have something in them that should not be on disk: where they end.
    rewrite: Mutex<Vec<(BtreeId, u8, Bpos)>>,
}

fn bit(btree: BtreeId) -> u64 {
    1u64.checked_shl(u32::from(btree.0)).unwrap_or(0)
}

impl Health {
    /// Nothing checked, nothing damaged.
    pub fn try_new() -> Result<Self> {
        Ok(Self {
            checked: AtomicU64::new(0),
            sick: AtomicU64::new(0),
            damaged: AtomicU64::new(0),
            first: Mutex::try_new(Vec::new())?,
            void: Mutex::try_new(Vec::new())?,
            rewrite: Mutex::try_new(Vec::new())?,
        })
    }

    /// Keeps damage found at `place`, if it is the first in its btree. A node or a pointer that
    /// can not be used makes the btree sick. Says whether that is news.
    pub fn found(&self, place: Place, what: What) -> bool {
        let b = bit(place.btree);
        if self.damaged.fetch_or(b, Ordering::Relaxed) & b == 0 {
            // Without memory the place is lost, and it is in the log.
            let _ = self.first.lock().push((place, what));
        }
        match what {
            What::Node(_) => self.sick.fetch_or(b, Ordering::Relaxed) & b == 0,
            What::Key(_) => false,
        }
    }

    /// Keeps that the node of `level` that ends at `max` is to be written anew.
    pub fn wants_rewrite(&self, btree: BtreeId, level: u8, max: Bpos) {
        let place = (btree, level, max);
        let mut all = self.rewrite.lock();
        if all.iter().all(|p| *p != place) {
            // Without memory it stays as it is.
            let _ = all.push(place);
        }
    }

    /// Takes out one of the nodes that are to be written anew.
    pub fn next_to_rewrite(&self) -> Option<(BtreeId, u8, Bpos)> {
        self.rewrite.lock().pop()
    }

    /// Keeps that a set of keys in a node has the void journal sequence number `seq`.
    pub fn found_void(&self, seq: u64) -> Result {
        let mut void = self.void.lock();
        match void.binary_search(&seq) {
            Ok(_) => Ok(()),
            Err(at) => void.insert(at, seq),
        }
    }

    /// Whether some set of keys in a node that was read has one of these sequence numbers, which
    /// are void; the end is not included.
    pub fn has_void(&self, (start, end): (u64, u64)) -> bool {
        let void = self.void.lock();
        let at = void.partition_point(|seq| *seq < start);
        void.get(at).is_some_and(|seq| *seq < end)
    }

    /// Whether something in `btree` can not be used.
    pub fn is_damaged(&self, btree: BtreeId) -> bool {
        self.damaged.load(Ordering::Relaxed) & bit(btree) != 0
    }

    /// Whether `btree` has a range of which nothing is known.
    pub fn is_sick(&self, btree: BtreeId) -> bool {
        self.sick.load(Ordering::Relaxed) & bit(btree) != 0
    }

    /// Refuses an operation whose result would be wrong, and not an error, when a part of `btree`
    /// is missing. Documentation/errors.rst lists these.
    pub fn require(&self, btree: BtreeId) -> Result {
        match self.is_sick(btree) {
            true => Err(Error::BtreeSick),
            false => Ok(()),
        }
    }

    /// Notes that `btree` has been checked and repaired.
    pub fn mark_checked(&self, btree: BtreeId) {
        self.forget(btree);
        self.checked.fetch_or(bit(btree), Ordering::Relaxed);
    }

    /// Nothing is left of what was damaged in `btree`.
    pub fn forget(&self, btree: BtreeId) {
        self.sick.fetch_and(!bit(btree), Ordering::Relaxed);
        self.damaged.fetch_and(!bit(btree), Ordering::Relaxed);
        let mut first = self.first.lock();
        if let Some(at) = first.iter().position(|(p, _)| p.btree == btree) {
            first.remove(at);
        }
    }

    /// Whether `btree` has been checked.
    pub fn is_checked(&self, btree: BtreeId) -> bool {
        self.checked.load(Ordering::Relaxed) & bit(btree) != 0
    }

    /// The first damage found in `btree`.
    pub fn first(&self, btree: BtreeId) -> Option<(Place, What)> {
        let first = self.first.lock();
        let found = first.iter().find(|(p, _)| p.btree == btree);
        found.copied()
    }

    /// The sick btrees.
    pub fn sick(&self) -> impl Iterator<Item = BtreeId> {
        let sick = self.sick.load(Ordering::Relaxed);
        (0..64).map(BtreeId).filter(move |b| sick & bit(*b) != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::fsck::FsckError;

    fn place(btree: BtreeId, level: u8) -> Place {
        Place {
            btree,
            level,
            pos: Bpos::MIN,
            at: None,
        }
    }

    #[test]
    fn sick_until_checked() {
        let h = Health::try_new().unwrap();
        let bad = What::Node(Error::NodeMagic);
        assert!(h.found(place(BtreeId::ALLOC, 1), bad));
        assert!(!h.found(place(BtreeId::ALLOC, 0), What::Node(Error::NodeSeq)));
        assert_eq!(h.sick().collect::<std::vec::Vec<_>>(), [BtreeId::ALLOC]);
        assert_eq!(h.require(BtreeId::ALLOC), Err(Error::BtreeSick));
        assert_eq!(h.require(BtreeId::INODES), Ok(()));
        assert_eq!(
            h.first(BtreeId::ALLOC),
            Some((place(BtreeId::ALLOC, 1), bad))
        );
        h.mark_checked(BtreeId::ALLOC);
        assert!(!h.is_sick(BtreeId::ALLOC) && h.is_checked(BtreeId::ALLOC));
        assert_eq!(h.first(BtreeId::ALLOC), None);
    }

    #[test]
    fn a_bad_key_costs_only_itself() {
        let h = Health::try_new().unwrap();
        let bad = What::Key(Invalid::new(FsckError::INODE_UNPACK_ERROR, "test"));
        assert!(!h.found(place(BtreeId::INODES, 0), bad));
        assert!(h.is_damaged(BtreeId::INODES));
        assert_eq!(h.require(BtreeId::INODES), Ok(()));
        // A topology error that comes later makes it sick all the same; the first stays.
        assert!(h.found(place(BtreeId::INODES, 1), What::Node(Error::NodeGap)));
        assert_eq!(
            h.first(BtreeId::INODES),
            Some((place(BtreeId::INODES, 0), bad))
        );
    }
}
