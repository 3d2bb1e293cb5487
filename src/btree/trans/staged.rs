// SPDX-License-Identifier: GPL-2.0

//! The updates of an attempt, in order.

use crate::{
    algo::node_keys::Spot,
    btree::KeyBuf,
    env::Vec,
    error::{
        Error,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId, //
    },
};

/// A key to be written, or deleted.
///
/// C: `struct btree_insert_entry`.
#[derive(Debug)]
pub struct Update {
    /// The btree.
    pub btree: BtreeId,
    /// The level; 0 for keys proper.
    pub level: u8,
    /// The key, or a deletion.
    pub key: KeyBuf,
    /// The number of the journal entry is to be written into it.
    pub(super) stamp: bool,
    /// The index of its node among the locked ones, and where in that it was looked up, if that is
    /// known.
    pub(super) node: Option<usize>,
    pub(super) spot: Option<Spot>,
    /// The key is in the cache: its index among the cached keys that are held. Known at commit.
    pub(in crate::btree) cached: Option<usize>,
}

impl Update {
    /// Whether it changes a cached key, and not its node. Deletions change the node.
    pub(in crate::btree) fn stays_in_cache(&self) -> bool {
        self.cached.is_some() && !self.key.is_deleted()
    }

    fn place(&self) -> (BtreeId, u8, Bpos) {
        (self.btree, self.level, self.key.k.p)
    }
}

/// Updates by btree, level and position; one for each place at most.
#[derive(Debug, Default)]
pub(in crate::btree) struct Staged(Vec<Update>);

impl Staged {
    fn find(&self, place: (BtreeId, u8, Bpos)) -> (usize, bool) {
        let at = self.0.partition_point(|u| u.place() < place);
        (at, self.0.get(at).is_some_and(|u| u.place() == place))
    }

    /// Adds an update, in place of one for the same key.
    pub(super) fn add(&mut self, btree: BtreeId, level: u8, key: KeyBuf) -> Result<&mut Update> {
        let (at, there) = self.find((btree, level, key.k.p));
        if there {
            if let Some(old) = self.0.get_mut(at) {
                (old.key, old.stamp, old.cached) = (key, false, None);
            }
        } else {
            let update = Update {
                btree,
                level,
                key,
                stamp: false,
                node: None,
                spot: None,
                cached: None,
            };
            self.0.insert(at, update)?;
        }
        self.0.get_mut(at).ok_or(Error::NoMemory)
    }

    /// The update for exactly this place.
    pub(super) fn get(&self, btree: BtreeId, level: u8, pos: Bpos) -> Option<&Update> {
        let (at, there) = self.find((btree, level, pos));
        self.0.get(at).filter(|_| there)
    }

    /// The first update of a btree's keys at or after `pos`.
    pub(super) fn next(&self, btree: BtreeId, pos: Bpos) -> Option<&Update> {
        let (at, _) = self.find((btree, 0, pos));
        let next = self.0.get(at)?;
        (next.btree == btree && next.level == 0).then_some(next)
    }

    /// All, in order.
    pub(in crate::btree) fn iter(&self) -> impl Iterator<Item = &Update> {
        self.0.iter()
    }

    /// The update for exactly this place, to change.
    pub(super) fn get_mut(&mut self, btree: BtreeId, level: u8, pos: Bpos) -> Option<&mut Update> {
        let (at, there) = self.find((btree, level, pos));
        self.0.get_mut(at).filter(|_| there)
    }

    /// All, in order, to change what does not change the order.
    pub(in crate::btree) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Update> {
        self.0.iter_mut()
    }

    pub(super) fn nth(&self, at: usize) -> Option<&Update> {
        self.0.get(at)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
