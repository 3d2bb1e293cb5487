// SPDX-License-Identifier: GPL-2.0

//! Places for btree nodes.

use super::{
    discard::{
        keep_reserve,
        try_to_free, //
    },
    freespace::unused_range,
    space::{
        Engine,
        Space, //
    },
};
use crate::{
    alloc::foreground::{
        DevSpace,
        Filled,
        Gather,
        NodeRegions,
        OpenBucket,
        OpenBuckets,
        OpenList,
        OpenRef,
        Refusal,
        Request,
        Search,
        Skip,
        Step,
        Verdict,
        WritePoint, //
    },
    btree::{
        interior::NodePlace,
        ptr::COPIES_MAX, //
    },
    env::{
        num::{
            low_u8,
            u64_of, //
        },
        pr_warn,
        units::{
            BucketNr,
            DevIdx, //
        },
        Vec,
    },
    error::{
        Error,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        data_type::DataType,
        opts::OptId,
        sb::{
            assemble::DevMask,
            counters::Counter,
            flags, //
        },
        values::{
            alloc::Alloc,
            bucket_index::alloc_pos, //
        },
    },
    journal::live::Watermark,
    sb::{
        Device,
        SbState, //
    },
    sys::sync::SpinLock,
};
use core::ops::Range;

/// Places that are kept for the next who wants some.
const SPARE_PLACES: usize = 8;
/// How often buckets are made free for one who wants a place. Each time there can be some that
/// others, whose need is more urgent, take and empty again for ever.
const ATTEMPTS: u32 = 8;
/// How often one waits for others who move data, or have taken places that they may give back.
const PATIENCE: u32 = 100;
/// Devices there can be.
const DEVS: usize = 256;

/// Where nodes go, and the places that were given out.
pub(super) struct NodePlaces {
    point: WritePoint,
    /// Where the last search of each device ended.
    cursors: Vec<u64>,
    /// What keeps the buckets of each place open, by its token.
    given: Vec<Option<OpenList>>,
    /// Places that came back unused, for the next who wants some: what is left of their buckets
    /// could not be used otherwise.
    spare: Vec<NodePlace>,
    /// Devices whose index of free space is not complete: there, buckets are taken that have no
    /// key in the alloc btree.
    without_index: DevMask,
}

impl NodePlaces {
    pub(super) fn try_new(st: &SbState) -> Result<Self> {
        let mut without_index = DevMask::default();
        for dev in st.devices().filter(|d| !d.member.freespace_initialized()) {
            without_index.add(dev.idx.0);
        }
        Ok(Self {
            point: WritePoint::try_new(DataType::BTREE)?,
            cursors: Vec::from_elem(0, DEVS)?,
            given: Vec::new(),
            spare: Vec::with_capacity(SPARE_PLACES)?,
            without_index,
        })
    }

    /// Whether the index of free space of a device is not complete.
    pub(super) fn lacks_freespace(&self, dev: DevIdx) -> bool {
        self.without_index.has(dev.0)
    }

    /// It is not complete any more.
    pub(super) fn lose_freespace(&mut self, dev: DevIdx) {
        self.without_index.add(dev.0);
    }

    /// It is complete now.
    pub(super) fn has_freespace(&mut self, dev: DevIdx) {
        self.without_index.remove(dev.0);
    }

    /// Keeps a place that was not used; says whether there is room for it.
    ///
    /// C: `bch2_btree_reserve_put()`.
    pub(super) fn keep(&mut self, place: NodePlace) -> bool {
        self.spare.len() < SPARE_PLACES && self.spare.push(place).is_ok()
    }

    /// Takes a place back.
    pub(super) fn give_back(&mut self, open: &SpinLock<OpenBuckets>, place: NodePlace) {
        let slot = usize::try_from(place.token).ok();
        let taken = slot
            .and_then(|at| self.given.get_mut(at))
            .and_then(Option::take);
        let mut open = open.lock();
        if let Some(mut pins) = taken {
            while let Some(pin) = pins.pop() {
                open.put(pin);
            }
        }
    }

    /// How many places are taken, and not given back.
    fn nr_given(&self) -> usize {
        self.given.iter().flatten().count()
    }

    /// A slot for what keeps a place's buckets open.
    fn slot(&mut self) -> Result<usize> {
        match self.given.iter().position(Option::is_none) {
            Some(at) => Ok(at),
            None => {
                self.given.push(None)?;
                Ok(self.given.len().saturating_sub(1))
            }
        }
    }
}

