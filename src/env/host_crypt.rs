// SPDX-License-Identifier: GPL-2.0

//! ChaCha20 and Poly1305 of the host build. Same interface as `kernel_crypt.rs`.

use super::{
    BLOCK_BYTES,
    KEY_BYTES,
    MAC_BYTES,
    NONCE_BYTES, //
};
use ::chacha20::{
    cipher::{
        generic_array::GenericArray,
        KeyIvInit,
        StreamCipherCore,
        StreamCipherSeekCore, //
    },
    ChaChaCore,
};
use ::poly1305::universal_hash::UniversalHash;

/// Double rounds of ChaCha20.
type Rounds = ::chacha20::cipher::typenum::U10;
/// Bytes that Poly1305 takes at a time.
const MAC_BLOCK_BYTES: usize = 16;

/// Overwrites `bytes`, whether anybody reads them again or not.
pub fn wipe(bytes: &mut [u8]) {
    bytes.fill(0);
    ::core::hint::black_box(bytes);
}

/// ChaCha20 of whole blocks.
pub(super) struct Blocks(ChaChaCore<Rounds>);

impl Blocks {
    /// Starts a key stream.
    pub(super) fn new(key: &[u8; KEY_BYTES], nonce: &[u8; NONCE_BYTES]) -> Self {
        let [a, b, c, d, rest @ ..] = *nonce;
        let mut core = ChaChaCore::new(&(*key).into(), &rest.into());
        core.set_block_pos(u32::from_le_bytes([a, b, c, d]));
        Self(core)
    }

    /// Applies the stream to `data`, whole blocks.
    pub(super) fn apply(&mut self, data: &mut [u8]) {
        for block in data.chunks_exact_mut(BLOCK_BYTES) {
            let block = GenericArray::from_mut_slice(block);
            self.0.apply_keystream_block_inout(block.into());
        }
    }
}

/// A running message authentication code.
pub struct Poly1305 {
    state: ::poly1305::Poly1305,
    /// The start of a block.
    partial: [u8; MAC_BLOCK_BYTES],
    filled: usize,
}

impl Poly1305 {
    /// Starts a code. A key must not be used for two messages.
    pub fn new(key: &[u8; KEY_BYTES]) -> Self {
        use ::poly1305::universal_hash::KeyInit;
        Self {
            state: ::poly1305::Poly1305::new(&(*key).into()),
            partial: [0; MAC_BLOCK_BYTES],
            filled: 0,
        }
    }

    /// Adds bytes.
    pub fn update(&mut self, data: &[u8]) {
        let mut rest = data;
        while let Some((byte, more)) = rest.split_first() {
            let blocks = rest.chunks_exact(MAC_BLOCK_BYTES);
            if self.filled == 0 && blocks.len() != 0 {
                let tail = blocks.remainder();
                for block in blocks {
                    self.state.update(&[*GenericArray::from_slice(block)]);
                }
                rest = tail;
                continue;
            }
            if let Some(to) = self.partial.get_mut(self.filled) {
                *to = *byte;
            }
            self.filled = self.filled.saturating_add(1);
            if self.filled == MAC_BLOCK_BYTES {
                self.state.update(&[self.partial.into()]);
                self.filled = 0;
            }
            rest = more;
        }
    }

    /// The code of all bytes added.
    pub fn finish(self) -> [u8; MAC_BYTES] {
        let rest = self.partial.get(..self.filled).unwrap_or_default();
        self.state.compute_unpadded(rest).into()
    }
}
