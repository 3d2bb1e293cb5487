// SPDX-License-Identifier: GPL-2.0

//! Memory that runs out, and devices that fail: a transaction happens whole or not at all, and what
//! was acknowledged stays. `BCACHEFS_RS_TRANSACTIONS` sets for how many transactions.

mod engine;

use engine::{
    copy,
    image::{
        empty_disk,
        Sizes, //
    },
    live_until_error,
    model::Model,
    open,
    ops::Kind,
    read,
    setting,
    walk_all,
    Fs,
    Random, //
};
use sim::{
    btree::{
        flush_write_buffer,
        write_back,
        write_back_all, //
    },
    env::scarce,
    error::{
        Error,
        Result as BchResult, //
    },
    sys::block::{
        BlockDevice,
        Fault,
        Kind as Transfer,
        Medium,
        Power, //
    },
};
use std::sync::Mutex;

fn kind(thread: u64) -> Kind {
    Kind {
        positions: 1000,
        words: 8,
        changes: 5,
        thread,
        alone: thread == 0,
    }
}

fn start(sizes: Sizes) -> (Fs, Medium, Power) {
    let power = Power::new();
    let dev = BlockDevice::recorded("sim", empty_disk(sizes), &power);
    let medium = dev.medium();
    (open(dev), medium, power)
}

/// Calls `f` with less and less memory missing, until it needs no more: each time but the last it
/// says that there was none. Returns how often that was.
fn with_little_memory<T>(fs: &Fs, mut f: impl FnMut(u64) -> BchResult<T>) -> u64 {
    for after in 0.. {
        scarce::fail_after(Some(after));
        let done = f(after);
        let enough = scarce::is_pending();
        scarce::fail_after(None);
        assert_eq!(fs.writer.journal.halted(), None, "after {after}");
        match done {
            // What is only nice to have may be done without.
            Ok(_) => return after,
            Err(e) => assert_eq!((e, enough), (Error::NoMemory, false), "after {after}"),
        }
    }
    0
}

fn all_memory(sizes: Sizes) {
    let seed = setting("BCACHEFS_RS_SEED", 1);
    println!("BCACHEFS_RS_SEED={seed}");
    let (fs, medium, _) = start(sizes);
    let (mut model, mut r) = (Model::default(), Random(seed));
    let mut failures = 0;
    for nr in 0..setting("BCACHEFS_RS_TRANSACTIONS", 800) {
        let before = model.clone();
        let steps = match nr % 400 > 200 && !r.one_in(8) {
            true => kind(0).deletions(&mut model, &mut r),
            false => kind(0).steps(&mut model, &mut r),
        };
        failures += with_little_memory(&fs, |after| {
            let done = fs.run(&steps);
            // Nothing has happened; looking at all of it takes its time.
            if done.is_err() && (nr * 31 + after) % 97 == 0 {
                scarce::fail_after(None);
                flush_write_buffer(&fs.btrees, &fs.writer).unwrap();
                before.check(&fs.btrees);
            }
            done
        });
        if nr % 10 == 0 {
            failures += with_little_memory(&fs, |_| flush_write_buffer(&fs.btrees, &fs.writer));
            model.check(&fs.btrees);
        }
        if nr % 25 == 0 {
            let newest = fs.writer.journal.newest();
            failures += with_little_memory(&fs, |_| write_back(&fs.btrees, &fs.writer, newest));
        }
    }
    println!("memory was short {failures} times");
    write_back_all(&fs.btrees, &fs.writer).unwrap();
    model.check(&fs.btrees);
    let found = read(copy(&medium)).unwrap();
    model.check(&found.btrees);
    walk_all(&found.btrees);
    fs.writer.hooks.check(&fs.btrees);
    assert!(fs.writer.journal.oldest_pinned() >= fs.writer.journal.newest());
}

#[test]
fn every_allocation_fails_once_with_small_nodes() {
    all_memory(Sizes::new(4 << 10, 512));
}

#[test]
fn every_allocation_fails_once_with_larger_nodes() {
    all_memory(Sizes::new(16 << 10, 4096));
}

