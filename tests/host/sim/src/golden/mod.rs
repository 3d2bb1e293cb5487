// SPDX-License-Identifier: GPL-2.0

//! Golden images: filesystems that the C implementation made, each with a manifest of what is in
//! it.
//!
//! | file          | holds                                                        |
//! |---------------|--------------------------------------------------------------|
//! | `json.rs`     | reading JSON                                                  |
//! | `images.rs`   | [`Image`]: finding and unpacking images                       |
//! | `unlock.rs`   | the keys of encrypted images, from their passphrases           |
//! | `manifest.rs` | [`Manifest`], and comparing a tree with one                    |
//! | `tree.rs`     | [`walk`]: everything in a filesystem, as a manifest has it     |

pub mod images;
pub mod json;
pub mod manifest;
pub mod tree;
pub mod unlock;

pub use images::Image;
pub use manifest::{
    Entry,
    Manifest, //
};
pub use tree::{
    walk,
    Tree, //
};

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base64 with padding.
pub fn base64(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk
            .iter()
            .chain(&[0; 2])
            .take(3)
            .fold(0u32, |w, b| w << 8 | u32::from(*b));
        for i in 0..4 {
            out.push(match i <= chunk.len() {
                true => char::from(DIGITS[(word >> (18 - 6 * i) & 63) as usize]),
                false => '=',
            });
        }
    }
    out
}

/// The bytes that `text` encodes; anything that is no digit is skipped.
pub fn from_base64(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let (mut word, mut bits) = (0u32, 0);
    for c in text.bytes() {
        let Some(digit) = DIGITS.iter().position(|d| *d == c) else {
            continue;
        };
        word = word << 6 | digit as u32;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((word >> bits) as u8);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_round_trip() {
        for n in 0..20u8 {
            let bytes: Vec<u8> = (0..n).map(|i| i.wrapping_mul(77)).collect();
            assert_eq!(from_base64(&base64(&bytes)), bytes);
        }
        assert_eq!(base64(b"v"), "dg==");
    }
}
