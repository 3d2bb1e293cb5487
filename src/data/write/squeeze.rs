// SPDX-License-Identifier: GPL-2.0

//! Compression of what is written.

use super::{
    bytes::{
        copy,
        Bytes, //
    },
    op::{
        Op,
        SECTOR, //
    },
};
use crate::{
    data::decompress::compress,
    env::{
        num::{
            round_up_pow2,
            sat_u32,
            u64_of,
            usize_of,
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
        sb::Features,
        values::kinds::CompressionType, //
    },
};

/// The most bytes that are compressed before there is a place for them.
const AHEAD_MAX: usize = 256 << 10;

/// The feature of a filesystem with data that was found incompressible.
const INCOMPRESSIBLE: u64 = 1 << Features::INCOMPRESSIBLE;

/// How data is to be compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compression {
    /// By what; [`NONE`](CompressionType::NONE) for not at all.
    pub kind: CompressionType,
    /// How much time that may take, from 1 to 15; 0 is what the compressor does by default.
    pub level: u8,
}

impl Compression {
    /// The value of an option. C: `union bch_compression_opt`.
    pub fn of_option(value: u64) -> Self {
        let kind = match value & 15 {
            1 => CompressionType::LZ4,
            2 => CompressionType::GZIP,
            3 => CompressionType::ZSTD,
            _ => CompressionType::NONE,
        };
        Self {
            kind,
            level: crate::env::num::low_u8(value.wrapping_shr(4) & 15),
        }
    }

    /// The incompatible features of a filesystem with data that is compressed so.
    const fn features(self) -> Option<u64> {
        match self.kind {
            CompressionType::LZ4 => Some(1 << Features::LZ4 | INCOMPRESSIBLE),
            CompressionType::GZIP => Some(1 << Features::GZIP | INCOMPRESSIBLE),
            CompressionType::ZSTD => Some(1 << Features::ZSTD | INCOMPRESSIBLE),
            _ => None,
        }
    }
}

/// Data that is stored together.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    /// How many sectors of the file it is, and how many on a device.
    pub(super) sectors: u32,
    pub(super) stored: u32,
    pub(super) compression: CompressionType,
}

/// Data that was compressed.
#[derive(Default)]
pub(super) struct Squeezed {
    pub(super) shapes: Vec<Shape>,
    /// What is stored, one behind the other.
    pub(super) bytes: Vec<u8>,
}

impl Op<'_> {
    /// Compresses the first of `len` bytes of `from`, from byte `skip` on, if the options say so.
    /// What does not become smaller is stored as it is, and marked so.
    ///
    /// C: `bch2_bio_compress()`.
    #[inline(never)]
    pub(super) fn squeeze(
        &self,
        from: &(impl Bytes + ?Sized),
        skip: usize,
        len: usize,
    ) -> Result<Option<Squeezed>> {
        let how = self.options.compression;
        let (Some(features), st) = (how.features(), self.view.sb()) else {
            return Ok(None);
        };
        st.use_features(features)?;
        let block = usize_of_u32(st.sb.block_bytes());
        let step = usize_of_u32(self.options.encoded_max).saturating_mul(SECTOR);
        let mut made = Squeezed::default();
        let mut space = st.workspaces.get();
        let (mut at, len) = (0usize, len.min(AHEAD_MAX));
        while at < len {
            let together = from.together(skip.saturating_add(at)).max(block);
            let now = step.min(len.saturating_sub(at)).min(together);
            let plain = copy(from, skip.saturating_add(at), now)?;
            // It has to save a block at least.
            let room = now.saturating_sub(block);
            let mut out = Vec::from_elem(0u8, room)?;
            let stored = match room {
                0 => 0,
                _ => compress(&mut space.codecs, (how.kind, how.level), &plain, &mut out)?,
            };
            let padded = round_up_pow2(u64_of(stored), u64_of(block)).ok_or(Error::Overflow)?;
            let padded = usize_of(padded);
            // A compressor may have had something there on its way.
            if let Some(rest) = out.get_mut(stored..padded) {
                rest.fill(0);
            }
            let (bytes, compression) = match stored {
                0 => (&*plain, CompressionType::INCOMPRESSIBLE),
                _ => (out.get(..padded).unwrap_or(&out), how.kind),
            };
            made.bytes.extend_from_slice(bytes)?;
            made.shapes.push(Shape {
                sectors: sat_u32(now / SECTOR),
                stored: sat_u32(bytes.len() / SECTOR),
                compression,
            })?;
            at = at.saturating_add(now);
        }
        Ok(Some(made))
    }
}

impl Squeezed {
    /// Has no more than `room` sectors stored. So that the place is used to its end, what of the
    /// data comes behind the last part that fits is stored as it is, with bytes of `plain`, which
    /// gets the sector to begin at and how many.
    pub(super) fn fit<'a, I: Iterator<Item = Span<'a>>>(
        &mut self,
        room: u32,
        plain: impl FnOnce(u32, u32) -> I,
    ) -> Result {
        let (mut nr, mut sectors, mut stored) = (0usize, 0u32, 0u32);
        let mut next = None;
        for shape in &self.shapes {
            let end = stored.saturating_add(shape.stored);
            if end > room {
                next = Some(*shape);
                break;
            }
            sectors = sectors.saturating_add(shape.sectors);
            (nr, stored) = (nr.saturating_add(1), end);
        }
        let Some(next) = next else {
            return Ok(());
        };
        self.shapes.truncate(nr);
        self.bytes
            .truncate(usize_of_u32(stored).saturating_mul(SECTOR));
        let left = room.saturating_sub(stored).min(next.sectors);
        if left == 0 {
            return Ok(());
        }
        for span in plain(sectors, left) {
            span.copy_to(&mut self.bytes)?;
        }
        self.shapes.push(Shape {
            sectors: left,
            stored: left,
            compression: CompressionType::NONE,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_filled() {
        let shape = |sectors, stored| Shape {
            sectors,
            stored,
            compression: CompressionType::LZ4,
        };
        for (room, parts, plain) in [(100, 3, 0), (28, 3, 0), (27, 2, 7), (20, 2, 0), (5, 0, 5)] {
            let mut s = Squeezed::default();
            for part in [shape(32, 8), shape(32, 12), shape(16, 8)] {
                s.shapes.push(part).unwrap();
            }
            s.bytes.resize(28 * SECTOR, 1).unwrap();
            let zeros = [2u8; 32 * SECTOR];
            s.fit(room, |at, nr| {
                assert_eq!((at, nr), (if parts == 2 { 64 } else { 0 }, plain));
                core::iter::once(Span::Still(&zeros[..nr as usize * SECTOR]))
            })
            .unwrap();
            assert_eq!(s.shapes.len(), parts + usize::from(plain != 0));
            let stored: u32 = s.shapes.iter().map(|s| s.stored).sum();
            assert_eq!(s.bytes.len(), stored as usize * SECTOR);
            assert_eq!(
                s.bytes.iter().filter(|b| **b == 2).count(),
                plain as usize * SECTOR
            );
        }
    }
}
