// SPDX-License-Identifier: GPL-2.0

//! The key cache: keys that change often go to their leaves later; and what happens when a leaf is
//! not what it was.

mod engine;

use engine::{
    copy,
    image::{
        empty,
        Sizes, //
    },
    live,
    open,
    read,
    Fs, //
};
use sim::{
    btree::{
        flush_key_cache,
        ptr::NodePtr,
        trans::run,
        write_back,
        write_back_all,
        KeyBuf, //
    },
    env::Vec as EnvVec,
    error::{
        Error,
        Result as BchResult, //
    },
    format::{
        bkey::Bkey,
        bpos::Bpos,
        btree_id::BtreeId,
        csum::CsumType,
        key_type::KeyType,
        node::Bset,
        opts::Opts, //
    },
    golden::images::read_file,
    init::{
        Access,
        Filesystem, //
    },
    journal::live::Watermark,
    sb::State,
    sys::{
        block::{
            BlockDevice,
            Durability, //
        },
        shrinker::Shrink, //
    },
};
use std::{
    path::Path,
    sync::Arc, //
};

const BTREE: BtreeId = BtreeId::LOGGED_OPS;

fn pos(nr: u64) -> Bpos {
    Bpos::new(1, 1 + nr, 0)
}

fn key(nr: u64, value: u64) -> BchResult<KeyBuf> {
    let k = Bkey {
        key_type: KeyType::LOGGED_OP_TRUNCATE,
        p: pos(nr),
        ..Bkey::default()
    };
    KeyBuf::of(k, &[value, 2, 3].map(u64::to_le_bytes).concat())
}

fn start() -> (Fs, sim::sys::block::Medium) {
    let dev = BlockDevice::from_memory("sim", empty(Sizes::new(4 << 10, 512)));
    let medium = dev.medium();
    (open(dev), medium)
}

/// Sets the keys, in transactions of a few.
fn set(fs: &Fs, keys: std::ops::Range<u64>, value: u64) -> BchResult {
    let mut next = keys.start;
    while next < keys.end {
        let end = (next + 8).min(keys.end);
        run(&fs.btrees, &fs.writer, Watermark::Normal, |t| {
            for nr in next..end {
                t.update(BTREE, key(nr, value)?)?;
            }
            t.commit()
        })?;
        next = end;
    }
    Ok(())
}

fn value(btrees: &sim::btree::Btrees, nr: u64) -> Option<u64> {
    let found = btrees.lookup(BTREE, pos(nr)).unwrap()?;
    Some(u64::from_le_bytes(*found.key().v.first_chunk().unwrap()))
}

/// The values of all keys of a device's contents.
fn stored(medium: &sim::sys::block::Medium) -> Vec<u64> {
    let found = read(copy(medium)).unwrap();
    let mut iter = found.btrees.iter(BTREE, 0, Bpos::MIN);
    let mut all = Vec::new();
    while let Some(k) = iter.next().unwrap() {
        all.push(u64::from_le_bytes(*k.v.first_chunk().unwrap()));
    }
    all
}

