// SPDX-License-Identifier: GPL-2.0

//! Putting journal entries, and the records of the clean section, together.

use super::{
    EntryType,
    RawJset,
    ENTRY_HEADER_BYTES,
    JSET_HEADER_BYTES, //
};
use crate::{
    env::{
        num::{
            low_u16,
            low_u8,
            sat_u32,
            u64_of, //
        },
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        btree_id::BtreeId,
        csum::{
            Csum,
            CsumType, //
        },
        node::CSUM_BYTES,
    },
};
use zerocopy::IntoBytes as _;

/// The most words a record can have besides its header.
const RECORD_U64S_MAX: usize = 0xffff;
/// The kind of usage record that has the version of the newest key, in the place of a btree.
/// C: `BCH_FS_USAGE_key_version`.
pub const USAGE_KEY_VERSION: BtreeId = BtreeId(2);

/// The header of a record, as the word it is in a journal buffer.
///
/// C: `journal_entry_init()`.
pub const fn record_header(kind: EntryType, btree: BtreeId, level: u8, u64s: u16) -> u64 {
    let [lo, hi] = u64s.to_le_bytes();
    u64::from_le_bytes([lo, hi, btree.0, level, kind.0, 0, 0, 0])
}

/// What a record's header says, taken from its word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// The kind of record.
    pub kind: EntryType,
    /// The btree its keys are of.
    pub btree: BtreeId,
    /// The level its keys are of.
    pub level: u8,
    /// Words that follow.
    pub u64s: u16,
}

impl RecordHeader {
    /// Takes a word apart.
    pub const fn of_word(word: u64) -> Self {
        Self {
            kind: EntryType(low_u8(word >> 32)),
            btree: BtreeId(low_u8(word >> 16)),
            level: low_u8(word >> 24),
            u64s: low_u16(word),
        }
    }

    /// The word.
    pub const fn word(self) -> u64 {
        record_header(self.kind, self.btree, self.level, self.u64s)
    }
}

/// Records one after the other, with or without the header of a journal entry in front.
#[derive(Debug)]
pub struct JsetWriter<'a> {
    buf: &'a mut Vec<u8>,
    /// The most bytes.
    max: usize,
}

impl<'a> JsetWriter<'a> {
    /// A journal entry of at most `max` bytes. What `buf` had is lost; it needs no more memory if
    /// it has room for that much.
    pub fn entry(buf: &'a mut Vec<u8>, max: usize) -> Result<Self> {
        buf.clear();
        buf.resize(JSET_HEADER_BYTES, 0)?;
        Ok(Self { buf, max })
    }

    /// Records at the end of `buf`.
    pub fn records(buf: &'a mut Vec<u8>) -> Self {
        Self {
            buf,
            max: usize::MAX,
        }
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.buf.len()
    }

    /// Whether there is nothing yet.
    pub fn is_empty(&self) -> bool {
        self.buf.is_empty()
    }

    /// Adds a record with these words.
    pub fn record(
        &mut self,
        kind: EntryType,
        btree: BtreeId,
        level: u8,
        words: impl ExactSizeIterator<Item = u64>,
    ) -> Result {
        let nr = words.len();
        let bytes = nr.saturating_mul(8).saturating_add(ENTRY_HEADER_BYTES);
        if nr > RECORD_U64S_MAX || self.buf.len().saturating_add(bytes) > self.max {
            return Err(Error::Overflow);
        }
        let header = record_header(kind, btree, level, low_u16(u64_of(nr)));
        self.buf.reserve(bytes)?;
        self.buf.extend_from_slice(&header.to_le_bytes())?;
        for word in words {
            self.buf.extend_from_slice(&word.to_le_bytes())?;
        }
        Ok(())
    }

    /// Adds when the entry was written, in seconds since 1970.
    pub fn datetime(&mut self, seconds: u64) -> Result {
        let words = [seconds];
        self.record(EntryType::DATETIME, BtreeId(0), 0, words.into_iter())
    }

    /// Adds what journal entries and clean sections have in common besides the roots: the version
    /// of the newest key, and the clocks for reads and writes, in sectors.
    ///
    /// C: `bch2_journal_super_entries_add_common()`.
    pub fn common(&mut self, key_version: u64, clocks: [u64; 2]) -> Result {
        let words = [key_version];
        self.record(EntryType::USAGE, USAGE_KEY_VERSION, 0, words.into_iter())?;
        for (rw, time) in (0u64..).zip(clocks) {
            let words = [rw, time];
            self.record(EntryType::CLOCK, BtreeId(0), 0, words.into_iter())?;
        }
        Ok(())
    }

