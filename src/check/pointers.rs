// SPDX-License-Identifier: GPL-2.0

//! Pointers that do not fit their buckets: of a generation that can not be, to a bucket that holds
//! something else, or to none at all. They are looked for before anything is counted, and what is
//! right is laid over the btrees.
//!
//! C: `bch2_check_fix_ptrs()`, which goes by what it has come across so far; here all pointers are
//! looked at first.

use super::{
    facts::{
        Facts,
        Holds, //
    },
    look::{
        Gens,
        Look, //
    },
    sources::for_each_source,
    Outcome,
    Report, //
};
use crate::{
    alloc::{
        space::geometry,
        trigger::{
            bucket_of,
            is_in_stripe,
            Lookups as _, //
        },
    },
    btree::{
        Btrees,
        KeyBuf, //
    },
    env::Vec,
    error::{
        fsck::FsckError,
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
        values::{
            alloc::{
                bucket_gens,
                Alloc,
                BUCKET_GENS, //
            },
            bucket_index::{
                alloc_pos,
                bucket_gens_pos, //
            },
            extent::{
                entries,
                entry_bytes,
                ptrs, //
            },
            extent_entry::{
                Entry,
                Ptr,
                StripePtr, //
            },
            in_place::set_bucket_gen,
            stripe::Stripe,
        },
    },
    journal::keys::Amendments,
};

/// Finds what does not fit, and lays over it what is left without; says whether that was anything.
/// Generations of buckets become what pointers say that are needed. Pointers to nodes are never
/// dropped, nor those of stripes: the count that follows ends with the error when one is wrong.
#[inline(never)]
pub(super) fn repair_pointers(btrees: &Btrees, report: &mut Report) -> Result<bool> {
    let mut gens = Gens::read(btrees)?;
    let facts = gather(btrees, &gens)?;
    let mut amendments = Amendments::default();
    repair_generations(btrees, report, &facts, &mut gens, &mut amendments)?;
    let mut look = Look::new(btrees, &gens);
    for_each_source(btrees, |btree, level, key| {
        if level != 0 || !matches!(key.k.key_type, KeyType::EXTENT | KeyType::REFLINK_V) {
            return Ok(());
        }
        match left_of(&mut look, &facts, report, (btree, &key))? {
            Some(left) => amendments.add(btree, 0, &left.key()),
            None => Ok(()),
        }
    })?;
    let is_any = !amendments.is_empty();
    btrees.amend(amendments)?;
    Ok(is_any)
}

/// What all pointers say.
#[inline(never)]
fn gather(btrees: &Btrees, gens: &Gens) -> Result<Facts> {
    let mut facts = Facts::new(btrees, gens)?;
    for_each_source(btrees, |_, level, key| {
        let mut add = |ptr: &Ptr, holds| {
            if let Some(dev) = geometry(btrees.sb(), ptr.dev) {
                let (bucket, _) = bucket_of(ptr, &dev);
                facts.add(ptr.dev, bucket, holds, ptr.generation, gens);
            }
        };
        if key.k.key_type == KeyType::STRIPE {
            let Ok(stripe) = Stripe::decode(key.v) else {
                return Ok(());
            };
            let parity = stripe.ptrs().skip(stripe.nr_data().into());
            parity.for_each(|ptr| add(&ptr, Holds::Parity));
            return Ok(());
        }
        let holds = match level {
            0 => Holds::Data,
            _ => Holds::Nodes,
        };
        for p in ptrs(&key, btrees.entry_sizes()).map_while(|p| p.ok()) {
            if !p.ptr.cached {
                add(&p.ptr, holds);
            }
        }
        Ok(())
    })?;
    Ok(facts)
}

#[inline(never)]
fn repair_generations(
    btrees: &Btrees,
    report: &mut Report,
    facts: &Facts,
    gens: &mut Gens,
    amendments: &mut Amendments,
) -> Result {
    let mut without_key: Option<KeyBuf> = None;
    for (dev, bucket, fact) in facts.iter() {
        let stored = gens.get(dev, bucket);
        let generation = fact.generation(stored);
        if generation == stored {
            continue;
        }
        let outcome = report.found(
            btrees.sb(),
            FsckError::PTR_GEN_NEWER_THAN_BUCKET_GEN,
            format_args!("bucket {dev}:{bucket} gen {stored}, but pointers have gen {generation}"),
        )?;
        if outcome == Outcome::Leave {
            continue;
        }
        gens.set(dev, bucket, generation);
        let pos = alloc_pos(dev, bucket);
        let found = btrees.lookup(BtreeId::ALLOC, pos)?;
        let state = found.and_then(|f| Alloc::decode(&f.key()).ok().flatten());
        if let Some(state) = state {
            let state = Alloc {
                generation,
                ..state
            };
            let key = key_at(KeyType::ALLOC_V4, pos, &state.encode())?;
            amendments.add(BtreeId::ALLOC, 0, &key.key())?;
            continue;
        }
        // When all keys of buckets are lost, these take far less room.
        let (pos, nr) = bucket_gens_pos(dev, bucket);
        if let Some(done) = without_key.take_if(|k| k.k.p != pos) {
            amendments.add(BtreeId::BUCKET_GENS, 0, &done.key())?;
        }
        let mut key = match without_key.take() {
            Some(key) => key,
            None => gens_at(btrees, pos)?,
        };
        let _ = set_bucket_gen(key.value_mut(), nr, generation);
        without_key = Some(key);
    }
    match without_key {
        Some(last) => amendments.add(BtreeId::BUCKET_GENS, 0, &last.key()),
        None => Ok(()),
    }
}

