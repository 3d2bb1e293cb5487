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
    error::{
        fsck::FsckError,
        Result, //
    },
};

/// A derived key that is wrong.
pub(super) struct Fix {
    /// As what it is reported.
    pub(super) id: FsckError,
    /// What it is to be.
    pub(super) change: KeyChange,
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
