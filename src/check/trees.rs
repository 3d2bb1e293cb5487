// SPDX-License-Identifier: GPL-2.0

//! Snapshot trees and subvolumes as they are stored, for the passes that check them.

use crate::{
    alloc::space::{
        Engine,
        Space, //
    },
    btree::{
        trans::TransResult,
        Btrees, //
    },
    env::{
        pr_err,
        Vec, //
    },
    error::{
        Error,
        Invalid,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        values::{
            snapshot::{
                Snapshot,
                SnapshotTree, //
            },
            subvolume::Subvolume,
        },
    },
    snapshots::{
        Table,
        Writing, //
    },
};

/// Values by id, in ascending order.
pub(super) type ById<T> = Vec<(u32, T)>;

/// All there is.
pub(super) struct Trees {
    pub(super) nodes: ById<Snapshot>,
    pub(super) trees: ById<SnapshotTree>,
    pub(super) subvols: ById<Subvolume>,
    /// Who descends from whom.
    table: Table,
}

fn all<T>(
    btrees: &Btrees,
    btree: BtreeId,
    key_type: KeyType,
    decode: impl Fn(&[u8]) -> Result<T, Invalid>,
) -> Result<ById<T>> {
    btrees.health.require(btree)?;
    let mut found = Vec::new();
    let mut iter = btrees.iter(btree, 0, Bpos::MIN);
    while let Some(key) = iter.next()? {
        let id = u32::try_from(key.k.p.offset).ok();
        let value = decode(key.v).ok().filter(|_| key.k.key_type == key_type);
        match id.zip(value) {
            Some(both) => found.push(both)?,
            None => pr_err!("{}: btree {btree}: what is {}?", btrees.sb().name(), key.k),
        }
    }
    Ok(found)
}

/// The value of an id.
pub(super) fn get<T: Copy>(from: &[(u32, T)], id: u32) -> Option<T> {
    let at = from.binary_search_by_key(&id, |e| e.0).ok()?;
    from.get(at).map(|e| e.1)
}

/// The value of an id, to change.
pub(super) fn get_mut<T>(from: &mut [(u32, T)], id: u32) -> Option<&mut T> {
    let at = from.binary_search_by_key(&id, |e| e.0).ok()?;
    from.get_mut(at).map(|e| &mut e.1)
}

impl Trees {
    #[inline(never)]
    pub(super) fn read(btrees: &Btrees) -> Result<Self> {
        let (s, t) = (BtreeId::SNAPSHOTS, BtreeId::SNAPSHOT_TREES);
        let nodes = all(btrees, s, KeyType::SNAPSHOT, Snapshot::decode)?;
        let parents = nodes.iter().rev().map(|(id, s)| (*id, s.parent, s.tree));
        // Orphans are found one by one.
        let (table, _) = Table::of(parents)?;
        Ok(Self {
            nodes,
            table,
            trees: all(btrees, t, KeyType::SNAPSHOT_TREE, SnapshotTree::decode)?,
            subvols: all(
                btrees,
                BtreeId::SUBVOLUMES,
                KeyType::SUBVOLUME,
                Subvolume::decode,
            )?,
        })
    }

    /// Whether `above` is `id` or above it.
    ///
    /// C: `bch2_snapshot_is_ancestor_early()`.
    pub(super) fn is_ancestor(&self, id: u32, above: u32) -> bool {
        self.table.is_ancestor(id, above)
    }

    /// The root of the tree that `id` is in.
    pub(super) fn root(&self, mut id: u32) -> u32 {
        while let Some(s) = get(&self.nodes, id).filter(|s| s.parent > id) {
            id = s.parent;
        }
        id
    }
}

/// Runs a transaction that repairs something.
pub(super) fn repair(
    engine: Engine<'_>,
    mut f: impl FnMut(&mut crate::alloc::space::Trans<'_>) -> TransResult,
) -> Result {
    let w: Writing<'_, Space> = Writing {
        btrees: engine.btrees,
        writer: engine.writer,
    };
    w.run(|t| {
        f(t)?;
        t.commit()
    })?;
    Ok(())
}

/// A node of a snapshot tree is such that nobody can tell what it should be.
pub(super) fn broken(btrees: &Btrees, what: core::fmt::Arguments<'_>) -> Result {
    pr_err!("{}: {what}: can not be repaired", btrees.sb().name());
    Err(Error::SnapshotTreeBroken)
}
