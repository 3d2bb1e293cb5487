// SPDX-License-Identifier: GPL-2.0

//! Another size of a file. What is behind the new end goes in many transactions; so that a crash in
//! between does not leave a part of it, a note is in the btree `logged_ops` meanwhile, and the next
//! mount goes on from there.

use super::{
    logged, punch,
    update::{
        latest,
        Put, //
    },
};
use crate::{
    alloc::space::{
        Engine,
        Trans, //
    },
    btree::trans::TransResult,
    data::{
        inode_get,
        inode_put,
        FileId, //
    },
    env::{
        num::round_up_pow2,
        pr_info, //
    },
    error::{
        Class,
        Error,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        values::logged_op::LoggedTruncate, //
    },
    snapshots::View,
};

/// Bytes in a sector.
const SECTOR: u64 = 512;

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
    // A snapshot has all of it, or nothing.
    let _op = view.gate.op();
    let (at, seq) = engine.run_in_reserve(|t| begin(t, view, file, &note))?;
    let mut put = Put { seq, sectors: 0 };
    let Some(at) = at else {
        return Ok(put);
    };
    let cut = punch_behind(engine, view, file, new_size);
    let ended = engine.run_in_reserve(|t| logged::remove(t, at));
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
    let entered = view.gate.enter();
    let file = latest(view, file)?;
    let mut inode = inode_get(t, view, file)?;
    let (shrinks, grows) = (note.new_size < inode.size, note.new_size > inode.size);
    inode.size = note.new_size;
    let mut at = None;
    // Space can be allocated behind the end, and stays when that goes there.
    if shrinks || !grows && has_extent_behind(t, view, file, note.new_size)? {
        at = Some(logged::add(t, KeyType::LOGGED_OP_TRUNCATE, &note.encode())?);
    }
    inode_put(t, &inode)?;
    view.gate.check(entered)?;
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

/// Goes on with what a crash has interrupted.
///
/// C: `bch2_resume_logged_op_truncate()`.
pub(super) fn resume(engine: Engine<'_>, view: &View, note: &LoggedTruncate) -> Result {
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
