// SPDX-License-Identifier: GPL-2.0

//! All kinds of extents are moved, between random changes.

use super::{
    check_all,
    engine::{
        setting,
        space::{
            devices,
            disks,
            look,
            open, //
        },
        Random, //
    },
    file::{
        first_files,
        File,
        Target, //
    },
    move_all,
};
use sim::{
    data::{
        mover::Mover,
        write::Compression, //
    },
    format::csum::CsumType,
    golden::Image, //
};
use std::path::Path;

fn nr_ops() -> u64 {
    setting("BCACHEFS_RS_OPS", 300)
}

/// Changes the first files of an image, changed by `change`, and moves what is in buckets that are
/// used in part now and then.
fn moved_between_changes(image: &str, change: impl Fn(&mut File), seed: u64) {
    println!("BCACHEFS_RS_SEED={seed} {image}");
    let Some(disks) = disks(image) else {
        return;
    };
    let fs = open(disks);
    let mut r = Random(seed);
    let mut files = first_files(&fs.view, fs.engine(), 3);
    files.iter_mut().for_each(change);
    let mut mover = Mover::default();
    let (mut emptied, mut moved) = (0, 0);
    fs.live(|fs| {
        let target = Target {
            engine: fs.engine(),
            view: &fs.view,
            blocks: 150,
        };
        for at in 0..nr_ops() {
            target.change(&mut files, &mut r).unwrap();
            if at % 20 == 19 {
                let round = move_all(fs, &mut mover, 3).unwrap();
                emptied += round.emptied;
                moved += round.moved;
                for file in &files {
                    file.check(&fs.view);
                }
            }
            if at % 100 == 99 {
                check_all(fs, &files);
                fs.drop_nodes();
            }
        }
    });
    println!("{image}: {emptied} buckets were emptied, {moved} sectors were moved");
    assert!(emptied > nr_ops() / 20, "{emptied}");
    check_all(&fs, &files);
    assert_eq!(fs.writer.hooks.nr_reserved(), 0);
    fs.shut_down();
    fs.check();
    for file in &files {
        file.check(&look(devices(fs.contents())).unwrap().view);
    }
}

#[test]
fn with_checksums() {
    let seed = setting("BCACHEFS_RS_SEED", 1);
    let kinds = [CsumType::CRC32C, CsumType::CRC64, CsumType::XXHASH];
    for (nr, csum) in (0..).zip(kinds) {
        moved_between_changes("v113-tree", |f| f.options.csum = csum, seed + nr);
    }
    moved_between_changes("engine-small", |_| (), seed + 3);
}

#[test]
fn without_checksums() {
    let seed = setting("BCACHEFS_RS_SEED", 1);
    moved_between_changes("v113-tree", |f| f.options.csum = CsumType::NONE, seed);
    moved_between_changes("v113-csum-none", |_| (), seed + 1);
}

#[test]
fn compressed() {
    let seed = setting("BCACHEFS_RS_SEED", 1);
    let kinds = [CsumType::NONE, CsumType::CRC32C, CsumType::CRC64];
    for (nr, option) in (0..).zip([1, 2, 3]) {
        let change = |file: &mut File| {
            file.options.csum = kinds[nr];
            file.options.compression = Compression::of_option(option);
        };
        moved_between_changes("v113-tree", change, seed + option);
    }
}

/// What is left of an extent is encrypted as it was, or decompressed and encrypted again.
#[test]
fn encrypted() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden");
    let image = Image::named(&golden, "v113-encrypted-repl2").unwrap();
    // With this, the key is there.
    image.unpack().unwrap();
    let seed = setting("BCACHEFS_RS_SEED", 1);
    moved_between_changes(&image.name, |_| (), seed);
    let change = |file: &mut File| file.options.compression = Compression::of_option(1);
    moved_between_changes(&image.name, change, seed + 1);
    let change = |file: &mut File| file.options.csum = CsumType::CHACHA20_POLY1305_128;
    moved_between_changes(&image.name, change, seed + 2);
}

#[test]
fn with_several_copies() {
    let seed = setting("BCACHEFS_RS_SEED", 1);
    moved_between_changes("v113-repl2", |_| (), seed);
    moved_between_changes("engine-three", |f| f.options.nr_replicas = 2, seed + 1);
}

/// What was written over where it is, before or after it was moved.
#[test]
fn written_over() {
    let seed = setting("BCACHEFS_RS_SEED", 1);
    let some = |file: &mut File| {
        if file.id.inum % 2 == 0 {
            file.set_nocow();
        }
    };
    moved_between_changes("v113-tree", some, seed);
    moved_between_changes("engine-three", some, seed + 1);
}
