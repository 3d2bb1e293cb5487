// SPDX-License-Identifier: GPL-2.0

//! Btree nodes that are being written: how many are at a time, and what waits for them.

mod engine;

use engine::{
    copy,
    image::{
        empty,
        Sizes, //
    },
    open,
    read,
    walk_all,
    Fs, //
};
use sim::{
    btree::{
        trans::run,
        write_back,
        Btrees,
        KeyBuf, //
    },
    format::{
        bkey::Bkey,
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType, //
    },
    journal::live::Watermark,
    sys::block::{
        BlockDevice,
        Medium, //
    },
};
use std::{
    sync::mpsc,
    thread,
    time::Duration, //
};

const BTREE: BtreeId = BtreeId::RECONCILE_SCAN;
/// Nodes that are written at once, at most.
const AT_ONCE: usize = 16;
const GRACE: Duration = Duration::from_millis(200);

fn filesystem() -> (Fs, Medium) {
    let dev = BlockDevice::from_memory("sim", empty(Sizes::new(4 << 10, 512)));
    let medium = dev.medium();
    (open(dev), medium)
}

fn pos(nr: u64) -> Bpos {
    Bpos::new(1, nr, 0)
}

/// Sets the keys of these numbers to what says `value`, or deletes them.
fn change(fs: &Fs, mut numbers: impl Iterator<Item = u64>, value: Option<u64>) {
    loop {
        let some: Vec<_> = numbers.by_ref().take(4).collect();
        if some.is_empty() {
            return;
        }
        let done = run(&fs.btrees, &fs.writer, Watermark::Normal, |t| {
            for nr in &some {
                let k = Bkey {
                    key_type: KeyType::COOKIE,
                    p: pos(*nr),
                    ..Bkey::default()
                };
                match value {
                    Some(value) => t.update(BTREE, KeyBuf::of(k, &value.to_le_bytes())?)?,
                    None => t.delete(BTREE, k.p)?,
                }
            }
            t.commit()
        });
        done.unwrap();
    }
}

/// The last position of each leaf.
fn leaves(btrees: &Btrees) -> Vec<Bpos> {
    let mut iter = btrees.iter(BTREE, 1, Bpos::MIN);
    std::iter::from_fn(|| iter.advance().unwrap().map(|k| k.p)).collect()
}

fn write_all(fs: &Fs) {
    write_back(&fs.btrees, &fs.writer, fs.writer.journal.newest()).unwrap();
}

/// The numbers that are there, on the device as well.
fn check(fs: &Fs, medium: &Medium, want: &[u64]) {
    fs.writer.journal.flush().unwrap();
    let found = read(copy(medium)).unwrap();
    for btrees in [&fs.btrees, &found.btrees] {
        let mut iter = btrees.iter(BTREE, 0, Bpos::MIN);
        let all = std::iter::from_fn(|| iter.advance().unwrap().map(|k| k.p.offset));
        assert_eq!(all.collect::<Vec<_>>(), want);
        walk_all(btrees);
    }
}

#[test]
fn many_are_written_at_once() {
    let (fs, medium) = filesystem();
    change(&fs, 0..4000, Some(1));
    write_all(&fs);
    let all = leaves(&fs.btrees);
    assert!(all.len() > 2 * AT_ONCE, "{} leaves", all.len());
    change(&fs, (0..4000).step_by(20), Some(2));
    medium.hold_flights(true);
    thread::scope(|s| {
        s.spawn(|| write_all(&fs));
        medium.wait_for_flights(AT_ONCE);
        // Nothing that is changed meanwhile waits for them.
        change(&fs, (0..4000).step_by(40), Some(3));
        medium.hold_flights(false);
    });
    assert_eq!(medium.most_flights(), AT_ONCE);
    check(&fs, &medium, &(0..4000).collect::<Vec<_>>());
}

#[test]
fn a_merge_waits_for_what_is_being_written() {
    let (fs, medium) = filesystem();
    change(&fs, 0..400, Some(1));
    write_all(&fs);
    let before = leaves(&fs.btrees).len();
    assert!(before > 2, "{before} leaves");
    // Each leaf has something to write.
    change(&fs, (0..400).step_by(10), Some(2));
    medium.hold_flights(true);
    thread::scope(|s| {
        s.spawn(|| write_all(&fs));
        medium.wait_for_flights(before);
        let (done, is_done) = mpsc::channel();
        let fs = &fs;
        s.spawn(move || {
            change(fs, 1..400, None);
            // Nobody listens any more when that took as long as it should.
            let _ = done.send(());
        });
        // Were what has become small left as it is, it would come to an end now.
        let waited = is_done.recv_timeout(GRACE).is_err();
        medium.hold_flights(false);
        assert!(waited, "nodes were not merged");
    });
    assert_eq!(leaves(&fs.btrees).len(), 1);
    check(&fs, &medium, &[0]);
}
