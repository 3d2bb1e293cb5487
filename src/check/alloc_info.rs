// SPDX-License-Identifier: GPL-2.0

//! The pass `check_alloc_info`: indices of buckets against the keys of buckets, both ways.
//!
//! C: `bch2_check_alloc_info()`.

use super::{
    derived::{
        fix,
        Fix, //
    },
    rounds::Rounds,
    Outcome,
    Report, //
};
use crate::{
    alloc::{
        space::{
            geometry,
            set_generation,
            Engine, //
        },
        trigger::{
            Derived,
            KeyChange, //
        },
    },
    btree::{
        flush_write_buffer,
        Btrees,
        Iter, //
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
        values::{
            alloc::{
                bucket_gens,
                Alloc, //
            },
            bucket_index::{
                alloc_pos,
                bucket_gens_pos,
                bucket_of, //
            },
        },
    },
    sb::Device,
};

/// The bits of an offset in `freespace` that are the bucket.
const BUCKET_MASK: u64 = (1 << 56) - 1;
/// What is noted in one round, for it needs memory.
const FOUND_MAX: usize = 1 << 16;

/// Checks `freespace`, `need_discard` and `bucket_gens`.
#[inline(never)]
pub fn check_alloc_info(engine: Engine<'_>, report: &mut Report) -> Result {
    let mut rounds = Rounds::new();
    while rounds.go_on()? {
        flush_write_buffer(engine.btrees, engine.writer)?;
        let mut found = Vec::new();
        let mut gens = Vec::new();
        for dev in engine.btrees.sb().devices() {
            find_missing(engine.btrees, dev, &mut found, &mut gens)?;
        }
        find_free_extra(engine.btrees, &mut found)?;
        find_discard_extra(engine.btrees, &mut found)?;
        let mut fixed = fix(engine, report, &found)?;
        for bad in gens.iter() {
            fixed = fixed.saturating_add(fix_gen(engine, report, bad)?.into());
        }
        rounds.fixed(fixed);
    }
    Ok(())
}

/// A wrong entry of `bucket_gens`.
struct BadGen {
    dev: DevIdx,
    bucket: BucketNr,
    have: u8,
    want: u8,
}

fn fix_gen(engine: Engine<'_>, report: &mut Report, bad: &BadGen) -> Result<bool> {
    let (dev, bucket, have, want) = (bad.dev, bad.bucket, bad.have, bad.want);
    let outcome = report.found(
        engine.btrees.sb(),
        FsckError::BUCKET_GENS_KEY_WRONG,
        format_args!("incorrect gen of bucket {dev}:{bucket}: got {have}, should be {want}"),
    )?;
    if outcome == Outcome::Leave {
        return Ok(false);
    }
    set_generation(engine, dev, bucket)?;
    Ok(true)
}

fn note(found: &mut Vec<Fix>, id: FsckError, btree: BtreeId, start: Bpos, set: bool) -> Result {
    if found.len() >= FOUND_MAX {
        return Ok(());
    }
    let to = match set {
        true => Derived::Set,
        false => Derived::Absent,
    };
    found.push(Fix {
        id,
        change: KeyChange { btree, start, to },
    })
}

/// The state of a bucket, by its key.
fn state_of(btrees: &Btrees, dev: DevIdx, bucket: BucketNr) -> Result<Alloc> {
    let key = btrees.lookup(BtreeId::ALLOC, alloc_pos(dev, bucket))?;
    match key.map(|k| Alloc::decode(&k.key())) {
        None => Ok(Alloc::default()),
        Some(Ok(state)) => Ok(state.unwrap_or_default()),
        Some(Err(_)) => Err(Error::CheckUnusableIndex),
    }
}

