// SPDX-License-Identifier: GPL-2.0

//! Extents and what they mean for the inode, in one transaction.

use crate::{
    alloc::space::{
        Engine,
        Trans, //
    },
    btree::{
        trans::TransResult,
        KeyBuf, //
    },
    data::{
        inode_get,
        inode_put,
        FileId, //
    },
    env::{
        num::i64_of_bits,
        pr_err, //
    },
    error::{
        Error,
        Invalid,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId, //
    },
    snapshots::View,
};

/// Bytes in a sector.
const SECTOR: u64 = 512;
/// The most extents that are overwritten in one transaction.
///
/// C: `EXTENT_ITERS_MAX`, which counts what follows from them as well.
const OVERWRITTEN_MAX: usize = 12;

/// The most extents that are put together.
const TOGETHER_MAX: usize = 8;

/// What came of putting an extent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Put {
    /// The newest journal entry with a part of it.
    pub seq: u64,
    /// How many sectors more the file has.
    pub sectors: i64,
}

impl Put {
    /// After another one.
    pub fn add(&mut self, other: Self) {
        self.seq = self.seq.max(other.seq);
        self.sectors = self.sectors.wrapping_add(other.sectors);
    }
}

/// Puts `key`, an extent or with type deleted a hole, in the place of what `file` has in its range,
/// in as many transactions as it takes, in order from its start. The inode is changed with it: the
/// number of its sectors, and its size, which is `size` bytes afterwards if it was less and the
/// range reaches that far.
///
/// C: `bch2_extent_update()`.
pub fn put_extent(
    engine: Engine<'_>,
    view: &View,
    file: FileId,
    key: &KeyBuf,
    size: u64,
) -> Result<Put> {
    let mut all = Put::default();
    let mut at = key.k.start_offset();
    while at < key.k.p.offset {
        let (end, put) = engine.run_in_reserve(|t| put_part(t, view, file, key, at, size))?;
        all.add(put);
        at = end;
    }
    Ok(all)
}

/// Puts `keys`, extents in order that do not overlap, as [`put_extent`] would each of them: in one
/// transaction, if that does not overwrite too much.
pub(super) fn put_extents(
    engine: Engine<'_>,
    view: &View,
    file: FileId,
    keys: &[KeyBuf],
    size: u64,
) -> Result<Put> {
    let mut all = Put::default();
    for some in keys.chunks(TOGETHER_MAX) {
        let together = match some {
            [_] => None,
            _ => engine.run_in_reserve(|t| put_together(t, view, file, some, size))?,
        };
        match together {
            Some(put) => all.add(put),
            None => {
                for key in some {
                    all.add(put_extent(engine, view, file, key, size)?);
                }
            }
        }
    }
    Ok(all)
}

/// All of `keys`; or nothing, if that is too much for a transaction.
#[inline(never)]
fn put_together(
    t: &mut Trans<'_>,
    view: &View,
    file: FileId,
    keys: &[KeyBuf],
    size: u64,
) -> TransResult<Option<Put>> {
    let entered = view.gate.enter();
    let file = latest(view, file)?;
    let (mut sectors, mut nr, mut end) = (0i64, 0usize, 0u64);
    for key in keys {
        let of = key.k.p.with_snapshot(file.snapshot);
        let weight = weigh(t, view, (key, of), key.k.start_offset())?;
        if weight.end != key.k.p.offset {
            return Ok(None);
        }
        sectors = sectors.wrapping_add(weight.sectors);
        nr = nr.saturating_add(weight.nr);
        end = weight.end;
    }
    if nr > OVERWRITTEN_MAX {
        return Ok(None);
    }
    put_inode(t, view, file, sectors, end.saturating_mul(SECTOR).min(size))?;
    for key in keys {
        let mut key = KeyBuf::copy_of(&key.key())?;
        key.k.p.snapshot = file.snapshot;
        t.update_extent_in(BtreeId::EXTENTS, key, &view.table)?;
    }
    view.gate.check(entered)?;
    let seq = t.commit()?;
    Ok(Some(Put { seq, sectors }))
}

