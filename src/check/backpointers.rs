// SPDX-License-Identifier: GPL-2.0

//! The passes about backpointers: against the keys that they are of, both ways.

use super::{
    derived::{
        fix,
        Fix, //
    },
    look::{
        Gens,
        Look, //
    },
    rounds::Rounds,
    sources::for_each_source,
    Report, //
};
use crate::{
    alloc::{
        space::{
            geometry,
            Engine, //
        },
        trigger::{
            recount,
            Derived,
            Effects,
            KeyChange, //
        },
    },
    btree::{
        flush_write_buffer,
        Btrees,
        Iter,
        KeyBuf, //
    },
    env::{
        num::div_or_zero,
        units::DevIdx,
        Vec, //
    },
    error::{
        fsck::FsckError,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        values::backpointer::{
            Backpointer,
            BACKPOINTER_SHIFT, //
        },
    },
};

/// What is noted in one round, for it needs memory.
const FOUND_MAX: usize = 1 << 16;

fn note(found: &mut Vec<Fix>, id: FsckError, start: Bpos, to: Derived) -> Result {
    if found.len() >= FOUND_MAX {
        return Ok(());
    }
    let btree = BtreeId::BACKPOINTERS;
    found.push(Fix {
        id,
        change: KeyChange { btree, start, to },
    })
}

/// Goes over all backpointers, deletes those that `is_wanted` does not want, and starts over as
/// long as there are any.
fn delete_unless(
    engine: Engine<'_>,
    report: &mut Report,
    id: FsckError,
    mut is_wanted: impl FnMut(&Btrees, Bpos, Option<Backpointer>) -> Result<bool>,
) -> Result {
    let btrees = engine.btrees;
    let mut rounds = Rounds::new();
    while rounds.go_on()? {
        flush_write_buffer(btrees, engine.writer)?;
        let mut found = Vec::new();
        let mut iter = btrees.iter(BtreeId::BACKPOINTERS, 0, Bpos::MIN);
        while let Some(key) = iter.next()? {
            let (at, bp) = (key.k.p, Backpointer::decode(key.v).ok());
            if !is_wanted(btrees, at, bp)? {
                note(&mut found, id, at, Derived::Absent)?;
            }
        }
        rounds.fixed(fix(engine, report, &found)?);
    }
    Ok(())
}

/// Deletes backpointers of places that do not exist.
///
/// C: `bch2_check_btree_backpointers()`.
#[inline(never)]
pub fn check_btree_backpointers(engine: Engine<'_>, report: &mut Report) -> Result {
    let id = FsckError::BACKPOINTER_TO_MISSING_DEVICE;
    delete_unless(engine, report, id, |btrees, at, _| {
        let dev = u8::try_from(at.inode).ok().map(DevIdx);
        let there = dev
            .and_then(|dev| geometry(btrees.sb(), dev))
            .is_some_and(|g| {
                let sector = at.offset.wrapping_shr(BACKPOINTER_SHIFT);
                div_or_zero(sector, g.bucket_sectors) < g.nr_buckets
            });
        Ok(there)
    })
}

/// Deletes backpointers of keys that do not have such a pointer.
///
/// C: `bch2_check_backpointers_to_extents()`.
#[inline(never)]
pub fn check_backpointers_to_extents(engine: Engine<'_>, report: &mut Report) -> Result {
    let gens = Gens::read(engine.btrees)?;
    let mut look = Look::new(engine.btrees, &gens);
    let mut out = Effects::new();
    let id = FsckError::BACKPOINTER_TO_MISSING_PTR;
    delete_unless(engine, report, id, |btrees, at, bp| {
        let Some(bp) = bp else {
            return Ok(false);
        };
        let Some(key) = key_at(btrees, &bp)? else {
            return Ok(false);
        };
        recount(&mut look, bp.btree, bp.level, key.key(), &mut out)?;
        let wanted = |c: &KeyChange| {
            c.btree == BtreeId::BACKPOINTERS && c.start == at && c.to == Derived::Backpointer(bp)
        };
        let is = out.keys().iter().any(wanted);
        out.clear();
        Ok(is)
    })
}

/// The key that a backpointer is of.
///
/// C: `bch2_backpointer_get_key()`, `bch2_backpointer_get_node()`.
fn key_at(btrees: &Btrees, bp: &Backpointer) -> Result<Option<KeyBuf>> {
    if let Some((level, root)) = btrees.root_pointer(bp.btree)? {
        if level == bp.level {
            return Ok(Some(root).filter(|root| root.k.p == bp.pos));
        }
        if level < bp.level {
            return Ok(None);
        }
    }
    let mut iter: Iter<'_> = btrees.iter(bp.btree, bp.level, bp.pos).until(bp.pos);
    let key = iter.next()?.filter(|k| k.k.p == bp.pos);
    key.map(|k| KeyBuf::copy_of(&k)).transpose()
}

/// Adds backpointers that keys should have.
///
/// C: `bch2_check_extents_to_backpointers()`.
#[inline(never)]
pub fn check_extents_to_backpointers(engine: Engine<'_>, report: &mut Report) -> Result {
    let btrees = engine.btrees;
    let mut rounds = Rounds::new();
    while rounds.go_on()? {
        flush_write_buffer(btrees, engine.writer)?;
        let gens = Gens::read(btrees)?;
        let mut look = Look::new(btrees, &gens);
        let mut out = Effects::new();
        let mut found = Vec::new();
        let mut there = btrees.iter(BtreeId::BACKPOINTERS, 0, Bpos::MIN);
        for_each_source(btrees, |btree, level, key| {
            recount(&mut look, btree, level, key, &mut out)?;
            for change in out.keys() {
                let Derived::Backpointer(bp) = change.to else {
                    continue;
                };
                there.seek(change.start);
                let key = there.next()?.filter(|k| k.k.p == change.start);
                let have = key.and_then(|k| Backpointer::decode(k.v).ok());
                if have != Some(bp) {
                    let id = FsckError::PTR_TO_MISSING_BACKPOINTER;
                    note(&mut found, id, change.start, change.to)?;
                }
            }
            out.clear();
            Ok(())
        })?;
        rounds.fixed(fix(engine, report, &found)?);
    }
    Ok(())
}
