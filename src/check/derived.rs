// SPDX-License-Identifier: GPL-2.0

//! Derived keys that are wrong.

use super::{
    Outcome,
    Report, //
};
use crate::{
    alloc::{
        space::{
            put_derived,
            Engine, //
        },
        trigger::{
            Derived,
            KeyChange, //
        },
    },
    env::Vec,
    error::{
        fsck::FsckError,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId, //
    },
};

/// A derived key that is wrong.
pub(super) struct Fix {
    /// As what it is reported.
    pub(super) id: FsckError,
    /// What it is to be.
    pub(super) change: KeyChange,
}

/// How many are noted until they are repaired, for they need memory.
const WRONG_MAX: usize = 1 << 16;

/// Derived keys of one btree, which has a write buffer, that are found wrong in one round: they are
/// repaired at the end, and in between when they are many.
pub(super) struct Fixes<'a> {
    engine: Engine<'a>,
    report: &'a mut Report,
    btree: BtreeId,
    wrong: Vec<Fix>,
    fixed: usize,
}

impl<'a> Fixes<'a> {
    /// None so far.
    pub(super) fn new(engine: Engine<'a>, report: &'a mut Report, btree: BtreeId) -> Self {
        Self {
            engine,
            report,
            btree,
            wrong: Vec::new(),
            fixed: 0,
        }
    }

    /// What is at `start` is wrong, and should be `to`.
    pub(super) fn note(&mut self, id: FsckError, start: Bpos, to: Derived) -> Result {
        let btree = self.btree;
        let change = KeyChange { btree, start, to };
        self.wrong.push(Fix { id, change })?;
        match self.wrong.len() < WRONG_MAX {
            true => Ok(()),
            false => self.repair(),
        }
    }

    fn repair(&mut self) -> Result {
        let fixed = fix(self.engine, self.report, &self.wrong)?;
        self.fixed = self.fixed.saturating_add(fixed);
        self.wrong.clear();
        Ok(())
    }

    /// Something else was found wrong: what is to be done about it is for the caller.
    pub(super) fn repaired_by(
        &mut self,
        repair: impl FnOnce(Engine<'a>, &mut Report) -> Result<bool>,
    ) -> Result {
        let done = repair(self.engine, self.report)?;
        self.fixed = self.fixed.saturating_add(done.into());
        Ok(())
    }

    /// Says how many were repaired.
    pub(super) fn end(mut self) -> Result<usize> {
        self.repair()?;
        Ok(self.fixed)
    }
}

/// Reports all of `wrong`, and repairs what is to be; returns how many.
#[inline(never)]
pub(super) fn fix(engine: Engine<'_>, report: &mut Report, wrong: &[Fix]) -> Result<usize> {
    let st = engine.btrees.sb();
    let mut fixed = 0usize;
    for Fix { id, change } in wrong {
        let (btree, start) = (change.btree, change.start);
        let outcome = match change.to {
            Derived::Absent => {
                report.found(st, *id, format_args!("{btree} {start}: should not be set"))?
            }
            Derived::Set => report.found(st, *id, format_args!("{btree} {start}: not set"))?,
            Derived::Backpointer(bp) => {
                let (of, level, pos) = (bp.btree, bp.level, bp.pos);
                report.found(
                    st,
                    *id,
                    format_args!(
                        "{btree} {start}: missing, or wrong, for btree {of} level {level} {pos}"
                    ),
                )?
            }
        };
        if outcome == Outcome::Repair {
            put_derived(engine, change)?;
            fixed = fixed.saturating_add(1);
        }
    }
    Ok(fixed)
}
