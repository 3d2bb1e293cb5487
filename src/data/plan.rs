// SPDX-License-Identifier: GPL-2.0

//! What has to be read for a piece of a file: from the key that covers it, without any I/O.

use crate::{
    env::{
        num,
        pr_err,
        units::DevIdx,
        Vec, //
    },
    error::{
        Error,
        Invalid,
        Result, //
    },
    format::{
        bkey::{
            Key,
            Version, //
        },
        csum::{
            Csum,
            CsumType, //
        },
        key_type::KeyType,
        nonce::Nonce,
        values::{
            crc::Crc,
            extent::{
                self,
                DecodedPtr, //
            },
            extent_entry::{
                EntrySizes,
                StripePtr, //
            },
            inline_data::inline_data,
            reflink::ReflinkPtr, //
        },
    },
};

/// How many copies of an extent are tried, at most.
pub(crate) const REPLICAS_MAX: usize = 4;

/// What is known of the member devices.
pub(crate) trait Devices {
    /// How far device `dev` is to be preferred, 0 most, up to 1; `None` when it is not there.
    fn rank(&self, dev: DevIdx) -> Option<u8>;
}

/// A piece of a key: `len` sectors, from sector `into` of the key's range on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Sectors between the start of the key's range and the piece.
    pub(crate) into: u32,
    /// Sectors in the piece; at least 1, and no more than the key has from `into` on.
    pub(crate) len: u32,
}

/// Where the data of a piece is. Lives on the stack for as long as a read is prepared.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Nowhere: it reads as zeros.
    Zeros,
    /// In the key itself: these bytes, then zeros.
    Inline(Vec<u8>),
    /// On devices; any of these copies will do, to be tried in this order.
    Replicas(Replicas),
}

/// One copy of a piece on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Replica {
    /// The device.
    pub(crate) dev: DevIdx,
    /// Whether the device is there. If not, the copy can only be rebuilt.
    pub(crate) is_here: bool,
    /// The stripe that it can be rebuilt from.
    pub(crate) stripe: Option<StripePtr>,
    /// The generation that its bucket had when it was written.
    pub(crate) generation: u8,
    /// What has to be read starts at this sector of the device.
    pub(crate) sector: u64,
    /// Sectors to skip of what was read and decoded; the piece follows.
    pub(crate) skip: u32,
    /// How the data is encoded. What has to be read are `compressed_size` sectors for encoded data,
    /// and the piece alone for other data, of which any part can be read.
    pub(crate) crc: Crc,
    /// Of the encoded data's start, should it be encrypted.
    pub(crate) nonce: Nonce,
}

impl Replica {
    /// The checksum's kind.
    pub(crate) fn csum_type(&self) -> CsumType {
        CsumType(self.crc.csum_type.0)
    }

    /// Whether the data that was read matches its checksum, which is `found` of it.
    pub(crate) fn matches(&self, found: Csum) -> bool {
        found.matches(Csum {
            lo: self.crc.csum_lo,
            hi: self.crc.csum_hi,
        })
    }
}

/// The copies of a piece, best first; at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Replicas {
    first: Replica,
    others: [Option<Replica>; REPLICAS_MAX - 1],
}

impl Replicas {
    /// The copy to try first.
    pub(crate) fn first(&self) -> &Replica {
        &self.first
    }

    /// All copies in the order in which they are to be tried.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Replica> {
        core::iter::once(&self.first).chain(self.others.iter().flatten())
    }
}

/// Where in the reflink btree the range that a `reflink_p` key stands for starts, in sectors.
/// `None` for keys of other types.
pub(crate) fn indirect(key: &Key<'_>) -> Result<Option<u64>> {
    if key.k.key_type != KeyType::REFLINK_P {
        return Ok(None);
    }
    let p = ReflinkPtr::decode(key.v).map_err(malformed)?;
    Ok(Some(p.idx))
}

/// Where the data of `piece` of `key` is. `key` may be direct, from the extents btree, or indirect,
/// from the reflink btree.
///
/// C: `__bch2_read_extent()`, `bch2_bkey_pick_read_device()`.
pub(crate) fn source(
    key: &Key<'_>,
    piece: Piece,
    sizes: &EntrySizes,
    devices: &impl Devices,
) -> Result<Source> {
    match key.k.key_type {
        KeyType::EXTENT | KeyType::REFLINK_V => replicas(key, piece, sizes, devices),
        KeyType::ERROR => Err(Error::DataLost),
        // Others are reservations, and whatever else allocates space without data.
        _ => inline_data(key).map_or(Ok(Source::Zeros), |data| inline(data, piece)),
    }
}

/// The value contradicts itself in a way that its validator should not have let pass.
pub(super) fn malformed(what: Invalid) -> Error {
    pr_err!("extent: {what}");
    Error::DataKeyInvalid
}

