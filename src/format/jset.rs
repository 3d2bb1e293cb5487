// SPDX-License-Identifier: GPL-2.0

//! Journal entries (`jset`) and the typed records inside them (`jset_entry`), which the clean
//! section of the superblock holds too.

use super::{
    bkey::{
        split_unpacked,
        Key,
        RawBkey,
        BKEY_U64S, //
    },
    btree_id::{
        BtreeId,
        BTREE_ID_NR_MAX, //
    },
    node::{
        RawCsum,
        CSUM_BYTES, //
    },
};
use crate::error::{
    fsck::FsckError,
    Invalid, //
};
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
    IntoBytes,
    KnownLayout,
    Unaligned, //
};

mod encode;
mod text;

pub use encode::{
    record_header,
    set_csum,
    Header,
    JsetWriter,
    RecordHeader,
    USAGE_KEY_VERSION, //
};

/// What the magic number of a journal entry is made from, with the filesystem's own part.
/// C: `JSET_MAGIC`.
pub const JSET_MAGIC: u64 = 0x2452_35c1_a362_5032;
/// Bytes from a journal entry's start to its first record.
pub const JSET_HEADER_BYTES: usize = 56;
/// From which byte on an entry may be encrypted: the end of the header and the records. C:
/// `encrypted_start` in `struct jset`.
pub const JSET_SEALED_AT: usize = 44;
/// The largest journal entry, in bytes. C: `JOURNAL_ENTRY_SIZE_MAX`.
pub const JSET_BYTES_MAX: usize = 4 << 20;
/// Bytes of a record's header.
pub const ENTRY_HEADER_BYTES: usize = 8;

/// The header of a journal entry.
///
/// C: `struct jset`.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
    PartialEq,
    Eq,
)]
#[repr(C)]
pub struct RawJset {
    csum: RawCsum,
    magic: U64,
    seq: U64,
    version: U32,
    flags: U32,
    u64s: U32,
    unused_read_clock: U16,
    unused_write_clock: U16,
    last_seq: U64,
}

const _: () = assert!(size_of::<RawJset>() == JSET_HEADER_BYTES);
const _: () = assert!(core::mem::offset_of!(RawJset, unused_read_clock) == JSET_SEALED_AT);

impl RawJset {
    /// Reads a header off the front of `bytes`. `None` when they are too short.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        Self::read_from_prefix(bytes).ok().map(|(j, _)| j)
    }

    /// The stored checksum.
    pub fn csum(&self) -> RawCsum {
        self.csum
    }

    /// The magic number; see [`JSET_MAGIC`].
    pub fn magic(&self) -> u64 {
        self.magic.get()
    }

    /// This entry's sequence number.
    pub fn seq(&self) -> u64 {
        self.seq.get()
    }

    /// The oldest entry with updates that may not have reached the btree. Means nothing when
    /// [`RawJset::is_no_flush`].
    pub fn last_seq(&self) -> u64 {
        self.last_seq.get()
    }

    /// The on-disk version it was written with.
    pub fn version(&self) -> u32 {
        self.version.get()
    }

    /// The checksum's kind. C: `JSET_CSUM_TYPE()`.
    pub fn csum_type(&self) -> u8 {
        (self.flags.get().to_le_bytes())[0] & 0xf
    }

    /// Whether a big-endian machine wrote it.
    pub fn is_big_endian(&self) -> bool {
        self.flags.get() & (1 << 4) != 0
    }

    /// Whether it was written without making sure that it, and what it refers to, is on stable
    /// storage: such entries at the journal's end are void.
    pub fn is_no_flush(&self) -> bool {
        self.flags.get() & (1 << 5) != 0
    }

    /// Bytes of header and records; more than any buffer for a nonsense length.
    pub fn total_bytes(&self) -> usize {
        crate::env::num::usize_of_u32(self.u64s.get())
            .saturating_mul(8)
            .saturating_add(JSET_HEADER_BYTES)
    }

    /// The bytes the checksum covers, of the entry at the start of `bytes`.
    pub fn covered<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        bytes.get(CSUM_BYTES..self.total_bytes())
    }

    /// The records of the entry at the start of `bytes`.
    pub fn records<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        bytes.get(JSET_HEADER_BYTES..self.total_bytes())
    }
}

/// The kind of a record. Unknown numbers are skipped by readers.
///
/// C: `enum bch_jset_entry_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryType(pub u8);

macro_rules! entry_types {
    ($($name:ident = $nr:literal, $text:literal;)*) => {
        impl EntryType {
            $(#[doc = concat!("`", $text, "`")] pub const $name: EntryType = EntryType($nr);)*

            /// The name, `None` for a number this version does not know.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($nr => Some($text),)*
                    _ => None,
                }
            }
        }
    };
}

