// SPDX-License-Identifier: GPL-2.0

//! Nodes of btrees that nothing else says anything about: what is lost of them, and what takes its
//! place.
//!
//! 1. Of a node of which no copy is whole, what is left is used: keys of sets with a wrong checksum
//!    that can be right, each by itself.
//! 2. For ranges of which the leaf is lost, also because the way to it is, leaves are looked for in
//!    the space of all devices, and the newest for each place taken: some that were replaced long
//!    ago, if there are no others.
//! 3. What then is missing is lost: the leaf behind it covers its range from then on.
//!
//! All above the leaves is made anew. A leaf that the btree leads to is never replaced by one that
//! was found: what was never part of a btree looks just like what is.

use super::{
    look::Gens,
    topology::{
        is_derived,
        LostBtrees, //
    },
    Outcome,
    Report, //
};
use crate::{
    alloc::foreground::NodeRegions,
    btree::{
        found::{
            close_gaps,
            gaps,
            join_copies,
            newest,
            unite,
            within,
            FoundNode, //
        },
        ptr::NodePtr,
        Btrees,
        LostNode,
        ScanFor,
        Survey, //
    },
    env::{
        pr_err,
        pr_info,
        sort::sort_by,
        units::Sectors,
        Vec, //
    },
    error::{
        fsck::FsckError,
        Error,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        data_type::DataType,
        sb::Version, //
    },
    sb::Device,
};

/// Since when superblocks say where btree nodes are.
/// C: `bcachefs_metadata_version_mi_btree_bitmap`.
const REGIONS_SINCE: Version = Version::new(1, 7);

/// Leaves that were found, once they were looked for.
#[derive(Default)]
pub struct Nodes {
    /// In order of btree.
    found: Option<Vec<FoundNode>>,
}

impl Nodes {
    /// The pass `scan_for_btree_nodes`: looks for leaves, unless that was done.
    ///
    /// C: `bch2_scan_for_btree_nodes()`.
    #[inline(never)]
    pub fn scan(&mut self, btrees: &Btrees) -> Result {
        if self.found.is_some() {
            return Ok(());
        }
        let st = btrees.sb();
        let gens = Gens::read_if_there(btrees)?;
        let version = st.sb.version_upgrade_complete();
        let may_be = |dev: &Device, at: Sectors| {
            let regions = NodeRegions::of(&dev.member);
            version < REGIONS_SINCE || regions.covers(at, st.sb.node_sectors().into())
        };
        let what = ScanFor {
            may_be: &may_be,
            generation: &|dev, bucket| gens.get(dev.idx, bucket),
            wanted: &|btree| !is_derived(btree),
        };
        let mut found = Vec::new();
        pr_info!("{}: looking for btree nodes on all devices", st.name());
        for dev in st.devices().filter(|d| d.member.allows(DataType::BTREE)) {
            btrees.scan(dev, &what, &mut found)?;
        }
        join_copies(&mut found)?;
        sort_by(&mut found, |a, b| a.btree().cmp(&b.btree()));
        pr_info!("{}: found {} leaves of btrees", st.name(), found.len());
        self.found = Some(found);
        Ok(())
    }

    /// The newest leaves for each place of a btree.
    fn of(&mut self, btrees: &Btrees, btree: BtreeId) -> Result<Vec<FoundNode>> {
        self.scan(btrees)?;
        let mut of_btree = Vec::new();
        let all = self.found.iter().flat_map(|f| f.iter());
        for node in all.filter(|n| n.btree() == btree) {
            of_btree.push(*node)?;
        }
        newest(&mut of_btree)
    }

    /// Checks one btree. Says whether it is whole then, and if something is lost, adds it to
    /// `lost`.
    ///
    /// C: `bch2_btree_repair_topology_recurse()`.
    #[inline(never)]
    pub(super) fn check(
        &mut self,
        btrees: &Btrees,
        report: &mut Report,
        btree: BtreeId,
        lost: &mut LostBtrees,
    ) -> Result<bool> {
        if !btrees.exists(btree) {
            btrees.health.mark_checked(btree);
            return Ok(true);
        }
        if let Some(e) = btrees.root_error(btree) {
            if !root_is_lost(btrees, report, btree, e)? {
                return Ok(false);
            }
            lost.add(btree);
            btrees.set_salvaging(true);
            match btrees.read_root_again(btree) {
                Ok(()) => pr_info!(
                    "{}: what is left of the root of btree {btree} is used",
                    btrees.sb().name()
                ),
                Err(e) if e.is_corruption() => {
                    let bad_keys = self.make_anew(btrees, report, btree, Survey::default())?;
                    drop_keys(btrees, report, btree, &bad_keys, lost)?;
                    return Ok(true);
                }
                Err(e) => return Err(e),
            }
        }
        let mut survey = btrees.survey(btree)?;
        if !survey.is_whole() {
            survey = match salvage(btrees, report, btree, survey)? {
                Some(survey) => survey,
                None => return Ok(false),
            };
            lost.add(btree);
        }
        let bad_keys = match survey.is_whole() {
            true => survey.bad_keys,
            false => self.make_anew(btrees, report, btree, survey)?,
        };
        // A key costs itself, not its btree.
        if drop_keys(btrees, report, btree, &bad_keys, lost)? {
            btrees.health.mark_checked(btree);
        }
        Ok(true)
    }

