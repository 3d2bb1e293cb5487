// SPDX-License-Identifier: GPL-2.0

//! Random transactions against plain maps, with nodes and blocks of many sizes: what is read in
//! memory, after the journal was replayed, and after everything was written back.
//!
//! `BCACHEFS_RS_TRANSACTIONS` sets how many are made for each size, `BCACHEFS_RS_SEED` which;
//! `BCACHEFS_RS_POSITIONS` at how many positions, for btrees with many levels: with three million
//! transactions, there is space for keys at 300000.

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
    format::{
        bkey::Bkey,
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType, //
    },
    journal::live::Watermark,
    sys::block::BlockDevice,
};

fn transactions() -> u64 {
    setting("BCACHEFS_RS_TRANSACTIONS", 3_000)
}

fn seed() -> u64 {
    let seed = setting("BCACHEFS_RS_SEED", 1);
    println!("BCACHEFS_RS_SEED={seed}");
    seed
}

/// What is in memory, and what is read of the device after a flush.
fn check(fs: &Fs, medium: &sim::sys::block::Medium, model: &Model) {
    flush_write_buffer(&fs.btrees, &fs.writer).unwrap();
    model.check(&fs.btrees);
    fs.writer.journal.flush().unwrap();
    model.check(&read(copy(medium)).unwrap().btrees);
}

/// With transactions that are started over at each of their first steps, if `restarts` is not 0.
fn one_thread(node: u32, block: u32, positions: u64, restarts: u32) {
    restart_often(restarts);
    let sizes = Sizes::new(node, block);
    let kind = Kind {
        positions,
        words: 8,
        changes: 6,
        thread: 0,
        alone: true,
    };
    let dev = BlockDevice::from_memory("sim", empty(sizes));
    let medium = dev.medium();
    medium.set_block_bytes(block);
    let fs = open(dev);
    let (mut model, mut r) = (Model::default(), Random(seed()));
    let nr = transactions();
    // Nobody else is there.
    for _ in 0..4 {
        fs.churn(&kind, &mut model, &mut r, (nr / 16).min(200));
        check(&fs, &medium, &model);
        let newest = fs.writer.journal.newest();
        write_back(&fs.btrees, &fs.writer, newest).unwrap();
    }
    for _ in 0..3 {
        live(&fs, |fs| fs.churn(&kind, &mut model, &mut r, nr / 4));
        check(&fs, &medium, &model);
    }
    write_back_all(&fs.btrees, &fs.writer).unwrap();
    model.check(&fs.btrees);
    let found = read(copy(&medium)).unwrap();
    model.check(&found.btrees);
    walk_all(&found.btrees);
    fs.writer.hooks.check(&fs.btrees);
    let roots = POINTS.map(|btree| fs.btrees.root_node(btree).unwrap().level);
    println!("levels of the roots: {roots:?}");
    // Nothing is kept of the journal, and the cache knows how much it has.
    assert!(fs.writer.journal.oldest_pinned() >= fs.writer.journal.newest());
    let (cache, keys) = (fs.btrees.cache(), 5 * positions.min(nr));
    assert!(
        cache.memory_bytes() < (64 << 20).max(keys * 128),
        "{cache:?}"
    );
}

macro_rules! sizes {
    ($($name:ident: $node:literal, $block:literal;)*) => {
        mod one_thread_with {
            $(
                #[test]
                fn $name() {
                    super::one_thread($node << 10, $block, $node << 10, 0);
                }
            )*
        }
    };
}

sizes! {
    nodes_of_4k_blocks_of_512: 4, 512;
    nodes_of_8k_blocks_of_1k: 8, 1024;
    nodes_of_8k_blocks_of_4k: 8, 4096;
    nodes_of_16k_blocks_of_512: 16, 512;
    nodes_of_64k_blocks_of_4k: 64, 4096;
    nodes_of_128k_blocks_of_2k: 128, 2048;
    nodes_of_256k_blocks_of_4k: 256, 4096;
}

#[test]
fn transactions_start_over_at_every_step() {
    one_thread(4 << 10, 512, 4000, 40);
    one_thread(16 << 10, 4096, 16000, 12);
}

#[test]
fn btrees_with_many_levels() {
    let positions = setting("BCACHEFS_RS_POSITIONS", 3_000_000);
    one_thread(4 << 10, 512, positions, 0);
}

