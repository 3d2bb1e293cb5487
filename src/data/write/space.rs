// SPDX-License-Identifier: GPL-2.0

//! Holes, and space without data.

use super::{
    key::{
        extent,
        hole,
        reservation, //
    },
    op::{
        Op,
        SECTOR, //
    },
    update::{
        put_extent,
        Put, //
    },
    WriteOptions, //
};
use crate::{
    alloc::space::Engine,
    btree::trans::TransResult,
    data::FileId,
    env::num::usize_of,
    error::Result,
    format::{
        bkey::Version,
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        sb::assemble::DevMask,
        values::extent_entry::Ptr, //
    },
    journal::live::Watermark,
    snapshots::View,
};

/// The most sectors of one key that is a hole or a reservation: a multiple of all block sizes.
///
/// C: `KEY_SIZE_MAX`.
const KEY_MAX: u64 = 1 << 31;

/// The first extent of `file` that ends behind sector `at`: where it starts and ends.
fn next_extent(
    engine: Engine<'_>,
    view: &View,
    file: FileId,
    at: u64,
) -> Result<Option<(u64, u64)>> {
    engine.run(Watermark::Normal, |t| -> TransResult<Option<(u64, u64)>> {
        let of = Bpos::new(file.inum, 0, view.latest(file.snapshot));
        let found = t.next_extent(BtreeId::EXTENTS, of, at, &view.table)?;
        Ok(found.map(|key| (key.k.start_offset(), key.k.p.offset)))
    })
}

/// Where the space ends that sector `at` of `file` has, and that can be written to without any
/// more: it is set aside and has no data, or is written over. `at` when there is none.
///
/// C: `bch2_check_range_allocated()`.
pub fn set_aside_until(
    engine: Engine<'_>,
    view: &View,
    file: FileId,
    options: &WriteOptions,
    at: u64,
) -> Result<u64> {
    let until = engine.run(Watermark::Normal, |t| -> TransResult<u64> {
        let of = Bpos::new(file.inum, 0, view.latest(file.snapshot));
        let found = t.next_extent(BtreeId::EXTENTS, of, at, &view.table)?;
        let found = found.filter(|key| {
            let k = &key.k;
            k.key_type == KeyType::RESERVATION
                && k.start_offset() <= at
                && k.p.snapshot == of.snapshot
        });
        Ok(found.map_or(at, |key| key.k.p.offset))
    })?;
    if until > at || !options.nocow {
        return Ok(until);
    }
    let op = Op {
        engine,
        view,
        file,
        options,
        size: 0,
    };
    Ok(op.writable_at(at)?.map_or(at, |(key, _)| key.k.p.offset))
}

/// Makes the sectors of `file` from `start` to `end` a hole. They should not be in the page cache.
///
/// C: `bch2_fpunch()`.
pub fn punch(engine: Engine<'_>, view: &View, file: FileId, start: u64, end: u64) -> Result<Put> {
    let mut all = Put::default();
    let mut at = start;
    while at < end {
        let Some((first, _)) = next_extent(engine, view, file, at)? else {
            break;
        };
        let from = first.max(at);
        if from >= end {
            break;
        }
        // As far as one key can go, whatever is there.
        at = end.min(from.saturating_add(KEY_MAX));
        let key = hole(file, from, at)?;
        all.add(put_extent(engine, view, file, &key, 0)?);
    }
    Ok(all)
}

/// Sets space aside for those sectors of `file` from `start` to `end` that have none. They read as
/// zeros. The file's size is at least `size` bytes afterwards, as far as this got. What has data,
/// or space, keeps it. Where data is to be written over in place, the place is chosen now.
///
/// The caller has reserved the space: what is put here counts as in use.
///
/// C: `bch2_extent_fallocate()`, `__bchfs_fallocate()`.
pub fn allocate(
    engine: Engine<'_>,
    view: &View,
    file: FileId,
    (start, end): (u64, u64),
    options: &WriteOptions,
    size: u64,
) -> Result<Put> {
    let op = Op {
        engine,
        view,
        file,
        options,
        size,
    };
    let mut all = Put::default();
    let mut at = start;
    while at < end {
        let next = next_extent(engine, view, file, at)?;
        let (first, stop) = next.unwrap_or((end, end));
        if first > at {
            let stop = first.min(end).min(at.saturating_add(KEY_MAX));
            let (stop, put) = match options.nocow {
                true => op.put_unwritten(at, stop)?,
                false => {
                    let key = reservation(file, at, stop, options.nr_replicas)?;
                    (stop, put_extent(engine, view, file, &key, size)?)
                }
            };
            all.add(put);
            at = stop;
        } else {
            at = stop;
        }
    }
    Ok(all)
}

impl Op<'_> {
    /// Gives sector `at` of the file, and some behind it, a place on devices. Says where that
    /// ends.
    #[inline(never)]
    fn put_unwritten(&self, at: u64, end: u64) -> Result<(u64, Put)> {
        let wanted = usize_of(end.saturating_sub(at)).saturating_mul(SECTOR);
        let place = self.place(wanted, &DevMask::default())?;
        self.mark_replicas(place.copies.iter())?;
        let copies = place.copies.iter().map(|ptr| Ptr {
            unwritten: true,
            ..*ptr
        });
        let range = (at, place.sectors);
        let key = extent(self.file, range, Version::default(), None, copies)?;
        let put = put_extent(self.engine, self.view, self.file, &key, self.size)?;
        Ok((key.k.p.offset, put))
    }
}

/// How many of the sectors from `start` to `end` of `file` have no space.
pub fn nr_unallocated(
    engine: Engine<'_>,
    view: &View,
    file: FileId,
    start: u64,
    end: u64,
) -> Result<u64> {
    let mut nr = 0u64;
    each_unallocated(engine, view, file, (start, end), |from, to| {
        nr = nr.saturating_add(to.saturating_sub(from));
    })?;
    Ok(nr)
}

/// Calls `f` with each range within sectors `start` to `end` of `file` that has no space.
pub fn each_unallocated(
    engine: Engine<'_>,
    view: &View,
    file: FileId,
    (start, end): (u64, u64),
    mut f: impl FnMut(u64, u64),
) -> Result {
    let mut at = start;
    while at < end {
        let next = next_extent(engine, view, file, at)?;
        let (first, stop) = next.unwrap_or((end, end));
        if first > at {
            f(at, first.min(end));
        }
        at = stop;
    }
    Ok(())
}
