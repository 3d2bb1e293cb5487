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
        KeyBuf, //
    },
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
/// A btree of numbers that all threads count up.
const NUMBERS: BtreeId = BtreeId::RECONCILE_SCAN;

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
fn number(r: &mut Random) -> Bpos {
    Bpos::new(1 + r.below(40), 8 * r.below(20), 0)
}

/// Counts some numbers up, in one transaction.
fn count(fs: &Fs, r: &mut Random) -> u64 {
    let at: Vec<Bpos> = (0..1 + r.below(4)).map(|_| number(r)).collect();
    run(&fs.btrees, &fs.writer, Watermark::Normal, |t| {
        for p in &at {
            let old = t.get(NUMBERS, *p)?.map_or(0, |k| k.value()[0]);
            let k = Bkey {
                key_type: KeyType::COOKIE,
                p: *p,
                ..Bkey::default()
            };
            t.update(NUMBERS, KeyBuf::of(k, &(old + 1).to_le_bytes())?)?;
        }
        t.commit()
    })
    .unwrap();
    at.len() as u64
}

/// What the numbers are together.
fn sum(fs: &Fs) -> u64 {
    let mut iter = fs.btrees.iter(NUMBERS, 0, Bpos::MIN);
    let mut sum = 0;
    while let Some(key) = iter.next().unwrap() {
        sum += u64::from_le_bytes(key.v.try_into().unwrap());
    }
    sum
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
    threads_on(Sizes::new(node, block), shrink);
}

fn threads_on(sizes: Sizes, shrink: bool) {
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
    assert_eq!(sum(&fs), counted);
    println!("from the journal");
    fs.writer.journal.flush().unwrap();
    model.check(&read(copy(&medium)).unwrap().btrees);
    println!("from the nodes");
    write_back_all(&fs.btrees, &fs.writer).unwrap();
    let found = read(copy(&medium)).unwrap();
    model.check(&found.btrees);
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
    threads_on(sizes, true);
}

#[test]
fn large_nodes() {
    threads(256 << 10, 4096, false);
}
