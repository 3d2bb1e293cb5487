// SPDX-License-Identifier: GPL-2.0

//! Recovery: filesystems that were not shut down cleanly are mounted read-write, and have after it
//! what a mount that only reads sees in them. Also when the power is lost meanwhile.
//!
//! `BCACHEFS_RS_CUTS` sets how many moments are looked at for each image, 0 for every one;
//! `BCACHEFS_RS_SEED` which.

use sim::{
    check::{
        check_derived,
        keys_of_users,
        Keys, //
    },
    env::Vec as EnvVec,
    format::opts::Opts,
    golden::images,
    golden::Image,
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

/// Those that a crash has left.
const IMAGES: [&str; 2] = ["v113-unclean", "v113-unclean-dirty"];

fn image(name: &str) -> Option<Vec<Vec<u8>>> {
    let Some(folder) = images::folder() else {
        println!("skipped: no golden images (BCACHEFS_RS_IMAGES)");
        return None;
    };
    Some(Image::named(&folder, name)?.unpack().unwrap())
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |v| v.parse().unwrap())
}

fn start(access: Access, devices: Vec<BlockDevice>) -> Arc<sim::env::Arc<Filesystem>> {
    let mut devs = EnvVec::new();
    devices.into_iter().for_each(|d| devs.push(d).unwrap());
    Arc::new(Filesystem::start_for(access, devs, &Opts::new()).unwrap())
}

fn plain(contents: &[Vec<u8>]) -> Vec<BlockDevice> {
    let device = |c: &Vec<u8>| BlockDevice::from_memory("sim", Arc::new(c.clone()));
    contents.iter().map(device).collect()
}

fn copies(media: &[Medium]) -> Vec<BlockDevice> {
    let copy = |m: &Medium| BlockDevice::recorded("copy", m.contents(), &Power::new());
    media.iter().map(copy).collect()
}

/// Starts it without an end, and says what is on the devices then.
fn recover(devices: Vec<BlockDevice>, want: &Keys, what: &str) -> Vec<BlockDevice> {
    let media: Vec<Medium> = devices.iter().map(BlockDevice::medium).collect();
    let fs = start(Access::Write, devices);
    assert!(fs.view.btrees.overlay().is_none(), "{what}");
    assert!(keys_of_users(&fs.view) == *want, "{what}: after replay");
    let crashed = copies(&media);
    drop(fs);
    let fs = start(Access::Read, copies(&media));
    assert!(fs.journal.clean, "{what}");
    assert!(keys_of_users(&fs.view) == *want, "{what}: shut down");
    let findings = check_derived(&fs.view);
    assert!(findings.is_empty(), "{what}: {findings:#?}");
    crashed
}

#[test]
fn what_the_journal_has_is_replayed() {
    for name in IMAGES {
        let Some(contents) = image(name) else { return };
        let before = start(Access::Read, plain(&contents));
        assert!(
            !before.journal.clean && before.journal.nr_keys > 10,
            "{name}"
        );
        let findings = check_derived(&before.view);
        assert!(findings.is_empty(), "{name}: {findings:#?}");
        let want = keys_of_users(&before.view);
        let again = recover(plain(&contents), &want, name);
        let seen = start(Access::Read, again);
        assert!(!seen.journal.clean && seen.journal.last > before.journal.highest);
        assert!(keys_of_users(&seen.view) == want, "{name}: crashed again");
    }
}

#[test]
fn the_power_may_be_lost_meanwhile() {
    let seed = setting("BCACHEFS_RS_SEED", 1);
    for name in IMAGES {
        let Some(contents) = image(name) else { return };
        let want = keys_of_users(&start(Access::Read, plain(&contents)).view);
        let power = Power::new();
        let record = |c: Vec<u8>| {
            let disk = Disk::from_memory(Arc::new(c));
            BlockDevice::recorded("sim", disk, &power)
        };
        let devices: Vec<BlockDevice> = contents.into_iter().map(record).collect();
        let medium = devices[0].medium();
        drop(start(Access::Write, devices));
        let end = power.now();
        let cuts = match setting("BCACHEFS_RS_CUTS", 40) {
            0 => end,
            cuts => cuts,
        };
        let mut replay = Replay::new(&medium).unwrap();
        for nr in 0..cuts {
            let at = end * (nr * 2 + 1) / (cuts * 2);
            let cut = PowerCut {
                at,
                seed: seed << 32 | nr,
            };
            let what = format!("{name}: {cut:?}");
            let device = BlockDevice::recorded("cut", replay.image(cut), &Power::new());
            recover(vec![device], &want, &what);
        }
    }
}

/// What was mounted to be read, and is written later, recovers then.
#[test]
fn who_reads_can_write_later() {
    for name in IMAGES {
        let Some(contents) = image(name) else { return };
        let want = keys_of_users(&start(Access::Read, plain(&contents)).view);
        let record = |c: &Vec<u8>| {
            let disk = Disk::from_memory(Arc::new(c.clone()));
            BlockDevice::recorded("sim", disk, &Power::new())
        };
        let devices: Vec<BlockDevice> = contents.iter().map(record).collect();
        let media: Vec<Medium> = devices.iter().map(BlockDevice::medium).collect();
        let fs = start(Access::Read, devices);
        assert!(fs.read_write().is_err(), "{name}");
        assert!(fs.view.btrees.overlay().is_some(), "{name}");
        fs.go_read_write().unwrap();
        assert!(fs.read_write().is_ok(), "{name}");
        assert!(fs.view.btrees.overlay().is_none(), "{name}");
        // Nothing happens the second time.
        fs.go_read_write().unwrap();
        assert!(keys_of_users(&fs.view) == want, "{name}");
        fs.go_read_only().unwrap();
        fs.go_read_write().unwrap();
        drop(fs);
        let fs = start(Access::Read, copies(&media));
        assert!(fs.journal.clean, "{name}");
        let findings = check_derived(&fs.view);
        assert!(findings.is_empty(), "{name}: {findings:#?}");
    }
}