/// Appends places for `nr` nodes to `places`. When there is none, makes buckets free that can be,
/// and fails when there are none.
///
/// C: `bch2_btree_reserve_get()`, `__bch2_btree_node_alloc()`.
pub(super) fn alloc_nodes(
    space: &Space,
    engine: Engine<'_>,
    watermark: Watermark,
    nr: usize,
    places: &mut Vec<NodePlace>,
) -> Result {
    let watermark = match watermark {
        Watermark::Stripe | Watermark::Normal => {
            space.check_room_for_nodes(nr)?;
            // Some buckets more are left for who frees space.
            Watermark::CopyGc
        }
        Watermark::CopyGc => Watermark::BtreeCopyGc,
        other => other,
    };
    places.reserve(nr)?;
    if watermark >= Watermark::BtreeCopyGc {
        keep_reserve(engine, watermark)?;
    }
    let (mut attempts, mut patience) = (0..ATTEMPTS, 0..PATIENCE);
    let mut waits = None;
    while places.len() < nr {
        let others = space.others_write() || space.nodes.lock().nr_given() > places.len();
        match alloc_one(space, engine, watermark)? {
            Ok(place) => places.push(place)?,
            Err(refusal) if !refusal.can_wait() => return Err(refusal.error()),
            Err(refusal) => {
                waits.get_or_insert_with(|| space.blocked(refusal).begin());
                let is_free = attempts.next().is_some() && try_to_free(engine, watermark)?;
                if !is_free && !wait_for_data(space, watermark, others, &mut patience) {
                    return Err(refusal.error());
                }
            }
        }
    }
    Ok(())
}

/// Waits until data was moved, or for a moment when `others` have taken something, unless that is
/// what the place is for, or what has to come before.
fn wait_for_data(
    space: &Space,
    watermark: Watermark,
    others: bool,
    patience: &mut Range<u32>,
) -> bool {
    watermark < Watermark::BtreeCopyGc
        && patience.next().is_some()
        && (space.wait_for_copygc() || space.wait_for_others(others))
}

#[inline(never)]
fn alloc_one(
    space: &Space,
    engine: Engine<'_>,
    watermark: Watermark,
) -> Result<Result<NodePlace, Refusal>> {
    let sectors = u32::from(space.st.sb.node_sectors());
    let mut nodes = space.nodes.lock();
    if let Some(place) = nodes.spare.pop() {
        return Ok(Ok(place));
    }
    let slot = nodes.slot()?;
    let request = request(space, watermark);
    // What is left of a bucket that is too small for a node is no use.
    if nodes.point.sectors_free() < sectors {
        let mut open = space.open.lock();
        nodes.point.stop(&mut open, None);
    }
    let filled = gather(space, engine, &request, &mut nodes)?;
    match filled {
        Ok(Filled::Whole | Filled::Degraded) => (),
        Err(refusal) => return Ok(Err(refusal)),
    }
    let mut copies = [None; COPIES_MAX];
    let mut nr = 0usize;
    let mut open = space.open.lock();
    let appended = nodes.point.append(&mut open, sectors, |ptr| {
        let copy = copies.get_mut(nr).ok_or(Error::TooManyCopies)?;
        *copy = Some(ptr);
        nr = nr.saturating_add(1);
        Ok(())
    });
    appended.ok_or(Error::BucketFull)??;
    let counters = &space.st.counters;
    counters.add(Counter::SECTORS_ALLOC, sectors.into());
    let pins = nodes.point.pins(&mut open);
    nodes.point.done(&mut open);
    drop(open);
    if let Some(given) = nodes.given.get_mut(slot) {
        *given = Some(pins);
    }
    drop(nodes);
    let place = NodePlace {
        copies,
        token: u64_of(slot),
    };
    if let Err(e) = mark_superblock(space, &place, sectors.into()) {
        space.nodes.lock().give_back(&space.open, place);
        return Err(e);
    }
    Ok(Ok(place))
}

/// Has the superblock say that nodes are on these devices, and in which parts of them.
///
/// C: `bch2_mark_replicas()`, `bch2_dev_btree_bitmap_mark()`.
#[inline(never)]
fn mark_superblock(space: &Space, place: &NodePlace, sectors: u64) -> Result {
    let mut devs = DevMask::default();
    for copy in place.copies.iter().flatten() {
        devs.add(copy.dev.0);
    }
    space.st.change_super(|sb| {
        let mut changed = sb.add_replicas(DataType::BTREE, &devs)?;
        for copy in place.copies.iter().flatten() {
            sb.update_member(copy.dev.0, |m| {
                let regions = NodeRegions::of(m);
                // Where it can not be noted, a node can still be found by its pointer.
                let more = regions.with(copy.offset, sectors).filter(|r| *r != regions);
                if let Some(more) = more {
                    m.set_btree_bitmap(more.bits, more.shift);
                    changed = true;
                }
            });
        }
        Ok(changed)
    })
}

