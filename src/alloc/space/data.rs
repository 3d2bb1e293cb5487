// SPDX-License-Identifier: GPL-2.0

//! Places for file data.

use super::{
    discard::try_to_free,
    look::geometry,
    nodes::{
        count_bucket,
        free_on,
        take_bucket, //
    },
    space::{
        Engine,
        Space, //
    },
};
use crate::{
    alloc::{
        foreground::{
            Filled,
            Gather,
            OpenBuckets,
            OpenList,
            Points,
            Refusal,
            Request,
            WritePoint,
            POINTS_MAX, //
        },
        trigger::bucket_of, //
    },
    env::{
        num::low_u8,
        units::{
            BucketNr,
            DevIdx, //
        },
        Few,
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        data_type::DataType,
        sb::{
            assemble::DevMask,
            counters::Counter,
            flags,
            groups::Target, //
        },
        values::extent_entry::Ptr, //
    },
    journal::live::Watermark,
    sb::Device,
    sys::sync::{
        Mutex,
        SpinLock, //
    },
};
use core::sync::atomic::{
    AtomicU32,
    Ordering, //
};

/// How often buckets are made free for one who wants a place. Others may take them; but in the end
/// all who have space reserved get it.
const ATTEMPTS: u32 = 1024;
/// How often there may be nothing to be gained as long as others are writing: each time one waits
/// for a tenth of a second.
const HOPELESS_MAX: u32 = 600;
/// The same for what is moved, which nobody else competes for.
const MOVE_ATTEMPTS: u32 = 8;
/// Devices there can be.
const DEVS: usize = 256;

/// Which write point is whose.
struct Chooser {
    points: Points,
    now: u64,
}

/// Where data goes: the write points.
pub(super) struct DataPlaces {
    chooser: SpinLock<Chooser>,
    points: Vec<Mutex<WritePoint>>,
    /// Where data goes that is moved. C: `copygc_write_point`.
    moved: Mutex<WritePoint>,
    /// How many places are being written to: their buckets can not be emptied.
    pub(super) nr_taken: AtomicU32,
    /// Where the last search of each device ended.
    cursors: Mutex<Vec<u64>>,
}

/// What is to be written.
#[derive(Clone, Copy, Debug)]
pub struct DataRequest {
    /// Writes of one stream go to the same place; see
    /// [`stream`](crate::alloc::foreground::stream).
    pub stream: u64,
    /// So many sectors at most.
    pub sectors: u32,
    /// How many copies there are to be.
    pub nr_replicas: u8,
    /// Where they are to be, if that is possible.
    pub target: Target,
    /// Where none is to be.
    pub avoid: DevMask,
}

/// A place for data. The buckets stay open until it is dropped, which has to be after the key that
/// points there is in the btree.
pub struct DataPlace<'a> {
    space: &'a Space,
    pins: Pins,
    /// Where the copies are to be.
    pub copies: Few<Ptr, 4>,
    /// How much there is room for, in sectors.
    pub sectors: u32,
}

/// What keeps the buckets of a place for who writes there.
#[derive(Default)]
enum Pins {
    /// Nothing any more.
    #[default]
    Nothing,
    /// They are open.
    Open(OpenList),
    /// Data in them is written over.
    InPlace(Few<(DevIdx, BucketNr), 4>),
}

impl Pins {
    /// The place is counted from now on.
    fn counted(self, space: &Space) -> Self {
        space.data.nr_taken.fetch_add(1, Ordering::AcqRel);
        self
    }

    fn drop_all(&mut self, space: &Space) {
        match core::mem::take(self) {
            Self::Nothing => return,
            Self::Open(mut pins) => {
                let mut open = space.open.lock();
                while let Some(pin) = pins.pop() {
                    open.put(pin);
                }
            }
            Self::InPlace(buckets) => end_writes(&mut space.open.lock(), buckets.iter()),
        }
        space.data.nr_taken.fetch_sub(1, Ordering::AcqRel);
    }
}

fn end_writes<'a>(open: &mut OpenBuckets, buckets: impl Iterator<Item = &'a (DevIdx, BucketNr)>) {
    for (dev, bucket) in buckets {
        open.in_place.end_write(*dev, *bucket);
    }
}

impl Drop for DataPlace<'_> {
    fn drop(&mut self) {
        self.pins.drop_all(self.space);
    }
}

impl DataPlace<'_> {
    /// The place for one who has no borrow of the space, and has to [`close`](KeptPlace::close) it.
    pub fn keep(mut self) -> KeptPlace {
        KeptPlace {
            pins: core::mem::take(&mut self.pins),
            copies: core::mem::take(&mut self.copies),
        }
    }
}

/// A place for data whose buckets stay open until they are closed.
pub struct KeptPlace {
    pins: Pins,
    /// Where the copies are to be.
    pub copies: Few<Ptr, 4>,
}

impl KeptPlace {
    /// Lets the buckets be closed: the keys that point there are in the btree, or never will be.
    pub fn close(&mut self, space: &Space) {
        self.pins.drop_all(space);
    }
}

