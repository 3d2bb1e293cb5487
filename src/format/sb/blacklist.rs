// SPDX-License-Identifier: GPL-2.0

//! Section `journal_seq_blacklist`: journal sequence numbers that a crash made void.

use super::{
    finding::{
        Finding,
        Place, //
    },
    journal_v2::ranges_v2,
    section::SectionType,
    superblock::Superblock, //
};
use crate::error::Error;
use core::fmt;

/// Ranges of sequence numbers, in order and without overlap. The end is exclusive.
///
/// C: `struct bch_sb_field_journal_seq_blacklist`.
#[derive(Clone, Copy, Debug)]
pub struct Blacklist<'a> {
    body: &'a [u8],
}

impl<'a> Blacklist<'a> {
    pub(super) const fn new(body: &'a [u8]) -> Self {
        Self { body }
    }

    /// The ranges: first number, and the one after the last.
    pub fn ranges(&self) -> impl Iterator<Item = (u64, u64)> + Clone + 'a {
        ranges_v2(self.body)
    }

    /// Whether `seq` must be ignored.
    pub fn contains(&self, seq: u64) -> bool {
        self.ranges()
            .any(|(start, end)| (start..end).contains(&seq))
    }
}

/// C: `bch2_sb_journal_seq_blacklist_validate()`.
pub(super) fn validate(_: &Superblock, body: &[u8]) -> Result<(), Finding> {
    let place = Place::Section(SectionType::JOURNAL_SEQ_BLACKLIST);
    let mut free = 0;
    for (i, (start, end)) in (0u64..).zip(Blacklist::new(body).ranges()) {
        let bad = |what| Finding::new(Error::SbBlacklist, place, what).item("entry", i);
        if start >= end {
            return Err(bad("end of the range")
                .found(end)
                .min(start.saturating_add(1)));
        }
        if start < free {
            return Err(bad("out of order with the entry before: start")
                .found(start)
                .min(free));
        }
        free = end;
    }
    Ok(())
}

/// C: `bch2_sb_journal_seq_blacklist_to_text()`.
pub(super) fn to_text(_: &Superblock, body: &[u8], f: &mut dyn fmt::Write) -> fmt::Result {
    for (i, (start, end)) in Blacklist::new(body).ranges().enumerate() {
        let space = if i == 0 { "" } else { " " };
        write!(f, "{space}{start}-{end}")?;
    }
    f.write_str("\n")
}
