// SPDX-License-Identifier: GPL-2.0

//! Merging extents: one in the place of two that follow each other, in the file and on the devices.

use super::checksum;
use crate::{
    env::{
        num::usize_of_u32,
        units::DevIdx,
        Vec, //
    },
    error::Result,
    format::{
        bkey::Key,
        csum::CsumType,
        key_type::KeyType,
        values::{
            crc::{
                Crc,
                CrcKind, //
            },
            extent::entries,
            extent_entry::{
                Entry,
                EntrySizes,
                Ptr, //
            },
            plain::Reservation, //
        },
    },
};

/// The largest extent, in sectors. C: `KEY_SIZE_MAX`.
pub const SIZE_MAX: u32 = u32::MAX >> 1;
/// Bytes in a sector.
const SECTOR: usize = 512;

/// What extents can become.
pub trait Limits {
    /// The most sectors that one checksum may be for. C: the option `encoded_extent_max`.
    fn encoded_max(&self) -> u32;

    /// Whether two sectors of a device are in the same bucket.
    fn is_same_bucket(&self, dev: DevIdx, a: u64, b: u64) -> bool;
}

/// The value of one extent in the place of `left` and `right`, if there can be one.
///
/// C: `bch2_bkey_merge()`, `bch2_extent_merge()`, `bch2_reservation_merge()`.
pub fn merged(
    left: &Key<'_>,
    right: &Key<'_>,
    sizes: &EntrySizes,
    limits: &impl Limits,
) -> Result<Option<Vec<u8>>> {
    let (l, r) = (&left.k, &right.k);
    let follows = l.p == right.k.start_pos() && l.key_type == r.key_type && l.version == r.version;
    if !follows || l.size.saturating_add(r.size) > SIZE_MAX {
        return Ok(None);
    }
    match l.key_type {
        KeyType::EXTENT => merged_entries(left, right, sizes, limits),
        KeyType::RESERVATION => {
            let both = (Reservation::decode(left.v), Reservation::decode(right.v));
            let (Ok(a), Ok(b)) = both else {
                return Ok(None);
            };
            let mut value = Vec::new();
            if a != b {
                return Ok(None);
            }
            value.extend_from_slice(left.v)?;
            Ok(Some(value))
        }
        _ => Ok(None),
    }
}

/// What the pointers behind a pair of checksums become.
#[derive(Clone, Copy)]
enum How {
    /// Both are parts of the same data on the devices, which has one checksum.
    Parts,
    /// What is on the devices follows each other, and has a checksum together, or none.
    Join,
}

fn merged_entries(
    left: &Key<'_>,
    right: &Key<'_>,
    sizes: &EntrySizes,
    limits: &impl Limits,
) -> Result<Option<Vec<u8>>> {
    let (mut ls, mut rs) = (entries(left, sizes), entries(right, sizes));
    let (mut lc, mut rc) = (Crc::none(left.k.size), Crc::none(right.k.size));
    let mut how = How::Join;
    let mut value = Vec::new();
    loop {
        let entry = match (ls.next(), rs.next()) {
            (None, None) => break,
            (Some(Ok(Entry::Crc(kind, a))), Some(Ok(Entry::Crc(kind_r, b)))) if kind == kind_r => {
                (lc, rc) = (a, b);
                match crc_of(kind, &a, &b, limits) {
                    Some((h, crc)) => {
                        how = h;
                        Entry::Crc(kind, crc)
                    }
                    None => return Ok(None),
                }
            }
            (Some(Ok(Entry::Ptr(a))), Some(Ok(Entry::Ptr(b)))) => {
                if !is_next((&a, &lc), (&b, &rc), how, limits) {
                    return Ok(None);
                }
                Entry::Ptr(a)
            }
            (Some(Ok(Entry::Stripe(a))), Some(Ok(Entry::Stripe(b)))) if a == b => Entry::Stripe(a),
            // What else there is says things of one of them.
            _ => return Ok(None),
        };
        let Some((words, nr)) = entry.encode() else {
            return Ok(None);
        };
        for word in words.iter().take(nr.into()) {
            value.extend_from_slice(&word.to_le_bytes())?;
        }
    }
    Ok(Some(value))
}

/// The checksum of both.
fn crc_of(kind: CrcKind, l: &Crc, r: &Crc, limits: &impl Limits) -> Option<(How, Crc)> {
    let same = Crc {
        live_size: r.live_size,
        offset: r.offset,
        ..*l
    };
    // The same data twice has the same checksum, too.
    if same == *r && u32::from(l.offset).checked_add(l.live_size)? == u32::from(r.offset) {
        return Some((How::Parts, *l));
    }
    let is_whole = l.offset == 0 && r.offset == 0 && l.live_size == l.compressed_size;
    let size = l.uncompressed_size.checked_add(r.uncompressed_size)?;
    let fits = size <= kind.size_max()
        && (l.csum_type.0 == CsumType::NONE.0 || size <= limits.encoded_max());
    let alike = l.csum_type == r.csum_type && l.nonce == r.nonce && l.compression == r.compression;
    if !is_whole || !fits || !alike || l.is_compressed() {
        return None;
    }
    let len = usize_of_u32(r.uncompressed_size).saturating_mul(SECTOR);
    let csum = checksum::merge(CsumType(l.csum_type.0), l.csum_lo, r.csum_lo, len)?;
    let crc = Crc {
        compressed_size: l.compressed_size.checked_add(r.compressed_size)?,
        uncompressed_size: size,
        csum_lo: csum,
        ..*l
    };
    Some((How::Join, crc))
}

/// Whether the right data is on the device where the left ends, or in the same place if it is of
/// the same.
fn is_next((l, lc): (&Ptr, &Crc), (r, rc): (&Ptr, &Crc), how: How, limits: &impl Limits) -> bool {
    let alike = l.dev == r.dev
        && l.generation == r.generation
        && l.unwritten == r.unwritten
        && l.cached == r.cached;
    let by = match how {
        How::Parts => 0,
        How::Join => u64::from(lc.offset).saturating_add(lc.live_size.into()),
    };
    let end = l.offset.0.saturating_add(by);
    let skipped = match how {
        How::Parts => 0,
        How::Join => u64::from(rc.offset),
    };
    alike
        && l.has_dev()
        && end == r.offset.0.saturating_add(skipped)
        && limits.is_same_bucket(l.dev, l.offset.0, r.offset.0)
}

#[cfg(test)]
mod tests;
