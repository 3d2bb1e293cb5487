// SPDX-License-Identifier: GPL-2.0

//! Checksums of data that comes in pieces, and of data put together from parts.

use crate::{
    env::hash::{
        crc32c,
        crc64,
        Xxh64, //
    },
    format::{
        csum::CsumType,
        node::RawCsum, //
    },
};

/// Zeros that stand for the second part when checksums are merged.
static ZEROS: [u8; 512] = [0; 512];

enum State {
    None,
    /// The value so far, and what to flip at the end.
    Crc32c(u32, u32),
    Crc64(u64, u64),
    Xxh64(Xxh64),
}

/// A checksum of bytes that are given one piece after the other. Only the kinds that need no key.
///
/// C: `struct bch2_checksum_state`.
pub struct Running(State);

impl Running {
    /// Starts a checksum. `None` when the kind needs a key, or is unknown.
    ///
    /// C: `bch2_checksum_init()`.
    pub fn start(kind: CsumType) -> Option<Self> {
        Some(Self(match kind {
            CsumType::NONE => State::None,
            CsumType::CRC32C => State::Crc32c(0, 0),
            CsumType::CRC32C_NONZERO => State::Crc32c(u32::MAX, u32::MAX),
            CsumType::CRC64 => State::Crc64(0, 0),
            CsumType::CRC64_NONZERO => State::Crc64(u64::MAX, u64::MAX),
            CsumType::XXHASH => State::Xxh64(Xxh64::new(0)),
            _ => return None,
        }))
    }

    /// Adds bytes.
    pub fn update(&mut self, data: &[u8]) {
        match &mut self.0 {
            State::None => (),
            State::Crc32c(value, _) => *value = crc32c(*value, data),
            State::Crc64(value, _) => *value = crc64(*value, data),
            State::Xxh64(hash) => hash.update(data),
        }
    }

    /// The checksum of all bytes added.
    ///
    /// C: `bch2_checksum_final()`.
    pub fn finish(&self) -> u64 {
        match &self.0 {
            State::None => 0,
            State::Crc32c(value, flip) => u64::from(value ^ flip),
            State::Crc64(value, flip) => value ^ flip,
            State::Xxh64(hash) => hash.digest(),
        }
    }
}

/// The checksum of all `pieces` together; `None` when it needs a key, or the kind is unknown.
///
/// C: `bch2_checksum_bio()`.
pub fn of_pieces<'a>(kind: CsumType, pieces: impl Iterator<Item = &'a [u8]>) -> Option<u64> {
    let mut running = Running::start(kind)?;
    pieces.for_each(|p| running.update(p));
    Some(running.finish())
}

/// Whether `stored`, of the kind numbered `kind`, is the checksum of `data`. A kind that needs a
/// key or is unknown never matches.
pub fn matches(kind: u8, data: &[u8], stored: RawCsum) -> bool {
    CsumType(kind)
        .checksum(data)
        .is_some_and(|c| (c, 0) == (stored.lo.get(), stored.hi.get()))
}

/// The checksum of two parts that follow each other, from the checksums of both; `None` for kinds
/// that can not do that. Takes the time to checksum `second_len` bytes.
///
/// C: `bch2_checksum_merge()`.
pub fn merge(kind: CsumType, first: u64, second: u64, second_len: usize) -> Option<u64> {
    // With a seed of 0 and no inversion at the end, a crc is linear: the crc of both parts is that
    // of the first followed by zeros, combined with that of the second.
    let mut state = match kind {
        CsumType::NONE => return Some(0),
        CsumType::CRC32C => State::Crc32c(crate::env::num::low_u32(first), 0),
        CsumType::CRC64 => State::Crc64(first, 0),
        _ => return None,
    };
    let mut left = second_len;
    while left > 0 {
        let piece = ZEROS.get(..left).unwrap_or(&ZEROS);
        match &mut state {
            State::Crc32c(value, _) => *value = crc32c(*value, piece),
            State::Crc64(value, _) => *value = crc64(*value, piece),
            _ => (),
        }
        left = left.saturating_sub(piece.len());
    }
    Some(Running(state).finish() ^ second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_as_good_as_one() {
        let data: std::vec::Vec<u8> = (0..200).collect();
        for nr in 0..8 {
            let kind = CsumType(nr);
            for at in [0, 1, 50, 200] {
                let (a, b) = data.split_at(at);
                let pieces = of_pieces(kind, [a, b].into_iter());
                assert_eq!(pieces, kind.checksum(&data), "{kind}");
            }
        }
        assert!(Running::start(CsumType::CHACHA20_POLY1305_80).is_none());
        assert!(Running::start(CsumType(9)).is_none());
    }

    #[test]
    fn merged_is_the_checksum_of_both() {
        let data: std::vec::Vec<u8> = (0..3000u32).map(|i| (i * 7) as u8).collect();
        for kind in [CsumType::NONE, CsumType::CRC32C, CsumType::CRC64] {
            for at in [0, 1, 511, 512, 2999, 3000] {
                let (a, b) = data.split_at(at);
                let (a, b_sum) = (kind.checksum(a).unwrap(), kind.checksum(b).unwrap());
                assert_eq!(merge(kind, a, b_sum, b.len()), kind.checksum(&data));
            }
        }
        assert_eq!(merge(CsumType::XXHASH, 1, 2, 3), None);
        assert_eq!(merge(CsumType::CRC32C_NONZERO, 1, 2, 3), None);
    }

    #[test]
    fn stored_checksums() {
        let mut stored = RawCsum::default();
        assert!(matches(0, b"anything", stored));
        stored.lo = 0xe306_9283u64.into();
        assert!(matches(1, b"123456789", stored));
        assert!(!matches(1, b"12345678", stored));
        stored.hi = 1u64.into();
        assert!(!matches(1, b"123456789", stored));
        assert!(!matches(15, b"", RawCsum::default()));
    }
}
