// SPDX-License-Identifier: GPL-2.0

//! Workloads from a seed, and what was done to the devices meanwhile.

use crate::engine::{
    accept::{
        Base,
        Changes,
        Kind,
        THREADS, //
    },
    history::History,
    space::{
        disks,
        record,
        SpaceFs, //
    },
    Random,
    Stop, //
};
use sim::{
    alloc::space::discard_buckets,
    btree::write_back,
    error::Error,
    journal::live::Watermark,
    sys::sync::delays, //
};
use std::{
    sync::atomic::{
        AtomicBool,
        Ordering, //
    },
    time::Duration,
};

/// Images in the tree; those that the packaged tools made for this come more often.
const IMAGES: [&str; 8] = [
    "engine-small",
    "engine-unequal",
    "engine-three",
    "engine-small",
    "engine-unequal",
    "engine-three",
    "v113-repl2",
    "v113-tree",
];

/// What happens, but for the order in which threads take turns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Workload {
    pub(crate) seed: u64,
    pub(crate) transactions: u64,
    image: &'static str,
    threads: u64,
    /// Writing back and discarding are left to threads of their own. If not, and with one thread,
    /// it is the same each time but for the journal's threads.
    live: bool,
    positions: u64,
    /// Of so many transactions, one is followed by writing back.
    write_back: u64,
}

/// What happened, and on what.
pub(crate) struct Recording {
    pub(crate) fs: SpaceFs,
    pub(crate) threads: Vec<History<Changes>>,
    /// The first moment with a journal.
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// When which journal entry was safe.
    pub(crate) flushed: Vec<(u64, u64)>,
}

impl Workload {
    /// One of any kind.
    pub(crate) fn any(seed: u64, transactions: u64) -> Self {
        let mut r = Random(seed);
        Self {
            seed,
            transactions,
            image: IMAGES[r.below(8) as usize],
            threads: [1, 1, 1, 1 + r.below(THREADS)][r.below(4) as usize],
            live: r.one_in(3),
            positions: [60, 1000, 20_000][r.below(3) as usize],
            write_back: [4, 12, 40][r.below(3) as usize],
        }
    }

    pub(crate) fn record(&self) -> Recording {
        // For others that run beside it, too.
        let pause = if self.live || self.threads > 1 {
            200
        } else {
            0
        };
        delays::set(pause * (self.seed % 2));
        let fs = record(disks(self.image).expect("an image of the tree"));
        let base = Base::of(&fs.view.btrees);
        let start = fs.power.now();
        let first = (start, fs.writer.journal.flushed());
        let mut flushed = vec![first];
        let threads = match self.live {
            true => fs.live(|fs| self.run(fs, &base, &mut flushed)),
            false => self.run(&fs, &base, &mut flushed),
        };
        delays::set(0);
        Recording {
            start,
            end: fs.power.now(),
            fs,
            threads,
            flushed,
        }
    }

    fn run(
        &self,
        fs: &SpaceFs,
        base: &Base,
        flushed: &mut Vec<(u64, u64)>,
    ) -> Vec<History<Changes>> {
        let stop = AtomicBool::new(false);
        std::thread::scope(|s| {
            let _stop = Stop(&stop);
            if self.live {
                s.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        fs.drop_nodes();
                        std::thread::sleep(Duration::from_micros(500));
                    }
                });
            }
            if !self.live {
                // Only what somebody waits for: otherwise the order would not be the same again.
                let (journal, stopped) = (&fs.writer.journal, &stop);
                s.spawn(move || {
                    while !stopped.load(Ordering::Relaxed) {
                        journal.wait_for_reclaim(20, || stopped.load(Ordering::Relaxed));
                        if journal.watermark() > Watermark::Stripe {
                            write_back(&fs.view.btrees, &fs.writer, journal.newest()).unwrap();
                        }
                    }
                });
            }
            if self.threads == 1 {
                let (history, safe) = self.one(fs, base, 0);
                flushed.extend(safe);
                return vec![history];
            }
            let one = |thread| self.one(fs, base, thread);
            let all = (0..self.threads).map(|nr| s.spawn(move || one(nr)));
            let all: Vec<_> = all.collect();
            let all: Vec<_> = all.into_iter().map(|t| t.join()).collect();
            let all = all.into_iter().map(|t| t.unwrap());
            let (histories, safe): (Vec<_>, Vec<_>) = all.unzip();
            flushed.extend(safe.into_iter().flatten());
            flushed.sort_unstable();
            histories
        })
    }

    /// What one thread does.
    fn one(&self, fs: &SpaceFs, base: &Base, thread: u64) -> (History<Changes>, Vec<(u64, u64)>) {
        let kind = Kind {
            base,
            positions: self.positions,
            changes: 5,
            thread,
            deletes: 3,
        };
        let (mut model, mut r) = (base.model.clone(), Random(self.seed << 4 | thread));
        let (mut history, mut flushed) = (History::default(), Vec::new());
        let journal = &fs.writer.journal;
        for _ in 0..self.transactions {
            let changes = kind.changes(&mut model, &mut r);
            let seq = match fs.try_run(&changes) {
                // Others have reserved all there is.
                Err(Error::DiskReservation) => break,
                done => done.unwrap(),
            };
            history.done(seq, changes);
            if r.one_in(12) {
                journal.flush().unwrap();
                // In this order: others go on.
                let safe = journal.flushed();
                let now = fs.power.now();
                history.acknowledged(now);
                flushed.push((now, safe));
            }
            let is_low = !self.live && journal.watermark() > Watermark::Stripe;
            if r.one_in(self.write_back) || is_low {
                write_back(&fs.view.btrees, &fs.writer, journal.newest()).unwrap();
            }
            if !self.live && r.one_in(20) {
                discard_buckets(fs.engine(), Watermark::Btree).unwrap();
            }
            if !self.live && r.one_in(10) {
                fs.drop_nodes();
            }
        }
        history.keep_states(base.model.clone());
        (history, flushed)
    }
}
