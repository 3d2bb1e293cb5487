// SPDX-License-Identifier: GPL-2.0

//! Many threads on the same nodes: transactions, readers, and one that drops what it can from the
//! cache. `BCACHEFS_RS_TRANSACTIONS` sets how many transactions each of them makes.

mod engine;

use engine::{
    copy,
    image::{
        empty,
        Sizes, //
    },
    live,
    model::{
        Model,
        POINTS, //
    },
    open,
    ops::Kind,
    read,
    setting,
    walk_all,
    Fs,
    Random, //
};
use sim::{
    btree::{
        flush_write_buffer,
        trans::run,
        write_back,
        write_back_all,
        Btrees,
        KeyBuf, //
    },
    env::restart_often,
    error::Result as BchResult,
    format::{
        bkey::Bkey,
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType, //
    },
    journal::live::Watermark,
    sys::{
        block::BlockDevice,
        shrinker::Shrink,
        sync::delays, //
    },
};
use std::sync::atomic::{
    AtomicBool,
    Ordering, //
};

/// Threads that change something.
const WRITERS: u64 = 6;
/// Whose keys nobody changes.
const STILL: u64 = 7;
/// Btrees of numbers that all threads count up: the same in both. The second one is in the key
/// cache.
const NUMBERS: [BtreeId; 2] = [BtreeId::RECONCILE_SCAN, BtreeId::SUBVOLUMES];

fn transactions() -> u64 {
    setting("BCACHEFS_RS_TRANSACTIONS", 1_500)
}

fn kind(sizes: Sizes, thread: u64) -> Kind {
    Kind {
        positions: u64::from(sizes.node) / 2,
        words: 8,
        changes: 5,
        thread,
        alone: false,
    }
}

/// Where a number is: in all leaves.
fn number(r: &mut Random) -> [Bpos; 2] {
    let (a, b) = (1 + r.below(40), r.below(20));
    [Bpos::new(a, 8 * b, 0), Bpos::new(0, a * 20 + b, 0)]
}

/// A key with a number.
fn with_number(btree: BtreeId, p: Bpos, nr: u64) -> BchResult<KeyBuf> {
    let (key_type, words) = match btree {
        BtreeId::SUBVOLUMES => (KeyType::SUBVOLUME, vec![1 << 32, nr]),
        _ => (KeyType::COOKIE, vec![nr]),
    };
    let k = Bkey {
        key_type,
        p,
        ..Bkey::default()
    };
    let bytes: Vec<u8> = words.iter().flat_map(|w: &u64| w.to_le_bytes()).collect();
    KeyBuf::of(k, &bytes)
}

/// Counts some numbers up, in one transaction.
fn count(fs: &Fs, r: &mut Random) -> u64 {
    let at: Vec<[Bpos; 2]> = (0..1 + r.below(4)).map(|_| number(r)).collect();
    run(&fs.btrees, &fs.writer, Watermark::Normal, |t| {
        for (btree, p) in at.iter().flat_map(|at| NUMBERS.into_iter().zip(*at)) {
            let old = t.get(btree, p)?;
            let old = old.map_or(0, |k| *k.value().last().unwrap());
            t.update(btree, with_number(btree, p, old + 1)?)?;
        }
        t.commit()
    })
    .unwrap();
    at.len() as u64
}

/// What the numbers are together, in each btree.
fn sums(btrees: &Btrees) -> [u64; 2] {
    NUMBERS.map(|btree| {
        let mut iter = btrees.iter(btree, 0, Bpos::MIN);
        let mut sum = 0;
        while let Some(key) = iter.next().unwrap() {
            sum += u64::from_le_bytes(*key.v.last_chunk().unwrap());
        }
        sum
    })
}

/// Reads everything again and again: what nobody changes is there, once, and in order.
fn reader(fs: &Fs, still: &Model, stop: &AtomicBool) -> u64 {
    let mut rounds = 0;
    while !stop.load(Ordering::Relaxed) {
        for btree in POINTS {
            let want = still.keys.iter().filter(|((b, _), _)| *b == btree);
            let mut want = want.map(|((_, p), _)| *p);
            let mut iter = fs.btrees.iter(btree, 0, Bpos::MIN);
            let mut last = None;
            while let Some(key) = iter.next().unwrap() {
                assert!(last < Some(key.k.p), "{btree}: {} after {last:?}", key.k.p);
                last = Some(key.k.p);
                if key.k.p.offset % 8
                    == (STILL + u64::from(btree == BtreeId::SUBVOLUME_CHILDREN)) % 8
                {
                    assert_eq!(Some(key.k.p), want.next(), "{btree}");
                }
            }
            assert_eq!(want.next(), None, "{btree}");
        }
        // Single ones, with one iterator.
        let mut iter = fs.btrees.iter(POINTS[0], 0, Bpos::MIN);
        for ((btree, p), (k, _)) in still.keys.iter().rev().step_by(7) {
            if *btree == POINTS[0] {
                iter.seek(*p);
                assert_eq!(iter.next().unwrap().unwrap().k, *k);
            }
        }
        rounds += 1;
    }
    rounds
}

