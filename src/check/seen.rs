// SPDX-License-Identifier: GPL-2.0

//! Which snapshots see a key, while all keys are gone through in order.

use crate::{
    env::Vec,
    error::Result,
    format::bpos::Bpos,
    snapshots::Table, //
};

/// The keys at one place, of all snapshots, up to the one that is looked at.
///
/// C: `struct snapshots_seen`.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pos: Bpos,
    /// Ascending.
    ids: Vec<u32>,
}

impl Seen {
    /// The next key is at `pos`, be it a whiteout.
    ///
    /// C: `snapshots_seen_update()`.
    pub(super) fn note(&mut self, pos: Bpos) -> Result {
        if !self.pos.same_place(pos) {
            self.ids.clear();
        }
        self.pos = pos;
        match self.ids.last() == Some(&pos.snapshot) {
            true => Ok(()),
            false => self.ids.push(pos.snapshot),
        }
    }

    /// Whether the snapshot `id`, the key's own or one with a lower number, sees it.
    ///
    /// C: `key_visible_in_snapshot()`.
    pub(super) fn is_seen_by(&self, table: &Table, id: u32) -> bool {
        let own = self.pos.snapshot;
        let hides = |other: &&u32| **other != own && **other >= id;
        id == own
            || table.is_ancestor(id, own)
                && !self
                    .ids
                    .iter()
                    .filter(hides)
                    .any(|other| table.is_ancestor(id, *other))
    }

    /// Whether some snapshot sees both the key and what is of snapshot `other`.
    ///
    /// C: `ref_visible()`.
    pub(super) fn meets(&self, table: &Table, other: u32) -> bool {
        match other <= self.pos.snapshot {
            true => self.is_seen_by(table, other),
            false => table.is_ancestor(self.pos.snapshot, other),
        }
    }

    /// Becomes a copy of `other`, to go back to later.
    pub(super) fn copy_from(&mut self, other: &Self) -> Result {
        self.pos = other.pos;
        self.ids.clear();
        self.ids.extend_from_slice(&other.ids)
    }
}
