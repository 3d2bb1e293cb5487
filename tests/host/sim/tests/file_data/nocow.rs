// SPDX-License-Identifier: GPL-2.0

//! Data that is written over where it is, and when it is not.

use super::{
    engine::{
        setting,
        space::{
            disks,
            open,
            SpaceFs, //
        },
        Random, //
    },
    file::{
        check_all,
        first_files,
        File,
        SECTOR, //
    },
    nr_ops, random_ops_with,
};
use sim::{
    alloc::space::Fragmented,
    data::write::{
        allocate,
        set_aside_until,
        shift,
        write,
        Written, //
    },
    env::units::BucketNr,
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        csum::CsumType,
        key_type::KeyType,
        values::{
            extent::ptrs,
            extent_entry::{
                EntrySizes,
                Ptr, //
            },
        },
    },
    sys::block::Kind,
};
use std::sync::atomic::{
    AtomicBool,
    Ordering, //
};

fn block(fs: &SpaceFs) -> u64 {
    fs.view.sb().sb.block_bytes().into()
}

/// Writes so many blocks of random bytes at a block.
fn put(fs: &SpaceFs, file: &mut File, (at, nr): (u64, u64), r: &mut Random) -> Written {
    let block = block(fs);
    let data: Vec<u8> = (0..nr * block).map(|_| r.next() as u8).collect();
    let end = (at + nr) * block;
    file.resize(end.max(file.bytes.len() as u64));
    file.bytes[(at * block) as usize..end as usize].copy_from_slice(&data);
    let (what, mut done) = ((at * block / SECTOR, &data[..]), Written::default());
    let (engine, view) = (fs.engine(), &fs.view);
    write(engine, view, file.id, &file.options, what, end, &mut done).unwrap();
    assert_eq!(done.bytes, data.len());
    done
}

/// Where blocks of a file are: the first sector of each extent, and of its copies.
fn places(fs: &SpaceFs, file: &File, at: u64) -> Vec<(u64, Vec<Ptr>)> {
    let pos = Bpos::new(file.id.inum, at * block(fs) / SECTOR + 1, 0);
    let mut iter = fs.view.iter(BtreeId::EXTENTS, pos, file.id.snapshot);
    let mut found = Vec::new();
    while let Some(key) = iter.next().unwrap() {
        if key.k.p.inode == file.id.inum && key.k.key_type == KeyType::EXTENT {
            let all = ptrs(&key, &EntrySizes::KNOWN).map(|p| p.unwrap().ptr);
            found.push((key.k.start_offset(), all.collect()));
        }
    }
    found
}

/// A filesystem, and a file with the option, that has nothing at the block that is given, in front
/// of it and behind.
fn first(image: &str) -> (SpaceFs, File, u64) {
    let fs = open(disks(image).unwrap());
    let mut file = first_files(&fs.view, fs.engine(), 1).remove(0);
    file.set_nocow();
    let at = file.bytes.len() as u64 / block(&fs) + 1;
    (fs, file, at)
}

#[test]
fn files_hold_what_was_written() {
    let seed = setting("BCACHEFS_RS_SEED", 1);
    for (nr, image) in (0..).zip(["v113-tree", "engine-small", "v113-repl2", "engine-three"]) {
        random_ops_with(image, File::set_nocow, seed + nr, nr_ops(), 200);
    }
}

#[test]
fn data_stays_where_it_is() {
    for image in ["v113-tree", "v113-repl2"] {
        let (fs, mut file, at) = first(image);
        let mut r = Random(5);
        put(&fs, &mut file, (at, 60), &mut r);
        let before = places(&fs, &file, at);
        let flushed = fs.writer.journal.newest();
        fs.writer.journal.flush().unwrap();
        let done = put(&fs, &mut file, (at + 7, 20), &mut r);
        assert_eq!((done.sectors, done.bytes as u64), (0, 20 * block(&fs)));
        // For fsync(2).
        assert!(done.seq > 0 && done.seq >= flushed);
        assert_eq!(places(&fs, &file, at), before);
        // Without the option, what was written is elsewhere.
        file.options.nocow = false;
        put(&fs, &mut file, (at + 30, 1), &mut r);
        assert_ne!(places(&fs, &file, at), before);
        check_all(&fs, std::slice::from_ref(&file));
        // What has a checksum can not be written over.
        file.options.csum = CsumType::CRC32C;
        put(&fs, &mut file, (at, 60), &mut r);
        let before = places(&fs, &file, at);
        file.set_nocow();
        put(&fs, &mut file, (at, 60), &mut r);
        assert!(places(&fs, &file, at).iter().all(|p| !before.contains(p)));
        check_all(&fs, std::slice::from_ref(&file));
        fs.shut_down();
        fs.check();
    }
}

