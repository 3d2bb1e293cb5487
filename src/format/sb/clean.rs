// SPDX-License-Identifier: GPL-2.0

//! Section `clean`: what the last journal entry held, so that the journal need not be read after
//! an orderly shutdown.

use super::{
    finding::{
        Finding,
        Place, //
    },
    section::SectionType,
    superblock::Superblock, //
};
use crate::{
    error::Error,
    format::jset::{
        Entries,
        ENTRY_HEADER_BYTES, //
    },
};
use core::fmt;
use zerocopy::{
    little_endian::{
        U16,
        U32,
        U64, //
    },
    FromBytes as _,
};
use zerocopy_derive::{
    FromBytes,
    Immutable,
    KnownLayout,
    Unaligned, //
};

/// C: `struct bch_sb_field_clean`, without the section's header.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawClean {
    flags: U32,
    unused_read_clock: U16,
    unused_write_clock: U16,
    journal_seq: U64,
}

/// Bytes before the records.
const CLEAN_HEADER_BYTES: usize = 16;
const _: () = assert!(size_of::<RawClean>() == CLEAN_HEADER_BYTES);

/// What was recorded at an orderly shutdown.
#[derive(Clone, Copy, Debug)]
pub struct Clean<'a> {
    head: RawClean,
    /// The records, as in a journal entry: btree roots, clocks, the key version.
    pub entries: &'a [u8],
}

impl<'a> Clean<'a> {
    pub(super) fn new(body: &'a [u8]) -> Option<Self> {
        let (head, entries) = RawClean::read_from_prefix(body).ok()?;
        Some(Self { head, entries })
    }

    /// The sequence number of the last journal entry.
    pub fn journal_seq(&self) -> u64 {
        self.head.journal_seq.get()
    }

    /// The records.
    pub fn entries(&self) -> Entries<'a> {
        Entries::new(self.entries)
    }
}

/// C: `bch2_sb_clean_validate()`.
pub(super) fn validate(_: &Superblock, body: &[u8]) -> Result<(), Finding> {
    let bad = |what| Finding::new(Error::SbClean, Place::Section(SectionType::CLEAN), what);
    let Some(clean) = Clean::new(body) else {
        return Err(bad("bytes of the section")
            .found(body.len())
            .min(CLEAN_HEADER_BYTES));
    };
    // A record's length is its first 16 bits, in words, without its header.
    let mut rest = clean.entries;
    let mut i = 0u64;
    while let Ok((u64s, _)) = U16::read_from_prefix(rest) {
        let bytes = usize::from(u64s.get())
            .saturating_mul(8)
            .saturating_add(ENTRY_HEADER_BYTES);
        rest = match rest.get(bytes..) {
            Some(after) => after,
            None => {
                return Err(bad("record extends past the end of the section: bytes")
                    .item("record", i)
                    .found(bytes)
                    .max(rest.len()))
            }
        };
        i = i.wrapping_add(1);
    }
    Ok(())
}

/// C: `bch2_sb_clean_to_text()`.
pub(super) fn to_text(_: &Superblock, body: &[u8], f: &mut dyn fmt::Write) -> fmt::Result {
    let Some(clean) = Clean::new(body) else {
        return Ok(());
    };
    writeln!(f, "flags:          {:x}", clean.head.flags)?;
    writeln!(f, "journal_seq:    {}", clean.journal_seq())?;
    for entry in clean.entries().filter_map(Result::ok) {
        writeln!(f, "{entry}")?;
    }
    Ok(())
}
