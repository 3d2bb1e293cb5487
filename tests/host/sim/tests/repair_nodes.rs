// SPDX-License-Identifier: GPL-2.0

//! Nodes of btrees are overwritten that nothing else can be made of: when it is those above the
//! leaves, everything is as it was after a repair; when it is a leaf, all that was in others is.
//! Also when the power is lost meanwhile.
//!
//! `BCACHEFS_RS_CUTS` sets how many moments are looked at for each case, 0 for every one;
//! `BCACHEFS_RS_SEED` which.

mod engine;

use engine::golden::{
    check_whole,
    contents,
    cuts,
    left,
    overwritten,
    root_of,
    start,
    REPAIR, //
};
use sim::{
    btree::ptr::NodePtr,
    check::{
        keys_of_users,
        Keys, //
    },
    env::Arc as EnvArc,
    error::Error,
    format::{
        bpos::Bpos,
        btree_id::BtreeId, //
    },
    init::{
        Access,
        Filesystem, //
    },
    sys::{
        block::{
            Disk,
            Power,
            Replay, //
        },
        caller,
    },
};

/// It has two levels of nodes.
const IMAGE: &str = "v113-many";
const BTREES: [BtreeId; 3] = [BtreeId::EXTENTS, BtreeId::INODES, BtreeId::DIRENTS];

fn read(disks: Vec<Disk>) -> EnvArc<Filesystem> {
    start(disks, Access::Read, "", &Power::new()).0.unwrap()
}

/// The root of a btree, and its leaves.
fn nodes(fs: &Filesystem, btree: BtreeId) -> (NodePtr, Vec<NodePtr>) {
    let sizes = fs.view.btrees.entry_sizes();
    assert_eq!(fs.view.btrees.root_level(btree), 1, "{btree}");
    let mut leaves = Vec::new();
    let mut iter = fs.view.btrees.iter(btree, 1, Bpos::MIN);
    while let Some(key) = iter.next().unwrap() {
        leaves.push(NodePtr::decode(btree, 0, &key, sizes).unwrap());
    }
    (root_of(fs, btree), leaves)
}

/// The filesystem without some nodes.
fn without(name: &str, lost: &[NodePtr]) -> Vec<Disk> {
    let copies = lost.iter().flat_map(NodePtr::copies);
    overwritten(contents(name).unwrap(), copies)
}

/// What is left is whole; returns what it has.
fn check(disks: Vec<Disk>, what: &str) -> Keys {
    keys_of_users(&check_whole(disks, what).view)
}

fn repair(disks: Vec<Disk>, what: &str) -> Vec<Disk> {
    let (fs, media) = start(disks, Access::Write, REPAIR, &Power::new());
    drop(fs.unwrap_or_else(|e| panic!("{what}: {e}")));
    left(&media)
}

/// Repairs with the power lost at some moments, and then again.
fn with_cuts(disks: impl Fn() -> Vec<Disk>, check: impl Fn(Vec<Disk>, &str), what: &str) {
    let power = Power::new();
    let (fs, media) = start(disks(), Access::Write, REPAIR, &power);
    drop(fs.unwrap());
    let last = power.now();
    let mut replays: Vec<_> = media.iter().map(|m| Replay::new(m).unwrap()).collect();
    for cut in cuts(last, 8) {
        let left_over = replays.iter_mut().map(|r| r.image(cut)).collect();
        let what = format!("{what}: {cut:?} of {last}");
        check(repair(left_over, &what), &what);
    }
}

/// The only way to all leaves is lost.
#[test]
fn what_is_above_the_leaves_is_made_anew() {
    let Some(disks) = contents(IMAGE) else { return };
    let fs = read(disks);
    let want = keys_of_users(&fs.view);
    for btree in BTREES {
        let (root, leaves) = nodes(&fs, btree);
        assert!(leaves.len() > 2);
        let what = format!("the root of {btree}");
        let damaged = || without(IMAGE, &[root]);
        let all_there = |disks: Vec<Disk>, what: &str| {
            assert!(check(disks, what) == want, "{what}: other keys");
        };
        all_there(repair(damaged(), &what), &what);
        println!("{what}, above {} leaves: made anew", leaves.len());
        if btree == BtreeId::DIRENTS {
            with_cuts(damaged, all_there, &what);
        }
    }
}

