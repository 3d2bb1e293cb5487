// SPDX-License-Identifier: GPL-2.0

//! The power is lost while transactions run: what was acknowledged is there, in whole transactions
//! and without gaps, and nothing is damaged.
//!
//! `BCACHEFS_RS_CUTS` sets how many moments are looked at for each workload, `BCACHEFS_RS_SEED` the
//! first of `BCACHEFS_RS_WORKLOADS` workloads. Workloads in which something was found once are in
//! `engine/cuts.txt`. Threads take turns as they like, so that the same workload is not written in
//! the same order again.

mod engine;

use engine::{
    history::History,
    image::{
        empty_disk,
        Sizes, //
    },
    live,
    model::Model,
    open,
    ops::{
        Kind,
        Steps, //
    },
    pool::check_space,
    read,
    setting,
    walk_all,
    Fs,
    Random, //
};
use sim::{
    btree::write_back,
    sys::{
        block::{
            BlockDevice,
            Medium,
            Power,
            PowerCut,
            Replay, //
        },
        shrinker::Shrink,
        sync::delays, //
    },
};
use std::{
    sync::atomic::{
        AtomicBool,
        Ordering, //
    },
    time::{
        Duration,
        Instant, //
    },
};

/// What happened, and on what.
struct Recording {
    medium: Medium,
    power: Power,
    threads: Vec<History<Steps>>,
    /// The first moment with a journal.
    start: u64,
}

#[derive(Clone, Copy, Debug)]
struct Workload {
    seed: u64,
    sizes: Sizes,
    threads: u64,
    transactions: u64,
}

impl Workload {
    /// One of any kind.
    fn any(seed: u64, transactions: u64) -> Self {
        let mut r = Random(seed);
        let (node, block) = [
            (4 << 10, 512),
            (4 << 10, 1024),
            (8 << 10, 4096),
            (16 << 10, 4096),
            (64 << 10, 512),
            (256 << 10, 4096),
        ][r.below(6) as usize];
        Self {
            seed,
            sizes: Sizes::new(node, block),
            threads: 1 + r.below(2),
            transactions,
        }
    }

    fn record(&self) -> Recording {
        // For others that run beside it, too.
        delays::set([0, 200][(self.seed % 2) as usize]);
        let power = Power::new();
        let dev = BlockDevice::recorded("sim", empty_disk(self.sizes), &power);
        let medium = dev.medium();
        let fs = open(dev);
        let start = power.now();
        let one = |thread: u64| {
            let kind = Kind {
                positions: 2000,
                words: 8,
                changes: 5,
                thread,
                alone: self.threads == 1,
            };
            let (mut model, mut r) = (Model::default(), Random(self.seed << 4 | thread));
            let mut history = History::default();
            for nr in 0..self.transactions {
                // In every other workload, much of it goes again.
                let deletes = self.seed % 2 == 1 && nr > self.transactions / 3 && !r.one_in(8);
                let steps = match deletes {
                    true => kind.deletions(&mut model, &mut r),
                    false => kind.steps(&mut model, &mut r),
                };
                let seq = fs.run(&steps).unwrap();
                history.done(seq, steps);
                if r.one_in(12) {
                    fs.writer.journal.flush().unwrap();
                    history.acknowledged(power.now());
                }
                if r.one_in(40) {
                    let seq = fs.writer.journal.newest();
                    write_back(&fs.btrees, &fs.writer, seq).unwrap();
                }
            }
            history.keep_states(Model::default());
            history
        };
        let stop = AtomicBool::new(false);
        let threads = live(&fs, |fs| {
            std::thread::scope(|s| {
                s.spawn(|| drop_nodes(fs, &stop));
                let one = &one;
                let all = (0..self.threads).map(|nr| s.spawn(move || one(nr)));
                let all: Vec<_> = all.collect();
                let all: Vec<_> = all.into_iter().map(|t| t.join()).collect();
                stop.store(true, Ordering::Relaxed);
                all.into_iter().map(|t| t.unwrap()).collect()
            })
        });
        drop(fs);
        delays::set(0);
        Recording {
            medium,
            power,
            threads,
            start,
        }
    }
}

/// Drops nodes from memory, so that they are read again.
fn drop_nodes(fs: &Fs, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        fs.btrees.cache().scan(8);
        fs.btrees.key_cache().scan(8);
        std::thread::sleep(Duration::from_micros(500));
    }
}

impl Recording {
    /// Looks at what one loss of power leaves.
    fn check(&self, replay: &mut Replay, cut: PowerCut) {
        let dev = BlockDevice::recorded("cut", replay.image(cut), &Power::new());
        let found = read(dev).unwrap();
        assert!(found.start.next_seq > found.last_seq);
        let mut want = Model::default();
        for history in &self.threads {
            let nr = history.up_to(found.last_seq);
            let certain = history.certain(cut.at);
            assert!(nr >= certain, "{certain} were acknowledged, {nr} are there");
            want.join(history.state(nr));
        }
        want.check(&found.btrees);
        walk_all(&found.btrees);
        check_space(&found.btrees);
    }
}

/// Looks at `cuts` moments, or at each one.
fn check(workload: Workload, cuts: Option<u64>) -> u64 {
    let recording = workload.record();
    let mut replay = Replay::new(&recording.medium).unwrap();
    let mut r = Random(workload.seed);
    let (start, end) = (recording.start, recording.power.now());
    let mut moments: Vec<u64> = match cuts {
        Some(nr) => (0..nr).map(|_| start + r.below(end - start + 1)).collect(),
        None => (start..=end).collect(),
    };
    moments.sort_unstable();
    for at in &moments {
        let cut = PowerCut {
            at: *at,
            seed: r.next(),
        };
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            recording.check(&mut replay, cut);
        }));
        if let Err(e) = done {
            println!("{workload:?} {cut:?} of {start}..{end}");
            std::panic::resume_unwind(e);
        }
    }
    moments.len() as u64
}

fn seeds() -> std::ops::Range<u64> {
    let first = setting("BCACHEFS_RS_SEED", 1);
    first..first + setting("BCACHEFS_RS_WORKLOADS", 6)
}

fn report(what: &str, nr: u64, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    println!("{what}: {nr} cuts, {:.0} per second", nr as f64 / seconds);
}

#[test]
fn what_was_found_once() {
    let lines = include_str!("engine/cuts.txt").lines();
    for line in lines.filter(|l| !l.starts_with('#') && !l.is_empty()) {
        let (seed, transactions) = line.split_once(' ').unwrap();
        let workload = Workload::any(seed.parse().unwrap(), transactions.parse().unwrap());
        check(workload, Some(setting("BCACHEFS_RS_CUTS", 60)));
    }
}

#[test]
fn at_every_moment_of_a_short_time() {
    let start = Instant::now();
    let all = seeds().map(|seed| check(Workload::any(seed, 25), None));
    report("short", all.sum(), start);
}

#[test]
fn at_some_moments_of_a_long_time() {
    let start = Instant::now();
    let cuts = setting("BCACHEFS_RS_CUTS", 60);
    let all = seeds().map(|seed| check(Workload::any(seed + 1000, 1500), Some(cuts)));
    report("long", all.sum(), start);
}
