// SPDX-License-Identifier: GPL-2.0

//! Little space: nothing waits for what does not come, errors say that there is no space, and once
//! there is some, all goes on. `BCACHEFS_RS_ROUNDS` makes it longer.

mod engine;

use engine::{
    accept::{
        read,
        Base,
        Kind, //
    },
    history::Apply,
    image::{
        empty_disk,
        Sizes, //
    },
    live,
    model::Model,
    ops,
    setting,
    space::{
        disks,
        open,
        SpaceFs, //
    },
    walk_all,
    Random, //
};
use sim::{
    alloc::space::discard_buckets,
    btree::{
        flush_write_buffer,
        interior::NodePlace,
        trans::Hooks,
        write_back,
        write_back_all, //
    },
    env::Vec as EnvVec,
    error::Class,
    journal::live::Watermark,
    sys::block::BlockDevice, //
};
use std::time::{
    Duration,
    Instant, //
};

const IMAGES: [&str; 3] = ["engine-small", "engine-unequal", "engine-three"];
const FILLED: [&str; 3] = ["engine-unequal", "engine-small", "engine-three"];

/// Places that a test holds, so that nobody else has them.
struct Held<'a> {
    fs: &'a SpaceFs,
    places: Vec<NodePlace>,
}

impl<'a> Held<'a> {
    /// Holds all there are.
    fn all(fs: &'a SpaceFs) -> Self {
        let (hooks, btrees) = (&fs.writer.hooks, &fs.view.btrees);
        let mut places = Vec::new();
        loop {
            let mut one = EnvVec::new();
            let done =
                hooks.alloc_nodes(btrees, &fs.writer, Watermark::InteriorUpdates, 1, &mut one);
            places.extend(one.iter().copied());
            if let Err(e) = done {
                assert_eq!(e.class(), Class::NoSpace, "{e}");
                break;
            }
        }
        assert!(places.len() > 30, "{} places", places.len());
        Self { fs, places }
    }

    fn give(&mut self, nr: usize) {
        let left = self.places.len().saturating_sub(nr);
        for place in self.places.drain(left..) {
            self.fs.writer.hooks.place_done(place, false);
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.give(usize::MAX);
    }
}

fn kind(base: &Base) -> Kind<'_> {
    Kind {
        base,
        positions: 20_000,
        changes: 5,
        thread: 0,
        deletes: 4,
    }
}

/// Calls `f`, and says when that takes too long.
fn soon<T>(what: &str, f: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let done = f();
    let took = start.elapsed();
    assert!(took < Duration::from_secs(20), "{what} took {took:?}");
    done
}

/// With `free` buckets, and whoever wants more: everything either works or says that there is no
/// space.
fn few_buckets(name: &str, free: usize, seed: u64) {
    let fs = open(disks(name).unwrap());
    let base = Base::of(&fs.view.btrees);
    let (mut model, mut r) = (base.model.clone(), Random(seed));
    let mut refused = 0;
    fs.live(|fs| fs.fill(&kind(&base), &mut model, &mut r, 400));
    let mut held = Held::all(&fs);
    held.give(free);
    for _ in 0..6 {
        refused += soon("transactions", || {
            fs.live(|fs| {
                let nr = fs.fill(&kind(&base), &mut model, &mut r, 60);
                u64::from(nr < 60)
            })
        });
        let newest = fs.writer.journal.newest();
        let back = soon("writing back", || {
            write_back(&fs.view.btrees, &fs.writer, newest)
        });
        if let Err(e) = back {
            assert_eq!(e.class(), Class::NoSpace, "{e}");
            refused += 1;
        }
        let watermark = [Watermark::Btree, Watermark::Reclaim][r.below(2) as usize];
        // With somebody who writes back, as the journal may be full.
        let discarded = soon("discarding", || {
            fs.live(|fs| discard_buckets(fs.engine(), watermark))
        });
        match discarded {
            Ok(_) => (),
            Err(e) => assert_eq!(e.class(), Class::NoSpace, "{e}"),
        }
    }
    println!("{name}: {free} buckets: {refused} refused");
    assert_eq!(fs.writer.journal.halted(), None);
    drop(held);
    // There is space again.
    let nr = fs.live(|fs| fs.fill(&kind(&base), &mut model, &mut r, 400));
    assert_eq!(nr, 400);
    fs.shut_down();
    fs.check();
    let found = engine::space::look(engine::space::devices(fs.contents())).unwrap();
    model.compare(&read(&found.view.btrees));
}

