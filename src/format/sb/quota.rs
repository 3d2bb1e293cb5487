// SPDX-License-Identifier: GPL-2.0

//! Section `quota`: how long a quota's soft limit may be exceeded.

use super::{
    finding::{
        Finding,
        Place, //
    },
    section::SectionType,
    superblock::Superblock, //
};
use crate::{
    env::num::usize_of,
    error::{
        Error,
        Result, //
    },
};
use core::fmt;
use zerocopy::{
    little_endian::{
        U32,
        U64, //
    },
    FromBytes as _,
};
use zerocopy_derive::{
    FromBytes,
    Immutable,
    Unaligned, //
};

/// C: `struct bch_sb_quota_counter`.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct RawCounter {
    timelimit: U32,
    warnlimit: U32,
}

/// C: `struct bch_sb_quota_type`.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct RawType {
    flags: U64,
    counters: [RawCounter; 2],
}

/// The grace times of users, groups and projects.
///
/// C: `struct bch_sb_field_quota`, without the section's header.
#[derive(Clone, Copy, Debug)]
pub struct QuotaLimits {
    types: [RawType; 3],
}

/// Bytes of the section, without its header.
const QUOTA_BYTES: usize = 72;
/// Bytes of one type.
const TYPE_BYTES: usize = 24;
/// For how long a soft limit may be exceeded, if nothing else is said: seven days.
const SECONDS: u32 = 7 * 24 * 60 * 60;
const _: () = assert!(size_of::<[RawType; 3]>() == QUOTA_BYTES);
const _: () = assert!(size_of::<RawType>() == TYPE_BYTES);

impl QuotaLimits {
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        <[RawType; 3]>::read_from_prefix(body)
            .ok()
            .map(|(types, _)| Self { types })
    }

    /// Grace times in seconds and numbers of warnings, each of space and of inodes, for type 0
    /// (user), 1 (group), 2 (project).
    pub fn limits(&self, quota_type: u64) -> Option<[[u32; 2]; 2]> {
        let t = self.types.get(usize_of(quota_type))?;
        Some([
            t.counters.map(|c| c.timelimit.get()),
            t.counters.map(|c| c.warnlimit.get()),
        ])
    }
}

/// Which number of a kind of quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotaTime {
    /// For how many seconds a soft limit may be exceeded.
    Seconds,
    /// How many warnings there are.
    Warnings,
}

impl Superblock {
    /// Sets one of the numbers of `quota_type`: of space, or with `of_inodes` of inodes. Without
    /// the section, it is made.
    ///
    /// C: `bch2_sb_get_or_create_quota()`, `bch2_quota_set_info()`.
    pub fn set_quota(
        &mut self,
        quota_type: u64,
        of_inodes: bool,
        what: QuotaTime,
        v: u32,
    ) -> Result<()> {
        if self.section_mut(SectionType::QUOTA).is_none() {
            let mut body = [0; QUOTA_BYTES];
            for of_type in body.chunks_exact_mut(TYPE_BYTES) {
                for counter in of_type.chunks_exact_mut(8).skip(1) {
                    put(counter, SECONDS);
                }
            }
            self.replace_section(SectionType::QUOTA, &body)?;
        }
        let body = self.section_mut(SectionType::QUOTA).unwrap_or_default();
        let mut types = body.chunks_exact_mut(TYPE_BYTES);
        let Some(of_type) = types.nth(usize_of(quota_type)) else {
            return Ok(());
        };
        let nr = match (of_inodes, what) {
            (false, QuotaTime::Seconds) => 2,
            (false, QuotaTime::Warnings) => 3,
            (true, QuotaTime::Seconds) => 4,
            (true, QuotaTime::Warnings) => 5,
        };
        if let Some(word) = of_type.chunks_exact_mut(4).nth(nr) {
            put(word, v);
        }
        Ok(())
    }
}

fn put(to: &mut [u8], v: u32) {
    for (to, from) in to.iter_mut().zip(v.to_le_bytes()) {
        *to = from;
    }
}

/// C: `bch2_sb_quota_validate()`.
pub(super) fn validate(_: &Superblock, body: &[u8]) -> core::result::Result<(), Finding> {
    match QuotaLimits::read(body) {
        Some(_) => Ok(()),
        None => Err(Finding::new(
            Error::SbQuota,
            Place::Section(SectionType::QUOTA),
            "bytes of the section",
        )
        .found(body.len())
        .min(QUOTA_BYTES)),
    }
}

/// C: `bch2_sb_quota_to_text()`.
pub(super) fn to_text(_: &Superblock, body: &[u8], f: &mut dyn fmt::Write) -> fmt::Result {
    let Some(quota) = QuotaLimits::read(body) else {
        return Ok(());
    };
    for (name, t) in ["user", "group", "project"].iter().zip(&quota.types) {
        write!(f, "{name}: flags {:x}", t.flags)?;
        for (name, c) in ["space", "inodes"].iter().zip(&t.counters) {
            write!(
                f,
                " {name} timelimit {} warnlimit {}",
                c.timelimit, c.warnlimit
            )?;
        }
        f.write_str("\n")?;
    }
    Ok(())
}
