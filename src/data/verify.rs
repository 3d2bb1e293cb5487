// SPDX-License-Identifier: GPL-2.0

//! Checksums of data that lies in pieces.

use crate::{
    env::hash::{
        crc32c,
        crc64,
        Xxh64, //
    },
    format::csum::CsumType,
};

/// The checksum of all `pieces` together; `None` when it needs a key, or the kind is unknown.
///
/// C: `bch2_checksum_bio()`.
pub(crate) fn checksum<'a>(kind: CsumType, pieces: impl Iterator<Item = &'a [u8]>) -> Option<u64> {
    let crc32c_from = |seed, pieces| Iterator::fold(pieces, seed, |s, p| crc32c(s, p));
    let crc64_from = |seed, pieces| Iterator::fold(pieces, seed, |s, p| crc64(s, p));
    match kind {
        CsumType::NONE => Some(0),
        CsumType::CRC32C => Some(crc32c_from(0, pieces).into()),
        CsumType::CRC32C_NONZERO => Some((!crc32c_from(!0, pieces)).into()),
        CsumType::CRC64 => Some(crc64_from(0, pieces)),
        CsumType::CRC64_NONZERO => Some(!crc64_from(!0, pieces)),
        CsumType::XXHASH => {
            let mut h = Xxh64::new(0);
            pieces.for_each(|p| h.update(p));
            Some(h.digest())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_as_good_as_one() {
        let data: std::vec::Vec<u8> = (0..100).collect();
        for nr in 0..8 {
            let kind = CsumType(nr);
            for at in [0, 1, 50, 100] {
                let (a, b) = data.split_at(at);
                assert_eq!(
                    checksum(kind, [a, b].into_iter()),
                    kind.checksum(&data),
                    "{kind}"
                );
            }
        }
    }
}