#[test]
fn buckets_run_out() {
    for seed in 0..setting("BCACHEFS_RS_ROUNDS", 2) {
        for name in IMAGES {
            for free in 0..4 {
                few_buckets(name, free, seed);
            }
        }
    }
}

#[test]
fn a_filesystem_is_filled() {
    // All of them take a minute.
    let nr = if setting("BCACHEFS_RS_ROUNDS", 1) > 1 {
        3
    } else {
        1
    };
    for name in &FILLED[..nr] {
        let fs = open(disks(name).unwrap());
        let base = Base::of(&fs.view.btrees);
        let kind = Kind {
            positions: 1 << 30,
            deletes: 1000,
            ..kind(&base)
        };
        let (mut model, mut r) = (base.model.clone(), Random(7));
        let nr = fs.live(|fs| fs.fill(&kind, &mut model, &mut r, 1 << 20));
        println!("{name}: {nr} transactions");
        assert!(nr < 1 << 20);
        // What is kept back for writing back is not used up bit by bit.
        let more = fs.live(|fs| {
            let tries = (0..300 * setting("BCACHEFS_RS_ROUNDS", 1))
                .map(|_| soon("a transaction", || fs.fill(&kind, &mut model, &mut r, 5)));
            tries.sum::<u64>()
        });
        println!("{name}: {more} more");
        soon("writing back", || {
            write_back_all(&fs.view.btrees, &fs.writer)
        })
        .unwrap();
        let mut undone = 0;
        for changes in kind.undo(&model) {
            match soon("an urgent transaction", || {
                fs.try_run_as(Watermark::Reclaim, &changes)
            }) {
                Ok(_) => changes.apply(&mut model),
                Err(e) => {
                    assert_eq!(e.class(), Class::NoSpace, "{e}");
                    break;
                }
            }
            undone += 1;
            if fs.writer.journal.watermark() > Watermark::Stripe {
                write_back(&fs.view.btrees, &fs.writer, fs.writer.journal.newest()).unwrap();
            }
        }
        println!("{name}: {undone} taken back");
        fs.shut_down();
        fs.check();
        let found = engine::space::look(engine::space::devices(fs.contents())).unwrap();
        model.compare(&read(&found.view.btrees));
    }
}

/// A journal of few buckets, for one thread, and for several.
fn journal_of(buckets: u64, threads: u64) {
    let sizes = Sizes {
        journal: buckets,
        ..Sizes::new(8 << 10, 512)
    };
    let dev = BlockDevice::of_disk("sim", empty_disk(sizes));
    let medium = dev.medium();
    let fs = engine::open(dev);
    let one = |fs: &engine::Fs, thread: u64, nr: u64| {
        let kind = ops::Kind {
            positions: 4000,
            words: 8,
            changes: 5,
            thread,
            alone: threads == 1,
        };
        let (mut model, mut r) = (Model::default(), Random(buckets << 8 | thread));
        fs.churn(&kind, &mut model, &mut r, nr);
        model
    };
    let nr = 2000 / threads * setting("BCACHEFS_RS_ROUNDS", 1);
    let start = Instant::now();
    let mut model = Model::default();
    live(&fs, |fs| {
        std::thread::scope(|s| {
            let one = &one;
            let all: Vec<_> = (0..threads)
                .map(|t| s.spawn(move || one(fs, t, nr)))
                .collect();
            let all: Vec<_> = all.into_iter().map(|t| t.join()).collect();
            all.into_iter().for_each(|m| model.join(m.unwrap()));
        });
    });
    let took = start.elapsed();
    println!("{buckets} buckets, {threads} threads: {nr} transactions each in {took:?}");
    // The timer that writes entries without anybody asking has a second.
    assert!(took < Duration::from_millis(900) * setting("BCACHEFS_RS_ROUNDS", 1) as u32);
    flush_write_buffer(&fs.btrees, &fs.writer).unwrap();
    model.check(&fs.btrees);
    write_back_all(&fs.btrees, &fs.writer).unwrap();
    let found = engine::read(engine::copy(&medium)).unwrap();
    model.check(&found.btrees);
    walk_all(&found.btrees);
}

#[test]
fn journals_are_short() {
    for buckets in [3, 4, 5, 6, 8] {
        for threads in [1, 4] {
            journal_of(buckets, threads);
        }
    }
}
