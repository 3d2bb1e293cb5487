// SPDX-License-Identifier: GPL-2.0

//! One superblock: decoding, checking, and access to its parts.

use super::{
    blacklist::Blacklist,
    clean::Clean,
    counters,
    crypt::Crypt,
    errors::{
        self,
        ErrorEntry, //
    },
    ext::Ext,
    extent_types::ExtentTypeU64s,
    finding::{
        Finding,
        Place, //
    },
    groups::Groups,
    header::{
        RawSb,
        HEADER_BYTES, //
    },
    journal::JournalBuckets,
    members::{
        Member,
        Members, //
    },
    quota::QuotaLimits,
    replicas::Replicas,
    section::{
        Section,
        SectionType,
        Sections, //
    },
};
use crate::{
    env::{
        num::usize_of,
        Box,
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
};
use core::ops::Deref;
use zerocopy::IntoBytes as _;

/// A superblock whose checksum was right. Its parts are decoded when asked for; what has been
/// through [`Superblock::validate`] decodes without loss. The fields of the fixed part are
/// reached by dereferencing to [`RawSb`].
#[derive(Debug)]
pub struct Superblock {
    /// Not in the structure itself, which is moved about: kernel stacks are small.
    pub(super) head: Box<RawSb>,
    pub(super) sections: Vec<u8>,
}

impl Deref for Superblock {
    type Target = RawSb;

    fn deref(&self) -> &RawSb {
        &self.head
    }
}

impl Superblock {
    /// Looks at the start of a copy: whether it is a superblock at all, and how many bytes it has.
    #[inline(never)]
    pub fn start(bytes: &[u8]) -> Result<usize, Finding> {
        let head = RawSb::read(bytes).ok_or_else(|| truncated(bytes.len(), HEADER_BYTES))?;
        head.validate_start()
            .map_err(|finding| or_version(head, finding))?;
        Ok(usize_of(head.total_bytes()))
    }

    /// Takes a copy whose checksum is right; nothing else is checked.
    ///
    /// C: `read_one_super()`.
    pub fn read(bytes: &[u8]) -> Result<Self, Finding> {
        let len = Self::start(bytes)?;
        let short = || truncated(bytes.len(), len);
        let whole = bytes.get(..len).ok_or_else(short)?;
        let head = RawSb::read(whole).ok_or_else(short)?;
        head.validate_csum(whole)
            .map_err(|finding| or_version(head, finding))?;
        let head = boxed(head).map_err(no_memory)?;
        let mut sections = Vec::new();
        sections
            .extend_from_slice(whole.get(HEADER_BYTES..).unwrap_or(&[]))
            .map_err(no_memory)?;
        Ok(Self { head, sections })
    }

    /// Takes a copy and checks everything in it. `sector` is where it was read from.
    pub fn decode(bytes: &[u8], sector: Option<u64>) -> Result<Self, Finding> {
        let sb = Self::read(bytes)?;
        sb.validate(sector)?;
        Ok(sb)
    }

    /// Checks everything that can be checked without the device.
    ///
    /// C: `bch2_sb_validate()`.
    pub fn validate(&self, sector: Option<u64>) -> Result<(), Finding> {
        self.head.validate_known()?;
        self.head.validate(sector)?;
        self.sections().validate()?;
        // Others refer to the members.
        let members = self
            .sections()
            .find(|s| s.kind == SectionType::MEMBERS_V2)
            .or_else(|| self.sections().find(|s| s.kind == SectionType::MEMBERS_V1))
            .ok_or(Finding::new(
                Error::SbMembersMissing,
                Place::Header,
                "no members section",
            ))?;
        members.validate(self)?;
        for section in self.sections() {
            if section.kind != members.kind && section.kind != SectionType::MEMBERS_V1 {
                section.validate(self)?;
            }
        }
        Ok(())
    }

    /// A copy.
    pub fn try_clone(&self) -> crate::error::Result<Self> {
        let mut sections = Vec::new();
        sections.extend_from_slice(&self.sections)?;
        Ok(Self {
            head: boxed(&self.head)?,
            sections,
        })
    }

    /// The bytes, as they were read.
    pub fn to_bytes(&self) -> crate::error::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES.saturating_add(self.sections.len()))?;
        bytes.extend_from_slice(self.head.as_bytes())?;
        bytes.extend_from_slice(&self.sections)?;
        Ok(bytes)
    }

    /// All sections, in the order stored.
    pub fn sections(&self) -> Sections<'_> {
        Sections::new(&self.sections)
    }

    /// The first section of a kind.
    pub fn section(&self, kind: SectionType) -> Option<Section<'_>> {
        self.sections().find(|s| s.kind == kind)
    }

    pub(super) fn body(&self, kind: SectionType) -> Option<&[u8]> {
        self.section(kind).map(|s| s.body)
    }

    /// The member slots.
    pub fn members(&self) -> Members<'_> {
        match self.body(SectionType::MEMBERS_V2) {
            Some(body) => Members::v2(body, self.nr_devices()),
            None => Members::v1(
                self.body(SectionType::MEMBERS_V1).unwrap_or(&[]),
                self.nr_devices(),
            ),
        }
    }

    /// The member in slot `idx`, if the slot exists and is in use.
    pub fn member(&self, idx: u8) -> Option<Member> {
        self.members().get(idx).filter(Member::is_alive)
    }

    /// How many slots are in use. C: `bch2_sb_nr_devices()`.
    pub fn nr_members(&self) -> usize {
        self.members().filter(Member::is_alive).count()
    }

    /// This device's journal buckets, in order.
    pub fn journal_buckets(&self) -> JournalBuckets<'_> {
        match self.body(SectionType::JOURNAL_V2) {
            Some(body) => JournalBuckets::v2(body),
            None => JournalBuckets::v1(self.body(SectionType::JOURNAL).unwrap_or(&[])),
        }
    }

    /// Journal sequence numbers that must be ignored.
    pub fn blacklist(&self) -> Blacklist<'_> {
        Blacklist::new(self.body(SectionType::JOURNAL_SEQ_BLACKLIST).unwrap_or(&[]))
    }

    /// What was recorded at an orderly shutdown. It is meaningful only when
    /// [`RawSb::is_clean`].
    pub fn clean(&self) -> Option<Clean<'_>> {
        Clean::new(self.body(SectionType::CLEAN)?)
    }

    /// Which sets of devices hold replicas of what.
    pub fn replicas(&self) -> Replicas<'_> {
        match self.body(SectionType::REPLICAS) {
            Some(body) => Replicas::v1(body),
            None => Replicas::v0(self.body(SectionType::REPLICAS_V0).unwrap_or(&[])),
        }
    }

    /// The encryption key and how it is protected.
    pub fn crypt(&self) -> Option<Crypt> {
        Crypt::read(self.body(SectionType::CRYPT)?)
    }

    /// The label tree.
    pub fn groups(&self) -> Groups<'_> {
        Groups::new(self.body(SectionType::DISK_GROUPS).unwrap_or(&[]))
    }

    /// Further flags, and what recovery has to do.
    pub fn ext(&self) -> Option<Ext> {
        Ext::read(self.body(SectionType::EXT)?)
    }

    /// Sizes of the entries of extents, for kinds this version may not know.
    pub fn extent_type_u64s(&self) -> ExtentTypeU64s {
        ExtentTypeU64s::new(self.body(SectionType::EXTENT_TYPE_U64S).unwrap_or(&[]))
    }

    /// The grace times of quotas.
    pub fn quota(&self) -> Option<QuotaLimits> {
        QuotaLimits::read(self.body(SectionType::QUOTA)?)
    }

    /// How often each kind of inconsistency was found; an id can come twice.
    pub fn errors(&self) -> impl Iterator<Item = ErrorEntry> + '_ {
        errors::entries(self)
    }

    /// The value of a counter; see [`counters`](super::counters::counters).
    pub fn counter(&self, nr: u8) -> u64 {
        counters::value(self.body(SectionType::COUNTERS).unwrap_or(&[]), nr)
    }

    /// Whether reading needs the filesystem's key.
    pub fn is_encrypted(&self) -> bool {
        self.encryption_type() != 0 || self.crypt().is_some()
    }
}

/// A copy in memory of its own. Out of line: it goes over the stack, which is small.
#[inline(never)]
pub(super) fn boxed(head: &RawSb) -> crate::error::Result<Box<RawSb>> {
    Box::try_new(*head)
}

/// When even the start is wrong, but the version is one that may have another start, then that is
/// what to say.
fn or_version(head: &RawSb, finding: Finding) -> Finding {
    match head.validate_versions() {
        Err(version) if finding.error != Error::SbMagic && version.is_too_new() => version,
        _ => finding,
    }
}

fn truncated(found: usize, need: usize) -> Finding {
    Finding::new(
        Error::SbTruncated,
        Place::Header,
        "bytes of the superblock that could be read",
    )
    .found(found)
    .min(need)
}

/// A [`Finding`] for running out of memory while looking.
pub(super) fn no_memory(error: Error) -> Finding {
    Finding::new(error, Place::Header, "out of memory while checking")
}