/// Runs transactions on two threads until they fail, because of `inject`; what was acknowledged is
/// there, and no write is made once the journal says that it stopped.
fn until_it_fails(seed: u64, inject: impl FnOnce(&Medium)) -> bool {
    let (fs, medium, power) = start(Sizes::new(4 << 10, 512));
    inject(&medium);
    let halted = Mutex::new(None::<u64>);
    let one = |thread: u64| {
        let (mut model, mut r) = (Model::default(), Random(seed << 4 | thread));
        // What is safe; and all that was tried since.
        let (mut safe, mut tried) = (Model::default(), Vec::new());
        for nr in 0..600 {
            let steps = match nr % 200 > 100 && !r.one_in(8) {
                true => kind(thread + 1).deletions(&mut model, &mut r),
                false => kind(thread + 1).steps(&mut model, &mut r),
            };
            tried.push(steps);
            let last = tried.last().unwrap();
            let mut done = fs.run(last).map(drop);
            if done.is_ok() && r.one_in(8) {
                done = fs.writer.journal.flush();
                if done.is_ok() {
                    safe = model.clone();
                    tried.clear();
                }
            }
            if done.is_ok() && r.one_in(30) {
                done = write_back(&fs.btrees, &fs.writer, fs.writer.journal.newest());
            }
            if let Err(e) = done {
                assert!(fs.writer.journal.halted().is_some(), "{e}");
                let now = power.now();
                halted.lock().unwrap().get_or_insert(now);
                break;
            }
        }
        (thread + 1, without_counters(safe), tried)
    };
    let (threads, _) = live_until_error(&fs, |_| {
        std::thread::scope(|s| {
            let one = &one;
            let all: Vec<_> = (0..2).map(|nr| s.spawn(move || one(nr))).collect();
            let all = all.into_iter().map(|t| t.join().unwrap());
            all.collect::<Vec<_>>()
        })
    });
    let failed = fs.writer.journal.halted();
    assert!(failed != Some(Error::JournalPin), "{failed:?}");
    // Nothing goes on.
    if failed.is_some() {
        let kind = kind(7);
        let steps = kind.steps(&mut Model::default(), &mut Random(5));
        assert_eq!(fs.run(&steps).err(), failed);
        // It may be that all there was is safe.
        let flushed = fs.writer.journal.flush().err();
        assert!(flushed.is_none() || flushed == failed);
    }
    let halted = halted.into_inner().unwrap();
    // What was under way when it stopped may have ended since.
    let writes = halted.map(|at| medium.changes_since(at));
    drop(fs);
    assert_eq!(writes, halted.map(|at| medium.changes_since(at)));
    assert!(writes.unwrap_or(0) <= 6, "{writes:?} writes after the end");
    medium.heal();
    let found = read(copy(&medium)).unwrap();
    walk_all(&found.btrees);
    let there = engine::model::read(&found.btrees);
    for (thread, safe, tried) in &threads {
        // What was tried since may be there or not, in order.
        let mut state = safe.clone();
        let mut states = vec![state.clone()];
        for steps in tried {
            steps
                .iter()
                .for_each(|(op, _)| engine::ops::apply(&mut state, op));
            states.push(without_counters(state.clone()));
        }
        let there = of_thread(&there, *thread);
        let fits = states.contains(&there);
        assert!(fits, "of {} states none is there", states.len());
    }
    failed.is_some()
}

fn without_counters(mut model: Model) -> Model {
    model.counters.clear();
    model
}

/// What of it is of one thread.
fn of_thread(model: &Model, thread: u64) -> Model {
    let mut of = Model::default();
    for (at, v) in &model.keys {
        let shift = u64::from(at.0 == sim::format::btree_id::BtreeId::SUBVOLUME_CHILDREN);
        if at.1.offset % 8 == (thread + shift) % 8 {
            of.keys.insert(*at, v.clone());
        }
    }
    let sectors = model.sectors.iter().filter(|(at, _)| at.1 == 4096 + thread);
    of.sectors = sectors.map(|(at, v)| (*at, *v)).collect();
    of
}

fn every(what: Transfer, fault: Fault) {
    let mut failed = 0;
    let nr = setting("BCACHEFS_RS_FAULTS", 30);
    for after in 0..nr {
        let at = after * after / 4;
        failed += u64::from(until_it_fails(after + 1, |m| m.inject(what, at, fault)));
    }
    println!("{what:?} {fault:?}: {failed} of {nr} ended the journal");
    assert!(failed > nr / 3);
}

#[test]
fn writes_fail() {
    every(Transfer::Write, Fault::Fail);
}

#[test]
fn writes_fail_in_the_middle() {
    every(Transfer::Write, Fault::FailHalf);
}

#[test]
fn flushes_fail() {
    every(Transfer::Flush, Fault::Fail);
}

#[test]
fn all_writes_fail_from_some_moment_on() {
    for after in 0..setting("BCACHEFS_RS_FAULTS", 30) {
        assert!(until_it_fails(after, |m| {
            m.fail_from_then_on(Transfer::Write, after * 3);
        }));
    }
}
