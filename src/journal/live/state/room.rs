// SPDX-License-Identifier: GPL-2.0

//! What room there is in the journal, and who may have it.

use super::{
    super::{
        ring::{
            Free,
            Space, //
        },
        watermark::Watermark,
    },
    Conf,
    Refusal,
    State,
    REPLICAS_MAX, //
};
use crate::env::num::{
    sat_u32,
    usize_of, //
};

/// Of a short journal, up to so many sectors are kept for writing it back.
const RECLAIM_SECTORS: u64 = 512;
/// When room is short, an entry of a short journal may have so many sectors.
const ENTRY_SECTORS: u64 = 32;

/// Of a journal with so much room, in sectors, what is kept for those who write back what it holds:
/// a quarter, and more of a short one, as what they need is not less because it is short. Once all
/// was written back, all but two buckets is free, and there has to be some for others then.
fn reserve_of(all: Space) -> u64 {
    let some = all.total.saturating_sub(u64::from(all.next_entry) << 1) >> 1;
    (all.total >> 2).max(some.min(RECLAIM_SECTORS))
}

/// How large an entry becomes at most, in sectors, in a journal of so much room, when room is short
/// or not. Each goes into a bucket as a whole, so what is left of a bucket at its end can be as
/// much, and be of no use to those who write back: where a small one was followed by one as large
/// as a bucket, that was all they had. They are not always small, as the roots of the btrees are
/// in each.
fn largest_entry_of(total: u64, is_low: bool) -> u64 {
    let some = total >> 3;
    match is_low {
        true => (total >> 6).max(some.min(ENTRY_SECTORS)),
        false => some,
    }
}

impl State {
    /// The room that the devices with the most room have all of.
    ///
    /// C: `__journal_space_available()`.
    fn room(&self, what: Free, want: usize) -> Space {
        // As many as are wanted, the largest first.
        let mut best = [Space::default(); REPLICAS_MAX];
        for ring in self.rings.iter() {
            let waiting = self.unwritten().filter_map(|seq| self.get(seq));
            let mut space = ring.space(what, waiting.map(|e| e.sectors));
            if space.next_entry == 0 {
                continue;
            }
            for slot in &mut best {
                if space.total > slot.total {
                    core::mem::swap(slot, &mut space);
                }
            }
        }
        let last = want.saturating_sub(1);
        best.get(last).copied().unwrap_or_default()
    }

    /// Works out what room there is.
    ///
    /// C: `bch2_journal_space_available()`, `bch2_journal_set_watermark()`.
    pub(in super::super) fn update_space(&mut self, conf: &Conf) {
        let (front, last_ondisk) = (self.pins.front(), self.last_ondisk);
        for ring in self.rings.iter_mut() {
            ring.advance(front, last_ondisk);
        }
        self.can_discard = self.rings.iter().any(|r| r.to_discard().is_some());
        if self.rings.len() < usize::from(conf.replicas_needed.max(1)) {
            self.next_entry = Err(Refusal::NoDevice);
            return;
        }
        let want = self.rings.len().min(usize::from(conf.replicas.max(1)));
        let now = self.room(Free::Discarded, want);
        let ondisk = self.room(Free::CleanOnDisk, want);
        let clean = self.room(Free::Clean, want).total;
        let all = self.room(Free::Total, want);
        let total = all.total;
        self.next_entry = match now.next_entry {
            0 => Err(Refusal::Full),
            sectors => Ok(sectors),
        };
        // Not when the next entry is the last one, or when a flush would win much.
        self.may_skip_flush = u64::from(ondisk.next_entry) < ondisk.total
            && clean.saturating_sub(ondisk.total) <= total >> 3
            && ondisk.total << 1 > clean;
        let is_low = clean <= reserve_of(all) || self.pins.free() < self.pins.size() >> 2;
        self.entry_sectors = sat_u32(usize_of(largest_entry_of(total, is_low)));
        self.watermark = match is_low {
            true => Watermark::Reclaim,
            false => Watermark::Stripe,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_of_what_is_kept_is_lost_at_the_end_of_buckets() {
        for bucket in [256u64, 512, 1024, 4096] {
            for nr in 8..64u64 {
                let entry = largest_entry_of(nr * bucket, true);
                assert!(entry >= ENTRY_SECTORS && entry <= bucket);
                assert!(nr > 8 || entry <= bucket / 8);
            }
        }
    }

    #[test]
    fn what_is_kept_is_not_all_there_can_be() {
        for bucket in [16u32, 32, 256, 1024] {
            for nr in 3..64u64 {
                let all = Space {
                    next_entry: bucket,
                    total: nr * u64::from(bucket),
                };
                let (kept, quarter) = (reserve_of(all), all.total / 4);
                // With a full bucket, and the one that is left for a flush.
                let free = all.total - 2 * u64::from(bucket);
                assert!(kept >= quarter && kept < free, "{nr} of {bucket}: {kept}");
                assert!(kept <= quarter.max(RECLAIM_SECTORS));
            }
        }
    }
}
