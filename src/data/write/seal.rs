// SPDX-License-Identifier: GPL-2.0

//! What is stored of data: encrypted if the filesystem is, and with its checksum.

use super::{
    bytes::{
        copy,
        Bytes, //
    },
    op::Op, //
};
use crate::{
    algo::crypt::Seal,
    env::{
        num::{
            sat_u32,
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
        values::crc::Crc, //
    },
};

/// Bytes in a sector.
const SECTOR: usize = 512;

/// Data that has one checksum.
pub(super) struct Part {
    /// How many sectors of the file it is.
    pub(super) sectors: u32,
    pub(super) version: Version,
    pub(super) crc: Option<Crc>,
}

/// What is stored of a range of data.
pub(super) struct Sealed {
    /// In order, without gaps.
    pub(super) parts: Vec<Part>,
    /// What is written, unless that is the data itself.
    pub(super) own: Option<Vec<u8>>,
}

impl Op<'_> {
    /// Makes what is stored of `len` bytes of `from`, from byte `skip` on: whole blocks.
    ///
    /// C: `bch2_write_extent()`, `bch2_encrypt_bio()`.
    #[inline(never)]
    pub(super) fn seal(
        &self,
        from: &(impl Bytes + ?Sized),
        skip: usize,
        len: usize,
    ) -> Result<Sealed> {
        let kind = self.options.csum;
        let mut own = None;
        if kind.is_encryption() {
            own = Some(copy(from, skip, len)?);
        }
        let step = self.part_bytes(len);
        let mut parts = Vec::with_capacity(len.div_ceil(step))?;
        let mut at = 0;
        while at < len {
            let now = step.min(len.saturating_sub(at));
            let end = at.saturating_add(now);
            let version = match kind.is_encryption() {
                true => self.engine.writer.journal.next_key_version(),
                false => 0,
            };
            let version = Version { hi: 0, lo: version };
            let crc = match &mut own {
                Some(own) => {
                    let piece = own.get_mut(at..end).ok_or(Error::Overflow)?;
                    self.seal_one(version, now, Piece::Own(piece))
                }
                None => {
                    let mut pieces = from.pieces(skip.saturating_add(at), now);
                    self.seal_one(version, now, Piece::Theirs(&mut pieces))
                }
            };
            parts.push(Part {
                sectors: sat_u32(now / SECTOR),
                version,
                crc: crc?,
            })?;
            at = end;
        }
        Ok(Sealed { parts, own })
    }

    /// Encrypts one part, if that is to be, and makes its checksum. `version` is that of the key,
    /// which nothing else that is encrypted may have.
    fn seal_one(&self, version: Version, len: usize, data: Piece<'_, '_>) -> Result<Option<Crc>> {
        let kind = self.options.csum;
        if kind == CsumType::NONE {
            return Ok(None);
        }
        let mut crc = Crc {
            csum_type: crate::format::values::kinds::CsumType(kind.0),
            ..Crc::none(sat_u32(len / SECTOR))
        };
        let seal = Seal {
            key: self.view.sb().key(),
            nonce: Nonce::extent(version, &crc),
        };
        let sum = match data {
            Piece::Own(data) => {
                // The cipher is its own reverse.
                seal.decrypt(kind, 0, data);
                let stored: &[u8] = data;
                seal.checksum(kind, core::iter::once(stored))
            }
            Piece::Theirs(pieces) => seal.checksum(kind, pieces),
        };
        let sum = sum.map_err(|_| Error::DataCanNotSeal)?;
        (crc.csum_lo, crc.csum_hi) = (sum.lo, sum.hi);
        Ok(Some(crc))
    }

    /// How many bytes have one checksum, of so many in all.
    fn part_bytes(&self, all: usize) -> usize {
        match self.options.csum == CsumType::NONE {
            true => all.max(SECTOR),
            false => usize_of_u32(self.options.encoded_max)
                .saturating_mul(SECTOR)
                .max(SECTOR),
        }
    }
}

/// Data of one part.
enum Piece<'a, 'b> {
    /// In memory of ours.
    Own(&'a mut [u8]),
    /// Where it is not to be changed.
    Theirs(&'a mut dyn Iterator<Item = &'b [u8]>),
}
