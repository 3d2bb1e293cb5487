// SPDX-License-Identifier: GPL-2.0

//! Filesystems that are small in every way are changed without a pause: a journal of few short
//! buckets, nodes of few blocks, few buckets. All of it works, and nobody waits for long.
//! `BCACHEFS_RS_ROUNDS` makes it longer.

mod engine;

use engine::{
    mounted::{
        contents,
        look,
        start, //
    },
    new::made,
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
        key_type::KeyType, //
    },
    init::{
        Access,
        Filesystem,
        State, //
    },
    journal::live::Watermark,
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

/// Deletes all keys, each by a call of `again` with what does it.
fn delete_all(
    fs: &Filesystem,
    again: impl Fn(&dyn Fn() -> Result<Option<KeyBuf>, Error>) -> Option<KeyBuf>,
) {
    let engine = fs.read_write().unwrap().engine();
    let mut start = Bpos::new(0, 0, u32::MAX);
    while let Some(found) = again(&|| {
        engine.run_in_reserve(|t| {
            let found = t.next(BTREE, start, LAST)?;
            if let Some(found) = &found {
                t.delete(BTREE, found.k.p)?;
                t.commit()?;
            }
            Ok(found)
        })
    }) {
        start = found.k.p.successor();
    }
}

fn busy(name: &str, sizes: Option<(u64, u16)>) {
    let (fs, media) = start(Access::Write, made(name, sizes), "").unwrap();
    let since = Instant::now();
    let rounds = setting("BCACHEFS_RS_ROUNDS", 4);
    for round in 0..rounds {
        let begin = Instant::now();
        insert(&fs, 20_000);
        delete_all(&fs, |one| soon(&fs, one));
        let took = begin.elapsed();
        println!("{name} {sizes:?} {round}: {took:?}");
        // Some hundred times what it takes: nobody hangs.
        assert!(took < Duration::from_secs(120), "{took:?}");
    }
    assert_eq!(fs.state().get(), State::ReadWrite);
    fs.go_read_only().unwrap();
    drop(fs);
    let findings = check_derived(&look(&media).view);
    assert!(findings.is_empty(), "{findings:#?}");
    println!("{name} {sizes:?}: {:?}", since.elapsed());
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
            let (fs, media) = start(Access::Write, disks(name).unwrap(), "").unwrap();
            // Who tries again may take what others left in reserve.
            let nr: u64 = (0..4).map(|again| fill(&fs, seed << 8 | again)).sum();
            fs.go_read_only().unwrap();
            drop(fs);
            let (fs, _) = start(Access::Write, contents(&media), "").unwrap();
            println!("{name} {seed}: {nr} keys");
            delete_all(&fs, |one| one().unwrap());
            insert(&fs, 1000);
            fs.go_read_only().unwrap();
        }
    }
}
