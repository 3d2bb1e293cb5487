// SPDX-License-Identifier: GPL-2.0

//! Others write and read while data is moved: nobody ever reads what was not written there, and
//! what was written last is there.

use super::{
    engine::{
        setting,
        space::{
            disks,
            open, //
        },
        Random, //
    },
    file::{
        first_files,
        File,
        SECTOR, //
    },
};
use sim::{
    alloc::space::Engine,
    data::{
        mover::Mover,
        read_sync,
        write::{
            write,
            Written, //
        },
    },
    format::csum::CsumType,
    snapshots::View,
};
use std::sync::atomic::{
    AtomicBool,
    AtomicU64,
    Ordering, //
};

/// Blocks of each file.
const BLOCKS: u64 = 150;

/// What a block has when it was written for the `nr`th time: this number all over.
fn word(file: &File, at: u64, nr: u64) -> u64 {
    file.id.inum << 48 | at << 32 | nr
}

fn write_block(engine: Engine<'_>, view: &View, file: &File, (at, nr): (u64, u64), len: u64) {
    let block = u64::from(view.sb().sb.block_bytes());
    let words = |at| std::iter::repeat_n(word(file, at, nr).to_le_bytes(), (block / 8) as usize);
    let data: Vec<u8> = (at..at + len).flat_map(words).flatten().collect();
    let mut done = Written::default();
    let (what, end) = ((at * block / SECTOR, &data[..]), (at + len) * block);
    write(engine, view, file.id, &file.options, what, end, &mut done).unwrap();
}

/// Checks that a block holds what was written there at some time, and not before `least`: at one
/// time, unless it is written over where it is.
fn check_block(view: &View, file: &File, at: u64, least: u64, in_place: bool) {
    let mut found = vec![0; view.sb().sb.block_bytes() as usize];
    let pos = at * found.len() as u64;
    read_sync(view, file.id, pos, &mut found).unwrap();
    let words = found
        .chunks(8)
        .map(|w| u64::from_le_bytes(w.try_into().unwrap()));
    let words: Vec<u64> = words.collect();
    let is_one = words.iter().all(|w| *w == words[0]);
    assert!(in_place || is_one, "a block in parts");
    for word_found in words {
        let (base, nr) = (word(file, at, 0), word_found & 0xffff_ffff);
        assert_eq!(word_found & !0xffff_ffff, base, "somebody else's block");
        assert!(nr >= least, "{nr} of {least}");
    }
}

/// With `in_place`, every second write or so is over what there is.
fn raced(image: &str, csum: CsumType, in_place: bool, seed: u64) {
    println!("BCACHEFS_RS_SEED={seed} {image}, in place: {in_place}");
    let fs = open(disks(image).unwrap());
    let mut files = first_files(&fs.view, fs.engine(), 2);
    files.iter_mut().for_each(|f| f.options.csum = csum);
    for file in &files {
        write_block(fs.engine(), &fs.view, file, (0, 1), BLOCKS);
    }
    let written: Vec<Vec<AtomicU64>> = files
        .iter()
        .map(|_| (0..BLOCKS).map(|_| AtomicU64::new(1)).collect())
        .collect();
    let ended = AtomicBool::new(false);
    let nr = setting("BCACHEFS_RS_OPS", 1500);
    let moved = fs.live(|fs| {
        std::thread::scope(|s| {
            let (files, written, ended) = (&files, &written, &ended);
            let mover = s.spawn(move || {
                let (mut mover, mut moved) = (Mover::default(), 0);
                while !ended.load(Ordering::Relaxed) {
                    let round = mover.round(fs.engine(), &fs.view, true, &|| false);
                    moved += round.unwrap().moved;
                    fs.writer.journal.flush().unwrap();
                }
                moved
            });
            let readers: Vec<_> = (0..2)
                .map(|t| {
                    s.spawn(move || {
                        let mut r = Random(seed << 8 | t);
                        while !ended.load(Ordering::Relaxed) {
                            let (f, at) = (r.below(files.len() as u64), r.below(BLOCKS));
                            let least = written[f as usize][at as usize].load(Ordering::Acquire);
                            check_block(&fs.view, &files[f as usize], at, least, in_place);
                        }
                    })
                })
                .collect();
            let writers: Vec<_> = (0..files.len())
                .map(|f| {
                    s.spawn(move || {
                        let mut r = Random(seed << 9 | f as u64);
                        let mut file = files[f].clone();
                        for nr in 2..2 + nr {
                            let (at, len) = (r.below(BLOCKS - 4), 1 + r.below(4));
                            file.options.nocow = in_place && r.one_in(2);
                            write_block(fs.engine(), &fs.view, &file, (at, nr), len);
                            for at in at..at + len {
                                written[f][at as usize].store(nr, Ordering::Release);
                            }
                        }
                    })
                })
                .collect();
            writers.into_iter().for_each(|w| w.join().unwrap());
            ended.store(true, Ordering::Relaxed);
            readers.into_iter().for_each(|r| r.join().unwrap());
            mover.join().unwrap()
        })
    });
    println!("{image}: {moved} sectors were moved");
    assert!(moved > 0);
    for (file, written) in files.iter().zip(&written) {
        for (at, nr) in (0..).zip(written) {
            check_block(&fs.view, file, at, nr.load(Ordering::Relaxed), false);
        }
    }
    fs.shut_down();
    fs.check();
}

#[test]
fn nobody_reads_what_is_not_his() {
    let seed = setting("BCACHEFS_RS_SEED", 1);
    raced("engine-small", CsumType::NONE, false, seed);
    raced("engine-small", CsumType::CRC32C, false, seed + 1);
    raced("engine-three", CsumType::NONE, false, seed + 2);
}

#[test]
fn what_is_written_over_is_not_lost_when_it_is_moved() {
    let seed = setting("BCACHEFS_RS_SEED", 1);
    raced("engine-small", CsumType::NONE, true, seed);
    raced("engine-three", CsumType::NONE, true, seed + 1);
}
