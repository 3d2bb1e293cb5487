// SPDX-License-Identifier: GPL-2.0

//! The table of buckets that are being written to.

use super::{
    bucket::{
        OpenBucket,
        OpenRef,
        Refusal, //
    },
    in_place::InPlace,
    watermark::{
        open_reserved,
        Watermark, //
    },
};
use crate::{
    env::{
        num::{
            low_u16,
            u64_of,
            usize_of, //
        },
        units::{
            BucketNr,
            DevIdx, //
        },
        Vec,
    },
    error::Result,
    format::{
        data_type::DataType,
        values::extent_entry::Ptr, //
    },
};

/// How many buckets can be open. C: `OPEN_BUCKETS_COUNT`, less the one that is not used.
pub const OPEN_BUCKETS: u16 = 1023;

/// A place in the table.
#[derive(Clone, Copy, Debug)]
struct Slot {
    /// How many references there are; 0 in a slot that is not in use.
    pins: u32,
    /// The next slot of the same chain of the hash table, or of the list of slots not in use.
    next: u16,
    open: OpenBucket,
}

/// How many buckets of a device are open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct PerDev {
    unused: u16,
    parked: u16,
}

/// No slot.
const NONE: u16 = u16::MAX;

/// All open buckets.
///
/// C: `open_buckets`, `open_buckets_hash`, `open_buckets_freelist`, `open_buckets_partial`.
pub struct OpenBuckets {
    slots: Vec<Slot>,
    hash: Vec<u16>,
    free: u16,
    nr_free: u16,
    /// Buckets with space that no write point uses.
    parked: Vec<u16>,
    devs: Vec<PerDev>,
    /// Buckets that are full, and written to all the same.
    pub in_place: InPlace,
}

impl OpenBuckets {
    /// A table for `nr` open buckets; [`OPEN_BUCKETS`] but in tests.
    pub fn new(nr: u16) -> Result<Self> {
        let nr = nr.min(OPEN_BUCKETS);
        let nobody = (DevIdx(0), BucketNr(0));
        let nothing = OpenBucket::new(nobody, 0, 0, DataType::FREE, 0);
        let mut slots = Vec::with_capacity(nr.into())?;
        for at in 0..nr {
            let next = at.wrapping_add(1);
            slots.push(Slot {
                pins: 0,
                next: if next < nr { next } else { NONE },
                open: nothing,
            })?;
        }
        Ok(Self {
            slots,
            hash: Vec::from_elem(NONE, usize::from(nr.next_power_of_two()))?,
            free: if nr == 0 { NONE } else { 0 },
            nr_free: nr,
            parked: Vec::with_capacity(nr.into())?,
            devs: Vec::from_elem(PerDev::default(), 256)?,
            in_place: InPlace::try_new()?,
        })
    }

    fn chain(&mut self, dev: DevIdx, bucket: BucketNr) -> Option<&mut u16> {
        let at = self.hash_index(dev, bucket);
        self.hash.get_mut(at)
    }

    fn hash_index(&self, dev: DevIdx, bucket: BucketNr) -> usize {
        // Fibonacci hashing: buckets next to each other are open together.
        let key = bucket.0 ^ u64::from(dev.0).wrapping_shl(48);
        let hash = key.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_shr(40);
        usize_of(hash) & self.hash.len().wrapping_sub(1)
    }

    fn find(&self, dev: DevIdx, bucket: BucketNr) -> Option<u16> {
        let mut at = *self.hash.get(self.hash_index(dev, bucket))?;
        while at != NONE {
            let slot = self.slots.get(usize::from(at))?;
            if (slot.open.dev, slot.open.bucket) == (dev, bucket) {
                return Some(at);
            }
            at = slot.next;
        }
        None
    }

    fn slot(&mut self, at: u16) -> Option<&mut Slot> {
        self.slots.get_mut(usize::from(at))
    }

    fn per_dev(&mut self, dev: DevIdx) -> Option<&mut PerDev> {
        self.devs.get_mut(usize::from(dev.0))
    }

    /// Whether a bucket is open. C: `bch2_bucket_is_open()`.
    pub fn is_open(&self, dev: DevIdx, bucket: BucketNr) -> bool {
        self.find(dev, bucket).is_some()
    }

    /// Whether somebody writes to a bucket, be it open or not: nobody else may take it, or move
    /// what is there.
    pub fn is_written(&self, dev: DevIdx, bucket: BucketNr) -> bool {
        self.is_open(dev, bucket) || self.in_place.is_written(dev, bucket)
    }

    /// Open buckets of a device that are still counted as free.
    pub fn nr_unused(&self, dev: DevIdx) -> u64 {
        let dev = self.devs.get(usize::from(dev.0));
        dev.map_or(0, |d| d.unused.into())
    }

    /// Open buckets of a device that have space and are used by no write point.
    /// C: `nr_partial_buckets`.
    pub fn nr_parked(&self, dev: DevIdx) -> u64 {
        let dev = self.devs.get(usize::from(dev.0));
        dev.map_or(0, |d| d.parked.into())
    }

    /// How many buckets can still be opened by writes of this kind.
    pub fn left_for(&self, watermark: Watermark) -> u16 {
        let all = low_u16(u64_of(self.slots.len()));
        self.nr_free.saturating_sub(open_reserved(watermark, all))
    }

