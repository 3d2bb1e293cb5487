// SPDX-License-Identifier: GPL-2.0

//! Counting anew what is derived of keys.

use super::{
    look::{
        Gens,
        Look, //
    },
    sources::for_each_source, //
};
use crate::{
    alloc::{
        space::{
            geometry,
            Held, //
        },
        trigger::{
            recount,
            recount_metadata,
            BucketChange,
            Edit,
            Effects, //
        },
    },
    btree::Btrees,
    env::{
        num::{
            u64_of,
            usize_of, //
        },
        pr_err,
        sort::sort_by,
        units::{
            BucketNr,
            DevIdx, //
        },
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        data_type::DataType,
        values::{
            accounting::{
                counters,
                Counted,
                COUNTERS_MAX, //
            },
            alloc::Alloc, //
        },
    },
};

/// What pointers to a bucket add up to.
///
/// C: `struct bucket`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bucket {
    dirty: u32,
    cached: u32,
    striped: u32,
    stripe: u32,
    redundancy: u8,
    data_type: DataType,
}

impl Bucket {
    fn of(a: &Alloc) -> Self {
        Self {
            dirty: a.dirty_sectors,
            cached: a.cached_sectors,
            striped: a.stripe_sectors,
            stripe: a.stripe,
            redundancy: a.stripe_redundancy,
            data_type: a.data_type,
        }
    }

    /// The state of the bucket that has the state `stored`, and generation `generation`.
    pub(super) fn onto(&self, stored: &Alloc, generation: u8) -> Alloc {
        let mut new = Alloc {
            generation,
            dirty_sectors: self.dirty,
            cached_sectors: self.cached,
            stripe_sectors: self.striped,
            stripe: self.stripe,
            stripe_redundancy: self.redundancy,
            ..*stored
        };
        new.data_type = new.data_type_by_counts(self.data_type, false);
        new
    }
}

/// Counters of one position.
pub(super) type Sums = [i64; COUNTERS_MAX];

/// Inode numbers with wrong counters that are noted at a time, for they need memory.
const INUMS_MAX: usize = 1 << 16;

/// Counters, by position.
#[derive(Debug, Default)]
pub(super) struct Counters(Vec<(Bpos, Sums)>);

impl Counters {
    /// Adds to the counters at `pos`.
    pub(super) fn add(&mut self, pos: Bpos, by: &[i64]) -> Result {
        let at = match self.0.binary_search_by(|(p, _)| p.cmp(&pos)) {
            Ok(at) => at,
            Err(at) => {
                self.0.insert(at, (pos, Sums::default()))?;
                at
            }
        };
        if let Some((_, sums)) = self.0.get_mut(at) {
            for (sum, by) in sums.iter_mut().zip(by) {
                *sum = sum.wrapping_add(*by);
            }
        }
        Ok(())
    }

    /// All counters, in order of position.
    pub(super) fn iter(&self) -> impl Iterator<Item = &(Bpos, Sums)> {
        self.0.iter()
    }
}

/// Counters that are wrong: where, what is stored, and what should be.
pub(super) type BadCounters = (Bpos, Sums, Sums);

/// The counters of inode numbers. There are as many as there are inodes, so they are compared one
/// after the other: what is counted for a number comes together.
///
/// The C implementation does not check these.
#[derive(Debug, Default)]
struct Inums {
    current: Option<(Bpos, Sums)>,
    wrong: Vec<BadCounters>,
}

impl Inums {
    fn add(&mut self, btrees: &Btrees, pos: Bpos, by: &[i64]) -> Result {
        if self.current.is_none_or(|(p, _)| p != pos) {
            self.finish(btrees)?;
            self.current = Some((pos, Sums::default()));
        }
        if let Some((_, sums)) = &mut self.current {
            for (sum, by) in sums.iter_mut().zip(by) {
                *sum = sum.wrapping_add(*by);
            }
        }
        Ok(())
    }

    /// Compares what was counted last.
    fn finish(&mut self, btrees: &Btrees) -> Result {
        let Some((pos, want)) = self.current.take() else {
            return Ok(());
        };
        let key = btrees.lookup(BtreeId::ACCOUNTING, pos)?;
        let have = key.map_or(Sums::default(), |k| sums_of(k.key().v));
        if have == want || self.wrong.len() >= INUMS_MAX {
            return Ok(());
        }
        self.wrong.push((pos, have, want))
    }
}

/// The counters in the value of an accounting key.
pub(super) fn sums_of(v: &[u8]) -> Sums {
    let mut sums = Sums::default();
    for (to, from) in sums.iter_mut().zip(counters(v)) {
        *to = from;
    }
    sums
}

/// What all keys of a filesystem add up to.
///
/// C: what `bch2_check_allocations()` gathers.
pub(super) struct Recount {
    pub(super) gens: Gens,
    /// By slot of the device and number.
    buckets: Vec<Vec<Bucket>>,
    /// Of all but the buckets.
    pub(super) counters: Counters,
    /// Where shared extents end, and how often they are referred to; ascending.
    pub(super) refs: Vec<(u64, u64)>,
    inums: Inums,
}

impl Recount {
    /// Reads everything. Nobody may change anything meanwhile.
    ///
    /// Errors: [`Error::CheckPointers`] when there are pointers that do not fit their buckets;
    /// those of [`for_each_source`].
    pub(super) fn of(btrees: &Btrees) -> Result<Self> {
        let (this, odd) = Self::with(btrees, false)?;
        if odd != 0 {
            pr_err!("{}: {odd} pointers do not fit", btrees.sb().name());
            return Err(Error::CheckPointers);
        }
        Ok(this)
    }

