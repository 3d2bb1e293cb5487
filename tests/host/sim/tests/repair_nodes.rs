// SPDX-License-Identifier: GPL-2.0

//! Nodes of btrees are overwritten that nothing else can be made of: when it is those above the
//! leaves, everything is as it was after a repair; when it is a leaf, all that was in others is.
//! Also when the power is lost meanwhile.
//!
//! `BCACHEFS_RS_CUTS` sets how many moments are looked at for each case, `BCACHEFS_RS_SEED` which.

use sim::{
    btree::ptr::NodePtr,
    check::{
        check_derived,
        keys_of_users,
        Keys, //
    },
    env::{
        Arc as EnvArc,
        Vec as EnvVec, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        opts::Opts, //
    },
    golden::{
        images,
        Image, //
    },
    init::{
        Access,
        Filesystem, //
    },
    sys::{
        block::{
            BlockDevice,
            Disk,
            Durability,
            Medium,
            Power,
            PowerCut,
            Replay, //
        },
        caller,
    },
};
use std::sync::Arc;

const REPAIR: &str = "fsck,fix_errors=yes";
/// It has two levels of nodes.
const IMAGE: &str = "v113-many";
const BTREES: [BtreeId; 3] = [BtreeId::EXTENTS, BtreeId::INODES, BtreeId::DIRENTS];

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |v| v.parse().unwrap())
}

fn contents(name: &str) -> Option<Vec<Disk>> {
    let Some(folder) = images::folder() else {
        println!("skipped: no golden images (BCACHEFS_RS_IMAGES)");
        return None;
    };
    let image = Image::named(&folder, name)?;
    let disk = |c: Vec<u8>| Disk::from_memory(Arc::new(c));
    Some(image.unpack().unwrap().into_iter().map(disk).collect())
}

fn start(
    disks: Vec<Disk>,
    access: Access,
    opts: &str,
    power: &Power,
) -> (Result<EnvArc<Filesystem>>, Vec<Medium>) {
    let (mut devs, mut media) = (EnvVec::new(), Vec::new());
    for disk in disks {
        let dev = BlockDevice::recorded("sim", disk, power);
        media.push(dev.medium());
        devs.push(dev).unwrap();
    }
    let mut parsed = Opts::new();
    parsed.parse_list(opts).unwrap();
    (Filesystem::start_for(access, devs, &parsed), media)
}

fn left(media: &[Medium]) -> Vec<Disk> {
    media.iter().map(Medium::contents).collect()
}

fn read(disks: Vec<Disk>) -> EnvArc<Filesystem> {
    start(disks, Access::Read, "", &Power::new()).0.unwrap()
}

/// The root of a btree, and its leaves.
fn nodes(fs: &Filesystem, btree: BtreeId) -> (NodePtr, Vec<NodePtr>) {
    let sizes = fs.view.btrees.entry_sizes();
    let (level, root) = fs.view.btrees.root_pointer(btree).unwrap().unwrap();
    assert_eq!(level, 2, "{btree}");
    let root = NodePtr::decode(btree, level - 1, &root.key(), sizes).unwrap();
    let mut leaves = Vec::new();
    let mut iter = fs.view.btrees.iter(btree, 1, Bpos::MIN);
    while let Some(key) = iter.next().unwrap() {
        leaves.push(NodePtr::decode(btree, 0, &key, sizes).unwrap());
    }
    (root, leaves)
}

/// The filesystem without some nodes.
fn without(name: &str, lost: &[NodePtr]) -> Vec<Disk> {
    let devs: Vec<_> = contents(name)
        .unwrap()
        .into_iter()
        .map(|d| BlockDevice::recorded("sim", d, &Power::new()))
        .collect();
    for copy in lost.iter().flat_map(NodePtr::copies) {
        let dev = &devs[usize::from(copy.dev.0)];
        dev.write(copy.offset.0, &[0; 4096], Durability::Fua)
            .unwrap();
    }
    devs.iter().map(|d| d.medium().contents()).collect()
}

/// What is left is whole; returns what it has.
fn check(disks: Vec<Disk>, what: &str) -> Keys {
    let (fs, media) = start(disks, Access::Read, "", &Power::new());
    let fs = fs.unwrap();
    let findings = check_derived(&fs.view);
    assert!(findings.is_empty(), "{what}: {findings:#?}");
    let ext = fs.view.sb().sb.ext().unwrap();
    assert_eq!(ext.recovery_passes_required(), [0; 2], "{what}");
    assert_eq!(ext.btrees_lost_data(), 0, "{what}");
    let keys = keys_of_users(&fs.view);
    let opts = "fsck,fix_errors=exit";
    let (again, _) = start(left(&media), Access::Write, opts, &Power::new());
    let again = again.unwrap_or_else(|e| panic!("{what}: again: {e}"));
    assert_eq!(again.view.sb().errors.since_mount(), 0, "{what}: again");
    keys
}

fn repair(disks: Vec<Disk>, what: &str) -> Vec<Disk> {
    let (fs, media) = start(disks, Access::Write, REPAIR, &Power::new());
    drop(fs.unwrap_or_else(|e| panic!("{what}: {e}")));
    left(&media)
}

/// Repairs with the power lost at some moments, and then again.
fn with_cuts(disks: impl Fn() -> Vec<Disk>, check: impl Fn(Vec<Disk>, &str), what: &str) {
    let (cuts, seed) = (
        setting("BCACHEFS_RS_CUTS", 8),
        setting("BCACHEFS_RS_SEED", 1),
    );
    let power = Power::new();
    let (fs, media) = start(disks(), Access::Write, REPAIR, &power);
    drop(fs.unwrap());
    let last = power.now();
    let mut replays: Vec<_> = media.iter().map(|m| Replay::new(m).unwrap()).collect();
    for nr in 0..cuts {
        let cut = PowerCut {
            at: last * (nr * 2 + 1) / (cuts * 2),
            seed: seed << 32 | nr,
        };
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
    let (_, root) = fs
        .view
        .btrees
        .root_pointer(BtreeId::INODES)
        .unwrap()
        .unwrap();
    let sizes = fs.view.btrees.entry_sizes();
    let ptr = NodePtr::decode(BtreeId::INODES, 0, &root.key(), sizes).unwrap();
    if ptr.copies().count() != 1 {
        return;
    }
    disks.remove(usize::from(ptr.copies().next().unwrap().dev.0));
    let opts = "very_degraded,fsck,fix_errors=yes";
    let (fs, media) = start(disks, Access::Write, opts, &Power::new());
    assert_eq!(fs.err(), Some(Error::CheckTopology));
    assert!(media.iter().all(|m| m.changes_since(0) == 0));
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
    let root = fs.view.btrees.root_pointer(btree).unwrap().unwrap();
    let sizes = fs.view.btrees.entry_sizes();
    let ptr = NodePtr::decode(btree, root.0 - 1, &root.1.key(), sizes).unwrap();
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
