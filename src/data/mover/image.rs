// SPDX-License-Identifier: GPL-2.0

//! What is stored of an extent: as it is, or what is left of it.
//!
//! Data that was compressed stays as it is, unless what is left of it takes less when it is not.
//! Other data loses what nobody can find any more, and can be cut, so that buckets are filled to
//! their end; what is left has a checksum of the same kind. Data that is encrypted is not
//! decrypted for that: where it was in the stream is part of its nonce.

use super::extent::Extent;
use crate::{
    algo::crypt::Seal,
    data::{
        decode,
        plan::Replica, //
    },
    env::{
        num::{
            low_u16,
            usize_of_u32, //
        },
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        bkey::Version,
        csum::CsumType,
        nonce::Nonce,
        values::{
            crc::Crc,
            extent::DecodedPtr,
            extent_entry::DEV_NONE,
            kinds::CompressionType, //
        },
    },
    sb::SbState,
};
use core::ops::Range;

/// Bytes in a sector.
pub(super) const SECTOR: usize = 512;

/// What is stored of a range of an extent.
pub(super) struct Image {
    /// The first sector of the file, and how many.
    pub(super) start: u64,
    pub(super) sectors: u32,
    /// What is on the device.
    pub(super) bytes: Vec<u8>,
    /// What holds for it, with the sector of the decoded data that `start` is.
    pub(super) crc: Option<Crc>,
    /// It is not compressed, so a part of it is stored as a part of the bytes.
    can_cut: bool,
    /// The checksum is of more than there is.
    is_stale: bool,
    version: Version,
}

/// Where the data that can still be found is, in all of it.
fn live_range(crc: &Crc) -> Range<usize> {
    let start = bytes_of(crc.offset.into());
    start..start.saturating_add(bytes_of(crc.live_size))
}

fn bytes_of(sectors: u32) -> usize {
    usize_of_u32(sectors).saturating_mul(SECTOR)
}

/// What has to be read of a copy: the first sector on the device, and how many.
pub(super) fn range_of(src: &DecodedPtr) -> (u64, u32) {
    let at = src.ptr.offset.0;
    match src.crc.is_encoded() {
        true => (at, src.crc.compressed_size),
        false => (at.saturating_add(src.crc.offset.into()), src.crc.live_size),
    }
}

impl Image {
    /// Of what was read of the copy `src` of an extent, after it was checked.
    ///
    /// C: `bch2_write_prep_encoded_data()`, `bch2_rechecksum_bio()`.
    #[inline(never)]
    pub(super) fn of(
        st: &SbState,
        extent: &Extent,
        src: &DecodedPtr,
        stored: &[u8],
    ) -> Result<Self> {
        let (crc, version) = (src.crc, extent.key.k.version);
        let mut image = Self {
            start: extent.key.k.start_offset(),
            sectors: extent.key.k.size,
            bytes: Vec::new(),
            crc: Some(crc),
            can_cut: false,
            is_stale: false,
            version,
        };
        if !crc.is_encoded() {
            image.bytes.extend_from_slice(stored)?;
            image.can_cut = true;
            image.crc = match crc.compression {
                CompressionType::NONE => None,
                _ => Some(image.plain_crc(&crc)),
            };
            return Ok(image);
        }
        let replica = image.replica(&crc);
        decode::check_size(st, &replica)?;
        decode::check(st, &replica, core::iter::once(stored))?;
        if crc.is_compressed() {
            image.bytes.extend_from_slice(stored)?;
            if crc.compressed_size > crc.live_size {
                image.expand(st)?;
            }
        } else {
            let live = stored.get(live_range(&crc)).ok_or(Error::Overflow)?;
            image.bytes.extend_from_slice(live)?;
            image.can_cut = true;
            image.is_stale = crc.live_size != crc.uncompressed_size;
            image.crc = Some(match image.is_stale {
                true => image.plain_crc(&crc),
                false => crc,
            });
        }
        Ok(image)
    }

