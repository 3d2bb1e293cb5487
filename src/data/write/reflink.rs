// SPDX-License-Identifier: GPL-2.0

//! Sharing data between files: what is shared goes to the btree `reflink`, where its users are
//! counted, and each file gets a pointer to it.

use super::{
    key::header,
    punch,
    update::{
        latest,
        put_extent,
        Put, //
    },
};
use crate::{
    alloc::space::{
        Engine,
        Trans, //
    },
    btree::{
        trans::TransResult,
        Btrees,
        KeyBuf, //
    },
    data::{
        inode_get,
        inode_put,
        plan,
        FileId, //
    },
    env::Vec,
    error::{
        Error,
        Result, //
    },
    format::{
        bkey::Bkey,
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        sb::Features,
        values::{
            extent::is_unwritten,
            reflink::{
                ReflinkPtr,
                REFLINK_IDX_MAX, //
            },
        },
    },
    journal::live::Watermark,
    snapshots::View,
};

/// Bytes in a sector.
const SECTOR: u64 = 512;

/// What is at a sector of a file that is to be shared.
enum Shared {
    /// Nothing, up to this sector.
    Hole(u64),
    /// What is at this sector of the btree, up to a sector of the file.
    At(u64, u64),
}

/// Has the file `to.0` share, from sector `to.1` on, the data of the file `from.0`: `sectors` of
/// it from sector `from.1` on. None of that is in the page cache of the first, or dirty in that of
/// the other. The size of the first is at least `size` bytes afterwards, as far as this got; how
/// many sectors that is goes to `done`.
///
/// C: `bch2_remap_range()`.
pub fn share(
    engine: Engine<'_>,
    view: &View,
    from: (FileId, u64),
    to: (FileId, u64),
    sectors: u64,
    size: u64,
    done: &mut u64,
) -> Result<Put> {
    // Inline data can be among it.
    view.sb()
        .use_features(1 << Features::REFLINK | 1 << Features::REFLINK_INLINE_DATA)?;
    let mut all = Put::default();
    let end = from.1.saturating_add(sectors);
    while *done < sectors {
        let at = from.1.saturating_add(*done);
        let target = to.1.saturating_add(*done);
        let found = engine.run(Watermark::Normal, |t| find(t, view, from.0, at, end))?;
        let stop = match found {
            Shared::Hole(stop) => {
                let len = stop.min(end).saturating_sub(at);
                all.add(punch(
                    engine,
                    view,
                    to.0,
                    target,
                    target.saturating_add(len),
                )?);
                stop
            }
            Shared::At(idx, stop) => {
                let len = stop.min(end).saturating_sub(at);
                let key = pointer(to.0, (target, target.saturating_add(len)), idx)?;
                all.add(put_extent(engine, view, to.0, &key, size)?);
                stop
            }
        };
        *done = stop.min(end).saturating_sub(from.1);
    }
    // With a hole at the end, nothing was put there.
    let reached = to.1.saturating_add(*done).saturating_mul(SECTOR);
    let seq = engine.run(Watermark::Normal, |t| {
        let entered = view.gate.enter();
        let file = latest(view, to.0)?;
        let mut inode = inode_get(t, view, file)?;
        inode.size = inode.size.max(reached.min(size));
        inode_put(t, &inode)?;
        view.gate.check(entered)?;
        t.commit()
    })?;
    all.add(Put { seq, sectors: 0 });
    Ok(all)
}

/// The key of a pointer to what is shared.
fn pointer(file: FileId, (start, end): (u64, u64), idx: u64) -> Result<KeyBuf> {
    let p = ReflinkPtr {
        idx,
        front_pad: 0,
        back_pad: 0,
        error: false,
        may_update_options: false,
    };
    let value = p.encode().ok_or(Error::Overflow)?;
    KeyBuf::of(header(file, KeyType::REFLINK_P, start, end)?, &value)
}

