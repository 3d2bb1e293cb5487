// SPDX-License-Identifier: GPL-2.0

//! Section `journal_v2`: ranges of journal buckets.

use super::{
    finding::Finding,
    journal::{
        words,
        JournalBuckets, //
    },
    section::SectionType,
    superblock::Superblock, //
};
use core::fmt;

/// Pairs of a first bucket and a number of buckets.
///
/// C: `struct bch_sb_field_journal_v2_entry`.
pub(super) fn ranges_v2(body: &[u8]) -> impl Iterator<Item = (u64, u64)> + Clone + '_ {
    let seconds = body.get(8..).unwrap_or(&[]);
    let firsts = words(body).step_by(2);
    firsts.zip(words(seconds).step_by(2))
}

/// C: `bch2_sb_journal_v2_validate()`.
pub(super) fn validate(sb: &Superblock, body: &[u8]) -> Result<(), Finding> {
    JournalBuckets::v2(body).validate(sb, SectionType::JOURNAL_V2)
}

/// C: `bch2_sb_journal_v2_to_text()`.
pub(super) fn to_text(_: &Superblock, body: &[u8], f: &mut dyn fmt::Write) -> fmt::Result {
    f.write_str("Buckets: ")?;
    for (start, nr) in ranges_v2(body) {
        write!(f, " {start}-{}", start.wrapping_add(nr))?;
    }
    f.write_str("\n")
}
