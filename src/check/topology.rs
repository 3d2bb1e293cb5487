// SPDX-License-Identifier: GPL-2.0

//! The pass `check_topology`: whether the nodes of each btree can be read and cover all there is to
//! cover.
//!
//! A btree that is derived of others and has lost a node is given up whole, and made anew by the
//! passes about allocations. Of others what is left of the node is used, or older ones in its
//! place: see `nodes.rs`.

use super::{
    nodes::Nodes,
    Outcome,
    Report, //
};
use crate::{
    btree::{
        Btrees,
        Survey, //
    },
    env::pr_err,
    error::{
        fsck::FsckError,
        Error,
        Result, //
    },
    format::btree_id::{
        BtreeId,
        BTREE_ID_NR_MAX, //
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

/// Whether a btree can be made of others.
pub(super) fn is_derived(btree: BtreeId) -> bool {
    DERIVED.contains(&btree)
}

/// A set of btrees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LostBtrees(u64);

impl LostBtrees {
    /// Whether a btree is one of them.
    pub fn has(&self, btree: BtreeId) -> bool {
        self.0 & 1u64.wrapping_shl(btree.0.into()) != 0
    }

    pub(super) fn add(&mut self, btree: BtreeId) {
        self.0 |= 1u64.wrapping_shl(btree.0.into());
    }

    /// All that can be lost without losing anything.
    pub fn all_derived() -> Self {
        let mut all = Self::default();
        DERIVED.into_iter().for_each(|b| all.add(b));
        all
    }

    /// Those that passes about snapshots look after.
    pub fn of_snapshots() -> Self {
        let mut all = Self::default();
        let btrees = [
            BtreeId::SNAPSHOTS,
            BtreeId::SNAPSHOT_TREES,
            BtreeId::SUBVOLUMES,
        ];
        btrees.into_iter().for_each(|b| all.add(b));
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

    /// Whether one of them can not be made of others.
    pub fn has_sources(&self) -> bool {
        self.0 & !Self::all_derived().0 != 0
    }
}

/// Reads all nodes of all btrees, and repairs what is lost if `report` says so. Returns the btrees
/// that have lost something: those that are derived of others were given up.
///
/// Errors: [`Error::CheckTopology`] when something is left that is damaged.
///
/// C: `bch2_check_topology()`.
#[inline(never)]
pub fn check_topology(
    btrees: &Btrees,
    report: &mut Report,
    scanned: &mut Nodes,
) -> Result<LostBtrees> {
    let mut lost = LostBtrees::default();
    let mut whole = true;
    for btree in (0..BTREE_ID_NR_MAX).map(BtreeId) {
        whole &= match is_derived(btree) {
            true => check_derived(btrees, report, btree, &mut lost)?,
            false => scanned.check(btrees, report, btree, &mut lost)?,
        };
    }
    match whole {
        true => Ok(lost),
        false => Err(Error::CheckTopology),
    }
}

/// Says whether what is left can be gone on with.
#[inline(never)]
fn check_derived(
    btrees: &Btrees,
    report: &mut Report,
    btree: BtreeId,
    lost: &mut LostBtrees,
) -> Result<bool> {
    let st = btrees.sb();
    let id = FsckError::BTREE_ROOT_READ_ERROR;
    if !btrees.exists(btree) {
        btrees.health.mark_checked(btree);
        return Ok(true);
    }
    let survey = match btrees.root_error(btree) {
        None => btrees.survey(btree)?,
        Some(_) => Survey::default(),
    };
    let whole = survey.is_whole();
    let outcome = match (whole, survey.bad_keys.len()) {
        (true, 0) => {
            btrees.health.mark_checked(btree);
            return Ok(true);
        }
        (true, nr) => report.found(
            st,
            id,
            format_args!("btree {btree} has {nr} damaged keys: make it anew"),
        )?,
        (false, _) => report.found(
            st,
            id,
            format_args!("btree {btree} has lost nodes: make it anew"),
        )?,
    };
    if outcome == Outcome::Leave {
        if !whole {
            pr_err!("{}: btree {btree} has lost nodes", st.name());
        }
        // Without damaged keys something can be done, without nodes nothing.
        return Ok(whole);
    }
    give_up(btrees, btree, lost);
    Ok(true)
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
