// SPDX-License-Identifier: GPL-2.0

//! Filesystems with devices missing are mounted read-write, checked and written to: it works, or
//! there is an error that says why, and soon: nothing waits for a device that is not there, and
//! nothing is tried again and again.

use sim::{
    alloc::space::Engine,
    btree::KeyBuf,
    env::Vec as EnvVec,
    error::{
        Error,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        opts::Opts,
        values::inode::Inode, //
    },
    golden::{
        images,
        Image, //
    },
    init::{
        Access,
        Filesystem, //
    },
    journal::live::Watermark,
    sys::block::{
        BlockDevice,
        Disk,
        Power, //
    },
};
use std::{
    sync::{
        mpsc,
        Arc, //
    },
    thread,
    time::Duration, //
};

/// What everything together may take.
const LIMIT: Duration = Duration::from_secs(120);
const IMAGES: [&str; 2] = ["v113-repl2", "v113-threedev"];
const OPTIONS: [&str; 6] = [
    "",
    "degraded",
    "very_degraded",
    "degraded,fsck,fix_errors=yes",
    "very_degraded,fsck,fix_errors=yes",
    "very_degraded,errors=continue",
];

fn disks(folder: &std::path::Path, name: &str) -> Vec<Disk> {
    let image = Image::named(folder, name).expect(name);
    let disk = |c: Vec<u8>| Disk::from_memory(Arc::new(c));
    image.unpack().unwrap().into_iter().map(disk).collect()
}

/// Changes inodes, and waits until that is safe.
fn write(engine: Engine<'_>, fs: &Filesystem) -> Result {
    for _ in 0..3 {
        let mut iter = fs.view.btrees.iter(BtreeId::INODES, 0, Bpos::MIN);
        let mut nr = 0;
        while let Some(key) = iter.next()? {
            let Ok(Some(inode)) = Inode::decode(&key) else {
                continue;
            };
            let key = KeyBuf::copy_of(&key)?;
            engine.run(Watermark::Normal, |t| {
                let uid = inode.uid.wrapping_add(1);
                let new = Inode { uid, ..inode };
                t.update(BtreeId::INODES, sim::data::inode::inode_key(&new)?)?;
                t.commit()
            })?;
            drop(key);
            nr += 1;
            if nr == 50 {
                break;
            }
        }
        fs.sync()?;
    }
    Ok(())
}

/// What comes of it.
fn outcome(disks: Vec<Disk>, opts: &str) -> Result {
    let mut devs = EnvVec::new();
    for disk in disks {
        devs.push(BlockDevice::recorded("sim", disk, &Power::new()))?;
    }
    let mut parsed = Opts::new();
    parsed.parse_list(opts).unwrap();
    let fs = Filesystem::start_for(Access::Write, devs, &parsed)?;
    let rw = fs.read_write()?;
    write(rw.engine(), &fs)?;
    fs.go_read_only()
}

#[test]
fn a_missing_device_holds_nobody_up() {
    let Some(folder) = images::folder() else {
        println!("skipped: no golden images (BCACHEFS_RS_IMAGES)");
        return;
    };
    let (done, outcomes) = mpsc::channel();
    thread::spawn(move || {
        for name in IMAGES {
            let all = disks(&folder, name);
            for missing in 0..all.len() {
                for opts in OPTIONS {
                    let mut some = disks(&folder, name);
                    some.remove(missing);
                    let what = format!("{name} without {missing}, \"{opts}\"");
                    let came = outcome(some, opts);
                    if done.send((what, opts, came)).is_err() {
                        return;
                    }
                }
            }
        }
    });
    let mut nr = 0;
    loop {
        let (what, opts, came) = match outcomes.recv_timeout(LIMIT) {
            Ok(next) => next,
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(e) => panic!("after {nr}: {e}"),
        };
        println!("{what}: {came:?}");
        match came {
            Ok(()) => assert!(opts.contains("degraded"), "{what}"),
            // Nobody has said that it may be done without.
            Err(e) if opts.is_empty() => assert_eq!(e, Error::DevicesMissing, "{what}"),
            Err(e) => assert_ne!(e, Error::NoMemory, "{what}"),
        }
        nr += 1;
    }
    assert_eq!(nr, OPTIONS.len() * 5);
}
