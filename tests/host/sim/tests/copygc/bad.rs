// SPDX-License-Identifier: GPL-2.0

//! Data that can not be read stays where it is, or another copy is moved; what a device does not
//! take is not looked for there.

use super::{
    check_all,
    engine::space::{
        devices,
        look,
        open,
        record,
        SpaceFs, //
    },
    file::{
        File,
        SECTOR, //
    },
    fragmented, move_all,
};
use sim::{
    check::check_derived,
    data::{
        mover::Mover,
        read_sync, //
    },
    error::Error,
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        values::{
            extent::ptrs,
            extent_entry::Ptr, //
        },
    },
    snapshots::View,
    sys::block::{
        Disk,
        Fault,
        Kind, //
    },
};

/// Where the first extent of a file is that has a checksum: its first sector and its copies.
fn first_extent(view: &View, file: &File) -> (u64, Vec<Ptr>) {
    let start = Bpos::new(file.id.inum, 0, 0);
    let end = Bpos::new(file.id.inum, u64::MAX, u32::MAX);
    let mut iter = view.range(BtreeId::EXTENTS, start, end, file.id.snapshot);
    while let Some(key) = iter.next().unwrap() {
        let all = ptrs(&key, view.btrees.entry_sizes()).map(|p| p.unwrap());
        let all: Vec<_> = all.filter(|p| p.crc.is_encoded()).collect();
        if !all.is_empty() {
            return (key.k.start_offset(), all.iter().map(|p| p.ptr).collect());
        }
    }
    panic!("no extent");
}

/// Has the first copy of an extent be something else; where it is in the file, and the copies.
fn damaged(mut disks: Vec<Disk>, file: &File) -> (SpaceFs, u64, Vec<Ptr>) {
    let seen = look(devices(disks.clone())).unwrap();
    let (at, copies) = first_extent(&seen.view, file);
    let ptr = copies[0];
    let disk = &mut disks[usize::from(ptr.dev.0)];
    disk.write(ptr.offset.0, &[0x5a; 512]).unwrap();
    (open(disks), at, copies)
}

#[test]
fn what_can_not_be_read_stays() {
    let (disks, files) = fragmented("engine-small", |_| (), 5);
    let (fs, at, copies) = damaged(disks, &files[0]);
    let mut mover = Mover::default();
    let all = fs.live(|fs| move_all(fs, &mut mover, 30)).unwrap();
    assert!(all.moved > 0 && all.emptied > 0);
    // It is still there, others are not lost by it, and it is not tried for ever.
    assert_eq!(first_extent(&fs.view, &files[0]), (at, copies));
    let mut byte = [0; 512];
    read_sync(&fs.view, files[0].id, at * SECTOR, &mut byte).unwrap_err();
    files[1].check(&fs.view);
    let again = fs.live(|fs| move_all(fs, &mut mover, 1)).unwrap();
    println!("{all:?}, then {again:?}");
    fs.shut_down();
    fs.check();
}

#[test]
fn another_copy_is_moved() {
    let (disks, files) = fragmented("v113-repl2", |_| (), 6);
    let (fs, at, copies) = damaged(disks, &files[0]);
    fs.live(|fs| move_all(fs, &mut Mover::default(), 30))
        .unwrap();
    let (now, copies_now) = first_extent(&fs.view, &files[0]);
    assert_eq!(now, at);
    assert!(!copies_now.contains(&copies[0]), "{copies_now:?}");
    check_all(&fs, &files);
    fs.shut_down();
    fs.check();
    // Now either of the two will do.
    for ptr in copies_now {
        let mut disks = fs.contents();
        let disk = &mut disks[usize::from(ptr.dev.0)];
        disk.write(ptr.offset.0, &[0x5a; 512]).unwrap();
        files[0].check(&look(devices(disks)).unwrap().view);
    }
}

#[test]
fn a_write_that_fails_changes_nothing() {
    let (disks, files) = fragmented("v113-repl2", |_| (), 7);
    let (mut told, mut stayed) = (0, 0);
    for after in 0..25 {
        let fs = record(disks.clone());
        fs.media[0].inject(Kind::Write, after, Fault::Fail);
        let moved = fs.live(|fs| move_all(fs, &mut Mover::default(), 2));
        match moved {
            Ok(round) if round.failed.is_some() => {
                assert_eq!(round.failed, Some(Error::MovedWriteFailed));
                stayed += 1;
            }
            Ok(_) => (),
            Err(_) => told += 1,
        }
        let halted = fs.writer.journal.halted();
        if halted.is_none() {
            check_all(&fs, &files);
            fs.shut_down();
            fs.check();
        }
        let found = look(devices(fs.contents())).unwrap();
        files.iter().for_each(|f| f.check(&found.view));
        let findings = check_derived(&found.view);
        assert!(findings.is_empty(), "{after}: {findings:#?}");
    }
    println!("{told} rounds ended with an error, in {stayed} some data stayed");
    assert!(stayed > 0);
}
