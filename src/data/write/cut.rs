// SPDX-License-Identifier: GPL-2.0

//! Another size of a file. What is behind the new end goes in many transactions; so that a crash in
//! between does not leave a part of it, a note is in the btree `logged_ops` meanwhile, and the next
//! mount goes on from there.

use super::{
    punch,
    update::Put, //
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
    data::{
        inode_get,
        inode_put,
        FileId, //
    },
    env::{
        num::round_up_pow2,
        pr_err,
        pr_info,
        Vec, //
    },
    error::{
        Class,
        Error,
        Result, //
    },
    format::{
        bkey::Bkey,
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        values::logged_op::LoggedTruncate, //
    },
    snapshots::View,
};

/// Bytes in a sector.
const SECTOR: u64 = 512;
/// The part of `logged_ops` that has operations. C: `LOGGED_OPS_INUM_logged_ops`.
const OPERATIONS: u64 = 0;

/// Gives `file` of a subvolume another size. What is behind the end of the block that the new end
/// is in is gone afterwards; the rest of that block is the page cache's to clear.
///
/// C: `bch2_truncate()`.
pub fn truncate(
    engine: Engine<'_>,
    view: &View,
    (file, subvol): (FileId, u32),
    new_size: u64,
) -> Result<Put> {
    let note = LoggedTruncate {
        subvol,
        inum: file.inum,
        new_size,
    };
    let (at, seq) = engine.run_in_reserve(|t| begin(t, view, file, &note))?;
    let mut put = Put { seq, sectors: 0 };
    let Some(at) = at else {
        return Ok(put);
    };
    let cut = punch_behind(engine, view, file, new_size);
    let ended = engine.run_in_reserve(|t| end(t, at));
    put.add(cut?);
    ended?;
    Ok(put)
}

/// The size; and when something may have to go, the note, whose position is returned.
#[inline(never)]
fn begin(
    t: &mut Trans<'_>,
    view: &View,
    file: FileId,
    note: &LoggedTruncate,
) -> TransResult<(Option<Bpos>, u64)> {
    let mut inode = inode_get(t, view, file)?;
    let shrinks = note.new_size < inode.size;
    inode.size = note.new_size;
    let mut at = None;
    // Space can be allocated behind the end.
    if shrinks || has_extent_behind(t, view, file, note.new_size)? {
        let mut p = Bpos::new(OPERATIONS, 1, 0);
        while t.get(BtreeId::LOGGED_OPS, p)?.is_some() {
            p = p.next_offset();
        }
        let k = Bkey {
            key_type: KeyType::LOGGED_OP_TRUNCATE,
            p,
            ..Bkey::default()
        };
        t.update(BtreeId::LOGGED_OPS, KeyBuf::of(k, &note.encode())?)?;
        at = Some(p);
    }
    inode_put(t, &inode)?;
    let seq = t.commit()?;
    Ok((at, seq))
}

fn has_extent_behind(t: &mut Trans<'_>, view: &View, file: FileId, size: u64) -> TransResult<bool> {
    let of = Bpos::new(file.inum, 0, file.snapshot);
    let sector = end_sector(view, size)?;
    Ok(t.next_extent(BtreeId::EXTENTS, of, sector, &view.table)?
        .is_some())
}

/// The first sector behind the block that a file of `size` bytes ends in.
fn end_sector(view: &View, size: u64) -> Result<u64> {
    let block = u64::from(view.sb().sb.block_bytes());
    let end = round_up_pow2(size, block).ok_or(Error::Overflow)?;
    Ok(end / SECTOR)
}

fn punch_behind(engine: Engine<'_>, view: &View, file: FileId, size: u64) -> Result<Put> {
    punch(engine, view, file, end_sector(view, size)?, u64::MAX)
}

/// Takes the note away.
fn end(t: &mut Trans<'_>, at: Bpos) -> TransResult {
    t.delete(BtreeId::LOGGED_OPS, at)?;
    t.commit()?;
    Ok(())
}

/// Goes on with what a crash has interrupted. Before anything else is changed.
///
/// C: `bch2_resume_logged_ops()`.
pub fn resume_truncates(engine: Engine<'_>, view: &View) -> Result {
    let mut found = Vec::new();
    let mut iter = view.btrees.iter(BtreeId::LOGGED_OPS, 0, Bpos::MIN);
    while let Some(key) = iter.next()? {
        match key.k.key_type {
            KeyType::LOGGED_OP_TRUNCATE => match LoggedTruncate::decode(key.v) {
                Ok(note) => found.push((key.k.p, note))?,
                Err(e) => {
                    pr_err!("{}: logged operation {}: {e}", view.sb().name(), key.k);
                    return Err(Error::LoggedOpInvalid);
                }
            },
            KeyType::LOGGED_OP_FINSERT => return Err(Error::LoggedInsertUnsupported),
            _ => (),
        }
    }
    drop(iter);
    for (at, note) in found {
        resume(engine, view, &note)?;
        engine.run_in_reserve(|t| end(t, at))?;
    }
    Ok(())
}

/// C: `bch2_resume_logged_op_truncate()`.
fn resume(engine: Engine<'_>, view: &View, note: &LoggedTruncate) -> Result {
    pr_info!("{}: going on: truncate {note}", view.sb().name());
    let done = view.subvolume(note.subvol).and_then(|subvol| {
        let file = FileId {
            inum: note.inum,
            snapshot: subvol.snapshot,
        };
        engine.run_in_reserve(|t| {
            let mut inode = inode_get(t, view, file)?;
            inode.size = note.new_size;
            inode_put(t, &inode)?;
            t.commit()
        })?;
        punch_behind(engine, view, file, note.new_size)
    });
    match done {
        Ok(_) => Ok(()),
        // It was deleted since.
        Err(e) if e.class() == Class::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}
