// SPDX-License-Identifier: GPL-2.0

//! The pass `check_allocations`: the state of buckets, counters, and references to shared extents,
//! against all keys there are.
//!
//! C: `bch2_check_allocations()`.

use super::{
    indirect::check_shared_pointers,
    look::Look,
    pointers::repair_pointers,
    recount::{
        sums_of,
        BadCounters,
        Recount,
        Sums, //
    },
    repairs_all,
    rounds::Rounds,
    Outcome,
    Report, //
};
use crate::{
    alloc::{
        space::{
            add_to_counters,
            set_bucket,
            set_refcount,
            Engine,
            Held, //
        },
        trigger::{
            recount,
            Effects, //
        },
    },
    btree::{
        drop_empty_counters,
        flush_write_buffer,
        Btrees, //
    },
    env::{
        units::{
            BucketNr,
            DevIdx, //
        },
        Vec, //
    },
    error::{
        fsck::FsckError,
        Error,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        data_type::DataType,
        sb::assemble::DevMask,
        values::{
            accounting::{
                Counted,
                COUNTERS_MAX, //
            },
            alloc::Alloc,
            bucket_index::{
                alloc_pos,
                bucket_of, //
            },
            reflink::refcount, //
        },
    },
    sb::{
        Device,
        SbState, //
    },
};

/// Buckets that are noted in one round, for they need memory.
const BUCKETS_MAX: usize = 1 << 16;

/// A bucket whose key is wrong.
struct BadBucket {
    dev: DevIdx,
    bucket: BucketNr,
    have: Alloc,
    want: Alloc,
}

/// What is wrong.
#[derive(Default)]
struct Wrong {
    buckets: Vec<BadBucket>,
    counters: Vec<BadCounters>,
    /// Where a shared extent ends, its reference count, and what it should be.
    refs: Vec<(u64, u64, u64)>,
}

/// Checks buckets, counters and reference counts, and repairs what `report` says is to be.
///
/// Errors: those of [`Recount::of`]; of transactions; [`Error::FsckErrorsNotFixed`].
#[inline(never)]
pub fn check_allocations(engine: Engine<'_>, report: &mut Report) -> Result {
    let mut rounds = Rounds::new();
    while rounds.go_on()? {
        let wrong = find(engine)?;
        // Counters first: changing buckets adds to them, and takes from them.
        let mut fixed = 0usize;
        for (pos, have, want) in wrong.counters.iter() {
            fixed = fixed.saturating_add(fix_counters(engine, report, *pos, have, want)?.into());
        }
        for bad in wrong.buckets.iter() {
            fixed = fixed.saturating_add(fix_bucket(engine, report, bad)?.into());
        }
        for (end, have, want) in wrong.refs.iter().copied() {
            let outcome = report.found(
                engine.btrees.sb(),
                FsckError::REFLINK_V_REFCOUNT_WRONG,
                format_args!("shared extent ending at {end}: {have} references, {want} found"),
            )?;
            if outcome == Outcome::Repair {
                set_refcount(engine, end, have, want)?;
                fixed = fixed.saturating_add(1);
            }
        }
        rounds.fixed(fixed);
    }
    match repairs_all(engine.btrees.sb()) {
        true => drop_empty_counters(engine.btrees, engine.writer),
        false => Ok(()),
    }
}

/// The buckets that must not be taken as long as it is not certain that the btrees are right about
/// them; see [`Recount::in_use`]. Pointers that do not fit what they lead to are repaired before;
/// says whether there were any that do not fit their buckets.
///
/// Errors: those of [`Recount::of`]; [`Error::FsckErrorsNotFixed`].
#[inline(never)]
pub fn buckets_in_use(btrees: &Btrees, report: &mut Report, lost: bool) -> Result<(Held, bool)> {
    check_shared_pointers(btrees, report)?;
    if let Some(counted) = Recount::if_all_fits(btrees)? {
        return Ok((counted.in_use(lost)?, false));
    }
    let repaired = repair_pointers(btrees, report)?;
    // Shared extents can have gone.
    check_shared_pointers(btrees, report)?;
    Ok((Recount::of(btrees)?.in_use(lost)?, repaired))
}

/// Reads everything, while nobody changes what space is used for.
#[inline(never)]
fn find(engine: Engine<'_>) -> Result<Wrong> {
    let (btrees, writer) = (engine.btrees, engine.writer);
    loop {
        flush_write_buffer(btrees, writer)?;
        let _still = writer.hold_nodes();
        if !writer.buffer.is_empty() {
            // A node was replaced just now.
            continue;
        }
        let mut counted = Recount::of(btrees)?;
        let mut wrong = Wrong {
            counters: counted.take_inums(),
            ..Wrong::default()
        };
        for dev in btrees.sb().devices() {
            find_buckets(btrees, dev, &counted, &mut wrong)?;
        }
        count_buckets(btrees, &mut counted)?;
        find_counters(btrees, &counted, &mut wrong)?;
        find_refs(btrees, &counted, &mut wrong)?;
        return Ok(wrong);
    }
}