/// What is at sector `at` of a file, made to be shared if it is not yet.
#[inline(never)]
fn find(
    t: &mut Trans<'_>,
    view: &View,
    file: FileId,
    mut at: u64,
    end: u64,
) -> TransResult<Shared> {
    let of = Bpos::new(file.inum, 0, view.latest(file.snapshot));
    let sizes = t.btrees.entry_sizes();
    let first = at;
    let key = loop {
        let found = t.next_extent(BtreeId::EXTENTS, of, at, &view.table)?;
        let Some(key) = found.filter(|k| k.k.start_offset() < end) else {
            return Ok(Shared::Hole(end));
        };
        match key.k.key_type {
            // As behind: it reads as zeros.
            KeyType::EXTENT if is_unwritten(&key.key(), sizes) => at = key.k.p.offset,
            KeyType::EXTENT | KeyType::REFLINK_P | KeyType::INLINE_DATA => break key,
            KeyType::ERROR => return Err(Error::ReflinkLost.into()),
            // It reads as zeros, and who shares it need not have space for it.
            _ => at = key.k.p.offset,
        }
        if at >= end {
            return Ok(Shared::Hole(end));
        }
    };
    let start = key.k.start_offset();
    if start > first {
        return Ok(Shared::Hole(start));
    }
    let idx = match plan::indirect(&key.key())? {
        Some(idx) => idx,
        None => {
            let idx = make_shared(t, &key)?;
            t.commit()?;
            idx
        }
    };
    let into = first.saturating_sub(start);
    Ok(Shared::At(idx.saturating_add(into), key.k.p.offset))
}

/// Moves what `key` has to the btree `reflink`, and puts a pointer in its place. Other snapshots
/// that see it see no difference.
///
/// C: `bch2_make_extent_indirect()`.
fn make_shared(t: &mut Trans<'_>, key: &KeyBuf) -> TransResult<u64> {
    let mut idx = first_unused(t.btrees)?;
    while let Some(other) = t.next(
        BtreeId::REFLINK,
        Bpos::new(0, idx, 0).successor(),
        Bpos::MAX,
    )? {
        idx = other.k.p.offset;
    }
    let end = idx.saturating_add(key.k.size.into());
    if end > REFLINK_IDX_MAX {
        return Err(Error::ReflinkFull.into());
    }
    let kind = match key.k.key_type {
        KeyType::INLINE_DATA => KeyType::INDIRECT_INLINE_DATA,
        _ => KeyType::REFLINK_V,
    };
    // The count of users, which the pointers' trigger changes, and what it was.
    let mut value = Vec::new();
    value.extend_from_slice(&0u64.to_le_bytes())?;
    value.extend_from_slice(key.key().v)?;
    let k = Bkey {
        key_type: kind,
        p: Bpos::new(0, end, 0),
        ..key.k
    };
    t.update(BtreeId::REFLINK, KeyBuf::of(k, &value)?)?;
    let file = FileId {
        inum: key.k.p.inode,
        snapshot: key.k.p.snapshot,
    };
    let range = (key.k.start_offset(), key.k.p.offset);
    t.update(BtreeId::EXTENTS, pointer(file, range, idx)?)?;
    Ok(idx)
}

/// The first sector of the btree `reflink` that nothing is at or behind.
fn first_unused(btrees: &Btrees) -> Result<u64> {
    // There is something at or behind `low`, if that is not 0, and nothing at or behind `high`.
    let (mut low, mut high) = (0u64, REFLINK_IDX_MAX);
    let mut iter = btrees.iter(BtreeId::REFLINK, 0, Bpos::MIN);
    while low < high {
        let middle = low.saturating_add(high.saturating_sub(low) / 2);
        iter.seek(Bpos::new(0, middle.saturating_add(1), 0));
        match iter.advance()? {
            Some(k) if k.p.inode == 0 => low = k.p.offset,
            _ => high = middle,
        }
    }
    Ok(high)
}