/// The file as it is to be written now: a snapshot of it may have been made since the write began.
pub(super) fn latest(view: &View, file: FileId) -> Result<FileId> {
    Ok(FileId {
        snapshot: view.latest_to_write(file.snapshot)?,
        ..file
    })
}

/// Changes the inode: so many sectors more, and at least `reached` bytes.
pub(super) fn put_inode(
    t: &mut Trans<'_>,
    view: &View,
    file: FileId,
    sectors: i64,
    reached: u64,
) -> TransResult {
    let mut inode = inode_get(t, view, file)?;
    inode.size = inode.size.max(reached);
    let total = inode.sectors.checked_add_signed(sectors);
    // What was wrong before stays wrong, for a check to find.
    inode.sectors = total.unwrap_or(0);
    // Also when it is as it was: it gets the number of the journal entry, for fsync(2).
    inode_put(t, &inode)
}

/// The part of `key` from sector `at` on that one transaction can do. Returns where it ends.
#[inline(never)]
fn put_part(
    t: &mut Trans<'_>,
    view: &View,
    file: FileId,
    key: &KeyBuf,
    at: u64,
    size: u64,
) -> TransResult<(u64, Put)> {
    let entered = view.gate.enter();
    let file = latest(view, file)?;
    let of = key.k.p.with_snapshot(file.snapshot);
    let Weight { end, sectors, .. } = weigh(t, view, (key, of), at)?;
    let mut part = cut(t, key, at, end)?;
    part.k.p.snapshot = file.snapshot;
    put_inode(t, view, file, sectors, end.saturating_mul(SECTOR).min(size))?;
    t.update_extent_in(BtreeId::EXTENTS, part, &view.table)?;
    view.gate.check(entered)?;
    let seq = t.commit()?;
    Ok((end, Put { seq, sectors }))
}

fn cut(t: &Trans<'_>, key: &KeyBuf, start: u64, end: u64) -> Result<KeyBuf> {
    let mut part = KeyBuf::copy_of(&key.key())?;
    let invalid = |e: Invalid| {
        pr_err!("extent {}: can not be cut: {e}", key.k);
        Error::DataCut
    };
    if part.is_deleted() {
        part.k.size = u32::try_from(end.saturating_sub(start)).unwrap_or(part.k.size);
        part.k.p.offset = end;
        return Ok(part);
    }
    part.cut_back(end).map_err(invalid)?;
    part.cut_front(start, t.btrees.entry_sizes())
        .map_err(invalid)?;
    Ok(part)
}

/// What putting a key comes to.
struct Weight {
    /// How far it can be put.
    end: u64,
    /// How many sectors more the file has then.
    sectors: i64,
    /// How many extents are overwritten.
    nr: usize,
}

/// How far `key` can be put from sector `at` on, so that not too many extents are overwritten.
///
/// C: `bch2_extent_trim_atomic()`, `bch2_sum_sector_overwrites()`.
fn weigh(
    t: &mut Trans<'_>,
    view: &View,
    (key, of): (&KeyBuf, Bpos),
    at: u64,
) -> TransResult<Weight> {
    let mut end = key.k.p.offset;
    let (mut from, mut nr, mut before) = (at, 0usize, 0u64);
    while from < end {
        let next = t.next_extent(BtreeId::EXTENTS, of, from, &view.table)?;
        let Some(old) = next.filter(|old| old.k.start_offset() < end) else {
            break;
        };
        let (start, stop) = (old.k.start_offset().max(at), old.k.p.offset.min(end));
        if old.k.key_type.is_allocation() {
            before = before.saturating_add(stop.saturating_sub(start));
        }
        nr = nr.saturating_add(1);
        if nr == OVERWRITTEN_MAX {
            end = stop;
        }
        from = stop;
    }
    let after = match key.k.key_type.is_allocation() {
        true => end.saturating_sub(at),
        false => 0,
    };
    Ok(Weight {
        end,
        sectors: i64_of_bits(after.wrapping_sub(before)),
        nr,
    })
}
