// SPDX-License-Identifier: GPL-2.0

//! Filesystems that are small in every way are changed without a pause: a journal of few short
//! buckets, nodes of few blocks, few buckets. All of it works, and nobody waits for long.
//! `BCACHEFS_RS_ROUNDS` makes it longer.

mod engine;

use engine::{
    new::{
        devices,
        made, //
    },
    setting,
    space::disks,
    Random, //
};
use sim::{
    btree::KeyBuf,
    check::check_derived,
    error::{
        Class,
        Error, //
    },
    format::{
        bkey::Bkey,
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        opts::Opts, //
    },
    init::{
        Access,
        Filesystem,
        State, //
    },
    journal::live::Watermark,
    sys::block::Power,
};
use std::time::{
    Duration,
    Instant, //
};

const BTREE: BtreeId = BtreeId::XATTRS;
const LAST: Bpos = Bpos::new(0, u64::MAX, u32::MAX);

fn key(nr: u64) -> KeyBuf {
    let k = Bkey {
        key_type: KeyType::COOKIE,
        p: Bpos::new(0, nr, u32::MAX),
        ..Bkey::default()
    };
    KeyBuf::of(k, &[0; 8]).unwrap()
}

/// Calls `f` until it succeeds. With so few buckets there can be none for a moment.
fn soon<T>(fs: &Filesystem, f: impl Fn() -> Result<T, Error>) -> T {
    for _ in 0..100 {
        match f() {
            Ok(value) => return value,
            Err(e) => assert_eq!(e.class(), Class::NoSpace, "{e}"),
        }
        assert_eq!(fs.state().get(), State::ReadWrite);
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("there is no space, though nearly all is free");
}

/// Each key in a transaction of its own, as fast as possible.
fn insert(fs: &Filesystem, nr: u64) {
    let engine = fs.read_write().unwrap().engine();
    for at in 0..nr {
        soon(fs, || {
            engine.run(Watermark::Normal, |t| {
                t.update(BTREE, key(at))?;
                t.commit()
            })
        });
    }
}

fn delete_all(fs: &Filesystem) {
    let engine = fs.read_write().unwrap().engine();
    let mut start = Bpos::new(0, 0, u32::MAX);
    loop {
        let found = soon(fs, || {
            engine.run_in_reserve(|t| {
                let found = t.next(BTREE, start, LAST)?;
                if let Some(found) = &found {
                    t.delete(BTREE, found.k.p)?;
                    t.commit()?;
                }
                Ok(found)
            })
        });
        match found {
            Some(found) => start = found.k.p.successor(),
            None => break,
        }
    }
}

fn busy(name: &str, sizes: Option<(u64, u16)>) {
    let (devs, media) = devices(made(name, sizes), &Power::new());
    let fs = Filesystem::start_for(Access::Write, devs, &Opts::default()).unwrap();
    let start = Instant::now();
    let rounds = setting("BCACHEFS_RS_ROUNDS", 4);
    for round in 0..rounds {
        let begin = Instant::now();
        insert(&fs, 20_000);
        delete_all(&fs);
        let took = begin.elapsed();
        println!("{name} {sizes:?} {round}: {took:?}");
        // Some hundred times what it takes: nobody hangs.
        assert!(took < Duration::from_secs(120), "{took:?}");
    }
    assert_eq!(fs.state().get(), State::ReadWrite);
    fs.go_read_only().unwrap();
    drop(fs);
    let contents = media.iter().map(|m| m.contents()).collect();
    let fs = Filesystem::start(devices(contents, &Power::new()).0, &Opts::default()).unwrap();
    let findings = check_derived(&fs.view);
    assert!(findings.is_empty(), "{findings:#?}");
    println!("{name} {sizes:?}: {:?}", start.elapsed());
}

#[test]
fn small_nodes_and_buckets() {
    busy("small", Some((32, 1)));
}

#[test]
fn small_nodes_of_large_blocks() {
    busy("small", None);
}

#[test]
fn tiny_nodes() {
    busy("small", Some((8, 1)));
}

/// A filesystem that is full: keys at random positions are inserted until there is no space.
fn fill(fs: &Filesystem, seed: u64) -> u64 {
    let engine = fs.read_write().unwrap().engine();
    let mut r = Random(seed);
    for nr in 0..1 << 22 {
        let at = r.below(1 << 40);
        let done = engine.run(Watermark::Normal, |t| {
            t.update(BTREE, key(at))?;
            t.commit()
        });
        if let Err(e) = done {
            assert_eq!(e.class(), Class::NoSpace, "{e}");
            return nr;
        }
    }
    panic!("it never gets full");
}

#[test]
fn what_is_full_can_be_emptied() {
    for seed in 0..setting("BCACHEFS_RS_ROUNDS", 1) {
        for name in ["engine-unequal", "engine-small"] {
            let (devs, media) = devices(disks(name).unwrap(), &Power::new());
            let fs = Filesystem::start_for(Access::Write, devs, &Opts::default()).unwrap();
            // Who tries again may take what others left in reserve.
            let nr: u64 = (0..4).map(|again| fill(&fs, seed << 8 | again)).sum();
            fs.go_read_only().unwrap();
            drop(fs);
            let contents = media.iter().map(|m| m.contents()).collect();
            let devs = devices(contents, &Power::new()).0;
            let fs = Filesystem::start_for(Access::Write, devs, &Opts::default()).unwrap();
            println!("{name} {seed}: {nr} keys");
            let engine = fs.read_write().unwrap().engine();
            let mut start = Bpos::new(0, 0, u32::MAX);
            loop {
                let found = engine.run_in_reserve(|t| {
                    let found = t.next(BTREE, start, LAST)?;
                    if let Some(found) = &found {
                        t.delete(BTREE, found.k.p)?;
                        t.commit()?;
                    }
                    Ok(found)
                });
                match found.unwrap() {
                    Some(found) => start = found.k.p.successor(),
                    None => break,
                }
            }
            insert(&fs, 1000);
            fs.go_read_only().unwrap();
        }
    }
}
