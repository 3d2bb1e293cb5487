// SPDX-License-Identifier: GPL-2.0

//! From what a device holds to what a file holds: the stored bytes are checked, then
//! decrypted, then decompressed.

use super::{
    decompress,
    plan::Replica, //
};
use crate::{
    algo::crypt::{
        Seal,
        Unusable, //
    },
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

fn seal<'a>(sb: &'a SbState, replica: &Replica) -> Seal<'a> {
    Seal {
        key: sb.key(),
        nonce: replica.nonce,
    }
}

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
pub(super) fn check<'a>(
    sb: &SbState,
    replica: &Replica,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> Result {
    match seal(sb, replica).checksum(replica.csum_type(), pieces) {
        Ok(found) if replica.matches(found) => Ok(()),
        Ok(_) => Err(Error::DataChecksum),
        Err(Unusable::NoKey) => Err(Error::DataNoKey),
        Err(Unusable::Kind) => Err(Error::DataChecksumKind),
    }
}

/// Decrypts what was read of a replica and found good: `pieces` follow each other, the first begins
/// with byte `skip` of it.
pub(super) fn decrypt<'a>(
    sb: &SbState,
    replica: &Replica,
    skip: u64,
    pieces: impl Iterator<Item = &'a mut [u8]>,
) {
    if let Some(mut stream) = seal(sb, replica).stream(replica.csum_type(), skip) {
        pieces.for_each(|piece| stream.apply(piece));
    }
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

/// Whether the bytes on the device are those of the file, apart from encryption, so that they can
/// be read to their final place before they are checked.
#[cfg(kernel)]
pub(super) fn is_in_place(replica: &Replica) -> bool {
    !replica.crc.is_compressed()
}
