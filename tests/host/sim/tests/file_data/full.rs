// SPDX-License-Identifier: GPL-2.0

//! Files grow until there is no space: whoever has reserved some gets it, whoever can not is told;
//! and with space again, it goes on.

use super::{
    engine::{
        space::{
            disks,
            open,
            SpaceFs, //
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
    data::write::{
        punch,
        write,
        Written, //
    },
    error::{
        Class,
        Result as BchResult, //
    },
};
use std::time::Duration;

/// Bytes written at a time.
const PIECE: u64 = 128 << 10;

/// Appends, with space that was reserved before, as the page cache does.
fn append(fs: &SpaceFs, file: &mut File, r: &mut Random) -> BchResult {
    let space = &fs.writer.hooks;
    let copies = u64::from(file.options.nr_replicas);
    let reserved = space.reserve(PIECE / SECTOR * copies)?;
    let byte = r.next() as u8;
    let (at, data) = (file.bytes.len() as u64, vec![byte; PIECE as usize]);
    let mut done = Written::default();
    let what = (at / SECTOR, &data[..]);
    let end = at + PIECE;
    // Whoever has space reserved does not fail for lack of it.
    write(
        fs.engine(),
        &fs.view,
        file.id,
        &file.options,
        what,
        end,
        &mut done,
    )
    .unwrap();
    space.give_back(reserved);
    file.resize(end);
    file.bytes[at as usize..].fill(byte);
    Ok(())
}

fn fill_and_empty(image: &str) {
    let fs = open(disks(image).unwrap());
    let mut r = Random(1);
    let mut files = first_files(&fs.view, fs.engine(), 1);
    let file = &mut files[0];
    let start = file.bytes.len() as u64;
    fs.live(|fs| {
        for round in 0..3 {
            let mut nr = 0;
            let refused = loop {
                match append(fs, file, &mut r) {
                    Ok(()) => nr += 1,
                    Err(e) => break e,
                }
                assert!(nr < 10_000);
            };
            println!("{image}, round {round}: {nr} pieces, then {refused}");
            assert_eq!(refused.class(), Class::NoSpace);
            assert!(nr > 8, "{nr}");
            file.check(&fs.view);
            let (from, to) = (start / SECTOR, file.bytes.len() as u64 / SECTOR);
            punch(fs.engine(), &fs.view, file.id, from, to).unwrap();
            file.bytes[start as usize..].fill(0);
            // Emptied buckets are free once that is safe, and the device was told.
            fs.writer.journal.flush().unwrap();
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    assert_eq!(fs.writer.hooks.nr_reserved(), 0);
    fs.shut_down();
    fs.check();
}

#[test]
fn until_there_is_no_space() {
    fill_and_empty("engine-small");
    fill_and_empty("v113-repl2");
}
