// SPDX-License-Identifier: GPL-2.0

//! How the data behind a pointer is checksummed and compressed.

use super::{
    kinds::{
        CompressionType,
        CsumType, //
    },
    raw::{
        bits,
        place, //
    },
};
use crate::env::num::{
    low_u16,
    low_u32,
    low_u8, //
};
use core::fmt;

/// Checksum and compression of one or more pointers, unpacked. All sizes are in sectors.
///
/// What the pointers point to has `compressed_size` sectors on disk, which decompress to
/// `uncompressed_size`; of these the key covers `live_size`, starting at `offset`. Without
/// checksum and compression the data is read in part: then a pointer's own offset is where the
/// live part starts.
///
/// C: `struct bch_extent_crc_unpacked`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Crc {
    /// Sectors on disk.
    pub compressed_size: u32,
    /// Sectors after decompression.
    pub uncompressed_size: u32,
    /// Sectors that belong to the key: its size.
    pub live_size: u32,
    /// How the data is checksummed or encrypted.
    pub csum_type: CsumType,
    /// How the data is compressed.
    pub compression: CompressionType,
    /// Where the live part starts in the uncompressed data, in sectors.
    pub offset: u16,
    /// Part of the nonce when the data is encrypted.
    pub nonce: u16,
    /// The checksum's low 64 bits.
    pub csum_lo: u64,
    /// The checksum's high 64 bits.
    pub csum_hi: u64,
}

/// The three encodings of a [`Crc`], by how much they can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CrcKind {
    /// 8 bytes. C: `struct bch_extent_crc32`.
    Crc32,
    /// 16 bytes. C: `struct bch_extent_crc64`.
    Crc64,
    /// 24 bytes. C: `struct bch_extent_crc128`.
    Crc128,
}

impl CrcKind {
    /// Words of 8 bytes in this encoding.
    pub const fn u64s(self) -> u8 {
        match self {
            CrcKind::Crc32 => 1,
            CrcKind::Crc64 => 2,
            CrcKind::Crc128 => 3,
        }
    }

    /// The largest size in sectors. C: `CRC32_SIZE_MAX` and its siblings.
    pub const fn size_max(self) -> u32 {
        match self {
            CrcKind::Crc32 => 1 << 7,
            CrcKind::Crc64 => 1 << 9,
            CrcKind::Crc128 => 1 << 13,
        }
    }

    /// The largest nonce. C: `CRC32_NONCE_MAX` and its siblings.
    pub const fn nonce_max(self) -> u16 {
        match self {
            CrcKind::Crc32 => 0,
            CrcKind::Crc64 => (1 << 10) - 1,
            CrcKind::Crc128 => (1 << 13) - 1,
        }
    }

    /// The most bytes of checksum.
    pub const fn csum_bytes_max(self) -> u8 {
        match self {
            CrcKind::Crc32 => 4,
            CrcKind::Crc64 => 10,
            CrcKind::Crc128 => 16,
        }
    }

    /// Where the fields are in the first word.
    const fn layout(self) -> Layout {
        match self {
            CrcKind::Crc32 => Layout {
                compressed: (2, 9),
                uncompressed: (9, 16),
                offset: (16, 23),
                nonce: (0, 0),
                csum_type: (24, 28),
                compression: (28, 32),
                csum: (32, 64),
            },
            CrcKind::Crc64 => Layout {
                compressed: (3, 12),
                uncompressed: (12, 21),
                offset: (21, 30),
                nonce: (30, 40),
                csum_type: (40, 44),
                compression: (44, 48),
                csum: (48, 64),
            },
            CrcKind::Crc128 => Layout {
                compressed: (4, 17),
                uncompressed: (17, 30),
                offset: (30, 43),
                nonce: (43, 56),
                csum_type: (56, 60),
                compression: (60, 64),
                csum: (0, 0),
            },
        }
    }
}

/// First bit and end of each field of an entry's first word; an empty range where the encoding
/// has no such field.
#[derive(Clone, Copy)]
struct Layout {
    compressed: (u32, u32),
    uncompressed: (u32, u32),
    offset: (u32, u32),
    nonce: (u32, u32),
    csum_type: (u32, u32),
    compression: (u32, u32),
    csum: (u32, u32),
}

const fn get(w: u64, (from, to): (u32, u32)) -> u64 {
    bits(w, from, to)
}

const fn put(v: u64, (from, to): (u32, u32)) -> u64 {
    place(v, from, to)
}

impl Crc {
    /// What holds for a pointer with no checksum entry before it, in a key of `live_size` sectors.
    pub const fn none(live_size: u32) -> Self {
        Self {
            compressed_size: live_size,
            uncompressed_size: live_size,
            live_size,
            csum_type: CsumType::NONE,
            compression: CompressionType::NONE,
            offset: 0,
            nonce: 0,
            csum_lo: 0,
            csum_hi: 0,
        }
    }

    /// Whether the data has to be decompressed. C: `crc_is_compressed()`.
    pub const fn is_compressed(&self) -> bool {
        !matches!(
            self.compression,
            CompressionType::NONE | CompressionType::INCOMPRESSIBLE
        )
    }

    /// Whether the data can only be read whole: it is checksummed or compressed.
    /// C: `crc_is_encoded()`.
    pub const fn is_encoded(&self) -> bool {
        !matches!(self.csum_type, CsumType::NONE) || self.is_compressed()
    }

