// SPDX-License-Identifier: GPL-2.0

//! From what a device holds to what a file holds: the stored bytes are checked, then decompressed.

use super::{
    decompress,
    plan::Replica, //
};
use crate::{
    algo::checksum,
    env::{
        num,
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    format::opts::OptId,
    sb::SbState,
};

/// Bytes in a sector.
const SECTOR: u64 = 512;

/// Checks how large an extent is that has to be decompressed, before there is memory for it.
///
/// C: the check against `encoded_extent_max` in `bch2_bio_uncompress()`.
pub(super) fn check_size(sb: &SbState, replica: &Replica) -> Result {
    let crc = &replica.crc;
    let larger = u64::from(crc.compressed_size.max(crc.uncompressed_size));
    let too_large = larger.saturating_mul(SECTOR) > sb.opts.get(OptId::EncodedExtentMax);
    if crc.is_compressed() && too_large {
        return Err(Error::DataTooLarge);
    }
    Ok(())
}

/// Checks what was read of a replica, in pieces, against its checksum.
pub(super) fn check<'a>(replica: &Replica, pieces: impl Iterator<Item = &'a [u8]>) -> Result {
    let kind = replica.csum_type();
    if kind.is_encryption() {
        return Err(Error::DataEncrypted);
    }
    let found = checksum::of_pieces(kind, pieces).ok_or(Error::DataChecksumKind)?;
    if !replica.matches(found) {
        return Err(Error::DataChecksum);
    }
    Ok(())
}

/// Decompresses what was read of a replica and found good.
pub(super) fn expand(sb: &SbState, replica: &Replica, stored: Vec<u8>) -> Result<Vec<u8>> {
    if !replica.crc.is_compressed() {
        return Ok(stored);
    }
    let mut data = Vec::from_elem(0u8, uncompressed_bytes(replica))?;
    let mut space = sb.workspaces.get();
    decompress::expand(
        &mut space.codecs,
        replica.crc.compression,
        &stored,
        &mut data,
    )?;
    Ok(data)
}

/// How much data there is, once decompressed, in bytes.
pub(super) fn uncompressed_bytes(replica: &Replica) -> usize {
    num::usize_of(u64::from(replica.crc.uncompressed_size).saturating_mul(SECTOR))
}

/// Whether the bytes on the device are those of the file, so that they can be read to their final
/// place before they are checked.
#[cfg(kernel)]
pub(super) fn is_in_place(replica: &Replica) -> bool {
    !replica.crc.is_compressed() && !replica.csum_type().is_encryption()
}