#[test]
fn new_keys_go_to_leaves_and_changed_ones_to_the_cache() {
    let (fs, medium) = start();
    let keys = fs.btrees.key_cache();
    set(&fs, 0..300, 7).unwrap();
    assert_eq!((keys.nr_keys(), keys.nr_changed()), (0, 0));
    write_back_all(&fs.btrees, &fs.writer).unwrap();
    set(&fs, 10..30, 8).unwrap();
    assert_eq!((keys.nr_keys(), keys.nr_changed()), (20, 20));
    // They can not be dropped, however short memory is.
    while keys.scan(64) != 0 {}
    assert_eq!((keys.nr_keys(), keys.count()), (20, 0));
    // Everybody sees the new ones, one by one and in order, and after a crash.
    assert_eq!(
        [9, 10, 29, 30].map(|nr| value(&fs.btrees, nr)),
        [7, 8, 8, 7].map(Some)
    );
    let want: Vec<u64> = (0..300)
        .map(|nr| 7 + u64::from((10..30).contains(&nr)))
        .collect();
    let mut iter = fs.btrees.iter(BTREE, 0, Bpos::MIN);
    for nr in 0..300 {
        let k = iter.next().unwrap().unwrap();
        assert_eq!((k.k.p, k.v[0]), (pos(nr), want[nr as usize] as u8));
    }
    fs.writer.journal.flush().unwrap();
    assert_eq!(stored(&medium), want);
    // A deletion takes the key out of both at once.
    run(&fs.btrees, &fs.writer, Watermark::Normal, |t| {
        assert_eq!(t.get(BTREE, pos(10))?.unwrap().value()[0], 8);
        t.delete(BTREE, pos(10))?;
        assert_eq!(t.get(BTREE, pos(10))?.map(|k| k.k), None);
        assert_eq!(t.old(BTREE, 0, pos(10))?.unwrap().value()[0], 8);
        t.commit()
    })
    .unwrap();
    assert_eq!(value(&fs.btrees, 10), None);
    assert_eq!((keys.nr_keys(), keys.nr_changed()), (19, 19));
    // It can come back.
    set(&fs, 10..11, 9).unwrap();
    assert_eq!(value(&fs.btrees, 10), Some(9));
    assert_eq!(keys.nr_keys(), 19);
    write_back_all(&fs.btrees, &fs.writer).unwrap();
    assert_eq!((keys.nr_keys(), keys.nr_changed()), (19, 0));
    let journal = &fs.writer.journal;
    assert!(journal.oldest_pinned() >= journal.newest());
    while keys.scan(64) != 0 {}
    assert_eq!(keys.nr_keys(), 0);
    assert_eq!(
        [9, 10, 11, 30].map(|nr| value(&fs.btrees, nr)),
        [7, 9, 8, 7].map(Some)
    );
}

/// Keys that change all the time pin what is new, and are not written each time.
#[test]
fn a_key_that_goes_on_changing_moves_its_pin() {
    let (fs, _) = start();
    set(&fs, 0..10, 1).unwrap();
    write_back_all(&fs.btrees, &fs.writer).unwrap();
    let journal = &fs.writer.journal;
    set(&fs, 0..10, 2).unwrap();
    let first = journal.newest();
    journal.flush().unwrap();
    set(&fs, 0..9, 3).unwrap();
    assert!(journal.newest() > first && journal.oldest_pinned() <= first);
    write_back(&fs.btrees, &fs.writer, first).unwrap();
    // The last one did not change again.
    assert_eq!(fs.btrees.key_cache().nr_changed(), 9);
    journal.flush().unwrap();
    assert!(journal.oldest_pinned() > first);
    let kept = journal.oldest_pinned();
    write_back(&fs.btrees, &fs.writer, journal.newest()).unwrap();
    assert_eq!(fs.btrees.key_cache().nr_changed(), 0);
    journal.flush().unwrap();
    assert!(journal.oldest_pinned() > kept);
}

/// Sets many short keys.
fn set_short(fs: &Fs, nr: u64, value: u64) {
    for first in (0..nr).step_by(8) {
        run(&fs.btrees, &fs.writer, Watermark::Normal, |t| {
            for nr in first..(first + 8).min(nr) {
                let k = Bkey {
                    key_type: KeyType::INODE_GENERATION,
                    p: Bpos::new(0, 4096 + nr, u32::MAX),
                    ..Bkey::default()
                };
                t.update(BtreeId::INODES, KeyBuf::of(k, &value.to_le_bytes())?)?;
            }
            t.commit()
        })
        .unwrap();
        let keys = fs.btrees.key_cache();
        let limit = 4096 + keys.nr_keys() * 3 / 4;
        assert!(keys.nr_changed() <= limit + 8, "{}", keys.nr_changed());
    }
}

