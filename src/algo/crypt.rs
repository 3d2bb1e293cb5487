// SPDX-License-Identifier: GPL-2.0

//! Checksums that may need a key, and what they protect: encrypted data.
//!
//! Data is authenticated as it is stored, encrypted, and decrypted after that was found right.

use super::checksum;
use crate::{
    env::{
        crypt::{
            wipe,
            ChaCha20,
            Key,
            Poly1305,
            Secret,
            BLOCK_BYTES,
            KEY_BYTES, //
        },
        num::usize_of,
    },
    format::{
        csum::{
            Csum,
            CsumType, //
        },
        node::{
            Bset,
            ENTRY_HEADER_BYTES,
            NODE_HEADER_BYTES,
            NODE_SEALED, //
        },
        nonce::Nonce,
        sb::crypt::{
            Crypt,
            SEALED_BYTES, //
        },
    },
};

/// Why a checksum can not be computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// It needs the filesystem's key, which is not there.
    NoKey,
    /// The kind is unknown.
    Kind,
}

/// What an object is encrypted with, if it is: the filesystem's key, if it has one, and a nonce.
#[derive(Clone, Copy)]
pub struct Seal<'a> {
    /// The filesystem's key.
    pub key: Option<&'a Key>,
    /// The object's nonce.
    pub nonce: Nonce,
}

impl Seal<'_> {
    /// The checksum of `pieces`, which are as they are stored.
    ///
    /// C: `bch2_checksum()`, `bch2_checksum_bio()`.
    pub fn checksum<'p>(
        &self,
        kind: CsumType,
        pieces: impl Iterator<Item = &'p [u8]>,
    ) -> Result<Csum, Unusable> {
        if !kind.is_encryption() {
            let sum = checksum::of_pieces(kind, pieces).ok_or(Unusable::Kind)?;
            return Ok(Csum { lo: sum, hi: 0 });
        }
        let key = self.key.ok_or(Unusable::NoKey)?;
        let mut mac = start_mac(key, self.nonce);
        pieces.for_each(|piece| mac.update(piece));
        Ok(Csum::of_mac(mac.finish(), kind))
    }

    /// What decrypts data with a checksum of this kind, from byte `skip` of the object on. `None`
    /// for data that is not encrypted, and without a key.
    ///
    /// C: `bch2_encrypt_bio()`.
    pub fn stream(&self, kind: CsumType, skip: u64) -> Option<ChaCha20> {
        let key = self.key.filter(|_| kind.is_encryption())?;
        let mut stream = ChaCha20::new(key.bytes(), &self.nonce.skip(skip).to_bytes());
        let within = usize_of(skip) & (BLOCK_BYTES - 1);
        stream.apply([0; BLOCK_BYTES].get_mut(..within).unwrap_or_default());
        Some(stream)
    }

    /// Decrypts `data`, which begins with byte `skip` of the object, if it is encrypted.
    ///
    /// C: `bch2_encrypt()`.
    pub fn decrypt(&self, kind: CsumType, skip: u64, data: &mut [u8]) {
        if let Some(mut stream) = self.stream(kind, skip) {
            stream.apply(data);
        }
    }

    /// Decrypts the set of keys at the start of `bytes`, which begins a node if `first`, after its
    /// checksum was found right; or encrypts one, before the checksum is made.
    ///
    /// C: `bset_encrypt()`.
    pub fn open_set(self, kind: CsumType, bytes: &mut [u8], first: bool) {
        let set = if first {
            Bset::first(bytes)
        } else {
            Bset::later(bytes)
        };
        let Some(end) = set.map(|set| set.total_bytes()) else {
            return;
        };
        let (mut skip, mut start) = (0, ENTRY_HEADER_BYTES);
        if first {
            if let Some(header) = bytes.get_mut(NODE_SEALED) {
                self.decrypt(kind, 0, header);
            }
            (skip, start) = (NODE_SEALED_STREAM, NODE_HEADER_BYTES);
        }
        if let Some(keys) = bytes.get_mut(start..end) {
            self.decrypt(kind, skip, keys);
        }
    }
}

/// Bytes of the stream that a node's header takes: whole blocks.
const NODE_SEALED_STREAM: u64 = 128;
const _: () = assert!(NODE_SEALED.end - NODE_SEALED.start <= 128);

/// C: `bch2_poly1305_init()`.
fn start_mac(key: &Key, nonce: Nonce) -> Poly1305 {
    let mut own = [0; KEY_BYTES];
    ChaCha20::new(key.bytes(), &nonce.for_mac().to_bytes()).apply(&mut own);
    let mac = Poly1305::new(&own);
    wipe(&mut own);
    mac
}

/// The filesystem's key out of the superblock, decrypted with the user's key. `None` when that is
/// not the right one. `magic` is the filesystem's part of magic numbers.
///
/// C: `bch2_decrypt_sb_key()`.
pub fn open_key(crypt: &Crypt, magic: u64, user: &Key) -> crate::error::Result<Option<Key>> {
    let mut sealed = Secret::<SEALED_BYTES>::zeroed()?;
    crypt.sealed_key(sealed.bytes_mut());
    let nonce = Nonce::sealed_key(magic).to_bytes();
    ChaCha20::new(user.bytes(), &nonce).apply(sealed.bytes_mut());
    match Crypt::split_key(sealed.bytes()) {
        Some(bytes) => {
            let mut key = Key::zeroed()?;
            key.fill_from(bytes);
            Ok(Some(key))
        }
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests;
