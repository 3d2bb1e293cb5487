// SPDX-License-Identifier: GPL-2.0

//! Tests inside the kernel of what the tests on the host have other code for: that the kernel's
//! functions, called as `sys` and `env` call them, give the values the on-disk format is made of.

use super::{
    compress::Codecs,
    raid::Blocks,
    unicode::Encoding, //
};
use crate::env::{
    hash,
    Vec, //
};

#[kernel::macros::kunit_tests(bcachefs)]
mod tests {
    use super::*;

    const DIGITS: &[u8] = b"123456789";

    // The check values of the catalogues of CRCs, with the inversions the C functions leave out.
    #[test]
    fn crcs() {
        assert_eq!(hash::crc32c(u32::MAX, DIGITS) ^ u32::MAX, 0xe306_9283);
        assert_eq!(hash::crc64(0, DIGITS), 0x6c40_df5f_0b49_7347);
        assert_eq!(
            hash::crc64(u64::MAX, DIGITS) ^ u64::MAX,
            0x62ec_59e3_f1a4_f00a
        );
    }

    #[test]
    fn hashes() {
        let mut xxh = hash::Xxh64::new(0);
        assert_eq!(xxh.digest(), 0xef46_db37_51d8_e999);
        xxh.update(b"a");
        xxh.update(b"bc");
        assert_eq!(xxh.digest(), 0x44bc_2cf5_ad77_0999);
        // The paper's key, and its message of 15 bytes.
        let message: [u8; 15] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14];
        let sip = hash::siphash24(0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908, &message);
        assert_eq!(sip, 0xa129_ca61_49be_45e5);
        let sha = hash::sha256(b"abc");
        assert_eq!(sha.first_chunk(), Some(&[0xba, 0x78, 0x16, 0xbf]));
        assert_eq!(sha.last_chunk(), Some(&[0xf2, 0x00, 0x15, 0xad]));
    }

    // Streams that hold "hello" as it is.
    #[test]
    fn decompressors() {
        let mut codecs = Codecs::default();
        let mut out = [0; 5];
        assert!(codecs.lz4(b"\x50hello", &mut out));
        assert_eq!(&out, b"hello");
        let stored = b"\x01\x05\x00\xfa\xffhello";
        assert_eq!(codecs.inflate(stored, &mut out).ok(), Some(true));
        assert_eq!(&out, b"hello");
        let frame = b"\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00hello";
        assert_eq!(codecs.zstd(frame, &mut out).ok(), Some(true));
        assert_eq!(&out, b"hello");
    }

    #[test]
    fn bad_streams() {
        let mut codecs = Codecs::default();
        let mut out = [0; 5];
        for stream in [
            &b""[..],
            b"\xff",
            b"\x50hel",
            b"\xf0\xff\xff\xff\xff",
            b"\x10h\x09\x00",
        ] {
            assert!(!codecs.lz4(stream, &mut out));
            assert_eq!(codecs.inflate(stream, &mut out).ok(), Some(false));
            assert_eq!(codecs.zstd(stream, &mut out).ok(), Some(false));
        }
    }

    #[test]
    fn lost_block_from_parity() {
        let Ok(mut blocks) = Blocks::new(512) else {
            return assert!(false);
        };
        assert!(blocks.grow(4).is_ok());
        for (block, value) in [(0, 0x11), (2, 0x44), (3, 0x11 ^ 0x22 ^ 0x44)] {
            if let Some(bytes) = blocks.get_mut(block) {
                bytes.fill(value);
            }
        }
        assert!(blocks.rebuild_from_p(3, 1).is_ok());
        assert_eq!(
            blocks.get(1).map(|b| b.iter().all(|b| *b == 0x22)),
            Some(true)
        );
        assert!(blocks.rebuild_from_p(3, 3).is_err());
        assert!(Blocks::new(0).is_err());
        assert!(blocks.grow(17).is_err());
    }

    #[test]
    fn folded_names() {
        let Ok(Some(encoding)) = Encoding::load() else {
            // Without CONFIG_UNICODE.
            return;
        };
        let mut to = [0; 32];
        let len = encoding.fold("Ä\u{ad}B".as_bytes(), &mut to);
        assert_eq!(len.and_then(|n| to.get(..n)), Some("a\u{308}b".as_bytes()));
        assert_eq!(encoding.fold(b"\xff", &mut to), None);
        assert_eq!(encoding.fold(b"long", &mut [0; 4]), None);
    }

    #[test]
    fn allocation_that_can_not_be() {
        let much: Result<Vec<u64>, _> = Vec::from_elem(0, usize::MAX);
        assert!(much.is_err());
    }
}
