// SPDX-License-Identifier: GPL-2.0

//! What those who need buckets, and the thread that empties some by moving data, tell each other.
//!
//! The thread is above: it reads and writes data. It works in rounds. Who finds no bucket asks for
//! one, and waits until a bucket became free or a round that began after that has ended; only when
//! nothing was moved in it there is no hope.

use super::{
    evacuate::{
        backpointers_of,
        closed_bucket,
        fragmented_buckets, //
    },
    space::{
        Engine,
        Space, //
    },
};
use crate::{
    alloc::foreground::Refusal,
    env::{
        units::{
            BucketNr,
            DevIdx,
            Sectors, //
        },
        Vec, //
    },
    error::Result,
    format::{
        data_type::DataType,
        values::backpointer::{
            Backpointer,
            BACKPOINTER_SHIFT, //
        },
    },
    journal::live::Watermark,
    sb::{
        Device,
        TimeStat, //
    },
    sys::{
        sync::SpinLock,
        wait::WaitQueue, //
    },
};
use core::sync::atomic::{
    AtomicBool,
    Ordering, //
};

/// Milliseconds between looks whether writing has ended, for who waits.
const LOOK_MS: u64 = 100;
/// So many looks, and a round takes longer than anybody waits.
const LOOKS: u32 = 600;

/// The rounds of the thread, counted from 1.
#[derive(Clone, Copy, Default)]
struct Rounds {
    /// There is a thread.
    is_there: bool,
    begun: u64,
    ended: u64,
    /// The last one in which something was moved.
    fruitful: u64,
}

/// What the thread and those who wait for it tell each other.
pub(super) struct CopyGc {
    rounds: SpinLock<Rounds>,
    waiters: WaitQueue,
    wanted: AtomicBool,
    sleeper: WaitQueue,
}

impl CopyGc {
    pub(super) fn try_new() -> Result<Self> {
        Ok(Self {
            rounds: SpinLock::try_new(Rounds::default())?,
            waiters: WaitQueue::new(),
            wanted: AtomicBool::new(false),
            sleeper: WaitQueue::new(),
        })
    }
}

/// There is a thread that moves data, until this is dropped.
pub struct Copying<'a>(&'a Space);

impl Drop for Copying<'_> {
    fn drop(&mut self) {
        let own = &self.0.copygc;
        own.rounds.lock().is_there = false;
        own.waiters.wake_all();
    }
}

impl<'a> Copying<'a> {
    /// From now on, who needs buckets waits for this thread.
    pub fn begin(space: &'a Space) -> Self {
        space.copygc.rounds.lock().is_there = true;
        Self(space)
    }

    /// Waits until somebody needs buckets, or for so many milliseconds; whether somebody does.
    pub fn wait(&self, ms: u64) -> bool {
        let own = &self.0.copygc;
        let wanted = || own.wanted.swap(false, Ordering::AcqRel);
        own.sleeper.idle_timeout_ms(ms, wanted)
    }

    /// Calls `f`, a round, which says whether something was moved.
    pub fn round<T>(&self, f: impl FnOnce() -> T, was_moved: impl FnOnce(&T) -> bool) -> T {
        let own = &self.0.copygc;
        let nr = {
            let mut rounds = own.rounds.lock();
            rounds.begun = rounds.begun.saturating_add(1);
            rounds.begun
        };
        let done = f();
        {
            let mut rounds = own.rounds.lock();
            rounds.ended = nr;
            if was_moved(&done) {
                rounds.fruitful = nr;
            }
        }
        own.waiters.wake_all();
        done
    }
}

/// A bucket whose data is to be moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragmented {
    /// The device.
    pub dev: DevIdx,
    /// The bucket.
    pub bucket: BucketNr,
    /// Its generation.
    pub generation: u8,
    /// Sectors in it that are in use.
    pub sectors: u64,
}

/// A bucket in which nothing is written over, so that what is there can be moved.
pub struct Emptying<'a>(&'a Space, DevIdx, BucketNr);

impl Drop for Emptying<'_> {
    fn drop(&mut self) {
        self.0.open.lock().in_place.end_move(self.1, self.2);
    }
}

/// Where a bucket that is to be emptied has data, and what points there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataAt {
    /// The sector of the device.
    pub sector: Sectors,
    /// The key that points there.
    pub at: Backpointer,
}

impl Space {
    /// Has the thread that moves data look what there is.
    pub fn want_copygc(&self) {
        if !self.copygc.wanted.swap(true, Ordering::AcqRel) {
            self.copygc.sleeper.wake_all();
        }
    }

    /// Waits until a bucket became free, or data was moved so that one may be. `false` when nothing
    /// was moved, or nobody moves data. The caller must hold no lock, and not move data himself.
    pub(super) fn wait_for_copygc(&self) -> bool {
        let own = &self.copygc;
        let before = *own.rounds.lock();
        if !before.is_there {
            return false;
        }
        // One that is under way may have looked already.
        let wanted = before.begun.saturating_add(1);
        let freed = self.freeing.nr();
        self.want_copygc();
        for _ in 0..LOOKS {
            let has_ended = || {
                let now = *own.rounds.lock();
                now.ended >= wanted || !now.is_there || self.freeing.nr() > freed
            };
            if own.waiters.wait_timeout_ms(LOOK_MS, has_ended) {
                break;
            }
            if self.journal.halted().is_some() {
                return false;
            }
        }
        own.rounds.lock().fruitful >= wanted || self.freeing.nr() > freed
    }

