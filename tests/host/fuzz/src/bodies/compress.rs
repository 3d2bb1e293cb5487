// SPDX-License-Identifier: GPL-2.0

//! Compressed data, by its frames. The decompressors are those of the host.

use sim::{
    data::decompress::expand,
    error::Error,
    format::values::kinds::CompressionType,
    sys::compress::Codecs, //
};

/// An LZ4 block.
pub(crate) fn lz4(data: &[u8]) {
    stored(CompressionType::LZ4, data);
}

/// A raw deflate stream.
pub(crate) fn gzip(data: &[u8]) {
    stored(CompressionType::GZIP, data);
}

/// A length and Zstandard frames.
pub(crate) fn zstd(data: &[u8]) {
    stored(CompressionType::ZSTD, data);
}

/// The first byte says how much is to be made of what follows. That either fails or makes all of
/// it, out of nothing but the input.
fn stored(kind: CompressionType, data: &[u8]) {
    let Some((&sectors, stored)) = data.split_first() else {
        return;
    };
    let len = (usize::from(sectors) + 1) * 512;
    let mut codecs = Codecs::default();
    let [first, second] = [0x00, 0xff].map(|before| {
        let mut out = vec![before; len];
        let result = expand(&mut codecs, kind, stored, &mut out);
        assert!(matches!(result, Ok(()) | Err(Error::DataDecompress)));
        result.map(|()| out)
    });
    assert_eq!(first, second);
    // What a frame is followed by does not matter: blocks are padded.
    let padded = [stored, &[0; 600]].concat();
    if let Ok(out) = first {
        let mut again = vec![0x55; len];
        assert_eq!(expand(&mut codecs, kind, &padded, &mut again), Ok(()));
        assert_eq!(again, out);
    }
}
