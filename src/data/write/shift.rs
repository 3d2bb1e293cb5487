// SPDX-License-Identifier: GPL-2.0

//! Ranges that are put into a file, or taken out of it: what is behind moves. That takes a
//! transaction for each extent; a note in the btree `logged_ops` says how far it got.

use super::{
    key::hole,
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
        pr_err,
        pr_info, //
    },
    error::{
        Class,
        Error,
        Invalid,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        values::logged_op::LoggedInsert, //
    },
    snapshots::View,
};

/// Bytes in a sector.
const SECTOR: u64 = 512;
/// States of an operation. C: `enum logged_op_finsert_state`.
const START: u8 = 0;
const SHIFT: u8 = 1;
const FINISH: u8 = 2;
/// Sectors that are looked at first for the last extent before a place.
const LOOK_BACK: u64 = 256;

/// A file whose extents move.
#[derive(Clone, Copy)]
struct Shift<'a> {
    engine: Engine<'a>,
    view: &'a View,
    file: FileId,
    /// Where the note is.
    at: Bpos,
}

/// Puts a hole of `sectors` sectors at sector `from` into a file of a subvolume, if `inserts`, or
/// takes as many out there. Its size changes by as much. Nothing from there on is in the page
/// cache.
///
/// C: `bch2_fcollapse_finsert()`.
pub fn shift(
    engine: Engine<'_>,
    view: &View,
    (file, subvol): (FileId, u32),
    (from, sectors): (u64, u64),
    inserts: bool,
) -> Result<Put> {
    let mut note = LoggedInsert {
        state: START,
        subvol,
        inum: file.inum,
        dst_offset: match inserts {
            true => from.checked_add(sectors).ok_or(Error::Overflow)?,
            // Below 0 as in C, when that much is not before.
            false => from.wrapping_sub(sectors),
        },
        src_offset: from,
        pos: if inserts { u64::MAX } else { from },
    };
    // A snapshot has all of it, or nothing.
    let _op = view.gate.op();
    let file = latest(view, file)?;
    let at = engine.run_in_reserve(|t| {
        let at = logged::add(t, KeyType::LOGGED_OP_FINSERT, &note.encode())?;
        t.commit()?;
        Ok(at)
    })?;
    let of = Shift {
        engine,
        view,
        file,
        at,
    };
    let mut put = Put::default();
    let done = of.go_on(&mut note, &mut put);
    let ended = engine.run_in_reserve(|t| logged::remove(t, at));
    done?;
    ended?;
    Ok(put)
}

/// Goes on with what a crash has interrupted.
///
/// C: `bch2_resume_logged_op_finsert()`.
pub(super) fn resume(engine: Engine<'_>, view: &View, at: Bpos, mut note: LoggedInsert) -> Result {
    pr_info!("{}: going on: finsert {note}", view.sb().name());
    let done = view.subvolume(note.subvol).and_then(|subvol| {
        let of = Shift {
            engine,
            view,
            file: FileId {
                inum: note.inum,
                snapshot: subvol.snapshot,
            },
            at,
        };
        of.go_on(&mut note, &mut Put::default())
    });
    match done {
        // It was deleted since.
        Err(e) if e.class() == Class::NotFound => Ok(()),
        done => done,
    }
}

/// How far data moves, as a number that is added; whether that is up.
fn by(note: &LoggedInsert) -> (u64, bool) {
    let by = note.dst_offset.wrapping_sub(note.src_offset);
    (by, by <= u64::MAX / 2)
}

