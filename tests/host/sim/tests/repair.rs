// SPDX-License-Identifier: GPL-2.0

//! Damaged filesystems are mounted read-write with `fsck,fix_errors=yes`: what is repaired is as it
//! should be after it, by a check that counts everything anew and shares no code, and nothing else
//! has changed. Also when the power is lost meanwhile.
//!
//! `BCACHEFS_RS_CUTS` sets how many moments are looked at for each image, 0 for every one;
//! `BCACHEFS_RS_SEED` which.

mod engine;

use engine::golden::{
    contents,
    cuts,
    REPAIR, //
};
use sim::{
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
    format::opts::Opts,
    golden::{
        images,
        walk,
        Image, //
    },
    init::{
        Access,
        Filesystem, //
    },
    sys::block::{
        BlockDevice,
        Disk,
        Medium,
        Power,
        PowerCut,
        Replay, //
    },
};
use std::sync::Arc;

/// Damage that is repaired.
const REPAIRED: [&str; 6] = [
    "v113-dmg-accounting",
    "v113-dmg-alloc-header",
    "v113-dmg-alloc-key-deleted",
    "v113-dmg-alloc-key-deleted-dirty",
    "v113-dmg-backpointer",
    "v113-dmg-freespace",
];
/// Nodes that are lost, and whether nothing is missing after the repair.
const LOST: [(&str, bool); 5] = [
    ("v113-dmg-node-seq", true),
    ("v113-dmg-node-csum", true),
    ("v113-dmg-bset-badkey", false),
    ("v113-dmg-node-zero", false),
    // An entry of the journal is lost.
    ("v113-dmg-journal-middle", false),
];

fn start(access: Access, devices: &[BlockDevice], opts: &str) -> Result<EnvArc<Filesystem>> {
    let mut devs = EnvVec::new();
    for d in devices {
        let copy = BlockDevice::recorded("sim", d.medium().contents(), &Power::new());
        devs.push(copy).unwrap();
    }
    start_on(access, devs, opts)
}

fn start_on(access: Access, devs: EnvVec<BlockDevice>, opts: &str) -> Result<EnvArc<Filesystem>> {
    let mut parsed = Opts::new();
    parsed.parse_list(opts).unwrap();
    Filesystem::start_for(access, devs, &parsed)
}

fn devices(contents: Vec<Disk>, power: &Power) -> Vec<BlockDevice> {
    let device = |c: Disk| BlockDevice::recorded("sim", c, power);
    contents.into_iter().map(device).collect()
}

fn taken(devices: Vec<BlockDevice>) -> EnvVec<BlockDevice> {
    let mut devs = EnvVec::new();
    devices.into_iter().for_each(|d| devs.push(d).unwrap());
    devs
}

/// What is left is clean, has all it had, and nothing is wrong with it.
fn check(media: &[Medium], want: &Keys, what: &str) {
    let left: Vec<_> = media.iter().map(Medium::contents).collect();
    let left = devices(left, &Power::new());
    let fs = start(Access::Read, &left, "").unwrap();
    assert!(fs.journal.clean, "{what}");
    let sb = &fs.view.sb().sb;
    let ext = sb.ext().unwrap();
    assert_eq!(ext.recovery_passes_required(), [0; 2], "{what}");
    assert_eq!(ext.btrees_lost_data(), 0, "{what}");
    assert!(keys_of_users(&fs.view) == *want, "{what}: other keys");
    let findings = check_derived(&fs.view);
    assert!(findings.is_empty(), "{what}: {findings:#?}");
    // There is nothing to be repaired any more.
    let again = start(Access::Write, &left, "fsck,fix_errors=exit").unwrap();
    assert_eq!(again.view.sb().errors.since_mount(), 0, "{what}: again");
}

/// Repairs, and says what is on the devices then.
fn repair(devs: Vec<BlockDevice>, what: &str) -> Vec<Medium> {
    let media: Vec<_> = devs.iter().map(BlockDevice::medium).collect();
    let fs = start_on(Access::Write, taken(devs), REPAIR);
    let fs = fs.unwrap_or_else(|e| panic!("{what}: {e}"));
    assert!(fs.read_write().is_ok(), "{what}");
    drop(fs);
    media
}

#[test]
fn what_is_derived_is_made_right() {
    for name in REPAIRED {
        let Some(disks) = contents(name) else { return };
        let devs = devices(disks, &Power::new());
        let want = keys_of_users(&start(Access::Read, &devs, "").unwrap().view);
        let media = repair(devs, name);
        check(&media, &want, name);
        println!("{name}: repaired");
    }
}

