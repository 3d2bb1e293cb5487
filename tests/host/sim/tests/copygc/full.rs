// SPDX-License-Identifier: GPL-2.0

//! A full filesystem is written over in small pieces, as it is mounted: who has reserved space gets
//! it, though all buckets are used in part.

use super::{
    engine::{
        mounted::{
            look,
            mount, //
        },
        setting,
        space::disks,
        Random, //
    },
    file::{
        first_files,
        File,
        SECTOR,
        SUBVOL, //
    },
};
use sim::{
    alloc::space::Engine,
    check::check_derived,
    data::write::{
        truncate,
        write,
        Compression,
        Written, //
    },
    error::{
        Error,
        Result as BchResult, //
    },
    format::{
        opts::OptId,
        sb::counters::Counter, //
    },
    snapshots::View,
    sys::block::Power, //
};
use std::time::Duration;

/// Bytes written at a time to fill it.
const PIECE: u64 = 128 << 10;

/// Writes `data` with space that is reserved before, if there is some; that may fail, and nothing
/// else.
fn put(engine: Engine<'_>, view: &View, file: &mut File, at: u64, data: &[u8]) -> BchResult {
    let space = &engine.writer.hooks;
    let copies = u64::from(file.options.nr_replicas);
    let len = data.len() as u64;
    let reserved = space.reserve(len / SECTOR * copies)?;
    let (mut done, end) = (Written::default(), at + len);
    let what = (at / SECTOR, data);
    write(engine, view, file.id, &file.options, what, end, &mut done).unwrap();
    space.give_back(reserved);
    file.resize(end.max(file.bytes.len() as u64));
    file.bytes[at as usize..end as usize].copy_from_slice(data);
    Ok(())
}

/// Of a file that takes all space, `keep` of 16 parts are written over.
fn written_over(image: &str, change: impl Fn(&mut File), keep: u64, seed: u64) {
    println!("BCACHEFS_RS_SEED={seed} {image}");
    let power = Power::new();
    let (fs, media) = mount(disks(image).unwrap(), &power, "");
    let engine = fs.read_write().unwrap().engine();
    let view = &fs.view;
    let mut r = Random(seed);
    let mut files = first_files(view, engine, 1);
    let file = &mut files[0];
    change(file);
    // Half of it can be compressed.
    let random = |len: u64, r: &mut Random| -> Vec<u8> {
        let byte = |i, r: &mut Random| if i & 4096 == 0 { r.next() } else { i / 300 };
        (0..len).map(|i| byte(i, r) as u8).collect()
    };
    loop {
        let at = file.bytes.len() as u64;
        let data = random(PIECE, &mut r);
        if put(engine, view, file, at, &data).is_err() {
            break;
        }
    }
    let block = u64::from(view.sb().sb.block_bytes());
    // Some of it is given up, so that there is space to write over the rest.
    let blocks = file.bytes.len() as u64 / block / 16 * keep;
    truncate(engine, view, (file.id, SUBVOL), blocks * block).unwrap();
    file.resize(blocks * block);
    let (mut over, mut refused) = (0, 0);
    let nr = blocks * setting("BCACHEFS_RS_ROUNDS", 2);
    for _ in 0..nr {
        let data = random(block * (1 + r.below(3)), &mut r);
        let at = r.below(blocks - 3) * block;
        match put(engine, view, file, at, &data) {
            Ok(()) => over += 1,
            Err(_) => refused += 1,
        }
    }
    let counter = |nr| fs.view.sb().counters.get(nr);
    let (rounds, buckets) = (counter(40), counter(84));
    println!("{image}: {blocks} blocks, {over} writes, {refused} refused, {rounds} rounds, {buckets} buckets");
    assert!(over > nr / 2 && rounds > 0 && buckets > 0);
    file.check(view);
    drop(fs);
    let found = look(&media);
    files[0].check(&found.view);
    let findings = check_derived(&found.view);
    assert!(findings.is_empty(), "{findings:#?}");
}

#[test]
fn who_has_reserved_space_gets_it() {
    let seed = setting("BCACHEFS_RS_SEED", 1);
    written_over("engine-small", |_| (), 15, seed);
    written_over("v113-repl2", |_| (), 12, seed + 1);
}

/// Who has not reserved space is told when there is none, and nothing can be gained by moving
/// data; then it goes on.
#[test]
fn without_space_reserved() {
    let (fs, media) = mount(disks("engine-small").unwrap(), &Power::new(), "");
    let engine = fs.read_write().unwrap().engine();
    let mut files = first_files(&fs.view, engine, 1);
    let file = &mut files[0];
    let data = vec![7; PIECE as usize];
    let append = |file: &mut File| {
        let mut done = Written::default();
        let at = file.bytes.len() as u64;
        let (what, end) = ((at / SECTOR, &data[..]), at + PIECE);
        let written = write(
            engine,
            &fs.view,
            file.id,
            &file.options,
            what,
            end,
            &mut done,
        );
        file.resize(at + done.bytes as u64);
        file.bytes[at as usize..].fill(7);
        written
    };
    let refused = (0..1000).find_map(|_| append(file).err());
    assert_eq!(refused, Some(Error::CopygcStuck));
    file.check(&fs.view);
    truncate(engine, &fs.view, (file.id, SUBVOL), 0).unwrap();
    file.resize(0);
    (0..8).for_each(|_| append(file).unwrap());
    file.check(&fs.view);
    drop(fs);
    let found = look(&media);
    let findings = check_derived(&found.view);
    assert!(findings.is_empty(), "{findings:#?}");
}

#[test]
fn compressed_data_too() {
    let seed = setting("BCACHEFS_RS_SEED", 1);
    let change = |f: &mut File| f.options.compression = Compression::of_option(1);
    written_over("engine-small", change, 8, seed);
}

/// The option `copygc_enabled` counts from when it is set.
#[test]
fn it_is_switched_while_mounted() {
    let (fs, _) = mount(
        disks("engine-small").unwrap(),
        &Power::new(),
        "copygc_enabled=0",
    );
    let (st, engine) = (fs.view.sb(), fs.read_write().unwrap().engine());
    let rounds = || {
        engine.writer.hooks.want_copygc();
        st.counters.get(Counter::COPYGC)
    };
    let pause = || std::thread::sleep(Duration::from_millis(1500));
    let switch = |on: bool| {
        let option = OptId::CopygcEnabled.info();
        st.set_option(option, on.into()).unwrap();
    };
    let goes_on = |before| {
        (0..40).any(|_| {
            pause();
            rounds() > before
        })
    };
    for _ in 0..2 {
        let before = rounds();
        pause();
        assert_eq!(rounds(), before);
        switch(true);
        assert!(goes_on(before));
        switch(false);
        // It may be at one, and be asked for one more.
        pause();
        rounds();
        pause();
    }
    fs.go_read_only().unwrap();
}
