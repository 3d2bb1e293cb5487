// SPDX-License-Identifier: GPL-2.0

//! Keys of the alloc btree: what the state of a bucket means for the indices of buckets and for the
//! counters of its device.

use super::{
    effects::{
        Edit,
        Effects, //
    },
    lookups::Lookups,
    run::{
        Amend,
        Cx,
        Purpose, //
    },
};
use crate::{
    env::units::{
        BucketNr,
        DevIdx, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        bkey::Key,
        btree_id::BtreeId,
        data_type::DataType,
        sb::Version,
        values::{
            accounting::{
                Counted,
                Replicas, //
            },
            alloc::Alloc,
            bucket_index::{
                alloc_pos,
                bucket_of,
                lru_fragmentation_pos,
                lru_read_pos, //
            },
        },
    },
};

/// C: `bch2_trigger_alloc()`.
pub(super) fn update<L: Lookups>(
    cx: &Cx<'_, L>,
    old: Option<&Key<'_>>,
    new: Option<&Key<'_>>,
    out: &mut Effects,
) -> Result<Amend, L::Error> {
    let Some(pos) = new.or(old).map(|k| k.k.p) else {
        return Ok(Amend::Keep);
    };
    let place = bucket_of(pos).and_then(|(dev, bucket)| {
        let geometry = cx.look.device(dev)?;
        (bucket.0 < geometry.nr_buckets).then_some((dev, bucket, geometry.bucket_sectors))
    });
    let Some((dev, bucket, bucket_sectors)) = place else {
        return match cx.purpose {
            Purpose::Commit => Err(Error::TriggerBucket.into()),
            Purpose::Recount => Ok(Amend::Keep),
        };
    };
    let decode = |key: Option<&Key<'_>>| match key {
        Some(key) => Alloc::decode(key).map_err(|e| cx.invalid(key, e)),
        None => Ok(None),
    };
    // No key is a bucket that was never used.
    let old = decode(old)?.unwrap_or_default();
    let mut state = decode(new)?.unwrap_or_default();
    let mut amend = Amend::Keep;
    if cx.purpose == Purpose::Commit && new.is_some() {
        prepare(
            &old,
            &mut state,
            cx.look.io_time(),
            cx.look.is_open(dev, bucket),
        );
        amend = Amend::Alloc(state);
    }
    let at = At {
        version: cx.look.version(),
        dev,
        bucket,
        bucket_sectors,
    };
    at.indices(&old, &state, out)?;
    at.counters(&old, &state, out)?;
    Ok(amend)
}

/// Completes the new state of a bucket: when something was added to it, it has to be discarded and
/// its generation raised before it is used again; and when it became empty, the latter is done,
/// unless it is still being written to.
///
/// C: the first part of `bch2_trigger_alloc()`.
fn prepare(old: &Alloc, new: &mut Alloc, now: [u64; 2], is_open: bool) {
    new.data_type = new.data_type_by_counts(new.data_type, false);
    if new.sectors_total() > old.sectors_total() {
        new.io_time = now;
        new.need_inc_gen = true;
        new.need_discard = true;
    }
    if new.is_empty() && new.need_inc_gen && !is_open {
        new.generation = new.generation.wrapping_add(1);
        new.need_inc_gen = false;
        new.data_type = new.data_type_by_counts(new.data_type, false);
    }
    let [read, write] = new.io_time;
    if new.data_type == DataType::CACHED && read == 0 {
        let [now, _] = now;
        new.io_time = [now, write];
    }
}

/// A bucket, and what is needed to write about it.
struct At {
    version: Version,
    dev: DevIdx,
    bucket: BucketNr,
    bucket_sectors: u64,
}

impl At {
    /// Where the bucket is in the indices of what can be used.
    fn index(&self, state: &Alloc, set: bool, out: &mut Effects) -> Result {
        match state.data_type {
            DataType::FREE => {
                let start = state.freespace_start(self.dev, self.bucket);
                out.bit(BtreeId::FREESPACE, start, set)
            }
            DataType::NEED_DISCARD => {
                let pos = alloc_pos(self.dev, self.bucket);
                out.bit(BtreeId::NEED_DISCARD, pos, set)
            }
            _ => Ok(()),
        }
    }

