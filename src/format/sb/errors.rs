// SPDX-License-Identifier: GPL-2.0

//! Section `errors`: how often each kind of inconsistency was found, and when last.

use super::{
    errors_v2::entries_v2,
    finding::{
        Finding,
        Place, //
    },
    journal_v2::ranges_v2,
    section::SectionType,
    superblock::Superblock,
    text::DateTime, //
};
use crate::{
    env::num::low_u16,
    error::{
        fsck::FsckError,
        Error, //
    },
};
use core::fmt;

/// One kind of inconsistency.
///
/// C: `struct bch_sb_field_error_entry`, `struct bch_sb_field_error_entry_v2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorEntry {
    /// Which one.
    pub id: FsckError,
    /// How often; may have stopped at its maximum.
    pub nr: u64,
    /// When last, in seconds since 1970.
    pub last: u64,
    /// When first, in seconds since 1970; 0 when that is not recorded.
    pub first: u64,
}

/// The entries of a version 1 section.
pub(super) fn entries_v1(body: &[u8]) -> impl Iterator<Item = ErrorEntry> + Clone + '_ {
    ranges_v2(body).map(|(v, last)| ErrorEntry {
        id: FsckError::from_raw(low_u16(v)),
        nr: v >> 16,
        last,
        first: 0,
    })
}

/// The entries of both sections, of version 1 first. Both are there when a filesystem was mounted
/// by an older version after a newer one: their counts add up.
pub(super) fn entries(sb: &Superblock) -> impl Iterator<Item = ErrorEntry> + '_ {
    let body = move |kind| sb.section(kind).map_or(&[][..], |s| s.body);
    entries_v1(body(SectionType::ERRORS)).chain(entries_v2(body(SectionType::ERRORS_V2)))
}

/// Checks entries of either version.
pub(super) fn validate_entries(
    entries: impl Iterator<Item = ErrorEntry>,
    kind: SectionType,
) -> Result<(), Finding> {
    let place = Place::Section(kind);
    let mut prev = None;
    for (i, e) in (0u64..).zip(entries) {
        let bad = |what| Finding::new(Error::SbErrors, place, what).item("entry", i);
        if e.nr == 0 {
            return Err(bad("entry with count 0: id").found(e.id.raw()));
        }
        if e.first > e.last {
            return Err(bad("first occurrence is after the last: seconds")
                .found(e.first)
                .max(e.last));
        }
        if prev.is_some_and(|prev| prev >= e.id) {
            return Err(bad("entries out of order: id").found(e.id.raw()));
        }
        prev = Some(e.id);
    }
    Ok(())
}

/// C: `bch2_sb_errors_validate()`.
pub(super) fn validate(_: &Superblock, body: &[u8]) -> Result<(), Finding> {
    validate_entries(entries_v1(body), SectionType::ERRORS)
}

/// C: `bch2_sb_errors_to_text()`; here in the order stored.
pub(super) fn to_text(_: &Superblock, body: &[u8], f: &mut dyn fmt::Write) -> fmt::Result {
    for e in entries_v1(body) {
        writeln!(f, "{:<47} {:<15} {}", name(&e), e.nr, DateTime(e.last))?;
    }
    Ok(())
}

/// The name, for ids that have one.
pub(super) fn name(e: &ErrorEntry) -> &'static str {
    e.id.known_name().unwrap_or("(unknown error)")
}
