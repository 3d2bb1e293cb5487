// SPDX-License-Identifier: GPL-2.0

//! Finding as many buckets for a write as it is to have copies.

use super::{
    bucket::{
        OpenBucket,
        OpenRef,
        Refusal, //
    },
    list::OpenList,
    open::OpenBuckets,
    point::WritePoint,
    watermark::{
        DevSpace,
        Watermark, //
    },
};
use crate::{
    env::units::DevIdx,
    format::{
        data_type::DataType,
        sb::assemble::DevMask, //
    },
};

/// What a write asks for. No device that has a copy already is in one of the masks.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// The devices of the target that can be written, or all without a target.
    pub devs: DevMask,
    /// All devices that can be written, for when those do not suffice; `None` when nothing else is
    /// to be used.
    pub fallback: Option<DevMask>,
    /// How many copies there are to be.
    pub nr_replicas: u8,
    /// How many there have to be.
    pub nr_required: u8,
    /// Fewer copies than there are to be, but not fewer than there have to be, are enough when
    /// devices are full. A caller asks for this when it makes no sense to wait.
    pub accept_fewer: bool,
    /// How urgent the write is.
    pub watermark: Watermark,
}

/// How a write point was filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    /// As was asked.
    Whole,
    /// There will be fewer copies than there are to be.
    Degraded,
}

/// Fills a write point with buckets for one write. What can not be done here, taking a bucket of a
/// device, [`Gather::next_device`] asks for.
///
/// C: `bch2_alloc_sectors_start_trans()`, `open_bucket_add_buckets()`.
pub struct Gather<'a> {
    request: &'a Request,
    point: &'a mut WritePoint,
    got: OpenList,
    /// Devices that may still be used in this round.
    devs: DevMask,
    fallback: Option<DevMask>,
    /// Replicas that what was found counts for.
    effective: u32,
    /// No other device that only caches is wanted.
    has_cache: bool,
    /// Why the last device that was tried gave none.
    refusal: Option<Refusal>,
}

impl<'a> Gather<'a> {
    /// Begins with what the write point and then other, former ones have.
    pub fn begin(request: &'a Request, point: &'a mut WritePoint, table: &mut OpenBuckets) -> Self {
        let mut this = Self {
            request,
            // Metadata is never only cached.
            has_cache: point.data_type != DataType::USER,
            point,
            got: OpenList::new(),
            devs: request.devs,
            fallback: request.fallback,
            effective: 0,
            refusal: None,
        };
        this.take_open(table);
        this
    }

    fn is_whole(&self) -> bool {
        self.effective >= self.request.nr_replicas.into()
    }

    /// A device is not to be asked again.
    fn exclude(&mut self, dev: DevIdx) {
        self.devs.remove(dev.0);
        if let Some(mask) = &mut self.fallback {
            mask.remove(dev.0);
        }
    }

    /// C: `want_bucket()`.
    fn wants(&self, open: &OpenBucket) -> bool {
        open.data_type == self.point.data_type
            && open.sectors_free != 0
            && self.devs.has(open.dev.0)
            && (open.durability != 0 || !self.has_cache)
    }

    /// C: `add_new_bucket()`.
    fn add(&mut self, table: &mut OpenBuckets, at: OpenRef) {
        let Some((dev, durability)) = table.get(&at).map(|o| (o.dev, o.durability)) else {
            return;
        };
        self.exclude(dev);
        match self.got.push(at) {
            Ok(()) => {
                self.effective = self.effective.saturating_add(durability.into());
                self.has_cache |= durability == 0;
            }
            // More copies than there can be.
            Err(back) => {
                table.park(back);
            }
        }
    }

    /// Takes open buckets: of the write point, then of those put aside.
    ///
    /// C: `bucket_alloc_set_writepoint()`, `bucket_alloc_set_partial()`.
    fn take_open(&mut self, table: &mut OpenBuckets) {
        let mut at = 0;
        while !self.is_whole() {
            let Some(open) = self.point.open.iter().nth(at).and_then(|r| table.get(r)) else {
                break;
            };
            if !self.wants(open) {
                at = at.saturating_add(1);
                continue;
            }
            if let Some(taken) = self.point.open.remove(at) {
                self.add(table, taken);
            }
        }
        while !self.is_whole() {
            // Space in a bucket that was taken already is for everyone who writes the same.
            let Some(taken) = table.unpark(|open| self.wants(open)) else {
                break;
            };
            self.add(table, taken);
        }
    }

