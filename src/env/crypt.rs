// SPDX-License-Identifier: GPL-2.0

//! ChaCha20 and Poly1305 (RFC 8439), and memory for what must not be left behind.
//!
//! Data is processed in place, in pieces of any length; nothing is allocated for it.

use super::Box;
use crate::error::Result;
use core::fmt;

#[cfg_attr(kernel, path = "kernel_crypt.rs")]
#[cfg_attr(not(kernel), path = "host_crypt.rs")]
mod primitives;

pub use primitives::{
    wipe,
    Poly1305, //
};

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;
/// Bytes of a nonce: a block counter of 32 bits, then 96 bits that must not occur twice.
pub const NONCE_BYTES: usize = 16;
/// Bytes of a message authentication code.
pub const MAC_BYTES: usize = 16;
/// Bytes of one block of ChaCha20.
pub const BLOCK_BYTES: usize = 64;

/// Bytes in memory of their own that are overwritten before it is freed.
pub struct Secret<const N: usize>(Box<[u8; N]>);

/// A key for both ciphers.
pub type Key = Secret<KEY_BYTES>;

impl<const N: usize> Secret<N> {
    /// Room for a secret, all zeros.
    pub fn zeroed() -> Result<Self> {
        Ok(Self(Box::try_new([0; N])?))
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8; N] {
        &self.0
    }

    /// The bytes, to be filled in.
    pub fn bytes_mut(&mut self) -> &mut [u8; N] {
        &mut self.0
    }

    /// Fills in bytes from `from` on, as many as both have.
    pub fn fill_from(&mut self, from: &[u8]) {
        for (to, from) in self.0.iter_mut().zip(from) {
            *to = *from;
        }
    }
}

impl<const N: usize> Drop for Secret<N> {
    fn drop(&mut self) {
        primitives::wipe(&mut *self.0);
    }
}

impl<const N: usize> fmt::Debug for Secret<N> {
    /// A secret does not belong into a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// A ChaCha20 key stream: turns plain text into cipher text and back.
pub struct ChaCha20 {
    blocks: primitives::Blocks,
    /// The block that the last piece ended in.
    pad: [u8; BLOCK_BYTES],
    /// Bytes at the front of `pad` that are used up.
    used: usize,
}

impl ChaCha20 {
    /// The key stream of `key` and `nonce`.
    pub fn new(key: &[u8; KEY_BYTES], nonce: &[u8; NONCE_BYTES]) -> Self {
        Self {
            blocks: primitives::Blocks::new(key, nonce),
            pad: [0; BLOCK_BYTES],
            used: BLOCK_BYTES,
        }
    }

    /// Applies the next bytes of the stream to `data`.
    pub fn apply(&mut self, data: &mut [u8]) {
        let data = self.apply_pad(data);
        let whole = data.len() & !(BLOCK_BYTES - 1);
        let Some((blocks, tail)) = data.split_at_mut_checked(whole) else {
            return;
        };
        self.blocks.apply(blocks);
        if !tail.is_empty() {
            self.pad.fill(0);
            self.blocks.apply(&mut self.pad);
            self.used = 0;
            self.apply_pad(tail);
        }
    }

    /// Applies what is left of the last block; gives back what it did not reach.
    fn apply_pad<'a>(&mut self, data: &'a mut [u8]) -> &'a mut [u8] {
        let pad = self.pad.get(self.used..).unwrap_or_default();
        let n = pad.len().min(data.len());
        self.used = self.used.saturating_add(n);
        let (head, rest) = data.split_at_mut_checked(n).unwrap_or_default();
        for (byte, pad) in head.iter_mut().zip(pad) {
            *byte ^= *pad;
        }
        rest
    }
}

impl Drop for ChaCha20 {
    fn drop(&mut self) {
        primitives::wipe(&mut self.pad);
    }
}

#[cfg(test)]
mod tests;
