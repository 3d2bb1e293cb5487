// SPDX-License-Identifier: GPL-2.0

//! Compression and decompression, by crates.

use crate::error::Result;

/// The decompressors.
#[derive(Debug, Default)]
pub struct Codecs(());

impl Codecs {
    /// Decompresses an LZ4 block until it has made as much as `out` can hold; what follows in
    /// `src` is ignored. Says whether it has.
    pub fn lz4(&mut self, src: &[u8], out: &mut [u8]) -> bool {
        // The crate wants to know where the block ends.
        let block = lz4_end(src, out.len()).and_then(|end| src.get(..end));
        let made = block.map(|b| lz4_flex::block::decompress_into(b, out));
        matches!(made, Some(Ok(n)) if n == out.len())
    }

    /// Decompresses a raw deflate stream; what follows it in `src` is ignored. Says whether it
    /// has made exactly as much as `out` can hold.
    pub fn inflate(&mut self, src: &[u8], out: &mut [u8]) -> Result<bool> {
        let mut stream = flate2::Decompress::new(false);
        let end = stream.decompress(src, out, flate2::FlushDecompress::Finish);
        Ok(matches!(end, Ok(flate2::Status::StreamEnd)) && stream.total_out() == out.len() as u64)
    }

    /// Decompresses Zstandard frames, to the end of `src`. Says whether they have made exactly as
    /// much as `out` can hold.
    pub fn zstd(&mut self, src: &[u8], out: &mut [u8]) -> Result<bool> {
        let made = zstd::bulk::decompress_to_buffer(src, out);
        Ok(made.is_ok_and(|n| n == out.len()))
    }
}

/// Copies what was made, if there is room for it.
fn put(made: &[u8], out: &mut [u8]) -> usize {
    match out.get_mut(..made.len()) {
        Some(to) => {
            to.copy_from_slice(made);
            made.len()
        }
        None => 0,
    }
}

impl Codecs {
    /// Makes an LZ4 block of `src`: how many bytes, 0 when it has no room in `out`.
    pub fn make_lz4(&mut self, src: &[u8], out: &mut [u8]) -> Result<usize> {
        Ok(put(&lz4_flex::block::compress(src), out))
    }

    /// Makes a raw deflate stream of `src`: how many bytes, 0 when it has no room in `out`.
    pub fn deflate(&mut self, level: u32, src: &[u8], out: &mut [u8]) -> Result<usize> {
        let level = if level == 0 { 6 } else { level.min(9) };
        let mut stream = flate2::Compress::new(flate2::Compression::new(level), false);
        let end = stream.compress(src, out, flate2::FlushCompress::Finish);
        Ok(match end {
            Ok(flate2::Status::StreamEnd) => stream.total_out() as usize,
            _ => 0,
        })
    }

    /// Makes a Zstandard frame of `src`: how many bytes, 0 when it has no room in `out`.
    pub fn make_zstd(&mut self, level: u32, src: &[u8], out: &mut [u8]) -> Result<usize> {
        Ok(zstd::bulk::compress_to_buffer(src, out, level as i32).unwrap_or(0))
    }
}

/// A length of LZ4: four bits of the token, and more bytes when all four are set.
fn lz4_length(src: &[u8], at: &mut usize, bits: u8) -> Option<usize> {
    let mut len = usize::from(bits);
    let mut more = bits == 15;
    while more {
        let byte = *src.get(*at)?;
        *at += 1;
        len += usize::from(byte);
        more = byte == 255;
    }
    Some(len)
}

/// Where the LZ4 block at the front of `src` ends that makes `nr_out` bytes.
fn lz4_end(src: &[u8], nr_out: usize) -> Option<usize> {
    let (mut at, mut made) = (0, 0);
    loop {
        let token = *src.get(at)?;
        at += 1;
        let literals = lz4_length(src, &mut at, token >> 4)?;
        at += literals;
        made += literals;
        if made >= nr_out {
            return (made == nr_out && at <= src.len()).then_some(at);
        }
        at += 2;
        made += 4 + lz4_length(src, &mut at, token & 15)?;
    }
}