    /// Opens a free bucket. `None` when somebody else has done so.
    ///
    /// C: `__try_alloc_bucket()`.
    pub fn take(
        &mut self,
        open: OpenBucket,
        watermark: Watermark,
    ) -> Result<Option<OpenRef>, Refusal> {
        let (dev, bucket) = (open.dev, open.bucket);
        if self.is_written(dev, bucket) {
            return Ok(None);
        }
        let at = self.free;
        if self.left_for(watermark) == 0 || at == NONE {
            return Err(Refusal::OpenBucketsEmpty);
        }
        let Some(chain) = self.chain(dev, bucket) else {
            return Err(Refusal::OpenBucketsEmpty);
        };
        let head = core::mem::replace(chain, at);
        let slot = Slot {
            pins: 1,
            next: head,
            open,
        };
        if let Some(place) = self.slot(at) {
            let after = core::mem::replace(place, slot).next;
            self.free = after;
            self.nr_free = self.nr_free.wrapping_sub(1);
        }
        if let Some(d) = self.per_dev(dev) {
            d.unused = d.unused.saturating_add(1);
        }
        Ok(Some(OpenRef(at)))
    }

    /// The open bucket that a reference is to.
    pub fn get(&self, at: &OpenRef) -> Option<&OpenBucket> {
        let slot = self.slots.get(usize::from(at.0));
        slot.filter(|s| s.pins != 0).map(|s| &s.open)
    }

    /// One more reference, for a write until its keys are in a btree. C: `bch2_open_bucket_get()`.
    pub fn pin(&mut self, at: &OpenRef) -> OpenRef {
        if let Some(slot) = self.slot(at.0) {
            slot.pins = slot.pins.saturating_add(1);
        }
        OpenRef(at.0)
    }

    /// Gives `sectors` of the bucket out. `None` when it has fewer.
    pub fn use_sectors(&mut self, at: &OpenRef, sectors: u32) -> Option<Ptr> {
        let slot = self.slot(at.0)?;
        let ptr = slot.open.ptr();
        slot.open.sectors_free = slot.open.sectors_free.checked_sub(sectors)?;
        Some(ptr)
    }

    /// A key that points into the bucket is in a btree: it is not counted as free any more.
    pub fn filled(&mut self, dev: DevIdx, bucket: BucketNr) {
        if let Some(at) = self.find(dev, bucket) {
            self.no_longer_unused(at);
        }
    }

    fn no_longer_unused(&mut self, at: u16) {
        let Some(slot) = self.slot(at).filter(|s| s.open.unused) else {
            return;
        };
        slot.open.unused = false;
        let dev = slot.open.dev;
        if let Some(d) = self.per_dev(dev) {
            d.unused = d.unused.saturating_sub(1);
        }
    }

    /// Gives a reference back. Says whether it was the last: then the bucket is no longer open, and
    /// whoever waits for buckets is to be woken. C: `bch2_open_bucket_put()`.
    pub fn put(&mut self, at: OpenRef) -> bool {
        let Some(slot) = self.slot(at.0).filter(|s| s.pins != 0) else {
            return false;
        };
        slot.pins = slot.pins.wrapping_sub(1);
        if slot.pins != 0 {
            return false;
        }
        self.no_longer_unused(at.0);
        self.unlink(at.0);
        let free = self.free;
        if let Some(slot) = self.slot(at.0) {
            slot.next = free;
        }
        self.free = at.0;
        self.nr_free = self.nr_free.saturating_add(1);
        true
    }

    /// Takes a slot out of the hash table.
    fn unlink(&mut self, at: u16) {
        let Some((dev, bucket, after)) = self.slot(at).map(|s| (s.open.dev, s.open.bucket, s.next))
        else {
            return;
        };
        let Some(chain) = self.chain(dev, bucket) else {
            return;
        };
        if *chain == at {
            *chain = after;
            return;
        }
        let mut before = *chain;
        while let Some(slot) = self.slot(before) {
            if slot.next == at {
                slot.next = after;
                return;
            }
            before = slot.next;
        }
    }

    /// Puts a bucket aside that a write point does not need, with its reference, for another to use
    /// its space. One without space is given back; says whether it is no longer open then.
    ///
    /// C: `open_bucket_free_unused()`.
    pub fn park(&mut self, at: OpenRef) -> bool {
        let open = self.get(&at).copied().filter(|o| o.sectors_free != 0);
        // There is room for all slots; if there were not, no space would be lost.
        let Some(open) = open.filter(|_| self.parked.push(at.0).is_ok()) else {
            return self.put(at);
        };
        if let Some(d) = self.per_dev(open.dev) {
            d.parked = d.parked.saturating_add(1);
        }
        false
    }

    /// Takes a bucket that was put aside, the last one first, if `wants` it.
    pub fn unpark(&mut self, wants: impl Fn(&OpenBucket) -> bool) -> Option<OpenRef> {
        let found = self.parked.iter().rposition(|at| {
            let slot = self.slots.get(usize::from(*at));
            slot.is_some_and(|s| wants(&s.open))
        })?;
        let at = self.parked.remove(found)?;
        let dev = self.slot(at)?.open.dev;
        if let Some(d) = self.per_dev(dev) {
            d.parked = d.parked.saturating_sub(1);
        }
        Some(OpenRef(at))
    }

    /// Closes what was put aside of `dev`, or of all devices. C: a part of
    /// `bch2_open_buckets_stop()`.
    pub fn stop(&mut self, dev: Option<DevIdx>) {
        while let Some(at) = self.unpark(|o| dev.is_none_or(|d| d == o.dev)) {
            self.put(at);
        }
    }
}