    /// C: `bch2_bucket_do_index()`, `bch2_lru_change()`, `bch2_bucket_gen_update()`.
    fn indices(&self, old: &Alloc, new: &Alloc, out: &mut Effects) -> Result {
        let moves = new.data_type == DataType::FREE && old.freespace_bits() != new.freespace_bits();
        if old.data_type != new.data_type || moves {
            self.index(old, false, out)?;
            self.index(new, true, out)?;
        }
        let read = |time| lru_read_pos(self.dev, self.bucket, time);
        change_lru(old.lru_read(), new.lru_read(), read, out)?;
        let used = |time| lru_fragmentation_pos(self.dev, self.bucket, time);
        let size = self.bucket_sectors;
        let (was, is) = (old.lru_fragmentation(size), new.lru_fragmentation(size));
        change_lru(was, is, used, out)?;
        if old.generation != new.generation {
            out.edit(Edit::BucketGen {
                dev: self.dev,
                bucket: self.bucket,
                generation: new.generation,
            })?;
        }
        Ok(())
    }

    /// C: `bch2_alloc_key_to_dev_counters()`.
    fn counters(&self, old: &Alloc, new: &Alloc, out: &mut Effects) -> Result {
        let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let of = |state: &Alloc| {
            [
                1,
                signed(state.sectors_used()),
                signed(state.sectors_fragmented(self.bucket_sectors)),
            ]
        };
        let (was, is) = (of(old), of(new));
        if (old.data_type, was) != (new.data_type, is) {
            let counted = |state: &Alloc| Counted::DevDataType(self.dev, state.data_type);
            out.count(self.version, &counted(new), &is)?;
            out.count(self.version, &counted(old), &was.map(i64::wrapping_neg))?;
        }
        let (was, is) = (old.sectors_unstriped(), new.sectors_unstriped());
        if was != is {
            let nr = i64::from(is != 0).wrapping_sub(i64::from(was != 0));
            let counted = Counted::DevDataType(self.dev, DataType::UNSTRIPED);
            let by = [nr, signed(is).wrapping_sub(signed(was)), 0];
            out.count(self.version, &counted, &by)?;
        }
        Ok(())
    }
}

/// C: `bch2_lru_change()`.
fn change_lru(
    old: u64,
    new: u64,
    pos: impl Fn(u64) -> crate::format::bpos::Bpos,
    out: &mut Effects,
) -> Result {
    if old == new {
        return Ok(());
    }
    if old != 0 {
        out.bit(BtreeId::LRU, pos(old), false)?;
    }
    if new != 0 {
        out.bit(BtreeId::LRU, pos(new), true)?;
    }
    Ok(())
}

/// The state of a bucket of cached data after that was dropped: pointers to it are stale. The
/// caller stages it, together with `out`: what no pointer's trigger will take back.
///
/// C: the change in `invalidate_one_bucket()`, `BTREE_TRIGGER_bucket_invalidate`.
pub fn invalidated(
    cx: &impl Lookups,
    dev: DevIdx,
    old: &Alloc,
    out: &mut Effects,
) -> Result<Alloc> {
    let cached = Replicas::new(DataType::CACHED, 1, &[dev.0]).ok_or(Error::Overflow)?;
    let by = i64::from(old.cached_sectors).wrapping_neg();
    out.count(cx.version(), &Counted::Replicas(cached), &[by])?;
    Ok(Alloc {
        need_inc_gen: false,
        generation: old.generation.wrapping_add(1),
        data_type: DataType::FREE,
        dirty_sectors: 0,
        stripe_sectors: 0,
        cached_sectors: 0,
        io_time: cx.io_time(),
        ..*old
    })
}

/// The journal entry to be written into the key of a bucket when it is committed with entry `seq`;
/// `None` when that does not change. A bucket that became empty can be used again once that entry
/// is flushed: 0 when it need not be, because what filled it was never flushed either, which
/// `was_never_flushed` tells of a sequence number.
///
/// C: the part for `BTREE_TRIGGER_atomic` in `bch2_trigger_alloc()`.
pub fn journal_seq_at_commit(
    old: &Alloc,
    new: &Alloc,
    seq: u64,
    was_never_flushed: impl FnOnce(u64) -> bool,
) -> Option<u64> {
    if old.is_empty() == new.is_empty() {
        return None;
    }
    let filled = new.journal_seq_nonempty;
    if new.is_empty() && (filled == seq || was_never_flushed(filled)) {
        return Some(0);
    }
    Some(seq)
}