    /// Whether it was compressed, and is not any more: so it can be cut.
    #[inline(never)]
    pub(super) fn expand(&mut self, st: &SbState) -> Result<bool> {
        let Some(old) = self.crc.filter(|c| c.is_compressed()) else {
            return Ok(false);
        };
        let replica = self.replica(&old);
        let mut stored = core::mem::take(&mut self.bytes);
        decode::decrypt(st, &replica, 0, core::iter::once(&mut *stored));
        let data = decode::expand(st, &replica, stored)?;
        let live = data.get(live_range(&old)).ok_or(Error::Overflow)?;
        self.bytes.extend_from_slice(live)?;
        let crc = Crc {
            compression: CompressionType::NONE,
            ..self.plain_crc(&old)
        };
        let kind = CsumType(crc.csum_type.0);
        self.seal(st, &crc).decrypt(kind, 0, &mut self.bytes);
        (self.can_cut, self.is_stale) = (true, true);
        self.crc = match crc.is_encoded() {
            true => Some(crc),
            false => None,
        };
        Ok(true)
    }

    /// What decodes it. Where it is does not matter: it was read.
    fn replica(&self, crc: &Crc) -> Replica {
        Replica {
            dev: DEV_NONE,
            is_here: true,
            stripe: None,
            generation: 0,
            sector: 0,
            skip: 0,
            crc: *crc,
            nonce: Nonce::extent(self.version, crc),
        }
    }

    /// What holds for data that is not compressed and has lost what is in front of it. The same
    /// data keeps its place in the stream it is encrypted with, so no other ever gets that.
    fn plain_crc(&self, of: &Crc) -> Crc {
        Crc {
            compressed_size: self.sectors,
            uncompressed_size: self.sectors,
            live_size: self.sectors,
            offset: 0,
            nonce: of.nonce.saturating_add(of.offset),
            ..*of
        }
    }

    fn seal<'a>(&self, st: &'a SbState, crc: &Crc) -> Seal<'a> {
        Seal {
            key: st.key(),
            nonce: Nonce::extent(self.version, crc),
        }
    }

    /// Sectors it takes on a device.
    pub(super) fn stored(&self) -> u32 {
        u32::try_from(self.bytes.len() / SECTOR).unwrap_or(u32::MAX)
    }

    /// The first `sectors` sectors of it, fewer than there are, which it loses; `None` when it can
    /// not be cut.
    pub(super) fn cut(&mut self, sectors: u32) -> Result<Option<Self>> {
        if !self.can_cut || sectors == 0 || sectors >= self.sectors {
            return Ok(None);
        }
        let at = bytes_of(sectors);
        let mut bytes = Vec::new();
        bytes.extend_from_slice(self.bytes.get(..at).unwrap_or(&[]))?;
        let mut rest = Vec::new();
        rest.extend_from_slice(self.bytes.get(at..).unwrap_or(&[]))?;
        let mut front = Self {
            sectors,
            bytes,
            is_stale: true,
            ..*self
        };
        front.crc = self.crc.map(|crc| front.plain_crc(&crc));
        self.start = self.start.saturating_add(sectors.into());
        self.sectors = self.sectors.saturating_sub(sectors);
        self.bytes = rest;
        self.is_stale = true;
        let behind = |crc: Crc| Crc {
            offset: low_u16(sectors.into()),
            ..crc
        };
        self.crc = self.crc.map(|crc| self.plain_crc(&behind(crc)));
        Ok(Some(front))
    }

    /// Makes the checksum that it has not.
    pub(super) fn finish(&mut self, st: &SbState) -> Result {
        let Some(mut crc) = self.crc.filter(|c| self.is_stale && c.is_encoded()) else {
            return Ok(());
        };
        let kind = CsumType(crc.csum_type.0);
        if kind != CsumType::NONE {
            let pieces = core::iter::once(&*self.bytes);
            let sum = self.seal(st, &crc).checksum(kind, pieces);
            let sum = sum.map_err(|_| Error::MovedCanNotSeal)?;
            (crc.csum_lo, crc.csum_hi) = (sum.lo, sum.hi);
        }
        (self.crc, self.is_stale) = (Some(crc), false);
        Ok(())
    }
}
