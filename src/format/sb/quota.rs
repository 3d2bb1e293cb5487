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
    error::Error, //
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
const _: () = assert!(size_of::<[RawType; 3]>() == QUOTA_BYTES);

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

/// C: `bch2_sb_quota_validate()`.
pub(super) fn validate(_: &Superblock, body: &[u8]) -> Result<(), Finding> {
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