impl DataPlaces {
    pub(super) fn try_new() -> Result<Self> {
        let mut points = Vec::with_capacity(POINTS_MAX)?;
        for _ in 0..POINTS_MAX {
            points.push(Mutex::try_new(WritePoint::try_new(DataType::USER)?)?)?;
        }
        Ok(Self {
            chooser: SpinLock::try_new(Chooser {
                points: Points::new(),
                now: 0,
            })?,
            points,
            nr_taken: AtomicU32::new(0),
            moved: Mutex::try_new(WritePoint::try_new(DataType::USER)?)?,
            cursors: Mutex::try_new(Vec::from_elem(0, DEVS)?)?,
        })
    }
}

impl<'a> Engine<'a> {
    /// A place for data. When there is none, makes buckets free that can be, and waits for data to
    /// be moved; fails when nothing of that helps: [`Error::CopygcStuck`], or why else there is
    /// none.
    ///
    /// C: `bch2_alloc_sectors_start_trans()`.
    pub fn place_data(&self, request: &DataRequest) -> Result<DataPlace<'a>> {
        let (mut attempts, mut hopeless) = (0..ATTEMPTS, 0..HOPELESS_MAX);
        let space = &self.writer.hooks;
        let mut waits = None;
        loop {
            let refusal = match place_once(*self, request)? {
                Ok(place) => return Ok(place),
                Err(refusal) => refusal,
            };
            waits.get_or_insert_with(|| space.blocked(refusal).begin());
            let may_try = refusal.can_wait() && attempts.next().is_some();
            let others = space.others_write();
            let may_help = match refusal {
                _ if !may_try => false,
                Refusal::OpenBucketsEmpty => space.wait_for_closed(),
                _ => {
                    gather_stranded(*self)
                        || self.free_some(Watermark::Normal)?
                        || space.wait_for_copygc()
                        || hopeless.next().is_some() && space.wait_for_others(others)
                }
            };
            match refusal {
                _ if may_help => (),
                Refusal::FreelistEmpty if may_try => return Err(Error::CopygcStuck),
                _ => return Err(refusal.error()),
            }
        }
    }

    /// A place for data that is moved, so that a bucket becomes free: some more buckets are for
    /// this. When there is none, makes buckets free that can be without; and when there are none of
    /// these, takes one that is for nodes, which soon has another one in its place.
    pub fn place_moved(&self, request: &DataRequest) -> Result<DataPlace<'a>> {
        let space = &self.writer.hooks;
        let mut attempts = 0..MOVE_ATTEMPTS;
        let mut watermark = Watermark::CopyGc;
        loop {
            let wanted = Request {
                watermark,
                accept_fewer: false,
                nr_required: request.nr_replicas,
                ..request_of(space, request)
            };
            let mut point = space.data.moved.lock();
            let placed = place_at(*self, &wanted, request.sectors, &mut point)?;
            drop(point);
            let refusal = match placed {
                Ok(place) => return Ok(place),
                Err(refusal) => refusal,
            };
            if !refusal.can_wait() || attempts.next().is_none() {
                return Err(refusal.error());
            }
            if !self.free_some(Watermark::BtreeCopyGc)? {
                if watermark == Watermark::Btree {
                    return Err(refusal.error());
                }
                watermark = Watermark::Btree;
            }
        }
    }

    /// The place where `copies` are, which is written over. Nobody moves them elsewhere until it is
    /// closed. `None` when somebody is doing so, or too many places are written over; the copies
    /// may have been moved before, so the key that points there has to be looked up again.
    ///
    /// C: `bch2_bkey_nocow_lock()`.
    pub fn place_over(&self, copies: Few<Ptr, 4>) -> Result<Option<KeptPlace>> {
        let space = &self.writer.hooks;
        let mut buckets = Few::new();
        for ptr in copies.iter() {
            let Some(dev) = geometry(&space.st, ptr.dev) else {
                return Ok(None);
            };
            buckets.push((ptr.dev, bucket_of(ptr, &dev).0))?;
        }
        let mut open = space.open.lock();
        for (nr, (dev, bucket)) in buckets.iter().enumerate() {
            if !open.in_place.begin_write(*dev, *bucket) {
                end_writes(&mut open, buckets.iter().take(nr));
                return Ok(None);
            }
        }
        drop(open);
        Ok(Some(KeptPlace {
            pins: Pins::InPlace(buckets).counted(space),
            copies,
        }))
    }

    /// Makes buckets free, if there are some that can be. The caller has used much of his stack.
    fn free_some(&self, watermark: Watermark) -> Result<bool> {
        self.writer.on_own_stack(|| try_to_free(*self, watermark))
    }

    /// Nothing is moved for a while: others may fill what buckets were taken for it.
    pub fn end_moving(&self) {
        let space = &self.writer.hooks;
        let mut point = space.data.moved.lock();
        point.give_up(&mut space.open.lock());
        drop(point);
        space.want_discards();
    }
}

