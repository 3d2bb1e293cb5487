// SPDX-License-Identifier: GPL-2.0

//! Section `journal`, and this device's journal buckets from either section.

use super::{
    finding::{
        Finding,
        Place, //
    },
    journal_v2::ranges_v2,
    section::SectionType,
    superblock::{
        no_memory,
        Superblock, //
    },
};
use crate::{
    env::{
        num::usize_of,
        sort::sort_by,
        Vec, //
    },
    error::Error, //
};
use core::fmt;
use zerocopy::{
    little_endian::U64,
    FromBytes as _, //
};

/// The most journal buckets of a device.
const NR_MAX: u64 = 0xffff_ffff;

/// The 64-bit words of a section.
pub(super) fn words(body: &[u8]) -> impl Iterator<Item = u64> + Clone + '_ {
    body.chunks_exact(8)
        .map(|c| U64::read_from_bytes(c).map_or(0, |v| v.get()))
}

/// This device's journal buckets, in the order they are written.
#[derive(Clone, Debug)]
pub struct JournalBuckets<'a> {
    body: &'a [u8],
    is_v2: bool,
}

impl<'a> JournalBuckets<'a> {
    /// From section `journal`: one number per bucket.
    pub(super) const fn v1(body: &'a [u8]) -> Self {
        Self { body, is_v2: false }
    }

    /// From section `journal_v2`: ranges.
    pub(super) const fn v2(body: &'a [u8]) -> Self {
        Self { body, is_v2: true }
    }

    /// Ranges of buckets: the first, and how many.
    pub fn ranges(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let (v1, v2) = match self.is_v2 {
            true => (&[][..], self.body),
            false => (self.body, &[][..]),
        };
        words(v1).map(|b| (b, 1)).chain(ranges_v2(v2))
    }

    /// The bucket numbers one by one.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.ranges().flat_map(|(start, nr)| {
            let end = start.saturating_add(nr);
            start..end
        })
    }

    /// How many buckets there are; saturates.
    pub fn count(&self) -> u64 {
        self.ranges().fold(0, |sum, (_, nr)| sum.saturating_add(nr))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// Checks that the buckets exist on the device and that none is listed twice.
    pub(super) fn validate(&self, sb: &Superblock, kind: SectionType) -> Result<(), Finding> {
        let bad = |what| Finding::new(Error::SbJournal, Place::Section(kind), what);
        let mut sorted = Vec::with_capacity(self.ranges().count()).map_err(no_memory)?;
        for (i, (start, nr)) in (0u64..).zip(self.ranges()) {
            match start.checked_add(nr).filter(|_| nr != 0) {
                Some(end) => sorted.push((start, end)).map_err(no_memory)?,
                None => {
                    return Err(bad("journal buckets entry with a bad number of buckets")
                        .item("entry", i)
                        .found(nr))
                }
            }
        }
        sort_by(&mut sorted, |a, b| a.cmp(b));
        let Some(m) = sb.members().get(sb.dev_idx()) else {
            return Ok(());
        };
        let mut free = u64::from(m.first_bucket()).max(1);
        let mut past_first = false;
        for &(start, end) in sorted.iter() {
            if start < free {
                return Err(match past_first {
                    false => bad("journal bucket before the first usable bucket")
                        .found(start)
                        .min(free),
                    true => bad("journal bucket listed twice").found(start),
                });
            }
            (free, past_first) = (end, true);
        }
        if past_first && free > m.nbuckets() {
            return Err(bad("journal bucket past the end of the device")
                .found(free.saturating_sub(1))
                .max(m.nbuckets().saturating_sub(1)));
        }
        if self.count() > NR_MAX {
            return Err(bad("number of journal buckets")
                .found(self.count())
                .max(NR_MAX));
        }
        Ok(())
    }

    /// The bucket at position `n` in the ring.
    pub fn get(&self, n: u64) -> Option<u64> {
        let mut left = n;
        for (start, nr) in self.ranges() {
            match left.checked_sub(nr) {
                None => return start.checked_add(left),
                Some(rest) => left = rest,
            }
        }
        None
    }

    /// All bucket numbers as an array; at most [`u32::MAX`] of them.
    pub fn to_vec(&self) -> crate::error::Result<Vec<u64>> {
        let nr = usize_of(self.count().min(NR_MAX));
        let mut v = Vec::with_capacity(nr)?;
        for bucket in self.iter().take(nr) {
            v.push(bucket)?;
        }
        Ok(v)
    }
}

/// C: `bch2_sb_journal_validate()`.
pub(super) fn validate(sb: &Superblock, body: &[u8]) -> Result<(), Finding> {
    JournalBuckets::v1(body).validate(sb, SectionType::JOURNAL)
}

/// C: `bch2_sb_journal_to_text()`.
pub(super) fn to_text(_: &Superblock, body: &[u8], f: &mut dyn fmt::Write) -> fmt::Result {
    f.write_str("Buckets: ")?;
    for bucket in words(body) {
        write!(f, " {bucket}")?;
    }
    f.write_str("\n")
}