/// The generations of the buckets around one, those that have no key.
fn gens_at(btrees: &Btrees, pos: Bpos) -> Result<KeyBuf> {
    let found = btrees.lookup(BtreeId::BUCKET_GENS, pos)?;
    match found.filter(|f| bucket_gens(f.key().v).is_ok()) {
        Some(found) => KeyBuf::copy_of(&found.key()),
        None => key_at(KeyType::BUCKET_GENS, pos, &[0; BUCKET_GENS]),
    }
}

fn key_at(key_type: KeyType, p: Bpos, value: &[u8]) -> Result<KeyBuf> {
    let k = Bkey {
        key_type,
        p,
        ..Bkey::default()
    };
    KeyBuf::of(k, value)
}

/// What of a key is to be dropped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bad {
    /// A pointer.
    Pointer(FsckError),
    /// Only that it is in a stripe.
    Stripe(FsckError),
}

/// What is wrong about a pointer to data.
fn fault(
    look: &mut Look<'_>,
    facts: &Facts,
    ptr: &Ptr,
    stripe: Option<StripePtr>,
) -> Result<Option<Bad>> {
    if let Some(id) = facts.refute(look.btrees, look.gens, ptr) {
        return Ok(Some(Bad::Pointer(id)));
    }
    let Some(at) = stripe else { return Ok(None) };
    let is_in = look.with_stripe(at.idx, |stripe| is_in_stripe(stripe, &at, ptr))?;
    Ok(match is_in {
        Some(true) => None,
        Some(false) => Some(Bad::Stripe(FsckError::PTR_TO_INCORRECT_STRIPE)),
        None => Some(Bad::Stripe(FsckError::PTR_TO_MISSING_STRIPE)),
    })
}

/// A key without what is wrong about it, if that is to be repaired. When none is left of the
/// pointers that were needed, the data is lost.
#[inline(never)]
fn left_of(
    look: &mut Look<'_>,
    facts: &Facts,
    report: &mut Report,
    (btree, key): (BtreeId, &Key<'_>),
) -> Result<Option<KeyBuf>> {
    let btrees = look.btrees;
    let bytes = entry_bytes(key);
    let mut kept: Vec<u8> = Vec::new();
    let head = key.v.len().saturating_sub(bytes.len());
    kept.extend_from_slice(key.v.get(..head).unwrap_or_default())?;
    // Entries that say something of pointers behind them wait for one of these.
    let (mut crc, mut stripe) = (None, None);
    let (mut drops, mut is_any_left, mut is_left) = (false, false, false);
    let mut all = entries(key, btrees.entry_sizes());
    loop {
        let from = bytes.len().saturating_sub(all.left());
        let entry = match all.next() {
            None => break,
            Some(Ok(entry)) => entry,
            Some(Err(_)) => return Ok(None),
        };
        let to = bytes.len().saturating_sub(all.left());
        let own = bytes.get(from..to).unwrap_or_default();
        let ptr = match entry {
            Entry::Crc(..) => {
                crc = Some(own);
                continue;
            }
            Entry::Stripe(at) => {
                stripe = Some((at, own));
                continue;
            }
            Entry::Ptr(ptr) => ptr,
            _ => {
                kept.extend_from_slice(own)?;
                continue;
            }
        };
        let at = stripe.take();
        let bad = fault(look, facts, &ptr, at.map(|(at, _)| at))?;
        let bad = match bad {
            Some(bad) if drop_it(btrees, report, (btree, key), &ptr, bad)? => {
                drops = true;
                Some(bad)
            }
            _ => None,
        };
        if let Some(Bad::Pointer(_)) = bad {
            continue;
        }
        kept.extend_from_slice(crc.take().unwrap_or_default())?;
        if let Some((_, own)) = at.filter(|_| bad.is_none()) {
            kept.extend_from_slice(own)?;
        }
        kept.extend_from_slice(own)?;
        is_any_left = true;
        is_left |= !ptr.cached;
    }
    if !drops {
        return Ok(None);
    }
    let was_needed = ptrs(key, btrees.entry_sizes()).any(|p| p.is_ok_and(|p| !p.ptr.cached));
    // A key with nothing but cached data that is gone hides what is in snapshots above, too.
    let is_lost = !is_any_left || was_needed && !is_left;
    let (key_type, value) = match is_lost {
        true => (KeyType::ERROR, &[][..]),
        false => (key.k.key_type, &*kept),
    };
    KeyBuf::of(Bkey { key_type, ..key.k }, value).map(Some)
}

fn drop_it(
    btrees: &Btrees,
    report: &mut Report,
    (btree, key): (BtreeId, &Key<'_>),
    ptr: &Ptr,
    bad: Bad,
) -> Result<bool> {
    let (id, what) = match bad {
        Bad::Pointer(id) => (id, "can not be right"),
        Bad::Stripe(id) => (id, "is not in its stripe"),
    };
    let outcome = report.found(
        btrees.sb(),
        id,
        format_args!("pointer {ptr} of btree {btree} {} {what}", key.k),
    )?;
    Ok(outcome == Outcome::Repair)
}
