// SPDX-License-Identifier: GPL-2.0

//! The kernel's compressors and decompressors. Each is given all input and all room for output at
//! once, and checks both, whatever the input.

use crate::{
    bindings,
    env::{
        num,
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
};
use core::ffi::c_void;
use kernel::ffi::c_int;

/// The compressors and decompressors, with the memory that they work in once they were used.
#[derive(Default)]
pub struct Codecs {
    inflate: Vec<u64>,
    zstd: Vec<u64>,
    made: Vec<u64>,
}

/// The window of deflate streams is 32 KiB; negative for streams without a header.
const RAW_WINDOW_BITS: c_int = -15;

impl Codecs {
    /// Decompresses an LZ4 block until it has made as much as `out` can hold; what follows in
    /// `src` is ignored. Says whether it has.
    pub fn lz4(&mut self, src: &[u8], out: &mut [u8]) -> bool {
        let (Ok(src_len), Ok(len)) = (c_int::try_from(src.len()), c_int::try_from(out.len()))
        else {
            return false;
        };
        // A match at distance 0 is not found out, and copies what was in `out` before: that must
        // not be anybody's.
        out.fill(0);
        // SAFETY: The slices are valid for these lengths and do not overlap. The function reads
        // and writes nothing outside of them.
        let made = unsafe {
            bindings::LZ4_decompress_safe_partial(
                src.as_ptr().cast(),
                out.as_mut_ptr().cast(),
                src_len,
                len,
                len,
            )
        };
        made == len
    }

    /// Decompresses a raw deflate stream; what follows it in `src` is ignored. Says whether it
    /// has made exactly as much as `out` can hold.
    pub fn inflate(&mut self, src: &[u8], out: &mut [u8]) -> Result<bool> {
        // SAFETY: Only says how large a structure is.
        let nr_bytes = unsafe { bindings::zlib_inflate_workspacesize() };
        let (space, _) = sized(&mut self.inflate, usize::try_from(nr_bytes).unwrap_or(0))?;
        let mut stream = bindings::z_stream {
            next_in: src.as_ptr(),
            avail_in: src.len(),
            next_out: out.as_mut_ptr(),
            avail_out: out.len(),
            workspace: space,
            ..Default::default()
        };
        // SAFETY: Input and output are as long as the stream says, and the workspace as large as
        // asked for; all outlive the stream, which nothing of is used after.
        let end = unsafe {
            bindings::zlib_inflateInit2(&mut stream, RAW_WINDOW_BITS);
            bindings::zlib_inflate(&mut stream, num::i32_of_bits(bindings::Z_FINISH))
        };
        Ok(end == num::i32_of_bits(bindings::Z_STREAM_END) && stream.avail_out == 0)
    }

    /// Decompresses Zstandard frames, to the end of `src`. Says whether they have made exactly as
    /// much as `out` can hold.
    pub fn zstd(&mut self, src: &[u8], out: &mut [u8]) -> Result<bool> {
        // SAFETY: Only says how large a structure is.
        let nr_bytes = unsafe { bindings::zstd_dctx_workspace_bound() };
        let (space, nr_bytes) = sized(&mut self.zstd, nr_bytes)?;
        // SAFETY: The workspace is aligned to 8 bytes, and as large as it says; the context made
        // in it is not used after this.
        let made = unsafe {
            let context = bindings::zstd_init_dctx(space, nr_bytes);
            if context.is_null() {
                return Err(Error::NoMemory);
            }
            bindings::zstd_decompress_dctx(
                context,
                out.as_mut_ptr().cast(),
                out.len(),
                src.as_ptr().cast(),
                src.len(),
            )
        };
        // Errors are numbers beyond any length.
        Ok(made == out.len())
    }
}

impl Codecs {
    /// Makes an LZ4 block of `src`: how many bytes, 0 when it has no room in `out`.
    pub fn make_lz4(&mut self, src: &[u8], out: &mut [u8]) -> Result<usize> {
        // SAFETY: Only says how large a structure is.
        let nr_bytes = unsafe { bindings::bch_rs_lz4_space() };
        let (space, _) = sized(&mut self.made, nr_bytes)?;
        let (from, to) = (src.as_ptr().cast(), out.as_mut_ptr().cast());
        // SAFETY: Both slices are as long as is said, the workspace as large as it has to be.
        Ok(unsafe { bindings::bch_rs_lz4(from, src.len(), to, out.len(), space) })
    }

    /// Makes a raw deflate stream of `src`: how many bytes, 0 when it has no room in `out`.
    pub fn deflate(&mut self, level: u32, src: &[u8], out: &mut [u8]) -> Result<usize> {
        // SAFETY: Only says how large a structure is.
        let nr_bytes = unsafe { bindings::bch_rs_deflate_space() };
        let (space, _) = sized(&mut self.made, nr_bytes)?;
        let (from, to) = (src.as_ptr().cast(), out.as_mut_ptr().cast());
        let level = num::i32_of_bits(level);
        // SAFETY: As above.
        Ok(unsafe { bindings::bch_rs_deflate(from, src.len(), to, out.len(), level, space) })
    }

    /// Makes a Zstandard frame of `src`: how many bytes, 0 when it has no room in `out`.
    pub fn make_zstd(&mut self, level: u32, src: &[u8], out: &mut [u8]) -> Result<usize> {
        let level = num::i32_of_bits(level);
        // SAFETY: Only says how large a structure is.
        let nr_bytes = unsafe { bindings::bch_rs_zstd_space(level, src.len()) };
        let (space, nr_bytes) = sized(&mut self.made, nr_bytes)?;
        let (from, to) = (src.as_ptr().cast(), out.as_mut_ptr().cast());
        let (len, room) = (src.len(), out.len());
        // SAFETY: As above.
        Ok(unsafe { bindings::bch_rs_zstd(from, len, to, room, level, space, nr_bytes) })
    }
}

/// Makes `space` at least `nr_bytes` large; where it is, and its size in bytes.
fn sized(space: &mut Vec<u64>, nr_bytes: usize) -> Result<(*mut c_void, usize)> {
    let nr = nr_bytes.div_ceil(size_of::<u64>());
    if space.len() < nr {
        *space = Vec::from_elem(0u64, nr)?;
    }
    let len = space.len().wrapping_mul(size_of::<u64>());
    Ok((space.as_mut_ptr().cast(), len))
}
