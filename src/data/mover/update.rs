// SPDX-License-Identifier: GPL-2.0

//! Pointers to the new place, if the old ones are still there.
//!
//! In the transaction the keys of the extent's own snapshot are looked up again. One that still
//! points to the old copy, in a bucket of the same generation, is of data that nobody has written
//! over: the bucket would have another generation if it had been in use for something else in
//! between. What is a part of the extent gets the same part of the new copy.

use super::{
    extent::Extent,
    send::Piece,
    value::{
        replaced,
        Pointers, //
    },
};
use crate::{
    alloc::space::{
        Engine,
        Trans, //
    },
    btree::{
        trans::TransResult,
        KeyBuf, //
    },
    env::{
        units::Sectors,
        Few, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        sb::assemble::DevMask,
        values::{
            crc::Crc,
            extent::{
                ptrs,
                DecodedPtr, //
            },
            extent_entry::{
                EntrySizes,
                Ptr, //
            },
        },
    },
    journal::live::Watermark,
    snapshots::View,
};

/// The most keys that are changed in one transaction.
const KEYS_MAX: usize = 8;
/// Words of the journal that it takes, at most: the keys, and what follows.
const MOVE_U64S: u32 = 1024;

/// What came of moving.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Put {
    /// Sectors that are at the new place.
    pub(super) moved: u64,
    /// Sectors that somebody else has changed meanwhile.
    pub(super) raced: u64,
}

impl Put {
    /// After another one.
    pub(super) fn add(&mut self, other: Self) {
        self.moved = self.moved.saturating_add(other.moved);
        self.raced = self.raced.saturating_add(other.raced);
    }
}

/// Has what is left of the extent of a piece be at its new place.
///
/// C: `bch2_data_update_index_update()`.
#[inline(never)]
pub(super) fn put(engine: Engine<'_>, view: &View, piece: &Piece) -> Result<Put> {
    let end = piece.start.saturating_add(piece.sectors.into());
    let (mut all, mut at) = (Put::default(), piece.start);
    while at < end {
        // The last of the journal is for who makes room in it.
        let journal = &engine.writer.journal;
        journal.wait_for_space(MOVE_U64S, Watermark::CopyGc)?;
        let (next, put) = engine.run(Watermark::BtreeCopyGc, |t| {
            put_some(t, view, piece, (at, end))
        })?;
        all.add(put);
        at = next;
    }
    Ok(all)
}

/// The same for the first few keys from sector `from` on; where the next one may begin.
#[inline(never)]
fn put_some(
    t: &mut Trans<'_>,
    view: &View,
    piece: &Piece,
    (from, end): (u64, u64),
) -> TransResult<(u64, Put)> {
    let extent = &piece.extent;
    let sizes = *t.btrees.entry_sizes();
    let (mut at, mut nr, mut put) = (from, 0usize, Put::default());
    while at < end && nr < KEYS_MAX {
        // Those of the extent's snapshot, of which it is made up now.
        let found = t.next_of_snapshot(extent.btree, at, extent.key.k.p)?;
        let Some(key) = found.filter(|k| k.k.start_offset() < end) else {
            put.raced = put.raced.saturating_add(end.saturating_sub(at));
            at = end;
            break;
        };
        let (start, stop) = (key.k.start_offset(), key.k.p.offset);
        let Some(old) = same_copy(&key, extent, &sizes) else {
            let part = stop.min(end).saturating_sub(start.max(at));
            put.raced = put.raced.saturating_add(part);
            at = stop;
            continue;
        };
        // What was written in parts is put in parts.
        let cut = [at, end].into_iter().find(|c| start < *c && *c < stop);
        if let Some(cut) = cut {
            t.split_extent(extent.btree, &key, cut, &view.table)?;
            continue;
        }
        let new = pointers(piece, start, key.k.size)?;
        let new = Pointers {
            copies: &new.0,
            crc: new.1,
        };
        t.update(extent.btree, replaced(&key, &sizes, &old.ptr, &new)?)?;
        put.moved = put.moved.saturating_add(key.k.size.into());
        nr = nr.saturating_add(1);
        at = stop;
    }
    match nr {
        0 => t.reset(),
        _ => _ = t.commit()?,
    }
    Ok((at, put))
}

/// The pointer of `key` to the same copy, if it is a part of the extent that nobody has changed.
///
/// C: `bch2_extents_match()`.
fn same_copy(key: &KeyBuf, extent: &Extent, sizes: &EntrySizes) -> Option<DecodedPtr> {
    let (k, of) = (&key.k, &extent.key.k);
    if (k.key_type, k.version) != (of.key_type, of.version) {
        return None;
    }
    let mut found = None;
    let mut others = DevMask::default();
    for p in ptrs(&key.key(), sizes) {
        let p = p.ok()?;
        if is_same((&p, k.start_offset()), (&extent.old, of.start_offset())) {
            found = Some(p);
        } else if !p.ptr.cached {
            others.add(p.ptr.dev.0);
        }
    }
    // No copy has come or gone, so that a new one is on no device that has one.
    found.filter(|_| others == extent.wish.avoid)
}

/// Whether two pointers of keys that start at these sectors are to the same data.
fn is_same((a, a_start): (&DecodedPtr, u64), (b, b_start): (&DecodedPtr, u64)) -> bool {
    let place = |p: &Ptr| (p.dev, p.generation, p.cached, p.unwritten);
    let base = |p: &DecodedPtr, start: u64| {
        let at = p.ptr.offset.0.wrapping_add(p.crc.offset.into());
        at.wrapping_sub(start)
    };
    // What any part can be read of has no size of its own.
    let stored = |crc: &Crc| {
        let sizes = match crc.is_encoded() {
            true => (crc.compressed_size, crc.uncompressed_size, crc.nonce),
            false => (0, 0, 0),
        };
        let sum = (crc.csum_lo, crc.csum_hi);
        (sizes, crc.csum_type, crc.compression, sum)
    };
    place(&a.ptr) == place(&b.ptr)
        && base(a, a_start) == base(b, b_start)
        && stored(&a.crc) == stored(&b.crc)
}

/// The pointers of a key of `size` sectors that starts at sector `start`, in the piece.
fn pointers(piece: &Piece, start: u64, size: u32) -> Result<(Few<Ptr, 4>, Option<Crc>)> {
    let into = start.saturating_sub(piece.start);
    let mut copies = Few::new();
    for ptr in piece.copies.iter() {
        let offset = match piece.crc {
            Some(_) => ptr.offset,
            None => Sectors(ptr.offset.0.saturating_add(into)),
        };
        copies.push(Ptr { offset, ..*ptr })?;
    }
    let crc = match piece.crc {
        None => None,
        Some(crc) => {
            let offset = u64::from(crc.offset).saturating_add(into);
            Some(Crc {
                offset: u16::try_from(offset).map_err(|_| Error::Overflow)?,
                live_size: size,
                ..crc
            })
        }
    };
    Ok((copies, crc))
}
