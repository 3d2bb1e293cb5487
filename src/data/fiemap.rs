// SPDX-License-Identifier: GPL-2.0

//! Where a file's data is on the devices, for `FS_IOC_FIEMAP`.
//!
//! One extent has a mapping for each of its pointers; which device a pointer is for can not be
//! told to user space. Nothing is read, so extents whose data is bad or gone are shown too.

use super::{
    plan,
    segments::{
        with_indirect,
        Segments, //
    },
    FileId, //
};
use crate::{
    env::Vec,
    error::Result,
    format::{
        bkey::Key,
        key_type::KeyType,
        values::{
            extent,
            extent_entry::EntrySizes,
            kinds::CompressionType, //
        },
    },
    snapshots::View,
};

/// Bytes in a sector.
const SECTOR: u64 = 512;

/// What is special about a mapping, numbered as `FIEMAP_EXTENT_*`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MapFlags(pub u32);

impl MapFlags {
    /// Nothing in particular.
    pub const NONE: Self = Self(0);
    /// The last mapping of the range that was asked for.
    pub const LAST: Self = Self(0x1);
    /// Space that is reserved, without a place yet.
    pub const DELALLOC: Self = Self(0x4);
    /// Compressed: the place is where the whole compressed extent starts.
    pub const ENCODED: Self = Self(0x8);
    /// Place or length are no multiple of the filesystem's block size.
    pub const NOT_ALIGNED: Self = Self(0x100);
    /// The data is in the key itself.
    pub const INLINE: Self = Self(0x200);
    /// Space that was never written, which reads as zeros.
    pub const UNWRITTEN: Self = Self(0x800);
    /// Other files may use the same data.
    pub const SHARED: Self = Self(0x2000);

    /// All flags of both.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn when(self, condition: bool) -> Self {
        if condition {
            self
        } else {
            Self::NONE
        }
    }
}

/// A range of a file and where it is. All in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Where in the file the range starts.
    pub logical: u64,
    /// Where on its device; 0 for what is on none.
    pub physical: u64,
    /// How long it is.
    pub len: u64,
    /// What is special about it.
    pub flags: MapFlags,
}

/// Calls `emit` with the mappings of all extents between bytes `from` and `to` of a file, in order,
/// cut to that range, until `emit` returns `false`. No btree is in use while it runs. Both ends
/// are rounded down to whole sectors.
///
/// C: `bch2_fiemap()` of 1.39. That of 1.13 does not cut the last extent. Unlike in C, an
/// extent that stands for lost data, which has no mapping, never takes the mark of the last one.
pub fn map(
    view: &View,
    file: FileId,
    from: u64,
    to: u64,
    mut emit: impl FnMut(&Mapping) -> Result<bool>,
) -> Result {
    let (mut at, end) = (from / SECTOR, to / SECTOR);
    let (mut found, mut held) = (Vec::new(), Vec::new());
    while at < end {
        let Some(next) = next_extent(view, file, at, end, &mut found)? else {
            break;
        };
        at = next;
        if found.is_empty() {
            continue;
        }
        for mapping in &held {
            if !emit(mapping)? {
                return Ok(());
            }
        }
        core::mem::swap(&mut found, &mut held);
    }
    for mapping in &held {
        let last = Mapping {
            flags: mapping.flags.and(MapFlags::LAST),
            ..*mapping
        };
        if !emit(&last)? {
            break;
        }
    }
    Ok(())
}

/// The mappings of the first extent with sectors in `at..end`, to `out`, and the sector behind it.
///
/// C: `bch2_next_fiemap_extent()`.
fn next_extent(
    view: &View,
    file: FileId,
    at: u64,
    end: u64,
    out: &mut Vec<Mapping>,
) -> Result<Option<u64>> {
    out.clear();
    let mut segments = Segments::new(view, file);
    let Some(key) = segments.key_from(at)? else {
        return Ok(None);
    };
    let mut range = Range {
        start: key.k.start_offset().max(at),
        end: key.k.p.offset.min(end),
        block: view.sb().sb.block_sectors().into(),
    };
    if range.start >= range.end {
        return Ok(None);
    }
    let sizes = view.btrees.entry_sizes();
    match plan::indirect(&key)? {
        None => {
            let into = range.start.saturating_sub(key.k.start_offset());
            range.map(&key, into, sizes, out)?;
        }
        Some(idx) => with_indirect(view, &key, idx, range.start, |v, piece, begin| {
            // What is shared may end before the reference to it does.
            range.end = range.end.min(begin.saturating_add(piece.len.into()));
            let skip = range.start.saturating_sub(begin);
            let into = skip.saturating_add(piece.into.into());
            range.map(v, into, sizes, out)
        })?,
    }
    Ok(Some(range.end))
}

/// Part of a file within one extent, in sectors.
struct Range {
    start: u64,
    end: u64,
    /// Sectors in a block of the filesystem.
    block: u64,
}

impl Range {
    /// The mappings of the range, to `out`, whose first sector is sector `into` of `key`.
    ///
    /// C: `bch2_fill_extent()`.
    fn map(&self, key: &Key<'_>, into: u64, sizes: &EntrySizes, out: &mut Vec<Mapping>) -> Result {
        match key.k.key_type {
            KeyType::EXTENT => self.map_ptrs(key, into, MapFlags::NONE, sizes, out),
            KeyType::REFLINK_V => self.map_ptrs(key, into, MapFlags::SHARED, sizes, out),
            KeyType::INLINE_DATA | KeyType::INDIRECT_INLINE_DATA => {
                out.push(self.mapping(0, MapFlags::INLINE))
            }
            KeyType::RESERVATION => {
                let flags = MapFlags::DELALLOC.and(MapFlags::UNWRITTEN);
                out.push(self.mapping(0, flags))
            }
            // Data that was lost, and keys that are no extents.
            _ => Ok(()),
        }
    }

    fn map_ptrs(
        &self,
        key: &Key<'_>,
        into: u64,
        flags: MapFlags,
        sizes: &EntrySizes,
        out: &mut Vec<Mapping>,
    ) -> Result {
        for p in extent::ptrs(key, sizes) {
            let p = p.map_err(plan::malformed)?;
            let mut flags = flags.and(MapFlags::UNWRITTEN.when(p.ptr.unwritten));
            let mut sector = p.ptr.offset.0;
            // C counts incompressible data, which is as it was written, among the compressed.
            if p.crc.compression != CompressionType::NONE {
                flags = flags.and(MapFlags::ENCODED);
            } else {
                sector = sector
                    .saturating_add(p.crc.offset.into())
                    .saturating_add(into);
            }
            let len = self.end.saturating_sub(self.start);
            let odd = (sector | len) & self.block.saturating_sub(1);
            out.push(self.mapping(sector, flags.and(MapFlags::NOT_ALIGNED.when(odd != 0))))?;
        }
        Ok(())
    }

    fn mapping(&self, sector: u64, flags: MapFlags) -> Mapping {
        let bytes = |sectors: u64| sectors.saturating_mul(SECTOR);
        Mapping {
            logical: bytes(self.start),
            physical: bytes(sector),
            len: bytes(self.end.saturating_sub(self.start)),
            flags,
        }
    }
}

#[cfg(test)]
mod tests;
