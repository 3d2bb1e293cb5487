// SPDX-License-Identifier: GPL-2.0

//! Filesystems with devices missing are mounted read-write, checked and written to: it works, or
//! there is an error that says why, and soon: nothing waits for a device that is not there, and
//! nothing is tried again and again.

mod engine;

use engine::golden::{
    contents,
    start, //
};
use sim::{
    alloc::space::Engine,
    error::{
        Error,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        values::inode::Inode, //
    },
    init::{
        Access,
        Filesystem, //
    },
    journal::live::Watermark,
    sys::block::{
        Disk,
        Power, //
    },
};
use std::{
    sync::mpsc,
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

/// Changes inodes, and waits until that is safe.
fn write(engine: Engine<'_>, fs: &Filesystem) -> Result {
    for _ in 0..3 {
        let mut iter = fs.view.btrees.iter(BtreeId::INODES, 0, Bpos::MIN);
        let mut nr = 0;
        while let Some(key) = iter.next()? {
            let Ok(Some(inode)) = Inode::decode(&key) else {
                continue;
            };
            engine.run(Watermark::Normal, |t| {
                let uid = inode.uid.wrapping_add(1);
                let new = Inode { uid, ..inode };
                t.update(BtreeId::INODES, sim::data::inode::inode_key(&new)?)?;
                t.commit()
            })?;
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
    let fs = start(disks, Access::Write, opts, &Power::new()).0?;
    let rw = fs.read_write()?;
    write(rw.engine(), &fs)?;
    fs.go_read_only()
}

#[test]
fn a_missing_device_holds_nobody_up() {
    if IMAGES.iter().any(|name| contents(name).is_none()) {
        return;
    }
    let (done, outcomes) = mpsc::channel();
    thread::spawn(move || {
        for name in IMAGES {
            let all = contents(name).unwrap();
            for missing in 0..all.len() {
                for opts in OPTIONS {
                    let mut some = contents(name).unwrap();
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
