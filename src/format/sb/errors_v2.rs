// SPDX-License-Identifier: GPL-2.0

//! Section `errors_v2`: as `errors`, with the time of the first occurrence.

use super::{
    errors::{
        name,
        validate_entries,
        ErrorEntry, //
    },
    finding::Finding,
    journal_v2::ranges_v2,
    section::SectionType,
    superblock::Superblock,
    text::DateTime, //
};
use crate::{
    env::num::low_u16,
    error::fsck::FsckError, //
};
use core::fmt;

/// Two words hold: id (16 bits), count (32), last time (40, across the words), first time (40).
pub(super) fn entries_v2(body: &[u8]) -> impl Iterator<Item = ErrorEntry> + Clone + '_ {
    ranges_v2(body).map(|(lo, hi)| ErrorEntry {
        id: FsckError::from_raw(low_u16(lo)),
        nr: (lo >> 16) & 0xffff_ffff,
        last: (lo >> 48) | ((hi & 0xff_ffff) << 16),
        first: hi >> 24,
    })
}

/// C: `bch2_sb_errors_v2_validate()`.
pub(super) fn validate(_: &Superblock, body: &[u8]) -> Result<(), Finding> {
    validate_entries(entries_v2(body), SectionType::ERRORS_V2)
}

/// C: `bch2_sb_errors_v2_to_text()`; here in the order stored.
pub(super) fn to_text(_: &Superblock, body: &[u8], f: &mut dyn fmt::Write) -> fmt::Result {
    for e in entries_v2(body) {
        let (first, last) = (DateTime(e.first), DateTime(e.last));
        writeln!(f, "{:<47} {:<15} {first}  {last}", name(&e), e.nr)?;
    }
    Ok(())
}