fn threads(node: u32, block: u32, shrink: bool) {
    threads_on(Sizes::new(node, block), shrink, 0);
}

/// With transactions that are started over at each of their first steps, if `restarts` is not 0.
fn threads_on(sizes: Sizes, shrink: bool, restarts: u32) {
    let seed = setting("BCACHEFS_RS_SEED", 1);
    println!("BCACHEFS_RS_SEED={seed}");
    let dev = BlockDevice::from_memory("sim", empty(sizes));
    let medium = dev.medium();
    let fs = open(dev);
    let mut still = Model::default();
    let stop = AtomicBool::new(false);
    let (mut model, counted) = live(&fs, |fs| {
        fs.churn(
            &kind(sizes, STILL),
            &mut still,
            &mut Random(seed),
            transactions() / 2,
        );
        flush_write_buffer(&fs.btrees, &fs.writer).unwrap();
        let one = |thread: u64| {
            restart_often(restarts);
            let (mut model, mut r) = (Model::default(), Random(seed << 8 | thread));
            let mut counted = 0;
            for nr in 0..transactions() {
                let steps = match nr % 600 > 300 && !r.one_in(8) {
                    true => kind(sizes, thread).deletions(&mut model, &mut r),
                    false => kind(sizes, thread).steps(&mut model, &mut r),
                };
                fs.run(&steps).unwrap();
                counted += count(fs, &mut r);
                if r.one_in(300) {
                    fs.writer.journal.flush().unwrap();
                }
                if r.one_in(60) {
                    let newest = fs.writer.journal.newest();
                    write_back(&fs.btrees, &fs.writer, newest).unwrap();
                }
            }
            (model, counted)
        };
        std::thread::scope(|s| {
            let (one, stop, still) = (&one, &stop, &still);
            let writers: Vec<_> = (0..WRITERS).map(|nr| s.spawn(move || one(nr))).collect();
            let readers: Vec<_> = (0..2)
                .map(|_| s.spawn(|| reader(fs, still, stop)))
                .collect();
            let shrinker = s.spawn(|| {
                while shrink && !stop.load(Ordering::Relaxed) {
                    fs.btrees.cache().scan(64);
                    fs.btrees.key_cache().scan(64);
                    std::thread::yield_now();
                }
            });
            let mut all = (Model::default(), 0);
            let done: Vec<_> = writers.into_iter().map(|w| w.join()).collect();
            stop.store(true, Ordering::Relaxed);
            shrinker.join().unwrap();
            for done in done {
                let (model, counted) = done.unwrap();
                all.0.join(model);
                all.1 += counted;
            }
            let rounds: Vec<u64> = readers.into_iter().map(|r| r.join().unwrap()).collect();
            println!(
                "read {rounds:?} times, {} nodes read",
                fs.btrees.cache().nr_reads()
            );
            all
        })
    });
    model.join(still);
    flush_write_buffer(&fs.btrees, &fs.writer).unwrap();
    println!("in memory");
    model.check(&fs.btrees);
    assert_eq!(sums(&fs.btrees), [counted; 2]);
    println!("from the journal");
    fs.writer.journal.flush().unwrap();
    let found = read(copy(&medium)).unwrap();
    model.check(&found.btrees);
    assert_eq!(sums(&found.btrees), [counted; 2]);
    println!("from the nodes");
    write_back_all(&fs.btrees, &fs.writer).unwrap();
    let found = read(copy(&medium)).unwrap();
    model.check(&found.btrees);
    assert_eq!(sums(&found.btrees), [counted; 2]);
    assert_eq!(fs.btrees.key_cache().nr_changed(), 0);
    println!("{}", fs.btrees.key_cache());
    walk_all(&found.btrees);
    walk_all(&fs.btrees);
    fs.writer.hooks.check(&fs.btrees);
}

#[test]
fn with_delays() {
    // For all threads of this process: others may run slower than they could.
    delays::set(300);
    threads(4 << 10, 512, true);
    delays::set(0);
}

#[test]
fn small_nodes() {
    threads(4 << 10, 512, false);
}

#[test]
fn small_nodes_that_are_dropped() {
    threads(4 << 10, 512, true);
}

#[test]
fn nodes_that_are_dropped() {
    threads(16 << 10, 4096, true);
}

#[test]
fn a_short_journal() {
    let sizes = Sizes {
        journal: 6,
        ..Sizes::new(8 << 10, 512)
    };
    threads_on(sizes, true, 0);
}

#[test]
fn transactions_start_over_at_every_step() {
    threads_on(Sizes::new(4 << 10, 512), true, 12);
    threads_on(Sizes::new(16 << 10, 4096), false, 40);
}

#[test]
fn large_nodes() {
    threads(256 << 10, 4096, false);
}
