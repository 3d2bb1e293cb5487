// SPDX-License-Identifier: GPL-2.0

//! Notes of operations that take many transactions, in the btree `logged_ops`.

use super::{
    cut,
    shift, //
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
    env::{
        pr_err,
        Vec, //
    },
    error::{
        Error,
        Invalid,
        Result, //
    },
    format::{
        bkey::{
            Bkey,
            Key, //
        },
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        values::logged_op::{
            LoggedInsert,
            LoggedTruncate, //
        },
    },
    snapshots::View,
};

/// The part of `logged_ops` that has operations. C: `LOGGED_OPS_INUM_logged_ops`.
const OPERATIONS: u64 = 0;

/// Adds a note; where it is.
///
/// C: `bch2_logged_op_start()`.
pub(super) fn add(t: &mut Trans<'_>, key_type: KeyType, value: &[u8]) -> TransResult<Bpos> {
    let mut at = Bpos::new(OPERATIONS, 1, 0);
    while t.get(BtreeId::LOGGED_OPS, at)?.is_some() {
        at = at.next_offset();
    }
    update(t, at, key_type, value)?;
    Ok(at)
}

/// Changes a note.
///
/// C: `bch2_logged_op_update()`.
pub(super) fn update(t: &mut Trans<'_>, at: Bpos, key_type: KeyType, value: &[u8]) -> TransResult {
    let k = Bkey {
        key_type,
        p: at,
        ..Bkey::default()
    };
    t.update(BtreeId::LOGGED_OPS, KeyBuf::of(k, value)?)
}

/// Takes a note away, in a transaction of its own.
///
/// C: `bch2_logged_op_finish()`.
pub(super) fn remove(t: &mut Trans<'_>, at: Bpos) -> TransResult {
    t.delete(BtreeId::LOGGED_OPS, at)?;
    t.commit()?;
    Ok(())
}

/// What is to be gone on with.
enum Note {
    Truncate(LoggedTruncate),
    Insert(LoggedInsert),
}

fn note(key: &Key<'_>) -> Result<Option<Note>, Invalid> {
    Ok(match key.k.key_type {
        KeyType::LOGGED_OP_TRUNCATE => Some(Note::Truncate(LoggedTruncate::decode(key.v)?)),
        KeyType::LOGGED_OP_FINSERT => Some(Note::Insert(LoggedInsert::decode(key.v)?)),
        _ => None,
    })
}

/// Goes on with what a crash has interrupted. Before anything else is changed.
///
/// C: `bch2_resume_logged_ops()`.
pub fn resume_operations(engine: Engine<'_>, view: &View) -> Result {
    let mut found = Vec::new();
    let mut iter = view.btrees.iter(BtreeId::LOGGED_OPS, 0, Bpos::MIN);
    while let Some(key) = iter.next()? {
        match note(&key) {
            Ok(Some(note)) => found.push((key.k.p, note))?,
            Ok(None) => (),
            Err(e) => {
                pr_err!("{}: logged operation {}: {e}", view.sb().name(), key.k);
                return Err(Error::LoggedOpInvalid);
            }
        }
    }
    drop(iter);
    for (at, note) in found {
        match note {
            Note::Truncate(note) => cut::resume(engine, view, &note)?,
            Note::Insert(note) => shift::resume(engine, view, at, note)?,
        }
        engine.run_in_reserve(|t| remove(t, at))?;
    }
    Ok(())
}
