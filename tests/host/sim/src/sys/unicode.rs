// SPDX-License-Identifier: GPL-2.0

//! Names compared without case, by crates.
//!
//! What the kernel does, "NFDICF", is put together here: canonical decomposition, full case
//! folding, decomposition again, and no characters of the property `Default_Ignorable_Code_Point`.
//! The crates know a newer Unicode than the kernel's 12.1, so characters that were assigned since
//! are folded here and not there. The guest tests have the last word.

use crate::error::Result;
use caseless::Caseless as _;
use unicode_normalization::UnicodeNormalization as _;

/// Ranges of `Default_Ignorable_Code_Point`, both ends included.
const IGNORED: [(u32, u32); 17] = [
    (0xad, 0xad),
    (0x34f, 0x34f),
    (0x61c, 0x61c),
    (0x115f, 0x1160),
    (0x17b4, 0x17b5),
    (0x180b, 0x180e),
    (0x200b, 0x200f),
    (0x202a, 0x202e),
    (0x2060, 0x206f),
    (0x3164, 0x3164),
    (0xfe00, 0xfe0f),
    (0xfeff, 0xfeff),
    (0xffa0, 0xffa0),
    (0xfff0, 0xfff8),
    (0x1bca0, 0x1bca3),
    (0x1d173, 0x1d17a),
    (0xe0000, 0xe0fff),
];

/// The rules for comparing names in UTF-8 without case.
pub struct Encoding(());

impl Encoding {
    /// Loads the rules.
    pub fn load() -> Result<Option<Self>> {
        Ok(Some(Self(())))
    }

    /// `name` as it is compared, to the front of `to`: its length. `None` when it is no UTF-8, or
    /// when `to` is too short.
    pub fn fold(&self, name: &[u8], to: &mut [u8]) -> Option<usize> {
        let ignored = |c: &char| IGNORED.iter().any(|r| (r.0..=r.1).contains(&u32::from(*c)));
        let text = std::str::from_utf8(name).ok()?;
        let folded: String = text
            .chars()
            .nfd()
            .default_case_fold()
            .nfd()
            .filter(|c| !ignored(c))
            .collect();
        if folded.len() >= to.len() {
            return None;
        }
        to[..folded.len()].copy_from_slice(folded.as_bytes());
        Some(folded.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(name: &str) -> String {
        let mut to = [0; 100];
        let len = Encoding(()).fold(name.as_bytes(), &mut to).unwrap();
        String::from_utf8(to[..len].to_vec()).unwrap()
    }

    #[test]
    fn names_are_folded() {
        for (name, want) in [
            ("MixedCase.TXT", "mixedcase.txt"),
            ("Stra\u{df}e", "strasse"),
            ("\u{c0}\u{c9}", "a\u{300}e\u{301}"),
            ("A\u{300}", "a\u{300}"),
            ("\u{130}x", "i\u{307}x"),
            ("\u{fb01}-", "fi-"),
            ("a\u{ad}b\u{200d}c\u{feff}", "abc"),
            // Combining marks in canonical order, wherever they come from.
            ("q\u{307}\u{323}", "q\u{323}\u{307}"),
            ("\u{ac00}", "\u{1100}\u{1161}"),
            ("\u{a0}", "\u{a0}"),
            ("\u{ad}", ""),
        ] {
            assert_eq!(folded(name), want, "{name}");
        }
    }

    #[test]
    fn what_can_not_be_folded() {
        let mut to = [0; 8];
        for bad in [&b"\xff"[..], b"a\xc3", b"\xed\xa0\x80", b"\xc0\xaf"] {
            assert_eq!(Encoding(()).fold(bad, &mut to), None);
        }
        assert_eq!(Encoding(()).fold(b"1234567", &mut to), Some(7));
        assert_eq!(Encoding(()).fold(b"12345678", &mut to), None);
    }
}
