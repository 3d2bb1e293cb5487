// SPDX-License-Identifier: GPL-2.0

//! Section `downgrade`: what an older version has to check before it uses this filesystem.

use super::{
    finding::{
        Finding,
        Place, //
    },
    passes,
    section::SectionType,
    superblock::Superblock,
    version::Version, //
};
use crate::error::{
    fsck::FsckError,
    Error, //
};
use core::fmt;
use zerocopy::{
    little_endian::{
        U16,
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

/// C: `struct bch_sb_field_downgrade_entry`.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawEntry {
    version: U16,
    recovery_passes: [U64; 2],
    nr_errors: U16,
}

const _: () = assert!(size_of::<RawEntry>() == 20);

/// What a version below [`DowngradeEntry::version`] has to do.
#[derive(Clone, Copy, Debug)]
pub struct DowngradeEntry<'a> {
    /// Versions below this one.
    pub version: Version,
    /// Passes to run, by stable id.
    pub recovery_passes: [u64; 2],
    errors: &'a [u8],
}

impl DowngradeEntry<'_> {
    /// Errors that are expected then.
    pub fn errors(&self) -> impl Iterator<Item = FsckError> + '_ {
        self.errors
            .chunks_exact(2)
            .filter_map(|c| U16::read_from_bytes(c).ok())
            .map(|id| FsckError::from_raw(id.get()))
    }
}

/// The entries; ends at the first that is not complete, which can be the padding of the section.
pub(super) fn entries(body: &[u8]) -> impl Iterator<Item = DowngradeEntry<'_>> {
    let mut rest = body;
    core::iter::from_fn(move || {
        let (head, after) = RawEntry::read_from_prefix(rest).ok()?;
        let bytes = usize::from(head.nr_errors.get()).checked_mul(2)?;
        let (errors, after) = after.split_at_checked(bytes)?;
        rest = after;
        Some(DowngradeEntry {
            version: Version(head.version.get()),
            recovery_passes: head.recovery_passes.map(|p| p.get()),
            errors,
        })
    })
}

/// C: `bch2_sb_downgrade_validate()`.
pub(super) fn validate(sb: &Superblock, body: &[u8]) -> Result<(), Finding> {
    let place = Place::Section(SectionType::DOWNGRADE);
    let want = sb.version().major();
    match entries(body).find(|e| e.version.major() != want) {
        None => Ok(()),
        Some(e) => Err(
            Finding::new(Error::SbDowngrade, place, "entry for another major version")
                .found(e.version)
                .expected(sb.version()),
        ),
    }
}

/// C: `bch2_sb_downgrade_to_text()`.
pub(super) fn to_text(_: &Superblock, body: &[u8], f: &mut dyn fmt::Write) -> fmt::Result {
    for e in entries(body) {
        writeln!(
            f,
            "version:                                   {}",
            e.version
        )?;
        f.write_str("recovery passes:                           ")?;
        passes::write_stable(f, e.recovery_passes[0])?;
        f.write_str("\nerrors:                                    ")?;
        let mut comma = "";
        for id in e.errors() {
            write!(f, "{comma}{id}")?;
            comma = ",";
        }
        f.write_str("\n")?;
    }
    Ok(())
}