    /// Writes the header of the journal entry, with all but the checksum. Returns the bytes of the
    /// entry.
    pub fn finish(self, header: Header) -> usize {
        let body = self.buf.len().saturating_sub(JSET_HEADER_BYTES);
        let no_flush = u32::from(header.last_seq.is_none()) << 5;
        let raw = RawJset {
            magic: header.magic.into(),
            seq: header.seq.into(),
            version: header.version.into(),
            flags: (u32::from(header.csum_type.0 & 0xf) | no_flush).into(),
            u64s: sat_u32(body >> 3).into(),
            last_seq: header.last_seq.unwrap_or(0).into(),
            ..RawJset::default()
        };
        for (to, from) in self.buf.iter_mut().zip(raw.as_bytes()) {
            *to = *from;
        }
        self.buf.len()
    }
}

/// What the header of a journal entry is to say.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// The magic number of the filesystem's entries.
    pub magic: u64,
    /// The entry's sequence number.
    pub seq: u64,
    /// The oldest entry that is needed; `None` for an entry that is written without a flush.
    pub last_seq: Option<u64>,
    /// The version of the format.
    pub version: u32,
    /// The kind of checksum.
    pub csum_type: CsumType,
}

/// Puts the checksum into the journal entry in `bytes`.
pub fn set_csum(bytes: &mut [u8], sum: Csum) {
    let sum = [sum.lo, sum.hi].map(u64::to_le_bytes);
    let field = bytes.get_mut(..CSUM_BYTES).unwrap_or_default();
    for (to, from) in field.iter_mut().zip(sum.as_flattened()) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::Entries, //
        *,
    };

    #[test]
    fn headers_are_words() {
        let header = RecordHeader {
            kind: EntryType::BTREE_ROOT,
            btree: BtreeId(7),
            level: 2,
            u64s: 0x1234,
        };
        assert_eq!(RecordHeader::of_word(header.word()), header);
        let bytes = header.word().to_le_bytes();
        assert_eq!(bytes, [0x34, 0x12, 7, 2, 1, 0, 0, 0]);
    }

    #[test]
    fn what_is_put_together_can_be_read() {
        let mut buf = Vec::new();
        let mut w = JsetWriter::entry(&mut buf, 4096).unwrap();
        w.record(EntryType::BTREE_KEYS, BtreeId(3), 1, [1u64, 2].into_iter())
            .unwrap();
        w.datetime(77).unwrap();
        w.common(5, [10, 11]).unwrap();
        let len = w.finish(Header {
            magic: 1,
            seq: 9,
            last_seq: Some(8),
            version: 1037,
            csum_type: CsumType::CRC32C_NONZERO,
        });
        set_csum(&mut buf, Csum { lo: 3, hi: 4 });
        let head = RawJset::read(&buf).unwrap();
        assert_eq!((head.total_bytes(), buf.len()), (len, len));
        assert_eq!((head.seq(), head.last_seq(), head.magic()), (9, 8, 1));
        assert_eq!((head.version(), head.csum_type()), (1037, 1));
        assert!(!head.is_no_flush() && !head.is_big_endian());
        assert_eq!(Csum::from(head.csum()), Csum { lo: 3, hi: 4 });
        let all: std::vec::Vec<_> = Entries::new(head.records(&buf).unwrap())
            .map(Result::unwrap)
            .collect();
        assert!(all.iter().all(|e| e.validate().is_ok()));
        let seen: std::vec::Vec<_> = all.iter().map(|e| (e.kind.0, e.word(0))).collect();
        assert_eq!(seen, [(0, 1), (12, 77), (5, 5), (7, 0), (7, 1)]);
        assert_eq!((all[0].btree, all[0].level), (BtreeId(3), 1));
        assert_eq!((all[3].word(1), all[4].word(1)), (10, 11));
    }

    #[test]
    fn entries_without_a_flush_say_so() {
        let mut buf = Vec::new();
        let w = JsetWriter::entry(&mut buf, 56).unwrap();
        w.finish(Header {
            magic: 1,
            seq: 9,
            last_seq: None,
            version: 1,
            csum_type: CsumType::NONE,
        });
        let head = RawJset::read(&buf).unwrap();
        assert!(head.is_no_flush());
        assert_eq!(head.last_seq(), 0);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut buf = Vec::new();
        let mut w = JsetWriter::entry(&mut buf, 56 + 16).unwrap();
        assert_eq!(w.datetime(1), Ok(()));
        assert_eq!(w.datetime(2), Err(Error::Overflow));
        assert_eq!(w.len(), 72);
    }
}