/// C: `bch2_gc_alloc_done()`.
#[inline(never)]
fn find_buckets(btrees: &Btrees, dev: &Device, counted: &Recount, wrong: &mut Wrong) -> Result {
    let member = &dev.member;
    let mut next = u64::from(member.first_bucket());
    let first = alloc_pos(dev.idx, BucketNr(next));
    let mut iter = btrees.iter(BtreeId::ALLOC, 0, first);
    loop {
        let key = iter.next()?;
        let key = key.filter(|k| k.k.p.inode == u64::from(dev.idx.0));
        let at = key.and_then(|k| bucket_of(k.k.p));
        let end = at.map_or(member.nbuckets(), |(_, b)| b.0.min(member.nbuckets()));
        // Those without a key.
        while next < end {
            compare(dev.idx, next, &Alloc::default(), counted, wrong)?;
            next = next.saturating_add(1);
        }
        let (Some(key), Some((_, bucket))) = (key, at) else {
            return Ok(());
        };
        if bucket.0 >= member.nbuckets() {
            return Ok(());
        }
        let Ok(Some(have)) = Alloc::decode(&key) else {
            return Err(Error::CheckUnusableBucket);
        };
        compare(dev.idx, bucket.0, &have, counted, wrong)?;
        next = bucket.0.saturating_add(1);
    }
}

fn compare(dev: DevIdx, bucket: u64, have: &Alloc, counted: &Recount, wrong: &mut Wrong) -> Result {
    let bucket = BucketNr(bucket);
    let want = counted
        .bucket(dev, bucket)
        .onto(have, counted.gens.get(dev, bucket));
    if want == *have || wrong.buckets.len() >= BUCKETS_MAX {
        return Ok(());
    }
    wrong.buckets.push(BadBucket {
        dev,
        bucket,
        have: *have,
        want,
    })
}

/// Adds what the counters of devices are, by the keys of buckets as they are now.
#[inline(never)]
fn count_buckets(btrees: &Btrees, counted: &mut Recount) -> Result {
    let st = btrees.sb();
    let version = st.sb.version();
    let gens = core::mem::take(&mut counted.gens);
    let mut look = Look::new(btrees, &gens);
    for dev in st.devices() {
        let member = &dev.member;
        let free = Counted::DevDataType(dev.idx, DataType::FREE);
        let pos = free.encode(version).ok_or(Error::Overflow)?;
        let nr = member
            .nbuckets()
            .saturating_sub(member.first_bucket().into());
        let nr = i64::try_from(nr).unwrap_or(i64::MAX);
        counted.counters.add(pos, &[nr, 0, 0])?;
    }
    let mut out = Effects::new();
    let mut iter = btrees.iter(BtreeId::ALLOC, 0, Bpos::MIN);
    while let Some(key) = iter.next()? {
        if bucket_of(key.k.p).is_none_or(|(dev, _)| st.dev(dev).is_none()) {
            continue;
        }
        recount(&mut look, BtreeId::ALLOC, 0, key, &mut out)?;
        for change in out.counters() {
            counted.counters.add(change.pos, change.by())?;
        }
        out.clear();
    }
    counted.gens = gens;
    Ok(())
}

/// Whether counters are to be compared with those of the whole filesystem: those of devices that
/// are missing can not, and those of inode numbers are elsewhere.
fn is_checked(st: &SbState, pos: Bpos) -> bool {
    match Counted::decode(pos, st.sb.version()) {
        Counted::DevDataType(dev, _) => st.dev(dev).is_some(),
        Counted::Inum(_) | Counted::Unknown(_) => false,
        _ => true,
    }
}

/// Whether something is counted for an inode number: if not, its counters should be 0.
fn counts_something(look: &mut Look<'_>, inum: u64, pos: Bpos) -> Result<bool> {
    let (btree, end) = match inum {
        0 => (BtreeId::REFLINK, Bpos::MAX),
        _ => (BtreeId::EXTENTS, Bpos::new(inum, u64::MAX, u32::MAX)),
    };
    let btrees = look.btrees;
    let mut out = Effects::new();
    let mut iter = btrees.iter(btree, 0, Bpos::new(inum, 0, 0)).until(end);
    while let Some(key) = iter.next()?.filter(|k| k.k.p <= end) {
        recount(look, btree, 0, key, &mut out)?;
        if out.counters().iter().any(|c| c.pos == pos && !c.is_zero()) {
            return Ok(true);
        }
        out.clear();
    }
    Ok(false)
}

