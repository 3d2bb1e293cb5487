// SPDX-License-Identifier: GPL-2.0

//! What is stored of data: encrypted if the filesystem is, and with its checksum.

use crate::{
    algo::crypt::Seal,
    env::num::sat_u32,
    error::{
        Error,
        Result, //
    },
    format::{
        bkey::Version,
        csum::CsumType,
        nonce::Nonce,
        values::crc::Crc, //
    },
    sb::SbState,
};

/// Bytes in a sector.
const SECTOR: usize = 512;

/// Makes what is stored of `data`, whole sectors, in its place. `version` is that of the key, which
/// nothing else that is encrypted may have.
///
/// C: `bch2_write_extent()`, `bch2_encrypt_bio()`.
pub(super) fn seal(
    st: &SbState,
    kind: CsumType,
    version: Version,
    data: &mut [u8],
) -> Result<Option<Crc>> {
    if kind == CsumType::NONE {
        return Ok(None);
    }
    let mut crc = Crc {
        csum_type: crate::format::values::kinds::CsumType(kind.0),
        ..Crc::none(sat_u32(data.len() / SECTOR))
    };
    let seal = Seal {
        key: st.key(),
        nonce: Nonce::extent(version, &crc),
    };
    // The cipher is its own reverse.
    seal.decrypt(kind, 0, data);
    let stored: &[u8] = data;
    let sum = seal.checksum(kind, core::iter::once(stored));
    let sum = sum.map_err(|_| Error::DataCanNotSeal)?;
    (crc.csum_lo, crc.csum_hi) = (sum.lo, sum.hi);
    Ok(Some(crc))
}

/// The data again of what [`seal`] made.
pub(super) fn unseal(st: &SbState, version: Version, crc: Option<&Crc>, stored: &mut [u8]) {
    if let Some(crc) = crc {
        let seal = Seal {
            key: st.key(),
            nonce: Nonce::extent(version, crc),
        };
        seal.decrypt(CsumType(crc.csum_type.0), 0, stored);
    }
}
