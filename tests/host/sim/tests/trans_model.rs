// SPDX-License-Identifier: GPL-2.0

//! Random transactions against plain maps, with nodes and blocks of many sizes: what is read in
//! memory, after the journal was replayed, and after everything was written back.
//!
//! `BCACHEFS_RS_TRANSACTIONS` sets how many are made for each size, `BCACHEFS_RS_SEED` which.

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
        write_back,
        write_back_all, //
    },
    env::restart_often,
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
    let cache = fs.btrees.cache();
    assert!(cache.memory_bytes() < 64 << 20, "{cache:?}");
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
    one_thread(4 << 10, 512, 3_000_000, 0);
}
