// SPDX-License-Identifier: GPL-2.0

//! Losing power at any moment.

use super::*;
use sim::sys::block::{
    BlockDevice,
    Disk,
    Medium,
    Power,
    PowerCut,
    Replay, //
};
use std::sync::Mutex;

/// Devices whose power can be cut.
pub(crate) struct Cuttable {
    pub(crate) power: Power,
    pub(crate) media: Vec<Medium>,
}

/// Devices with these contents, to open and to cut.
pub(crate) fn cuttable(contents: Vec<Vec<u8>>) -> (sim::env::Vec<BlockDevice>, Cuttable) {
    let power = Power::new();
    let mut devices = sim::env::Vec::new();
    let mut media = Vec::new();
    for (i, bytes) in contents.into_iter().enumerate() {
        let disk = Disk::from_memory(std::sync::Arc::new(bytes));
        let dev = BlockDevice::recorded(&format!("cut.{i}"), disk, &power);
        media.push(dev.medium());
        devices.push(dev).unwrap();
    }
    (devices, Cuttable { power, media })
}

impl Cuttable {
    fn replays(&self) -> Vec<Replay> {
        self.media.iter().map(|m| Replay::new(m).unwrap()).collect()
    }
}

/// What a cut at `at` leaves, opened.
fn after_cut(replays: &mut [Replay], at: u64, seed: u64) -> sim::env::Vec<BlockDevice> {
    let power = Power::new();
    let mut devices = sim::env::Vec::new();
    for (i, replay) in (0..).zip(replays) {
        let disk = replay.image(PowerCut {
            at,
            seed: seed ^ i << 40,
        });
        let dev = BlockDevice::recorded(&format!("left.{i}"), disk, &power);
        devices.push(dev).unwrap();
    }
    devices
}

/// A key that its thread was told is safe.
struct Promise {
    thread: u64,
    n: u64,
    /// When it was told.
    at: u64,
}

fn promises_are_kept(name: &str, threads: u64, keys: u64, cuts: u64) {
    let Some(contents) = unpack(name) else { return };
    let (devices, cuttable) = cuttable(contents);
    let live = start_on(devices, "journal_flush_delay=2");
    let dirty_at = cuttable.power.now();
    let pin = add_and(&live.journal, pos(99, 0), true);
    live.journal.flush_seq(pin).unwrap();
    let first_at = cuttable.power.now();
    let promises = Mutex::new(Vec::new());
    std::thread::scope(|s| {
        for thread in 0..threads {
            let (live, promises, power) = (&live, &promises, &cuttable.power);
            s.spawn(move || {
                for n in 0..keys {
                    let seq = add(&live.journal, pos(thread, n));
                    if (n * 7 + thread) % 5 == 0 {
                        live.journal.flush_seq(seq).unwrap();
                        let at = power.now();
                        promises.lock().unwrap().push(Promise { thread, n, at });
                    }
                    if n % 8 == thread {
                        std::thread::sleep(std::time::Duration::from_millis(1));
                    }
                }
            });
        }
    });
    live.journal.flush().unwrap();
    let end = cuttable.power.now();
    let promises = promises.into_inner().unwrap();
    let mut replays = cuttable.replays();
    let (mut last_before, mut void) = (0, 0);
    for cut in 0..cuts {
        // From the moment that the superblock says the journal is to be read.
        let at = dirty_at + (end - dirty_at) * cut / (cuts - 1);
        for seed in [cut, cut + 1_000_000] {
            let devices = after_cut(&mut replays, at, seed);
            let st = sb::open(devices, &Opts::new()).unwrap();
            let found = journal::read(&st, false).unwrap_or_else(|e| panic!("{name} at {at}: {e}"));
            assert!(!found.clean);
            if at >= first_at {
                assert!(found.last_seq >= pin && found.first_seq <= pin);
                assert!(has(&found, pos(99, 0)), "{name} at {at} seed {seed}");
            }
            for p in promises.iter().filter(|p| p.at <= at) {
                let (thread, n) = (p.thread, p.n);
                assert!(has(&found, pos(thread, n)), "{name} at {at}: {thread}/{n}");
            }
            for thread in 0..threads {
                // What is there is a beginning.
                let there = (0..keys)
                    .take_while(|n| has(&found, pos(thread, *n)))
                    .count() as u64;
                assert!((there..keys).all(|n| !has(&found, pos(thread, n))));
            }
            void += u64::from(found.highest_seq > found.last_seq);
            last_before = last_before.max(found.last_seq);
            assert!(found.highest_seq <= live.journal.newest());
        }
    }
    assert_eq!(last_before, live.journal.newest());
    assert!(promises.len() as u64 > threads * keys / 6);
    println!(
        "{name}: {} promises, {void} cuts left void entries",
        promises.len()
    );
}

#[test]
fn promises_are_kept_on_one_device() {
    promises_are_kept("v113-empty", 1, 200, 300);
    promises_are_kept("v113-block512", 4, 150, 300);
}

#[test]
fn promises_are_kept_on_several_devices() {
    promises_are_kept("v113-threedev", 4, 100, 200);
    promises_are_kept("v113-repl2", 4, 100, 200);
}

/// Of btrees that change when nobody changes anything: buckets may be discarded.
const DISCARDS: [BtreeId; 7] = [
    BtreeId::ALLOC,
    BtreeId::LRU,
    BtreeId::FREESPACE,
    BtreeId::NEED_DISCARD,
    BtreeId::BACKPOINTERS,
    BtreeId::BUCKET_GENS,
    BtreeId::ACCOUNTING,
];

/// The roots, and how many keys there are, of btrees that only change when somebody changes
/// something.
fn lasting(found: &JournalContents) -> (Vec<(BtreeId, Vec<u64>)>, usize) {
    let mut roots = entries::roots(found);
    roots.retain(|(btree, _)| !DISCARDS.contains(btree));
    let all = (0..21)
        .map(BtreeId)
        .filter(|btree| !DISCARDS.contains(btree));
    let keys = all.flat_map(|btree| {
        (0..4).map(move |level| {
            let range = found.keys.range(btree, level);
            range.end - range.start
        })
    });
    (roots, keys.sum())
}

/// At any moment of a mount and an unmount, what is left can be mounted, with the roots it had.
#[test]
fn a_mount_can_be_cut_off() {
    for name in ["v113-snap", "v113-repl2"] {
        let Some(contents) = unpack(name) else { return };
        let before = read_again(contents.clone()).1;
        let (devices, cuttable) = cuttable(contents);
        drop(Filesystem::start_for(Access::Write, devices, &Opts::new()).unwrap());
        let mut replays = cuttable.replays();
        let (mut clean, mut dirty) = (0, 0);
        for at in 0..=cuttable.power.now() {
            for seed in 0..3 {
                let devices = after_cut(&mut replays, at, seed * 1000 + at);
                let st = sb::open(devices, &Opts::new()).unwrap();
                let found =
                    journal::read(&st, false).unwrap_or_else(|e| panic!("{name}/{at}: {e}"));
                assert_eq!(lasting(&found), lasting(&before), "{name}/{at}");
                assert!(st.sb.clean().is_some());
                match found.clean {
                    true => clean += 1,
                    false => dirty += 1,
                }
            }
        }
        assert!(clean > 5 && dirty > 5, "{clean} {dirty}");
    }
}
