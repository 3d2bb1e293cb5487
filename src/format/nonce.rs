// SPDX-License-Identifier: GPL-2.0

//! Nonces: what makes the key stream of each encrypted object different from all others.
//!
//! ```text
//! word  0               1            2             3
//! node  byte in node    seq low      seq high      journal seq, low ^ 2 << 28
//! jset  0               seq low      seq high      3 << 28
//! data  size << 22      version low  version mid   version high | compression << 24 ^ 1 << 28
//! key   0               0            magic low     magic high
//! ```
//!
//! Word 0 is also the block counter of the stream: skipping 64 bytes adds 1. A message
//! authentication code has a key of its own, the start of the stream with the top bit of word 3
//! flipped.

use super::{
    bkey::Version,
    node::RawBset,
    values::crc::Crc, //
};
use crate::env::{
    crypt::{
        BLOCK_BYTES,
        NONCE_BYTES, //
    },
    num::low_u32,
};

/// log2 of the bytes in a block of the stream.
const BLOCK_SHIFT: u32 = 6;
const _: () = assert!(BLOCK_BYTES == 1 << BLOCK_SHIFT);

/// C: `BCH_NONCE_EXTENT`.
const EXTENT: u32 = 1 << 28;
/// C: `BCH_NONCE_BTREE`.
const BTREE: u32 = 2 << 28;
/// C: `BCH_NONCE_JOURNAL`.
const JOURNAL: u32 = 3 << 28;
/// C: `BCH_NONCE_POLY`.
const MAC: u32 = 1 << 31;

/// A nonce and the place in its key stream, in words of the cipher.
///
/// C: `struct nonce`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nonce([u32; 4]);

impl Nonce {
    /// For a set of keys with header `set`, that starts `offset` bytes into its node.
    ///
    /// C: `btree_nonce()`.
    pub fn node(set: &RawBset, offset: u32) -> Self {
        Self([
            offset,
            low_u32(set.seq()),
            high(set.seq()),
            low_u32(set.journal_seq()) ^ BTREE,
        ])
    }

    /// For journal entry `seq`.
    ///
    /// C: `journal_nonce()`.
    pub fn journal(seq: u64) -> Self {
        Self([0, low_u32(seq), high(seq), JOURNAL])
    }

    /// For data described by `crc`, of a key with this version.
    ///
    /// C: `extent_nonce()`.
    pub fn extent(version: Version, crc: &Crc) -> Self {
        let (kind, size) = match crc.is_compressed() {
            true => (u32::from(crc.compression.0), crc.uncompressed_size),
            false => (0, 0),
        };
        Self([
            size << 22,
            low_u32(version.lo),
            high(version.lo),
            (version.hi | kind << 24) ^ EXTENT,
        ])
        .skip(u64::from(crc.nonce) << 9)
    }

    /// For the filesystem's key, which the user's key encrypts; `magic` is the filesystem's part of
    /// magic numbers.
    ///
    /// C: `bch2_sb_key_nonce()`.
    pub fn sealed_key(magic: u64) -> Self {
        Self([0, 0, low_u32(magic), high(magic)])
    }

    /// Goes `bytes` further in the stream: whole blocks of 64 bytes, what is less is left out.
    ///
    /// C: `nonce_add()`.
    #[must_use]
    pub fn skip(self, bytes: u64) -> Self {
        let [at, b, c, d] = self.0;
        let blocks = low_u32(bytes >> BLOCK_SHIFT);
        Self([at.wrapping_add(blocks), b, c, d])
    }

    /// For the key of the message authentication code.
    ///
    /// C: `bch2_poly1305_init()`.
    #[must_use]
    pub fn for_mac(self) -> Self {
        let [a, b, c, d] = self.0;
        Self([a, b, c, d ^ MAC])
    }

    /// As the cipher takes it.
    pub fn to_bytes(self) -> [u8; NONCE_BYTES] {
        let mut out = [0; NONCE_BYTES];
        for (to, from) in out.chunks_exact_mut(4).zip(self.0) {
            to.copy_from_slice(&from.to_le_bytes());
        }
        out
    }
}

fn high(v: u64) -> u32 {
    low_u32(v >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::values::kinds::{
        CompressionType,
        CsumType, //
    };
    use zerocopy::FromBytes as _;

    #[test]
    fn of_a_node() {
        let mut raw = [0; 24];
        raw[..8].copy_from_slice(&0x1122_3344_5566_7788u64.to_le_bytes());
        raw[8..16].copy_from_slice(&0x9_0000_0007u64.to_le_bytes());
        let set = RawBset::read_from_bytes(&raw).unwrap();
        let nonce = Nonce::node(&set, 4096);
        assert_eq!(nonce.0, [4096, 0x5566_7788, 0x1122_3344, 0x2000_0007]);
        assert_eq!(
            nonce.to_bytes(),
            [0, 0x10, 0, 0, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 7, 0, 0, 0x20]
        );
        // The keys follow 112 bytes of header, which take two blocks of the stream.
        assert_eq!(nonce.skip(128).0[0], 4098);
        assert_eq!(nonce.for_mac().0[3], 0xa000_0007);
        assert_eq!(nonce.for_mac().for_mac(), nonce);
    }

    #[test]
    fn of_a_journal_entry() {
        let nonce = Nonce::journal(0x1_0000_0002);
        assert_eq!(nonce.0, [0, 2, 1, 0x3000_0000]);
    }

    #[test]
    fn of_data() {
        let version = Version {
            hi: 0x55,
            lo: 0x1_0000_0002,
        };
        let crc = Crc {
            csum_type: CsumType::CHACHA20_POLY1305_80,
            uncompressed_size: 128,
            compressed_size: 128,
            nonce: 3,
            offset: 9,
            ..Crc::none(8)
        };
        // Eight blocks to a sector; the offset is not part of it.
        assert_eq!(
            Nonce::extent(version, &crc).0,
            [24, 2, 1, 0x1000_0000 ^ 0x55]
        );
        let incompressible = Crc {
            compression: CompressionType::INCOMPRESSIBLE,
            ..crc
        };
        assert_eq!(
            Nonce::extent(version, &incompressible),
            Nonce::extent(version, &crc)
        );
        let compressed = Crc {
            compression: CompressionType::ZSTD,
            compressed_size: 40,
            ..crc
        };
        assert_eq!(
            Nonce::extent(version, &compressed).0,
            [(128 << 22) + 24, 2, 1, 0x1400_0055]
        );
        // The top bits of a large size do not fit.
        let large = Crc {
            uncompressed_size: 1025,
            nonce: 0,
            ..compressed
        };
        assert_eq!(Nonce::extent(version, &large).0[0], 1 << 22);
    }

    #[test]
    fn of_the_key() {
        let magic = 0x8877_6655_4433_2211;
        assert_eq!(Nonce::sealed_key(magic).0, [0, 0, 0x4433_2211, 0x8877_6655]);
    }
}