/// Nodes of which there is something left, or older ones that can take their place.
#[test]
fn lost_nodes_are_made_of_what_is_left() {
    for (name, whole) in LOST {
        let Some(disks) = contents(name) else { return };
        let media = repair(devices(disks, &Power::new()), name);
        let left = devices(media.iter().map(Medium::contents).collect(), &Power::new());
        let fs = start(Access::Read, &left, "").unwrap();
        let ext = fs.view.sb().sb.ext().unwrap();
        assert_eq!(ext.recovery_passes_required(), [0; 2], "{name}");
        assert_eq!(ext.btrees_lost_data(), 0, "{name}");
        let findings = check_derived(&fs.view);
        assert!(findings.is_empty(), "{name}: {findings:#?}");
        let again = start(Access::Write, &left, "fsck,fix_errors=exit").unwrap();
        assert_eq!(again.view.sb().errors.since_mount(), 0, "{name}: again");
        drop(again);
        // Whatever is left can be reached, and read.
        let tree = walk(&fs.view);
        assert!(tree.errors.is_empty(), "{name}: {:#?}", tree.errors);
        if whole {
            let base = devices(contents("v113-dmgbase").unwrap(), &Power::new());
            let want = keys_of_users(&start(Access::Read, &base, "").unwrap().view);
            let have = keys_of_users(&fs.view);
            let lost: Vec<_> = want.keys().filter(|k| !have.contains_key(*k)).collect();
            assert!(lost.is_empty(), "{name}: {lost:?}");
        }
    }
}

/// Without leave to repair, nothing is: what is wrong stays, or the mount ends with it.
#[test]
fn who_may_not_repair_does_not() {
    let refused = Some(Error::FsckErrorsNotFixed);
    for (opts, want) in [
        ("fsck,fix_errors=no,errors=ro", None),
        ("fsck,fix_errors=exit,errors=ro", refused),
        ("fsck,errors=ro", refused),
    ] {
        let Some(disks) = contents("v113-dmg-backpointer") else {
            return;
        };
        let devs = devices(disks, &Power::new());
        let media: Vec<_> = devs.iter().map(BlockDevice::medium).collect();
        let e = start_on(Access::Write, taken(devs), opts).err();
        assert_eq!(e, want, "{opts}");
        let left = media.iter().map(Medium::contents).collect();
        let fs = start(Access::Read, &devices(left, &Power::new()), "").unwrap();
        assert!(!check_derived(&fs.view).is_empty(), "{opts}: repaired");
    }
}

#[test]
fn the_power_may_be_lost_meanwhile() {
    for name in REPAIRED {
        let Some(disks) = contents(name) else { return };
        let power = Power::new();
        let devs = devices(disks, &power);
        let want = keys_of_users(&start(Access::Read, &devs, "").unwrap().view);
        let first = power.now();
        let media = repair(devs, name);
        let last = power.now();
        let mut replays: Vec<_> = media.iter().map(|m| Replay::new(m).unwrap()).collect();
        for cut in cuts(last - first, 25) {
            let at = first + cut.at;
            let cut = PowerCut { at, ..cut };
            let left: Vec<_> = replays.iter_mut().map(|r| r.image(cut)).collect();
            let what = format!("{name}: {cut:?} of {first} - {last}");
            let media = repair(devices(left, &Power::new()), &what);
            check(&media, &want, &what);
        }
    }
}

/// Ranges of void journal sequence numbers that the superblock has.
fn void(devs: &[BlockDevice]) -> usize {
    let fs = start(Access::Read, devs, "").unwrap();
    fs.view.sb().sb.blacklist().ranges().count()
}

/// Void sequence numbers are forgotten when no node has them.
#[test]
fn void_numbers_are_forgotten() {
    for name in ["v113-unclean", "v113-unclean-dirty"] {
        let Some(disks) = contents(name) else { return };
        let mut devs = devices(disks, &Power::new());
        let want = keys_of_users(&start(Access::Read, &devs, "").unwrap().view);
        let mut nr = Vec::new();
        for opts in ["", "fsck,fix_errors=yes", "fsck,fix_errors=yes"] {
            let media: Vec<_> = devs.iter().map(BlockDevice::medium).collect();
            drop(start_on(Access::Write, taken(devs), opts).unwrap());
            let left = media.iter().map(Medium::contents).collect();
            devs = devices(left, &Power::new());
            nr.push(void(&devs));
        }
        println!("{name}: {nr:?} ranges of void numbers");
        assert!(nr[0] > 0 && nr[1] < nr[0], "{name}: {nr:?}");
        assert!(keys_of_users(&start(Access::Read, &devs, "").unwrap().view) == want);
    }
}

/// In what is whole nothing is found, and nothing is repaired.
#[test]
fn what_is_whole_is_found_whole() {
    let Some(folder) = images::folder() else {
        return;
    };
    let whole = |i: &Image| {
        i.name.starts_with("v113-") && !i.name.contains("-dmg-") && !i.name.contains("encrypted")
    };
    for image in Image::all(&folder).into_iter().filter(whole) {
        let name = &image.name;
        let disk = |c: Vec<u8>| Disk::from_memory(Arc::new(c));
        let disks = image.unpack().unwrap().into_iter().map(disk).collect();
        let devs = devices(disks, &Power::new());
        let fs = start_on(Access::Write, taken(devs), "fsck,fix_errors=exit");
        let fs = fs.unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(fs.view.sb().errors.since_mount(), 0, "{name}");
    }
}

