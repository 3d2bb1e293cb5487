// SPDX-License-Identifier: GPL-2.0

//! The sections of variable length: how they follow each other, and which kinds there are.

use super::{
    finding::{
        Finding,
        Place, //
    },
    superblock::Superblock,
};
use crate::{
    env::num::usize_of_u32,
    error::Error, //
};
use core::fmt;
use zerocopy::{
    little_endian::U32,
    FromBytes as _, //
};
use zerocopy_derive::{
    FromBytes,
    Immutable,
    KnownLayout,
    Unaligned, //
};

/// Bytes of a section's header.
pub const SECTION_HEADER_BYTES: usize = 8;

/// The kind of a section. Kinds that are not known are kept and not looked into.
///
/// C: `enum bch_sb_field_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SectionType(pub u32);

/// The header of a section.
///
/// C: `struct bch_sb_field`.
#[derive(Clone, Copy, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawHeader {
    u64s: U32,
    kind: U32,
}

/// A section.
#[derive(Clone, Copy, Debug)]
pub struct Section<'a> {
    /// What it holds.
    pub kind: SectionType,
    /// Its contents, without the header; a multiple of 8 bytes.
    pub body: &'a [u8],
}

impl Section<'_> {
    /// Bytes with the header, as C counts them.
    pub fn total_bytes(&self) -> usize {
        self.body.len().saturating_add(SECTION_HEADER_BYTES)
    }
}

/// Goes over the sections in `bytes`; ends after the first that is not possible.
#[derive(Clone, Debug)]
pub struct Sections<'a> {
    rest: &'a [u8],
}

impl<'a> Sections<'a> {
    /// The sections in `bytes`, which start after the superblock's fixed part.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    fn split(&mut self) -> Result<Option<Section<'a>>, Finding> {
        let rest = core::mem::take(&mut self.rest);
        if rest.is_empty() {
            return Ok(None);
        }
        let bad = |what| Finding::new(Error::SbSectionSize, Place::Header, what);
        let Ok((head, _)) = RawHeader::read_from_prefix(rest) else {
            return Err(bad("bytes after the last section").found(rest.len()));
        };
        let kind = SectionType(head.kind.get());
        let bad = |what| bad(what).item("section type", kind.0.into());
        if head.u64s.get() == 0 {
            return Err(bad("section with size 0"));
        }
        let bytes = usize_of_u32(head.u64s.get()).saturating_mul(8);
        let Some((section, after)) = rest.split_at_checked(bytes) else {
            return Err(bad("section extends past the end of the superblock: bytes")
                .found(bytes)
                .max(rest.len()));
        };
        self.rest = after;
        Ok(Some(Section {
            kind,
            body: section.get(SECTION_HEADER_BYTES..).unwrap_or(&[]),
        }))
    }

    /// Checks that all sections lie within the bytes.
    pub fn validate(mut self) -> Result<(), Finding> {
        while self.split()?.is_some() {}
        Ok(())
    }
}

impl<'a> Iterator for Sections<'a> {
    type Item = Section<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.split().ok().flatten()
    }
}

/// What can be done with a section. C: `struct bch_sb_field_ops`.
struct Ops {
    validate: fn(&Superblock, &[u8]) -> Result<(), Finding>,
    to_text: fn(&Superblock, &[u8], &mut dyn fmt::Write) -> fmt::Result,
}

macro_rules! section_types {
    ($($name:ident = $nr:literal, $text:literal, $module:ident;)*) => {
        impl SectionType {
            $(#[doc = concat!("C: `BCH_SB_FIELD_", $text, "`")]
            pub const $name: SectionType = SectionType($nr);)*

            /// The names, by number.
            pub const NAMES: &'static [&'static str] = &[$($text,)*];

            fn ops(self) -> Option<Ops> {
                match self.0 {
                    $($nr => Some(Ops {
                        validate: super::$module::validate,
                        to_text: super::$module::to_text,
                    }),)*
                    _ => None,
                }
            }
        }
    };
}

section_types! {
    JOURNAL = 0, "journal", journal;
    MEMBERS_V1 = 1, "members_v1", members_v1;
    CRYPT = 2, "crypt", crypt;
    REPLICAS_V0 = 3, "replicas_v0", replicas_v0;
    QUOTA = 4, "quota", quota;
    DISK_GROUPS = 5, "disk_groups", groups;
    CLEAN = 6, "clean", clean;
    REPLICAS = 7, "replicas", replicas;
    JOURNAL_SEQ_BLACKLIST = 8, "journal_seq_blacklist", blacklist;
    JOURNAL_V2 = 9, "journal_v2", journal_v2;
    COUNTERS = 10, "counters", counters;
    MEMBERS_V2 = 11, "members_v2", members_v2;
    ERRORS = 12, "errors", errors;
    EXT = 13, "ext", ext;
    DOWNGRADE = 14, "downgrade", downgrade;
    RECOVERY_PASSES = 15, "recovery_passes", passes;
    EXTENT_TYPE_U64S = 16, "extent_type_u64s", extent_types;
    ERRORS_V2 = 17, "errors_v2", errors_v2;
}

impl SectionType {
    /// The name; `None` when the kind is not known.
    pub fn name(self) -> Option<&'static str> {
        Self::NAMES.get(usize_of_u32(self.0)).copied()
    }

    /// Whether each device has its own; other sections are the same in all superblocks.
    /// C: `BCH_SINGLE_DEVICE_SB_FIELDS`.
    pub const fn is_single_device(self) -> bool {
        matches!(self, Self::JOURNAL | Self::JOURNAL_V2)
    }
}

impl fmt::Display for SectionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "(unknown section {})", self.0),
        }
    }
}

impl Section<'_> {
    /// Checks the contents.
    ///
    /// C: `bch2_sb_field_validate()`.
    pub fn validate(&self, sb: &Superblock) -> Result<(), Finding> {
        match self.kind.ops() {
            Some(ops) => (ops.validate)(sb, self.body),
            None => Ok(()),
        }
    }

    /// Writes the contents as text; they need not be valid.
    ///
    /// C: `bch2_sb_field_to_text()`.
    pub fn to_text(&self, sb: &Superblock, f: &mut dyn fmt::Write) -> fmt::Result {
        writeln!(f, "{} (size {}):", self.kind, self.total_bytes())?;
        match self.kind.ops() {
            Some(ops) => (ops.to_text)(sb, self.body, f),
            None => Ok(()),
        }
    }
}