/// What the buckets of a device should have in the indices.
///
/// C: `bch2_check_alloc_key()`, `bch2_check_alloc_hole_freespace()`.
#[inline(never)]
fn find_missing(
    btrees: &Btrees,
    dev: &Device,
    found: &mut Vec<Fix>,
    bad_gens: &mut Vec<BadGen>,
) -> Result {
    let (first, end) = (
        u64::from(dev.member.first_bucket()),
        dev.member.nbuckets(), //
    );
    let last = alloc_pos(dev.idx, BucketNr(end.saturating_sub(1)));
    let start = alloc_pos(dev.idx, BucketNr(first));
    let mut keys = btrees.iter(BtreeId::ALLOC, 0, start).until(last);
    let mut discards = btrees.iter(BtreeId::NEED_DISCARD, 0, start);
    let mut gens = GensReader::new(btrees);
    let mut next = first;
    while next < end {
        let key = keys.next()?.filter(|k| k.k.p <= last);
        let at = key.and_then(|k| bucket_of(k.k.p)).map(|(_, b)| b.0);
        let hole_end = at.unwrap_or(end);
        if next < hole_end {
            free_range_is_there(btrees, dev.idx, (next, hole_end), found)?;
            for bucket in next..hole_end {
                gens.compare(dev.idx, BucketNr(bucket), 0, bad_gens)?;
            }
        }
        next = hole_end.saturating_add(1);
        let (Some(key), Some(bucket)) = (key, at) else {
            break;
        };
        let Ok(Some(state)) = Alloc::decode(&key) else {
            continue;
        };
        let bucket = BucketNr(bucket);
        gens.compare(dev.idx, bucket, state.generation, bad_gens)?;
        match state.data_type {
            DataType::FREE => {
                let start = state.freespace_start(dev.idx, bucket).offset;
                let range = (start, start.saturating_add(1));
                free_range_is_there(btrees, dev.idx, range, found)?;
            }
            DataType::NEED_DISCARD => {
                let pos = key.k.p;
                if !is_at(&mut discards, pos)? {
                    let id = FsckError::NEED_DISCARD_KEY_WRONG;
                    note(found, id, BtreeId::NEED_DISCARD, pos, true)?;
                }
            }
            _ => (),
        }
    }
    Ok(())
}

/// Whether a btree has a key at `pos`.
fn is_at(iter: &mut Iter<'_>, pos: Bpos) -> Result<bool> {
    iter.seek(pos);
    Ok(iter.advance()?.is_some_and(|k| k.p == pos))
}

/// Notes which buckets of a range of offsets are not in `freespace`.
fn free_range_is_there(
    btrees: &Btrees,
    dev: DevIdx,
    (mut at, end): (u64, u64),
    found: &mut Vec<Fix>,
) -> Result {
    let pos = |offset: u64| Bpos::new(dev.0.into(), offset, 0);
    let last = Bpos::new(dev.0.into(), u64::MAX, u32::MAX);
    let first = pos(at.saturating_add(1));
    let mut iter = btrees.iter(BtreeId::FREESPACE, 0, first).until(last);
    while at < end {
        let key = iter.advance()?.filter(|k| k.p <= last);
        let (start, stop) = key.map_or((end, end), |k| (k.start_offset(), k.p.offset));
        let gap_end = start.min(end);
        while at < gap_end && found.len() < FOUND_MAX {
            let id = FsckError::FREESPACE_KEY_WRONG;
            note(found, id, BtreeId::FREESPACE, pos(at), true)?;
            at = at.saturating_add(1);
        }
        at = at.max(stop.min(end)).max(gap_end);
    }
    Ok(())
}

