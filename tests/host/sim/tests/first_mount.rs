// SPDX-License-Identifier: GPL-2.0

//! The first mount of filesystems that the packaged tools have just made, of which there is nothing
//! but superblocks: what they have then is consistent, whatever is lost on the way.
//!
//! `BCACHEFS_RS_CUTS` sets how many moments are looked at. What is made is left in the directory
//! `BCACHEFS_RS_KEEP`, for other programs to look at.

mod engine;

use engine::new::{
    devices,
    disk,
    made,
    superblock,
    MADE, //
};
use sim::{
    alloc::Usage,
    check::check_derived,
    error::{
        Class,
        Error, //
    },
    format::{
        opts::Opts,
        sb::{
            flags,
            Features,
            Superblock,
            Version, //
        },
        values::subvolume::ROOT_SUBVOL,
    },
    golden::tree,
    init::{
        Access,
        Filesystem,
        State, //
    },
    sys::block::{
        Disk,
        Medium,
        Power,
        PowerCut,
        Replay, //
    },
};
use std::fs;

fn start(access: Access, disks: Vec<Disk>) -> Result<sim::env::Arc<Filesystem>, Error> {
    Filesystem::start_for(access, devices(disks, &Power::new()).0, &Opts::default())
}

fn contents(media: &[Medium]) -> Vec<Disk> {
    media.iter().map(|m| m.contents()).collect()
}

/// What a reader finds: it must be whole.
fn check(disks: Vec<Disk>, what: &str) -> Usage {
    let fs = start(Access::Read, disks).unwrap();
    let findings = check_derived(&fs.view);
    assert!(findings.is_empty(), "{what}: {findings:#?}");
    let found = tree::walk(&fs.view);
    assert!(found.errors.is_empty(), "{what}: {:?}", found.errors);
    assert_eq!(found.entries.len(), 2, "{what}");
    assert_eq!(fs.usage().nr_inodes, 2, "{what}");
    assert_eq!(fs.view.subvolume(ROOT_SUBVOL).unwrap().inode, 4096);
    fs.usage()
}

/// What the newest whole superblock of all says.
fn flag(disks: &[Disk], field: flags::BitField) -> u64 {
    let mut all: Vec<Superblock> = Vec::new();
    for disk in disks {
        for at in [8, 2056, disk.nr_sectors() - 2048] {
            let mut bytes = vec![0; 64 << 10];
            disk.read(at, &mut bytes).unwrap();
            all.extend(Superblock::decode(&bytes, Some(at)));
        }
    }
    let newest = all.iter().max_by_key(|sb| sb.seq()).unwrap();
    newest.flag(field)
}

fn keep(name: &str, disks: &[Disk]) {
    let Ok(dir) = std::env::var("BCACHEFS_RS_KEEP") else {
        return;
    };
    for (i, disk) in disks.iter().enumerate() {
        let mut bytes = vec![0; 512 * disk.nr_sectors() as usize];
        disk.read(0, &mut bytes).unwrap();
        fs::write(format!("{dir}/{name}.{i}.img"), bytes).unwrap();
    }
}

/// What is on the devices, and what is in use then: at a moment when nothing goes on in the
/// background.
fn synced(fs: &Filesystem, media: &[Medium]) -> (Vec<Disk>, Usage) {
    loop {
        let before = fs.usage();
        fs.sync().unwrap();
        let disks = contents(media);
        if fs.usage() == before {
            return (disks, before);
        }
    }
}

/// Mounts for the first time, and twice more.
fn mount_and_check(name: &str, disks: Vec<Disk>) {
    let (devs, media) = devices(disks, &Power::new());
    let fs = Filesystem::start_for(Access::Write, devs, &Opts::default()).unwrap();
    assert_eq!(fs.state().get(), State::ReadWrite);
    // Before anything was written back, and what is known without reading.
    let (unclean, live) = synced(&fs, &media);
    assert_eq!(check(unclean, name), live, "{name}");
    fs.go_read_only().unwrap();
    drop(fs);
    let mut disks = contents(&media);
    keep(name, &disks);
    for _ in 0..2 {
        assert_eq!(flag(&disks, flags::INITIALIZED), 1, "{name}");
        assert_eq!(flag(&disks, flags::CLEAN), 1, "{name}");
        check(disks.clone(), name);
        let (devs, media) = devices(disks, &Power::new());
        let fs = Filesystem::start_for(Access::Write, devs, &Opts::default()).unwrap();
        fs.go_read_only().unwrap();
        disks = contents(&media);
    }
    check(disks, name);
}

#[test]
fn all_kinds() {
    for (name, _) in &MADE[1..] {
        mount_and_check(name, made(name, None));
    }
}

#[test]
fn nodes_and_blocks_of_many_sizes() {
    for (node, block) in [(8, 1), (32, 8), (64, 2), (256, 4)] {
        let disks = made("64m", Some((node, block)));
        mount_and_check(&format!("64m-{node}-{block}"), disks);
    }
}

