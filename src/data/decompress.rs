// SPDX-License-Identifier: GPL-2.0

//! How compressed data is framed on disk.
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

/// What is behind the length at the front, as long as that says.
fn zstd_frames(stored: &[u8]) -> Option<&[u8]> {
    let (len, rest) = stored.split_first_chunk()?;
    rest.get(..num::usize_of_u32(u32::from_le_bytes(*len)))
}

#[cfg(test)]
mod tests;