/// Space gets its place when it is set aside, and what is written there is found there.
#[test]
fn space_that_is_set_aside_has_its_place() {
    for image in ["v113-tree", "v113-repl2"] {
        let (fs, mut file, at) = first(image);
        let mut r = Random(6);
        let sector = |nr: u64| nr * block(&fs) / SECTOR;
        let range = (sector(at), sector(at + 50));
        let end = (at + 50) * block(&fs);
        let (engine, view) = (fs.engine(), &fs.view);
        allocate(engine, view, file.id, range, &file.options, end).unwrap();
        file.resize(end);
        let before = places(&fs, &file, at);
        let all = |all: &[(u64, Vec<Ptr>)], unwritten| {
            let mut ptrs = all.iter().flat_map(|(_, ptrs)| ptrs);
            !all.is_empty() && ptrs.all(|p| p.unwritten == unwritten)
        };
        assert!(all(&before, true));
        check_all(&fs, std::slice::from_ref(&file));
        let until = |file: &File, at| {
            set_aside_until(engine, view, file.id, &file.options, sector(at)).unwrap()
        };
        assert_eq!(until(&file, at + 50), sector(at + 50));
        assert!(until(&file, at) > sector(at));
        for (from, nr) in [(at + 10, 5), (at + 12, 8), (at, 1), (at + 49, 1)] {
            assert_eq!(put(&fs, &mut file, (from, nr), &mut r).sectors, 0);
        }
        let here = |(start, ptrs): &(u64, Vec<Ptr>)| -> Vec<_> {
            let base = |p: &Ptr| (p.dev, p.offset.0.wrapping_sub(*start));
            ptrs.iter().map(base).collect()
        };
        let after = places(&fs, &file, at);
        assert!(after.len() > before.len());
        let all_before: Vec<_> = before.iter().map(here).collect();
        assert!(after.iter().all(|p| all_before.contains(&here(p))));
        check_all(&fs, std::slice::from_ref(&file));
        put(&fs, &mut file, (at, 50), &mut r);
        assert!(all(&places(&fs, &file, at), false));
        check_all(&fs, std::slice::from_ref(&file));
        fs.shut_down();
        fs.check();
    }
}

/// When one copy can not be written, all of it is written again, elsewhere.
#[test]
fn a_device_that_fails_to_write() {
    let (fs, mut file, at) = first("v113-repl2");
    let mut r = Random(7);
    put(&fs, &mut file, (at, 30), &mut r);
    let before = places(&fs, &file, at);
    fs.media[1].fail_from_then_on(Kind::Write, 0);
    put(&fs, &mut file, (at, 10), &mut r);
    assert!(fs.media[1].nr_faults() > 0);
    fs.media[1].heal();
    let after = places(&fs, &file, at);
    assert_ne!(after[0], before[0]);
    assert_eq!(after[0].1.len(), 1);
    check_all(&fs, std::slice::from_ref(&file));
    // There are fewer copies than there are to be.
    put(&fs, &mut file, (at, 10), &mut r);
    assert_eq!(places(&fs, &file, at)[0].1.len(), 2);
    check_all(&fs, std::slice::from_ref(&file));
    fs.shut_down();
    fs.check();
}

/// Who moves data has the bucket, or who writes over it.
#[test]
fn what_is_moved_is_written_elsewhere() {
    let (fs, mut file, at) = first("engine-small");
    let mut r = Random(8);
    put(&fs, &mut file, (at, 4), &mut r);
    let before = places(&fs, &file, at);
    let ptr = before[0].1[0];
    let dev = fs.view.sb().dev(ptr.dev).unwrap();
    let of = Fragmented {
        dev: ptr.dev,
        bucket: BucketNr(ptr.offset.0 / u64::from(dev.member.bucket_sectors())),
        generation: ptr.generation,
        sectors: 0,
    };
    let engine = fs.engine();
    let emptying = engine.emptying(&of).unwrap();
    assert!(engine.emptying(&of).is_none());
    put(&fs, &mut file, (at, 1), &mut r);
    drop(emptying);
    let between = places(&fs, &file, at);
    assert_ne!(between[0], before[0]);
    put(&fs, &mut file, (at + 1, 3), &mut r);
    assert_eq!(places(&fs, &file, at), between);
    // And it was let go.
    assert!(engine.emptying(&of).is_some());
    check_all(&fs, std::slice::from_ref(&file));
    fs.shut_down();
    fs.check();
}

/// After a loss of power, data could be where it was in the file before: until it can not, it is
/// not written over.
#[test]
fn data_that_has_moved_in_the_file() {
    let (fs, mut file, at) = first("engine-small");
    let mut r = Random(9);
    put(&fs, &mut file, (at, 20), &mut r);
    fs.writer.journal.flush().unwrap();
    let block = block(&fs);
    let range = (at * block / SECTOR, 4 * block / SECTOR);
    shift(
        fs.engine(),
        &fs.view,
        (file.id, super::SUBVOL),
        range,
        false,
    )
    .unwrap();
    let start = (at * block) as usize;
    file.bytes.drain(start..start + 4 * block as usize);
    let before = places(&fs, &file, at);
    put(&fs, &mut file, (at, 1), &mut r);
    let between = places(&fs, &file, at);
    assert_ne!(between[0], before[0]);
    fs.writer.journal.flush().unwrap();
    put(&fs, &mut file, (at, 16), &mut r);
    assert_eq!(places(&fs, &file, at), between);
    check_all(&fs, std::slice::from_ref(&file));
    fs.shut_down();
    fs.check();
}

/// Who makes a snapshot waits for what is under way; what begins then is written elsewhere.
#[test]
fn a_snapshot_is_about_to_be_made() {
    let (fs, mut file, at) = first("engine-small");
    let mut r = Random(10);
    put(&fs, &mut file, (at, 20), &mut r);
    let before = places(&fs, &file, at);
    let (gate, is_made) = (&fs.view.gate, AtomicBool::new(false));
    assert!(gate.try_begin_op());
    std::thread::scope(|s| {
        s.spawn(|| {
            drop(gate.close());
            is_made.store(true, Ordering::SeqCst);
        });
        while gate.try_begin_op() {
            gate.end_op();
            std::thread::yield_now();
        }
        put(&fs, &mut file, (at, 1), &mut r);
        assert!(!is_made.load(Ordering::SeqCst));
        gate.end_op();
    });
    assert!(is_made.load(Ordering::SeqCst));
    let between = places(&fs, &file, at);
    assert_ne!(between[0], before[0]);
    put(&fs, &mut file, (at, 20), &mut r);
    assert_eq!(places(&fs, &file, at), between);
    check_all(&fs, std::slice::from_ref(&file));
    fs.shut_down();
    fs.check();
}