    /// The same, but without a word `None` when there are such pointers.
    pub(super) fn if_all_fits(btrees: &Btrees) -> Result<Option<Self>> {
        let (this, odd) = Self::with(btrees, true)?;
        Ok((odd == 0).then_some(this))
    }

    /// Also says how many things there are that do not fit.
    #[inline(never)]
    fn with(btrees: &Btrees, is_quiet: bool) -> Result<(Self, u64)> {
        let mut this = Self {
            gens: Gens::read(btrees)?,
            buckets: Vec::new(),
            counters: Counters::default(),
            refs: Vec::new(),
            inums: Inums::default(),
        };
        let st = btrees.sb();
        for dev in (0..st.sb.nr_devices()).map(DevIdx) {
            let nr = geometry(st, dev).map_or(0, |g| g.nr_buckets);
            let of_dev = Vec::from_elem(Bucket::default(), usize_of(nr))?;
            this.buckets.push(of_dev)?;
        }
        let gens = core::mem::take(&mut this.gens);
        let look = match is_quiet {
            true => Look::quiet(btrees, &gens),
            false => Look::new(btrees, &gens),
        };
        let counted = this.count(look);
        this.gens = gens;
        counted.map(|odd| (this, odd))
    }

    #[inline(never)]
    fn count(&mut self, mut look: Look<'_>) -> Result<u64> {
        let btrees = look.btrees;
        let mut out = Effects::new();
        let mut refs: Vec<u64> = Vec::new();
        for dev in btrees.sb().devices() {
            recount_metadata(dev.idx, &dev.own, &dev.member, &mut out)?;
            self.add(&look, &mut out, &mut refs)?;
        }
        for_each_source(btrees, |btree, level, key| {
            recount(&mut look, btree, level, key, &mut out)?;
            self.add(&look, &mut out, &mut refs)
        })?;
        self.inums.finish(btrees)?;
        self.sum_refs(&mut refs)?;
        Ok(look.odd.get())
    }

    /// Adds what one key means.
    fn add(&mut self, look: &Look<'_>, out: &mut Effects, refs: &mut Vec<u64>) -> Result {
        for change in out.buckets() {
            self.add_bucket(look, change)?;
        }
        let version = look.btrees.sb().sb.version();
        for change in out.counters() {
            match change.counted(version) {
                Counted::Inum(_) => self.inums.add(look.btrees, change.pos, change.by())?,
                Counted::Unknown(_) => (),
                _ => self.counters.add(change.pos, change.by())?,
            }
        }
        while let Some(edit) = out.take_edit() {
            // Blocks of stripes are left to the tools.
            if let Edit::Refcount { end, by } = edit {
                for _ in 0..by.max(0) {
                    refs.push(end)?;
                }
            }
        }
        out.clear();
        Ok(())
    }

    fn add_bucket(&mut self, look: &Look<'_>, change: &BucketChange) -> Result {
        let of_dev = self.buckets.get_mut(usize::from(change.dev.0));
        let Some(bucket) = of_dev.and_then(|d| d.get_mut(usize_of(change.bucket.0))) else {
            return Ok(());
        };
        let generation = look.gens.get(change.dev, change.bucket);
        let before = bucket.onto(&Alloc::default(), generation);
        match change.apply(look, &before) {
            Ok(after) => *bucket = Bucket::of(&after),
            // This was found odd.
            Err(Error::BucketRefUpdate | Error::MarkStripe) => (),
            Err(e) => return Err(e),
        }
        Ok(())
    }

    /// How often each shared extent is referred to.
    fn sum_refs(&mut self, refs: &mut Vec<u64>) -> Result {
        sort_by(refs, |a, b| a.cmp(b));
        for end in refs.iter().copied() {
            match self.refs.last_mut().filter(|(e, _)| *e == end) {
                Some((_, nr)) => *nr = nr.saturating_add(1),
                None => self.refs.push((end, 1))?,
            }
        }
        Ok(())
    }

    /// Counters of inode numbers that are wrong.
    pub(super) fn take_inums(&mut self) -> Vec<BadCounters> {
        core::mem::take(&mut self.inums.wrong)
    }

    /// What a bucket holds.
    pub(super) fn bucket(&self, dev: DevIdx, bucket: BucketNr) -> Bucket {
        let of_dev = self.buckets.get(usize::from(dev.0));
        let found = of_dev.and_then(|d| d.get(usize_of(bucket.0)));
        found.copied().unwrap_or_default()
    }

    /// The buckets that must not be taken for anything: those that hold something; and when the
    /// generations of buckets are not in the alloc btree, `lost`, all that were ever used, as a new
    /// pointer would get a wrong one.
    #[inline(never)]
    pub(super) fn in_use(&self, lost: bool) -> Result<Held> {
        let mut held = Held::default();
        for (dev, buckets) in (0u8..=u8::MAX).map(DevIdx).zip(self.buckets.iter()) {
            held.reserve(dev, u64_of(buckets.len()))?;
            for (bucket, counted) in (0u64..).map(BucketNr).zip(buckets.iter()) {
                let was_used = lost && self.gens.get(dev, bucket) != 0;
                if was_used || *counted != Bucket::default() {
                    held.add(dev, bucket);
                }
            }
        }
        Ok(held)
    }
}