fn request(space: &Space, watermark: Watermark) -> Request {
    let st = &space.st;
    let target = st.metadata_target();
    let (mut all, mut devs) = (DevMask::default(), DevMask::default());
    let can = |dev: &&Device| dev.is_writable() && dev.member.allows(DataType::BTREE);
    for dev in st.devices().filter(can) {
        all.add(dev.idx.0);
        if st.is_in_target(target, dev) {
            devs.add(dev.idx.0);
        }
    }
    Request {
        devs,
        fallback: Some(all),
        nr_replicas: low_u8(st.opts.get(OptId::MetadataReplicas)),
        nr_required: low_u8(st.sb.flag(flags::META_REPLICAS_REQ)).max(1),
        accept_fewer: true,
        watermark,
    }
}

#[inline(never)]
fn gather(
    space: &Space,
    engine: Engine<'_>,
    request: &Request,
    nodes: &mut NodePlaces,
) -> Result<Result<Filled, Refusal>> {
    let NodePlaces {
        point,
        cursors,
        without_index,
        ..
    } = nodes;
    let mut gather = Gather::begin(request, point, &mut space.open.lock());
    loop {
        let next = free_on(space, &mut gather);
        let Some((has, dev)) = next else {
            break;
        };
        let idx = dev.idx;
        let look = LookIn {
            data_type: DataType::BTREE,
            cursor: cursors.get_mut(usize::from(idx.0)),
            has_index: !without_index.has(idx.0),
        };
        let found = match has.free_for(request.watermark) {
            0 => Err(Refusal::FreelistEmpty),
            _ => search_bucket(engine, dev, request.watermark, look)?,
        };
        count_bucket(space, &found);
        gather.offer(&mut space.open.lock(), idx, &has, found);
    }
    Ok(gather.finish(&mut space.open.lock()))
}

/// Counts what came of taking a bucket.
pub(super) fn count_bucket(space: &Space, found: &Result<OpenRef, Refusal>) {
    let counter = match found {
        Ok(_) => Counter::BUCKET_ALLOC,
        Err(Refusal::OpenBucketsEmpty) => Counter::OPEN_BUCKET_ALLOC_FAIL,
        Err(_) => Counter::BUCKET_ALLOC_FAIL,
    };
    space.st.count(counter);
}

/// The device that a bucket is to be taken of next, and what it has.
pub(super) fn free_on<'a>(
    space: &'a Space,
    gather: &mut Gather<'_>,
) -> Option<(DevSpace, &'a Device)> {
    let mut open = space.open.lock();
    let idx = gather.next_device(&mut open, &|dev| space.dev_space(dev, 0))?;
    let has = space.dev_space(idx, open.nr_unused(idx))?;
    if has.wants_discard(Watermark::Normal) || has.to_invalidate() != 0 {
        space.want_discards();
    }
    Some((has, space.st.dev(idx)?))
}

/// Where free buckets of a device are looked for.
struct LookIn<'a> {
    data_type: DataType,
    cursor: Option<&'a mut u64>,
    /// In the index of free space; else in the alloc btree, for those that are not there.
    has_index: bool,
}

/// Takes a free bucket of `dev` for `data_type`; the search begins at the cursor.
///
/// C: `bch2_bucket_alloc_trans()`.
pub(super) fn take_bucket(
    engine: Engine<'_>,
    dev: &Device,
    data_type: DataType,
    watermark: Watermark,
    cursor: Option<&mut u64>,
) -> Result<Result<OpenRef, Refusal>> {
    let look = LookIn {
        data_type,
        cursor,
        has_index: !engine.writer.hooks.lacks_freespace(dev.idx),
    };
    search_bucket(engine, dev, watermark, look)
}

