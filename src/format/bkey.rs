// SPDX-License-Identifier: GPL-2.0

//! Unpacked keys.

use super::{
    bpos::{
        Bpos,
        RawBpos, //
    },
    key_type::KeyType,
};
use crate::env::num::{
    low_u32,
    u64_of,
    usize_of_u32, //
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
    IntoBytes,
    KnownLayout,
    Unaligned, //
};

/// Words of 8 bytes in an unpacked key's header. C: `BKEY_U64s`.
pub const BKEY_U64S: u8 = 5;
/// Bytes in an unpacked key's header.
pub const BKEY_BYTES: usize = 40;
/// The number of a key format: the node's own packing. C: `KEY_FORMAT_LOCAL_BTREE`.
pub const FORMAT_LOCAL: u8 = 0;
/// The number of a key format: not packed. C: `KEY_FORMAT_CURRENT`.
pub const FORMAT_UNPACKED: u8 = 1;

/// The version of a key's data, or the journal position of an accounting key.
///
/// C: `struct bversion`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Version {
    /// High 32 bits.
    pub hi: u32,
    /// Low 64 bits.
    pub lo: u64,
}

impl Version {
    /// That of an accounting key which is `offset` words into journal entry `seq`: later ones are
    /// higher. C: `journal_pos_to_bversion()`.
    pub const fn at(seq: u64, offset: u32) -> Self {
        Self {
            hi: low_u32(seq.wrapping_shr(32)),
            lo: seq.wrapping_shl(32) | u64_of(usize_of_u32(offset)),
        }
    }

    /// The journal entry of an accounting key with this version.
    pub fn journal_seq(&self) -> u64 {
        u64::from(self.hi).wrapping_shl(32) | self.lo.wrapping_shr(32)
    }
}

/// The header of an unpacked key. The number of words and the format are not part of it: they
/// describe the place the key is stored in.
///
/// C: `struct bkey`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bkey {
    /// The kind of value.
    pub key_type: KeyType,
    /// Version of the data.
    pub version: Version,
    /// Length of an extent, in sectors; 0 for other keys.
    pub size: u32,
    /// Where the key is; an extent ends here.
    pub p: Bpos,
}

impl Bkey {
    /// Where an extent starts. C: `bkey_start_offset()`.
    #[inline]
    pub const fn start_offset(&self) -> u64 {
        self.p.offset.wrapping_sub(u64_of(usize_of_u32(self.size)))
    }

    /// The position at which an extent starts. C: `bkey_start_pos()`.
    #[inline]
    pub const fn start_pos(&self) -> Bpos {
        Bpos::new(self.p.inode, self.start_offset(), self.p.snapshot)
    }
}

impl fmt::Display for Bkey {
    /// C: `bch2_bkey_to_text()`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} len {} ver {}",
            self.key_type, self.p, self.size, self.version.lo
        )
    }
}

/// A key and the bytes of its value, wherever they are held.
///
/// C: `struct bkey_s_c`.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    /// The unpacked header.
    pub k: Bkey,
    /// The value: a multiple of 8 bytes, as long as the stored key says.
    pub v: &'a [u8],
}

/// An unpacked key's header as bytes, written by a little-endian machine.
///
/// C: `struct bkey`; used in the journal, the superblock and in nodes for keys that do not fit
/// the node's packing.
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
pub struct RawBkey {
    /// Words of 8 bytes in header and value together.
    pub u64s: u8,
    format_and_whiteout: u8,
    key_type: u8,
    pad: u8,
    version_lo: U64,
    version_hi: U32,
    size: U32,
    p: RawBpos,
}

const _: () = assert!(size_of::<RawBkey>() == BKEY_BYTES);

impl RawBkey {
    /// The key format's number: [`FORMAT_LOCAL`] or [`FORMAT_UNPACKED`].
    pub const fn format(&self) -> u8 {
        self.format_and_whiteout & 0x7f
    }

    /// The header of `k` for a value of `value_u64s` words. `None` when that is more than a key
    /// can hold.
    pub fn encode(k: &Bkey, value_u64s: u8) -> Option<Self> {
        Some(Self {
            u64s: value_u64s.checked_add(BKEY_U64S)?,
            format_and_whiteout: FORMAT_UNPACKED,
            key_type: k.key_type.0,
            pad: 0,
            version_lo: k.version.lo.into(),
            version_hi: k.version.hi.into(),
            size: k.size.into(),
            p: k.p.into(),
        })
    }
}

impl From<RawBkey> for Bkey {
    #[inline]
    fn from(raw: RawBkey) -> Self {
        Self {
            key_type: KeyType(raw.key_type),
            version: Version {
                hi: raw.version_hi.get(),
                lo: raw.version_lo.get(),
            },
            size: raw.size.get(),
            p: raw.p.into(),
        }
    }
}

/// Splits one unpacked key off the front of `bytes`: the key, and what follows it. `None` when
/// the key's length is below its header's or beyond the end, or the format is not "unpacked".
///
/// Keys in the journal and in the superblock are stored this way (C: `struct bkey_i`).
pub fn split_unpacked(bytes: &[u8]) -> Option<(Key<'_>, &[u8])> {
    let (raw, _) = RawBkey::read_from_prefix(bytes).ok()?;
    if raw.u64s < BKEY_U64S || raw.format() != FORMAT_UNPACKED {
        return None;
    }
    let (key, rest) = bytes.split_at_checked(usize::from(raw.u64s).checked_mul(8)?)?;
    Some((
        Key {
            k: raw.into(),
            v: key.get(BKEY_BYTES..)?,
        },
        rest,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::IntoBytes;

    fn sample() -> Bkey {
        Bkey {
            key_type: KeyType::EXTENT,
            version: Version { hi: 1, lo: 2 },
            size: 8,
            p: Bpos::new(4096, 16, u32::MAX),
        }
    }

    #[test]
    fn versions_of_accounting_keys() {
        let v = Version::at(0x1_0000_0002, 7);
        assert_eq!((v.hi, v.lo), (1, 0x2_0000_0007));
        assert_eq!(v.journal_seq(), 0x1_0000_0002);
    }

    #[test]
    fn extent_start() {
        assert_eq!(sample().start_pos(), Bpos::new(4096, 8, u32::MAX));
    }

    #[test]
    fn split_is_exact() {
        let mut buf = std::vec::Vec::new();
        buf.extend_from_slice(RawBkey::encode(&sample(), 1).unwrap().as_bytes());
        buf.extend_from_slice(&[7; 8]);
        buf.extend_from_slice(&[9; 3]);
        let (key, rest) = split_unpacked(&buf).unwrap();
        assert_eq!(key.k, sample());
        assert_eq!(key.v, [7; 8]);
        assert_eq!(rest, [9; 3]);
        for short in 0..48 {
            assert!(split_unpacked(&buf[..short]).is_none());
        }
        buf[0] = 4;
        assert!(split_unpacked(&buf).is_none());
    }
}
