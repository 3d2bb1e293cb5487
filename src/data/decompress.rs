// SPDX-License-Identifier: GPL-2.0

//! How compressed data is framed on disk, and made.
//!
//! The stored data is a whole number of blocks; what the compressor made is at its front, zeros
//! follow. How much of it is meant differs:
//!
//! | kind              | frame                                                              |
//! |-------------------|--------------------------------------------------------------------|
//! | `lz4`, `lz4_old`  | an LZ4 block, which ends where it has made all of the data          |
//! | `gzip`            | a raw deflate stream (RFC 1951), which says where it ends           |
//! | `zstd`            | the length of what follows, 32 bits, then Zstandard frames          |
//!
//! Data that was found incompressible is stored as it is.

use crate::{
    env::num,
    error::{
        Error,
        Result, //
    },
    format::values::kinds::CompressionType,
    sys::compress::Codecs,
};

/// Decompresses `stored` to fill `out`, of whose contents nothing is to be used after an error.
///
/// Fails with [`Error::DataDecompress`] when `stored` is damaged, does not fill `out` or would
/// overrun it, and with [`Error::NoMemory`] when there is none for the decompressor.
///
/// C: `bch2_buf_uncompress()`.
pub fn expand(codecs: &mut Codecs, kind: CompressionType, stored: &[u8], out: &mut [u8]) -> Result {
    let filled = match kind {
        CompressionType::LZ4_OLD | CompressionType::LZ4 => codecs.lz4(stored, out),
        CompressionType::GZIP => codecs.inflate(stored, out)?,
        CompressionType::ZSTD => match zstd_frames(stored) {
            Some(frames) => codecs.zstd(frames, out)?,
            None => false,
        },
        _ => return Err(Error::DataCompressionKind),
    };
    if filled {
        Ok(())
    } else {
        Err(Error::DataDecompress)
    }
}

/// Compresses `data` to the front of `out`, by a compressor and a level: how many bytes that took,
/// 0 when there is no room for it.
///
/// C: `attempt_compress()`. A level of LZ4 makes no difference.
pub fn compress(
    codecs: &mut Codecs,
    (kind, level): (CompressionType, u8),
    data: &[u8],
    out: &mut [u8],
) -> Result<usize> {
    let level = u32::from(level);
    match kind {
        CompressionType::LZ4 => codecs.make_lz4(data, out),
        CompressionType::GZIP => codecs.deflate(level, data, out),
        CompressionType::ZSTD => {
            let Some((head, rest)) = out.split_first_chunk_mut() else {
                return Ok(0);
            };
            // The compressor of C sets 3 levels for 2 of the option, which has fewer.
            let made = codecs.make_zstd(level.saturating_mul(3) / 2, data, rest)?;
            *head = num::sat_u32(made).to_le_bytes();
            let whole = made.saturating_add(head.len());
            Ok(if made == 0 { 0 } else { whole })
        }
        _ => Ok(0),
    }
}

/// What is behind the length at the front, as long as that says.
fn zstd_frames(stored: &[u8]) -> Option<&[u8]> {
    let (len, rest) = stored.split_first_chunk()?;
    rest.get(..num::usize_of_u32(u32::from_le_bytes(*len)))
}

#[cfg(test)]
mod tests;
