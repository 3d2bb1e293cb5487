// SPDX-License-Identifier: GPL-2.0

//! Round trips by the crates that decompression on the host is made of, and damage.

use super::*;
use proptest::prelude::*;
use std::io::Write;

/// A block of a filesystem in bytes: stored data is padded to whole ones.
const BLOCK: usize = 512;

const KINDS: [CompressionType; 4] = [
    CompressionType::LZ4_OLD,
    CompressionType::LZ4,
    CompressionType::GZIP,
    CompressionType::ZSTD,
];

/// What the compressor makes of `data`, with its frame, not padded.
fn compressed(kind: CompressionType, data: &[u8], level: u32) -> Vec<u8> {
    match kind {
        CompressionType::GZIP => {
            let level = flate2::Compression::new(level % 10);
            let mut w = flate2::write::DeflateEncoder::new(Vec::new(), level);
            w.write_all(data).unwrap();
            w.finish().unwrap()
        }
        CompressionType::ZSTD => {
            let frame = zstd::bulk::compress(data, level as i32 % 20).unwrap();
            let mut out = (frame.len() as u32).to_le_bytes().to_vec();
            out.extend(frame);
            out
        }
        _ => lz4_flex::block::compress(data),
    }
}

fn padded(mut stored: Vec<u8>) -> Vec<u8> {
    stored.resize(stored.len().next_multiple_of(BLOCK), 0);
    stored
}

fn expanded(kind: CompressionType, stored: &[u8], len: usize) -> Result<Vec<u8>> {
    let mut out = vec![0xaa; len];
    expand(&mut Codecs::default(), kind, stored, &mut out).map(|()| out)
}

/// Data with repetitions near and far, and without any.
fn data() -> impl Strategy<Value = Vec<u8>> {
    let run = (any::<u8>(), 1usize..700).prop_map(|(b, n)| vec![b; n]);
    let noise = prop::collection::vec(any::<u8>(), 1..400);
    let words = prop::collection::vec(0u8..4, 1..2000);
    let piece = prop_oneof![run, noise, words];
    (prop::collection::vec(piece, 1..8), 1usize..12).prop_map(|(pieces, times)| {
        let mut all = pieces.concat().repeat(times);
        all.resize(all.len().next_multiple_of(BLOCK), 0);
        all
    })
}

proptest! {
    #[test]
    fn round_trip(data in data(), level in 1u32..20, nr in 0usize..4) {
        let kind = KINDS[nr];
        let exact = compressed(kind, &data, level);
        prop_assert_eq!(expanded(kind, &exact, data.len()), Ok(data.clone()));
        // C pads to whole blocks; the rest of the last one does not matter.
        let stored = padded(exact);
        prop_assert_eq!(expanded(kind, &stored, data.len()), Ok(data.clone()));
        let more = [&stored[..], &[0; BLOCK]].concat();
        prop_assert_eq!(expanded(kind, &more, data.len()), Ok(data));
    }

    #[test]
    fn never_another_length(data in data(), level in 1u32..20, nr in 0usize..4, by in 1usize..3) {
        let kind = KINDS[nr];
        let stored = padded(compressed(kind, &data, level));
        let longer = data.len() + by * BLOCK;
        prop_assert_eq!(expanded(kind, &stored, longer), Err(Error::DataDecompress));
        if let Some(shorter) = data.len().checked_sub(by * BLOCK).filter(|n| *n != 0) {
            // An LZ4 block does not say how much it holds: what fits is right, then.
            match expanded(kind, &stored, shorter) {
                Ok(out) => {
                    prop_assert!(matches!(kind, CompressionType::LZ4_OLD | CompressionType::LZ4));
                    prop_assert_eq!(&out[..], &data[..shorter]);
                }
                Err(e) => prop_assert_eq!(e, Error::DataDecompress),
            }
        }
    }

    #[test]
    fn cut_off(data in data(), level in 1u32..20, nr in 0usize..4, keep in 0.0..1.0) {
        let kind = KINDS[nr];
        let mut stored = compressed(kind, &data, level);
        stored.truncate((stored.len() as f64 * keep) as usize);
        prop_assert_eq!(expanded(kind, &stored, data.len()), Err(Error::DataDecompress));
    }

    #[test]
    fn damaged(
        data in data(), level in 1u32..20, nr in 0usize..4,
        at in any::<prop::sample::Index>(), bits in 1u8..,
    ) {
        let kind = KINDS[nr];
        let mut stored = padded(compressed(kind, &data, level));
        let at = at.index(stored.len());
        stored[at] ^= bits;
        // Without a checksum nobody can tell whether the data is right, only that it is complete,
        // and made of nothing but what was stored.
        let first = expanded(kind, &stored, data.len());
        let mut again = vec![0x55; data.len()];
        let second = expand(&mut Codecs::default(), kind, &stored, &mut again);
        match first {
            Ok(out) => prop_assert_eq!((second, out), (Ok(()), again)),
            Err(e) => prop_assert_eq!((second, e), (Err(e), Error::DataDecompress)),
        }
    }
}

#[test]
fn lengths_of_zstd_frames() {
    let frame = compressed(CompressionType::ZSTD, &[7; 4096], 3);
    let len = u32::from_le_bytes(frame[..4].try_into().unwrap());
    let with = |len: u32| [&len.to_le_bytes(), &frame[4..], &[0; 64]].concat();
    let try_len = |len| expanded(CompressionType::ZSTD, &with(len), 4096).is_ok();
    assert!(try_len(len));
    for wrong in [0, 1, len - 1, len + 1, len + 64, len + 65, u32::MAX] {
        assert!(!try_len(wrong), "{wrong}");
    }
    for short in 0..4 {
        let cut = expanded(CompressionType::ZSTD, &frame[..short], 4096);
        assert_eq!(cut, Err(Error::DataDecompress));
    }
}

#[test]
fn other_kinds() {
    for nr in [0, 5, 6, 15] {
        let out = expanded(CompressionType(nr), &[0; 512], 512);
        assert_eq!(out, Err(Error::DataCompressionKind));
    }
}

#[test]
fn zeros_are_no_data() {
    for kind in KINDS {
        let out = expanded(kind, &[0; 512], 4096);
        assert_eq!(out, Err(Error::DataDecompress), "{kind}");
    }
}