/// A leaf is lost, and maybe the way to it as well. What was in others is there, or follows from
/// what is lost.
#[test]
fn a_leaf_costs_what_was_in_it() {
    let Some(disks) = contents(IMAGE) else { return };
    let fs = read(disks);
    let want = keys_of_users(&fs.view);
    for btree in BTREES {
        let (root, leaves) = nodes(&fs, btree);
        for (nr, with_root) in [(0, false), (1, true), (leaves.len() - 1, false)] {
            let leaf = leaves[nr];
            let lost = [leaf, root];
            let what = format!("leaf {nr} of {btree}, {with_root}");
            let damaged = || without(IMAGE, &lost[..1 + usize::from(with_root)]);
            let in_leaf = |pos: &Bpos| leaf.min().unwrap() <= *pos && *pos <= leaf.max;
            let rest_there = |disks: Vec<Disk>, what: &str| {
                let have = check(disks, what);
                let rest = want
                    .keys()
                    .filter(|(b, pos)| *b == btree.0 && !in_leaf(pos));
                let gone = rest.filter(|k| !have.contains_key(*k)).count();
                // Names of files whose inodes are lost are deleted, and so on.
                let may_follow = btree == BtreeId::DIRENTS;
                assert!(gone == 0 || may_follow, "{what}: {gone} keys are gone");
            };
            rest_there(repair(damaged(), &what), &what);
            println!("{what}: repaired");
            if nr == 1 && btree == BtreeId::EXTENTS {
                with_cuts(damaged, rest_there, &what);
            }
        }
    }
}

/// The only copy of a node on a device that is missing is not taken for lost.
#[test]
fn nodes_on_missing_devices_are_not_made_anew() {
    let Some(mut disks) = contents("v113-threedev") else {
        return;
    };
    let fs = read(contents("v113-threedev").unwrap());
    let ptr = root_of(&fs, BtreeId::INODES);
    assert_eq!(ptr.copies().count(), 1);
    disks.remove(usize::from(ptr.copies().next().unwrap().dev.0));
    let opts = "very_degraded,fsck,fix_errors=yes";
    let (fs, media) = start(disks, Access::Write, opts, &Power::new());
    assert_eq!(fs.err(), Some(Error::CheckTopology));
    assert!(media.iter().all(|m| m.changes_since(0) == 0));
}

/// Nor is one of which a copy is bad, and another one on a device that is missing.
#[test]
fn a_missing_copy_may_be_good() {
    let name = "v113-repl2";
    let Some(disks) = contents(name) else { return };
    let ptr = root_of(&read(disks), BtreeId::INODES);
    let copies: Vec<_> = ptr.copies().collect();
    assert_eq!(copies.len(), 2);
    for (missing, bad) in [(copies[0], copies[1]), (copies[1], copies[0])] {
        let mut disks = overwritten(contents(name).unwrap(), [bad].into_iter());
        disks.remove(usize::from(missing.dev.0));
        let e = refused(disks, "very_degraded,fsck,fix_errors=yes");
        assert_eq!(e, Some(Error::CheckTopology));
    }
}

/// Why a mount is refused, and that nothing was written then.
fn refused(disks: Vec<Disk>, opts: &str) -> Option<Error> {
    let (fs, media) = start(disks, Access::Write, opts, &Power::new());
    assert!(media.iter().all(|m| m.changes_since(0) == 0), "{opts}");
    fs.err()
}

/// Without leave, nothing is made anew.
#[test]
fn what_is_lost_is_not_always_repaired() {
    let Some(disks) = contents(IMAGE) else { return };
    let (root, leaves) = nodes(&read(disks), BtreeId::EXTENTS);
    for lost in [root, leaves[1]] {
        let e = refused(without(IMAGE, &[lost]), "fsck,fix_errors=no,errors=ro");
        assert_eq!(e, Some(Error::CheckTopology));
    }
}

/// Of a btree of one node nothing is left. To make it anew of what is found is always right, but
/// to have it be empty needs leave.
#[test]
fn an_empty_btree_needs_leave() {
    let name = "v113-dmgbase";
    let Some(disks) = contents(name) else { return };
    let fs = read(disks);
    let btree = BtreeId::XATTRS;
    let ptr = root_of(&fs, btree);
    let damaged = || without(name, &[ptr]);
    let e = refused(damaged(), "fsck,fix_errors=no,errors=fix_safe");
    assert_eq!(e, Some(Error::CheckMustRepair));
    let have = check(repair(damaged(), "empty"), "empty");
    assert!(have.keys().all(|(b, _)| *b != btree.0));
    assert!(keys_of_users(&fs.view).keys().any(|(b, _)| *b == btree.0));
}

/// Who is in a hurry can end it, and nothing has changed then.
#[test]
fn looking_for_nodes_can_be_interrupted() {
    let Some(disks) = contents(IMAGE) else { return };
    let (root, _) = nodes(&read(disks), BtreeId::INODES);
    let disks = without(IMAGE, &[root]);
    caller::with(|c| c.interrupted = true);
    let (fs, media) = start(disks, Access::Write, REPAIR, &Power::new());
    caller::with(|c| c.interrupted = false);
    assert_eq!(fs.err(), Some(Error::ScanInterrupted));
    assert!(media.iter().all(|m| m.changes_since(0) == 0));
    check(repair(left(&media), "then"), "then");
}