/// Whether `key`, of the extents btree, only allocates space.
///
/// C: the opposite of `bkey_extent_is_data()`, unwritten extents aside.
pub(crate) fn is_unwritten(key: &Key<'_>, sizes: &EntrySizes) -> bool {
    match key.k.key_type {
        KeyType::EXTENT => extent::is_unwritten(key, sizes),
        KeyType::REFLINK_P | KeyType::INLINE_DATA | KeyType::ERROR => false,
        _ => true,
    }
}

fn inline(data: &[u8], piece: Piece) -> Result<Source> {
    let skip = num::usize_of(u64::from(piece.into) << 9);
    let len = num::usize_of(u64::from(piece.len) << 9);
    let rest = data.get(skip..).unwrap_or(&[]);
    let mut v = Vec::new();
    v.extend_from_slice(rest.get(..len).unwrap_or(rest))?;
    Ok(Source::Inline(v))
}

/// The copies collected so far, best first.
struct Best {
    list: [Option<(u8, Replica)>; REPLICAS_MAX],
}

impl Best {
    /// Adds `replica` behind all of a lower or equal rank; drops what does not fit.
    fn add(&mut self, rank: u8, replica: Replica) {
        let mut carry = Some((rank, replica));
        for slot in &mut self.list {
            let goes_first = match (&carry, &slot) {
                (Some((new, _)), Some((old, _))) => new < old,
                (Some(_), None) => true,
                (None, _) => return,
            };
            if goes_first {
                core::mem::swap(slot, &mut carry);
            }
        }
    }
}

fn replicas(
    key: &Key<'_>,
    piece: Piece,
    sizes: &EntrySizes,
    devices: &impl Devices,
) -> Result<Source> {
    if extent::is_poisoned(key, sizes) {
        return Err(Error::DataPoisoned);
    }
    let mut best = Best {
        list: [None; REPLICAS_MAX],
    };
    // Readers of neighbouring files and MiB start with different replicas, so that all devices have
    // work.
    let turn = num::low_u8((key.k.start_offset() >> 11) ^ key.k.p.inode);
    let mut nr: u8 = 0;
    for ptr in extent::ptrs(key, sizes) {
        let ptr = ptr.map_err(malformed)?;
        if ptr.ptr.unwritten {
            return Ok(Source::Zeros);
        }
        let rank = devices.rank(ptr.ptr.dev);
        if rank.is_none() && ptr.stripe.is_none() {
            continue;
        }
        // A cached copy's bucket may have been reused since: only a checksum can tell.
        if ptr.ptr.cached && ptr.crc.csum_type.0 == CsumType::NONE.0 {
            continue;
        }
        let replica = replica_of(&ptr, key.k.version, piece).ok_or(Error::DataExtentInvalid)?;
        // What has to be rebuilt comes last; what can be verified is better than what can not.
        let unverified = ptr.crc.csum_type.0 == CsumType::NONE.0;
        let rank = u8::from(rank.is_none()) << 4
            | u8::from(ptr.ptr.cached) << 3
            | u8::from(unverified) << 2
            | (rank.unwrap_or(0) & 1) << 1
            | ((nr ^ turn) & 1);
        let is_here = rank >> 4 == 0;
        best.add(rank, Replica { is_here, ..replica });
        nr = nr.wrapping_add(1);
    }
    let [first, second, third, fourth] = best.list.map(|c| c.map(|(_, replica)| replica));
    Ok(Source::Replicas(Replicas {
        first: first.ok_or(Error::DataNoDevice)?,
        others: [second, third, fourth],
    }))
}

/// The copy of `piece` behind one pointer; `None` when the piece is not within the data.
fn replica_of(p: &DecodedPtr, version: Version, piece: Piece) -> Option<Replica> {
    let skip = u32::from(p.crc.offset).checked_add(piece.into)?;
    let end = skip.checked_add(piece.len)?;
    let replica = Replica {
        dev: p.ptr.dev,
        is_here: true,
        stripe: p.stripe,
        generation: p.ptr.generation,
        sector: p.ptr.offset.0,
        skip,
        crc: p.crc,
        nonce: Nonce::extent(version, &p.crc),
    };
    if p.crc.is_encoded() {
        if end > p.crc.uncompressed_size {
            return None;
        }
        if !p.crc.is_compressed() && p.crc.compressed_size != p.crc.uncompressed_size {
            return None;
        }
        return Some(replica);
    }
    Some(Replica {
        sector: p.ptr.offset.0.checked_add(skip.into())?,
        skip: 0,
        crc: Crc::none(piece.len),
        ..replica
    })
}

#[cfg(test)]
mod tests;
