// SPDX-License-Identifier: GPL-2.0

//! From the updates of a transaction to all that follows from them.

use super::{
    look::{
        alloc_of,
        Look, //
    },
    space::Trans,
};
use crate::{
    alloc::trigger::{
        deleted,
        has_triggers,
        journal_seq_at_commit,
        trigger,
        Amend,
        Derived,
        Edit,
        Effects,
        KeyChange, //
    },
    btree::{
        trans::TransResult,
        KeyBuf, //
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
        sb::Version,
        values::{
            accounting::Counted,
            alloc::{
                Alloc,
                BUCKET_GENS, //
            },
            bucket_index::{
                alloc_pos,
                bucket_gens_pos, //
            },
            in_place::{
                add_block_sectors,
                add_refcount,
                encode_counters,
                set_bucket_gen,
                set_inode_flag,
                set_reflink_pads, //
            },
            inode::InodeFlags,
        },
    },
};

/// An update whose trigger has run, and what that saw.
struct Seen {
    btree: BtreeId,
    level: u8,
    key: KeyBuf,
}

// Its parts are out of line, as everything that others call from here: the stack is small.

/// Stages all that follows from what is staged, in the order that
/// [`trigger`](crate::alloc::trigger) says.
///
/// C: `bch2_trans_commit_run_triggers()`.
#[inline(never)]
pub(super) fn derive(t: &mut Trans<'_>) -> TransResult {
    if t.root_changes().is_empty() && !t.updates().any(|u| has_triggers(u.btree, u.level)) {
        return Ok(());
    }
    let mut out = Effects::new();
    let mut seen = Vec::new();
    root_triggers(t, &mut out)?;
    loop {
        let next = next_untriggered(t, &seen);
        // Edits come before the btrees behind: they are updates there.
        let goes_on = |btree| seen.iter().all(|s| s.btree >= btree);
        match next {
            Some((btree, ..)) if !goes_on(btree) && edits(t, &mut out)? => (),
            Some((btree, level, pos)) => run_one(t, &mut out, &mut seen, btree, level, pos)?,
            None if edits(t, &mut out)? => (),
            None => break,
        }
    }
    bucket_changes(t, &mut out)?;
    bucket_triggers(t, &mut out)?;
    // Generations of buckets.
    edits(t, &mut out)?;
    for change in out.keys() {
        stage_derived(t, change)?;
    }
    for change in out.counters().iter().filter(|c| !c.is_zero()) {
        let key = counter_key_at(change.pos, change.by())?;
        t.buffer(BtreeId::ACCOUNTING, key)?;
    }
    Ok(())
}

/// Pointers to roots count as being at the level above; those in new roots are in no update.
#[inline(never)]
fn root_triggers(t: &mut Trans<'_>, out: &mut Effects) -> TransResult {
    let mut changes = Vec::new();
    for root in t.root_changes() {
        let (btree, level) = (root.node.btree, root.node.level);
        let (old, new) = (copy(&root.old)?, copy(&root.new)?);
        changes.push((btree, level.saturating_add(1), old, new))?;
        for child in &root.children {
            changes.push((btree, level, KeyBuf::deletion(child.k.p), copy(child)?))?;
        }
    }
    for (btree, level, old, new) in &changes {
        // There is nothing to amend in a pointer to a node.
        let _ = trigger(&mut Look(t), *btree, *level, old.key(), new.key(), out)?;
    }
    Ok(())
}

fn copy(key: &KeyBuf) -> Result<KeyBuf> {
    KeyBuf::copy_of(&key.key())
}

fn same(a: &KeyBuf, b: &KeyBuf) -> bool {
    a.k == b.k && a.value() == b.value()
}

