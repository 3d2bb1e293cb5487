// SPDX-License-Identifier: GPL-2.0

//! Triggers keep what is derived right: after each of many random updates it is what a recount of
//! all keys gives. Space is allocated, discarded and used again, so that generations count.
//!
//! `BCACHEFS_RS_SEED` repeats one run, `BCACHEFS_RS_ROUNDS` sets how many are made.

mod extents;
mod files;
mod space;
mod stripes;

use sim::check::{
    Stored,
    Update, //
};
use std::collections::BTreeMap;

pub(crate) struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        from.get(self.below(from.len() as u64) as usize).copied()
    }
}

/// A filesystem without anything but keys.
pub(crate) struct Fs {
    s: Stored,
    rng: Rng,
    /// Where writing goes on: bucket and sectors of it that are used, by device and data type.
    points: BTreeMap<(u8, u8), (u64, u64)>,
    /// How often each kind of step was made.
    census: BTreeMap<&'static str, u64>,
}

type Step = (u64, &'static str, fn(&mut Fs) -> bool);

/// Kinds of steps with their weights. Each says whether it found something to do.
const STEPS: &[Step] = &[
    (12, "write", extents::write),
    (3, "punch", extents::punch),
    (2, "reserve", extents::reserve),
    (3, "share", extents::share),
    (3, "clone", extents::clone),
    (4, "node", space::node),
    (6, "discard", space::discard),
    (3, "invalidate", space::invalidate),
    (3, "close", space::close),
    (6, "inode", files::inode),
    (2, "stripe", stripes::make),
    (4, "put in stripe", stripes::use_one),
    (2, "stripe gone", stripes::delete),
];

impl Fs {
    fn new(seed: u64) -> Self {
        Self {
            s: space::empty(),
            rng: Rng(seed),
            points: BTreeMap::new(),
            census: BTreeMap::new(),
        }
    }

    fn step(&mut self) {
        let total = STEPS.iter().map(|s| s.0).sum();
        let mut at = self.rng.below(total);
        for (weight, name, step) in STEPS {
            if at < *weight {
                self.s.now += self.rng.below(3);
                if step(self) {
                    *self.census.entry(name).or_default() += 1;
                }
                return;
            }
            at -= weight;
        }
    }

    /// Commits; nothing may be reported.
    pub(crate) fn commit(&mut self, updates: Vec<Update>) {
        let reports = self.s.commit(updates, &[]).unwrap();
        assert_eq!(reports, Vec::<String>::new());
    }
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn what_is_derived_stays_right() {
    let seeds = match setting("BCACHEFS_RS_SEED") {
        Some(seed) => seed..seed + 1,
        None => 1..setting("BCACHEFS_RS_ROUNDS").unwrap_or(40) + 1,
    };
    let mut census = BTreeMap::<_, u64>::new();
    for seed in seeds {
        let mut fs = Fs::new(seed * 0x9e37_79b9);
        for step in 0..250 {
            fs.step();
            let findings = fs.s.check();
            let text: Vec<_> = findings.iter().map(ToString::to_string).collect();
            assert!(
                text.is_empty(),
                "seed {seed} step {step} {:?}:\n{}",
                fs.census,
                text.join("\n")
            );
        }
        for (name, nr) in &fs.census {
            *census.entry(*name).or_default() += nr;
        }
        extents::delete_all(&mut fs);
        assert_eq!(fs.s.check(), []);
        space::assert_empty(&fs.s, seed);
    }
    println!("{census:?}");
    assert_eq!(census.len(), STEPS.len(), "every kind of step was made");
}
