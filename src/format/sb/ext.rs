// SPDX-License-Identifier: GPL-2.0

//! Section `ext`: what recovery has to do, and flags that did not fit the fixed part.

use super::{
    finding::{
        Finding,
        Place, //
    },
    flags::BitField,
    journal::words,
    passes,
    section::SectionType,
    superblock::Superblock, //
};
use crate::{
    error::{
        fsck::FsckError,
        Error, //
    },
    format::btree_id::BtreeId,
};
use core::fmt;
use zerocopy::little_endian::U64;

/// Words of the section as first defined.
const MIN_WORDS: usize = 10;
/// The word that has btrees of which nodes were lost.
pub(super) const LOST_WORD: usize = 10;
/// Words that are known.
const WORDS: usize = 14;

/// Bit fields of [`Ext::flags`]. C: `BCH_SB_EXT_*`.
pub mod flag {
    use super::BitField;

    /// C: `BCH_SB_EXT_DEV_READAHEAD`
    pub const DEV_READAHEAD: BitField = BitField::new(0, 0, 20);
    /// C: `BCH_SB_EXT_EC_STRIPE_BUF_LIMIT`
    pub const EC_STRIPE_BUF_LIMIT: BitField = BitField::new(0, 20, 26);
    /// C: `BCH_SB_EXT_SCRUB_MAX_REWIND_SECS`
    pub const SCRUB_MAX_REWIND_SECS: BitField = BitField::new(0, 26, 38);
    /// C: `BCH_SB_EXT_DISCARD_BUFFER`
    pub const DISCARD_BUFFER: BitField = BitField::new(0, 38, 42);
    /// C: `BCH_SB_EXT_BTREE_CACHE_SHRINKER_SEEKS`
    pub const BTREE_CACHE_SHRINKER_SEEKS: BitField = BitField::new(0, 42, 49);
    /// C: `BCH_SB_EXT_MISSING_DEV_TIMEOUT`
    pub const MISSING_DEV_TIMEOUT: BitField = BitField::new(0, 49, 61);
}

/// C: `struct bch_sb_field_ext`; words that are missing at the end count as zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ext {
    words: [u64; WORDS],
}

impl Ext {
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let mut ext = [0; WORDS];
        for (dst, src) in ext.iter_mut().zip(words(body)) {
            *dst = src;
        }
        (words(body).count() >= MIN_WORDS).then_some(Self { words: ext })
    }

    /// Recovery passes that the next read-write mount has to run, by stable id.
    pub const fn recovery_passes_required(&self) -> [u64; 2] {
        let [a, b, ..] = self.words;
        [a, b]
    }

    /// Whether errors of this kind are expected, so that they are repaired without a message.
    pub fn is_silent(&self, id: FsckError) -> bool {
        let [_, _, silent @ .., _, _, _, _] = self.words;
        let word = silent.get(usize::from(id.raw() >> 6));
        word.is_some_and(|w| w & (1 << (id.raw() & 63)) != 0)
    }

    /// Btrees of which nodes were lost and not yet rebuilt; bit n is btree n.
    pub const fn btrees_lost_data(&self) -> u64 {
        let [.., lost, _, _, _] = self.words;
        lost
    }

    /// Whether nodes of this btree were lost.
    pub const fn has_lost_data(&self, id: BtreeId) -> bool {
        self.btrees_lost_data() & (1u64 << (id.0 & 63)) != 0
    }

    /// A bit field of the flags; see [`flag`].
    pub fn flag(&self, field: BitField) -> u64 {
        let [.., flags, _, _] = self.words;
        field.get(&[U64::new(flags)])
    }
}

/// C: `bch2_sb_ext_validate()`.
pub(super) fn validate(_: &Superblock, body: &[u8]) -> Result<(), Finding> {
    let have = words(body).count();
    match have >= MIN_WORDS {
        true => Ok(()),
        false => Err(Finding::new(
            Error::SbExt,
            Place::Section(SectionType::EXT),
            "words in the section",
        )
        .found(have)
        .min(MIN_WORDS)),
    }
}

/// C: `bch2_sb_ext_to_text()`.
pub(super) fn to_text(_: &Superblock, body: &[u8], f: &mut dyn fmt::Write) -> fmt::Result {
    let Some(ext) = Ext::read(body) else {
        return Ok(());
    };
    f.write_str("Recovery passes required:                  ")?;
    passes::write_stable(f, ext.recovery_passes_required()[0])?;
    f.write_str("\nErrors to silently fix:                    ")?;
    let mut comma = "";
    for id in FsckError::ALL.iter().filter(|id| ext.is_silent(**id)) {
        write!(f, "{comma}{id}")?;
        comma = ",";
    }
    let [.., lost, _, ever, clean] = ext.words;
    let rows = [
        ("Btrees with missing data:", lost),
        ("Btrees that have ever lost data:", ever),
        ("Btrees validated clean:", clean),
    ];
    for (name, bits) in rows {
        write!(f, "\n{name:<43}")?;
        let mut comma = "";
        for nr in (0..64u8).filter(|nr| bits & (1 << nr) != 0) {
            write!(f, "{comma}{}", BtreeId(nr))?;
            comma = ",";
        }
    }
    f.write_str("\n")
}
