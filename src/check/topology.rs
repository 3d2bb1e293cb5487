// SPDX-License-Identifier: GPL-2.0

//! The pass `check_topology`: whether the nodes of each btree can be read and cover all there is to
//! cover.
//!
//! A btree that is derived of others and has lost a node is given up whole, and made anew by the
//! passes about allocations. Nodes of others would have to be looked for on all of the device,
//! which is left to the tools.

use super::{
    Outcome,
    Report, //
};
use crate::{
    btree::Btrees,
    env::pr_err,
    error::{
        fsck::FsckError,
        Error,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::{
            BtreeId,
            BTREE_ID_NR_MAX, //
        },
    },
};

/// Btrees that can be made of others. C: `btree_id_is_alloc()`.
const DERIVED: [BtreeId; 7] = [
    BtreeId::ALLOC,
    BtreeId::FREESPACE,
    BtreeId::NEED_DISCARD,
    BtreeId::LRU,
    BtreeId::BACKPOINTERS,
    BtreeId::BUCKET_GENS,
    BtreeId::ACCOUNTING,
];

/// A set of btrees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LostBtrees(u64);

impl LostBtrees {
    /// Whether a btree is one of them.
    pub fn has(&self, btree: BtreeId) -> bool {
        self.0 & 1u64.wrapping_shl(btree.0.into()) != 0
    }

    fn add(&mut self, btree: BtreeId) {
        self.0 |= 1u64.wrapping_shl(btree.0.into());
    }

    /// All that can be lost without losing anything.
    pub fn all_derived() -> Self {
        let mut all = Self::default();
        DERIVED.into_iter().for_each(|b| all.add(b));
        all
    }

    /// As the superblock has them.
    pub const fn bits(&self) -> u64 {
        self.0
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.0 == 0
    }
}

/// Reads all nodes of all btrees. Btrees that are derived of others and are damaged are given up,
/// if `report` says so, and returned.
///
/// Errors: [`Error::CheckTopology`] when another one is damaged.
///
/// C: `bch2_check_topology()`.
#[inline(never)]
pub fn check_topology(btrees: &Btrees, report: &mut Report) -> Result<LostBtrees> {
    let mut lost = LostBtrees::default();
    let mut beyond_repair = false;
    let st = btrees.sb();
    for btree in (0..BTREE_ID_NR_MAX).map(BtreeId) {
        let (e, unusable) = match read_all(btrees, btree) {
            Ok(0) => {
                btrees.health.mark_checked(btree);
                continue;
            }
            // A key costs itself, not its btree.
            Ok(_) if !DERIVED.contains(&btree) => continue,
            Ok(nr) => (None, nr),
            Err(e) if e.is_corruption() || e == Error::NodeNoDevice => (Some(e), 0),
            Err(e) => return Err(e),
        };
        if !DERIVED.contains(&btree) {
            if let Some(e) = e {
                pr_err!("{}: btree {btree} has lost nodes: {e}", st.name());
            }
            beyond_repair = true;
            continue;
        }
        let id = FsckError::BTREE_ROOT_READ_ERROR;
        let outcome = match e {
            Some(e) => report.found(
                st,
                id,
                format_args!("btree {btree} is damaged: {e}: make it anew"),
            )?,
            None => report.found(
                st,
                id,
                format_args!("btree {btree} has {unusable} damaged keys: make it anew"),
            )?,
        };
        match outcome {
            Outcome::Repair => give_up(btrees, btree, &mut lost),
            // Without damaged keys something can be done, without nodes nothing.
            Outcome::Leave => beyond_repair |= e.is_some(),
        }
    }
    // Only one of them knows the generations of buckets.
    beyond_repair |= lost.has(BtreeId::ALLOC) && lost.has(BtreeId::BUCKET_GENS);
    match beyond_repair {
        true => Err(Error::CheckTopology),
        false => Ok(lost),
    }
}

/// Gives up what is known of space, to make it anew, but for the generations of buckets.
///
/// C: `bch2_reconstruct_alloc()`.
pub fn give_up_alloc(btrees: &Btrees, lost: &mut LostBtrees) {
    for btree in DERIVED {
        if btree != BtreeId::BUCKET_GENS && btree != BtreeId::ACCOUNTING {
            give_up(btrees, btree, lost);
        }
    }
}

fn give_up(btrees: &Btrees, btree: BtreeId, lost: &mut LostBtrees) {
    if btrees.abandon_nodes(btree) {
        lost.add(btree);
    }
}

/// Reads all nodes of a btree; returns the number of keys that can not be used.
fn read_all(btrees: &Btrees, btree: BtreeId) -> Result<u64> {
    let mut iter = btrees.iter(btree, 0, Bpos::MIN);
    while iter.advance()?.is_some() {}
    Ok(iter.nr_unusable())
}
