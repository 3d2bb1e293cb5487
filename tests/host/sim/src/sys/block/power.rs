// SPDX-License-Identifier: GPL-2.0

//! What a loss of power leaves of what was written.
//!
//! What had been flushed, or had returned from being written through, is there. Of the rest each
//! write may be there or not, in any order, and those that were going on may be there in part. A
//! sector is always whole, and never older than what is known to be there.

use super::{
    log::{
        Entry,
        What, //
    },
    random::Random,
    Disk, Medium,
};
use std::collections::HashMap;

/// When the power is lost, and how it turns out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PowerCut {
    /// The moment: what had begun before it counts. See [`Power::now`](super::Power::now).
    pub at: u64,
    /// What of the rest is there.
    pub seed: u64,
}

/// Goes through what was done to a device, and tells what would have been left.
pub struct Replay {
    name: String,
    first: Disk,
    entries: Vec<Entry>,
    stable: Stable,
}

/// What is on stable media at a moment.
struct Stable {
    at: u64,
    disk: Disk,
    /// The last entry, counted from 1, of what is there; of sectors that are newer than `first`.
    newest: HashMap<u64, usize>,
    /// What is there only in part, or not at all: places in the log.
    pending: Vec<usize>,
    /// The entries that have begun.
    begun: usize,
}

impl Stable {
    fn new(first: &Disk) -> Self {
        Self {
            at: 0,
            disk: first.clone(),
            newest: HashMap::new(),
            pending: Vec::new(),
            begun: 0,
        }
    }

    /// Puts one sector of an entry there, unless something newer is.
    fn put(&mut self, entries: &[Entry], place: usize, at: u64) {
        let entry = &entries[place];
        let sector = entry.range().0 + at;
        let newest = self.newest.entry(sector).or_default();
        if *newest <= place {
            *newest = place + 1;
            let _ = self.disk.write(sector, entry.sector(at));
        }
    }
}

impl Replay {
    /// Looks at what was done so far to `medium`, which must be that of a
    /// [`recorded`](super::BlockDevice::recorded) device.
    pub fn new(medium: &Medium) -> Option<Self> {
        let (first, entries) = medium.history()?;
        Some(Self {
            name: medium.name().to_owned(),
            stable: Stable::new(&first),
            first,
            entries,
        })
    }

    /// What is on the device when the power comes back. Fast when each moment is the same as that
    /// of the last call, or later.
    pub fn image(&mut self, cut: PowerCut) -> Disk {
        if cut.at < self.stable.at {
            self.stable = Stable::new(&self.first);
        }
        self.advance(cut.at);
        let mut random = Random::new(cut.seed, &self.name);
        let mut left = self.stable.disk.clone();
        let mut sectors = choose(&self.entries, &self.stable.pending, &mut random);
        // In any order, but nothing older than what is there.
        sectors.retain(|&(place, at)| {
            let sector = self.entries[place].range().0 + at;
            self.stable.newest.get(&sector).is_none_or(|n| *n <= place)
        });
        for (place, at) in sectors {
            let entry = &self.entries[place];
            let _ = left.write(entry.range().0 + at, entry.sector(at));
        }
        left
    }

    /// Goes on to the moment `at`: moves to the disk what is stable then.
    fn advance(&mut self, at: u64) {
        let stable = &mut self.stable;
        let new = self.entries.iter().enumerate().skip(stable.begun);
        for (place, _) in new.take_while(|(_, e)| e.begin < at) {
            stable.pending.push(place);
            stable.begun = place + 1;
        }
        stable.at = at;
        // The last flush that has returned to begin covers what any of the others does.
        let pending = std::mem::take(&mut stable.pending);
        let flushed = pending
            .iter()
            .map(|place| &self.entries[*place])
            .filter(|e| matches!(e.what, What::Flush) && e.is_over(at))
            .map(|e| e.begin)
            .max();
        for place in pending {
            let entry = &self.entries[place];
            let flushed = flushed.is_some_and(|begin| entry.is_over(begin));
            let through = entry.is_fua() && entry.is_over(at);
            if matches!(entry.what, What::Flush) {
                if !entry.is_over(at) {
                    stable.pending.push(place);
                }
            } else if flushed || through {
                for at in 0..entry.range().1 {
                    stable.put(&self.entries, place, at);
                }
            } else {
                stable.pending.push(place);
            }
        }
    }
}

/// Which sectors of which entries are there of what is `pending`, in what order. The last entry of
/// them may be there in part.
fn choose(entries: &[Entry], pending: &[usize], random: &mut Random) -> Vec<(usize, u64)> {
    let mut places = pending.to_vec();
    let mut torn = true;
    match random.below(6) {
        // The cache was lost.
        0 => places.clear(),
        // The cache was about to be written out in order, and was not quite done.
        1 => places.truncate(random.below(places.len() + 1)),
        // One did not make it.
        2 => {
            if !places.is_empty() {
                places.remove(random.below(places.len()));
            }
            torn = false;
        }
        3 => places.retain(|_| random.one_in(8)),
        4 => {
            places.retain(|_| random.one_in(2));
            random.shuffle(&mut places);
        }
        // Each sector on its own.
        _ => {
            random.shuffle(&mut places);
            let all = places.iter().flat_map(|p| sectors(entries, *p));
            return all.filter(|_| random.one_in(2)).collect();
        }
    }
    let mut all = Vec::new();
    for (i, &place) in places.iter().enumerate() {
        let mut of_it: Vec<_> = sectors(entries, place).collect();
        if torn && i + 1 == places.len() {
            of_it.truncate(random.below(of_it.len() + 1));
        }
        all.append(&mut of_it);
    }
    all
}

fn sectors(entries: &[Entry], place: usize) -> impl Iterator<Item = (usize, u64)> {
    (0..entries[place].range().1).map(move |at| (place, at))
}
