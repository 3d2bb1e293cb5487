// SPDX-License-Identifier: GPL-2.0

//! Section `extent_type_u64s`: how long each kind of extent entry is, so that kinds of a newer
//! version can be skipped.

use super::{
    finding::{
        Finding,
        Place, //
    },
    section::SectionType,
    superblock::Superblock, //
};
use crate::error::Error;
use core::fmt;

/// Kinds that an extent can tell apart; the kind is the position of the lowest set bit.
const KINDS_MAX: usize = 32;

/// Name and words of the kinds that are known. C: `BCH_EXTENT_ENTRY_TYPES()`.
pub const KNOWN: &[(&str, u8)] = &[
    ("ptr", 1),
    ("crc32", 1),
    ("crc64", 2),
    ("crc128", 3),
    ("stripe_ptr", 1),
    ("rebalance_v1", 1),
    ("flags", 1),
    ("reconcile", 1),
    ("reconcile_bp", 1),
];

/// Words of each kind of extent entry, for the kinds known here and those the superblock names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtentTypeU64s {
    u64s: [u8; KINDS_MAX],
}

impl ExtentTypeU64s {
    pub(super) fn new(body: &[u8]) -> Self {
        let mut u64s = [0; KINDS_MAX];
        for (dst, src) in u64s.iter_mut().zip(stored(body)) {
            *dst = src;
        }
        for (dst, (_, known)) in u64s.iter_mut().zip(KNOWN) {
            *dst = *known;
        }
        Self { u64s }
    }

    /// Words of a kind; `None` when it is not known.
    pub fn get(&self, kind: u8) -> Option<u8> {
        let v = self.u64s.get(usize::from(kind)).copied();
        v.filter(|v| *v != 0)
    }

    /// All words, by kind; 0 is not known.
    pub const fn all(&self) -> &[u8; KINDS_MAX] {
        &self.u64s
    }
}

/// The list ends at the first zero.
fn stored(body: &[u8]) -> impl Iterator<Item = u8> + '_ {
    body.iter().copied().take_while(|v| *v != 0)
}

/// C: `bch2_sb_extent_type_u64s_validate()`.
pub(super) fn validate(_: &Superblock, body: &[u8]) -> Result<(), Finding> {
    let place = Place::Section(SectionType::EXTENT_TYPE_U64S);
    for (i, (have, (_, known))) in (0u64..).zip(stored(body).zip(KNOWN)) {
        if have != *known {
            let what = "words of a kind of extent entry";
            return Err(Finding::new(Error::SbExtentTypes, place, what)
                .item("kind", i)
                .found(have)
                .expected(*known));
        }
    }
    Ok(())
}

/// C: `bch2_sb_extent_type_u64s_to_text()`.
pub(super) fn to_text(_: &Superblock, body: &[u8], f: &mut dyn fmt::Write) -> fmt::Result {
    for (i, v) in stored(body).enumerate() {
        match KNOWN.get(i) {
            Some((name, _)) => writeln!(f, "{name:<43}{v}")?,
            None => writeln!(f, "(unknown type {i:<3})                       {v}")?,
        }
    }
    Ok(())
}