    /// What waiting after `refusal` is counted as.
    pub(super) fn blocked(&self, refusal: Refusal) -> &TimeStat {
        match refusal {
            Refusal::OpenBucketsEmpty => &self.st.times.blocked_allocate_open_bucket,
            _ => &self.st.times.blocked_allocate,
        }
    }

    /// Waits for a moment until fewer buckets are open, which they are when what is written to them
    /// has arrived.
    pub(super) fn wait_for_closed(&self) -> bool {
        let left = || self.open.lock().left_for(Watermark::Normal) != 0;
        // Nobody tells of that.
        let _ = self.freeing.wait_for(left);
        self.journal.halted().is_none()
    }

    /// Waits for a moment, if others are writing: what they write is in buckets that can not be
    /// emptied yet. `seen` is whether they were before the last round, which counts as well.
    pub(super) fn wait_for_others(&self, seen: bool) -> bool {
        let freed = self.freeing.nr();
        let is_there = self.copygc.rounds.lock().is_there;
        if !is_there || !(seen || self.others_write()) || self.journal.halted().is_some() {
            return false;
        }
        let _ = self.freeing.wait_for(|| self.freeing.nr() > freed);
        true
    }

    /// Whether somebody is writing data at the moment.
    pub(super) fn others_write(&self) -> bool {
        self.data.nr_taken.load(Ordering::Acquire) != 0
    }

    /// Sectors that may be written before data is moved without anybody asking for it: as long as
    /// what is lost in buckets that are used in part is less than half of what is available.
    ///
    /// C: `bch2_copygc_wait_amount()`; here only data counts, as nodes are moved by others.
    pub fn copygc_wait(&self) -> u64 {
        let of_device = |dev: &Device| {
            let has = self.dev_space(dev.idx, 0)?;
            let available = has.available_for(Watermark::Stripe);
            let allowed = available.saturating_mul(has.bucket_sectors) / 2;
            Some(allowed.saturating_sub(self.fragmented(dev.idx)))
        };
        let all = self.st.devices().filter_map(of_device);
        all.min().unwrap_or(u64::MAX)
    }

    /// Whether data is being moved. C: `copygc_running`.
    pub fn copygc_is_running(&self) -> bool {
        let rounds = self.copygc.rounds.lock();
        rounds.begun != rounds.ended
    }

    /// Sectors of a device that are lost in buckets that data is in.
    fn fragmented(&self, dev: DevIdx) -> u64 {
        let usage = self.usage.lock().device(dev);
        let of = usage.get(usize::from(DataType::USER.0)).copied();
        let [_, _, fragmented] = of.unwrap_or_default();
        fragmented
    }
}

impl Engine<'_> {
    /// Up to `nr` buckets of data with the least in them first, none with more than `parts_max` of
    /// 8 parts in use, of which `is_wanted`.
    pub fn fragmented_data(
        &self,
        nr: usize,
        parts_max: u64,
        is_wanted: impl Fn(&Fragmented) -> bool,
    ) -> Result<Vec<Fragmented>> {
        let space = &self.writer.hooks;
        let mut found = Vec::with_capacity(nr)?;
        fragmented_buckets(*self, nr, |dev, bucket| {
            let Some(member) = space.st.dev(dev).map(|d| &d.member) else {
                return Ok(false);
            };
            let Some(state) = closed_bucket(*self, dev, bucket)? else {
                return Ok(false);
            };
            let one = Fragmented {
                dev,
                bucket,
                generation: state.generation,
                sectors: state.sectors_dirty(),
            };
            let all = u64::from(member.bucket_sectors());
            let is_of_data = state.data_type == DataType::USER
                && one.sectors != 0
                && one.sectors < all
                && one.sectors.saturating_mul(8) <= all.saturating_mul(parts_max);
            if !is_of_data || !is_wanted(&one) {
                return Ok(false);
            }
            found.push(one)?;
            Ok(true)
        })?;
        Ok(found)
    }

    /// From now on nothing in a bucket is written over, until this is dropped. `None` when somebody
    /// does so just now.
    pub fn emptying(&self, of: &Fragmented) -> Option<Emptying<'_>> {
        let space = &self.writer.hooks;
        let is_ours = space.open.lock().in_place.begin_move(of.dev, of.bucket);
        is_ours.then(|| Emptying(space, of.dev, of.bucket))
    }

    /// What is in a bucket of data, in order.
    pub fn data_in(&self, of: &Fragmented) -> Result<Vec<DataAt>> {
        let dev = self.writer.hooks.st.dev_or_gone(of.dev)?;
        let sectors = u64::from(dev.member.bucket_sectors());
        let start = of.bucket.0.saturating_mul(sectors);
        let range = (start, start.saturating_add(sectors));
        let mut found = Vec::new();
        for (pos, at) in backpointers_of(*self, DataType::USER, of.dev, range)? {
            if at.level == 0 {
                let sector = Sectors(pos.offset.wrapping_shr(BACKPOINTER_SHIFT));
                found.push(DataAt { sector, at })?;
            }
        }
        Ok(found)
    }

    /// How much of a bucket is in use, if it is the same as before.
    pub fn data_left(&self, of: &Fragmented) -> Result<u64> {
        let state = closed_bucket(*self, of.dev, of.bucket)?;
        let state = state.filter(|s| s.generation == of.generation);
        Ok(state.map_or(0, |s| s.sectors_dirty()))
    }
}