/// C: `bch2_check_discard_freespace_key()`.
#[inline(never)]
fn find_free_extra(btrees: &Btrees, found: &mut Vec<Fix>) -> Result {
    let mut iter = btrees.iter(BtreeId::FREESPACE, 0, Bpos::MIN);
    while let Some(k) = iter.advance()? {
        let dev = u8::try_from(k.p.inode).ok().map(DevIdx);
        let known = dev.and_then(|dev| Some((dev, geometry(btrees.sb(), dev)?)));
        let id = FsckError::NEED_DISCARD_FREESPACE_KEY_BAD;
        let Some((dev, geometry)) = known else {
            let bad = FsckError::NEED_DISCARD_FREESPACE_KEY_TO_INVALID_DEV_BUCKET;
            for offset in k.start_offset()..k.p.offset {
                note(found, bad, BtreeId::FREESPACE, at(&k.p, offset), false)?;
            }
            continue;
        };
        let group = k.start_offset() & !BUCKET_MASK;
        let (first, end) = (k.start_offset() & BUCKET_MASK, k.p.offset & BUCKET_MASK);
        // Those that have a key, and are something else.
        let last = alloc_pos(dev, BucketNr(end.saturating_sub(1)));
        let start = alloc_pos(dev, BucketNr(first));
        let mut keys = btrees.iter(BtreeId::ALLOC, 0, start).until(last);
        while let Some(key) = keys.next()?.filter(|k| k.k.p <= last) {
            let Ok(Some(state)) = Alloc::decode(&key) else {
                continue;
            };
            let fits = state.data_type == DataType::FREE && state.freespace_bits() == group;
            if !fits {
                let offset = group | key.k.p.offset;
                note(found, id, BtreeId::FREESPACE, at(&k.p, offset), false)?;
            }
        }
        // Those that do not exist.
        let behind = first.max(geometry.nr_buckets)..end;
        let before = first..end.min(geometry.first_bucket);
        for bucket in before.chain(behind) {
            if found.len() >= FOUND_MAX {
                break;
            }
            note(
                found,
                id,
                BtreeId::FREESPACE,
                at(&k.p, group | bucket),
                false,
            )?;
        }
    }
    Ok(())
}

fn at(p: &Bpos, offset: u64) -> Bpos {
    Bpos::new(p.inode, offset, 0)
}

#[inline(never)]
fn find_discard_extra(btrees: &Btrees, found: &mut Vec<Fix>) -> Result {
    let mut iter = btrees.iter(BtreeId::NEED_DISCARD, 0, Bpos::MIN);
    while let Some(k) = iter.advance()? {
        let fits = match bucket_of(k.p) {
            Some((dev, bucket)) => {
                state_of(btrees, dev, bucket)?.data_type == DataType::NEED_DISCARD
            }
            None => false,
        };
        if !fits {
            let id = FsckError::NEED_DISCARD_FREESPACE_KEY_BAD;
            note(found, id, BtreeId::NEED_DISCARD, k.p, false)?;
        }
    }
    Ok(())
}

/// Reads `bucket_gens` in order.
struct GensReader<'a> {
    btrees: &'a Btrees,
    at: Option<Bpos>,
    gens: [u8; 256],
}

impl<'a> GensReader<'a> {
    fn new(btrees: &'a Btrees) -> Self {
        Self {
            btrees,
            at: None,
            gens: [0; 256],
        }
    }

    /// Notes when the generation of a bucket is not `want`.
    fn compare(
        &mut self,
        dev: DevIdx,
        bucket: BucketNr,
        want: u8,
        bad: &mut Vec<BadGen>,
    ) -> Result {
        let (pos, nr) = bucket_gens_pos(dev, bucket);
        if self.at != Some(pos) {
            let key = self.btrees.lookup(BtreeId::BUCKET_GENS, pos)?;
            let gens = key.as_ref().map(|k| k.key());
            let gens = gens.and_then(|k| bucket_gens(k.v).ok().copied());
            (self.at, self.gens) = (Some(pos), gens.unwrap_or([0; 256]));
        }
        let have = self.gens.get(usize::from(nr)).copied().unwrap_or(0);
        if have == want || bad.len() >= FOUND_MAX {
            return Ok(());
        }
        bad.push(BadGen {
            dev,
            bucket,
            have,
            want,
        })
    }
}