/// Tools write the version of the module they find.
#[test]
fn a_newer_version_becomes_one_that_is_written() {
    let newer = |features: u64| {
        let mut sb = superblock("64m", 0, None);
        sb.set_version(Version::NEWEST);
        sb.change_features(features, 0);
        vec![disk(sb, 64 << 11)]
    };
    mount_and_check("64m-newer", newer(0));
    let e = start(Access::Write, newer(1 << Features::INCOMPAT_VERSION_FIELD)).err();
    assert_eq!(e, Some(Error::NewVersion));
}

#[test]
fn reading_begins_it_as_well() {
    let (devs, media) = devices(made("64m", None), &Power::new());
    let fs = Filesystem::start_for(Access::Read, devs, &Opts::default()).unwrap();
    assert_eq!(fs.state().get(), State::ReadOnly);
    assert!(fs.read_write().is_err());
    let disks = contents(&media);
    assert_eq!(flag(&disks, flags::CLEAN), 1);
    check(disks, "64m");
}

#[test]
fn what_must_not_be_written_is_refused() {
    let disks = made("three", None);
    let mut opts = Opts::default();
    opts.parse_list("nochanges").unwrap();
    let power = Power::new();
    let (devs, media) = devices(disks.clone(), &power);
    let e = Filesystem::start_for(Access::Read, devs, &opts).err();
    assert_eq!(e, Some(Error::ReadWriteNew));
    assert!(media.iter().all(|m| m.changes_since(0) == 0));
    // Not without one of the devices.
    opts = Opts::default();
    opts.parse_list("very_degraded").unwrap();
    let (devs, _) = devices(disks[..2].to_vec(), &power);
    let e = Filesystem::start_for(Access::Write, devs, &opts).err();
    assert_eq!(e, Some(Error::NewDeviceMissing));
}

#[test]
fn nodes_of_too_few_blocks() {
    for block in [16, 32] {
        let e = start(Access::Write, made("small", Some((32, block)))).err();
        assert_eq!(e, Some(Error::ReadWriteNodeSize));
    }
}

#[test]
fn no_room() {
    let disks = made("4m", None);
    for _ in 0..2 {
        let (devs, media) = devices(disks.clone(), &Power::new());
        let e = Filesystem::start_for(Access::Write, devs, &Opts::default()).err();
        assert_eq!(e.map(Error::class), Some(Class::NoSpace));
        assert_eq!(flag(&contents(&media), flags::INITIALIZED), 0);
    }
    // With smaller nodes there is.
    mount_and_check("4m", made("4m", Some((32, 1))));
}

/// The power is lost at any moment: then there is nothing yet, and the next mount begins anew; or
/// all is there.
#[test]
fn power_cuts() {
    let cuts = std::env::var("BCACHEFS_RS_CUTS").map_or(40, |s| s.parse().unwrap());
    for name in ["small", "three"] {
        let power = Power::new();
        let (devs, media) = devices(made(name, None), &power);
        let fs = Filesystem::start_for(Access::Write, devs, &Opts::default()).unwrap();
        fs.go_read_only().unwrap();
        drop(fs);
        let end = power.now();
        let mut replays: Vec<_> = media.iter().map(|m| Replay::new(m).unwrap()).collect();
        let (mut nothing, mut unclean, mut clean) = (0, 0, 0);
        for nr in 0..=cuts {
            let cut = PowerCut {
                at: end * nr / cuts,
                seed: nr,
            };
            let disks: Vec<_> = replays.iter_mut().map(|r| r.image(cut)).collect();
            let what = format!("{name}: {cut:?}");
            if flag(&disks, flags::INITIALIZED) == 0 {
                nothing += 1;
                // What was begun is in nobody's way, also when the power is lost once more.
                let power = Power::new();
                let (devs, media) = devices(disks, &power);
                let fs = Filesystem::start_for(Access::Write, devs, &Opts::default()).unwrap();
                fs.sync().unwrap();
                let at = power.now();
                check(contents(&media), &what);
                fs.go_read_only().unwrap();
                check(contents(&media), &what);
                let cut = PowerCut { at, seed: nr };
                let left = media.iter().map(|m| Replay::new(m).unwrap().image(cut));
                check(left.collect(), &what);
            } else {
                match flag(&disks, flags::CLEAN) {
                    0 => unclean += 1,
                    _ => clean += 1,
                }
                check(disks, &what);
            }
        }
        println!("{name}: {end} steps, {nothing} times nothing, {unclean} unclean, {clean} clean");
        assert!(nothing != 0 && clean != 0);
    }
}

/// Writes fail: the mount does, and the next one works.
#[test]
fn failed_writes() {
    for after in (0..60).step_by(7) {
        let (devs, media) = devices(made("64m", None), &Power::new());
        media[0].fail_from_then_on(sim::sys::block::Kind::Write, after);
        let failed = Filesystem::start_for(Access::Write, devs, &Opts::default());
        if failed.is_ok() {
            println!("{after} writes are enough");
            break;
        }
        media[0].heal();
        mount_and_check("64m", contents(&media));
    }
}