/// A journal that is nearly full, of keys that are each in a node of its own: for the pointers to
/// these nodes it takes more room than is left, which has to be made on the way.
#[test]
fn a_full_journal_is_written_back() {
    const NODES: u64 = 12_000;
    let dev = BlockDevice::from_memory("full", empty(Sizes::new(4 << 10, 512)));
    let medium = dev.medium();
    medium.set_block_bytes(512);
    let fs = open(dev);
    let put = |nr, bytes| {
        run(&fs.btrees, &fs.writer, Watermark::Normal, |t| {
            let k = Bkey {
                key_type: KeyType::COOKIE,
                p: Bpos::new(4096, nr, u32::MAX),
                ..Bkey::default()
            };
            t.update(BtreeId::XATTRS, KeyBuf::of(k, &vec![7; bytes])?)?;
            t.commit()
        })
        .unwrap()
    };
    // Two fit a node, not three.
    live(&fs, |_| {
        for nr in 0..2 * NODES {
            put(nr, 1200);
        }
    });
    write_back_all(&fs.btrees, &fs.writer).unwrap();
    // Nobody is there to write back now: there is room for all.
    for nr in 0..NODES {
        put(2 * nr, 8);
    }
    write_back_all(&fs.btrees, &fs.writer).unwrap();
    let found = read(copy(&medium)).unwrap();
    assert!(nodes(&found.btrees, BtreeId::XATTRS) as u64 >= NODES);
    walk_all(&found.btrees);
    fs.writer.hooks.check(&fs.btrees);
}

/// Nodes of a btree.
fn nodes(btrees: &Btrees, btree: BtreeId) -> usize {
    let root = btrees.root_node(btree).unwrap();
    let of_level = |level| {
        let mut iter = btrees.iter(btree, level, Bpos::MIN);
        std::iter::from_fn(|| iter.advance().unwrap()).count()
    };
    1 + (1..=root.level).map(of_level).sum::<usize>()
}

/// Deletes keys in random order, all but one in `keep_one_in`, several at a time.
fn delete(fs: &Fs, model: &mut Model, r: &mut Random, keep_one_in: u64) {
    let mut left: Vec<_> = model.keys.keys().copied().collect();
    left.retain(|(btree, _)| POINTS.contains(btree) && !r.one_in(keep_one_in));
    while !left.is_empty() {
        let nr = (1 + r.below(6)).min(left.len() as u64);
        let some: Vec<_> = (0..nr)
            .map(|_| left.swap_remove(r.below(left.len() as u64) as usize))
            .collect();
        let done = run(&fs.btrees, &fs.writer, Watermark::Normal, |t| {
            for (btree, pos) in &some {
                t.delete(*btree, *pos)?;
            }
            t.commit()
        });
        done.unwrap();
        for key in some {
            model.keys.remove(&key);
        }
    }
}

/// Nodes of which most keys are deleted are merged.
fn shrinks(node: u32, block: u32, positions: u64, restarts: u32) {
    restart_often(restarts);
    let kind = Kind {
        positions,
        words: 8,
        changes: 6,
        thread: 0,
        alone: true,
    };
    let dev = BlockDevice::from_memory("sim", empty(Sizes::new(node, block)));
    let medium = dev.medium();
    medium.set_block_bytes(block);
    let fs = open(dev);
    let (mut model, mut r) = (Model::default(), Random(seed()));
    live(&fs, |fs| {
        fs.churn(&kind, &mut model, &mut r, transactions())
    });
    let levels = || POINTS.map(|btree| fs.btrees.root_node(btree).unwrap().level);
    let of_points = || POINTS.map(|b| nodes(&fs.btrees, b)).iter().sum::<usize>();
    let (full, high) = (of_points(), levels());
    live(&fs, |fs| delete(fs, &mut model, &mut r, 50));
    check(&fs, &medium, &model);
    let few = of_points();
    live(&fs, |fs| delete(fs, &mut model, &mut r, u64::MAX));
    check(&fs, &medium, &model);
    write_back_all(&fs.btrees, &fs.writer).unwrap();
    let found = read(copy(&medium)).unwrap();
    model.check(&found.btrees);
    walk_all(&found.btrees);
    fs.writer.hooks.check(&fs.btrees);
    let none = of_points();
    println!(
        "{full} nodes, {few}, {none}; levels {high:?}, {:?}",
        levels()
    );
    // Of those that are empty, one of each level is left.
    assert_eq!(levels(), high);
    let least: usize = high.iter().map(|level| 1 + usize::from(*level)).sum();
    assert_eq!(none, least);
    assert!(few <= least + full / 8, "{full} nodes, {few}, {none}");
    // And up again.
    live(&fs, |fs| fs.churn(&kind, &mut model, &mut r, 200));
    check(&fs, &medium, &model);
}

#[test]
fn what_is_deleted_returns_nodes() {
    for (node, block) in [(4, 512), (8, 1024), (16, 4096), (64, 4096)] {
        shrinks(node << 10, block, u64::from(node) << 10, 0);
    }
    shrinks(4 << 10, 512, 4000, 40);
}