/// Who mounts it to read it can have it repaired, and may write nothing after that.
#[test]
fn it_is_repaired_to_be_read() {
    let name = "v113-dmg-backpointer";
    let Some(disks) = contents(name) else { return };
    let devs = devices(disks, &Power::new());
    let want = keys_of_users(&start(Access::Read, &devs, "").unwrap().view);
    let media: Vec<_> = devs.iter().map(BlockDevice::medium).collect();
    let fs = start_on(Access::Read, taken(devs), REPAIR).unwrap();
    assert!(fs.read_write().is_err());
    check(&media, &want, name);
}

/// Names and link counts that contradict each other are made right, and then nothing is found.
#[test]
fn names_are_made_right() {
    let names = [
        // The inode that it was of gets another name.
        ("v113-dmg-dirent-dangling", 3, 2),
        ("v113-dmg-dirent-type", 1, 1),
        ("v113-dmg-nlink", 3, 2),
    ];
    for (name, found, nr) in names {
        let Some(disks) = contents(name) else { return };
        let devs = devices(disks, &Power::new());
        let before = keys_of_users(&start(Access::Read, &devs, "").unwrap().view);
        let media: Vec<_> = devs.iter().map(BlockDevice::medium).collect();
        let fs = start_on(Access::Write, taken(devs), REPAIR).unwrap();
        assert_eq!(fs.view.sb().errors.since_mount(), found, "{name}");
        drop(fs);
        let left = devices(media.iter().map(Medium::contents).collect(), &Power::new());
        let fs = start(Access::Read, &left, "").unwrap();
        let after = keys_of_users(&fs.view);
        assert!(check_derived(&fs.view).is_empty(), "{name}");
        let changed = after.iter().filter(|(at, v)| before.get(at) != Some(v));
        assert_eq!(changed.count(), nr, "{name}");
        assert_eq!(after.len(), before.len(), "{name}");
        let again = start(Access::Write, &left, "fsck,fix_errors=exit").unwrap();
        assert_eq!(again.view.sb().errors.since_mount(), 0, "{name}: again");
    }
}

/// Passes that the superblock requires are run, and are not required after that; one that is not
/// there keeps the filesystem from being written to.
#[test]
fn what_the_superblock_requires_is_done() {
    // By number: check_topology, check_allocations, check_lrus; and fix_reflink_p.
    for (passes, want) in [
        (1u64 << 4 | 1 << 5 | 1 << 11, None),
        (1 << 4 | 1 << 33, Some(Error::ReadWriteNeedsFsck)),
    ] {
        let Some(disks) = contents("v113-snap") else {
            return;
        };
        let devs = devices(disks, &Power::new());
        let media: Vec<_> = devs.iter().map(BlockDevice::medium).collect();
        let fs = start_on(Access::Write, taken(devs), "").unwrap();
        let require = |sb: &mut sim::format::sb::Superblock| {
            sb.change_recovery(|required, _| *required |= passes)?;
            Ok(true)
        };
        fs.view.sb().change_super(require).unwrap();
        drop(fs);
        let left = || devices(media.iter().map(Medium::contents).collect(), &Power::new());
        let required = |devs: &[BlockDevice]| {
            let fs = start(Access::Read, devs, "").unwrap();
            let ext = fs.view.sb().sb.ext().unwrap();
            ext.recovery_passes_required()[0]
        };
        assert_eq!(required(&left()), passes);
        let devs = left();
        let again: Vec<_> = devs.iter().map(BlockDevice::medium).collect();
        let e = start_on(Access::Write, taken(devs), "").err();
        assert_eq!(e, want);
        let after = again.iter().map(Medium::contents).collect();
        let after = required(&devices(after, &Power::new()));
        assert_eq!(after, want.map_or(0, |_| passes));
    }
}

/// What is on a device that is missing is not taken for wrong.
#[test]
fn a_missing_device_is_no_damage() {
    for missing in 0..2 {
        let Some(mut disks) = contents("v113-repl2") else {
            return;
        };
        disks.remove(missing);
        let devs = devices(disks, &Power::new());
        let fs = start_on(Access::Write, taken(devs), "degraded,fsck,fix_errors=exit");
        let fs = fs.unwrap_or_else(|e| panic!("without device {missing}: {e}"));
        assert_eq!(fs.view.sb().errors.since_mount(), 0, "{missing}");
    }
}

/// The rest of a file of which an extent is gone is there, counts as what it is, and others can
/// read the node.
#[test]
fn a_file_without_an_extent_is_made_right() {
    let name = "v113-dmg-extent-deleted";
    let Some(disks) = contents(name) else { return };
    let media = repair(devices(disks, &Power::new()), name);
    let left = devices(media.iter().map(Medium::contents).collect(), &Power::new());
    let fs = start(Access::Read, &left, "").unwrap();
    let findings = check_derived(&fs.view);
    assert!(findings.is_empty(), "{findings:#?}");
    let again = start(Access::Write, &left, "fsck,fix_errors=exit").unwrap();
    assert_eq!(again.view.sb().errors.since_mount(), 0);
}