    /// The device that a bucket is to be taken of next, of those that `space` tells of; answer with
    /// [`Gather::offer`]. `None` when there is nothing to be done but to [`Gather::finish`].
    pub fn next_device(
        &mut self,
        table: &mut OpenBuckets,
        space: &impl Fn(DevIdx) -> Option<DevSpace>,
    ) -> Option<DevIdx> {
        while !self.is_whole() {
            match self.point.clock.next_of(&self.devs) {
                Some(dev) => match space(dev) {
                    Some(s) if s.durability != 0 || !self.has_cache => return Some(dev),
                    _ => self.devs.remove(dev.0),
                },
                None => {
                    // When too many buckets are open, those of other devices are, too.
                    if self.refusal == Some(Refusal::OpenBucketsEmpty) {
                        return None;
                    }
                    self.devs = self.fallback.take()?;
                    // What is only cached is cached on the target.
                    self.has_cache = true;
                    self.take_open(table);
                }
            }
        }
        None
    }

    /// What came of taking a bucket of `dev`.
    pub fn offer(
        &mut self,
        table: &mut OpenBuckets,
        dev: DevIdx,
        space: &DevSpace,
        found: Result<OpenRef, Refusal>,
    ) {
        match found {
            Ok(at) => {
                let available = space.available_for(Watermark::Normal);
                self.point.clock.advance(dev, available);
                self.add(table, at);
            }
            Err(refusal) => {
                self.exclude(dev);
                self.refusal = Some(refusal);
            }
        }
    }

    /// Ends. If enough was found the write point has it, and what it had besides is put aside. If
    /// not, it keeps what it has begun to fill; other buckets are given back. (In C it keeps those,
    /// too, and nobody else can use them.)
    pub fn finish(mut self, table: &mut OpenBuckets) -> Result<Filled, Refusal> {
        let filled = match self.is_whole() {
            true => Ok(Filled::Whole),
            false => {
                let enough = self.effective >= self.request.nr_required.into();
                match self.refusal.unwrap_or(Refusal::InsufficientDevices) {
                    Refusal::InsufficientDevices if enough => Ok(Filled::Degraded),
                    Refusal::FreelistEmpty if enough && self.request.accept_fewer => {
                        Ok(Filled::Degraded)
                    }
                    refusal => Err(refusal),
                }
            }
        };
        if filled.is_ok() {
            self.drop_extra(table);
            while let Some(at) = self.point.open.pop() {
                table.park(at);
            }
        }
        while !self.got.is_empty() {
            let Some(at) = self.got.remove(0) else {
                break;
            };
            // More urgent writes may be waiting for just this one.
            if filled.is_err() && table.get(&at).is_none_or(OpenBucket::is_untouched) {
                table.put(at);
                continue;
            }
            if let Err(back) = self.point.open.push(at) {
                table.park(back);
            }
        }
        let free = self.point.open.iter().filter_map(|at| table.get(at));
        self.point.sectors_free = free.map(|o| o.sectors_free).min().unwrap_or(0);
        filled
    }

    /// Gives back what counts for more copies than are wanted. C: `deallocate_extra_replicas()`.
    fn drop_extra(&mut self, table: &mut OpenBuckets) {
        let wanted = u32::from(self.request.nr_replicas);
        loop {
            let extra = self.effective.saturating_sub(wanted);
            let counts_for = |at: &OpenRef| table.get(at).map_or(0, |o| u32::from(o.durability));
            let all = self.got.iter().map(counts_for).enumerate();
            let found = all
                .filter(|(_, d)| *d != 0 && *d <= extra)
                .min_by_key(|(at, _)| *at);
            let Some((at, durability)) = found else {
                return;
            };
            if let Some(at) = self.got.remove(at) {
                table.park(at);
            }
            self.effective = self.effective.saturating_sub(durability);
        }
    }
}
