// SPDX-License-Identifier: GPL-2.0

//! Going read-write, and a clean end.

use super::*;

#[test]
fn a_mount_and_an_unmount_change_only_the_superblock_and_the_journal() {
    let Some(folder) = images::folder() else {
        println!("skipped: no golden images (BCACHEFS_RS_IMAGES)");
        return;
    };
    let mut nr = 0;
    // The guest tests do it with more of them.
    for name in [
        "v113-empty",
        "v113-threedev",
        "v113-repl2",
        "v113-block512",
        "v113-csum-xxhash",
        "v113-encrypted",
    ] {
        let Some(image) = Image::named(&folder, name) else {
            continue;
        };
        let mut devices = image.unpack().unwrap();
        // A second time after the first.
        for round in 0..if nr < 2 { 2 } else { 1 } {
            let devs = images::devices(name, devices.clone());
            let fs = Filesystem::start_for(Access::Write, devs, &Opts::new()).expect(name);
            let st = fs.view.btrees.sb().clone();
            let between = contents_of(&st);
            assert_eq!(fs.state().get(), sb::State::ReadWrite);
            fs.sync().unwrap();
            fs.go_read_only().unwrap();
            assert_eq!(fs.state().get(), sb::State::ReadOnly);
            assert!(fs.read_write().is_err());
            let after = contents_of(&st);

            // Not shut down, it is not clean, and has what it had.
            let (dirty, found) = read_again(between);
            assert!(!dirty.sb.is_clean() && !found.clean && found.keys.is_empty());
            assert_eq!(dirty.sb.seq(), st.sb.seq() + dirty_writes(&dirty, &st));
            let (clean, found) = read_again(after.clone());
            assert!(clean.sb.is_clean() && found.clean, "{name}");
            assert_eq!(found.last_seq, fs.journal.last + 2);
            for (old, new) in devices.iter().zip(&after) {
                check_changes(name, &clean, old, new);
            }
            let devs = images::devices(name, after.clone());
            let again = Filesystem::start(devs, &Opts::new()).unwrap();
            let manifest = image.manifest().unwrap();
            let different = manifest.differences(&walk(&again.view));
            assert!(different.is_empty(), "{name}, round {round}: {different:?}");
            devices = after;
        }
        nr += 1;
    }
    assert!(nr == 0 || nr > 2, "{nr} images");
}

/// How often the superblock was written while the filesystem was started: once, and once for each
/// set of devices that got a journal entry for the first time.
fn dirty_writes(new: &SbState, old: &SbState) -> u64 {
    let more = new.sb.replicas().count() - old.sb.replicas().count();
    1 + more as u64
}

/// Only copies of the superblock, and journal buckets, differ.
fn check_changes(name: &str, st: &SbState, old: &[u8], new: &[u8]) {
    let uuid = st.sb.uuid();
    let dev = st
        .devices()
        .find(|d| {
            let at = 4096 + 122;
            new[at] == d.idx.0
        })
        .unwrap();
    assert_eq!(dev.own.uuid(), uuid);
    let bucket = u64::from(dev.member.bucket_sectors());
    let mut may: Vec<(u64, u64)> = dev
        .own
        .journal_buckets()
        .iter()
        .map(|b| (b * bucket, (b + 1) * bucket))
        .collect();
    let sectors = dev.own.layout.max_bytes() / 512;
    may.extend(dev.own.layout.offsets().map(|o| (o, o + sectors)));
    for (at, (a, b)) in old.chunks(512).zip(new.chunks(512)).enumerate() {
        let at = at as u64;
        let is_ours = may.iter().any(|(start, end)| (*start..*end).contains(&at));
        assert!(a == b || is_ours, "{name}: device {}: sector {at}", dev.idx);
    }
}

#[test]
fn what_can_not_be_written_yet_is_refused() {
    let cases = [("v139-snap", Error::ReadWriteUnsupported)];
    for (name, want) in cases {
        let Some(devices) = unpack(name) else { return };
        let devs = images::devices(name, devices.clone());
        let refused = Filesystem::start_for(Access::Write, devs, &Opts::new());
        assert_eq!(refused.err(), Some(want), "{name}");
    }
}
