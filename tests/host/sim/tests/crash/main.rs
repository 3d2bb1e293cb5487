// SPDX-License-Identifier: GPL-2.0

//! The power is lost while the whole engine, with its own allocator, changes small filesystems:
//! what was acknowledged is there, in whole transactions and without gaps, nothing else is, all
//! that is derived from keys is what it should be, and no number of a journal entry comes again. So
//! it is after recovery, too.
//!
//! | file          | holds                                                     |
//! |---------------|-----------------------------------------------------------|
//! | `workload.rs` | workloads from a seed                                     |
//! | `entries.rs`  | the journal entries on a device, by another way           |
//! | `found.txt`   | workloads in which something was found once               |
//!
//! `BCACHEFS_RS_ROUNDS` multiplies how many workloads there are, `BCACHEFS_RS_SEED` is the first.

#[path = "../engine/mod.rs"]
mod engine;
mod entries;
mod workload;

use engine::{
    accept::read,
    model::Model,
    setting,
    space::{
        devices,
        look, //
    },
    walk_all,
    Random, //
};
use entries::entries;
use sim::{
    check::check_derived,
    env::Vec as EnvVec,
    format::opts::Opts,
    init::{
        Access,
        Filesystem, //
    },
    sys::block::{
        BlockDevice,
        Disk,
        Medium,
        PowerCut,
        Replay, //
    },
};
use std::{
    panic::{
        catch_unwind,
        resume_unwind,
        AssertUnwindSafe, //
    },
    time::Instant,
};
use workload::{
    Recording,
    Workload, //
};

/// Of so many losses of power, what is left of one is mounted read-write.
const RECOVERED: u64 = 5;

impl Recording {
    /// Looks at what one loss of power leaves.
    fn check(&self, replays: &mut [Replay], cut: PowerCut) {
        let disks: Vec<Disk> = replays.iter_mut().map(|r| r.image(cut)).collect();
        let found = look(devices(disks.clone())).unwrap();
        self.check_numbers(&found, cut);
        let mut want = Model::default();
        for history in &self.threads {
            let nr = history.up_to(found.last_seq);
            let certain = history.certain(cut.at);
            assert!(nr >= certain, "{certain} were acknowledged, {nr} are there");
            // Threads change different keys, but any of them may be one that was there at first.
            want.join(history.state(nr));
        }
        want.compare(&read(&found.view.btrees));
        walk_all(&found.view.btrees);
        let findings = check_derived(&found.view);
        assert!(findings.is_empty(), "{findings:#?}");
        if cut.seed % RECOVERED == 0 {
            recover(disks, &want, found.last_seq);
        }
    }

    /// The numbers of journal entries only ever rise.
    fn check_numbers(&self, found: &engine::space::Seen, cut: PowerCut) {
        let before = self.flushed.iter().filter(|(at, _)| *at <= cut.at);
        let safe = before.map(|(_, seq)| *seq).max().unwrap_or(0);
        let (last, next) = (found.last_seq, found.start.next_seq);
        assert!(last >= safe, "entry {safe} was safe, the last is {last}");
        assert!(next > last);
        let all = entries(found.view.btrees.sb());
        let (newest, _) = all.last_key_value().expect("an entry");
        assert!(next > *newest, "{next} is next, but there is {newest}");
        assert!(all.contains_key(&last), "no entry {last}");
    }
}

/// What was left is mounted read-write and unmounted: nothing is lost, and nothing comes back.
fn recover(disks: Vec<Disk>, want: &Model, last_seq: u64) {
    let mut devs = EnvVec::new();
    for dev in devices(disks) {
        devs.push(dev).unwrap();
    }
    let media: Vec<Medium> = devs.iter().map(BlockDevice::medium).collect();
    let fs = Filesystem::start_for(Access::Write, devs, &Opts::default()).unwrap();
    want.compare(&read(&fs.view.btrees));
    drop(fs);
    let left = media.iter().map(Medium::contents).collect();
    let found = look(devices(left)).unwrap();
    assert!(found.view.sb().sb.is_clean());
    assert!(found.last_seq > last_seq);
    want.compare(&read(&found.view.btrees));
    let findings = check_derived(&found.view);
    assert!(findings.is_empty(), "recovered: {findings:#?}");
}

/// Looks at `cuts` moments, or at each one.
fn check(workload: Workload, cuts: Option<u64>) -> u64 {
    let recording = match catch_unwind(|| workload.record()) {
        Ok(recording) => recording,
        Err(e) => {
            println!("{workload:?}");
            resume_unwind(e);
        }
    };
    let replays = recording.fs.media.iter().map(|m| Replay::new(m).unwrap());
    let mut replays: Vec<_> = replays.collect();
    let mut r = Random(workload.seed);
    let (start, end) = (recording.start, recording.end);
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
        let done = catch_unwind(AssertUnwindSafe(|| recording.check(&mut replays, cut)));
        if let Err(e) = done {
            println!("{workload:?} {cut:?} of {start}..{end}");
            resume_unwind(e);
        }
    }
    moments.len() as u64
}

/// Looks at workloads from the first seed on, and says at how many moments.
fn check_all(what: &str, nr: u64, transactions: u64, cuts: Option<u64>) {
    let (start, first) = (Instant::now(), setting("BCACHEFS_RS_SEED", 1));
    let all = first..first + nr * setting("BCACHEFS_RS_ROUNDS", 1);
    let moments: u64 = all
        .map(|seed| check(Workload::any(seed, transactions), cuts))
        .sum();
    let seconds = start.elapsed().as_secs_f64();
    println!("{what}: {moments} losses of power, in {seconds:.1} s");
}

#[test]
fn what_was_found_once() {
    let lines = include_str!("found.txt").lines();
    for line in lines.filter(|l| !l.starts_with('#') && !l.is_empty()) {
        let (seed, transactions) = line.split_once(' ').unwrap();
        let transactions = transactions.parse().unwrap();
        let cuts = (transactions > 100).then_some(60);
        check(Workload::any(seed.parse().unwrap(), transactions), cuts);
    }
}

#[test]
fn at_every_moment_of_a_short_time() {
    check_all("short", 3, 20, None);
}

#[test]
fn at_some_moments_of_a_long_time() {
    check_all("long", 4, 1000, Some(30));
}