entry_types! {
    BTREE_KEYS = 0, "btree_keys";
    BTREE_ROOT = 1, "btree_root";
    PRIO_PTRS = 2, "prio_ptrs";
    BLACKLIST = 3, "blacklist";
    BLACKLIST_V2 = 4, "blacklist_v2";
    USAGE = 5, "usage";
    DATA_USAGE = 6, "data_usage";
    CLOCK = 7, "clock";
    DEV_USAGE = 8, "dev_usage";
    LOG = 9, "log";
    OVERWRITE = 10, "overwrite";
    WRITE_BUFFER_KEYS = 11, "write_buffer_keys";
    DATETIME = 12, "datetime";
    LOG_BKEY = 13, "log_bkey";
    REWIND_LIMIT = 14, "rewind_limit";
    REWIND = 15, "rewind";
}

/// The header of a record.
///
/// C: `struct jset_entry`.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
    PartialEq,
    Eq,
)]
#[repr(C)]
struct RawEntry {
    u64s: U16,
    btree: u8,
    level: u8,
    kind: u8,
    pad: [u8; 3],
}

/// One record: its header and its contents.
///
/// C: `struct jset_entry`.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The kind of record.
    pub kind: EntryType,
    /// The btree its keys are of; other kinds use this byte in their own way.
    pub btree: BtreeId,
    /// The level its keys are of; for a root, the root's level.
    pub level: u8,
    /// What follows the header, a multiple of 8 bytes.
    pub data: &'a [u8],
}

/// Goes through the records in the bytes of a journal entry or of the clean section. Ends with
/// the first record that overruns them, after reporting it.
#[derive(Clone, Copy, Debug)]
pub struct Entries<'a> {
    rest: &'a [u8],
}

impl<'a> Entries<'a> {
    /// The records in `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, Invalid>;

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = core::mem::take(&mut self.rest);
        if bytes.is_empty() {
            return None;
        }
        let overrun = |len: usize| {
            Invalid::with(
                FsckError::JOURNAL_ENTRY_PAST_JSET_END,
                "record goes beyond its journal entry, bytes",
                crate::env::num::u64_of(len),
                crate::env::num::u64_of(bytes.len()),
            )
        };
        let Ok((raw, body)) = RawEntry::read_from_prefix(bytes) else {
            return Some(Err(overrun(ENTRY_HEADER_BYTES)));
        };
        let len = usize::from(raw.u64s.get()).saturating_mul(8);
        let Some((data, rest)) = body.split_at_checked(len) else {
            return Some(Err(overrun(len.saturating_add(ENTRY_HEADER_BYTES))));
        };
        self.rest = rest;
        Some(Ok(Entry {
            kind: EntryType(raw.kind),
            btree: BtreeId(raw.btree),
            level: raw.level,
            data,
        }))
    }
}

/// Goes through the keys of one record. A key that can not be told from the next ends it, after
/// being reported; one in an unknown format is reported and skipped.
#[derive(Clone, Copy, Debug)]
pub struct Keys<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Keys<'a> {
    type Item = Result<Key<'a>, Invalid>;

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = core::mem::take(&mut self.rest);
        if bytes.is_empty() {
            return None;
        }
        if let Some((key, rest)) = split_unpacked(bytes) {
            self.rest = rest;
            return Some(Ok(key));
        }
        let (u64s, format) = match RawBkey::read_from_prefix(bytes) {
            Ok((raw, _)) => (raw.u64s, raw.format()),
            Err(_) => (BKEY_U64S, super::bkey::FORMAT_UNPACKED),
        };
        if u64s < BKEY_U64S {
            return Some(Err(Invalid::with(
                FsckError::JOURNAL_ENTRY_BKEY_U64S_0,
                "key shorter than its header, words",
                u64::from(u64s),
                u64::from(BKEY_U64S),
            )));
        }
        let len = usize::from(u64s).saturating_mul(8);
        match bytes.get(len..) {
            Some(rest) => {
                self.rest = rest;
                Some(Err(Invalid::with(
                    FsckError::JOURNAL_ENTRY_BKEY_BAD_FORMAT,
                    "key format",
                    u64::from(format),
                    u64::from(super::bkey::FORMAT_UNPACKED),
                )))
            }
            None => Some(Err(Invalid::with(
                FsckError::JOURNAL_ENTRY_BKEY_PAST_END,
                "key goes beyond its record, bytes",
                crate::env::num::u64_of(len),
                crate::env::num::u64_of(bytes.len()),
            ))),
        }
    }
}

impl<'a> Entry<'a> {
    /// Whether the record holds keys that recovery has to put into a btree.
    /// C: `jset_entry_is_key()`, without roots.
    pub fn is_update(&self) -> bool {
        matches!(
            self.kind,
            EntryType::BTREE_KEYS | EntryType::WRITE_BUFFER_KEYS
        )
    }

