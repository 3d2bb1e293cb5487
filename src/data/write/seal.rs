// SPDX-License-Identifier: GPL-2.0

//! What is stored of data: compressed or not, encrypted if the filesystem is, with its checksum.

use super::{
    bytes::{
        copy,
        Bytes, //
    },
    op::{
        Op,
        SECTOR, //
    },
    squeeze::{
        Shape,
        Squeezed, //
    },
};
use crate::{
    algo::crypt::Seal,
    env::{
        num::{
            sat_u32,
            usize_of_u32, //
        },
        span::Span,
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
            kinds::CompressionType, //
        },
    },
};

/// Data that has one checksum.
pub(super) struct Part {
    /// How many sectors of the file it is, and how many on a device.
    pub(super) sectors: u32,
    pub(super) stored: u32,
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

impl Sealed {
    /// Nothing that has to be said of the data: it is stored as it is.
    pub(super) const fn nothing() -> Self {
        Self {
            parts: Vec::new(),
            own: None,
        }
    }

    /// How many bytes of the file it is.
    pub(super) fn len(&self) -> usize {
        let all = self.parts.iter().map(|p| p.sectors);
        usize_of_u32(all.fold(0, u32::saturating_add)).saturating_mul(SECTOR)
    }

    /// How many bytes are stored.
    pub(super) fn stored_len(&self) -> usize {
        let all = self.parts.iter().map(|p| p.stored);
        usize_of_u32(all.fold(0, u32::saturating_add)).saturating_mul(SECTOR)
    }
}

impl Op<'_> {
    /// Makes what is stored in a place for `room` sectors: of what was `squeezed`, or else of the
    /// data itself, `from` from byte `skip` on.
    ///
    /// C: `bch2_write_extent()`, `bch2_encrypt_bio()`.
    #[inline(never)]
    pub(super) fn seal(
        &self,
        from: &(impl Bytes + ?Sized),
        skip: usize,
        squeezed: Option<Squeezed>,
        room: u32,
    ) -> Result<Sealed> {
        let kind = self.options.csum;
        let bytes = |sectors: u32| usize_of_u32(sectors).saturating_mul(SECTOR);
        let (shapes, mut own) = match squeezed {
            Some(mut s) => {
                let plain = |at, nr| from.spans(skip.saturating_add(bytes(at)), bytes(nr));
                s.fit(room, plain)?;
                (s.shapes, Some(s.bytes))
            }
            None => {
                let own = match kind.is_encryption() {
                    true => Some(copy(from, skip, bytes(room))?),
                    false => None,
                };
                (self.plain_shapes(from, skip, room)?, own)
            }
        };
        let mut parts = Vec::with_capacity(shapes.len())?;
        let mut at = 0usize;
        for shape in &shapes {
            let len = bytes(shape.stored);
            let end = at.saturating_add(len);
            let version = match kind.is_encryption() {
                true => self.engine.writer.journal.next_key_version(),
                false => 0,
            };
            let version = Version { hi: 0, lo: version };
            let crc = match &mut own {
                Some(own) => {
                    let piece = own.get_mut(at..end).ok_or(Error::Overflow)?;
                    self.seal_one(version, shape, Piece::Own(piece))
                }
                None => {
                    let mut spans = from.spans(skip.saturating_add(at), len);
                    self.seal_one(version, shape, Piece::Theirs(&mut spans))
                }
            };
            parts.push(Part {
                sectors: shape.sectors,
                stored: shape.stored,
                version,
                crc: crc?,
            })?;
            at = end;
        }
        Ok(Sealed { parts, own })
    }

    /// Encrypts one part, if that is to be, and makes its checksum. `version` is that of the key,
    /// which nothing else that is encrypted may have.
    fn seal_one(
        &self,
        version: Version,
        shape: &Shape,
        data: Piece<'_, '_>,
    ) -> Result<Option<Crc>> {
        let kind = self.options.csum;
        if kind == CsumType::NONE && shape.compression == CompressionType::NONE {
            return Ok(None);
        }
        let mut crc = Crc {
            compressed_size: shape.stored,
            csum_type: crate::format::values::kinds::CsumType(kind.0),
            compression: shape.compression,
            ..Crc::none(shape.sectors)
        };
        if kind == CsumType::NONE {
            return Ok(Some(crc));
        }
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
            Piece::Theirs(spans) => {
                let mut len = 0usize;
                let still = spans.map_while(Span::still);
                let sum = seal.checksum(kind, still.inspect(|p| len = len.saturating_add(p.len())));
                match len == usize_of_u32(shape.stored).saturating_mul(SECTOR) {
                    true => sum,
                    // A checksum of what a process changes meanwhile would be wrong.
                    false => return Err(Error::DataWriteShared),
                }
            }
        };
        let sum = sum.map_err(|_| Error::DataCanNotSeal)?;
        (crc.csum_lo, crc.csum_hi) = (sum.lo, sum.hi);
        Ok(Some(crc))
    }

    /// Parts of so many sectors that are stored as they are: `from` from byte `skip` on.
    fn plain_shapes(
        &self,
        from: &(impl Bytes + ?Sized),
        skip: usize,
        sectors: u32,
    ) -> Result<Vec<Shape>> {
        let step = match self.options.csum == CsumType::NONE {
            true => sectors,
            false => self.options.encoded_max,
        }
        .max(1);
        let mut shapes = Vec::new();
        let (mut left, mut skip) = (sectors, skip);
        while left > 0 {
            let together = sat_u32(from.together(skip) / SECTOR).max(1);
            let now = step.min(left).min(together);
            shapes.push(Shape {
                sectors: now,
                stored: now,
                compression: CompressionType::NONE,
            })?;
            left = left.saturating_sub(now);
            skip = skip.saturating_add(usize_of_u32(now).saturating_mul(SECTOR));
        }
        Ok(shapes)
    }
}

/// Data of one part.
enum Piece<'a, 'b> {
    /// In memory of ours.
    Own(&'a mut [u8]),
    /// Where it is not to be changed.
    Theirs(&'a mut dyn Iterator<Item = Span<'b>>),
}