/// The first update outside of the alloc btree whose trigger has not seen its key.
fn next_untriggered(t: &Trans<'_>, seen: &[Seen]) -> Option<(BtreeId, u8, Bpos)> {
    let is_seen = |btree, level, key: &KeyBuf| {
        let mut of_place = seen.iter().filter(|s| (s.btree, s.level) == (btree, level));
        of_place.any(|s| s.key.k.p == key.k.p && same(&s.key, key))
    };
    let mut updates = t
        .updates()
        .filter(|u| (u.btree, u.level) != (BtreeId::ALLOC, 0) && has_triggers(u.btree, u.level));
    let next = updates.find(|u| !is_seen(u.btree, u.level, &u.key));
    next.map(|u| (u.btree, u.level, u.key.k.p))
}

#[inline(never)]
fn run_one(
    t: &mut Trans<'_>,
    out: &mut Effects,
    seen: &mut Vec<Seen>,
    btree: BtreeId,
    level: u8,
    pos: Bpos,
) -> TransResult {
    let staged = t
        .updates()
        .find(|u| (u.btree, u.level, u.key.k.p) == (btree, level, pos));
    let Some(mut new) = staged.map(|u| copy(&u.key)).transpose()? else {
        return Ok(());
    };
    let place = seen
        .iter()
        .position(|s| (s.btree, s.level, s.key.k.p) == (btree, level, pos));
    let old = match place.and_then(|at| seen.remove(at)) {
        Some(before) => Some(before.key),
        None => t.old(btree, level, pos)?,
    };
    let old_key = old.as_ref().map_or(deleted(pos), |k| k.key());
    let amend = trigger(&mut Look(t), btree, level, old_key, new.key(), out)?;
    let changed = match amend {
        Amend::Keep | Amend::Alloc(_) => false,
        Amend::Delete => {
            new = KeyBuf::deletion(pos);
            true
        }
        Amend::ReflinkPads(front, back) => set_reflink_pads(new.value_mut(), front, back).is_some(),
        Amend::InodeHasChild(has) => {
            let kind = new.k.key_type;
            set_inode_flag(kind, new.value_mut(), InodeFlags::HAS_CHILD_SNAPSHOT, has).is_some()
        }
    };
    if changed {
        t.restage(btree, level, copy(&new)?)?;
    }
    if new.k.key_type == KeyType::INODE_V3 {
        t.stamp(btree, pos);
    }
    seen.push(Seen {
        btree,
        level,
        key: new,
    })?;
    Ok(())
}

/// Does all changes of parts of other keys; says whether there were any.
#[inline(never)]
fn edits(t: &mut Trans<'_>, out: &mut Effects) -> TransResult<bool> {
    let mut any = false;
    while let Some(edit) = out.take_edit() {
        any = true;
        let (btree, pos) = match edit {
            Edit::Refcount { end, .. } => (BtreeId::REFLINK, Bpos::new(0, end, 0)),
            Edit::StripeBlock { idx, .. } => (BtreeId::STRIPES, Bpos::new(0, idx, 0)),
            Edit::InodeHasChild { at, .. } => (BtreeId::INODES, at),
            Edit::BucketGen { dev, bucket, .. } => {
                (BtreeId::BUCKET_GENS, bucket_gens_pos(dev, bucket).0)
            }
        };
        let key = match t.get(btree, pos)? {
            Some(key) => key,
            None if btree == BtreeId::BUCKET_GENS => no_gens(pos)?,
            None => return Err(Error::EditedKeyMissing.into()),
        };
        let key = edited(key, &edit).ok_or(Error::EditedKeyInvalid)?;
        t.update(btree, key)?;
    }
    Ok(any)
}

fn edited(mut key: KeyBuf, edit: &Edit) -> Option<KeyBuf> {
    let kind = key.k.key_type;
    match *edit {
        Edit::Refcount { by, .. } => add_refcount(key.value_mut(), by).map(|_| ())?,
        Edit::StripeBlock { block, by, .. } => {
            add_block_sectors(key.value_mut(), block, by).map(|_| ())?
        }
        Edit::InodeHasChild { has, .. } => {
            set_inode_flag(kind, key.value_mut(), InodeFlags::HAS_CHILD_SNAPSHOT, has)?
        }
        Edit::BucketGen {
            dev,
            bucket,
            generation,
        } => {
            let (_, nr) = bucket_gens_pos(dev, bucket);
            set_bucket_gen(key.value_mut(), nr, generation)?
        }
    }
    Some(key)
}