/// Free sectors of all devices, and the largest bucket.
fn free_sectors(space: &Space) -> (u64, u64) {
    let (mut free, mut largest) = (0u64, 0u64);
    for dev in space.st.devices() {
        if let Some(has) = space.dev_space(dev.idx, 0) {
            let sectors = has.free.saturating_mul(has.bucket_sectors);
            free = free.saturating_add(sectors);
            largest = largest.max(has.bucket_sectors);
        }
    }
    (free, largest)
}

/// Takes a write point out of use, if too much space is in those that are. Says whether there is
/// more to be had now.
///
/// C: `try_decrease_writepoints()`.
fn gather_stranded(engine: Engine<'_>) -> bool {
    let space = &engine.writer.hooks;
    let (free, bucket) = free_sectors(space);
    let (seen, shrunk) = {
        let mut chooser = space.data.chooser.lock();
        let seen = chooser.points.nr();
        (seen, chooser.points.shrink(seen, free, bucket))
    };
    match shrunk {
        Some(Some(at)) => {
            if let Some(point) = space.data.points.get(at) {
                point.lock().give_up(&mut space.open.lock());
            }
            seen > 1
        }
        Some(None) => true,
        None => false,
    }
}

#[inline(never)]
fn place_once<'a>(
    engine: Engine<'a>,
    wanted: &DataRequest,
) -> Result<Result<DataPlace<'a>, Refusal>> {
    let space = &engine.writer.hooks;
    let (free, bucket) = free_sectors(space);
    let chosen = {
        let mut chooser = space.data.chooser.lock();
        chooser.now = chooser.now.wrapping_add(1);
        let now = chooser.now;
        chooser.points.choose(wanted.stream, now, free, bucket)
    };
    let point = chosen.and_then(|c| space.data.points.get(c.index));
    let mut point = point.ok_or(Error::Overflow)?.lock();
    let request = request_of(space, wanted);
    place_at(engine, &request, wanted.sectors, &mut point)
}

/// A place for at most so many sectors, of what a write point has or gets.
fn place_at<'a>(
    engine: Engine<'a>,
    request: &Request,
    sectors: u32,
    point: &mut WritePoint,
) -> Result<Result<DataPlace<'a>, Refusal>> {
    let space = &engine.writer.hooks;
    match gather(engine, request, point)? {
        Ok(Filled::Whole | Filled::Degraded) => (),
        Err(refusal) => return Ok(Err(refusal)),
    }
    let mut place = DataPlace {
        space,
        pins: Pins::default(),
        copies: Few::new(),
        sectors: point.sectors_free().min(sectors),
    };
    let mut open = space.open.lock();
    let copies = &mut place.copies;
    let appended = point.append(&mut open, place.sectors, |ptr| copies.push(ptr));
    place.pins = Pins::Open(point.pins(&mut open)).counted(space);
    point.done(&mut open);
    drop(open);
    appended.ok_or(Error::DataPlaceFull)??;
    let counters = &space.st.counters;
    counters.add(Counter::SECTORS_ALLOC, place.sectors.into());
    Ok(Ok(place))
}

fn request_of(space: &Space, wanted: &DataRequest) -> Request {
    let st = &space.st;
    let (mut all, mut devs) = (DevMask::default(), DevMask::default());
    let can = |dev: &&Device| {
        dev.is_writable() && dev.member.allows(DataType::USER) && !wanted.avoid.has(dev.idx.0)
    };
    for dev in st.devices().filter(can) {
        all.add(dev.idx.0);
        if st.is_in_target(wanted.target, dev) {
            devs.add(dev.idx.0);
        }
    }
    Request {
        devs,
        fallback: Some(all),
        nr_replicas: wanted.nr_replicas.max(1),
        nr_required: low_u8(st.sb.flag(flags::DATA_REPLICAS_REQ)).max(1),
        accept_fewer: true,
        watermark: Watermark::Normal,
    }
}

#[inline(never)]
fn gather(
    engine: Engine<'_>,
    request: &Request,
    point: &mut WritePoint,
) -> Result<Result<Filled, Refusal>> {
    let space = &engine.writer.hooks;
    let mut gather = Gather::begin(request, point, &mut space.open.lock());
    while let Some((has, dev)) = free_on(space, &mut gather) {
        let idx = dev.idx;
        // Not held while btrees are searched: who comes second begins at the same place.
        let at = usize::from(idx.0);
        let mut cursor = space.data.cursors.lock().get(at).copied().unwrap_or(0);
        let found = match has.free_for(request.watermark) {
            0 => Err(Refusal::FreelistEmpty),
            _ => {
                let cursor = Some(&mut cursor);
                take_bucket(engine, dev, DataType::USER, request.watermark, cursor)?
            }
        };
        if let Some(to) = space.data.cursors.lock().get_mut(at) {
            *to = cursor;
        }
        count_bucket(space, &found);
        gather.offer(&mut space.open.lock(), idx, &has, found);
    }
    Ok(gather.finish(&mut space.open.lock()))
}
