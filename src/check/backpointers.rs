// SPDX-License-Identifier: GPL-2.0

//! The passes about backpointers: against the keys that they are of, both ways.

use super::{
    derived::Fixes,
    look::{
        Gens,
        Look, //
    },
    rounds::Rounds,
    sources::for_each_source,
    Outcome,
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
        pr_err,
        units::DevIdx, //
    },
    error::{
        fsck::FsckError,
        Error,
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
    journal::live::Watermark,
};

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
        let mut found = Fixes::new(engine, report, BtreeId::BACKPOINTERS);
        let mut iter = btrees.iter(BtreeId::BACKPOINTERS, 0, Bpos::MIN);
        while let Some(key) = iter.next()? {
            let (at, bp) = (key.k.p, Backpointer::decode(key.v).ok());
            if !is_wanted(btrees, at, bp)? {
                found.note(id, at, Derived::Absent)?;
            }
        }
        rounds.fixed(found.end()?);
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
    delete_unless(engine, report, id, |btrees, at, bp| match bp {
        Some(bp) => Ok(owner(btrees, &mut look, &mut out, (at, bp))?.is_some()),
        None => Ok(false),
    })
}

/// The key that the backpointer `bp` at `at` is of, if it has such a pointer.
fn owner(
    btrees: &Btrees,
    look: &mut Look<'_>,
    out: &mut Effects,
    (at, bp): (Bpos, Backpointer),
) -> Result<Option<KeyBuf>> {
    let Some(key) = key_at(btrees, &bp)? else {
        return Ok(None);
    };
    recount(look, bp.btree, bp.level, key.key(), out)?;
    let wanted = |c: &KeyChange| {
        c.btree == BtreeId::BACKPOINTERS && c.start == at && c.to == Derived::Backpointer(bp)
    };
    let is = out.keys().iter().any(wanted);
    out.clear();
    Ok(Some(key).filter(|_| is))
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

/// Adds backpointers that keys should have. When two keys have a pointer to the same place, one of
/// them has to go first.
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
        let (mut out, mut others) = (Effects::new(), Effects::new());
        let mut found = Fixes::new(engine, report, BtreeId::BACKPOINTERS);
        let mut there = btrees.iter(BtreeId::BACKPOINTERS, 0, Bpos::MIN);
        for_each_source(btrees, |btree, level, key| {
            recount(&mut look, btree, level, key, &mut out)?;
            for change in out.keys() {
                let Derived::Backpointer(bp) = change.to else {
                    continue;
                };
                there.seek(change.start);
                let there = there.next()?.filter(|k| k.k.p == change.start);
                let have = there.and_then(|k| Backpointer::decode(k.v).ok());
                if have == Some(bp) {
                    continue;
                }
                let other = match have {
                    Some(other) => owner(btrees, &mut look, &mut others, (change.start, other))?,
                    None => None,
                };
                if let Some(other) = other {
                    let same_btree = have.is_some_and(|o| (o.btree, o.level) == (btree, level));
                    let key = KeyBuf::copy_of(&key)?;
                    found.repaired_by(|engine, report| {
                        drop_one(engine, report, (&key, &other), same_btree.then_some(btree))
                    })?;
                    // It may be gone: the rest of it is for the next round.
                    break;
                }
                let id = FsckError::PTR_TO_MISSING_BACKPOINTER;
                found.note(id, change.start, change.to)?;
            }
            out.clear();
            Ok(())
        })?;
        rounds.fixed(found.end()?);
    }
    Ok(())
}

/// Two keys have a pointer to the same place. When they are versions of one extent, one of them
/// shorter, that one is deleted: nothing is lost. Else only who reads the data can tell which is
/// right. Says whether something was done.
///
/// C: `check_bp_exists()`, from the label `check_existing_bp`; it compares checksums as well.
#[inline(never)]
fn drop_one(
    engine: Engine<'_>,
    report: &mut Report,
    (a, b): (&KeyBuf, &KeyBuf),
    btree: Option<BtreeId>,
) -> Result<bool> {
    let st = engine.btrees.sb();
    let place = |key: &KeyBuf| (key.k.p.inode, key.k.p.snapshot, key.k.start_offset());
    let btree = btree.filter(|b| *b == BtreeId::EXTENTS);
    let Some(btree) = btree.filter(|_| place(a) == place(b)) else {
        pr_err!(
            "{}: {} and {} have pointers to the same space",
            st.name(),
            a.k,
            b.k
        );
        return Err(Error::CheckSameSpace);
    };
    let shorter = if a.k.size < b.k.size { a } else { b };
    let outcome = report.found(
        st,
        FsckError::EXTENT_OVERLAPPING,
        format_args!(
            "extents {} and {} are versions of one: deleting the shorter one",
            a.k, b.k
        ),
    )?;
    if outcome == Outcome::Leave {
        return Ok(false);
    }
    engine.run(Watermark::Reclaim, |t| {
        t.use_reserve();
        t.delete(btree, shorter.k.p)?;
        t.commit()
    })?;
    Ok(true)
}