/// Nobody writes anything back here but who wants to change more.
#[test]
fn who_changes_too_many_brings_some_to_their_leaves() {
    let (fs, medium) = start();
    let keys = fs.btrees.key_cache();
    let nr = 20_000;
    live(&fs, |fs| set_short(fs, nr, 1));
    write_back_all(&fs.btrees, &fs.writer).unwrap();
    assert_eq!(keys.nr_keys(), 0);
    set_short(&fs, nr, 2);
    // None are dropped, but some had to go to their leaves.
    let changed = keys.nr_changed() as u64;
    assert_eq!(keys.nr_keys() as u64, nr);
    assert!((16_000..19_500).contains(&changed), "{changed}");
    assert!(keys.wants_flush());
    flush_key_cache(&fs.btrees, &fs.writer).unwrap();
    let quota = 1024 + nr / 2;
    assert_eq!(keys.nr_changed() as u64, quota - quota / 4);
    assert!(!keys.wants_flush());
    write_back_all(&fs.btrees, &fs.writer).unwrap();
    let found = read(copy(&medium)).unwrap();
    let mut iter = found.btrees.iter(BtreeId::INODES, 0, Bpos::MIN);
    for at in 0..nr {
        let k = iter.next().unwrap().unwrap();
        assert_eq!((k.k.p.offset, k.v[0]), (4096 + at, 2));
    }
}

/// Where the leaf with a key is, in sectors.
fn leaf_of(btrees: &sim::btree::Btrees, nr: u64) -> u64 {
    let mut iter = btrees.iter(BTREE, 1, pos(nr));
    let ptr = iter.next().unwrap().unwrap();
    let ptr = NodePtr::decode(BTREE, 0, &ptr, btrees.entry_sizes()).unwrap();
    let first = ptr.copies().next();
    first.unwrap().offset.0
}

/// Makes all keys of a node on the device deleted ones, with checksums that are right.
fn delete_on_disk(dev: &BlockDevice, sector: u64, node_bytes: usize, block: usize) -> usize {
    let mut node = vec![0; node_bytes];
    dev.read(sector, &mut node).unwrap();
    let seq = Bset::first(&node).unwrap().head.seq();
    let (mut at, mut nr) = (0, 0);
    while at < node.len() {
        let set = match at {
            0 => Bset::first(&node),
            _ => Bset::later(&node[at..]).filter(|s| s.head.seq() == seq),
        };
        let Some(set) = set else { break };
        let total = set.total_bytes();
        let (mut key, end) = (at + total - set.keys.len(), at + total);
        while key < end {
            // Words, format, type.
            node[key + 2] = 0;
            nr += 1;
            key += 8 * usize::from(node[key]);
        }
        let set = match at {
            0 => Bset::first(&node).unwrap(),
            _ => Bset::later(&node[at..]).unwrap(),
        };
        let sum = CsumType(set.head.csum_type())
            .checksum(set.covered)
            .unwrap();
        node[at..][..8].copy_from_slice(&sum.to_le_bytes());
        at += total.next_multiple_of(block);
    }
    dev.write(sector, &node, Durability::Cached).unwrap();
    nr
}

/// Drops all nodes that can be dropped.
fn drop_nodes(btrees: &sim::btree::Btrees) {
    while btrees.cache().scan(1000) != 0 {}
}

/// The filesystem that the packaged tools made, with changed keys in the cache, and the leaf of
/// some of them dropped from memory.
fn with_changed_keys() -> sim::env::Arc<Filesystem> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/engine.img.zst");
    let mut devs = EnvVec::new();
    let bytes = Arc::new(read_file(&path).unwrap());
    devs.push(BlockDevice::from_memory("sim", bytes)).unwrap();
    let fs = Filesystem::start_for(Access::Write, devs, &Opts::default()).unwrap();
    // More than fit one leaf: a root stays in memory.
    change(&fs, 0..20_000, 1).unwrap();
    let engine = fs.read_write().unwrap().engine();
    write_back_all(engine.btrees, engine.writer).unwrap();
    let root = engine.btrees.root_node(BTREE).unwrap();
    assert!(root.level > 0);
    change(&fs, 100..101, 2).unwrap();
    drop_nodes(engine.btrees);
    fs
}

fn change(fs: &Filesystem, keys: std::ops::Range<u64>, value: u64) -> BchResult {
    let engine = fs.read_write()?.engine();
    for first in keys.clone().step_by(20) {
        engine.run(Watermark::Normal, |t| {
            for nr in first..(first + 20).min(keys.end) {
                t.update(BTREE, key(nr, value)?)?;
            }
            t.commit()
        })?;
    }
    Ok(())
}