/// C: `bch2_gc_accounting_done()`.
#[inline(never)]
fn find_counters(btrees: &Btrees, counted: &Recount, wrong: &mut Wrong) -> Result {
    let st = btrees.sb();
    let mut want = counted
        .counters
        .iter()
        .filter(|(pos, _)| is_checked(st, *pos))
        .peekable();
    let zero = Sums::default();
    let mut note = |pos: Bpos, have: Sums, want: Sums| match have == want {
        true => Ok(()),
        false => wrong.counters.push((pos, have, want)),
    };
    let mut look = Look::new(btrees, &counted.gens);
    let mut iter = btrees.iter(BtreeId::ACCOUNTING, 0, Bpos::MIN);
    loop {
        let key = iter.next()?;
        let at = key.map(|k| k.k.p);
        while let Some((pos, want)) = want.next_if(|(pos, _)| at.is_none_or(|at| *pos < at)) {
            note(*pos, zero, *want)?;
        }
        let Some(key) = key else {
            return Ok(());
        };
        let (pos, have) = (key.k.p, sums_of(key.v));
        let should = want.next_if(|(p, _)| *p == pos);
        if is_checked(st, pos) {
            note(pos, have, should.map_or(zero, |(_, want)| *want))?;
        } else if let Counted::Inum(inum) = Counted::decode(pos, st.sb.version()) {
            if have != zero && !counts_something(&mut look, inum, pos)? {
                note(pos, have, zero)?;
            }
        }
    }
}

#[inline(never)]
fn find_refs(btrees: &Btrees, counted: &Recount, wrong: &mut Wrong) -> Result {
    let mut iter = btrees.iter(BtreeId::REFLINK, 0, Bpos::MIN);
    while let Some(key) = iter.next()? {
        let Ok(have) = refcount(key.v) else {
            continue;
        };
        let end = key.k.p.offset;
        let found = counted.refs.binary_search_by(|(e, _)| e.cmp(&end));
        let want = found.ok().and_then(|at| counted.refs.get(at));
        let want = want.map_or(0, |(_, nr)| *nr);
        if have != want {
            wrong.refs.push((end, have, want))?;
        }
    }
    Ok(())
}

fn fix_counters(
    engine: Engine<'_>,
    report: &mut Report,
    pos: Bpos,
    have: &Sums,
    want: &Sums,
) -> Result<bool> {
    let st = engine.btrees.sb();
    let counted = Counted::decode(pos, st.sb.version());
    let outcome = report.found(
        st,
        FsckError::ACCOUNTING_MISMATCH,
        format_args!("accounting mismatch for {counted}: got {have:?}, should be {want:?}"),
    )?;
    if outcome == Outcome::Leave {
        return Ok(false);
    }
    if let Counted::Replicas(r) = &counted {
        let mut devs = DevMask::default();
        r.devs().for_each(|d| _ = devs.add(d.0));
        if r.nr_required == 1 {
            st.mark_replicas(r.data_type, &devs)?;
        }
    }
    let mut by = [0i64; COUNTERS_MAX];
    for (by, (have, want)) in by.iter_mut().zip(have.iter().zip(want)) {
        *by = want.wrapping_sub(*have);
    }
    let nr = counted.nr_counters();
    add_to_counters(engine, pos, by.get(..nr).unwrap_or(&by))?;
    Ok(true)
}

/// What of a bucket is reported under which id. C: `copy_bucket_field()`.
fn differences(have: &Alloc, want: &Alloc) -> [(FsckError, &'static str, u64, u64); 7] {
    let of = |a: &Alloc| {
        [
            u64::from(a.data_type.0),
            a.generation.into(),
            a.dirty_sectors.into(),
            a.stripe_sectors.into(),
            a.cached_sectors.into(),
            a.stripe_redundancy.into(),
            a.stripe.into(),
        ]
    };
    let ids = [
        (FsckError::ALLOC_KEY_DATA_TYPE_WRONG, "data type"),
        (FsckError::ALLOC_KEY_GEN_WRONG, "gen"),
        (FsckError::ALLOC_KEY_DIRTY_SECTORS_WRONG, "dirty sectors"),
        (FsckError::ALLOC_KEY_STRIPE_SECTORS_WRONG, "stripe sectors"),
        (FsckError::ALLOC_KEY_CACHED_SECTORS_WRONG, "cached sectors"),
        (FsckError::ALLOC_KEY_STRIPE_REDUNDANCY_WRONG, "redundancy"),
        (FsckError::ALLOC_KEY_STRIPE_WRONG, "stripe"),
    ];
    let (have, want) = (of(have), of(want));
    let mut all = ids.map(|(id, name)| (id, name, 0, 0));
    for (to, (have, want)) in all.iter_mut().zip(have.into_iter().zip(want)) {
        (to.2, to.3) = (have, want);
    }
    all
}

#[inline(never)]
fn fix_bucket(engine: Engine<'_>, report: &mut Report, bad: &BadBucket) -> Result<bool> {
    let st = engine.btrees.sb();
    let (dev, bucket, gen) = (bad.dev, bad.bucket, bad.have.generation);
    let mut repair = true;
    for (id, name, have, want) in differences(&bad.have, &bad.want) {
        if have == want {
            continue;
        }
        let data_type = bad.have.data_type;
        let outcome = report.found(
            st,
            id,
            format_args!(
                "bucket {dev}:{bucket} gen {gen} data type {data_type} has wrong {name}: \
                 got {have}, should be {want}"
            ),
        )?;
        repair &= outcome == Outcome::Repair;
    }
    if repair {
        set_bucket(engine, dev, bucket, &bad.have, &bad.want)?;
    }
    Ok(repair)
}
