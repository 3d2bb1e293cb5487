// SPDX-License-Identifier: GPL-2.0

//! Kinds of checksums.

use crate::env::hash::{
    crc32c,
    crc64,
    Xxh64, //
};
use core::fmt;

/// The kind of a checksum, as stored next to it. Unknown numbers are kept.
///
/// C: `enum bch_csum_type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CsumType(pub u8);

/// The value of a checksum.
///
/// C: `struct bch_csum`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Csum {
    /// Low 64 bits.
    pub lo: u64,
    /// High 64 bits; only message authentication codes have them.
    pub hi: u64,
}

impl Csum {
    /// A message authentication code, cut to what `kind` keeps of it.
    pub fn of_mac(mac: [u8; 16], kind: CsumType) -> Self {
        let mut halves = [[0; 8]; 2];
        let kept = mac.iter().take(kind.stored_bytes().into());
        for (to, from) in halves.as_flattened_mut().iter_mut().zip(kept) {
            *to = *from;
        }
        let [lo, hi] = halves.map(u64::from_le_bytes);
        Self { lo, hi }
    }

    /// Whether both are the same, in a time that does not tell where they differ.
    ///
    /// C: `bch2_crc_cmp()`.
    pub fn matches(self, other: Self) -> bool {
        core::hint::black_box((self.lo ^ other.lo) | (self.hi ^ other.hi)) == 0
    }
}

impl fmt::Display for Csum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.hi {
            0 => write!(f, "{:x}", self.lo),
            hi => write!(f, "{hi:x}:{:x}", self.lo),
        }
    }
}

/// Name and stored bytes of each kind, by number.
const KINDS: &[(&str, u8)] = &[
    ("none", 0),
    ("crc32c_nonzero", 4),
    ("crc64_nonzero", 8),
    ("chacha20_poly1305_80", 10),
    ("chacha20_poly1305_128", 16),
    ("crc32c", 4),
    ("crc64", 8),
    ("xxhash", 8),
];

impl CsumType {
    /// No checksum.
    pub const NONE: Self = Self(0);
    /// crc32c whose value for no bytes is not zero; used for metadata.
    pub const CRC32C_NONZERO: Self = Self(1);
    /// crc64 whose value for no bytes is not zero; used for metadata.
    pub const CRC64_NONZERO: Self = Self(2);
    /// Authenticated encryption, 80 bits of the authentication code kept.
    pub const CHACHA20_POLY1305_80: Self = Self(3);
    /// Authenticated encryption, the whole authentication code kept.
    pub const CHACHA20_POLY1305_128: Self = Self(4);
    /// crc32c.
    pub const CRC32C: Self = Self(5);
    /// crc64.
    pub const CRC64: Self = Self(6);
    /// 64-bit xxHash.
    pub const XXHASH: Self = Self(7);

    fn info(self) -> Option<&'static (&'static str, u8)> {
        KINDS.get(usize::from(self.0))
    }

    /// The name; `None` when this version does not know the number.
    pub fn name(self) -> Option<&'static str> {
        self.info().map(|i| i.0)
    }

    /// Bytes of the value that are stored; 0 for an unknown kind. C: `bch_crc_bytes`.
    pub fn stored_bytes(self) -> u8 {
        self.info().map_or(0, |i| i.1)
    }

    /// Whether the data is encrypted as well; such checksums need the filesystem's key.
    pub const fn is_encryption(self) -> bool {
        matches!(
            self,
            Self::CHACHA20_POLY1305_80 | Self::CHACHA20_POLY1305_128
        )
    }

    /// The checksum of `data`; `None` when that needs a key, or the kind is unknown.
    ///
    /// C: `bch2_checksum()`.
    pub fn checksum(self, data: &[u8]) -> Option<u64> {
        match self {
            Self::NONE => Some(0),
            Self::CRC32C => Some(crc32c(0, data).into()),
            Self::CRC32C_NONZERO => Some((!crc32c(!0, data)).into()),
            Self::CRC64 => Some(crc64(0, data)),
            Self::CRC64_NONZERO => Some(!crc64(!0, data)),
            Self::XXHASH => {
                let mut h = Xxh64::new(0);
                h.update(data);
                Some(h.digest())
            }
            _ => None,
        }
    }
}

impl fmt::Display for CsumType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "(unknown csum_type {})", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_nothing() {
        assert_eq!(CsumType::NONE.checksum(b"x"), Some(0));
        assert_eq!(CsumType::CRC32C.checksum(b""), Some(0));
        assert_eq!(CsumType::CRC32C_NONZERO.checksum(b""), Some(0));
        assert_eq!(
            CsumType::CRC32C_NONZERO.checksum(b"123456789"),
            Some(0xe306_9283)
        );
        assert_eq!(
            CsumType::CRC64.checksum(b"123456789"),
            Some(0x6c40_df5f_0b49_7347)
        );
        assert_ne!(
            CsumType::CRC64_NONZERO.checksum(&[0; 8]),
            CsumType::CRC64.checksum(&[0; 8])
        );
    }

    #[test]
    fn codes_are_cut() {
        let mac = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
        let long = Csum::of_mac(mac, CsumType::CHACHA20_POLY1305_128);
        let short = Csum::of_mac(mac, CsumType::CHACHA20_POLY1305_80);
        assert_eq!(long.lo, 0x0807_0605_0403_0201);
        assert_eq!(long.hi, 0x100f_0e0d_0c0b_0a09);
        assert_eq!((short.lo, short.hi), (long.lo, 0x0a09));
        assert!(short.matches(short) && !short.matches(long));
        assert_eq!(long.to_string(), "100f0e0d0c0b0a09:807060504030201");
    }

    #[test]
    fn keyed_and_unknown_kinds_give_none() {
        assert!(CsumType::CHACHA20_POLY1305_80.is_encryption());
        assert_eq!(CsumType::CHACHA20_POLY1305_128.checksum(b""), None);
        assert_eq!(CsumType(8).checksum(b""), None);
        assert_eq!(CsumType(8).name(), None);
    }
}