/// After `e` ended writing: everything that writes says so, reading goes on, and the filesystem can
/// be unmounted.
fn only_reads(fs: sim::env::Arc<Filesystem>, e: Error) {
    assert_eq!(fs.state().get(), State::EmergencyReadOnly);
    assert_eq!(fs.state().first_error(), Some(e));
    assert_eq!(change(&fs, 5..6, 3).err(), Some(e));
    assert_eq!(fs.sync().err(), Some(e));
    assert_eq!(value(&fs.view.btrees, 19_999), Some(1));
    assert!(fs
        .view
        .lookup(BtreeId::SUBVOLUMES, Bpos::new(0, 1, 0))
        .unwrap()
        .is_some());
    fs.go_read_only().unwrap();
    assert_eq!(fs.state().get(), State::EmergencyReadOnly);
}

#[test]
fn a_leaf_that_lost_a_changed_key_ends_writing() {
    let fs = with_changed_keys();
    let btrees = &fs.view.btrees;
    let dev = &btrees.sb().devices().next().unwrap().bdev;
    let leaf = leaf_of(btrees, 100);
    let nr = delete_on_disk(dev, leaf, 256 << 10, btrees.sb().sb.block_bytes() as usize);
    assert!(nr > 100);
    let rw = fs.read_write().unwrap();
    let engine = rw.engine();
    let newest = engine.writer.journal.newest();
    // The background thread may be faster.
    let _ = write_back(engine.btrees, engine.writer, newest);
    let e = Error::BtreeKeyCacheCoherency;
    assert_eq!(write_back(engine.btrees, engine.writer, newest), Err(e));
    assert_eq!(engine.writer.journal.halted(), Some(e));
    // Nothing was brought to the leaf.
    assert_eq!(btrees.key_cache().nr_changed(), 1);
    only_reads(fs, e);
}

/// As in the case this is about: a node that does not match the pointer to it is a matter of the
/// btree, and ends there.
#[test]
fn a_leaf_that_is_another_one_makes_the_btree_sick_first() {
    let fs = with_changed_keys();
    let btrees = &fs.view.btrees;
    let dev = &btrees.sb().devices().next().unwrap().bdev;
    let (leaf, other) = (leaf_of(btrees, 100), leaf_of(btrees, 19_999));
    assert_ne!(leaf, other);
    let mut bytes = vec![0; 256 << 10];
    dev.read(other, &mut bytes).unwrap();
    dev.write(leaf, &bytes, Durability::Cached).unwrap();
    let engine = fs.read_write().unwrap().engine();
    let newest = engine.writer.journal.newest();
    let _ = write_back(engine.btrees, engine.writer, newest);
    let e = fs.state().first_error().unwrap();
    assert!(
        matches!(e, Error::NodeSeq | Error::NodeRange | Error::NodeNoDevice),
        "{e}"
    );
    assert!(btrees.health.is_sick(BTREE));
    only_reads(fs, e);
}

#[test]
fn keys_of_a_sick_btree_are_not_flushed() {
    let fs = with_changed_keys();
    let btrees = &fs.view.btrees;
    let place = btrees.root_node(BTREE).unwrap().place(pos(7_000));
    btrees
        .health
        .found(place, sim::btree::health::What::Node(Error::NodeGap));
    let engine = fs.read_write().unwrap().engine();
    let newest = engine.writer.journal.newest();
    let _ = write_back(engine.btrees, engine.writer, newest);
    assert_eq!(engine.writer.journal.halted(), Some(Error::BtreeSick));
    assert_eq!(btrees.key_cache().nr_changed(), 1);
    only_reads(fs, Error::BtreeSick);
}

#[test]
fn a_clean_shutdown_leaves_nothing_in_the_cache() {
    let fs = with_changed_keys();
    change(&fs, 50..90, 2).unwrap();
    fs.go_read_only().unwrap();
    assert_eq!(fs.state().get(), State::ReadOnly);
    assert_eq!(fs.view.btrees.key_cache().nr_changed(), 0);
    assert_eq!(
        [100, 51, 101].map(|nr| value(&fs.view.btrees, nr)),
        [2, 2, 1].map(Some)
    );
    let text = fs.view.btrees.key_cache().to_string();
    assert!(text.starts_with("keys:") && text.contains("dirty:                             0"));
}
