// SPDX-License-Identifier: GPL-2.0

//! The keys of extents.

use crate::{
    btree::KeyBuf,
    data::{
        entry::add,
        FileId, //
    },
    env::Vec,
    error::{
        Error,
        Result, //
    },
    format::{
        bkey::{
            Bkey,
            Version, //
        },
        bpos::Bpos,
        key_type::KeyType,
        values::{
            crc::Crc,
            extent_entry::{
                Entry,
                Ptr, //
            },
            plain::Reservation,
        },
    },
};

/// The header of a key for the sectors from `start` to `end` of a file.
pub(super) fn header(file: FileId, key_type: KeyType, start: u64, end: u64) -> Result<Bkey> {
    let size = u32::try_from(end.saturating_sub(start)).map_err(|_| Error::Overflow)?;
    Ok(Bkey {
        key_type,
        p: Bpos::new(file.inum, end, file.snapshot),
        size,
        ..Bkey::default()
    })
}

/// The key of `sectors` sectors of data at sector `start` of a file, which are where `copies` say.
///
/// C: `init_append_extent()`.
pub(super) fn extent(
    file: FileId,
    (start, sectors): (u64, u32),
    version: Version,
    crc: Option<Crc>,
    copies: impl Iterator<Item = Ptr>,
) -> Result<KeyBuf> {
    let mut k = header(
        file,
        KeyType::EXTENT,
        start,
        start.saturating_add(sectors.into()),
    )?;
    k.version = version;
    let crc = match crc {
        None => None,
        Some(crc) => {
            let kind = crc.smallest_kind().ok_or(Error::DataExtentEntry)?;
            Some(Entry::Crc(kind, crc))
        }
    };
    let mut value = Vec::new();
    for entry in crc.into_iter().chain(copies.map(Entry::Ptr)) {
        add(&mut value, &entry)?;
    }
    KeyBuf::of(k, &value)
}

/// The key of data that is in the key itself, filled up with zeros.
pub(super) fn inline(file: FileId, start: u64, end: u64, data: &[u8]) -> Result<KeyBuf> {
    KeyBuf::of(header(file, KeyType::INLINE_DATA, start, end)?, data)
}

/// The key of space that is set aside for a range.
pub(super) fn reservation(file: FileId, start: u64, end: u64, nr_replicas: u8) -> Result<KeyBuf> {
    let value = Reservation {
        generation: 0,
        nr_replicas,
    };
    KeyBuf::of(
        header(file, KeyType::RESERVATION, start, end)?,
        &value.encode(),
    )
}

/// What stands for a hole in an update.
pub(super) fn hole(file: FileId, start: u64, end: u64) -> Result<KeyBuf> {
    KeyBuf::of(header(file, KeyType::DELETED, start, end)?, &[])
}
