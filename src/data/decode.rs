// SPDX-License-Identifier: GPL-2.0

//! From what a device holds to what a file holds.

use super::plan::Replica;
use crate::{
    algo::checksum,
    env::Vec,
    error::{
        Error,
        Result, //
    },
};

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
pub(super) fn expand(replica: &Replica, stored: Vec<u8>) -> Result<Vec<u8>> {
    if replica.crc.is_compressed() {
        return Err(Error::DataCompressed);
    }
    Ok(stored)
}

/// Whether the bytes on the device are those of the file, so that they can be read to their final
/// place before they are checked.
#[cfg(kernel)]
pub(super) fn is_in_place(replica: &Replica) -> bool {
    !replica.crc.is_compressed() && !replica.csum_type().is_encryption()
}