/// Generations of buckets that were never used.
pub(super) fn no_gens(pos: Bpos) -> Result<KeyBuf> {
    let k = Bkey {
        key_type: KeyType::BUCKET_GENS,
        p: pos,
        ..Bkey::default()
    };
    KeyBuf::of(k, &[0; BUCKET_GENS])
}

/// Applies what keys mean for buckets to the keys of these.
#[inline(never)]
fn bucket_changes(t: &mut Trans<'_>, out: &mut Effects) -> TransResult {
    for change in out.buckets() {
        let pos = alloc_pos(change.dev, change.bucket);
        let key = t.get(BtreeId::ALLOC, pos)?;
        let state = alloc_of(key.as_ref())?;
        let new = change.apply(&Look(t), &state)?;
        t.update(BtreeId::ALLOC, alloc_key(pos, &new)?)?;
    }
    Ok(())
}

/// Runs the triggers of all buckets that change.
#[inline(never)]
fn bucket_triggers(t: &mut Trans<'_>, out: &mut Effects) -> TransResult {
    let mut changed = Vec::new();
    for u in t
        .updates()
        .filter(|u| (u.btree, u.level) == (BtreeId::ALLOC, 0))
    {
        changed.push(u.key.k.p)?;
    }
    for pos in changed {
        let old = t.old(BtreeId::ALLOC, 0, pos)?;
        let Some(new) = t.get(BtreeId::ALLOC, pos)? else {
            continue;
        };
        let before = alloc_of(old.as_ref())?;
        let old_key = old.as_ref().map_or(deleted(pos), |k| k.key());
        let amend = trigger(&mut Look(t), BtreeId::ALLOC, 0, old_key, new.key(), out)?;
        let Amend::Alloc(state) = amend else {
            continue;
        };
        t.update(BtreeId::ALLOC, alloc_key(pos, &state)?)?;
        if journal_seq_at_commit(&before, &state, 1, |_| false).is_some() {
            t.stamp(BtreeId::ALLOC, pos);
        }
    }
    Ok(())
}

pub(super) fn alloc_key(pos: Bpos, state: &Alloc) -> Result<KeyBuf> {
    let k = Bkey {
        key_type: KeyType::ALLOC_V4,
        p: pos,
        ..Bkey::default()
    };
    KeyBuf::of(k, &state.encode())
}

#[inline(never)]
pub(super) fn stage_derived(t: &mut Trans<'_>, change: &KeyChange) -> TransResult {
    let k = change.header();
    let key = match change.to {
        Derived::Backpointer(bp) => KeyBuf::of(k, &bp.encode())?,
        Derived::Absent | Derived::Set => KeyBuf::of(k, &[])?,
    };
    match change.btree {
        btree if btree.uses_write_buffer() => t.buffer(btree, key),
        btree if btree.is_extents() => t.update_extent(btree, key),
        btree => t.update(btree, key),
    }
}

/// The key that adds to the counters of something.
pub(super) fn counter_key(counted: &Counted, version: Version, by: &[i64]) -> Result<KeyBuf> {
    counter_key_at(counted.encode(version).ok_or(Error::Overflow)?, by)
}

pub(super) fn counter_key_at(p: Bpos, by: &[i64]) -> Result<KeyBuf> {
    let (value, len) = encode_counters(by);
    let k = Bkey {
        key_type: KeyType::ACCOUNTING,
        p,
        ..Bkey::default()
    };
    KeyBuf::of(k, value.get(..len).unwrap_or(&value))
}