    /// Unpacks an entry of `kind` from its words, in a key of `live_size` sectors.
    /// C: `bch2_extent_crc_unpack()`.
    pub(super) const fn unpack(kind: CrcKind, words: [u64; 3], live_size: u32) -> Self {
        let [w, lo, hi] = words;
        let at = kind.layout();
        let (csum_lo, csum_hi) = match kind {
            CrcKind::Crc32 => (get(w, at.csum), 0),
            CrcKind::Crc64 => (lo, get(w, at.csum)),
            CrcKind::Crc128 => (lo, hi),
        };
        Self {
            compressed_size: low_u32(get(w, at.compressed)).wrapping_add(1),
            uncompressed_size: low_u32(get(w, at.uncompressed)).wrapping_add(1),
            live_size,
            csum_type: CsumType(low_u8(get(w, at.csum_type))),
            compression: CompressionType(low_u8(get(w, at.compression))),
            offset: low_u16(get(w, at.offset)),
            nonce: low_u16(get(w, at.nonce)),
            csum_lo,
            csum_hi,
        }
    }

    /// The smallest encoding that can hold this; `None` when it fits none.
    /// C: the choice in `bch2_extent_crc_append()`.
    pub fn smallest_kind(&self) -> Option<CrcKind> {
        [CrcKind::Crc32, CrcKind::Crc64, CrcKind::Crc128]
            .into_iter()
            .find(|&kind| self.fits(kind))
    }

    fn fits(&self, kind: CrcKind) -> bool {
        let size_ok = |v: u32| (1..=kind.size_max()).contains(&v);
        self.csum_type.stored_bytes() <= kind.csum_bytes_max()
            && size_ok(self.uncompressed_size)
            && size_ok(self.compressed_size)
            && u32::from(self.offset) < kind.size_max()
            && self.nonce <= kind.nonce_max()
            && self.csum_type.0 < 16
            && self.compression.0 < 16
    }

    /// The words of an entry of `kind`, of which the first [`CrcKind::u64s`] count; `None` when
    /// a number does not fit. C: `bch2_extent_crc_pack()`.
    pub fn pack(&self, kind: CrcKind) -> Option<[u64; 3]> {
        if !self.fits(kind) {
            return None;
        }
        let at = kind.layout();
        let tag = match kind {
            CrcKind::Crc32 => 1 << 1,
            CrcKind::Crc64 => 1 << 2,
            CrcKind::Crc128 => 1 << 3,
        };
        let w =
            tag | put(
                u64::from(self.compressed_size.wrapping_sub(1)),
                at.compressed,
            ) | put(
                u64::from(self.uncompressed_size.wrapping_sub(1)),
                at.uncompressed,
            ) | put(u64::from(self.offset), at.offset)
                | put(u64::from(self.nonce), at.nonce)
                | put(u64::from(self.csum_type.0), at.csum_type)
                | put(u64::from(self.compression.0), at.compression);
        Some(match kind {
            CrcKind::Crc32 => [w | put(self.csum_lo, at.csum), 0, 0],
            CrcKind::Crc64 => [w | put(self.csum_hi, at.csum), self.csum_lo, 0],
            CrcKind::Crc128 => [w, self.csum_lo, self.csum_hi],
        })
    }
}

impl fmt::Display for Crc {
    /// C: `bch2_extent_crc_unpacked_to_text()`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "c_size {} size {} offset {} nonce {} csum {} {:x}:{:x} compress {}",
            self.compressed_size,
            self.uncompressed_size,
            self.offset,
            self.nonce,
            self.csum_type,
            self.csum_hi,
            self.csum_lo,
            self.compression
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn sample() -> Crc {
        Crc {
            compressed_size: 24,
            uncompressed_size: 128,
            live_size: 32,
            csum_type: CsumType::CRC32C,
            compression: CompressionType::ZSTD,
            offset: 96,
            nonce: 0,
            csum_lo: 0xdead_beef,
            csum_hi: 0,
        }
    }

    #[test]
    fn round_trip_in_every_kind() {
        for kind in [CrcKind::Crc32, CrcKind::Crc64, CrcKind::Crc128] {
            let crc = Crc {
                compressed_size: kind.size_max(),
                uncompressed_size: kind.size_max(),
                offset: u16::try_from(kind.size_max() - 1).unwrap(),
                nonce: kind.nonce_max(),
                ..sample()
            };
            let words = crc.pack(kind).unwrap();
            assert_eq!(Crc::unpack(kind, words, 32), crc);
            assert_eq!(
                words[0].trailing_zeros() + 1,
                match kind {
                    CrcKind::Crc32 => 2,
                    CrcKind::Crc64 => 3,
                    CrcKind::Crc128 => 4,
                }
            );
        }
    }

    #[test]
    fn smallest_kind_grows_with_each_limit() {
        assert_eq!(sample().smallest_kind(), Some(CrcKind::Crc32));
        let mut crc = sample();
        crc.uncompressed_size = 129;
        assert_eq!(crc.smallest_kind(), Some(CrcKind::Crc64));
        crc.nonce = 1 << 10;
        assert_eq!(crc.smallest_kind(), Some(CrcKind::Crc128));
        crc.nonce = 1 << 13;
        assert_eq!(crc.smallest_kind(), None);
        crc = sample();
        crc.csum_type = CsumType::CHACHA20_POLY1305_128;
        assert_eq!(crc.smallest_kind(), Some(CrcKind::Crc128));
        crc = sample();
        crc.compressed_size = 0;
        assert_eq!(crc.smallest_kind(), None);
    }
}
