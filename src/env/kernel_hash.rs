// SPDX-License-Identifier: GPL-2.0

//! Checksums and hashes of the kernel build: the kernel's own, optimised for the CPU at run time.

use crate::bindings;

/// crc32c (Castagnoli) of `data` continued from `seed`, with no inversion at either end.
pub fn crc32c(seed: u32, data: &[u8]) -> u32 {
    // SAFETY: `data` is readable for its length.
    unsafe { bindings::crc32c(seed, data.as_ptr().cast(), data.len()) }
}

/// crc64 (ECMA-182, most significant bit first) of `data` continued from `seed`, no inversion.
pub fn crc64(seed: u64, data: &[u8]) -> u64 {
    // SAFETY: `data` is readable for its length.
    unsafe { bindings::crc64_be(seed, data.as_ptr().cast(), data.len()) }
}

/// A running 64-bit xxHash.
pub struct Xxh64(bindings::xxh64_state);

impl Xxh64 {
    /// Starts a hash.
    pub fn new(seed: u64) -> Self {
        let mut state = bindings::xxh64_state::default();
        // SAFETY: `state` is a state structure, `xxh64_reset` initialises it.
        unsafe { bindings::xxh64_reset(&mut state, seed) };
        Self(state)
    }

    /// Adds bytes.
    pub fn update(&mut self, data: &[u8]) {
        // SAFETY: `self.0` was initialised by `new`; `data` is readable for its length. The only
        // error is a null pointer, which a slice never has.
        unsafe { bindings::xxh64_update(&mut self.0, data.as_ptr().cast(), data.len()) };
    }

    /// The hash of all bytes added.
    pub fn digest(&self) -> u64 {
        // SAFETY: `self.0` was initialised by `new`.
        unsafe { bindings::xxh64_digest(&self.0) }
    }
}

/// SipHash-2-4 of `data` with the key `k0`, `k1`.
pub fn siphash24(k0: u64, k1: u64, data: &[u8]) -> u64 {
    let key = bindings::siphash_key_t { key: [k0, k1] };
    // SAFETY: `data` is readable for its length at any alignment, `key` is a key.
    unsafe { bindings::__siphash_unaligned(data.as_ptr().cast(), data.len(), &key) }
}

/// SHA-256 of `data`.
pub fn sha256(data: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    // SAFETY: `data` is readable for its length, `out` is as long as the digest.
    unsafe { bindings::sha256(data.as_ptr(), data.len(), out.as_mut_ptr()) };
    out
}