#[inline(never)]
fn search_bucket(
    engine: Engine<'_>,
    dev: &Device,
    watermark: Watermark,
    look: LookIn<'_>,
) -> Result<Result<OpenRef, Refusal>> {
    let space = &engine.writer.hooks;
    let LookIn {
        data_type,
        cursor,
        has_index,
    } = look;
    let usable = (dev.member.first_bucket().into(), dev.member.nbuckets());
    let regions = NodeRegions::of(&dev.member);
    let start = cursor.as_ref().map_or(0, |c| **c);
    let mut search = Search::new(data_type, regions, usable, start);
    loop {
        match search.step() {
            Step::End => return Ok(Err(Refusal::FreelistEmpty)),
            Step::Range(at) => search.range(match has_index {
                true => free_range(engine, dev.idx, at)?,
                false => unused_range(engine, dev.idx, (at, usable.1))?,
            }),
            Step::Try(bucket, group) => {
                if !search.is_valid(bucket) || space.must_not_take(dev.idx, bucket) {
                    search.skip(Skip::Nouse);
                    continue;
                }
                match try_bucket(engine, dev, (bucket, group), data_type, watermark)? {
                    Ok(Ok(taken)) => {
                        search.taken();
                        if let Some(cursor) = cursor {
                            *cursor = search.cursor();
                        }
                        return Ok(Ok(taken));
                    }
                    Ok(Err(skip)) => search.skip(skip),
                    Err(refusal) => return Ok(Err(refusal)),
                }
            }
        }
    }
}

/// The first range of free buckets that ends behind `at`.
#[inline(never)]
fn free_range(engine: Engine<'_>, dev: DevIdx, at: u64) -> Result<Option<(u64, u64)>> {
    let start = Bpos::new(dev.0.into(), at.saturating_add(1), 0);
    let end = Bpos::new(dev.0.into(), u64::MAX, u32::MAX);
    let mut iter = engine.btrees.iter(BtreeId::FREESPACE, 0, start).until(end);
    let found = iter.advance()?.filter(|k| k.p <= end);
    Ok(found.map(|k| (k.start_offset(), k.p.offset)))
}

type Tried = Result<Result<OpenRef, Skip>, Refusal>;

/// C: `try_alloc_bucket()`.
#[inline(never)]
fn try_bucket(
    engine: Engine<'_>,
    dev: &Device,
    (bucket, group): (BucketNr, u8),
    data_type: DataType,
    watermark: Watermark,
) -> Result<Tried> {
    let space = &engine.writer.hooks;
    if space.open.lock().is_written(dev.idx, bucket) {
        return Ok(Ok(Err(Skip::Open)));
    }
    let state = bucket_state(engine, dev.idx, bucket)?;
    match Verdict::on(&state, group, space.journal.flushed()) {
        Verdict::Free => (),
        Verdict::Skip(skip) => return Ok(Ok(Err(skip))),
        Verdict::Inconsistent(what) => {
            // Since the index was read somebody else can have taken it, and used it.
            let listed = is_listed(engine, dev.idx, (bucket, group))?;
            if !listed || bucket_state(engine, dev.idx, bucket)? != state {
                return Ok(Ok(Err(Skip::Open)));
            }
            let name = dev.bdev.name();
            pr_warn!("{name}: bucket {bucket}: {what}");
            return Ok(Ok(Err(Skip::Nouse)));
        }
    }
    let open = OpenBucket::new(
        (dev.idx, bucket),
        state.generation,
        dev.member.bucket_sectors().into(),
        data_type,
        dev.durability(),
    );
    let taken = match space.open.lock().take(open, watermark) {
        Ok(Some(taken)) => taken,
        Ok(None) => return Ok(Ok(Err(Skip::Open))),
        Err(refusal) => return Ok(Err(refusal)),
    };
    space.st.bucket_taken();
    // Since it was looked at, somebody can have opened it, used it and closed it again. Now nobody
    // can.
    let now = bucket_state(engine, dev.idx, bucket);
    if now.is_ok_and(|now| now == state) {
        return Ok(Ok(Ok(taken)));
    }
    space.open.lock().put(taken);
    now?;
    Ok(Ok(Err(Skip::Open)))
}

/// Whether a bucket is in the index of free space.
#[cold]
fn is_listed(engine: Engine<'_>, dev: DevIdx, (bucket, group): (BucketNr, u8)) -> Result<bool> {
    let at = u64::from(group).wrapping_shl(56) | bucket.0;
    let range = free_range(engine, dev, at)?;
    Ok(range.is_some_and(|(start, _)| start <= at))
}

#[inline(never)]
fn bucket_state(engine: Engine<'_>, dev: DevIdx, bucket: BucketNr) -> Result<Alloc> {
    let found = engine
        .btrees
        .lookup(BtreeId::ALLOC, alloc_pos(dev, bucket))?;
    match found.map(|f| Alloc::decode(&f.key())) {
        None => Ok(Alloc::default()),
        Some(Ok(state)) => Ok(state.unwrap_or_default()),
        Some(Err(_)) => Err(Error::FreeBucketUnreadable),
    }
}
