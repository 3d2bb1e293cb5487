// SPDX-License-Identifier: GPL-2.0

//! Section `crypt`: the filesystem's key, itself encrypted by the passphrase.

use super::{
    finding::{
        Finding,
        Place, //
    },
    flags::BitField,
    section::SectionType,
    superblock::Superblock, //
};
use crate::error::Error;
use core::fmt;
use zerocopy::{
    little_endian::U64,
    FromBytes as _, //
};
use zerocopy_derive::{
    FromBytes,
    Immutable,
    KnownLayout,
    Unaligned, //
};

/// What a key that is not encrypted starts with: "bch**key". C: `BCH_KEY_MAGIC`.
const KEY_MAGIC: u64 = u64::from_le_bytes(*b"bch**key");

const KDF_TYPE: BitField = BitField::new(0, 0, 4);
const SCRYPT_N: BitField = BitField::new(1, 0, 16);
const SCRYPT_R: BitField = BitField::new(1, 16, 32);
const SCRYPT_P: BitField = BitField::new(1, 32, 48);

/// The key and how it is protected.
///
/// C: `struct bch_sb_field_crypt`, without the section's header.
#[derive(Clone, Copy, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Crypt {
    flags: [U64; 2],
    key_magic: U64,
    key: [u8; 32],
}

/// Bytes of the key with the magic number in front of it. C: `struct bch_encrypted_key`.
pub const SEALED_BYTES: usize = 40;
/// Bytes of the section, without its header.
const CRYPT_BYTES: usize = 56;
const _: () = assert!(size_of::<Crypt>() == CRYPT_BYTES);

impl Crypt {
    /// Reads the section off the front of its body. `None` when that is too short.
    pub fn read(body: &[u8]) -> Option<Self> {
        Self::read_from_prefix(body).ok().map(|(c, _)| c)
    }

    /// Whether the key is encrypted by a passphrase. Otherwise it can be used as it is.
    pub fn needs_passphrase(&self) -> bool {
        self.key_magic.get() != KEY_MAGIC
    }

    /// The key, if it is not encrypted.
    pub fn plain_key(&self) -> Option<&[u8]> {
        (!self.needs_passphrase()).then_some(&self.key)
    }

    /// The magic number and the key as they are stored.
    pub fn sealed_key(&self, to: &mut [u8; SEALED_BYTES]) {
        let bytes = self.key_magic.to_bytes().into_iter().chain(self.key);
        for (to, from) in to.iter_mut().zip(bytes) {
            *to = from;
        }
    }

    /// The key of what [`sealed_key`](Self::sealed_key) gave, decrypted if need be; `None` when
    /// there is no magic number in front, because it was decrypted with another key.
    pub fn split_key(bytes: &[u8; SEALED_BYTES]) -> Option<&[u8]> {
        let (magic, key) = bytes.split_first_chunk()?;
        (u64::from_le_bytes(*magic) == KEY_MAGIC).then_some(key)
    }

    /// log2 of scrypt's N, r and p.
    pub fn scrypt(&self) -> [u64; 3] {
        [SCRYPT_N, SCRYPT_R, SCRYPT_P].map(|field| field.get(&self.flags))
    }
}

impl fmt::Debug for Crypt {
    /// The key does not belong into a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crypt")
            .field("needs_passphrase", &self.needs_passphrase())
            .finish_non_exhaustive()
    }
}

/// C: `bch2_sb_crypt_validate()`.
pub(super) fn validate(_: &Superblock, body: &[u8]) -> Result<(), Finding> {
    let bad = |what| Finding::new(Error::SbCrypt, Place::Section(SectionType::CRYPT), what);
    let Some(crypt) = Crypt::read(body) else {
        return Err(bad("bytes of the section")
            .found(body.len())
            .min(CRYPT_BYTES));
    };
    match KDF_TYPE.get(&crypt.flags) {
        0 => Ok(()),
        kdf => Err(bad("type of the key derivation").found(kdf).expected(0u8)),
    }
}

/// C: `bch2_sb_crypt_to_text()`.
pub(super) fn to_text(_: &Superblock, body: &[u8], f: &mut dyn fmt::Write) -> fmt::Result {
    let Some(crypt) = Crypt::read(body) else {
        return Ok(());
    };
    let [n, r, p] = crypt.scrypt();
    writeln!(f, "KDF:               {}", KDF_TYPE.get(&crypt.flags))?;
    writeln!(f, "scrypt n:          {n}")?;
    writeln!(f, "scrypt r:          {r}")?;
    writeln!(f, "scrypt p:          {p}")
}