    /// Makes a btree of the leaves that are there and those that are found. Returns where they have
    /// keys that can not be used.
    #[inline(never)]
    fn make_anew(
        &mut self,
        btrees: &Btrees,
        report: &mut Report,
        btree: BtreeId,
        survey: Survey,
    ) -> Result<Vec<Bpos>> {
        let st = btrees.sb();
        let found = self.of(btrees, btree)?;
        let Survey {
            mut leaves,
            bad_keys,
            ..
        } = survey;
        let mut all = newest(&mut leaves)?;
        let nr_kept = all.len();
        let more = within(&found, &gaps(&all)?)?;
        unite(&mut all, &more)?;
        pr_info!(
            "{}: btree {btree}: {nr_kept} leaves are left, {} older ones take the place of others",
            st.name(),
            more.len()
        );
        if all.is_empty() {
            let id = FsckError::BTREE_ROOT_UNREADABLE_AND_SCAN_FOUND_NOTHING;
            must(report.found(
                st,
                id,
                format_args!("no nodes found for btree {btree}: it is empty now"),
            )?)?;
        } else {
            for (min, max) in gaps(&all)?.iter() {
                let id = FsckError::BTREE_NODE_TOPOLOGY_BAD_MIN_KEY;
                must(report.found(
                    st,
                    id,
                    format_args!("btree {btree}: what it had from {min} to {max} is lost"),
                )?)?;
            }
            close_gaps(&mut all);
        }
        btrees.make_of(btree, &all)?;
        match more.is_empty() {
            true => Ok(bad_keys),
            // Those that were found have not been looked at for that.
            false => Ok(btrees.survey(btree)?.bad_keys),
        }
    }
}

/// What has to be repaired for that anything can be done: if it is not to be, that is the end.
fn must(outcome: Outcome) -> Result {
    match outcome {
        Outcome::Repair => Ok(()),
        Outcome::Leave => Err(Error::CheckMustRepair),
    }
}

/// Whether there is a copy of a node on a device that is missing: that one may be good.
fn is_missing(btrees: &Btrees, ptr: &NodePtr) -> bool {
    ptr.copies().any(|c| btrees.sb().dev(c.dev).is_none())
}

/// A root can not be read: is the btree to be made anew? Not if it is on a device that is missing.
fn root_is_lost(btrees: &Btrees, report: &mut Report, btree: BtreeId, e: Error) -> Result<bool> {
    let root = btrees.broken_root_pointer(btree);
    if root.is_some_and(|root| is_missing(btrees, &root)) || !e.is_corruption() {
        pr_err!("{}: the root of btree {btree}: {e}", btrees.sb().name());
        return Ok(false);
    }
    let id = FsckError::BTREE_ROOT_READ_ERROR;
    Ok(report.found(
        btrees.sb(),
        id,
        format_args!("the root of btree {btree} can not be read ({e}): make it anew"),
    )? == Outcome::Repair)
}

/// Reports what is lost, and sees whether something is left of it. `None` when nothing is to be
/// done about it, or nothing can be done.
#[inline(never)]
fn salvage(
    btrees: &Btrees,
    report: &mut Report,
    btree: BtreeId,
    survey: Survey,
) -> Result<Option<Survey>> {
    let st = btrees.sb();
    let missing = |l: &&LostNode| is_missing(btrees, &l.ptr);
    if let Some(lost) = survey.lost.iter().find(missing) {
        pr_err!(
            "{}: btree node ({}) is on a missing device",
            st.name(),
            lost.ptr
        );
        return Ok(None);
    }
    let mut repair = true;
    for LostNode { ptr, error } in survey.lost.iter() {
        let id = FsckError::BTREE_NODE_UNREADABLE;
        repair &= report.found(
            st,
            id,
            format_args!("btree node ({ptr}) can not be read: {error}"),
        )? == Outcome::Repair;
    }
    if survey.bad_pointers != 0 || survey.lost.is_empty() {
        let id = FsckError::BTREE_NODE_TOPOLOGY_GAP_BETWEEN_NODES;
        let nr = survey.bad_pointers;
        repair &= report.found(
            st,
            id,
            format_args!("btree {btree} has gaps, or overlaps; {nr} bad pointers to nodes"),
        )? == Outcome::Repair;
    }
    if !repair {
        return Ok(None);
    }
    btrees.set_salvaging(true);
    let mut nr = 0usize;
    for lost in survey.lost.iter() {
        match btrees.read_again(lost) {
            Ok(()) => nr = nr.saturating_add(1),
            Err(e) if e.is_corruption() => continue,
            Err(e) => return Err(e),
        }
        pr_info!(
            "{}: btree node ({}): what is left of it is used",
            st.name(),
            lost.ptr
        );
    }
    match nr {
        0 => Ok(Some(survey)),
        _ => btrees.survey(btree).map(Some),
    }
}

/// Deletes keys that can not be used. Says whether none is left.
fn drop_keys(
    btrees: &Btrees,
    report: &mut Report,
    btree: BtreeId,
    keys: &[Bpos],
    lost: &mut LostBtrees,
) -> Result<bool> {
    if keys.is_empty() {
        return Ok(true);
    }
    let mut drop = Vec::new();
    for pos in keys {
        let id = FsckError::BTREE_NODE_BAD_BKEY;
        if report.found(
            btrees.sb(),
            id,
            format_args!("btree {btree} {pos}: the key there can not be used: delete it"),
        )? == Outcome::Repair
        {
            drop.push(*pos)?;
        }
    }
    if !drop.is_empty() {
        lost.add(btree);
        btrees.delete_unusable(btree, &drop)?;
    }
    Ok(drop.len() == keys.len())
}