    /// The record's keys; empty for kinds that hold none.
    pub fn keys(&self) -> Keys<'a> {
        match self.kind {
            EntryType::BTREE_KEYS
            | EntryType::BTREE_ROOT
            | EntryType::OVERWRITE
            | EntryType::WRITE_BUFFER_KEYS
            | EntryType::LOG_BKEY => Keys { rest: self.data },
            _ => Keys { rest: &[] },
        }
    }

    /// The record's keys from the one that starts `skip` bytes into the contents.
    pub fn keys_from(&self, skip: usize) -> Keys<'a> {
        Keys {
            rest: self.keys().rest.get(skip..).unwrap_or_default(),
        }
    }

    /// The `n`-th word of the contents, 0 when there are not as many.
    pub fn word(&self, n: usize) -> u64 {
        let at = n.saturating_mul(8);
        self.data
            .get(at..at.saturating_add(8))
            .and_then(|b| b.try_into().ok())
            .map_or(0, u64::from_le_bytes)
    }

    /// The number of words of 8 bytes in the contents.
    pub fn u64s(&self) -> u64 {
        crate::env::num::u64_of(self.data.len() >> 3)
    }

    /// The range of sequence numbers that a blacklist record voids: first and last.
    pub fn blacklist(&self) -> Option<(u64, u64)> {
        match self.kind {
            EntryType::BLACKLIST => Some((self.word(0), self.word(0))),
            EntryType::BLACKLIST_V2 => Some((self.word(0), self.word(1))),
            _ => None,
        }
    }

    /// Whether the record is shaped as its kind asks. Its keys are not looked into.
    /// C: the `journal_entry_*_validate()` functions.
    pub fn validate(&self) -> Result<(), Invalid> {
        let size_is = |id, want: u64| match self.u64s() {
            n if n == want => Ok(()),
            n => Err(Invalid::with(id, "words in the record", n, want)),
        };
        let size_at_least = |id, want: u64| match self.u64s() {
            n if n >= want => Ok(()),
            n => Err(Invalid::with(id, "words in the record", n, want)),
        };
        match self.kind {
            EntryType::BTREE_KEYS | EntryType::BTREE_ROOT | EntryType::WRITE_BUFFER_KEYS => {
                if self.btree.0 >= BTREE_ID_NR_MAX {
                    return Err(Invalid::with(
                        FsckError::INVALID_BTREE_ID,
                        "btree number",
                        u64::from(self.btree.0),
                        u64::from(BTREE_ID_NR_MAX),
                    ));
                }
                match self.kind {
                    EntryType::BTREE_ROOT => self.validate_root(),
                    _ => Ok(()),
                }
            }
            EntryType::BLACKLIST => size_is(FsckError::JOURNAL_ENTRY_BLACKLIST_BAD_SIZE, 1),
            EntryType::BLACKLIST_V2 => {
                size_is(FsckError::JOURNAL_ENTRY_BLACKLIST_V2_BAD_SIZE, 2)?;
                match (self.word(0), self.word(1)) {
                    (start, end) if start > end => Err(Invalid::with(
                        FsckError::JOURNAL_ENTRY_BLACKLIST_V2_START_PAST_END,
                        "blacklist start beyond its end",
                        start,
                        end,
                    )),
                    _ => Ok(()),
                }
            }
            EntryType::USAGE => size_at_least(FsckError::JOURNAL_ENTRY_USAGE_BAD_SIZE, 1),
            EntryType::DATA_USAGE => size_at_least(FsckError::JOURNAL_ENTRY_DATA_USAGE_BAD_SIZE, 2),
            EntryType::CLOCK => {
                size_is(FsckError::JOURNAL_ENTRY_CLOCK_BAD_SIZE, 2)?;
                self.validate_clock()
            }
            EntryType::DEV_USAGE => {
                size_at_least(FsckError::JOURNAL_ENTRY_DEV_USAGE_BAD_SIZE, 3)?;
                match self.word(0) >> 32 {
                    0 => Ok(()),
                    pad => Err(Invalid::with(
                        FsckError::JOURNAL_ENTRY_DEV_USAGE_BAD_PAD,
                        "padding is not zero",
                        pad,
                        0,
                    )),
                }
            }
            EntryType::DATETIME => size_at_least(FsckError::JOURNAL_ENTRY_DEV_USAGE_BAD_SIZE, 1),
            EntryType::REWIND_LIMIT => {
                size_at_least(FsckError::JOURNAL_ENTRY_REWIND_LIMIT_BAD_SIZE, 1)
            }
            EntryType::REWIND => size_at_least(FsckError::JOURNAL_ENTRY_REWIND_BAD_SIZE, 2),
            _ => Ok(()),
        }
    }

    fn validate_clock(&self) -> Result<(), Invalid> {
        match self.data.first() {
            Some(0 | 1) => Ok(()),
            rw => Err(Invalid::with(
                FsckError::JOURNAL_ENTRY_CLOCK_BAD_RW,
                "clock is neither for reads nor for writes",
                rw.map_or(0, |rw| u64::from(*rw)),
                1,
            )),
        }
    }

    fn validate_root(&self) -> Result<(), Invalid> {
        let bad = |found, limit| {
            Err(Invalid::with(
                FsckError::JOURNAL_ENTRY_BTREE_ROOT_BAD_SIZE,
                "root record does not hold exactly one key, words",
                found,
                limit,
            ))
        };
        match RawBkey::read_from_prefix(self.data) {
            Ok((k, _)) if u64::from(k.u64s) == self.u64s() => Ok(()),
            Ok((k, _)) => bad(self.u64s(), u64::from(k.u64s)),
            Err(_) => bad(self.u64s(), u64::from(BKEY_U64S)),
        }
    }
}

#[cfg(test)]
mod tests;
