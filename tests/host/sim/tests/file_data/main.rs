// SPDX-License-Identifier: GPL-2.0

//! Contents of files: random writes, holes, allocations, sizes and sharing against plain bytes,
//! with the allocator that there is in the kernel; and the independent recount of what follows.
//!
//! | file       | holds                                                           |
//! |------------|-----------------------------------------------------------------|
//! | `file.rs`  | a file, what should be in it, and random changes of both         |
//! | `cached.rs` | cached copies make room                                         |
//! | `cuts.rs`  | the power is lost meanwhile, and transfers fail                  |
//! | `full.rs`  | until there is no space                                          |
//! | `nocow.rs` | data is written over where it is                                 |
//! | `start.rs` | writes that nobody waits for; extents that are merged            |
//!
//! `BCACHEFS_RS_OPS` sets how many changes are made, `BCACHEFS_RS_SEED` which, and
//! `BCACHEFS_RS_CUTS` how many losses of power are looked at.

mod cached;
mod cuts;
#[path = "../engine/mod.rs"]
mod engine;
mod file;
mod full;
mod nocow;
mod start;

use engine::{
    setting,
    space::{
        devices,
        disks,
        look,
        open, //
    },
    Random, //
};
use file::{
    check_all,
    files,
    first_files,
    File,
    Target,
    SECTOR,
    SUBVOL, //
};
use sim::{
    data::write::{
        allocate,
        write,
        Compression,
        Written, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        csum::CsumType,
        key_type::KeyType, //
    },
};

/// The first files of an image, changed by `change`.
fn random_ops(image: &str, csum: Option<CsumType>, seed: u64, nr: u64, blocks: u64) {
    let change = |file: &mut File| {
        if let Some(csum) = csum {
            file.options.csum = csum;
        }
    };
    random_ops_with(image, change, seed, nr, blocks);
}

fn random_ops_with(image: &str, change: impl Fn(&mut File), seed: u64, nr: u64, blocks: u64) {
    println!("BCACHEFS_RS_SEED={seed}");
    let Some(disks) = disks(image) else {
        return;
    };
    let fs = open(disks);
    let mut r = Random(seed);
    let mut files = first_files(&fs.view, fs.engine(), 3);
    files.iter_mut().for_each(change);
    fs.live(|fs| {
        let target = Target {
            engine: fs.engine(),
            view: &fs.view,
            blocks,
        };
        for at in 0..nr {
            target.change(&mut files, &mut r).unwrap();
            if at % 100 == 99 {
                check_all(fs, &files);
                fs.drop_nodes();
            }
        }
    });
    check_all(&fs, &files);
    assert_eq!(fs.writer.hooks.nr_reserved(), 0);
    fs.shut_down();
    fs.check();
    for file in &files {
        file.check(&look(devices(fs.contents())).unwrap().view);
    }
}

/// The same, compressed: random bytes, and such that repeat themselves.
#[test]
fn compressed_files_hold_what_was_written() {
    let seed = setting("BCACHEFS_RS_SEED", 1);
    for (nr, option) in [1, 2, 3, 3 | 9 << 4].into_iter().enumerate() {
        let csum = [CsumType::NONE, CsumType::CRC32C, CsumType::CRC64][nr % 3];
        let change = |file: &mut File| {
            file.options.csum = csum;
            file.options.compression = Compression::of_option(option);
        };
        random_ops_with("v113-tree", change, seed + nr as u64, nr_ops() / 2, 200);
    }
}

fn nr_ops() -> u64 {
    setting("BCACHEFS_RS_OPS", 300)
}

#[test]
fn files_hold_what_was_written() {
    let seed = setting("BCACHEFS_RS_SEED", 1);
    random_ops("engine-small", None, seed, nr_ops(), 200);
    random_ops("v113-tree", Some(CsumType::CRC64), seed + 1, nr_ops(), 200);
    random_ops("v113-tree", Some(CsumType::NONE), seed + 2, nr_ops(), 400);
    random_ops("v113-tree", Some(CsumType::XXHASH), seed + 3, nr_ops(), 100);
}

#[test]
fn with_several_copies() {
    let seed = setting("BCACHEFS_RS_SEED", 1);
    random_ops("v113-repl2", None, seed, nr_ops(), 200);
    random_ops("engine-three", None, seed + 1, nr_ops(), 200);
}

/// Extents of all kinds are what is written over.
#[test]
fn reservations_are_replaced() {
    let fs = open(disks("v113-tree").unwrap());
    let snapshot = fs.view.subvolume(SUBVOL).unwrap().snapshot;
    let inode = files(&fs.view)[0];
    let mut file = File::of(&fs.view, &inode, snapshot);
    let block = u64::from(fs.view.sb().sb.block_sectors());
    let start = 1 << 20;
    allocate(
        fs.engine(),
        &fs.view,
        file.id,
        (start, start + 64 * block),
        &file.options,
        u64::MAX,
    )
    .unwrap();
    file.resize((start + 64 * block) * SECTOR);
    let data = vec![7; (8 * block * SECTOR) as usize];
    let at = start + 16 * block;
    file.bytes[(at * SECTOR) as usize..][..data.len()].copy_from_slice(&data);
    let mut done = Written::default();
    let what = (at, &data[..]);
    write(
        fs.engine(),
        &fs.view,
        file.id,
        &file.options,
        what,
        0,
        &mut done,
    )
    .unwrap();
    assert_eq!(done.sectors, 0);
    let count = |kind| {
        let mut iter = fs.view.iter(
            BtreeId::EXTENTS,
            Bpos::new(file.id.inum, start, 0),
            snapshot,
        );
        let mut nr = 0;
        while let Some(key) = iter.next().unwrap() {
            nr += usize::from(key.k.p.inode == file.id.inum && key.k.key_type == kind);
        }
        nr
    };
    assert_eq!(
        (count(KeyType::RESERVATION), count(KeyType::EXTENT)),
        (2, 1)
    );
    check_all(&fs, &[file]);
    fs.shut_down();
    fs.check();
}