impl Shift<'_> {
    fn go_on(&self, note: &mut LoggedInsert, put: &mut Put) -> Result {
        let journal = &self.engine.writer.journal;
        let steps = || self.all_steps(note, put);
        self.view.unsettled.change(journal, steps)
    }

    /// C: `__bch2_resume_logged_op_finsert()`.
    fn all_steps(&self, note: &mut LoggedInsert, put: &mut Put) -> Result {
        let (by, inserts) = by(note);
        let bytes = by.wrapping_mul(SECTOR);
        if note.state == START {
            note.state = SHIFT;
            if !inserts {
                let end = note.src_offset.saturating_add(by.wrapping_neg());
                put.add(punch(
                    self.engine,
                    self.view,
                    self.file,
                    note.src_offset,
                    end,
                )?);
            }
            let more = if inserts { bytes } else { 0 };
            self.engine.run_in_reserve(|t| self.step(t, note, more))?;
        }
        if note.state == SHIFT {
            loop {
                let mut next = *note;
                let (moved, seq) = self
                    .engine
                    .run_in_reserve(|t| self.move_one(t, *note, &mut next))?;
                if !moved {
                    break;
                }
                *note = next;
                put.seq = put.seq.max(seq);
            }
            note.state = FINISH;
            // Also when the size is as it was: the inode gets the number of the journal entry.
            let more = if inserts { 0 } else { bytes };
            let seq = self.engine.run_in_reserve(|t| self.step(t, note, more))?;
            put.seq = put.seq.max(seq);
        }
        Ok(())
    }

    /// Changes the note, and the size of the file by `more` bytes, which wrap around.
    #[inline(never)]
    fn step(&self, t: &mut Trans<'_>, note: &LoggedInsert, more: u64) -> TransResult<u64> {
        let mut inode = inode_get(t, self.view, self.file)?;
        inode.size = inode.size.wrapping_add(more);
        inode_put(t, &inode)?;
        logged::update(t, self.at, KeyType::LOGGED_OP_FINSERT, &note.encode())?;
        t.commit()
    }

    /// Moves the next extent; whether there was one. `next` is the note then.
    #[inline(never)]
    fn move_one(
        &self,
        t: &mut Trans<'_>,
        note: LoggedInsert,
        next: &mut LoggedInsert,
    ) -> TransResult<(bool, u64)> {
        let (by, inserts) = by(&note);
        let found = match inserts {
            true => self.last_before(t, &note)?,
            false => {
                let from = note.pos.max(note.src_offset);
                t.next_extent(BtreeId::EXTENTS, self.place(), from, &self.view.table)?
            }
        };
        let Some(mut key) = found else {
            return Ok((false, 0));
        };
        key.k.p.snapshot = self.file.snapshot;
        if key.k.start_offset() < note.src_offset {
            let sizes = t.btrees.entry_sizes();
            key.cut_front(note.src_offset, sizes)
                .map_err(|e: Invalid| {
                    pr_err!("extent {}: can not be cut: {e}", key.k);
                    Error::DataCutToMove
                })?;
        }
        let (start, end) = (key.k.start_offset(), key.k.p.offset);
        let away = hole(self.file, start, end)?;
        key.k.p.offset = end.wrapping_add(by);
        next.pos = if inserts { start } else { end };
        t.update_extent_in(BtreeId::EXTENTS, away, &self.view.table)?;
        t.update_extent_in(BtreeId::EXTENTS, key, &self.view.table)?;
        logged::update(t, self.at, KeyType::LOGGED_OP_FINSERT, &next.encode())?;
        Ok((true, t.commit()?))
    }

    fn place(&self) -> Bpos {
        Bpos::new(self.file.inum, 0, self.file.snapshot)
    }

    /// The last extent that starts before `note.pos`, and ends behind where the hole will be.
    fn last_before(&self, t: &mut Trans<'_>, note: &LoggedInsert) -> TransResult<Option<KeyBuf>> {
        let mut back = LOOK_BACK;
        loop {
            let from = note.pos.saturating_sub(back).max(note.src_offset);
            let (mut at, mut last) = (from, None);
            while at < note.pos {
                let key = t.next_extent(BtreeId::EXTENTS, self.place(), at, &self.view.table)?;
                let Some(key) = key.filter(|key| key.k.start_offset() < note.pos) else {
                    break;
                };
                at = key.k.p.offset;
                last = Some(key);
            }
            if last.is_some() || from <= note.src_offset {
                return Ok(last);
            }
            back = back.saturating_mul(8);
        }
    }
}
