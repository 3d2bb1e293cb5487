// SPDX-License-Identifier: GPL-2.0

//! ChaCha20 and Poly1305 of the kernel build: the kernel's own, optimised for the CPU at run time.

use super::{
    BLOCK_BYTES,
    KEY_BYTES,
    MAC_BYTES,
    NONCE_BYTES, //
};
use crate::{
    bindings,
    env::num::sat_u32, //
};

/// The most bytes handed over at once: lengths are of 32 bits there.
const PIECE_BYTES: usize = 1 << 30;
const _: () = assert!(PIECE_BYTES % BLOCK_BYTES == 0);
/// Rounds of ChaCha20.
const ROUNDS: i32 = 20;

/// Overwrites `bytes`, whether anybody reads them again or not.
pub fn wipe(bytes: &mut [u8]) {
    // SAFETY: `bytes` is writable for its length.
    unsafe { bindings::memzero_explicit(bytes.as_mut_ptr().cast(), bytes.len()) };
}

/// ChaCha20 of whole blocks.
pub(super) struct Blocks(bindings::chacha_state);

impl Blocks {
    /// Starts a key stream.
    pub(super) fn new(key: &[u8; KEY_BYTES], nonce: &[u8; NONCE_BYTES]) -> Self {
        let mut state = bindings::chacha_state::default();
        let constants = b"expand 32-byte k".chunks_exact(4);
        let words = constants
            .chain(key.chunks_exact(4))
            .chain(nonce.chunks_exact(4));
        for (to, word) in state.x.iter_mut().zip(words) {
            *to = word.try_into().map_or(0, u32::from_le_bytes);
        }
        Self(state)
    }

    /// Applies the stream to `data`, whole blocks.
    pub(super) fn apply(&mut self, data: &mut [u8]) {
        for piece in data.chunks_mut(PIECE_BYTES) {
            let at = piece.as_mut_ptr();
            // SAFETY: `at` is readable and writable for the piece's length, and may be source and
            // destination at once; the state was filled in by `new`.
            unsafe {
                bindings::chacha_crypt(&mut self.0, at, at, sat_u32(piece.len()), ROUNDS);
            }
        }
    }
}

impl Drop for Blocks {
    fn drop(&mut self) {
        // SAFETY: The state is plain numbers, ours alone.
        unsafe { bindings::memzero_explicit((&raw mut self.0).cast(), size_of_val(&self.0)) };
    }
}

/// A running message authentication code.
pub struct Poly1305(bindings::poly1305_desc_ctx);

impl Poly1305 {
    /// Starts a code. A key must not be used for two messages.
    pub fn new(key: &[u8; KEY_BYTES]) -> Self {
        let mut state = bindings::poly1305_desc_ctx::default();
        // SAFETY: `key` is as long as asked for; `state` is initialised by the call.
        unsafe { bindings::poly1305_init(&mut state, key.as_ptr()) };
        Self(state)
    }

    /// Adds bytes.
    pub fn update(&mut self, data: &[u8]) {
        for piece in data.chunks(PIECE_BYTES) {
            // SAFETY: `piece` is readable for its length, the state was initialised by `new`.
            unsafe {
                bindings::poly1305_update(&mut self.0, piece.as_ptr(), sat_u32(piece.len()));
            }
        }
    }

    /// The code of all bytes added.
    pub fn finish(mut self) -> [u8; MAC_BYTES] {
        let mut out = [0; MAC_BYTES];
        // SAFETY: The state was initialised by `new`, and is not used again; `out` is as long as
        // the code.
        unsafe { bindings::poly1305_final(&mut self.0, out.as_mut_ptr()) };
        out
    }
}

impl Drop for Poly1305 {
    fn drop(&mut self) {
        // SAFETY: The state is plain numbers, ours alone.
        unsafe { bindings::memzero_explicit((&raw mut self.0).cast(), size_of_val(&self.0)) };
    }
}
